//! A matrix alone: `Linear::apply` against plain loops, with one workspace for all, and everything that it refuses.

mod common;

use common::Rng;
use happy_kernels::linear::{
    ActBuf, ActKind, ActKinds, ApplyError, Linear, LinearError, Panels, Workspace, forward, forward_each,
    forward_glu, forward_glu_each,
};
use happy_kernels::ops::Activation;
use happy_kernels::{Ctx, Kernels, Mat, MatMut, Pool};
use happy_tensor::{DType, dequantize_to_vec, quantize_row};

#[test]
fn one_workspace_serves_matrices_of_all_shapes() {
    let mut rng = Rng::new(3);
    let mut floats = |n: usize| (0..n).map(|_| rng.normal()).collect::<Vec<f32>>();
    let mut workspace = Workspace::default();
    let mut failed = Vec::new();
    for (dtype, rows, n_out, n_in, threads) in [
        (DType::Q8_0, 1, 3, 32, 1),
        (DType::F32, 2, 5, 7, 2),
        (DType::Q4K, 9, 40, 512, 3),
        (DType::Q4_0, 1, 1, 64, 1),
        (DType::Q8_0, 20, 70, 96, 2),
        (DType::Q6K, 0, 4, 256, 2),
    ] {
        let (kernels, pool) = (Kernels::detect().unwrap(), Pool::new(threads).unwrap());
        let (weights, x) = (floats(n_out * n_in), floats(rows * n_in));
        let linear = Linear::quantize(dtype, n_out, n_in, &weights, &kernels).unwrap();
        let mut y = vec![f32::NAN; rows * n_out];
        linear.apply(Ctx::new(&pool, &kernels), &x, &mut y, &mut workspace).unwrap();
        let mut bytes = vec![0; dtype.row_bytes(n_in).unwrap() * n_out];
        quantize_row(dtype, &weights, &mut bytes).unwrap();
        let stored = dequantize_to_vec(dtype, &bytes).unwrap();
        for (i, y) in y.iter().enumerate() {
            let (x, w) = (&x[i / n_out * n_in..][..n_in], &stored[i % n_out * n_in..][..n_in]);
            let exact: f32 = x.iter().zip(w).map(|(x, w)| x * w).sum();
            let scale: f32 = x.iter().zip(w).map(|(x, w)| (x * w).abs()).sum();
            if (y - exact).abs() > 0.02 * scale + 1e-6 {
                failed.push(format!("{dtype:?} {rows} x {n_in} -> {n_out}, {i}: {y}, expected {exact}"));
            }
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// One factor for all rows, one for each matrix of a stack; the bias comes after it.
#[test]
fn scales_multiply_the_products() {
    let (kernels, pool, mut rng) = (Kernels::detect().unwrap(), Pool::new(2).unwrap(), Rng::new(5));
    let mut floats = |n: usize| (0..n).map(|_| rng.normal()).collect::<Vec<f32>>();
    let (n_out, n_in, rows) = (12, 64, 9);
    let (weights, x, bias) = (floats(n_out * n_in), floats(rows * n_in), floats(n_out));
    let run = |linear: Linear| {
        let mut y = vec![f32::NAN; rows * n_out];
        linear.apply(Ctx::new(&pool, &kernels), &x, &mut y, &mut Workspace::default()).unwrap();
        y
    };
    let linear = || Linear::quantize(DType::Q4_0, n_out, n_in, &weights, &kernels).unwrap();
    let plain = run(linear());
    for scales in [&[3.0][..], &[0.5, -2.0, 7.0]] {
        let found = run(linear().with_scales(scales).unwrap().with_bias(&bias).unwrap());
        for (i, (y, plain)) in found.iter().zip(&plain).enumerate() {
            let row = i % n_out;
            let expected = plain * scales[row / (n_out / scales.len())] + bias[row];
            assert_eq!(y.to_bits(), expected.to_bits(), "{scales:?}, row {row}");
        }
    }
    for wrong in [&[][..], &[1.0; 5], &[1.0; 24]] {
        let expected = LinearError::Scales { n_out, found: wrong.len() };
        assert_eq!(linear().with_scales(wrong).map(|_| ()), Err(expected));
    }
}

/// The experts of a token as one job have the bits that each has alone, also if they are more matrices than a job of the pool takes.
#[test]
fn the_experts_of_a_token_run_together() {
    let (kernels, pool, mut rng) = (Kernels::detect().unwrap(), Pool::new(2).unwrap(), Rng::new(6));
    let cx = Ctx::new(&pool, &kernels);
    let (n_experts, n_ff, n_embd, n_used) = (20, 96, 64, 18);
    let mut floats = |n: usize| (0..n).map(|_| rng.normal()).collect::<Vec<f32>>();
    let x = floats(n_embd);
    let mut stack = |n_out: usize, n_in: usize| {
        let weights = floats(n_experts * n_out * n_in);
        Linear::quantize(DType::Q4_0, n_experts * n_out, n_in, &weights, &kernels).unwrap()
    };
    let (gate, up, down) = (stack(n_ff, n_embd), stack(n_ff, n_embd), stack(n_embd, n_ff));
    let expert = |i: usize| i * 7 % n_experts;
    let pair = |i: usize| (gate.rows(expert(i) * n_ff, n_ff), up.rows(expert(i) * n_ff, n_ff));
    let last = |i: usize| down.rows(expert(i) * n_embd, n_embd);
    let kinds = ActKinds::default().with(ActKind::Q8x32);
    let new = || ActBuf::new(n_used, kinds.up_to(n_ff)).unwrap();
    let panels = Panels::new(2, n_used, up.panel_bytes().max(down.panel_bytes())).unwrap();
    let (mut acts, mut inner, mut out) =
        (new(), vec![f32::NAN; n_used * n_ff], vec![f32::NAN; n_used * n_embd]);
    assert!(acts.set(cx, Mat::new(&x, 1, n_embd), kinds));
    forward_glu_each(cx, &acts, &pair, Activation::Silu, MatMut::new(&mut inner, n_used, n_ff), &panels);
    let mut rows = new();
    assert!(rows.set(cx, Mat::new(&inner, n_used, n_ff), kinds));
    forward_each(cx, &rows, &last, MatMut::new(&mut out, n_used, n_embd), &panels);
    for i in 0..n_used {
        let (mut alone, mut result) = (vec![f32::NAN; n_ff], vec![f32::NAN; n_embd]);
        forward_glu(cx, &acts, pair(i), Activation::Silu, MatMut::new(&mut alone, 1, n_ff), &panels);
        assert_eq!(alone, inner[i * n_ff..(i + 1) * n_ff], "expert {i}");
        assert!(rows.set(cx, Mat::new(&alone, 1, n_ff), kinds));
        forward(cx, &rows, &mut [(last(i), MatMut::new(&mut result, 1, n_embd))], &panels);
        assert_eq!(result, out[i * n_embd..(i + 1) * n_embd], "expert {i}");
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let (kernels, pool) = (Kernels::detect().unwrap(), Pool::new(1).unwrap());
    let cx = Ctx::new(&pool, &kernels);
    let linear = Linear::quantize(DType::Q8_0, 2, 32, &[1.0; 64], &kernels).unwrap();
    let mut workspace = Workspace::default();
    let mut apply = |x: &[f32], n: usize| linear.apply(cx, x, &mut vec![0.0; n], &mut workspace);
    for (x, y) in [(31, 2), (33, 2), (32, 1), (32, 3), (64, 2), (0, 1)] {
        let expected = ApplyError::Shape { x, y, n_out: 2, n_in: 32 };
        assert_eq!(apply(&vec![1.0; x], y), Err(expected), "{x} inputs, {y} outputs");
    }
    for wrong in [f32::NAN, f32::INFINITY] {
        assert_eq!(apply(&[wrong; 32], 2), Err(ApplyError::NonFinite));
    }
    assert_eq!(apply(&[1.0; 32], 2), Ok(()));
    let quantize = |n_out, n_in, weights| Linear::quantize(DType::Q8_0, n_out, n_in, weights, &kernels);
    assert!(matches!(quantize(2, 31, &[0.0; 62]), Err(LinearError::Shape(_))));
    assert!(matches!(quantize(2, 32, &[0.0; 63]), Err(LinearError::Shape(_))));
    assert!(matches!(quantize(0, 32, &[]), Err(LinearError::Empty { .. })));
}
