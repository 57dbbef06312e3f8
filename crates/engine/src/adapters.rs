//! Adapters (LoRA) of an engine and of the sequences of a context.
//!
//! ```text
//! load      FILE=SCALE of the options, or Engine::adapter at any time; A and B stay in the mapped file
//! set       Context::set_adapters: for one sequence; what was computed with other adapters is dropped
//! invoked   an activated adapter (aLoRA) works from the last place of its invocation tokens in the prompt on
//! ```

use crate::reserve::reserve;
use crate::{Engine, EngineError, LoadOptions, Source};
use happy_gguf::{GgufFile, GgufHeader, Limits};
use happy_model::{Adapter, AdapterError, AdapterSet};
use happy_tokenizer::TokenId;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// An adapter's file and its scale, written `FILE` or `FILE=SCALE`. The last `=` before a number separates them.
#[derive(Clone, Debug)]
pub struct AdapterFile {
    /// Path of the GGUF file.
    pub path: PathBuf,
    /// Factor of what the adapter adds. Default: 1, for which it was trained. 0 turns it off.
    pub scale: f32,
}

impl PartialEq for AdapterFile {
    fn eq(&self, other: &Self) -> bool {
        self.path == other.path && self.scale.to_bits() == other.scale.to_bits()
    }
}

impl Eq for AdapterFile {}

impl FromStr for AdapterFile {
    type Err = EngineError;

    fn from_str(text: &str) -> Result<Self, EngineError> {
        let (path, scale) = match text.rsplit_once('=') {
            Some((path, scale)) => match scale.parse::<f32>() {
                Ok(scale) => (path, scale),
                Err(_) => (text, 1.0),
            },
            None => (text, 1.0),
        };
        let problem = if path.is_empty() {
            "there is no path"
        } else if !scale.is_finite() {
            "the scale is not a finite number"
        } else {
            return Ok(Self { path: path.into(), scale });
        };
        Err(EngineError::AdapterOption { found: text.to_owned(), problem })
    }
}

impl fmt::Display for AdapterFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.path.display(), self.scale)
    }
}

/// The adapters that are in use, by their paths.
pub(crate) type Loaded = Mutex<Vec<(PathBuf, Weak<Adapter>)>>;

/// What adapters take, known from their headers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Planned {
    /// Greatest rank of a set that is planned for.
    pub(crate) rank: usize,
    /// Bytes of the files.
    pub(crate) bytes: u64,
}

impl Planned {
    /// Reads the headers of the options' adapters.
    pub(crate) fn new(options: &LoadOptions) -> Result<Self, EngineError> {
        let mut planned = Self::default();
        for AdapterFile { path, scale } in &options.adapters {
            let header = GgufFile::from(GgufHeader::open(path, &Limits::default())?);
            let ranks = header.view();
            let ranks = ranks.tensors().filter(|t| t.name.ends_with(".lora_b"));
            let rank = ranks.filter_map(|t| t.dims.first().copied()).max().unwrap_or(0);
            if *scale != 0.0 {
                planned.rank = planned.rank.saturating_add(usize::try_from(rank).unwrap_or(usize::MAX));
            }
            planned.bytes = planned.bytes.saturating_add(path.metadata().map_or(0, |m| m.len()));
        }
        planned.rank = planned.rank.max(options.adapter_rank);
        Ok(planned)
    }
}

impl Engine {
    /// Loads an adapter (LoRA) for this model: every tensor is checked before anything is kept. The file is mapped as the
    /// model's is.
    ///
    /// # Errors
    /// If the file cannot be read, or is not an adapter for this model.
    pub fn adapter(&self, path: impl AsRef<Path>) -> Result<Arc<Adapter>, EngineError> {
        let path = path.as_ref();
        let files = Source::Path(path).files(&self.0.options)?;
        let failed = |error| EngineError::Adapter { path: path.display().to_string(), error };
        let adapter = self.model().adapter(files.first(), self.kernels()).map_err(failed)?;
        self.know_adapter(adapter.id(), &files)?;
        Ok(Arc::new(adapter))
    }

    /// Returns the adapters of [`LoadOptions::adapters`], with which every sequence begins.
    pub fn adapters(&self) -> Option<&Arc<AdapterSet>> {
        self.0.adapters.get()?.as_ref()
    }

    /// Returns the set of these adapters, for [`Context::set_adapters`](crate::Context::set_adapters); `None` if it changes nothing. A file
    /// that some set already uses is not read again.
    ///
    /// # Errors
    /// The same as [`adapter`](Self::adapter), and if the adapters cannot be used together.
    pub fn adapter_set(&self, files: &[AdapterFile]) -> Result<Option<Arc<AdapterSet>>, EngineError> {
        let mut list = Vec::new();
        for file in files {
            reserve(&mut list, 1, "adapters")?;
            list.push((self.shared_adapter(&file.path)?, file.scale));
        }
        let set = AdapterSet::new(&list).map_err(EngineError::AdapterSet)?;
        Ok((!set.is_empty()).then(|| Arc::new(set)))
    }

    /// The adapter of a file, shared by all who use it.
    fn shared_adapter(&self, path: &Path) -> Result<Arc<Adapter>, EngineError> {
        let mut loaded = self.0.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        loaded.retain(|(_, adapter)| adapter.strong_count() > 0);
        let known = loaded.iter().find(|(known, _)| known == path).and_then(|(_, adapter)| adapter.upgrade());
        if let Some(adapter) = known {
            return Ok(adapter);
        }
        let adapter = self.adapter(path)?;
        reserve(&mut loaded, 1, "adapters")?;
        loaded.push((path.to_owned(), Arc::downgrade(&adapter)));
        Ok(adapter)
    }

    /// Loads the adapters of the options.
    pub(crate) fn load_adapters(self) -> Result<Self, EngineError> {
        let set = self.adapter_set(&self.0.options.adapters)?;
        // It is set once, here.
        let _ = self.0.adapters.set(set);
        Ok(self)
    }
}

/// How a sequence is computed: its adapters, and whether some of its positions were moved.
#[derive(Clone, Debug, Default)]
pub(crate) struct SequenceAdapters {
    set: Option<Arc<AdapterSet>>,
    /// The set of the positions before the invocation tokens.
    before: Option<Arc<AdapterSet>>,
    /// The position of the first invocation token; `None` if the prompt has no such token.
    invoked: Option<usize>,
    /// The first position that is not what the tokens compute, because positions before it were dropped (`Context::shift`).
    moved: Option<usize>,
}

impl SequenceAdapters {
    pub(crate) fn new(set: Option<Arc<AdapterSet>>) -> Result<Self, AdapterError> {
        let set = set.filter(|set| !set.is_empty());
        let waiting = set.as_ref().filter(|set| !set.invocation_tokens().is_empty());
        let before = waiting.map(|set| set.before_invocation()).transpose()?;
        let before = before.filter(|before| !before.is_empty()).map(Arc::new);
        Ok(Self { set, before, invoked: None, moved: None })
    }

    pub(crate) fn set(&self) -> Option<&Arc<AdapterSet>> {
        self.set.as_ref()
    }

    fn invocation(&self) -> &[TokenId] {
        self.set.as_ref().map_or(&[], |set| set.invocation_tokens())
    }

    /// The set of a position.
    pub(crate) fn at(&self, position: usize) -> Option<&Arc<AdapterSet>> {
        let works = self.invocation().is_empty() || self.invoked.is_some_and(|first| position >= first);
        if works { self.set.as_ref() } else { self.before.as_ref() }
    }

    /// Of `len` positions computed with these adapters, how many `other` would compute the same.
    pub(crate) fn shared(&self, other: &Self, len: usize) -> usize {
        if self.set == other.set {
            return len;
        }
        let base =
            |all: &Self| if all.invocation().is_empty() { all.set.clone() } else { all.before.clone() };
        let invoked = self.invoked.filter(|_| !self.invocation().is_empty());
        if base(self) == base(other) { invoked.unwrap_or(len).min(len) } else { 0 }
    }

    /// Takes over what another set computed: the place of its invocation is known anew with the next prompt.
    pub(crate) fn replace(&mut self, other: Self) {
        if self.set != other.set {
            *self = Self { moved: self.moved, ..other };
        }
    }

    /// Finds the last place of the invocation tokens in `known` and `more`. Returns how many of the `known` positions were
    /// computed as they should be.
    pub(crate) fn invoke(&mut self, known: &[TokenId], more: &[TokenId], computed: usize) -> usize {
        let tokens = self.invocation();
        if tokens.is_empty() {
            return computed;
        }
        let all = || known.iter().chain(more);
        let last = (known.len() + more.len()).checked_sub(tokens.len());
        let found =
            last.and_then(|last| (0..=last).rev().find(|at| all().skip(*at).take(tokens.len()).eq(tokens)));
        let old = std::mem::replace(&mut self.invoked, found);
        if old == found {
            return computed;
        }
        computed.min(old.unwrap_or(usize::MAX)).min(found.unwrap_or(usize::MAX))
    }

    /// The position of the first invocation token.
    pub(crate) fn invoked(&self) -> Option<usize> {
        self.invoked
    }

    /// The sequence was restored with this invocation.
    pub(crate) fn set_invoked(&mut self, invoked: Option<usize>) {
        self.invoked = invoked;
    }

    /// The number of first positions that are what the tokens compute.
    pub(crate) fn exact(&self) -> usize {
        self.moved.unwrap_or(usize::MAX)
    }

    /// From this position on, positions were moved.
    pub(crate) fn set_moved(&mut self, first: usize) {
        self.moved = Some(self.exact().min(first));
    }

    /// Returns whether where they work depends on the place of tokens.
    pub(crate) fn are_invoked(&self) -> bool {
        !self.invocation().is_empty()
    }

    /// Forgets the invocation and what was moved if they are not among the first `len` positions.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.invoked = self.invoked.filter(|first| *first < len);
        self.moved = self.moved.filter(|first| *first < len);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_equals_sign_before_a_number_divides() {
        let cases = [
            ("a.gguf", "a.gguf", 1.0),
            ("a.gguf=0.5", "a.gguf", 0.5),
            ("a=b.gguf", "a=b.gguf", 1.0),
            ("a=1=2", "a=1", 2.0),
            ("a=b=-3e-1", "a=b", -0.3),
        ];
        for (text, path, scale) in cases {
            let expected = AdapterFile { path: path.into(), scale };
            assert_eq!(text.parse::<AdapterFile>().unwrap(), expected, "{text}");
        }
        for text in ["", "=1", "a=inf", "a=nan"] {
            assert!(text.parse::<AdapterFile>().is_err(), "{text}");
        }
    }
}
