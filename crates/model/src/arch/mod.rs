//! The architectures: each is a function from a file's hyper-parameters to a [`ModelSpec`].
//!
//! `docs/adding-an-architecture.md` shows how to add one to this crate: write the function, add a line to [`registry`], run
//! the recipes. A program can also bring its own: implement [`Architecture`], most easily as a variation of [`decoder`] or of
//! one that [`find`] finds, and hand it to [`Loader::architectures`](crate::Loader::architectures).
//!
//! ```
//! use happy_model::arch::{Architecture, HALVES, Params, decoder, rms};
//! use happy_model::spec::{FfnKind, QkNormKind, QkNormSpec, Need};
//! use happy_model::{LoadError, ModelSpec};
//!
//! /// A decoder with norms of Q and K, and no rotation in every fourth layer.
//! struct Mine;
//!
//! impl Architecture for Mine {
//!     fn name(&self) -> &'static str {
//!         "mine" // `general.architecture` of its files; `p.u32("block_count")` is `mine.block_count`
//!     }
//!
//!     fn spec(&self, p: &Params<'_>) -> Result<ModelSpec, LoadError> {
//!         let norm = rms(p)?;
//!         let mut spec = decoder(p, norm, HALVES)?;
//!         for (i, layer) in spec.layers.iter_mut().enumerate() {
//!             let attention = &mut layer.attention;
//!             attention.qk_norm = Some(QkNormSpec { kind: QkNormKind::PerHead, norm, need: Need::Required });
//!             attention.rope = attention.rope.filter(|_| i % 4 != 3);
//!         }
//!         Ok(spec)
//!     }
//! }
//! ```
//!
//! The facts (defaults, patterns, rotary pairings) are llama.cpp's, `src/models/*.cpp`.

mod check;
mod decoder;
mod gemma;
mod gpt_oss;
mod granite;
mod llama;
mod olmo;
mod params;
mod phi;
mod qwen;
mod refuse;
pub mod rope;
mod stablelm;

pub use decoder::{
    ADJACENT, HALVES, decoder, each_dense, each_moe, inv_sqrt, layer_norm, mixture, rms, window_rope, windows,
};
pub use params::Params;

use happy_gguf::{GgufSet, Value};

use crate::error::{LoadError, excerpt};
use crate::names;
use crate::spec::ModelSpec;

/// One architecture: how a file's metadata says what its model computes.
///
/// The loader reads nothing but the specification that it returns, and checks it: impossible numbers are
/// [`LoadError::Spec`], tensors that are missing or have another shape are errors that name them.
pub trait Architecture: Sync {
    /// `general.architecture` of its files, and the first part of its keys.
    fn name(&self) -> &'static str;

    /// Returns what a file with these hyper-parameters computes.
    ///
    /// # Errors
    /// A key that is missing, of the wrong type, or asks for something that is not implemented.
    fn spec(&self, params: &Params<'_>) -> Result<ModelSpec, LoadError>;

    /// Whether [`spec`](Self::spec) heeds a key (without the architecture's name) that no built-in architecture implements.
    /// The loader refuses files with such keys, for instance `leading_dense_block_count`, because to ignore them would
    /// change results. Default: it heeds none of them.
    fn heeds(&self, key: &str) -> bool {
        let _ = key;
        false
    }
}

/// An architecture made of a name and a function.
struct Entry(&'static str, fn(&Params<'_>) -> Result<ModelSpec, LoadError>);

impl Architecture for Entry {
    fn name(&self) -> &'static str {
        self.0
    }

    fn spec(&self, params: &Params<'_>) -> Result<ModelSpec, LoadError> {
        self.1(params)
    }
}

/// Every architecture that this crate runs.
pub fn registry() -> &'static [&'static dyn Architecture] {
    &[
        &Entry("llama", llama::llama),
        &Entry("mistral3", llama::mistral3),
        &Entry("smollm3", llama::smollm3),
        &Entry("qwen2", qwen::qwen2),
        &Entry("qwen2moe", qwen::qwen2moe),
        &Entry("qwen3", qwen::qwen3),
        &Entry("qwen3moe", qwen::qwen3moe),
        &Entry("gemma", gemma::gemma),
        &Entry("gemma2", gemma::gemma2),
        &Entry("gemma3", gemma::gemma3),
        &Entry("phi3", phi::phi3),
        &Entry("phimoe", phi::phimoe),
        &Entry("granite", granite::granite),
        &Entry("granitemoe", granite::granitemoe),
        &Entry("olmo2", olmo::olmo2),
        &Entry("olmoe", olmo::olmoe),
        &Entry("stablelm", stablelm::stablelm),
        &Entry("gpt-oss", gpt_oss::gpt_oss),
    ]
}

/// Returns the built-in architecture that is called `name`.
pub fn find(name: &str) -> Option<&'static dyn Architecture> {
    registry().iter().copied().find(|a| a.name() == name)
}

/// Reads `general.architecture` and the hyper-parameters of that architecture: one of `own`, or else of the [`registry`].
///
/// # Errors
/// An architecture that is not known, what [`Architecture::spec`] reports, or an impossible specification.
pub fn read_spec(gguf: &GgufSet<'_>, own: &[&dyn Architecture]) -> Result<ModelSpec, LoadError> {
    let key = names::ARCHITECTURE;
    let name = match gguf.metadata().get(key) {
        Some(Value::String(name)) => name.to_str().unwrap_or("(not UTF-8)"),
        Some(other) => {
            let (expected, found) = ("a string".to_owned(), other.describe());
            return Err(LoadError::Key { key: key.to_owned(), expected, found });
        }
        None => return Err(LoadError::MissingKey { key: key.to_owned() }),
    };
    let known = || own.iter().chain(registry()).copied();
    let Some(architecture) = known().find(|a| a.name() == name) else {
        let expected = known().map(|a| a.name()).collect();
        return Err(LoadError::Architecture { found: excerpt(name), expected });
    };
    let params = Params::new(gguf, architecture.name());
    refuse::refuse(&params, &|key| architecture.heeds(key))?;
    let spec = architecture.spec(&params)?;
    check::check(&spec)?;
    Ok(spec)
}
