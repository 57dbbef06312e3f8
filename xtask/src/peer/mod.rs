//! `cargo xtask bench-peer`: measures this project and llama.cpp with the same models and threads, alternating, and
//! reports medians over rounds.
//!
//! Both sides run as processes of their own, one after the other: ours first in even rounds and second in odd ones, so
//! that a machine that slows down slows both. Ours is `happy bench` and `happy run`; the peer's is a C program on its
//! library.

mod install;
mod measure;
mod phones;
mod plot;
mod report;

use happy_tool_kit::models::{self, Model};
use happy_tool_kit::{Result, fetch, paths, process};
use install::Peer;
use measure::{Load, Measured, Side, median};
use phones::Phones;
use report::Row;
use std::fs;
use std::path::{Path, PathBuf};

/// Arguments of `bench-peer`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Rounds; the medians over them are reported
    #[arg(short, long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Only this model: smollm2, gemma3, or one in the shapes of a phone's models, such as lfm2-1.2b
    #[arg(short, long)]
    model: Option<String>,
    /// Only the models in the shapes of those that phones run; their files, with random weights, are made if they are missing. After 4,096
    /// tokens they are measured once, whatever --rounds says: the peer takes minutes to compute them
    #[arg(long, conflicts_with_all = ["busy", "model"])]
    phones: bool,
    /// Only a llama-shaped model of 0.45B weights in every format of tensors; its files are made and removed one after the other. --model
    /// llama-0.5b-q4_k measures one of them
    #[arg(long, conflicts_with_all = ["busy", "model", "phones"])]
    formats: bool,
    /// Measure decode with one core taken by a busy loop pinned to it, instead of the idle table
    #[arg(long)]
    busy: bool,
    /// Write what is measured into docs/benchmarks.md: with --phones or --formats their table, else the idle table and the one beside a busy loop
    #[arg(long, conflicts_with_all = ["busy", "peer_only", "model"])]
    write: bool,
    /// Measure the peer alone
    #[arg(long)]
    peer_only: bool,
}

/// One measurement of a model.
struct Case {
    what: &'static str,
    model: &'static str,
    kind: Kind,
    /// Minimum ratio ours / peer that the project promises (maximum for times).
    wanted: f64,
}

#[derive(Clone, Copy)]
enum Kind {
    /// tokens/s of prefilling this many tokens
    Prefill(u32),
    /// Tokens per second when 64 tokens are decoded after `depth` others.
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

/// The cases of each model in the shapes of a phone's: name, kind, and the minimum ratio that the project promises with
/// two threads.
const PHONE_CASES: &[(&str, Kind, f64)] = &[
    ("prefill 512", Kind::Prefill(512), 1.5),
    ("decode 64", Kind::Decode { depth: 0 }, 1.0),
    ("decode 64 after 4096", Kind::Decode { depth: 4096 }, 1.2),
];

/// Returns the minimum ratio that is promised for prefill in a format.
fn prefill_promise(format: &str) -> Option<f64> {
    const FAR: &[&str] = &["q4_0", "q4_1", "q5_0", "q8_0", "q4_k", "mxfp4"];
    match format {
        // Their products are exact in neither: the peer rounds BF16 activations, and nothing is promised of F32.
        "f32" | "bf16" => None,
        "f16" => Some(0.9),
        format if FAR.contains(&format) => Some(2.0),
        _ => Some(1.25),
    }
}

/// The programs and settings of a run of `bench-peer`.
struct Bench {
    /// The peer; `None` if it doesn't know a format.
    peer: Option<Peer>,
    /// The release build of `happy`; `None` with --peer-only.
    happy: Option<PathBuf>,
    rounds: u32,
    /// Whether decode after a long context is measured in a single round.
    deep_once: bool,
}

/// `cargo xtask bench-peer`.
pub(crate) fn run(args: &Args) -> Result<()> {
    let real = args.model.as_ref().is_none_or(|name| models::MODELS.iter().any(|m| m.name == *name));
    let peer = Peer::find_or_install()?;
    let happy = if args.peer_only { None } else { Some(process::build_happy()?) };
    let deep_once = args.phones || args.formats || !real;
    let bench = Bench { peer: Some(peer), happy, rounds: args.rounds, deep_once };
    let sections = match deep_once {
        true => bench.made(args.model.as_deref(), args.formats)?,
        false => bench.real(args)?,
    };
    if args.write {
        let path = paths::root().join("docs/benchmarks.md");
        let old = fs::read_to_string(&path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
        fs::write(&path, report::document(&old, &sections))
            .map_err(|e| format!("cannot write {}: {e}", path.display()))?;
        println!("wrote {}", paths::short(&path));
        for (name, svg) in sections.iter().filter_map(|section| section.plot.as_ref()) {
            let path = path.with_file_name(name);
            fs::write(&path, svg).map_err(|e| format!("cannot write {}: {e}", path.display()))?;
            println!("wrote {}", paths::short(&path));
        }
    }
    sections.iter().for_each(|section| println!("{}", section.text));
    Ok(())
}

impl Bench {
    fn sides(&self) -> Vec<Side<'_>> {
        let peer = self.peer.iter().map(Side::Peer);
        self.happy.iter().map(|happy| Side::Ours(happy)).chain(peer).collect()
    }

    /// Returns the sides in the order of one round.
    fn order(&self, round: u32) -> Vec<Side<'_>> {
        let mut sides = self.sides();
        if round % 2 == 1 {
            sides.reverse();
        }
        sides
    }

    /// Measures the real models and returns their tables.
    fn real(&self, args: &Args) -> Result<Vec<report::Section>> {
        let (mut idle, mut busy) = (Vec::new(), Vec::new());
        for model in models::MODELS.iter().filter(|m| args.model.as_ref().is_none_or(|name| m.name == *name))
        {
            let file = fetch::fetch(model)?;
            if !args.busy {
                idle.extend(self.idle(model, &file)?);
            }
            if args.busy || args.write {
                busy.extend(self.under_load(model, &file)?);
            }
        }
        let idle = (!idle.is_empty()).then(|| report::idle(&idle, self.rounds));
        let busy = (!busy.is_empty()).then(|| report::busy(&busy, self.rounds));
        Ok(idle.into_iter().chain(busy).collect())
    }

    /// Measures models that are generated here and returns their table: those in the shapes of a phone's, or in every
    /// format, or only one of them.
    fn made(&self, only: Option<&str>, formats: bool) -> Result<Vec<report::Section>> {
        let phones = Phones::build()?;
        match only {
            None if formats => {
                let rows = self.formats(&phones, &phones.formats)?;
                Ok(vec![report::formats(&rows, self.rounds)])
            }
            None => Ok(vec![report::phones(&self.phones(&phones, &phones.names)?, self.rounds)]),
            Some(name) if phones.names.iter().any(|known| known == name) => {
                let rows = self.phones(&phones, &[name.to_owned()])?;
                Ok(vec![report::phones(&rows, self.rounds)])
            }
            Some(name) if phones.formats.iter().any(|known| known == name) => {
                let rows = self.formats(&phones, &[name.to_owned()])?;
                Ok(vec![report::formats(&rows, self.rounds)])
            }
            Some(name) => {
                let real = models::MODELS.iter().map(|m| m.name);
                let made = phones.names.iter().chain(&phones.formats).map(String::as_str);
                let known: Vec<&str> = real.chain(made).collect();
                Err(format!("unknown model '{name}': expected one of {}", known.join(", ")))
            }
        }
    }

    /// Measures models in the shapes of those that phones run.
    fn phones(&self, phones: &Phones, names: &[String]) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        for name in names {
            let file = phones.file(name)?;
            for threads in [1, 2] {
                let limit = phones.read_loop(&file, threads)?;
                for (what, kind, wanted) in PHONE_CASES {
                    // promised with two threads, stated with one
                    let wanted = (threads == 2).then_some(*wanted);
                    rows.push(self.beside_limit(name, &file, (what, *kind, threads, wanted), limit)?);
                }
            }
        }
        Ok(rows)
    }

    /// Measures one model in each format. Only our side is measured in formats that the peer doesn't know.
    fn formats(&self, phones: &Phones, names: &[String]) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        for name in names {
            let file = phones.file(name)?;
            let format = name.rsplit('-').next().unwrap_or_default();
            let own = Bench { peer: None, happy: self.happy.clone(), ..*self };
            let known = self.peer.as_ref().is_some_and(|peer| {
                Side::Peer(peer).measure(Kind::Decode { depth: 0 }, &file, name, 2).is_ok()
            });
            let bench = if known { self } else { &own };
            for threads in [1, 2] {
                let limit = phones.read_loop(&file, threads)?;
                let cases = [
                    ("prefill 512", Kind::Prefill(512), prefill_promise(format)),
                    ("decode 64", Kind::Decode { depth: 0 }, Some(1.0)),
                ];
                for (what, kind, wanted) in cases {
                    rows.push(bench.beside_limit(name, &file, (what, kind, threads, wanted), limit)?);
                }
            }
            phones.remove(&file)?;
        }
        Ok(rows)
    }

    /// Measures one case, with the read loop over its file.
    fn beside_limit(
        &self,
        name: &str,
        file: &Path,
        case: (&'static str, Kind, u32, Option<f64>),
        limit: f64,
    ) -> Result<Row> {
        let row = self.row(name, file, case)?;
        let row = Row { read_loop: matches!(case.1, Kind::Decode { .. }).then_some(limit), ..row };
        eprintln!("  {}", report::line(&row));
        Ok(row)
    }

    /// Measures all cases of a model on an idle machine.
    fn idle(&self, model: &Model, file: &Path) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        for case in CASES.iter().filter(|case| case.model == model.name) {
            let threads: &[u32] = if matches!(case.kind, Kind::FirstToken) { &[2] } else { &[1, 2] };
            for &threads in threads {
                let wanted = Some(case.wanted);
                rows.push(self.row(model.name, file, (case.what, case.kind, threads, wanted))?);
            }
        }
        Ok(rows)
    }

    /// Measures one case, with both sides in turn.
    fn row(
        &self,
        name: &str,
        file: &Path,
        (what, kind, threads, wanted): (&'static str, Kind, u32, Option<f64>),
    ) -> Result<Row> {
        let (mut ours, mut peers, mut bytes_per_token) = (Vec::new(), Vec::new(), None);
        let deep = matches!(kind, Kind::Decode { depth } if depth > 0);
        let rounds = if deep && self.deep_once { 1 } else { self.rounds };
        for round in 0..rounds {
            for side in self.order(round) {
                let Measured { value, bytes_per_token: bytes } = side.measure(kind, file, name, threads)?;
                bytes_per_token = bytes.or(bytes_per_token);
                if matches!(side, Side::Ours(_)) { ours.push(value) } else { peers.push(value) }
            }
            progress(name, what, threads, round + 1, rounds);
        }
        let (ours, peer) = (median(&ours), median(&peers));
        let is_time = matches!(kind, Kind::FirstToken);
        let model = name.to_owned();
        Ok(Row { model, what, threads, ours, peer, wanted, is_time, bytes_per_token, read_loop: None })
    }

    /// Measures decode with two threads while a pinned loop takes a core, and compares it with decode with one thread
    /// on the idle machine.
    fn under_load(&self, model: &Model, file: &Path) -> Result<Vec<Row>> {
        let kind = Kind::Decode { depth: 0 };
        let mut rows = Vec::new();
        let mut results: Vec<(bool, Vec<f64>, Vec<f64>)> =
            self.sides().iter().map(|side| (matches!(side, Side::Ours(_)), Vec::new(), Vec::new())).collect();
        for round in 0..self.rounds {
            for side in self.order(round) {
                let alone = side.measure(kind, file, model.name, 1)?.value;
                let load = Load::start()?;
                let loaded = side.measure(kind, file, model.name, 2).map(|measured| measured.value);
                load.stop();
                let is_ours = matches!(side, Side::Ours(_));
                for (_, one, two) in results.iter_mut().filter(|(ours, ..)| *ours == is_ours) {
                    one.push(alone);
                    two.push(*loaded.as_ref().map_err(Clone::clone)?);
                }
            }
            progress(model.name, "decode 64 beside a busy loop", 2, round + 1, self.rounds);
        }
        for (is_ours, alone, loaded) in results {
            rows.push(Row {
                model: model.name.to_owned(),
                what: if is_ours { "happy" } else { "llama.cpp" },
                threads: 2,
                ours: median(&loaded),
                peer: median(&alone),
                wanted: is_ours.then_some(0.85),
                is_time: false,
                bytes_per_token: None,
                read_loop: None,
            });
        }
        Ok(rows)
    }
}

fn progress(model: &str, what: &str, threads: u32, round: u32, rounds: u32) {
    eprintln!("{model}: {what}, {threads} thread(s): round {round} of {rounds}");
}
