//! `cargo xtask bench-peer`: this project and llama.cpp on the same models and threads, alternating, medians over rounds.
//!
//! Both sides run as processes of their own, one after the other, ours first in even rounds and second in odd ones, so that a
//! machine that slows down slows both. Ours is `happy bench` and `happy run`, the peer's a C program on its library.

mod install;
mod measure;
mod report;

use happy_tool_kit::models::{self, Model};
use happy_tool_kit::{Result, fetch, paths, process};
use install::Peer;
use measure::{Load, Side, median};
use report::Row;
use std::fs;
use std::path::{Path, PathBuf};

/// Arguments of `bench-peer`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Rounds; the medians over them are reported
    #[arg(short, long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Only this model: smollm2 or gemma3
    #[arg(short, long)]
    model: Option<String>,
    /// Measure decode with one core taken by a busy loop pinned to it, instead of the idle table
    #[arg(long)]
    busy: bool,
    /// Measure both, the idle table and the one beside a busy loop, and write them into docs/benchmarks.md
    #[arg(long, conflicts_with_all = ["busy", "peer_only", "model"])]
    write: bool,
    /// Measure the peer alone
    #[arg(long)]
    peer_only: bool,
}

/// What is measured of one model.
struct Case {
    what: &'static str,
    model: &'static str,
    kind: Kind,
    /// The least ratio ours / peer (for times: the most) that the project promises.
    wanted: f64,
}

#[derive(Clone, Copy)]
enum Kind {
    /// tokens/s of prefilling this many tokens
    Prefill(u32),
    /// tokens/s of decoding 64 tokens after this many
    Decode { depth: u32 },
    /// Seconds from the start of the process to the first token
    FirstToken,
}

/// Tokens that a decode measurement generates.
const N_GEN: u32 = 64;

const CASES: &[Case] = &[
    Case { what: "prefill 512", model: "smollm2", kind: Kind::Prefill(512), wanted: 3.0 },
    Case { what: "decode 64", model: "smollm2", kind: Kind::Decode { depth: 0 }, wanted: 1.4 },
    Case { what: "decode 64 after 4096", model: "smollm2", kind: Kind::Decode { depth: 4096 }, wanted: 1.5 },
    Case { what: "start to first token", model: "smollm2", kind: Kind::FirstToken, wanted: 0.5 },
    Case { what: "prefill 512", model: "gemma3", kind: Kind::Prefill(512), wanted: 1.5 },
    Case { what: "decode 64", model: "gemma3", kind: Kind::Decode { depth: 0 }, wanted: 1.15 },
    Case { what: "start to first token", model: "gemma3", kind: Kind::FirstToken, wanted: 0.5 },
];

/// What `bench-peer` has at hand.
struct Bench {
    peer: Peer,
    /// The release build of `happy`; `None` with --peer-only.
    happy: Option<PathBuf>,
    rounds: u32,
}

/// `cargo xtask bench-peer`.
pub(crate) fn run(args: &Args) -> Result<()> {
    let models: Vec<&Model> = match &args.model {
        Some(name) => vec![models::find(name)?],
        None => models::MODELS.iter().collect(),
    };
    let peer = Peer::find_or_install()?;
    let happy = if args.peer_only { None } else { Some(process::build_happy(&[])?) };
    let bench = Bench { peer, happy, rounds: args.rounds };
    let mut idle = Vec::new();
    let mut busy = Vec::new();
    for model in models {
        let file = fetch::fetch(model)?;
        if !args.busy {
            idle.extend(bench.idle(model, &file)?);
        }
        if args.busy || args.write {
            busy.extend(bench.under_load(model, &file)?);
        }
    }
    if args.write {
        let path = paths::root().join("docs/benchmarks.md");
        fs::write(&path, report::document(&idle, &busy, args.rounds))
            .map_err(|e| format!("cannot write {}: {e}", path.display()))?;
        println!("wrote {}", paths::short(&path));
    }
    if !idle.is_empty() {
        println!("{}", report::idle_table(&idle, args.rounds));
    }
    if !busy.is_empty() {
        println!("{}", report::busy_table(&busy, args.rounds));
    }
    Ok(())
}

impl Bench {
    fn sides(&self) -> Vec<Side<'_>> {
        self.happy.iter().map(|happy| Side::Ours(happy)).chain([Side::Peer(&self.peer)]).collect()
    }

    /// The sides in the order of one round.
    fn order(&self, round: u32) -> Vec<Side<'_>> {
        let mut sides = self.sides();
        if round % 2 == 1 {
            sides.reverse();
        }
        sides
    }

    /// All cases of a model on an idle machine.
    fn idle(&self, model: &Model, file: &Path) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        for case in CASES.iter().filter(|case| case.model == model.name) {
            let threads: &[u32] = if matches!(case.kind, Kind::FirstToken) { &[2] } else { &[1, 2] };
            for &threads in threads {
                let mut ours = Vec::new();
                let mut peers = Vec::new();
                for round in 0..self.rounds {
                    for side in self.order(round) {
                        let value = side.measure(case.kind, file, model, threads)?;
                        if matches!(side, Side::Ours(_)) { ours.push(value) } else { peers.push(value) }
                    }
                    progress(model, case.what, threads, round + 1, self.rounds);
                }
                let is_time = matches!(case.kind, Kind::FirstToken);
                rows.push(Row {
                    model: model.name,
                    what: case.what,
                    threads,
                    ours: median(&ours),
                    peer: median(&peers),
                    wanted: case.wanted,
                    is_time,
                });
            }
        }
        Ok(rows)
    }

    /// Decode with two threads while a pinned loop takes a core, against decode with one thread on the idle machine.
    fn under_load(&self, model: &Model, file: &Path) -> Result<Vec<Row>> {
        let kind = Kind::Decode { depth: 0 };
        let mut rows = Vec::new();
        let mut results: Vec<(bool, Vec<f64>, Vec<f64>)> =
            self.sides().iter().map(|side| (matches!(side, Side::Ours(_)), Vec::new(), Vec::new())).collect();
        for round in 0..self.rounds {
            for side in self.order(round) {
                let alone = side.measure(kind, file, model, 1)?;
                let load = Load::start()?;
                let loaded = side.measure(kind, file, model, 2);
                load.stop();
                let is_ours = matches!(side, Side::Ours(_));
                for (_, one, two) in results.iter_mut().filter(|(ours, ..)| *ours == is_ours) {
                    one.push(alone);
                    two.push(*loaded.as_ref().map_err(Clone::clone)?);
                }
            }
            progress(model, "decode 64 beside a busy loop", 2, round + 1, self.rounds);
        }
        for (is_ours, alone, loaded) in results {
            rows.push(Row {
                model: model.name,
                what: if is_ours { "happy" } else { "llama.cpp" },
                threads: 2,
                ours: median(&loaded),
                peer: median(&alone),
                wanted: 0.85,
                is_time: false,
            });
        }
        Ok(rows)
    }
}

fn progress(model: &Model, what: &str, threads: u32, round: u32, rounds: u32) {
    eprintln!("{}: {what}, {threads} thread(s): round {round} of {rounds}", model.name);
}
