//! Attention against a plain f64 computation, and the same bits for every instruction set, number of threads and
//! split of the rows.

mod common;

use common::{Rng, accelerated, bits, required_is_there};
use happy_kernels::ops::{
    AttnPlan, AttnRow, AttnScratch, AttnSpec, KV_PAGE, KvData, KvLayer, PositionBias, Window, attention,
};
use happy_kernels::{Ctx, Kernels, Mat, MatMut, Pool};

#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    n_heads: usize,
    n_kv_heads: usize,
    dk: usize,
    dv: usize,
    /// Rows before the batch, rows of the batch.
    past: usize,
    rows: usize,
    window: Option<u32>,
    /// The window is the size of chunks.
    chunks: bool,
    soft_cap: Option<f32>,
    sinks: bool,
    causal: bool,
    bias: Bias,
}

/// The distance's part of the scores.
#[derive(Clone, Copy, PartialEq)]
enum Bias {
    None,
    Slopes,
    /// Values of their own for distances up to 20.
    ByDistance,
}

const MOST: usize = 20;

const PLAIN: Case = Case {
    name: "plain",
    n_heads: 6,
    n_kv_heads: 2,
    dk: 64,
    dv: 64,
    past: 0,
    rows: 70,
    window: None,
    chunks: false,
    soft_cap: None,
    sinks: false,
    causal: true,
    bias: Bias::None,
};

/// For cases of many positions and rows: what they try does not depend on the number of channels, and emulated they take minutes.
const SLIM: Case = Case { n_heads: 2, n_kv_heads: 1, dk: 16, dv: 24, ..PLAIN };

const CASES: [Case; 28] = [
    PLAIN,
    Case { name: "one row, no past", rows: 1, ..PLAIN },
    Case { name: "one row, past ends a tile", past: 63, rows: 1, ..PLAIN },
    Case { name: "one row, past is a tile", past: 64, rows: 1, ..PLAIN },
    Case { name: "long past", past: 1100, rows: 3, ..PLAIN },
    Case {
        name: "long past, one row, many heads a key",
        past: 1500,
        rows: 1,
        n_heads: 7,
        n_kv_heads: 1,
        ..PLAIN
    },
    Case { name: "chunk border in the batch", past: 480, rows: 70, ..SLIM },
    Case { name: "window", past: 100, rows: 90, window: Some(40), ..PLAIN },
    Case { name: "window over chunks", past: 1000, rows: 66, window: Some(600), ..SLIM },
    Case { name: "window of one", past: 5, rows: 20, window: Some(1), ..PLAIN },
    Case { name: "chunks", past: 100, rows: 90, window: Some(40), chunks: true, ..PLAIN },
    Case { name: "chunks of a tile", past: 60, rows: 70, window: Some(64), chunks: true, ..PLAIN },
    Case {
        name: "one row that begins a chunk",
        past: 600,
        rows: 1,
        window: Some(600),
        chunks: true,
        ..PLAIN
    },
    Case { name: "one row that ends a chunk", past: 1199, rows: 1, window: Some(600), chunks: true, ..PLAIN },
    Case { name: "soft cap", past: 30, rows: 40, soft_cap: Some(3.0), ..PLAIN },
    Case { name: "sinks", past: 600, rows: 5, sinks: true, ..PLAIN },
    Case { name: "head of 80, values of 48", dk: 80, dv: 48, past: 64, rows: 33, ..PLAIN },
    Case { name: "odd heads", dk: 72, dv: 40, past: 70, rows: 33, n_heads: 4, n_kv_heads: 4, ..PLAIN },
    Case {
        name: "head of 128, wide group",
        dk: 128,
        dv: 128,
        n_heads: 16,
        n_kv_heads: 1,
        past: 90,
        rows: 9,
        ..PLAIN
    },
    Case { name: "not causal", past: 0, rows: 70, causal: false, ..PLAIN },
    Case { name: "not causal, more than a chunk", past: 0, rows: 530, causal: false, ..SLIM },
    Case { name: "window of 8 around", past: 0, rows: 150, causal: false, window: Some(16), ..PLAIN },
    Case { name: "window of 0 around", past: 0, rows: 70, causal: false, window: Some(1), ..PLAIN },
    Case {
        name: "window around, over chunks",
        past: 0,
        rows: 600,
        causal: false,
        window: Some(1000),
        ..SLIM
    },
    Case { name: "slopes", past: 500, rows: 66, bias: Bias::Slopes, ..SLIM },
    Case { name: "slopes, not causal", past: 0, rows: 129, causal: false, bias: Bias::Slopes, ..PLAIN },
    Case {
        name: "by distance, not causal",
        past: 0,
        rows: 129,
        causal: false,
        bias: Bias::ByDistance,
        ..PLAIN
    },
    Case { name: "by distance", past: 70, rows: 3, bias: Bias::ByDistance, ..PLAIN },
];

/// A cache with the sequence's pages in shuffled order, foreign numbers in everything else.
struct Cache {
    f32s: Vec<f32>,
    f16s: Vec<u16>,
    tables: [Vec<u32>; 1],
    page_stride: usize,
    k_offset: usize,
    v_offset: usize,
}

impl Cache {
    fn new(case: &Case, rng: &mut Rng) -> Self {
        let positions = case.past + case.rows;
        let n_pages = positions.div_ceil(KV_PAGE);
        let (k, v) = (case.n_kv_heads * KV_PAGE * case.dk, case.n_kv_heads * KV_PAGE * case.dv);
        let (k_offset, v_offset, page_stride) = (7, 7 + k, 7 + k + v + 5);
        // what nobody may read as visible is not a number
        let mut f32s = vec![f32::NAN; (n_pages + 1) * page_stride];
        let pages: Vec<u32> = (0..n_pages).map(|i| ((i * 7 + 3) % (n_pages + 1)) as u32).collect();
        let pages = if (n_pages + 1).is_multiple_of(7) { (0..n_pages as u32).rev().collect() } else { pages };
        for p in 0..positions {
            let page = pages[p / KV_PAGE] as usize * page_stride;
            for head in 0..case.n_kv_heads {
                for (offset, dim) in [(k_offset, case.dk), (v_offset, case.dv)] {
                    let at = page + offset + (head * KV_PAGE + p % KV_PAGE) * dim;
                    f32s[at..at + dim].fill_with(|| happy_tensor::f16::from_f32(rng.normal()).to_f32());
                }
            }
        }
        let f16s = f32s.iter().map(|x| happy_tensor::f16::from_f32(*x).to_bits()).collect();
        Cache { f32s, f16s, tables: [pages], page_stride, k_offset, v_offset }
    }

    fn layer(&self, case: &Case, half: bool) -> KvLayer<'_> {
        KvLayer {
            data: if half { KvData::F16(&self.f16s) } else { KvData::F32(&self.f32s) },
            tables: &self.tables,
            page_stride: self.page_stride,
            k_offset: self.k_offset,
            v_offset: self.v_offset,
            n_kv_heads: case.n_kv_heads,
            head_dim_k: case.dk,
            head_dim_v: case.dv,
        }
    }

    fn element(&self, case: &Case, offset: usize, dim: usize, head: usize, p: usize, c: usize) -> f64 {
        let page = self.tables[0][p / KV_PAGE] as usize * self.page_stride;
        let _ = case;
        f64::from(self.f32s[page + offset + (head * KV_PAGE + p % KV_PAGE) * dim + c])
    }
}

fn truth(case: &Case, cache: &Cache, q: &[f32], spec: &AttnSpec<'_>) -> Vec<f64> {
    let mut out = Vec::new();
    for r in 0..case.rows {
        let position = case.past + r;
        let end = if case.causal { position + 1 } else { case.past + case.rows };
        let (start, end) = match case.window.map(|w| w as usize) {
            None => (0, end),
            Some(w) if case.chunks => (position / w * w, end),
            Some(w) if case.causal => ((position + 1).saturating_sub(w), end),
            Some(w) => (position.saturating_sub(w / 2), end.min(position + w / 2 + 1)),
        };
        for h in 0..case.n_heads {
            let kv_head = h / (case.n_heads / case.n_kv_heads);
            let q = &q[(r * case.n_heads + h) * case.dk..][..case.dk];
            let scores: Vec<f64> = (start..end)
                .map(|p| {
                    let k = |c| cache.element(case, cache.k_offset, case.dk, kv_head, p, c);
                    let s: f64 = q.iter().enumerate().map(|(c, q)| f64::from(*q) * k(c)).sum();
                    let s = s * f64::from(spec.scale);
                    let s = spec.soft_cap.map_or(s, |cap| f64::from(cap) * libm::tanh(s / f64::from(cap)));
                    s + match spec.bias {
                        None => 0.0,
                        Some(PositionBias::Slopes(slopes)) => {
                            f64::from(-slopes[h]) * p.abs_diff(position) as f64
                        }
                        Some(PositionBias::ByDistance { values, .. }) => {
                            let at = (p + MOST).saturating_sub(position).min(2 * MOST);
                            f64::from(values[h * (2 * MOST + 1) + at])
                        }
                    }
                })
                .collect();
            let sink = spec.sinks.map(|s| f64::from(s[h]));
            let max = scores.iter().copied().chain(sink).fold(f64::MIN, f64::max);
            let total: f64 = scores.iter().copied().chain(sink).map(|s| libm::exp(s - max)).sum();
            for c in 0..case.dv {
                let v = |p| cache.element(case, cache.v_offset, case.dv, kv_head, p, c);
                let sum: f64 =
                    scores.iter().zip(start..).map(|(s, p)| libm::exp(s - max) / total * v(p)).sum();
                out.push(sum);
            }
        }
    }
    out
}

/// Attention in batches of `batch` rows.
fn run(
    case: &Case,
    cache: &Cache,
    q: &[f32],
    numbers: &[f32],
    half: bool,
    cx: &Ctx<'_>,
    batch: usize,
) -> Vec<f32> {
    let spec = spec(case, numbers);
    let plan = AttnPlan::new(cx.pool.threads(), batch, case.past + case.rows);
    let plan = plan.layer(case.n_heads, case.n_kv_heads, case.dk, case.dv);
    let mut scratch = AttnScratch::new(&plan).expect("memory");
    let rows: Vec<AttnRow> = (0..case.rows).map(|r| case.row(r, 0)).collect();
    let (q_cols, out_cols) = (case.n_heads * case.dk, case.n_heads * case.dv);
    let mut out = vec![f32::NAN; case.rows * out_cols];
    let q = Mat::new(q, case.rows, q_cols);
    let mut mat = MatMut::new(&mut out, case.rows, out_cols);
    for first in (0..case.rows).step_by(batch) {
        let range = first..(first + batch).min(case.rows);
        let (q, out) = (q.rows_range(range.clone()), mat.rows_range_mut(range.clone()));
        attention(cx, q, &rows[range], &cache.layer(case, half), &spec, &mut scratch, out);
    }
    out
}

impl Case {
    fn row(&self, row: usize, sequence: u32) -> AttnRow {
        let causal = AttnRow::causal((self.past + row) as u32, sequence);
        if self.causal { causal } else { AttnRow { end: (self.past + self.rows) as u32, ..causal } }
    }
}

/// `numbers`: sinks, slopes and values by distance are taken from these.
fn spec<'a>(case: &Case, numbers: &'a [f32]) -> AttnSpec<'a> {
    AttnSpec {
        n_heads: case.n_heads,
        scale: 1.0 / (case.dk as f32).sqrt(),
        soft_cap: case.soft_cap,
        window: case.window.map(|w| match (case.chunks, case.causal) {
            (true, _) => Window::Chunk(w),
            (false, true) => Window::Last(w),
            (false, false) => Window::Around(w / 2),
        }),
        bias: match case.bias {
            Bias::None => None,
            Bias::Slopes => Some(PositionBias::Slopes(&numbers[..case.n_heads])),
            Bias::ByDistance => {
                let values = &numbers[..case.n_heads * (2 * MOST + 1)];
                Some(PositionBias::ByDistance { values, most: MOST as u32 })
            }
        },
        sinks: case.sinks.then(|| &numbers[..case.n_heads]),
    }
}

#[test]
fn attention_is_right_and_keeps_its_bits() {
    required_is_there();
    let pools: Vec<Pool> = [1, 2, 3].into_iter().map(|n| Pool::new(n).expect("threads")).collect();
    let scalar = Kernels::scalar();
    let isas = accelerated();
    let mut rng = Rng::new(4);
    let mut failed = Vec::new();
    for case in &CASES {
        let cache = Cache::new(case, &mut rng);
        let q: Vec<f32> = (0..case.rows * case.n_heads * case.dk).map(|_| rng.normal() * 2.0).collect();
        let numbers: Vec<f32> =
            (0..case.n_heads * (2 * MOST + 1)).map(|_| (rng.normal() + 1.0).max(0.01)).collect();
        let reference = run(case, &cache, &q, &numbers, false, &Ctx::new(&pools[0], &scalar), case.rows);
        let truth = truth(case, &cache, &q, &spec(case, &numbers));
        let error = reference.iter().zip(&truth).fold(0.0f64, |worst, (y, t)| {
            let e = (f64::from(*y) - t).abs();
            if e.is_nan() { f64::INFINITY } else { worst.max(e) }
        });
        println!("{}: error {error:.2e}", case.name);
        if error > 4e-6 {
            failed.push(format!("{}: error {error:e}", case.name));
        }
        let mut check = |what: String, y: Vec<f32>| {
            if bits(&y) != bits(&reference) {
                failed.push(format!("{}: {what} differs", case.name));
            }
        };
        for kernels in [&scalar].into_iter().chain(&isas) {
            for (pool, batch, half) in
                [(0, case.rows, true), (1, case.rows, false), (2, 1, true), (1, 7, false), (0, 1, false)]
            {
                if !case.causal && batch != case.rows {
                    continue;
                }
                let cx = Ctx::new(&pools[pool], kernels);
                let what = format!("{}, {} threads, batches of {batch}, f16 {half}", kernels.isa, pool + 1);
                check(what, run(case, &cache, &q, &numbers, half, &cx, batch));
            }
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn sequences_in_one_batch_do_not_see_each_other() {
    let pool = Pool::new(2).expect("threads");
    let kernels = Kernels::scalar();
    let cx = Ctx::new(&pool, &kernels);
    let mut rng = Rng::new(5);
    let cases = [Case { past: 530, rows: 5, ..PLAIN }, Case { past: 3, rows: 40, ..PLAIN }];
    let caches = cases.map(|case| Cache::new(&case, &mut rng));
    let q_cols = PLAIN.n_heads * PLAIN.dk;
    let q: Vec<f32> = (0..45 * q_cols).map(|_| rng.normal()).collect();
    let mut alone = run(&cases[0], &caches[0], &q[..5 * q_cols], &[], false, &cx, 5);
    alone.extend(run(&cases[1], &caches[1], &q[5 * q_cols..], &[], false, &cx, 40));

    // both in one cache: the pages of the second follow those of the first
    let mut data = caches[0].f32s.clone();
    let shift = (data.len() / caches[0].page_stride) as u32;
    data.extend(&caches[1].f32s);
    let [first, second] = &caches;
    let tables = [first.tables[0].clone(), second.tables[0].iter().map(|p| p + shift).collect()];
    let mut rows = Vec::new();
    for (case, sequence) in cases.iter().zip(0..) {
        rows.extend((0..case.rows).map(|r| case.row(r, sequence)));
    }
    let plan = AttnPlan::new(2, 45, 535).layer(PLAIN.n_heads, PLAIN.n_kv_heads, PLAIN.dk, PLAIN.dv);
    let mut scratch = AttnScratch::new(&plan).expect("memory");
    let layer = KvLayer { data: KvData::F32(&data), tables: &tables, ..caches[0].layer(&PLAIN, false) };
    let out_cols = PLAIN.n_heads * PLAIN.dv;
    let mut out = vec![0.0; 45 * out_cols];
    let (q, mat) = (Mat::new(&q, 45, q_cols), MatMut::new(&mut out, 45, out_cols));
    attention(&cx, q, &rows, &layer, &spec(&PLAIN, &[]), &mut scratch, mat);
    assert_eq!(bits(&out), bits(&alone));
}
