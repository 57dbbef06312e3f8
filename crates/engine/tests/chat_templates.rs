//! The chat template corpus: what Python's Jinja2 renders, byte for byte.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use happy_engine::chat::{ChatTemplate, LocalTime, TemplateError};
use serde_json::Value;

/// The corpus folder; without one, says so and fails under CI.
fn corpus() -> Option<PathBuf> {
    let root = match std::env::var_os("HAPPY_CONFORMANCE") {
        Some(dir) => PathBuf::from(dir),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/conformance"),
    };
    let dir = root.join("chat-templates");
    if dir.is_dir() {
        return Some(dir);
    }
    let note = format!("NOT RUN: the chat template corpus is absent ({}); set HAPPY_CONFORMANCE", dir.display());
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{note}");
    eprintln!("{note}");
    None
}

/// The moment at which the corpus froze its clock.
fn now() -> Option<LocalTime> {
    Some("2026-03-14T09:26:53".parse().unwrap())
}

#[derive(Default)]
struct Tally {
    passed: usize,
    failed: Vec<String>,
    /// Known to differ, by reason.
    unsupported: BTreeMap<&'static str, Vec<String>>,
    not_gated: usize,
}

impl Tally {
    fn finish(self, corpus: &str) {
        let unsupported: usize = self.unsupported.values().map(Vec::len).sum();
        let (passed, failed, not_gated) = (self.passed, self.failed.len(), self.not_gated);
        println!("{corpus}: {passed} passed, {failed} failed, {unsupported} unsupported, {not_gated} not gated");
        for (reason, names) in &self.unsupported {
            println!("  unsupported ({reason}): {}", names.join(", "));
        }
        assert!(passed > 0);
        assert!(self.failed.is_empty(), "{corpus}: {failed} failed\n{}", self.failed.join("\n"));
    }
}

/// Where two texts part, with some context.
fn difference(got: &str, expect: &str) -> String {
    let common = got.bytes().zip(expect.bytes()).take_while(|(a, b)| a == b).count();
    let tail = |s: &str| String::from_utf8_lossy(&s.as_bytes()[common.saturating_sub(30).min(s.len())..]).chars().take(120).collect::<String>();
    format!("at byte {common}:\n    got    {:?}\n    expect {:?}", tail(got), tail(expect))
}

fn source_of(dir: &Path, name: &Value) -> String {
    std::fs::read_to_string(dir.join("templates").join(format!("{}.jinja", name.as_str().unwrap()))).unwrap()
}

#[test]
fn renderings() {
    let Some(dir) = corpus() else { return };
    let mut text = String::new();
    let file = std::fs::File::open(dir.join("renderings.jsonl.gz")).unwrap();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
    let mut tally = Tally::default();
    let mut templates: BTreeMap<String, Result<ChatTemplate, TemplateError>> = BTreeMap::new();
    for line in text.lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let id = format!("{} {}", case["template"].as_str().unwrap(), case["conv"].as_str().unwrap());
        let template = templates
            .entry(case["template"].to_string())
            .or_insert_with(|| ChatTemplate::new(&source_of(&dir, &case["template"])));
        let got = template.as_ref().map_err(Clone::clone).and_then(|t| t.render_context(&case["vars"], now()));
        let error = &case["error"];
        if let Some(expect) = case["output"].as_str() {
            match got {
                Ok(got) if got == expect => tally.passed += 1,
                Ok(got) => tally.failed.push(format!("{id}: {}", difference(&got, expect))),
                Err(e) => tally.failed.push(format!("{id}: {e}")),
            }
        } else if error["kind"] == "raise" {
            match got {
                Err(TemplateError::Raised { message }) if error["message"] == message.as_str() => tally.passed += 1,
                other => tally.failed.push(format!("{id}: expected {error}, got {other:?}")),
            }
        } else {
            // A Python type or undefined error: an engine may be more lenient.
            tally.not_gated += 1;
        }
    }
    tally.finish("chat-templates/renderings");
}

#[test]
fn jinja_units() {
    let Some(dir) = corpus() else { return };
    let cases: Vec<Value> = serde_json::from_slice(&std::fs::read(dir.join("jinja_units.json")).unwrap()).unwrap();
    let mut tally = Tally::default();
    for case in &cases {
        let (source, expect) = (case["template"].as_str().unwrap(), case["expect"].as_str().unwrap());
        let id = format!("{} {:?} {source:?} {}", case["id"], case["name"].as_str().unwrap(), case["vars"]);
        match ChatTemplate::new(source).and_then(|t| t.render_context(&case["vars"], now())) {
            Ok(got) if got == expect => tally.passed += 1,
            Ok(got) => tally.failed.push(format!("{id}: {}", difference(&got, expect))),
            Err(e) => tally.failed.push(format!("{id}: {e}")),
        }
    }
    tally.finish("chat-templates/jinja_units");
}

#[test]
fn llama_cpp_cases() {
    let Some(dir) = corpus() else { return };
    let cases: Vec<Value> = serde_json::from_slice(&std::fs::read(dir.join("llama_cpp_cases.json")).unwrap()).unwrap();
    let mut tally = Tally::default();
    for case in &cases {
        // Where llama.cpp works around a template, what Jinja2 itself gives.
        let expect = match case["pure_jinja_agrees"] == true {
            true => &case["expected_jinja"],
            false => &case["pure_jinja_output"],
        };
        let Some(expect) = expect.as_str() else {
            tally.not_gated += 1;
            continue;
        };
        let template = ChatTemplate::new(&source_of(&dir, &case["template"]));
        match template.and_then(|t| t.render_context(&case["vars"], now())) {
            Ok(got) if got == expect => tally.passed += 1,
            Ok(got) => tally.failed.push(format!("{}: {}", case["name"], difference(&got, expect))),
            Err(e) => tally.failed.push(format!("{}: {e}", case["name"])),
        }
    }
    tally.finish("chat-templates/llama_cpp_cases");
}
