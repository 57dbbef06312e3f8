//! happy-grammar.

use happy_grammar::{Grammar, MatchError, Matcher, Piece, TokenSet, Vocabulary};
use peers_grammar::{Kind, Peer, Result, Token};

pub const PEER: Peer = Peer { vocabulary };

struct Ours(Vocabulary);

struct Following {
    matcher: Matcher,
    allowed: TokenSet,
}

fn vocabulary(tokens: &[Token]) -> Result<Box<dyn peers_grammar::Vocabulary>> {
    let pieces = tokens.iter().map(|token| match token.kind {
        Kind::Text => Piece::Text(&token.bytes),
        Kind::Control | Kind::End => Piece::Special(&token.bytes),
    });
    let ends: Vec<u32> =
        (0u32..).zip(tokens).filter(|(_, token)| token.kind == Kind::End).map(|(id, _)| id).collect();
    Ok(Box::new(Ours(Vocabulary::new(pieces, &ends)?)))
}

impl peers_grammar::Vocabulary for Ours {
    fn compile(&self, schema: &str) -> Result<Box<dyn peers_grammar::Matcher>> {
        let matcher = Matcher::new(&Grammar::from_json_schema(schema)?, &self.0)?;
        Ok(Box::new(Following { matcher, allowed: TokenSet::new(self.0.len()) }))
    }
}

impl peers_grammar::Matcher for Following {
    fn mask(&mut self, token: u32) -> Result<bool> {
        self.matcher.mask(&mut self.allowed)?;
        Ok(self.allowed.contains(token))
    }

    fn accept(&mut self, token: u32) -> Result<bool> {
        match self.matcher.accept(token) {
            Ok(()) => Ok(true),
            Err(MatchError::NotAllowed { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn is_complete(&mut self) -> Result<bool> {
        Ok(self.matcher.is_complete())
    }

    fn reset(&mut self) -> Result<()> {
        self.matcher.reset();
        Ok(())
    }
}
