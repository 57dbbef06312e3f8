//! Speculation: one pass computes the token that was chosen and guesses of what follows it.
//!
//! ```text
//! chosen token t, guesses g1 .. gk      from the text itself (lookup), from a smaller model or the file's own draft head (draft)
//! one pass over t, g1 .. gk             k + 1 rows cost little more than one: the weights are read once
//! next token = sampler(logits after t)
//! while next token == next guess:       the guess is the token: its row is already computed
//!     next token = sampler(logits after the guess)
//! otherwise:                            the rows of the wrong guesses are taken back; another pass
//! ```
//!
//! Logits have the same bits in a pass of any size, and the sampler, the grammar and the stop strings see one token after the other, each
//! when it is its turn. So the text is the same with and without speculation: guesses decide how long it takes, and nothing else.
//!
//! How many tokens are guessed depends on how often such guesses were right, and on what passes of so many rows took ([`pace`]).

mod ahead;
mod draft;
mod head;
mod lookup;
mod pace;

pub(crate) use ahead::Guesses;
use draft::Draft;
use lookup::Lookup;
use pace::Pace;

use crate::{Context, EngineError, LoadOptions};
use std::time::{Duration, Instant};

/// Most tokens that one pass guesses: with the chosen one these are eight rows, the most for which the kernels have a tile of their own.
pub(crate) const MAX_DRAFT: usize = 7;

/// Tells the time since some fixed moment.
type Clock = Box<dyn FnMut() -> Duration + Send + Sync>;

/// How a context guesses tokens ahead: see [`Context::set_speculation`].
///
/// ```no_run
/// # use happy_engine::{Engine, LoadOptions, Speculation};
/// let options = LoadOptions { draft_tokens: LoadOptions::MAX_DRAFT_TOKENS, ..Default::default() };
/// let engine = Engine::open("large.gguf", &options)?;
/// let draft = Engine::open("small.gguf", &LoadOptions::default())?;
/// let mut context = engine.context()?;
/// context.set_speculation(Some(Speculation::lookup().with_draft(draft.context()?)))?;
/// # Ok::<(), happy_engine::EngineError>(())
/// ```
pub struct Speculation {
    lookup: bool,
    draft: Option<Context>,
    /// Whether the draft head guesses, and no draft model.
    head: bool,
    most: usize,
    adaptive: bool,
    clock: Clock,
}

impl Speculation {
    fn new(lookup: bool) -> Self {
        let start = Instant::now();
        let clock = Box::new(move || start.elapsed());
        Self { lookup, draft: None, head: false, most: MAX_DRAFT, adaptive: true, clock }
    }

    /// Guesses that the text goes on as it did where its last tokens stood before: in the sequence, or in what the context's sequences
    /// held earlier. Costs nothing but a search, and helps where a text repeats its prompt: edits, summaries, quotations.
    pub fn lookup() -> Self {
        Self::new(true)
    }

    /// Guesses what a smaller model says, computed in `context`, whose first sequence it uses. The two models must have the same vocabulary.
    pub fn draft(context: Context) -> Self {
        Self::new(false).with_draft(context)
    }

    /// Guesses what the file's draft head says, which was trained with the model (multi-token prediction, MTP). It needs
    /// [`LoadOptions::draft_head`].
    pub fn head() -> Self {
        Self::new(false).with_head()
    }

    /// Asks a smaller model, too, where the text itself offers no promising guess.
    #[must_use]
    pub fn with_draft(self, context: Context) -> Self {
        Self { draft: Some(context), head: false, ..self }
    }

    /// Asks the file's draft head, too, where the text itself offers no promising guess: see [`head`](Self::head).
    #[must_use]
    pub fn with_head(self) -> Self {
        Self { draft: None, head: true, ..self }
    }

    /// Guesses at most `n` tokens a pass. Default: what [`LoadOptions::draft_tokens`] plans for, which is the most.
    #[must_use]
    pub fn with_most(self, n: usize) -> Self {
        Self { most: n, ..self }
    }

    /// Guesses as many tokens as it can, whether that pays or not: for measurements and tests. Without this, the number adapts.
    #[must_use]
    pub fn always(self) -> Self {
        Self { adaptive: false, ..self }
    }

    /// Measures what passes take with this clock, which tells the time since some fixed moment. Default: the system's monotonic clock.
    /// The clock decides how many tokens are guessed, never which text comes out.
    #[must_use]
    pub fn with_clock(self, clock: impl FnMut() -> Duration + Send + Sync + 'static) -> Self {
        Self { clock: Box::new(clock), ..self }
    }
}

/// What speculation did in a context since [`Context::set_speculation`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SpeculationStats {
    /// Passes that computed a chosen token, by the number of tokens that were guessed beside it.
    pub passes: [u64; MAX_DRAFT + 1],
    /// The time that these passes took.
    pub pass_time: [Duration; MAX_DRAFT + 1],
    /// Tokens that were guessed and computed.
    pub guessed: u64,
    /// Those of them that turned out right.
    pub accepted: u64,
    /// Tokens that the draft model or head proposed. Not all of them are worth a row.
    pub drafted: u64,
    /// The time that it took, also to read what it had not seen.
    pub draft_time: Duration,
}

impl SpeculationStats {
    /// Tokens whose logits were computed and used: one a pass, and the accepted guesses.
    pub fn tokens(&self) -> u64 {
        self.passes.iter().sum::<u64>() + self.accepted
    }

    /// How many tokens came out of a pass, on average. 1 without speculation.
    pub fn tokens_per_pass(&self) -> f64 {
        let passes = self.passes.iter().sum::<u64>();
        if passes == 0 { 1.0 } else { self.tokens() as f64 / passes as f64 }
    }
}

/// What guesses in a context.
pub(crate) struct Speculator {
    lookup: Option<Lookup>,
    draft: Option<Box<Draft>>,
    pace: Pace,
    most: usize,
    clock: Clock,
    stats: SpeculationStats,
}

impl Context {
    /// Guesses tokens ahead from now on in the generations of this context; `None`: computes one token a pass. The text is the same, at
    /// any temperature, with penalties, forms and stop strings alike. It forgets what it measured before.
    ///
    /// Generations that share passes with others ([`BatchedGeneration`](crate::BatchedGeneration)) don't speculate, since their passes have
    /// several rows already; one that is alone for a while does ([`BatchedGeneration::advance`](crate::BatchedGeneration::advance)).
    ///
    /// # Errors
    /// If [`Plan::draft_tokens`](crate::Plan::draft_tokens) is 0, the draft model has another vocabulary, the draft head is not loaded, or
    /// memory cannot be reserved. The context then speculates as it did before.
    pub fn set_speculation(&mut self, speculation: Option<Speculation>) -> Result<(), EngineError> {
        self.settle()?;
        let Some(speculation) = speculation else {
            self.speculator = None;
            return Ok(());
        };
        let planned = self.engine.plan().draft_tokens;
        if planned == 0 {
            let (what, expected) =
                ("LoadOptions::draft_tokens", "at least 1 to speculate, and memory for it");
            return Err(EngineError::Option { what, found: self.engine.0.options.draft_tokens, expected });
        }
        let Speculation { lookup, draft, head, most, adaptive, clock } = speculation;
        let draft = match draft {
            Some(context) => Some(Draft::model(&self.engine, context)?),
            None if head => Some(Draft::head(&self.engine)?),
            None => None,
        };
        self.speculator = Some(Box::new(Speculator {
            lookup: lookup.then(|| Lookup::new(self.capacity())).transpose()?,
            draft: draft.map(Box::new),
            pace: Pace::new(adaptive),
            most: most.min(planned),
            clock,
            stats: SpeculationStats::default(),
        }));
        Ok(())
    }

    /// What speculation did so far; `None` if this context doesn't speculate.
    pub fn speculation_stats(&self) -> Option<SpeculationStats> {
        self.speculator.as_ref().map(|speculator| speculator.stats)
    }
}

impl LoadOptions {
    /// The most tokens that one pass guesses: see [`draft_tokens`](Self::draft_tokens).
    pub const MAX_DRAFT_TOKENS: usize = MAX_DRAFT;
}
