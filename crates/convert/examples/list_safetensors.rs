//! Lists the tensors of a safetensors file, after checking its header:
//! `cargo run -p happy-convert --example list_safetensors -- model.safetensors`

use happy_convert::safetensors::{header_len, parse};
use std::io::Read;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args_os().nth(1).ok_or("usage: list_safetensors FILE")?;
    let mut file = std::fs::File::open(path)?;
    let file_len = file.metadata()?.len();
    let mut first = [0; 8];
    file.read_exact(&mut first)?;
    // The length is checked against the file before memory is reserved for it.
    let len = header_len(first, file_len)?;
    let mut header = vec![0; usize::try_from(len)?];
    file.read_exact(&mut header)?;
    for tensor in parse(&header, file_len - 8 - len)? {
        let bytes = tensor.range.end - tensor.range.start;
        println!(
            "{bytes:>12} bytes  {:<8} {:<20} {}",
            tensor.dtype_name,
            format!("{:?}", tensor.shape),
            tensor.name
        );
    }
    Ok(())
}
