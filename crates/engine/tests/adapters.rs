//! Adapters of sequences: nothing that others computed is used again, and an activated adapter begins where it is invoked.

mod common;

use common::{Folder, N_VOCAB};
use happy_engine::{AdapterFile, Cancel, Context, EngineError, GenerateOptions, LoadOptions};
use happy_gguf::{GgmlType, GgufWriter};
use happy_model::{Batch, NoHook, Want};
use std::path::{Path, PathBuf};

/// An adapter for the query and the down matrix of the first layer.
fn adapter(folder: &Folder, name: &str, seed: f32, invocation: &[u32]) -> PathBuf {
    let mut writer = GgufWriter::new()
        .kv("general.architecture", "llama")
        .kv("general.type", "adapter")
        .kv("adapter.type", "lora")
        .kv("adapter.lora.alpha", 4.0f32);
    if !invocation.is_empty() {
        writer = writer.kv("adapter.alora.invocation_tokens", invocation.to_vec());
    }
    let halves: [(&str, [u64; 2]); 4] = [
        ("blk.0.attn_q.weight.lora_a", [64, 3]),
        ("blk.0.attn_q.weight.lora_b", [3, 64]),
        ("blk.0.ffn_down.weight.lora_a", [96, 3]),
        ("blk.0.ffn_down.weight.lora_b", [3, 64]),
    ];
    for (name, dims) in halves {
        let values = (0..dims[0] * dims[1]).map(|i| ((i as f32 + 1.0) * seed).fract() - 0.5);
        writer = writer.tensor(name, GgmlType::F32, &dims, happy_testkit::le_bytes(values));
    }
    folder.file(name, &writer.to_vec().unwrap())
}

fn context(adapters: Vec<AdapterFile>, adapter_rank: usize) -> Context {
    let options = LoadOptions {
        threads: Some(2),
        batch: 8,
        context: Some(128),
        sequences: 4,
        adapters,
        adapter_rank,
        ..LoadOptions::default()
    };
    common::engine(&options).unwrap().context().unwrap()
}

fn bits(logits: &[f32]) -> Vec<u32> {
    logits.iter().map(|x| x.to_bits()).collect()
}

fn prefill(context: &mut Context, tokens: &[u32]) -> Vec<u32> {
    bits(context.prefill(0, tokens).unwrap())
}

fn prompt(n: u32) -> Vec<u32> {
    (0..n).map(|i| 3 + i * 7 % (N_VOCAB as u32 - 3)).collect()
}

fn file(path: &Path, scale: f32) -> AdapterFile {
    AdapterFile { path: path.to_owned(), scale }
}

#[test]
fn other_adapters_never_use_what_is_in_the_cache() {
    let folder = Folder::new("adapters-swap");
    let (a, b) = (adapter(&folder, "a.gguf", 0.37, &[]), adapter(&folder, "b.gguf", 0.73, &[]));
    let tokens = prompt(20);
    let alone = prefill(&mut context(vec![], 0), &tokens);
    let with_a = prefill(&mut context(vec![file(&a, 1.0)], 0), &tokens);
    let with_both = prefill(&mut context(vec![file(&a, 1.0), file(&b, -0.5)], 0), &tokens);
    assert!(alone != with_a && with_a != with_both);
    let mut context = context(vec![], 6);
    let engine = context.engine().clone();
    for (files, expected) in [
        (vec![], &alone),
        (vec![file(&a, 1.0)], &with_a),
        (vec![file(&a, 1.0), file(&b, -0.5)], &with_both),
        (vec![file(&b, 0.0)], &alone),
    ] {
        let left = context.set_adapters(0, engine.adapter_set(&files).unwrap()).unwrap();
        assert_eq!((left, context.keep_common_prefix(0, &tokens).unwrap()), (0, 0), "{files:?}");
        assert!(prefill(&mut context, &tokens) == *expected, "{files:?}");
        // the same set again keeps everything
        let left = context.set_adapters(0, engine.adapter_set(&files).unwrap()).unwrap();
        assert_eq!(left, tokens.len(), "{files:?}");
    }
    // a rank that was not planned for, and files that are not adapters
    let three = engine.adapter_set(&[file(&a, 1.0), file(&b, 1.0), file(&a, 0.5)]).unwrap();
    assert!(matches!(context.set_adapters(0, three), Err(EngineError::Batch(_))));
    let model = folder.file("model.gguf", &common::file_bytes(common::TEMPLATE, &[]));
    assert!(matches!(engine.adapter(&model), Err(EngineError::Adapter { .. })));
    assert_eq!(context.tokens(0), tokens);
}

/// The logits of the last token, with an adapter from position `first` on.
fn by_hand(context: &mut Context, tokens: &[u32], first: usize, adapter: &AdapterFile) -> Vec<u32> {
    let set = context.engine().adapter_set(std::slice::from_ref(adapter)).unwrap();
    let mut last = Vec::new();
    for (i, token) in tokens.iter().enumerate() {
        let mut batch = Batch::with_capacity(1);
        batch.use_adapters(set.as_ref().filter(|_| i >= first)).unwrap();
        batch.push(*token, i as u32, 0, Want::Logits).unwrap();
        let output = context.forward(&batch, &Cancel::new(), &mut NoHook).unwrap();
        last = bits(output.logits(0).unwrap());
    }
    last
}

#[test]
fn an_activated_adapter_works_from_its_last_invocation_on() {
    let folder = Folder::new("adapters-alora");
    let invocation = [200, 201, 202];
    let alora = file(&adapter(&folder, "a.gguf", 0.37, &invocation), 1.0);
    let tokens = [&prompt(9)[..], &invocation, &prompt(4), &invocation, &prompt(3)].concat();
    let expected = by_hand(&mut context(vec![], 3), &tokens, 16, &alora);
    let new = || context(vec![alora.clone()], 0);
    assert!(prefill(&mut new(), &tokens) == expected, "in one piece");
    // pieces that end within an invocation, and after the first one
    for cut in [10, 11, 13, 17, 18, 20] {
        let mut context = new();
        prefill(&mut context, &tokens[..cut]);
        assert!(prefill(&mut context, &tokens[cut..]) == expected, "cut after {cut}");
        assert_eq!(context.tokens(0), tokens);
    }
    // the next turn keeps what was computed before the first place
    let mut context = new();
    prefill(&mut context, &tokens[..14]);
    assert_eq!(context.keep_common_prefix(0, &tokens).unwrap(), 9);
    assert!(prefill(&mut context, &tokens[9..]) == expected, "next turn");
    // without the adapter what came before the invocation stays
    assert_eq!(context.set_adapters(0, None).unwrap(), 16);
    // a prompt without the tokens is the model's alone
    let plain = prompt(20);
    let alone = prefill(&mut self::context(vec![], 0), &plain);
    assert!(prefill(&mut new(), &plain) == alone);
    // and generation does the same as prefilling
    let mut context = new();
    prefill(&mut context, &tokens[..10]);
    let options = GenerateOptions { max_tokens: Some(1), ..GenerateOptions::default() };
    context.generate(0, &tokens[10..], options).unwrap().for_each(|event| drop(event.unwrap()));
    assert_eq!(context.tokens(0), tokens);
    context.truncate(0, tokens.len() - 1).unwrap();
    assert!(prefill(&mut context, &tokens[tokens.len() - 1..]) == expected, "generated");
}

/// Four sequences with four sets of adapters: each has the bits that it has alone, while they prefill in turn and decode together.
#[test]
fn four_sequences_with_four_sets_have_the_bits_that_they_have_alone() {
    let folder = Folder::new("adapters-four");
    let files = [0.37, 0.73, 0.59].map(|seed| adapter(&folder, &format!("{seed}.gguf"), seed, &[]));
    let sets = [
        vec![file(&files[0], 1.0)],
        vec![file(&files[1], 0.5), file(&files[2], -1.0)],
        vec![file(&files[2], 2.0)],
        vec![],
    ];
    let prompts = [prompt(20), prompt(1), prompt(7), prompt(20)];
    let next = [5, 80, 81, 7];
    let new = || context(vec![], 6);
    let set = |context: &mut Context, sequence: u32, files: &[AdapterFile]| {
        let set = context.engine().adapter_set(files).unwrap();
        context.set_adapters(sequence, set).unwrap();
    };
    let alone: Vec<Vec<u32>> = (0..4)
        .map(|i| {
            let mut context = new();
            set(&mut context, 0, &sets[i]);
            prefill(&mut context, &prompts[i]);
            bits(context.step(0, next[i]).unwrap())
        })
        .collect();
    // Of two sequences with the same tokens only the adapters differ.
    assert!((1..4).all(|i| alone[0] != alone[i]));
    let mut together = new();
    for (i, prompt) in prompts.iter().enumerate() {
        set(&mut together, i as u32, &sets[i]);
        together.prefill(i as u32, prompt).unwrap();
    }
    let tokens: Vec<(u32, u32)> = (0..).zip(next).collect();
    let output = together.decode(&tokens).unwrap();
    for (i, alone) in alone.iter().enumerate() {
        assert!(bits(output.logits(i).unwrap()) == *alone, "sequence {i}");
    }
    // A copy of a sequence has its adapters, and forgets what they computed when it is given others.
    together.fork(0, 3).unwrap();
    assert_eq!(together.adapters(3), together.adapters(0));
    assert_eq!(together.keep_common_prefix(3, &prompts[0]).unwrap(), 19);
    set(&mut together, 3, &sets[1]);
    assert_eq!(together.keep_common_prefix(3, &prompts[0]).unwrap(), 0);
    assert_eq!(together.keep_common_prefix(0, &prompts[0]).unwrap(), 19);
}
