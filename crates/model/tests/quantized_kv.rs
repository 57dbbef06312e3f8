//! Quantized keys and values: close to those in f16 for every recipe that may have them, refused by name for others, and the same bits
//! whatever a sequence went through.

mod common;

use std::collections::BTreeSet;

use common::{Runner, batch, bits, recipes};
use happy_gguf::GgufFile;
use happy_kernels::{Isa, Kernels};
use happy_model::spec::FfnKind;
use happy_model::{KvError, KvOptions, KvType, Model, RunOptions};

fn tokens(recipe: &serde_json::Value) -> Vec<u32> {
    recipe["tokens"].as_array().unwrap().iter().map(|t| t.as_u64().unwrap() as u32).collect()
}

fn logits(file: &GgufFile, kind: KvType, ids: &[u32]) -> Vec<Vec<f32>> {
    let model = Model::load(file, &Kernels::detect().unwrap()).unwrap();
    Runner::of(model, Kernels::detect().unwrap(), 2, kind, 4).logits(&batch(ids, 0, 0)).unwrap()
}

/// Largest mean square of the differences of logits, as a part of that of the logits; the greatest that was measured is 1.0e-3. The
/// weights are random, so that logits have little to do with the input and errors weigh more than in real models.
const NMSE: f64 = 2e-3;
/// The same where errors grow: with experts, of which a small one may choose another, and with recurrent layers; measured: 1.4e-2.
const GROWING_NMSE: f64 = 3e-2;

/// Returns recipes whose attention has different metadata, or all of [`recipes::some`] in a sweep.
fn different() -> Vec<serde_json::Value> {
    let (mut recipes, mut seen) = (recipes::some(), BTreeSet::new());
    if !happy_testkit::is_sweep() {
        recipes.retain(|recipe| {
            let pairs = recipe["metadata"].as_array().unwrap().iter();
            let key = |pair: &serde_json::Value| {
                let name = pair[0].as_str()?.split_once('.')?.1;
                let sizes = ["attention.key_length", "attention.head_count_kv"].contains(&name);
                let value = if sizes { pair[2].to_string() } else { String::new() };
                (name.starts_with("attention.") || sizes).then(|| format!("{name} {value}"))
            };
            seen.insert(pairs.filter_map(key).collect::<Vec<_>>())
        });
    }
    recipes
}

#[test]
fn recipes_are_near_f16_or_refused_by_name() {
    let (mut failed, mut compared, mut refused, mut worst) = (Vec::new(), 0, 0, (0.0, String::new()));
    for recipe in different() {
        let (name, file) = (recipe["name"].as_str().unwrap(), recipes::build(&recipe));
        // Models that don't load are for another test.
        let Ok(model) = Model::load(&file, &Kernels::detect().unwrap()) else { continue };
        let spec = model.spec();
        if spec.whole_texts || spec.layers.iter().all(|layer| layer.attention.is_none()) {
            continue;
        }
        let options = KvOptions::new(KvType::Q8_0, 1, 64);
        let own = spec.attentions().filter(|a| a.kv_from.is_none());
        let fits =
            own.clone().all(|a| (a.head_dim_k | a.head_dim_v).is_multiple_of(32) && a.latent.is_none());
        if !fits {
            let error = model.kv_cache(options).err();
            if !matches!(error, Some(KvError::Quantized { architecture, .. }) if architecture == spec.architecture)
            {
                failed.push(format!("{name}: {error:?}"));
            }
            refused += 1;
            continue;
        }
        let run = RunOptions { n_batch: 8, n_outputs: 1, threads: 1, n_ctx: 64, adapter_rank: 0 };
        let bytes = |kind| model.plan(&KvOptions { kind, ..options }, &run).kv_bytes;
        if bytes(KvType::Q8_0) * 32 != bytes(KvType::F16) * 17 {
            failed.push(format!("{name}: {} bytes, f16 {}", bytes(KvType::Q8_0), bytes(KvType::F16)));
        }
        let ids = &tokens(&recipe)[..24];
        let [exact, found] = [KvType::F16, KvType::Q8_0].map(|kind| logits(&file, kind, ids));
        let (mut noise, mut signal) = (0.0, 0.0);
        for (x, y) in exact.iter().flatten().zip(found.iter().flatten()) {
            noise += (f64::from(*x) - f64::from(*y)).powi(2);
            signal += f64::from(*x).powi(2);
        }
        let nmse = noise / signal;
        if nmse > worst.0 {
            worst = (nmse, name.to_owned());
        }
        let growing = spec.ffns().any(|ffn| matches!(ffn.kind, FfnKind::Moe(_)))
            || spec.layers.iter().any(|layer| layer.recurrent.is_some());
        if nmse.is_nan() || nmse > if growing { GROWING_NMSE } else { NMSE } || nmse == 0.0 {
            failed.push(format!("{name}: {nmse:.2e}"));
        }
        compared += 1;
    }
    println!("{compared} recipes, {refused} refused, the greatest distance {:.2e}: {}", worst.0, worst.1);
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(compared > 0, "no recipes");
}

/// A plain recipe, one with windows, one whose layers share keys and values, and one with recurrent layers beside attention.
const KINDS: [&str; 4] = ["llama", "gemma3", "gemma3n", "lfm2"];

#[test]
fn a_sequence_keeps_its_bits() {
    let mut failed = Vec::new();
    for recipe in recipes::named(&KINDS) {
        let (name, file, ids) = (recipe["name"].as_str().unwrap(), recipes::build(&recipe), tokens(&recipe));
        let options = KvOptions::new(KvType::Q8_0, 4, 128).with_batch(48).with_snapshots(4 << 20);
        let runner = |kernels: Kernels, threads| {
            let model = Model::load(&file, &kernels).unwrap();
            Runner::sized(model, kernels, threads, options)
        };
        let best = || runner(Kernels::detect().unwrap(), 2);
        let expected = bits(&best().logits(&batch(&ids, 0, 0)).unwrap());
        let mut same = |what: String, first: usize, rows: &[Vec<f32>]| {
            if bits(rows) != expected[first..first + rows.len()] {
                failed.push(format!("{name}: {what}"));
            }
        };
        for isa in Isa::ALL {
            let Ok(kernels) = Kernels::with_isa(isa) else {
                println!("{isa}: skipped, this machine lacks it");
                continue;
            };
            let (mut r, mut rows) = (runner(kernels, 3), Vec::new());
            for (i, part) in ids.chunks(7).enumerate() {
                rows.extend(r.logits(&batch(part, 7 * i as u32, 0)).unwrap());
            }
            same(format!("{isa}, in pieces"), 0, &rows);
        }
        let half = ids.len() / 2;
        let mut r = best();
        r.logits(&batch(&ids[..half], 0, 0)).unwrap();
        r.kv.snapshot(0).unwrap();
        r.kv.fork(0, 1).unwrap();
        r.logits(&batch(&ids[..5], half as u32, 0)).unwrap();
        same("forked".into(), half, &r.logits(&batch(&ids[half..], half as u32, 1)).unwrap());
        assert_eq!(r.kv.truncate(0, half), Ok(half));
        let (mut whole, mut rows, mut other) = (Vec::new(), Vec::new(), best());
        r.kv.export(0, &mut whole).unwrap();
        same("shortened".into(), half, &r.logits(&batch(&ids[half..], half as u32, 0)).unwrap());
        // in one piece, and row by row
        other.kv.import(2, &whole).unwrap();
        let (state, mut restored) = (0..other.kv.state_bytes() / 4, best());
        let mut restore = restored.kv.restore(3, half).unwrap();
        for group in 0..other.kv.n_groups() {
            rows.clear();
            other.kv.export_rows(2, group, other.kv.needed_rows(group, half), &mut rows).unwrap();
            assert_eq!(rows.len(), other.kv.needed_rows(group, half).len() * other.kv.row_bytes(group));
            restore.rows(group, &rows).unwrap();
        }
        rows.clear();
        if !state.is_empty() {
            other.kv.export_state(2, half, state, &mut rows).unwrap();
        }
        if !rows.is_empty() {
            restore.state(&rows).unwrap();
        }
        restore.finish().unwrap();
        same("imported".into(), half, &other.logits(&batch(&ids[half..], half as u32, 2)).unwrap());
        same("restored".into(), half, &restored.logits(&batch(&ids[half..], half as u32, 3)).unwrap());
        let plain = KvOptions { kind: KvType::F16, ..options };
        let error = restored.model.kv_cache(plain).unwrap().import(0, &whole);
        assert_eq!(
            error,
            Err(KvError::Import { problem: "its keys and values have another type" }),
            "{name}"
        );
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// Bytes of rows are checked in pieces, which need not begin with a block.
#[test]
fn scales_that_are_not_finite_are_found_in_every_piece() {
    let mut rows: Vec<u8> = (0..5 * 34).map(|i| if i % 34 < 2 { 0x3b } else { 0xff }).collect();
    for first in 0..40 {
        assert!(KvType::Q8_0.are_finite(first as u64, &rows[first..]), "from {first}");
    }
    rows[3 * 34 + 1] = 0xfc;
    for first in 0..4 * 34 {
        let found = KvType::Q8_0.are_finite(first as u64, &rows[first..]);
        assert_eq!(found, first > 3 * 34 + 1, "from {first}");
    }
}

/// Heads of 16.
#[test]
fn a_model_with_small_heads_is_refused() {
    let model = Model::load(&common::small_llama(&common::plain), &Kernels::detect().unwrap()).unwrap();
    let error = model.kv_cache(KvOptions::new(KvType::Q8_0, 1, 64)).err().unwrap();
    let expected = "architecture `llama` can't have a kv cache of q8_0: layer 0: its heads are not a multiple of 32 wide; f16 and \
                    f32 are possible";
    assert_eq!(error.to_string(), expected);
}
