//! Compares the formats: encodes the same values in each, and prints size and error.
//!
//! ```text
//! cargo run --release -p happy-tensor --example compare_formats
//! ```
//!
//! The values are normally distributed, like the weights of most models. Real weights and an importance matrix
//! (`quantize_row_weighted`) give other errors, but a similar order.

use happy_tensor::{DType, RowError, dequantize_to_vec, quantize_row};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let x = normal(4096);
    let energy: f32 = x.iter().map(|v| v * v).sum();
    let mut rows = Vec::new();
    for dtype in DType::ALL {
        let bits = 8.0 * dtype.row_bytes(x.len())? as f32 / x.len() as f32;
        rows.push((bits, (squared_error(dtype, &x)? / energy).sqrt(), dtype));
    }
    rows.sort_by(|a, b| a.0.total_cmp(&b.0));

    println!("format     bits per element   relative error");
    for (bits, error, dtype) in rows {
        println!("{dtype:<10} {bits:>16.4}   {error:>14.5}");
    }
    Ok(())
}

/// Encodes and decodes the values, and returns the sum of squared errors.
fn squared_error(dtype: DType, x: &[f32]) -> Result<f32, RowError> {
    let mut stored = vec![0; dtype.row_bytes(x.len())?];
    quantize_row(dtype, x, &mut stored)?;
    let decoded = dequantize_to_vec(dtype, &stored)?;
    Ok(x.iter().zip(decoded).map(|(a, b)| (a - b) * (a - b)).sum())
}

/// Returns values that are about normally distributed: sums of twelve uniform ones.
fn normal(len: usize) -> Vec<f32> {
    let mut state = 1u32;
    let mut uniform = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 24) as f32
    };
    (0..len).map(|_| (0..12).map(|_| uniform()).sum::<f32>() - 6.0).collect()
}
