//! Shows the tokens of a text: ids, pieces, and the bytes of the text that became each of them.
//! `cargo run -p happy-tokenizer --example show_tokens -- model.gguf "some text"`

use happy_gguf::GgufFile;
use happy_tokenizer::{EncodeOptions, Tokenizer};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [path, text] = &args[..] else { return Err("usage: show_tokens FILE.gguf TEXT".into()) };
    let tokenizer = Tokenizer::from_gguf(&GgufFile::read(path)?)?;
    for warning in tokenizer.warnings() {
        eprintln!("warning: {warning}");
    }

    let encoded = tokenizer.encode_with_ranges(text, EncodeOptions::default())?;
    for (&id, range) in encoded.ids.iter().zip(&encoded.ranges) {
        let piece = tokenizer.piece(id)?; // bytes: a token may hold part of a character
        let place = if range.is_empty() { "added".to_owned() } else { format!("{range:?}") };
        let kind = if tokenizer.is_control(id) { "  control" } else { "" };
        println!("{id:>8}  {place:<10} \"{}\"{kind}", piece.escape_ascii());
    }
    println!("{} tokens, {} bytes", encoded.ids.len(), text.len());
    Ok(())
}
