//! What Python's Jinja2 makes of every filter, test, method, operator and statement (`jinja/generate.py`).

use happy_chat::ChatTemplate;
use serde_json::Value;

/// What differs on purpose, and why.
const KNOWN: [(&str, &str); 3] = [
    (
        "{% set a = [[]] * 2 %}{{ a[0].append(1) or '' }}{{ a }}",
        "Jinja2 computes constants when it compiles and writes the result out: the inner list becomes two",
    ),
    (
        "{{ '{:0= 012,}'.format(-720213) }}",
        "a fault: a fill of 0 that is given is not to be grouped up to the width",
    ),
    ("{% do l.append(1) %}", "the tag of an extension that transformers does not load"),
];

#[test]
fn as_python() {
    let data: Value = serde_json::from_str(include_str!("jinja/cases.json")).unwrap();
    let now = Some("2026-03-14T09:26:53".parse().unwrap());
    let mut wrong = Vec::new();
    let cases = data["cases"].as_array().unwrap();
    for case in cases {
        let source = case["template"].as_str().unwrap();
        let got =
            ChatTemplate::new(source).and_then(|template| template.render_context(&data["context"], now));
        let expect = case["expect"].as_str();
        let known = KNOWN.iter().any(|(known, _)| *known == source);
        if (got.as_deref().ok() == expect) == known {
            wrong.push(format!("{source:?}\n    got    {got:?}\n    expect {expect:?}"));
        }
    }
    println!("{} of {} as Python", cases.len() - wrong.len(), cases.len());
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}
