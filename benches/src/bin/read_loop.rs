//! How fast a plain loop reads a file where it is mapped: the limit of a decode that reads every weight once.
//!
//! ```text
//! cargo run --release -p happy-benches --bin read_loop FILE.gguf THREADS
//! {"gb_s": 21.5}
//! ```
//!
//! Every thread adds up the words of its own share. The first pass brings the file into memory and is not timed; the fastest of
//! the following ones counts, for a second at least.

#![forbid(unsafe_code)]

use happy_engine::{LoadOptions, Source};
use std::error::Error;
use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// How long passes are repeated.
const TIME: Duration = Duration::from_secs(1);

/// Sums that don't wait for one another.
const SUMS: usize = 32;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [path, threads] = args.as_slice() else {
        eprintln!("usage: read_loop FILE THREADS");
        return ExitCode::from(2);
    };
    match threads.parse().map_err(Box::from).and_then(|threads| speed(path, threads)) {
        Ok(gb_s) => {
            println!("{{\"gb_s\": {gb_s:.3}}}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{path}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// GB that are read in a second.
fn speed(path: &str, threads: usize) -> Result<f64, Box<dyn Error>> {
    let files = Source::Path(path.as_ref()).files(&LoadOptions::default())?;
    let parts: Vec<&[u8]> = files.parts().map(|(_, file)| file.bytes()).collect();
    let bytes: usize = parts.iter().map(|part| part.len()).sum();
    let pass = || {
        let start = Instant::now();
        parts.iter().for_each(|part| read(part, threads.max(1)));
        start.elapsed()
    };
    pass();
    let started = Instant::now();
    let mut best = pass();
    while started.elapsed() < TIME {
        best = best.min(pass());
    }
    Ok(bytes as f64 / best.as_secs_f64() / 1e9)
}

/// Reads all of `bytes`, every thread a share.
fn read(bytes: &[u8], threads: usize) {
    let share = bytes.len().div_ceil(threads).max(1);
    std::thread::scope(|scope| {
        let mut shares = bytes.chunks(share);
        let own = shares.next();
        for share in shares {
            scope.spawn(move || black_box(sum(share)));
        }
        black_box(own.map(sum));
    });
}

fn sum(bytes: &[u8]) -> u64 {
    let mut sums = [0u64; SUMS];
    let (words, _) = bytes.as_chunks::<8>();
    for words in words.as_chunks::<SUMS>().0 {
        for (sum, word) in sums.iter_mut().zip(words) {
            *sum = sum.wrapping_add(u64::from_le_bytes(*word));
        }
    }
    sums.into_iter().fold(0, u64::wrapping_add)
}
