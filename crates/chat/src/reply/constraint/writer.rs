//! GBNF text that is being written.

use super::super::calls;
use super::super::grammar::{At, Grammar, Notation, Rule, opens};
use super::super::held::token_parts;
use super::super::schema::{Schema, Tool};
use super::{Part, ReplyGrammar};
use indexmap::IndexMap;
use serde_json::{Value as Json, json};
use std::collections::HashSet;

/// Rules and parts so far.
pub(super) struct Writer<'a> {
    pub(super) grammar: &'static Grammar,
    pub(super) schema: &'a Schema,
    token: &'a dyn Fn(&str) -> Option<u32>,
    /// The notation of literals.
    pub(super) notation: Notation,
    rules: IndexMap<String, String>,
    parts: Vec<(String, Part)>,
}

impl<'a> Writer<'a> {
    pub(super) fn new(
        grammar: &'static Grammar,
        schema: &'a Schema,
        token: &'a dyn Fn(&str) -> Option<u32>,
    ) -> Self {
        let mut writer = Writer {
            grammar,
            schema,
            token,
            notation: grammar.notation,
            rules: IndexMap::new(),
            parts: Vec::new(),
        };
        writer.rule("ws", "[ \\t\\r\\n]{0,32}");
        writer
    }

    pub(super) fn tools(&self) -> impl Iterator<Item = (usize, &'a Tool)> + use<'a> {
        self.schema.tools().enumerate()
    }

    pub(super) fn has_tools(&self) -> bool {
        self.schema.has_tools()
    }

    /// Adds a rule, once.
    pub(super) fn rule(&mut self, name: &str, expr: &str) {
        if !self.has_rule(name) {
            self.rules.insert(name.to_owned(), expr.to_owned());
        }
    }

    pub(super) fn has_rule(&self, name: &str) -> bool {
        self.rules.contains_key(name)
    }

    /// The name of a part; equal parts are one.
    pub(super) fn part(&mut self, kind: &str, part: Part) -> String {
        if let Some((name, _)) = self.parts.iter().find(|(_, known)| *known == part) {
            return name.clone();
        }
        let count = self.parts.iter().filter(|(name, _)| name.starts_with(kind)).count();
        let name = format!("{kind}-{count}");
        self.parts.push((name.clone(), part));
        name
    }

    /// How many rules there are.
    pub(super) fn rules(&self) -> usize {
        self.rules.len()
    }

    pub(super) fn finish(self) -> ReplyGrammar {
        let used: HashSet<&str> = self.rules.values().flat_map(|expr| words(expr)).collect();
        let line = |name: &str, expr: &str| format!("{name} ::= {}\n", expr.trim());
        // The root first, as people write it.
        let mut gbnf = self.rules.get("root").map_or(String::new(), |expr| line("root", expr));
        for (name, expr) in self.rules.iter().filter(|(name, _)| used.contains(name.as_str())) {
            gbnf.push_str(&line(name, expr));
        }
        ReplyGrammar { gbnf, parts: self.parts }
    }

    /// A marker, its tokens by number.
    pub(super) fn marker(&self, marker: &str) -> String {
        let (mut out, mut from) = (Vec::new(), 0);
        for part in token_parts(marker, &|text| (self.token)(text).is_some()) {
            if part.start > from {
                out.push(quote(&marker[from..part.start]));
            }
            let id = (self.token)(&marker[part.clone()]);
            out.extend(id.map(|id| format!("<[{id}]>")));
            from = part.end;
        }
        if from < marker.len() {
            out.push(quote(&marker[from..]));
        }
        out.join(" ")
    }

    /// The part of a marker that text must not contain, if it does not begin with a token anyway.
    fn as_text<'m>(&self, marker: &'m str) -> Option<&'m str> {
        let parts = token_parts(marker, &|text| (self.token)(text).is_some());
        let end = parts.first().map_or(marker.len(), |part| part.start);
        marker.get(..end).filter(|text| !text.is_empty())
    }

    /// Text up to the first of some markers.
    pub(super) fn until<'m>(&mut self, markers: impl IntoIterator<Item = &'m str>) -> String {
        let strings = markers.into_iter().filter_map(|marker| self.as_text(marker)).map(str::to_owned);
        let mut strings: Vec<String> = strings.collect();
        strings.sort_unstable();
        strings.dedup();
        self.part("text", Part::Until(strings))
    }

    /// What opens thinking, and thoughts with their end.
    pub(super) fn thinking(&mut self) -> Option<(String, (String, String))> {
        let (open, close) = self.grammar.think;
        if open.is_empty() {
            return None;
        }
        let thoughts = self.until([close]);
        Some((self.marker(open), (thoughts, self.marker(close))))
    }

    /// The rules that begin calls.
    pub(super) fn openers(&self) -> impl Iterator<Item = Rule> + use<> {
        self.grammar.rules.iter().copied().filter(|rule| opens(rule) && rule.2 != At::Header)
    }

    /// Text that begins no call; control tokens that may stand in it are markers of content, and thinking.
    pub(super) fn free_text(&mut self) -> String {
        let triggers: Vec<&str> = self.openers().map(|rule| rule.1).collect();
        let text = self.until(triggers);
        let content = |rule: &&Rule| (rule.0, rule.2) == (At::Content, At::Content);
        let markers = self.grammar.rules.iter().filter(content).map(|rule| rule.1);
        let mut tokens: Vec<String> = markers
            .filter(|marker| self.as_text(marker).is_none())
            .map(|marker| self.marker(marker))
            .collect();
        if self.as_text(self.grammar.think.0).is_none()
            && let Some((open, (thoughts, close))) = self.thinking()
        {
            tokens.push(format!("{open} {thoughts} {close}"));
        }
        let free = match tokens.is_empty() {
            true => text,
            false => format!("{text} (({}) {text})*", tokens.join(" | ")),
        };
        self.rule("free", &free);
        "free".to_owned()
    }

    /// The beginning of a trigger at the end of a reply, where free text may not stop by itself: `>` before `>>>`.
    pub(super) fn ending(&mut self) -> String {
        let mut ends: Vec<String> = Vec::new();
        for rule in self.openers() {
            let Some(text) = self.as_text(rule.1) else { continue };
            let parts = text.char_indices().skip(1).filter_map(|(i, _)| text.get(..i));
            ends.extend(parts.filter(|part| text.ends_with(part)).map(quote));
        }
        if ends.is_empty() { String::new() } else { format!("({})?", ends.join(" | ")) }
    }

    /// The answer, in the marks of the format or without.
    pub(super) fn answer(&mut self) -> String {
        let answer = self.part("answer", Part::Answer);
        let (open, close) = self.grammar.answer;
        if open.is_empty() {
            return answer;
        }
        let (open, close) = (self.marker(open), self.marker(close));
        format!("({answer} | {open} ws {answer} (ws {close})?)")
    }

    /// A tool's arguments as a JSON object, also where the schema says nothing of types, or allows others.
    pub(super) fn arguments(&mut self, tool: &Tool) -> String {
        let mut schema = match tool.has_parameters() {
            true => tool.parameters().clone(),
            false => json!({"type": "object", "properties": {}, "additionalProperties": false}),
        };
        if let Json::Object(map) = &mut schema {
            let allows =
                |kinds: &Json| kinds.as_array().is_some_and(|kinds| kinds.contains(&json!("object")));
            if map.get("type").is_none_or(allows) {
                map.insert("type".to_owned(), json!("object"));
            } else if map["type"] != "object" {
                // Nothing satisfies it, which the schema's own error says.
                map.insert("allOf".to_owned(), json!([{"type": "object"}]));
            }
        }
        self.part("arguments", Part::Schema(schema))
    }

    /// A document of a schema inside of a tool's.
    pub(super) fn document(&mut self, tool: &Tool, schema: &Json) -> String {
        let mut schema = schema.clone();
        if let Json::Object(map) = &mut schema {
            for key in ["$defs", "definitions"] {
                if let Some(definitions) = tool.parameters().get(key) {
                    map.entry(key).or_insert_with(|| definitions.clone());
                }
            }
        }
        self.part("value", Part::Schema(schema))
    }

    /// Whether an argument's name in the place of a name carries a number, as Kimi K2's do.
    pub(super) fn has_numbered_names(&self) -> bool {
        std::ptr::eq(self.grammar, &calls::KIMI_K2)
    }
}

/// A GBNF literal.
pub(super) fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' || c == '\u{7f}' => out.push_str(&format!("\\x{:02X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Alternatives as one expression.
pub(super) fn any_of(alternatives: &[String]) -> String {
    match alternatives {
        [one] => one.clone(),
        all => format!("({})", all.join(" | ")),
    }
}

/// The names in an expression: what is not in quotes or brackets.
fn words(expr: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    let mut escaped = false;
    expr.split(move |c: char| {
        let inside = quoted;
        if escaped {
            escaped = false;
        } else if c == '\\' {
            escaped = true;
        } else if c == '"' {
            quoted = !quoted;
        }
        inside || !(c.is_ascii_alphanumeric() || c == '-')
    })
}
