//! Continues a text: `generate model.gguf "Once upon a time"`.

use happy_engine::{Engine, Event, GenerateOptions, LoadOptions};
use std::io::Write;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(path), Some(text)) = (args.next(), args.next()) else {
        return Err("usage: generate model.gguf \"Once upon a time\"".into());
    };
    let engine = Engine::open(path, &LoadOptions::default())?;
    let prompt = engine.encode_prompt(&text)?;
    print!("{text}");
    let mut context = engine.context()?;
    let options = GenerateOptions { max_tokens: Some(64), ..GenerateOptions::default() };
    for event in context.generate(0, &prompt, options)? {
        match event? {
            Event::Text(text) => print!("{text}"),
            Event::Done(finish) => {
                println!("\n[ended by {}, {:.1} tok/s]", finish.reason, finish.decode_rate())
            }
            _ => {}
        }
        std::io::stdout().flush()?;
    }
    Ok(())
}
