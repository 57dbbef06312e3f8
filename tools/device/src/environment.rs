//! The environment of a program on the device, and quoting for the device's shell.

use crate::folder::Folder;
use std::env;

/// The folder of the corpora on the device.
pub(crate) const CORPUS: &str = "corpus";

/// Returns the variables of a program: those of the caller that tests use, and where its data are on the device.
pub(crate) fn environment(folder: &Folder, place: &str) -> Vec<(String, String)> {
    const OF_THIS_MACHINE: &[&str] =
        &["HAPPY_CONFORMANCE", "HAPPY_CORPUS", "HAPPY_MODELS", "HAPPY_ARM", "HAPPY_SKIPS", "HAPPY_OUTCOME"];
    let passed_on = |name: &str| {
        (["HAPPY_", "PROPTEST_", "RUST_"].iter().any(|prefix| name.starts_with(prefix)) || name == "CI")
            && !OF_THIS_MACHINE.contains(&name)
    };
    let mut variables: Vec<(String, String)> = env::vars().filter(|(name, _)| passed_on(name)).collect();
    variables.push(("CARGO_MANIFEST_DIR".into(), folder.path(place)));
    variables.push(("HAPPY_CORPUS".into(), folder.path(CORPUS)));
    variables
}

/// Quotes a word for the device's shell.
pub(crate) fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_reach_the_device_s_shell_whole() {
        for (word, expected) in [("a b", "'a b'"), ("it's", "'it'\\''s'"), ("", "''"), ("$x", "'$x'")] {
            assert_eq!(quote(word), expected);
        }
    }
}
