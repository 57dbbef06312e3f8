//! Q8_K: the format of activations that ggml's kernels use with blocks of 256. It exists here only for comparisons: no file
//! contains it, and the project's own activations are described in [`crate::activation`].
//!
//! ```text
//! |0  d: f32  3|4  qs: 256 x i8  259|260  sums of 16: 16 x i16  291|
//!
//! x[i] = d * qs[i];  the value of greatest magnitude becomes -127
//! ```

/// Size of a block in bytes.
pub const Q8_K_BYTES: usize = 292;

/// Encodes 256 values. The block has the same bytes as that of ggml's reference.
///
/// ```
/// use happy_tensor::formats::quantize_q8_k;
/// let block = quantize_q8_k(&[127.0; 256]);
/// assert_eq!((&block[..4], block[4] as i8), (&(-1f32).to_le_bytes()[..], -127));
/// ```
pub fn quantize_q8_k(x: &[f32; 256]) -> [u8; Q8_K_BYTES] {
    let mut out = [0; Q8_K_BYTES];
    let max = super::search::signed_max(x);
    if max == 0.0 {
        return out;
    }
    let inverse = -127.0 / max;
    let q = x.map(|v| ((v * inverse).round_ties_even() as i32).clamp(-128, 127) as i8);
    let (d, rest) = out.split_at_mut(4);
    let (qs, sums) = rest.split_at_mut(256);
    d.copy_from_slice(&(1.0 / inverse).to_le_bytes());
    for (out, q) in qs.iter_mut().zip(q) {
        *out = q as u8;
    }
    for (out, q) in sums.as_chunks_mut::<2>().0.iter_mut().zip(q.as_chunks::<16>().0) {
        *out = q.iter().map(|&q| i16::from(q)).sum::<i16>().to_le_bytes();
    }
    out
}
