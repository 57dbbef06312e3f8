//! One measurement of one side in a process of its own, and the load beside it.

use super::install::Peer;
use super::{Kind, N_GEN};
use happy_tool_kit::{Result, process};
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A prompt of 28 tokens, BOS included, for each vocabulary.
const PROMPTS: &[(&str, &str)] = &[
    (
        "smollm2",
        "The quick brown fox jumps over the lazy dog while the old farmer counts his seven sheep by the river, and then he goes back home.",
    ),
    (
        "gemma3",
        "The quick brown fox jumps over the lazy dog while the old farmer counts his seven sheep by the river, and then he goes home.",
    ),
];

/// A measurement that takes longer is killed. The longest generates 64 tokens after 4,096 on a busy machine.
const LIMIT: Duration = Duration::from_secs(600);

/// The side that is measured.
pub(super) enum Side<'a> {
    /// The path of `happy`.
    Ours(&'a Path),
    /// llama.cpp.
    Peer(&'a Peer),
}

/// What a process measured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measured {
    /// Tokens per second, or seconds for [`Kind::FirstToken`].
    pub(super) value: f64,
    /// Bytes that a decoded token moves: weights, keys and values that are read, and states that are read and written.
    /// Only our side reports it.
    pub(super) bytes_per_token: Option<f64>,
}

impl Side<'_> {
    /// Measures the model called `name` in a process of its own.
    pub(super) fn measure(&self, kind: Kind, file: &Path, name: &str, threads: u32) -> Result<Measured> {
        match kind {
            Kind::Prefill(n) => self.throughput(file, threads, n, 0, 0, "prefill_tok_s"),
            Kind::Decode { depth } => self.throughput(file, threads, 0, N_GEN, depth, "decode_tok_s"),
            Kind::FirstToken => {
                let value = self.first_token(file, name, threads)?;
                Ok(Measured { value, bytes_per_token: None })
            }
        }
    }

    fn throughput(
        &self,
        file: &Path,
        threads: u32,
        n_prompt: u32,
        n_gen: u32,
        depth: u32,
        field: &str,
    ) -> Result<Measured> {
        let [threads, n_prompt, n_gen, depth] = [threads, n_prompt, n_gen, depth].map(|n| n.to_string());
        let mut command;
        match self {
            Self::Ours(happy) => {
                command = Command::new(happy);
                command.args(["bench", "--json", "-r", "1", "-m"]).arg(file);
                command.args(["-p", &n_prompt, "-n", &n_gen, "-t", &threads, "-d", &depth]);
            }
            Self::Peer(peer) => {
                command = Command::new(&peer.program);
                command.arg("bench").arg(file).args([&threads, &n_prompt, &n_gen, &depth]);
            }
        }
        let done = process::run_within(&mut command, LIMIT)?;
        if !done.success {
            return Err(format!(
                "`{}` failed ({}): {}",
                process::display(&command),
                done.ending,
                done.stderr.trim()
            ));
        }
        let value = number_of(&done.stdout, field).ok_or_else(|| {
            format!("`{}` printed no {field}, but: {}", process::display(&command), done.stdout.trim())
        })?;
        let weights = number_of(&done.stdout, "weight_bytes_per_token");
        // 0 for a model without a cache
        let cache = number_of(&done.stdout, "cache_bytes_per_token").unwrap_or(0.0);
        Ok(Measured { value, bytes_per_token: weights.map(|weights| weights + cache) })
    }

    /// Returns the seconds from the start of the process to its first byte on standard output.
    fn first_token(&self, file: &Path, name: &str, threads: u32) -> Result<f64> {
        let prompt = PROMPTS
            .iter()
            .find(|(model, _)| *model == name)
            .map(|(_, prompt)| *prompt)
            .ok_or_else(|| format!("no prompt of 28 tokens is known for {name}"))?;
        let mut command;
        match self {
            Self::Ours(happy) => {
                command = Command::new(happy);
                command.args(["run", "--raw", "--temp", "0", "-n", "1", "-m"]).arg(file).args(["--", prompt]);
            }
            Self::Peer(peer) => {
                command = Command::new(&peer.program);
                command.arg("first").arg(file).args([&threads.to_string(), prompt]);
            }
        }
        let start = Instant::now();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| format!("cannot start `{}`: {e}", process::display(&command)))?;
        let mut byte = [0];
        // A process that ends without output is an error, found below.
        let read = child.stdout.as_mut().map_or(Ok(0), |stdout| stdout.read(&mut byte));
        let elapsed = start.elapsed().as_secs_f64();
        let status =
            child.wait().map_err(|e| format!("cannot wait for `{}`: {e}", process::display(&command)))?;
        match read {
            Ok(1) if status.success() => Ok(elapsed),
            _ => Err(format!("`{}` gave no first token ({status})", process::display(&command))),
        }
    }
}

/// Returns the positive number `field` of a JSON object, or of the first object of an array.
pub(super) fn number_of(json: &str, field: &str) -> Option<f64> {
    let value: serde_json::Value = serde_json::from_str(json).ok()?;
    let object = if value.is_array() { &value[0] } else { &value };
    object[field].as_f64().filter(|value| *value > 0.0)
}

/// A busy loop pinned to the last core.
pub(super) struct Load(Child);

impl Load {
    /// Starts the loop and lets it run for a moment.
    pub(super) fn start() -> Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        if cores < 2 {
            return Err("--busy needs two cores or more: one for the loop and one for the decode".into());
        }
        let mut command = Command::new("taskset");
        command.args(["-c", &(cores - 1).to_string(), "sh", "-c", "while :; do :; done"]);
        let child = command
            .spawn()
            .map_err(|e| format!("cannot start `{}` (util-linux): {e}", process::display(&command)))?;
        std::thread::sleep(Duration::from_millis(200));
        Ok(Self(child))
    }

    /// Ends the loop.
    pub(super) fn stop(self) {
        drop(self);
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // It only loops, so nothing is lost by killing it. It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Returns the median (the mean of the middle two values if their number is even), or NaN if there are no values.
pub(super) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[n / 2],
        n => (sorted[n / 2 - 1] + sorted[n / 2]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn both_forms_of_json_are_read() {
        assert_eq!(number_of(r#"{"decode_tok_s": 90.5}"#, "decode_tok_s"), Some(90.5));
        assert_eq!(number_of(r#"[{"threads": 1, "decode_tok_s": 90.5}]"#, "decode_tok_s"), Some(90.5));
        assert_eq!(number_of(r#"[{"decode_tok_s": 0.0}]"#, "decode_tok_s"), None);
        assert_eq!(number_of("error", "decode_tok_s"), None);
    }
}
