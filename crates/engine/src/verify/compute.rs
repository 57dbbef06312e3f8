//! The computation of `verify`, step by step.
//!
//! ```text
//! pass 0   the prompt but its end, in one batch     the kernels for many tokens
//! pass 1   its last three tokens                    those for a few
//! pass 2   the generated tokens, one by one         those for one token, and the cache that grows
//! ```
//! Models that see texts as a whole only have pass 0. The result of each step is hashed; that of pass 2 is hashed over
//! all of its tokens. Since the generated tokens are given, a fault at one of them changes no earlier step of a later
//! one.

use super::hash::{Hash, add_rows, add_values};
use super::{Difference, GENERATED, PROMPT, Part, ReferenceError, text};
use crate::reserve::{refused, reserve};
use crate::{Engine, EngineError};
use happy_kernels::linear::LinearKernel;
use happy_kernels::{Ctx, MatMut, Pool};
use happy_model::spec::OutputKind;
use happy_model::{
    Batch, ForwardError, KvCache, KvOptions, KvType, LayerHook, RunOptions, Scratch, Value, Want,
};
use happy_tokenizer::TokenId;
use sha2::{Digest, Sha256};
use std::ops::ControlFlow;

/// Tokens of pass 1: kernels for a few tokens take as many, and those for many more do not.
const FEW: usize = 3;
/// The step whose result becomes logits.
const OUTPUT: &str = "output";

/// The result of a step.
#[derive(Clone, Debug)]
pub(super) struct Step {
    /// `blk.7.ffn_down`, or `rope` outside of the layers.
    pub(super) name: String,
    /// Of each pass.
    pub(super) hashes: Vec<Hash>,
    /// The kernel of each pass; not part of the file.
    kernels: Vec<String>,
}

impl Step {
    pub(super) fn new(name: String, hashes: Vec<Hash>) -> Self {
        Self { name, hashes, kernels: Vec::new() }
    }

    fn part(&self) -> Part {
        if self.name == OUTPUT { Part::Logits } else { Part::Layer }
    }
}

/// Results of steps, and hashes of logits with their positions.
#[derive(Clone, Debug, Default)]
pub(super) struct Computed {
    pub(super) steps: Vec<Step>,
    pub(super) logits: Vec<(usize, Hash)>,
}

/// The pass in which a value was not finite, which ends all.
pub(super) type End = Option<(usize, ForwardError)>;

/// The ids that are computed: of a text, or of any tokens if there is no tokenizer.
pub(super) fn prompt(engine: &Engine) -> Result<Vec<TokenId>, EngineError> {
    let (spec, given) = (engine.model().spec(), text::prompt_ids(engine)?);
    let n = PROMPT.min(trained(engine).saturating_sub(GENERATED)).max(1);
    let mut ids = Vec::new();
    reserve(&mut ids, n, "prompt tokens")?;
    let any = |i: usize| (i as u32).wrapping_mul(2_654_435_761) % (spec.n_vocab.max(1) as u32);
    ids.extend((0..n).map(|i| if given.is_empty() { any(i) } else { given[i % given.len()] }));
    Ok(ids)
}

/// Positions that the model was made for.
fn trained(engine: &Engine) -> usize {
    match engine.model().n_ctx_train() {
        0 => usize::MAX,
        n => n as usize,
    }
}

/// Computes the prompt and the generated tokens. With `generate`, these are chosen: the most likely.
pub(super) fn compute(
    engine: &Engine,
    prompt: &[TokenId],
    generated: &mut Vec<TokenId>,
    generate: bool,
    tick: &mut dyn FnMut(f32) -> Result<(), EngineError>,
) -> Result<(Computed, End), EngineError> {
    let spec = engine.model().spec();
    let wanted = match (generate, spec.whole_texts) {
        (_, true) => 0,
        (true, false) => GENERATED.min(trained(engine).saturating_sub(prompt.len())),
        (false, false) => generated.len(),
    };
    let mut device = Device::new(engine, prompt.len(), wanted)?;
    let few = if spec.whole_texts { 0 } else { FEW.min(prompt.len() - 1) };
    let (many, rest) = prompt.split_at(prompt.len() - few);
    let total = (prompt.len() + wanted) as f32;
    let mut next = None;
    for (pass, tokens) in [many, rest].into_iter().enumerate().filter(|(_, tokens)| !tokens.is_empty()) {
        match device.pass(pass, tokens)? {
            Ok(best) => next = best,
            Err(end) => return Ok((device.finish()?, Some((pass, end)))),
        }
        tick(device.len as f32 / total)?;
    }
    reserve(generated, wanted, "generated tokens")?;
    for i in 0..wanted {
        if generate {
            // without logits any tokens do
            generated.push(next.unwrap_or_else(|| prompt.get(i).copied().unwrap_or_default()));
        }
        let Some(token) = generated.get(i) else { break };
        match device.pass(2, &[*token])? {
            Ok(best) => next = best,
            Err(end) => return Ok((device.finish()?, Some((2, end)))),
        }
        tick(device.len as f32 / total)?;
    }
    Ok((device.finish()?, None))
}

/// A cache, buffers and threads of its own, and what was seen so far.
struct Device<'e> {
    engine: &'e Engine,
    pool: Pool,
    kv: KvCache,
    scratch: Scratch,
    batch: Batch,
    want: Want,
    /// Positions that are computed.
    len: usize,
    seen: Seen,
    logits: Vec<(usize, Hash)>,
}

impl<'e> Device<'e> {
    fn new(engine: &'e Engine, prompt: usize, generated: usize) -> Result<Self, EngineError> {
        let (spec, threads) = (engine.model().spec(), engine.plan().threads);
        let (want, n_outputs) = match (spec.output, spec.whole_texts) {
            (OutputKind::None, false) => (Want::Hidden, FEW),
            (_, true) => (Want::Hidden, prompt),
            _ => (Want::Logits, FEW),
        };
        let n_ctx = prompt + generated;
        // as the engine does: encoders keep what they compute in f32
        let kind = if spec.whole_texts { KvType::F32 } else { KvType::F16 };
        let run = RunOptions { n_batch: prompt, n_outputs, threads, n_ctx, adapter_rank: 0 };
        let mut logits = Vec::new();
        reserve(&mut logits, FEW + 1 + generated, "hashes of logits")?;
        Ok(Self {
            engine,
            pool: Pool::new(threads)?,
            kv: KvCache::new(spec, KvOptions::new(kind, 1, n_ctx).with_batch(prompt))?,
            scratch: engine.model().scratch(&run)?,
            batch: Batch::try_with_capacity(prompt)?,
            want,
            len: 0,
            seen: Seen::default(),
            logits,
        })
    }

    /// Computes tokens as a part of a pass. Returns the most likely next token, if there are logits.
    fn pass(
        &mut self,
        pass: usize,
        tokens: &[TokenId],
    ) -> Result<Result<Option<TokenId>, ForwardError>, EngineError> {
        let whole = self.engine.model().spec().whole_texts;
        self.batch.clear();
        for (i, token) in tokens.iter().enumerate() {
            // the output matrix, too, has a kernel for a few tokens
            let wanted = whole || tokens.len() <= FEW || i + 1 == tokens.len();
            let want = if wanted { self.want } else { Want::Nothing };
            self.batch.push(*token, (self.len + i) as u32, 0, want)?;
        }
        self.seen.begin(pass);
        let (kernels, model) = (self.engine.kernels(), self.engine.model());
        let cx = Ctx::new(&self.pool, kernels);
        let done = model.forward(cx, &self.batch, &mut self.kv, &mut self.scratch, &mut self.seen);
        if let Some(error) = self.seen.error.take() {
            return Err(error);
        }
        let output = match done {
            Ok(output) => output,
            Err(error @ ForwardError::NonFinite { .. }) => return Ok(Err(error)),
            Err(error) => return Err(error.into()),
        };
        let mut best = None;
        for row in output.logits_indices() {
            let Some(logits) = output.logits(row) else { continue };
            let mut hash = Sha256::new();
            add_values(&mut hash, logits);
            self.logits.push((self.len + row, Hash::finish(hash)));
            best = (kernels.ops.argmax)(logits).map(|id| id as TokenId);
        }
        self.len += tokens.len();
        Ok(Ok(best))
    }

    fn finish(self) -> Result<Computed, EngineError> {
        Ok(Computed { steps: self.seen.finish(self.engine)?, logits: self.logits })
    }
}

/// Hashes what the steps compute.
#[derive(Default)]
struct Seen {
    /// Steps in their order, with a hash and a kernel for each pass.
    steps: Vec<SeenStep>,
    pass: usize,
    /// Steps of this pass so far.
    at: usize,
    error: Option<EngineError>,
}

struct SeenStep {
    layer: Option<usize>,
    name: &'static str,
    hashes: Vec<(Sha256, Option<Multiplied>)>,
}

/// A matrix, and for how many rows it was multiplied at once.
#[derive(Clone, Copy)]
struct Multiplied {
    kernel: &'static LinearKernel,
    /// `None`: for several numbers, as the experts of a mixture are.
    rows: Option<usize>,
}

impl Seen {
    fn begin(&mut self, pass: usize) {
        (self.pass, self.at) = (pass, 0);
    }

    /// The entry of a value: the last one if it goes on, the next one, or a new one.
    fn entry(&mut self, value: &Value<'_>) -> Result<&mut SeenStep, EngineError> {
        let is = |step: &SeenStep| (step.layer, step.name) == (value.layer, value.name);
        let goes_on = self.at.checked_sub(1).filter(|last| self.steps.get(*last).is_some_and(is));
        let index = goes_on.unwrap_or(self.at);
        self.at = index + 1;
        if index == self.steps.len() {
            reserve(&mut self.steps, 1, "steps of the layers")?;
            self.steps.push(SeenStep { layer: value.layer, name: value.name, hashes: Vec::new() });
        }
        // every pass has the same steps
        self.steps.get_mut(index).filter(|step| is(step)).ok_or_else(|| ReferenceError::Steps.into())
    }

    fn add(&mut self, value: &Value<'_>) -> Result<(), EngineError> {
        let pass = self.pass;
        let step = self.entry(value)?;
        if step.hashes.len() <= pass {
            reserve(&mut step.hashes, 1, "hashes of steps")?;
            let rows = Some(value.rows.rows()).filter(|_| !value.name.ends_with("_exps"));
            let matrix = value.matrix.map(|matrix| Multiplied { kernel: matrix.kernel(), rows });
            step.hashes.push((Sha256::new(), matrix));
        }
        match step.hashes.get_mut(pass) {
            Some((hash, _)) => add_rows(hash, value.rows),
            None => return Err(ReferenceError::Steps.into()),
        }
        Ok(())
    }

    fn finish(self, engine: &Engine) -> Result<Vec<Step>, EngineError> {
        let mut steps = Vec::new();
        reserve(&mut steps, self.steps.len(), "steps of the layers")?;
        for step in self.steps {
            let name = match step.layer {
                Some(layer) => format!("blk.{layer}.{}", step.name),
                None => step.name.to_owned(),
            };
            let kernels = step.hashes.iter().map(|(_, matrix)| kernel_name(engine, *matrix)).collect();
            let hashes = step.hashes.into_iter().map(|(hash, _)| Hash::finish(hash)).collect();
            steps.push(Step { name, hashes, kernels });
        }
        Ok(steps)
    }
}

/// The kernel that multiplied, or the instruction set of another operation.
fn kernel_name(engine: &Engine, matrix: Option<Multiplied>) -> String {
    let Some(Multiplied { kernel, rows }) = matrix else { return engine.kernels().isa.to_string() };
    match (rows, &kernel.few) {
        (None, _) => format!("{kernel:?}"),
        (Some(2..=FEW), Some(few)) => few.name.to_owned(),
        (Some(0..=FEW), _) => kernel.gemv_name.to_owned(),
        _ => kernel.gemm_name.to_owned(),
    }
}

impl LayerHook for Seen {
    fn after_layer(&mut self, _layer: usize, _hidden: MatMut<'_>) -> ControlFlow<()> {
        if self.error.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn sees_values(&self) -> bool {
        true
    }

    fn on_value(&mut self, value: &Value<'_>) {
        if self.error.is_some() {
            return;
        }
        self.error = self.add(value).err();
    }
}

impl Computed {
    /// Results that are hashed.
    pub(super) fn len(&self) -> usize {
        self.steps.iter().map(|step| step.hashes.len()).sum::<usize>() + self.logits.len()
    }

    /// The first difference to what is expected. `end`: a value was not finite, which ended the computation.
    pub(super) fn compare(&self, expected: &Computed, end: End) -> Result<Option<Difference>, EngineError> {
        let names = self.steps.iter().zip(&expected.steps).all(|(a, b)| a.name == b.name);
        if !names || (end.is_none() && self.steps.len() != expected.steps.len()) {
            return Err(ReferenceError::Steps.into());
        }
        let passes = match end {
            // The hashes of the last pass lack some of its tokens.
            Some((pass, _)) => (pass + 1).min(2),
            None => 3,
        };
        // Layers come first, in all passes.
        for part in [Part::Layer, Part::Logits] {
            let steps = || self.steps.iter().zip(&expected.steps).filter(|(step, _)| step.part() == part);
            for pass in 0..passes {
                for (found, expected) in steps() {
                    let (hash, wanted) = (found.hashes.get(pass), expected.hashes.get(pass));
                    // Steps that come after the end have none.
                    if hash != wanted && (hash.is_some() || end.is_none()) {
                        let kernel = found.kernels.get(pass).cloned();
                        return Ok(Some(Difference::new(part, found.name.as_str(), kernel)));
                    }
                }
            }
        }
        match end {
            Some((_, ForwardError::NonFinite { layer })) => {
                return Ok(Some(Difference::new(Part::Layer, format!("blk.{layer}"), None)));
            }
            Some((_, error)) => return Err(error.into()),
            None => {}
        }
        let differs = expected.logits.iter().find(|logits| !self.logits.contains(logits));
        Ok(differs.map(|(at, _)| Difference::new(Part::Logits, format!("position {at}"), None)))
    }
}

/// Room for a list of the file.
pub(super) fn room<T>(list: &mut Vec<T>, n: usize, bytes: usize) -> Result<(), ReferenceError> {
    list.try_reserve(n).map_err(|_| ReferenceError::Memory { bytes })
}

impl From<ReferenceError> for EngineError {
    fn from(error: ReferenceError) -> Self {
        match error {
            ReferenceError::Memory { bytes } => refused(bytes, "a verification file"),
            error => EngineError::Reference(error),
        }
    }
}
