//! What restoring a session costs beside computing it again, and what a turn writes.
//!
//! ```sh
//! cargo run --release -p happy-engine --features encryption --example restore -- model.gguf 4096
//! ```
//! The file is read from the page cache, and the identity of the model is computed as in a new process.

use happy_engine::session::{Session, SessionPath, Turn};
use happy_engine::{Context, Engine, LoadOptions};
use std::error::Error;
use std::path::Path;
use std::time::Instant;

/// Tokens of a turn.
const TURN: usize = 200;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let model = arguments.next().ok_or("usage: restore MODEL [TOKENS]")?;
    let tokens = arguments.next().map_or(Ok(4096), |n| n.parse::<usize>())?;
    let options = LoadOptions { context: Some(tokens + TURN), ..LoadOptions::default() };
    let path = std::env::temp_dir().join(format!("happy-restore-{}.happy", std::process::id()));
    let measured = measure(&model, tokens, &options, &path);
    let _ = std::fs::remove_file(&path);
    measured
}

fn open(model: &str, options: &LoadOptions) -> Result<Context, Box<dyn Error>> {
    Ok(Engine::open(model, options)?.context()?)
}

fn measure(model: &str, tokens: usize, options: &LoadOptions, path: &Path) -> Result<(), Box<dyn Error>> {
    let mut context = open(model, options)?;
    let n_vocab = context.engine().model().n_vocab() as u32;
    let ids: Vec<u32> = (0..tokens as u32).map(|i| 3 + i * 7919 % (n_vocab - 3)).collect();
    let started = Instant::now();
    context.prefill(0, &ids)?;
    let prefill = started.elapsed();
    println!("prefill {tokens} tokens: {:.3} s", prefill.as_secs_f64());
    for sealed in [false, true] {
        let Some(place) = place(path, sealed) else { continue };
        let mut session = Session::create_with(place.clone(), &context, 0, Turn::default())?;
        let name = if sealed { "sealed" } else { "plain" };
        println!("{name}: {} bytes", session.bytes());
        if !sealed {
            let left = context.truncate(0, tokens)?;
            context.prefill(0, &ids[..TURN.min(ids.len())])?;
            let turn = session.append(&context, Turn::default())?;
            let parts = turn.kv_bytes + turn.state_bytes;
            println!(
                "{name}: a turn of {} tokens writes {} bytes, {:.4} of its keys, values and state",
                turn.tokens,
                turn.bytes,
                turn.bytes as f64 / parts as f64
            );
            context.truncate(0, left)?;
            session.compact(&context, Turn::default())?;
        }
        drop(session);
        // As a new process: the identity of the model is not known yet.
        let mut again = open(model, options)?;
        let started = Instant::now();
        let (session, restored) = Session::open(place, &mut again, 0)?;
        let restore = started.elapsed();
        println!(
            "{name}: restore {} tokens: {:.3} s, {:.2}% of prefilling them",
            restored.tokens,
            restore.as_secs_f64(),
            100.0 * restore.as_secs_f64() / prefill.as_secs_f64()
        );
        drop(session);
    }
    Ok(())
}

#[cfg(feature = "encryption")]
fn place(path: &Path, sealed: bool) -> Option<SessionPath> {
    let key = happy_engine::session::SessionKey::new([7; 32]);
    Some(SessionPath::from(path).sealed(sealed.then_some(key)))
}

#[cfg(not(feature = "encryption"))]
fn place(path: &Path, sealed: bool) -> Option<SessionPath> {
    (!sealed).then(|| SessionPath::from(path))
}
