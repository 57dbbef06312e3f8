//! One row of logits: checked, and copied together with the greatest value of each block.
//!
//! ```text
//! for each block of 64 logits:  maxima[block] = max;  every value < +inf (which NaN is not)
//! ```
//!
//! A search for large values then skips the blocks whose maximum is small, so the row is read once, however many steps
//! cut it.

use crate::{SamplerError, TokenId};

/// Logits per block. Small, because a block with one large value is searched completely; large, because the maxima are
/// read instead of the logits.
pub(super) const BLOCK: usize = 64;

/// Logits that are checked before they are copied, few enough to stay in the first-level cache in between.
const CHUNK: usize = 16 * BLOCK;

/// The greater of two values; the first if the second is NaN. Compiles to one instruction, unlike `f32::max`.
#[inline(always)]
fn greater(a: f32, b: f32) -> f32 {
    if b > a { b } else { a }
}

/// Whether every value is finite or -inf.
#[inline(always)]
fn all_usable(x: &[f32]) -> bool {
    let mut usable = true;
    for &v in x {
        usable &= v < f32::INFINITY;
    }
    usable
}

/// The greatest value of `x` in each of `N` lanes, ignoring NaN. With lanes, the compiler uses vector registers.
#[inline(always)]
fn lanes<const N: usize>(x: &[f32]) -> [f32; N] {
    let mut top = [f32::NEG_INFINITY; N];
    let (groups, rest) = x.as_chunks::<N>();
    for group in groups {
        for (t, &v) in top.iter_mut().zip(group) {
            *t = greater(*t, v);
        }
    }
    for (t, &v) in top.iter_mut().zip(rest) {
        *t = greater(*t, v);
    }
    top
}

/// The greatest value, ignoring NaN; -inf for an empty slice.
#[inline]
pub(super) fn max(x: &[f32]) -> f32 {
    let mut greatest = f32::NEG_INFINITY;
    for v in lanes::<16>(x) {
        greatest = greater(greatest, v);
    }
    greatest
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

/// Copies `logits` to `out` and the maxima of its blocks to `maxima`. Both must be empty.
///
/// # Errors
/// An empty row, NaN, +inf, or memory that is refused. What was copied until then stays.
pub(super) fn copy(logits: &[f32], out: &mut Vec<f32>, maxima: &mut Vec<f32>) -> Result<(), SamplerError> {
    check_len(logits)?;
    let blocks = logits.len().div_ceil(BLOCK);
    if out.try_reserve_exact(logits.len()).is_err() || maxima.try_reserve_exact(blocks).is_err() {
        return Err(SamplerError::OutOfMemory { entries: logits.len() });
    }
    for (i, chunk) in logits.chunks(CHUNK).enumerate() {
        if !all_usable(chunk) {
            return Err(non_finite(logits, i * CHUNK));
        }
        out.extend_from_slice(chunk);
        // First reduces every block to four lanes, then these to one, so that a block's lanes need not wait for the
        // block before. Uses loops instead of iterator chains, whose closures are not always inlined.
        let mut quarters = [[f32::NEG_INFINITY; 4]; CHUNK / BLOCK];
        for (block, quarter) in chunk.chunks(BLOCK).zip(&mut quarters) {
            *quarter = lanes(block);
        }
        for q in quarters.iter().take(chunk.len().div_ceil(BLOCK)) {
            maxima.push(greater(greater(q[0], q[2]), greater(q[1], q[3])));
        }
    }
    Ok(())
}

/// The token with the highest logit, ties to the lower id, in one pass without a buffer; `None` if all logits are -inf.
///
/// # Errors
/// An empty row, NaN or +inf.
pub(crate) fn argmax(logits: &[f32]) -> Result<Option<TokenId>, SamplerError> {
    check_len(logits)?;
    let (mut best, mut best_chunk) = (f32::NEG_INFINITY, None);
    for (i, chunk) in logits.chunks(CHUNK).enumerate() {
        if !all_usable(chunk) {
            return Err(non_finite(logits, i * CHUNK));
        }
        let top = max(chunk);
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
            // A bad value is found at every position.
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
