//! Generates Dart's option classes: the parameters of the constructor, the fields, and the code that writes them to the
//! C struct.

use super::list::{Group, Row};
use super::{SPELLINGS, about, camel, is_flag, wrap};
use happy_tool_kit::Result;

/// The files with option classes, and their classes.
pub(super) const FILES: &[(&str, &[&str])] = &[
    (
        "bindings/flutter/lib/src/options.dart",
        &["HappyLoadOptions", "HappySessionOptions", "HappyGenerateOptions", "HappyEmbedOptions"],
    ),
    ("bindings/flutter/lib/src/sampler.dart", &["HappySamplerOptions"]),
];

/// Names that are spelled out in Dart.
const NAMES: &[(&str, &str)] = &[("isa", "instructionSet"), ("template_vars", "templateVariables")];

/// Options that Dart's calls pass themselves.
const LEFT_OUT: &[&str] = &["raw"];

/// The parts of a class, by the names of their markers.
pub(super) fn parts(group: &Group) -> Result<[(&'static str, String); 3]> {
    let (mut constructor, mut fields, mut native) = (String::new(), String::new(), String::new());
    for row in group.rows.iter().filter(|row| !LEFT_OUT.contains(&row.name.as_str())) {
        let Some((ty, default, write)) = form(row)? else { continue };
        let name = name(row);
        constructor += &match default {
            "" => format!("    this.{name},\n"),
            default => format!("    this.{name} = {default},\n"),
        };
        let separator = if fields.is_empty() { "" } else { "\n" };
        let text = SPELLINGS
            .iter()
            .fold(about(row), |text, (c, _, dart)| text.replace(&format!("`{c}`"), &format!("[{dart}]")));
        let text = text.replace("this many milliseconds have passed", "this much time has passed");
        let comment: String = wrap(&text, 116).iter().map(|line| format!("  /// {line}\n")).collect();
        fields += &format!("{separator}{comment}  final {ty} {name};\n");
        let count = row.count.as_deref().unwrap_or_default();
        let lines = write.replace("FIELD", &row.name).replace("COUNT", count).replace("NAME", &name);
        lines.lines().for_each(|line| native += &format!("    {line}\n"));
    }
    Ok([("constructor", constructor), ("fields", fields), ("native", native)])
}

/// Returns type, default and writer of an option, or `None` for an option that the calls pass themselves.
fn form(row: &Row) -> Result<Option<(&'static str, &'static str, &'static str)>> {
    let number = "it.FIELD = NAME ?? it.FIELD;";
    let list = "it.FIELD = encodeAll(NAME, allocator);\nit.COUNT = NAME.length;";
    Ok(Some(match row.kind.as_str() {
        "Reserved" | "Cancel" | "Progress" | "Pointer" => return Ok(None),
        "Count" | "CountOrNone" | "CountOrDefault" | "Mirostat" | "Bytes" | "Size" | "Seed" => {
            ("int?", "", number)
        }
        "Number" | "NumberOrNone" => ("double?", "", number),
        kind if is_flag(kind) => ("bool", "false", "it.FIELD = NAME ? 1 : 0;"),
        // Two frames, so that the screen is not redrawn for each token.
        "Millis" => ("Duration", "const Duration(milliseconds: 33)", "it.FIELD = NAME.inMilliseconds;"),
        "Pooling" => ("HappyPooling?", "", "it.FIELD = NAME?.code ?? it.FIELD;"),
        "KvType" => ("HappyKvType?", "", "it.FIELD = NAME?.code ?? it.FIELD;"),
        "Text" | "InstructionSet" | "Grammar" | "JsonSchema" | "Choice" | "Policy" | "Governor"
        | "FileKey" | "Steps" => {
            let write = "final NAME = this.NAME;\nif (NAME != null) setText(it.FIELD, NAME, allocator);";
            ("String?", "", write)
        }
        "JsonArray" => {
            let write = "if (NAME.isNotEmpty) setText(it.FIELD, jsonEncode(NAME), allocator);";
            ("List<Map<String, Object?>>", "const []", write)
        }
        "JsonObject" => {
            let write = "if (NAME.isNotEmpty) setText(it.FIELD, jsonEncode(NAME), allocator);";
            ("Map<String, Object?>", "const {}", write)
        }
        "Texts" | "TextsOrNone" | "Adapters" => ("List<String>", "const []", list),
        "Sampler" => ("HappySamplerOptions?", "", ""),
        "Biases" => {
            let write = "it.FIELD = encodeBiases(NAME, allocator);\nit.COUNT = NAME.length;";
            ("Map<int, double>", "const {}", write)
        }
        other => return Err(format!("option {}: kind `{other}` has no form in Dart: add it here", row.name)),
    }))
}

fn name(row: &Row) -> String {
    match NAMES.iter().find(|(c, _)| *c == row.name) {
        Some((_, dart)) => (*dart).to_owned(),
        None if row.kind == "Millis" => camel(row.name.trim_end_matches("_ms")),
        None => camel(&row.name),
    }
}
