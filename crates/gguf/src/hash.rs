//! What a model is, in a few bytes: SHA-256 over contents, not over where they are.
//!
//! ```text
//! tensors  = SHA-256( for each tensor, by name: n(name) name n(type) n(dims) dim.. SHA-256(bytes) )
//! metadata = SHA-256( for each pair, by key: n(key) key n(type) value )
//! content  = SHA-256( metadata tensors )
//! ```
//! `n` is a u64, little-endian; values are written as in a little-endian file of version 3. Left out is what says only how
//! the content is stored: `general.alignment` and `split.*`. So alignment, order, padding, version and splitting do not
//! matter. A big-endian file has other tensor bytes, and another hash.

use std::format;
use std::string::String;
use std::vec::Vec;

use sha2::{Digest, Sha256};

use crate::ALIGNMENT_KEY;
use crate::dialect::Dialect;
use crate::gguf::Gguf;
use crate::owned_value::OwnedValue;
use crate::set::GgufSet;

/// The hash of a model's contents. Example: [`ContentHash::of`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ContentHash {
    /// Of names, types, shapes and bytes of all tensors.
    pub tensors: [u8; 32],
    /// Of all metadata but alignment and splitting.
    pub metadata: [u8; 32],
    /// Of both.
    pub content: [u8; 32],
}

impl ContentHash {
    /// Hashes a model with SHA-256. The same contents give the same hash however they are laid out: whole or split, in any
    /// order, version, and alignment. Edits of the metadata leave [`ContentHash::tensors`] as it is.
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
        Self::of_with(set, |_, _| ())
    }

    /// [`ContentHash::of`], and gives the hash of each tensor's bytes to `each` (with its name) in the order of the names.
    ///
    /// ```
    /// use happy_gguf::{ContentHash, GgmlType, Gguf, GgufWriter};
    /// let file = GgufWriter::new()
    ///     .tensor("b", GgmlType::I8, &[1], vec![1])
    ///     .tensor("a", GgmlType::I8, &[1], vec![1])
    ///     .to_vec()?;
    /// let mut seen = Vec::new();
    /// ContentHash::of_with(&Gguf::parse(&file).unwrap().into(), |name, hash| seen.push((name.to_owned(), *hash)));
    /// assert!(seen[0].0 == "a" && seen[1].0 == "b" && seen[0].1 == seen[1].1);
    /// # Ok::<(), happy_gguf::WriteError>(())
    /// ```
    pub fn of_with(set: &GgufSet<'_>, mut each: impl FnMut(&str, &[u8; 32])) -> Self {
        let parts: Vec<&Gguf<'_>> = set.parts().map(|(_, gguf)| gguf).collect();
        let mut tensors: Vec<_> = set.tensors().collect();
        tensors.sort_unstable_by_key(|(_, tensor)| tensor.name);
        let mut hash = Sha256::new();
        for (part, tensor) in &tensors {
            let data = parts.get(*part).and_then(|gguf| gguf.data(tensor)).unwrap_or_default();
            let bytes: [u8; 32] = Sha256::digest(data).into();
            text(&mut hash, tensor.name);
            number(&mut hash, tensor.ty.id().into());
            number(&mut hash, tensor.dims.len() as u64);
            tensor.dims.iter().for_each(|dim| number(&mut hash, *dim));
            hash.update(bytes);
            each(tensor.name, &bytes);
        }
        let tensors: [u8; 32] = hash.finalize().into();

        let mut pairs: Vec<_> = set.metadata().iter().filter(|(key, _)| is_content(key)).collect();
        pairs.sort_unstable_by_key(|(key, _)| *key);
        let mut hash = Sha256::new();
        let mut bytes = Vec::new();
        for (key, value) in pairs {
            text(&mut hash, key);
            number(&mut hash, value.value_type().id().into());
            bytes.clear();
            // Canonical lengths hold any value that was read.
            let _ = OwnedValue::from(value).encode(Dialect::CANONICAL, &mut bytes);
            hash.update(&bytes);
        }
        let metadata: [u8; 32] = hash.finalize().into();
        let content = Sha256::new().chain_update(metadata).chain_update(tensors).finalize().into();
        Self { tensors, metadata, content }
    }

    /// A hash as 64 hexadecimal digits.
    ///
    /// ```
    /// assert!(happy_gguf::ContentHash::hex(&[0xab; 32]).starts_with("abab"));
    /// ```
    pub fn hex(hash: &[u8; 32]) -> String {
        hash.iter().map(|b| format!("{b:02x}")).collect()
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
