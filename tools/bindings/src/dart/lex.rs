//! Splits the header's text into tokens with their lines: words, numbers, punctuation, doc comments and constants.
//!
//! ```text
//! #if, #ifdef, #ifndef, #else, #endif   followed, as a C compiler of before C23 does; only conditions in CONDITIONS
//! #include <stddef.h>                   passed over: what it declares is known
//! #define NAME VALUE                    a constant
//! /** .. */                             a doc comment, without its stars;  /* .. */ and // .. are passed over
//! ```

use happy_tool_kit::Result;

/// A token and the line that it begins in, from 1.
#[derive(Debug, PartialEq)]
pub(super) struct Token {
    pub(super) line: usize,
    pub(super) kind: Kind,
}

/// The kind of a token.
#[derive(Debug, PartialEq)]
pub(super) enum Kind {
    /// A name or a keyword.
    Word(String),
    /// An integer, as it is written.
    Number(String),
    /// One of `{ } ( ) * , ; = - [ ] :`.
    Mark(char),
    /// A doc comment's lines.
    Doc(Vec<String>),
    /// `#define NAME VALUE`.
    Define(String, String),
}

/// The conditions that cbindgen writes, and whether a C11 compiler takes them. The include guard is not defined yet.
const CONDITIONS: &[(&str, bool)] = &[
    ("ifndef HAPPY_H", true),
    ("ifdef __cplusplus", false),
    ("ifndef __cplusplus", true),
    ("if __STDC_VERSION__ >= 202311L", false),
    ("if defined(__cplusplus) || __STDC_VERSION__ >= 202311L", false),
];

const MARKS: &str = "{}()*,;=-[]:";

/// Returns the tokens of `text`, or an error for text that does not occur in our header.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>> {
    let mut out = Vec::new();
    let mut conditions: Vec<bool> = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((index, line)) = lines.next() {
        let number = index + 1;
        if let Some(directive) = line.trim_start().strip_prefix('#') {
            if let Some(kind) = self::directive(directive, &mut conditions, number)? {
                out.push(Token { line: number, kind });
            }
            continue;
        }
        if conditions.contains(&false) {
            continue;
        }
        let mut rest = line.trim_start();
        while !rest.is_empty() {
            if let Some(comment) = rest.strip_prefix("/*") {
                let (is_doc, comment) = match comment.strip_prefix('*') {
                    Some(doc) => (true, doc),
                    None => (false, comment),
                };
                let mut body = vec![comment.to_owned()];
                // `body` is never empty, and only its last line is checked.
                while !body.last().is_some_and(|last| last.contains("*/")) {
                    let (_, next) = lines.next().ok_or(format!("line {number}: a comment without end"))?;
                    body.push(next.to_owned());
                }
                let last = body.pop().unwrap_or_default();
                let (end, behind) = last.split_once("*/").unwrap_or((&last, ""));
                if !behind.trim().is_empty() {
                    return Err(format!("line {number}: code after a comment"));
                }
                body.push(end.to_owned());
                if is_doc {
                    out.push(Token { line: number, kind: Kind::Doc(doc_lines(&body)) });
                }
                rest = "";
            } else if rest.starts_with("//") {
                rest = "";
            } else {
                let (kind, behind) = word_or_mark(rest).map_err(|what| format!("line {number}: {what}"))?;
                out.push(Token { line: number, kind });
                rest = behind.trim_start();
            }
        }
    }
    match conditions.is_empty() {
        true => Ok(out),
        false => Err(format!("{} #if without #endif at the end", conditions.len())),
    }
}

/// Follows a directive. Returns a constant if it defines one.
fn directive(text: &str, conditions: &mut Vec<bool>, line: usize) -> Result<Option<Kind>> {
    let text = text.split_once("//").map_or(text, |(before, _)| before);
    let text = text.split_once("/*").map_or(text, |(before, _)| before).trim();
    let words: Vec<&str> = text.split_whitespace().collect();
    match words.as_slice() {
        ["if" | "ifdef" | "ifndef", ..] => {
            match CONDITIONS.iter().find(|(known, _)| *known == words.join(" ")) {
                Some((_, value)) => conditions.push(*value),
                None => return Err(format!("line {line}: unknown condition `#{text}`")),
            }
        }
        ["else"] => match conditions.last_mut() {
            Some(last) => *last = !*last,
            None => return Err(format!("line {line}: #else without #if")),
        },
        ["endif"] => {
            conditions.pop().ok_or(format!("line {line}: #endif without #if"))?;
        }
        _ if conditions.contains(&false) => {}
        ["define", "HAPPY_H"] | ["include", "<stddef.h>" | "<stdint.h>"] => {}
        ["define", name, value] if is_word(name) => {
            return Ok(Some(Kind::Define((*name).to_owned(), (*value).to_owned())));
        }
        _ => return Err(format!("line {line}: unknown directive `#{text}`")),
    }
    Ok(None)
}

fn is_word(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !text.starts_with(|c: char| c.is_ascii_digit())
}

fn word_or_mark(text: &str) -> std::result::Result<(Kind, &str), String> {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    if !word.is_empty() {
        let is_number = word.starts_with(|c: char| c.is_ascii_digit());
        let kind = if is_number { Kind::Number } else { Kind::Word };
        return Ok((kind(word.to_owned()), rest));
    }
    let mut chars = text.chars();
    match chars.next() {
        Some(mark) if MARKS.contains(mark) => Ok((Kind::Mark(mark), chars.as_str())),
        _ => Err(format!("cannot read `{text}`")),
    }
}

/// Returns the text of a doc comment, without stars and without empty lines around it.
fn doc_lines(body: &[String]) -> Vec<String> {
    let bare = |line: &String| {
        let line = line.trim();
        line.strip_prefix('*').unwrap_or(line).trim().to_owned()
    };
    let lines: Vec<String> = body.iter().map(bare).collect();
    let first = lines.iter().position(|line| !line.is_empty()).unwrap_or(lines.len());
    let end = lines.iter().rposition(|line| !line.is_empty()).map_or(first, |last| last + 1);
    lines[first..end].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Result<Vec<Kind>> {
        Ok(tokens(text)?.into_iter().map(|token| token.kind).collect())
    }

    #[test]
    fn conditions_are_followed() {
        let text = "#ifndef HAPPY_H\n#define HAPPY_H\n#include <stdint.h>\n#ifdef __cplusplus\nextern \"C\" {\n#else\nint // x\n#endif // y\n#endif /* z */\n";
        assert_eq!(kinds(text), Ok(vec![Kind::Word("int".into())]));
    }

    #[test]
    fn docs_lose_their_stars() {
        let text = "/* none */\n/**\n * One.\n *\n * Two.\n */\n/** Three. */\n#define A 1\n";
        let doc = |lines: &[&str]| Kind::Doc(lines.iter().map(|line| (*line).to_owned()).collect());
        let expected =
            vec![doc(&["One.", "", "Two."]), doc(&["Three."]), Kind::Define("A".into(), "1".into())];
        assert_eq!(kinds(text), Ok(expected));
        assert_eq!(tokens(text).unwrap()[2].line, 8);
    }

    #[test]
    fn what_is_not_known_is_refused_with_its_line() {
        let cases = [
            ("int\n#if X\n#endif\n", "line 2: unknown condition `#if X`"),
            ("#pragma once\n", "line 1: unknown directive"),
            ("#define F(x) x\n", "line 1: unknown directive"),
            ("#include <stdio.h>\n", "line 1: unknown directive"),
            ("#else\n", "line 1: #else without #if"),
            ("#endif\n", "line 1: #endif without #if"),
            ("#ifndef HAPPY_H\n", "1 #if without #endif"),
            ("\n/* open\n", "line 2: a comment without end"),
            ("/* a */ int\n", "line 1: code after a comment"),
            ("int a @ b;\n", "line 1: cannot read `@ b;`"),
        ];
        let failures: Vec<String> = cases
            .iter()
            .filter_map(|(text, expected)| match tokens(text) {
                Err(found) if found.starts_with(expected) => None,
                other => Some(format!("{text:?}: expected {expected}, found {other:?}")),
            })
            .collect();
        assert!(failures.is_empty(), "{failures:#?}");
    }
}
