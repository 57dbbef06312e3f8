//! Times quantizing beside llama-quantize, and compares the errors: the table of docs/benchmarks.md.
//!
//! ```text
//! HAPPY_PEER=target/peer cargo run --release -p happy-benches --bin quantizing -- [MILLIONS [ROUNDS [TYPE ..]]]
//! ```
//!
//! `HAPPY_PEER` names the Python environment that `cargo xtask bench-peer` makes; without it, only our half is measured. Both
//! sides encode the same file of random F16 weights with two threads, in turns, every matrix in the same type. The peer refuses
//! some types without an importance matrix, and gets one whose weights are all 1.

#![forbid(unsafe_code)]

mod model;

use happy_gguf::{GgufSetReader, Limits};
use happy_quantize::{Mix, Quantizer, RunOptions};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

const THREADS: usize = 2;

/// Mixes without exceptions, and whether the peer wants an importance matrix for them.
const MIXES: [(Mix, bool); 22] = [
    (Mix::Q4_0, false),
    (Mix::Q4_1, false),
    (Mix::Q5_0, false),
    (Mix::Q5_1, false),
    (Mix::Q8_0, false),
    (Mix::Q2K, false),
    (Mix::Q3KS, false),
    (Mix::Q4KS, false),
    (Mix::Q5KS, false),
    (Mix::Q6K, false),
    (Mix::IQ4NL, false),
    (Mix::IQ4XS, false),
    (Mix::IQ3S, false),
    (Mix::IQ3XXS, true),
    (Mix::IQ2M, true),
    (Mix::IQ2XS, true),
    (Mix::IQ2XXS, true),
    (Mix::IQ1M, true),
    (Mix::IQ1S, true),
    (Mix::TQ1_0, false),
    (Mix::TQ2_0, false),
    (Mix::MXFP4, false),
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// One measurement: wall-clock seconds and CPU seconds.
type Seconds = (f64, f64);

fn run(args: &[String]) -> Result<(), Box<dyn Error>> {
    let number = |i: usize, default| args.get(i).map_or(Ok(default), |s| s.parse::<usize>());
    let (millions, rounds) = (number(0, 40)?, number(1, 3)?.max(1));
    let wanted = args.get(2..).unwrap_or_default();
    let folder = std::env::temp_dir().join(format!("happy-quantizing-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let result = table(&folder, model::layers(millions), rounds, wanted);
    std::fs::remove_dir_all(&folder)?;
    result
}

fn table(folder: &Path, layers: usize, rounds: usize, wanted: &[String]) -> Result<(), Box<dyn Error>> {
    let [input, output] = ["f16.gguf", "out.gguf"].map(|name| folder.join(name));
    let peer = std::env::var_os("HAPPY_PEER").map(|folder| PathBuf::from(folder).join("bin/python"));
    model::write(&input, layers)?;
    println!("{layers} layers, {THREADS} threads, medians of {rounds} rounds\n");
    println!(
        "| type | happy, s | llama.cpp, s | ratio | happy, CPU s | llama.cpp, CPU s | ratio | happy, error | llama.cpp, error | ratio |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
    for (mix, importance) in MIXES {
        let (dtype, file_type) = (mix.dtype(), mix.file_type());
        if !wanted.is_empty() && !wanted.iter().any(|w| w == dtype.name()) {
            continue;
        }
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        let (mut error, mut its_error) = (0.0, f64::NAN);
        for _ in 0..rounds {
            ours.push(happy(&input, &output, mix)?);
            error = model::error(&input, &output, dtype)?;
            std::fs::remove_file(&output)?;
            if let Some(python) = &peer {
                let tensors = if importance { model::columns(layers) } else { Vec::new() };
                theirs.push(llama(python, &input, &output, file_type, &tensors)?);
                its_error = model::error(&input, &output, dtype)?;
                std::fs::remove_file(&output)?;
            }
        }
        let (a, b) = (medians(&ours), medians(&theirs));
        println!(
            "| {dtype} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {error:.3e} | {its_error:.3e} | {:.3} |",
            a.0,
            b.0,
            a.0 / b.0,
            a.1,
            b.1,
            a.1 / b.1,
            error / its_error
        );
    }
    Ok(())
}

/// Encodes with this project's library.
fn happy(input: &Path, output: &Path, mix: Mix) -> Result<Seconds, Box<dyn Error>> {
    let (began, cpu) = (Instant::now(), cpu_seconds());
    let model = GgufSetReader::open(input, &Limits::default())?;
    let quantizer = Quantizer::new(mix).pure(true);
    quantizer.plan(&model)?.write_file(output, &RunOptions { threads: THREADS, ..RunOptions::default() })?;
    Ok((began.elapsed().as_secs_f64(), cpu_seconds() - cpu))
}

/// Encodes with the peer's library.
fn llama(
    python: &Path,
    input: &Path,
    output: &Path,
    file_type: u32,
    tensors: &[String],
) -> Result<Seconds, Box<dyn Error>> {
    let mut command = Command::new(python);
    command.args(["-c", include_str!("peer.py")]).arg(input).arg(output);
    command.arg(file_type.to_string()).arg(THREADS.to_string()).args(tensors);
    let done = command.output().map_err(|e| format!("{}: {e}", python.display()))?;
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    let mut seconds = text.split_whitespace().filter_map(|word| word.parse().ok());
    match (done.status.success(), seconds.next(), seconds.next()) {
        (true, Some(wall), Some(cpu)) => Ok((wall, cpu)),
        _ => Err(format!("the peer failed: {}", String::from_utf8_lossy(&done.stderr)).into()),
    }
}

/// Returns the CPU seconds of this process so far: 0 where the system has no `/proc`.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    // User and system time are the 12th and 13th fields after the name, in hundredths of a second.
    fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum::<f64>()
        / 100.0
}

fn medians(rounds: &[Seconds]) -> Seconds {
    let median = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
    };
    (median(rounds.iter().map(|r| r.0).collect()), median(rounds.iter().map(|r| r.1).collect()))
}
