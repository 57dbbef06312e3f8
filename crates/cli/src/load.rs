//! Options that commands share, and loading with them.

use crate::error::{CliError, CliResult};
use crate::models;
use clap::{Args, ValueEnum};
use happy_engine::{Engine, LoadOptions};
use happy_gguf::GgufFile;
use happy_kernels::Isa;
use happy_model::KvType;
use happy_tokenizer::Tokenizer;

/// Element type of the KV cache.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Kv {
    F16,
    F32,
}

impl From<Kv> for KvType {
    fn from(kv: Kv) -> Self {
        match kv {
            Kv::F16 => KvType::F16,
            Kv::F32 => KvType::F32,
        }
    }
}

/// How to load a model.
#[derive(Debug, Args)]
pub(crate) struct LoadArgs {
    /// Threads [default: the big cores but one; all cores where they are equal]
    #[arg(short, long, value_name = "N")]
    pub(crate) threads: Option<usize>,
    /// Instruction set: scalar, avx2, avx512, neon, dotprod [default: the best]
    #[arg(long, value_name = "NAME")]
    pub(crate) isa: Option<Isa>,
    /// Most anonymous memory in MiB [default: what the machine has free]
    #[arg(long, value_name = "MIB")]
    pub(crate) memory_budget: Option<u64>,
    /// Read the file into memory instead of mapping it: for files that others may write to
    #[arg(long)]
    pub(crate) no_mmap: bool,
}

impl LoadArgs {
    /// The engine's options.
    pub(crate) fn options(&self) -> LoadOptions {
        LoadOptions {
            threads: self.threads,
            isa: self.isa,
            memory_budget: self.memory_budget.map(|mib| mib.saturating_mul(1 << 20)),
            mmap: !self.no_mmap,
            ..LoadOptions::default()
        }
    }
}

/// Room for a conversation.
#[derive(Debug, Args)]
pub(crate) struct ContextArgs {
    /// Positions of the context [default: the model's, at most 4096]
    #[arg(short, long, value_name = "N")]
    pub(crate) ctx: Option<usize>,
    /// Tokens that are computed at once
    #[arg(short, long, value_name = "N", default_value_t = LoadOptions::DEFAULT_BATCH)]
    pub(crate) batch: usize,
    /// Element type of the KV cache
    #[arg(long, default_value = "f16")]
    pub(crate) kv: Kv,
}

impl ContextArgs {
    /// The engine's options together with how to load.
    pub(crate) fn options(&self, load: &LoadArgs) -> LoadOptions {
        LoadOptions { context: self.ctx, batch: self.batch, kv: self.kv.into(), ..load.options() }
    }
}

/// Loads the model that is given by path or name.
pub(crate) fn engine(model: &str, options: &LoadOptions) -> CliResult<Engine> {
    Ok(Engine::open(models::resolve(model)?, options)?)
}

/// Opens a file for its metadata; nothing of the weights is read.
pub(crate) fn file(model: &str) -> CliResult<GgufFile> {
    Ok(happy_engine::open_file(&models::resolve(model)?, true)?)
}

/// The tokenizer of a file.
pub(crate) fn tokenizer(model: &str) -> CliResult<Tokenizer> {
    let tokenizer = happy_engine::tokenizer_of(&file(model)?)
        .map_err(|e| CliError::new(format!("the tokenizer of `{model}`: {e}")))?;
    tokenizer.ok_or_else(|| {
        CliError::new(format!("`{model}` has no tokenizer: key `tokenizer.ggml.model` is missing"))
    })
}
