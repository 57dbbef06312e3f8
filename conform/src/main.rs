//! The overview of conformance: runs every corpus and prints a table. The exit code is 1 if a case failed.

#![forbid(unsafe_code)]

use clap::Parser;
use happy_conform::{corpora, run, table, unread};
use happy_testkit::Corpus;
use std::process::ExitCode;

#[derive(Parser)]
#[command(
    name = "happy-conform",
    about = "Compares happy-phone-llm with other people's results",
    after_help = "The data are the full ones in the folder that HAPPY_CONFORMANCE names, else the selection in fixtures/corpus."
)]
struct Cli {
    /// Only these corpora; all of them unless named
    corpora: Vec<String>,
    /// Print JSON: an array with an object per corpus
    #[arg(long)]
    json: bool,
    /// Run on the selection in the repository, also if HAPPY_CONFORMANCE is set
    #[arg(long)]
    selection: bool,
}

fn main() -> ExitCode {
    match compare(&Cli::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::from(2)
        }
    }
}

/// Returns whether no case failed.
fn compare(cli: &Cli) -> Result<bool, String> {
    // Unknown names are reported before anything is run.
    if let Some(unknown) = cli.corpora.iter().find(|name| corpora().all(|known| known != **name)) {
        let known: Vec<&str> = corpora().collect();
        return Err(format!("unknown corpus `{unknown}`: expected some of {}", known.join(", ")));
    }
    let corpus = Corpus::full().filter(|_| !cli.selection).unwrap_or_else(Corpus::repository);
    let mut reports = Vec::new();
    for name in corpora().filter(|name| cli.corpora.is_empty() || cli.corpora.iter().any(|c| c == name)) {
        eprintln!("{name} ({}) ...", corpus.name());
        reports.push(run(name, &corpus)?);
    }
    if cli.json {
        let text = serde_json::to_string_pretty(&reports)
            .map_err(|e| format!("cannot write the result as JSON: {e}"))?;
        println!("{text}");
    } else {
        print!("{}", table(&reports));
        let unread = unread(&corpus)?;
        if !unread.is_empty() {
            println!("\nno reader yet for {}", unread.join(", "));
        }
    }
    Ok(reports.iter().all(|report| report.failed.is_empty()))
}
