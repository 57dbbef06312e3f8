//! Recurrent layers: forks go on from the same state, and tensors that are missing or have the wrong shape are errors.

mod common;

use common::{Runner, batch, bits, recipes};
use happy_kernels::Kernels;
use happy_model::{KvType, LoadError, Model};
use serde_json::Value;

/// A recipe for each block.
const RECIPES: [&str; 16] = [
    "arwkv7-plain",
    "bailingmoe3-moe",
    "falcon-h1",
    "jamba",
    "kimi-linear-moe",
    "lfm2-conv3-gqa",
    "mamba",
    "mamba2",
    "minimax-01-moe",
    "nemotron_h",
    "plamo2",
    "qwen35",
    "qwen3next-moe",
    "rwkv6",
    "rwkv6qwen2",
    "rwkv7",
];

/// Tensors of recurrent mixers that a file may lack.
const OPTIONAL: [&str; 9] = [
    "ssm_norm.weight of falcon-h1",
    "ssm_conv1d.bias of falcon-h1",
    "ssm_conv1d.bias of mamba2",
    "ssm_conv1d.bias of nemotron_h",
    "time_mix_key.bias of rwkv6qwen2",
    "time_mix_lerp_fused.weight of rwkv6",
    "time_mix_lerp_fused.weight of rwkv6qwen2",
    "time_mix_receptance.bias of rwkv6qwen2",
    "time_mix_value.bias of rwkv6qwen2",
];

fn tokens(recipe: &Value) -> Vec<u32> {
    recipe["tokens"].as_array().unwrap().iter().map(|t| t.as_u64().unwrap() as u32).collect()
}

#[test]
fn forks_and_later_sequences_have_the_bits_of_fresh_ones() {
    for recipe in recipes::named(&RECIPES) {
        let (name, file, ids) = (&recipe["name"], recipes::build(&recipe), tokens(&recipe));
        let mut runner = Runner::new(&file, Kernels::detect().unwrap(), 2, KvType::F16, 8);
        let fresh = |ids: &[u32], n: usize| {
            let mut runner = Runner::new(&file, Kernels::detect().unwrap(), 1, KvType::F16, 4);
            bits(&runner.logits(&batch(ids, 0, 0)).unwrap())[ids.len() - n..].to_vec()
        };
        runner.logits(&batch(&ids[..20], 0, 0)).unwrap();
        runner.kv.fork(0, 1).unwrap();
        for sequence in [1, 0] {
            let rest: Vec<u32> = ids[20..30].iter().map(|t| (t + sequence) % 128).collect();
            let whole: Vec<u32> = ids[..20].iter().chain(&rest).copied().collect();
            let found = bits(&runner.logits(&batch(&rest, 20, sequence)).unwrap());
            assert!(found == fresh(&whole, 10), "{name}: sequence {sequence} after the fork");
        }
        runner.kv.clear(0).unwrap();
        let found = bits(&runner.logits(&batch(&ids[5..25], 0, 0)).unwrap());
        assert!(found == fresh(&ids[5..25], 20), "{name}: a sequence that begins again");
    }
}

fn load(recipe: &Value) -> Result<Model, LoadError> {
    Model::load(&recipes::build(recipe), &Kernels::scalar())
}

#[test]
fn tensors_that_are_missing_or_misshapen_are_errors() {
    let mixers = ["ssm_", "shortconv", "attn_gate", "attn_qkv", "time_mix", "channel_mix"];
    let (mut failed, mut tried) = (Vec::new(), 0);
    for recipe in recipes::named(&RECIPES) {
        let all = recipe["tensors"].as_array().unwrap();
        let skipped = load(&recipe).unwrap().unused_tensors().to_vec();
        for (i, tensor) in all.iter().enumerate() {
            let name = tensor["name"].as_str().unwrap();
            let Some((_, part)) = name.strip_prefix("blk.").and_then(|rest| rest.split_once('.')) else {
                continue;
            };
            // attention has Q, K and V in one matrix or in three
            let unused = recipe["name"] == "plamo2" && part == "attn_qkv.weight";
            let unused = unused || skipped.iter().any(|skipped| skipped == name);
            if unused || !mixers.iter().any(|start| part.starts_with(start)) {
                continue;
            }
            tried += 1;
            let mut without = recipe.clone();
            without["tensors"].as_array_mut().unwrap().remove(i);
            let optional =
                OPTIONAL.contains(&format!("{part} of {}", recipe["name"].as_str().unwrap()).as_str());
            match load(&without) {
                Err(LoadError::MissingTensor { tensor, .. }) if tensor.starts_with(name) && !optional => {}
                // the first layer says whether there are norms
                Err(LoadError::ExtraTensor { .. } | LoadError::MissingTensor { .. }) if optional => {}
                Ok(_) if optional => {}
                Err(e) => failed.push(format!("without {name}: {e}")),
                Ok(_) => failed.push(format!("{} loads without {name}", recipe["name"])),
            }
            let mut longer = recipe.clone();
            let size = &mut longer["tensors"][i]["shape"][0];
            *size = (size.as_u64().unwrap() + 32).into();
            match load(&longer) {
                Err(LoadError::TensorShape { tensor, .. }) if tensor == name => {}
                Err(e) => failed.push(format!("a longer {name}: {e}")),
                Ok(_) => failed.push(format!("{} loads with a longer {name}", recipe["name"])),
            }
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(tried > 150, "{tried} tensors");
}

/// This metadata would make the loader divide by 0 or ask for endless memory.
#[test]
fn impossible_sizes_are_errors() {
    let cases = [
        ("mamba2", "mamba2.ssm.group_count", 0, "impossible sizes"),
        ("mamba2", "mamba2.ssm.group_count", 3, "impossible sizes"),
        ("mamba2", "mamba2.ssm.time_step_rank", 0, "impossible sizes"),
        ("mamba2", "mamba2.ssm.state_size", u32::MAX, "impossible sizes"),
        ("mamba2", "mamba2.ssm.conv_kernel", 0, "convolution over 0 positions, expected 1 to 16"),
        ("mamba2", "mamba2.ssm.conv_kernel", u32::MAX, "impossible sizes"),
        ("mamba2", "mamba2.ssm.conv_kernel", 17, "convolution over 17 positions"),
        ("mamba", "mamba.ssm.inner_size", u32::MAX, "impossible sizes"),
        ("mamba", "mamba.ssm.state_size", 0, "impossible sizes"),
        ("mamba", "mamba.ssm.time_step_rank", 0, "impossible sizes"),
        ("lfm2-conv3-gqa", "lfm2.shortconv.l_cache", 0, "convolution over 0 positions"),
        ("qwen35", "qwen35.ssm.group_count", 0, "impossible sizes"),
        ("qwen35", "qwen35.ssm.inner_size", 7, "ssm.inner_size"),
        ("qwen35", "qwen35.full_attention_interval", 0, ""),
        ("kimi-linear-moe", "kimi-linear.kda.head_dim", 0, "impossible sizes"),
        ("kimi-linear-moe", "kimi-linear.ssm.conv_kernel", 17, "convolution over 17 positions"),
        ("bailingmoe3-moe", "bailingmoe3.kda.head_dim", u32::MAX, "impossible sizes"),
        ("rwkv7", "rwkv7.wkv.head_size", 0, "impossible sizes"),
        ("rwkv7", "rwkv7.wkv.head_size", 7, "impossible sizes"),
        ("rwkv7", "rwkv7.attention.decay_lora_rank", 0, "impossible sizes"),
        ("rwkv7", "rwkv7.attention.gate_lora_rank", 65, "impossible sizes"),
        ("rwkv7", "rwkv7.token_shift_count", 1, "token_shift_count"),
    ];
    let mut failed = Vec::new();
    for (name, key, value, part) in cases {
        let mut recipe = recipes::named(&[name]).remove(0);
        let pairs = recipe["metadata"].as_array_mut().unwrap();
        pairs.retain(|pair| pair[0] != key);
        pairs.push(serde_json::json!([key, "uint32", value]));
        match load(&recipe) {
            Err(e) if !part.is_empty() && e.to_string().contains(part) => {}
            Ok(_) | Err(_) if part.is_empty() => {}
            Err(e) => failed.push(format!("{key} = {value}: {e}")),
            Ok(_) => failed.push(format!("{name} loads with {key} = {value}")),
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
