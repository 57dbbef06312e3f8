//! `cargo xtask book`: builds the documents as a site with mdBook.

use crate::tidy;
use happy_tool_kit::{Result, paths, process};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Writes the pages to `target/book/src` and runs mdBook, which writes `target/book/html`.
pub(crate) fn run() -> Result<()> {
    let book = paths::target().join("book");
    let source = book.join("src");
    // Chapters that no longer exist must not stay.
    if source.exists() {
        fs::remove_dir_all(&source).map_err(|e| format!("cannot remove {}: {e}", source.display()))?;
    }
    for (path, bytes) in tidy::book()? {
        write(&source.join(path), &bytes)?;
    }
    let settings = paths::root().join("book.toml");
    let settings = fs::read(&settings).map_err(|e| format!("cannot read {}: {e}", settings.display()))?;
    write(&book.join("book.toml"), &settings)?;
    if !process::succeeds(Command::new("mdbook").arg("--version")) {
        return Err(format!(
            "mdbook is not installed: `cargo install mdbook --locked` installs it; the pages are in {}, and those in the \
             repository work without it",
            paths::short(&source)
        ));
    }
    let built = process::run_within(Command::new("mdbook").arg("build").arg(&book), LIMIT)?;
    eprint!("{}{}", built.stdout, built.stderr);
    if !built.success {
        return Err(format!("`mdbook build` failed ({})", built.ending));
    }
    match warnings(&built.stderr) {
        0 => println!("{}", paths::short(&book.join("html/index.html"))),
        n => return Err(format!("mdbook printed {n} warning(s), see above: fix the pages")),
    }
    Ok(())
}

/// mdBook takes about a second. It should not hang CI.
const LIMIT: Duration = Duration::from_secs(300);

/// Returns the number of warnings in mdBook's log, which exits with 0 in spite of them. A line begins with its level, or with the time and
/// the level in brackets (mdBook 0.4).
fn warnings(log: &str) -> usize {
    let level = |line: &&str| line.trim_start().starts_with("WARN ") || line.contains("[WARN]");
    log.lines().filter(level).count()
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().unwrap_or(path);
    let done = fs::create_dir_all(folder).and_then(|()| fs::write(path, bytes));
    done.map_err(|e| format!("cannot write {}: {e}", path.display()))
}

#[cfg(test)]
mod tests {
    #[test]
    fn warnings_of_mdbook_are_counted() {
        let clean = " INFO Book building has started\n INFO Running the html backend\n";
        assert_eq!(super::warnings(clean), 0);
        let new = " WARN unclosed HTML tag `<b>` found in `docs/a.md`\n INFO WARN is a word of this page\n";
        assert_eq!(super::warnings(new), 1);
        assert_eq!(super::warnings("2026-01-02 03:04:05 [WARN] (mdbook::book): a page\n"), 1);
    }
}
