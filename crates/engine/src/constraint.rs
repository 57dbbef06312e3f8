//! Grammars in generation: which tokens may be chosen next.

use crate::{Engine, EngineError};
use happy_grammar::{Grammar, MatchError, Matcher, Piece, TokenSet, Vocabulary};
use happy_tokenizer::{TokenId, Tokenizer};

/// What the generated text must match: a place in a grammar, for one model's vocabulary.
///
/// A clone goes on from the same place and shares what was learned about the grammar. Memory for it is not part of the
/// [`Plan`](crate::Plan): the vocabulary takes about 15 bytes a token more than its text, the masks at most what
/// [`Limits`](happy_grammar::Limits) say.
#[derive(Clone, Debug)]
pub struct Constraint {
    matcher: Matcher,
    allowed: TokenSet,
}

impl Constraint {
    /// A constraint at the beginning of a text; the vocabulary is [`Engine::vocabulary`]'s.
    ///
    /// # Errors
    /// The grammar names a token that the vocabulary does not have.
    pub fn new(grammar: &Grammar, vocabulary: &Vocabulary) -> Result<Self, EngineError> {
        let matcher = Matcher::new(grammar, vocabulary)?;
        Ok(Self { matcher, allowed: TokenSet::new(vocabulary.len()) })
    }

    /// Tokens that may follow; `None` if nothing may.
    pub(crate) fn allowed(&mut self) -> Result<Option<&TokenSet>, MatchError> {
        self.matcher.mask(&mut self.allowed)?;
        Ok(if self.allowed.words().iter().all(|word| *word == 0) { None } else { Some(&self.allowed) })
    }

    /// Goes on by a token that was allowed.
    pub(crate) fn accept(&mut self, token: TokenId) -> Result<(), MatchError> {
        self.matcher.accept(token)
    }
}

impl Engine {
    /// The model's tokens as grammars see them, for [`Constraint::new`]. Built at the first call, in some tens of
    /// milliseconds, and kept.
    ///
    /// # Errors
    /// If the file has no tokenizer, or one with too many tokens.
    pub fn vocabulary(&self) -> Result<Vocabulary, EngineError> {
        let built = &self.0.vocabulary;
        if let Some(vocabulary) = built.get() {
            return Ok(vocabulary.clone());
        }
        let vocabulary = build(self.require_tokenizer()?)?;
        Ok(built.get_or_init(|| vocabulary).clone())
    }
}

/// Control tokens are no text, and neither are tokens that stand for no bytes: a grammar can only name them.
fn build(tokenizer: &Tokenizer) -> Result<Vocabulary, EngineError> {
    let ids = 0..tokenizer.vocab_size() as TokenId;
    let mut texts = Vec::with_capacity(ids.len());
    for id in ids.clone() {
        texts.push(tokenizer.piece(id)?);
    }
    let mut pieces = Vec::with_capacity(texts.len());
    for (id, text) in ids.clone().zip(&texts) {
        let special = text.is_empty() || tokenizer.is_control(id) || tokenizer.is_eog(id);
        pieces.push(if special { Piece::Special(tokenizer.token_text(id)?) } else { Piece::Text(text) });
    }
    let ends: Vec<TokenId> = ids.filter(|id| tokenizer.is_eog(*id)).collect();
    Ok(Vocabulary::new(pieces, &ends)?)
}
