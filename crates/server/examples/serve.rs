//! Serves a model: `cargo run --release -p happy-server --example serve -- model.gguf`

use happy_engine::{Engine, LoadOptions};
use happy_server::{Server, ServerOptions};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("expected the path of a GGUF file")?;
    let load = LoadOptions { sequences: 4, ..LoadOptions::default() };
    let engine = Engine::open(&path, &load)?;
    let server = Server::bind(engine, Some((path.as_ref(), &load)), ServerOptions::default())?;
    println!("listening on http://{}", server.address());
    server.run();
    Ok(())
}
