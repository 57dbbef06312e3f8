//! What the probes of all peers share: the questions, and how they are answered.
//!
//! ```text
//! probe read FILE            the pairs and tensors of a file, or exit code 2 and the error
//! probe time FILE RUNS       nanoseconds (median) of opening a file and adding up the lengths of its tokens
//! probe write FILE           a small file made by the peer's writer, or exit code 3 where it has none
//! ```
//!
//! A panic, an abort, or an end by a signal is the peer's own.

use std::error::Error;
use std::hint::black_box;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

/// Whatever a peer calls an error.
pub type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// What a file has, as a peer sees it.
#[derive(Default)]
pub struct Summary {
    /// The number of pairs of metadata.
    pub pairs: usize,
    /// The tensors, in any order.
    pub tensors: Vec<Tensor>,
}

/// A tensor, as a peer sees it.
pub struct Tensor {
    pub name: String,
    /// The fastest first, as the file has them.
    pub dims: Vec<u64>,
    /// [`fnv`] of the bytes, where the peer hands them out.
    pub bytes: Option<u64>,
}

/// One crate under test.
pub struct Peer {
    /// Reads a file and the bytes of its tensors.
    pub read: fn(&Path) -> Result<Summary>,
    /// Reads a file and adds up the lengths of its tokens.
    pub token_bytes: fn(&Path) -> Result<usize>,
    /// Writes `general.name = "made"` and a tensor `t` of three F32: 1, 2, 3.
    pub write: Option<fn(&Path) -> Result<()>>,
}

/// FNV-1a, 64 bits.
pub fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3))
}

/// The key of the tokens.
pub const TOKENS: &str = "tokenizer.ggml.tokens";

/// The probe's `main`.
pub fn main(peer: &Peer) -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match (&arguments[..], peer.write) {
        (["read", file], _) => return read(peer.read, file),
        (["time", file, runs], _) => time(peer, Path::new(file), runs),
        (["write", file], Some(write)) => write(Path::new(file)),
        (["write", _], None) => return ExitCode::from(3),
        _ => Err("expected: read FILE, time FILE RUNS or write FILE".into()),
    };
    done.map_or_else(|error| refuse(&*error), |()| ExitCode::SUCCESS)
}

/// `probe read FILE`, which is all that a small probe does.
pub fn read(read: fn(&Path) -> Result<Summary>, file: &str) -> ExitCode {
    match read(Path::new(file)) {
        Ok(summary) => {
            println!("pairs {}", summary.pairs);
            for Tensor { name, dims, bytes } in summary.tensors {
                println!("tensor {name:?} {dims:?} {bytes:?}");
            }
            ExitCode::SUCCESS
        }
        Err(error) => refuse(&*error),
    }
}

fn refuse(error: &dyn Error) -> ExitCode {
    eprintln!("{error}");
    ExitCode::from(2)
}

fn time(peer: &Peer, file: &Path, runs: &str) -> Result<()> {
    let runs = runs.parse::<usize>()?.max(1);
    let mut nanos = Vec::with_capacity(runs);
    let mut bytes = 0;
    for _ in 0..runs {
        let start = Instant::now();
        bytes = black_box((peer.token_bytes)(black_box(file))?);
        nanos.push(start.elapsed().as_nanos());
    }
    nanos.sort_unstable();
    println!("{} {bytes}", nanos[runs / 2]);
    Ok(())
}
