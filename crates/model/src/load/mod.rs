//! [`Loader`], which makes a [`Model`] from a parsed file.

mod ahead;
mod draft_head;
pub(crate) mod encoder;
mod experts;
mod latent;
mod layers;
mod streams;
pub(crate) mod tensors;

pub use ahead::ReadAhead;

use std::fmt;

use happy_gguf::{GgufFile, GgufSet, GgufSetFile};
use happy_kernels::Kernels;

use crate::arch::Architecture;
use crate::error::LoadError;
use crate::model::Model;
use crate::names::{self, Read};
use crate::outline::Outline;
use crate::reserve::{collected, reserved};
use crate::spec::ModelSpec;

/// What is loaded of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Model,
    /// The model, for embedding whole texts.
    Embeddings,
    DraftHead,
}

/// Loads models, with the caller's choice of kernels and architectures.
///
/// ```no_run
/// use happy_gguf::GgufFile;
/// use happy_kernels::Kernels;
/// use happy_model::arch::{ADJACENT, Architecture, Params, decoder, rms};
/// use happy_model::{LoadError, Loader, ModelSpec};
///
/// /// Llama under another name, with larger logits.
/// struct LoudLlama;
///
/// impl Architecture for LoudLlama {
///     fn name(&self) -> &'static str {
///         "loud-llama"
///     }
///
///     fn spec(&self, params: &Params<'_>) -> Result<ModelSpec, LoadError> {
///         let mut spec = decoder(params, rms(params)?, ADJACENT)?; // reads `loud-llama.block_count` and so on
///         spec.logit_scale = Some(2.0);
///         Ok(spec)
///     }
/// }
///
/// let kernels = Kernels::detect()?;
/// let file = GgufFile::read("loud.gguf")?;
/// let model = Loader::new(&kernels).architectures(&[&LoudLlama]).load(&file)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy)]
pub struct Loader<'a> {
    kernels: &'a Kernels,
    own: &'a [&'a dyn Architecture],
    part: Part,
    large_experts: bool,
}

impl<'a> Loader<'a> {
    /// Makes a loader for the architectures of the [`registry`](crate::arch::registry). `kernels` decides which matrix kernels the
    /// models use.
    pub fn new(kernels: &'a Kernels) -> Self {
        Loader { kernels, own: &[], part: Part::Model, large_experts: false }
    }

    /// Adds the caller's architectures. One with the name of a built-in one replaces it. By default, there are only the
    /// built-in ones.
    #[must_use]
    pub fn architectures(self, own: &'a [&'a dyn Architecture]) -> Self {
        Loader { own, ..self }
    }

    /// Sets whether models are loaded for embedding texts, even if they were made for something else. Passes then have whole texts, of
    /// which the cache keeps nothing, and there are no logits. The default is false, but encoders are always loaded this way.
    #[must_use]
    pub fn embeddings(self, embeddings: bool) -> Self {
        Loader { part: if embeddings { Part::Embeddings } else { Part::Model }, ..self }
    }

    /// Loads the file's draft head instead of its model: a layer that guesses further tokens from the model's hidden states, which
    /// [`Model::forward_after`] runs. Its [`Model`] has a cache, a scratch and a plan of its own. [`DraftHeadSpec`] says what it computes.
    ///
    /// [`DraftHeadSpec`]: crate::spec::DraftHeadSpec
    #[must_use]
    pub fn draft_head(self) -> Self {
        Loader { part: Part::DraftHead, ..self }
    }

    /// Sets whether experts are mapped with large pages too, where the system has them, like the matrices that every token reads. Then
    /// experts are read faster (Zen 4: a mixture decodes 1.1 times as fast), but the system loads those beside them, too: set it if all of the file
    /// fits in memory with room to spare. The default is false.
    #[must_use]
    pub fn large_experts(self, large_experts: bool) -> Self {
        Loader { large_experts, ..self }
    }

    /// Reads the header of a model, or the headers of the parts of a split one, to say how much memory it will need.
    ///
    /// # Errors
    /// As for [`Outline::read`].
    pub fn outline(&self, gguf: &GgufSet<'_>) -> Result<Outline, LoadError> {
        Outline::new(gguf, self.kernels, self.own, self.part)
    }

    /// Loads a parsed file: reads the specification, checks every tensor, and copies only norms and biases. The model keeps the file's
    /// bytes alive. At most [`Outline::table_bytes`] are reserved.
    ///
    /// # Errors
    /// [`LoadError`] says what is wrong with the file, or that memory could not be reserved.
    pub fn load(&self, file: &GgufFile) -> Result<Model, LoadError> {
        self.load_parts(&file.view().into(), &[file])
    }

    /// Loads a model of one or several files, like [`load`](Self::load).
    ///
    /// # Errors
    /// As for [`load`](Self::load).
    pub fn load_set(&self, files: &GgufSetFile) -> Result<Model, LoadError> {
        let parts = files.parts().map(|(_, file)| file);
        self.load_parts(&files.view(), &collected(files.parts().len(), parts)?)
    }

    fn load_parts(&self, gguf: &GgufSet<'_>, files: &[&GgufFile]) -> Result<Model, LoadError> {
        let Outline { spec, matrices, .. } = self.outline(gguf)?;
        // Before anything reads the tensors.
        self.prefer_large_pages(gguf, files, &spec)?;
        let parts = collected(files.len(), files.iter().map(|file| file.shared()))?;
        let (weights, unused) = layers::load(gguf, &parts, &spec, self.kernels)?;
        Ok(Model::new(spec, weights, unused, matrices)?)
    }

    /// Asks for large pages for the matrices that every token reads, and perhaps for experts. Tables, of which a token reads a row, stay as
    /// they are.
    fn prefer_large_pages(
        &self,
        gguf: &GgufSet<'_>,
        files: &[&GgufFile],
        spec: &ModelSpec,
    ) -> Result<(), LoadError> {
        let mut ranges = reserved(gguf.tensors().count())?;
        for (i, file) in files.iter().enumerate() {
            ranges.clear();
            let large = gguf.tensors().filter(|(part, info)| {
                *part == i
                    && match names::read(info.name, gguf, spec) {
                        Read::Whole => true,
                        Read::Experts => self.large_experts,
                        Read::Little => false,
                    }
            });
            ranges.extend(large.map(|(_, info)| info.range));
            file.prefer_large_pages(&mut ranges);
        }
        Ok(())
    }
}

impl Model {
    /// Loads a parsed file of an architecture of the [`registry`](crate::arch::registry), like [`Loader::load`].
    ///
    /// # Errors
    /// As for [`Loader::load`].
    pub fn load(file: &GgufFile, kernels: &Kernels) -> Result<Self, LoadError> {
        Loader::new(kernels).load(file)
    }

    /// Loads a model of one or several files, like [`Loader::load_set`].
    ///
    /// # Errors
    /// As for [`Loader::load`].
    pub fn load_set(files: &GgufSetFile, kernels: &Kernels) -> Result<Self, LoadError> {
        Loader::new(kernels).load_set(files)
    }
}

/// A program's own architectures as a constant, for options that live longer than a call.
#[derive(Clone, Copy, Default)]
pub struct Architectures(pub &'static [&'static dyn Architecture]);

/// Prints the names.
impl fmt::Debug for Architectures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|a| a.name())).finish()
    }
}

/// Two lists are equal if they have the same names in the same order.
impl PartialEq for Architectures {
    fn eq(&self, other: &Self) -> bool {
        self.0.iter().map(|a| a.name()).eq(other.0.iter().map(|a| a.name()))
    }
}

impl Eq for Architectures {}
