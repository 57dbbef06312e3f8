//! One row of logits: checked, and copied together with the greatest value of each block.
//!
//! ```text
//! for each block of 64 logits:  maxima[block] = max;  every value < +inf (which NaN is not)
//! ```
//!
//! Whoever looks for large values afterwards skips the blocks whose maximum is small: the row is read once, however many
//! steps cut it.

use crate::{SamplerError, TokenId};

/// Logits a block. Small, because a block with one large value is searched whole; large, because the maxima are read instead
/// of the logits.
pub(super) const BLOCK: usize = 64;

/// Logits that are checked before they are copied: they stay in the first-level cache between the two.
const CHUNK: usize = 16 * BLOCK;

/// The greater of two values, the first if the second is NaN. One instruction, unlike `f32::max`.
#[inline(always)]
fn greater(a: f32, b: f32) -> f32 {
    if b > a { b } else { a }
}

/// The greatest value, -inf if there is none (NaN is passed over), and whether all are finite or -inf.
#[inline(always)]
fn scan(x: &[f32]) -> (f32, bool) {
    let mut usable = true;
    // Lanes, so that the compiler keeps them in vector registers, and a tree at the end: one lane after the other would
    // take longer than a block.
    let mut top = [f32::NEG_INFINITY; 16];
    let (groups, rest) = x.as_chunks::<16>();
    for group in groups {
        for (t, &v) in top.iter_mut().zip(group) {
            usable &= v < f32::INFINITY;
            *t = greater(*t, v);
        }
    }
    for (t, &v) in top.iter_mut().zip(rest) {
        usable &= v < f32::INFINITY;
        *t = greater(*t, v);
    }
    let top: [f32; 8] = std::array::from_fn(|i| greater(top[i], top[i + 8]));
    let top: [f32; 4] = std::array::from_fn(|i| greater(top[i], top[i + 4]));
    (greater(greater(top[0], top[2]), greater(top[1], top[3])), usable)
}

/// The greatest value, -inf if there is none; NaN is passed over.
#[inline]
pub(super) fn max(x: &[f32]) -> f32 {
    scan(x).0
}

/// The error for the first unusable value of `logits` at or after `from`.
#[cold]
fn non_finite(logits: &[f32], from: usize) -> SamplerError {
    match logits.iter().enumerate().skip(from).find(|(_, v)| v.is_nan() || **v == f32::INFINITY) {
        Some((i, &value)) => SamplerError::NonFinite { id: i as TokenId, value },
        None => SamplerError::NonFinite { id: from as TokenId, value: f32::NAN },
    }
}

fn check_len(logits: &[f32]) -> Result<(), SamplerError> {
    if logits.is_empty() {
        return Err(SamplerError::Empty);
    }
    if TokenId::try_from(logits.len()).is_err() {
        return Err(SamplerError::TooMany(logits.len()));
    }
    Ok(())
}

/// Copies `logits` to `out` and the maxima of its blocks to `maxima`, both of which are empty.
///
/// # Errors
/// An empty row, NaN, +inf, or no memory. What was copied until then stays.
pub(super) fn copy(logits: &[f32], out: &mut Vec<f32>, maxima: &mut Vec<f32>) -> Result<(), SamplerError> {
    check_len(logits)?;
    let blocks = logits.len().div_ceil(BLOCK);
    if out.try_reserve_exact(logits.len()).is_err() || maxima.try_reserve_exact(blocks).is_err() {
        return Err(SamplerError::OutOfMemory { entries: logits.len() });
    }
    for (i, chunk) in logits.chunks(CHUNK).enumerate() {
        let mut usable = true;
        let (blocks, rest) = chunk.as_chunks::<BLOCK>();
        let rest = Some(rest).filter(|r| !r.is_empty());
        let mut note = |block: &[f32]| {
            let (top, ok) = scan(block);
            usable &= ok;
            top
        };
        maxima.extend(blocks.iter().map(|b| note(b)));
        maxima.extend(rest.map(&mut note));
        if !usable {
            return Err(non_finite(logits, i * CHUNK));
        }
        out.extend_from_slice(chunk);
    }
    Ok(())
}

/// The token with the highest logit, ties to the lower id, in one pass without any buffer; `None` if all are -inf.
///
/// # Errors
/// An empty row, NaN, +inf.
pub(crate) fn argmax(logits: &[f32]) -> Result<Option<TokenId>, SamplerError> {
    check_len(logits)?;
    let (mut best, mut best_chunk) = (f32::NEG_INFINITY, None);
    for (i, chunk) in logits.chunks(CHUNK).enumerate() {
        let (top, usable) = scan(chunk);
        if !usable {
            return Err(non_finite(logits, i * CHUNK));
        }
        if top > best {
            (best, best_chunk) = (top, Some(i));
        }
    }
    let Some(i) = best_chunk else { return Ok(None) };
    let at = logits.iter().skip(i * CHUNK).position(|&v| v == best);
    Ok(at.map(|j| (i * CHUNK + j) as TokenId))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maxima_at_every_length() {
        let mut rng = crate::Rng::new(4);
        for n in [1, 2, 15, 16, 17, 63, 64, 65, 127, 128, 129, 1023, 1024, 1025, 3000] {
            let logits: Vec<f32> = (0..n).map(|_| (rng.next_f64() * 9.0 - 20.0) as f32).collect();
            let (mut out, mut maxima) = (Vec::new(), Vec::new());
            copy(&logits, &mut out, &mut maxima).unwrap();
            let greatest = |b: &[f32]| b.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            assert_eq!(out, logits);
            assert_eq!(maxima, logits.chunks(BLOCK).map(greatest).collect::<Vec<_>>(), "n {n}");
            // Every position is checked.
            for at in [0, n / 2, n - 1] {
                let mut bad = logits.clone();
                bad[at] = f32::NAN;
                for error in
                    [copy(&bad, &mut Vec::new(), &mut Vec::new()).unwrap_err(), argmax(&bad).unwrap_err()]
                {
                    assert!(
                        matches!(error, SamplerError::NonFinite { id, .. } if id as usize == at),
                        "n {n} at {at}: {error}"
                    );
                }
            }
        }
    }
}
