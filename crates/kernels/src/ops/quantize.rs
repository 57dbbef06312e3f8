//! Quantization of activations to int8, with the bits of [`happy_tensor::activation`].
//!
//! ```text
//! for each unit of 32 or 256 values:
//!     amax = integer maximum of the sign-cleared bits
//!     not finite: give up;  below 2^-100: d = 0, q = 0
//!     d = amax / 127,  q[i] = round_ties_even(x[i] * (127 / amax)),  sums of 16 q
//! ```

use crate::acts::ActKind;
use crate::ops::math::MAGIC;
use crate::simd::{Simd, entry};
use happy_tensor::activation::AMAX_MIN;

#[inline(always)]
fn quantize_body<S: Simd>(
    s: S,
    kind: ActKind,
    x: &[f32],
    q: &mut [i8],
    d: &mut [f32],
    sums: &mut [i16],
) -> bool {
    match kind {
        ActKind::F32 => x.iter().all(|x| x.is_finite()),
        ActKind::Q8x32 => units::<S, 2>(s, x, q, d, sums),
        ActKind::Q8x256 => units::<S, 16>(s, x, q, d, sums),
    }
}

/// Quantizes units of `N` times 16 values.
#[inline(always)]
pub(super) fn units<S: Simd, const N: usize>(
    s: S,
    x: &[f32],
    q: &mut [i8],
    d: &mut [f32],
    sums: &mut [i16],
) -> bool {
    debug_assert!(x.len().is_multiple_of(16 * N) && q.len() == x.len());
    debug_assert!(d.len() == x.len() / (16 * N) && sums.len() == x.len() / 16);
    let x = x.as_chunks::<16>().0.as_chunks::<N>().0;
    let q = q.as_chunks_mut::<16>().0.as_chunks_mut::<N>().0;
    let sums = sums.as_chunks_mut::<N>().0;
    let mut finite = true;
    for (((x, q), d), sums) in x.iter().zip(q).zip(d).zip(sums) {
        let mut greatest = s.splat_i(0);
        for x in x {
            greatest = s.max_i(greatest, s.and_i(s.to_bits(s.load(x)), s.splat_i(0x7FFF_FFFF)));
        }
        let bits = s.reduce_max_i(greatest) as u32;
        finite &= bits < f32::INFINITY.to_bits();
        if bits < AMAX_MIN.to_bits() || !finite {
            (*q, *d, *sums) = ([[0; 16]; N], 0.0, [0; N]);
            continue;
        }
        let amax = f32::from_bits(bits);
        let inverse = s.splat(127.0 / amax);
        for ((x, q), sum) in x.iter().zip(q).zip(sums) {
            // Two roundings, as the rule says: that of the product, then ties to even by the addition.
            let rounded = s.add(s.mul(s.load(x), inverse), s.splat(MAGIC));
            let value = s.add_i(s.to_bits(rounded), s.splat_i((MAGIC.to_bits() as i32).wrapping_neg()));
            s.store_i8(value, q);
            *sum = s.reduce_add_i(value) as i16;
        }
        *d = amax / 127.0;
    }
    finite
}

entry!(pub(super) fn quantize(
    kind: ActKind,
    x: &[f32],
    q: &mut [i8],
    d: &mut [f32],
    sums: &mut [i16],
) -> bool = quantize_body);
