//! The architectures: each is a function from a file's hyper-parameters to a [`ModelSpec`].
//!
//! `docs/adding-an-architecture.md` shows how to add one: write the function, add a line to [`registry`], run the recipes.
//! The facts (defaults, patterns, rotary pairings) are llama.cpp's, `src/models/*.cpp`.

mod base;
mod gemma;
mod gpt_oss;
mod granite;
mod llama;
mod olmo;
mod params;
mod phi;
mod qwen;
mod refuse;
mod rope;
mod stablelm;

pub use params::Params;

use happy_gguf::{GgufSet, Value};

use crate::error::{LoadError, excerpt};
use crate::spec::ModelSpec;

/// One architecture.
pub trait Architecture: Sync {
    /// `general.architecture` of its files.
    fn name(&self) -> &'static str;

    /// What a file with these hyper-parameters computes.
    ///
    /// # Errors
    /// A key that is missing, of the wrong type, or asks for something that is not implemented.
    fn spec(&self, params: &Params<'_>) -> Result<ModelSpec, LoadError>;
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

/// Reads `general.architecture` and the hyper-parameters of that architecture.
///
/// # Errors
/// An architecture that is not in the [`registry`], or what [`Architecture::spec`] reports.
pub fn read_spec(gguf: &GgufSet<'_>) -> Result<ModelSpec, LoadError> {
    let name = match gguf.metadata().get("general.architecture") {
        Some(Value::String(name)) => name.to_str().unwrap_or("(not UTF-8)"),
        Some(other) => {
            let found = other.describe();
            return Err(LoadError::metadata(format!(
                "metadata key general.architecture: expected a string, found {found}"
            )));
        }
        None => return Err(LoadError::metadata("metadata key general.architecture is missing")),
    };
    let Some(architecture) = registry().iter().find(|a| a.name() == name) else {
        let known: Vec<&str> = registry().iter().map(|a| a.name()).collect();
        return Err(LoadError::unsupported(format!(
            "architecture `{}`, expected one of {}",
            excerpt(name),
            known.join(", ")
        )));
    };
    let params = Params::new(gguf, architecture.name());
    refuse::refuse(&params)?;
    let spec = architecture.spec(&params)?;
    base::check(&spec)?;
    Ok(spec)
}
