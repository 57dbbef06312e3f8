//! Lists the contents of a GGUF file: `cargo run -p happy-gguf --example list_tensors -- model.gguf`

use happy_gguf::GgufFile;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args_os().nth(1).ok_or("usage: list_tensors FILE.gguf")?;
    let file = GgufFile::read(path)?; // `GgufFile::map` does not copy, but is unsafe: the file must not change
    let gguf = file.view();
    println!(
        "version {}, alignment {}, data at byte {}",
        gguf.version(),
        gguf.alignment(),
        gguf.data_offset()
    );
    for (key, value) in gguf.metadata().iter() {
        println!("{key} = {}", value.describe());
    }
    for t in gguf.tensors() {
        let (start, dims) = (t.range.start, t.dims.to_string());
        println!("{start:>12} {:<8} {dims:<20} {:>12} bytes  {}", t.ty, t.byte_len(), t.name);
    }
    for warning in gguf.warnings() {
        eprintln!("warning: {warning}");
    }
    Ok(())
}
