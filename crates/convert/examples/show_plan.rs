//! Shows what a folder would become, without writing anything: `cargo run -p happy-convert --example show_plan -- FOLDER`

use happy_convert::{Checkpoint, Conversion, ConvertOptions};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args_os().nth(1).ok_or("usage: show_plan FOLDER")?;
    let checkpoint = Checkpoint::open(folder)?;
    let conversion = Conversion::plan(&checkpoint, &ConvertOptions::default())?;
    for tensor in conversion.tensors() {
        let source = tensor.source_name().unwrap_or("(computed)");
        println!("{:<36} {:<6} {:?} from {source}", tensor.name(), tensor.output_type(), tensor.dims());
    }
    for warning in conversion.warnings() {
        println!("warning: {warning}");
    }
    println!("{} bytes", conversion.file_len()?);
    Ok(())
}
