//! Counts the tokens of standard input: `count_tokens model.gguf < text.txt`.

use happy_gguf::GgufFile;
use happy_tokenizer::{EncodeOptions, Tokenizer};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("usage: count_tokens model.gguf < text.txt")?;
    let tokenizer = Tokenizer::from_gguf(&GgufFile::read(path)?)?;
    let text = std::io::read_to_string(std::io::stdin())?;
    let ids = tokenizer.encode(&text, EncodeOptions::default())?;
    println!("{} tokens of {}, {} bytes", ids.len(), tokenizer.vocab_size(), text.len());
    println!("the first: {:?}", &ids[..ids.len().min(16)]);
    Ok(())
}
