//! Real models: an answer, and logits with the bits of `fixtures/logits.txt`.
//!
//! They are where `cargo xtask fetch-models` puts them, or in `HAPPY_MODELS`; release builds only.

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use support::{have, output};

/// With the caller's environment, which says where models are.
fn run(args: &[&str]) -> Output {
    output(Command::new(env!("CARGO_BIN_EXE_happy")).args(args), b"")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn an_answer_does_not_depend_on_threads_and_batch() {
    if !have("smollm2") {
        return;
    }
    let question = "Answer in one word: what is the capital of France?";
    let answer = |more: &[&str]| {
        let fixed = ["run", "-m", "smollm2", "--temp", "0", "-n", "24", question];
        let done = run(&[&fixed, more].concat());
        (text(&done.stdout), text(&done.stderr))
    };
    let (first, stderr) = answer(&[]);
    assert!(first.contains("Paris"), "{first}{stderr}");
    assert_eq!(answer(&["-t", "1", "-b", "7"]).0, first);
}

#[test]
fn an_answer_matches_its_schema() {
    if !have("smollm2") {
        return;
    }
    let folder = support::Folder::new();
    let schema = folder.file(
        "city.json",
        r#"{"type": "object", "properties": {"city": {"type": "string", "maxLength": 40},
            "capital": {"type": "boolean"}}, "required": ["city", "capital"], "additionalProperties": false}"#,
    );
    let question = "Describe the city of Paris as JSON.";
    let done = run(&["run", "-m", "smollm2", "--temp", "0", "--json-schema", &schema, question]);
    let (answer, stderr) = (text(&done.stdout), text(&done.stderr));
    let value: serde_json::Value = serde_json::from_str(&answer).unwrap_or_default();
    assert!(value["city"].is_string() && value["capital"].is_boolean(), "{answer}{stderr}");
}

#[test]
fn every_step_is_that_of_the_fixtures() {
    let fixtures: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures");
    for model in ["smollm2", "gemma3"].into_iter().filter(|model| have(model)) {
        let against = fixtures.join(format!("verify-{model}.json")).display().to_string();
        let done = run(&["verify", model, "--against", &against, "--json", "-t", "1"]);
        assert_eq!(
            (text(&done.stdout).trim(), done.status.code()),
            ("{\"same\":true}", Some(0)),
            "{}",
            text(&done.stderr)
        );
        // a file in which one step has another hash
        let mut changed = std::fs::read_to_string(&against).expect("a fixture");
        let step = "[\"blk.3.ffn_down\",\"";
        let digit = changed.find(step).expect("a step") + step.len();
        let other = if changed[digit..].starts_with('0') { "1" } else { "0" };
        changed.replace_range(digit..digit + 1, other);
        let folder = support::Folder::new();
        let done = run(&["verify", model, "--against", &folder.file("changed.json", &changed), "--json"]);
        let (said, stderr) = (text(&done.stdout), text(&done.stderr));
        let value: serde_json::Value = serde_json::from_str(&said).unwrap_or_default();
        let told = (value["same"].as_bool(), value["part"].as_str(), value["name"].as_str());
        assert_eq!(told, (Some(false), Some("layer"), Some("blk.3.ffn_down")), "{said}{stderr}");
        assert!(value["kernel"].as_str().is_some_and(|kernel| kernel.starts_with("gemm_")), "{said}");
        assert_eq!(done.status.code(), Some(4), "{stderr}");
        assert!(stderr.contains("layer differs: blk.3.ffn_down"), "{stderr}");
    }
}

/// Quantized keys and values predict what those in f16 do. Each bound is twice what was measured over 765 tokens, which is what a cache
/// of f32 has too: any change in the last bit makes other activations round differently.
#[test]
fn a_quantized_cache_is_near_f16() {
    let text_file =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/numerics.md").display().to_string();
    for (model, most) in [("smollm2", 0.005), ("gemma3", 0.0085)] {
        if !have(model) {
            continue;
        }
        let folder = support::Folder::new();
        let base = folder.file("f16.base", "");
        let sizes = ["-m", model, "--chunks", "1"];
        let saved = ["perplexity", &text_file, "--ctx", "512", "--save-logits", &base, "--force"];
        let done = run(&[&saved[..], &sizes].concat());
        assert!(done.status.success(), "{}", text(&done.stderr));
        let done = run(&[&["kl", "--against", &base, "--kv", "q8_0", "--json"], &sizes[..]].concat());
        let value: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap_or_default();
        let (kl, tokens) = (value["kl_mean"].as_f64().unwrap_or(f64::NAN), value["tokens"].as_u64());
        assert!(kl > 0.0 && kl < most && tokens >= Some(200), "{model}: {value} {}", text(&done.stderr));
    }
}

#[test]
fn logits_have_the_bits_of_the_fixtures() {
    let fixtures: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures");
    let goldens = std::fs::read_to_string(fixtures.join("logits.txt")).expect("fixtures/logits.txt");
    let prompt = fixtures.join("prompt.txt").display().to_string();
    let lines: Vec<_> =
        goldens.lines().filter(|l| !l.starts_with('#')).filter_map(|l| l.split_once(' ')).collect();
    assert_eq!(lines.len(), 2);
    for (model, golden) in lines {
        if !have(model) {
            continue;
        }
        let variants: [&[&str]; 4] =
            [&["--isa", "scalar"], &[], &["-t", "3", "--chunk", "5"], &["--parallel", "4", "--chunk", "1"]];
        for variant in variants {
            let fixed = ["logits", "--full", "--sha256", "-m", model, "--tokens", &prompt];
            let done = run(&[&fixed, variant].concat());
            let found = text(&done.stdout);
            assert!(found.contains(golden), "{model} {variant:?}: {found}{}", text(&done.stderr));
        }
    }
}
