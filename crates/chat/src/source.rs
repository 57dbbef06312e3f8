//! Rewrites the constructs that minijinja does not parse or treats otherwise, before compiling. Line numbers stay.
//!
//! ```text
//! {% generation %} .. {% endgeneration %}   ->   {% with %} .. {% endwith %}
//! ```
//! The block of transformers marks the assistant's part for training; it renders its body in a scope of its own, as
//! `with` does. What changes inside tags is in `expression.rs` and `guard.rs`.
//!
//! The scanner knows just enough of the syntax to tell tags from text: comments, raw blocks, strings, and brackets inside
//! expressions. It also bounds what the compiler recurses over.

use super::{TemplateError, expression, guard};

/// Largest template, in bytes; the largest that are known have 15 KB.
const MAX_BYTES: usize = 512 * 1024;
/// Most `{% .. %}` tags: a chain of `elif` nests in the compiler.
const MAX_TAGS: usize = 20_000;

/// A piece of a template.
enum Piece<'a> {
    /// Text, comments, raw blocks: left alone.
    Other(&'a str),
    /// A `{% .. %}` tag: delimiter with its whitespace mark, inside, delimiter.
    Tag(&'a str, &'a str, &'a str),
    /// A `{{ .. }}` expression, likewise.
    Output(&'a str, &'a str, &'a str),
}

/// Where the tag or expression that is open at `from` ends: (start, end) of its closing delimiter.
fn find_close(s: &str, from: usize, close: &str) -> Option<(usize, usize)> {
    let bytes = s.as_bytes();
    let mut i = from;
    let mut brackets = 0usize;
    while let Some(&b) = bytes.get(i) {
        let closes = |at: usize| bytes.get(at..).is_some_and(|r| r.starts_with(close.as_bytes()));
        // `%}` ends a tag also inside brackets that are still open: a syntax error for the parser to name.
        if (brackets == 0 || close == "%}") && closes(i) {
            return Some((i, i + close.len()));
        }
        if brackets == 0 && matches!(b, b'-' | b'+') && closes(i + 1) {
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
        let is_tag = rest.starts_with("{%");
        if rest.starts_with("{#") {
            let Some(end) = rest.find("#}") else { break };
            at = open + end + 2;
        } else if is_tag || rest.starts_with("{{") {
            let mark = usize::from(matches!(rest.as_bytes().get(2), Some(b'-' | b'+')));
            let inside = open + 2 + mark;
            let Some((close, end)) = find_close(source, inside, if is_tag { "%}" } else { "}}" }) else {
                break;
            };
            let parts = (source.get(open..inside), source.get(inside..close), source.get(close..end));
            let (Some(before), (Some(head), Some(body), Some(tail))) = (source.get(kept..open), parts) else {
                break;
            };
            if !before.is_empty() {
                out.push(Piece::Other(before));
            }
            out.push(if is_tag { Piece::Tag(head, body, tail) } else { Piece::Output(head, body, tail) });
            (at, kept) = (end, end);
            if is_tag && body.trim() == "raw" {
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
///
/// # Errors
/// If the template is larger than any that is meant to be rendered.
pub(super) fn rewrite(source: &str) -> Result<String, TemplateError> {
    let too_large = |line: usize, message: String| Err(TemplateError::Syntax { line, message });
    if source.len() > MAX_BYTES {
        return too_large(
            1,
            format!("the template has {} bytes, at most {MAX_BYTES} are allowed", source.len()),
        );
    }
    let mut out = String::with_capacity(source.len() + 64);
    let mut tags = 0;
    for piece in pieces(source) {
        let (head, body, tail) = match piece {
            Piece::Other(text) => {
                out.push_str(text);
                continue;
            }
            Piece::Tag(head, body, tail) | Piece::Output(head, body, tail) => (head, body, tail),
        };
        let line = || out.matches('\n').count() + 1;
        let count = expression::count(body);
        if count > expression::MAX_TOKENS {
            let most = expression::MAX_TOKENS;
            return too_large(
                line(),
                format!("an expression has {count} tokens, at most {most} are allowed"),
            );
        }
        tags += usize::from(matches!(piece, Piece::Tag(..)));
        if tags > MAX_TAGS {
            return too_large(line(), format!("the template has more than {MAX_TAGS} tags"));
        }
        out.push_str(head);
        match (&piece, body.trim()) {
            (Piece::Tag(..), "generation") => out.push_str(&body.replacen("generation", "with", 1)),
            (Piece::Tag(..), "endgeneration") => out.push_str(&body.replacen("endgeneration", "endwith", 1)),
            (Piece::Tag(..), _) => out.push_str(&guard::guarded(&expression::tag(body))),
            _ => out.push_str(&guard::guarded(&expression::output(body))),
        }
        out.push_str(tail);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tags_change() {
        let cases = [
            ("a{%- generation -%}b{% endgeneration %}c", "a{%- with -%}b{% endwith %}c"),
            (
                "{# {% generation %} #}{{ '{% generation %}' }}",
                "{# {% generation %} #}{{ '{% generation %}' }}",
            ),
            (
                "{% raw %}{% generation %}{% endraw %}{% generation\n%}",
                "{% raw %}{% generation %}{% endraw %}{% with\n%}",
            ),
            ("{{ {'a': {'%}': 1}} }}{% generation %}", "{{ {'a': {'%}': 1}} }}{% with %}"),
            ("{% if x == '%}' %}{% generation %}é", "{% if x == '%}' %}{% with %}é"),
            ("{ {x} {{ unclosed", "{ {x} {{ unclosed"),
            ("{% set generation = 1 %}{{ generation }}", "{% set generation = 1 %}{{ generation }}"),
            ("{% raw %}", "{% raw %}"),
            ("{{+n}}{{ +n -}}", "{{+n}}{{  n -}}"),
            ("a +b[] {{- a[] -}}", "a +b[] {{- a[none] -}}"),
        ];
        for (source, expect) in cases {
            assert_eq!(rewrite(source).unwrap(), expect);
        }
    }
}
