//! Rust source with comments and literals blanked, so that a search finds code only.
//!
//! ```text
//! let s = "unsafe"; // unsafe        ->  let s = "      ";
//! ```
//! Every byte that is blanked becomes a space (newlines stay), so line numbers hold.

/// `source` without the contents of its comments, strings and character literals.
pub(super) fn code_only(source: &str) -> String {
    let bytes = source.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = match bytes[at] {
            b'/' if bytes.get(at + 1) == Some(&b'/') => blank(&mut out, at, line_end(bytes, at)),
            b'/' if bytes.get(at + 1) == Some(&b'*') => blank(&mut out, at, block_end(bytes, at)),
            b'"' => blank_inside(&mut out, at, string_end(bytes, at)),
            b'\'' => match char_end(source, at) {
                Some(end) => blank_inside(&mut out, at, end),
                None => at + 1, // a lifetime
            },
            b'r' if !continues_word(bytes, at) => match raw_string_end(bytes, at) {
                Some(end) => blank(&mut out, at, end),
                None => at + 1,
            },
            _ => at + 1,
        };
        at = end.max(at + 1);
    }
    // Whole characters were blanked or kept, so this is UTF-8; a lossy conversion only avoids a panic.
    String::from_utf8_lossy(&out).into_owned()
}

fn blank(out: &mut [u8], from: usize, to: usize) -> usize {
    for byte in &mut out[from..to] {
        if *byte != b'\n' {
            *byte = b' ';
        }
    }
    to
}

/// Blanks all but the delimiters, so that `""` still looks like an expression.
fn blank_inside(out: &mut [u8], from: usize, to: usize) -> usize {
    if to > from + 2 {
        blank(out, from + 1, to - 1);
    }
    to
}

fn line_end(bytes: &[u8], from: usize) -> usize {
    bytes[from..].iter().position(|&b| b == b'\n').map_or(bytes.len(), |n| from + n)
}

/// The end of a block comment, which may hold others.
fn block_end(bytes: &[u8], from: usize) -> usize {
    let mut depth = 0usize;
    let mut at = from;
    while at + 1 < bytes.len() {
        match (bytes[at], bytes[at + 1]) {
            (b'/', b'*') => (depth, at) = (depth + 1, at + 2),
            (b'*', b'/') => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    bytes.len()
}

fn string_end(bytes: &[u8], from: usize) -> usize {
    let mut at = from + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// The end of `r"..."` or `r#"..."#` that starts at the `r`; `None` for a raw identifier or a plain `r`.
fn raw_string_end(bytes: &[u8], from: usize) -> Option<usize> {
    let hashes = bytes[from + 1..].iter().take_while(|&&b| b == b'#').count();
    let open = from + 1 + hashes;
    if bytes.get(open) != Some(&b'"') {
        return None;
    }
    let closes = |at: usize| {
        bytes[at] == b'"' && bytes[at + 1..].iter().take(hashes).filter(|&&b| b == b'#').count() == hashes
    };
    let end = (open + 1..bytes.len()).find(|&at| closes(at));
    Some(end.map_or(bytes.len(), |at| at + 1 + hashes))
}

/// The end of a character literal that starts at the quote; `None` for a lifetime.
fn char_end(source: &str, from: usize) -> Option<usize> {
    let rest = &source[from + 1..];
    let mut chars = rest.char_indices();
    match chars.next()? {
        (_, '\\') => {
            // The escaped character may itself be a quote.
            let (escaped, c) = chars.next()?;
            let after = escaped + c.len_utf8();
            let close = rest[after..].find('\'')?;
            Some(from + 1 + after + close + 1)
        }
        (_, _) => match chars.next()? {
            (close, '\'') => Some(from + 1 + close + 1),
            _ => None,
        },
    }
}

/// Whether the byte at `at` continues an identifier: the `r` of `for"` is no raw string, that of `br"` is.
fn continues_word(bytes: &[u8], at: usize) -> bool {
    let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    match at.checked_sub(1).map(|before| bytes[before]) {
        Some(b'b' | b'c') => at >= 2 && is_word(bytes[at - 2]),
        Some(before) => is_word(before),
        None => false,
    }
}

/// The 1-based lines on which `word` stands as a whole word.
pub(super) fn lines_with_word(code: &str, word: &str) -> Vec<usize> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let holds = |line: &str| {
        line.match_indices(word).any(|(at, _)| {
            !line[..at].chars().next_back().is_some_and(is_word)
                && !line[at + word.len()..].chars().next().is_some_and(is_word)
        })
    };
    code.lines().enumerate().filter(|(_, line)| holds(line)).map(|(i, _)| i + 1).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_is_left() {
        let cases = [
            ("let a = 1; // unsafe", "let a = 1;"),
            ("a /* unsafe /* nested */ unsafe */ b", "a b"),
            (r#"f("unsafe \" unsafe") + b"unsafe""#, "f(\" \") + b\" \""),
            ("r#\"unsafe \" unsafe\"# + x", "+ x"),
            ("br\"unsafe\\\" + x", "b + x"),
            ("'\"' + \"unsafe\"", "' ' + \" \""),
            ("'\\'' + \"unsafe\"", "' ' + \" \""),
            ("fn f<'a>(x: &'a str) { '{' }", "fn f<'a>(x: &'a str) { ' ' }"),
            ("'é' 'unsafe", "' ' 'unsafe"),
            ("r#unsafe_name", "r#unsafe_name"),
            ("\"never closed unsafe ", "\""),
        ];
        for (source, expected) in cases {
            let code = code_only(source);
            assert_eq!(code.len(), source.len(), "{source}");
            let words = |s: &str| s.split_whitespace().collect::<Vec<_>>().join(" ");
            assert_eq!(words(&code), words(expected), "{source}");
        }
    }

    #[test]
    fn newlines_stay() {
        assert_eq!(code_only("/* a\nb */ c\n").lines().count(), 2);
        assert_eq!(code_only("\"a\nb\" c").lines().nth(1).map(str::trim), Some("\" c"));
    }

    #[test]
    fn words_are_whole_words() {
        assert_eq!(lines_with_word("unsafe_code\nunsafe {\nx.unsafe()\nnot_unsafe", "unsafe"), [2, 3]);
    }
}
