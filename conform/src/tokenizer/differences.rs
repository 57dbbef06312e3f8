//! Vocabularies for which llama.cpp's ids are not right, or not the only right ones: each with the reason, and how ids
//! are compared.

use super::{Pair, encode, same};
use happy_tokenizer::{TokenId, Tokenizer};

/// A vocabulary for which not only llama.cpp's ids are right.
pub(super) struct Difference {
    pub(super) vocabulary: &'static str,
    pub(super) right: Right,
    pub(super) why: &'static str,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Right {
    /// The original's ids, if there are any.
    Original,
    /// The original's ids or llama.cpp's.
    Either,
}

/// The only known differences: the ids of the original tokenizer are right as well, or instead of llama.cpp's.
pub(super) const DIFFERENCES: &[Difference] = &[
    Difference {
        vocabulary: "gpt-oss",
        right: Right::Original,
        why: "llama.cpp splits at combining marks, the original does not",
    },
    Difference {
        vocabulary: "bert-bge",
        right: Right::Either,
        why: "llama.cpp keeps the first character of a decomposition and drops all combining marks, the original drops nonspacing \
              ones; where the original is older than a character, llama.cpp is right",
    },
];
/// Texts of `gpt-oss` of which llama.cpp's ids are right: tokens that it makes user-defined are found in plain text too,
const USER_DEFINED: &[&str] = &["<|start|>", "<|message|>", "<|end|>", "<|channel|>"];
/// and a letter since Unicode 16 is in neither llama.cpp's table nor ours.
const UNKNOWN_LETTER: char = '\u{14092}';
/// Punctuation of newer versions of Unicode than the original of `bert-bge` supports. Beside marks that llama.cpp
/// drops, neither's ids are right. Then only the words around it are compared, and the case is listed as not supported.
const NEWER: &[char] = &['\u{2E43}', '\u{11B06}'];

impl Pair {
    pub(super) fn llama_cpp(&self, special: bool) -> &[TokenId] {
        self.ids_special.as_ref().filter(|_| special).unwrap_or(&self.ids)
    }

    /// Compares ids, plain or with special tokens. Returns true if only the words around characters that neither gets
    /// right were compared.
    pub(super) fn compare(
        &self,
        tokenizer: &Tokenizer,
        right: Option<Right>,
        special: bool,
        found: &[TokenId],
    ) -> Result<bool, String> {
        let llama_cpp = self.llama_cpp(special);
        let original = if special { &self.hf_special } else { &self.hf };
        let original = original.as_deref().unwrap_or(llama_cpp);
        let in_plain = !USER_DEFINED.iter().any(|token| self.text.contains(token));
        let expected = match right {
            Some(Right::Original) if !self.text.contains(UNKNOWN_LETTER) && (special || in_plain) => original,
            Some(Right::Either) if found == original => original,
            _ => llama_cpp,
        };
        let whole = same(if special { "special" } else { "plain" }, found, expected);
        let (Err(_), Some(Right::Either), Some((before, after))) = (&whole, right, around(&self.text)) else {
            return whole.map(|()| false);
        };
        let before = encode(tokenizer, before, false, special)?;
        let after = encode(tokenizer, after, false, special)?;
        let both = [original, llama_cpp];
        let begins = found.starts_with(&before) && both.iter().any(|ids| ids.starts_with(&before));
        let ends = found.ends_with(&after) && both.iter().any(|ids| ids.ends_with(&after));
        if begins && ends { Ok(true) } else { whole.map(|()| false) }
    }
}

/// Returns the words before the first of [`NEWER`] and those after the last, which a WordPiece vocabulary encodes
/// independently.
fn around(text: &str) -> Option<(&str, &str)> {
    let (first, last) = (text.find(NEWER)?, text.rfind(NEWER)?);
    let before = text[..first].rfind(char::is_whitespace).unwrap_or(0);
    let after = text[last..].find(char::is_whitespace).map_or(text.len(), |at| last + at);
    Some((&text[..before], &text[after..]))
}
