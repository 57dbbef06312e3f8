//! No peer: the size of a probe without a crate.

use peers_grammar::{Matcher, Peer, Result, Vocabulary};

pub const PEER: Peer = Peer { vocabulary: |_| Ok(Box::new(Nobody)) };

struct Nobody;

impl Vocabulary for Nobody {
    fn compile(&self, _schema: &str) -> Result<Box<dyn Matcher>> {
        Ok(Box::new(Nobody))
    }
}

impl Matcher for Nobody {
    fn mask(&mut self, _token: u32) -> Result<bool> {
        Ok(true)
    }

    fn accept(&mut self, _token: u32) -> Result<bool> {
        Ok(true)
    }

    fn is_complete(&mut self) -> Result<bool> {
        Ok(true)
    }

    fn reset(&mut self) -> Result<()> {
        Ok(())
    }
}
