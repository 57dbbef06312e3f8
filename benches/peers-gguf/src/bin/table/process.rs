//! A question to a probe: a process of its own, with limits.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use peers_gguf::Result;

/// How long a probe may take for one small file.
const TIME: Duration = Duration::from_secs(10);
/// How long it may take for what is timed.
const LONG_TIME: Duration = Duration::from_secs(300);
/// How much address space it may take, in KiB: a thousand times what the largest of the files has.
const MEMORY: u64 = 1 << 20;

/// How a probe ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// The file was taken, and this was printed.
    Taken(String),
    /// An error was returned.
    Refused,
    /// The peer cannot do this.
    Unable,
    Panicked,
    /// By a signal: an allocation beyond the limit, a stack that overflowed, memory that was not its own.
    Aborted,
    Hung,
}

/// Asks `program`: the question, the file, and further arguments.
pub fn ask(program: &Path, question: &str, file: &Path, more: &[&str]) -> Result<Answer> {
    let mut child = Command::new("sh")
        .arg("-c")
        .arg(format!("ulimit -c 0; ulimit -v {MEMORY}; exec \"$0\" \"$@\""))
        .arg(program)
        .arg(question)
        .arg(file)
        .args(more)
        // A panic is counted, not read: symbols of a large program take seconds to find.
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut stdout = child.stdout.take().ok_or("no standard output")?;
    let text = thread::spawn(move || {
        let mut text = Vec::new();
        // What a killed probe has not written is missing; its text is not looked at.
        let _ = stdout.read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    });
    let end = Instant::now() + if question == "time" { LONG_TIME } else { TIME };
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break Some(status);
        }
        if Instant::now() > end {
            child.kill()?;
            child.wait()?;
            break None;
        }
        thread::sleep(Duration::from_micros(500));
    };
    let text = text.join().map_err(|_| "the reading thread panicked")?;
    Ok(match status.map(|status| status.code()) {
        None => Answer::Hung,
        Some(Some(0)) => Answer::Taken(text),
        Some(Some(2)) => Answer::Refused,
        Some(Some(3)) => Answer::Unable,
        Some(Some(101)) => Answer::Panicked,
        Some(None) => Answer::Aborted,
        Some(Some(code)) => return Err(format!("{}: exit code {code}", program.display()).into()),
    })
}
