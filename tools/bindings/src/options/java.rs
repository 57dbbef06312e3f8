//! Generates the setters of Java's option classes.

use super::list::{Group, Row};
use super::{SPELLINGS, about, camel, is_flag, wrap};
use happy_tool_kit::Result;
use std::fmt::Write;

/// Returns the setters of a group.
pub(super) fn setters(group: &Group) -> Result<String> {
    let mut out = String::new();
    for row in &group.rows {
        let (class, key, name) = (&group.name, &row.name, name(row));
        let (parameters, body) = match row.kind.as_str() {
            // Java passes these separately from the options.
            "Reserved" | "Cancel" | "Progress" | "Pointer" => continue,
            "Count" | "CountOrNone" | "CountOrDefault" | "Millis" | "Mirostat" => {
                ("int value", "value".into())
            }
            "Bytes" | "Size" | "Seed" => ("long value", "value".into()),
            "Number" | "NumberOrNone" => ("float value", "value".into()),
            kind if is_flag(kind) => ("boolean value", "value".into()),
            "Text" | "InstructionSet" | "Grammar" | "JsonSchema" | "Choice" | "Policy" | "Governor"
            | "FileKey" | "JsonArray" | "JsonObject" | "Steps" => {
                ("String value", format!("Text.text(\"{name}\", value)"))
            }
            "Texts" | "TextsOrNone" | "Adapters" => {
                ("String... values", format!("Text.texts(\"{name}\", values)"))
            }
            "Pooling" => ("Pooling value", "value.name().toLowerCase(Locale.ROOT)".into()),
            "KvType" => ("KvType value", "value.name().toLowerCase(Locale.ROOT)".into()),
            "Sampler" => ("HappySamplerOptions value", "value.json()".into()),
            "Biases" => ("int token, float value", "biases".into()),
            other => return Err(format!("option {key}: kind `{other}` has no form in Java: add it here")),
        };
        if !out.is_empty() {
            out.push('\n');
        }
        comment(&mut out, 4, &about(row));
        // Writing to a String cannot fail.
        let _ = writeln!(out, "    public {class} {name}({parameters}) {{");
        if row.kind == "Biases" {
            out += "        biases.put(token, value);\n";
        }
        let _ = writeln!(out, "        json.put(\"{key}\", {body});\n        return this;\n    }}");
    }
    Ok(out)
}

fn name(row: &Row) -> String {
    match row.kind.as_str() {
        "Millis" => camel(&row.name.replace("_ms", "_millis")),
        "Biases" => "bias".to_owned(),
        _ => camel(&row.name),
    }
}

/// Writes a comment, indented by `indent` columns.
pub(super) fn comment(out: &mut String, indent: usize, text: &str) {
    let pad = " ".repeat(indent);
    let text = SPELLINGS.iter().fold(text.to_owned(), |text, (c, java, _)| {
        text.replace(&format!("`{c}`"), &format!("{{@link {java}}}"))
    });
    // Every second part is between backticks.
    let parts = text.split('`').enumerate();
    let text: String = parts
        .map(|(i, part)| if i % 2 == 1 { format!("{{@code {part}}}") } else { part.to_owned() })
        .collect();
    let lines = wrap(&text, 120 - indent);
    match lines.as_slice() {
        [line] if line.len() <= 114 - indent => *out += &format!("{pad}/** {line} */\n"),
        lines => {
            *out += &format!("{pad}/**\n");
            lines.iter().for_each(|line| *out += &format!("{pad} * {line}\n"));
            *out += &format!("{pad} */\n");
        }
    }
}
