//! The layout of 256 two-bit integers that Q2_K, Q3_K and TQ2_0 share.
//!
//! ```text
//! byte 32 h + l    bits 2 j .. 2 j + 2: element 128 h + 32 j + l    (h < 2, j < 4, l < 32)
//! ```

/// Unpacks the integers, 0..=3, in the order of the elements.
#[inline]
pub(super) fn unpack_2(qs: &[u8; 64]) -> [u8; 256] {
    let mut q = [0; 256];
    for (half, qs) in q.as_chunks_mut::<128>().0.iter_mut().zip(qs.as_chunks::<32>().0) {
        for (j, part) in half.as_chunks_mut::<32>().0.iter_mut().enumerate() {
            for (q, b) in part.iter_mut().zip(qs) {
                *q = b >> (2 * j) & 3;
            }
        }
    }
    q
}

/// Packs the low two bits of integers.
pub(crate) fn pack_2(q: &[u8; 256]) -> [u8; 64] {
    let mut qs = [0; 64];
    for (qs, q) in qs.as_chunks_mut::<32>().0.iter_mut().zip(q.as_chunks::<128>().0) {
        for (j, q) in q.as_chunks::<32>().0.iter().enumerate() {
            for (b, q) in qs.iter_mut().zip(q) {
                *b |= (q & 3) << (2 * j);
            }
        }
    }
    qs
}
