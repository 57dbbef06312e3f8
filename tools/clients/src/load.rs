//! Runs many clients against a server for a while and measures throughput, the time to the first token, and whether
//! streams get mixed up.
//!
//! Then it waits until the server has given memory back that only saves time, and compares its resident memory with that before.
//!
//! Each client sends one request after the other: a prompt of token ids of its own, answered greedily with a fixed
//! number of tokens. Prompts repeat after a while, and the same prompt must get the same text. Any server with OpenAI's
//! `/v1/completions` that accepts token ids and `ignore_eos` can be used, so that other servers can be measured in the
//! same way.

use crate::server::Server;
use clap::Args;
use happy_tool_kit::{Result, fetch, models, process};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Options of `cargo xtask load-test`.
#[derive(Args)]
pub(crate) struct LoadArgs {
    /// Address of a running server, such as 127.0.0.1:8080 [default: starts `happy serve` with smollm2, 8 slots and 2 threads]
    #[arg(long, value_name = "ADDRESS")]
    address: Option<String>,
    /// Process id of that server, to report its memory; not needed for a server that is started here
    #[arg(long, requires = "address")]
    pid: Option<u32>,
    /// Number of simultaneous clients
    #[arg(long, value_name = "N", default_value_t = 64)]
    clients: u64,
    /// Number of seconds for which new requests are sent; requests that are running then may finish
    #[arg(long, value_name = "N", default_value_t = 60)]
    seconds: u64,
    /// Number of tokens in each prompt
    #[arg(long, value_name = "N", default_value_t = 200)]
    prompt: u64,
    /// Number of tokens in each answer
    #[arg(long, value_name = "N", default_value_t = 100)]
    tokens: u64,
    /// Number of different prompts, which are asked in turn
    #[arg(long, value_name = "N", default_value_t = 512)]
    prompts: u64,
    /// Seconds without a request before the server's memory is read again; a server that is started here gives memory back after
    /// half of them
    #[arg(long, value_name = "N", default_value_t = 6)]
    wait: u64,
}

/// The results of all clients.
#[derive(Default)]
struct Found {
    answers: u64,
    tokens: u64,
    /// Times to the first token in milliseconds.
    first: Vec<f64>,
    errors: Vec<String>,
    /// The hash of the answer to each prompt.
    texts: HashMap<u64, u64>,
    different: u64,
}

/// Runs the load test.
pub(crate) fn run(args: &LoadArgs) -> Result<()> {
    let server = match &args.address {
        Some(_) => None,
        None => {
            let model = fetch::fetch(models::find("smollm2")?)?;
            let happy = process::build_happy()?;
            let idle_trim = (args.wait / 2).to_string();
            let options = ["--slots", "8", "--threads", "2", "--ctx", "512", "--idle-trim", &idle_trim];
            Some(Server::start_with(&happy, &model, &options)?)
        }
    };
    let started = server.as_ref().map(|server| server.url.trim_start_matches("http://").to_owned());
    let address = args.address.clone().or(started).unwrap_or_default();
    let pid = args.pid.or(server.as_ref().map(Server::pid));
    // The first answer loads what servers load late.
    ask(&address, args, u64::MAX)?;
    let idle = resident(pid);
    let (found, next) = (Mutex::new(Found::default()), AtomicU64::new(0));
    let begin = Instant::now();
    let end = begin + Duration::from_secs(args.seconds);
    std::thread::scope(|scope| {
        for _ in 0..args.clients {
            scope.spawn(|| {
                while Instant::now() < end {
                    let seed = next.fetch_add(1, Ordering::Relaxed) % args.prompts.max(1);
                    let answer = ask(&address, args, seed);
                    let mut found = found.lock().unwrap_or_else(|e| e.into_inner());
                    match answer {
                        Ok(answer) => found.add(seed, &answer, args.tokens),
                        Err(error) => found.errors.push(error),
                    }
                }
            });
        }
    });
    let seconds = begin.elapsed().as_secs_f64();
    let mut found = found.into_inner().unwrap_or_else(|e| e.into_inner());
    found.first.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| {
        let last = found.first.len().saturating_sub(1);
        found.first.get((share * last as f64).round() as usize).copied().unwrap_or_default()
    };
    println!("{} answers, {} errors in {seconds:.1} s", found.answers, found.errors.len());
    println!("{:.1} generated tokens per second", found.tokens as f64 / seconds);
    println!("time to first token: median {:.0} ms, p99 {:.0} ms", at(0.5), at(0.99));
    println!("{} answers differ from an earlier one to the same prompt", found.different);
    if let (Some(idle), Some(loaded)) = (idle, resident(pid)) {
        let change = |now: u64| 100.0 * (now as f64 / idle as f64 - 1.0);
        println!("resident memory: {idle} KiB before, {loaded} KiB after ({:+.1}%)", change(loaded));
        std::thread::sleep(Duration::from_secs(args.wait));
        if let Some(now) = resident(pid) {
            println!("{now} KiB after {} s without a request ({:+.1}%)", args.wait, change(now));
        }
    }
    match found.errors.first() {
        Some(first) => Err(format!("{} requests failed, the first: {first}", found.errors.len())),
        None => Ok(()),
    }
}

impl Found {
    fn add(&mut self, seed: u64, answer: &Answer, expected: u64) {
        if answer.tokens != expected {
            self.errors.push(format!("{} tokens, expected {expected}", answer.tokens));
            return;
        }
        self.answers += 1;
        self.tokens += answer.tokens;
        self.first.push(answer.first.as_secs_f64() * 1e3);
        match self.texts.entry(seed) {
            Entry::Vacant(place) => drop(place.insert(answer.text)),
            Entry::Occupied(known) => self.different += u64::from(*known.get() != answer.text),
        }
    }
}

struct Answer {
    tokens: u64,
    first: Duration,
    /// A hash of the text.
    text: u64,
}

/// Sends a request and reads its stream.
fn ask(address: &str, args: &LoadArgs, seed: u64) -> Result<Answer> {
    let failed = |e: std::io::Error| format!("{address}: {e}");
    // Ids of SmolLM2's vocabulary that are not control tokens.
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let id = |_| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (1000 + (state >> 33) % 40_000).to_string()
    };
    let prompt = (0..args.prompt).map(id).collect::<Vec<_>>().join(",");
    let body = format!(
        "{{\"prompt\":[{prompt}],\"max_tokens\":{},\"temperature\":0,\"ignore_eos\":true,\"stream\":true,\
         \"stream_options\":{{\"include_usage\":true}}}}",
        args.tokens
    );
    let started = Instant::now();
    let mut stream = TcpStream::connect(address).map_err(failed)?;
    stream.set_read_timeout(Some(Duration::from_secs(300))).map_err(failed)?;
    let head = format!(
        "POST /v1/completions HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all((head + &body).as_bytes()).map_err(failed)?;
    let mut lines = BufReader::new(stream).lines();
    let status = lines.next().transpose().map_err(failed)?.unwrap_or_default();
    if !status.contains(" 200 ") {
        return Err(format!("{address} answered {status:?}"));
    }
    let mut answer = Answer { tokens: 0, first: Duration::ZERO, text: 0 };
    let mut hash = DefaultHasher::new();
    for line in lines {
        let line = line.map_err(failed)?;
        let Some(data) = line.strip_prefix("data: ") else { continue };
        if answer.first == Duration::ZERO {
            answer.first = started.elapsed();
        }
        if let Some(text) = data.split("\"text\":\"").nth(1) {
            text.split("\",\"").next().unwrap_or_default().trim_end_matches("\"}").hash(&mut hash);
        }
        if let Some(count) = data.split("\"completion_tokens\":").nth(1) {
            let digits: String =
                count.chars().skip_while(|c| *c == ' ').take_while(char::is_ascii_digit).collect();
            answer.tokens = digits.parse().unwrap_or(0);
        }
    }
    answer.text = hash.finish();
    Ok(answer)
}

/// Returns the resident memory of a process in KiB.
fn resident(pid: Option<u32>) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", pid?)).ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.split_whitespace().next()?.parse().ok()
}
