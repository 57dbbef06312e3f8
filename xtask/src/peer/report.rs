//! The tables of `bench-peer`, in Markdown.

use std::fmt::Write;
use std::fs;

/// A line of a table. In the busy table, `ours` is the rate under load and `peer` the rate of one thread alone.
pub(super) struct Row {
    pub(super) model: &'static str,
    pub(super) what: &'static str,
    pub(super) threads: u32,
    pub(super) ours: f64,
    pub(super) peer: f64,
    /// The promised ratio.
    pub(super) wanted: f64,
    /// Seconds (less is better) instead of tokens per second.
    pub(super) is_time: bool,
}

impl Row {
    fn ratio(&self) -> f64 {
        self.ours / self.peer
    }

    /// Whether the promise holds; false where a side was not measured.
    fn holds(&self) -> bool {
        if self.is_time { self.ratio() <= self.wanted } else { self.ratio() >= self.wanted }
    }

    fn verdict(&self) -> &'static str {
        if self.ratio().is_nan() {
            "-"
        } else if self.holds() {
            "yes"
        } else {
            "no"
        }
    }

    fn value(&self, value: f64) -> String {
        match (value.is_nan(), self.is_time) {
            (true, _) => "-".into(),
            (false, true) => format!("{value:.3} s"),
            (false, false) => format!("{value:.1} tok/s"),
        }
    }
}

/// What docs/benchmarks.md says around its tables.
const METHOD: &str = "\
# Beside llama.cpp

Written by `cargo xtask bench-peer --write`; run it on an idle machine to check it. The peer is llama.cpp as the
Python package llama-cpp-python 0.3.36 builds it on the same machine, timed by a C program on its library. Both sides run the same
file with the same number of threads, each measurement in a process of its own, alternating.

- **prefill 512**: tokens per second of computing 512 prompt tokens, after a warm-up.
- **decode 64**: tokens per second of 64 single-token steps from an empty context, as llama-bench does; *after 4096*: after
  4,096 tokens of context. Both sides compute the logits of every step; the peer does not even pick a token.
- **start to first token**: from starting the process to the first byte of the answer to a prompt of 28 tokens, with the file in
  the page cache; `happy run -n 1` with its own defaults.

";

/// The whole of docs/benchmarks.md.
pub(super) fn document(idle: &[Row], busy: &[Row], rounds: u32) -> String {
    format!(
        "{METHOD}## An idle machine\n\n{}\n## One core taken by another program\n\n\
         A busy loop is pinned to the last core while two threads decode.\n\n{}",
        idle_table(idle, rounds),
        busy_table(busy, rounds)
    )
}

/// Ours beside the peer's on an idle machine.
pub(super) fn idle_table(rows: &[Row], rounds: u32) -> String {
    let mut text = format!("{}, medians of {rounds} alternating rounds\n\n", machine());
    text += "| model | what | threads | happy | llama.cpp | ratio | promised | holds |\n|---|---|---|---|---|---|---|---|\n";
    for row in rows {
        let sign = if row.is_time { "<=" } else { ">=" };
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {sign} {} | {} |",
            row.model,
            row.what,
            row.threads,
            row.value(row.ours),
            row.value(row.peer),
            ratio(row),
            row.wanted,
            row.verdict()
        );
    }
    text
}

/// Two threads with one core taken, beside one thread alone.
pub(super) fn busy_table(rows: &[Row], rounds: u32) -> String {
    let mut text = format!("{}, medians of {rounds} alternating rounds; decode of 64 tokens\n\n", machine());
    text += "| model | engine | 1 thread, idle | 2 threads, one core taken | ratio | promised of happy | holds |\n|---|---|---|---|---|---|---|\n";
    for row in rows {
        let (wanted, verdict) = if row.what == "happy" {
            (format!(">= {}", row.wanted), row.verdict())
        } else {
            (String::new(), "")
        };
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {wanted} | {verdict} |",
            row.model,
            row.what,
            row.value(row.peer),
            row.value(row.ours),
            ratio(row)
        );
    }
    text
}

fn ratio(row: &Row) -> String {
    if row.ratio().is_nan() { "-".into() } else { format!("{:.2}", row.ratio()) }
}

/// The processor and its cores, as far as the system tells.
fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        info.lines()
            .find(|line| line.starts_with(name))
            .and_then(|line| line.split(':').nth(1))
            .map(|value| value.trim().to_owned())
    };
    let name = field("model name").unwrap_or_else(|| "unknown processor".into());
    let detail = match (field("cpu family"), field("model\t")) {
        (Some(family), Some(model)) => format!(" (family {family}, model {model})"),
        _ => String::new(),
    };
    format!("{name}{detail}, {cores} core(s)")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(ours: f64, peer: f64, wanted: f64, is_time: bool) -> Row {
        Row { model: "smollm2", what: "decode 64", threads: 1, ours, peer, wanted, is_time }
    }

    #[test]
    fn promises_are_judged_in_their_direction() {
        assert_eq!(row(140.0, 100.0, 1.4, false).verdict(), "yes");
        assert_eq!(row(139.0, 100.0, 1.4, false).verdict(), "no");
        assert_eq!(row(0.1, 0.2, 0.5, true).verdict(), "yes");
        assert_eq!(row(0.11, 0.2, 0.5, true).verdict(), "no");
        assert_eq!(row(f64::NAN, 100.0, 1.4, false).verdict(), "-");
    }

    #[test]
    fn a_line_has_all_columns() {
        let table = idle_table(&[row(140.0, 100.0, 1.4, false)], 5);
        assert!(
            table
                .ends_with("| smollm2 | decode 64 | 1 | 140.0 tok/s | 100.0 tok/s | 1.40 | >= 1.4 | yes |\n"),
            "{table}"
        );
    }
}
