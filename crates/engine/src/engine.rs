//! A loaded model with its tokenizer and its chat template.

use crate::chat::{ChatTemplate, TemplateError};
use crate::{Context, EngineError, LoadOptions, Plan, Source, default_threads};
use happy_gguf::{FileError, GgufFile};
use happy_grammar::Vocabulary;
use happy_kernels::{Kernels, Pool};
use happy_model::Model;
use happy_tokenizer::{Tokenizer, TokenizerError};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, OnceLock};

/// A model that is ready to run. Clones are cheap and share everything; it may be used from many threads.
#[derive(Clone)]
pub struct Engine(pub(crate) Arc<Parts>);

/// What the clones of an [`Engine`] share.
pub(crate) struct Parts {
    pub(crate) path: String,
    pub(crate) file: GgufFile,
    pub(crate) kernels: Kernels,
    pub(crate) model: Model,
    pub(crate) tokenizer: Option<Tokenizer>,
    pub(crate) options: LoadOptions,
    pub(crate) plan: Plan,
    /// For grammars; built when the first one needs it.
    pub(crate) vocabulary: OnceLock<Vocabulary>,
}

impl Engine {
    /// Loads the model of a GGUF file.
    ///
    /// The weights stay in the file, which is mapped unless [`LoadOptions::mmap`] says otherwise: it must not be
    /// changed or truncated while the engine lives.
    ///
    /// # Errors
    /// If the file cannot be read, its model is not supported or damaged, or the plan is over the memory budget.
    pub fn open(path: impl AsRef<Path>, options: &LoadOptions) -> Result<Self, EngineError> {
        Self::open_from(&Source::Path(path.as_ref()), options, &mut |_| ControlFlow::Continue(()))
    }

    /// Loads the model of a file or of a part of one, as [`Engine::open`].
    ///
    /// `progress` hears which part of the work is done, from 0 to 1, and may end it.
    ///
    /// # Errors
    /// As [`Engine::open`], and [`EngineError::Cancelled`] if `progress` breaks.
    pub fn open_from(
        source: &Source<'_>,
        options: &LoadOptions,
        progress: &mut dyn FnMut(f32) -> ControlFlow<()>,
    ) -> Result<Self, EngineError> {
        let (before, mut tick) = source.shares(options.mmap, progress);
        tick(0.0)?;
        let file = source.read(options.mmap, &mut |share| tick(share * before))?;
        Self::build(file, source.name(), options, &mut |share| tick(before + share * (1.0 - before)))
    }

    /// What running the model of a file takes, without loading it: the file is mapped during the call, also where
    /// [`LoadOptions::mmap`] is off.
    ///
    /// # Errors
    /// As [`Engine::open`]; a plan over the budget is [`EngineError::OverBudget`], with its numbers.
    pub fn plan_of(source: &Source<'_>, options: &LoadOptions) -> Result<Plan, EngineError> {
        let file = source.read(true, &mut |_| Ok(()))?;
        Ok(*Self::new(file, source.name(), options)?.plan())
    }

    /// Loads the model of a file that is already parsed; `name` stands for it in errors.
    ///
    /// # Errors
    /// As [`Engine::open`].
    pub fn new(file: GgufFile, name: String, options: &LoadOptions) -> Result<Self, EngineError> {
        Self::build(file, name, options, &mut |_| Ok(()))
    }

    fn build(
        file: GgufFile,
        name: String,
        options: &LoadOptions,
        tick: &mut dyn FnMut(f32) -> Result<(), EngineError>,
    ) -> Result<Self, EngineError> {
        let threads = checked_threads(options)?;
        let kernels = options.isa.map_or_else(Kernels::detect, Kernels::with_isa)?;
        let model = Model::load(&file, &kernels)
            .map_err(|source| EngineError::Load { path: name.clone(), source })?;
        // Reading a tokenizer takes longer than looking at the tensors.
        tick(0.3)?;
        let tokenizer = tokenizer_of(&file)?;
        let tokenizer_bytes = tokenizer.as_ref().map_or(0, Tokenizer::heap_bytes);
        let plan = Plan::new(&model, options, threads, file.bytes().len() as u64, tokenizer_bytes as u64)
            .map_err(|over| EngineError::OverBudget(Box::new(over)))?;
        tick(1.0)?;
        let options = options.clone();
        let vocabulary = OnceLock::new();
        Ok(Engine(Arc::new(Parts { path: name, file, kernels, model, tokenizer, options, plan, vocabulary })))
    }

    /// Memory and threads for running the model.
    ///
    /// # Errors
    /// If memory or threads cannot be had.
    pub fn context(&self) -> Result<Context, EngineError> {
        Context::new(self.clone(), Pool::new(self.0.plan.threads)?)
    }

    /// What running the model takes.
    pub fn plan(&self) -> &Plan {
        &self.0.plan
    }

    /// The model.
    pub fn model(&self) -> &Model {
        &self.0.model
    }

    /// The kernels that the model runs on.
    pub fn kernels(&self) -> &Kernels {
        &self.0.kernels
    }

    /// The file, for its metadata.
    pub fn file(&self) -> &GgufFile {
        &self.0.file
    }

    /// The tokenizer, if the file has one.
    pub fn tokenizer(&self) -> Option<&Tokenizer> {
        self.0.tokenizer.as_ref()
    }

    /// The tokenizer.
    ///
    /// # Errors
    /// If the file has none.
    pub fn require_tokenizer(&self) -> Result<&Tokenizer, EngineError> {
        self.tokenizer().ok_or_else(|| EngineError::NoTokenizer { path: self.0.path.clone() })
    }

    /// The chat template of the file; `None` if it has none.
    ///
    /// # Errors
    /// If the template is not valid.
    pub fn chat_template(&self) -> Result<Option<ChatTemplate>, TemplateError> {
        crate::chat_template_of(&self.0.file)
    }
}

/// Maps or reads a file.
///
/// # Errors
/// If it cannot be read or is not a GGUF file.
pub fn open_file(path: &Path, mmap: bool) -> Result<GgufFile, FileError> {
    if mmap { crate::mmap::map(path) } else { GgufFile::read(path) }
}

/// The tokenizer of a file; `None` if it has none.
///
/// # Errors
/// If it has one that is damaged or not supported.
pub fn tokenizer_of(file: &GgufFile) -> Result<Option<Tokenizer>, TokenizerError> {
    if file.view().metadata().contains("tokenizer.ggml.model") {
        Tokenizer::from_gguf(file).map(Some)
    } else {
        Ok(None)
    }
}

fn checked_threads(options: &LoadOptions) -> Result<usize, EngineError> {
    let positive = |what, found| match found {
        0 => Err(EngineError::Option { what, found, expected: "at least 1" }),
        n => Ok(n),
    };
    positive("the number of sequences", options.sequences)?;
    positive("the batch size", options.batch)?;
    if let Some(context) = options.context {
        positive("the context size", context)?;
    }
    match options.threads {
        Some(threads) if (1..=Pool::MAX_THREADS).contains(&threads) => Ok(threads),
        Some(found) => {
            Err(EngineError::Option { what: "the number of threads", found, expected: "1 to 256" })
        }
        None => Ok(default_threads().min(Pool::MAX_THREADS)),
    }
}
