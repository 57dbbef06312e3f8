//! The packed 6-bit sub-block scales of the K formats: one layout of 12 bytes for Q3_K, another for Q4_K and Q5_K.

use super::words::map;

/// Unpacks the 8 scales and 8 minimums (6 bits each, 0..=63) of Q4_K and Q5_K.
///
/// ```text
/// byte     0..4                        4..8                        8..12
/// bits     7 6        5 .. 0           7 6        5 .. 0           7 .. 4          3 .. 0
///          sc[4+i] hi sc[0+i]          mn[4+i] hi mn[0+i]          mn[4+i] low     sc[4+i] low
/// ```
#[inline]
pub fn scales_mins_k4(scales: &[u8; 12]) -> ([u8; 8], [u8; 8]) {
    let [a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3] = *scales;
    let a = u32::from_le_bytes([a0, a1, a2, a3]);
    let b = u32::from_le_bytes([b0, b1, b2, b3]);
    let c = u32::from_le_bytes([c0, c1, c2, c3]);
    // Four scales at a time, one per byte: the masks remove bits that the shifts bring in from neighboring bytes.
    let sc_lo = a & 0x3F3F_3F3F;
    let sc_hi = (c & 0x0F0F_0F0F) | ((a >> 6) & 0x0303_0303) << 4;
    let mn_lo = b & 0x3F3F_3F3F;
    let mn_hi = ((c >> 4) & 0x0F0F_0F0F) | ((b >> 6) & 0x0303_0303) << 4;
    (join([sc_lo, sc_hi]), join([mn_lo, mn_hi]))
}

/// The inverse of [`scales_mins_k4`].
pub(crate) fn pack_scales_mins_k4(scales: &[u8; 8], mins: &[u8; 8]) -> [u8; 12] {
    let mut out = [0; 12];
    for i in 0..4 {
        out[i] = scales[i] | scales[4 + i] >> 4 << 6;
        out[4 + i] = mins[i] | mins[4 + i] >> 4 << 6;
        out[8 + i] = scales[4 + i] & 0xF | mins[4 + i] << 4;
    }
    out
}

/// The inverse of [`scales_k3`]. It takes scales with the offset added, 0..=63.
pub(crate) fn pack_scales_k3(scales: &[u8; 16]) -> [u8; 12] {
    let mut out = [0; 12];
    for (i, s) in scales.iter().enumerate() {
        out[i % 8] |= (s & 0xF) << (4 * (i / 8));
        out[8 + i % 4] |= (s >> 4) << (2 * (i / 4));
    }
    out
}

/// Unpacks the 16 scales of Q3_K, -32..=31: 6 bits each, stored with an offset of 32.
///
/// ```text
/// byte     0..4                    4..8                     8..12
/// bits     7 .. 4      3 .. 0      7 .. 4      3 .. 0       7 6       5 4       3 2      1 0
///          sc[8+i] low sc[i] low   sc[12+i] lo sc[4+i] low  sc[12+i]  sc[8+i]   sc[4+i]  sc[i]  (high two bits)
/// ```
#[inline]
pub fn scales_k3(scales: &[u8; 12]) -> [i8; 16] {
    let [a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3] = *scales;
    let a = u32::from_le_bytes([a0, a1, a2, a3]);
    let b = u32::from_le_bytes([b0, b1, b2, b3]);
    let c = u32::from_le_bytes([c0, c1, c2, c3]);
    let (low, high) = (0x0F0F_0F0F, 0x0303_0303);
    let words = [
        (a & low) | (c & high) << 4,
        (b & low) | ((c >> 2) & high) << 4,
        ((a >> 4) & low) | ((c >> 4) & high) << 4,
        ((b >> 4) & low) | ((c >> 6) & high) << 4,
    ];
    map(join::<4, 16>(words), |s| s as i8 - 32)
}

/// Returns the bytes of words, in order.
#[inline]
fn join<const W: usize, const B: usize>(words: [u32; W]) -> [u8; B] {
    let mut out = [0; B];
    for (bytes, word) in out.as_chunks_mut::<4>().0.iter_mut().zip(words) {
        *bytes = word.to_le_bytes();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition, bit by bit, as ggml's `get_scale_min_k4` states it.
    fn slow_k4(s: &[u8; 12], i: usize) -> (u8, u8) {
        if i < 4 {
            (s[i] & 63, s[i + 4] & 63)
        } else {
            ((s[i + 4] & 0xF) | (s[i - 4] >> 6) << 4, (s[i + 4] >> 4) | (s[i] >> 6) << 4)
        }
    }

    #[test]
    fn k4_each_bit() {
        for bit in 0..96 {
            let mut s = [0u8; 12];
            s[bit / 8] = 1 << (bit % 8);
            let (sc, mn) = scales_mins_k4(&s);
            for i in 0..8 {
                assert_eq!((sc[i], mn[i]), slow_k4(&s, i), "bit {bit}, sub-block {i}");
            }
        }
    }

    #[test]
    fn packing_is_the_inverse() {
        for seed in 0..64u8 {
            let bytes: [u8; 12] =
                std::array::from_fn(|i| seed.wrapping_mul(37).wrapping_add((i as u8).wrapping_mul(91)));
            let (sc, mn) = scales_mins_k4(&bytes);
            assert_eq!(pack_scales_mins_k4(&sc, &mn), bytes);
            assert_eq!(pack_scales_k3(&scales_k3(&bytes).map(|s| (s + 32) as u8)), bytes);
        }
    }

    #[test]
    fn k3_each_bit() {
        for bit in 0..96 {
            let mut s = [0u8; 12];
            s[bit / 8] = 1 << (bit % 8);
            for (i, sc) in scales_k3(&s).into_iter().enumerate() {
                let low = s[i % 8] >> (4 * (i / 8)) & 0xF;
                let high = s[8 + i % 4] >> (2 * (i / 4)) & 3;
                assert_eq!(sc, (low | high << 4) as i8 - 32, "bit {bit}, sub-block {i}");
            }
        }
    }
}
