//! Attention over quantized keys and values: against the rule in plain f64, and the same bits for every instruction
//! set, number of threads and split of the rows.

mod common;

use common::{Rng, accelerated, bits, required_is_there};
use happy_kernels::linear::ActKind;
use happy_kernels::ops::{
    AttnPlan, AttnRow, AttnScratch, AttnSpec, KV_PAGE, KvBlock, KvData, KvLayer, Window, attention,
};
use happy_kernels::{Ctx, Kernels, Mat, MatMut, Pool};
use happy_tensor::f16;

const N: usize = KvBlock::CHANNELS;

#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    n_heads: usize,
    n_kv_heads: usize,
    dk: usize,
    dv: usize,
    past: usize,
    rows: usize,
    window: Option<u32>,
    sinks: bool,
}

const PLAIN: Case = Case {
    name: "plain",
    n_heads: 6,
    n_kv_heads: 2,
    dk: 64,
    dv: 64,
    past: 0,
    rows: 70,
    window: None,
    sinks: false,
};

const CASES: [Case; 9] = [
    PLAIN,
    Case { name: "one row, no past", rows: 1, ..PLAIN },
    Case { name: "one row, past ends a tile", past: 63, rows: 1, ..PLAIN },
    Case { name: "one block, other values", dk: 32, dv: 96, past: 65, rows: 9, ..PLAIN },
    Case { name: "three blocks", dk: 96, dv: 32, past: 30, rows: 9, ..PLAIN },
    Case { name: "head of 256, one head a key", dk: 256, dv: 256, n_heads: 2, past: 70, rows: 3, ..PLAIN },
    Case { name: "long past", past: 1100, rows: 3, dk: 32, dv: 32, sinks: true, ..PLAIN },
    Case {
        name: "many heads a key",
        n_heads: 13,
        n_kv_heads: 1,
        dk: 32,
        dv: 32,
        past: 600,
        rows: 1,
        ..PLAIN
    },
    Case { name: "window", past: 100, rows: 66, window: Some(40), dk: 32, dv: 32, ..PLAIN },
];

/// Butterflies of ascending strides, and one multiplication.
fn rotated(x: &[f32]) -> Vec<f32> {
    let n = x.len() & x.len().wrapping_neg();
    let mut x = x.to_vec();
    for piece in x.chunks_exact_mut(n) {
        for stage in 0..n.trailing_zeros() {
            let old = piece.to_vec();
            for (i, x) in piece.iter_mut().enumerate() {
                let (low, high) = (old[i & !(1 << stage)], old[i | 1 << stage]);
                *x = if i >> stage & 1 == 0 { low + high } else { low - high };
            }
        }
        piece.iter_mut().for_each(|x| *x *= (1.0 / (n as f64).sqrt()) as f32);
    }
    x
}

/// The product with the matrix of signs `(-1)^(ones of i & j)`, in f64.
fn transformed(x: &[f64]) -> Vec<f64> {
    let n = x.len() & x.len().wrapping_neg();
    let at = |piece: &[f64], i: usize| -> f64 {
        let sign = |j: usize| if (i & j).count_ones().is_multiple_of(2) { 1.0 } else { -1.0 };
        piece.iter().enumerate().map(|(j, x)| sign(j) * x).sum::<f64>() / (n as f64).sqrt()
    };
    x.chunks_exact(n).flat_map(|piece| (0..n).map(|i| at(piece, i)).collect::<Vec<_>>()).collect()
}

fn values(blocks: &[KvBlock]) -> Vec<f64> {
    let value = |block: &KvBlock| {
        let d = f64::from(f16::from_bits(block.d).to_f32());
        block.q.map(|q| d * f64::from(q))
    };
    blocks.iter().flat_map(value).collect()
}

fn quantized(kernels: &Kernels, row: &[f32]) -> Vec<KvBlock> {
    let mut blocks = vec![KvBlock::default(); row.len() / N];
    (kernels.ops.to_q8)(&mut row.to_vec(), &mut blocks);
    blocks
}

/// A row with a channel that is much larger than the others, as keys have.
fn row(rng: &mut Rng, n: usize) -> Vec<f32> {
    let large = rng.below(n);
    (0..n).map(|i| rng.normal() * if i == large { 20.0 } else { 1.0 }).collect()
}

struct Cache {
    blocks: Vec<KvBlock>,
    tables: [Vec<u32>; 1],
    page_stride: usize,
    k_offset: usize,
    v_offset: usize,
}

impl Cache {
    /// Pages in descending order; what no row may use is not a number.
    fn new(case: &Case, rng: &mut Rng) -> Self {
        let scalar = Kernels::scalar();
        let positions = case.past + case.rows;
        let n_pages = positions.div_ceil(KV_PAGE);
        let (k, v) = (case.n_kv_heads * KV_PAGE * case.dk, case.n_kv_heads * KV_PAGE * case.dv);
        let (k_offset, v_offset, page_stride) = (N, N + k, 3 * N + k + v);
        let garbage = KvBlock { d: 0x7e00, q: [-128; N] };
        let mut blocks = vec![garbage; n_pages * page_stride / N];
        let tables = [(0..n_pages as u32).rev().collect::<Vec<_>>()];
        for p in 0..positions {
            let page = tables[0][p / KV_PAGE] as usize * page_stride;
            for head in 0..case.n_kv_heads {
                for (offset, dim) in [(k_offset, case.dk), (v_offset, case.dv)] {
                    let at = (page + offset + (head * KV_PAGE + p % KV_PAGE) * dim) / N;
                    blocks[at..at + dim / N].copy_from_slice(&quantized(&scalar, &row(rng, dim)));
                    // The rule never makes this value, but a file may hold it.
                    blocks[at].q[p % N] = if p.is_multiple_of(5) { -128 } else { blocks[at].q[p % N] };
                }
            }
        }
        Cache { blocks, tables, page_stride, k_offset, v_offset }
    }

    fn layer(&self, case: &Case) -> KvLayer<'_> {
        KvLayer {
            data: KvData::Q8_0(&self.blocks),
            tables: &self.tables,
            page_stride: self.page_stride,
            k_offset: self.k_offset,
            v_offset: self.v_offset,
            n_kv_heads: case.n_kv_heads,
            head_dim_k: case.dk,
            head_dim_v: case.dv,
        }
    }

    fn row(&self, offset: usize, dim: usize, head: usize, p: usize) -> Vec<f64> {
        let page = self.tables[0][p / KV_PAGE] as usize * self.page_stride;
        let at = (page + offset + (head * KV_PAGE + p % KV_PAGE) * dim) / N;
        values(&self.blocks[at..at + dim / N])
    }
}

/// The rule of docs/numerics.md with sums in f64.
fn truth(case: &Case, cache: &Cache, q: &[f32], sinks: Option<&[f32]>) -> Vec<f64> {
    let scalar = Kernels::scalar();
    let mut out = Vec::new();
    for (i, q) in q.chunks_exact(case.dk).enumerate() {
        let (position, head) = (case.past + i / case.n_heads, i % case.n_heads);
        let kv_head = head / (case.n_heads / case.n_kv_heads);
        let start = case.window.map_or(0, |w| (position + 1).saturating_sub(w as usize));
        let (mut codes, mut d, mut sums) = (vec![0; case.dk], vec![0.0; case.dk / N], vec![0; case.dk / 16]);
        (scalar.ops.quantize)(ActKind::Q8x32, &rotated(q), &mut codes, &mut d, &mut sums);
        let q = codes.iter().enumerate().map(|(c, code)| f64::from(*code) * f64::from(d[c / N]));
        let q: Vec<f64> = q.collect();
        let scale = f64::from(scale(case));
        let scores: Vec<f64> = (start..=position)
            .map(|p| {
                let k = cache.row(cache.k_offset, case.dk, kv_head, p);
                scale * q.iter().zip(k).map(|(q, k)| q * k).sum::<f64>()
            })
            .collect();
        let sink = sinks.map(|s| f64::from(s[head]));
        let max = scores.iter().copied().chain(sink).fold(f64::MIN, f64::max);
        let total: f64 = scores.iter().copied().chain(sink).map(|s| libm::exp(s - max)).sum();
        let mut sum = vec![0.0; case.dv];
        for (s, p) in scores.iter().zip(start..) {
            let weight = libm::exp(s - max) / total;
            let v = cache.row(cache.v_offset, case.dv, kv_head, p);
            sum.iter_mut().zip(v).for_each(|(sum, v)| *sum += weight * v);
        }
        out.extend(transformed(&sum));
    }
    out
}

fn scale(case: &Case) -> f32 {
    0.25 / (case.dk as f32).sqrt()
}

/// Attention in batches of `batch` rows.
fn run(case: &Case, cache: &Cache, q: &[f32], sinks: Option<&[f32]>, cx: &Ctx<'_>, batch: usize) -> Vec<f32> {
    let window = case.window.map(Window::Last);
    let spec =
        AttnSpec { n_heads: case.n_heads, scale: scale(case), soft_cap: None, window, bias: None, sinks };
    let plan = AttnPlan::new(cx.pool.threads(), batch, case.past + case.rows);
    let plan = plan.layer(case.n_heads, case.n_kv_heads, case.dk, case.dv);
    let mut scratch = AttnScratch::new(&plan).expect("memory");
    let rows: Vec<AttnRow> = (0..case.rows).map(|r| AttnRow::causal((case.past + r) as u32, 0)).collect();
    let (q_cols, out_cols) = (case.n_heads * case.dk, case.n_heads * case.dv);
    let mut out = vec![f32::NAN; case.rows * out_cols];
    let q = Mat::new(q, case.rows, q_cols);
    let mut mat = MatMut::new(&mut out, case.rows, out_cols);
    for first in (0..case.rows).step_by(batch) {
        let range = first..(first + batch).min(case.rows);
        let (q, out) = (q.rows_range(range.clone()), mat.rows_range_mut(range.clone()));
        attention(cx, q, &rows[range], &cache.layer(case), &spec, &mut scratch, out);
    }
    out
}

#[test]
fn quantized_attention_is_right_and_keeps_its_bits() {
    required_is_there();
    let pools: Vec<Pool> = [1, 2, 3].into_iter().map(|n| Pool::new(n).expect("threads")).collect();
    let scalar = Kernels::scalar();
    let isas = accelerated();
    let mut rng = Rng::new(14);
    let mut failed = Vec::new();
    for case in &CASES {
        let cache = Cache::new(case, &mut rng);
        let q: Vec<f32> = (0..case.rows * case.n_heads).flat_map(|_| row(&mut rng, case.dk)).collect();
        let numbers: Vec<f32> = (0..case.n_heads).map(|_| rng.normal()).collect();
        let sinks = case.sinks.then_some(numbers.as_slice());
        let reference = run(case, &cache, &q, sinks, &Ctx::new(&pools[0], &scalar), case.rows);
        let truth = truth(case, &cache, &q, sinks);
        let error = reference.iter().zip(&truth).fold(0.0f64, |worst, (y, t)| {
            let e = (f64::from(*y) - t).abs();
            if e.is_nan() { f64::INFINITY } else { worst.max(e) }
        });
        println!("{}: error {error:.2e}", case.name);
        // Values are up to 60, and weights of scores up to 100 are less precise.
        if error > 2e-4 {
            failed.push(format!("{}: error {error:e}", case.name));
        }
        for kernels in [&scalar].into_iter().chain(&isas) {
            for (pool, batch) in [(0, case.rows), (1, 1), (2, 7)] {
                let y = run(case, &cache, &q, sinks, &Ctx::new(&pools[pool], kernels), batch);
                if bits(&y) != bits(&reference) {
                    let what = format!("{}, {} threads, batches of {batch}", kernels.isa, pool + 1);
                    failed.push(format!("{}: {what} differs", case.name));
                }
            }
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn rows_are_rotated_and_quantized_by_the_rule() {
    let (scalar, isas) = (Kernels::scalar(), accelerated());
    let mut rng = Rng::new(15);
    for n in [32, 64, 96, 128, 160, 192, 256, 512] {
        for small in [1.0, 1e-3, 0.0] {
            let x: Vec<f32> = row(&mut rng, n).iter().map(|x| x * small).collect();
            let blocks = quantized(&scalar, &x);
            let wide: Vec<f64> = x.iter().map(|x| f64::from(*x)).collect();
            let expected = transformed(&wide);
            for ((block, found), expected) in
                blocks.iter().zip(values(&blocks).chunks_exact(N)).zip(expected.chunks_exact(N))
            {
                let amax = expected.iter().fold(0.0f64, |most, x| most.max(x.abs()));
                let largest = block.q.iter().map(|q| q.unsigned_abs()).max();
                assert!(largest == Some(if amax == 0.0 { 0 } else { 127 }));
                // Half a step, the rounding of d (an f16, which may be subnormal), and that of the transform.
                let rounding = (amax / 2048.0).max(127.0 * 0.5f64.powi(25));
                let most = amax / 127.0 * 0.5 + rounding + amax * 1e-5;
                assert!(found.iter().zip(expected).all(|(y, x)| (y - x).abs() <= most), "{n} channels");
            }
            let same = rotated(&x);
            let (mut q, mut d, mut sums) = (vec![0; n], vec![0.0; n / N], vec![0; n / 16]);
            (scalar.ops.quantize)(ActKind::Q8x32, &same, &mut q, &mut d, &mut sums);
            for ((block, q), d) in blocks.iter().zip(q.chunks_exact(N)).zip(d) {
                assert!(block.q == *q && block.d == f16::from_f32(d).to_bits(), "{n} channels");
            }
            assert!(isas.iter().all(|kernels| quantized(kernels, &x) == blocks), "{n} channels");
        }
        for wrong in [f32::NAN, f32::INFINITY] {
            let mut x = row(&mut rng, n);
            x[n - 1] = wrong;
            for kernels in [&scalar].into_iter().chain(&isas) {
                let last = quantized(kernels, &x).pop().unwrap();
                assert!(f16::from_bits(last.d).to_f32().is_nan(), "{n} channels");
            }
        }
    }
    let block = KvBlock { d: 0x3c01, q: std::array::from_fn(|i| (i * 9) as u8 as i8) };
    assert_eq!(KvBlock::from_le_bytes(block.to_le_bytes()), block);
}

/// Without the rotation, a large channel takes the precision of the 31 others in its block.
#[test]
fn the_rotation_keeps_scores_more_precise() {
    let scalar = Kernels::scalar();
    let mut rng = Rng::new(16);
    let (mut plain, mut turned) = (0.0, 0.0);
    for _ in 0..200 {
        let (k, q) = (row(&mut rng, 128), row(&mut rng, 128));
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let wide = |x: &[f32]| x.iter().map(|x| f64::from(*x)).collect::<Vec<_>>();
        let exact = dot(&wide(&k), &wide(&q));
        let both = [&k, &q].map(|x| values(&quantized(&scalar, x)));
        turned += (dot(&both[0], &both[1]) - exact).powi(2);
        let both = [&k, &q].map(|x| {
            let (mut codes, mut d, mut sums) = (vec![0; 128], vec![0.0; 4], vec![0; 8]);
            (scalar.ops.quantize)(ActKind::Q8x32, x, &mut codes, &mut d, &mut sums);
            let value = |(c, code): (usize, &i8)| f64::from(*code) * f64::from(d[c / N]);
            codes.iter().enumerate().map(value).collect::<Vec<_>>()
        });
        plain += (dot(&both[0], &both[1]) - exact).powi(2);
    }
    println!("squared error: {turned:.3} rotated, {plain:.3} as it is");
    assert!(turned < plain / 2.0, "{turned} is not much less than {plain}");
}
