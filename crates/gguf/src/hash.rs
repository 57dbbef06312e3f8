//! The identity of a model in a few bytes: SHA-256 over its contents, not over where they are stored.
//!
//! ```text
//! tensors  = SHA-256( for each tensor, by name: n(name) name n(type) n(dims) dim.. SHA-256(bytes) )
//! metadata = SHA-256( for each pair, by key: n(key) key n(type) value )
//! content  = SHA-256( metadata tensors )
//! ```
//! `n` is a u64, little-endian; values are written as in a little-endian file of version 3. Keys that only say how the
//! content is stored are left out: `general.alignment` and `split.*`. So alignment, order, padding, version and
//! splitting do not matter. A big-endian file has other tensor bytes, and therefore another hash.

use std::format;
use std::path::Path;
use std::string::String;

use sha2::{Digest, Sha256};

use crate::ALIGNMENT_KEY;
use crate::dialect::Dialect;
use crate::encode::{self, Out, Unencoded};
use crate::file::FileError;
use crate::set::GgufSet;
use crate::set_reader::GgufSetReader;
use crate::tensor_info::TensorInfo;

/// How many bytes are hashed between two checks for cancellation.
const PIECE: usize = 256 << 10;

/// The caller cancelled the operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cancelled")]
pub struct Cancelled;

/// The hash of a model's contents. Example: [`ContentHash::of`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ContentHash {
    /// The hash of the names, types, shapes and bytes of all tensors.
    pub tensors: [u8; 32],
    /// The hash of all metadata except alignment and splitting.
    pub metadata: [u8; 32],
    /// The hash of both.
    pub content: [u8; 32],
}

impl ContentHash {
    /// Hashes a model with SHA-256. Equal contents give equal hashes, however they are laid out: whole or split, in any
    /// order, version and alignment. Editing the metadata does not change [`ContentHash::tensors`].
    ///
    /// ```
    /// use happy_gguf::{ContentHash, GgmlType, Gguf, GgufWriter};
    /// let tensor = |w: GgufWriter<'static>| w.tensor("w", GgmlType::F32, &[2], vec![7; 8]);
    /// let hash = |w: GgufWriter<'_>| ContentHash::of(&Gguf::parse(&w.to_vec().unwrap()).unwrap().into());
    /// let plain = hash(tensor(GgufWriter::new().kv("general.name", "x")));
    /// let other = hash(tensor(GgufWriter::new().alignment(64).kv("general.name", "x").version(2)));
    /// let edited = hash(tensor(GgufWriter::new().kv("general.name", "y")));
    /// assert_eq!(plain, other);
    /// assert!(plain.tensors == edited.tensors && plain.content != edited.content);
    /// ```
    pub fn of(set: &GgufSet<'_>) -> Self {
        // This closure never cancels.
        Self::of_with(set, |_, _| (), &|| false).unwrap_or(Self {
            tensors: [0; 32],
            metadata: [0; 32],
            content: [0; 32],
        })
    }

    /// Like [`ContentHash::of`], and passes the name and hash of each tensor's bytes to `each`, in name order.
    /// `cancelled` is called before each 256 KiB; if it returns true, hashing stops.
    ///
    /// ```
    /// use happy_gguf::{ContentHash, GgmlType, Gguf, GgufWriter};
    /// let file = GgufWriter::new()
    ///     .tensor("b", GgmlType::I8, &[1], vec![1])
    ///     .tensor("a", GgmlType::I8, &[1], vec![1])
    ///     .to_vec()?;
    /// let mut seen = Vec::new();
    /// let set = Gguf::parse(&file).unwrap().into();
    /// ContentHash::of_with(&set, |name, hash| seen.push((name.to_owned(), *hash)), &|| false).unwrap();
    /// assert!(seen[0].0 == "a" && seen[1].0 == "b" && seen[0].1 == seen[1].1);
    /// # Ok::<(), happy_gguf::WriteError>(())
    /// ```
    ///
    /// # Errors
    /// If `cancelled` returns true.
    pub fn of_with(
        set: &GgufSet<'_>,
        each: impl FnMut(&str, &[u8; 32]),
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Self, Cancelled> {
        Self::of_set(set, each, |part, tensor, hash| {
            let gguf = set.parts().nth(part).map(|(_, gguf)| gguf);
            let data = gguf.and_then(|gguf| gguf.data(tensor)).unwrap_or_default();
            for piece in data.chunks(PIECE) {
                if cancelled() {
                    return Err(Cancelled);
                }
                hash.update(piece);
            }
            Ok(())
        })
    }

    /// Like [`ContentHash::of_with`], for a model whose tensors are read on request.
    ///
    /// # Errors
    /// If a file cannot be read or has become shorter, and if `cancelled` returns true.
    pub fn of_reader(
        model: &GgufSetReader,
        each: impl FnMut(&str, &[u8; 32]),
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Self, FileError> {
        Self::of_set(&model.view(), each, |part, tensor, hash| {
            model.read_tensor(part, tensor, |piece| {
                if cancelled() {
                    let path = model.paths().nth(part).unwrap_or(Path::new("")).to_path_buf();
                    return Err(FileError::Cancelled { path });
                }
                hash.update(piece);
                Ok(())
            })
        })
    }

    /// `update` passes the bytes of a tensor to its hash. Allocates nothing.
    fn of_set<'a, E>(
        set: &GgufSet<'a>,
        mut each: impl FnMut(&str, &[u8; 32]),
        mut update: impl FnMut(usize, &TensorInfo<'a>, &mut Sha256) -> Result<(), E>,
    ) -> Result<Self, E> {
        let mut hash = Sha256::new();
        for (part, tensor) in set.tensors_by_name() {
            let mut bytes = Sha256::new();
            update(part, &tensor, &mut bytes)?;
            let bytes: [u8; 32] = bytes.finalize().into();
            text(&mut hash, tensor.name);
            number(&mut hash, tensor.ty.id().into());
            number(&mut hash, tensor.dims.len() as u64);
            tensor.dims.iter().for_each(|dim| number(&mut hash, *dim));
            hash.update(bytes);
            each(tensor.name, &bytes);
        }
        let tensors: [u8; 32] = hash.finalize().into();

        let mut hash = Sha256::new();
        for (key, value) in set.metadata().iter_by_key().filter(|(key, _)| is_content(key)) {
            text(&mut hash, key);
            number(&mut hash, value.value_type().id().into());
            // Canonical lengths hold any value that was read, so this cannot fail.
            let _ = encode::value(&value, Dialect::CANONICAL, &mut hash);
        }
        let metadata: [u8; 32] = hash.finalize().into();
        let content = Sha256::new().chain_update(metadata).chain_update(tensors).finalize().into();
        Ok(Self { tensors, metadata, content })
    }

    /// Formats a hash as 64 hexadecimal digits.
    ///
    /// ```
    /// assert!(happy_gguf::ContentHash::hex(&[0xab; 32]).starts_with("abab"));
    /// ```
    pub fn hex(hash: &[u8; 32]) -> String {
        hash.iter().map(|b| format!("{b:02x}")).collect()
    }
}

impl Out for Sha256 {
    fn put(&mut self, bytes: &[u8]) -> Result<(), Unencoded> {
        self.update(bytes);
        Ok(())
    }
}

fn is_content(key: &str) -> bool {
    key != ALIGNMENT_KEY && !key.starts_with("split.")
}

fn number(hash: &mut Sha256, n: u64) {
    hash.update(n.to_le_bytes());
}

fn text(hash: &mut Sha256, text: &str) {
    number(hash, text.len() as u64);
    hash.update(text);
}
