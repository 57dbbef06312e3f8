//! Seeds of the targets that take grammars, schemas, templates and replies.

#[path = "../../crates/engine/tests/reply_grammar/notation.rs"]
#[allow(dead_code)]
mod notation;

use happy_chat::ReplyFormat;
use notation::{Style, call};
use serde_json::json;

/// A name and the bytes.
pub type Seed = (String, Vec<u8>);

/// A grammar, and a text that it accepts.
const GRAMMARS: [(&str, &str); 5] = [
    ("root ::= \"a\" [b-d]{1,3} | x*\nx ::= (\"é\" | [^a-z\\n]) y?\ny ::= . # any\n", "abc"),
    ("root ::= ws v ws\nv ::= \"[\" (v (\",\" v)*)? \"]\" | [0-9]+\nws ::= [ \\t]*\n", " [1,[2]]"),
    ("root ::= e\ne ::= t ((\"+\" | \"-\") t)*\nt ::= \"(\" e \")\" | [0-9]{1,4}\n", "(1+2)-3"),
    ("root ::= (\"\\x41\" | \"\\u00e9\" | \"\\U0001F600\"){2,} \"\\\"\"?\n", "Aé\""),
    ("root ::= a | b\na ::= \"x\" a \"y\" | \"\"\nb ::= \"x\"+\n", "xxyy"),
];

/// A schema, and a document that it allows.
const SCHEMAS: [(&str, &str); 12] = [
    (
        r#"{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"string"}},"required":["a"]}"#,
        r#"{"a": 1, "b": "x"}"#,
    ),
    (r#"{"type":"array","items":{"enum":["a","b",1,null]},"uniqueItems":true,"maxItems":3}"#, r#"["a", 1]"#),
    (r#"{"anyOf":[{"type":"null"},{"type":"boolean"},{"const":{"k":[1.5]}}]}"#, r#"{"k": [1.5]}"#),
    (r##"{"$defs":{"t":{"type":"array","items":{"$ref":"#/$defs/t"}}},"$ref":"#/$defs/t"}"##, "[[], [[]]]"),
    (r#"{"type":"string","pattern":"^[a-f0-9]{2,4}(-x)?$","minLength":3,"maxLength":5}"#, r#""ab-x""#),
    (r#"{"type":"integer","minimum":-3,"exclusiveMaximum":1000,"multipleOf":5}"#, "15"),
    (r#"{"type":"string","format":"date-time"}"#, r#""2026-03-14T09:26:53Z""#),
    (
        r#"{"type":"object","patternProperties":{"^x":{"type":"number"}},"additionalProperties":false,"minProperties":1}"#,
        r#"{"x1": -2.5}"#,
    ),
    (r#"{"allOf":[{"type":"string","minLength":1},{"not":{"enum":["a"]}}]}"#, r#""b""#),
    (r#"{"oneOf":[{"type":"integer"},{"type":"number","minimum":1.5}],"title":"t"}"#, "1.75"),
    (
        r#"{"if":{"properties":{"k":{"const":1}}},"then":{"required":["v"]},"else":{"maxProperties":1},"type":"object"}"#,
        r#"{"k": 1}"#,
    ),
    (
        r#"{"prefixItems":[{"type":"integer"}],"items":{"type":"string"},"contains":{"const":"z"},"minContains":1}"#,
        r#"[1, "z"]"#,
    ),
];

const TEMPLATES: [&str; 8] = [
    "{{ bos_token }}{% for m in messages %}<|{{ m.role }}|>{{ m.content | trim }}\n{% endfor %}",
    "{%- for m in messages %}{%- if m['role'] == 'user' and loop.first %}{{- '[INST] ' ~ m.content ~ eos_token }}{%- else %}{{ m.content or '' }}{% endif %}{% endfor %}",
    "{% if tools is defined and tools %}{% for t in tools %}{{ t | tojson(indent=2) }}{% endfor %}{% endif %}{{ messages[0].content.split('x')[-1].strip() }}",
    "{% macro f(a, b=2) %}{{ a ~ b }}{{ caller() if caller else '' }}{% endmacro %}{% call f(messages[1].content) %}!{% endcall %}",
    "{% set ns = namespace(n=0, t='') %}{% for m in messages[::-1] if m.role != 'tool' %}{% set ns.t = ns.t + m.content | string | upper %}{% endfor %}{{ ns.t }}",
    "{% for m in messages %}{% for c in m.tool_calls or [] %}{% for k, v in c.function.arguments | items %}{{ '%s=%r' % (k, v) }}{{ '{:>8}'.format(k) }}{% endfor %}{% endfor %}{% endfor %}",
    "{% set x %}{{ messages[1].content | e | replace('l', 'L') }}{% endset %}{{ x[2:-1] * 2 | length }}{{ messages | map(attribute='role') | join(', ') }}",
    "{% for m in messages recursive %}{{ m.content | wordwrap(5) | indent(2) | truncate(9) | title }}{{ strftime_now('%d %b') }}{% endfor %}{% raw %}{{ }}{% endraw %}{# c #}",
];

/// Fields with a byte 0 between them.
fn joined(fields: &[&str]) -> Vec<u8> {
    fields.join("\0").into_bytes()
}

fn numbered(seeds: impl IntoIterator<Item = Vec<u8>>) -> Vec<Seed> {
    (0..).zip(seeds).map(|(i, seed): (usize, _)| (format!("seed-{i}"), seed)).collect()
}

/// Each format with calls of two tools: as text for `reply_grammar`, and for `reply` with its markers as one byte each.
fn replies() -> [Vec<Seed>; 2] {
    let (f, g) = (json!({"a": "x y", "b": 2}), json!({"c": ["p"], "d": {"e": true}, "a": null}));
    let tools = json!([
        {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {
            "a": {"type": "string"}, "b": {"type": "integer"}, "k": {"enum": ["x", "y"]}}, "required": ["a"]}}},
        {"name": "g", "parameters": {"type": "object", "$defs": {"s": {"type": ["string", "null"]}}, "properties": {
            "c": {"type": "array", "items": {"type": "string"}},
            "d": {"type": "object", "properties": {"e": {"type": "boolean"}}, "required": ["e"]},
            "a": {"$ref": "#/$defs/s"}}}},
    ]);
    let [mut by_grammar, mut by_parser] = [Vec::new(), Vec::new()];
    for (i, format) in ReplyFormat::ALL.iter().enumerate() {
        use ReplyFormat::*;
        let without = matches!(format, Plain | GigaChat3 | Functionary32 | KimiK3 | Atem | Solar);
        let text = match without {
            true => format.markers().collect::<Vec<_>>().join(" f "),
            false => call(*format, "f", &f, Style::Spaced) + &call(*format, "g", &g, Style::Tight),
        };
        let mut bytes = text.clone();
        for how in [2u8, 6, 10, 18, 1, 33, 3] {
            by_grammar.push((
                format!("{format}-{how}"),
                [&[i as u8, how], &*joined(&[&tools.to_string(), &text])].concat(),
            ));
        }
        let mut markers: Vec<(usize, &str)> = format.markers().enumerate().collect();
        markers.sort_by_key(|(_, marker)| std::cmp::Reverse(marker.len()));
        let mut coded = vec![i as u8, 0xC3];
        while let Some(c) = bytes.chars().next() {
            let marker = markers.iter().find(|(_, marker)| bytes.starts_with(marker));
            coded.push(marker.map_or(c as u8 & 127, |(n, _)| *n as u8 % 128 + 128));
            bytes.drain(..marker.map_or(c.len_utf8(), |(_, marker)| marker.len()));
        }
        by_parser.push((format.to_string(), coded));
    }
    [by_grammar, by_parser]
}

/// Seeds by target.
pub fn seeds() -> Vec<(&'static str, Vec<Seed>)> {
    let parts = SCHEMAS.iter().zip(GRAMMARS.iter().cycle()).map(|((schema, document), (grammar, _))| {
        let text = "root ::= c \"</t>\" [ \\n]* a | b";
        joined(&[text, schema, grammar, "</t>\u{1}</t></t>\u{1}aba", &format!("x</t> {document}")])
    });
    let until = ["aba", "ab\u{1}b", "é\u{1}éa\u{1}<|x|>"]
        .map(|strings| joined(&["root ::= c", "", "", strings, "aab<|x"]));
    let [by_grammar, by_parser] = replies();
    let templates = || numbered(TEMPLATES.map(|template| joined(&[template])));
    vec![
        ("grammar", numbered(GRAMMARS.map(|(grammar, text)| joined(&[grammar, text])))),
        ("schema", numbered(SCHEMAS.map(|(schema, text)| joined(&[schema, text])))),
        ("parts", numbered(parts.chain(until))),
        ("template", templates()),
        ("render_marked", templates()),
        ("reply_grammar", by_grammar),
        ("reply", by_parser),
    ]
}
