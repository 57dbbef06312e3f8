//! Identities of the model, vocabulary and adapters with which a session was computed, found without reading whole
//! files.
//!
//! ```text
//! file        SHA-256( n(parts), for each part: n(size) n(header) header, for each part: 64 blocks of 4 KiB of its weights )
//!             SplitMix64, seeded with the SHA-256 of sizes and headers, says where the blocks begin
//! vocabulary  SHA-256( n(tokens), for each token: n(bytes) bytes )
//! ```
//! `n` is a u64, little-endian. Weights of up to 256 KiB are hashed whole. Two files may have the same identity
//! although a few weights differ: then their headers, which hold names, shapes, metadata and offsets, and all blocks
//! that were read are equal.

use super::SessionError;
use crate::{Engine, EngineError};
use happy_gguf::GgufSetFile;
use happy_model::AdapterSet;
use sha2::{Digest, Sha256};
use std::fmt;
use std::sync::{Mutex, PoisonError};

const BLOCKS: usize = 64;
const BLOCK: usize = 4096;

/// A hash that tells models, vocabularies or adapters apart.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Identity(pub(crate) [u8; 32]);

impl fmt::Display for Identity {
    /// The first eight bytes: enough to tell two files apart in a message.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().take(8).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({self})")
    }
}

/// The identities of the adapters that were loaded, by their numbers.
pub(crate) type Adapters = Mutex<Vec<(u64, Identity)>>;

fn number(hash: &mut Sha256, n: usize) {
    hash.update((n as u64).to_le_bytes());
}

/// Returns the identity of a model's or an adapter's files.
pub(crate) fn of_files(files: &GgufSetFile) -> Identity {
    let mut hash = Sha256::new();
    number(&mut hash, files.parts().len());
    for (_, file) in files.parts() {
        let (bytes, view) = (file.bytes(), file.view());
        let header = usize::try_from(view.header_end()).unwrap_or(bytes.len()).min(bytes.len());
        number(&mut hash, bytes.len());
        number(&mut hash, header);
        hash.update(bytes.get(..header).unwrap_or(&[]));
    }
    let seed: [u8; 32] = hash.clone().finalize().into();
    let mut state = seed.first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    for (_, file) in files.parts() {
        let bytes = file.bytes();
        let data = usize::try_from(file.view().data_offset()).unwrap_or(bytes.len());
        let data = bytes.get(data..).unwrap_or(&[]);
        if data.len() <= BLOCKS * BLOCK {
            hash.update(data);
            continue;
        }
        for _ in 0..BLOCKS {
            let first = (split_mix(&mut state) % (data.len() - BLOCK) as u64) as usize;
            hash.update(data.get(first..first + BLOCK).unwrap_or(&[]));
        }
    }
    Identity(hash.finalize().into())
}

/// SplitMix64 (Steele, Lea and Flood, 2014).
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

impl Engine {
    /// Returns the identity of the model's files. It is computed once, in a few milliseconds.
    pub fn identity(&self) -> Identity {
        *self.0.identity.get_or_init(|| of_files(&self.0.files))
    }

    /// Returns the identity of the vocabulary. If two are equal, token ids mean the same.
    pub fn vocabulary_identity(&self) -> Identity {
        *self.0.vocabulary_identity.get_or_init(|| {
            let mut hash = Sha256::new();
            number(&mut hash, self.model().n_vocab());
            if let Some(tokenizer) = self.tokenizer() {
                for id in 0..u32::try_from(tokenizer.vocab_size()).unwrap_or(u32::MAX) {
                    let text = tokenizer.token_text(id).unwrap_or_default();
                    number(&mut hash, text.len());
                    hash.update(text);
                }
            }
            Identity(hash.finalize().into())
        })
    }

    /// Stores the identity of an adapter.
    pub(crate) fn know_adapter(&self, id: u64, files: &GgufSetFile) -> Result<(), EngineError> {
        let identity = of_files(files);
        let mut known = self.0.adapter_identities.lock().unwrap_or_else(PoisonError::into_inner);
        crate::reserve::reserve(&mut known, 1, "identities of adapters")?;
        known.push((id, identity));
        Ok(())
    }

    /// Returns the identities and scales of a set, in its order.
    pub(crate) fn set_identity(&self, set: Option<&AdapterSet>) -> Result<Vec<(Identity, f32)>, EngineError> {
        let known = self.0.adapter_identities.lock().unwrap_or_else(PoisonError::into_inner);
        let adapters = set.map_or(&[][..], AdapterSet::adapters);
        let mut identities = Vec::new();
        crate::reserve::reserve(&mut identities, adapters.len(), "identities of adapters")?;
        for (adapter, scale) in adapters {
            let found = known.iter().find(|(id, _)| *id == adapter.id());
            let (_, identity) = found.ok_or(SessionError::UnknownAdapter)?;
            identities.push((*identity, *scale));
        }
        Ok(identities)
    }
}
