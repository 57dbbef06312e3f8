//! Checks on Rust files: unsafe code, headers, length, unfinished code.

use super::{Tree, Violation};

/// Path prefixes where unsafe code may be allowed, with the reason for each. The compiler finds it everywhere else:
/// every manifest denies the lint `unsafe_code`.
const UNSAFE_PLACES: &[(&str, &str)] = &[
    ("crates/kernels/src/arch/", "vector loads and stores, and the one dispatch call"),
    ("crates/kernels/src/pool/", "lending borrowed work to threads that outlive the borrow"),
    ("crates/tensor/src/cast.rs", "bytes to blocks and back"),
    ("crates/gguf/src/mmap.rs", "the constructor that maps a file"),
    ("crates/ffi/src/", "the C boundary"),
    ("bindings/android/demo-apk/src/lib.rs", "what Android and libhappy call by name"),
    ("crates/engine/src/mmap.rs", "the one call of that constructor"),
    ("crates/cli/src/allocator.rs", "a global allocator with a reserve"),
    ("crates/ffi/tests/support/any_call.rs", "calls of the C interface"),
    ("crates/testkit/src/meter.rs", "a global allocator that counts, and refuses what a test wants refused"),
    ("crates/kernels/tests/fork.rs", "fork, and leaving the child"),
    ("crates/model/tests/unrouted_experts.rs", "pages that may not be read"),
    ("benches/peers-grammar/src/memory.rs", "a global allocator that counts"),
];

/// A longer file must be split. The aim is about 400 lines.
const MAX_LINES: usize = 600;

/// Checks that every manifest denies unsafe code, and that it is allowed again only in [`UNSAFE_PLACES`].
pub(super) fn unsafe_places(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for (path, text) in tree.texts("Cargo.toml") {
        let has = |line: &str| text.lines().any(|found| found.trim() == line);
        let denies = has("unsafe_code = \"deny\"") || has("unsafe_code = \"forbid\"");
        let inherits = has("[lints]") && has("workspace = true");
        if !(denies || inherits && path != "Cargo.toml") {
            found.push(format!(
                "{path}: no lint `unsafe_code = \"deny\"`, neither its own nor `[lints] workspace = true`"
            ));
        }
    }
    for (path, text) in tree.texts(".rs") {
        if UNSAFE_PLACES.iter().any(|(place, _)| path.starts_with(place)) {
            continue;
        }
        for (number, line) in text.lines().map(str::trim).enumerate() {
            let allows = line.contains("allow(unsafe_code") || line.contains("expect(unsafe_code");
            if (line.starts_with("#[") || line.starts_with("#![")) && allows {
                found.push(format!(
                    "{path}:{}: `unsafe` outside the places that the design allows",
                    number + 1
                ));
            }
        }
    }
    found
}

/// Checks that every crate root has `forbid(unsafe_code)`, or `deny` if a place in the crate may allow it.
pub(super) fn unsafe_lints(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for package in &tree.packages {
        let dir = &package.dir;
        let source = format!("{dir}/src/");
        let has_place = UNSAFE_PLACES.iter().any(|(place, _)| place.starts_with(&source));
        for root in ["lib.rs", "main.rs"] {
            let path = format!("{source}{root}");
            let Some(text) = tree.text(&path) else { continue };
            let has = |attribute: &str| text.lines().any(|line| line == attribute);
            let (forbids, denies) = (has("#![forbid(unsafe_code)]"), has("#![deny(unsafe_code)]"));
            let holds = forbids || (has_place && denies);
            if !holds {
                let wanted = if has_place { "#![deny(unsafe_code)]" } else { "#![forbid(unsafe_code)]" };
                found.push(format!("{path}: no {wanted}"));
            }
        }
    }
    found
}

/// Checks that the first line that is neither blank nor an inner attribute is a `//!` comment, or includes the README
/// as one.
pub(super) fn headers(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for (path, text) in tree.texts(".rs") {
        let is_header = |line: &str| {
            (line.starts_with("//!") && line.trim_start_matches("//!").trim().len() > 3)
                || line.starts_with("#![doc = include_str!")
        };
        let first = text
            .lines()
            .map(str::trim)
            .find(|line| !line.is_empty() && (is_header(line) || !line.starts_with("#![")));
        if !first.is_some_and(is_header) {
            found.push(format!("{path}:1: no `//!` header that says what the file is for"));
        }
    }
    found
}

/// Checks that no file has more than [`MAX_LINES`] lines, except files of tables.
pub(super) fn length(tree: &Tree) -> Vec<Violation> {
    let is_table = |path: &str| {
        let stem = path.rsplit('/').next().unwrap_or(path).trim_end_matches(".rs");
        stem == "table"
            || stem == "tables"
            || stem.ends_with("_table")
            || stem.ends_with("_tables")
            || path.contains("/tables/")
    };
    tree.texts(".rs")
        .filter(|(path, _)| !is_table(path))
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(_, lines)| *lines > MAX_LINES)
        .map(|(path, lines)| {
            format!("{path}: {lines} lines, at most {MAX_LINES} (about 400 is the aim): split it by topic")
        })
        .collect()
}

/// The folder of these checks, whose tests contain what the checks look for.
const THESE_CHECKS: &str = "xtask/src/tidy/";

/// Checks that there is no macro for missing code, no debug print, and no test that is switched off.
pub(super) fn unfinished(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for (path, text) in tree.texts(".rs").filter(|(path, _)| !path.starts_with(THESE_CHECKS)) {
        for (number, line) in text.lines().map(str::trim).enumerate() {
            if line.starts_with("//") {
                continue;
            }
            for name in ["todo!", "unimplemented!", "dbg!"] {
                let continues = |at: usize| line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
                if line.match_indices(name).any(|(at, _)| !continues(at)) {
                    found.push(format!("{path}:{}: `{name}`", number + 1));
                }
            }
            let conditional = line.starts_with("#[cfg_attr(") && line.contains(", ignore");
            if line.starts_with("#[ignore") || conditional {
                found.push(format!("{path}:{}: a test that is switched off", number + 1));
            }
        }
        found.extend(ignored_doctests(path, text));
    }
    // READMEs are doctested; code in other documents is not.
    for (path, text) in tree.texts("README.md") {
        found.extend(ignored_doctests(path, text));
    }
    found
}

/// Returns the code blocks that rustdoc should ignore.
fn ignored_doctests(path: &str, text: &str) -> Vec<Violation> {
    let is_ignored = |line: &str| {
        let line = line.trim_start().trim_start_matches("//!").trim_start_matches("///").trim_start();
        line.strip_prefix("```").is_some_and(|tags| tags.split([',', ' ']).any(|tag| tag.trim() == "ignore"))
    };
    text.lines()
        .enumerate()
        .filter(|(_, line)| is_ignored(line))
        .map(|(i, _)| format!("{path}:{}: a doctest that is switched off", i + 1))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::Package;
    use super::super::tests::tree;
    use super::*;

    #[test]
    fn unsafe_is_caught_outside_its_places_only() {
        for code in
            ["//! header\n#![allow(unsafe_code)]\n", "#[expect(unsafe_code, reason = \"x\")]\nmod a;\n"]
        {
            for path in [
                "crates/kernels/src/arch/x86_64/avx2.rs",
                "crates/kernels/src/pool/mod.rs",
                "crates/tensor/src/cast.rs",
            ] {
                assert_eq!(unsafe_places(&tree(&[(path, code)])), [""; 0], "{path}");
            }
            for path in [
                "crates/kernels/src/linear.rs",
                "crates/tensor/src/castle.rs",
                "xtask/src/main.rs",
                "crates/gguf/tests/a.rs",
            ] {
                assert_eq!(unsafe_places(&tree(&[(path, code)])).len(), 1, "{path}");
            }
        }
        let words = "//! allow(unsafe_code)\n#![forbid(unsafe_code)]\nlet s = \"allow(unsafe_code)\";\n";
        assert_eq!(unsafe_places(&tree(&[("a.rs", words)])), [""; 0]);
    }

    #[test]
    fn a_manifest_without_the_lint_is_caught() {
        let cases = [
            ("Cargo.toml", "[workspace.lints.rust]\nunsafe_code = \"deny\"\n", 0),
            ("Cargo.toml", "[lints]\nworkspace = true\n", 1),
            ("crates/a/Cargo.toml", "[package]\n[lints]\nworkspace = true\n", 0),
            ("crates/a/Cargo.toml", "[package]\n", 1),
            ("fuzz/Cargo.toml", "[lints.rust]\nunsafe_code = \"forbid\"\n", 0),
            ("fuzz/Cargo.toml", "[lints.rust]\nunsafe_code = \"warn\"\n", 1),
        ];
        for (path, text, expected) in cases {
            assert_eq!(unsafe_places(&tree(&[(path, text)])).len(), expected, "{path}: {text}");
        }
    }

    #[test]
    fn a_missing_lint_is_caught() {
        let cases = [
            ("crates/sampler", "#![forbid(unsafe_code)]", 0),
            ("crates/sampler", "#![deny(unsafe_code)]", 1),
            ("crates/sampler", "// #![forbid(unsafe_code)]", 1),
            ("crates/kernels", "#![deny(unsafe_code)]", 0),
            ("crates/kernels", "", 1),
        ];
        for (dir, line, expected) in cases {
            let mut tree = tree(&[(&format!("{dir}/src/lib.rs"), line)]);
            tree.packages = vec![Package { name: "p".into(), dir: dir.into(), ..Package::default() }];
            assert_eq!(unsafe_lints(&tree).len(), expected, "{dir} {line}");
        }
    }

    #[test]
    fn a_missing_header_is_caught() {
        let cases = [
            ("//! What it does.\nfn f() {}", 0),
            ("\n#![forbid(unsafe_code)]\n//! What it does.\n", 0),
            ("#![doc = include_str!(\"../README.md\")]\n", 0),
            ("fn f() {}\n//! Too late.", 1),
            ("// A plain comment.\nfn f() {}", 1),
            ("//!\nfn f() {}", 1),
            ("", 1),
        ];
        for (text, expected) in cases {
            assert_eq!(headers(&tree(&[("a.rs", text)])).len(), expected, "{text:?}");
        }
    }

    #[test]
    fn a_long_file_is_caught_unless_it_is_a_table() {
        let long = "x\n".repeat(MAX_LINES + 1);
        let just = "x\n".repeat(MAX_LINES);
        assert_eq!(length(&tree(&[("src/a.rs", &long)])).len(), 1);
        assert_eq!(length(&tree(&[("src/a.rs", &just)])), [""; 0]);
        for path in ["src/tables.rs", "src/iq_tables.rs", "src/tables/unicode.rs"] {
            assert_eq!(length(&tree(&[(path, &long)])), [""; 0], "{path}");
        }
        assert_eq!(length(&tree(&[("src/stables.rs", &long)])).len(), 1);
    }

    #[test]
    fn unfinished_code_is_caught() {
        let cases = [
            ("fn f() { todo!() }", 1),
            ("fn f() { unimplemented!(\"later\") }", 1),
            ("let x = dbg!(y);", 1),
            ("#[test]\n#[ignore]\nfn t() {}", 1),
            ("#[ignore = \"slow\"]", 1),
            ("#[cfg_attr(miri, ignore)]", 1),
            ("/// ```ignore\n/// x\n/// ```", 1),
            ("//! ```rust,ignore", 1),
            ("// todo!()\n/// dbg!(x)", 0),
            ("let ignored = 1; my_todo!();", 0),
            ("/// ```no_run", 0),
        ];
        for (text, expected) in cases {
            assert_eq!(unfinished(&tree(&[("a.rs", text)])).len(), expected, "{text}");
        }
        assert_eq!(unfinished(&tree(&[("README.md", "```rust,ignore\n")])).len(), 1);
    }
}
