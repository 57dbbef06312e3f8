//! `cargo xtask tidy --counts`: counts the lines of code per package that are neither blank, nor comment, nor test.
//!
//! It counts Rust files under a package's `src`. It leaves out lines that are blank or begin a comment, items under
//! `#[cfg(test)]`, and the files of modules that are declared so. Indentation shows where an item ends, because rustfmt
//! has formatted all files.

use super::{Tree, Violation};
use std::collections::BTreeMap;

/// Maximum lines of code of a package: xtask is what everybody compiles first.
const LIMITS: &[(&str, usize)] = &[("xtask", 4_000)];

/// Checks that packages stay within [`LIMITS`].
pub(super) fn limits(tree: &Tree) -> Vec<Violation> {
    let counts = counts(tree);
    let over = |(name, limit): &(&str, usize)| {
        let found = counts.get(*name).copied().unwrap_or(0);
        (found > *limit)
            .then(|| format!("{name}: {found} lines of code, at most {limit}; move a command into tools"))
    };
    LIMITS.iter().filter_map(over).collect()
}

/// Returns the table for a person.
pub(super) fn table(tree: &Tree) -> String {
    let counts = counts(tree);
    let lines = counts.iter().map(|(name, n)| format!("{n:>8}  {name}\n"));
    format!("{}{:>8}  total\n", lines.collect::<String>(), counts.values().sum::<usize>())
}

/// Returns the lines of code by package.
fn counts(tree: &Tree) -> BTreeMap<&str, usize> {
    let tests: Vec<String> = tree.texts(".rs").flat_map(|(path, text)| test_modules(path, text)).collect();
    let is_test = |path: &str| tests.iter().any(|module| path.starts_with(module.as_str()));
    let of = |package: &super::Package| {
        let src = format!("{}/src/", package.dir);
        let files = tree.texts(".rs").filter(|(path, _)| path.starts_with(&src) && !is_test(path));
        files.map(|(_, text)| code_lines(text)).sum()
    };
    tree.packages.iter().map(|package| (package.name.as_str(), of(package))).collect()
}

/// Returns path prefixes of modules that are declared under `#[cfg(test)]` in files of their own.
fn test_modules(path: &str, text: &str) -> Vec<String> {
    let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
    let folder = match file {
        "mod.rs" | "lib.rs" | "main.rs" => format!("{folder}/"),
        _ => format!("{}/", path.trim_end_matches(".rs")),
    };
    let mut found = Vec::new();
    let mut lines = text.lines().map(str::trim);
    while let Some(line) = lines.next() {
        if !is_for_tests(line) {
            continue;
        }
        let mut place = None;
        for line in lines.by_ref() {
            let named = line.strip_prefix("#[path = \"").and_then(|rest| rest.strip_suffix("\"]"));
            match named {
                // A path is relative to the file's own folder.
                Some(name) => place = Some(format!("{}{name}", &path[..path.len() - file.len()])),
                None if line.starts_with("#[") => {}
                None => {
                    let name = line
                        .strip_suffix(';')
                        .and_then(|line| line.rsplit_once("mod "))
                        .map(|(_, name)| name);
                    found.extend(name.map(|name| place.unwrap_or_else(|| format!("{folder}{name}."))));
                    found.extend(name.map(|name| format!("{folder}{name}/")));
                    break;
                }
            }
        }
    }
    found
}

fn is_for_tests(line: &str) -> bool {
    ["#[cfg(test)]", "#[cfg(all(test,"].iter().any(|start| line.starts_with(start))
}

/// Returns the number of lines of a file that are neither blank, nor comment, nor test.
fn code_lines(text: &str) -> usize {
    let mut lines = text.lines();
    let mut count = 0;
    while let Some(line) = lines.next() {
        let code = line.trim_start();
        if code.starts_with("#![cfg(test)]") {
            return count;
        } else if code.starts_with("/*") {
            skip_until(&mut lines, line, |line| line.contains("*/"));
        } else if is_for_tests(code) {
            skip_item(&mut lines, &line[..line.len() - code.len()]);
        } else if !code.is_empty() && !code.starts_with("//") {
            count += 1;
        }
    }
    count
}

/// Skips further attributes and one item, which ends on its first line or where its indentation returns.
fn skip_item<'a>(lines: &mut impl Iterator<Item = &'a str>, indent: &str) {
    let mut lines =
        lines.skip_while(|line| line.trim_start().starts_with("#[") || line.trim_start().starts_with("//"));
    if let Some(first) = lines.next()
        && !first.ends_with([';', ',', '}'])
    {
        let ends = |line: &str| {
            line.strip_prefix(indent).is_some_and(|rest| rest.starts_with(['}', ')', ']']))
                && !line.ends_with('{')
        };
        skip_until(&mut lines, first, |line| ends(line));
    }
}

/// Takes lines up to the first that `is_last`, which may be the one that was taken last.
fn skip_until<'a>(lines: &mut impl Iterator<Item = &'a str>, first: &'a str, is_last: impl Fn(&str) -> bool) {
    if !is_last(first) {
        let _ = lines.find(|line| is_last(line));
    }
}

#[cfg(test)]
mod tests {
    use super::super::Package;
    use super::super::tests::tree;
    use super::*;

    #[test]
    fn code_is_counted_and_nothing_else() {
        let cases = [
            ("", 0),
            ("//! header\n\n/// doc\nfn f() {\n    // why\n    g();\n}\n", 3),
            ("/* a\nb\n*/\nfn f() {}\n/* one line */\nfn g() {}\n", 2),
            ("fn f() {}\n#[cfg(test)]\nmod tests {\n    fn g() {\n    }\n}\nfn h() {}\n", 2),
            ("#[cfg(test)]\n#[path = \"a.rs\"]\nmod tests;\nfn h() {}\n", 1),
            (
                "impl A {\n    #[cfg(test)]\n    fn f(\n        a: u8,\n    ) -> u8 {\n        a\n    }\n    fn g() {}\n}\n",
                3,
            ),
            ("#[cfg(test)]\nuse a::{\n    b,\n};\nuse c;\n", 1),
            ("#[cfg(not(test))]\nfn f() {}\n", 2),
            ("//! x\n#![cfg(test)]\nfn f() {}\n", 0),
        ];
        let wrong: Vec<_> = cases.iter().filter(|(text, expected)| code_lines(text) != *expected).collect();
        assert!(
            wrong.is_empty(),
            "{wrong:?}: {:?}",
            wrong.iter().map(|(t, _)| code_lines(t)).collect::<Vec<_>>()
        );
    }

    #[test]
    fn files_of_tests_are_left_out() {
        let mut tree = tree(&[
            ("crates/a/src/lib.rs", "#[cfg(test)]\nmod tests;\nmod b;\n"),
            ("crates/a/src/tests.rs", "fn t() {}\n"),
            (
                "crates/a/src/b.rs",
                "#[cfg(test)]\n#[path = \"b_tests.rs\"]\nmod tests;\n#[cfg(all(test, unix))]\nmod c;\nfn f() {}\n",
            ),
            ("crates/a/src/b_tests.rs", "fn t() {}\n"),
            ("crates/a/src/b/c/d.rs", "fn t() {}\n"),
            ("crates/a/src/testing.rs", "fn f() {}\n"),
            ("crates/a/tests/e.rs", "fn t() {}\n"),
            ("crates/ab/src/lib.rs", "fn f() {}\n"),
        ]);
        tree.packages = vec![Package { name: "a".into(), dir: "crates/a".into(), ..Package::default() }];
        assert_eq!(counts(&tree), BTreeMap::from([("a", 3)]));
        assert_eq!(table(&tree), "       3  a\n       3  total\n");
    }

    #[test]
    fn a_package_that_outgrows_its_limit_is_caught() {
        let mut tree = tree(&[("xtask/src/main.rs", &"f();\n".repeat(4_001))]);
        tree.packages = vec![Package { name: "xtask".into(), dir: "xtask".into(), ..Package::default() }];
        assert!(limits(&tree)[0].contains("4001 lines of code, at most 4000"));
    }
}
