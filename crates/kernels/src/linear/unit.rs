//! The quantised formats as the kernels see them: units of integers with integer sub-scales.
//!
//! ```text
//! isum = sum over sub-blocks s of  scale[s] * (sum of q[i] * a[i] in s)          exact in i32
//! acc  = fma(isum, d * da, acc)
//! msum = sum over sub-blocks s of  min[s] * (sum of a[i] in s)                    exact in i32
//! acc  = fma(-msum, dmin * da, acc)                                               formats with a minimum only
//! ```
//!
//! `docs/numerics.md` tabulates the bounds that keep both sums inside an i32.

use super::kernel::ActKind;
use super::source::{Source, blocks, twice};
use happy_tensor::*;

/// A unit of weights: a block of a format that kernels read as it is stored, or a unit that was unpacked.
pub(crate) trait Unit: Copy + 'static {
    /// Integers, as many as the activations have in a block.
    const LEN: usize;
    /// Units that share a block of activations, one after the other; each has zeros in the places of the others.
    const REPEAT: usize = 1;
    /// The activations it is multiplied with; a unit pairs with one of their blocks.
    const KIND: ActKind;
    /// Sub-blocks in a unit: 1 for the formats of 32.
    const SUBS: usize;
    /// What makes the integers unsigned when added to them.
    #[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "only x86 multiplies unsigned bytes"))]
    const OFFSET: u8;
    /// Whether there is a minimum.
    const HAS_MIN: bool;

    /// The integers of the unit, `Self::LEN` of them.
    fn quants(&self, q: &mut [i8]);
    /// The scale `d`.
    fn d(&self) -> f32;
    /// The scale of the minimum, which is subtracted; 0 without one.
    fn dmin(&self) -> f32;
    /// Scales of the sub-blocks, [`Self::SUBS`] of them count.
    fn scales(&self) -> [i8; 16];
    /// Minimums of the sub-blocks, [`Self::SUBS`] of them count.
    fn mins(&self) -> [u8; 16];
}

/// Sub-block values as an array of 16, whatever their number.
fn pad<T: Copy + Default, const N: usize>(values: [T; N]) -> [T; 16] {
    let mut out = [T::default(); 16];
    out[..N].copy_from_slice(&values);
    out
}

macro_rules! unit {
    ($block:ty, $kind:ident, subs $subs:literal, offset $offset:literal, min $has_min:literal,
     $b:ident => dmin $dmin:expr, scales $scales:expr, mins $mins:expr) => {
        impl Source for $block {
            type Unit = Self;
            const PARTS: usize = 1;

            #[inline(always)]
            fn blocks(w: &[u8]) -> &[Self] {
                blocks(w)
            }
            #[inline(always)]
            fn unit(&self, _part: usize) -> Self {
                *self
            }
        }

        #[allow(unused_variables)]
        impl Unit for $block {
            const LEN: usize = <$block as Block>::LEN;
            const KIND: ActKind = ActKind::$kind;
            const SUBS: usize = $subs;
            const OFFSET: u8 = $offset;
            const HAS_MIN: bool = $has_min;

            #[inline(always)]
            fn quants(&self, q: &mut [i8]) {
                q.copy_from_slice(&<$block>::quants(self));
            }
            #[inline(always)]
            fn d(&self) -> f32 {
                <$block>::d(self)
            }
            #[inline(always)]
            fn dmin(&self) -> f32 {
                let $b = self;
                $dmin
            }
            #[inline(always)]
            fn scales(&self) -> [i8; 16] {
                let $b = self;
                $scales
            }
            #[inline(always)]
            fn mins(&self) -> [u8; 16] {
                let $b = self;
                $mins
            }
        }
    };
}

// The minimum of Q4_1 and Q5_1 is added, so its scale changes sign.
unit!(BlockQ4_0, Q8x32, subs 1, offset 8, min false, b => dmin 0.0, scales [1; 16], mins [0; 16]);
unit!(BlockQ4_1, Q8x32, subs 1, offset 0, min true, b => dmin -b.m(), scales [1; 16], mins [1; 16]);
unit!(BlockQ5_0, Q8x32, subs 1, offset 16, min false, b => dmin 0.0, scales [1; 16], mins [0; 16]);
unit!(BlockQ5_1, Q8x32, subs 1, offset 0, min true, b => dmin -b.m(), scales [1; 16], mins [1; 16]);
unit!(BlockQ8_0, Q8x32, subs 1, offset 128, min false, b => dmin 0.0, scales [1; 16], mins [0; 16]);
unit!(BlockQ2K, Q8x256, subs 16, offset 0, min true,
    b => dmin b.dmin(), scales b.scales_mins().0.map(|s| s as i8), mins b.scales_mins().1);
unit!(BlockQ3K, Q8x256, subs 16, offset 4, min false, b => dmin 0.0, scales b.scales(), mins [0; 16]);
unit!(BlockQ4K, Q8x256, subs 8, offset 0, min true,
    b => dmin b.dmin(), scales pad(b.scales_mins().0.map(|s| s as i8)), mins pad(b.scales_mins().1));
unit!(BlockQ5K, Q8x256, subs 8, offset 0, min true,
    b => dmin b.dmin(), scales pad(b.scales_mins().0.map(|s| s as i8)), mins pad(b.scales_mins().1));
unit!(BlockQ6K, Q8x256, subs 16, offset 32, min false, b => dmin 0.0, scales b.scales(), mins [0; 16]);
unit!(BlockIQ4NL, Q8x32, subs 1, offset 128, min false, b => dmin 0.0, scales [1; 16], mins [0; 16]);
unit!(BlockMXFP4, Q8x32, subs 1, offset 128, min false, b => dmin 0.0, scales [1; 16], mins [0; 16]);
// Sub-blocks of 32 as two of 16, which is how signed bytes are multiplied.
unit!(BlockIQ4XS, Q8x256, subs 16, offset 128, min false, b => dmin 0.0, scales twice(b.scales()), mins [0; 16]);
unit!(BlockTQ2_0, Q8x256, subs 16, offset 1, min false, b => dmin 0.0, scales [1; 16], mins [0; 16]);
