//! Counts the tokens of standard input, and measures time and memory: `count_tokens model.gguf < text.txt`.

use happy_gguf::GgufFile;
use happy_tokenizer::{EncodeOptions, EncodeScratch, Tokenizer};
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("usage: count_tokens model.gguf < text.txt")?;
    let file = GgufFile::read(path)?;
    let start = Instant::now();
    let tokenizer = Tokenizer::from_gguf(&file)?;
    let built = start.elapsed();
    for warning in tokenizer.warnings() {
        eprintln!("warning: {warning}");
    }
    let text = std::io::read_to_string(std::io::stdin())?;
    let (mut scratch, mut ids) = (EncodeScratch::default(), Vec::new());
    for pass in ["first", "second"] {
        ids.clear();
        let start = Instant::now();
        tokenizer.encode_into(&text, EncodeOptions::default(), &mut scratch, &mut ids)?;
        let seconds = start.elapsed().as_secs_f64();
        println!("{pass} pass: {:.1} ms, {:.1} MB/s", seconds * 1e3, text.len() as f64 / 1e6 / seconds);
    }
    println!("{} tokens, {} bytes", ids.len(), text.len());
    println!("the first: {:?}", ids.get(..16).unwrap_or(&ids));
    println!(
        "vocabulary of {}: built in {:.1} ms, {} bytes on the heap",
        tokenizer.vocab_size(),
        built.as_secs_f64() * 1e3,
        tokenizer.heap_bytes()
    );
    Ok(())
}
