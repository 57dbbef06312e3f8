//! Corpus `chat-templates`: compares with what Python's Jinja2 renders, byte for byte, and runs llama.cpp's own cases.

use crate::data;
use crate::report::{Report, Verdict};
use happy_chat::{ChatTemplate, LocalTime, TemplateError};
use happy_testkit::{Corpus, Files};
use serde::Deserialize;
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// A fortieth of the default, since real templates stay far below the limit.
const FUEL: u64 = 50_000;

#[derive(Deserialize)]
struct Rendering {
    template: String,
    conv: String,
    vars: Json,
    output: Option<String>,
    error: Option<RenderError>,
}

#[derive(Deserialize)]
struct RenderError {
    kind: ErrorKind,
    #[serde(default)]
    message: String,
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum ErrorKind {
    /// The template raised an error.
    Raise,
    /// A Python type error, which an engine may tolerate.
    Runtime,
}

#[derive(Deserialize)]
struct Upstream {
    name: String,
    template: String,
    vars: Json,
    expected_jinja: Option<String>,
    pure_jinja_agrees: Option<bool>,
    pure_jinja_output: Option<String>,
}

#[derive(Deserialize)]
struct Unit {
    id: u64,
    name: String,
    template: String,
    vars: Json,
    expect: String,
}

/// Compiled templates by name. An error is the result of every case of that template.
type Templates = BTreeMap<String, Result<ChatTemplate, TemplateError>>;

pub(crate) fn run(corpus: &Corpus, report: &mut Report) -> Result<(), String> {
    let files = corpus.open("chat-templates")?;
    // The time at which the corpus froze its clock.
    let now: Option<LocalTime> = "2026-03-14T09:26:53".parse().ok();
    let mut templates = Templates::new();
    let renderings: Vec<Rendering> = data::json_lines(&files, "renderings.jsonl.gz")?;
    let upstream: Vec<Upstream> = data::json(&files, "llama_cpp_cases.json")?;
    let units: Vec<Unit> = data::json(&files, "jinja_units.json")?;
    report.holds(renderings.len() + upstream.len() + units.len());
    for case in renderings {
        let name = format!("{} {}", case.template, case.conv);
        if case.output.is_none() && case.error.is_none() {
            return Err(format!("{name} has neither an output nor an error"));
        }
        let found = render(&mut templates, &files, &case.template, &case.vars, now)?;
        report.case(&name, || match (found, &case.output, &case.error) {
            (Ok(found), Some(expected), _) => same(&found, expected),
            (Err(TemplateError::Raised { message }), None, Some(error)) if message == error.message => {
                Verdict::Passed
            }
            // It was rendered or refused, and there is nothing to compare with.
            (_, None, Some(error)) if error.kind == ErrorKind::Runtime => {
                Verdict::Unsupported("Python refuses it by type, which an engine may tolerate".into())
            }
            (found, _, error) => {
                let wanted = error
                    .as_ref()
                    .map_or("a rendering".to_owned(), |e| format!("the refusal {:?}", e.message));
                Verdict::Failed(format!("{found:?}, expected {wanted}"))
            }
        });
    }
    for case in upstream {
        // If llama.cpp works around a template, what Jinja2 itself renders.
        let expected =
            if case.pure_jinja_agrees == Some(true) { &case.expected_jinja } else { &case.pure_jinja_output };
        let found = render(&mut templates, &files, &case.template, &case.vars, now)?;
        report.case(&case.name, || match (found, expected) {
            (Ok(found), Some(expected)) => same(&found, expected),
            (Err(e), Some(_)) => Verdict::Failed(e.to_string()),
            (_, None) => {
                Verdict::Unsupported("llama.cpp works around the template, and Jinja2 refuses it".into())
            }
        });
    }
    for case in units {
        let found = ChatTemplate::new(&case.template).and_then(|t| t.render_context(&case.vars, now));
        report.case(&format!("unit {} {}", case.id, case.name), || {
            found.map_or_else(|e| Verdict::Failed(e.to_string()), |found| same(&found, &case.expect))
        });
    }
    Ok(())
}

/// Renders the corpus' template `name`. The outer error is a corpus that cannot be read.
fn render(
    templates: &mut Templates,
    files: &Files,
    name: &str,
    vars: &Json,
    now: Option<LocalTime>,
) -> Result<Result<String, TemplateError>, String> {
    if !templates.contains_key(name) {
        let source = files.text(&format!("templates/{name}.jinja"))?;
        let template = ChatTemplate::new(&source).map(|mut template| {
            template.set_fuel(FUEL);
            template
        });
        templates.insert(name.to_owned(), template);
    }
    Ok(match &templates[name] {
        Ok(template) => template.render_context(vars, now),
        Err(e) => Err(e.clone()),
    })
}

/// Compares byte for byte, and returns the first difference with some of the text around it.
fn same(found: &str, expected: &str) -> Verdict {
    if found == expected {
        return Verdict::Passed;
    }
    let at = found.bytes().zip(expected.bytes()).take_while(|(a, b)| a == b).count();
    let part = |text: &str| {
        String::from_utf8_lossy(&text.as_bytes()[at.min(text.len())..]).chars().take(40).collect::<String>()
    };
    Verdict::Failed(format!("at byte {at}: {:?}, expected {:?}", part(found), part(expected)))
}
