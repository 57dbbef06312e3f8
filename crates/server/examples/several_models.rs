//! Serves several models within one memory budget, each loaded when a request names it, until the program is ended:
//! `cargo run --release -p happy-server --example several_models -- 2000 chat.gguf coder.gguf` (2000: MiB for all of them)

use happy_engine::LoadOptions;
use happy_server::{ServedModel, Server, ServerOptions};
use std::path::PathBuf;
use std::time::Duration;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let budget: u64 = arguments.next().ok_or("expected a number of MiB and paths of GGUF files")?.parse()?;
    let models = arguments.map(PathBuf::from).map(|path| ServedModel {
        name: path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
        load: LoadOptions { sequences: 2, ..LoadOptions::default() },
        path,
    });
    let mut options = ServerOptions::default();
    options.memory_budget = Some(budget << 20);
    // A model that nobody uses for ten minutes is unloaded; one whose memory another needs, at once.
    options.keep_alive = Some(Duration::from_secs(600));
    let server = Server::bind_models(models.collect(), options)?;
    println!("http://{}/v1/models lists the models", server.address());
    server.run();
    Ok(())
}
