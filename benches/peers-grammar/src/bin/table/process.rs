//! A question to a probe: a process of its own, with limits.

use std::ffi::OsStr;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use peers_grammar::Result;

/// What a probe may take.
#[derive(Clone, Copy)]
pub struct Limits {
    pub time: Duration,
    /// Address space, in KiB.
    pub memory: u64,
}

/// For a schema of the corpus, or a hostile one.
pub const SHORT: Limits = Limits { time: Duration::from_secs(10), memory: 1 << 20 };
/// For what is timed, with a real vocabulary.
pub const LONG: Limits = Limits { time: Duration::from_secs(120), memory: 4 << 20 };

/// How a probe ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum End {
    Done,
    /// The schema was refused.
    Refused,
    /// An error while a text was followed.
    Stopped,
    Panicked,
    /// By a signal: an allocation beyond the limit, a stack that overflowed, memory that was not its own.
    Aborted,
    Hung,
}

/// How a probe ended, and what it printed until then.
pub struct Answer {
    pub end: End,
    pub text: String,
    pub errors: String,
    pub time: Duration,
}

fn read(pipe: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut text = Vec::new();
        // What a killed probe has not written is missing, and counts as not answered.
        let _ = { pipe }.read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    })
}

/// Asks `program`.
pub fn ask<S: AsRef<OsStr>>(program: &Path, arguments: &[S], limits: Limits) -> Result<Answer> {
    let start = Instant::now();
    let mut child = Command::new("sh")
        .arg("-c")
        .arg(format!("ulimit -c 0; ulimit -v {}; exec \"$0\" \"$@\"", limits.memory))
        .arg(program)
        .args(arguments)
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let text = read(child.stdout.take().ok_or("no standard output")?);
    let errors = read(child.stderr.take().ok_or("no standard error")?);
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break Some(status);
        }
        if start.elapsed() > limits.time {
            child.kill()?;
            child.wait()?;
            break None;
        }
        thread::sleep(Duration::from_micros(500));
    };
    let time = start.elapsed();
    let text = text.join().map_err(|_| "the reading thread panicked")?;
    let errors = errors.join().map_err(|_| "the reading thread panicked")?;
    // A peer that catches its own panics and hands them out as errors has still panicked.
    let caught = errors.contains("panic:");
    let end = match status.map(|status| status.code()) {
        None => End::Hung,
        Some(Some(0)) if !caught => End::Done,
        Some(Some(2)) if !caught => End::Refused,
        Some(Some(3)) if !caught => End::Stopped,
        Some(Some(0 | 2 | 3 | 101)) => End::Panicked,
        Some(None) => End::Aborted,
        Some(Some(code)) => return Err(format!("{}: exit code {code}: {errors}", program.display()).into()),
    };
    Ok(Answer { end, text, errors, time })
}
