//! llguidance: a factory for each vocabulary, a matcher for each schema, which is cloned for each text so that they share the
//! lexer's automaton.

use std::sync::Arc;

use llguidance::api::TopLevelGrammar;
use llguidance::toktrie::{ApproximateTokEnv, TokEnv, TokRxInfo, TokTrie};
use llguidance::{Matcher, ParserFactory};
use peers_grammar::{Kind, Peer, Result, Token};

pub const PEER: Peer = Peer { vocabulary };

struct Factory(ParserFactory);

struct Following {
    fresh: Matcher,
    matcher: Matcher,
}

fn vocabulary(tokens: &[Token]) -> Result<Box<dyn peers_grammar::Vocabulary>> {
    let words: Vec<Vec<u8>> = tokens
        .iter()
        .map(|token| match token.kind {
            Kind::Text => token.bytes.clone(),
            Kind::Control | Kind::End => [&[TokTrie::SPECIAL_TOKEN_MARKER], &token.bytes[..]].concat(),
        })
        .collect();
    let end = tokens.iter().position(|token| token.kind == Kind::End).ok_or("no end")?;
    let trie = TokTrie::from(&TokRxInfo::new(u32::try_from(words.len())?, u32::try_from(end)?), &words);
    let env: TokEnv = Arc::new(ApproximateTokEnv::new(trie));
    let mut factory = ParserFactory::new_simple(&env)?;
    factory.quiet();
    Ok(Box::new(Factory(factory)))
}

impl peers_grammar::Vocabulary for Factory {
    fn compile(&self, schema: &str) -> Result<Box<dyn peers_grammar::Matcher>> {
        // The tag is the crate's way to take a schema's text.
        let grammar = TopLevelGrammar::from_tagged_str("json_schema", schema)?;
        let fresh = Matcher::new(Ok(self.0.create_parser(grammar)?));
        Ok(Box::new(Following { matcher: fresh.clone(), fresh }))
    }
}

impl peers_grammar::Matcher for Following {
    fn mask(&mut self, token: u32) -> Result<bool> {
        Ok(self.matcher.compute_mask()?.is_allowed(token))
    }

    fn accept(&mut self, token: u32) -> Result<bool> {
        Ok(self.matcher.try_consume_tokens(&[token])? == 1)
    }

    fn is_complete(&mut self) -> Result<bool> {
        Ok(self.matcher.is_accepting()?)
    }

    fn reset(&mut self) -> Result<()> {
        self.matcher = self.fresh.clone();
        Ok(())
    }
}
