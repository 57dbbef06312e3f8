//! Experts to which no token of a batch is routed, and per-layer embeddings of tokens that are not in it, are never touched. The tests make
//! their pages unreadable to prove it.
#![cfg(target_os = "linux")]
#![allow(unsafe_code)]

mod common;

use std::sync::Arc;

use common::{Edit, Runner, batch, bits, plain, q4_0, tokens};
use happy_gguf::{GgufFile, GgufWriter, Limits};
use happy_kernels::Kernels;
use happy_model::KvType;
use happy_testkit::uniform;

const EXPERTS: u64 = 8;
/// The experts that a bias chooses for every token.
const ROUTED: [u64; 2] = [1, 5];
/// The experts with the largest and the smallest rows in the router.
const ENDS: [u64; 4] = [1, 3, 5, 6];
const PAGE: usize = 4096;
const PER_LAYER: &str = "per_layer_token_embd.weight";

/// Returns a model with two layers of experts, whose matrices take several pages each, and the bytes of its file.
fn mixture(edit: Edit<'_>) -> (GgufFile, Arc<Vec<u8>>) {
    let (e, kv, ff, v) = (256u64, 64u64, 256u64, 96u64);
    let mut w = GgufWriter::new()
        .kv("general.architecture", "dots1")
        .kv("dots1.context_length", 256u32)
        .kv("dots1.embedding_length", e as u32)
        .kv("dots1.block_count", 2u32)
        .kv("dots1.attention.head_count", 4u32)
        .kv("dots1.attention.head_count_kv", 1u32)
        .kv("dots1.attention.layer_norm_rms_epsilon", 1e-5f32)
        .kv("dots1.expert_count", EXPERTS as u32)
        .kv("dots1.expert_used_count", ROUTED.len() as u32)
        .kv("dots1.expert_feed_forward_length", ff as u32)
        .kv("dots1.expert_shared_count", 0u32)
        .kv("dots1.expert_gating_func", 2u32);
    let mut tensors = vec![
        ("token_embd.weight".to_owned(), vec![e, v]),
        ("output_norm.weight".to_owned(), vec![e]),
        ("output.weight".to_owned(), vec![e, v]),
    ];
    for l in 0..2 {
        let parts: [(&str, Vec<u64>); 13] = [
            ("attn_norm.weight", vec![e]),
            ("attn_q.weight", vec![e, e]),
            ("attn_k.weight", vec![e, kv]),
            ("attn_v.weight", vec![e, kv]),
            ("attn_output.weight", vec![e, e]),
            ("attn_q_norm.weight", vec![64]),
            ("attn_k_norm.weight", vec![64]),
            ("ffn_norm.weight", vec![e]),
            ("ffn_gate_inp.weight", vec![e, EXPERTS]),
            ("exp_probs_b.bias", vec![EXPERTS]),
            ("ffn_gate_exps.weight", vec![e, ff, EXPERTS]),
            ("ffn_up_exps.weight", vec![e, ff, EXPERTS]),
            ("ffn_down_exps.weight", vec![ff, e, EXPERTS]),
        ];
        tensors.extend(parts.map(|(part, dims)| (format!("blk.{l}.{part}"), dims)));
    }
    for (name, dims) in tensors {
        let n = dims.iter().product::<u64>() as usize;
        let mut values: Vec<f32> = uniform(&name, 1, n).map(|u| 0.1 * u).collect();
        if name.ends_with("exp_probs_b.bias") {
            values = (0..EXPERTS).map(|e| if ROUTED.contains(&e) { 100.0 } else { 0.0 }).collect();
        }
        if let Some((ty, dims, bytes)) = edit(&name, dims, values) {
            w = w.tensor(name, ty, &dims, bytes);
        }
    }
    let bytes = Arc::new(w.to_vec().unwrap());
    (GgufFile::from_shared(bytes.clone(), &Limits::default()).unwrap(), bytes)
}

/// Returns a Gemma 4 with experts beside its dense block. The rows of its router are multiples of one row. The largest and the smallest
/// belong to the experts in [`ENDS`], so only these are ever among the best two. `per_layer` is the width of the per-layer embeddings, or 0
/// for a model without them.
fn beside(per_layer: u64) -> (GgufFile, Arc<Vec<u8>>) {
    let (e, ff, v) = (256u64, 128u64, 96u64);
    let mut w = GgufWriter::new().kv("general.architecture", "gemma4");
    for (key, value) in [
        ("context_length", 256),
        ("embedding_length", e as u32),
        ("block_count", 2),
        ("feed_forward_length", 256),
        ("attention.head_count", 4),
        ("attention.head_count_kv", 1),
        ("attention.key_length", 64),
        ("attention.value_length", 64),
        ("attention.key_length_swa", 64),
        ("attention.value_length_swa", 64),
        ("attention.sliding_window", 32),
        ("embedding_length_per_layer_input", per_layer as u32),
        ("expert_count", EXPERTS as u32),
        ("expert_used_count", 2),
        ("expert_feed_forward_length", ff as u32),
    ] {
        w = w.kv(format!("gemma4.{key}"), value);
    }
    w = w.kv("gemma4.attention.layer_norm_rms_epsilon", 1e-6f32);
    w = w.kv("gemma4.attention.sliding_window_pattern", vec![true, false]);
    let mut tensors =
        vec![("token_embd.weight".to_owned(), vec![e, v]), ("output_norm.weight".to_owned(), vec![e])];
    for l in 0..2 {
        let parts: [(&str, Vec<u64>); 20] = [
            ("attn_norm.weight", vec![e]),
            ("attn_q.weight", vec![e, e]),
            ("attn_k.weight", vec![e, 64]),
            ("attn_v.weight", vec![e, 64]),
            ("attn_output.weight", vec![e, e]),
            ("attn_q_norm.weight", vec![64]),
            ("attn_k_norm.weight", vec![64]),
            ("post_attention_norm.weight", vec![e]),
            ("ffn_norm.weight", vec![e]),
            ("ffn_gate.weight", vec![e, 256]),
            ("ffn_up.weight", vec![e, 256]),
            ("ffn_down.weight", vec![256, e]),
            ("post_ffw_norm.weight", vec![e]),
            ("ffn_gate_inp.weight", vec![e, EXPERTS]),
            ("ffn_gate_inp.scale", vec![e]),
            ("pre_ffw_norm_2.weight", vec![e]),
            ("post_ffw_norm_1.weight", vec![e]),
            ("post_ffw_norm_2.weight", vec![e]),
            ("ffn_gate_up_exps.weight", vec![e, 2 * ff, EXPERTS]),
            ("ffn_down_exps.weight", vec![ff, e, EXPERTS]),
        ];
        tensors.extend(parts.map(|(part, dims)| (format!("blk.{l}.{part}"), dims)));
        if per_layer > 0 {
            let parts =
                [("inp_gate", vec![e, per_layer]), ("proj", vec![per_layer, e]), ("post_norm", vec![e])];
            tensors.extend(parts.map(|(part, dims)| (format!("blk.{l}.{part}.weight"), dims)));
        }
    }
    if per_layer > 0 {
        tensors.push((PER_LAYER.to_owned(), vec![2 * per_layer, v]));
        tensors.push(("per_layer_model_proj.weight".to_owned(), vec![e, 2 * per_layer]));
        tensors.push(("per_layer_proj_norm.weight".to_owned(), vec![per_layer]));
    }
    for (name, dims) in tensors {
        let n = dims.iter().product::<u64>() as usize;
        let mut values: Vec<f32> =
            uniform(&name, 1, n).map(|u| 0.1 * u + f32::from(dims.len() == 1)).collect();
        if name.ends_with("ffn_gate_inp.weight") {
            let row: Vec<f32> = uniform(&name, 1, e as usize).collect();
            let factors = [0.1, 1.0, -0.2, -1.0, 0.2, 0.9, -0.9, 0.0];
            values = factors.iter().flat_map(|factor| row.iter().map(move |x| x * factor)).collect();
        }
        if let Some((ty, dims, bytes)) = plain(&name, dims, values) {
            w = w.tensor(name, ty, &dims, bytes);
        }
    }
    let bytes = Arc::new(w.to_vec().unwrap());
    (GgufFile::from_shared(bytes.clone(), &Limits::default()).unwrap(), bytes)
}

/// Returns the full pages of all experts to which no token is routed, as offsets into the file.
fn unrouted_pages(file: &GgufFile, bytes: &[u8], routed: &[u64]) -> Vec<(usize, usize)> {
    let first_page = bytes.as_ptr().align_offset(PAGE);
    let mut pages = Vec::new();
    for t in file.view().tensors().filter(|t| t.name.ends_with("_exps.weight")) {
        let (start, end) = (t.range.start as usize, t.range.end as usize);
        let size = (end - start) / EXPERTS as usize;
        for e in (0..EXPERTS).filter(|e| !routed.contains(e)).map(|e| e as usize) {
            let (start, end) = (start + e * size, start + (e + 1) * size);
            let up = |at: usize| (at - first_page).next_multiple_of(PAGE) + first_page;
            let (start, end) = (up(start), up(end - PAGE + 1));
            assert!(start < end, "no whole page in expert {e} of {}", t.name);
            pages.push((start, end));
        }
    }
    pages
}

fn protect(bytes: &[u8], pages: &[(usize, usize)], protection: i32) {
    for (start, end) in pages {
        let at = bytes[*start..*end].as_ptr().cast_mut().cast();
        // SAFETY: These are full pages of an allocation that outlives the protection. Nothing reads them while it lasts; if something
        // does, the process dies, and that is what this test is for.
        let result = unsafe { libc::mprotect(at, end - start, protection) };
        assert_eq!(result, 0, "mprotect");
    }
}

#[test]
fn experts_that_no_token_is_routed_to_are_never_touched() {
    let cases = [
        ("F32", mixture(&plain), &ROUTED[..]),
        ("Q4_0", mixture(&q4_0), &ROUTED),
        ("beside a dense block", beside(0), &ENDS),
    ];
    for (name, (file, bytes), routed) in cases {
        let ids = tokens(41, 7);
        // a prompt, a few rows, one row
        let run = || {
            let mut r = Runner::new(&file, Kernels::detect().unwrap(), 2, KvType::F16, 4);
            let parts = [(&ids[..36], 0), (&ids[36..40], 36), (&ids[40..], 40)];
            parts.map(|(part, first)| bits(&r.logits(&batch(part, first, 0)).unwrap()))
        };
        let expected = run();
        let pages = unrouted_pages(&file, &bytes, routed);
        protect(&bytes, &pages, libc::PROT_NONE);
        let found = run();
        protect(&bytes, &pages, libc::PROT_READ | libc::PROT_WRITE);
        assert!(found == expected, "{name}");
    }
}

/// The per-layer table is the largest tensor of the Gemma 4 models for phones. A pass reads only its tokens' rows.
#[test]
fn per_layer_rows_of_other_tokens_are_never_touched() {
    let (file, bytes) = beside(1024);
    let ids: Vec<u32> = tokens(41, 7).into_iter().map(|id| if id % 2 == 0 { 5 } else { 70 }).collect();
    let run = || {
        let mut r = Runner::new(&file, Kernels::detect().unwrap(), 2, KvType::F16, 4);
        let parts = [(&ids[..36], 0), (&ids[36..40], 36), (&ids[40..], 40)];
        parts.map(|(part, first)| bits(&r.logits(&batch(part, first, 0)).unwrap()))
    };
    let expected = run();
    let table = file.view().tensors().find(|t| t.name == PER_LAYER).unwrap().range.clone();
    let (start, rows) = (table.start as usize, 96);
    let row = (table.end as usize - start) / rows;
    let first_page = bytes.as_ptr().align_offset(PAGE);
    let up = |at: usize| (at - first_page).next_multiple_of(PAGE) + first_page;
    // between the rows that are read
    let gaps = [(0, 5), (6, 70), (71, rows)];
    let pages = gaps.map(|(first, end)| (up(start + first * row), up(start + end * row - PAGE + 1)));
    assert!(pages.iter().all(|(start, end)| start < end), "{pages:?}");
    protect(&bytes, &pages, libc::PROT_NONE);
    let found = run();
    protect(&bytes, &pages, libc::PROT_READ | libc::PROT_WRITE);
    assert!(found == expected);
}
