//! `happy serve`: serves models to programs over HTTP.

use crate::error::{CliError, CliResult};
use crate::load::{ContextArgs, LoadArgs, LoraArgs, ModelArgs};
use crate::paths::shown;
use crate::{hub, load, models, output};
use clap::Args;
use clap::builder::ArgPredicate;
use happy_engine::LoadOptions;
use happy_server::{Downloads, ServedModel, Server, ServerOptions};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  happy serve -m model.gguf
  happy serve -m chat.gguf -m coder.gguf --keep-alive 300
  happy serve --models ~/models --memory-budget 4000
  happy serve --downloads
  curl http://127.0.0.1:11435/v1/chat/completions -d '{\"messages\": [{\"role\": \"user\", \"content\": \"Hello\"}]}'
  OPENAI_BASE_URL=http://127.0.0.1:11435/v1 OPENAI_API_KEY=none python my_app.py
  OLLAMA_HOST=http://127.0.0.1:11435 python my_ollama_app.py
  HAPPY_API_KEY=secret happy serve -m model.gguf --host 0.0.0.0";

const MEMORY_BUDGET: &str = "Maximum anonymous memory in MiB for all models together [default: each is planned for what the \
                             machine, its control groups and ulimit leave when it is loaded]";

/// Options of `happy serve`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, mut_arg("memory_budget", |arg| arg.help(MEMORY_BUDGET)))]
pub(crate) struct ServeArgs {
    /// Model: as for `happy run`; may be given several times: the first is loaded at once, the others when they are
    /// requested
    #[arg(
        short,
        long,
        value_name = "MODEL",
        default_value = "smollm2",
        default_value_ifs([
            ("models", ArgPredicate::IsPresent, None::<&'static str>),
            ("downloads", ArgPredicate::IsPresent, None),
        ])
    )]
    model: Vec<PathBuf>,
    /// Also serve all models of this folder; each is loaded when it is requested
    #[arg(long, value_name = "DIR")]
    models: Option<PathBuf>,
    /// Let clients download models that run here (on the page, or with /api/pull), and serve all models of `happy list`
    #[arg(long)]
    downloads: bool,
    /// Seconds that a model stays loaded after its last answer; -1: until another one needs its memory
    #[arg(long, value_name = "SECONDS", default_value_t = -1, allow_negative_numbers = true)]
    keep_alive: i64,
    /// Seconds without a request after which a model gives back the memory of its contexts; the next request computes its whole prompt,
    /// unless --sessions keeps the contexts; -1: never
    #[arg(long, value_name = "SECONDS", default_value_t = ServerOptions::IDLE_TRIM_SECONDS as i64, allow_negative_numbers = true)]
    idle_trim: i64,
    /// Keep the contexts of the models in this folder across restarts, so that chats go on without computing them again
    #[arg(long, value_name = "DIR")]
    sessions: Option<PathBuf>,
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
    /// Number of prompts that are kept in addition to those in the slots: a prompt that begins like one of them
    /// computes only what is new
    #[arg(long, value_name = "N", default_value_t = 4)]
    prefixes: usize,
    /// Maximum memory in MiB for keys and values that only these prompts hold; if the model has windows or recurrent
    /// states, each prompt takes one of its own in addition
    #[arg(long, value_name = "MIB", default_value_t = 64, hide_short_help = true)]
    prefix_memory: usize,
    /// Maximum number of tokens, from 0 to 7, that are guessed at a time from what the text repeats while only one
    /// answer is generated: the same text, faster
    #[arg(long, value_name = "N", default_value_t = LoadOptions::MAX_DRAFT_TOKENS, hide_short_help = true)]
    draft_max: usize,
    /// Number of answers that may wait for a slot
    #[arg(long, value_name = "N", default_value_t = 256, hide_short_help = true)]
    queue: usize,
    /// Another name that requests may use for the first model; `*`: any name
    #[arg(long, value_name = "NAME")]
    alias: Vec<String>,
    /// Let web pages of other origins use the server
    #[arg(long)]
    cors: bool,
    /// Another host name by which requests may address the server
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
    options.keep_alive = u64::try_from(args.keep_alive).ok().map(Duration::from_secs);
    options.idle_trim = u64::try_from(args.idle_trim).ok().map(Duration::from_secs);
    options.sessions = args.sessions.clone();
    options.memory_budget = args.load.memory_budget.map(|mib| mib.saturating_mul(1 << 20));
    options.aliases = args.alias.clone();
    options.queue = args.queue;
    options.cors = args.cors;
    options.hosts = args.host_name.clone();
    // Wrong arguments are reported before a model is loaded.
    options.check().map_err(|error| CliError::usage(error.to_string()))?;
    let load = args.lora.of(args.context.options(&args.load));
    let branch_bytes = args.prefix_memory.saturating_mul(1 << 20);
    let load = LoadOptions {
        sequences: args.slots,
        branches: args.prefixes,
        branch_bytes,
        draft_tokens: args.draft_max,
        ..load
    };
    if args.downloads {
        options.downloads = Some(Downloads::new(Arc::new(hub::open()?), load.clone()));
    }
    let names = models_of(args)?;
    let (first, more) = match args.model.as_slice() {
        [] => (None, names.as_slice()),
        _ => (names.first(), names.get(1..).unwrap_or_default()),
    };
    let more = more.iter().map(|(name, model)| {
        Ok(ServedModel { name: name.clone(), path: models::resolve(model)?, load: load.clone() })
    });
    let more = more.collect::<CliResult<Vec<ServedModel>>>()?;
    let server = match first {
        Some((name, model)) => {
            options.model_name = name.clone();
            let path = models::resolve(model)?;
            let engine = load::engine(&ModelArgs { model: model.clone() }, &load, &output::note)?;
            let plan = *engine.plan();
            output::note(&format!(
                "{} answers at a time, {} tokens each, {} of memory beside the model's file",
                plan.sequences,
                plan.context,
                output::human_bytes(plan.anon_bytes())
            ));
            Server::bind_with(engine, Some((&path, &load)), more, options)
        }
        None => Server::bind_models(more, options),
    };
    let server = server.map_err(|error| CliError::new(error.to_string()))?;
    let stop = server.stop();
    ctrlc::set_handler(move || stop.stop())
        .map_err(|e| CliError::new(format!("cannot listen for Ctrl-C: {e}")))?;
    if names.len() > 1 {
        let names: Vec<&str> = names.iter().map(|(name, _)| name.as_str()).collect();
        output::note(&format!("models: {}", names.join(", ")));
    }
    // For programs that start the server and want to know where it listens.
    println!("listening on http://{}", server.address());
    server.run();
    Ok(())
}

/// Returns the models with their names for clients: first those that were named, then those of the folder.
fn models_of(args: &ServeArgs) -> CliResult<Vec<(String, PathBuf)>> {
    let mut paths = args.model.clone();
    if let Some(folder) = &args.models {
        let entries = std::fs::read_dir(folder).map_err(|e| CliError::io("read", shown(folder), &e))?;
        let mut files: Vec<PathBuf> =
            entries.flatten().map(|entry| entry.path()).filter(|p| is_model(p)).collect();
        files.sort();
        if files.is_empty() && paths.is_empty() {
            return Err(CliError::new(format!("`{}` has no models: expected files `*.gguf`", shown(folder))));
        }
        paths.extend(files);
    }
    let mut all: Vec<(String, PathBuf)> = Vec::new();
    for path in paths {
        let name = name_of(&path);
        match all.iter().find(|(known, _)| known.eq_ignore_ascii_case(&name)) {
            // A model may be named and also be in the folder.
            Some((_, known)) if *known == path => {}
            Some((_, known)) => {
                return Err(CliError::usage(format!(
                    "`{}` and `{}` would both be `{name}` for clients: rename one",
                    shown(known),
                    shown(&path)
                )));
            }
            None => all.push((name, path)),
        }
    }
    Ok(all)
}

/// Returns whether a file of a folder is a model that can be served; of a split model, that is the first part.
fn is_model(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let part = name.strip_suffix(".gguf").and_then(|stem| stem.rsplit_once("-of-")?.0.rsplit_once('-'));
    let is_later_part = part.is_some_and(|(_, n)| n.len() == 5 && n != "00001" && n.parse::<u32>().is_ok());
    path.is_file()
        && name.ends_with(".gguf")
        && !name.starts_with(['.'])
        && !name.starts_with("mmproj")
        && !is_later_part
}

/// Returns the model's name for clients: the file name without its extension, or the known name that was given.
fn name_of(model: &Path) -> String {
    let name =
        model.file_name().map_or_else(|| "model".to_owned(), |name| name.to_string_lossy().into_owned());
    name.strip_suffix(".gguf").map(str::to_owned).unwrap_or(name)
}
