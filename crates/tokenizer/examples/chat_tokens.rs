//! A chat that grows by the lines of standard input: after each line, how many tokens of the text before stayed the same,
//! which is what a cache of the model's state can keep.
//! `cargo run -p happy-tokenizer --example chat_tokens -- model.gguf < lines`

use happy_gguf::GgufFile;
use happy_tokenizer::{DecodeOptions, EncodeOptions, GrowingText, Tokenizer};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("usage: chat_tokens FILE.gguf < LINES")?;
    let tokenizer = Tokenizer::from_gguf(&GgufFile::read(path)?)?;

    let mut text = String::new();
    let mut chat = GrowingText::new(&tokenizer, EncodeOptions::default());
    for line in std::io::stdin().lines() {
        text += &line?;
        text.push('\n');
        let stayed = chat.update(&text)?;
        let new = chat.ids().get(stayed..).unwrap_or_default();
        println!(
            "{stayed} tokens stayed, {} are new: {:?}",
            new.len(),
            tokenizer.decode(new, DecodeOptions::default())?
        );
    }
    Ok(())
}
