//! `cargo xtask tidy`: the project's conventions, each as a check with a name.
//!
//! The checks look at a [`Tree`]: the files that git tracks or would add, and the packages from cargo's metadata. Tests
//! can make up a tree. So the tests at the bottom of each file prove that every violation is found.

mod book;
mod counts;
mod crates;
mod files;
mod links;
mod phrases;
mod rust;
mod versions;

use happy_tool_kit::{Result, paths, process};
use std::collections::BTreeMap;
use std::process::Command;

/// The files and packages that are checked.
#[derive(Default)]
pub(crate) struct Tree {
    /// The bytes of each file by its path, which is relative to the root and uses `/`.
    files: BTreeMap<String, Vec<u8>>,
    /// The workspace's packages.
    packages: Vec<Package>,
}

/// The properties of a workspace member that the checks use.
#[derive(Default)]
struct Package {
    name: String,
    /// The folder relative to the root.
    dir: String,
    description: Option<String>,
    /// Whether it is published. Packages with `publish = false` need no README, description or example.
    published: bool,
    /// Whether it has a library; then it needs an example.
    has_lib: bool,
    dependencies: Vec<Dependency>,
}

struct Dependency {
    name: String,
    /// `normal`, `dev` or `build`.
    kind: String,
    optional: bool,
}

/// A place, and what is wrong there.
type Violation = String;

/// A check's name and the check.
type Check = (&'static str, fn(&Tree) -> Vec<Violation>);

const CHECKS: &[Check] = &[
    ("crates depend downwards only", crates::layering),
    ("every crate has README, description, example", crates::completeness),
    ("unsafe stands only where the design allows it", rust::unsafe_places),
    ("every crate forbids or denies unsafe code", rust::unsafe_lints),
    ("every Rust file opens with a `//!` header", rust::headers),
    ("no file is longer than one sitting", rust::length),
    ("nothing is unfinished or switched off", rust::unfinished),
    ("every file is text", files::text_only),
    ("no registry is named", files::registry_hosts),
    ("no merge is unfinished", files::conflicts),
    ("the documents that a project owes are there", files::documents),
    ("files that stand twice are equal", files::twins),
    ("the version is the same everywhere", versions::same),
    ("links in documents resolve", links::resolve),
    ("every page is in the book, and its code is compiled", book::complete),
    ("every block of code says what it is", book::languages),
    ("what people read is easy to read", phrases::wording),
    ("xtask stays small", counts::limits),
];

/// Arguments of `tidy`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Print lines of code per package, neither blank, comment nor test, and check nothing
    #[arg(long)]
    counts: bool,
}

/// `cargo xtask tidy`.
pub(crate) fn run(args: &Args) -> Result<()> {
    if args.counts {
        print!("{}", counts::table(&read_tree()?));
        return Ok(());
    }
    check()
}

/// Returns the files of the book by their paths in its source folder.
pub(crate) fn book() -> Result<BTreeMap<String, Vec<u8>>> {
    book::stage(&read_tree()?)
}

/// Runs all checks and prints what they found.
pub(crate) fn check() -> Result<()> {
    let tree = read_tree()?;
    let mut total = 0;
    for (name, check) in CHECKS {
        let violations = check(&tree);
        if violations.is_empty() {
            println!("ok      {name}");
        } else {
            println!("FAILED  {name}");
            for violation in &violations {
                println!("          {violation}");
            }
        }
        total += violations.len();
    }
    println!("{} files, {} packages, {total} violation(s)", tree.files.len(), tree.packages.len());
    if total == 0 { Ok(()) } else { Err(format!("tidy found {total} violation(s)")) }
}

/// Reads the files that git tracks or would add, and cargo's metadata of the workspace.
fn read_tree() -> Result<Tree> {
    let root = paths::root();
    let mut git = Command::new("git");
    git.args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"]).current_dir(&root);
    let list = process::output(&mut git).map_err(|e| {
        format!("{e}; tidy needs git and a clone of the repository, to know which files belong to it")
    })?;
    let mut files = BTreeMap::new();
    for name in list.split('\0').filter(|name| !name.is_empty()) {
        match std::fs::read(root.join(name)) {
            Ok(bytes) => {
                files.insert(name.to_owned(), bytes);
            }
            // Deleted in the work tree, but still in the index.
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(format!("cannot read {name}: {e}")),
        }
    }
    let metadata = process::metadata(&["--no-deps", "--offline"])?;
    let packages = metadata.packages.iter().map(|package| Package::of(package, &metadata.workspace_root));
    let packages = packages.collect();
    Ok(Tree { files, packages })
}

impl Package {
    fn of(package: &cargo_metadata::Package, root: &cargo_metadata::camino::Utf8Path) -> Self {
        let folder = package.manifest_path.parent().unwrap_or(root);
        let dependency = |d: &cargo_metadata::Dependency| Dependency {
            name: d.name.clone(),
            kind: d.kind.to_string(),
            optional: d.optional,
        };
        Self {
            name: package.name.to_string(),
            dir: folder.strip_prefix(root).unwrap_or(folder).as_str().replace('\\', "/"),
            description: package.description.clone(),
            published: package.publish.as_ref().is_none_or(|registries| !registries.is_empty()),
            has_lib: package.targets.iter().any(|target| target.is_lib() || target.is_cdylib()),
            dependencies: package.dependencies.iter().map(dependency).collect(),
        }
    }
}

impl Tree {
    /// Returns the file's text, if it is text.
    fn text(&self, path: &str) -> Option<&str> {
        std::str::from_utf8(self.files.get(path)?).ok()
    }

    /// Returns all text files whose name ends with `suffix`.
    fn texts<'a>(&'a self, suffix: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.files
            .iter()
            .filter(move |(path, _)| path.ends_with(suffix))
            .filter_map(|(path, bytes)| Some((path.as_str(), std::str::from_utf8(bytes).ok()?)))
    }

    /// Returns whether the tree has this file or folder.
    fn has(&self, path: &str) -> bool {
        let folder = format!("{path}/");
        path.is_empty()
            || self.files.contains_key(path)
            || self.files.range(folder.clone()..).next().is_some_and(|(name, _)| name.starts_with(&folder))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes a tree of these files, without packages.
    pub(super) fn tree(files: &[(&str, &str)]) -> Tree {
        let files = files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect();
        Tree { files, packages: Vec::new() }
    }

    #[test]
    fn folders_are_found() {
        let tree = tree(&[("docs/a.md", ""), ("docs2/b.md", "")]);
        assert!(tree.has("docs") && tree.has("docs/a.md") && tree.has("docs2") && tree.has(""));
        assert!(!tree.has("doc") && !tree.has("docs/b.md"));
    }
}
