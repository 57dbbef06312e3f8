//! Options that commands share, and loading with these options.

use crate::error::{CliError, CliResult};
use crate::models;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, Command, FromArgMatches, ValueEnum};
use happy_engine::{AdapterFile, Engine, LoadOptions, ModelFile};
use happy_kernels::Isa;
use happy_model::KvType;
use happy_tokenizer::Tokenizer;
use std::path::{Display, Path, PathBuf};

/// How the KV cache stores keys and values.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Kv {
    F16,
    F32,
    /// int8 with a scale for every 32 values: little more than half of f16
    #[value(name = "q8_0")]
    Q8_0,
}

impl From<Kv> for KvType {
    fn from(kv: Kv) -> Self {
        match kv {
            Kv::F16 => KvType::F16,
            Kv::F32 => KvType::F32,
            Kv::Q8_0 => KvType::Q8_0,
        }
    }
}

/// Describes the option `--isa`.
pub(crate) fn isa_help() -> String {
    format!("Instruction set: {} [default: the best]", Isa::ALL.map(Isa::name).join(", "))
}

/// How to load a model.
#[derive(Debug, Args)]
#[command(next_help_heading = "Memory and threads")]
pub(crate) struct LoadArgs {
    /// Number of threads, from 1 to 256 [default: the big cores but one; all cores if they are equal]
    #[arg(short, long, value_name = "N")]
    pub(crate) threads: Option<usize>,
    #[arg(long, value_name = "NAME", hide_short_help = true, help = isa_help())]
    pub(crate) isa: Option<Isa>,
    /// Maximum anonymous memory in MiB; a model that needs more is refused [default: what the machine, its control groups and ulimit leave]
    #[arg(long, value_name = "MIB")]
    pub(crate) memory_budget: Option<u64>,
    /// Read the file into memory instead of mapping it: for files that others may write to
    #[arg(long)]
    pub(crate) no_mmap: bool,
}

impl LoadArgs {
    /// Returns the engine's options.
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
#[command(next_help_heading = "Memory and threads")]
pub(crate) struct ContextArgs {
    /// Size of the context in tokens, at least 1 [default: what the model was trained for, at most 4096, and what fits the
    /// memory]
    #[arg(short, long, value_name = "N")]
    pub(crate) ctx: Option<usize>,
    /// Maximum number of tokens in one pass; the result does not depend on it
    #[arg(short, long, value_name = "N", default_value_t = LoadOptions::DEFAULT_BATCH, hide_short_help = true)]
    pub(crate) batch: usize,
    /// How the KV cache stores keys and values; q8_0 takes little more than half the memory of f16
    #[arg(long, default_value = "f16", hide_short_help = true)]
    pub(crate) kv: Kv,
    /// Maximum memory in MiB for snapshots, to which a conversation can go back in models with windows or recurrent
    /// states; 0: no snapshots
    #[arg(long, value_name = "MIB", default_value_t = LoadOptions::DEFAULT_SNAPSHOTS >> 20, hide_short_help = true)]
    pub(crate) snapshots: usize,
}

impl ContextArgs {
    /// Returns the engine's options for this context, combined with those of `load`.
    pub(crate) fn options(&self, load: &LoadArgs) -> LoadOptions {
        let snapshot_bytes = self.snapshots.saturating_mul(1 << 20);
        LoadOptions {
            context: self.ctx,
            batch: self.batch,
            kv: self.kv.into(),
            snapshot_bytes,
            ..load.options()
        }
    }
}

/// Adapters of the model.
#[derive(Debug, Args)]
pub(crate) struct LoraArgs {
    /// Add an adapter (LoRA), multiplied by SCALE [default: 1]; may be given several times
    #[arg(long = "lora", value_name = "FILE[=SCALE]")]
    files: Vec<AdapterFile>,
}

impl LoraArgs {
    /// Returns the engine's options with the adapters.
    pub(crate) fn of(&self, options: LoadOptions) -> LoadOptions {
        LoadOptions { adapters: self.files.clone(), ..options }
    }
}

/// Which model.
#[derive(Debug, Args)]
pub(crate) struct ModelArgs {
    /// Model: a path, a name that `happy pull` takes, or a file of the models folder by its name without `.gguf`;
    /// smollm2 and gemma3 are the models that `cargo xtask fetch-models` puts there
    #[arg(short, long, value_name = "MODEL", default_value = "smollm2")]
    pub(crate) model: PathBuf,
}

impl ModelArgs {
    /// Its name in messages.
    pub(crate) fn name(&self) -> Display<'_> {
        self.model.display()
    }
}

/// Which model, for commands whose first word may name it.
#[derive(Debug)]
pub(crate) struct MainModelArgs {
    pub(crate) model: ModelArgs,
    /// Whether the command line has `-m`.
    pub(crate) is_given: bool,
}

impl FromArgMatches for MainModelArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let is_given = matches.value_source("model") == Some(ValueSource::CommandLine);
        Ok(Self { model: ModelArgs::from_arg_matches(matches)?, is_given })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for MainModelArgs {
    fn augment_args(command: Command) -> Command {
        ModelArgs::augment_args(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        ModelArgs::augment_args_for_update(command)
    }
}

/// Loads a model. `note` is called with remarks for the user.
pub(crate) fn engine(model: &ModelArgs, options: &LoadOptions, note: &dyn Fn(&str)) -> CliResult<Engine> {
    // A wrong option is reported before a missing model.
    options.check()?;
    let engine = Engine::open(models::resolve(&model.model)?, options)?;
    if let Some(notice) = engine.plan().shrunk_notice() {
        note(&notice);
    }
    let (context, trained) = (engine.plan().context, engine.model().spec().n_ctx_train as usize);
    if trained > 0 && context > trained {
        note(&format!(
            "a context of {context} positions is more than the {trained} that `{}` was made for: what follows them may be \
             nonsense",
            model.name()
        ));
    }
    Ok(engine)
}

/// Reads the header of a file; of a split model that of the first part, which has the model's metadata.
pub(crate) fn header(model: impl AsRef<Path>) -> CliResult<ModelFile> {
    Ok(ModelFile::header(models::resolve(model)?)?)
}

/// Returns the tokenizer of a file.
pub(crate) fn tokenizer(model: &ModelArgs) -> CliResult<Tokenizer> {
    let name = model.name();
    let tokenizer = header(&model.model)?
        .tokenizer()
        .map_err(|e| CliError::new(format!("the tokenizer of `{name}`: {e}")))?;
    tokenizer.ok_or_else(|| {
        CliError::new(format!("`{name}` has no tokenizer: key `tokenizer.ggml.model` is missing"))
    })
}
