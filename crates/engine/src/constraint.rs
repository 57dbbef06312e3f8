//! Forms and calls in generation: which tokens may be chosen next.

use crate::chat::{Part as ReplyPart, ReplyGrammar};
use crate::memory::{self, Bound, Budget};
use crate::reserve::reserve;
use crate::{Cancel, Engine, EngineError, Form};
use happy_grammar::{Grammar, Limits, MatchError, Matcher, Part, Reading, TokenSet, Vocabulary};
use happy_tokenizer::TokenId;
use std::sync::{Mutex, PoisonError};

/// What the generated text must match: a place in a grammar, for one model's vocabulary.
///
/// A clone goes on from the same place and shares what was learned about the grammar. The vocabulary takes at most
/// [`Plan::grammar_bytes`](crate::Plan::grammar_bytes), the grammar and its masks at most what [`Limits`] say.
#[derive(Clone, Debug)]
pub(crate) struct Constraint {
    matcher: Matcher,
    allowed: TokenSet,
}

impl Constraint {
    /// A constraint at the beginning of a text.
    fn new(grammar: &Grammar, vocabulary: &Vocabulary) -> Result<Self, EngineError> {
        // The first mask gives the set its size, fallibly.
        Ok(Self { matcher: Matcher::new(grammar, vocabulary)?, allowed: TokenSet::new(0) })
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

    /// Whether the text may end here.
    pub(crate) fn is_complete(&self) -> bool {
        self.matcher.is_complete() || self.matcher.is_ended()
    }
}

/// What a grammar is compiled from.
#[derive(Clone, Debug, PartialEq)]
enum Text {
    Form(Form),
    /// A whole reply, and the form of its answer.
    Reply(ReplyGrammar, Option<Form>),
}

/// The most recently used constraints in their initial state, the latest last.
#[derive(Debug, Default)]
pub(crate) struct Compiled(Mutex<Vec<(Text, Constraint)>>);

/// Grammars that are kept compiled: a chat uses one or two in turn.
const KEPT: usize = 4;

impl Engine {
    /// The constraint of a form, from the first byte of the text on.
    pub(crate) fn constraint(&self, form: &Form, cancel: &Cancel) -> Result<Constraint, EngineError> {
        self.compiled(Text::Form(form.copied()?), cancel)
    }

    /// The constraint of a whole reply.
    pub(crate) fn reply_constraint(
        &self,
        grammar: ReplyGrammar,
        answer: Option<&Form>,
        cancel: &Cancel,
    ) -> Result<Constraint, EngineError> {
        self.compiled(Text::Reply(grammar, answer.map(Form::copied).transpose()?), cancel)
    }

    fn compiled(&self, text: Text, cancel: &Cancel) -> Result<Constraint, EngineError> {
        let kept = || self.0.compiled.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, constraint)) = kept().iter().find(|(known, _)| *known == text) {
            return Ok(constraint.clone());
        }
        let cancelled = || cancel.is_cancelled();
        let grammar = compile(&text, &cancelled)?;
        let constraint = Constraint::new(&grammar, &self.vocabulary_until(&cancelled)?)?;
        let mut kept = kept();
        if kept.len() >= KEPT {
            kept.remove(0);
        }
        // Without room it is compiled again the next time.
        if kept.try_reserve(1).is_ok() {
            kept.push((text, constraint.clone()));
        }
        Ok(constraint)
    }

    /// Returns the model's tokens as grammars see them, for a [`Matcher`] of your own. The first call builds them, in some tens of
    /// milliseconds, and keeps them.
    ///
    /// # Errors
    /// If the file has no tokenizer, or its tokenizer has too many tokens; [`EngineError::GrammarMemory`] if the budget does not
    /// leave [`Plan::grammar_bytes`](crate::Plan::grammar_bytes).
    pub fn vocabulary(&self) -> Result<Vocabulary, EngineError> {
        self.vocabulary_until(&|| false)
    }

    /// Does the same as [`Engine::vocabulary`], and calls `cancelled` about once per millisecond. Work ends when it returns true.
    ///
    /// # Errors
    /// As [`Engine::vocabulary`], and [`EngineError::Cancelled`].
    pub fn vocabulary_until(&self, cancelled: &dyn Fn() -> bool) -> Result<Vocabulary, EngineError> {
        let built = &self.0.vocabulary;
        if let Some(vocabulary) = built.get() {
            return Ok(vocabulary.clone());
        }
        self.check_grammar_memory()?;
        let vocabulary = crate::vocabulary::build(self.require_tokenizer()?, cancelled)?;
        Ok(built.get_or_init(|| vocabulary).clone())
    }

    /// Whether the vocabulary fits beside what was planned: under the caller's budget, or else in what the system has left now.
    fn check_grammar_memory(&self) -> Result<(), EngineError> {
        let (plan, needed) = (&self.0.plan, self.0.plan.grammar_bytes);
        let given = self
            .0
            .options
            .memory_budget
            .map(|bytes| Budget { bytes: bytes.saturating_sub(plan.anon_bytes()), bound: Bound::Caller });
        match given.or_else(|| memory::left(0)).filter(|left| left.bytes < needed) {
            Some(left) => Err(EngineError::GrammarMemory { needed, left }),
            None => Ok(()),
        }
    }
}

fn compile(text: &Text, cancelled: &dyn Fn() -> bool) -> Result<Grammar, EngineError> {
    let limits = Limits::default();
    Ok(match text {
        Text::Form(Form::Gbnf { text }) => Grammar::from_gbnf_cancellable(text, "root", &limits, cancelled)?,
        Text::Form(Form::JsonSchema { text, reading }) => {
            Grammar::from_json_schema_cancellable(text, *reading, &limits, cancelled)?
        }
        Text::Reply(grammar, answer) => compile_reply(grammar, answer.as_ref(), &limits, cancelled)?,
    })
}

/// Compiles the grammar of a whole reply, as [`reply_grammar`](crate::chat::reply_grammar) writes it, for a
/// [`Matcher`] or a [`Recognizer`](happy_grammar::Recognizer) of your own. Tools' schemas are read as their writers mean
/// them ([`Reading::Writer`]); without a form the answer is any text. `cancelled` is called about once per millisecond;
/// work ends when it returns true. A [`Conversation`](crate::Conversation) does all this by itself.
///
/// # Errors
/// [`EngineError::Parts`] if a schema or the form can't be followed or a limit is met, [`EngineError::Cancelled`], and an
/// error that [`is_out_of_memory`](EngineError::is_out_of_memory).
pub fn compile_reply(
    grammar: &ReplyGrammar,
    answer: Option<&Form>,
    limits: &Limits,
    cancelled: &dyn Fn() -> bool,
) -> Result<Grammar, EngineError> {
    let mut parts = Vec::new();
    reserve(&mut parts, grammar.parts.len(), "the grammar of calls")?;
    for (name, part) in &grammar.parts {
        let part = match (part, answer) {
            (ReplyPart::Schema(text), _) => Part::Schema(text, Reading::Writer),
            (ReplyPart::Until(strings), _) => Part::Until(strings),
            (ReplyPart::Answer, None) => Part::Until(&[]),
            (ReplyPart::Answer, Some(Form::Gbnf { text })) => Part::Gbnf(text),
            (ReplyPart::Answer, Some(Form::JsonSchema { text, reading })) => Part::Schema(text, *reading),
        };
        parts.push((name.as_str(), part));
    }
    Ok(Grammar::from_parts_cancellable(&grammar.gbnf, "root", &parts, limits, cancelled)?)
}
