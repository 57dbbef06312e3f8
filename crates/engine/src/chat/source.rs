//! Rewrites the constructs that minijinja does not parse, before compiling. Line numbers stay.
//!
//! ```text
//! {% generation %} .. {% endgeneration %}   ->   {% with %} .. {% endwith %}
//! ```
//! The block of transformers marks the assistant's part for training; it renders its body in a scope of its own, as
//! `with` does.
//!
//! The scanner knows just enough of the syntax to tell tags from text: comments, raw blocks, strings, and brackets inside
//! expressions.

/// A piece of a template.
#[derive(Debug, PartialEq, Eq)]
enum Piece<'a> {
    /// Text, comments, expressions, and other tags: left alone.
    Other(&'a str),
    /// A `{% .. %}` tag: delimiter with its whitespace mark, inside, delimiter.
    Tag(&'a str, &'a str, &'a str),
}

/// Where the tag or expression that starts before `from` ends: (start, end) of its closing delimiter.
fn find_close(s: &str, from: usize, close: &str) -> Option<(usize, usize)> {
    let bytes = s.as_bytes();
    let mut i = from;
    let mut brackets = 0usize;
    while let Some(&b) = bytes.get(i) {
        let rest = bytes.get(i..).unwrap_or_default();
        if brackets == 0 && rest.starts_with(close.as_bytes()) {
            return Some((i, i + close.len()));
        }
        if brackets == 0 && matches!(b, b'-' | b'+') && rest.get(1..).is_some_and(|r| r.starts_with(close.as_bytes())) {
            return Some((i, i + 1 + close.len()));
        }
        match b {
            b'\'' | b'"' => {
                i += 1;
                while let Some(&c) = bytes.get(i) {
                    match c {
                        b'\\' => i += 1,
                        c if c == b => break,
                        _ => {}
                    }
                    i += 1;
                }
            }
            b'(' | b'[' | b'{' => brackets += 1,
            b')' | b']' | b'}' => brackets = brackets.saturating_sub(1),
            _ => {}
        }
        i += 1;
    }
    None
}

/// Cuts a template into pieces; whatever is not closed is left to the parser's error message.
fn pieces(source: &str) -> Vec<Piece<'_>> {
    let mut out = Vec::new();
    let mut at = 0;
    // Start of text that is not in `out` yet.
    let mut kept = 0;
    while let Some(open) = source.get(at..).and_then(|s| s.find('{')).map(|i| i + at) {
        let rest = source.get(open..).unwrap_or_default();
        if rest.starts_with("{#") {
            let Some(end) = rest.find("#}") else { break };
            at = open + end + 2;
        } else if rest.starts_with("{{") {
            let Some((_, end)) = find_close(source, open + 2, "}}") else { break };
            at = end;
        } else if rest.starts_with("{%") {
            let mark = usize::from(matches!(rest.as_bytes().get(2), Some(b'-' | b'+')));
            let inside = open + 2 + mark;
            let Some((close, end)) = find_close(source, inside, "%}") else { break };
            let (Some(before), Some(head), Some(body), Some(tail)) = (
                source.get(kept..open),
                source.get(open..inside),
                source.get(inside..close),
                source.get(close..end),
            ) else {
                break;
            };
            if !before.is_empty() {
                out.push(Piece::Other(before));
            }
            out.push(Piece::Tag(head, body, tail));
            (at, kept) = (end, end);
            if body.trim() == "raw" {
                let Some(end) = end_of_raw(source, end) else { break };
                at = end;
            }
        } else {
            at = open + 1;
        }
    }
    if let Some(rest) = source.get(kept..).filter(|r| !r.is_empty()) {
        out.push(Piece::Other(rest));
    }
    out
}

/// Where `{% endraw` starts.
fn end_of_raw(source: &str, from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        let open = source.get(at..)?.find("{%")? + at;
        let inside = source.get(open + 2..)?.trim_start_matches(['-', '+']).trim_start();
        if inside.starts_with("endraw") {
            return Some(open);
        }
        at = open + 2;
    }
}

/// The template as minijinja can parse it.
pub(super) fn rewrite(source: &str) -> String {
    let mut out = String::with_capacity(source.len() + 64);
    for piece in pieces(source) {
        match piece {
            Piece::Other(text) => out.push_str(text),
            Piece::Tag(head, body, tail) => {
                out.push_str(head);
                match body.trim() {
                    "generation" => out.push_str(&body.replacen("generation", "with", 1)),
                    "endgeneration" => out.push_str(&body.replacen("endgeneration", "endwith", 1)),
                    _ => out.push_str(body),
                }
                out.push_str(tail);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tags_change() {
        let cases = [
            ("a{%- generation -%}b{% endgeneration %}c", "a{%- with -%}b{% endwith %}c"),
            ("{# {% generation %} #}{{ '{% generation %}' }}", "{# {% generation %} #}{{ '{% generation %}' }}"),
            ("{% raw %}{% generation %}{% endraw %}{% generation\n%}", "{% raw %}{% generation %}{% endraw %}{% with\n%}"),
            ("{{ {'a': {'%}': 1}} }}{% generation %}", "{{ {'a': {'%}': 1}} }}{% with %}"),
            ("{% if x == '%}' %}{% generation %}é", "{% if x == '%}' %}{% with %}é"),
            ("{ {x} {{ unclosed", "{ {x} {{ unclosed"),
            ("{% set generation = 1 %}{{ generation }}", "{% set generation = 1 %}{{ generation }}"),
            ("{% raw %}", "{% raw %}"),
        ];
        for (source, expect) in cases {
            assert_eq!(rewrite(source), expect);
        }
    }
}
