//! Regular expressions of ECMA-262, as used by JSON Schema's `pattern`, to terms.
//!
//! A pattern is searched for, not matched as a whole: it may occur anywhere unless `^` and `$` anchor it. Anchors and
//! lookaheads are zero-width and concern what follows, so a term is built from the end, with the term of all that
//! follows:
//!
//! ```text
//! term(a b, rest) = term(a, term(b, rest))        term($, rest)      = rest and empty
//! term(a|b, rest) = term(a, rest) or term(b, rest) term((?=a), rest)  = rest and term(a, anything)
//! term(^, rest)   = rest at the beginning, else nothing
//! whole           = term(pattern at the beginning, anything) or anything term(pattern elsewhere, anything)
//! ```
//!
//! Anchors and lookaheads inside a repetition are not supported.

use super::algebra::{Algebra, EMPTY, NOTHING, Term};
use super::syntax::{Ast, PatternError, parse};

/// The strings in which the pattern is found.
pub(crate) fn pattern(
    text: &str,
    algebra: &mut Algebra,
    nesting: usize,
    max_repetitions: u32,
) -> Result<Term, PatternError> {
    let ast = parse(text, nesting, max_repetitions)?;
    let anything = algebra.anything();
    let at_start = term(&ast, anything, true, algebra)?;
    let elsewhere = term(&ast, anything, false, algebra)?;
    let elsewhere = algebra.then(anything, elsewhere);
    Ok(algebra.or([at_start, elsewhere]))
}

/// The strings that match `ast` followed by `rest`.
fn term(ast: &Ast, rest: Term, at_start: bool, algebra: &mut Algebra) -> Result<Term, PatternError> {
    Ok(match ast {
        Ast::Class(set) => {
            let class = algebra.class(set.clone());
            algebra.then(class, rest)
        }
        Ast::Seq(parts) => {
            let mut flags = Vec::with_capacity(parts.len());
            let (mut start, mut may_be) = (at_start, at_start);
            for part in parts {
                if let (Ast::Start(at), false, true) = (part, start, may_be) {
                    let message = "'^' after something that may be empty is not supported".to_owned();
                    return Err(PatternError { malformed: false, at: *at, message });
                }
                flags.push(start);
                if !matches!(part, Ast::Start(_) | Ast::End | Ast::Look { .. }) {
                    start = false;
                    may_be &= may_be_empty(part);
                }
            }
            let mut after = rest;
            for (part, start) in parts.iter().zip(flags).rev() {
                after = term(part, after, start, algebra)?;
            }
            after
        }
        Ast::Alt(parts) => {
            let parts: Vec<Term> =
                parts.iter().map(|part| term(part, rest, at_start, algebra)).collect::<Result<_, _>>()?;
            algebra.or(parts)
        }
        Ast::Repeat(body, min, max) => match zero_width(body) {
            None => {
                let body = term(body, EMPTY, false, algebra)?;
                let repeated = algebra.repeat(body, *min, *max);
                algebra.then(repeated, rest)
            }
            Some(_) if (*min, *max) == (1, Some(1)) => term(body, rest, at_start, algebra)?,
            Some(_) if (*min, *max) == (0, Some(1)) => {
                let with = term(body, rest, at_start, algebra)?;
                algebra.or([with, rest])
            }
            Some(at) => {
                let message = "an anchor or a lookahead in a repetition is not supported".to_owned();
                return Err(PatternError { malformed: false, at, message });
            }
        },
        Ast::Start(_) => {
            if at_start {
                rest
            } else {
                NOTHING
            }
        }
        Ast::End => algebra.and([rest, EMPTY]),
        Ast::Look { body, negated, .. } => {
            let anything = algebra.anything();
            let mut ahead = term(body, anything, at_start, algebra)?;
            if *negated {
                ahead = algebra.not(ahead);
            }
            algebra.and([ahead, rest])
        }
    })
}

/// The position of an anchor or a lookahead in this part, if it contains one.
fn zero_width(ast: &Ast) -> Option<usize> {
    match ast {
        Ast::Class(_) => None,
        Ast::Seq(parts) | Ast::Alt(parts) => parts.iter().find_map(zero_width),
        Ast::Repeat(body, ..) => zero_width(body),
        Ast::End => Some(0),
        Ast::Start(at) | Ast::Look { at, .. } => Some(*at),
    }
}

fn may_be_empty(ast: &Ast) -> bool {
    match ast {
        Ast::Class(_) => false,
        Ast::Seq(parts) => parts.iter().all(may_be_empty),
        Ast::Alt(parts) => parts.iter().any(may_be_empty),
        Ast::Repeat(body, min, _) => *min == 0 || may_be_empty(body),
        Ast::Start(_) | Ast::End | Ast::Look { .. } => true,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Automaton;
    use super::*;
    use crate::halt::Meter;

    #[test]
    fn patterns_are_found() {
        // A pattern, strings in which it is found, and strings in which it is not.
        let cases: &[(&str, &[&str], &[&str])] = &[
            ("^abc?d*efg+(hij)?kl$", &["abefgkl", "abcdddefgghijkl"], &["abefkl", "xabefgkl", "abefgklx"]),
            ("^A|B|C|D$", &["A", "Axx", "xBx", "C", "xD"], &["xA", "Dx", ""]),
            ("a", &["a", "bab"], &["", "b"]),
            ("", &["", "x"], &[]),
            ("^$", &[""], &["a", "\n"]),
            ("^(?=a)a$", &["a"], &["b", "ab"]),
            ("^(?!foo).*$", &["fo", "", "xfoo"], &["foo", "foobar"]),
            ("^a{2,3}$", &["aa", "aaa"], &["a", "aaaa"]),
            ("^[^a-c\\d]+$", &["xyz", "é"], &["a", "5", ""]),
            ("^\\u00e9\\x41\\ud83d\\ude00\\u{1F600}$", &["éA😀😀"], &["éA😀"]),
            ("^(?:(?:ab)+c)?d$", &["d", "abcd", "ababcd"], &["cd", "abd"]),
            ("^(?<year>[0-9]{4})-.$", &["2024-x"], &["2024-", "2024-\n"]),
            ("^.*?b$", &["b", "aab"], &["a"]),
            ("^\\W\\D\\S$", &["-x."], &["_x.", "-1.", "-x "]),
            ("(^a|b$)", &["ax", "xb"], &["xa", "bx"]),
        ];
        let mut failures = Vec::new();
        for (text, found, missed) in cases {
            let meter = Meter::new(&|| false);
            let mut algebra = Algebra::new(&meter);
            let term = pattern(text, &mut algebra, 10, 1000).expect("a pattern");
            let automaton = Automaton::new(&mut algebra, term, 1000).expect("few states").expect("not empty");
            for (texts, expected) in [(found, true), (missed, false)] {
                for string in *texts {
                    let mut state = Some(0);
                    for c in string.chars() {
                        state = state.and_then(|state: usize| {
                            let next = &automaton.states[state].next;
                            next.iter().find(|(set, _)| set.contains(c as u32)).map(|(_, to)| *to)
                        });
                    }
                    let by_automaton = state.is_some_and(|state| automaton.states[state].accepting);
                    if algebra.matches(term, string) != expected || by_automaton != expected {
                        failures.push(format!("{text:?} on {string:?}: expected {expected}"));
                    }
                }
            }
        }
        assert!(failures.is_empty(), "{}", failures.join("\n"));
    }

    #[test]
    fn what_is_wrong_and_where() {
        let cases = [
            ("^(a$", true, "character 5 of the pattern: expected ')'"),
            ("a)", true, "character 2"),
            ("[a", true, "expected ']'"),
            ("*", true, "something to repeat"),
            ("a{2,1}", true, "ascend"),
            ("[z-a]", true, "ascend"),
            ("a{9999}", false, "Limits::max_repetitions"),
            ("\\bfoo", false, "character 2 of the pattern: '\\b'"),
            ("(a)\\1", false, "'\\1'"),
            ("\\p{L}", false, "'\\p'"),
            ("(?<=a)b", false, "lookbehind"),
            ("(?:(?=a)b)*", false, "repetition"),
            ("a?^b", false, "'^' after"),
            ("((((((((((((a))))))))))))", false, "Limits::nesting"),
        ];
        for (text, malformed, says) in cases {
            let error = pattern(text, &mut Algebra::new(&Meter::new(&|| false)), 10, 1000).expect_err(text);
            assert_eq!(error.malformed, malformed, "{text}: {error}");
            assert!(error.to_string().contains(says), "{text}: {error}");
        }
    }
}
