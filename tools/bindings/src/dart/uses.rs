//! Checks that the hand-written Dart uses the generated bindings correctly, since no Dart compiler is available to do
//! so.
//!
//! ```text
//! .happy_NAME(a, b)     a function of the bindings, with as many arguments as it has parameters
//! HAPPY_NAME            a constant of the bindings
//! .ref.NAME, .two_words  a field of one of the structs: Dart's own names have no `_` inside, but for `Icons.two_words`
//! ```

use super::read::Dart;

/// Returns what is wrong in a file, as `line N: ..`.
pub(super) fn faults(dart: &Dart, text: &str) -> Vec<String> {
    let code = blanked(text);
    let mut found = Vec::new();
    for (at, name) in words(&code) {
        let before = &code[..at];
        let is_member = before.ends_with('.') && !before.ends_with("Icons.");
        let is_c =
            name.trim_start_matches('_').contains('_') && name.starts_with(|c: char| c.is_ascii_lowercase());
        let fault = if name.starts_with("happy_") && is_member {
            match (dart.functions.iter().find(|f| f.name == name), arguments(&code[at + name.len()..])) {
                (None, _) => Some(format!("the bindings have no function {name}")),
                (Some(f), Some(count)) if count != f.parameters.len() => {
                    Some(format!("{name} is called with {count} arguments, expected {}", f.parameters.len()))
                }
                _ => None,
            }
        } else if before.ends_with(".ref.") || (is_member && is_c) {
            let known = dart.structs.iter().flat_map(|item| &item.fields).any(|field| field.name == name);
            (!known).then(|| format!("no struct of the bindings has a field {name}"))
        } else if name.starts_with("HAPPY_") {
            let known = dart.constants.iter().any(|constant| constant == name);
            (!known).then(|| format!("the bindings have no constant {name}"))
        } else {
            None
        };
        let line = before.matches('\n').count() + 1;
        found.extend(fault.map(|fault| format!("line {line}: {fault}")));
    }
    found
}

/// Returns the names in `code` and where they begin.
fn words(code: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    code.split(move |c: char| !is_part(c))
        .filter(|word| !word.is_empty())
        .map(move |word| (word.as_ptr() as usize - code.as_ptr() as usize, word))
}

/// Returns the number of arguments in the brackets with which `code` begins, if it does.
fn arguments(code: &str) -> Option<usize> {
    let (mut depth, mut count, mut pending) = (0usize, 0, false);
    for c in code.chars() {
        match c {
            '(' | '[' | '{' => (depth, pending) = (depth + 1, pending || depth > 0),
            ')' | ']' | '}' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(count + usize::from(pending));
                }
            }
            _ if depth == 0 => return None,
            ',' if depth == 1 => (count, pending) = (count + 1, false),
            c => pending |= !c.is_whitespace(),
        }
    }
    None
}

/// Returns `text` with comments and the contents of strings replaced by spaces. Line breaks stay.
fn blanked(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let end = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if c == '\'' || c == '"' {
            let mut escaped = false;
            let close = rest.char_indices().skip(1).find(|(_, d)| {
                let closes = *d == c && !escaped;
                escaped = *d == '\\' && !escaped;
                closes
            });
            close.map_or(rest.len(), |(at, _)| at + 1)
        } else {
            out.push(c);
            rest = &rest[c.len_utf8()..];
            continue;
        };
        // A string still counts as an argument.
        out.extend(rest[..end].chars().map(|d| {
            if d == '\n' {
                '\n'
            } else if rest.starts_with("//") {
                ' '
            } else {
                '_'
            }
        }));
        rest = &rest[end..];
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::read::read;
    use super::*;

    #[test]
    fn wrong_uses_are_found() {
        let dart = read(
            "final class A extends ffi.Struct {\n@ffi.Size()\nexternal int len;\n}\nconst int HAPPY_A = 1;\n\
             late final int Function(int a, int b) happy_f = library.lookupFunction<\nffi.Int32 Function(ffi.Size a, ffi.Size b),\nint Function(int a, int b)>('happy_f');\n",
        )
        .unwrap();
        let cases: &[(&str, &[&str])] = &[
            ("c.happy_f(g(1, 2), [3, 4]);", &[]),
            ("c.happy_f(1, 'a, b',);", &[]),
            ("final f = c.happy_f; // c.happy_g()", &[]),
            ("lookup('happy_f'); p.ref.len = HAPPY_A; import 'happy_x.dart';", &[]),
            ("\nc.happy_f(1);", &["line 2: happy_f is called with 1 arguments, expected 2"]),
            ("c.happy_f();", &["line 1: happy_f is called with 0 arguments, expected 2"]),
            ("c.happy_g(1);", &["line 1: the bindings have no function happy_g"]),
            ("c.HappyStatus.HAPPY_B;", &["line 1: the bindings have no constant HAPPY_B"]),
            ("p.ref.length = 1; // p.ref.x", &["line 1: no struct of the bindings has a field length"]),
            (
                "plan.kv_bytes; Icons.two_words; a._own; const A_B = 1;",
                &["line 1: no struct of the bindings has a field kv_bytes"],
            ),
        ];
        let failures: Vec<String> = cases
            .iter()
            .filter(|(text, expected)| faults(&dart, text) != **expected)
            .map(|(text, expected)| {
                format!("{text:?}: expected {expected:?}, found {:?}", faults(&dart, text))
            })
            .collect();
        assert!(failures.is_empty(), "{failures:#?}");
    }
}
