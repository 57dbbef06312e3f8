//! happy-grammar beside another crate that constrains a language model's output, every cell of the table measured.
//!
//! ```text
//! build      a probe for each peer, linked with it alone, and one that only follows a text; count its dependencies
//! ask        each probe, in a process of its own with a time limit and a memory limit: the schemas of the conformance corpus
//!            with their texts, and hostile schemas, in a vocabulary of bytes
//! time       a vocabulary of 151,936 tokens and a document in them, the peers taking turns
//! print      the table
//! ```
//!
//! Arguments name crates: a column for each of them, instead of all; `--explain` says on standard error what each peer refuses
//! or accepts wrongly. Needs Linux (`ulimit`) and the conformance corpus at `HAPPY_CONFORMANCE`.
#![forbid(unsafe_code)]

mod build;
mod corpus;
mod hostile;
mod measure;
mod model;
mod process;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use build::Probe;
use measure::{Corpus, Tally};
use peers_grammar::Result;

/// The features of the probes, which are the names of the crates; the project's own first.
const PEERS: [&str; 2] = ["happy-grammar", "llguidance"];

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The full conformance data.
fn data() -> Result<PathBuf> {
    let value = std::env::var_os("HAPPY_CONFORMANCE").filter(|value| !value.is_empty());
    Ok(value.map(PathBuf::from).ok_or("HAPPY_CONFORMANCE names the folder of the full data: set it")?)
}

fn run() -> Result<()> {
    let (options, wanted): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|argument| argument.starts_with('-'));
    if let Some(unknown) = options.iter().find(|option| *option != "--explain") {
        return Err(format!("unknown option {unknown}: expected --explain").into());
    }
    if let Some(unknown) = wanted.iter().find(|name| !PEERS.contains(&name.as_str())) {
        return Err(format!("unknown crate {unknown}: expected some of {}", PEERS.join(", ")).into());
    }
    let (corpus, folder) = (data()?, Path::new(env!("CARGO_MANIFEST_DIR")).join("target/inputs"));
    std::fs::create_dir_all(&folder)?;
    let bytes = folder.join("bytes.bin");
    corpus::bytes(&bytes)?;
    let cases = corpus::cases(&corpus, &folder)?;
    let hostile = hostile::cases(&folder)?;
    let model = model::write(&corpus, &folder)?;

    let empty = build::probe(None, true)?;
    let mut probes = Vec::new();
    for name in PEERS.into_iter().filter(|name| wanted.is_empty() || wanted.iter().any(|w| w == name)) {
        probes.push(build::peer(name)?);
    }
    let mut columns = Vec::new();
    for probe in &probes {
        eprintln!("asking {}", probe.title);
        columns.push(measure::corpus(probe, &bytes, &cases, !options.is_empty())?);
    }
    let mut table = Table::new(&probes);
    verdicts(&mut table, &measure::valid(&cases), &columns);
    eprintln!("hostile schemas");
    let mut tallies = vec![Tally::default(); probes.len()];
    let mut answers = Vec::new();
    for case in &hostile {
        let cells: Result<Vec<String>> = probes
            .iter()
            .zip(&mut tallies)
            .map(|(probe, tally)| measure::hostile(probe, &bytes, case, tally))
            .collect();
        answers.push((case.name, cells?));
    }
    let ends = |t: &Tally| {
        format!("{} / {} / {} / {} / {} / {}", t.done, t.refused, t.stopped, t.panicked, t.aborted, t.hung)
    };
    let name = format!(
        "{} hostile schemas: followed / refused / stopped / panicked / aborted / hung",
        hostile.len()
    );
    table.row(&name, tallies.iter().map(ends));
    for (name, cells) in answers {
        table.row(&format!("· {name}"), cells);
    }
    eprintln!("timing");
    let name = format!("{} tokens prepared: time / bytes a token", model.tokens);
    table.row(&name, measure::vocabulary(&probes, &model)?);
    for (name, schema) in &model.schemas {
        let [compile, cold, warm] = measure::masks(&probes, &model, schema)?;
        table.row(&format!("{name}: compiled, ms"), compile);
        let tokens = model.document_tokens;
        table.row(&format!("· first {tokens} masks, µs: median / 95 % / most"), cold);
        table.row("· the same again", warm);
    }
    let costs: Result<Vec<String>> = probes.iter().map(|probe| measure::cost(probe, &empty)).collect();
    table.row("dependencies / KB that it adds to a program", costs?);
    print!("{}", table.0);
    Ok(())
}

/// What the peers make of the corpus.
fn verdicts(table: &mut Table, valid: &[bool], columns: &[Corpus]) {
    let schemas = |c: &Corpus| {
        let Tally { done, refused, stopped, panicked, aborted, hung } = c.schemas;
        format!("{} / {refused} / {panicked} / {aborted} / {hung}", done + stopped)
    };
    let all = columns.first().map_or(0, |c| {
        let Tally { done, refused, stopped, panicked, aborted, hung } = c.schemas;
        done + refused + stopped + panicked + aborted + hung
    });
    let name = format!("{all} schemas: compiled / refused / panicked / aborted / hung");
    table.row(&name, columns.iter().map(schemas));
    let count = |c: &Corpus, wanted: bool| {
        c.verdicts.iter().zip(valid).filter(|(v, valid)| **valid == wanted && **v == Some(true)).count()
    };
    let invalid = valid.iter().filter(|valid| !**valid).count();
    table.row(
        &format!("invalid texts accepted, of {invalid}"),
        columns.iter().map(|c| count(c, false).to_string()),
    );
    let name = format!("valid texts accepted, of {}", valid.len() - invalid);
    table.row(&name, columns.iter().map(|c| count(c, true).to_string()));
    // Where its schema is refused, nothing can be written at all: that is not a verdict on a text.
    let known = |c: &Corpus| {
        let valid = c.verdicts.iter().zip(valid).filter(|(v, valid)| **valid && v.is_some()).count();
        format!("{valid} ({:.1} %)", 100.0 * count(c, true) as f64 / valid.max(1) as f64)
    };
    table.row("valid texts whose schema is compiled (of which accepted)", columns.iter().map(known));
    table.row("errors instead of a verdict", columns.iter().map(|c| c.errors.to_string()));
    if let Some(ours) = columns.first() {
        let agreement = columns.iter().map(|c| {
            let both = || c.verdicts.iter().zip(&ours.verdicts).filter(|(a, b)| a.is_some() && b.is_some());
            format!("{} of {}", both().filter(|(a, b)| a == b).count(), both().count())
        });
        table.row("same verdict as the first column, where both give one", agreement);
    }
}

/// The table, in Markdown.
struct Table(String);

impl Table {
    fn new(probes: &[Probe]) -> Self {
        let titles: Vec<&str> = probes.iter().map(|probe| &*probe.title).collect();
        Self(format!("| | {} |\n|---|{}\n", titles.join(" | "), "---|".repeat(titles.len())))
    }

    fn row(&mut self, name: &str, cells: impl IntoIterator<Item = String>) {
        let cells: Vec<String> = cells.into_iter().collect();
        // A bar inside a name would be the end of its cell.
        self.0.push_str(&format!("| {} | {} |\n", name.replace('|', "\\|"), cells.join(" | ")));
    }
}
