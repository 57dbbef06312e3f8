//! `cargo xtask arm-cycles`: what each kernel for Arm costs, ours and llama.cpp's, counted without a phone.
//!
//! ```text
//! program KERNEL TOKENS 1, ... 3   under qemu, which logs every block of instructions that runs: `trace`
//! what the second run has more     = 2 multiplications: exact instructions a weight and token
//! one of 8 groups of rows          -> llvm-mca, as one straight line: cycles on each of CORES
//! ```
//!
//! The straight line holds everything that runs: loops over rows and blocks, scales, calls. What it can't see: the memory, caches and
//! branches that are predicted wrong.

mod mca;
mod peer;
mod trace;

use super::toolchain::Toolchain;
use happy_tool_kit::{Result, paths, process};
use peer::PEERS;
use std::path::{Path, PathBuf};
use trace::Trace;

/// Weights of the matrix that both programs multiply.
const WEIGHTS: usize = 64 * 2048;

/// How many tokens are many.
const MANY: usize = 128;

/// How many samples of how many instructions llvm-mca gets of many tokens. A prime number, so that they fall on all parts of a loop that has
/// a number of turns with small factors.
const SAMPLES: usize = 61;
const SAMPLE: usize = 1024;

/// Formats, as ours are called.
const FORMATS: &[&str] = &[
    "q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "q2_k", "q3_k", "q4_k", "q5_k", "q6_k", "q1_0", "q2_0", "iq1_s",
    "iq1_m", "iq2_xxs", "iq2_xs", "iq2_s", "iq3_xxs", "iq3_s", "iq4_nl", "iq4_xs", "tq1_0", "tq2_0", "mxfp4",
    "nvfp4",
];

/// Arguments of `arm-cycles`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The folder of llama.cpp's sources: count its kernels as well
    #[arg(long)]
    peer: Option<PathBuf>,
    /// Only these formats, separated by commas
    #[arg(long, value_delimiter = ',')]
    formats: Vec<String>,
    /// One token only, not 128
    #[arg(long)]
    one: bool,
    /// What follows the names of LLVM's programs `llvm-mc` and `llvm-mca` (LLVM 17 or later has all four cores)
    #[arg(long, default_value = "-22")]
    llvm_suffix: String,
}

/// A program, built, and how its kernels are told from each other.
struct Side {
    who: &'static str,
    program: PathBuf,
    /// The instruction set's name in the table.
    isa: &'static str,
    /// Arguments before the number of tokens, of each kernel of a format for an instruction set and one token or many.
    kernels: fn(&str, &str, usize) -> Vec<Vec<String>>,
}

/// `cargo xtask arm-cycles`.
pub(crate) fn run(args: &Args) -> Result<()> {
    if let Some(unknown) = args.formats.iter().find(|name| !FORMATS.contains(&name.as_str())) {
        return Err(format!("unknown format '{unknown}': expected some of {}", FORMATS.join(", ")));
    }
    let repeat = Toolchain::find()?.build_example("happy-kernels", "repeat")?;
    let mut sides: Vec<Side> = ["neon", "dotprod", "i8mm"]
        .map(|isa| Side { who: "happy", program: repeat.clone(), isa, kernels: ours })
        .into();
    if let Some(source) = &args.peer {
        for peer in PEERS {
            let program = peer::build(peer, source, &paths::target().join("arm"))?;
            sides.push(Side { who: "llama.cpp", program, isa: peer.isa, kernels: peer::kernels });
        }
    }
    println!(
        "who, instruction set, kernel, tokens: instructions a weight and token; cycles on {}",
        mca::CORES.join(", ")
    );
    for format in FORMATS.iter().filter(|f| args.formats.is_empty() || args.formats.iter().any(|g| g == *f)) {
        for side in &sides {
            for tokens in [1, MANY].into_iter().filter(|&t| t == 1 || !args.one) {
                for kernel in (side.kernels)(format, side.isa, tokens) {
                    println!("{}", measure(side, &kernel, tokens, &args.llvm_suffix)?);
                }
            }
        }
    }
    Ok(())
}

/// What `repeat` is told for a format. One token is dot products' also with i8mm.
fn ours(format: &str, isa: &str, tokens: usize) -> Vec<Vec<String>> {
    if tokens == 1 && isa == "i8mm" { Vec::new() } else { vec![vec![isa.into(), format.into()]] }
}

/// A line of the report.
fn measure(side: &Side, kernel: &[String], tokens: usize, llvm: &str) -> Result<String> {
    let trace = |times: usize| {
        let (tokens, times) = (tokens.to_string(), times.to_string());
        let arguments = kernel.iter().chain([&tokens, &times]);
        Trace::of(&side.program, arguments)
    };
    let (once, thrice) = (trace(1)?, trace(3)?);
    let period = thrice.period(once.blocks())?;
    let instructions = period.instructions();
    // 8 of 64 rows are one group of ours, and 8 calls or a block of 8 columns of theirs. Of many tokens samples are enough.
    let window = if tokens == 1 { period.window(instructions / 8) } else { period.samples(SAMPLES, SAMPLE) };
    let cycles = mca::cycles(&window, llvm)?;
    let work = (WEIGHTS * tokens) as f64;
    let cycles: Vec<String> = cycles
        .iter()
        .map(|&cycles| format!("{:.3}", cycles as f64 / window.len() as f64 * instructions as f64 / work))
        .collect();
    let name = kernel.last().map_or("", String::as_str);
    let each = instructions as f64 / work;
    Ok(format!("{:<9} {:<7} {name:<11} {tokens:>3}: {each:.3}; {}", side.who, side.isa, cycles.join(" ")))
}

/// The name of `path` for a message, or an error if it does not exist.
fn existing(path: &Path) -> Result<&Path> {
    path.exists().then_some(path).ok_or_else(|| format!("{} does not exist", path.display()))
}
