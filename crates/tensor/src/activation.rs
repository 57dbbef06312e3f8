//! Activations as int8 blocks: the scalar reference that every SIMD version must match bit for bit.
//!
//! For a unit of `N` values (32 or 256, depending on the weight format, see [`DType::activation_len`]):
//!
//! ```text
//! amax = max over i of the bits of x[i] with the sign cleared, compared as integers
//! amax >= bits of infinity:  error, the unit holds an infinity or a NaN
//! amax <  bits of 2^-100:    d = 0, q[i] = 0
//! otherwise:                 d = amax / 127,  q[i] = round_ties_even(x[i] * (127 / amax))
//! sums[s] = q[16 s] + .. + q[16 s + 15]
//! ```
//!
//! `d` stays f32. The threshold keeps `127 / amax` finite and `d` normal, so that a CPU's flush-to-zero mode cannot
//! change the result. The maximum of integers is the same in any order, even with NaNs. `|q[i]| <= 127`, and a sum
//! is in -2032..=2032.
//!
//! [`DType::activation_len`]: crate::DType::activation_len

/// The activations contain an infinity or a NaN, which cannot be quantized.
///
/// ```
/// use happy_tensor::{NonFinite, quantize_unit};
/// let mut x = [1.0f32; 32];
/// x[5] = f32::INFINITY;
/// assert_eq!(quantize_unit(&x, &mut [0; 32], &mut [0; 2]), Err(NonFinite { unit: 0 }));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("non-finite activation in unit {unit}")]
pub struct NonFinite {
    /// Index of the unit in its row; 0 for a single unit.
    pub unit: usize,
}

/// Number of values that one entry of `sums` covers.
pub const SUM_LEN: usize = 16;

/// Units whose greatest magnitude is below this become zeros: 2^-100.
pub const AMAX_MIN: f32 = f32::from_bits((127 - 100) << 23);

/// Quantizes one unit and returns its scale `d`. The [module](self) describes the rule.
///
/// `N` must be a multiple of 16 and `S` must be `N / 16`; anything else does not compile.
///
/// # Errors
/// [`NonFinite`] if `x` contains an infinity or a NaN. `q` and `sums` are then filled with zeros.
///
/// ```
/// use happy_tensor::quantize_unit;
/// let mut x = [0.0f32; 32];
/// (x[0], x[1], x[20]) = (127.0, -2.5, 63.0);
/// let (mut q, mut sums) = ([0i8; 32], [0i16; 2]);
/// assert_eq!(quantize_unit(&x, &mut q, &mut sums), Ok(1.0));
/// assert_eq!((q[0], q[1], q[20], sums), (127, -2, 63, [125, 63]));
/// ```
pub fn quantize_unit<const N: usize, const S: usize>(
    x: &[f32; N],
    q: &mut [i8; N],
    sums: &mut [i16; S],
) -> Result<f32, NonFinite> {
    const { assert!(N == S * SUM_LEN, "one sum for every 16 values") };
    *q = [0; N];
    *sums = [0; S];
    let amax = x.iter().fold(0u32, |m, v| m.max(v.to_bits() & 0x7FFF_FFFF));
    if amax >= f32::INFINITY.to_bits() {
        return Err(NonFinite { unit: 0 });
    }
    if amax < AMAX_MIN.to_bits() {
        return Ok(0.0);
    }
    let amax = f32::from_bits(amax);
    let inverse = 127.0 / amax;
    for (q, v) in q.iter_mut().zip(x) {
        *q = (v * inverse).round_ties_even() as i8;
    }
    for (sum, q) in sums.iter_mut().zip(q.as_chunks::<SUM_LEN>().0) {
        *sum = q.iter().map(|&q| i16::from(q)).sum();
    }
    Ok(amax / 127.0)
}

/// The outputs of [`quantize_row`].
#[derive(Debug)]
pub struct RowMut<'a> {
    /// Integers, one per value.
    pub q: &'a mut [i8],
    /// Scales, one per unit.
    pub d: &'a mut [f32],
    /// Sums of 16 consecutive integers, `N / 16` per unit.
    pub sums: &'a mut [i16],
}

/// Why a row of activations could not be quantized.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ActivationError {
    /// A value is not finite.
    #[error(transparent)]
    NonFinite(#[from] NonFinite),
    /// A slice has the wrong length.
    #[error("{what}: expected a length of {expected}, found {found}")]
    Length {
        /// Name of the slice.
        what: &'static str,
        /// The length that it should have. For `x`, the length of its whole units.
        expected: usize,
        /// The length that it has.
        found: usize,
    },
}

/// Quantizes a row in units of `N` values (`S = N / 16`), each like [`quantize_unit`].
///
/// ```
/// use happy_tensor::activation::{RowMut, quantize_row};
/// let x = [[127.0f32; 32], [-254.0; 32]].concat();
/// let (mut q, mut d, mut sums) = ([0; 64], [0.0; 2], [0; 4]);
/// quantize_row::<32, 2>(&x, &mut RowMut { q: &mut q, d: &mut d, sums: &mut sums })?;
/// assert_eq!((q[0], q[63], d, sums), (127, -127, [1.0, 2.0], [2032, 2032, -2032, -2032]));
/// # Ok::<(), happy_tensor::activation::ActivationError>(())
/// ```
///
/// # Errors
/// [`ActivationError::Length`] if `x` is not a whole number of units or an output has the wrong length; nothing is
/// written then. [`ActivationError::NonFinite`] names the first unit that is not finite; the units before it have been
/// written.
pub fn quantize_row<const N: usize, const S: usize>(
    x: &[f32],
    out: &mut RowMut<'_>,
) -> Result<(), ActivationError> {
    const { assert!(N > 0 && N == S * SUM_LEN, "one sum for every 16 values") };
    let (units, rest) = x.as_chunks::<N>();
    let lengths = [
        ("activations x", units.len() * N, units.len() * N + rest.len()),
        ("integers q", x.len(), out.q.len()),
        ("scales d", units.len(), out.d.len()),
        ("sums", units.len() * S, out.sums.len()),
    ];
    for (what, expected, found) in lengths {
        if expected != found {
            return Err(ActivationError::Length { what, expected, found });
        }
    }
    let outs = out.q.as_chunks_mut::<N>().0.iter_mut().zip(out.sums.as_chunks_mut::<S>().0);
    for (unit, ((x, d), (q, sums))) in units.iter().zip(out.d.iter_mut()).zip(outs).enumerate() {
        *d = quantize_unit(x, q, sums).map_err(|_| NonFinite { unit })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases() {
        struct Case {
            name: &'static str,
            x: [f32; 3],
            d: Option<f32>,
            q: [i8; 3],
        }
        let below = f32::from_bits(AMAX_MIN.to_bits() - 1);
        let case = |name, x, d, q| Case { name, x, d, q };
        let cases = [
            case("zeros", [0.0, -0.0, 0.0], Some(0.0), [0, 0, 0]),
            case("below 2^-100", [below, -below, 0.0], Some(0.0), [0, 0, 0]),
            case("2^-100", [AMAX_MIN, 0.0, -AMAX_MIN], Some(AMAX_MIN / 127.0), [127, 0, -127]),
            case("subnormal beside", [1.0, 1e-40, -1e-40], Some(1.0 / 127.0), [127, 0, 0]),
            case("ties to even", [127.0, 0.5, -1.5], Some(1.0), [127, 0, -2]),
            case("greatest", [f32::MAX, f32::MIN, 1.0], Some(f32::MAX / 127.0), [127, -127, 0]),
            case("infinity", [1.0, f32::NEG_INFINITY, 0.0], None, [0, 0, 0]),
            case("nan", [1.0, f32::NAN, 0.0], None, [0, 0, 0]),
            case("negative nan", [1.0, -f32::NAN, f32::INFINITY], None, [0, 0, 0]),
        ];
        let mut failed = Vec::new();
        for c in &cases {
            let mut x = [0.0; 256];
            [x[0], x[17], x[255]] = c.x;
            let (mut q, mut sums) = ([9; 256], [9; 16]);
            let d = quantize_unit(&x, &mut q, &mut sums);
            let found = [q[0], q[17], q[255]];
            let want_sums = [i16::from(c.q[0]), i16::from(c.q[1]), i16::from(c.q[2])];
            if d.ok().map(f32::to_bits) != c.d.map(f32::to_bits)
                || found != c.q
                || [sums[0], sums[1], sums[15]] != want_sums
            {
                failed.push(format!("{}: d {d:?}, q {found:?}, sums {sums:?}", c.name));
            }
        }
        assert!(failed.is_empty(), "{failed:#?}");
    }

    #[test]
    fn rows_check_lengths_and_name_the_unit() {
        let mut x = [1.0f32; 96];
        let (mut q, mut d, mut sums) = ([0i8; 96], [0.0f32; 3], [0i16; 6]);
        let mut out = RowMut { q: &mut q, d: &mut d, sums: &mut sums };
        assert_eq!(quantize_row::<32, 2>(&x, &mut out), Ok(()));
        assert_eq!(out.sums, [2032; 6]);
        x[70] = f32::NAN;
        let error = quantize_row::<32, 2>(&x, &mut out);
        assert_eq!(error, Err(ActivationError::NonFinite(NonFinite { unit: 2 })));
        let error = quantize_row::<32, 2>(&x[..95], &mut out).map_err(|e| e.to_string());
        assert_eq!(error, Err("activations x: expected a length of 64, found 95".to_owned()));
        assert!(quantize_row::<32, 2>(&x[..64], &mut out).is_err());
        let mut none = RowMut { q: &mut [], d: &mut [], sums: &mut [] };
        assert_eq!(quantize_row::<256, 16>(&[], &mut none), Ok(()));
    }
}
