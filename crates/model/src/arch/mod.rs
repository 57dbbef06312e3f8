//! The architectures. Each is a function from a file's hyper-parameters to a [`ModelSpec`].
//!
//! `docs/adding-an-architecture.md` shows how to add one to this crate: write the function, add a line to [`registry`], and run the
//! recipes. A program can also bring its own: implement [`Architecture`], most easily as a variation of [`decoder()`] or of a built-in
//! one ([`find`]), and pass it to [`Loader::architectures`](crate::Loader::architectures).
//!
//! ```
//! use happy_model::arch::{Architecture, HALVES, Params, decoder, norm_heads, rms};
//! use happy_model::spec::Need;
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
//!         norm_heads(&mut spec, norm, Need::Required, false);
//!         spec.attentions_mut().skip(3).step_by(4).for_each(|(_, a)| a.rope = None);
//!         Ok(spec)
//!     }
//! }
//! ```
//!
//! The facts (defaults, patterns, rotary pairings) are llama.cpp's, `src/models/*.cpp`.

mod afmoe;
mod alibi;
mod apertus;
mod beside;
mod bitnet;
mod check;
mod cohere;
mod decoder;
mod deepseek;
mod encoder;
mod ernie;
mod exaone;
mod experts;
mod gemma;
mod gemma3n;
mod gemma4;
mod glm;
mod gpt_oss;
mod granite;
mod grovemoe;
mod head;
mod hunyuan;
mod kimi;
mod latent;
mod lfm2;
mod llama;
mod llama4;
mod mimo2;
mod minimax;
mod olmo;
mod params;
mod phi;
mod plamo;
mod qwen;
mod qwen_next;
mod refuse;
pub mod rope;
mod rwkv;
mod seed_oss;
mod smallthinker;
mod ssm;
mod stablelm;
mod talkie;
mod ungated;

pub use decoder::{
    ADJACENT, HALVES, decoder, each_dense, each_moe, hybrid, inv_sqrt, layer_norm, mixture, n_layers,
    norm_heads, norm_results, rms, window_rope, windowed, windows,
};
pub use experts::{experts, experts_by_tensors, routing, shared_experts, weight_scale};
pub use params::Params;
pub use ssm::{mamba_kind, mamba2_kind, mixers};

use happy_gguf::{GgufSet, Value};

use crate::error::{LoadError, excerpt};
use crate::names;
use crate::spec::ModelSpec;

/// An architecture, which turns a file's metadata into a specification of what its model computes.
///
/// The loader reads only this specification, and checks it. Impossible numbers are [`LoadError::Spec`]; tensors that are missing or
/// have another shape are errors that name them.
pub trait Architecture: Sync {
    /// Returns `general.architecture` of its files, which is also the first part of its keys.
    fn name(&self) -> &'static str;

    /// Returns what a file with these hyper-parameters computes.
    ///
    /// If this function does not read a key that changes what a model computes, such as `leading_dense_block_count`, the loader
    /// refuses files with that key, since ignoring it would give wrong results.
    ///
    /// # Errors
    /// If a key is missing, has the wrong type, or requires something that is not implemented.
    fn spec(&self, params: &Params<'_>) -> Result<ModelSpec, LoadError>;

    /// Returns what the draft head of such a file computes, which [`Loader::draft_head`](crate::Loader::draft_head) loads.
    ///
    /// # Errors
    /// By default, that draft heads of this architecture are not implemented. Otherwise, as for [`spec`](Self::spec).
    fn draft_head(&self, params: &Params<'_>) -> Result<ModelSpec, LoadError> {
        Err(LoadError::NoDraftHead {
            architecture: params.architecture(),
            reason: "this library has none for it",
        })
    }
}

/// An architecture that consists of a name and a function.
struct Entry(&'static str, fn(&Params<'_>) -> Result<ModelSpec, LoadError>);

impl Architecture for Entry {
    fn name(&self) -> &'static str {
        self.0
    }

    fn spec(&self, params: &Params<'_>) -> Result<ModelSpec, LoadError> {
        self.1(params)
    }
}

/// An architecture whose files may have a draft head.
struct Drafting(Entry, fn(&Params<'_>) -> Result<ModelSpec, LoadError>);

impl Architecture for Drafting {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn spec(&self, params: &Params<'_>) -> Result<ModelSpec, LoadError> {
        self.0.spec(params)
    }

    fn draft_head(&self, params: &Params<'_>) -> Result<ModelSpec, LoadError> {
        self.1(params)
    }
}

/// Returns every architecture of this crate.
pub fn registry() -> &'static [&'static dyn Architecture] {
    &[
        &Entry("llama", llama::llama),
        &Entry("llama4", llama4::llama4),
        &Entry("mistral3", llama::mistral3),
        &Entry("smollm3", llama::smollm3),
        &Entry("qwen2", qwen::qwen2),
        &Entry("qwen2moe", qwen::qwen2moe),
        &Entry("qwen3", qwen::qwen3),
        &Entry("qwen3moe", qwen::qwen3moe),
        &Entry("gemma", gemma::gemma),
        &Entry("gemma2", gemma::gemma2),
        &Entry("gemma3", gemma::gemma3),
        &Entry("gemma3n", gemma3n::gemma3n),
        &Entry("gemma4", gemma4::gemma4),
        &Entry("phi3", phi::phi3),
        &Entry("phimoe", phi::phimoe),
        &Entry("granite", granite::granite),
        &Entry("granitemoe", granite::granitemoe),
        &Entry("olmo2", olmo::olmo2),
        &Entry("olmoe", olmo::olmoe),
        &Entry("stablelm", stablelm::stablelm),
        &Entry("gpt-oss", gpt_oss::gpt_oss),
        &Entry("afmoe", afmoe::afmoe),
        &Entry("apertus", apertus::apertus),
        &Entry("arctic", beside::arctic),
        &Entry("arcee", llama::arcee),
        &Entry("bailingmoe", deepseek::bailingmoe),
        &Entry("bailingmoe2", deepseek::bailingmoe2),
        &Entry("bitnet", bitnet::bitnet),
        &Entry("cohere2", cohere::cohere2),
        &Entry("command-r", cohere::command_r),
        &Entry("deepseek", deepseek::deepseek),
        &Entry("deepseek2", latent::deepseek2),
        &Entry("dots1", deepseek::dots1),
        &Entry("ernie4_5", ernie::ernie4_5),
        &Entry("ernie4_5-moe", ernie::ernie4_5_moe),
        &Entry("exaone", exaone::exaone),
        &Entry("exaone4", exaone::exaone4),
        &Entry("glm4", glm::glm4),
        &Entry("glm4moe", glm::glm4moe),
        &Entry("granite_swa", granite::granite_swa),
        &Entry("grok", beside::grok),
        &Entry("grovemoe", grovemoe::grovemoe),
        &Entry("hunyuan-dense", hunyuan::hunyuan),
        &Entry("hunyuan-moe", hunyuan::hunyuan_moe),
        &Entry("hunyuan_vl", hunyuan::hunyuan),
        &Entry("internlm2", llama::internlm2),
        &Entry("bloom", alibi::bloom),
        &Entry("gpt2", alibi::gpt2),
        &Entry("jais", alibi::jais),
        &Entry("mpt", alibi::mpt),
        &Entry("muse-glimmer", afmoe::muse_glimmer),
        &Entry("refact", alibi::refact),
        &Entry("starcoder", alibi::gpt2),
        &Entry("laguna", afmoe::laguna),
        &Entry("minicpm3", latent::minicpm3),
        &Entry("mistral4", latent::mistral4),
        &Entry("minicpm", granite::minicpm),
        &Entry("nanbeige", llama::nanbeige),
        &Entry("olmo", olmo::olmo),
        &Entry("phi2", phi::phi2),
        &Entry("plamo", plamo::plamo),
        &Entry("plamo3", plamo::plamo3),
        &Entry("qwen2vl", qwen::qwen2vl),
        &Entry("qwen3vl", qwen::qwen3vl),
        &Entry("qwen3vlmoe", qwen::qwen3vlmoe),
        &Entry("seed_oss", seed_oss::seed_oss),
        &Entry("smallthinker", smallthinker::smallthinker),
        &Entry("spark2_5", afmoe::spark2_5),
        &Entry("talkie", talkie::talkie),
        &Entry("bert", encoder::bert),
        &Entry("eurobert", encoder::eurobert),
        &Entry("gemma-embedding", encoder::gemma_embedding),
        &Entry("jina-bert-v2", encoder::jina_bert_v2),
        &Entry("jina-bert-v3", encoder::jina_bert_v3),
        &Entry("llama-embed", encoder::llama_embed),
        &Entry("modern-bert", encoder::modern_bert),
        &Entry("neo-bert", encoder::neo_bert),
        &Entry("nomic-bert", encoder::nomic_bert),
        &Entry("nomic-bert-moe", encoder::nomic_bert_moe),
        &Entry("t5encoder", encoder::t5encoder),
        &Entry("baichuan", llama::baichuan),
        &Entry("chatglm", llama::chatglm),
        &Entry("codeshell", ungated::codeshell),
        &Entry("cogvlm", qwen::cogvlm),
        &Entry("cohere2moe", cohere::cohere2moe),
        &Entry("dbrx", olmo::dbrx),
        &Entry("deci", llama::llama),
        &Entry("exaone-moe", exaone::exaone_moe),
        &Entry("falcon", ungated::falcon),
        &Entry("gptneox", ungated::gptneox),
        &Entry("hy_v3", hunyuan::hy_v3),
        &Entry("jais2", ungated::jais2),
        &Entry("maincoder", llama::maincoder),
        &Entry("maple", qwen::maple),
        &Entry("mellum", qwen::mellum),
        &Entry("mimo2", mimo2::mimo2),
        &Entry("minimax-m2", mimo2::minimax_m2),
        &Entry("nemotron", ungated::nemotron),
        &Entry("openelm", llama::openelm),
        &Entry("orion", ungated::orion),
        &Entry("paddleocr", ernie::paddleocr),
        &Entry("pangu-embedded", llama::pangu),
        &Entry("qwen", qwen::qwen),
        &Entry("starcoder2", ungated::starcoder2),
        &Entry("xverse", llama::xverse),
        &Entry("falcon-h1", ssm::falcon_h1),
        &Entry("granitehybrid", ssm::granitehybrid),
        &Entry("jamba", ssm::jamba),
        &Entry("lfm2", lfm2::lfm2),
        &Entry("lfm2moe", lfm2::lfm2moe),
        &Entry("mamba", ssm::mamba),
        &Entry("mamba2", ssm::mamba2),
        &Entry("nemotron_h", ssm::nemotron_h),
        &Entry("nemotron_h_moe", ssm::nemotron_h),
        &Entry("plamo2", plamo::plamo2),
        &Entry("rwkv6", rwkv::rwkv6),
        &Entry("rwkv6qwen2", rwkv::rwkv6qwen2),
        &Entry("rwkv7", rwkv::rwkv7),
        &Entry("arwkv7", rwkv::arwkv7),
        &Entry("kimi-linear", kimi::kimi_linear),
        &Entry("bailingmoe3", kimi::bailingmoe3),
        &Entry("minimax-01", minimax::minimax_01),
        &Drafting(Entry("qwen35", qwen_next::qwen35), qwen_next::qwen35_head),
        &Drafting(Entry("qwen35moe", qwen_next::qwen35moe), qwen_next::qwen35moe_head),
        &Entry("qwen3next", qwen_next::qwen3next),
    ]
}

/// Returns the built-in architecture with a given name.
pub fn find(name: &str) -> Option<&'static dyn Architecture> {
    registry().iter().copied().find(|a| a.name() == name)
}

/// Reads `general.architecture`, and the specification from that architecture: one of `own`, otherwise one of the [`registry`].
///
/// # Errors
/// If the architecture is unknown, [`Architecture::spec`] fails, or the specification is impossible.
pub fn read_spec(gguf: &GgufSet<'_>, own: &[&dyn Architecture]) -> Result<ModelSpec, LoadError> {
    read(gguf, own, |architecture, params| {
        let mut spec = architecture.spec(params)?;
        head::read(params, &mut spec)?;
        Ok(spec)
    })
}

/// Reads the specification of a file's draft head in the same way.
///
/// # Errors
/// As for [`read_spec`], and [`LoadError::NoDraftHead`] if the file has no draft head, or draft heads of its
/// architecture are not implemented.
pub fn read_draft_head(gguf: &GgufSet<'_>, own: &[&dyn Architecture]) -> Result<ModelSpec, LoadError> {
    read(gguf, own, |architecture, params| {
        let none = |reason| Err(LoadError::NoDraftHead { architecture: architecture.name(), reason });
        match params.opt_u32("nextn_predict_layers")?.unwrap_or(0) {
            0 => none("its file has no layer that predicts further tokens"),
            1 => architecture.draft_head(params),
            _ => none("its file has several layers that predict further tokens, expected 1"),
        }
    })
}

fn read(
    gguf: &GgufSet<'_>,
    own: &[&dyn Architecture],
    spec: impl FnOnce(&dyn Architecture, &Params<'_>) -> Result<ModelSpec, LoadError>,
) -> Result<ModelSpec, LoadError> {
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
    let spec = spec(architecture, &params)?;
    refuse::refuse(&params)?;
    check::check(&spec)?;
    Ok(spec)
}
