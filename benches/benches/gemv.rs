//! One token times a weight matrix, each kernel of the list that this machine can run, in weight bytes per second.
//!
//! The matrices of a benchmark together exceed the caches, as those of a model do: each call takes the next one.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use happy_kernels::kernels::all_linear;
use happy_kernels::linear::{ActKind, Acts};
use happy_tensor::DType;

/// Bytes of all matrices of a benchmark.
const WEIGHTS: usize = 128 << 20;

/// Rows and columns, as in a model of half a billion weights.
const N: usize = 1536;
const K: usize = 1536;

fn gemv(c: &mut Criterion) {
    // No byte has bits 2 and 6 set, so every f16, bf16 and f32 in them is finite.
    let mut state = 1u64;
    let mut weights: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8 & 0xBB
    })
    .take(WEIGHTS)
    .collect();
    let mut group = c.benchmark_group("gemv");
    for kernel in all_linear() {
        if let Err(e) = kernel.isa.available() {
            println!("{}: skipped: {e}", kernel.gemv_name);
            continue;
        }
        let kind = ActKind::of(kernel.dtype);
        let q: Vec<i8> = (0..K).map(|i| (i * 7919 % 255) as i8).map(|q| q.max(-127)).collect();
        let sums: Vec<i16> = q.chunks_exact(16).map(|q| q.iter().map(|&q| i16::from(q)).sum()).collect();
        let (x, d) = (vec![0.5; K], vec![0.01; K / kind.unit()]);
        let acts = match kind {
            ActKind::F32 => Acts { kind, rows: 1, k: K, x: &x, q: &[], d: &[], sums: &[] },
            _ => Acts { kind, rows: 1, k: K, x: &[], q: &q, d: &d, sums: &sums },
        };
        let bytes = kernel.dtype.row_bytes(K).expect("whole blocks") * N;
        // Scales of 8 bits as models have them: products with subnormal numbers take a processor many times as long.
        let scales = if kernel.dtype == DType::NVFP4 { 4 } else { 1 };
        if matches!(kernel.dtype, DType::MXFP4 | DType::NVFP4) {
            for block in weights.chunks_exact_mut(kernel.dtype.block_bytes()) {
                block[..scales].fill(if kernel.dtype == DType::MXFP4 { 120 } else { 0x38 });
            }
        }
        let mut matrices = weights.chunks_exact(bytes).cycle();
        let mut y = vec![0.0; N];
        group.throughput(Throughput::Bytes(bytes as u64));
        group.bench_function(kernel.gemv_name, |b| {
            b.iter(|| matrices.next().map(|w| (kernel.gemv)(w, acts, &mut y)));
        });
    }
    group.finish();
}

criterion_group!(benches, gemv);
criterion_main!(benches);
