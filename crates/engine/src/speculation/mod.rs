//! Speculation: one pass computes the chosen token and guesses of the tokens after it.
//!
//! ```text
//! chosen token t, guesses g1 .. gk      from the text itself (lookup), or from a smaller model or the file's draft head (draft)
//! one pass over t, g1 .. gk             k + 1 rows cost little more than one, because the weights are read once
//! next token = sampler(logits after t)
//! while next token == next guess:       the guess is right, and its row is already computed
//!     next token = sampler(logits after the guess)
//! otherwise:                            take back the rows of the wrong guesses, and start another pass
//! ```
//!
//! Logits have the same bits in a pass of any size. The sampler, the grammar and the stop strings see one token after the other, each
//! when it is its turn. So the text is the same with and without speculation. Guesses only change how long it takes.
//!
//! How many tokens are guessed depends on how often such guesses were right, and on how long passes of each size took ([`pace`]).

mod ahead;
mod draft;
mod edits;
mod head;
mod lookup;
mod pace;

pub(crate) use ahead::Guesses;
use draft::Draft;
use lookup::Lookup;
use pace::Pace;

use crate::{Context, EngineError, LoadOptions};
use std::time::{Duration, Instant};

/// Maximum number of tokens that one pass guesses. With the chosen token these are 8 rows, the most that the kernels' tiles for few rows
/// hold.
pub(crate) const MAX_DRAFT: usize = 7;

/// Returns the time since some fixed moment.
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
    /// Whether the file's draft head guesses. `draft` is `None` then.
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

    /// Guesses from the text itself: where the last tokens occurred before, in the sequence or in what the context's sequences held
    /// earlier, the tokens that followed them. This costs only a search, and helps if a text repeats its prompt: edits, summaries,
    /// quotations.
    pub fn lookup() -> Self {
        Self::new(true)
    }

    /// Guesses with a smaller model. It computes in `context`, and uses its first sequence. The two models must have the same vocabulary.
    pub fn draft(context: Context) -> Self {
        Self::new(false).with_draft(context)
    }

    /// Guesses with the file's draft head, which was trained with the model (multi-token prediction, MTP). This needs
    /// [`LoadOptions::draft_head`].
    pub fn head() -> Self {
        Self::new(false).with_head()
    }

    /// Also asks a smaller model, if the text itself offers no promising guess.
    #[must_use]
    pub fn with_draft(self, context: Context) -> Self {
        Self { draft: Some(context), head: false, ..self }
    }

    /// Also asks the file's draft head, if the text itself offers no promising guess: see [`head`](Self::head).
    #[must_use]
    pub fn with_head(self) -> Self {
        Self { draft: None, head: true, ..self }
    }

    /// Sets the maximum number of guesses in a pass. Default: the number that [`LoadOptions::draft_tokens`] plans for, which is also the
    /// limit.
    #[must_use]
    pub fn with_most(self, n: usize) -> Self {
        Self { most: n, ..self }
    }

    /// Guesses as many tokens as possible, even if that makes it slower. This is for measurements and tests. By default, the number adapts.
    #[must_use]
    pub fn always(self) -> Self {
        Self { adaptive: false, ..self }
    }

    /// Sets the clock that measures passes. It returns the time since some fixed moment. Default: the system's monotonic clock.
    /// The clock influences how many tokens are guessed, never the text.
    #[must_use]
    pub fn with_clock(self, clock: impl FnMut() -> Duration + Send + Sync + 'static) -> Self {
        Self { clock: Box::new(clock), ..self }
    }
}

/// Counts of what speculation did in a context since [`Context::set_speculation`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SpeculationStats {
    /// Number of passes that computed a chosen token, by the number of guesses beside it.
    pub passes: [u64; MAX_DRAFT + 1],
    /// The total time of these passes, by the number of guesses.
    pub pass_time: [Duration; MAX_DRAFT + 1],
    /// Number of guesses that were computed.
    pub guessed: u64,
    /// Number of computed guesses that were right.
    pub accepted: u64,
    /// Number of tokens that the draft model or head proposed. Not all of them were computed.
    pub drafted: u64,
    /// The total time of the draft model or head, including the time to read tokens that it had not seen.
    pub draft_time: Duration,
}

impl SpeculationStats {
    /// Returns the number of tokens whose logits were used: one for each pass, and the accepted guesses.
    pub fn tokens(&self) -> u64 {
        self.passes.iter().sum::<u64>() + self.accepted
    }

    /// Returns the average number of tokens from a pass. It is 1 without speculation.
    pub fn tokens_per_pass(&self) -> f64 {
        let passes = self.passes.iter().sum::<u64>();
        if passes == 0 { 1.0 } else { self.tokens() as f64 / passes as f64 }
    }
}

/// The state of speculation in a context.
pub(crate) struct Speculator {
    lookup: Option<Lookup>,
    draft: Option<Box<Draft>>,
    pace: Pace,
    most: usize,
    clock: Clock,
    stats: SpeculationStats,
}

impl Context {
    /// Sets how the generations of this context guess tokens ahead. `None`: each pass computes one token. The text is the same, at
    /// any temperature, also with penalties, forms and stop strings. Earlier measurements are dropped.
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

    /// Returns what speculation did so far. `None` if this context doesn't speculate.
    pub fn speculation_stats(&self) -> Option<SpeculationStats> {
        self.speculator.as_ref().map(|speculator| speculator.stats)
    }
}

impl LoadOptions {
    /// Maximum number of tokens that one pass guesses: see [`draft_tokens`](Self::draft_tokens).
    pub const MAX_DRAFT_TOKENS: usize = MAX_DRAFT;
}
