//! Cancels passes: counts how much work is still done after the flag is raised, and checks that the cache is as it was before.

mod common;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use common::{Runner, batch, bits, parse, plain, q4_0, small_llama, tokens};
use happy_gguf::{GgmlType, GgufFile, GgufWriter};
use happy_kernels::linear::LinearKernel;
use happy_kernels::{Ctx, Kernels};
use happy_model::{ForwardError, KvType, NoHook};
use happy_tensor::DType;
use happy_testkit::{le_bytes, uniform};

static FLAG: AtomicBool = AtomicBool::new(false);
static CALLS: AtomicUsize = AtomicUsize::new(0);
static RAISE_AT: AtomicUsize = AtomicUsize::new(usize::MAX);

fn count() {
    if CALLS.fetch_add(1, Ordering::SeqCst) + 1 == RAISE_AT.load(Ordering::SeqCst) {
        FLAG.store(true, Ordering::SeqCst);
    }
}

/// Returns scalar kernels that count the calls of their matrix kernels.
fn counting() -> Kernels {
    static SCALAR: OnceLock<Kernels> = OnceLock::new();
    fn scalar(dtype: DType) -> &'static LinearKernel {
        SCALAR.get_or_init(Kernels::scalar).linear(dtype)
    }
    let mut kernels = Kernels::scalar();
    macro_rules! count {
        ($($dtype:ident),*) => {$(
            let kernel = LinearKernel {
                gemv: |w, x, y| {
                    count();
                    (scalar(DType::$dtype).gemv)(w, x, y);
                },
                gemm: |w, x, y, panel| {
                    count();
                    (scalar(DType::$dtype).gemm)(w, x, y, panel);
                },
                ..*scalar(DType::$dtype)
            };
            kernels.linear[DType::$dtype as usize] = Box::leak(Box::new(kernel));
        )*};
    }
    count!(F32, Q4_0);
    kernels
}

/// Returns the small Llama with an output matrix that takes many tasks.
fn wide_output() -> GgufFile {
    let (small, n) = (small_llama(&plain), 65_536u64);
    let mut w = GgufWriter::new();
    for (key, value) in small.view().metadata().iter() {
        w = w.kv(key, value);
    }
    for t in small.view().tensors() {
        if t.name == "token_embd.weight" {
            w = w.tensor(t.name, GgmlType::F32, &[64, n], le_bytes(uniform("wide", 1, 64 * n as usize)));
        } else {
            w = w.tensor(t.name, t.ty, &t.dims, small.view().data(&t).unwrap());
        }
    }
    parse(w.to_vec().unwrap())
}

#[test]
fn few_tasks_end_after_the_flag_and_the_cache_is_as_before() {
    let cases = [
        ("float", small_llama(&plain), 1),
        ("quantized", small_llama(&q4_0), 1),
        ("two threads", small_llama(&q4_0), 2),
        ("experts", common::many_experts(3, 64), 1),
        ("65,536 tokens", wide_output(), 2),
    ];
    let mut failed = Vec::new();
    for (name, file, threads) in &cases {
        let mut r = Runner::new(file, counting(), *threads, KvType::F16, 8);
        let vocabulary = r.model.n_vocab() as u32;
        let ids: Vec<u32> = tokens(60, 3).into_iter().map(|t| t % vocabulary).collect();
        let prompt = batch(&ids[..40], 0, 0);
        // prefill, three tokens, one token
        for (from, to) in [(0usize, 40usize), (40, 43), (43, 44)] {
            let wants = batch(&ids[from..to], from as u32, 1);
            // The tokens before are in sequence 0. Each attempt runs in a fork of it.
            r.kv.clear(0).unwrap();
            if from > 0 {
                r.logits(&prompt).unwrap();
                for i in 40..from {
                    r.logits(&batch(&ids[i..=i], i as u32, 0)).unwrap();
                }
            }
            r.kv.fork(0, 1).unwrap();
            CALLS.store(0, Ordering::SeqCst);
            let expected = r.logits(&wants).unwrap();
            let all = CALLS.load(Ordering::SeqCst);
            let tries = [1, 2, 3, all / 4, all / 2, all * 3 / 4, all - 1, all];
            for raise_at in tries.into_iter().filter(|n| *n > 0) {
                r.kv.fork(0, 1).unwrap();
                let free = r.kv.free_pages();
                FLAG.store(false, Ordering::SeqCst);
                CALLS.store(0, Ordering::SeqCst);
                RAISE_AT.store(raise_at, Ordering::SeqCst);
                let cx = Ctx::new(&r.pool, &r.kernels);
                let out = r.model.forward_until(cx, &wants, &mut r.kv, &mut r.scratch, &mut NoHook, &FLAG);
                let cancelled = matches!(out, Err(ForwardError::Cancelled));
                RAISE_AT.store(usize::MAX, Ordering::SeqCst);
                // A task for up to three tokens calls a kernel for each of them, and twice if gate and up are one task.
                let (calls, most) = (CALLS.load(Ordering::SeqCst), raise_at + 6 * threads);
                let at = format!("{name}, tokens {from} to {to}, raised at {raise_at} of {all}");
                if !cancelled || calls > most {
                    failed.push(format!("{at}: cancelled {cancelled}, {calls} calls, at most {most}"));
                }
                // The pass may have copied the page that the sequences shared, so that the sequence now has a page of its own.
                if r.kv.len(1) != from || r.kv.free_pages() + 1 < free {
                    failed.push(format!("{at}: the cache has {} positions", r.kv.len(1)));
                    continue;
                }
                let again = r.logits(&wants).unwrap();
                if bits(&again) != bits(&expected) {
                    failed.push(format!("{at}: other logits afterwards"));
                }
            }
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// If the flag is lowered again while tasks are being skipped, the unfinished results are not returned as if they were finished.
#[test]
fn a_flag_that_was_seen_counts() {
    use happy_kernels::MatMut;
    use happy_model::LayerHook;
    use std::ops::ControlFlow;
    struct Lower<'a>(&'a AtomicBool);
    impl LayerHook for Lower<'_> {
        fn after_layer(&mut self, _: usize, _: MatMut<'_>) -> ControlFlow<()> {
            self.0.store(false, Ordering::SeqCst);
            ControlFlow::Continue(())
        }
    }
    let flag = AtomicBool::new(true);
    let mut r = Runner::new(&small_llama(&plain), Kernels::detect().unwrap(), 2, KvType::F32, 4);
    let cx = Ctx::new(&r.pool, &r.kernels);
    let tokens = batch(&[1, 2, 3], 0, 0);
    let out = r.model.forward_until(cx, &tokens, &mut r.kv, &mut r.scratch, &mut Lower(&flag), &flag);
    assert!(matches!(out, Err(ForwardError::Cancelled)));
    assert_eq!(r.kv.len(0), 0);
}
