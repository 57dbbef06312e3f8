//! What the probes of all peers share: the questions, and how they are answered.
//!
//! ```text
//! probe check VOCABULARY SCHEMA TEXTS        a digit for each text: 1 it may be written, 0 it may not, 2 an error instead
//! probe follow VOCABULARY SCHEMA TEXT        the mask and the step of each token of a text; milliseconds
//! probe vocabulary VOCABULARY RUNS           nanoseconds (median) of preparing it, bytes that stay allocated
//! probe time VOCABULARY SCHEMA TEXT RUNS     nanoseconds of compiling, and of each token's mask: see `time`
//! ```
//!
//! Exit code 2 is a schema that the peer refuses, 3 an error while a text is followed. A panic, an abort, or an end by a signal
//! is the peer's own. Texts are lists of token ids, so that all peers see the same tokens.

mod input;
mod memory;

use std::error::Error;
use std::hint::black_box;
use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

pub use input::{Kind, Token, read_texts, read_tokens, write_texts, write_tokens};

/// Whatever a peer calls an error.
pub type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// One crate under test.
pub struct Peer {
    /// Prepares a vocabulary.
    pub vocabulary: fn(&[Token]) -> Result<Box<dyn Vocabulary>>,
}

/// A vocabulary that a peer has prepared.
pub trait Vocabulary {
    /// Compiles a JSON schema: nothing has been written yet.
    fn compile(&self, schema: &str) -> Result<Box<dyn Matcher>>;
}

/// A text that is being written.
pub trait Matcher {
    /// Finds out which tokens may come next, and says whether this one may.
    fn mask(&mut self, token: u32) -> Result<bool>;

    /// Writes a token; false if it may not come next, after which there are no further questions but `reset`.
    fn accept(&mut self, token: u32) -> Result<bool>;

    /// Whether the text may end here.
    fn is_complete(&mut self) -> Result<bool>;

    /// Goes back to the beginning, keeping what was learnt.
    fn reset(&mut self) -> Result<()>;
}

/// The probe's `main`.
pub fn main(peer: &Peer) -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        ["check", vocabulary, schema, texts] => check(peer, vocabulary, schema, texts),
        ["follow", vocabulary, schema, text] => follow(peer, vocabulary, schema, text),
        ["vocabulary", vocabulary, runs] => prepare(peer, vocabulary, runs),
        ["time", vocabulary, schema, text, runs] => time(peer, vocabulary, schema, text, runs),
        _ => Err("expected: check, follow, vocabulary or time, and files".into()),
    };
    done.unwrap_or_else(|error| {
        eprintln!("{error}");
        ExitCode::FAILURE
    })
}

fn refused(error: &dyn Error) -> ExitCode {
    eprintln!("{error}");
    ExitCode::from(2)
}

fn may_be_written(matcher: &mut dyn Matcher, text: &[u32]) -> Result<bool> {
    matcher.reset()?;
    for token in text {
        if !matcher.accept(*token)? {
            return Ok(false);
        }
    }
    matcher.is_complete()
}

fn check(peer: &Peer, vocabulary: &str, schema: &str, texts: &str) -> Result<ExitCode> {
    let vocabulary = (peer.vocabulary)(&read_tokens(vocabulary)?)?;
    let mut matcher = match vocabulary.compile(&std::fs::read_to_string(schema)?) {
        Ok(matcher) => matcher,
        Err(error) => return Ok(refused(&*error)),
    };
    let mut out = std::io::stdout();
    for text in read_texts(texts)? {
        let verdict = may_be_written(&mut *matcher, &text).map_or_else(
            |error| {
                eprintln!("{error}");
                b"2"
            },
            |yes| if yes { b"1" } else { b"0" },
        );
        out.write_all(verdict)?;
        // What was answered before the process died counts.
        out.flush()?;
    }
    Ok(ExitCode::SUCCESS)
}

/// `probe follow`, which is all that a small probe does.
pub fn follow(peer: &Peer, vocabulary: &str, schema: &str, text: &str) -> Result<ExitCode> {
    let vocabulary = (peer.vocabulary)(&read_tokens(vocabulary)?)?;
    let schema = std::fs::read_to_string(schema)?;
    let start = Instant::now();
    let mut matcher = match vocabulary.compile(&schema) {
        Ok(matcher) => matcher,
        Err(error) => return Ok(refused(&*error)),
    };
    let mut step = |token| Ok::<_, Box<dyn Error>>(matcher.mask(token)? && matcher.accept(token)?);
    for token in read_texts(text)?.into_iter().flatten() {
        match step(token) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => {
                eprintln!("{error}");
                return Ok(ExitCode::from(3));
            }
        }
    }
    println!("{}", start.elapsed().as_millis());
    Ok(ExitCode::SUCCESS)
}

fn prepare(peer: &Peer, vocabulary: &str, runs: &str) -> Result<ExitCode> {
    let tokens = read_tokens(vocabulary)?;
    let (mut nanos, mut bytes) = (Vec::new(), 0);
    for _ in 0..runs.parse::<usize>()?.max(1) {
        let before = memory::allocated();
        let start = Instant::now();
        let vocabulary = black_box((peer.vocabulary)(black_box(&tokens))?);
        nanos.push(start.elapsed().as_nanos());
        bytes = memory::allocated().saturating_sub(before);
        drop(vocabulary);
    }
    println!("{} {bytes}", median(&mut nanos));
    Ok(ExitCode::SUCCESS)
}

fn median(values: &mut [u128]) -> u128 {
    values.sort_unstable();
    values[values.len() / 2]
}

/// Compiles and writes the text twice, `runs` times: for each token the median over the runs of its mask's time. Of these the
/// median, the 95th percentile and the most, for the first text and for the second.
fn time(peer: &Peer, vocabulary: &str, schema: &str, text: &str, runs: &str) -> Result<ExitCode> {
    let vocabulary = (peer.vocabulary)(&read_tokens(vocabulary)?)?;
    let schema = std::fs::read_to_string(schema)?;
    let text: Vec<u32> = read_texts(text)?.into_iter().flatten().collect();
    let mut compiling = Vec::new();
    let mut masks = [vec![Vec::new(); text.len()], vec![Vec::new(); text.len()]];
    for _ in 0..runs.parse::<usize>()?.max(1) {
        let start = Instant::now();
        let mut matcher = match vocabulary.compile(&schema) {
            Ok(matcher) => matcher,
            Err(error) => return Ok(refused(&*error)),
        };
        compiling.push(start.elapsed().as_nanos());
        for nanos in &mut masks {
            matcher.reset()?;
            for (token, nanos) in text.iter().zip(nanos) {
                let start = Instant::now();
                let allowed = matcher.mask(*token)?;
                nanos.push(start.elapsed().as_nanos());
                if !allowed || !matcher.accept(*token)? {
                    return Err(format!("token {token} of a valid document is not allowed").into());
                }
            }
        }
    }
    print!("{}", median(&mut compiling));
    for nanos in &mut masks {
        let mut medians: Vec<u128> = nanos.iter_mut().map(|nanos| median(nanos)).collect();
        medians.sort_unstable();
        let at = |percent: usize| medians[(medians.len() - 1) * percent / 100];
        print!(" {} {} {}", at(50), at(95), at(100));
    }
    println!();
    Ok(ExitCode::SUCCESS)
}
