//! Multiplies quantized weights with quantized activations, step by step, as kernels do: integer products first, then one
//! floating-point operation per block.
//!
//! ```text
//! cargo run -p happy-tensor --example dot_product
//! ```

use happy_tensor::activation::{RowMut, quantize_row as quantize_activations};
use happy_tensor::{Block, BlockQ4_0, DType, dequantize_to_vec, quantize_row};

const LEN: usize = 128;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let weights: Vec<f32> = (0..LEN).map(|i| (i as f32 * 0.37).sin()).collect();
    let x: Vec<f32> = (0..LEN).map(|i| (i as f32 * 0.11).cos() * 3.0).collect();

    // A file has the weights in this form.
    let mut stored = vec![0; DType::Q4_0.row_bytes(LEN)?];
    quantize_row(DType::Q4_0, &weights, &mut stored)?;
    let blocks = BlockQ4_0::from_bytes(&stored)?;

    // Activations become int8, with one f32 scale per 32 values: `activation_len` says how many the format wants.
    assert_eq!(DType::Q4_0.activation_len(), Some(32));
    let (mut q, mut d, mut sums) = ([0; LEN], [0.0; LEN / 32], [0; LEN / 16]);
    quantize_activations::<32, 2>(&x, &mut RowMut { q: &mut q, d: &mut d, sums: &mut sums })?;

    // The integer sum of a block is exact in any order; only one rounding per block follows.
    let mut product = 0.0f32;
    for ((block, q), d) in blocks.iter().zip(q.as_chunks::<32>().0).zip(d) {
        let sum: i32 = block.quants().iter().zip(q).map(|(w, q)| i32::from(*w) * i32::from(*q)).sum();
        product = (sum as f32).mul_add(block.d() * d, product);
    }

    let dot = |a: &[f32]| a.iter().zip(&x).map(|(a, b)| a * b).sum::<f32>();
    println!("quantized weights and activations   {product}");
    println!("quantized weights only              {}", dot(&dequantize_to_vec(DType::Q4_0, &stored)?));
    println!("neither                             {}", dot(&weights));
    Ok(())
}
