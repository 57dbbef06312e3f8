//! The models of the conformance recipes.

use std::collections::BTreeSet;

use happy_gguf::{GgmlType, GgufFile, GgufWriter, OwnedValue};
use happy_testkit::Corpus;
use happy_testkit::{le_bytes, uniform};
use serde_json::Value;

use super::parse;

/// Returns every recipe of the conformance data: of the full data if `HAPPY_CONFORMANCE` says where it is, otherwise of the selection in
/// the repository.
pub(crate) fn all() -> Vec<Value> {
    of("architectures")
}

/// Returns the recipes of embedding and ranking models whose architecture is registered.
pub(crate) fn embeddings() -> Vec<Value> {
    let mut recipes = of("embeddings");
    recipes.retain(|recipe| happy_model::arch::find(recipe["architecture"].as_str().unwrap()).is_some());
    recipes
}

/// Returns the models of the corpus `lora`, each with adapters for it.
pub(crate) fn adapters() -> Vec<(GgufFile, Vec<GgufFile>)> {
    let files = Corpus::full().unwrap_or_else(Corpus::repository);
    let (loras, models) = (files.open("lora").unwrap(), files.open("architectures").unwrap());
    let read = |files: &happy_testkit::Files, path: &str| -> Value {
        serde_json::from_slice(&files.bytes(path).unwrap()).unwrap()
    };
    let case = |path: &String| {
        let lora = read(&loras, path);
        let model = read(&models, &format!("{}.json", lora["base"].as_str().unwrap()));
        (build(&model), lora["adapters"].as_array().unwrap().iter().map(build).collect())
    };
    let paths = loras.list("").unwrap();
    paths.iter().filter(|path| path.ends_with(".json")).map(case).collect()
}

/// Returns the recipes of a corpus.
fn of(corpus: &str) -> Vec<Value> {
    let files = Corpus::full().unwrap_or_else(Corpus::repository).open(corpus).unwrap();
    let paths = files.list("").unwrap().into_iter().filter(|path| path.ends_with(".json"));
    let recipes = paths.map(|path| serde_json::from_slice(&files.bytes(&path).unwrap()).unwrap());
    recipes.filter(|recipe: &Value| recipe["architecture"].is_string()).collect()
}

/// Returns one recipe without experts and one with experts for each architecture. If `HAPPY_SWEEP` is set, as in the step `sweeps` of
/// `cargo xtask test --all`, returns all of them; on emulated machines, those that `HAPPY_RECIPES` lists, separated by commas.
pub(crate) fn some() -> Vec<Value> {
    if let Ok(names) = std::env::var("HAPPY_RECIPES") {
        return named(&names.split(',').collect::<Vec<_>>());
    }
    let mut recipes = all();
    if !happy_testkit::is_sweep() {
        let mut kinds = BTreeSet::new();
        recipes.retain(|recipe| {
            let mut keys = recipe["metadata"].as_array().unwrap().iter().filter_map(|pair| pair[0].as_str());
            let has_experts = keys.any(|key| key.ends_with(".expert_count"));
            kinds.insert((recipe["architecture"].to_string(), has_experts))
        });
    }
    recipes
}

/// Returns the recipes with these names.
pub(crate) fn named(names: &[&str]) -> Vec<Value> {
    let mut recipes = all();
    recipes.retain(|recipe| names.iter().any(|name| recipe["name"] == *name));
    assert_eq!(recipes.len(), names.len(), "recipes that are missing");
    recipes
}

fn kv(ty: &str, v: &Value) -> OwnedValue {
    let int = |v: &Value| v.as_i64().unwrap();
    let list = |v: &Value| v.as_array().unwrap().clone();
    match ty {
        "uint32" => (int(v) as u32).into(),
        "float32" => (v.as_f64().unwrap() as f32).into(),
        "bool" => v.as_bool().unwrap().into(),
        "string" => v.as_str().unwrap().into(),
        "array:string" => list(v).iter().map(|v| v.as_str().unwrap().to_owned()).collect::<Vec<_>>().into(),
        "array:bool" => list(v).iter().map(|v| v.as_bool().unwrap()).collect::<Vec<_>>().into(),
        "array:uint32" => list(v).iter().map(|v| int(v) as u32).collect::<Vec<_>>().into(),
        "array:int32" => list(v).iter().map(|v| int(v) as i32).collect::<Vec<_>>().into(),
        "array:uint64" => list(v).iter().map(|v| v.as_u64().unwrap()).collect::<Vec<_>>().into(),
        "array:float32" => list(v).iter().map(|v| v.as_f64().unwrap() as f32).collect::<Vec<_>>().into(),
        other => panic!("value type {other} in a recipe"),
    }
}

/// Builds the file that a recipe, or an adapter of a recipe, describes.
pub(crate) fn build(recipe: &Value) -> GgufFile {
    let mut w = GgufWriter::new();
    for pair in recipe["metadata"].as_array().unwrap() {
        w = w.kv(pair[0].as_str().unwrap(), kv(pair[1].as_str().unwrap(), &pair[2]));
    }
    let seed = recipe["seed"].as_u64().unwrap();
    for t in recipe["tensors"].as_array().unwrap() {
        let name = t["name"].as_str().unwrap();
        let dims: Vec<u64> = t["shape"].as_array().unwrap().iter().map(|d| d.as_u64().unwrap()).collect();
        let n = dims.iter().product::<u64>() as usize;
        if t["type"] == "I32" {
            w = w.tensor(name, GgmlType::I32, &dims, vec![0u8; 4 * n]);
            continue;
        }
        if t["fill"][0] == "values" {
            let values = t["fill"][1].as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32);
            w = w.tensor(name, GgmlType::F32, &dims, le_bytes(values));
            continue;
        }
        let number = |i: usize| t["fill"][i].as_f64().unwrap() as f32;
        let (offset, scale) = (number(1), number(2));
        let negative = t["fill"][0] == "neg_abs";
        let values = uniform(name, seed, n).map(|u| offset + scale * u);
        let values = values.map(|x| if negative { -x.abs() } else { x });
        w = w.tensor(name, GgmlType::F32, &dims, le_bytes(values));
    }
    parse(w.to_vec().unwrap())
}
