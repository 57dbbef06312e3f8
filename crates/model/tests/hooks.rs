//! Hooks, hidden states and cancellation.

mod common;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::atomic::AtomicBool;

use common::{Runner, batch, plain, q4_0, small_llama, tokens};
use happy_kernels::{Kernels, MatMut};
use happy_model::{Batch, ExpertInput, ForwardError, KvType, LayerHook, NoHook, Value, Want};

fn runner() -> Runner {
    Runner::new(&small_llama(&q4_0), Kernels::detect().unwrap(), 2, KvType::F32, 4)
}

/// A hook that copies what it sees, and may stop the pass.
#[derive(Default)]
struct Tap {
    seen: Vec<Vec<Vec<f32>>>,
    stop_after: Option<usize>,
}

impl LayerHook for Tap {
    fn after_layer(&mut self, layer: usize, hidden: MatMut<'_>) -> ControlFlow<()> {
        assert_eq!(layer, self.seen.len());
        self.seen.push((0..hidden.rows()).map(|i| hidden.row(i).to_vec()).collect());
        if self.stop_after == Some(layer) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

fn wants(ids: &[u32]) -> Batch {
    let mut b = Batch::with_capacity(ids.len());
    for (i, t) in ids.iter().enumerate() {
        let want = [Want::Nothing, Want::Hidden, Want::Logits][i % 3];
        b.push(*t, i as u32, 0, want).unwrap();
    }
    b
}

#[test]
fn a_tap_sees_every_row_of_every_layer() {
    let ids = tokens(20, 1);
    let mut r = runner();
    let (cx, mut tap) = (happy_kernels::Ctx::new(&r.pool, &r.kernels), Tap::default());
    let b = wants(&ids);
    let out = r.model.forward(cx, &b, &mut r.kv, &mut r.scratch, &mut tap).unwrap();
    assert_eq!(tap.seen.iter().map(Vec::len).collect::<Vec<_>>(), [20, 20]);
    assert_eq!(out.logits_indices().collect::<Vec<_>>(), [2, 5, 8, 11, 14, 17]);
    let with_tap: Vec<_> =
        (0..20).map(|i| (out.logits(i).map(<[f32]>::to_vec), out.hidden(i).map(<[f32]>::to_vec))).collect();
    for (i, (logits, hidden)) in with_tap.iter().enumerate() {
        assert_eq!((logits.is_some(), hidden.is_some()), (i % 3 == 2, i % 3 != 0), "{i}");
    }
    // without the tap, the last layer leaves out rows of which nothing is wanted, with the same results
    let mut r = runner();
    let cx = happy_kernels::Ctx::new(&r.pool, &r.kernels);
    let out = r.model.forward(cx, &b, &mut r.kv, &mut r.scratch, &mut NoHook).unwrap();
    let without: Vec<_> =
        (0..20).map(|i| (out.logits(i).map(<[f32]>::to_vec), out.hidden(i).map(<[f32]>::to_vec))).collect();
    assert_eq!(with_tap, without);
    assert_eq!((out.stopped(), out.logits(20), out.hidden(usize::MAX)), (None, None, None));
}

/// A hook that keeps the names and values of every step.
#[derive(Default)]
struct Steps(Vec<(Option<usize>, &'static str, Vec<u32>)>);

impl LayerHook for Steps {
    fn after_layer(&mut self, _: usize, _: MatMut<'_>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn sees_values(&self) -> bool {
        true
    }

    fn on_value(&mut self, value: &Value<'_>) {
        let rows = (0..value.rows.rows()).flat_map(|i| value.rows.row(i));
        self.0.push((value.layer, value.name, rows.map(|x| x.to_bits()).collect()));
    }
}

#[test]
fn a_hook_sees_every_step_in_order() {
    let ids = tokens(9, 1);
    let seen = |kernels, threads| {
        let mut r = Runner::new(&small_llama(&q4_0), kernels, threads, KvType::F32, 4);
        let (cx, mut steps) = (happy_kernels::Ctx::new(&r.pool, &r.kernels), Steps::default());
        let b = wants(&ids);
        let out = r.model.forward(cx, &b, &mut r.kv, &mut r.scratch, &mut steps).unwrap();
        (steps.0, out.logits(8).map(<[f32]>::to_vec))
    };
    let (steps, logits) = seen(Kernels::detect().unwrap(), 2);
    assert_eq!(seen(Kernels::scalar(), 1), (steps.clone(), logits.clone()));
    let layer = [
        "attn_norm",
        "attn_q",
        "attn_k",
        "attn_v",
        "attn_q_rope",
        "attn_k_rope",
        "attn",
        "attn_output",
        "ffn_input",
        "ffn_norm",
        "ffn_up",
        "ffn_down",
        "layer_output",
    ];
    let layers = [0, 1].into_iter().flat_map(|i| layer.map(|name| (Some(i), name)));
    let ends = [(None, "output_norm"), (None, "output_norm"), (None, "output")];
    let expected: Vec<_> =
        [(None, "token_embd"), (None, "rope")].into_iter().chain(layers).chain(ends).collect();
    assert_eq!(steps.iter().map(|(layer, name, _)| (*layer, *name)).collect::<Vec<_>>(), expected);
    let rows = steps.last().map(|(.., rows)| rows.clone()).unwrap();
    let last = rows.len() / 3 * 2;
    assert_eq!(rows[last..], logits.unwrap().iter().map(|x| x.to_bits()).collect::<Vec<_>>());
}

type Rows = Vec<Vec<f32>>;

/// A hook that keeps what mixtures read, and what their experts are multiplied with.
#[derive(Default)]
struct Experts {
    read: BTreeMap<usize, Rows>,
    inputs: BTreeMap<(usize, &'static str, usize), Rows>,
}

impl LayerHook for Experts {
    fn after_layer(&mut self, _: usize, _: MatMut<'_>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn sees_values(&self) -> bool {
        true
    }

    fn on_value(&mut self, value: &Value<'_>) {
        if let Some(layer) = value.layer.filter(|_| value.name == "ffn_norm") {
            let rows = (0..value.rows.rows()).map(|i| value.rows.row(i).to_vec());
            self.read.entry(layer).or_default().extend(rows);
        }
    }

    fn sees_expert_inputs(&self) -> bool {
        true
    }

    fn on_expert_input(&mut self, input: &ExpertInput<'_>) {
        let rows = (0..input.rows.rows()).map(|i| input.rows.row(i).to_vec());
        self.inputs.entry((input.layer, input.matrix, input.expert)).or_default().extend(rows);
    }
}

/// Which tokens chose an expert, and what its last matrix reads, against plain loops over the tensors.
#[test]
fn a_hook_sees_what_experts_read() {
    let file = common::recipes::build(&common::recipes::named(&["qwen2moe-moe-experts8"])[0]);
    let (n_embd, n_ff, n_shared, n_experts, ids) = (256, 384, 192, 8, tokens(24, 1));
    let seen = |at_once: usize| {
        let mut r = Runner::new(&file, Kernels::detect().unwrap(), 2, KvType::F32, 4);
        let (cx, mut hook) = (happy_kernels::Ctx::new(&r.pool, &r.kernels), Experts::default());
        for (i, ids) in ids.chunks(at_once).enumerate() {
            let b = batch(ids, (i * at_once) as u32, 0);
            r.model.forward(cx, &b, &mut r.kv, &mut r.scratch, &mut hook).unwrap();
        }
        hook
    };
    let hook = seen(24);
    // A single row takes another path through its experts.
    let alone = seen(1);
    assert!(hook.inputs == alone.inputs && hook.read == alone.read);

    let view = file.view();
    let tensor = |layer: usize, part: &str| -> Vec<f32> {
        let tensor = view.tensor(&format!("blk.{layer}.{part}.weight")).unwrap();
        let bytes = view.data(&tensor).unwrap();
        bytes.as_chunks::<4>().0.iter().map(|word| f32::from_le_bytes(*word)).collect()
    };
    let dot = |w: &[f32], x: &[f32]| w.iter().zip(x).map(|(w, x)| f64::from(w * x)).sum::<f64>();
    let inner = |gate: &[f32], up: &[f32], x: &[f32]| -> Vec<f64> {
        let rows = gate.chunks_exact(n_embd).zip(up.chunks_exact(n_embd));
        rows.map(|(g, u)| (dot(g, x), dot(u, x))).map(|(g, u)| g / (1.0 + libm::exp(-g)) * u).collect()
    };
    let is_close = |found: &[f32], expected: &[f64]| {
        found.len() == expected.len()
            && found.iter().zip(expected).all(|(a, b)| (f64::from(*a) - b).abs() < 1e-4 * (1.0 + b.abs()))
    };
    let mut chosen = 0;
    for layer in 0..2 {
        let read = &hook.read[&layer];
        let [router, gate, up] =
            ["ffn_gate_inp", "ffn_gate_exps", "ffn_up_exps"].map(|part| tensor(layer, part));
        let mut expected: BTreeMap<usize, Rows> = BTreeMap::new();
        for x in read {
            let mut scores: Vec<(f64, usize)> =
                router.chunks_exact(n_embd).map(|w| dot(w, x)).zip(0..n_experts).collect();
            scores.sort_by(|a, b| b.0.total_cmp(&a.0));
            scores[..2].iter().for_each(|(_, expert)| expected.entry(*expert).or_default().push(x.clone()));
        }
        for expert in 0..n_experts {
            let rows = |matrix| hook.inputs.get(&(layer, matrix, expert));
            assert_eq!(rows("ffn_up_exps"), expected.get(&expert), "layer {layer}, expert {expert}");
            let all = n_ff * n_embd;
            let [gate, up] = [&gate, &up].map(|w| &w[expert * all..(expert + 1) * all]);
            for (x, found) in
                expected.get(&expert).into_iter().flatten().zip(rows("ffn_down_exps").into_iter().flatten())
            {
                assert!(is_close(found, &inner(gate, up, x)), "layer {layer}, expert {expert}");
                chosen += 1;
            }
        }
        let [gate, up] = ["ffn_gate_shexp", "ffn_up_shexp"].map(|part| tensor(layer, part));
        assert_eq!((&hook.inputs[&(layer, "ffn_up_shexp", 0)], gate.len()), (read, n_shared * n_embd));
        for (x, found) in read.iter().zip(&hook.inputs[&(layer, "ffn_down_shexp", 0)]) {
            assert!(is_close(found, &inner(&gate, &up, x)), "layer {layer}");
        }
    }
    assert_eq!(chosen, 2 * 24 * 2);
}

#[test]
fn a_hook_stops_with_hidden_states() {
    let ids = tokens(20, 1);
    let mut r = runner();
    let cx = happy_kernels::Ctx::new(&r.pool, &r.kernels);
    let mut tap = Tap { stop_after: Some(0), ..Tap::default() };
    let out = r.model.forward(cx, &wants(&ids), &mut r.kv, &mut r.scratch, &mut tap).unwrap();
    assert_eq!((out.stopped(), out.logits(2)), (Some(0), None));
    for i in (1..20).step_by(3) {
        assert_eq!(out.hidden(i), Some(&tap.seen[0][i][..]));
    }
    assert_eq!((r.kv.len(0), r.kv.free_pages()), (0, 4));
    assert!(r.logits(&batch(&ids, 0, 0)).is_ok(), "the cache goes on");
}

#[test]
fn a_hook_can_steer() {
    struct Zero;
    impl LayerHook for Zero {
        fn after_layer(&mut self, layer: usize, mut hidden: MatMut<'_>) -> ControlFlow<()> {
            for i in 0..hidden.rows() {
                hidden.row_mut(i).fill(if layer == 0 { 0.0 } else { f32::INFINITY });
            }
            ControlFlow::Continue(())
        }
        fn all_rows(&self) -> bool {
            false
        }
    }
    let mut r = Runner::new(&small_llama(&plain), Kernels::detect().unwrap(), 1, KvType::F32, 4);
    let cx = happy_kernels::Ctx::new(&r.pool, &r.kernels);
    let found = r.model.forward(cx, &batch(&[1, 2], 0, 0), &mut r.kv, &mut r.scratch, &mut Zero).map(|_| ());
    assert_eq!(found, Err(ForwardError::NonFinite { layer: 2 }), "infinite hidden states give no logits");
}

#[test]
fn a_cancelled_pass_leaves_the_cache_as_it_was() {
    /// Sets the flag during the first layer.
    struct Cancel<'a>(&'a AtomicBool);
    impl LayerHook for Cancel<'_> {
        fn after_layer(&mut self, layer: usize, _hidden: MatMut<'_>) -> ControlFlow<()> {
            assert_eq!(layer, 0);
            self.0.store(true, std::sync::atomic::Ordering::Relaxed);
            ControlFlow::Continue(())
        }
    }
    let mut r = runner();
    let expected = runner().logits(&batch(&tokens(80, 1), 0, 0)).unwrap();
    let flag = AtomicBool::new(false);
    let cx = happy_kernels::Ctx::new(&r.pool, &r.kernels);
    let b = batch(&tokens(70, 9), 0, 0);
    let found =
        r.model.forward_until(cx, &b, &mut r.kv, &mut r.scratch, &mut Cancel(&flag), &flag).map(|_| ());
    assert_eq!(found, Err(ForwardError::Cancelled));
    assert_eq!((r.kv.len(0), r.kv.free_pages()), (0, 4));
    assert!(r.logits(&batch(&tokens(80, 1), 0, 0)) == Ok(expected));
}
