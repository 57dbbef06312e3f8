//! `happy cpu --measure`: the limits of one core of this machine, and each kernel's share of them.
//!
//! ```text
//! read loop    adds up the words of memory that exceeds the caches: the limit of one token
//! fma loop     fused multiply-adds on registers: the limit of float matrices and of attention
//! one token    GB of weights a second of matrices that exceed the caches, and the share of the read loop
//! many tokens  multiply-adds a second, and how many times as many as the fma loop's: dot products of bytes do more at once
//! ```

use crate::error::{CliError, CliResult};
use happy_kernels::linear::{ActKind, Acts, LinearKernel, Panel};
use happy_kernels::ops::FMAS;
use happy_kernels::{Columns, Kernels, MatMut};
use happy_tensor::DType;
use std::hint::black_box;
use std::io::Write;
use std::time::{Duration, Instant};

/// Bytes of all weights: more than caches can hold.
const WEIGHTS: usize = 128 << 20;
/// Rows and columns of a matrix.
const N: usize = 1536;
/// Bytes of one turn of the read loop: about what a matrix has.
const PART: usize = 2 << 20;
/// Number of tokens of a measurement with many tokens.
const TOKENS: usize = 64;
/// How long each measurement is repeated.
const TIME: Duration = Duration::from_millis(50);
/// Number of sums of the read loop that are independent of one another.
const SUMS: usize = 32;

/// Measures and prints.
pub(super) fn run(kernels: &Kernels) -> CliResult {
    let mut weights = Vec::new();
    weights
        .try_reserve_exact(WEIGHTS)
        .map_err(|_| CliError::new(format!("cannot reserve {WEIGHTS} bytes of weights to measure with")))?;
    // No byte has bits 2 and 6 set, so every float in them is finite.
    weights.extend((0..WEIGHTS).map(|i| (i.wrapping_mul(0x9E37_79B1) >> 7) as u8 & 0xBB));
    let mut out = std::io::stdout().lock();
    let mut parts = weights.chunks_exact(PART).cycle();
    let read = PART as f64 / best(|| black_box(parts.next().map(read)));
    let turns = 1 << 16;
    let fma = (turns * FMAS) as f64 / best(|| black_box((kernels.ops.fma_loop)(turns)));
    writeln!(out, "one core, {}", kernels.isa)?;
    writeln!(out, "read loop         {:.1} GB/s", read / 1e9)?;
    writeln!(out, "fma loop          {:.1} G multiply-adds/s", fma / 1e9)?;
    writeln!(
        out,
        "{:<17} {:>9} {:>10} {:>13} {:>10}",
        "format",
        "1: GB/s",
        "of reading",
        format!("{TOKENS}: G/s"),
        "fma loops"
    )?;
    for dtype in DType::ALL {
        let kernel = kernels.linear(dtype);
        let (one, many) = measured(kernel, &mut weights).map_err(CliError::new)?;
        writeln!(
            out,
            "{:<17} {:>9.1} {:>9.0}% {:>13.1} {:>10.2}",
            dtype.name(),
            one / 1e9,
            100.0 * one / read,
            many / 1e9,
            many / fma
        )?;
    }
    Ok(())
}

/// Returns bytes of weights per second for one token, and multiply-adds per second for many tokens.
fn measured(kernel: &LinearKernel, weights: &mut [u8]) -> Result<(f64, f64), String> {
    let dtype = kernel.dtype;
    // 8-bit scales as in real models: products with subnormal numbers take a processor many times as long.
    let fill = match dtype {
        DType::MXFP4 => Some((1, 120)),
        DType::NVFP4 => Some((4, 0x38)),
        _ => None,
    };
    if let Some((n, scale)) = fill {
        weights.chunks_exact_mut(dtype.block_bytes()).for_each(|block| block[..n].fill(scale));
    }
    let row_bytes = dtype.row_bytes(N).map_err(|e| e.to_string())?;
    let kind = ActKind::of(dtype);
    let n = TOKENS * N;
    let q: Vec<i8> = (0..n).map(|i| ((i * 37 % 255) as i32 - 127) as i8).collect();
    let sums: Vec<i16> = q.chunks_exact(16).map(|q| q.iter().map(|&q| i16::from(q)).sum()).collect();
    let (x, d) = (vec![0.5; n], vec![0.01; n / kind.unit()]);
    let acts = match kind {
        ActKind::F32 => Acts { kind, rows: TOKENS, k: N, x: &x, q: &[], d: &[], sums: &[] },
        _ => Acts { kind, rows: TOKENS, k: N, x: &[], q: &q, d: &d, sums: &sums },
    };
    let mut y = vec![0.0; n];
    let mut matrices = weights.chunks_exact(row_bytes * N).cycle();
    let mut next = || matrices.next().unwrap_or_default();
    let one = best(|| (kernel.gemv)(next(), acts.rows_range(0, 1), &mut y[..N]));
    let mut panel = Panel::new((kernel.panel_bytes)(N), 0).map_err(|e| e.to_string())?;
    let many = best(|| {
        let w = next();
        let mut out = MatMut::new(&mut y, TOKENS, N);
        for first in (0..N).step_by(kernel.panel_rows) {
            let mut columns = Columns::of(out.columns_mut(first..N.min(first + kernel.panel_rows)));
            (kernel.gemm)(&w[first * row_bytes..], acts, &mut columns, &mut panel);
        }
    });
    Ok(((row_bytes * N) as f64 / one, (N * N * TOKENS) as f64 / many))
}

/// Returns the shortest time of `f` in seconds.
fn best<T>(mut f: impl FnMut() -> T) -> f64 {
    let started = Instant::now();
    let mut best = Duration::MAX;
    while started.elapsed() < TIME || best == Duration::MAX {
        let start = Instant::now();
        f();
        best = best.min(start.elapsed());
    }
    best.as_secs_f64().max(1e-9)
}

fn read(bytes: &[u8]) -> u64 {
    let mut sums = [0u64; SUMS];
    let (words, _) = bytes.as_chunks::<8>();
    for words in words.as_chunks::<SUMS>().0 {
        for (sum, word) in sums.iter_mut().zip(words) {
            *sum = sum.wrapping_add(u64::from_le_bytes(*word));
        }
    }
    sums.into_iter().fold(0, u64::wrapping_add)
}
