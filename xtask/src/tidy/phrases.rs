//! Phrases that are hard to read, and what to write instead.
//!
//! A pattern is a sequence of words: `word`, `one|other`, `begin*` for every word with this beginning, `?` for any
//! word. It is searched for, ignoring case, in what people read: Markdown, comments, and text in double quotes. Text
//! between backticks is left out.

use super::{Tree, Violation};

/// A phrase.
struct Phrase {
    pattern: &'static str,
    /// A line that also contains one of these is accepted.
    unless: &'static [&'static str],
    instead: &'static str,
    /// Examples of what is caught and of what is not, for the test.
    bad: &'static str,
    good: &'static str,
}

const fn phrase(
    pattern: &'static str,
    instead: &'static str,
    bad: &'static str,
    good: &'static str,
) -> Phrase {
    Phrase { pattern, unless: &[], instead, bad, good }
}

const fn unless(unless: &'static [&'static str], phrase: Phrase) -> Phrase {
    Phrase { unless, ..phrase }
}

const PHRASES: &[Phrase] = &[
    unless(
        &[
            "left|leave|leaves|leaving|stays behind",
            "leaves ? ? behind",
            "behind a|an|the|one lock|interface|trait|feature",
            "behind a|an|the|one ? interface|boundary",
        ],
        phrase(
            "behind",
            "after, past, following",
            "The token behind the last one.",
            "All lie behind a C interface; nothing is left behind.",
        ),
    ),
    phrase(
        "is|are none",
        "say what is not so: `is not a valid token id`, `there are no ...`",
        "U+D800 is none of the characters",
        "None of the bytes is read.",
    ),
    phrase(
        "of this name",
        "unknown option `x`",
        "There is no option of this name",
        "The option named `x` is unknown.",
    ),
    phrase(
        "there is|are no ? that is|are",
        "say what is missing",
        "there is no file that is read",
        "there is no file to read",
    ),
    phrase("turned over", "byte-swapped", "The numbers are turned over.", "The bytes are swapped."),
    phrase(
        "whatever of",
        "one of, each of, any of",
        "It takes whatever of these comes.",
        "It takes whatever comes.",
    ),
    phrase(
        "for|by who",
        "the caller, the user, other crates",
        "It is for who keeps both.",
        "It tells who keeps it.",
    ),
    phrase(
        "ends in an error",
        "fails, returns an error",
        "The call ends in an error.",
        "The call returns an error at the end.",
    ),
    phrase(
        "is|are an error value",
        "fails, returns an error",
        "A wrong id is an error value.",
        "A wrong id is an error.",
    ),
    phrase(
        "remembered|remembers",
        "cached, reused, kept",
        "The masks are remembered.",
        "The masks are cached.",
    ),
    phrase(
        "what a|the ? ? has at least",
        "at least, minimum",
        "What a top choice has at least.",
        "Minimum probability of a top choice.",
    ),
    phrase(
        "code of their own",
        "decoded in place",
        "They have code of their own.",
        "They are decoded in place.",
    ),
    phrase(
        "which it has not",
        "expected x, found y",
        "It names a tensor, which it has not.",
        "It has no such tensor.",
    ),
    phrase("normalis*", "normalize", "The scores are normalised.", "The scores are normalized."),
    phrase("initialis*", "initialize", "It is initialised.", "It is initialized."),
    unless(
        // names of the corpus' files
        &["vecdot"],
        phrase("quantis*", "quantize", "The quantised weights.", "The quantized weights."),
    ),
    unless(
        &["optimist*|optimism"],
        phrase("optimis*", "optimize", "An optimised build.", "An optimistic guess."),
    ),
    phrase(
        "recognis*|serialis*|synchronis*|organis*|minimis*|maximis*",
        "-ize",
        "It is recognised.",
        "It is recognized.",
    ),
    phrase("behaviour*|neighbour*|favour*", "-or", "Its behaviour is the same.", "Its behavior is the same."),
    unless(
        // what a model is asked in docs/text.md, and its answer
        &["'name a colour", "the colour you're"],
        phrase("colour*|grey", "color, gray", "Text in colour.", "Text in color."),
    ),
    unless(
        // names of files that others chose
        &["unlicense"],
        phrase("licence*", "license", "A permissive licence.", "A permissive license."),
    ),
    phrase("mend|mends", "fix", "Mend the call.", "Fix the call."),
    phrase("unauthoris*", "unauthorized", "The phone is unauthorised.", "The phone is unauthorized."),
];

/// What people read in files with these endings, and what begins a comment there.
const LANGUAGES: &[(&str, &str)] = &[
    (".rs", "//"),
    (".md", ""),
    (".h", "//"),
    (".c", "//"),
    (".java", "//"),
    (".kt", "//"),
    (".kts", "//"),
    (".dart", "//"),
    (".gradle", "//"),
    (".toml", "#"),
    (".sh", "#"),
    (".py", "#"),
];

/// The table itself, other people's texts, and texts made for tests.
const LEFT_OUT: &[&str] = &["xtask/src/tidy/phrases.rs", "fixtures/", "LICENSE"];

/// A marker in the first lines of generated files, whose phrases must be corrected in their sources.
const GENERATED: &str = "Made by `cargo xtask";

/// Checks that no file has one of [`PHRASES`].
pub(super) fn wording(tree: &Tree) -> Vec<Violation> {
    readable(tree).flat_map(|(path, text)| violations(path, text)).collect()
}

fn readable(tree: &Tree) -> impl Iterator<Item = (&str, &str)> {
    tree.texts("").filter(|(path, text)| {
        LANGUAGES.iter().any(|(ending, _)| path.ends_with(ending))
            && !LEFT_OUT.iter().any(|start| path.starts_with(start))
            && !text.lines().take(5).any(|line| line.contains(GENERATED))
    })
}

fn violations(path: &str, text: &str) -> Vec<Violation> {
    let comment =
        LANGUAGES.iter().find(|(ending, _)| path.ends_with(ending)).map_or("", |(_, comment)| comment);
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let prose = prose(line, comment);
        for phrase in PHRASES.iter().filter(|phrase| phrase.is_in(&prose)) {
            let Phrase { pattern, instead, bad, good, .. } = phrase;
            let place = format!("{path}:{}", number + 1);
            found.push(format!("{place}: `{pattern}`; write: {instead} (bad: {bad} Good: {good})"));
        }
    }
    found
}

/// Returns what a person reads in a line of a file whose comments begin with `comment`, or the whole line if that is
/// empty.
fn prose(line: &str, comment: &str) -> String {
    let trimmed = line.trim_start();
    let is_inside_comment = comment == "//" && (trimmed.starts_with("* ") || trimmed.starts_with("/*"));
    let text = if comment.is_empty() || is_inside_comment { line.to_owned() } else { quoted(line, comment) };
    text.split('`').step_by(2).collect::<Vec<_>>().join(".")
}

/// Returns the texts in double quotes of a line of code, and its comment.
fn quoted(line: &str, comment: &str) -> String {
    let (mut rest, mut text) = (line, String::new());
    loop {
        let (quote, start) = (rest.find('"'), rest.find(comment));
        match (start, quote) {
            (Some(at), quote) if quote.is_none_or(|quote| at < quote) => return text + &rest[at..],
            (_, None) => return text,
            (_, Some(quote)) => {
                let inside = &rest[quote + 1..];
                let (quoted, after) = inside.split_once('"').unwrap_or((inside, ""));
                text += &format!("{quoted}. ");
                rest = after;
            }
        }
    }
}

impl Phrase {
    fn is_in(&self, prose: &str) -> bool {
        holds(prose, self.pattern) && !self.unless.iter().any(|pattern| holds(prose, pattern))
    }
}

/// Returns whether the words of `pattern` follow one another in `text`, separated only by spaces.
fn holds(text: &str, pattern: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '\'';
    let mut sentences = text.split(|c: char| !is_word(c) && !c.is_whitespace());
    sentences.any(|sentence| {
        let words: Vec<&str> = sentence.split_whitespace().collect();
        let wanted = || pattern.split(' ');
        (0..words.len()).any(|at| {
            wanted()
                .enumerate()
                .all(|(i, wanted)| words.get(at + i).is_some_and(|word| matches(word, wanted)))
        })
    })
}

fn matches(word: &str, wanted: &str) -> bool {
    wanted.split('|').any(|wanted| match wanted.strip_suffix('*') {
        _ if wanted == "?" => true,
        Some(start) => word.get(..start.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(start)),
        None => word.eq_ignore_ascii_case(wanted),
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::tree;
    use super::*;

    #[test]
    fn every_phrase_catches_its_bad_example_and_no_good_one() {
        let mut wrong = Vec::new();
        for phrase in PHRASES {
            if !phrase.is_in(phrase.bad) {
                wrong.push(format!("`{}` misses: {}", phrase.pattern, phrase.bad));
            }
            for other in PHRASES.iter().filter(|other| other.is_in(phrase.good)) {
                wrong.push(format!("`{}` catches: {}", other.pattern, phrase.good));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn what_people_read_is_looked_at_and_code_is_not() {
        let bad = "it stands behind them";
        let cases = [
            ("a.md", bad.to_owned(), 1),
            ("a.md", "the variable `behind`".to_owned(), 0),
            ("a.rs", format!("/// {bad}"), 1),
            ("a.rs", format!("f(); // \"x\" {bad}"), 1),
            ("a.rs", format!("f(\"x\"); // say \"{bad}\""), 1),
            ("a.rs", format!("f(\"{bad}\")"), 1),
            ("a.rs", "let behind = x.is_none(); f(\"x\", behind)".to_owned(), 0),
            ("a.rs", "let x = left_behind;".to_owned(), 0),
            ("a.h", format!(" * {bad}"), 1),
            ("Cargo.toml", format!("# {bad}"), 1),
            ("a.rs", format!("//! Made by `cargo xtask x`\n// {bad}"), 0),
            ("fixtures/a.md", bad.to_owned(), 0),
            ("a.bin", bad.to_owned(), 0),
        ];
        let mut wrong = Vec::new();
        for (path, text, expected) in cases {
            let found = wording(&tree(&[(path, &text)]));
            if found.len() != expected {
                wrong.push(format!("{path}: {text}: {found:?}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}
