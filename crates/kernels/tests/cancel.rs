//! Cancelling: after the flag is raised, at most the tasks that have begun come to an end, and no task is long.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use happy_kernels::linear::{self, ActBuf, ActKind, ActKinds, Linear, LinearKernel, Panels, WeightMatrix};
use happy_kernels::ops::Activation;
use happy_kernels::{Cancel, Ctx, Kernels, Mat, MatMut, Pool};
use happy_tensor::{Bytes, DType};

static FLAG: AtomicBool = AtomicBool::new(false);
static CALLS: Mutex<usize> = Mutex::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);
/// One test at a time uses the counters.
static TURN: Mutex<()> = Mutex::new(());

/// Counts a call of so many multiply-adds, and raises the flag in the third.
fn count(macs: usize) {
    MOST.fetch_max(macs, Ordering::SeqCst);
    // Under one lock: no call is counted between the third and the flag.
    let mut calls = CALLS.lock().unwrap_or_else(PoisonError::into_inner);
    *calls += 1;
    if *calls == 3 {
        FLAG.store(true, Ordering::SeqCst);
    }
}

/// Kernels that compute nothing, but count.
fn counting() -> Kernels {
    let mut kernels = Kernels::scalar();
    let kernel = LinearKernel {
        gemv: |_, x, y| count(x.k * y.len()),
        gemm: |_, x, y, _| count(x.k * x.rows * y.width()),
        ..*kernels.linear(DType::Q8_0)
    };
    kernels.linear[DType::Q8_0 as usize] = Box::leak(Box::new(kernel));
    kernels
}

fn matrix(kernels: &Kernels, n_out: usize, n_in: usize) -> Linear {
    let bytes = Bytes::from(vec![0u8; DType::Q8_0.matrix_bytes(n_out, n_in).unwrap()]);
    Linear::new(WeightMatrix { dtype: DType::Q8_0, n_out, n_in, bytes }, kernels).unwrap()
}

#[test]
fn tasks_that_have_not_begun_are_skipped() {
    let _turn = TURN.lock().unwrap();
    let kernels = counting();
    let mut failed = Vec::new();
    // (tokens, outputs, inputs): decode, a wide output matrix, prefill, prefill of very long rows
    for (tokens, n_out, k) in [(1, 4096, 4096), (1, 262_144, 64), (256, 1024, 1024), (256, 64, 65_536)] {
        for (threads, gated) in [(1, false), (2, false), (2, true)] {
            let pool = Pool::new(threads).unwrap();
            let (a, b) = (matrix(&kernels, n_out, k), matrix(&kernels, n_out, k));
            let kinds = ActKinds::default().with(ActKind::Q8x32);
            let mut acts = ActBuf::new(tokens, kinds.up_to(k)).unwrap();
            let x = vec![0.5; tokens * k];
            let mut y = vec![0.0; tokens * n_out];
            let panels = Panels::new(threads, tokens, a.panel_bytes()).unwrap();
            FLAG.store(false, Ordering::SeqCst);
            *CALLS.lock().unwrap() = 0;
            let cancel = Cancel::new(&FLAG);
            let cx = Ctx::new(&pool, &kernels).until(&cancel);
            assert!(acts.set(cx, Mat::new(&x, tokens, k), kinds));
            let y = MatMut::new(&mut y, tokens, n_out);
            if gated {
                linear::forward_glu(cx, &acts, (&a, &b), Activation::Silu, y, &panels);
            } else {
                linear::forward(cx, &acts, &mut [(&a, y)], &panels);
            }
            // The call that raises the flag is the third; of a gated pair the second half of a task may follow.
            let (calls, most) = (*CALLS.lock().unwrap(), 3 + 2 * threads);
            if calls > most || !cancel.seen() {
                failed.push(format!(
                    "{tokens} x {k} -> {n_out}, {threads} threads: {calls} calls, at most {most}"
                ));
            }
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn no_look_at_the_flag_is_far_away() {
    let _turn = TURN.lock().unwrap();
    let (kernels, pool) = (counting(), Pool::new(1).unwrap());
    let kinds = ActKinds::default().with(ActKind::Q8x32);
    let mut failed = Vec::new();
    for (tokens, k) in
        [(1, 65_536), (4, 1024), (256, 4096), (256, 8192), (256, 53_248), (2048, 4096), (300, 16_384)]
    {
        MOST.store(0, Ordering::SeqCst);
        let a = matrix(&kernels, 48, k);
        let mut acts = ActBuf::new(tokens, kinds.up_to(k)).unwrap();
        let x = vec![0.5; tokens * k];
        let mut y = vec![0.0; tokens * 48];
        let panels = Panels::new(1, tokens, a.panel_bytes()).unwrap();
        let cx = Ctx::new(&pool, &kernels);
        assert!(acts.set(cx, Mat::new(&x, tokens, k), kinds));
        linear::forward(cx, &acts, &mut [(&a, MatMut::new(&mut y, tokens, 48))], &panels);
        let macs = MOST.load(Ordering::SeqCst);
        if macs > 1 << 25 {
            failed.push(format!("{tokens} tokens of {k}: {macs} multiply-adds at a time"));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// Cutting the tokens of a panel changes no bit.
#[test]
fn pieces_of_a_long_panel_give_the_same_bits() {
    let (tokens, k, n_out) = (67, 65_536, 17);
    let kinds = ActKinds::default().with(ActKind::Q8x32);
    let pool = Pool::new(2).unwrap();
    let bits = |kernels: &Kernels, count: usize| {
        let w = (0..DType::Q8_0.matrix_bytes(n_out, k).unwrap())
            .map(|i| (i * 37 % 251) as u8 & 0xBB)
            .collect::<Vec<_>>();
        let weights = WeightMatrix { dtype: DType::Q8_0, n_out, n_in: k, bytes: Bytes::from(w) };
        let a = Linear::new(weights, kernels).unwrap();
        let x: Vec<f32> = (0..tokens * k).map(|i| (i % 1009) as f32 / 505.0 - 1.0).collect();
        let mut out = Vec::new();
        for x in x.chunks(count * k) {
            let tokens = x.len() / k;
            let mut acts = ActBuf::new(tokens, kinds.up_to(k)).unwrap();
            let mut y = vec![0.0f32; tokens * n_out];
            let panels = Panels::new(2, tokens, a.panel_bytes()).unwrap();
            let cx = Ctx::new(&pool, kernels);
            assert!(acts.set(cx, Mat::new(x, tokens, k), kinds));
            linear::forward(cx, &acts, &mut [(&a, MatMut::new(&mut y, tokens, n_out))], &panels);
            out.extend(y.into_iter().map(f32::to_bits));
        }
        out
    };
    let kernels = Kernels::detect().unwrap();
    assert_eq!(bits(&kernels, tokens), bits(&kernels, 1));
}
