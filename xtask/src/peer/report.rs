//! The tables of `bench-peer` in Markdown, and how they are put into docs/benchmarks.md.

use super::plot;
use std::fmt::Write;
use std::fs;

/// A line of a table. In the busy table, `ours` is the rate under load and `peer` the rate of one thread alone.
pub(super) struct Row {
    pub(super) model: String,
    pub(super) what: &'static str,
    pub(super) threads: u32,
    pub(super) ours: f64,
    pub(super) peer: f64,
    /// The promised ratio, if there is a promise.
    pub(super) wanted: Option<f64>,
    /// Whether the values are seconds (less is better) instead of tokens per second.
    pub(super) is_time: bool,
    /// Bytes that a decoded token moves.
    pub(super) bytes_per_token: Option<f64>,
    /// GB/s of a plain read loop over the file, for cases that are compared with it.
    pub(super) read_loop: Option<f64>,
}

impl Row {
    pub(super) fn ratio(&self) -> f64 {
        self.ours / self.peer
    }

    /// Returns whether the promise holds; false if a side was not measured.
    fn holds(&self, wanted: f64) -> bool {
        if self.is_time { self.ratio() <= wanted } else { self.ratio() >= wanted }
    }

    fn verdict(&self) -> &'static str {
        match self.wanted {
            None => "",
            Some(_) if self.ratio().is_nan() => "-",
            Some(wanted) if self.holds(wanted) => "yes",
            Some(_) => "no",
        }
    }

    fn promise(&self) -> String {
        let sign = if self.is_time { "<=" } else { ">=" };
        self.wanted.map_or(String::new(), |wanted| format!("{sign} {wanted}"))
    }

    fn value(&self, value: f64) -> String {
        match (value.is_nan(), self.is_time) {
            (true, _) => "-".into(),
            (false, true) => format!("{value:.3} s"),
            (false, false) => format!("{value:.1} tok/s"),
        }
    }

    /// Returns the MB that a token moves, and what share of the read loop's speed that is: ours, then the peer's.
    fn bandwidth(&self) -> (String, String) {
        let (Some(bytes), Some(limit)) = (self.bytes_per_token, self.read_loop) else {
            return (String::new(), String::new());
        };
        let share = |rate: f64| match rate.is_nan() {
            true => "-".to_owned(),
            false => format!("{:.0}%", 100.0 * rate * bytes / 1e9 / limit),
        };
        let of = format!("{} ({}) of {limit:.1} GB/s", share(self.ours), share(self.peer));
        (format!("{:.1} MB", bytes / 1e6), of)
    }
}

/// A part of docs/benchmarks.md.
pub(super) struct Section {
    /// Its heading, by which the old section is found.
    pub(super) heading: &'static str,
    pub(super) text: String,
    /// A picture that the text shows, by its name in docs.
    pub(super) plot: Option<(&'static str, String)>,
}

/// Returns `old` with these sections replaced, or appended if they are new.
pub(super) fn document(old: &str, sections: &[Section]) -> String {
    let mut text = old.to_owned();
    for section in sections {
        let heading = format!("## {}\n", section.heading);
        let new = format!("{heading}\n{}", section.text);
        let Some(start) = text.find(&heading) else {
            text = format!("{}\n{new}", text.trim_end_matches('\n').to_owned() + "\n");
            continue;
        };
        let rest = &text[start + heading.len()..];
        let end = rest.find("\n## ").map_or(text.len(), |at| start + heading.len() + at);
        text.replace_range(start..end, &new);
    }
    text
}

/// Returns the table of both sides on an idle machine.
pub(super) fn idle(rows: &[Row], rounds: u32) -> Section {
    Section { heading: "An idle machine", text: idle_table(rows, rounds), plot: None }
}

fn idle_table(rows: &[Row], rounds: u32) -> String {
    let mut text = format!("{}, medians of {rounds} alternating rounds\n\n", machine());
    text += "| model | what | threads | happy | llama.cpp | ratio | promised | holds |\n|---|---|---|---|---|---|---|---|\n";
    for row in rows {
        let _ = writeln!(text, "| {} | {} | {} |", columns(row), row.promise(), row.verdict());
    }
    text
}

/// Returns the columns that the idle table and the phones' have in common.
fn columns(row: &Row) -> String {
    let (ours, peer) = (row.value(row.ours), row.value(row.peer));
    format!("{} | {} | {} | {ours} | {peer} | {}", row.model, row.what, row.threads, ratio(row))
}

/// Returns a line of progress, which is printed before the table.
pub(super) fn line(row: &Row) -> String {
    let (bytes, share) = row.bandwidth();
    format!("{} | {} | {} | {bytes} | {share}", columns(row), row.promise(), row.verdict())
}

/// What the phones' table means.
const PHONES: &str = "\
Files with random weights in the shapes of models that phones run (`cargo run --release -p happy-benches --bin phone_models`):
speed and memory are those of the real ones. The promises are for two threads. A decoded token moves its weights, the keys
and values that it reads, and the states that it reads and writes; in the last column is the share of a plain read loop over
the same mapped file (`read_loop` in `benches/`) with as many threads, ours and, for the same bytes, llama.cpp's.

";

/// Returns the table of models in the shapes of those that phones run.
pub(super) fn phones(rows: &[Row], rounds: u32) -> Section {
    let text = format!(
        "{PHONES}{}, medians of {rounds} alternating rounds; after 4,096 tokens one round\n\n",
        machine()
    );
    plotted("Models that phones run", text, rows, "benchmarks-phones.svg")
}

/// What the formats' table means.
const FORMATS: &str = "\
A llama-shaped model of 0.45B random weights, all matrices but the embedding in one format (`phone_models formats` in `benches/`). A decoded
token reads its weights once; in the last column is the share of a plain read loop over the same mapped file. A dash: llama.cpp
doesn't run the format.

";

/// Returns the table of one model in every format.
pub(super) fn formats(rows: &[Row], rounds: u32) -> Section {
    let text = format!("{FORMATS}{}, medians of {rounds} alternating rounds\n\n", machine());
    plotted("Every format", text, rows, "benchmarks-formats.svg")
}

/// A section with a table and its picture.
fn plotted(heading: &'static str, text: String, rows: &[Row], file: &'static str) -> Section {
    let text = format!("{text}{}\n![the ratios of this table]({file})\n", limited(rows));
    Section { heading, text, plot: Some((file, plot::ratios(heading, rows))) }
}

/// Returns a table with the share of the read loop.
fn limited(rows: &[Row]) -> String {
    let mut text = String::new();
    text += "| model | what | threads | happy | llama.cpp | ratio | promised | holds | a token moves | of the read loop |\n";
    text += "|---|---|---|---|---|---|---|---|---|---|\n";
    for row in rows {
        let _ = writeln!(text, "| {} |", line(row));
    }
    text
}

/// What the busy table means.
const BUSY: &str = "A busy loop is pinned to the last core while two threads decode.\n\n";

/// Returns the table of two threads with one core taken, compared with one thread alone.
pub(super) fn busy(rows: &[Row], rounds: u32) -> Section {
    let mut text =
        format!("{BUSY}{}, medians of {rounds} alternating rounds; decode of 64 tokens\n\n", machine());
    text += "| model | engine | 1 thread, idle | 2 threads, one core taken | ratio | promised of happy | holds |\n|---|---|---|---|---|---|---|\n";
    for row in rows {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} |",
            row.model,
            row.what,
            row.value(row.peer),
            row.value(row.ours),
            ratio(row),
            row.promise(),
            row.verdict()
        );
    }
    Section { heading: "One core taken by another program", text, plot: None }
}

fn ratio(row: &Row) -> String {
    if row.ratio().is_nan() { "-".into() } else { format!("{:.2}", row.ratio()) }
}

/// Returns the processor and its cores, as far as the system tells.
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
        Row {
            model: "smollm2".to_owned(),
            what: "decode 64",
            threads: 1,
            ours,
            peer,
            wanted: Some(wanted),
            is_time,
            bytes_per_token: None,
            read_loop: None,
        }
    }

    #[test]
    fn promises_are_judged_in_their_direction() {
        assert_eq!(row(140.0, 100.0, 1.4, false).verdict(), "yes");
        assert_eq!(row(139.0, 100.0, 1.4, false).verdict(), "no");
        assert_eq!(row(0.1, 0.2, 0.5, true).verdict(), "yes");
        assert_eq!(row(0.11, 0.2, 0.5, true).verdict(), "no");
        assert_eq!(row(f64::NAN, 100.0, 1.4, false).verdict(), "-");
        assert_eq!(Row { wanted: None, ..row(1.0, 2.0, 0.0, false) }.verdict(), "");
    }

    #[test]
    fn a_line_has_all_columns() {
        let table = idle_table(&[row(140.0, 100.0, 1.4, false)], 5);
        assert!(
            table
                .ends_with("| smollm2 | decode 64 | 1 | 140.0 tok/s | 100.0 tok/s | 1.40 | >= 1.4 | yes |\n"),
            "{table}"
        );
        let decode =
            Row { bytes_per_token: Some(50e6), read_loop: Some(10.0), ..row(140.0, 100.0, 1.4, false) };
        let table = phones(&[decode], 5).text;
        assert!(table.contains("| 1.40 | >= 1.4 | yes | 50.0 MB | 70% (50%) of 10.0 GB/s |\n"), "{table}");
    }

    #[test]
    fn a_section_is_replaced_where_it_is_and_others_stay() {
        let old = "# Title\n\nabout\n\n## One\n\nold\n\n## By hand\n\nstays\n";
        let section = |heading| Section { heading, text: "new\n".to_owned(), plot: None };
        let new = document(old, &[section("One"), section("Two")]);
        assert_eq!(new, "# Title\n\nabout\n\n## One\n\nnew\n\n## By hand\n\nstays\n\n## Two\n\nnew\n");
        assert_eq!(document(&new, &[section("One"), section("Two")]), new);
    }
}
