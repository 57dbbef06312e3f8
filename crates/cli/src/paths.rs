//! Paths of files: shown in messages, and refused as outputs.

use crate::error::{CliError, CliResult};
use clap::Args;
use std::path::Path;

/// How files are read.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct AccessArgs {
    /// Read files instead of mapping them, which also works where the system cannot map
    #[arg(long)]
    pub(crate) no_mmap: bool,
}

/// Returns a path for a message or a list: lossy, with control characters escaped.
pub(crate) fn shown(path: impl AsRef<Path>) -> String {
    let text = path.as_ref().to_string_lossy();
    text.chars()
        .map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() })
        .collect()
}

/// Refuses an output that is also an input, or that exists and may not be replaced.
pub(crate) fn check_output<'i>(
    output: &Path,
    inputs: impl IntoIterator<Item = &'i Path>,
    force: bool,
) -> CliResult {
    // Done before anything is refused, because a killed command may be why the output exists.
    happy_gguf::remove_leftovers(output);
    if output.symlink_metadata().is_err() {
        return Ok(());
    }
    let path = shown(output);
    if inputs.into_iter().any(|input| is_same_file(input, output)) {
        return Err(CliError::usage(format!("`{path}` is an input; the output needs another name")));
    }
    match force {
        true => Ok(()),
        false => Err(CliError::usage(format!("`{path}` exists; --force replaces it"))),
    }
}

/// Returns whether two paths lead to the same file, also through links.
fn is_same_file(a: &Path, b: &Path) -> bool {
    #[cfg(unix)]
    if let (Ok(a), Ok(b)) = (a.metadata(), b.metadata()) {
        use std::os::unix::fs::MetadataExt;
        return (a.dev(), a.ino()) == (b.dev(), b.ino());
    }
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_do_not_steer_terminals() {
        assert_eq!(shown("a\x1b[31m\nb"), "a\\u{1b}[31m\\nb");
    }
}
