//! `cargo xtask header`: generates the C header of `crates/ffi` from its sources with cbindgen. `--check` only compares
//! it.

use happy_tool_kit::{Result, paths};
use std::path::PathBuf;

/// Arguments of `header`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Fail if the header in the repository is not what the sources give, instead of writing it
    #[arg(long)]
    check: bool,
}

/// The path of the header, from the root.
const HEADER: &str = "crates/ffi/include/happy.h";

/// The sources from which it is generated, in order and without `.rs`. None of them has submodules, which would be
/// included twice.
const SOURCES: &[&str] = &[
    "status",
    "log_level",
    "capi/types",
    "capi/error",
    "capi/library",
    "capi/load",
    "capi/text",
    "capi/sampler",
    "capi/session",
    "capi/saved",
    "capi/turn",
    "capi/embed",
    "capi/verify",
];

/// Names of enums in Rust and in C.
const ENUMS: &[(&str, &str)] = &[
    ("Status", "HappyStatus"),
    ("KvType", "HappyKvType"),
    ("LogLevel", "HappyLogLevel"),
    ("EventKind", "HappyEventKind"),
    ("FinishReason", "HappyFinishReason"),
    ("PoolingKind", "HappyPooling"),
    ("TrimLevel", "HappyTrimLevel"),
];

/// Prefixes of enum values as cbindgen writes them, and as C programs use them.
const VALUES: &[(&str, &str)] = &[
    ("HAPPY_STATUS_", "HAPPY_"),
    ("HAPPY_KV_TYPE_", "HAPPY_KV_"),
    ("HAPPY_LOG_LEVEL_", "HAPPY_LOG_"),
    ("HAPPY_EVENT_KIND_", "HAPPY_EVENT_"),
    ("HAPPY_FINISH_REASON_", "HAPPY_FINISH_"),
    ("HAPPY_TRIM_LEVEL_", "HAPPY_TRIM_"),
];

const INTRODUCTION: &str = "\
/* libhappy: language models on the CPU. Made by `cargo xtask header` from crates/ffi/src; do not edit.
 *
 * Every function that can fail returns a HappyStatus and takes a HappyError ** as its last argument, which may be NULL. It
 * receives NULL or an error with a message, which the caller frees. Nothing else is written on failure.
 *
 * Handles are checked: NULL, a handle of another kind or one that was freed gives HAPPY_INVALID_HANDLE.
 * A session is used by one call at a time: others get HAPPY_BUSY, from other threads and from within its own callbacks.
 * An embedder is, too. Models, samplers, embeddings and cancel tokens may be used by any number of threads.
 *
 * Structs of options and results begin with their size, so that programs and libraries of different versions fit together:
 * fill options with their _init function and then set fields; set `size` of results before the call.
 *
 * Text goes in as UTF-8 with its length in bytes, and needs no NUL. Strings and messages that are handed out have a NUL after
 * their length; the texts of events do not.
 */
";

/// Writes or checks the header.
pub(crate) fn run(args: &Args) -> Result<()> {
    let text = generate()?;
    let path = paths::root().join(HEADER);
    if !args.check {
        return std::fs::write(&path, text).map_err(|e| format!("cannot write {HEADER}: {e}"));
    }
    let found = std::fs::read_to_string(&path).map_err(|e| format!("cannot read {HEADER}: {e}"))?;
    let differing = found.lines().zip(text.lines()).position(|(a, b)| a != b);
    match differing.or((found != text).then(|| found.lines().count().min(text.lines().count()))) {
        None => Ok(()),
        Some(line) => Err(format!(
            "{HEADER}:{}: not what the sources give; run `cargo xtask header` and commit the result",
            line + 1
        )),
    }
}

fn generate() -> Result<String> {
    let mut config = cbindgen::Config {
        language: cbindgen::Language::C,
        header: Some(INTRODUCTION.to_owned()),
        include_guard: Some("HAPPY_H".to_owned()),
        cpp_compat: true,
        documentation_style: cbindgen::DocumentationStyle::Doxy,
        style: cbindgen::Style::Both,
        line_length: 110,
        no_includes: true,
        sys_includes: vec!["stddef.h".to_owned(), "stdint.h".to_owned()],
        usize_is_size_t: true,
        ..cbindgen::Config::default()
    };
    config.enumeration.prefix_with_name = true;
    config.enumeration.rename_variants = cbindgen::RenameRule::ScreamingSnakeCase;
    config.export.rename = ENUMS.iter().map(|(rust, c)| ((*rust).to_owned(), (*c).to_owned())).collect();
    // No function refers to these types: their values are passed as plain numbers, so that any number may come in.
    config.export.include = ["KvType", "LogLevel", "EventKind", "FinishReason", "PoolingKind", "TrimLevel"]
        .map(str::to_owned)
        .to_vec();
    let source = |name: &&str| -> PathBuf { paths::root().join(format!("crates/ffi/src/{name}.rs")) };
    let mut builder = cbindgen::Builder::new().with_config(config);
    for path in SOURCES.iter().map(source) {
        builder = builder.with_src(path);
    }
    builder = builder.with_src(crate::options::plain_structs()?);
    let bindings = builder.generate().map_err(|e| format!("cbindgen cannot read crates/ffi/src: {e}"))?;
    let mut bytes = Vec::new();
    bindings.write(&mut bytes);
    let text = String::from_utf8(bytes).map_err(|e| format!("cbindgen wrote no UTF-8: {e}"))?;
    Ok(tidied(&text))
}

/// Returns the text with C's names of enum values, and without the sections for callers in Rust.
fn tidied(text: &str) -> String {
    let mut text = text.to_owned();
    for (rust, c) in VALUES {
        text = text.replace(rust, c);
    }
    let mut out = String::new();
    let mut in_safety = false;
    for line in text.lines() {
        in_safety = (in_safety || line.trim() == "* # Safety") && line.trim() != "*/";
        if in_safety {
            // The blank line before the section is removed, too.
            if line.trim() == "* # Safety" && out.ends_with(" *\n") {
                out.truncate(out.len() - 3);
            }
            continue;
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn safety_sections_are_for_rust() {
        let text =
            "/**\n * Says.\n *\n * # Safety\n * Promise.\n */\nHappyStatus f(void); // HAPPY_STATUS_OK\n";
        assert_eq!(tidied(text), "/**\n * Says.\n */\nHappyStatus f(void); // HAPPY_OK\n");
    }

    #[test]
    fn the_header_is_what_the_sources_give() {
        run(&Args { check: true }).unwrap();
    }
}
