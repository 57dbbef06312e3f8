//! Lists the kernels that this machine uses, and multiplies the blocks of a file as if they were Q4_0 weights:
//! `kernels [FILE]`.

use happy_kernels::linear::{ActBuf, ActKinds, Linear, Panels, WeightMatrix, forward};
use happy_kernels::{Ctx, Kernels, Mat, MatMut, Pool};
use happy_tensor::{Bytes, DType};
use std::time::Instant;

/// Weights in a row.
const N_IN: usize = 1024;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let kernels = Kernels::detect()?;
    println!("instruction set: {}", kernels.isa);
    for dtype in DType::ALL {
        let kernel = kernels.linear(dtype);
        println!("{:5} {}  {}", dtype.name(), kernel.gemv_name, kernel.gemm_name);
    }
    let Some(path) = std::env::args().nth(1) else { return Ok(()) };
    let mut bytes = std::fs::read(path)?;
    // Scales are f16: without this bit they are finite, whatever the file holds.
    bytes.chunks_exact_mut(18).for_each(|block| block[1] &= 0xBF);
    let n_out = bytes.len() / DType::Q4_0.row_bytes(N_IN)?;
    bytes.truncate(n_out * DType::Q4_0.row_bytes(N_IN)?);
    let weights = WeightMatrix { dtype: DType::Q4_0, n_out, n_in: N_IN, bytes: Bytes::from(bytes) };
    let linear = Linear::new(weights, &kernels)?;
    let pool = Pool::new(std::thread::available_parallelism().map_or(1, usize::from))?;
    let cx = Ctx::new(&pool, &kernels);
    let kinds = ActKinds::default().with(linear.act_kind());
    let mut acts = ActBuf::new(1, kinds.up_to(N_IN))?;
    if !acts.set(cx, Mat::new(&[1.0; N_IN], 1, N_IN), kinds) {
        return Err("the activations are not finite".into());
    }
    let panels = Panels::new(pool.threads(), 1, linear.panel_bytes())?;
    let mut y = vec![0.0; n_out];
    for _ in 0..5 {
        let started = Instant::now();
        forward(cx, &acts, &mut [(&linear, MatMut::new(&mut y, 1, n_out))], &panels);
        println!("{:.1} GB/s", linear.weight_bytes() as f64 / started.elapsed().as_secs_f64() / 1e9);
    }
    Ok(())
}
