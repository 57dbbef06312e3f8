//! Embedding and ranking models: they give the same bits with any number of threads, on every instruction set, alone or among other texts;
//! and wrong uses are errors.

mod common;

use std::sync::atomic::AtomicBool;

use common::{Runner, batch, plain, recipes, small_llama};
use happy_gguf::GgufFile;
use happy_kernels::{Ctx, Isa, Kernels, Pool};
use happy_model::{
    Batch, BatchError, ForwardError, KvOptions, KvType, LoadError, Loader, Model, Pooling, RunOptions,
};

/// Returns the bits of each text's vectors, computed in one pass.
fn vectors(
    model: &Model,
    kernels: &Kernels,
    threads: usize,
    pooling: Pooling,
    texts: &[&[u32]],
) -> Result<Vec<Vec<u32>>, ForwardError> {
    let pool = Pool::new(threads).unwrap();
    let n_ctx = texts.iter().map(|text| text.len()).max().unwrap();
    let n_batch = texts.iter().map(|text| text.len()).sum();
    let mut kv = model.kv_cache(KvOptions::new(KvType::F32, texts.len(), n_ctx)).unwrap();
    let mut scratch =
        model.scratch(&RunOptions { n_batch, n_outputs: n_batch, threads, n_ctx, adapter_rank: 0 }).unwrap();
    let reads = model.pooling_reads(pooling)?;
    let mut batch = Batch::with_capacity(n_batch);
    for (text, sequence) in texts.iter().zip(0..) {
        batch.push_text(text, sequence, reads).unwrap();
    }
    let cx = Ctx::new(&pool, kernels);
    let found = model.embed(cx, &batch, &mut kv, &mut scratch, pooling, &AtomicBool::new(false))?;
    let mut rows = found.rows();
    let count = |text: &&[u32]| if pooling == Pooling::None { text.len() } else { 1 };
    let bits =
        texts.iter().map(|text| rows.by_ref().take(count(text)).flatten().map(|x| x.to_bits()).collect());
    Ok(bits.collect())
}

fn load(file: &GgufFile, kernels: &Kernels) -> Result<Model, LoadError> {
    Loader::new(kernels).embeddings(true).load(file)
}

#[test]
fn every_recipe_has_the_same_bits_however_it_is_computed() {
    let best = Kernels::detect().unwrap();
    let isas: Vec<Kernels> = Isa::ALL.iter().filter_map(|isa| Kernels::with_isa(*isa).ok()).collect();
    let (mut failed, mut compared) = (Vec::new(), 0);
    for recipe in recipes::embeddings() {
        let name = recipe["name"].as_str().unwrap();
        let tokens: Vec<u32> =
            recipe["tokens"].as_array().unwrap().iter().map(|t| t.as_u64().unwrap() as u32).collect();
        let file = recipes::build(&recipe);
        let Ok(model) = load(&file, &best) else { continue };
        for pooling in Pooling::ALL {
            let Ok(expected) = vectors(&model, &best, 1, pooling, &[&tokens]) else { continue };
            let mut check = |what: String, found: Option<&Vec<u32>>| {
                compared += 1;
                if found != expected.first() {
                    failed.push(format!("{name}, {}: {what}", pooling.name()));
                }
            };
            for threads in [2, 3] {
                let found = vectors(&model, &best, threads, pooling, &[&tokens]).unwrap();
                check(format!("{threads} threads"), found.first());
            }
            for kernels in &isas {
                let model = load(&file, kernels).unwrap();
                let texts: [&[u32]; 4] = [&tokens[7..], &tokens[..1], &tokens, &tokens[20..40]];
                let found = vectors(&model, kernels, 2, pooling, &texts).unwrap();
                check(format!("{} among three other texts", kernels.isa), found.get(2));
            }
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    println!("{compared} comparisons");
    assert!(compared > 200, "only {compared} comparisons");
}

/// A decoder can make embeddings too, but without a classifier it can't rank.
#[test]
fn a_decoder_embeds_and_does_not_rank() {
    let (kernels, file) = (Kernels::detect().unwrap(), small_llama(&plain));
    let model = load(&file, &kernels).unwrap();
    for pooling in [Pooling::None, Pooling::Mean, Pooling::Cls, Pooling::Last] {
        let found = vectors(&model, &kernels, 2, pooling, &[&[1, 2, 3], &[4]]).unwrap();
        assert!(found.iter().all(|row| row.len().is_multiple_of(model.n_embd()) && !row.is_empty()));
    }
    let error = vectors(&model, &kernels, 1, Pooling::Rank, &[&[1]]).unwrap_err();
    assert_eq!(error, ForwardError::NoClassifier { architecture: "llama" });
    assert!(error.to_string().contains("llama") && error.to_string().contains("cls"), "{error}");
}

/// What an embedding model can't do gives errors.
#[test]
fn logits_of_embeddings_and_other_wants_are_errors() {
    let (kernels, file) = (Kernels::detect().unwrap(), small_llama(&plain));
    let mut runner = Runner::of(load(&file, &kernels).unwrap(), kernels, 1, KvType::F32, 4);
    let error = runner.logits(&batch(&[1, 2], 0, 0)).unwrap_err();
    assert_eq!(error, ForwardError::Batch(BatchError::NoLogits { index: 0 }));
    let mut texts = Batch::with_capacity(4);
    texts.push_text(&[1, 2, 3], 0, Pooling::Cls).unwrap();
    let cx = Ctx::new(&runner.pool, &runner.kernels);
    let (flag, kv, scratch) = (AtomicBool::new(false), &mut runner.kv, &mut runner.scratch);
    let error = runner.model.embed(cx, &texts, kv, scratch, Pooling::Mean, &flag).unwrap_err();
    assert_eq!(error, ForwardError::Batch(BatchError::Pooling { index: 1, pooling: "mean" }));
    // nothing is kept of a text
    runner.model.embed(cx, &texts, kv, scratch, Pooling::Cls, &flag).unwrap();
    assert!(kv.is_empty(0) && kv.free_pages() == 4);
}

/// A model with learned positions can't compute positions beyond them.
#[test]
fn positions_that_were_not_learned_are_an_error() {
    let recipe = recipes::embeddings().into_iter().find(|recipe| recipe["name"] == "bert").unwrap();
    let kernels = Kernels::detect().unwrap();
    let model = load(&recipes::build(&recipe), &kernels).unwrap();
    let text = [3; 65];
    assert!(vectors(&model, &kernels, 1, Pooling::Mean, &[&text[..64]]).is_ok());
    let error = vectors(&model, &kernels, 1, Pooling::Mean, &[&text]).unwrap_err();
    assert_eq!(error, ForwardError::Batch(BatchError::NotLearned { index: 64, position: 64, n: 64 }));
}
