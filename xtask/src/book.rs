//! `cargo xtask book`: builds the documents as a site with mdBook.

use crate::tidy;
use happy_tool_kit::{Result, paths, process};
use std::fs;
use std::path::Path;
use std::process::Command;

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
    process::run(Command::new("mdbook").arg("build").arg(&book))?;
    println!("{}", paths::short(&book.join("html/index.html")));
    Ok(())
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().unwrap_or(path);
    let done = fs::create_dir_all(folder).and_then(|()| fs::write(path, bytes));
    done.map_err(|e| format!("cannot write {}: {e}", path.display()))
}
