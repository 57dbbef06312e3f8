//! Rewrites inside one tag or expression of a template.
//!
//! ```text
//! +x               ->  x                          unary plus
//! a[]              ->  a[none]                    an empty subscript is undefined in Jinja2
//! {{ a|safe + b }} ->  {{ a|safe + (b)|__markup }}  markup escapes the plain strings added to it (markupsafe)
//! {% set n.x = e %}->  {% set n.x = (e)|__stored %} what outlives a loop may not nest without bounds (filters.rs)
//! ```

/// Most tokens that one tag or expression may have: chains of operators make the compiler recurse.
pub(super) const MAX_TOKENS: usize = 4000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Space,
    Word,
    Number,
    String,
    Symbol,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind,
    pub(super) text: &'a str,
}

/// The length of the token at the start of `s`, which is not empty.
fn token_len(s: &str) -> (Kind, usize) {
    let span = |f: &dyn Fn(char) -> bool| s.find(|c: char| !f(c)).unwrap_or(s.len());
    let first = s.chars().next().unwrap_or(' ');
    if first.is_whitespace() {
        return (Kind::Space, span(&char::is_whitespace));
    }
    if first.is_alphabetic() || first == '_' {
        return (Kind::Word, span(&|c| c.is_alphanumeric() || c == '_'));
    }
    if first.is_ascii_digit() {
        // `1.5` is one number, `1.x` is not one with a fraction; the difference does not matter here.
        return (Kind::Number, span(&|c| c.is_alphanumeric() || c == '_'));
    }
    if first == '\'' || first == '"' {
        let mut escaped = false;
        for (i, c) in s.char_indices().skip(1) {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                c if c == first => return (Kind::String, i + 1),
                _ => {}
            }
        }
        return (Kind::String, s.len());
    }
    let double = ["==", "!=", "<=", ">=", "**", "//"].iter().any(|d| s.starts_with(d));
    (Kind::Symbol, if double { 2 } else { first.len_utf8() })
}

pub(super) fn tokens(source: &str) -> Vec<Token<'_>> {
    let mut out = Vec::new();
    let mut rest = source;
    while !rest.is_empty() {
        let (kind, len) = token_len(rest);
        let (text, tail) = rest.split_at(len.max(1).min(rest.len()));
        out.push(Token { kind, text });
        rest = tail;
    }
    out
}

/// How many tokens there are, without white space.
pub(super) fn count(source: &str) -> usize {
    tokens(source).iter().filter(|t| t.kind != Kind::Space).count()
}

/// Words after which an operand begins.
const OPERATOR_WORDS: [&str; 24] = [
    "and",
    "or",
    "not",
    "in",
    "is",
    "if",
    "else",
    "elif",
    "set",
    "for",
    "call",
    "with",
    "do",
    "recursive",
    "include",
    "import",
    "from",
    "as",
    "macro",
    "filter",
    "block",
    "print",
    "return",
    "extends",
];

/// Whether nothing that an operator applies to goes on across this word.
pub(super) fn is_separator(word: &str) -> bool {
    OPERATOR_WORDS.contains(&word) && !matches!(word, "not" | "in" | "is")
}

/// Whether the token at `i` ends an operand, so that a following `+` is binary and `[` a subscript.
pub(super) fn ends_operand(significant: &[Token<'_>], i: usize) -> bool {
    let Some(t) = significant.get(i) else { return false };
    let before = |n: usize| i.checked_sub(n).and_then(|j| significant.get(j)).map(|t| t.text);
    match t.kind {
        Kind::Number | Kind::String => true,
        Kind::Symbol => matches!(t.text, ")" | "]" | "}"),
        // After a dot it is an attribute; the name of a test (`x is eq [1]`) takes an operand.
        Kind::Word if before(1) == Some(".") => true,
        Kind::Word => {
            let test = before(1) == Some("is") || (before(1) == Some("not") && before(2) == Some("is"));
            !test && !OPERATOR_WORDS.contains(&t.text)
        }
        Kind::Space => false,
    }
}

/// Unary plus and empty subscripts.
fn simple(source: &str) -> String {
    let all = tokens(source);
    let mut out = String::with_capacity(source.len() + 8);
    let mut significant: Vec<Token<'_>> = Vec::with_capacity(all.len());
    for (i, t) in all.iter().enumerate() {
        if t.kind == Kind::Space {
            out.push_str(t.text);
            continue;
        }
        let after_operand = significant.len().checked_sub(1).is_some_and(|j| ends_operand(&significant, j));
        let next = all.iter().skip(i + 1).find(|t| t.kind != Kind::Space).map(|t| t.text);
        match t.text {
            "+" if !after_operand => out.push(' '),
            "[" if after_operand && next == Some("]") => out.push_str("[none"),
            text => out.push_str(text),
        }
        significant.push(*t);
    }
    out
}

/// Splits at a symbol outside of brackets; `None` if another operator that binds as loosely is among the tokens.
fn split_top(source: &str, at: &str, forbidden: &[&str]) -> Option<Vec<String>> {
    let mut depth = 0usize;
    let mut parts = vec![String::new()];
    for t in tokens(source) {
        match t.text {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 && t.kind != Kind::String && forbidden.contains(&t.text) {
            return None;
        }
        if depth == 0 && t.text == at {
            parts.push(String::new());
        } else if let Some(part) = parts.last_mut() {
            part.push_str(t.text);
        }
    }
    Some(parts)
}

/// Whether an operand's last filter is `safe`.
fn is_markup(operand: &str) -> bool {
    operand.trim_end().strip_suffix("safe").is_some_and(|s| s.trim_end().ends_with('|'))
}

/// The inside of `{{ .. }}`.
pub(super) fn output(source: &str) -> String {
    let text = simple(source);
    if !text.contains("safe") {
        return text;
    }
    let loose = [
        "~", "-", "if", "else", "and", "or", "not", "in", "is", "==", "!=", "<", ">", "<=", ">=", ",", "=",
        ":",
    ];
    match split_top(&text, "+", &loose) {
        Some(parts) if parts.len() > 1 && parts.first().is_some_and(|p| is_markup(p)) => {
            let mut parts = parts.into_iter();
            let mut out = parts.next().unwrap_or_default();
            for part in parts {
                out.push_str("+ (");
                out.push_str(part.trim());
                out.push_str(")|__markup ");
            }
            out
        }
        _ => text,
    }
}

/// The inside of `{% .. %}`.
pub(super) fn tag(source: &str) -> String {
    let text = simple(source);
    let body = text.trim_start();
    let Some(assignment) = body.strip_prefix("set").filter(|s| s.starts_with(char::is_whitespace)) else {
        return text;
    };
    let Some(mut parts) = split_top(assignment, "=", &[]) else { return text };
    let head = text.get(..text.len() - body.len()).unwrap_or_default();
    match (parts.len(), parts.first().is_some_and(|p| p.contains('.'))) {
        // A block whose text goes through filters.
        (1, true) if assignment.contains('|') => format!("{head}set{}|__stored ", assignment.trim_end()),
        // `=` outside of brackets can only be the assignment: keyword arguments stand in brackets.
        (2, true) => {
            let value = parts.pop().unwrap_or_default();
            let target = parts.pop().unwrap_or_default();
            format!("{head}set{target}= ({})|__stored ", value.trim())
        }
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rewrites() {
        let cases = [
            (" +n ", "  n "),
            ("a + +1 - b", "a +  1 - b"),
            ("a[] is []", "a[none] is []"),
            ("x is eq [] or y in []", "x is eq [] or y in []"),
            ("a.in[ ]", "a.in[none ]"),
            ("'+'+\"[]\"", "'+'+\"[]\""),
            ("'a'|safe + b + 'c'|safe", "'a'|safe + (b)|__markup + ('c'|safe)|__markup "),
            ("x if a|safe + b else y", "x if a|safe + b else y"),
            ("f(+1, [+2])", "f( 1, [ 2])"),
            ("unsafe + b", "unsafe + b"),
        ];
        for (source, expect) in cases {
            assert_eq!(output(source), expect);
        }
    }

    #[test]
    fn assignments() {
        let cases = [
            (" set ns.x = a == b ", " set ns.x = (a == b)|__stored "),
            ("set x = [+1]", "set x = [ 1]"),
            ("set ns.a, ns.b = f(x=1), 2", "set ns.a, ns.b = (f(x=1), 2)|__stored "),
            ("set ns.x | default(ns)", "set ns.x | default(ns)|__stored "),
            ("set ns.x", "set ns.x"),
            ("setting.x = 1", "setting.x = 1"),
            ("if a == b", "if a == b"),
        ];
        for (source, expect) in cases {
            assert_eq!(tag(source), expect);
        }
    }
}
