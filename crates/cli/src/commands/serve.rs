//! `happy serve`: the model for programs, over HTTP.

use crate::error::{CliError, CliResult};
use crate::load::{ContextArgs, LoadArgs, LoraArgs, ModelArgs};
use crate::{load, models, output};
use clap::Args;
use happy_engine::LoadOptions;
use happy_server::{Server, ServerOptions};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

const EXAMPLES: &str = "\
Examples:
  happy serve -m model.gguf
  curl http://127.0.0.1:11435/v1/chat/completions -d '{\"messages\": [{\"role\": \"user\", \"content\": \"Hello\"}]}'
  OPENAI_BASE_URL=http://127.0.0.1:11435/v1 OPENAI_API_KEY=none python my_app.py
  OLLAMA_HOST=http://127.0.0.1:11435 python my_ollama_app.py
  HAPPY_API_KEY=secret happy serve -m model.gguf --host 0.0.0.0";

/// Options of `happy serve`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    lora: LoraArgs,
    /// Address to listen on; one that other machines can reach needs an API key
    #[arg(long, value_name = "ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    host: IpAddr,
    /// Port to listen on; 0: any free one
    #[arg(long, value_name = "N", default_value_t = ServerOptions::PORT)]
    port: u16,
    /// Key that clients must send [default: HAPPY_API_KEY of the environment, which other users cannot see; else none]
    #[arg(long, value_name = "KEY")]
    api_key: Option<String>,
    /// Number of answers generated at a time; each has its own context
    #[arg(long, value_name = "N", default_value_t = 4)]
    slots: usize,
    /// Number of answers that may wait for a slot
    #[arg(long, value_name = "N", default_value_t = 256, hide_short_help = true)]
    queue: usize,
    /// One more name that requests may use for the model; `*`: any name
    #[arg(long, value_name = "NAME")]
    alias: Vec<String>,
    /// Let web pages of other origins use the server
    #[arg(long)]
    cors: bool,
    /// One more host name by which requests may address the server
    #[arg(long, value_name = "NAME")]
    host_name: Vec<String>,
    #[command(flatten)]
    context: ContextArgs,
    #[command(flatten)]
    load: LoadArgs,
}

/// Runs the command.
pub(crate) fn run(args: &ServeArgs) -> CliResult {
    let mut options = ServerOptions::default();
    options.address = SocketAddr::new(args.host, args.port);
    options.api_key = args.api_key.clone().or_else(|| std::env::var("HAPPY_API_KEY").ok());
    options.model_name = name_of(&args.model.model);
    options.aliases = args.alias.clone();
    options.queue = args.queue;
    options.cors = args.cors;
    options.hosts = args.host_name.clone();
    // What is wrong with the arguments shows before a model is loaded.
    options.check().map_err(|error| CliError::usage(error.to_string()))?;
    let load = args.lora.of(args.context.options(&args.load));
    let load = LoadOptions { sequences: args.slots, ..load };
    let path = models::resolve(&args.model.model)?;
    let engine = load::engine(&args.model, &load, &output::note)?;
    let plan = *engine.plan();
    let server = Server::bind(engine, Some((&path, &load)), options)
        .map_err(|error| CliError::new(error.to_string()))?;
    let stop = server.stop();
    ctrlc::set_handler(move || stop.stop())
        .map_err(|e| CliError::new(format!("cannot listen for Ctrl-C: {e}")))?;
    output::note(&format!(
        "{} answers at a time, {} tokens each, {} of memory beside the model's file",
        plan.sequences,
        plan.context,
        output::human_bytes(plan.anon_bytes())
    ));
    // For programs that start the server and want to know where it listens.
    println!("listening on http://{}", server.address());
    server.run();
    Ok(())
}

/// The model's name for clients: that of its file without the ending, or the known name that was given.
fn name_of(model: &Path) -> String {
    let name =
        model.file_name().map_or_else(|| "model".to_owned(), |name| name.to_string_lossy().into_owned());
    name.strip_suffix(".gguf").map(str::to_owned).unwrap_or(name)
}
