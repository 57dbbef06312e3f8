//! Many tokens times a weight matrix, each kernel of the list that this machine can run, in multiply-adds per second.
//!
//! 28 tokens are a short prompt, where unpacking the weights counts; 256 are a chunk of a long one.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use happy_kernels::kernels::all_linear;
use happy_kernels::linear::{ActKind, Acts, Panel};
use happy_kernels::{Columns, MatMut};

/// Rows and columns of the matrix.
const N: usize = 576;
const K: usize = 1536;

fn gemm(c: &mut Criterion) {
    let mut group = c.benchmark_group("gemm");
    for kernel in all_linear() {
        if let Err(e) = kernel.isa.available() {
            println!("{}: skipped: {e}", kernel.gemm_name);
            continue;
        }
        let kind = ActKind::of(kernel.dtype);
        let row_bytes = kernel.dtype.row_bytes(K).expect("whole blocks");
        // No byte has bits 2 and 6 set, so every f16, bf16 and f32 in them is finite.
        let w: Vec<u8> = (0..row_bytes * N).map(|i| ((i * 2_654_435_761) >> 7) as u8 & 0xBB).collect();
        let mut panel = Panel::new((kernel.panel_bytes)(K), 0).expect("memory for a panel");
        for tokens in [28, 256] {
            let q: Vec<i8> = (0..tokens * K).map(|i| (i * 7919 % 255) as i8).map(|q| q.max(-127)).collect();
            let sums: Vec<i16> = q.chunks_exact(16).map(|q| q.iter().map(|&q| i16::from(q)).sum()).collect();
            let (x, d) = (vec![0.5; tokens * K], vec![0.01; tokens * K / kind.unit()]);
            let acts = match kind {
                ActKind::F32 => Acts { kind, rows: tokens, k: K, x: &x, q: &[], d: &[], sums: &[] },
                _ => Acts { kind, rows: tokens, k: K, x: &[], q: &q, d: &d, sums: &sums },
            };
            let mut y = vec![0.0; tokens * N];
            group.throughput(Throughput::Elements((tokens * N * K) as u64));
            group.bench_function(format!("{}/{tokens}", kernel.gemm_name), |b| {
                b.iter(|| {
                    let mut y = MatMut::new(&mut y, tokens, N);
                    for first in (0..N).step_by(kernel.panel_rows) {
                        let cols = first..N.min(first + kernel.panel_rows);
                        let mut y = Columns::of(y.columns_mut(cols));
                        (kernel.gemm)(&w[first * row_bytes..], acts, &mut y, &mut panel);
                    }
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, gemm);
criterion_main!(benches);
