//! Where units come from: a block that is a unit itself, or a block of a format that has no kernels of its own and is
//! unpacked to one of three kinds of units, which all instruction sets multiply. So a new format costs one unpacker: a
//! line below.
//!
//! ```text
//! Plain    32 integers, d                               Q1_0 (4 a block), Q2_0 (2)
//! Half     16 integers and 16 zeros, d                  NVFP4 (4 a block): two units share 32 activations
//! Super    256 integers, 16 scales for 16 each, d       IQ1_S .. IQ3_S, TQ1_0
//! ```
//!
//! The integers are signed bytes, `|q| <= 127`; scales lie in -32 ..= 31. Zeros add nothing to an integer sum, so a unit
//! of [`Half`] gives what a unit of 16 would, at twice the products.

use super::kernel::ActKind;
use super::unit::Unit;
use happy_tensor::*;

/// A stored block, and its units.
pub(crate) trait Source: Copy + 'static {
    /// What kernels multiply.
    type Unit: Unit;
    /// Units in a block.
    const PARTS: usize;

    /// The blocks of `w`, whose start the caller proved to be whole rows; bytes beyond the last block are ignored.
    fn blocks(w: &[u8]) -> &[Self];
    /// Unit `part` of the block, below [`Source::PARTS`].
    fn unit(&self, part: usize) -> Self::Unit;
}

/// [`Source::blocks`] of any format.
#[inline(always)]
pub(crate) fn blocks<B: Block>(w: &[u8]) -> &[B] {
    let whole = w.len() / size_of::<B>() * size_of::<B>();
    B::from_bytes(&w[..whole]).unwrap_or(&[])
}

/// 32 integers with one scale.
#[derive(Clone, Copy)]
pub(crate) struct Plain {
    pub(crate) q: [i8; 32],
    pub(crate) d: f32,
}

/// 16 integers with one scale: the first or the second half of `q`, the other is 0.
#[derive(Clone, Copy)]
pub(crate) struct Half {
    pub(crate) q: [i8; 32],
    pub(crate) d: f32,
}

/// 256 integers with scales for 16 each.
#[derive(Clone, Copy)]
pub(crate) struct Super {
    pub(crate) q: [i8; 256],
    pub(crate) scales: [i8; 16],
    pub(crate) d: f32,
}

macro_rules! unpacked {
    ($unit:ident: $kind:ident, len $len:literal, repeat $repeat:literal, subs $subs:literal, $u:ident => $scales:expr) => {
        #[allow(unused_variables)]
        impl Unit for $unit {
            const LEN: usize = $len;
            const REPEAT: usize = $repeat;
            const KIND: ActKind = ActKind::$kind;
            const SUBS: usize = $subs;
            const OFFSET: u8 = 128;
            const HAS_MIN: bool = false;

            #[inline(always)]
            fn quants(&self, q: &mut [i8]) {
                q.copy_from_slice(&self.q);
            }
            #[inline(always)]
            fn d(&self) -> f32 {
                self.d
            }
            #[inline(always)]
            fn dmin(&self) -> f32 {
                0.0
            }
            #[inline(always)]
            fn scales(&self) -> [i8; 16] {
                let $u = self;
                $scales
            }
            #[inline(always)]
            fn mins(&self) -> [u8; 16] {
                [0; 16]
            }
        }
    };
}

unpacked!(Plain: Q8x32, len 32, repeat 1, subs 1, u => [1; 16]);
unpacked!(Half: Q8x32, len 32, repeat 2, subs 1, u => [1; 16]);
unpacked!(Super: Q8x256, len 256, repeat 1, subs 16, u => u.scales);

/// Scales of 32 integers each, twice.
#[inline(always)]
pub(super) fn twice(scales: [i8; 8]) -> [i8; 16] {
    let mut out = [0; 16];
    for (out, scale) in out.as_chunks_mut::<2>().0.iter_mut().zip(scales) {
        *out = [scale; 2];
    }
    out
}

macro_rules! source {
    ($block:ident: $unit:ident, parts $parts:literal, ($b:ident, $part:pat) => { $($field:ident: $value:expr),* }) => {
        impl Source for $block {
            type Unit = $unit;
            const PARTS: usize = $parts;

            #[inline(always)]
            fn blocks(w: &[u8]) -> &[Self] {
                blocks(w)
            }
            #[inline(always)]
            fn unit(&self, $part: usize) -> $unit {
                let $b = self;
                $unit { $($field: $value),* }
            }
        }

        const _: () = assert!(<$block as Block>::LEN * $unit::REPEAT == $parts * $unit::LEN);
    };
}

source!(BlockQ1_0: Plain, parts 4, (b, part) => { q: b.quants_of(part), d: b.d() });
source!(BlockQ2_0: Plain, parts 2, (b, part) => { q: b.quants_of(part), d: b.d() });
source!(BlockNVFP4: Half, parts 4, (b, part) => { q: half(b.quants_of(part), part), d: b.d_of(part) });
source!(BlockIQ1S: Super, parts 1, (b, _) => { q: b.quants(), scales: twice(b.scales()), d: b.d() });
source!(BlockIQ1M: Super, parts 1, (b, _) => { q: b.quants(), scales: b.scales(), d: b.d() });
source!(BlockIQ2XXS: Super, parts 1, (b, _) => { q: b.quants(), scales: b.scales(), d: b.d() });
source!(BlockIQ2XS: Super, parts 1, (b, _) => { q: b.quants(), scales: b.scales(), d: b.d() });
source!(BlockIQ2S: Super, parts 1, (b, _) => { q: b.quants(), scales: b.scales(), d: b.d() });
source!(BlockIQ3XXS: Super, parts 1, (b, _) => { q: b.quants(), scales: twice(b.scales()), d: b.d() });
source!(BlockIQ3S: Super, parts 1, (b, _) => { q: b.quants(), scales: twice(b.scales()), d: b.d() });
source!(BlockTQ1_0: Super, parts 1, (b, _) => { q: b.quants(), scales: [1; 16], d: b.d() });

/// 16 integers in their half of 32.
#[inline(always)]
fn half(q: [i8; 16], part: usize) -> [i8; 32] {
    let mut out = [0; 32];
    out[16 * (part % 2)..][..16].copy_from_slice(&q);
    out
}
