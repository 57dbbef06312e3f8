//! Converts a folder: `cargo run --release -p happy-convert --example convert_folder -- FOLDER FILE [f32|f16|bf16|q8_0]`

use happy_convert::{Checkpoint, Conversion, ConvertOptions, RunOptions};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [folder, file, rest @ ..] = args.as_slice() else {
        return Err("usage: convert_folder FOLDER FILE [f32|f16|bf16|q8_0]".into());
    };
    let output_type = rest.first().map_or(Ok(Default::default()), |name| name.parse())?;
    let checkpoint = Checkpoint::open(folder)?;
    let conversion =
        Conversion::plan(&checkpoint, &ConvertOptions { output_type, ..ConvertOptions::default() })?;
    for warning in conversion.warnings() {
        eprintln!("warning: {warning}");
    }
    let bytes = conversion.write_file(file, &RunOptions::default())?;
    println!("{file}: {} tensors, {bytes} bytes", conversion.tensors().len());
    Ok(())
}
