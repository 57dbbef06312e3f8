//! Threads and pace of a context, chosen by a governor from measured speed and heat.
//!
//! ```text
//! before a token:  tell the guide how the last one went; as many threads as it says; wait until the pace allows the next
//! the token:       computed by those threads
//! prompts:         all threads, unless the device is hot
//! ```
//!
//! Results have the same bits with any number of threads, so none of this changes a text.

mod cache;

use crate::{Context, Engine, EngineError};
use cache::Cache;
use happy_governor::{
    Config, Decision, Goal, Governor, Monitor, RateTable, Readings, Reason, Sample, Source, Sysfs,
};
use happy_kernels::Pool;
use happy_model::{Batch, Want};
use happy_tokenizer::TokenId;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Decides how to compute the next tokens.
///
/// [`Context::govern`] uses one from happy-governor; a program can supply its own.
pub trait Guide: Send {
    /// Returns how to compute the next token.
    fn decision(&self) -> Decision;

    /// Takes in how the last tokens went, and returns how to go on. `sample` has no readings.
    fn observe(&mut self, sample: &Sample) -> Decision;
}

/// The time in which tokens are computed and paced: the system's, or that of a simulation.
pub trait Clock: Send {
    /// Returns the time since some fixed moment.
    fn now(&mut self) -> Duration;

    /// Lets the time pass; at most 20 ms, between two looks at the cancel flag.
    fn sleep(&mut self, time: Duration);

    /// Returns the time at the end of a pass that was computed by this decision. A simulation lets the time of the pass go by here.
    /// Default: [`now`](Self::now).
    fn passed(&mut self, _by: &Decision) -> Duration {
        self.now()
    }
}

/// Hears how long passes take: for systems that set clocks by it, as Android's performance hint sessions.
pub trait Hint: Send {
    /// A pass took so long; `expected` is what the next ones should take, if that is known.
    fn passed(&mut self, took: Duration, expected: Option<Duration>);
}

/// The system's clock.
struct SystemClock(Instant);

impl Clock for SystemClock {
    fn now(&mut self) -> Duration {
        self.0.elapsed()
    }

    fn sleep(&mut self, time: Duration) {
        std::thread::sleep(time);
    }
}

/// Options of [`Context::govern`].
#[derive(Default)]
pub struct GovernorOptions {
    /// What matters most. Default: the highest speed that can be sustained.
    pub goal: Goal,
    /// A file that keeps measured speeds, so that the next context can start with them. It is created if it is missing,
    /// and replaced if it is damaged. Default: `None`, and every context measures again during its first answer.
    pub cache: Option<PathBuf>,
    /// The device and the version of its system, as a key in the cache, for example Android's `Build.FINGERPRINT`.
    /// Default: the cores and the kernel's version.
    pub device: Option<String>,
    /// A source of what the system reports about heat and battery. Linux's files supply what it does not know (cores,
    /// clocks and their limits). Default: `None`, only these files.
    pub source: Option<Box<dyn Source + Send>>,
    /// Hears how long passes take, and should take. Default: `None`.
    pub hint: Option<Box<dyn Hint>>,
    /// The clock. Default: `None`, the system's. With one of a simulation, the governor can be tried on a phone that is not there.
    pub clock: Option<Box<dyn Clock>>,
}

impl std::fmt::Debug for GovernorOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GovernorOptions")
            .field("goal", &self.goal)
            .field("cache", &self.cache)
            .finish_non_exhaustive()
    }
}

/// A governor with the readings of its device, and its cache.
struct Measured {
    governor: Governor,
    monitor: Monitor<(Box<dyn Source + Send>, Sysfs)>,
    cache: Option<Cache>,
    hint: Option<Box<dyn Hint>>,
    reason: Reason,
}

impl Measured {
    fn new(engine: &Engine, options: GovernorOptions) -> Result<Self, EngineError> {
        let GovernorOptions { goal, cache, device, source, hint, clock: _ } = options;
        let mut monitor = Monitor::new((source.unwrap_or_else(|| Box::new(())), Sysfs::new("/")));
        let cores = monitor.source().cores();
        let device = device.unwrap_or_else(|| cache::device(&cores));
        let class = cache::model_class(engine);
        let cache = cache.map(|path| Cache { path });
        let kept = cache.as_ref().and_then(|cache| cache.read(&device, &class));
        let found = Config::for_cores(&cores);
        let max_threads = engine.plan().threads.clamp(1, Config::MOST_THREADS);
        let config = Config {
            max_threads,
            first_threads: found.first_threads.min(max_threads),
            goal,
            table: Some(kept.unwrap_or_else(|| RateTable::new(&device, &class))),
            ..found
        };
        let governor = Governor::new(config).map_err(EngineError::Governor)?;
        Ok(Self { reason: governor.decision().reason, governor, monitor, cache, hint })
    }

    /// Saves what was measured. If the cache cannot be written, the next context spends a second on measuring.
    fn keep(&self) {
        if let Some(cache) = &self.cache {
            cache.write(self.governor.table());
        }
    }
}

impl Guide for Measured {
    fn decision(&self) -> Decision {
        self.governor.decision()
    }

    fn observe(&mut self, sample: &Sample) -> Decision {
        let readings: Readings = self.monitor.poll(sample.at);
        let decision = self.governor.observe(&Sample { readings, ..*sample });
        if let Some(hint) = self.hint.as_mut().filter(|_| sample.tokens > 0) {
            let rate = self.governor.expected_rate().map(|rate| f64::from(sample.tokens) / rate);
            hint.passed(sample.busy, rate.and_then(|time| Duration::try_from_secs_f64(time).ok()));
        }
        let measures = |reason| matches!(reason, Reason::Start | Reason::Survey);
        if measures(self.reason) && !measures(decision.reason) {
            self.keep();
        }
        self.reason = decision.reason;
        decision
    }
}

impl Drop for Measured {
    fn drop(&mut self) {
        self.keep();
    }
}

/// The last pass that computed tokens.
struct Last {
    ended: Duration,
    busy: Duration,
    threads: usize,
    /// Rows of a sequence. If there are several, they are guesses, some of which may have been rejected.
    rows: usize,
    sequences: usize,
    /// Number of tokens of all sequences before it.
    tokens: usize,
}

/// The state of a context that has a guide.
pub(crate) struct Guided {
    guide: Box<dyn Guide>,
    decision: Decision,
    /// The threads of the decision, if they are fewer than all.
    fewer: Option<Pool>,
    clock: Box<dyn Clock>,
    /// When the batch that is being computed was begun.
    started: Duration,
    last: Option<Last>,
    /// Number of tokens of all sequences before the batch that is being computed.
    tokens: usize,
}

/// Longest sleep between two checks of a cancel flag.
const LOOK: Duration = Duration::from_millis(20);

impl Guided {
    fn new(guide: Box<dyn Guide>, clock: Option<Box<dyn Clock>>) -> Self {
        Self {
            decision: guide.decision(),
            guide,
            fewer: None,
            clock: clock.unwrap_or_else(|| Box::new(SystemClock(Instant::now()))),
            started: Duration::ZERO,
            last: None,
            tokens: 0,
        }
    }

    /// Prepares for a batch that is about to be computed: reports the tokens before it to the guide, and waits until
    /// the pace allows it.
    pub(crate) fn before(
        &mut self,
        batch: &Batch,
        histories: &[Vec<TokenId>],
        all: usize,
        cancel: &AtomicBool,
    ) {
        let (decode, tokens) = (is_decode(batch), histories.iter().map(Vec::len).sum::<usize>());
        self.tokens = tokens;
        if let Some(last) = self.last.take() {
            let grown = if decode { tokens.saturating_sub(last.tokens) } else { last.sequences };
            let each = grown.div_ceil(last.sequences.max(1)).clamp(1, last.rows.max(1)) as u32;
            let sample = Sample {
                at: self.clock.now(),
                tokens: each,
                busy: last.busy,
                threads: last.threads,
                ..Sample::default()
            };
            self.decision = self.guide.observe(&sample);
            if decode {
                self.wait_until(last.ended + self.decision.pause(each, last.busy), cancel);
            }
        }
        let wanted = self.decision.threads.clamp(1, all);
        if self.fewer.as_ref().map_or(all, Pool::threads) != wanted {
            // If fewer threads cannot be started, all of them compute: that is no reason to stop.
            self.fewer = if wanted == all { None } else { Pool::new(wanted).ok() };
        }
        self.started = self.clock.now();
    }

    fn wait_until(&mut self, until: Duration, cancel: &AtomicBool) {
        loop {
            let left = until.saturating_sub(self.clock.now());
            if left.is_zero() || cancel.load(Ordering::Relaxed) {
                return;
            }
            self.clock.sleep(left.min(LOOK));
        }
    }

    /// Returns the threads for a batch.
    pub(crate) fn pool<'p>(&'p self, batch: &Batch, all: &'p Pool) -> &'p Pool {
        // A prompt is limited by computation and not by memory, so more threads are faster, and hotter.
        let spared = matches!(
            self.decision.reason,
            Reason::Warm | Reason::Heat | Reason::Status | Reason::BatterySaver
        );
        let fewer = self.fewer.as_ref().filter(|_| spared || is_decode(batch));
        fewer.unwrap_or(all)
    }

    /// Records how a batch was computed.
    pub(crate) fn after(&mut self, batch: &Batch, all: usize) {
        if !is_decode(batch) {
            return;
        }
        let sequences = batch.sequences().chunk_by(|a, b| a == b).count();
        let threads = self.fewer.as_ref().map_or(all, Pool::threads);
        let ended = self.clock.passed(&Decision { threads, ..self.decision });
        self.last = Some(Last {
            ended,
            busy: ended.saturating_sub(self.started),
            threads,
            rows: batch.len() / sequences.max(1),
            sequences,
            tokens: self.tokens,
        });
    }
}

/// Returns whether a batch computes tokens one after the other, for the logits of each. A prompt does not.
fn is_decode(batch: &Batch) -> bool {
    batch.wants().iter().all(|want| *want == Want::Logits)
}

impl Context {
    /// Lets a governor choose the number of threads, at most those of the plan, and the pace between tokens. It uses
    /// measured speed and what the system reports, see `docs/governor.md`. It decides again before each token. No text
    /// depends on it.
    ///
    /// # Errors
    /// If the goal is out of range.
    pub fn govern(&mut self, mut options: GovernorOptions) -> Result<(), EngineError> {
        let clock = options.clock.take();
        let guide = Measured::new(&self.engine, options)?;
        self.guided = Some(Box::new(Guided::new(Box::new(guide), clock)));
        Ok(())
    }

    /// Lets a guide of the program's own choose threads and pace. With `None`, all threads compute without pauses, as
    /// they do by default.
    pub fn set_guide(&mut self, guide: Option<Box<dyn Guide>>) {
        self.guided = guide.map(|guide| Box::new(Guided::new(guide, None)));
    }

    /// Returns how the next token will be computed; `None` without a guide.
    pub fn decision(&self) -> Option<Decision> {
        self.guided.as_ref().map(|guided| guided.decision)
    }
}
