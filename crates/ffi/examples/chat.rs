//! What a binding for another language does: the core behind the C interface, without a pointer.
//!
//! `cargo run --release -p happy-ffi --example chat model.gguf "Why is the sky blue?"`

use happy::Failure;
use happy::core::model::{Model, Place};
use happy::core::registry;
use happy::core::session::{Coalesce, Session, SessionSettings, TurnSettings};
use happy_engine::Event;
use std::io::Write;
use std::time::Duration;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [path, question] = arguments.as_slice() else {
        eprintln!("usage: chat MODEL QUESTION");
        std::process::exit(2);
    };
    if let Err(failure) = chat(path, question) {
        eprintln!("{:?}: {failure}", failure.status);
        std::process::exit(1);
    }
}

fn chat(path: &str, question: &str) -> Result<(), Failure> {
    let place = Place::path(path)?;
    let model = Model::open(&place, &Default::default(), None, None)?;
    // What the other language holds is a number.
    let handle = registry::insert(Session::new(&model, &SessionSettings::default())?)?;
    let coalesce = Coalesce { time: Duration::from_millis(50), bytes: 0 };
    let settings = TurnSettings { coalesce, ..TurnSettings::default() };
    let session = registry::get::<Session>(handle)?;
    let done = session.chat(Some(question), &settings, &mut |event| {
        if let Event::Text(text) = event {
            print!("{text}");
        }
        std::io::stdout().flush().is_ok()
    })?;
    println!("\n[{} tokens, {:.1} a second]", done.generated_tokens, done.decode_rate());
    registry::free::<Session>(handle);
    Ok(())
}
