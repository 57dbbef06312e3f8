//! Reads the list of options, line by line.

use super::{camel, read as text_of, wrap};
use happy_tool_kit::{Result, paths};
use std::fmt::Write;

/// The file that declares the options, from the root.
const LIST: &str = "crates/ffi/src/capi/options/list.rs";

/// The files that declare the parameters of samplers and the names of their steps.
const PARAMETERS: &[&str] = &["crates/sampler/src/steps", "crates/sampler/src/pick"];
const STEPS: &str = "crates/sampler/src/table.rs";

/// Kinds of values and their types in C, as cbindgen reads them.
const KINDS: &[(&str, &str)] = &[
    ("Count", "u32"),
    ("CountOrNone", "u32"),
    ("CountOrDefault", "u32"),
    ("Bytes", "u64"),
    ("Size", "u64"),
    ("Embeddings", "u32"),
    ("Truncate", "u32"),
    ("Pooling", "i32"),
    ("Millis", "u32"),
    ("Number", "f32"),
    ("NumberOrNone", "f32"),
    ("Flag", "u32"),
    ("Not", "u32"),
    ("Mirostat", "u32"),
    ("Seed", "u64"),
    ("KvType", "i32"),
    ("Reserved", "u32"),
    ("Text", "HappyText"),
    ("InstructionSet", "HappyText"),
    ("Grammar", "HappyText"),
    ("JsonSchema", "HappyText"),
    ("Choice", "HappyText"),
    ("Policy", "HappyText"),
    ("Governor", "HappyText"),
    ("FileKey", "HappyText"),
    ("JsonArray", "HappyText"),
    ("JsonObject", "HappyText"),
    ("Steps", "HappyText"),
    ("Texts", "*const HappyText"),
    ("TextsOrNone", "*const HappyText"),
    ("Adapters", "*const HappyText"),
    ("Biases", "*const HappyLogitBias"),
    ("Sampler", "*const HappySampler"),
    ("Cancel", "*const HappyCancel"),
    ("Progress", "HappyProgress"),
    ("Pointer", "*mut c_void"),
];

/// A struct of options.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) about: String,
    pub(super) name: String,
    pub(super) rows: Vec<Row>,
}

/// An option.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) about: String,
    /// The name of the field in C and of the key in JSON.
    pub(super) name: String,
    /// The name of the field with a list's length.
    pub(super) count: Option<String>,
    pub(super) kind: String,
}

/// Reads the list, with the descriptions of samplers' parameters.
pub(super) fn read() -> Result<Vec<Group>> {
    let mut parameters = Vec::new();
    for folder in PARAMETERS {
        let entries = std::fs::read_dir(paths::root().join(folder))
            .map_err(|e| format!("cannot read {folder}: {e}"))?;
        for entry in entries {
            let path = entry.map_err(|e| format!("cannot read {folder}: {e}"))?.path();
            let text = std::fs::read_to_string(&path)
                .map_err(|e| format!("cannot read {}: {e}", paths::short(&path)))?;
            parameters.extend(parameters_of(&text));
        }
    }
    let steps = steps_of(&text_of(STEPS)?).join(", ");
    parse(&text_of(LIST)?, &parameters, &steps).map_err(|what| format!("{LIST}:{what}"))
}

/// Returns the parameters that a source file of happy-sampler declares with `parameters!`: `TopP.p` and its
/// description.
fn parameters_of(text: &str) -> Vec<(String, String)> {
    let (mut found, mut about, mut name) = (Vec::new(), String::new(), "");
    let mut inside = false;
    for line in text.lines() {
        inside = (inside || line == "parameters! {") && line != "}";
        let line = line.trim();
        if !inside {
            continue;
        } else if let Some(more) = line.strip_prefix("///") {
            about += more;
            continue;
        } else if let Some(rest) = line.strip_prefix("pub struct ") {
            name = rest.trim_end_matches(" {");
        } else if let Some((field, _)) = line.strip_prefix("pub ").and_then(|rest| rest.split_once(':')) {
            found.push((format!("{name}.{field}"), about.trim().to_owned()));
        }
        about.clear();
    }
    found
}

/// Returns the names of sampling steps in order: the first text of each row of the table, and the two that have no row.
fn steps_of(text: &str) -> Vec<String> {
    let rows = text.lines().skip_while(|line| *line != "steps! {").take_while(|line| *line != "}");
    let row = |line: &str| {
        let (_, name) = line.trim().strip_suffix(';')?.split_once(": \"")?;
        name.split('"').next().map(str::to_owned)
    };
    rows.filter_map(row).chain(["infill".to_owned(), "adaptive_p".to_owned()]).collect()
}

fn parse(text: &str, parameters: &[(String, String)], steps: &str) -> Result<Vec<Group>> {
    let mut groups: Vec<Group> = Vec::new();
    let mut about = String::new();
    let lines = text.lines().enumerate().skip_while(|(_, line)| *line != "options! {").skip(1);
    for (index, line) in lines.take_while(|(_, line)| *line != "}") {
        let wrong = |what: &str| format!("{}: {what}", index + 1);
        let line = line.trim();
        if let Some(more) = line.strip_prefix("///") {
            about += more;
            continue;
        }
        let said = std::mem::take(&mut about).trim().replace("{samplers}", steps);
        if let Some(rest) = line.strip_prefix("struct ") {
            let name = rest.split(' ').next().unwrap_or_default().to_owned();
            groups.push(Group { about: said, name, rows: Vec::new() });
        } else if let Some(row) = line.strip_suffix(';') {
            let (names, rest) =
                row.split_once(": ").ok_or_else(|| wrong("expected `name: Kind => path;`"))?;
            let (kind, path) = rest.split_once(" => ").unwrap_or((rest, ""));
            let mut names = names.split(", ").map(str::to_owned);
            let name = names.next().unwrap_or_default();
            let about = match (said, parameter(path, parameters)) {
                (said, None) if said.is_empty() => {
                    return Err(wrong(&format!(
                        "`{name}` has no description, and {path:?} is not a parameter"
                    )));
                }
                (said, Some(about)) if said.is_empty() => about,
                (said, _) => said,
            };
            let row = Row { about, name, count: names.next(), kind: kind.to_owned() };
            groups.last_mut().ok_or_else(|| wrong("an option outside of a struct"))?.rows.push(row);
        } else if !matches!(line, "" | "first {" | "later {" | "later {}" | "}") {
            return Err(wrong(&format!("expected a struct, a row or a block, found {line:?}")));
        }
    }
    Ok(groups)
}

/// Returns the description of the sampler's parameter at a path like `params.top_n_sigma.n`.
fn parameter(path: &str, parameters: &[(String, String)]) -> Option<String> {
    let (step, parameter) = path.strip_prefix("params.")?.split_once('.')?;
    let name = format!("{}.{parameter}", camel(&format!("_{step}")));
    parameters.iter().find(|(known, _)| *known == name).map(|(_, about)| about.clone())
}

/// Returns the groups as plain structs.
pub(super) fn plain(groups: &[Group]) -> Result<String> {
    let mut out = String::new();
    let mut line = |indent: &str, text: &str| {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{indent}{text}");
    };
    for group in groups {
        wrap(&group.about, 116).iter().for_each(|text| line("", &format!("/// {text}")));
        line("", &format!("#[repr(C)]\npub struct {} {{", group.name));
        line("    ", &format!("/// `sizeof({})`.", group.name));
        line("    ", "pub size: u32,");
        for row in &group.rows {
            let c = KINDS.iter().find(|(kind, _)| *kind == row.kind).map(|(_, c)| c);
            let c = c.ok_or_else(|| format!("{LIST}: unknown kind `{}`: add its type to KINDS", row.kind))?;
            wrap(&row.about, 114).iter().for_each(|text| line("    ", &format!("/// {text}")));
            line("    ", &format!("pub {}: {c},", row.name));
            if let Some(count) = &row.count {
                line("    ", "/// Number of elements.");
                line("    ", &format!("pub {count}: usize,"));
            }
        }
        line("", "}");
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_descriptions() {
        let source = "parameters! {\n    /// A step.\n    pub struct TopP {\n        /// Keep\n        /// some.\n        pub p: f32 = 0.5 => x(y),\n    }\n}\n/// No parameter.\npub q: f32,\n";
        let parameters = parameters_of(source);
        assert_eq!(parameters, [("TopP.p".to_owned(), "Keep some.".to_owned())]);
        let steps = steps_of(
            "steps! {\n    default {\n        /// A.\n        TopP top_p: \"top_p\" | \"nucleus\";\n    }\n}\n",
        );
        assert_eq!(steps, ["top_p", "infill", "adaptive_p"]);
        let list = "options! {\n    /// How.\n    struct Opts for S {\n        first {\n            top_p: Number => params.top_p.p;\n            /// Texts: {samplers}.\n            stop, n_stop: Texts => stop;\n        }\n        later {}\n    }\n}\n";
        let groups = parse(list, &parameters, "a, b").unwrap();
        let expected = "/// How.\n#[repr(C)]\npub struct Opts {\n    /// `sizeof(Opts)`.\n    pub size: u32,\n    /// Keep some.\n    pub top_p: f32,\n    /// Texts: a, b.\n    pub stop: *const HappyText,\n    /// Number of elements.\n    pub n_stop: usize,\n}\n";
        assert_eq!(plain(&groups).unwrap(), expected);
        for (row, what) in [
            ("x: Number;", "2: `x` has no description"),
            ("x Number;", "2: expected `name:"),
            ("x", "2: expected a struct"),
        ] {
            let error = parse(&format!("options! {{\n{row}\n}}\n"), &[], "").unwrap_err();
            assert!(error.starts_with(what), "{row}: {error}");
        }
    }
}
