//! The overview of conformance: every corpus of inputs with other people's results, run in one go, as a table.
//!
//! `cargo xtask conform [CORPUS..] [--json]`. Each crate also tests itself against its corpus; here all of them stand side by
//! side, with every failure and everything unsupported by name. The exit code is 1 when a case failed.

#![forbid(unsafe_code)]

mod architectures;
mod chat_templates;
mod data;
mod gguf;
mod grammar;
mod kl;
mod quants;
mod recipe;
mod reference_logits;
mod report;
mod runner;
mod sampling;
mod tokenizer;

use clap::Parser;
use report::Report;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

#[derive(Parser)]
#[command(name = "happy-conform", about = "Compares happy-phone-llm with other people's results")]
struct Cli {
    /// Only these corpora; all of them unless named
    corpora: Vec<String>,
    /// Print JSON: an array with an object per corpus
    #[arg(long)]
    json: bool,
}

/// Runs a corpus on the data in a folder and writes what it finds into the report.
type Run = fn(&Path, &mut Report) -> Result<(), String>;

/// The corpora, cheap ones first.
const CORPORA: &[(&str, Run)] = &[
    ("gguf", gguf::run),
    ("quants", quants::run),
    ("sampling", sampling::run),
    ("grammar", grammar::run),
    ("chat-templates", chat_templates::run),
    ("tokenizer", tokenizer::run),
    ("architectures", architectures::run),
    ("reference-logits", reference_logits::run),
];

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::from(2)
        }
    }
}

/// Whether no case failed.
fn run(cli: &Cli) -> Result<bool, String> {
    if let Some(unknown) = cli.corpora.iter().find(|name| CORPORA.iter().all(|(known, _)| known != name)) {
        let known: Vec<&str> = CORPORA.iter().map(|(name, _)| *name).collect();
        return Err(format!("unknown corpus '{unknown}': expected some of {}", known.join(", ")));
    }
    let root = data_folder()?;
    let mut reports = Vec::new();
    for (name, run) in
        CORPORA.iter().filter(|(name, _)| cli.corpora.is_empty() || cli.corpora.iter().any(|c| c == name))
    {
        eprintln!("{name} ...");
        let start = Instant::now();
        let mut report = Report::new(name);
        if let Err(message) = run(&root.join(name), &mut report) {
            report.fail("the corpus itself", message);
        }
        report.seconds = start.elapsed().as_secs_f64();
        reports.push(report);
    }
    if cli.json {
        let text = serde_json::to_string_pretty(&reports)
            .map_err(|e| format!("cannot write the result as JSON: {e}"))?;
        println!("{text}");
    } else {
        print!("{}", report::table(&reports));
    }
    Ok(reports.iter().all(|report| report.failed.is_empty()))
}

/// `$HAPPY_CONFORMANCE`, or `../shared/conformance` beside the workspace.
fn data_folder() -> Result<PathBuf, String> {
    let folder = std::env::var_os("HAPPY_CONFORMANCE").filter(|value| !value.is_empty()).map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/conformance"),
        PathBuf::from,
    );
    if folder.is_dir() {
        Ok(folder)
    } else {
        Err(format!(
            "no conformance data in {}: set HAPPY_CONFORMANCE to the folder that has architectures/ and the others",
            folder.display()
        ))
    }
}
