//! A few tokens times the matrices of a model of 1B weights: how many times as long they take as one token.
//!
//! `cargo bench -p happy-benches --bench rows -- [THREADS [FORMAT ..]]`; without formats those that phones run. Each figure is
//! the sum of the best times of each matrix, over rounds in which the numbers of tokens take turns. The matrices together exceed the caches, as a model does.

use happy_kernels::linear::{ActBuf, ActKind, ActKinds, Linear, Panels, WeightMatrix, forward};
use happy_kernels::{Ctx, Kernels, Mat, MatMut, Pool};
use happy_tensor::{Bytes, DType};
use std::time::{Duration, Instant};

/// Outputs and inputs of the matrices of a feed-forward block, each several times.
const SHAPES: [(usize, usize); 2] = [(8192, 2048), (2048, 8192)];

/// Matrices of each shape.
const COPIES: usize = 6;

/// Numbers of tokens.
const TOKENS: [usize; 8] = [1, 2, 3, 4, 5, 8, 9, 16];

/// Weights without meaning: no byte has bits 2 and 6 set, so each float in them is finite.
fn matrix(dtype: DType, (n_out, n_in): (usize, usize), seed: usize, kernels: &Kernels) -> Linear {
    let bytes = dtype.matrix_bytes(n_out, n_in).expect("whole blocks");
    let mut state = seed as u64;
    let weights: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8 & 0xBB
    })
    .take(bytes)
    .collect();
    let matrix = WeightMatrix { dtype, n_out, n_in, bytes: Bytes::from(weights) };
    Linear::new(matrix, kernels).expect("a whole matrix")
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    let test = std::env::args().any(|arg| arg == "--test");
    let rounds = if test { 1 } else { 21 };
    let threads = args.first().map_or(2, |n| n.parse().expect("a number of threads"));
    let named = |name: &String| {
        DType::ALL.into_iter().find(|dtype| dtype.name().eq_ignore_ascii_case(name)).expect("a format's name")
    };
    let mut formats: Vec<DType> = args.iter().skip(1).map(named).collect();
    if formats.is_empty() {
        formats = vec![DType::Q4_0, DType::Q4_1, DType::Q8_0, DType::Q4K, DType::Q6K];
    }
    let kernels = Kernels::detect().expect("no switch names an unknown instruction set");
    let pool = Pool::new(threads).expect("threads");
    let cx = Ctx::new(&pool, &kernels);
    println!(
        "{} threads, {}; GB/s of one token, then times of more tokens as multiples of it",
        threads, kernels.isa
    );
    print!("{:8} {:>6}", "format", "GB/s");
    TOKENS.iter().for_each(|n| print!(" {n:>6}"));
    println!();
    for dtype in formats {
        let linears: Vec<Linear> = (0..COPIES * SHAPES.len())
            .map(|i| matrix(dtype, SHAPES[i % SHAPES.len()], i + 1, &kernels))
            .collect();
        let (most, width) = (TOKENS[TOKENS.len() - 1], 8192);
        let kinds = ActKinds::default().with(ActKind::of(dtype)).up_to(width);
        let mut acts = ActBuf::new(most, kinds).expect("memory");
        let panel_bytes = linears.iter().map(Linear::panel_bytes).max().unwrap_or(0);
        let panels = Panels::new(threads, most, panel_bytes).expect("memory");
        let x: Vec<f32> = (0..most * width).map(|i| (i * 7919 % 255) as f32 - 127.0).collect();
        let mut y = vec![0.0; most * width];
        let mut best = vec![vec![Duration::MAX; linears.len()]; TOKENS.len()];
        for _ in 0..rounds {
            for (best, tokens) in best.iter_mut().zip(TOKENS) {
                for (linear, best) in linears.iter().zip(best) {
                    let (n_out, n_in) = (linear.n_out(), linear.n_in());
                    let kinds = ActKinds::default().with(ActKind::of(dtype));
                    assert!(
                        acts.set(cx, Mat::new(&x[..tokens * n_in], tokens, n_in), kinds),
                        "finite values"
                    );
                    let start = Instant::now();
                    let out = MatMut::new(&mut y[..tokens * n_out], tokens, n_out);
                    forward(cx, &acts, &mut [(linear, out)], &panels);
                    *best = start.elapsed().min(*best);
                }
            }
        }
        let bytes: usize = linears.iter().map(Linear::weight_bytes).sum();
        let times: Vec<f64> = best.iter().map(|best| best.iter().sum::<Duration>().as_secs_f64()).collect();
        print!("{:8} {:>6.1}", dtype.name(), bytes as f64 / times[0] / 1e9);
        times.iter().for_each(|time| print!(" {:>6.2}", time / times[0]));
        println!();
    }
}
