//! Matching text without a vocabulary.

use crate::error::{GrammarError, GrammarErrorKind, MatchError};
use crate::grammar::Grammar;
use crate::halt::Meter;
use crate::machine::{DEAD, Machine, Position};
use std::sync::Arc;

/// Tells whether texts match a grammar, byte by byte. For tokens and masks, use [`Matcher`](crate::Matcher).
///
/// ```
/// use happy_grammar::{Grammar, Recognizer};
/// let mut recognizer = Recognizer::new(&Grammar::from_gbnf("root ::= [0-9]+ \"!\"")?)?;
/// recognizer.push(b"42")?;
/// assert!(!recognizer.is_dead() && !recognizer.is_complete());
/// recognizer.push(b"!")?;
/// assert!(recognizer.is_complete());
/// assert!(!recognizer.accepts(b"4two!")?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Recognizer {
    grammar: Grammar,
    machine: Machine,
    at: Position,
}

impl Recognizer {
    /// Makes a recognizer at the beginning of a text.
    ///
    /// # Errors
    ///
    /// The grammar names tokens by their text, which needs a vocabulary; or a limit is exceeded.
    pub fn new(grammar: &Grammar) -> Result<Self, GrammarError> {
        let program = grammar.program();
        if let Some((text, place)) = program.named_tokens.first() {
            let message = format!(
                "the token {text} is named by its text, which only a vocabulary can resolve; use a Matcher"
            );
            return Err(GrammarError::new(GrammarErrorKind::UnknownToken, *place, message));
        }
        let machine =
            Machine::new(Arc::clone(program), Vec::new(), grammar.limits(), &Meter::new(&|| false))?;
        Ok(Self { grammar: grammar.clone(), at: machine.start(), machine })
    }

    /// Advances by these bytes, which may end inside a character.
    ///
    /// # Errors
    ///
    /// A limit of the machine is reached.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), MatchError> {
        self.push_cancellable(bytes, &|| false)
    }

    /// Like [`push`](Self::push), but can be cancelled: `cancelled` is called about once per millisecond of work.
    ///
    /// # Errors
    ///
    /// A limit of the machine is reached, or the work is cancelled; some of the bytes may have been consumed.
    pub fn push_cancellable(&mut self, bytes: &[u8], cancelled: &dyn Fn() -> bool) -> Result<(), MatchError> {
        let meter = Meter::new(cancelled);
        for &byte in bytes {
            self.machine.advance(&mut self.at, byte, &meter)?;
        }
        Ok(())
    }

    /// Advances by one token: by its bytes and, if the grammar names tokens, by its id.
    ///
    /// # Errors
    ///
    /// A limit of the machine is reached.
    pub fn push_token(&mut self, id: Option<u32>, bytes: &[u8]) -> Result<(), MatchError> {
        self.machine.advance_token(&mut self.at, id, bytes, &Meter::new(&|| false))
    }

    /// Returns whether the text so far is a complete text of the grammar.
    pub fn is_complete(&self) -> bool {
        self.machine.is_accepting(self.at.state)
    }

    /// Returns whether no text of the grammar begins with the text so far.
    pub fn is_dead(&self) -> bool {
        self.at.state == DEAD
    }

    /// Returns to the beginning. Keeps what was learned about the grammar, unless the limit of states was reached.
    pub fn reset(&mut self) {
        if self.machine.is_full() {
            let program = Arc::clone(self.grammar.program());
            // This succeeded with the same limits before.
            if let Ok(fresh) =
                Machine::new(program, Vec::new(), self.grammar.limits(), &Meter::new(&|| false))
            {
                self.machine = fresh;
            }
        }
        self.at = self.machine.start();
    }

    /// Returns whether a whole text matches. Starts from the beginning.
    ///
    /// # Errors
    ///
    /// A limit of the machine is reached.
    pub fn accepts(&mut self, text: &[u8]) -> Result<bool, MatchError> {
        self.reset();
        self.push(text)?;
        Ok(self.is_complete())
    }
}
