//! A loaded model with its tokenizer and its chat template.

mod ahead;
mod headers;
mod own_kernels;
mod pause;

use crate::adapters::{Loaded, Planned};
use crate::chat::{ChatTemplate, TemplateError};
use crate::constraint::Compiled;
use crate::reserve::boxed;
use crate::session::identity::{self, Identity};
use crate::source::{Opened, Tick};
use crate::{
    Context, EngineError, LoadOptions, ModelFile, Plan, Source, default_threads, memory, vocabulary,
};
use ahead::Ahead;
use happy_gguf::{GgufFile, GgufSetFile};
use happy_grammar::Vocabulary;
use happy_kernels::{Kernels, Pool};
use happy_model::{AdapterSet, Loader, Model, Outline};
use happy_tokenizer::Tokenizer;
use pause::Pause;
use std::cell::RefCell;
use std::fmt;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, OnceLock};

/// A model that is ready to run. Clones are cheap and share everything; it may be used from many threads.
#[derive(Clone)]
pub struct Engine(pub(crate) Arc<Parts>);

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let architecture = &self.model().spec().architecture;
        let mut parts = f.debug_struct("Engine");
        parts.field("path", &self.0.path).field("architecture", architecture).field("plan", &self.0.plan);
        parts.finish_non_exhaustive()
    }
}

/// What the clones of an [`Engine`] share.
pub(crate) struct Parts {
    pub(crate) path: String,
    pub(crate) files: GgufSetFile,
    /// The first of them, which has the metadata.
    pub(crate) file: ModelFile,
    pub(crate) kernels: Kernels,
    /// In an allocation of its own, which can be refused without an abort; the one that the clones share can't, so it is small.
    pub(crate) model: Box<[Model; 1]>,
    /// The same.
    draft_head: Option<Box<[Model; 1]>>,
    pub(crate) tokenizer: Option<Tokenizer>,
    pub(crate) options: LoadOptions,
    pub(crate) plan: Plan,
    /// Set at the end of loading.
    pub(crate) adapters: OnceLock<Option<Arc<AdapterSet>>>,
    pub(crate) loaded: Loaded,
    /// For forms and calls; built when the first one needs it.
    pub(crate) vocabulary: OnceLock<Vocabulary>,
    pub(crate) compiled: Compiled,
    /// For sessions; computed when the first one needs it.
    pub(crate) identity: OnceLock<Identity>,
    pub(crate) vocabulary_identity: OnceLock<Identity>,
    pub(crate) adapter_identities: identity::Adapters,
    pub(crate) pause: Pause,
    _ahead: Ahead,
}

impl Engine {
    /// Loads the model of a GGUF file, or of a split model by any of its parts.
    ///
    /// The weights stay in the file, which is mapped unless [`LoadOptions::mmap`] says otherwise: it must not be
    /// changed or truncated while the engine lives. The plan is made from the header, before anything is read that
    /// takes memory.
    ///
    /// # Errors
    /// If the file cannot be read, a part is missing (the error names it), the model is not supported or damaged, or the
    /// plan is over the memory budget.
    pub fn open(path: impl AsRef<Path>, options: &LoadOptions) -> Result<Self, EngineError> {
        Self::open_from(&Source::Path(path.as_ref()), options, &mut |_| ControlFlow::Continue(()))
    }

    /// Does the same as [`Engine::open`] with a file, a part of a file, or several of them.
    ///
    /// `progress` is called with the share of the work that is done, from 0 to 1, and may end the work.
    ///
    /// # Errors
    /// As [`Engine::open`], and [`EngineError::Cancelled`] if `progress` breaks.
    pub fn open_from(
        source: &Source<'_>,
        options: &LoadOptions,
        progress: &mut dyn FnMut(f32) -> ControlFlow<()>,
    ) -> Result<Self, EngineError> {
        let mut tick = |share| match progress(share) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(EngineError::Cancelled),
        };
        tick(0.0)?;
        let opened = source.open(options.mmap)?;
        let (name, before) = (source.name(), opened.share());
        let prepared = Prepared::new(&opened, &name, options)?;
        let files = if opened.headers_only {
            // The headers are read again, and not held beside the files.
            drop(opened);
            source.read(&mut |share| tick(share * before))?
        } else {
            opened.files
        };
        tick(before)?;
        prepared.build(files, name, options, &mut |share| tick(before + share * (1.0 - before)))
    }

    /// Returns the memory that running the model of a file takes, without loading it. The file is mapped during the call, or its header
    /// is read if [`LoadOptions::mmap`] is off. A model with a plan may still fail to load, if its tensors do not fit its metadata.
    ///
    /// # Errors
    /// If the file cannot be read, a part is missing, or the model is not supported; a plan over the budget is
    /// [`EngineError::OverBudget`], with its numbers.
    pub fn plan_of(source: &Source<'_>, options: &LoadOptions) -> Result<Plan, EngineError> {
        Ok(Prepared::new(&source.open(options.mmap)?, &source.name(), options)?.plan)
    }

    /// Loads the model of a file that is already parsed; `name` stands for it in errors.
    ///
    /// # Errors
    /// As [`Engine::open`]. A part of a split model alone is refused.
    pub fn new(file: GgufFile, name: String, options: &LoadOptions) -> Result<Self, EngineError> {
        Self::from_files(GgufSetFile::from_parts([(name.as_str(), file)])?, name, options)
    }

    /// Loads the model of files that are already parsed; `name` stands for them in errors.
    ///
    /// # Errors
    /// As [`Engine::open`].
    pub fn from_files(files: GgufSetFile, name: String, options: &LoadOptions) -> Result<Self, EngineError> {
        let opened = Opened::whole(files, !options.mmap);
        let prepared = Prepared::new(&opened, &name, options)?;
        prepared.build(opened.files, name, options, &mut |_| Ok(()))
    }

    /// Makes a context: the memory and threads for running the model, as planned.
    ///
    /// # Errors
    /// If memory or threads cannot be had.
    pub fn context(&self) -> Result<Context, EngineError> {
        Context::new(self.clone(), Pool::new(self.0.plan.threads)?)
    }

    /// Returns the memory plan.
    pub fn plan(&self) -> &Plan {
        &self.0.plan
    }

    /// Returns the model.
    pub fn model(&self) -> &Model {
        let [model] = &*self.0.model;
        model
    }

    /// Returns the file's draft head, if it is loaded: see [`LoadOptions::draft_head`].
    pub fn draft_head(&self) -> Option<&Model> {
        self.0.draft_head.as_ref().map(|head| {
            let [head] = &**head;
            head
        })
    }

    /// Returns the kernels that the model runs on.
    pub fn kernels(&self) -> &Kernels {
        &self.0.kernels
    }

    /// Returns the file, for its metadata. For a split model, this is the first part.
    pub fn file(&self) -> &ModelFile {
        &self.0.file
    }

    /// Returns the file, or all parts of a split model.
    pub fn files(&self) -> &GgufSetFile {
        &self.0.files
    }

    /// Returns the tokenizer, if the file has one.
    pub fn tokenizer(&self) -> Option<&Tokenizer> {
        self.0.tokenizer.as_ref()
    }

    /// Returns the tokenizer.
    ///
    /// # Errors
    /// [`EngineError::NoTokenizer`] if the file has no tokenizer.
    pub fn require_tokenizer(&self) -> Result<&Tokenizer, EngineError> {
        self.tokenizer().ok_or_else(|| EngineError::NoTokenizer { path: self.0.path.clone() })
    }

    /// Returns the chat template of the file, or `None` if the file has no template.
    ///
    /// # Errors
    /// If the template is not valid.
    pub fn chat_template(&self) -> Result<Option<ChatTemplate>, TemplateError> {
        self.0.file.chat_template()
    }
}

/// What is known of a model from its header: everything but the weights and the tokenizer.
struct Prepared {
    kernels: Kernels,
    plan: Plan,
}

impl Prepared {
    /// Plans a model whose header is there.
    fn new(opened: &Opened, name: &str, options: &LoadOptions) -> Result<Self, EngineError> {
        options.check()?;
        let threads = options.threads.unwrap_or_else(default_threads).min(Pool::MAX_THREADS);
        let kernels = options.isa.map_or_else(Kernels::detect, Kernels::with_isa)?;
        let header = opened.files.view();
        let loader =
            Loader::new(&kernels).architectures(options.architectures.0).embeddings(options.embeddings);
        let outline =
            loader.outline(&header).map_err(|error| EngineError::Load { path: name.to_owned(), error })?;
        let head = match options.draft_head {
            true => Some(loader.draft_head().outline(&header)),
            false => None,
        };
        let failed = |error| EngineError::Load { path: name.to_owned(), error };
        let head = head.transpose().map_err(failed)?;
        // Models that see texts as a whole have a cache of their own kind.
        for spec in head.iter().chain([&outline]).map(Outline::spec).filter(|spec| !spec.whole_texts) {
            options.kv.check(spec)?;
        }
        vocabulary::check_size(header.metadata(), outline.spec().n_vocab, name)?;
        let adapters = Planned::new(options)?;
        let mut weights = opened.weights;
        weights.bytes = weights.bytes.saturating_add(adapters.bytes);
        let plan = Plan::new((&outline, head.as_ref()), &header, weights, options, threads, adapters.rank)
            .map_err(EngineError::OverBudget)?;
        Ok(Self { kernels, plan })
    }

    /// Builds what was planned for.
    fn build(
        self,
        files: GgufSetFile,
        path: String,
        options: &LoadOptions,
        tick: &mut Tick<'_>,
    ) -> Result<Engine, EngineError> {
        let Self { kernels, plan } = self;
        // Half of what is free: the rest of the machine needs some.
        let roomy = memory::available().is_some_and(|free| free / 2 >= plan.weight_bytes);
        let loader = Loader::new(&kernels)
            .architectures(options.architectures.0)
            .embeddings(options.embeddings)
            .large_experts(roomy);
        let failed = |error| EngineError::Load { path: path.clone(), error };
        let model = boxed(loader.load_set(&files).map_err(failed)?, "model")?;
        let draft_head = match options.draft_head && plan.draft_tokens > 0 {
            true => Some(boxed(loader.draft_head().load_set(&files).map_err(failed)?, "draft head")?),
            false => None,
        };
        let ahead = if roomy { Ahead::start(&files, &model[0]) } else { Ahead::default() };
        // Reading a tokenizer takes longer than looking at the tensors.
        const TENSORS: f32 = 0.3;
        tick(TENSORS)?;
        let file = ModelFile::from(files.first().clone());
        let tick = RefCell::new(tick);
        let tokenizer = file.tokenizer_until(&|| (tick.borrow_mut())(TENSORS).is_err())?;
        (tick.borrow_mut())(1.0)?;
        let (options, adapters, loaded) = (options.clone(), OnceLock::new(), Loaded::default());
        let (vocabulary, compiled) = (OnceLock::new(), Compiled::default());
        let parts = Parts {
            path,
            files,
            file,
            kernels,
            model,
            draft_head,
            tokenizer,
            options,
            plan,
            adapters,
            loaded,
            vocabulary,
            compiled,
            identity: OnceLock::new(),
            vocabulary_identity: OnceLock::new(),
            adapter_identities: identity::Adapters::default(),
            pause: Pause::default(),
            _ahead: ahead,
        };
        Engine(Arc::new(parts)).load_adapters()
    }
}
