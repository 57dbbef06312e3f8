//! Texts that a grammar accepts, led by what a fuzzer wants.

use happy_grammar::{Grammar, Matcher, Piece, TokenSet, Vocabulary};

/// A text that grows as a grammar allows: bytes, and control tokens.
pub struct Walk<'a> {
    matcher: Matcher,
    allowed: TokenSet,
    tokens: &'a [&'a str],
    /// Bytes, and from 256 on tokens.
    taken: Vec<u32>,
}

impl<'a> Walk<'a> {
    /// `tokens` have the ids 256 and up; `None` if a limit is met.
    pub fn new(grammar: &Grammar, tokens: &'a [&'a str]) -> Option<Self> {
        let bytes: Vec<[u8; 1]> = (0..=255u8).map(|byte| [byte]).collect();
        let pieces = bytes.iter().map(|byte| Piece::Text(byte));
        let pieces = pieces.chain(tokens.iter().map(|token| Piece::Special(token.as_bytes())));
        let vocabulary = Vocabulary::new(pieces, &[]).expect("few tokens");
        let matcher = Matcher::new(grammar, &vocabulary);
        let matcher =
            matcher.map_err(|error| assert_eq!(error.kind(), happy_grammar::GrammarErrorKind::Limit)).ok()?;
        Some(Self { matcher, allowed: TokenSet::new(vocabulary.len()), tokens, taken: Vec::new() })
    }

    fn take(&mut self, token: u32) -> bool {
        let taken = self.matcher.accept(token).is_ok();
        if taken {
            self.taken.push(token);
        }
        taken
    }

    /// The token or byte that a text begins with.
    fn first(&self, text: &[u8]) -> (u32, usize) {
        let token = (0..).zip(self.tokens).filter(|(_, token)| text.starts_with(token.as_bytes()));
        let token = token.max_by_key(|(_, token)| token.len());
        token.map_or((u32::from(text[0]), 1), |(i, token)| (256 + i, token.len()))
    }

    /// Goes along a text; where the grammar does not allow it, the next byte chooses from what it allows.
    pub fn follow(&mut self, text: &str) {
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            let (token, len) = self.first(rest);
            if self.take(token) || self.take(u32::from(rest[0])) {
                rest = &rest[if self.taken.last() == Some(&token) { len } else { 1 }..];
                continue;
            }
            if self.matcher.mask(&mut self.allowed).is_err() || self.allowed.is_empty() {
                return;
            }
            let choice = usize::from(rest[0]) % self.allowed.count();
            let token = self.allowed.iter().nth(choice).expect("one of the allowed tokens");
            self.take(token);
            rest = &rest[1..];
        }
    }

    /// Takes the whole of a text, or nothing of it.
    fn take_all(&mut self, text: &str) -> bool {
        let (before, mut rest) = (self.taken.len(), text.as_bytes());
        while !rest.is_empty() {
            let (token, len) = self.first(rest);
            if !self.take(token) {
                let taken = self.taken.len() - before;
                self.taken.truncate(before);
                self.matcher.rollback(taken).expect("what was taken");
                return false;
            }
            rest = &rest[len..];
        }
        true
    }

    /// Ends the text: with quotes and brackets, and by turns with markers, since either may be text where it is no end.
    pub fn finish(&mut self, markers: &[&str]) -> bool {
        for turn in 0..200 {
            if self.matcher.is_complete() {
                return true;
            }
            let closing = ["\"", "'", "}", "]", ")"];
            let (first, second) =
                if turn % 2 == 0 { (&closing[..], markers) } else { (markers, &closing[..]) };
            if first.iter().chain(second).any(|text| self.take_all(text)) {
                continue;
            }
            if self.matcher.mask(&mut self.allowed).is_err() {
                return false;
            }
            let Some(token) = self.allowed.iter().next() else { return false };
            self.take(token);
        }
        false
    }

    /// Stretches of text and control tokens.
    pub fn pieces(&self) -> Vec<(String, bool)> {
        let (mut pieces, mut bytes) = (Vec::new(), Vec::new());
        let text = |bytes: &mut Vec<u8>, pieces: &mut Vec<(String, bool)>| {
            let text = String::from_utf8(std::mem::take(bytes)).expect("grammars are of whole characters");
            pieces.push((text, false));
        };
        for token in &self.taken {
            match u8::try_from(*token) {
                Ok(byte) => bytes.push(byte),
                Err(_) => {
                    text(&mut bytes, &mut pieces);
                    pieces.push((self.tokens[*token as usize - 256].to_owned(), true));
                }
            }
        }
        text(&mut bytes, &mut pieces);
        pieces
    }

    /// The whole text.
    pub fn text(&self) -> String {
        self.pieces().into_iter().map(|(text, _)| text).collect()
    }
}
