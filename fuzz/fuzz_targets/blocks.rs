//! Blocks of every format: arbitrary bytes decode, arbitrary floats encode, and what is encoded is near what it was.
#![no_main]

use happy_tensor::{
    Block, CastError, DType, dequantize_to_vec, quantize_row, quantize_row_weighted, with_block,
};
use libfuzzer_sys::fuzz_target;

/// Half a unit in the last place of an f16, relative; and half the least f16.
const F16_REL: f64 = 1.0 / 2048.0;
const F16_ABS: f64 = 1.0 / 33_554_432.0;

/// Whether whole blocks decode, and whether the values are finite where the scales of the block are. Casting there and
/// back gives the bytes.
fn decode(dtype: DType, bytes: &[u8]) -> Result<(), CastError> {
    let whole = &bytes[..bytes.len() / dtype.block_bytes() * dtype.block_bytes()];
    with_block!(dtype, B => {
        assert_eq!(B::as_bytes(B::from_bytes(whole)?), whole);
        assert_eq!(B::from_bytes(bytes).is_ok(), whole.len() == bytes.len());
    });
    let values = dequantize_to_vec(dtype, whole).expect("whole blocks");
    assert_eq!(values.len(), whole.len() / dtype.block_bytes() * dtype.block_len());
    // F32 and BF16 are what they are; the others have an f16 scale or one that is always finite.
    if matches!(dtype, DType::F32 | DType::BF16 | DType::IQ1M | DType::MXFP4) {
        return Ok(());
    }
    let blocks = whole.chunks_exact(dtype.block_bytes()).zip(values.chunks_exact(dtype.block_len()));
    for (block, values) in blocks {
        let finite = dtype.f16_fields().iter().all(|&at| block[at + 1] & 0x7C != 0x7C);
        assert!(!finite || values.iter().all(|v| v.is_finite()), "{dtype}: {block:?}");
    }
    Ok(())
}

fn encode(dtype: DType, x: &[f32], w: Option<&[f32]>) -> Vec<f32> {
    let mut bytes = vec![0; dtype.row_bytes(x.len()).expect("whole blocks")];
    match w {
        Some(w) => quantize_row_weighted(dtype, x, w, &mut bytes),
        None => quantize_row(dtype, x, &mut bytes),
    }
    .expect("sides that fit");
    dequantize_to_vec(dtype, &bytes).expect("whole blocks")
}

/// What an element of a format with a formula may be off by: half a step, or a whole one where the range ends, and what
/// the f16 fields lose. `None`: the search promises a sum only.
fn bound(dtype: DType, x: &[f32]) -> Option<f64> {
    let amax = x.iter().fold(0.0, |a, v| f64::from(v.abs()).max(a));
    let (low, high) =
        x.iter().fold((f64::MAX, f64::MIN), |(l, h), v| (f64::from(*v).min(l), f64::from(*v).max(h)));
    // A step, how many steps the range has, and how many of them an element may be off by.
    let scale = |step: f64, levels: f64, steps: f64| {
        step * steps + levels * (step * F16_REL + F16_ABS) + amax * f64::from(f32::EPSILON) * 8.0
    };
    let with_min = |levels: f64| scale((high - low) / levels, levels, 0.5) + low.abs() * F16_REL + F16_ABS;
    Some(match dtype {
        DType::F32 => 0.0,
        DType::F16 => amax * F16_REL + F16_ABS,
        DType::BF16 => amax / 256.0 + f64::from(f32::MIN_POSITIVE),
        DType::Q4_0 => scale(amax / 8.0, 8.0, 1.0),
        DType::Q4_1 => with_min(15.0),
        DType::Q5_0 => scale(amax / 16.0, 16.0, 1.0),
        DType::Q5_1 => with_min(31.0),
        DType::Q8_0 => scale(amax / 127.0, 127.0, 0.5),
        DType::MXFP4 => scale(amax / 4.0, 6.0, 1.0),
        DType::Q2_0 | DType::TQ1_0 | DType::TQ2_0 => scale(amax, 1.0, 0.5),
        DType::Q1_0 => scale(amax, 1.0, 1.0),
        _ => return None,
    })
}

/// Sum over a block of `w (x - y)^2`.
fn error(x: &[f32], y: &[f32], w: &[f32]) -> f64 {
    let one = |x: f32, y: f32| f64::from(x) - f64::from(y);
    x.iter().zip(y).zip(w).map(|((x, y), w)| f64::from(*w) * one(*x, *y) * one(*x, *y)).sum()
}

/// Finite values of the size of weights: near what they were.
fn close(dtype: DType, x: &[f32], w: &[f32]) {
    let back = encode(dtype, x, None);
    let (zeros, ones) = (vec![0.0; x.len()], vec![1.0; x.len()]);
    // A scale below the least f16 is lost, and one of NVFP4 below 2^-9.
    let lost = if dtype == DType::NVFP4 { 2.0f64.powi(-8) } else { 2.0f64.powi(-12) };
    let weighted = encode(dtype, x, Some(w));
    for (i, x) in x.chunks_exact(dtype.block_len()).enumerate() {
        let at = i * dtype.block_len()..(i + 1) * dtype.block_len();
        let (back, weighted, w) = (&back[at.clone()], &weighted[at.clone()], &w[at.clone()]);
        if let Some(bound) = bound(dtype, x) {
            for (x, y) in x.iter().zip(back) {
                assert!(
                    (f64::from(*x) - f64::from(*y)).abs() <= bound,
                    "{dtype}: {x:e} became {y:e}, bound {bound:e}"
                );
            }
            continue;
        }
        // No encoding is worse than none.
        for (name, w, y) in [("even", &ones[at.clone()], back), ("weighted", w, weighted)] {
            let total = f64::from(w.iter().sum::<f32>());
            let (left, energy) = (error(x, y, w), error(x, &zeros[at.clone()], w));
            let bound = energy * 1.001 + total * lost * lost;
            assert!(left <= bound, "{dtype}, {name}: {left:e} of {energy:e} is left");
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let [which, exponent, bytes @ ..] = bytes else { return };
    let dtype = DType::ALL[usize::from(*which) % DType::ALL.len()];
    decode(dtype, bytes).expect("whole blocks");

    // As the bits of floats, whatever they are: no panic.
    let floats: Vec<f32> = bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
    // A super-block at the most: the searches are slow.
    let whole = |x: &[f32]| x.len().min(256) / dtype.block_len() * dtype.block_len();
    let any = &floats[..whole(&floats)];
    encode(dtype, any, None);
    encode(dtype, any, Some(any));

    // As integers times a power of two: up to 2^10 and down to below the least f16.
    let unit = 2.0f32.powi(-i32::from(exponent % 40) - 5);
    let x: Vec<f32> = bytes.as_chunks().0.iter().map(|b| f32::from(i16::from_le_bytes(*b)) * unit).collect();
    let x = &x[..whole(&x)];
    let w: Vec<f32> = (0..x.len()).map(|i| f32::from(bytes[i % bytes.len()]) / 255.0).collect();
    close(dtype, x, &w);
});
