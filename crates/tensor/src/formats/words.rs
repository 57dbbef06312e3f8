//! Operations on eight bytes at a time, held in one word: they make decoding fast without vector instructions.
//!
//! The code uses loops, and [`map`] instead of `array::map`: the latter is not inlined into functions with other target
//! features, and a call per byte is ten times the work.

/// 1 in every byte.
pub(super) const ONES: u64 = 0x0101_0101_0101_0101;
/// The highest bit of every byte.
const HIGH: u64 = 0x80 * ONES;

/// For each index: byte `i` is 0xFF if bit `i` of the index is set, otherwise 0.
static MASKS: [u64; 256] = {
    let mut masks = [0; 256];
    let mut bits = 0;
    while bits < 256 {
        let mut i = 0;
        while i < 8 {
            if bits >> i & 1 == 1 {
                masks[bits] |= 0xFF << (8 * i);
            }
            i += 1;
        }
        bits += 1;
    }
    masks
};

/// Returns a word whose byte `i` is 0xFF if bit `i` is set, otherwise 0.
#[inline]
pub(super) fn byte_masks(bits: u8) -> u64 {
    MASKS[usize::from(bits)]
}

/// `array::map`, inlined.
#[inline(always)]
pub(super) fn map<T: Copy, U: Copy + Default, const N: usize>(x: [T; N], f: impl Fn(T) -> U) -> [U; N] {
    let mut out = [U::default(); N];
    for (out, x) in out.iter_mut().zip(x) {
        *out = f(x);
    }
    out
}

#[inline]
pub(super) fn word8(bytes: &[i8; 8]) -> u64 {
    let mut word = 0;
    for (i, &b) in bytes.iter().enumerate() {
        word |= u64::from(b as u8) << (8 * i);
    }
    word
}

#[inline]
pub(super) fn bytes8(word: u64) -> [i8; 8] {
    let mut bytes = [0; 8];
    for (i, b) in bytes.iter_mut().enumerate() {
        *b = (word >> (8 * i)) as i8;
    }
    bytes
}

/// Adds the bytes, each modulo 256.
#[inline]
pub(super) fn add8(a: u64, b: u64) -> u64 {
    // The highest bits are added separately, so that no byte carries into the next.
    ((a & !HIGH) + (b & !HIGH)) ^ ((a ^ b) & HIGH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_do_not_affect_each_other() {
        let a = [0i8, 1, -1, 127, -128, -8, 8, 100];
        for b in [0i8, 1, -1, 127, -128] {
            let sum = bytes8(add8(word8(&a), word8(&[b; 8])));
            assert_eq!(sum, a.map(|a| a.wrapping_add(b)));
        }
        assert_eq!(bytes8(byte_masks(0b1000_0101)), [-1, 0, -1, 0, 0, 0, 0, -1]);
    }
}
