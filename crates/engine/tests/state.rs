//! The states of a recurrent model are planned: those that overflow the budget are refused before anything is taken.

use happy_engine::{Engine, EngineError, LoadOptions};
use happy_gguf::{GgmlType, GgufFile, GgufWriter, Limits, OwnedArray};
use std::sync::Arc;

/// A Mamba of one layer whose sequences have a state of 128 x 16 values and 3 inputs of 128 channels.
fn mamba() -> GgufFile {
    let mut tokens = vec!["<unk>".to_owned(), "<s>".to_owned(), "</s>".to_owned()];
    tokens.extend((0..256).map(|b| format!("<0x{b:02X}>")));
    let (n_vocab, e, inner, state, rank) = (tokens.len() as u64, 64, 128, 16, 4);
    let mut types = vec![2i32, 3, 3];
    types.extend([6; 256]);
    let mut file = GgufWriter::new()
        .kv("general.architecture", "mamba")
        .kv("mamba.context_length", 512u32)
        .kv("mamba.embedding_length", e as u32)
        .kv("mamba.block_count", 1u32)
        .kv("mamba.attention.layer_norm_rms_epsilon", 1e-5f32)
        .kv("mamba.ssm.conv_kernel", 4u32)
        .kv("mamba.ssm.inner_size", inner as u32)
        .kv("mamba.ssm.state_size", state as u32)
        .kv("mamba.ssm.time_step_rank", rank as u32)
        .kv("tokenizer.ggml.model", "llama")
        .kv("tokenizer.ggml.scores", OwnedArray::packed(vec![0.0f32; tokens.len()]))
        .kv("tokenizer.ggml.token_type", OwnedArray::packed(types))
        .kv("tokenizer.ggml.tokens", OwnedArray::strings(tokens));
    let shapes: [(&str, &[u64]); 12] = [
        ("token_embd.weight", &[e, n_vocab]),
        ("output_norm.weight", &[e]),
        ("blk.0.attn_norm.weight", &[e]),
        ("blk.0.ssm_in.weight", &[e, 2 * inner]),
        ("blk.0.ssm_conv1d.weight", &[4, inner]),
        ("blk.0.ssm_conv1d.bias", &[inner]),
        ("blk.0.ssm_x.weight", &[inner, rank + 2 * state]),
        ("blk.0.ssm_dt.weight", &[rank, inner]),
        ("blk.0.ssm_dt.bias", &[inner]),
        ("blk.0.ssm_a", &[state, inner]),
        ("blk.0.ssm_d", &[inner]),
        ("blk.0.ssm_out.weight", &[inner, e]),
    ];
    for (name, dims) in shapes {
        let n = dims.iter().product::<u64>() as usize;
        file = file.tensor(name, GgmlType::F32, dims, (-0.01f32).to_le_bytes().repeat(n));
    }
    GgufFile::from_shared(Arc::new(file.to_vec().unwrap()), &Limits::default()).unwrap()
}

#[test]
fn a_state_that_overflows_the_budget_is_refused_with_numbers() {
    let options = |sequences, budget| LoadOptions {
        threads: Some(1),
        context: Some(64),
        sequences,
        memory_budget: Some(budget),
        ..LoadOptions::default()
    };
    let open = |sequences, budget| Engine::new(mamba(), "mamba".to_owned(), &options(sequences, budget));
    let few = open(2, 32 << 20).unwrap();
    assert!(few.plan().state_bytes >= 2 * 4 * 128 * (16 + 3), "{:?}", few.plan());
    let Err(EngineError::OverBudget(over)) = open(10_000, 32 << 20).map(|_| ()) else {
        panic!("10,000 states must be refused")
    };
    assert!(over.plan.state_bytes > 32 << 20 && over.plan.anon_bytes() > over.budget.bytes, "{over}");
    assert!(over.to_string().contains("MiB"), "{over}");
}
