//! `cargo xtask options`: generates the option classes of Java and Dart from the list of options in `crates/ffi`, and
//! their enums from the C header.
//!
//! ```text
//! list.rs   crates/ffi/src/capi/options/list.rs -> groups of options, with descriptions; and as plain structs for cbindgen
//! java.rs   a group -> the setters of its class in bindings/android
//! enums.rs  an enum of happy.h -> its values in Java and Dart
//! dart.rs   a group -> constructor, fields and writer of its class in bindings/flutter
//! ```
//! Only the text between marker lines (`// <NAME PART>` and `// </NAME PART>`) is generated; the rest of the files is
//! written by hand.

mod dart;
mod enums;
mod java;
mod list;

use happy_tool_kit::{Result, paths};
use std::path::PathBuf;

/// What descriptions name in C, and what it is in Java and in Dart.
const SPELLINGS: &[(&str, &str, &str)] = &[
    ("HAPPY_SEED_RANDOM", "#SEED_RANDOM", "randomSeed"),
    ("HAPPY_KV_F16", "KvType#F16", "HappyKvType.f16"),
    ("HappyKvType", "KvType", "HappyKvType"),
    ("HappyPooling", "Pooling", "HappyPooling"),
    ("HAPPY_CONTEXT_FULL", "HappyStatus#CONTEXT_FULL", "HappyStatus.contextFull"),
    ("HAPPY_MODEL", "HappyStatus#MODEL", "HappyStatus.model"),
    ("HAPPY_TEMPLATE", "HappyStatus#TEMPLATE", "HappyStatus.template"),
    ("HAPPY_UNSUPPORTED", "HappyStatus#UNSUPPORTED", "HappyStatus.unsupported"),
    ("draft_tokens", "#draftTokens", "draftTokens"),
    ("happy_cpu", "Happy#cpu", "HappyLibrary.cpu"),
    ("happy_report_device", "Happy#reportDevice", "HappyLibrary.reportDevice"),
    ("happy_session_reuse", "HappySession#reuse", "HappySession.reuse"),
];

/// Arguments of `options`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Write nothing; fail if a class is not what the list of options gives
    #[arg(long)]
    check: bool,
}

/// `cargo xtask options [--check]`.
pub(crate) fn run(args: &Args) -> Result<()> {
    if args.check {
        return check();
    }
    for (name, _, made) in files()? {
        let path = paths::root().join(&name);
        std::fs::write(&path, made).map_err(|e| format!("cannot write {name}: {e}"))?;
    }
    Ok(())
}

/// Fails if a class is not what the list gives.
pub(crate) fn check() -> Result<()> {
    for (name, found, made) in files()? {
        if found != made {
            let common = found.lines().zip(made.lines()).take_while(|(a, b)| a == b).count();
            return Err(format!(
                "{name}:{}: not what the list of options or the C header gives; run `cargo xtask options` and commit the result",
                common + 1
            ));
        }
    }
    Ok(())
}

/// Writes the options as plain structs, which cbindgen reads, and returns the file's path.
pub(crate) fn plain_structs() -> Result<PathBuf> {
    let folder = paths::target().join("options");
    std::fs::create_dir_all(&folder).map_err(|e| format!("cannot create {}: {e}", folder.display()))?;
    let path = folder.join(format!("structs-{}.rs", std::process::id()));
    std::fs::write(&path, list::plain(&list::read()?)?)
        .map_err(|e| format!("cannot write {}: {e}", path.display()))?;
    Ok(path)
}

/// Returns each file with option classes: its name, its text, and what the text must be.
fn files() -> Result<Vec<(String, String, String)>> {
    let groups = list::read()?;
    let mut files = Files(Vec::new());
    for group in &groups {
        let name = format!("bindings/android/src/main/java/dev/happyllm/{}.java", group.name);
        files.splice(&name, &group.name, "setters", &java::setters(group)?)?;
    }
    for (name, classes) in dart::FILES {
        for group in groups.iter().filter(|group| classes.contains(&group.name.as_str())) {
            for (part, body) in dart::parts(group)? {
                files.splice(name, &group.name, part, &body)?;
            }
        }
    }
    let header = crate::dart::header()?;
    for (name, file, class) in enums::FILES {
        files.splice(file, class, "values", &enums::values(&header, name, file)?)?;
    }
    Ok(files.0)
}

/// Files whose parts are replaced: name, text, and what the text must be. A file may have parts of several kinds.
struct Files(Vec<(String, String, String)>);

impl Files {
    fn splice(&mut self, name: &str, class: &str, part: &str, body: &str) -> Result<()> {
        if !self.0.iter().any(|(known, ..)| known == name) {
            let text = read(name)?;
            self.0.push((name.to_owned(), text.clone(), text));
        }
        for (_, _, made) in self.0.iter_mut().filter(|(known, ..)| known == name) {
            *made = splice(name, made, class, part, body)?;
        }
        Ok(())
    }
}

fn read(name: &str) -> Result<String> {
    std::fs::read_to_string(paths::root().join(name)).map_err(|e| format!("cannot read {name}: {e}"))
}

/// Replaces the lines between the markers of a part.
fn splice(file: &str, text: &str, class: &str, part: &str, body: &str) -> Result<String> {
    let (begin, end) = (format!("// <{class} {part}>\n"), format!("// </{class} {part}>"));
    let missing = |marker: &str| format!("{file}: the line `{}` is missing", marker.trim());
    let (before, rest) = text.split_once(&begin).ok_or_else(|| missing(&begin))?;
    let (_, after) = rest.split_once(&end).ok_or_else(|| missing(&end))?;
    let indent = before.rsplit('\n').next().unwrap_or_default();
    Ok(format!("{before}{begin}{body}{indent}{end}{after}"))
}

/// Converts `top_n_sigma` to `topNSigma`.
fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let mut out = words.next().unwrap_or_default().to_owned();
    for word in words {
        let (first, rest) = word.split_at(word.len().min(1));
        out += &(first.to_uppercase() + rest);
    }
    out
}

/// Wraps a text to lines of at most `width` characters. Text between backticks or braces is not broken.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Returns whether values of a kind are 0 or 1 in C.
fn is_flag(kind: &str) -> bool {
    matches!(kind, "Flag" | "Not" | "Embeddings" | "Truncate")
}

/// Returns a description with false and true instead of 0 and 1, and without NULL, for languages in which flags are not
/// numbers.
fn about(row: &list::Row) -> String {
    let about =
        row.about.replace("; may be NULL.", ".").replace(" May be NULL.", "").replace("NULL:", "Not set:");
    match row.kind.as_str() {
        kind if is_flag(kind) => about
            .replace("0, the default:", "False, the default:")
            .replace("0:", "False:")
            .replace("1:", "True:"),
        _ => about,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_classes_are_what_the_list_gives() {
        check().unwrap();
    }

    #[test]
    fn parts_are_replaced_between_their_markers() {
        let text = "a\n  // <C x>\n  old\n  // </C x>\nb\n";
        assert_eq!(splice("f", text, "C", "x", "  new\n").unwrap(), text.replace("old", "new"));
        assert!(splice("f", text, "D", "x", "").is_err_and(|e| e.contains("`// <D x>` is missing")));
        assert_eq!(camel("top_n_sigma"), "topNSigma");
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
    }
}
