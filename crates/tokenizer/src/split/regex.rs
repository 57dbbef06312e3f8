//! The stages as regular expressions (feature `regex`), to prove that the hand-written splitters are equal. Not used
//! otherwise.
//!
//! The expressions are those of the tokenizers' authors and llama.cpp, in the syntax of `fancy-regex`. The character
//! tables here are those of Unicode 15.1. Those of the regular expressions may be newer, so the proofs leave out
//! characters on which they disagree.

use super::{Capitals, Cased, DeepSeek, Stage, Words};
use crate::unicode::{L, M, N, P, S, W, is};
use fancy_regex::Regex;

const CONTRACTIONS: &str = "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])";
const LINES: &str = r"\s*[\r\n]+|\s+(?!\S)|\s+";

/// A class of characters, as ranges in brackets.
fn class(of: impl Fn(char) -> bool) -> String {
    let mut ranges = String::from("[");
    let mut start = None;
    // One step after the last character ends the last range.
    for point in 0..=0x11_0000u32 {
        let inside = char::from_u32(point).is_some_and(&of);
        match (start, inside) {
            (None, true) => start = Some(point),
            (Some(first), false) => {
                ranges.push_str(&format!("\\x{{{first:X}}}-\\x{{{:X}}}", point - 1));
                start = None;
            }
            _ => {}
        }
    }
    if ranges.len() == 1 { "[^\\s\\S]".to_owned() } else { ranges + "]" }
}

fn words(options: Words) -> String {
    let digits = match options.digits {
        0 => r"\p{N}+".to_owned(),
        most => format!("\\p{{N}}{{1,{most}}}"),
    };
    let (word, not) =
        if options.word & M != 0 { (r"[\p{L}\p{M}]", r"\p{L}\p{M}") } else { (r"\p{L}", r"\p{L}") };
    let contractions = if options.contractions { format!("{CONTRACTIONS}|") } else { String::new() };
    let punctuation = if options.line_ends {
        format!(" ?[^\\s{not}\\p{{N}}]+[\\r\\n]*")
    } else {
        format!(" ?[^\\s{not}\\p{{N}}]+")
    };
    let end = if options.cascade {
        let sizes: String = [512, 256, 128, 64, 32, 16, 8, 4].map(|n| format!("\\s{{{n}}}(?!\\S)|")).concat();
        format!("\\s*[\\r\\n]+|{sizes}\\s{{1,2}}(?!\\S)|\\s{{1}}")
    } else {
        LINES.to_owned()
    };
    format!(r"{contractions}[^\r\n\p{{L}}\p{{N}}]?{word}+|{digits}|{punctuation}|{end}")
}

fn cased(options: Cased) -> String {
    let word = if options.word & M != 0 { r"[\p{L}\p{M}]" } else { r"\p{L}" };
    let (upper, lower) = match options.capitals {
        Capitals::All => (format!(r"(?:(?={word})\P{{Ll}})"), format!(r"(?:(?={word})[^\p{{Lu}}\p{{Lt}}])")),
        Capitals::Ascii => (format!("(?:(?={word})[^a-z])"), format!("(?:(?={word})[^A-Z])")),
        Capitals::None => (word.to_owned(), word.to_owned()),
    };
    let end = if options.contractions { format!("{CONTRACTIONS}?") } else { String::new() };
    let lead = r"[^\r\n\p{L}\p{N}]?";
    format!(
        r"{lead}{upper}*{lower}+{end}|{lead}{upper}+{lower}*{end}|\p{{N}}{{1,{}}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{LINES}",
        options.digits
    )
}

fn deepseek(options: DeepSeek) -> String {
    let end =
        if options.line_ends { r" ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+" } else { r" ?[\p{P}\p{S}]+|[\r\n]" };
    let begin = r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+"##;
    format!(r"{begin}|[^\r\n\p{{L}}\p{{P}}\p{{S}}]?[\p{{L}}\p{{M}}]+|{end}|\s+(?!\S)|\s+")
}

/// The expression of a stage; `None` for the one that no expression describes.
pub(crate) fn expression(stage: &Stage) -> Option<String> {
    let han = || class(super::phrases::is_han);
    Some(match stage {
        Stage::Each(of) => class(of),
        Stage::Run(of) => class(of) + "+",
        Stage::UpToThree(of) => class(of) + "{1,3}",
        Stage::ThreeDigits => "[0-9][0-9][0-9]".to_owned(),
        Stage::SpacedRun(of) => format!(r"\s?{}+", class(of)),
        Stage::BlankedRun(of) => format!(" ?{}+", class(of)),
        Stage::TrailingSpace => r"\s+$".to_owned(),
        Stage::Lines => r"[^\n]+|[\n]+".to_owned(),
        Stage::RunOfOne(classes) => classes.iter().map(|of| class(of) + "+").collect::<Vec<_>>().join("|"),
        Stage::NumbersFromTheRight => return None,
        Stage::BeforeThreeDigits => "(?=([0-9]{3})+(?![0-9]))".to_owned(),
        Stage::Sentinels => "<sentinel:[0-9]+>".to_owned(),
        Stage::Images => "(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z".to_owned(),
        Stage::Tabs => r"([\t\n]|    |  )".to_owned(),
        Stage::Gpt2 => {
            r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+".to_owned()
        }
        Stage::Words(options) => words(*options),
        Stage::Cased(options) => cased(*options),
        Stage::DeepSeek(options) => deepseek(*options),
        Stage::Phrases => format!(
            r"{CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?(?:\p{{L}}\p{{M}}*(?: \p{{L}}\p{{M}}*)*)+|\p{{N}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+"
        ),
        Stage::Kimi => format!(
            r"{han}+|[^\r\n\p{{L}}\p{{N}}]?(?:(?!{han})\p{{L}})+{CONTRACTIONS}?|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{LINES}",
            han = han()
        ),
    })
}

/// Splits by one stage after the other, with regular expressions.
pub(crate) struct RegexSplitter(Vec<Option<Regex>>);

impl RegexSplitter {
    pub(crate) fn new(stages: &[Stage]) -> Result<Self, fancy_regex::Error> {
        let compile = |stage| expression(stage).map(|e| Regex::new(&e)).transpose();
        stages.iter().map(compile).collect::<Result<_, _>>().map(Self)
    }

    /// The pieces of a text. `stages` are those of the splitter, used for the one without an expression.
    pub(crate) fn split(&self, stages: &[Stage], text: &str) -> Result<Vec<String>, fancy_regex::Error> {
        let mut pieces = vec![text.to_owned()];
        for (regex, stage) in self.0.iter().zip(stages) {
            let mut finer = Vec::new();
            for piece in &pieces {
                let Some(regex) = regex else {
                    let _ = super::split(&[*stage], piece, &mut |p: &str| {
                        finer.push(p.to_owned());
                        Ok::<(), ()>(())
                    });
                    continue;
                };
                let mut at = 0;
                for found in regex.find_iter(piece) {
                    let found = found?;
                    finer.push(piece.get(at..found.start()).unwrap_or("").to_owned());
                    finer.push(found.as_str().to_owned());
                    at = found.end();
                }
                finer.push(piece.get(at..).unwrap_or("").to_owned());
            }
            pieces = finer;
            pieces.retain(|piece| !piece.is_empty());
        }
        Ok(pieces)
    }
}

/// Whether the regular expressions classify a character as the table does.
pub(crate) fn agrees(c: char, classes: &[(Regex, u8)]) -> bool {
    let text = c.to_string();
    classes.iter().all(|(regex, class)| regex.is_match(&text).is_ok_and(|found| found == is(c, *class)))
}

/// The classes, for [`agrees`].
pub(crate) fn classes() -> Result<Vec<(Regex, u8)>, fancy_regex::Error> {
    let all = [(r"\p{L}", L), (r"\p{M}", M), (r"\p{N}", N), (r"\p{P}", P), (r"\p{S}", S), (r"\s", W)];
    all.into_iter().map(|(expression, class)| Regex::new(expression).map(|regex| (regex, class))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pre::PreTokenizer;
    use proptest::prelude::*;
    use std::collections::HashMap;
    use std::sync::LazyLock;

    type Splitters = HashMap<&'static str, (PreTokenizer, RegexSplitter)>;
    static SPLITTERS: LazyLock<Splitters> = LazyLock::new(|| {
        let splitter = |name| {
            let pre = PreTokenizer::by_name(name).unwrap();
            (name, (pre, RegexSplitter::new(pre.stages).unwrap()))
        };
        PreTokenizer::names().map(splitter).collect()
    });
    static CLASSES: LazyLock<Vec<(Regex, u8)>> = LazyLock::new(|| classes().unwrap());

    fn texts() -> impl Strategy<Value = String> {
        prop_oneof![
            ".{0,60}",
            "[a-cA-C'sStTreLl \n\r\t1-9²٣é\u{301}中あ한ก.,!/#$<>_=\u{3000}\u{a0}]{0,60}",
            "( |  |\n|1|12|'s|'LL|word|Word|WORD|<sentinel:1>|IMGIMGABZ|!|/|\r\n|\u{301}|中文|한국){0,30}",
            "[ \n]{0,600}x?",
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]
        #[test]
        fn the_expressions_cut_as_the_functions_do(text in texts()) {
            let text: String = text.chars().filter(|c| c.is_ascii() || agrees(*c, &CLASSES)).collect();
            for (name, (pre, regex)) in SPLITTERS.iter() {
                let mut found = Vec::new();
                let each = &mut |p: &str| { found.push(p.to_owned()); Ok::<(), ()>(()) };
                super::super::split(pre.stages, &text, each).unwrap();
                prop_assert_eq!(&found, &regex.split(pre.stages, &text).unwrap(), "{} {:?}", name, text);
            }
        }
    }
}
