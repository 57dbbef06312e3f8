//! Multiplies a small matrix again and again by one kernel, for tools that count instructions:
//! `repeat ISA FORMAT TOKENS TIMES`. What 2 N times take more than N times is N multiplications, without the program's start.

use happy_kernels::kernels::all_linear;
use happy_kernels::linear::{ActKind, Acts, Panel};
use happy_kernels::{Columns, Isa, MatMut};
use happy_tensor::DType;

/// Rows of the matrix: whole panels of every kernel.
const ROWS: usize = 64;
/// Weights in a row.
const K: usize = 2048;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [isa, format, tokens, times] = &arguments[..] else {
        return Err("expected an instruction set, a format, a number of tokens and how many times".into());
    };
    let (isa, dtype): (Isa, DType) = (isa.parse()?, format.parse()?);
    let (tokens, times): (usize, usize) = (tokens.parse()?, times.parse()?);
    isa.available()?;
    let kernel = all_linear().find(|kernel| kernel.isa == isa && kernel.dtype == dtype);
    let kernel = kernel.ok_or("this build has no such kernel")?;
    // No byte has bits 2 and 6 set, so every float in a block is finite.
    let w: Vec<u8> = (0..dtype.row_bytes(K)? * ROWS).map(|i| ((i * 0x9E37_79B1) >> 7) as u8 & 0xBB).collect();
    let kind = ActKind::of(dtype);
    let n = tokens * K;
    let q: Vec<i8> = (0..n).map(|i| (i * 37 % 255) as i32 - 127).map(|q| q as i8).collect();
    let sums: Vec<i16> = q.chunks(16).map(|q| q.iter().map(|&q| i16::from(q)).sum()).collect();
    let (x, d) = (vec![0.5; n], vec![0.01; n / kind.unit()]);
    let acts = match kind {
        ActKind::F32 => Acts { kind, rows: tokens, k: K, x: &x, q: &[], d: &[], sums: &[] },
        _ => Acts { kind, rows: tokens, k: K, x: &[], q: &q, d: &d, sums: &sums },
    };
    let mut y = vec![0.0; tokens * ROWS];
    let mut panel = Panel::new((kernel.panel_bytes)(K), 0)?;
    for _ in 0..times {
        if tokens == 1 {
            (kernel.gemv)(&w, acts, &mut y);
            continue;
        }
        let mut out = MatMut::new(&mut y, tokens, ROWS);
        for first in (0..ROWS).step_by(kernel.panel_rows) {
            let mut columns = Columns::of(out.columns_mut(first..first + kernel.panel_rows));
            (kernel.gemm)(&w[first * dtype.row_bytes(K)?..], acts, &mut columns, &mut panel);
        }
    }
    println!("{kernel:?}, {ROWS} x {K}, {tokens} tokens, {times} times: {}", y.iter().sum::<f32>());
    Ok(())
}
