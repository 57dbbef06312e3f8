//! The end marker of a program on a device: its exit code, after a word that the program cannot print by accident.
//!
//! `adb shell` returns an exit code, but not on every device, and a broken connection can look like a normal end. So
//! the shell prints a word that is random for each run, and the exit code, after the program. Output without that word
//! is incomplete.

use happy_tool_kit::Result;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io::Write;

/// Returns 128 random bits in hexadecimal digits.
pub(crate) fn nonce() -> String {
    // The standard library's only source of random numbers: each state has random keys.
    let word = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", word(), word())
}

/// Passes on output as it comes, without the marker.
pub(crate) struct Output<'a> {
    /// What precedes the exit code: the nonce and a space.
    pattern: Vec<u8>,
    /// Output that may be the beginning of the marker, or is the marker.
    held: Vec<u8>,
    sink: &'a mut dyn Write,
}

impl<'a> Output<'a> {
    pub(crate) fn new(nonce: &str, sink: &'a mut dyn Write) -> Self {
        Self { pattern: format!("{nonce} ").into_bytes(), held: Vec::new(), sink }
    }

    /// Takes more output.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Result<()> {
        self.held.extend(bytes);
        let keep = match self.find() {
            Some(at) => self.held.len() - at,
            // The longest suffix that could become the marker.
            None => (0..self.pattern.len().min(self.held.len() + 1))
                .rev()
                .find(|n| self.held.ends_with(&self.pattern[..*n]))
                .unwrap_or(0),
        };
        let pass: Vec<u8> = self.held.drain(..self.held.len() - keep).collect();
        self.sink
            .write_all(&pass)
            .and_then(|()| self.sink.flush())
            .map_err(|e| format!("cannot write the program's output: {e}"))
    }

    /// Returns the exit code after all output has been fed; `None` if the marker is missing.
    pub(crate) fn code(&self) -> Option<i32> {
        let digits = self.held.get(self.find()? + self.pattern.len()..)?;
        std::str::from_utf8(digits).ok()?.trim().parse().ok()
    }

    fn find(&self) -> Option<usize> {
        self.held.windows(self.pattern.len()).position(|window| window == self.pattern)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Output as it comes from the shell, what must be passed on, the exit code.
    const CASES: &[(&str, &str, Option<i32>)] = &[
        ("text\nN0NCE 0\n", "text\n", Some(0)),
        ("no end of lineN0NCE 101\n", "no end of line", Some(101)),
        ("N0NCE 139\r\n", "", Some(139)),
        ("a\nN0NC\nN0N0NCE 1\n", "a\nN0NC\nN0", Some(1)),
        ("cut off\n", "cut off\n", None),
        ("cut in the code\nN0NCE ", "cut in the code\n", None),
        ("", "", None),
    ];

    #[test]
    fn the_marker_is_found_and_kept_out_whatever_the_pieces() {
        let mut wrong = Vec::new();
        for (text, expected, code) in CASES {
            for size in 1..=text.len().max(1) {
                let mut passed = Vec::new();
                let mut output = Output::new("N0NCE", &mut passed);
                for piece in text.as_bytes().chunks(size) {
                    output.feed(piece).expect("memory takes all");
                }
                let found = output.code();
                let passed = String::from_utf8(passed).expect("ASCII");
                if (passed.as_str(), found) != (*expected, *code) {
                    wrong.push(format!("{text:?} by {size}: {passed:?}, {found:?}"));
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn nonces_differ() {
        let (a, b) = (nonce(), nonce());
        assert_eq!((a.len(), b.len()), (32, 32));
        assert_ne!(a, b);
    }
}
