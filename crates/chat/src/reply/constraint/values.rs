//! Writes the rules for arguments that are not one JSON object: parameters in tags, and literals.

use serde_json::{Map, Value as Json};

use super::super::grammar::{At, Notation};
use super::super::schema::Tool;
use super::writer::{Writer, any_of, quote};
use crate::memory::{R, Text, gathered, json_text, push, text};

/// Deepest nesting of a literal that has rules of its own. Deeper values are JSON.
const MAX_LITERAL: usize = 4;

/// Maximum number of rules in a grammar. If it is reached, further literals are JSON.
const MAX_RULES: usize = 2000;

/// Maximum number of schemas that are visited to determine what a parameter may be.
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
    /// A document that fits the schema.
    Document(&'s Json),
}

impl Writer<'_> {
    /// Writes parameters in tags, in the schema's order, and the markers that end them.
    pub(super) fn parameters(&mut self, i: usize, tool: &Tool<'_>) -> R<String> {
        let mut all = Text::default();
        for (n, (key, schema)) in tool.properties().enumerate() {
            let name = text!("parameter-{i}-{n}")?;
            let member = self.parameter(&name, tool, key, schema)?;
            self.rule(&name, &member)?;
            let optional = if tool.is_required(key) { "" } else { "?" };
            all.add(&text!("({name} ws){optional} ")?)?;
        }
        let rules = self.grammar.rules;
        let ends =
            rules.iter().filter(|rule| rule.0 == At::Params && matches!(rule.2, At::Open | At::Content));
        let ends = gathered(ends.map(|rule| rule.1))?;
        // If the tag with the name has an end of its own, it ends before the parameters.
        let name_end = self.grammar.rules.iter().find(|rule| rule.0 == At::Name && rule.2 == At::Params);
        let name_end = name_end.map_or(Ok(String::new()), |rule| self.marker(rule.1))?;
        if tool.is_free() {
            let of_values = |at| matches!(at, At::Params | At::Key | At::Typed | At::Plain);
            let marks = rules.iter().filter(|rule| of_values(rule.0) && of_values(rule.2)).map(|rule| rule.1);
            return text!("{name_end} {}", self.anything(&gathered(marks)?, &ends)?);
        }
        let ends: Vec<String> = ends.iter().map(|end| self.marker(end)).collect::<R<_>>()?;
        text!("{name_end} ws {}{}", all.0, any_of(&ends)?)
    }

    fn parameter(&mut self, name: &str, tool: &Tool<'_>, key: &str, schema: &Json) -> R<String> {
        let rules = self.grammar.rules;
        let shape = shape(tool, schema)?;
        let text = matches!(shape, Shape::Text)
            || matches!(&shape, Shape::Choice(values) if values.iter().all(|value| value.is_string()));
        let open = rules.iter().find(|rule| rule.2 == At::Key);
        let open = open.map_or(Ok(String::new()), |rule| self.marker(rule.1))?;
        // Some notations write the type beside the key.
        let to = |to| rules.iter().find(|rule| rule.0 == At::Key && rule.2 == to);
        let key_end = if text { to(At::Plain).or(to(At::Typed)) } else { to(At::Typed) };
        let (mark, state) = match key_end.or(to(At::Params)) {
            Some(rule) => (self.marker(rule.1)?, rule.2),
            None => (String::new(), At::Typed),
        };
        let mut begin = text!("{open} ws {} ws {mark}", quote(key)?)?;
        if state == At::Params {
            let value = rules.iter().find(|rule| rule.0 == At::Params && rule.2 == At::Typed);
            let value = value.map_or(Ok(String::new()), |rule| self.marker(rule.1))?;
            begin = text!("{begin} ws {value}")?;
        }
        let from = if state == At::Plain { At::Plain } else { At::Typed };
        let end = rules.iter().find(|rule| rule.0 == from && rule.2 == At::Params).map_or("", |rule| rule.1);
        let value = match shape {
            // Text may have markers of its own.
            Shape::Text => {
                let inner =
                    rules.iter().find(|rule| (rule.0, rule.2) == (At::Typed, At::Plain) && from == At::Typed);
                let plain_end = rules.iter().find(|rule| (rule.0, rule.2) == (At::Plain, At::Params));
                if let (Some(inner), Some(plain_end)) = (inner, plain_end) {
                    let text = self.until([end, inner.1])?;
                    let marked = self.until([plain_end.1])?;
                    let (open, close) = (self.marker(inner.1)?, self.marker(plain_end.1)?);
                    return text!("{begin} ({text} {} | {open} {marked} {close})", self.marker(end)?);
                }
                return text!("{begin} {} {}", self.until([end])?, self.marker(end)?);
            }
            Shape::Choice(values) => {
                let mut all = Vec::new();
                for value in values {
                    push(&mut all, value.as_str().map_or_else(|| quote(&json_text(value)?), quote)?)?;
                }
                any_of(&all)?
            }
            Shape::Boolean => text!("(\"true\" | \"false\" | \"True\" | \"False\")")?,
            // Models learn Python's notation from templates that print values as Python does.
            Shape::Document(schema) => {
                let json = self.document(tool, schema)?;
                let notation = std::mem::replace(&mut self.notation, Notation::PYTHON);
                let literal = self.literal(&text!("{name}-python")?, tool, schema, 1)?;
                self.notation = notation;
                if literal == json { json } else { text!("({json} | {literal})")? }
            }
        };
        text!("{begin} ws {value} ws {}", self.marker(end)?)
    }

    /// Writes arguments as `key=value`, with the closing bracket.
    pub(super) fn literals(&mut self, i: usize, tool: &Tool<'_>) -> R<String> {
        let close = self.notation.close;
        if tool.is_free() {
            let marks = gathered(self.notation.quotes.iter().map(|quote| quote.mark))?;
            return self.anything(&marks, if close == ')' { &[")"] } else { &["}"] });
        }
        let properties = gathered(tool.properties())?;
        let orders =
            self.members(&text!("literal-{i}")?, tool, properties, &|key| tool.is_required(key), 0)?;
        text!("ws {orders} ws \"{close}\"")
    }

    /// Writes members with commas between them, in the schema's order. Gemma's templates sort them by key.
    fn members(
        &mut self,
        name: &str,
        tool: &Tool<'_>,
        properties: Vec<(&str, &Json)>,
        required: &dyn Fn(&str) -> bool,
        depth: usize,
    ) -> R<String> {
        let mut orders = vec![(text!("{name}")?, properties)];
        if self.notation.key_end == ':' {
            let mut sorted = gathered(orders[0].1.iter().copied())?;
            // The keys differ, so that the order of equal ones does not matter.
            sorted.sort_unstable_by_key(|(key, _)| *key);
            if sorted != orders[0].1 {
                orders.push((text!("{name}-sorted")?, sorted));
            }
        }
        let mut all = Vec::new();
        for (name, properties) in orders {
            for (n, (key, schema)) in properties.iter().enumerate() {
                let one = text!("{name}-{n}")?;
                let value = self.literal(&one, tool, schema, depth)?;
                let nested = self.notation == Notation::PYTHON && depth > 0;
                let key_end = if nested { ':' } else { self.notation.key_end };
                let key_name = self.key(key, depth)?;
                self.rule(&one, &text!("{key_name} ws \"{key_end}\" ws {value}")?)?;
                let (first, rest) = (text!("{name}-first-{}", n + 1)?, text!("{name}-rest-{}", n + 1)?);
                let skip = if required(key) { "" } else { " | " };
                let (other_first, other_rest) =
                    if required(key) { ("", "") } else { (first.as_str(), rest.as_str()) };
                self.rule(&text!("{name}-first-{n}")?, &text!("{one} {rest}{skip}{other_first}")?)?;
                self.rule(&text!("{name}-rest-{n}")?, &text!("ws \",\" ws {one} {rest}{skip}{other_rest}")?)?;
            }
            let n = properties.len();
            self.rule(&text!("{name}-first-{n}")?, "\"\"")?;
            self.rule(&text!("{name}-rest-{n}")?, "\"\"")?;
            all.push(text!("{name}-first-0")?);
        }
        any_of(&all)
    }

    /// Writes a key. Inside of Python's dictionaries, it has quotes.
    fn key(&mut self, key: &str, depth: usize) -> R<String> {
        match self.notation == Notation::PYTHON && depth > 0 {
            true => self.quoted(key),
            false => quote(key),
        }
    }

    /// Writes a known string, in each of the notation's quotes that it does not contain.
    fn quoted(&mut self, text: &str) -> R<String> {
        let quotes = self.notation.quotes;
        let fits = |mark: &str, escapes: bool| !(text.contains(mark) || escapes && text.contains('\\'));
        let mut all = Vec::new();
        for q in quotes.iter().filter(|q| fits(q.mark, q.escapes)) {
            let mark = self.marker(q.mark)?;
            all.push(text!("{mark} {} {mark}", quote(text)?)?);
        }
        if all.is_empty() {
            all.push(quote(&json_text(text)?)?);
        }
        any_of(&all)
    }

    /// Writes any string.
    fn string(&mut self) -> R<String> {
        let Some(quote) = self.notation.quotes.first().filter(|quote| !quote.escapes) else {
            let of = |q: &str| format!("\"{q}\" ([^{q}\\\\] | \"\\\\\" [^xuU])* \"{q}\"");
            self.rule("string", &format!("{} | {}", of("'"), of("\\\"")))?;
            return Ok("string".to_owned());
        };
        let text = self.until([quote.mark])?;
        let mark = self.marker(quote.mark)?;
        text!("{mark} {text} {mark}")
    }

    /// Returns whether a schema gets rules of its own; otherwise it is JSON. It must have only keywords that these rules support,
    /// and the number of rules must not be exceeded, which also stops schemas that refer to themselves.
    fn is_plain(&self, schema: &Json, depth: usize) -> bool {
        depth < MAX_LITERAL
            && self.rules() < MAX_RULES
            && schema.as_object().is_some_and(|map| map.keys().all(|key| NOTES.contains(&key.as_str())))
            && (schema.get("anyOf").is_none() || alternatives(schema).is_some())
    }

    /// Writes a value that fits a schema.
    fn literal(&mut self, name: &str, tool: &Tool<'_>, schema: &Json, depth: usize) -> R<String> {
        let python = self.notation == Notation::PYTHON;
        match shape(tool, schema)? {
            Shape::Choice(values) => {
                let mut all = Vec::new();
                for value in values {
                    let one = match value {
                        Json::String(text) => self.quoted(text)?,
                        Json::Bool(true) if python => text!("\"True\" | \"true\"")?,
                        Json::Bool(false) if python => text!("\"False\" | \"false\"")?,
                        Json::Null if python => text!("\"None\" | \"null\"")?,
                        other => quote(&json_text(other)?)?,
                    };
                    push(&mut all, one)?;
                }
                match all.as_slice() {
                    [one] if python => text!("({one})"),
                    all => any_of(all),
                }
            }
            Shape::Boolean if python => text!("(\"True\" | \"False\" | \"true\" | \"false\")"),
            Shape::Boolean => text!("(\"true\" | \"false\")"),
            Shape::Text => match is_only_string(schema) {
                true => self.string(),
                // A string, or any other type that the schema names.
                false => {
                    let document = self.document(tool, schema)?;
                    let null = if python && may_be_null(schema, 0) { " | \"None\"" } else { "" };
                    text!("({} | {document}{null})", self.string()?)
                }
            },
            Shape::Document(schema) if self.is_plain(schema, depth) && schema.get("items").is_some() => {
                let item = self.literal(&text!("{name}-item")?, tool, &schema["items"], depth + 1)?;
                self.rule(&text!("{name}-item")?, &item)?;
                text!("\"[\" ws ({name}-item (ws \",\" ws {name}-item)* ws)? \"]\"")
            }
            Shape::Document(schema) if self.is_plain(schema, depth) && schema.get("properties").is_some() => {
                let properties = schema["properties"].as_object().into_iter().flat_map(Map::iter);
                let properties = gathered(properties.map(|(key, schema)| (key.as_str(), schema)))?;
                let required = |key: &str| {
                    schema["required"]
                        .as_array()
                        .is_some_and(|keys| keys.iter().any(|k| k.as_str() == Some(key)))
                };
                let members =
                    self.members(&text!("{name}-member")?, tool, properties, &required, depth + 1)?;
                text!("\"{{\" ws {members} ws \"}}\"")
            }
            Shape::Document(schema)
                if python && self.is_plain(schema, depth) && alternatives(schema).is_some() =>
            {
                let mut all = Vec::new();
                for (n, schema) in alternatives(schema).into_iter().flatten().enumerate() {
                    let one = text!("{name}-any-{n}")?;
                    let value = self.literal(&one, tool, schema, depth + 1)?;
                    self.rule(&one, &value)?;
                    push(&mut all, one)?;
                }
                any_of(&all)
            }
            Shape::Document(schema) => {
                let document = self.document(tool, schema)?;
                match python && may_be_null(schema, 0) {
                    true => text!("({document} | \"None\")"),
                    false => Ok(document),
                }
            }
        }
    }
}

/// Returns the schemas of `anyOf`, of which a value must fit one.
fn alternatives(schema: &Json) -> Option<&Vec<Json>> {
    let all = schema.get("anyOf").and_then(Json::as_array)?;
    (!all.is_empty() && schema.get("properties").is_none() && schema.get("items").is_none()).then_some(all)
}

/// Returns whether a schema names null.
fn may_be_null(schema: &Json, depth: usize) -> bool {
    let named = |kind: &Json| kind == "null";
    let alternatives = ["anyOf", "oneOf"].iter().filter_map(|key| schema.get(*key)?.as_array());
    schema
        .get("type")
        .is_some_and(|kind| named(kind) || kind.as_array().is_some_and(|kinds| kinds.iter().any(named)))
        || schema.get("nullable") == Some(&Json::Bool(true))
        || depth < 2 && alternatives.flatten().any(|schema| may_be_null(schema, depth + 1))
}

/// Returns whether a schema allows only strings.
fn is_only_string(schema: &Json) -> bool {
    schema.get("type").and_then(Json::as_str) == Some("string")
}

/// Determines what a parameter may be. References are followed.
fn shape<'s>(tool: &'s Tool<'_>, schema: &'s Json) -> R<Shape<'s>> {
    let mut schema = schema;
    for _ in 0..32 {
        let Some(reference) = schema.get("$ref").and_then(Json::as_str) else { break };
        match reference.strip_prefix('#').and_then(|pointer| tool.parameters().pointer(pointer)) {
            Some(target) => schema = target,
            None => break,
        }
    }
    if let Some(Json::Array(values)) = schema.get("enum") {
        return Ok(Shape::Choice(gathered(values)?));
    }
    if let Some(value) = schema.get("const") {
        return Ok(Shape::Choice(vec![value]));
    }
    if may_be_text(tool, schema, 0, &mut { MAX_STEPS }) {
        return Ok(Shape::Text);
    }
    Ok(match schema.get("type").and_then(Json::as_str) {
        Some("boolean") => Shape::Boolean,
        _ => Shape::Document(schema),
    })
}

/// Returns whether a schema allows strings.
fn may_be_text(tool: &Tool<'_>, schema: &Json, depth: usize, steps: &mut usize) -> bool {
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
    // A schema that lists properties or items is meant for objects or arrays.
    !["properties", "items", "const"].iter().any(|key| schema.get(key).is_some())
}
