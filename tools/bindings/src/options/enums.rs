//! Generates the enums of the C header that Java and Dart have too: the events of a turn, and the reasons why it ends.

use super::{camel, java, wrap};
use crate::dart::header::{Enum, Header};
use happy_tool_kit::Result;

/// The enums in C, and the files and marked parts with their values.
pub(super) const FILES: &[(&str, &str, &str)] = &[
    ("HappyEventKind", "bindings/android/src/main/java/dev/happyllm/HappyEvent.java", "HappyEvent"),
    ("HappyFinishReason", "bindings/android/src/main/java/dev/happyllm/HappyFinish.java", "HappyFinish"),
    ("HappyPooling", "bindings/android/src/main/java/dev/happyllm/HappyEmbedOptions.java", "HappyPooling"),
    ("HappyPooling", "bindings/flutter/lib/src/values.dart", "HappyPooling"),
    ("HappyFinishReason", "bindings/flutter/lib/src/values.dart", "HappyFinishReason"),
    ("HappyTrimLevel", "bindings/android/src/main/java/dev/happyllm/HappySession.java", "HappyTrimLevel"),
    ("HappyTrimLevel", "bindings/flutter/lib/src/values.dart", "HappyTrimLevel"),
];

/// Returns the values of an enum, in the language of a file.
pub(super) fn values(header: &Header, name: &str, file: &str) -> Result<String> {
    let found = header.enums.iter().find(|item| item.name == name);
    let item = found.ok_or_else(|| format!("{file}: the C header has no enum {name}"))?;
    let mut out = String::new();
    for (place, value) in item.values.iter().enumerate() {
        let short = &value.name[prefix(item).len()..];
        let about = value.doc.join(" ");
        if file.ends_with(".dart") {
            out += if place > 0 { "\n" } else { "" };
            wrap(&about, 116).iter().for_each(|line| out += &format!("  /// {line}\n"));
            let dart = camel(&short.to_lowercase());
            out += &format!("  {dart}(c.{name}.{}),\n", value.name);
            continue;
        }
        // Java uses a value as an index in the list.
        if usize::try_from(value.value) != Ok(place) {
            return Err(format!("{} is {}, expected {place}: Java counts from 0", value.name, value.value));
        }
        java::comment(&mut out, 8, &about);
        out += &format!("        {short},\n");
    }
    Ok(out)
}

/// Returns the common prefix of the names of all values, up to a `_`.
fn prefix(item: &Enum) -> &str {
    let Some((first, rest)) = item.values.split_first() else { return "" };
    let common = |len: &usize| rest.iter().all(|value| value.name.starts_with(&first.name[..*len]));
    let mut ends = first.name.rmatch_indices('_').map(|(at, _)| at + 1);
    &first.name[..ends.find(common).unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An event of a kind that Dart's `readEvent` does not know would never reach an app.
    #[test]
    fn dart_reads_every_kind_of_event() {
        let text = super::super::read("bindings/flutter/lib/src/events.dart").unwrap();
        let header = crate::dart::header().unwrap();
        let item = header.enums.iter().find(|item| item.name == "HappyEventKind").unwrap();
        let missing: Vec<_> = (item.values.iter().map(|value| format!("c.HappyEventKind.{} =>", value.name)))
            .filter(|arm| !text.contains(arm))
            .collect();
        assert!(missing.is_empty(), "{missing:?}");
    }

    #[test]
    fn values_by_language() {
        let text = "/**\n * Two\n * lines of `x`.\n */\nenum HappyE {\n  /**\n   * One.\n   */\n  HAPPY_E_A_B = 0,\n\
                    \x20 /**\n   * Of `x`.\n   */\n  HAPPY_E_C = 1,\n};\ntypedef int32_t HappyE;\n";
        let header = crate::dart::header::parse(text).unwrap();
        let java = "        /** One. */\n        A_B,\n        /** Of {@code x}. */\n        C,\n";
        assert_eq!(values(&header, "HappyE", "E.java").unwrap(), java);
        let dart = "  /// One.\n  aB(c.HappyE.HAPPY_E_A_B),\n\n  /// Of `x`.\n  c(c.HappyE.HAPPY_E_C),\n";
        assert_eq!(values(&header, "HappyE", "e.dart").unwrap(), dart);
        let gap = crate::dart::header::parse(&text.replace("= 1", "= 2")).unwrap();
        assert!(values(&gap, "HappyE", "E.java").is_err_and(|e| e.contains("HAPPY_E_C is 2, expected 1")));
        assert!(values(&gap, "HappyF", "E.java").is_err_and(|e| e.contains("no enum HappyF")));
    }
}
