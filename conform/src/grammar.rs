//! Corpus `grammar`: llama.cpp's grammars and schemas with strings that they accept and reject, and the official test
//! suite of JSON Schema. A text that a grammar accepts must be valid. Not accepting a valid text is allowed, and
//! counted.

use crate::data;
use crate::report::{Report, Verdict};
use happy_grammar::{Grammar, Limits, Reading, Recognizer, SchemaError, SchemaErrorKind};
use happy_testkit::{Corpus, Files};
use serde_json::Value;

pub(crate) fn run(corpus: &Corpus, report: &mut Report) -> Result<(), String> {
    let files = corpus.open("grammar")?;
    for case in data::json::<Vec<Value>>(&files, "grammar_files.json")? {
        let name = text(&case["grammar_file"]);
        let source = files.text(&format!("gbnf/{name}"))?;
        strings(name, &case, Grammar::from_gbnf(&source).map_err(|e| e.to_string()), report);
    }
    for case in data::json::<Vec<Value>>(&files, "integration.json")? {
        let grammar = match case["grammar"].as_str() {
            Some(source) => Grammar::from_gbnf(source).map_err(|e| e.to_string()),
            None => Grammar::from_json_schema(&schema(&case)).map_err(|e| e.to_string()),
        };
        strings(text(&case["desc"]), &case, grammar, report);
    }
    for case in data::json::<Vec<Value>>(&files, "parse.json")? {
        for (root, builds) in
            case["builds_with_root"].as_object().ok_or("parse.json: a case without roots")?
        {
            let built = Grammar::from_gbnf_with(text(&case["grammar"]), root, &Limits::default());
            report.holds(1);
            builds_as(
                &case["grammar"].to_string(),
                *builds == true,
                built.map_err(|e| e.to_string()),
                report,
            );
        }
    }
    for case in data::json::<Vec<Value>>(&files, "schema_to_gbnf.json")? {
        report.holds(1);
        let built = Grammar::from_json_schema(&schema(&case)).map_err(|e| e.to_string());
        builds_as(text(&case["name"]), case["status"] == "SUCCESS", built, report);
        // llama.cpp's own text is a grammar like any other.
        if let Some(source) = case["expected_gbnf"].as_str().filter(|source| !source.trim().is_empty()) {
            report.holds(1);
            let built = Grammar::from_gbnf(source).map_err(|e| e.to_string());
            builds_as(&format!("{}: its GBNF", text(&case["name"])), true, built, report);
        }
    }
    instances(&files, report)?;
    suite(&files, report)
}

/// Returns a text, or an empty one.
fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Returns a list that a case must have.
fn list<'a>(case: &'a Value, key: &str) -> Result<&'a Vec<Value>, String> {
    case[key].as_array().ok_or_else(|| format!("a case without the list `{key}`: {case}"))
}

/// Returns a case's schema, which the corpus stores as a text or as a value.
fn schema(case: &Value) -> String {
    case["schema"].as_str().map_or_else(|| case["schema"].to_string(), str::to_owned)
}

fn builds_as(name: &str, expected: bool, built: Result<Grammar, String>, report: &mut Report) {
    report.case(name, || match (expected, built) {
        (true, Err(error)) => Verdict::Failed(error),
        (false, Ok(_)) => Verdict::Failed("it was built".to_owned()),
        _ => Verdict::Passed,
    });
}

/// Checks the strings that a grammar must accept and reject.
fn strings(name: &str, case: &Value, grammar: Result<Grammar, String>, report: &mut Report) {
    for (list, expected) in [("accept", true), ("reject", false)] {
        let Some(strings) = case[list].as_array() else {
            report.fail(name, format!("the case has no list `{list}`"));
            continue;
        };
        report.holds(strings.len());
        for string in strings {
            report.case(&format!("{name}: {list} {string}"), || {
                match grammar.as_ref().map_err(Clone::clone).and_then(|grammar| accepts(grammar, string)) {
                    Ok(found) if found == expected => Verdict::Passed,
                    Ok(found) => Verdict::Failed(format!("accepted: {found}")),
                    Err(error) => Verdict::Failed(error),
                }
            });
        }
    }
}

/// Returns whether a grammar accepts a text, or a list of pieces and token ids.
fn accepts(grammar: &Grammar, string: &Value) -> Result<bool, String> {
    let mut recognizer = Recognizer::new(grammar).map_err(|e| e.to_string())?;
    let Some(pieces) = string.as_array() else {
        return recognizer.accepts(text(string).as_bytes()).map_err(|e| e.to_string());
    };
    for piece in pieces {
        let id = piece["token"].as_u64().and_then(|id| u32::try_from(id).ok());
        recognizer.push_token(id, text(piece).as_bytes()).map_err(|e| e.to_string())?;
    }
    Ok(recognizer.is_complete())
}

/// The results of one way of reading the schemas, on documents that are known to be valid or invalid.
struct Tally {
    reading: Reading,
    cases: usize,
    agree: usize,
    valid: usize,
    accepted: usize,
    /// Schemas that were refused because no document can satisfy them, and that have no valid documents.
    unsatisfiable: Vec<String>,
    /// Valid documents that were not accepted.
    missed: Vec<String>,
}

impl Tally {
    fn new(reading: Reading) -> Self {
        Self {
            reading,
            cases: 0,
            agree: 0,
            valid: 0,
            accepted: 0,
            unsatisfiable: Vec::new(),
            missed: Vec::new(),
        }
    }

    fn build(&self, case: &Value) -> Result<Grammar, SchemaError> {
        Grammar::from_json_schema_with(&schema(case), self.reading, &Limits::default())
    }

    /// Judges one document, which is reported as `name`.
    fn judge(
        &mut self,
        name: &str,
        grammar: &Result<Grammar, SchemaError>,
        document: &Value,
        is_valid: bool,
    ) -> Verdict {
        self.cases += 1;
        self.valid += usize::from(is_valid);
        let found = match grammar {
            Ok(grammar) => accepts(grammar, document),
            Err(error) if error.kind() == SchemaErrorKind::Unsatisfiable => {
                self.unsatisfiable.push(name.to_owned());
                if is_valid { Err(error.to_string()) } else { Ok(false) }
            }
            Err(error) => return Verdict::Unsupported(error.to_string()),
        };
        match found {
            Ok(found) => {
                self.agree += usize::from(found == is_valid);
                self.accepted += usize::from(found && is_valid);
                if is_valid && !found {
                    self.missed.push(name.to_owned());
                }
                match found && !is_valid {
                    true => Verdict::Failed("accepted, and not valid".to_owned()),
                    false => Verdict::Passed,
                }
            }
            Err(error) => Verdict::Failed(error),
        }
    }

    fn note(self, file: &str, report: &mut Report) {
        let Self { reading, cases, agree, valid, accepted, unsatisfiable, missed } = self;
        report.notes.push(format!(
            "{file} as {reading:?} reads it: {agree} of {cases} verdicts agree; {accepted} of {valid} valid documents accepted"
        ));
        if !unsatisfiable.is_empty() {
            let (n, names) = (unsatisfiable.len(), unsatisfiable.join("; "));
            report.notes.push(format!("{n} cases of schemas that no document satisfies: {names}"));
        }
        if reading == Reading::Specification {
            report.notes.push(format!("valid and not accepted: {}", missed.join("; ")));
        }
    }
}

/// Checks texts that are known to satisfy their schema or not.
fn instances(files: &Files, report: &mut Report) -> Result<(), String> {
    for reading in [Reading::Writer, Reading::Specification] {
        let mut tally = Tally::new(reading);
        for case in data::json::<Vec<Value>>(files, "schema_instances.json")? {
            let grammar = tally.build(&case);
            report.holds(list(&case, "instances")?.len());
            for instance in list(&case, "instances")? {
                let name = format!("{}: {}", case["schema"], instance["text"]);
                let is_valid = instance["jsonschema_valid"] == true;
                report.case(&name, || tally.judge(&name, &grammar, &instance["text"], is_valid));
            }
        }
        tally.note("schema_instances.json", report);
    }
    Ok(())
}

/// Runs the official suite. Schemas that are refused are listed with the reason.
fn suite(files: &Files, report: &mut Report) -> Result<(), String> {
    for reading in [Reading::Writer, Reading::Specification] {
        let mut tally = Tally::new(reading);
        let cases: Vec<Value> = data::json(files, "json_schema_test_suite.json")?;
        report.holds(cases.len());
        for case in cases {
            let name =
                format!("{}: {}: {}", text(&case["keyword"]), text(&case["group"]), text(&case["test"]));
            let document = Value::from(case["data"].to_string());
            report.case(&name, || {
                let grammar = tally.build(&case);
                tally.judge(&name, &grammar, &document, case["valid"] == true)
            });
        }
        tally.note("json_schema_test_suite.json", report);
    }
    Ok(())
}
