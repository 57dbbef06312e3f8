//! Guesses from a smaller model with the same vocabulary, or from the model's draft head ([`super::head`]).
//!
//! ```text
//! draft's sequence    is shortened to what it has in common with the text, then reads the rest of the text: usually one or two tokens
//! guesses             are its best tokens, one pass for each, as long as one more pays
//! ```
//!
//! A sequence with recurrent layers can't be shortened by a few tokens. Such a model guesses in a copy of its sequence, which is then
//! dropped.

use super::head::Head;
use super::pace::{DRAFT, DRAFT_KINDS, Pace};
use super::{Clock, Guesses};
use crate::context::logits;
use crate::reserve::reserve;
use crate::{Cancel, Context, Engine, EngineError, TrimLevel};
use happy_kernels::Ctx;
use happy_tokenizer::{TokenId, Tokenizer};

/// The sequence that holds the text.
const TEXT: u32 = 0;
/// The copy of it in which a model with recurrent layers guesses.
const COPY: u32 = 1;
/// Share of the time that may be spent to find out whether a draft that did not pay pays now.
const PROBE_SHARE: f64 = 0.01;

/// Weight of a new measurement in the moving mean.
const FRESH: f64 = 0.1;

/// A guess and its kind.
type Guess = Option<(TokenId, u8)>;

/// The source of the guesses.
enum By {
    Model(SmallerModel),
    Head(Head),
}

/// A smaller model.
struct SmallerModel {
    context: Context,
    /// The sequence in which it guesses.
    sequence: u32,
    /// A buffer for the tokens that it has to read. Its capacity is that of the context.
    unread: Vec<TokenId>,
}

/// A smaller model or a draft head, with its measured cost.
pub(super) struct Draft {
    by: By,
    /// Seconds of one of its passes, and of each token that it reads in a longer pass. 0 until they are measured.
    pass: f64,
    read: f64,
    /// Seconds since it last paid, and how many of them were spent on trying it again.
    waiting: f64,
    tried: f64,
    /// When it was last asked.
    last: f64,
}

/// The arguments for asking a draft.
pub(super) struct Asked<'a> {
    /// The text: `history`, then `token`.
    pub(super) history: &'a [TokenId],
    pub(super) token: TokenId,
    /// Maximum number of guesses.
    pub(super) most: usize,
    pub(super) pace: &'a Pace,
    pub(super) clock: &'a mut Clock,
    pub(super) cancel: &'a Cancel,
    /// The thread pool and kernels for a draft head.
    pub(super) cx: Ctx<'a>,
}

impl SmallerModel {
    /// Makes a draft of `context`, after checking that it can guess for `engine`.
    fn new(engine: &Engine, mut context: Context) -> Result<Self, EngineError> {
        if let Some(problem) = difference(engine.require_tokenizer()?, context.engine.require_tokenizer()?)? {
            return Err(EngineError::DraftModel { problem });
        }
        let recurrent = context.kv().state_bytes() > 0;
        if recurrent && context.engine.plan().sequences < 2 {
            let problem =
                "it has recurrent layers, for which it needs `LoadOptions::sequences` of at least 2";
            return Err(EngineError::DraftModel { problem: problem.to_owned() });
        }
        context.set_speculation(None)?;
        let mut unread = Vec::new();
        reserve(&mut unread, context.capacity(), "tokens that the draft model reads")?;
        let sequence = if recurrent { COPY } else { TEXT };
        Ok(Self { context, sequence, unread })
    }

    fn known(&self, text: &[TokenId]) -> usize {
        self.context.tokens(TEXT).iter().zip(text).take_while(|(a, b)| a == b).count()
    }

    /// Reads the text, and returns its first guess and how many tokens it read.
    fn begin(&mut self, asked: &Asked<'_>) -> Result<(Guess, usize), EngineError> {
        let known = self.context.truncate(TEXT, self.known(asked.history))?;
        self.unread.clear();
        self.unread.extend_from_slice(asked.history.get(known..).unwrap_or_default());
        self.unread.push(asked.token);
        let guess = match *self.unread.as_slice() {
            [token] => best(logits(&self.context.decode_until(&[(TEXT, token)], asked.cancel)?, 0)?),
            _ => best(self.context.prefill_until(TEXT, &self.unread, asked.cancel)?),
        };
        if self.sequence != TEXT {
            self.context.fork(TEXT, self.sequence)?;
        }
        Ok((guess, self.unread.len()))
    }

    fn next(&mut self, guess: TokenId, cancel: &Cancel) -> Result<Guess, EngineError> {
        Ok(best(logits(&self.context.decode_until(&[(self.sequence, guess)], cancel)?, 0)?))
    }
}

impl By {
    /// Returns the maximum number of positions of a text. `None`: that of the main model.
    fn capacity(&self) -> Option<usize> {
        match self {
            By::Model(model) => Some(model.context.capacity()),
            // It has as many as the main model.
            By::Head(_) => None,
        }
    }

    /// Returns how many tokens of a text it has not read. `None` if it can't guess what follows.
    fn unread(&mut self, text: &[TokenId]) -> Result<Option<usize>, EngineError> {
        match self {
            By::Model(model) => Ok(Some(text.len() - model.known(text))),
            By::Head(head) => head.unread(text),
        }
    }

    fn begin(&mut self, asked: &Asked<'_>) -> Result<(Guess, usize), EngineError> {
        match self {
            By::Model(model) => model.begin(asked),
            By::Head(head) => head.begin(asked.cx, asked.token, asked.cancel.flag()),
        }
    }

    fn next(&mut self, guess: TokenId, asked: &Asked<'_>) -> Result<Guess, EngineError> {
        match self {
            By::Model(model) => model.next(guess, asked.cancel),
            By::Head(head) => head.next(asked.cx, guess, asked.cancel.flag()),
        }
    }
}

impl Draft {
    /// Makes a draft of a smaller model, which must have the same vocabulary as `engine`.
    pub(super) fn model(engine: &Engine, context: Context) -> Result<Self, EngineError> {
        Ok(Self::by(By::Model(SmallerModel::new(engine, context)?)))
    }

    /// Makes a draft of the engine's draft head.
    pub(super) fn head(engine: &Engine) -> Result<Self, EngineError> {
        Ok(Self::by(By::Head(Head::new(engine)?)))
    }

    fn by(by: By) -> Self {
        Self { by, pass: 0.0, read: 0.0, waiting: 0.0, tried: 0.0, last: 0.0 }
    }

    /// Returns the draft head, if it is one.
    pub(super) fn as_head(&mut self) -> Option<&mut Head> {
        match &mut self.by {
            By::Model(_) => None,
            By::Head(head) => Some(head),
        }
    }

    /// Returns whether it is a draft head.
    pub(super) fn is_head(&self) -> bool {
        matches!(self.by, By::Head(_))
    }

    /// Gives memory back, as [`Context::trim`].
    pub(super) fn trim(&mut self, level: TrimLevel) -> Result<(), EngineError> {
        match &mut self.by {
            By::Model(model) => model.context.trim(level),
            By::Head(head) => head.trim(level),
        }
    }

    /// Proposes tokens that may follow the text, if that seems worth the time.
    pub(super) fn propose(&mut self, mut asked: Asked<'_>, out: &mut Guesses) -> Result<(), EngineError> {
        let started = (asked.clock)().as_secs_f64();
        self.waiting += (started - self.last).max(0.0);
        self.last = started;
        // The text and all guesses but the last have positions.
        let capacity = self.by.capacity().unwrap_or(usize::MAX);
        asked.most = asked.most.min(capacity.saturating_sub(asked.history.len() + 1));
        if asked.most == 0 {
            return Ok(());
        }
        let Some(unread) = self.by.unread(asked.history)? else { return Ok(()) };
        let pays = !asked.pace.is_adaptive()
            || self.pass == 0.0
            || asked.pace.draft_pays(asked.most, asked.pace.passes(self.pass));
        let takes = self.read * unread as f64 + self.pass;
        if !pays && self.tried + takes > PROBE_SHARE * self.waiting {
            return Ok(());
        }
        let result = self.guess(&mut asked, out);
        self.last = (asked.clock)().as_secs_f64();
        if pays {
            (self.waiting, self.tried) = (0.0, 0.0);
        } else {
            self.waiting += self.last - started;
            self.tried += self.last - started;
        }
        result
    }

    fn guess(&mut self, asked: &mut Asked<'_>, out: &mut Guesses) -> Result<(), EngineError> {
        let mut before = (asked.clock)().as_secs_f64();
        let (mut next, n) = self.by.begin(asked)?;
        let (mut chance, mut tokens) = (1.0, 1.0);
        while let Some((token, kind)) = next {
            let now = (asked.clock)().as_secs_f64();
            let first = out.proposed == 0;
            // Reading one or two tokens takes as long as a pass.
            let (kept, each) =
                if first && n > 2 { (&mut self.read, n as f64) } else { (&mut self.pass, 1.0) };
            let took = (now - before).max(0.0) / each;
            *kept = if *kept > 0.0 { *kept + FRESH * (took.min(4.0 * *kept) - *kept) } else { took };
            before = now;
            out.push(token, kind);
            if out.proposed >= asked.most {
                break;
            }
            chance *= asked.pace.rate(kind);
            tokens += chance;
            let each = asked.pace.passes(self.pass);
            if asked.pace.is_adaptive() && !asked.pace.goes_on(out.proposed, chance, tokens, each) {
                break;
            }
            next = self.by.next(token, asked)?;
        }
        Ok(())
    }
}

/// Returns the best token and the kind of the guess, which depends on how far it is ahead of the second.
pub(super) fn best(logits: &[f32]) -> Guess {
    let (mut first, mut second, mut at) = (f32::NEG_INFINITY, f32::NEG_INFINITY, None);
    for (i, logit) in logits.iter().enumerate() {
        if *logit > first {
            (second, first, at) = (first, *logit, Some(i));
        } else if *logit > second {
            second = *logit;
        }
    }
    let ahead = first - second;
    // Differences of logits: a token that is 2 ahead is 7 times as likely as the second.
    let class = [0.5, 1.0, 2.0, 3.5, 6.0].iter().filter(|than| ahead >= **than).count();
    const { assert!(DRAFT_KINDS == 6) };
    Some((TokenId::try_from(at?).ok()?, DRAFT + class as u8))
}

/// Describes the first difference between two vocabularies. Guesses are ids, which must mean the same in both.
fn difference(one: &Tokenizer, other: &Tokenizer) -> Result<Option<String>, EngineError> {
    let (expected, found) = (one.vocab_size(), other.vocab_size());
    if expected != found {
        return Ok(Some(format!("{found} tokens, expected {expected}")));
    }
    for id in 0..TokenId::try_from(one.vocab_size()).unwrap_or(TokenId::MAX) {
        let [expected, found] = [one.token_text(id)?, other.token_text(id)?];
        if expected != found {
            let [expected, found] = [expected, found].map(String::from_utf8_lossy);
            return Ok(Some(format!("token {id} is `{found}`, expected `{expected}`")));
        }
        let roles = |of: &Tokenizer| (of.is_control(id), of.is_eog(id));
        if roles(one) != roles(other) {
            let text = String::from_utf8_lossy(expected);
            return Ok(Some(format!("token {id} (`{text}`) is a control token in one, or ends generation")));
        }
    }
    let differ = one.special_ids() != other.special_ids();
    Ok(differ.then(|| format!("special tokens {:?}, expected {:?}", other.special_ids(), one.special_ids())))
}
