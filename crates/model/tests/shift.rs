//! Positions that are dropped in the middle of a sequence: what follows moves to their places.

mod common;

use common::{Runner, batch, bits, recipes};
use happy_kernels::{Ctx, Kernels};
use happy_model::{KV_PAGE, KvError, KvOptions, KvType, Model};
use serde_json::{Value, json};

const N_CTX: usize = 512;

fn ids() -> Vec<u32> {
    (0..N_CTX as u32).map(|i| (i * 7 + i * i / 5) % 64).collect()
}

fn runner(recipe: &Value, kind: KvType, change: impl Fn(KvOptions) -> KvOptions) -> Runner {
    let kernels = Kernels::detect().unwrap();
    let model = Model::load(&recipes::build(recipe), &kernels).unwrap();
    Runner::sized(model, kernels, 2, change(KvOptions::new(kind, 2, N_CTX).with_batch(200)))
}

fn compute(r: &mut Runner, sequence: u32, ids: &[u32]) {
    for (i, piece) in ids.chunks(200).enumerate() {
        r.logits(&batch(piece, 200 * i as u32, sequence)).unwrap();
    }
}

fn shift(r: &mut Runner, sequence: u32) -> Result<usize, KvError> {
    let Runner { model, kernels, pool, kv, scratch } = r;
    model.shift(Ctx::new(pool, kernels), kv, scratch, sequence)
}

/// The logits after one more token.
fn next(r: &mut Runner, sequence: u32) -> Vec<f32> {
    let len = r.kv.len(sequence) as u32;
    r.logits(&batch(&[5], len, sequence)).unwrap().remove(0)
}

/// Models of each kind of rotation, window and sharing. If `HAPPY_SWEEP` is set, all without experts and recurrent layers, and each of their
/// layers.
const KINDS: [&str; 4] = ["llama", "gemma3", "gemma3n", "gemma4-e2b"];

fn models() -> Vec<Value> {
    if !happy_testkit::is_sweep() {
        return recipes::named(&KINDS);
    }
    let mut all = recipes::all();
    all.retain(|recipe| {
        let known = happy_model::arch::find(recipe["architecture"].as_str().unwrap()).is_some();
        known && !recipe["name"].as_str().unwrap().contains("moe")
    });
    all
}

/// The recipe with attention in this layer alone, so that no layer's keys and values depend on more than their own token.
fn alone(recipe: &Value, layer: usize) -> Value {
    let mut recipe = recipe.clone();
    let own = format!("blk.{layer}.");
    for tensor in recipe["tensors"].as_array_mut().unwrap() {
        let name = tensor["name"].as_str().unwrap();
        if name.ends_with(".attn_output.weight") && !name.starts_with(&own) {
            tensor["fill"] = json!(["uniform", 0.0, 0.0]);
        }
    }
    recipe
}

/// Where keys and values depend on nothing but their token, the logits are those of the tokens that are left, but for rounding.
#[test]
fn what_is_left_is_where_it_would_be_without_the_dropped() {
    let (mut n, mut failed) = (0, Vec::new());
    for recipe in models() {
        let kernels = Kernels::detect().unwrap();
        let model = Model::load(&recipes::build(&recipe), &kernels).unwrap();
        let spec = model.spec();
        let refused = model.check_shift(KvType::F32).is_err();
        if spec.whole_texts || refused || spec.layers.iter().any(|layer| layer.recurrent.is_some()) {
            continue;
        }
        let mut layers: Vec<usize> =
            (0..spec.layers.len()).filter(|layer| spec.layers[*layer].attention.is_some()).collect();
        if !happy_testkit::is_sweep() {
            layers.drain(1..layers.len() - 1);
        }
        for layer in layers {
            for (kind, most) in [(KvType::F32, 1e-8), (KvType::F16, 1e-4)] {
                let mut r = runner(&alone(&recipe, layer), kind, |options| options);
                compute(&mut r, 0, &ids());
                let dropped = shift(&mut r, 0).unwrap();
                let end = KV_PAGE + dropped;
                assert_eq!((dropped, r.kv.len(0)), (4 * KV_PAGE, N_CTX - dropped), "{}", recipe["name"]);
                compute(&mut r, 1, &[&ids()[..KV_PAGE], &ids()[end..]].concat());
                let (found, expected) = (next(&mut r, 0), next(&mut r, 1));
                let square = |values: &mut dyn Iterator<Item = f32>| -> f64 {
                    values.map(|x| f64::from(x) * f64::from(x)).sum()
                };
                let error = square(&mut found.iter().zip(&expected).map(|(a, b)| a - b))
                    / square(&mut expected.iter().copied());
                if error.is_nan() || error > most {
                    failed.push(format!("{}, layer {layer}, {}: {error:e}", recipe["name"], kind.name()));
                }
            }
        }
        n += 1;
    }
    assert!(n >= KINDS.len() && failed.is_empty(), "{n} models: {failed:#?}");
}

/// A context that is full again and again. The same steps give the same bits, also in states and windows; another sequence that shares
/// pages keeps its own.
#[test]
fn a_sequence_goes_on_for_long_and_others_stay() {
    for name in ["llama", "gemma3", "lfm2", "qwen35", "mamba2"] {
        let recipe = recipes::named(&[name]).remove(0);
        let long = |r: &mut Runner| {
            compute(r, 0, &ids());
            r.kv.fork(0, 1).unwrap();
            let mut all = Vec::new();
            for i in 0..600u32 {
                if r.kv.len(0) == N_CTX {
                    let dropped = shift(r, 0).unwrap();
                    assert!(dropped > 0 && r.kv.len(0) == N_CTX - dropped, "{name}: {dropped}");
                }
                let len = r.kv.len(0) as u32;
                let logits = r.logits(&batch(&[i * 11 % 64], len, 0)).unwrap();
                all.push(bits(&logits).remove(0));
            }
            all
        };
        let more = |options: KvOptions| KvOptions { n_ctx: N_CTX, n_pages: 40, ..options };
        let mut r = runner(&recipe, KvType::F16, more);
        let first = long(&mut r);
        // The fork sees what it saw before: one position less, since its context is full.
        let len = r.kv.truncate(1, N_CTX - 1).unwrap();
        compute_rest(&mut r, 1, len, N_CTX - 1);
        let kept = next(&mut r, 1);
        let mut fresh = runner(&recipe, KvType::F16, more);
        compute(&mut fresh, 0, &ids()[..N_CTX - 1]);
        assert!(next(&mut fresh, 0) == kept, "{name}");
        fresh.kv.clear(0).unwrap();
        assert!(long(&mut fresh) == first, "{name}");
        // Nothing is left behind.
        for sequence in [0, 1] {
            fresh.kv.clear(sequence).unwrap();
        }
        fresh.kv.drop_snapshots();
        assert_eq!(fresh.kv.resident_bytes(), 0, "{name}");
    }
}

/// Computes positions `from .. to` of a sequence again.
fn compute_rest(r: &mut Runner, sequence: u32, from: usize, to: usize) {
    for first in (from..to).step_by(200) {
        let piece = &ids()[first..to.min(first + 200)];
        r.logits(&batch(piece, first as u32, sequence)).unwrap();
    }
}

#[test]
fn what_cannot_be_moved_is_refused_and_stays() {
    let refused = |name: &str, kind: KvType, part: &str| {
        let recipe = recipes::named(&[name]).remove(0);
        let model = Model::load(&recipes::build(&recipe), &Kernels::detect().unwrap()).unwrap();
        let error = model.check_shift(kind).unwrap_err();
        assert!(matches!(error, KvError::Shift { .. }) && error.to_string().contains(part), "{error}");
    };
    refused("deepseek2-moe", KvType::F16, "latent");
    refused("llama4-moe", KvType::F16, "chunks");
    refused("llama", KvType::Q8_0, "q8_0");

    // Pages that another sequence shares, and no free page for a copy.
    let recipe = recipes::named(&["llama"]).remove(0);
    let mut r = runner(&recipe, KvType::F16, |options| KvOptions { n_pages: N_CTX / KV_PAGE, ..options });
    compute(&mut r, 0, &ids());
    r.kv.fork(0, 1).unwrap();
    assert!(matches!(shift(&mut r, 0), Err(KvError::Full { needed: 3, free: 0, .. })));
    assert_eq!(r.kv.len(0), N_CTX);
    r.kv.clear(1).unwrap();
    assert_eq!(shift(&mut r, 0), Ok(4 * KV_PAGE));
    // Too few positions: none of two pages, one of three.
    for (len, dropped) in [(0, 0), (KV_PAGE, 0), (2 * KV_PAGE - 1, 0), (2 * KV_PAGE, KV_PAGE)] {
        r.kv.clear(0).unwrap();
        compute(&mut r, 0, &ids()[..len]);
        assert_eq!(shift(&mut r, 0), Ok(dropped), "{len}");
    }
    assert!(matches!(shift(&mut r, 7), Err(KvError::Sequence { .. })));
}
