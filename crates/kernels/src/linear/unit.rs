//! The kinds of units to which blocks are unpacked: integers as signed bytes, with integer sub-scales. Portable code
//! unpacks every format to one of them ([`super::source`]). The scalar reference multiplies them, and so does each
//! instruction set for the formats that it does not decode in place.
//!
//! ```text
//! isum = sum over sub-blocks s of  scale[s] * (sum of q[i] * a[i] in s)          exact in i32
//! acc  = fma(isum, d * da, acc)
//! msum = sum over sub-blocks s of  min[s] * (sum of a[i] in s)                    exact in i32
//! acc  = fma(-msum, dmin * da, acc)                                               kinds with a minimum only
//!
//! Plain      32 integers, d
//! PlainMin   32 integers 0 ..= 127, d, and a minimum that is added: dmin = -m, min = 1
//! Half       16 integers and 16 zeros, d: two units share 32 activations
//! Super      256 integers, 16 scales for 16 each, d
//! SuperMin   256 integers 0 ..= 127, 16 scales and minimums for 16 each, d, dmin
//! ```
//!
//! Zeros add nothing to an integer sum, so a unit of [`Half`] gives the result of a unit of 16, with twice the
//! products. `docs/numerics.md` tabulates the bounds that keep both sums inside an i32.

use crate::acts::ActKind;

/// A kind of unpacked unit.
pub(crate) trait Unit: Copy + 'static {
    /// Number of integers: as many as a block of its activations has.
    const LEN: usize;
    /// Units that share a block of activations, one after the other. Each has zeros in the places of the others.
    const REPEAT: usize;
    /// The form of its activations; a unit is multiplied with one of their blocks.
    const KIND: ActKind;
    /// Sub-blocks in a unit: 1 or 16.
    const SUBS: usize;
    /// Whether there is a minimum.
    const HAS_MIN: bool;

    /// Returns the `Self::LEN` integers of the unit.
    fn quants(&self) -> &[i8];
    /// Returns the scale `d`.
    fn d(&self) -> f32;
    /// Returns the scale of the minimum, which is subtracted; 0 without one.
    fn dmin(&self) -> f32;
    /// Returns the scales of the sub-blocks; the first [`Self::SUBS`] are used.
    fn scales(&self) -> [i8; 16];
    /// Returns the minimums of the sub-blocks; the first [`Self::SUBS`] are used.
    fn mins(&self) -> [u8; 16];
}

macro_rules! unit {
    ($(#[$doc:meta])* $unit:ident { $($field:ident: $ty:ty),* }, $kind:ident, len $len:literal, repeat $repeat:literal,
     subs $subs:literal, min $min:literal, $u:ident => dmin $dmin:expr, scales $scales:expr, mins $mins:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy)]
        pub(crate) struct $unit {
            pub(crate) q: [i8; $len],
            pub(crate) d: f32,
            $(pub(crate) $field: $ty,)*
        }

        #[allow(unused_variables)]
        impl Unit for $unit {
            const LEN: usize = $len;
            const REPEAT: usize = $repeat;
            const KIND: ActKind = ActKind::$kind;
            const SUBS: usize = $subs;
            const HAS_MIN: bool = $min;

            #[inline(always)]
            fn quants(&self) -> &[i8] {
                &self.q
            }
            #[inline(always)]
            fn d(&self) -> f32 {
                self.d
            }
            #[inline(always)]
            fn dmin(&self) -> f32 {
                let $u = self;
                $dmin
            }
            #[inline(always)]
            fn scales(&self) -> [i8; 16] {
                let $u = self;
                $scales
            }
            #[inline(always)]
            fn mins(&self) -> [u8; 16] {
                let $u = self;
                $mins
            }
        }
    };
}

unit!(
    /// 32 integers with one scale.
    Plain {}, Q8x32, len 32, repeat 1, subs 1, min false, u => dmin 0.0, scales [1; 16], mins [0; 16]
);
unit!(
    /// 32 integers with one scale and a minimum, which is added.
    PlainMin { m: f32 }, Q8x32, len 32, repeat 1, subs 1, min true, u => dmin -u.m, scales [1; 16], mins [1; 16]
);
unit!(
    /// 16 integers with one scale, in the first or the second half of `q`. The other half is 0.
    Half {}, Q8x32, len 32, repeat 2, subs 1, min false, u => dmin 0.0, scales [1; 16], mins [0; 16]
);
unit!(
    /// 256 integers with scales for 16 each.
    Super { scales: [i8; 16] }, Q8x256, len 256, repeat 1, subs 16, min false,
    u => dmin 0.0, scales u.scales, mins [0; 16]
);
unit!(
    /// 256 integers with scales and minimums for 16 each.
    SuperMin { scales: [i8; 16], mins: [u8; 16], dmin: f32 }, Q8x256, len 256, repeat 1, subs 16, min true,
    u => dmin u.dmin, scales u.scales, mins u.mins
);
