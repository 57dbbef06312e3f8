//! Does this device compute what another one computed?
//!
//! ```text
//! reference   made where results are trusted: texts and their ids, renderings, hashes of tensors, of every step inside
//!             every layer, and of logits; some 100 KiB of JSON for a model
//! verify      computes the same here, and names the first difference
//! ```
//!
//! ```no_run
//! use happy_engine::verify::Reference;
//! use happy_engine::Engine;
//! use std::ops::ControlFlow;
//! let engine = Engine::open("model.gguf", &Default::default())?;
//! let reference = Reference::from_json(&std::fs::read("model.verify.json")?)?;
//! match engine.verify(&reference, &mut |_| ControlFlow::Continue(()))? {
//!     None => println!("this device computes the same"),
//!     Some(difference) => println!("{difference}"),
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Results do not depend on the instruction set, the threads or the options of the engine, and neither does a reference: it is
//! computed with a cache and buffers of its own, on the engine's kernels, without adapters.
//!
//! The parts are compared in the order of [`Part`], so that a damaged file is not taken for a wrong kernel. The format of the
//! file, and what is not covered, are in `docs/verify.md`.

mod compute;
mod error;
mod hash;
mod read;
mod text;
mod weights;
mod write;

pub use error::ReferenceError;

use crate::{Engine, EngineError};
use compute::Computed;
use happy_model::NUMERICS_VERSION;
use happy_tokenizer::TokenId;
use hash::Hash;
use std::fmt;
use std::ops::ControlFlow;

/// Tokens of a prompt: two tiles of attention.
const PROMPT: usize = 96;
/// Most of a file's.
const MAX_PROMPT: usize = 128;
/// Generated tokens.
const GENERATED: usize = 16;

/// Hears which part of the work is done, from 0 to 1, and may end it.
pub type Progress<'a> = dyn FnMut(f32) -> ControlFlow<()> + 'a;

/// Of the work, the part that hashing the weights is.
const WEIGHTS: f32 = 0.4;

/// What a device computed, with everything that is needed to compute it again.
#[derive(Clone, Debug)]
pub struct Reference {
    architecture: String,
    texts: Vec<text::Text>,
    templates: Vec<text::Template>,
    /// The tensors in the order of the file.
    weights: Vec<(String, Hash)>,
    prompt: Vec<TokenId>,
    generated: Vec<TokenId>,
    computed: Computed,
}

/// What is compared, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Part {
    /// The ids of texts, and the text of ids.
    Tokenizer,
    /// Chat templates and what they render.
    Template,
    /// The bytes of the tensors.
    Weights,
    /// The steps from tokens to the last norm.
    Layer,
    /// The output matrix, and what is done with its result.
    Logits,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Part::Tokenizer => "tokenizer",
            Part::Template => "template",
            Part::Weights => "weights",
            Part::Layer => "layer",
            Part::Logits => "logits",
        })
    }
}

/// The first difference between a reference and what this device computes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Difference {
    /// Where it is.
    pub part: Part,
    /// The text, the template, the tensor, or the result of a step: `blk.7.ffn_down`.
    pub name: String,
    /// What computed it: the kernel of a matrix, or the instruction set of another operation. `None` if it was not
    /// computed.
    pub kernel: Option<String>,
}

impl Difference {
    fn new(part: Part, name: impl Into<String>, kernel: Option<String>) -> Self {
        Self { part, name: name.into(), kernel }
    }
}

impl fmt::Display for Difference {
    /// `layer differs: blk.7.ffn_down (gemm_q4_k_q8x256_16x8_avx512)`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} differs: {}", self.part, self.name)?;
        self.kernel.as_ref().map_or(Ok(()), |kernel| write!(f, " ({kernel})"))
    }
}

impl Reference {
    /// Returns the number of texts whose ids are compared.
    pub fn texts(&self) -> usize {
        self.texts.len()
    }

    /// Returns the number of tensors whose bytes are compared.
    pub fn tensors(&self) -> usize {
        self.weights.len()
    }

    /// Results of steps that are compared, those of a step for many tokens, for few and for one counted apart.
    pub fn values(&self) -> usize {
        self.computed.len()
    }

    /// Returns the numbers of tokens that are computed: those of the prompt, and generated ones.
    pub fn positions(&self) -> (usize, usize) {
        (self.prompt.len(), self.generated.len())
    }
}

impl Engine {
    /// Computes a reference on this device.
    ///
    /// # Errors
    /// If memory cannot be had, a value is not finite, or `progress` breaks ([`EngineError::Cancelled`]).
    pub fn reference(&self, progress: &mut Progress<'_>) -> Result<Reference, EngineError> {
        let prompt = compute::prompt(self)?;
        let weights = weights::hashes(self, &mut |share| tick(progress, share * WEIGHTS))?;
        let mut generated = Vec::new();
        let (computed, end) = compute::compute(self, &prompt, &mut generated, true, &mut |share| {
            tick(progress, WEIGHTS + share * (1.0 - WEIGHTS))
        })?;
        end.map_or(Ok(()), |(_, error)| Err(EngineError::from(error)))?;
        Ok(Reference {
            architecture: self.model().spec().architecture.to_owned(),
            texts: text::texts(self)?,
            templates: text::templates(self)?,
            weights,
            prompt,
            generated,
            computed,
        })
    }

    /// Computes here what a reference holds, and returns the first difference; `None`: this device computes the same.
    ///
    /// Takes some 30 seconds of a phone for a model of a billion parameters. Memory that the plan does not count: the buffers and
    /// the cache for at most 144 tokens.
    ///
    /// # Errors
    /// If the reference is of another architecture or version of the numerics, memory cannot be had, or `progress` breaks
    /// ([`EngineError::Cancelled`]).
    pub fn verify(
        &self,
        reference: &Reference,
        progress: &mut Progress<'_>,
    ) -> Result<Option<Difference>, EngineError> {
        reference.check(self)?;
        tick(progress, 0.0)?;
        if let Some(name) = text::compare_texts(self, &reference.texts)? {
            return Ok(Some(Difference::new(Part::Tokenizer, name, None)));
        }
        if let Some(name) = text::compare_templates(self, &reference.templates)? {
            return Ok(Some(Difference::new(Part::Template, name, None)));
        }
        let found = weights::hashes(self, &mut |share| tick(progress, share * WEIGHTS))?;
        if let Some(name) = weights::compare(&reference.weights, &found) {
            return Ok(Some(Difference::new(Part::Weights, name, None)));
        }
        let mut generated = crate::reserve::copied(&reference.generated, "generated tokens")?;
        let (found, end) = compute::compute(self, &reference.prompt, &mut generated, false, &mut |share| {
            tick(progress, WEIGHTS + share * (1.0 - WEIGHTS))
        })?;
        found.compare(&reference.computed, end)
    }
}

impl Reference {
    /// Whether an engine can compute the same.
    fn check(&self, engine: &Engine) -> Result<(), EngineError> {
        let (found, expected) = (&self.architecture, engine.model().spec().architecture);
        if found != expected {
            let found = crate::reserve::copied_text(found, "the name of an architecture")?;
            return Err(ReferenceError::Architecture { found, expected }.into());
        }
        let n_vocab = engine.model().n_vocab();
        match self.prompt.iter().chain(&self.generated).find(|id| **id as usize >= n_vocab) {
            Some(&id) => Err(ReferenceError::Token { id, n_vocab }.into()),
            None => Ok(()),
        }
    }
}

/// The version of the numerics that this build computes.
const NUMERICS: u64 = NUMERICS_VERSION as u64;

fn tick(progress: &mut Progress<'_>, share: f32) -> Result<(), EngineError> {
    match progress(share) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(EngineError::Cancelled),
    }
}
