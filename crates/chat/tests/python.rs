//! Every filter, test, method, operator and statement gives what Python's Jinja2 makes of it (`jinja/generate.py`).

use happy_chat::ChatTemplate;
use serde_json::Value;

/// The deliberate differences, and why they exist.
const KNOWN: [(&str, &str); 2] = [
    (
        "{% set a = [[]] * 2 %}{{ a[0].append(1) or '' }}{{ a }}",
        "Jinja2 computes constants when it compiles and writes the result out: the inner list becomes two",
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

/// Fields of numbers are written as by Python 3.11's `format`: leading zeros in grouped digits, and bases.
#[test]
fn number_fields() {
    let cases = [
        ("0= 012,", "-720213", Some("-000,720,213")),
        ("0= 012,", "720213", Some(" 000,720,213")),
        ("0=012,", "720213", Some("0,000,720,213")),
        ("0=012,", "1234567.5", Some("01,234,567.5")),
        ("012,", "-720213", Some("-000,720,213")),
        ("012,", "5", Some("0,000,000,005")),
        ("0= 12,", "5", Some(" 000,000,005")),
        ("0>12,", "-720213", Some("0000-720,213")),
        ("0=014,.2f", "-720213", Some("-00,720,213.00")),
        ("0=+013,", "720213", Some("+0,000,720,213")),
        ("x=012,", "720213", Some("xxxxx720,213")),
        ("0=013_x", "-720213", Some("-00_000a_fd55")),
        ("0=013_x", "5", Some("000_0000_0005")),
        ("_x", "720213", Some("a_fd55")),
        ("_b", "21", Some("1_0101")),
        ("#06x", "255", Some("0x00ff")),
        ("#X", "255", Some("0XFF")),
        ("#010b", "-5", Some("-0b0000101")),
        ("x=+#8o", "8", Some("+0oxxx10")),
        (",x", "255", None),
    ];
    let mut wrong = Vec::new();
    for (field, value, expect) in cases {
        let source = format!("{{{{ '{{:{field}}}'.format({value}) }}}}");
        let got = ChatTemplate::new(&source).and_then(|t| t.render_context(&serde_json::json!({}), None));
        if got.as_deref().ok() != expect {
            wrong.push(format!("{field} {value}: {got:?}, expected {expect:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
