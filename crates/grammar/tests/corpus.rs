//! The conformance corpus: llama.cpp's grammars, with the strings that it accepts and rejects.

use happy_grammar::{Grammar, Limits, Reading, Recognizer, SchemaErrorKind};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// A file of the corpus; where it is absent the test says so, and fails under `CI=true`.
fn corpus(name: &str) -> Option<PathBuf> {
    let root = std::env::var_os("HAPPY_CONFORMANCE").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/conformance"),
        PathBuf::from,
    );
    let path = root.join("grammar").join(name);
    if path.exists() {
        return Some(path);
    }
    let why = format!("{} is missing (set HAPPY_CONFORMANCE)", path.display());
    assert!(std::env::var("CI").as_deref() != Ok("true"), "NOT RUN: {why}");
    eprintln!("NOT RUN: {why}");
    None
}

fn cases(name: &str) -> Vec<Value> {
    let Some(path) = corpus(name) else { return Vec::new() };
    let text = std::fs::read(path).expect("a readable file");
    let cases: Vec<Value> = serde_json::from_slice(&text).expect("a JSON array");
    assert!(!cases.is_empty(), "{name} is empty");
    cases
}

fn report(name: &str, checked: usize, failures: &[String]) {
    eprintln!("{name}: {checked} checked, {} failed", failures.len());
    assert!(failures.is_empty(), "{name}: {} of {checked} failed:\n{}", failures.len(), failures.join("\n"));
}

/// Whether a recognizer accepts a text, or a list of pieces and token ids.
fn accepts(recognizer: &mut Recognizer, text: &Value) -> bool {
    if let Some(text) = text.as_str() {
        return recognizer.accepts(text.as_bytes()).expect("within the limits");
    }
    recognizer.reset();
    for piece in text.as_array().expect("pieces") {
        let id = piece["token"].as_u64().map(|id| id as u32);
        let bytes = piece.as_str().unwrap_or("");
        recognizer.push_token(id, bytes.as_bytes()).expect("within the limits");
    }
    recognizer.is_complete()
}

/// Checks the strings of a case: how many, and what is wrong.
fn strings(case: &Value, grammar: &Grammar, what: &str, failures: &mut Vec<String>) -> usize {
    let mut recognizer = Recognizer::new(grammar).expect("a recognizer");
    let mut checked = 0;
    for (list, expected) in [("accept", true), ("reject", false)] {
        for text in case[list].as_array().into_iter().flatten() {
            checked += 1;
            if accepts(&mut recognizer, text) != expected {
                failures.push(format!("{what}: expected to {list} {text}"));
            }
        }
    }
    checked
}

#[test]
fn grammar_files() {
    let (mut checked, mut failures) = (0, Vec::new());
    for case in cases("grammar_files.json") {
        let name = case["grammar_file"].as_str().expect("a name");
        let text = std::fs::read_to_string(corpus(&format!("gbnf/{name}")).expect("a file")).expect("text");
        match Grammar::from_gbnf(&text) {
            Ok(grammar) => checked += strings(&case, &grammar, name, &mut failures),
            Err(error) => failures.push(format!("{name}: {error}")),
        }
    }
    report("grammar_files.json", checked, &failures);
}

#[test]
fn grammars_that_build_or_do_not() {
    let (mut checked, mut failures) = (0, Vec::new());
    for case in cases("parse.json") {
        let text = case["grammar"].as_str().expect("a grammar");
        for (root, builds) in case["builds_with_root"].as_object().expect("roots") {
            checked += 1;
            let built = Grammar::from_gbnf_with(text, root, &Limits::default());
            if built.is_ok() != builds.as_bool().expect("a bool") {
                failures
                    .push(format!("{text:?} with root {root}: expected {builds}, found {:?}", built.err()));
            }
        }
    }
    report("parse.json", checked, &failures);
}

#[test]
fn integration() {
    let (mut checked, mut failures) = (0, Vec::new());
    for case in cases("integration.json") {
        let what = case["desc"].as_str().unwrap_or_default();
        let built = match (case["grammar"].as_str(), case["schema"].as_str()) {
            (Some(text), _) => Grammar::from_gbnf(text).map_err(|e| e.to_string()),
            (None, Some(text)) => Grammar::from_json_schema(text).map_err(|e| e.to_string()),
            (None, None) => Err("neither a grammar nor a schema".to_owned()),
        };
        match built {
            Ok(grammar) => checked += strings(&case, &grammar, what, &mut failures),
            Err(error) => failures.push(format!("{what}: {error}")),
        }
    }
    report("integration.json", checked, &failures);
}

/// The text of a schema, which the corpus has as a text or as a value.
fn schema_text(case: &Value) -> String {
    case["schema"].as_str().map_or_else(|| case["schema"].to_string(), str::to_owned)
}

#[test]
fn schemas_that_build_or_do_not() {
    let (mut checked, mut failures) = (0, Vec::new());
    for case in cases("schema_to_gbnf.json") {
        checked += 1;
        let built = Grammar::from_json_schema(&schema_text(&case));
        if built.is_ok() != (case["status"] == "SUCCESS") {
            failures.push(format!("{}: expected {}, found {:?}", case["name"], case["status"], built.err()));
        }
        // llama.cpp's own text is a grammar like any other.
        if let Some(text) = case["expected_gbnf"].as_str().filter(|text| !text.trim().is_empty()) {
            checked += 1;
            if let Err(error) = Grammar::from_gbnf(text) {
                failures.push(format!("{}: its GBNF: {error}", case["name"]));
            }
        }
    }
    report("schema_to_gbnf.json", checked, &failures);
}

const READINGS: [Reading; 2] = [Reading::Writer, Reading::Specification];

#[test]
fn what_is_accepted_is_valid() {
    for reading in READINGS {
        instances(reading);
    }
}

fn instances(reading: Reading) {
    let (mut checked, mut valid, mut accepted, mut failures) = (0, 0, 0, Vec::new());
    for case in cases("schema_instances.json") {
        let grammar = match Grammar::from_json_schema_with(&schema_text(&case), reading, &Limits::default()) {
            Ok(grammar) => grammar,
            Err(error) => {
                failures.push(format!("{}: {error}", case["schema"]));
                continue;
            }
        };
        let mut recognizer = Recognizer::new(&grammar).expect("a recognizer");
        for instance in case["instances"].as_array().expect("instances") {
            let (found, is_valid) =
                (accepts(&mut recognizer, &instance["text"]), instance["jsonschema_valid"] == true);
            checked += 1;
            valid += usize::from(is_valid);
            accepted += usize::from(found && is_valid);
            if found && !is_valid {
                failures.push(format!("{}: accepts {}", case["schema"], instance["text"]));
            }
            if !found && is_valid && std::env::var_os("HAPPY_LIST_REFUSED").is_some() {
                eprintln!("{reading:?} refused: {} for {}", instance["text"], case["schema"]);
            }
        }
    }
    eprintln!("schema_instances.json, {reading:?}: {accepted} of {valid} valid texts accepted");
    report("schema_instances.json", checked, &failures);
}

#[test]
fn official_suite() {
    for reading in READINGS {
        suite(reading);
    }
}

fn suite(reading: Reading) {
    let (mut checked, mut refused, mut unsatisfiable, mut agree, mut valid, mut accepted) =
        (0, 0, 0, 0, 0, 0);
    let mut failures = Vec::new();
    for case in cases("json_schema_test_suite.json") {
        checked += 1;
        let is_valid = case["valid"] == true;
        valid += usize::from(is_valid);
        let grammar = match Grammar::from_json_schema_with(&schema_text(&case), reading, &Limits::default()) {
            Ok(grammar) => grammar,
            // A schema that no document satisfies is refused; then this one must not either.
            Err(error) if error.kind() == SchemaErrorKind::Unsatisfiable => {
                unsatisfiable += 1;
                agree += usize::from(!is_valid);
                if is_valid {
                    failures.push(format!("{}: {}: {error}", case["group"], case["schema"]));
                }
                continue;
            }
            Err(error) => {
                refused += 1;
                if std::env::var_os("HAPPY_LIST_REFUSED").is_some() {
                    eprintln!("{reading:?} schema refused: {error}: {}", case["schema"]);
                }
                continue;
            }
        };
        let mut recognizer = Recognizer::new(&grammar).expect("a recognizer");
        let found = recognizer.accepts(case["data"].to_string().as_bytes()).expect("within the limits");
        agree += usize::from(found == is_valid);
        accepted += usize::from(found && is_valid);
        if found && !is_valid {
            failures.push(format!("{}: {}: accepts {}", case["group"], case["schema"], case["data"]));
        }
        if !found && is_valid && std::env::var_os("HAPPY_LIST_REFUSED").is_some() {
            eprintln!("{reading:?} refused: {} for {}", case["data"], case["schema"]);
        }
    }
    eprintln!(
        "json_schema_test_suite.json, {reading:?}: {checked} cases, schema refused {refused}, unsatisfiable {unsatisfiable}, verdict \
         agrees {agree}, {accepted} of {valid} valid documents accepted"
    );
    report("json_schema_test_suite.json", checked, &failures);
}
