//! How a tile is computed from keys and values as the cache stores them.

use super::TILE;
use super::block::Ahead;
use super::quantized::{self, KvBlock};
use super::{scores, values};
use crate::simd::Simd;
use core::ops::Range;

/// Up to this many queries read the keys where they lie. More queries share a transposed copy of the tile.
pub(super) const FEW: usize = 8;

/// A unit of the cache: one channel, or a block of them. Lengths and offsets below are numbers of units, except for
/// those of f32.
pub(super) trait Stored: Copy {
    /// Channels of a unit.
    const CHANNELS: usize;
    /// Whether rows are stored rotated, so that results must be rotated back.
    const ROTATED: bool;

    /// Prepares a query for [`Stored::scores`]. `to` has whole registers, `spare` room for a row.
    fn query<S: Simd>(s: S, q: &[f32], to: &mut [f32], spare: &mut [f32]);

    /// Computes the scores of the positions of `range`. `keys` is `[TILE][dk]`, `spare` has room for a tile's keys as
    /// f32, and `next` is prefetched.
    #[allow(clippy::too_many_arguments)]
    fn scores<S: Simd>(
        s: S,
        q: &[[f32; 16]],
        keys: &[Self],
        dk: usize,
        range: Range<usize>,
        spare: &mut [f32],
        scores: &mut [[f32; TILE]],
        next: Ahead<'_, Self>,
    );

    /// Adds the values that each query sees, which are among those of `range`. `values` is `[TILE][dv]`; `spare` and
    /// `next` are as above.
    #[allow(clippy::too_many_arguments)]
    fn add<S: Simd>(
        s: S,
        p: &[[f32; TILE]],
        visible: &[(usize, usize)],
        values: &[Self],
        dv: usize,
        range: Range<usize>,
        spare: &mut [f32],
        sums: &mut [f32],
        next: Ahead<'_, Self>,
    );
}

/// A channel of the cache.
pub(super) trait Element: Copy {
    fn load<S: Simd>(s: S, x: &[Self; 16]) -> S::V;
    /// Loads up to 16 elements; the other lanes are zeros.
    fn load_part<S: Simd>(s: S, x: &[Self]) -> S::V;
    /// Returns the elements, if they are f32 already.
    fn as_f32(x: &[Self]) -> Option<&[f32]>;
}

impl Element for f32 {
    #[inline(always)]
    fn load<S: Simd>(s: S, x: &[f32; 16]) -> S::V {
        s.load(x)
    }

    #[inline(always)]
    fn load_part<S: Simd>(s: S, x: &[f32]) -> S::V {
        s.load_part(x)
    }

    #[inline(always)]
    fn as_f32(x: &[f32]) -> Option<&[f32]> {
        Some(x)
    }
}

impl Element for u16 {
    #[inline(always)]
    fn load<S: Simd>(s: S, x: &[u16; 16]) -> S::V {
        s.load_f16(x)
    }

    #[inline(always)]
    fn load_part<S: Simd>(s: S, x: &[u16]) -> S::V {
        let mut lanes = [0; 16];
        for (lane, x) in lanes.iter_mut().zip(x) {
            *lane = *x;
        }
        s.load_f16(&lanes)
    }

    #[inline(always)]
    fn as_f32(_: &[u16]) -> Option<&[f32]> {
        None
    }
}

impl<T: Element> Stored for T {
    const CHANNELS: usize = 1;
    const ROTATED: bool = false;

    #[inline(always)]
    fn query<S: Simd>(_: S, q: &[f32], to: &mut [f32], _: &mut [f32]) {
        to[..q.len()].copy_from_slice(q);
        to[q.len()..].fill(0.0);
    }

    #[inline(always)]
    fn scores<S: Simd>(
        s: S,
        q: &[[f32; 16]],
        keys: &[T],
        dk: usize,
        range: Range<usize>,
        spare: &mut [f32],
        scores: &mut [[f32; TILE]],
        next: Ahead<'_, T>,
    ) {
        if scores.len() <= FEW && !S::COMPACT {
            scores::direct(s, q, keys, dk, range, scores, next);
        } else {
            scores::transpose(s, keys, dk, range.clone(), spare);
            scores::shared(s, q, spare, range, scores);
        }
    }

    #[inline(always)]
    fn add<S: Simd>(
        s: S,
        p: &[[f32; TILE]],
        visible: &[(usize, usize)],
        values: &[T],
        dv: usize,
        range: Range<usize>,
        spare: &mut [f32],
        sums: &mut [f32],
        next: Ahead<'_, T>,
    ) {
        match T::as_f32(values) {
            None if p.len() > FEW || S::COMPACT => {
                values::widen(s, values, dv, range, spare);
                values::add(s, p, visible, &spare[..TILE * dv], dv, sums, Ahead::default());
            }
            _ => values::add(s, p, visible, values, dv, sums, next),
        }
    }
}

impl Stored for KvBlock {
    const CHANNELS: usize = KvBlock::CHANNELS;
    const ROTATED: bool = true;

    #[inline(always)]
    fn query<S: Simd>(s: S, q: &[f32], to: &mut [f32], spare: &mut [f32]) {
        quantized::query(s, q, to, spare);
    }

    /// A tile takes about as long to transpose as a query to read it, so even few queries share the copy.
    #[inline(always)]
    fn scores<S: Simd>(
        s: S,
        q: &[[f32; 16]],
        keys: &[KvBlock],
        dk: usize,
        range: Range<usize>,
        spare: &mut [f32],
        scores: &mut [[f32; TILE]],
        next: Ahead<'_, KvBlock>,
    ) {
        quantized::pack(s, keys, dk, range.clone(), spare, next);
        quantized::scores(s, q, spare, dk, range, scores);
    }

    #[inline(always)]
    fn add<S: Simd>(
        s: S,
        p: &[[f32; TILE]],
        visible: &[(usize, usize)],
        values: &[KvBlock],
        dv: usize,
        range: Range<usize>,
        spare: &mut [f32],
        sums: &mut [f32],
        next: Ahead<'_, KvBlock>,
    ) {
        let channels = dv * KvBlock::CHANNELS;
        quantized::widen(s, values, dv, range, spare, next);
        values::add(s, p, visible, &spare[..TILE * channels], channels, sums, Ahead::default());
    }
}
