//! Properties that hold for random values and bytes: error bounds of round trips, exact casts, and no panics.

use happy_tensor::formats::{scales_k3, scales_mins_k4};
use happy_tensor::{
    Block, BlockQ2K, BlockQ3K, BlockQ4_0, BlockQ4K, BlockQ5K, BlockQ6K, DType, Quantize, dequantize_to_vec,
    quantize_row, quantize_row_weighted, quantize_unit, with_block,
};
use proptest::collection::vec;
use proptest::prelude::*;

/// Relative error of a normal f16, and absolute error of a subnormal one.
const F16_REL: f32 = 1.0 / 2048.0;
const F16_ABS: f32 = 1.0 / 33_554_432.0;

/// Returns the greatest error that a round trip through `dtype` may cause: half a step (a whole one at the end of the range
/// that the asymmetric formats clip), plus the rounding of the f16 fields.
fn bound(dtype: DType, x: &[f32]) -> f32 {
    let amax = x.iter().fold(0.0f32, |a, v| a.max(v.abs()));
    let (min, max) = x.iter().fold((f32::MAX, f32::MIN), |(lo, hi), &v| (lo.min(v), hi.max(v)));
    let scale = |step: f32, levels: f32, steps: f32| {
        step * steps + levels * (step * F16_REL + F16_ABS) + amax * f32::EPSILON * 8.0
    };
    let with_min = |levels: f32| scale((max - min) / levels, levels, 0.5) + min.abs() * F16_REL + F16_ABS;
    match dtype {
        DType::F32 => 0.0,
        DType::F16 => amax * F16_REL + F16_ABS,
        DType::BF16 => amax / 256.0,
        DType::Q4_0 => scale(amax / 8.0, 8.0, 1.0),
        DType::Q4_1 => with_min(15.0),
        DType::Q5_0 => scale(amax / 16.0, 16.0, 1.0),
        DType::Q5_1 => with_min(31.0),
        DType::Q8_0 => scale(amax / 127.0, 127.0, 0.5),
        DType::MXFP4 => scale(amax / 4.0, 6.0, 1.0),
        _ => f32::INFINITY,
    }
}

/// Changes random bytes so that the f16 fields of their blocks are finite.
fn random_blocks(dtype: DType, bytes: &mut [u8]) {
    for block in bytes.chunks_exact_mut(dtype.block_bytes()) {
        if dtype == DType::IQ1M {
            block[55] &= 0xBF; // the highest of its f16's four pieces
        }
        if dtype == DType::MXFP4 {
            block[0] &= 0x7F; // 12 x 2^125 is more than an f32 can hold
        }
        for &at in dtype.f16_fields() {
            block[at + 1] &= 0xBF; // clears the top bit of the exponent: below 2
        }
    }
}

fn values(n: usize) -> impl Strategy<Value = Vec<f32>> {
    // Magnitudes over many powers of two, and some zeros.
    (vec((-1.0f32..1.0, prop::bool::weighted(0.1)), n), -30i32..12).prop_map(|(v, e)| {
        let scale = 2.0f32.powi(e);
        v.into_iter().map(|(v, zero)| if zero { 0.0 } else { v * scale }).collect()
    })
}

/// Returns the share of the sum of squares that a format's error may have, for uniformly distributed values of which some are
/// zero.
fn relative_error(dtype: DType) -> f64 {
    match dtype {
        DType::Q2K => 0.08,
        DType::Q3K => 0.03,
        DType::Q4K => 0.006,
        DType::Q5K => 0.0015,
        DType::Q6K => 0.0005,
        DType::IQ1S | DType::IQ1M => 0.6,
        DType::IQ2XXS | DType::IQ2XS | DType::IQ2S => 0.3,
        DType::IQ3XXS | DType::IQ3S => 0.12,
        DType::IQ4NL | DType::IQ4XS => 0.012,
        DType::TQ1_0 | DType::TQ2_0 | DType::Q1_0 | DType::Q2_0 => 0.8,
        DType::NVFP4 => 0.05,
        _ => 1.0,
    }
}

/// Returns the weighted sums of squares of the differences and of the values.
fn squares(x: &[f32], back: &[f32], w: &[f32]) -> (f64, f64) {
    let mut sums = (0.0, 0.0);
    for ((x, b), w) in x.iter().zip(back).zip(w) {
        let (x, b, w) = (f64::from(*x), f64::from(*b), f64::from(*w));
        sums = (sums.0 + w * (x - b) * (x - b), sums.1 + w * x * x);
    }
    sums
}

/// Returns whether encoding searches the points of a table, which takes long.
fn is_slow(dtype: DType) -> bool {
    dtype.name().starts_with("IQ") && dtype.block_len() == 256
}

/// Returns whether a format is encoded by the same search with and without weights.
fn searches(dtype: DType) -> bool {
    dtype.name().starts_with("IQ") || dtype.name().ends_with("_K")
}

fn encode(dtype: DType, x: &[f32], w: Option<&[f32]>) -> Vec<f32> {
    let mut bytes = vec![0; dtype.row_bytes(x.len()).unwrap()];
    match w {
        Some(w) => quantize_row_weighted(dtype, x, w, &mut bytes).unwrap(),
        None => quantize_row(dtype, x, &mut bytes).unwrap(),
    }
    dequantize_to_vec(dtype, &bytes).unwrap()
}

/// Rows that broke encoders: the reciprocal of a subnormal is infinite, and some hardware takes a signaling NaN as the greater
/// value.
#[test]
fn subnormal_rows_and_signaling_nans_are_encoded() {
    let nan = f32::from_bits(0x7F80_0001);
    assert!(nan.is_nan());
    let mut late_nan = [1e-3; 256];
    (late_nan[0], late_nan[1]) = (3e38, nan);
    let mut infinite = [1.0; 256];
    infinite[255] = f32::NEG_INFINITY;
    for x in [[1e-40; 256], [-1e-45; 256], [nan; 256], late_nan, infinite] {
        for dtype in DType::ALL {
            let _ = encode(dtype, &x, None);
            let _ = encode(dtype, &x, Some(&x));
        }
    }
}

/// The least squares of a row of equal values have no single solution, and a great offset takes the precision of sums.
#[test]
fn constant_rows_and_great_offsets_are_encoded() {
    for (x, w, relative) in [(1.0, 1.0, 0.07), (-3.0, 0.5, 0.07), (1e-3, 2.0, 0.07)] {
        for dtype in [DType::Q2K, DType::Q4K, DType::Q5K, DType::Q4_1, DType::Q5_1, DType::IQ4XS, DType::Q6K]
        {
            for w in [None, Some(&[w; 256][..])] {
                let back = encode(dtype, &[x; 256], w);
                let worst = back.iter().map(|b| (b - x).abs()).fold(0.0, f32::max);
                assert!(worst <= relative * x.abs(), "{dtype}: {x} became {:?}", &back[..2]);
            }
        }
    }
    let offset: [f32; 256] = std::array::from_fn(|i| 100.0 + (i % 32) as f32 / 32.0);
    let back = encode(DType::Q4_1, &offset, Some(&[1.0; 256]));
    let worst = back.iter().zip(&offset).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst < 0.07, "{worst}");
}

fn blocks_are_close(dtype: DType, x: &[f32]) -> Result<(), TestCaseError> {
    let (error, energy) = squares(x, &encode(dtype, x, None), &[1.0; 256]);
    // Scales below the least f16 are lost, as are those of NVFP4 below 2^-9.
    let least = if dtype == DType::NVFP4 { 2.0f64.powi(-8) } else { 2.0f64.powi(-12) };
    let bound = relative_error(dtype) * energy + 256.0 * least * least;
    prop_assert!(error <= bound, "{dtype}: an error of {error:e} for {energy:e}, bound {bound:e}");

    if searches(dtype) {
        let bytes = |w: Option<&[f32]>| {
            let mut bytes = vec![0; dtype.row_bytes(x.len()).unwrap()];
            match w {
                Some(w) => quantize_row_weighted(dtype, x, w, &mut bytes).unwrap(),
                None => quantize_row(dtype, x, &mut bytes).unwrap(),
            }
            bytes
        };
        prop_assert!(bytes(None) == bytes(Some(&[1.0; 256])), "{dtype}: weights of 1 change the bytes");
    }
    // Equal weights, whatever their value, do no harm.
    let same = encode(dtype, x, Some(&[0.25; 256]));
    let even = squares(x, &same, &[1.0; 256]).0;
    prop_assert!(even <= bound, "{dtype}: {even:e} with weights");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn lattice_blocks_are_close(x in values(256)) {
        for dtype in DType::ALL.into_iter().filter(|t| is_slow(*t)) {
            blocks_are_close(dtype, &x)?;
        }
    }

    #[test]
    fn searching_any_bits_does_not_panic(bits in vec(any::<u32>(), 256)) {
        let x: Vec<f32> = bits.into_iter().map(f32::from_bits).collect();
        for dtype in DType::ALL {
            let _ = encode(dtype, &x, None);
            let _ = encode(dtype, &x, Some(&x));
        }
    }
}

proptest! {
    #[test]
    fn blocks_of_256_are_close(x in values(256)) {
        for dtype in DType::ALL.into_iter().filter(|t| !t.is_float() && !is_slow(*t)) {
            blocks_are_close(dtype, &x)?;
        }
    }

    #[test]
    fn round_trip_errors_are_bounded(x in values(32)) {
        for dtype in DType::ALL.into_iter().filter(|t| t.block_len() <= 32) {
            let mut bytes = vec![0; dtype.row_bytes(x.len()).unwrap()];
            quantize_row(dtype, &x, &mut bytes).unwrap();
            let back = dequantize_to_vec(dtype, &bytes).unwrap();
            let bound = bound(dtype, &x);
            for (a, b) in x.iter().zip(&back) {
                prop_assert!((a - b).abs() <= bound, "{dtype}: {a:e} became {b:e}, bound {bound:e}");
            }
        }
    }

    #[test]
    fn encoding_any_bits_does_not_panic(bits in vec(any::<u32>(), 32)) {
        let x: Vec<f32> = bits.into_iter().map(f32::from_bits).collect();
        for dtype in DType::ALL.into_iter().filter(|t| t.block_len() <= 32) {
            let mut bytes = vec![0; dtype.row_bytes(x.len()).unwrap()];
            prop_assert!(quantize_row(dtype, &x, &mut bytes).is_ok());
        }
    }

    #[test]
    fn decoding_is_finite_when_the_f16_fields_are(mut bytes in vec(any::<u8>(), 420), skip in 0usize..2) {
        for dtype in DType::ALL.into_iter().filter(|t| !matches!(t, DType::F32 | DType::BF16)) {
            let n = (bytes.len() - skip) / dtype.block_bytes() * dtype.block_bytes();
            let bytes = &mut bytes[skip..skip + n];
            random_blocks(dtype, bytes);
            let values = dequantize_to_vec(dtype, bytes).unwrap();
            prop_assert!(values.iter().all(|v| v.is_finite()), "{dtype}");
        }
    }

    #[test]
    fn casts_keep_bytes_and_check_lengths(bytes in vec(any::<u8>(), 0..500), skip in 0usize..8) {
        let bytes = bytes.get(skip..).unwrap_or_default();
        for dtype in DType::ALL {
            with_block!(dtype, B => {
                match B::from_bytes(bytes) {
                    Ok(blocks) => {
                        prop_assert_eq!(blocks.len() * dtype.block_bytes(), bytes.len());
                        prop_assert_eq!(B::as_bytes(blocks), bytes);
                    }
                    Err(e) => {
                        prop_assert_ne!(bytes.len() % dtype.block_bytes(), 0);
                        prop_assert_eq!((e.dtype, e.len), (dtype, bytes.len()));
                    }
                }
            });
        }
    }

    #[test]
    fn quants_times_scales_are_the_values(mut bytes in vec(any::<u8>(), 210)) {
        // The integers and unpacked scales that kernels use give the values that `dequantize` returns.
        for dtype in [DType::Q2K, DType::Q3K, DType::Q4K, DType::Q5K, DType::Q6K] {
            let bytes = &mut bytes[..dtype.block_bytes()];
            random_blocks(dtype, bytes);
            let out = dequantize_to_vec(dtype, bytes).unwrap();
            let zero = [0i32; 16];
            let (q, d, dmin, scales, mins, len, range) = match dtype {
                DType::Q2K => {
                    let b = BlockQ2K::from_bytes(bytes).unwrap()[0];
                    let (s, m) = b.scales_mins();
                    (b.quants(), b.d(), b.dmin(), s.map(i32::from), m.map(i32::from), 16, 0..=3)
                }
                DType::Q3K => {
                    let b = BlockQ3K::from_bytes(bytes).unwrap()[0];
                    (b.quants(), b.d(), 0.0, scales_k3(&b.scales).map(i32::from), zero, 16, -4..=3)
                }
                DType::Q4K => {
                    let b = BlockQ4K::from_bytes(bytes).unwrap()[0];
                    let (s, m) = scales_mins_k4(&b.scales);
                    (b.quants(), b.d(), b.dmin(), widen(s), widen(m), 32, 0..=15)
                }
                DType::Q5K => {
                    let b = BlockQ5K::from_bytes(bytes).unwrap()[0];
                    let (s, m) = scales_mins_k4(&b.scales);
                    (b.quants(), b.d(), b.dmin(), widen(s), widen(m), 32, 0..=31)
                }
                _ => {
                    let b = BlockQ6K::from_bytes(bytes).unwrap()[0];
                    (b.quants(), b.d(), 0.0, b.scales.map(i32::from), zero, 16, -32..=31)
                }
            };
            for (i, (&q, &v)) in q.iter().zip(&out).enumerate() {
                prop_assert!(range.contains(&q), "{dtype}: quant {q}");
                let (s, m) = (scales[i / len] as f32, mins[i / len] as f32);
                prop_assert_eq!(v, d * s * f32::from(q) - dmin * m, "{} element {}", dtype, i);
            }
        }
    }

    #[test]
    fn activations_are_within_half_a_step(x in values(256), shift in -20i32..20) {
        let x: [f32; 256] = x.try_into().unwrap();
        let (mut q, mut sums) = ([0; 256], [0; 16]);
        let d = quantize_unit(&x, &mut q, &mut sums).unwrap();
        for (x, &q) in x.iter().zip(&q) {
            prop_assert!((x - d * f32::from(q)).abs() <= d * 0.5001, "{x:e} became {q} x {d:e}");
            prop_assert!((-127..=127).contains(&q));
        }
        for (sum, q) in sums.iter().zip(q.as_chunks::<16>().0) {
            prop_assert_eq!(i32::from(*sum), q.iter().map(|&q| i32::from(q)).sum::<i32>());
        }

        // A power of two changes only the scale, a negation only the integers' signs, and order does not matter.
        let scale = 2.0f32.powi(shift);
        let (mut q2, mut sums2) = ([0; 256], [0; 16]);
        prop_assert_eq!(quantize_unit(&x.map(|v| v * scale), &mut q2, &mut sums2), Ok(d * scale));
        prop_assert_eq!((q, sums), (q2, sums2));
        prop_assert_eq!(quantize_unit(&x.map(|v| -v), &mut q2, &mut sums2), Ok(d));
        prop_assert_eq!(q, q2.map(|q| -q));
        let mut reversed = x;
        reversed.reverse();
        prop_assert_eq!(quantize_unit(&reversed, &mut q2, &mut sums2), Ok(d));
        q2.reverse();
        prop_assert_eq!(q, q2);
    }
}

/// Puts eight unpacked scales into the sixteen places of the other formats.
fn widen(s: [u8; 8]) -> [i32; 16] {
    std::array::from_fn(|i| s.get(i).copied().map_or(0, i32::from))
}

#[test]
fn errors_say_what_was_expected() {
    let mut out = [0u8; 20];
    let cases = [
        (
            quantize_row(DType::Q4_0, &[0.0; 32], &mut out),
            "20 bytes are not a whole number of Q4_0 blocks: expected a multiple of 18, found a remainder of 2",
        ),
        (
            quantize_row(DType::Q4_1, &[0.0; 31], &mut out),
            "the Q4_1 side has 32 elements, but the f32 side has 31",
        ),
        (
            happy_tensor::dequantize_row(DType::Q4_1, &out, &mut [0.0; 64]),
            "the Q4_1 side has 32 elements, but the f32 side has 64",
        ),
    ];
    for (result, message) in cases {
        assert_eq!(result.map_err(|e| e.to_string()), Err(message.to_owned()));
    }
}

#[test]
fn zeros_stay_zeros() {
    let block = BlockQ4_0::quantize(&[0.0; 32]);
    let mut out = BlockQ4_0::ZEROS;
    block.dequantize(&mut out);
    assert!(out.iter().all(|&v| v == 0.0));
}
