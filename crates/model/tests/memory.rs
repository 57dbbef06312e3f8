//! Memory is known before it is allocated: loading takes at most what the outline says, caches and scratches take exactly what the plan
//! says, and an allocation that fails is an error.

mod common;

use std::sync::atomic::AtomicBool;

use common::{batch, many_experts, plain, q4_0, recipes, small_llama};
use happy_gguf::{Gguf, GgufFile, Limits};
use happy_kernels::{Ctx, Kernels, Pool};
use happy_model::{
    Batch, KvOptions, KvType, LoadErrorKind, Loader, Model, NoHook, Pooling, RunOptions, Want, arch,
};
use happy_testkit::{Meter, Used, measured, refusing};

#[global_allocator]
static METER: Meter = Meter;

/// A model, or the draft head of its file.
struct Case {
    name: String,
    file: GgufFile,
    head: bool,
}

impl Case {
    fn loader<'a>(&self, kernels: &'a Kernels) -> Loader<'a> {
        let loader = Loader::new(kernels);
        if self.head { loader.draft_head() } else { loader }
    }
}

/// Returns every model that the tests have, and every draft head.
fn files() -> Vec<Case> {
    let mut all = vec![
        ("small llama".to_owned(), small_llama(&plain)),
        ("small llama, q4_0".to_owned(), small_llama(&q4_0)),
        ("10 layers of 4,096 experts".to_owned(), many_experts(10, 4096)),
        ("200 layers of 4,096 experts".to_owned(), many_experts(200, 4096)),
    ];
    for recipe in recipes::some().into_iter().chain(recipes::embeddings()) {
        if arch::registry().iter().any(|a| recipe["architecture"] == a.name()) {
            all.push((recipe["name"].as_str().unwrap().to_owned(), recipes::build(&recipe)));
        }
    }
    let mut all: Vec<_> = all.into_iter().map(|(name, file)| Case { name, file, head: false }).collect();
    for recipe in recipes::named(&["qwen35-nextn", "qwen35-array", "qwen35moe-nextn"]) {
        let name = format!("the draft head of {}", recipe["name"]);
        all.push(Case { name, file: recipes::build(&recipe), head: true });
    }
    all
}

#[test]
fn loading_takes_no_more_than_the_outline_says() {
    let kernels = Kernels::detect().unwrap();
    let mut failed = Vec::new();
    for case in files() {
        let Case { name, file, .. } = &case;
        let view = file.view();
        let header = &file.bytes()[..view.header_end() as usize];
        let header = Gguf::parse_header(header, Some(file.bytes().len() as u64), &Limits::default()).unwrap();
        let header = header.into();
        let (outline, Used { peak: outline_peak, .. }) = measured(|| case.loader(&kernels).outline(&header));
        let Ok(outline) = outline else { continue };
        let planned = outline.table_bytes();
        let (model, Used { peak, held, .. }) = measured(|| case.loader(&kernels).load(file));
        let Ok(model) = model else {
            failed.push(format!("{name}: has an outline and does not load"));
            continue;
        };
        if peak > planned {
            failed.push(format!("{name}: loading took {peak} bytes, planned were {planned}"));
        }
        // Too large a plan would refuse files that fit.
        if planned > 2 * held + (64 << 10) {
            failed.push(format!("{name}: planned were {planned} bytes, the model holds {held}"));
        }
        let most = 1024 * outline.spec().layers.len() as u64 + (16 << 10);
        if outline_peak > most {
            failed.push(format!("{name}: the outline took {outline_peak} bytes, expected at most {most}"));
        }
        for (n_batch, threads) in [(1, 1), (7, 3), (256, 2)] {
            let run = RunOptions { n_batch, n_outputs: n_batch, threads, n_ctx: 1000, adapter_rank: 0 };
            let kv = KvOptions::new(KvType::F16, 2, 1000);
            if outline.plan(&kv, &run) != model.plan(&kv, &run) {
                failed.push(format!("{name}: outline and model plan differently"));
            }
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// A model of 200 layers with 4,096 experts each once took 358 MiB, because each expert had three matrix objects of its own.
#[test]
fn experts_cost_no_memory() {
    let kernels = Kernels::detect().unwrap();
    let held = |experts| {
        let file = many_experts(200, experts);
        measured(|| Model::load(&file, &kernels).unwrap()).1.held
    };
    let (few, many) = (held(8), held(4096));
    assert!(many <= few + 4096 && many < 2 << 20, "8 experts: {few} bytes, 4,096 experts: {many}");
}

/// They take the planned number of bytes exactly, and never more in between: one list of buffers serves both the plan and the allocation.
#[test]
fn caches_and_scratches_take_what_the_plan_says() {
    // The numbers are: tokens in a batch, rows with results, threads, positions, sequences.
    const RUNS: [(usize, usize, usize, usize, usize); 5] =
        [(1, 1, 1, 64, 1), (7, 2, 3, 640, 2), (64, 64, 2, 5000, 1), (33, 8, 2, 100, 8), (0, 0, 0, 0, 0)];
    let kernels = Kernels::detect().unwrap();
    let (mut failed, mut compared, mut quantized) = (Vec::new(), 0, 0);
    for case in files() {
        let name = &case.name;
        let Ok(model) = case.loader(&kernels).load(&case.file) else {
            failed.push(format!("{name}: does not load"));
            continue;
        };
        for (n_batch, n_outputs, threads, n_ctx, n_sequences) in RUNS {
            for kind in KvType::ALL.into_iter().filter(|kind| kind.check(model.spec()).is_ok()) {
                quantized += usize::from(kind == KvType::Q8_0);
                let run = RunOptions { n_batch, n_outputs, threads, n_ctx, adapter_rank: n_outputs };
                let mut kv = KvOptions::new(kind, n_sequences, n_ctx);
                if threads > 1 {
                    // room for a pass and a few snapshots, instead of a full context in every layer
                    kv = kv.with_batch(n_batch).with_snapshots(3 << 20).with_speculation(n_batch.min(8));
                }
                let plan = model.plan(&kv, &run);
                let scratch = measured(|| model.scratch(&run).unwrap()).1;
                let cache = measured(|| model.kv_cache(kv).unwrap()).1;
                let contents = plan.kv_bytes + plan.state_bytes + plan.snapshot_bytes;
                let planned = [plan.scratch_bytes, contents + plan.kv_table_bytes];
                for ((what, used), planned) in [("scratch", scratch), ("cache", cache)].iter().zip(planned) {
                    compared += 1;
                    if (used.peak, used.held) != (planned as u64, planned as u64) {
                        failed.push(format!("{name}: {what} for {run:?}: planned {planned}, {used:?}"));
                    }
                }
                let total = planned.iter().sum::<usize>();
                let fits = plan.kv_bytes <= plan.kv_page_bytes * kv.n_pages
                    && plan.snapshot_bytes <= kv.snapshot_bytes;
                if plan.total_bytes() != total || !fits {
                    failed.push(format!("{name}: the parts of {plan:?} do not add up"));
                }
            }
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(compared >= 20 * 4 && quantized > 0, "only {compared} comparisons, {quantized} quantized");
}

/// A pass takes nothing beyond the plan. This covers prompts, parallel sequences and single tokens, with experts and without.
#[test]
fn passes_allocate_nothing() {
    let kernels = Kernels::detect().unwrap();
    let mut failed = Vec::new();
    for case in files() {
        let name = &case.name;
        let Ok(model) = case.loader(&kernels).load(&case.file) else { continue };
        if model.spec().whole_texts {
            continue; // see below
        }
        let run = RunOptions { n_batch: 24, n_outputs: 24, threads: 1, n_ctx: 128, adapter_rank: 0 };
        let mut kv = model.kv_cache(KvOptions::new(KvType::F16, 3, 128)).unwrap();
        let (mut scratch, pool) = (model.scratch(&run).unwrap(), Pool::new(1).unwrap());
        let mut parallel = Batch::with_capacity(24);
        for sequence in 0..3 {
            parallel.push_tokens(&[1, 2, 3, 4, 5, 6, 7, 0], 0, sequence, Want::Logits).unwrap();
        }
        for batch in [parallel, batch(&[1], 8, 0), batch(&[2, 3, 4], 8, 2)] {
            let (cx, flag) = (Ctx::new(&pool, &kernels), AtomicBool::new(false));
            let hidden = vec![0.5; if case.head { batch.len() * model.n_embd() } else { 0 }];
            let work =
                || model.forward_after(cx, (&batch, &hidden), &mut kv, &mut scratch, &flag).map(|_| ());
            let (result, used) = measured(work);
            if result.is_err() || used.calls > 0 {
                failed.push(format!("{name}: {result:?}, {used:?}"));
            }
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// The same holds for passes over texts, with every pooling that the model has.
#[test]
fn embedding_allocates_nothing() {
    let kernels = Kernels::detect().unwrap();
    let (mut failed, mut compared) = (Vec::new(), 0);
    for recipe in recipes::embeddings() {
        let loader = Loader::new(&kernels).embeddings(true);
        let Ok(model) = loader.load(&recipes::build(&recipe)) else { continue };
        let run = RunOptions { n_batch: 24, n_outputs: 24, threads: 1, n_ctx: 24, adapter_rank: 0 };
        let mut kv = model.kv_cache(KvOptions::new(KvType::F32, 2, 24)).unwrap();
        let (mut scratch, pool) = (model.scratch(&run).unwrap(), Pool::new(1).unwrap());
        for pooling in Pooling::ALL {
            let Ok(reads) = model.pooling_reads(pooling) else { continue };
            let mut batch = Batch::with_capacity(24);
            batch.push_text(&[1, 2, 3, 4, 5, 6, 7, 0], 0, reads).unwrap();
            batch.push_text(&[9, 8, 7], 1, reads).unwrap();
            let (cx, flag) = (Ctx::new(&pool, &kernels), AtomicBool::new(false));
            let work = || model.embed(cx, &batch, &mut kv, &mut scratch, pooling, &flag).map(|_| ());
            let (result, used) = measured(work);
            compared += 1;
            if result.is_err() || used.calls > 0 {
                failed.push(format!("{}, {}: {result:?}, {used:?}", recipe["name"], pooling.name()));
            }
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(compared > 80, "only {compared} comparisons");
}

/// Refuses each allocation of 4 KiB or more once, from the choice of kernels to the first logits.
#[test]
fn a_failed_allocation_is_an_error() {
    // These have experts and sinks, two kinds of experts, windows, layer norms with biases, and fused matrices.
    let kinds = ["gpt-oss-moe", "qwen2moe-moe", "gemma3", "stablelm", "phi3"];
    let recipe =
        |recipe: serde_json::Value| (recipe["name"].as_str().unwrap().to_owned(), recipes::build(&recipe));
    let mut files: Vec<_> = recipes::named(&kinds).into_iter().map(recipe).collect();
    files.push(("dense".to_owned(), small_llama(&q4_0)));
    files.push(("experts".to_owned(), many_experts(20, 4096)));
    for (name, file) in &files {
        let whole = || -> Result<usize, String> {
            let kernels = Kernels::detect().map_err(|e| e.to_string())?;
            let model = Model::load(file, &kernels).map_err(|e| {
                assert_eq!(e.kind(), LoadErrorKind::Memory, "{e}");
                e.to_string()
            })?;
            let run = RunOptions { n_batch: 64, n_outputs: 64, threads: 2, n_ctx: 1024, adapter_rank: 0 };
            let mut kv = model.kv_cache(KvOptions::new(KvType::F16, 2, 1024)).map_err(|e| e.to_string())?;
            let mut scratch = model.scratch(&run).map_err(|e| e.to_string())?;
            let pool = Pool::new(2).map_err(|e| e.to_string())?;
            let tokens = batch(&[1, 2, 3, 4, 5], 0, 0);
            let cx = Ctx::new(&pool, &kernels);
            let out =
                model.forward(cx, &tokens, &mut kv, &mut scratch, &mut NoHook).map_err(|e| e.to_string())?;
            Ok(out.logits_indices().count())
        };
        assert_eq!(whole(), Ok(5), "{name}");
        let mut n = 1;
        loop {
            let (result, refused) = refusing(n, whole);
            if !refused {
                break;
            }
            let message = result.expect_err("a refused allocation changes nothing");
            assert!(
                message.contains("reserve") || message.contains("memory"),
                "{name}, allocation {n}: {message}"
            );
            n += 1;
        }
        // The cache, the scratch and the tables are allocated; on x86, checking the kernels allocates more.
        assert!(n > 8, "{name}: only {n} allocations were refused");
    }
}
