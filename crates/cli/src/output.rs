//! Output for people: colors on a terminal, errors as one sentence.

use crate::error::CliError;
use crate::terminal::visible;
use std::borrow::Cow;
use std::io::{BufWriter, IsTerminal, Write};

/// A writer with a buffer of 2 KiB. std reserves it infallibly, so it is as small as what a running process can always
/// get.
pub(crate) fn buffered<W: Write>(out: W) -> BufWriter<W> {
    BufWriter::with_capacity(2 << 10, out)
}

/// Returns whether standard error supports colors.
fn colors() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}

/// Prints a failure.
pub(crate) fn report(error: &CliError) {
    let (on, off) = if colors() { ("\x1b[1;31m", "\x1b[0m") } else { ("", "") };
    // Nothing can be done if standard error cannot be written.
    let _ = writeln!(std::io::stderr(), "{on}error:{off} {}", visible(&error.to_string()));
}

/// Prints a remark on standard error, dimmed on a terminal.
pub(crate) fn note(text: &str) {
    let (on, off) = if colors() { ("\x1b[2m", "\x1b[0m") } else { ("", "") };
    let _ = writeln!(std::io::stderr(), "{on}{}{off}", visible(text));
}

/// Text besides the answer, on standard error: dimmed on a terminal, else between marks.
pub(crate) struct Aside {
    name: &'static str,
    open: bool,
}

impl Aside {
    pub(crate) fn new(name: &'static str) -> Self {
        Self { name, open: false }
    }

    /// Writes more of it.
    pub(crate) fn write(&mut self, text: &str) {
        let mut out = std::io::stderr();
        let text = if out.is_terminal() { visible(text) } else { Cow::Borrowed(text) };
        // Nothing can be done if standard error cannot be written.
        let _ = match (colors(), std::mem::replace(&mut self.open, true)) {
            (true, _) => write!(out, "\x1b[2m{text}\x1b[0m"),
            (false, true) => write!(out, "{text}"),
            (false, false) => write!(out, "[{}] {text}", self.name),
        };
        let _ = out.flush();
    }

    /// Ends it, if it has begun.
    pub(crate) fn end(&mut self) {
        if std::mem::take(&mut self.open) {
            let mark = if colors() { String::new() } else { format!("\n[end of {}]", self.name) };
            let _ = writeln!(std::io::stderr(), "{mark}");
        }
    }
}

/// Formats bytes in the largest unit in which the number is above one.
pub(crate) fn human_bytes(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["bytes", "KiB", "MiB"] {
        if value < 1024.0 {
            return if unit == "bytes" { format!("{bytes} bytes") } else { format!("{value:.1} {unit}") };
        }
        value /= 1024.0;
    }
    format!("{value:.1} GiB")
}

/// Makes a progress bar on standard error, which is hidden if that is not a terminal.
pub(crate) fn progress(total: u64, what: &str) -> indicatif::ProgressBar {
    if !std::io::stderr().is_terminal() {
        return indicatif::ProgressBar::hidden();
    }
    let bar = indicatif::ProgressBar::new(total).with_message(what.to_owned());
    let style = indicatif::ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {eta}");
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// Advances a bar. A full one disappears.
pub(crate) fn advance(bar: &indicatif::ProgressBar, done: usize, total: usize) {
    if done < total { bar.set_position(done as u64) } else { bar.finish_and_clear() }
}

/// Formats a number with a comma at every third digit.
pub(crate) fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        for (n, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1234567, "1,234,567")] {
            assert_eq!(thousands(n), text);
        }
        for (n, text) in [(1023, "1023 bytes"), (1536, "1.5 KiB"), (3 << 30, "3.0 GiB")] {
            assert_eq!(human_bytes(n), text);
        }
    }
}
