//! How portable code unpacks each quantized format, one line per format. The kinds of units are in [`super::unit`].

use super::unit::{Half, Plain, PlainMin, Super, SuperMin, Unit};
use happy_tensor::*;

/// A stored block, and its units.
pub(crate) trait Source: Copy + 'static {
    /// The kind of unit to which the block is unpacked.
    type Unit: Unit;
    /// Units in a block.
    const PARTS: usize;

    /// Returns the blocks of `w`, which the caller has checked to start with whole rows. Bytes past the last whole
    /// block are ignored.
    fn blocks(w: &[u8]) -> &[Self];
    /// Returns unit `part` of the block; `part` is below [`Source::PARTS`].
    fn unit(&self, part: usize) -> Self::Unit;
}

/// Returns values of 8 sub-blocks of 32 as values of 16 sub-blocks of 16.
#[inline(always)]
fn twice<T: Copy + Default>(values: [T; 8]) -> [T; 16] {
    let mut out = [T::default(); 16];
    for (out, value) in out.as_chunks_mut::<2>().0.iter_mut().zip(values) {
        *out = [value; 2];
    }
    out
}

/// Returns 16 integers in their half of 32, with zeros in the other.
#[inline(always)]
fn half(q: [i8; 16], part: usize) -> [i8; 32] {
    let mut out = [0; 32];
    out[16 * (part % 2)..][..16].copy_from_slice(&q);
    out
}

/// Returns scales below 128 as signed bytes.
#[inline(always)]
fn signed<const N: usize>(scales: [u8; N]) -> [i8; N] {
    let mut out = [0; N];
    for (out, scale) in out.iter_mut().zip(scales) {
        *out = scale as i8;
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
                let whole = w.len() / size_of::<Self>() * size_of::<Self>();
                Self::from_bytes(&w[..whole]).unwrap_or(&[])
            }
            #[inline(always)]
            fn unit(&self, $part: usize) -> $unit {
                let $b = self;
                $unit { $($field: $value),* }
            }
        }

        const _: () = assert!(<$block as Block>::LEN * $unit::REPEAT == $parts * $unit::LEN);
    };
    ($block:ident: $unit:ident, ($b:ident) => $fields:tt) => {
        source!($block: $unit, parts 1, ($b, _) => $fields);
    };
}

source!(BlockQ4_0: Plain, (b) => { q: b.quants(), d: b.d() });
source!(BlockQ4_1: PlainMin, (b) => { q: b.quants(), d: b.d(), m: b.m() });
source!(BlockQ5_0: Plain, (b) => { q: b.quants(), d: b.d() });
source!(BlockQ5_1: PlainMin, (b) => { q: b.quants(), d: b.d(), m: b.m() });
source!(BlockQ8_0: Plain, (b) => { q: b.quants(), d: b.d() });
source!(BlockQ2K: SuperMin, (b) => {
    q: b.quants(), d: b.d(), scales: signed(b.scales_mins().0), mins: b.scales_mins().1, dmin: b.dmin()
});
source!(BlockQ3K: Super, (b) => { q: b.quants(), d: b.d(), scales: b.scales() });
source!(BlockQ4K: SuperMin, (b) => {
    q: b.quants(), d: b.d(), scales: twice(signed(b.scales_mins().0)), mins: twice(b.scales_mins().1), dmin: b.dmin()
});
source!(BlockQ5K: SuperMin, (b) => {
    q: b.quants(), d: b.d(), scales: twice(signed(b.scales_mins().0)), mins: twice(b.scales_mins().1), dmin: b.dmin()
});
source!(BlockQ6K: Super, (b) => { q: b.quants(), d: b.d(), scales: b.scales() });
source!(BlockQ1_0: Plain, parts 4, (b, part) => { q: b.quants_of(part), d: b.d() });
source!(BlockQ2_0: Plain, parts 2, (b, part) => { q: b.quants_of(part), d: b.d() });
source!(BlockIQ1S: Super, (b) => { q: b.quants(), scales: twice(b.scales()), d: b.d() });
source!(BlockIQ1M: Super, (b) => { q: b.quants(), scales: b.scales(), d: b.d() });
source!(BlockIQ2XXS: Super, (b) => { q: b.quants(), scales: b.scales(), d: b.d() });
source!(BlockIQ2XS: Super, (b) => { q: b.quants(), scales: b.scales(), d: b.d() });
source!(BlockIQ2S: Super, (b) => { q: b.quants(), scales: b.scales(), d: b.d() });
source!(BlockIQ3XXS: Super, (b) => { q: b.quants(), scales: twice(b.scales()), d: b.d() });
source!(BlockIQ3S: Super, (b) => { q: b.quants(), scales: twice(b.scales()), d: b.d() });
source!(BlockIQ4NL: Plain, (b) => { q: b.quants(), d: b.d() });
source!(BlockIQ4XS: Super, (b) => { q: b.quants(), scales: twice(b.scales()), d: b.d() });
source!(BlockTQ1_0: Super, (b) => { q: b.quants(), scales: [1; 16], d: b.d() });
source!(BlockTQ2_0: Super, (b) => { q: b.quants(), scales: [1; 16], d: b.d() });
source!(BlockMXFP4: Plain, (b) => { q: b.quants(), d: b.d() });
source!(BlockNVFP4: Half, parts 4, (b, part) => { q: half(b.quants_of(part), part), d: b.d_of(part) });
