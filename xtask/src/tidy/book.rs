//! The book: the pages that `docs/SUMMARY.md` names, with links that fit its folder.
//!
//! ```text
//! repository                         book
//! docs/SUMMARY.md                    SUMMARY.md          the contents
//! docs/a.md, crates/x/README.md      docs/a.md, crates/x/index.md
//! link to a chapter                  link to the chapter
//! link to a picture                  the same; the picture comes along
//! link to any other file or folder   its address in the repository
//! ```
//! The pages in the repository work without the book. [`complete`] checks that every page is in it.

use super::links::{self, join};
use super::{Tree, Violation};
use happy_tool_kit::Result;
use std::collections::{BTreeMap, BTreeSet};

const SUMMARY: &str = "docs/SUMMARY.md";

/// The file that compiles the code of the pages.
const DOCTESTS: &str = "benches/src/lib.rs";

/// A file of the book is a picture if its name ends with one of these.
const PICTURES: &[&str] = &[".svg", ".png"];

/// Checks that every page in `docs` is a chapter, once, and that its Rust code is compiled.
pub(super) fn complete(tree: &Tree) -> Vec<Violation> {
    let Some(summary) = tree.text(SUMMARY) else { return vec![format!("{SUMMARY}: missing")] };
    let mut found = Vec::new();
    let mut chapters = BTreeSet::new();
    for (line, link) in links::links(summary) {
        if let Some(chapter) = join(SUMMARY, &link)
            && !chapters.insert(chapter)
        {
            found.push(format!("{SUMMARY}:{line}: `{link}` is there twice"));
        }
    }
    for (path, text) in tree.texts(".md").filter(|(path, _)| path.starts_with("docs/") && *path != SUMMARY) {
        if !chapters.contains(path) {
            found.push(format!("{path}: not in {SUMMARY}: add a line"));
        }
        let include = format!("include_str!(\"../../{path}\")");
        if has_rust(text) && !tree.text(DOCTESTS).is_some_and(|doctests| doctests.contains(&include)) {
            found.push(format!("{path}: its Rust code is not compiled: add it to {DOCTESTS} ({include})"));
        }
    }
    found
}

/// Languages of blocks whose commands would escape the tests, which read `sh` and `console`.
const OTHER_SHELLS: &[&str] = &["", "bash", "shell", "zsh", "shell-session"];

/// Checks that every block of code on a page says what it is, so that a test runs or parses each command.
pub(super) fn languages(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for (path, text) in tree.texts(".md") {
        let fences = text
            .lines()
            .enumerate()
            .filter_map(|(i, line)| Some((i + 1, line.trim_start().strip_prefix("```")?)));
        for (line, language) in fences.step_by(2) {
            if OTHER_SHELLS.contains(&language.trim()) {
                found.push(format!(
                    "{path}:{line}: a block marked `{}`, expected `sh`, `text` or another language",
                    language.trim()
                ));
            }
        }
    }
    found
}

/// Returns whether a page has Rust code that should be compiled.
fn has_rust(page: &str) -> bool {
    let mut languages = page.lines().filter_map(|line| line.trim_start().strip_prefix("```"));
    languages.any(|language| language.starts_with("rust") && !language.contains("ignore"))
}

/// Returns the files of the book by their paths in its source folder.
pub(crate) fn stage(tree: &Tree) -> Result<BTreeMap<String, Vec<u8>>> {
    let summary = tree.text(SUMMARY).ok_or_else(|| format!("{SUMMARY} is missing"))?;
    let cargo = tree.text("Cargo.toml").unwrap_or_default();
    let repository = cargo.lines().find_map(|line| line.strip_prefix("repository = \"")?.strip_suffix('"'));
    let repository = repository.ok_or("Cargo.toml has no line `repository = \"..\"`")?;
    let chapters: BTreeSet<String> =
        links::links(summary).iter().filter_map(|(_, link)| join(SUMMARY, link)).collect();
    let book = Book { tree, chapters: &chapters, repository };
    let mut files = BTreeMap::new();
    let mut pictures = BTreeSet::new();
    for chapter in &chapters {
        let text =
            tree.text(chapter).ok_or_else(|| format!("{SUMMARY} names {chapter}, which is missing"))?;
        let text = links::rewrite(text, |link| book.target(chapter, link, &mut pictures));
        files.insert(place(chapter), text.into_bytes());
    }
    let contents = links::rewrite(summary, |link| Some(place(&join(SUMMARY, link)?)));
    files.insert("SUMMARY.md".to_owned(), contents.into_bytes());
    for picture in pictures {
        let bytes = tree.files.get(&picture).cloned().unwrap_or_default();
        files.insert(picture, bytes);
    }
    Ok(files)
}

struct Book<'a> {
    tree: &'a Tree,
    chapters: &'a BTreeSet<String>,
    repository: &'a str,
}

impl Book<'_> {
    /// Returns where a link on the page `from` leads in the book; `None` if it is unchanged.
    fn target(&self, from: &str, link: &str, pictures: &mut BTreeSet<String>) -> Option<String> {
        if links::is_elsewhere(link) || link.starts_with('#') {
            return None;
        }
        let (path, heading) = link.split_once('#').map_or((link, ""), |(path, heading)| (path, heading));
        let heading = if heading.is_empty() { String::new() } else { format!("#{heading}") };
        let path = join(from, path)?;
        let to = if self.chapters.contains(&path) {
            relative(&place(from), &place(&path))
        } else if PICTURES.iter().any(|end| path.ends_with(end)) && self.tree.files.contains_key(&path) {
            let link = relative(&place(from), &path);
            pictures.insert(path);
            link
        } else {
            let kind = if self.tree.files.contains_key(&path) { "blob" } else { "tree" };
            format!("{}/{kind}/HEAD/{path}", self.repository)
        };
        Some(to + &heading)
    }
}

/// Returns a page's path in the book. mdBook names the first page of a folder `index`.
fn place(path: &str) -> String {
    match path.strip_suffix("README.md") {
        Some(folder) => format!("{folder}index.md"),
        None => path.to_owned(),
    }
}

/// Returns the link from one file to another; both are given from the root.
fn relative(from: &str, to: &str) -> String {
    "../".repeat(from.matches('/').count()) + to
}

#[cfg(test)]
mod tests {
    use super::super::tests::tree;
    use super::*;

    const CARGO: (&str, &str) = ("Cargo.toml", "[workspace.package]\nrepository = \"https://host/x\"\n");
    const CONTENTS: (&str, &str) = (SUMMARY, "# Summary\n\n[Start](../README.md)\n\n- [A](a.md)\n");

    #[test]
    fn pages_that_the_contents_or_the_doctests_lack_are_named() {
        let rust = "```rust,no_run\nf()\n```\n";
        let include = "#[doc = include_str!(\"../../docs/a.md\")]";
        let cases: &[(&[(&str, &str)], usize)] = &[
            (&[CONTENTS, ("docs/a.md", "text\n```rust,ignore\n```\n```text\n```\n")], 0),
            (&[CONTENTS, ("docs/a.md", rust), (DOCTESTS, include)], 0),
            (&[CONTENTS, ("docs/a.md", rust), (DOCTESTS, "")], 1),
            (&[CONTENTS, ("docs/a.md", ""), ("docs/b.md", "")], 1),
            (&[(SUMMARY, "[A](a.md)\n[A again](./a.md)\n"), ("docs/a.md", "")], 1),
            (&[("docs/a.md", "")], 1),
        ];
        for (files, expected) in cases {
            let found = complete(&tree(files));
            assert_eq!(found.len(), *expected, "{files:?}: {found:?}");
        }
    }

    #[test]
    fn blocks_that_do_not_say_what_they_are_are_named() {
        let page = "```sh\na\n```\n```text\n```\n  ```sh,no_run\n  ```\n```\nb\n```\n```bash\nc\n```\n";
        let found = languages(&tree(&[("docs/a.md", page)]));
        let places: Vec<&str> = found.iter().filter_map(|text| text.split(": ").next()).collect();
        assert_eq!(places, ["docs/a.md:8", "docs/a.md:11"], "{found:?}");
    }

    #[test]
    fn links_fit_the_book() {
        let files = stage(&tree(&[
            CARGO,
            CONTENTS,
            ("README.md", "see [a](docs/a.md#b), `[c](docs/a.md)` and [code](src) ![p](docs/p.svg)\n"),
            (
                "docs/a.md",
                "[`x`](../src/x.rs) [up](../README.md) [top](#a) [web](https://a.b/c)\n```\n[a](x.md)\n```\n",
            ),
            ("docs/p.svg", "<svg/>"),
            ("docs/not-linked.svg", "<svg/>"),
            ("src/x.rs", ""),
        ]));
        let files = files.expect("a book");
        let text = |path: &str| String::from_utf8(files[path].clone()).expect("text");
        assert_eq!(
            text("index.md"),
            "see [a](docs/a.md#b), `[c](docs/a.md)` and [code](https://host/x/tree/HEAD/src) ![p](docs/p.svg)\n"
        );
        assert_eq!(
            text("docs/a.md"),
            "[`x`](https://host/x/blob/HEAD/src/x.rs) [up](../index.md) [top](#a) [web](https://a.b/c)\n```\n[a](x.md)\n```\n"
        );
        assert_eq!(text("SUMMARY.md"), "# Summary\n\n[Start](index.md)\n\n- [A](docs/a.md)\n");
        let paths: Vec<&String> = files.keys().collect();
        assert_eq!(paths, ["SUMMARY.md", "docs/a.md", "docs/p.svg", "index.md"]);
    }

    #[test]
    fn no_link_of_the_real_book_is_dead() {
        let files = stage(&super::super::read_tree().expect("the repository")).expect("a book");
        let mut dead = Vec::new();
        for (path, bytes) in files.iter().filter(|(path, _)| path.ends_with(".md")) {
            for (line, link) in links::links(std::str::from_utf8(bytes).expect("text")) {
                let target = link.split('#').next().unwrap_or_default();
                if !links::is_elsewhere(&link)
                    && !target.is_empty()
                    && !join(path, target).is_some_and(|target| files.contains_key(&target))
                {
                    dead.push(format!("{path}:{line}: {link}"));
                }
            }
        }
        assert!(files.len() > 40 && dead.is_empty(), "{} files, dead: {dead:?}", files.len());
    }
}
