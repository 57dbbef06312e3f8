//! Downloads a model by name, and shows the progress.
//!
//! ```sh
//! cargo run -p happy-hub --features tls --example pull -- qwen3-0.6b
//! ```
//! Without the network, use a server on this machine (any that serves files, with or without ranges):
//!
//! ```sh
//! python3 -m http.server 8000 --bind 127.0.0.1 &
//! HF_HUB_CACHE=/tmp/cache cargo run -p happy-hub --example pull -- http://127.0.0.1:8000/model.gguf
//! ```
//! Ctrl-C ends it at any moment, and the next run continues from there.

use std::io::Write;
use std::process::ExitCode;

use happy_hub::{ALIASES, Event, Hub, Offer, PullOptions, Verdict};

/// The limit of this example, in bytes. An engine would plan the memory from the header instead.
const MOST: u64 = 8 << 30;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let Some(name) = std::env::args().nth(1) else {
        println!("usage: pull NAME\n\nshort names:");
        for alias in ALIASES {
            let (mb, gib) = (alias.bytes / 1_000_000, alias.min_ram() >> 30);
            println!(
                "  {:<14} {mb:>5} MB, for devices with {gib:>2} GiB or more, {}",
                alias.name, alias.license
            );
        }
        return Ok(());
    };
    let hub = Hub::from_env()?;
    let pulled = hub.pull(&name.parse()?, &PullOptions::default(), judge, tell)?;
    println!();
    for file in &pulled.files {
        let checked = if file.verified { "SHA-256 as published" } else { "no SHA-256 to check" };
        println!("{} ({} bytes, {checked})", file.path.display(), file.bytes);
    }
    if let Some(why) = pulled.stale {
        println!("from the cache, because the server cannot be reached: {why}");
    }
    Ok(())
}

/// The header is here, the weights are not: this is the time to refuse.
fn judge(offer: &Offer) -> Verdict {
    for file in &offer.files {
        let view = file.header.view();
        let architecture = view.metadata().get_str("general.architecture").unwrap_or("unknown");
        println!("{}: {architecture}, {} tensors, {} bytes", file.path, view.tensors().len(), file.bytes);
    }
    match offer.total() {
        0..=MOST => Verdict::Accept,
        bytes => Verdict::Refuse(format!("{bytes} bytes, and this example takes at most {MOST}")),
    }
}

fn tell(event: Event<'_>) {
    match event {
        Event::Progress(p) => {
            let percent = p.done as f64 * 100.0 / p.total.max(1) as f64;
            let rate = p.rate.map_or_else(String::new, |rate| format!(", {:.1} MB/s", rate / 1e6));
            let eta = p.eta.map_or_else(String::new, |eta| format!(", {} s left", eta.as_secs()));
            print!("\r{percent:5.1}%{rate}{eta}      ");
            let _ = std::io::stdout().flush();
        }
        Event::Waiting => println!("another process downloads this file; waiting for it"),
        Event::Retry { file, pause, why, .. } => {
            println!("\r{file}: {why}; again in {:.1} s", pause.as_secs_f64())
        }
        Event::Restarted { file, why } => println!("\r{file}: starting again: {why}"),
        _ => {}
    }
}
