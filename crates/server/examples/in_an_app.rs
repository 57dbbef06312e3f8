//! Runs a server inside of a program, on a free port, and asks it: `cargo run --release -p happy-server --example in_an_app -- model.gguf`

use happy_engine::{Engine, LoadOptions};
use happy_server::{Server, ServerOptions};
use std::error::Error;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("expected the path of a GGUF file")?;
    let engine = Engine::open(&path, &LoadOptions::default())?;
    // Port 0: any free port. Only programs with the key may ask.
    let mut options = ServerOptions::default();
    options.address = SocketAddr::from(([127, 0, 0, 1], 0));
    options.api_key = Some("a long random text".into());
    let server = Server::bind(engine, None, options)?;
    let (address, stop) = (server.address(), server.stop());
    let running = thread::spawn(move || server.run());

    let question =
        r#"{"messages": [{"role": "user", "content": "Name one river."}], "max_tokens": 16, "seed": 1}"#;
    let answer = post(address, "/v1/chat/completions", question);

    stop.stop();
    running.join().map_err(|_| "the server's thread panicked")?;
    println!("{}", answer?);
    Ok(())
}

/// Posts JSON, and returns the answer's body.
fn post(address: SocketAddr, path: &str, body: &str) -> Result<String, Box<dyn Error>> {
    let mut connection = TcpStream::connect(address)?;
    write!(
        connection,
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer a long random text\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.1 200") => Ok(body.to_owned()),
        _ => Err(answer.into()),
    }
}
