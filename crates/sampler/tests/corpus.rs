//! The sampling corpus: results of llama.cpp for its own test cases and for random chains.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;

use happy_sampler::steps::{
    Dry, DynamicTemperature, LogitBias, MinP, Penalties, Temperature, TopK, TopNSigma, TopP, Typical, Xtc,
};
use happy_sampler::{Candidates, SamplerError, Step};
use serde_json::Value;

/// The corpus folder; without one, says so and fails under CI.
fn corpus() -> Option<PathBuf> {
    let root = match std::env::var_os("HAPPY_CONFORMANCE") {
        Some(dir) => PathBuf::from(dir),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/conformance"),
    };
    let dir = root.join("sampling");
    if dir.is_dir() {
        return Some(dir);
    }
    let note = format!("NOT RUN: the sampling corpus is absent ({}); set HAPPY_CONFORMANCE", dir.display());
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{note}");
    eprintln!("{note}");
    None
}

fn f(v: &Value) -> f32 {
    match v {
        Value::String(s) if s == "-inf" => f32::NEG_INFINITY,
        v => v.as_f64().unwrap_or_else(|| panic!("number expected, found {v}")) as f32,
    }
}

fn floats(v: &Value) -> Vec<f32> {
    v.as_array().unwrap().iter().map(f).collect()
}

fn ids(v: &Value) -> Vec<u32> {
    v.as_array().unwrap().iter().map(|x| x.as_u64().unwrap() as u32).collect()
}

/// The step of a corpus entry; `None` for a type this crate does not have. llama.cpp reads negative numbers as "off"
/// where this crate has unsigned or checked parameters.
fn step(s: &Value) -> Result<Option<Box<dyn Step>>, SamplerError> {
    let num = |key: &str| f(&s[key]);
    let count = |key: &str| s[key].as_i64().unwrap().max(0) as usize;
    Ok(Some(match s["type"].as_str().unwrap() {
        "top_k" => Box::new(TopK::new(count("k"))),
        "top_p" => Box::new(TopP::new(num("p"), count("min_keep"))?),
        "min_p" => Box::new(MinP::new(num("p"), count("min_keep"))?),
        "typical" => Box::new(Typical::new(num("p"), count("min_keep"))?),
        "temp" => Box::new(Temperature::new(num("t").max(0.0))?),
        "temp_ext" => Box::new(DynamicTemperature::new(num("t").max(0.0), num("delta"), num("exponent"))?),
        "xtc" => Box::new(Xtc::new(num("probability"), num("threshold"), count("min_keep"), 0)?),
        "top_n_sigma" => Box::new(TopNSigma::new(num("n").max(0.0))?),
        "penalties" => Box::new(Penalties::new(count("last_n"), num("repeat"), num("freq"), num("present"))?),
        "dry" => {
            let breakers = s["breakers"].as_array().unwrap().iter().map(ids);
            let (allowed, last_n) = (count("allowed_length"), count("last_n"));
            Box::new(Dry::new(num("multiplier"), num("base"), allowed, last_n, breakers)?)
        }
        "logit_bias" => {
            let pairs = s["bias"].as_array().unwrap().iter();
            Box::new(LogitBias::new(pairs.map(|b| (b[0].as_u64().unwrap() as u32, f(&b[1]))))?)
        }
        _ => return Ok(None),
    }))
}

#[derive(Default)]
struct Tally {
    passed: usize,
    failed: Vec<String>,
    unsupported: BTreeMap<String, usize>,
}

impl Tally {
    fn finish(self, corpus: &str) {
        let (failed, unsupported) = (self.failed.len(), self.unsupported.values().sum::<usize>());
        println!("{corpus}: {} passed, {failed} failed, {unsupported} unsupported", self.passed);
        for (name, n) in &self.unsupported {
            println!("  unsupported {name}: {n}");
        }
        assert!(self.passed > 0);
        assert!(self.failed.is_empty(), "{corpus}:\n{}", self.failed.join("\n"));
    }
}

/// Runs the steps of a case; the name of an unknown step otherwise. Beside the candidates: what the reference leaves
/// undefined, if anything (such a case counts as passed only if it agrees, and as unsupported otherwise).
///
/// llama.cpp's typical step computes p * ln(p) in f32 as NaN where p is 0 (a logit of -inf, or a p that underflows);
/// then every distance is NaN, and the result depends on how its std::sort permutes incomparable elements. Here p ln(p)
/// is 0, its limit.
fn run(logits: &[f32], case: &Value) -> Result<(Candidates, Option<&'static str>), String> {
    let mut c = Candidates::new();
    c.fill(logits).unwrap();
    let mut steps = Vec::new();
    for s in case["steps"].as_array().unwrap() {
        match step(s).unwrap_or_else(|e| panic!("{}: {e}", case["id"])) {
            Some(s) => steps.push(s),
            None => return Err(s["type"].to_string()),
        }
    }
    for t in ids(&case["history"]) {
        steps.iter_mut().for_each(|s| s.accept(t));
    }
    let types = case["steps"].as_array().unwrap().iter();
    let mut undefined = false;
    for (step, ty) in steps.iter_mut().zip(types) {
        if ty["type"] == "typical" && f(&ty["p"]) < 1.0 {
            c.softmax();
            undefined |= c.as_slice().iter().any(|x| x.p == 0.0);
        }
        step.apply(&mut c);
    }
    Ok((c, undefined.then_some("typical with p = 0 (NaN in the reference)")))
}

fn near(a: f32, b: f32, tolerance: f32) -> bool {
    a == b || (a - b).abs() <= tolerance * b.abs().max(1.0)
}

/// llama.cpp's `tests/test-sampling.cpp`: probabilities in its order.
#[test]
fn upstream_cases() {
    let Some(dir) = corpus() else { return };
    let cases: Vec<Value> =
        serde_json::from_slice(&std::fs::read(dir.join("upstream_cases.json")).unwrap()).unwrap();
    let mut tally = Tally::default();
    for case in &cases {
        let logits: Vec<f32> =
            floats(&case["probs"]).iter().map(|&p| libm::log(f64::from(p)) as f32).collect();
        let mut c = match run(&logits, case) {
            Ok((c, _)) => c,
            Err(name) => {
                *tally.unsupported.entry(name).or_default() += 1;
                continue;
            }
        };
        if case["softmax_after"] == true {
            c.softmax();
        } else if c.as_slice().iter().all(|x| x.p == 0.0) {
            // The step was off or did nothing: the input's probabilities.
            c.softmax();
        }
        let (expect, order) = (floats(&case["expect"]), ids(&case["expect_ids"]));
        let got = c.as_slice();
        let mut by_id: Vec<(u32, f32)> = got.iter().map(|x| (x.id, x.p)).collect();
        // llama.cpp leaves the list of dynamic temperature sorted in place of the ids; its test compares values only.
        if case["sampler"] == "temp_ext" {
            by_id.sort_by_key(|x| x.0);
        }
        let ok = by_id.len() == expect.len()
            && by_id.iter().zip(&order).zip(&expect).all(|((x, id), p)| x.0 == *id && near(x.1, *p, 1e-5));
        if ok {
            tally.passed += 1;
        } else {
            tally
                .failed
                .push(format!("{} {}: {by_id:?}, expected {order:?} {expect:?}", case["id"], case["steps"]));
        }
    }
    tally.finish("sampling/upstream_cases");
}

/// llama.cpp's queue test: which ids are left after each step of a chain over logit(i) = ln(i).
#[test]
fn upstream_queue() {
    let Some(dir) = corpus() else { return };
    let cases: Vec<Value> =
        serde_json::from_slice(&std::fs::read(dir.join("upstream_queue.json")).unwrap()).unwrap();
    let mut tally = Tally::default();
    for case in &cases {
        let n = case["n_vocab"].as_u64().unwrap();
        let logits: Vec<f32> = (0..n).map(|i| libm::log(i as f64) as f32).collect();
        let mut c = Candidates::new();
        c.fill(&logits).unwrap();
        let mut wrong = Vec::new();
        for after in case["after"].as_array().unwrap() {
            let mut s = step(&after["step"]).unwrap().unwrap();
            s.apply(&mut c);
            let mut left: Vec<u64> = c.iter().map(|x| u64::from(x.0)).collect();
            left.sort();
            let expect = ["size", "min_id", "max_id"].map(|k| after[k].as_u64().unwrap());
            let got = [left.len() as u64, left[0], *left.last().unwrap()];
            if got != expect || after["contiguous"] != (got[2] - got[1] + 1 == got[0]) {
                wrong.push(format!("{} {}: {got:?}, expected {expect:?}", case["id"], after["step"]));
            }
        }
        if wrong.is_empty() {
            tally.passed += 1;
        }
        tally.failed.append(&mut wrong);
    }
    tally.finish("sampling/upstream_queue");
}

/// Random logits and chains through llama.cpp.
#[test]
fn oracle_cases() {
    let Some(dir) = corpus() else { return };
    let mut text = String::new();
    let file = std::fs::File::open(dir.join("oracle_cases.jsonl.gz")).unwrap();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
    let mut tally = Tally::default();
    for line in text.lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let (mut c, undefined) = match run(&floats(&case["logits"]), &case) {
            Ok(x) => x,
            Err(name) => {
                *tally.unsupported.entry(name).or_default() += 1;
                continue;
            }
        };
        c.softmax();
        let mut got: Vec<(u32, f32, f32)> = c.as_slice().iter().map(|x| (x.id, x.logit, x.p)).collect();
        got.sort_by_key(|x| x.0);
        let (mut p, mut expect_p): (Vec<f32>, _) = (got.iter().map(|x| x.2).collect(), floats(&case["p"]));
        let ok = if case["ties"] == true {
            p.sort_by(f32::total_cmp);
            expect_p.sort_by(f32::total_cmp);
            true
        } else {
            let logits = floats(&case["out_logits"]);
            got.iter().map(|x| x.0).eq(ids(&case["ids"]))
                && got.iter().zip(logits).all(|(x, l)| near(x.1, l, 2e-5))
        };
        if ok && p.len() == expect_p.len() && p.iter().zip(&expect_p).all(|(a, b)| near(*a, *b, 1e-5)) {
            tally.passed += 1;
        } else if let Some(name) = undefined {
            *tally.unsupported.entry(format!("{} {name}", case["id"])).or_default() += 1;
        } else {
            tally.failed.push(format!(
                "{} {} {}\n  got {got:?}\n  ids {} logits {} p {}",
                case["id"], case["kind"], case["steps"], case["ids"], case["out_logits"], case["p"]
            ));
        }
    }
    tally.finish("sampling/oracle_cases");
}
