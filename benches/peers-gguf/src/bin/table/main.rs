//! happy-gguf beside other crates that read GGUF, every cell of the table measured.
//!
//! ```text
//! build      a probe for each peer, linked with it alone, and one that only lists tensors; count its dependencies
//! ask        each probe, in a process of its own with a time limit and a memory limit: files of each version, byte order
//!            and type, the conformance corpus, and a file to write
//! time       a header with 150,000 tokens, the peers taking turns
//! print      the table
//! ```
//!
//! Arguments name crates: a column for each of them, instead of all. Needs Linux (`ulimit`).

mod build;
mod inputs;
mod measure;
mod process;
#[path = "../../../../../crates/gguf/tests/support/mod.rs"]
mod support;

use std::path::Path;
use std::process::ExitCode;

use inputs::Inputs;
use measure::Measured;
use peers_gguf::Result;

/// The features of the probes, which are the names of the crates; the project's own first.
const PEERS: [&str; 6] = ["happy-gguf", "gguf", "gguf-rs", "gguf-rs-lib", "ggus", "candle-core"];

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    if let Some(unknown) = wanted.iter().find(|name| !PEERS.contains(&name.as_str())) {
        return Err(format!("unknown crate {unknown}: expected some of {}", PEERS.join(", ")).into());
    }
    let corpus = support::corpus();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/inputs");
    let inputs = Inputs::make(&folder, &corpus)?;
    let empty = build::probe(None, true)?;
    let mut probes = Vec::new();
    for name in PEERS.into_iter().filter(|name| wanted.is_empty() || wanted.iter().any(|w| w == name)) {
        probes.push(build::peer(name)?);
    }
    let mut columns = Vec::new();
    for probe in &probes {
        eprintln!("asking {}", probe.title);
        columns.push(Measured::of(probe, &inputs, &empty)?);
    }
    eprintln!("timing");
    measure::times(&probes, &inputs, &mut columns)?;
    print(&probes, &columns, &inputs);
    Ok(())
}

fn print(probes: &[build::Probe], columns: &[Measured], inputs: &Inputs) {
    let titles: Vec<&str> = probes.iter().map(|probe| &*probe.title).collect();
    println!("| | {} |\n|---|{}", titles.join(" | "), "---|".repeat(titles.len()));
    let rows: [(String, fn(&Measured) -> String); 11] = [
        ("versions read".into(), |m| m.versions.clone()),
        ("byte orders read".into(), |m| m.orders.clone()),
        (format!("tensor types read, of {}", inputs.types.len()), |m| m.types.to_string()),
        ("hands out tensor bytes".into(), |m| m.bytes.into()),
        (format!("valid files of the corpus read right, of {}", inputs.valid.len()), |m| m.valid.to_string()),
        (format!("hostile files refused, of {}", inputs.hostile.len()), |m| m.hostile.refused.to_string()),
        ("accepted / panicked / aborted / hung".into(), |m| {
            let h = &m.hostile;
            format!("{} / {} / {} / {}", h.accepted, h.panicked, h.aborted, h.hung)
        }),
        (format!("panics, aborts and hangs on all {}", inputs.all.len()), |m| m.crashes.to_string()),
        ("writes a file that `check_strict` accepts".into(), |m| m.writes.clone()),
        ("150,000 tokens opened, ms".into(), |m| format!("{:.1}", m.millis)),
        ("dependencies / KB that it adds to a program".into(), |m| {
            format!("{} / {:.0}", m.dependencies, m.added as f64 / 1000.0)
        }),
    ];
    for (name, cell) in rows {
        let cells: Vec<String> = columns.iter().map(cell).collect();
        println!("| {name} | {} |", cells.join(" | "));
    }
}
