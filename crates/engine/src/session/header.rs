//! The first record: it says with what a session was computed, and whether a context can continue it.
//!
//! ```text
//! numerics u32, bytes of a unit of K and V u32, long rotary factors u32 (0 or 1), adapters u32,
//! layout u64, groups u64, state bytes u64, model (32), vocabulary (32)
//! each group: bytes of a row u64
//! each adapter: identity (32), bits of its scale u32
//! ```

use super::SessionError;
use super::error::Mismatch;
use super::identity::Identity;
use crate::reserve::reserve;
use crate::{Context, EngineError};
use byteorder::{ByteOrder, LittleEndian as LE};
use happy_model::{KvShape, KvType, NUMERICS_VERSION};

/// What a session was computed with.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Header {
    pub(crate) numerics: u32,
    pub(crate) shape: KvShape,
    pub(crate) model: Identity,
    pub(crate) vocabulary: Identity,
    /// Bytes of a row of each group.
    pub(crate) row_bytes: Vec<u64>,
    pub(crate) state_bytes: u64,
    /// In the order in which they are added.
    pub(crate) adapters: Vec<(Identity, f32)>,
}

const FIXED: usize = 16 + 24 + 64;
const ADAPTER: usize = 36;

impl Header {
    /// Returns the header of a session of this sequence.
    pub(crate) fn of(context: &Context, sequence: u32) -> Result<Self, EngineError> {
        let (engine, kv) = (context.engine(), context.kv());
        let mut row_bytes = Vec::new();
        reserve(&mut row_bytes, kv.n_groups(), "the session's header")?;
        row_bytes.extend((0..kv.n_groups()).map(|group| kv.row_bytes(group) as u64));
        Ok(Self {
            numerics: NUMERICS_VERSION,
            shape: kv.shape(),
            model: engine.identity(),
            vocabulary: engine.vocabulary_identity(),
            row_bytes,
            state_bytes: kv.state_bytes() as u64,
            adapters: engine.set_identity(context.adapters(sequence).map(|set| &**set))?,
        })
    }

    pub(crate) fn encode(&self) -> Result<Vec<u8>, EngineError> {
        let len = FIXED + 8 * self.row_bytes.len() + ADAPTER * self.adapters.len();
        let mut bytes = Vec::new();
        reserve(&mut bytes, len, "the session's header")?;
        let kind = self.shape.kind.unit_bytes() as u32;
        for number in [self.numerics, kind, u32::from(self.shape.long), self.adapters.len() as u32] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        for number in [self.shape.layout, self.row_bytes.len() as u64, self.state_bytes] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&self.model.0);
        bytes.extend_from_slice(&self.vocabulary.0);
        bytes.extend(self.row_bytes.iter().flat_map(|n| n.to_le_bytes()));
        for (identity, scale) in &self.adapters {
            bytes.extend_from_slice(&identity.0);
            bytes.extend_from_slice(&scale.to_bits().to_le_bytes());
        }
        Ok(bytes)
    }

    /// Reads a header; `None` if the bytes are not one.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (fixed, rest) = bytes.split_first_chunk::<FIXED>()?;
        let word = |at: usize| LE::read_u32(&fixed[at..]);
        let long = |at: usize| LE::read_u64(&fixed[at..]);
        let identity = |at: usize| fixed[at..].first_chunk::<32>().copied().map(Identity);
        let kind = KvType::ALL.into_iter().find(|kind| kind.unit_bytes() as u32 == word(4))?;
        let shape = KvShape {
            kind,
            layout: long(16),
            long: match word(8) {
                0 => false,
                1 => true,
                _ => return None,
            },
        };
        let groups = usize::try_from(long(24)).ok()?.checked_mul(8)?;
        let (rows, adapters) = rest.split_at_checked(groups)?;
        if word(12) as usize != adapters.len() / ADAPTER || !adapters.len().is_multiple_of(ADAPTER) {
            return None;
        }
        let adapters = adapters.as_chunks::<ADAPTER>().0.iter().map(|bytes| {
            let identity = bytes.first_chunk::<32>().copied().unwrap_or_default();
            (Identity(identity), f32::from_bits(LE::read_u32(&bytes[32..])))
        });
        Some(Self {
            numerics: word(0),
            shape,
            model: identity(40)?,
            vocabulary: identity(72)?,
            row_bytes: rows.as_chunks::<8>().0.iter().map(|n| u64::from_le_bytes(*n)).collect(),
            state_bytes: long(32),
            adapters: adapters.collect(),
        })
    }

    /// Checks that what was computed with `self` is what `here` would compute.
    pub(crate) fn check(&self, here: &Self) -> Result<(), SessionError> {
        let differs = |mismatch| Err(SessionError::Other { mismatch });
        if self.vocabulary != here.vocabulary {
            return differs(Mismatch::Vocabulary { found: self.vocabulary, expected: here.vocabulary });
        }
        if self.model != here.model {
            return differs(Mismatch::Model { found: self.model, expected: here.model });
        }
        if self.numerics != here.numerics {
            return differs(Mismatch::Numerics { found: self.numerics, expected: here.numerics });
        }
        if self.shape.kind != here.shape.kind {
            return differs(Mismatch::KvType { found: self.shape.kind, expected: here.shape.kind });
        }
        if self.shape.long != here.shape.long {
            return differs(Mismatch::LongContext { found: self.shape.long });
        }
        let same = self.adapters.len() == here.adapters.len()
            && self
                .adapters
                .iter()
                .zip(&here.adapters)
                .all(|(a, b)| a.0 == b.0 && a.1.to_bits() == b.1.to_bits());
        if !same {
            return differs(Mismatch::Adapters { found: self.adapters.len(), expected: here.adapters.len() });
        }
        let layout = |h: &Self| (h.shape.layout, h.state_bytes);
        if layout(self) != layout(here) || self.row_bytes != here.row_bytes {
            return differs(Mismatch::Layout);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_as_they_were_written() {
        for (groups, adapters) in [(0, 0), (1, 0), (2, 3)] {
            let header = Header {
                numerics: 7,
                shape: KvShape { kind: KvType::F16, layout: 1 << 60, long: groups == 1 },
                model: Identity([1; 32]),
                vocabulary: Identity([2; 32]),
                row_bytes: (0..groups).map(|i| 100 + i).collect(),
                state_bytes: 1 << 33,
                adapters: (0..adapters).map(|i| (Identity([i; 32]), f32::from(i) - 0.5)).collect(),
            };
            let bytes = header.encode().unwrap();
            assert_eq!(Header::decode(&bytes), Some(header));
            for cut in 0..bytes.len() {
                assert_eq!(Header::decode(&bytes[..cut]), None, "cut at {cut}");
            }
        }
    }
}
