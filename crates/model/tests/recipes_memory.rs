//! For every recipe of a registered architecture: a sequence may be forked, shortened, taken back to a snapshot, exported and imported, or
//! shortened to any part of a speculative batch, and then goes on with the same bits as one that was computed in one piece.

mod common;

use std::collections::BTreeSet;
use std::mem::discriminant;
use std::ops::ControlFlow;
use std::sync::atomic::AtomicBool;

use common::{Runner, batch, bits, recipes};
use happy_gguf::GgufFile;
use happy_kernels::{Ctx, Kernels, MatMut};
use happy_model::spec::{AttentionSpec, LayerSpec};
use happy_model::{KvOptions, KvType, LayerHook, Model, ModelSpec, NoHook, arch};

/// The number of rows in a speculative batch.
const GUESSES: usize = 8;
/// The number of positions after which the sequences go different ways.
const HALF: usize = 24;

/// A model with the tokens of its recipe, and the logits of these tokens when they are computed in one piece.
struct Case<'a> {
    name: &'a str,
    file: GgufFile,
    tokens: Vec<u32>,
    expected: Vec<Vec<u32>>,
    failed: Vec<String>,
}

impl Case<'_> {
    fn runner(&self) -> Runner {
        let kernels = Kernels::detect().unwrap();
        let options = KvOptions::new(KvType::F32, 4, 128).with_batch(48).with_snapshots(8 << 20);
        let model = Model::load(&self.file, &kernels).unwrap();
        Runner::sized(model, kernels, 2, options.with_speculation(GUESSES))
    }

    /// Returns tokens other than those of the recipe.
    fn others(&self, n: usize) -> Vec<u32> {
        self.tokens.iter().rev().map(|token| token ^ 1).take(n).collect()
    }

    /// Computes the recipe's tokens after the first `len`, and checks their logits.
    fn goes_on(&mut self, r: &mut Runner, sequence: u32, len: usize, what: &str) {
        let found = r.logits(&batch(&self.tokens[len..], len as u32, sequence)).map(|rows| bits(&rows));
        if found.as_deref() != Ok(&self.expected[len..]) {
            self.failed.push(format!("{}: {what}", self.name));
        }
    }

    /// Computes the first tokens of the recipe.
    fn begin(&self, r: &mut Runner, sequence: u32, len: usize) {
        r.kv.clear(sequence).unwrap();
        r.logits(&batch(&self.tokens[..len], 0, sequence)).unwrap();
    }

    fn forks(&mut self) {
        let mut r = self.runner();
        self.begin(&mut r, 0, HALF);
        r.kv.fork(0, 1).unwrap();
        r.logits(&batch(&self.others(9), HALF as u32, 0)).unwrap();
        r.kv.fork(1, 2).unwrap();
        self.goes_on(&mut r, 1, HALF, "forked");
        r.kv.clear(1).unwrap();
        self.goes_on(&mut r, 2, HALF, "a fork of a fork");
    }

    fn shortens(&mut self) {
        let mut r = self.runner();
        for (wrong, len) in [(1, HALF), (20, HALF - 3), (20, 1), (3, 0)] {
            self.begin(&mut r, 0, HALF);
            r.logits(&batch(&self.others(wrong), HALF as u32, 0)).unwrap();
            let left = r.kv.truncate(0, len).unwrap();
            assert!(left <= len && left == r.kv.len(0), "{}", self.name);
            self.goes_on(&mut r, 0, left, &format!("shortened to {len}"));
        }
        // a snapshot, and a fork that goes back to it
        self.begin(&mut r, 0, HALF);
        r.kv.snapshot(0).unwrap();
        r.logits(&batch(&self.others(20), HALF as u32, 0)).unwrap();
        r.kv.fork(0, 1).unwrap();
        for sequence in [1, 0] {
            let left = r.kv.truncate(sequence, HALF + 7).unwrap();
            let left = r.kv.truncate(sequence, HALF.min(left)).unwrap();
            assert_eq!(left, HALF, "{}: the snapshot", self.name);
            self.goes_on(&mut r, sequence, left, "back to a snapshot");
        }
    }

    fn exports(&mut self) {
        let mut r = self.runner();
        for len in [HALF, 0, 1] {
            let (mut bytes, mut again) = (Vec::new(), Vec::new());
            self.begin(&mut r, 0, len.max(1));
            r.kv.truncate(0, len).unwrap();
            r.kv.export(0, &mut bytes).unwrap();
            // into a sequence that holds something else
            let mut other = self.runner();
            self.begin(&mut other, 2, HALF + 5);
            other.kv.import(2, &bytes).unwrap();
            other.kv.export(2, &mut again).unwrap();
            assert!(bytes == again && other.kv.len(2) == len, "{}: exported twice", self.name);
            self.goes_on(&mut other, 2, len, &format!("exported and imported after {len}"));
        }
    }

    /// A pass that a hook stops, a flag cancels or the cache has no room for leaves the sequence as it was.
    fn fails(&mut self) {
        struct Stop(usize);
        impl LayerHook for Stop {
            fn after_layer(&mut self, layer: usize, _: MatMut<'_>) -> ControlFlow<()> {
                if layer == self.0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            }
        }
        let mut r = self.runner();
        let rows = batch(&self.others(20), HALF as u32, 0);
        for layer in [0, r.model.n_layers() - 1] {
            self.begin(&mut r, 0, HALF);
            r.kv.fork(0, 1).unwrap();
            let (cx, cancelled) = (Ctx::new(&r.pool, &r.kernels), AtomicBool::new(true));
            let out = r.model.forward(cx, &rows, &mut r.kv, &mut r.scratch, &mut Stop(layer)).unwrap();
            assert_eq!(out.stopped(), Some(layer));
            let (kv, scratch) = (&mut r.kv, &mut r.scratch);
            assert!(r.model.forward_until(cx, &rows, kv, scratch, &mut NoHook, &cancelled).is_err());
            let refused = batch(&self.tokens.repeat(3)[..128 - HALF + 1], HALF as u32, 0);
            assert!(r.logits(&refused).is_err() && r.kv.len(0) == HALF, "{}", self.name);
            self.goes_on(&mut r, 0, HALF, &format!("stopped after layer {layer}"));
            self.goes_on(&mut r, 1, HALF, "a fork of it");
        }
    }

    /// Passes take snapshots of recurrent states at multiples of 256 positions, whatever their size.
    fn takes_snapshots(&mut self) {
        const N: usize = 560;
        let runner = || {
            let kernels = Kernels::detect().unwrap();
            let options = KvOptions::new(KvType::F32, 1, N).with_batch(200).with_snapshots(64 << 20);
            Runner::sized(Model::load(&self.file, &kernels).unwrap(), kernels, 2, options)
        };
        let ids: Vec<u32> = self.tokens.iter().cycle().take(N).copied().collect();
        let run = |r: &mut Runner, from: usize, piece: usize| -> Vec<Vec<u32>> {
            let pieces = (from..N).step_by(piece).map(|i| (i, &ids[i..(i + piece).min(N)]));
            pieces.flat_map(|(i, ids)| bits(&r.logits(&batch(ids, i as u32, 0)).unwrap())).collect()
        };
        let mut r = runner();
        if r.model.spec().layers.iter().all(|layer| layer.recurrent.is_none()) {
            return;
        }
        let expected = run(&mut r, 0, 200);
        for piece in [7, 200] {
            let mut r = runner();
            run(&mut r, 0, piece);
            for (len, left) in [(520, 512), (400, 256), (200, 0)] {
                assert_eq!(r.kv.truncate(0, len), Ok(left), "{}: pieces of {piece}", self.name);
                if run(&mut r, left, 200) != expected[left..] {
                    self.failed.push(format!("{}: from the snapshot at {left}", self.name));
                }
                r.kv.truncate(0, left).unwrap();
            }
        }
    }

    /// Any number of a speculative batch's rows can be kept.
    fn guesses(&mut self) {
        let mut r = self.runner();
        for first in [0, HALF] {
            for kept in (0..=GUESSES).filter(|kept| first > 0 || kept % 4 == 0) {
                r.kv.clear(0).unwrap();
                if first > 0 {
                    self.begin(&mut r, 0, first);
                }
                let mut guesses = self.tokens[first..first + kept].to_vec();
                guesses.extend(self.others(GUESSES - kept));
                let mut rows = batch(&guesses, first as u32, 0);
                rows.set_speculative(true);
                r.logits(&rows).unwrap();
                let len = first + kept;
                assert_eq!(r.kv.truncate(0, len), Ok(len), "{}", self.name);
                self.goes_on(&mut r, 0, len, &format!("{kept} guesses after {first}"));
            }
        }
    }
}

/// Returns, in words, the kinds of layers that decide what a model keeps in memory.
fn kinds(spec: &ModelSpec) -> BTreeSet<String> {
    let kind = |layer: &LayerSpec| {
        let kept = |a: &AttentionSpec| (a.window.is_some(), a.kv_from.is_some(), a.latent.is_some());
        let state = layer.recurrent.as_ref().map(|recurrent| discriminant(&recurrent.kind));
        format!("{:?} {state:?}", layer.attention.as_ref().map(kept))
    };
    spec.layers.iter().map(kind).collect()
}

/// Runs one recipe for each combination of kinds of layers; in a sweep or on an emulated machine, those of [`recipes::some`].
#[test]
fn every_recipe_goes_on_with_the_same_bits() {
    let (mut failed, mut compared) = (Vec::new(), 0);
    let all = happy_testkit::is_sweep() || std::env::var_os("HAPPY_RECIPES").is_some();
    let mut seen = BTreeSet::new();
    for recipe in recipes::some() {
        if !arch::registry().iter().any(|a| recipe["architecture"] == a.name()) {
            continue;
        }
        let tokens =
            recipe["tokens"].as_array().unwrap().iter().map(|t| t.as_u64().unwrap() as u32).collect();
        let mut case = Case {
            name: recipe["name"].as_str().unwrap(),
            file: recipes::build(&recipe),
            tokens,
            expected: Vec::new(),
            failed: Vec::new(),
        };
        // Models that don't load are for another test, and the cache keeps nothing of texts that are seen as a whole.
        let model = Model::load(&case.file, &Kernels::detect().unwrap());
        let mut wanted = |spec: &ModelSpec| !spec.whole_texts && (seen.insert(kinds(spec)) || all);
        if !model.is_ok_and(|model| wanted(model.spec())) {
            continue;
        }
        case.expected = bits(&case.runner().logits(&batch(&case.tokens, 0, 0)).unwrap());
        case.forks();
        case.shortens();
        case.exports();
        case.fails();
        case.guesses();
        case.takes_snapshots();
        failed.append(&mut case.failed);
        compared += 1;
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    println!("{compared} recipes");
    assert!(compared > 0, "no recipes");
}
