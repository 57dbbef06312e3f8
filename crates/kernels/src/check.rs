//! Comparing the kernels of an instruction set with the reference on the machine at hand.
//!
//! The test suites compare everything, but only on the machines at hand, and they take minutes. This check takes about
//! a millisecond, so it runs on every machine: in `happy cpu --check`, and before AVX-VNNI or AVX-512 is used, which few
//! of the machines that run the suites have.

use crate::linear::{ActKind, Acts, LinearKernel, Panel};
use crate::ops::{
    Activation, AttnPlan, AttnRow, AttnScratch, AttnSpec, KV_PAGE, KvBlock, KvData, KvLayer, Ops,
    RopePairing, attention,
};
use crate::{Columns, Ctx, Kernels, Mat, MatMut, Pool};
use std::collections::TryReserveError;

/// The first difference between a kernel and scalar code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} does not give the bits of scalar code on this machine")]
pub struct Mismatch {
    /// The name of the kernel or operation.
    pub what: String,
}

/// The error of [`check`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// A result differs from that of scalar code.
    #[error(transparent)]
    Mismatch(#[from] Mismatch),
    /// The memory for inputs and results, about 200 KiB, cannot be reserved.
    #[error("cannot reserve the memory to check an instruction set")]
    Memory,
}

impl From<TryReserveError> for CheckError {
    fn from(_: TryReserveError) -> Self {
        CheckError::Memory
    }
}

/// Collects the values of an iterator that yields at most `n`.
fn list<T>(n: usize, values: impl IntoIterator<Item = T>) -> Result<Vec<T>, TryReserveError> {
    let mut v = Vec::new();
    v.try_reserve_exact(n)?;
    v.extend(values.into_iter().take(n));
    Ok(v)
}

/// Inputs of a kernel: two blocks of 256.
const K: usize = 512;
/// Weight rows: whole groups of every kernel, and a remainder.
const ROWS: usize = 35;
/// Tokens of the kernels for a few.
const FEW: usize = 3;
/// Tokens: a whole tile of every gemm, and a remainder.
const TOKENS: usize = 7;

/// Compares all kernels and operations of `kernels` with scalar code, bit for bit.
///
/// # Errors
/// [`CheckError::Mismatch`] for the first kernel or operation that differs, or [`CheckError::Memory`] if memory cannot
/// be reserved.
pub fn check(kernels: &Kernels) -> Result<(), CheckError> {
    let scalar = Kernels::scalar();
    for (kernel, reference) in kernels.linear.iter().zip(&scalar.linear) {
        let few = kernel.few.map_or(kernel.gemm_name, |few| few.name);
        for (name, tokens) in [(kernel.gemv_name, 1), (few, FEW), (kernel.gemm_name, TOKENS)] {
            same(name, &linear(kernel, tokens)?, &linear(reference, tokens)?)?;
        }
    }
    same("an operation", &operations(&kernels.ops)?, &operations(&scalar.ops)?)?;
    for kind in [Kind::F32, Kind::F16, Kind::Q8_0] {
        same("attention", &attend(kernels, kind)?, &attend(&scalar, kind)?)?;
    }
    Ok(())
}

fn same(what: &str, found: &[f32], expected: &[f32]) -> Result<(), Mismatch> {
    let equal =
        found.len() == expected.len() && found.iter().zip(expected).all(|(a, b)| a.to_bits() == b.to_bits());
    if equal { Ok(()) } else { Err(Mismatch { what: what.to_owned() }) }
}

/// Returns numbers in [-1, 1) that look random.
fn numbers(n: usize) -> impl Iterator<Item = f32> {
    (0..n as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 8) as f32 / (1 << 23) as f32 - 1.0)
}

fn linear(kernel: &LinearKernel, tokens: usize) -> Result<Vec<f32>, CheckError> {
    let row_bytes = kernel.dtype.row_bytes(K).unwrap_or(0);
    // No byte has bits 2 and 6 set, so every float in a block is finite.
    let bytes = (0..).map(|i: u32| (i.wrapping_mul(2_654_435_761) >> 7) as u8 & 0xBB);
    let w = list(row_bytes * ROWS, bytes)?;
    let kind = ActKind::of(kernel.dtype);
    let n = tokens * K;
    let x = list(n, numbers(n))?;
    let q = list(n, x.iter().map(|x| (x * 127.0) as i8))?;
    let sums = list(n / 16, q.chunks_exact(16).map(|q| q.iter().map(|&q| i16::from(q)).sum()))?;
    let d = list(n / kind.unit(), numbers(n / kind.unit()).map(f32::abs))?;
    let acts = match kind {
        ActKind::F32 => Acts { kind, rows: tokens, k: K, x: &x, q: &[], d: &[], sums: &[] },
        _ => Acts { kind, rows: tokens, k: K, x: &[], q: &q, d: &d, sums: &sums },
    };
    let mut y = list(tokens * ROWS, std::iter::repeat(0.0))?;
    if tokens == 1 {
        (kernel.gemv)(&w, acts, &mut y);
        return Ok(y);
    }
    let mut panel = Panel::new((kernel.panel_bytes)(K), 0)?;
    let mut out = MatMut::new(&mut y, tokens, ROWS);
    if let Some(few) = kernel.few.filter(|_| tokens == FEW) {
        (few.multiply)(&w, acts, &mut Columns::of(out));
        return Ok(y);
    }
    for first in (0..ROWS).step_by(kernel.panel_rows) {
        let columns = first..ROWS.min(first + kernel.panel_rows);
        let mut columns = Columns::of(out.columns_mut(columns));
        (kernel.gemm)(&w[first * row_bytes..], acts, &mut columns, &mut panel);
    }
    Ok(y)
}

/// Returns the results of all operations, one after the other.
fn operations(ops: &Ops) -> Result<Vec<f32>, CheckError> {
    // Whole vectors of every instruction set, and a remainder.
    const N: usize = 3 * 64 + 13;
    /// Number of calls of `run` below.
    const RUNS: usize = 19;
    let (mut x, mut y) = ([0.0; N], [0.0; N]);
    x.iter_mut().zip(numbers(N)).for_each(|(x, number)| *x = 8.0 * number);
    y.iter_mut().zip(numbers(2 * N).skip(N)).for_each(|(y, number)| *y = number);
    let mut results = list(RUNS * N, [])?;
    let mut run = |f: &dyn Fn(&mut [f32])| {
        let mut out = x;
        f(&mut out);
        results.extend_from_slice(&out);
    };
    run(&|out| (ops.rms_norm)(&x, Some(&y), 1e-5, out));
    run(&|out| (ops.layer_norm)(&x, Some(&y), Some(&x), 1e-5, out));
    run(&|out| (ops.softmax)(out));
    run(&|out| (ops.add)(out, &y));
    run(&|out| (ops.mul)(out, &y));
    run(&|out| (ops.add_scaled)(out, &y, 0.3));
    run(&|out| (ops.scale)(out, 0.3));
    run(&|out| (ops.soft_cap)(out, 5.0));
    for activation in [Activation::Silu, Activation::Gelu] {
        run(&|out| (ops.activate)(activation, out));
        run(&|out| (ops.glu)(activation, out, &y));
    }
    for pairing in [RopePairing::Adjacent, RopePairing::Halves] {
        run(&|out| (ops.rope)(&mut out[..2 * 72], 72, &y[..64], pairing));
    }
    run(&|out| {
        let mut half = [0; N];
        (ops.to_f16)(&x, &mut half);
        (ops.from_f16)(&half, out);
    });
    run(&|out| {
        let mut blocks = [KvBlock::default(); 192 / KvBlock::CHANNELS];
        let (row, rest) = out.split_at_mut(192);
        (ops.to_q8)(row, &mut blocks);
        // the rotated row is left in `out`
        let bytes = blocks.iter().flat_map(|block| block.to_le_bytes().map(f32::from));
        row.iter_mut().zip(bytes).for_each(|(x, byte)| *x += byte);
        rest.fill(0.0);
    });
    run(&|out| out[0] = (ops.argmax)(&x).map_or(-1.0, |i| i as f32));
    for kind in [ActKind::Q8x32, ActKind::Q8x256] {
        run(&|out| {
            let mut input = [0.0; 256];
            input.iter_mut().zip(x.iter().chain(&y)).for_each(|(to, from)| *to = *from);
            let (mut q, mut d, mut sums) = ([0; 256], [0.0; 256 / 32], [0; 16]);
            let d = &mut d[..256 / kind.unit()];
            (ops.quantize)(kind, &input, &mut q, d, &mut sums);
            let all = d.iter().copied().chain(q.map(f32::from)).chain(sums.map(f32::from));
            out.iter_mut().zip(all).for_each(|(out, value)| *out += value);
        });
    }
    debug_assert_eq!(results.len(), RUNS * N);
    Ok(results)
}

/// The kinds of a cache.
#[derive(Clone, Copy)]
enum Kind {
    F32,
    F16,
    Q8_0,
}

/// Computes attention of a few rows whose context is longer than a tile, with grouped heads.
fn attend(kernels: &Kernels, kind: Kind) -> Result<Vec<f32>, CheckError> {
    // Half a register is left, and an odd number of blocks.
    const BLOCKS: usize = 3;
    let dim = if let Kind::Q8_0 = kind { BLOCKS * KvBlock::CHANNELS } else { 40 };
    let (heads, kv_heads, past, rows) = (4, 2, 70, 3usize);
    let context = past + rows;
    let n_pages = context.div_ceil(KV_PAGE);
    let tables = [list(n_pages, 0..n_pages as u32)?];
    let stride = 2 * kv_heads * KV_PAGE * dim;
    let n = n_pages * stride;
    let (mut floats, mut halves, mut blocks) = (Vec::new(), Vec::new(), Vec::new());
    match kind {
        Kind::F32 => floats = list(n, numbers(n))?,
        Kind::F16 => {
            floats = list(n, numbers(n))?;
            halves = list(n, std::iter::repeat(0))?;
            (kernels.ops.to_f16)(&floats, &mut halves);
        }
        Kind::Q8_0 => {
            // a row at a time, since an app's memory holds all of this when it loads its first model
            blocks = list(n / KvBlock::CHANNELS, std::iter::repeat(KvBlock::default()))?;
            let (mut row, mut numbers) = ([0.0; BLOCKS * KvBlock::CHANNELS], numbers(n));
            for blocks in blocks.chunks_exact_mut(BLOCKS) {
                row.iter_mut().zip(&mut numbers).for_each(|(x, number)| *x = number);
                (kernels.ops.to_q8)(&mut row, blocks);
            }
        }
    }
    let layer = KvLayer {
        data: match kind {
            Kind::F32 => KvData::F32(&floats),
            Kind::F16 => KvData::F16(&halves),
            Kind::Q8_0 => KvData::Q8_0(&blocks),
        },
        tables: &tables,
        page_stride: stride,
        k_offset: 0,
        v_offset: stride / 2,
        n_kv_heads: kv_heads,
        head_dim_k: dim,
        head_dim_v: dim,
    };
    let spec = AttnSpec { n_heads: heads, scale: 0.2, soft_cap: None, window: None, bias: None, sinks: None };
    let plan = AttnPlan::new(1, rows, context).layer(heads, kv_heads, dim, dim);
    let mut scratch = AttnScratch::new(&plan)?;
    let pool = Pool::new(1).map_err(|_| CheckError::Memory)?;
    let cx = Ctx::new(&pool, kernels);
    let positions = list(rows, (past..context).map(|p| AttnRow::causal(p as u32, 0)))?;
    let q = list(rows * heads * dim, numbers(rows * heads * dim))?;
    let mut out = list(q.len(), std::iter::repeat(0.0))?;
    let result = MatMut::new(&mut out, rows, heads * dim);
    attention(&cx, Mat::new(&q, rows, heads * dim), &positions, &layer, &spec, &mut scratch, result);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Isa;

    #[test]
    fn every_instruction_set_passes_and_a_wrong_kernel_does_not() {
        for isa in Isa::ALL {
            match Kernels::with_isa(isa) {
                Ok(kernels) => assert_eq!(check(&kernels), Ok(())),
                Err(_) => println!("isa: {isa} skipped"),
            }
        }
        let mut wrong = Kernels::scalar();
        wrong.ops.scale = |x, _| x.fill(1.0);
        assert!(check(&wrong).is_err_and(|e| e.to_string().contains("operation")));
        let mut wrong = Kernels::scalar();
        static WRONG: LinearKernel =
            LinearKernel { gemv: |_, _, y| y.fill(1.0), ..crate::arch::scalar::KERNELS.linear[3] };
        wrong.linear[3] = &WRONG;
        assert!(check(&wrong).is_err_and(|e| e.to_string().contains("gemv")));
    }
}
