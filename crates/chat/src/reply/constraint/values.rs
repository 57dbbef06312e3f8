//! Arguments that are not one JSON object: parameters in tags, and literals.

use serde_json::Value as Json;

use super::super::grammar::{At, Notation};
use super::super::schema::Tool;
use super::writer::{Writer, any_of, quote};

/// Deepest nesting of a literal that has rules of its own; what is deeper is JSON.
const MAX_LITERAL: usize = 4;

/// Most rules of a grammar for which literals have rules of their own.
const MAX_RULES: usize = 2000;

/// Most schemas that are looked at to tell what a parameter may be.
const MAX_STEPS: usize = 1000;

/// Keywords that do not restrict a value.
const NOTES: &[&str] = &[
    "type",
    "title",
    "description",
    "default",
    "examples",
    "items",
    "properties",
    "required",
    "additionalProperties",
    "anyOf",
];

/// What a parameter may be.
enum Shape<'s> {
    /// One of these values.
    Choice(Vec<&'s Json>),
    /// Any text.
    Text,
    Boolean,
    /// A document of the schema.
    Document(&'s Json),
}

impl Writer<'_> {
    /// Parameters in tags, in the schema's order, and what ends them.
    pub(super) fn parameters(&mut self, i: usize, tool: &Tool) -> String {
        let mut all = String::new();
        for (key, schema) in tool.properties() {
            let name = format!("parameter-{i}-{}", all.matches("parameter-").count());
            let member = self.parameter(&name, tool, key, schema);
            self.rule(&name, &member);
            let optional = if tool.is_required(key) { "" } else { "?" };
            all.push_str(&format!("({name} ws){optional} "));
        }
        let ends = self
            .grammar
            .rules
            .iter()
            .filter(|rule| rule.0 == At::Params && matches!(rule.2, At::Open | At::Content));
        let ends: Vec<String> = ends.map(|rule| self.marker(rule.1)).collect();
        // The tag of the name ends before the parameters, if it has an end of its own.
        let name_end = self.grammar.rules.iter().find(|rule| rule.0 == At::Name && rule.2 == At::Params);
        let name_end = name_end.map_or(String::new(), |rule| self.marker(rule.1));
        format!("{name_end} ws {all}{}", any_of(&ends))
    }

    fn parameter(&mut self, name: &str, tool: &Tool, key: &str, schema: &Json) -> String {
        let rules = self.grammar.rules;
        let shape = shape(tool, schema);
        let text = matches!(shape, Shape::Text)
            || matches!(&shape, Shape::Choice(values) if values.iter().all(|value| value.is_string()));
        let open =
            rules.iter().find(|rule| rule.2 == At::Key).map(|rule| self.marker(rule.1)).unwrap_or_default();
        // The type may stand beside the key.
        let to = |to| rules.iter().find(|rule| rule.0 == At::Key && rule.2 == to);
        let key_end = if text { to(At::Plain).or(to(At::Typed)) } else { to(At::Typed) };
        let key_end = key_end.or(to(At::Params));
        let (mark, state) = key_end.map_or((String::new(), At::Typed), |rule| (self.marker(rule.1), rule.2));
        let mut begin = format!("{open} ws {} ws {mark}", quote(key));
        if state == At::Params {
            let value = rules.iter().find(|rule| rule.0 == At::Params && rule.2 == At::Typed);
            begin = format!("{begin} ws {}", value.map(|rule| self.marker(rule.1)).unwrap_or_default());
        }
        let from = if state == At::Plain { At::Plain } else { At::Typed };
        let end = rules.iter().find(|rule| rule.0 == from && rule.2 == At::Params).map_or("", |rule| rule.1);
        let value = match shape {
            // Text may stand in marks of its own.
            Shape::Text => {
                let inner =
                    rules.iter().find(|rule| (rule.0, rule.2) == (At::Typed, At::Plain) && from == At::Typed);
                let plain_end = rules.iter().find(|rule| (rule.0, rule.2) == (At::Plain, At::Params));
                if let (Some(inner), Some(plain_end)) = (inner, plain_end) {
                    let text = self.until([end, inner.1]);
                    let marked = self.until([plain_end.1]);
                    let (open, close) = (self.marker(inner.1), self.marker(plain_end.1));
                    return format!("{begin} ({text} {} | {open} {marked} {close})", self.marker(end));
                }
                return format!("{begin} {} {}", self.until([end]), self.marker(end));
            }
            Shape::Choice(values) => {
                let text = |value: &&Json| match value {
                    Json::String(text) => quote(text),
                    other => quote(&other.to_string()),
                };
                any_of(&values.iter().map(text).collect::<Vec<_>>())
            }
            Shape::Boolean => "(\"true\" | \"false\" | \"True\" | \"False\")".to_owned(),
            // Some templates print values as Python does, and models learn it.
            Shape::Document(schema) => {
                let json = self.document(tool, schema);
                let notation = std::mem::replace(&mut self.notation, Notation::PYTHON);
                let literal = self.literal(&format!("{name}-python"), tool, schema, 1);
                self.notation = notation;
                if literal == json { json } else { format!("({json} | {literal})") }
            }
        };
        format!("{begin} ws {value} ws {}", self.marker(end))
    }

    /// Arguments as `key=value` up to the closing bracket.
    pub(super) fn literals(&mut self, i: usize, tool: &Tool) -> String {
        let close = quote(&self.notation.close.to_string());
        let orders =
            self.members(&format!("literal-{i}"), tool, &tool.properties(), &|key| tool.is_required(key), 0);
        format!("ws {orders} ws {close}")
    }

    /// Members with commas between them, in the schema's order; Gemma's templates sort them.
    fn members(
        &mut self,
        name: &str,
        tool: &Tool,
        properties: &[(&str, &Json)],
        required: &dyn Fn(&str) -> bool,
        depth: usize,
    ) -> String {
        let mut orders = vec![properties.to_vec()];
        if self.notation.key_end == ':' {
            let mut sorted = properties.to_vec();
            sorted.sort_by_key(|(key, _)| *key);
            if sorted != orders[0] {
                orders.push(sorted);
            }
        }
        let mut all = Vec::new();
        for (order, properties) in orders.iter().enumerate() {
            let name = if order == 0 { name.to_owned() } else { format!("{name}-sorted") };
            for (n, (key, schema)) in properties.iter().enumerate() {
                let value = self.literal(&format!("{name}-{n}"), tool, schema, depth);
                let nested = self.notation == Notation::PYTHON && depth > 0;
                let key_end = quote(&if nested { ':' } else { self.notation.key_end }.to_string());
                let key_name = self.key(key, depth);
                self.rule(&format!("{name}-{n}"), &format!("{key_name} ws {key_end} ws {value}"));
                let (first, rest) = (format!("{name}-first-{}", n + 1), format!("{name}-rest-{}", n + 1));
                let skip = |other: String| if required(key) { String::new() } else { format!(" | {other}") };
                self.rule(&format!("{name}-first-{n}"), &format!("{name}-{n} {rest}{}", skip(first)));
                self.rule(
                    &format!("{name}-rest-{n}"),
                    &format!("ws \",\" ws {name}-{n} {rest}{}", skip(rest.clone())),
                );
            }
            let n = properties.len();
            self.rule(&format!("{name}-first-{n}"), "\"\"");
            self.rule(&format!("{name}-rest-{n}"), "\"\"");
            all.push(format!("{name}-first-0"));
        }
        any_of(&all)
    }

    /// A key, in quotes inside of Python's dictionaries.
    fn key(&mut self, key: &str, depth: usize) -> String {
        match self.notation == Notation::PYTHON && depth > 0 {
            true => self.quoted(key),
            false => quote(key),
        }
    }

    /// A known string in any of the notation's quotes that it fits in.
    fn quoted(&mut self, text: &str) -> String {
        let quotes = self.notation.quotes;
        let fits = |mark: &str, escapes: bool| !(text.contains(mark) || escapes && text.contains('\\'));
        let mut all: Vec<String> = quotes
            .iter()
            .filter(|q| fits(q.mark, q.escapes))
            .map(|q| format!("{} {} {}", self.marker(q.mark), quote(text), self.marker(q.mark)))
            .collect();
        if all.is_empty() {
            all.push(quote(&Json::from(text).to_string()));
        }
        any_of(&all)
    }

    /// Any string.
    fn string(&mut self) -> String {
        let Some(quote) = self.notation.quotes.first().filter(|quote| !quote.escapes) else {
            let of = |q: &str| format!("\"{q}\" ([^{q}\\\\] | \"\\\\\" [^xuU])* \"{q}\"");
            self.rule("string", &format!("{} | {}", of("'"), of("\\\"")));
            return "string".to_owned();
        };
        let text = self.until([quote.mark]);
        let mark = self.marker(quote.mark);
        format!("{mark} {text} {mark}")
    }

    /// Whether a schema has rules of its own, or is JSON: it has no keywords that these do not follow, and there are not
    /// too many, as a schema that refers to itself would have.
    fn is_plain(&self, schema: &Json, depth: usize) -> bool {
        depth < MAX_LITERAL
            && self.rules() < MAX_RULES
            && schema.as_object().is_some_and(|map| map.keys().all(|key| NOTES.contains(&key.as_str())))
            && (schema.get("anyOf").is_none() || alternatives(schema).is_some())
    }

    /// A value under a schema.
    fn literal(&mut self, name: &str, tool: &Tool, schema: &Json, depth: usize) -> String {
        let python = self.notation == Notation::PYTHON;
        match shape(tool, schema) {
            Shape::Choice(values) => {
                let mut all = Vec::new();
                for value in values {
                    match value {
                        Json::String(text) => all.push(self.quoted(text)),
                        Json::Bool(true) if python => {
                            all.extend(["\"True\"".to_owned(), "\"true\"".to_owned()])
                        }
                        Json::Bool(false) if python => {
                            all.extend(["\"False\"".to_owned(), "\"false\"".to_owned()])
                        }
                        Json::Null if python => all.extend(["\"None\"".to_owned(), "\"null\"".to_owned()]),
                        other => all.push(quote(&other.to_string())),
                    }
                }
                any_of(&all)
            }
            Shape::Boolean if python => "(\"True\" | \"False\" | \"true\" | \"false\")".to_owned(),
            Shape::Boolean => "(\"true\" | \"false\")".to_owned(),
            Shape::Text => match is_only_string(schema) {
                true => self.string(),
                // A string, or whatever else the schema names.
                false => {
                    let document = self.document(tool, schema);
                    let null = if python && may_be_null(schema, 0) { " | \"None\"" } else { "" };
                    format!("({} | {document}{null})", self.string())
                }
            },
            Shape::Document(schema) if self.is_plain(schema, depth) && schema.get("items").is_some() => {
                let item = self.literal(&format!("{name}-item"), tool, &schema["items"], depth + 1);
                self.rule(&format!("{name}-item"), &item);
                format!("\"[\" ws ({name}-item (ws \",\" ws {name}-item)* ws)? \"]\"")
            }
            Shape::Document(schema) if self.is_plain(schema, depth) && schema.get("properties").is_some() => {
                let properties = schema["properties"].as_object();
                let properties: Vec<(&str, &Json)> =
                    properties.into_iter().flatten().map(|(key, schema)| (key.as_str(), schema)).collect();
                let required = |key: &str| {
                    schema["required"]
                        .as_array()
                        .is_some_and(|keys| keys.iter().any(|k| k.as_str() == Some(key)))
                };
                let members =
                    self.members(&format!("{name}-member"), tool, &properties, &required, depth + 1);
                format!("\"{{\" ws {members} ws \"}}\"")
            }
            Shape::Document(schema)
                if python && self.is_plain(schema, depth) && alternatives(schema).is_some() =>
            {
                let mut all = Vec::new();
                for (n, schema) in alternatives(schema).into_iter().flatten().enumerate() {
                    let one = format!("{name}-any-{n}");
                    let value = self.literal(&one, tool, schema, depth + 1);
                    self.rule(&one, &value);
                    all.push(one);
                }
                any_of(&all)
            }
            Shape::Document(schema) => {
                let document = self.document(tool, schema);
                match python && may_be_null(schema, 0) {
                    true => format!("({document} | \"None\")"),
                    false => document,
                }
            }
        }
    }
}

/// The schemas of which a value fits any.
fn alternatives(schema: &Json) -> Option<&Vec<Json>> {
    let all = schema.get("anyOf").and_then(Json::as_array)?;
    (!all.is_empty() && schema.get("properties").is_none() && schema.get("items").is_none()).then_some(all)
}

/// Whether a schema names null.
fn may_be_null(schema: &Json, depth: usize) -> bool {
    let named = |kind: &Json| kind == "null";
    let alternatives = ["anyOf", "oneOf"].iter().filter_map(|key| schema.get(*key)?.as_array());
    schema
        .get("type")
        .is_some_and(|kind| named(kind) || kind.as_array().is_some_and(|kinds| kinds.iter().any(named)))
        || schema.get("nullable") == Some(&Json::Bool(true))
        || depth < 2 && alternatives.flatten().any(|schema| may_be_null(schema, depth + 1))
}

/// Whether a schema is about strings and nothing else.
fn is_only_string(schema: &Json) -> bool {
    schema.get("type").and_then(Json::as_str) == Some("string")
}

/// What a parameter may be, seen through references.
fn shape<'s>(tool: &'s Tool, schema: &'s Json) -> Shape<'s> {
    let mut schema = schema;
    for _ in 0..32 {
        let Some(reference) = schema.get("$ref").and_then(Json::as_str) else { break };
        match reference.strip_prefix('#').and_then(|pointer| tool.parameters().pointer(pointer)) {
            Some(target) => schema = target,
            None => break,
        }
    }
    if let Some(Json::Array(values)) = schema.get("enum") {
        return Shape::Choice(values.iter().collect());
    }
    if let Some(value) = schema.get("const") {
        return Shape::Choice(vec![value]);
    }
    if may_be_text(tool, schema, 0, &mut { MAX_STEPS }) {
        return Shape::Text;
    }
    match schema.get("type").and_then(Json::as_str) {
        Some("boolean") => Shape::Boolean,
        _ => Shape::Document(schema),
    }
}

/// Whether a string is among the values of a schema, or anything at all.
fn may_be_text(tool: &Tool, schema: &Json, depth: usize, steps: &mut usize) -> bool {
    if depth > 8 || *steps == 0 {
        return true;
    }
    *steps -= 1;
    if let Some(kind) = schema.get("type") {
        return match kind {
            Json::Array(kinds) => kinds.iter().any(|kind| kind == "string"),
            kind => kind == "string",
        };
    }
    for key in ["anyOf", "oneOf"] {
        if let Some(Json::Array(schemas)) = schema.get(key) {
            return schemas.iter().any(|schema| may_be_text(tool, schema, depth + 1, steps));
        }
    }
    if let Some(Json::Array(schemas)) = schema.get("allOf") {
        return schemas.iter().all(|schema| may_be_text(tool, schema, depth + 1, steps));
    }
    if let Some(Json::String(reference)) = schema.get("$ref") {
        let target = reference.strip_prefix('#').and_then(|pointer| tool.parameters().pointer(pointer));
        return target.is_none_or(|target| may_be_text(tool, target, depth + 1, steps));
    }
    if let Some(Json::Array(values)) = schema.get("enum") {
        return values.iter().any(Json::is_string);
    }
    // What lists properties or items is about these.
    !["properties", "items", "const"].iter().any(|key| schema.get(key).is_some())
}
