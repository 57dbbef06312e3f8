//! Q8_0: 32 elements in 34 bytes (8.5 bits per element).
//!
//! ```text
//! |0  d: f16  1|2  qs: 32 x i8  33|
//!
//! x[i] = d * qs[i]
//! ```

use super::{Quantize, f16_le, f16_le_from, greatest_magnitude, inverse, search::round_away, words::map};

/// A block of Q8_0.
///
/// ```
/// use happy_tensor::{BlockQ8_0, Quantize};
/// let block = BlockQ8_0::quantize(&std::array::from_fn(|i| i as f32 * 0.01 - 0.7));
/// let mut x = [0.0; 32];
/// block.dequantize(&mut x);
/// assert_eq!(x[20], f32::from(block.quants()[20]) * block.d());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct BlockQ8_0 {
    /// Scale, f16.
    pub d: [u8; 2],
    /// The elements. The encoder writes -127..=127, but a file may contain -128.
    pub qs: [i8; 32],
}

const _: () = assert!(size_of::<BlockQ8_0>() == 34);

impl BlockQ8_0 {
    /// Returns the scale.
    #[inline]
    pub fn d(&self) -> f32 {
        f16_le(self.d)
    }

    /// Returns the integers, -128..=127.
    #[inline]
    pub fn quants(&self) -> [i8; 32] {
        self.qs
    }

    /// Decodes the block.
    #[inline]
    pub fn dequantize(&self, out: &mut [f32; 32]) {
        let d = self.d();
        for (o, q) in out.iter_mut().zip(self.qs) {
            *o = f32::from(q) * d;
        }
    }
}

impl Quantize for BlockQ8_0 {
    /// The greatest magnitude becomes 127. Ties round away from zero, as in the reference.
    fn quantize(x: &[f32; 32]) -> Self {
        let amax = greatest_magnitude(x);
        let d = amax / 127.0;
        let id = inverse(d);
        Self { d: f16_le_from(d), qs: map(*x, |v| round_away(v * id, 127.0)) }
    }
}
