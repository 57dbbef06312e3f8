//! The writer of GBNF text.

use super::super::calls;
use super::super::grammar::{At, Grammar, Notation, Rule, opens};
use super::super::held::token_parts;
use super::super::schema::{Schema, Tool};
use super::Part;
use crate::memory::{OutOfMemory, R, Text, gathered, joined, json_text, push, text};
use indexmap::IndexMap;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value as Json, json};
use std::collections::HashSet;
use std::fmt::Write as _;

/// The rules and parts so far.
pub(super) struct Writer<'a> {
    pub(super) grammar: &'static Grammar,
    pub(super) schema: &'a Schema<'a>,
    token: &'a dyn Fn(&str) -> Option<u32>,
    /// The notation of literals.
    pub(super) notation: Notation,
    rules: IndexMap<String, String>,
    parts: Vec<(String, Part)>,
}

impl<'a> Writer<'a> {
    pub(super) fn new(
        grammar: &'static Grammar,
        schema: &'a Schema<'a>,
        token: &'a dyn Fn(&str) -> Option<u32>,
    ) -> R<Self> {
        let mut writer = Writer {
            grammar,
            schema,
            token,
            notation: grammar.notation,
            rules: IndexMap::new(),
            parts: Vec::new(),
        };
        writer.rule("ws", "[ \\t\\r\\n]{0,32}")?;
        Ok(writer)
    }

    pub(super) fn tools(&self) -> impl Iterator<Item = (usize, &'a Tool<'a>)> + use<'a> {
        self.schema.tools().enumerate()
    }

    pub(super) fn has_tools(&self) -> bool {
        self.schema.has_tools()
    }

    /// Adds a rule, once.
    pub(super) fn rule(&mut self, name: &str, expr: &str) -> R<()> {
        if !self.has_rule(name) {
            self.rules.try_reserve(1).map_err(|_| OutOfMemory)?;
            self.rules.insert(text!("{name}")?, text!("{expr}")?);
        }
        Ok(())
    }

    pub(super) fn has_rule(&self, name: &str) -> bool {
        self.rules.contains_key(name)
    }

    /// Adds a part and returns its name. Equal parts share a name.
    pub(super) fn part(&mut self, kind: &str, part: Part) -> R<String> {
        if let Some((name, _)) = self.parts.iter().find(|(_, known)| *known == part) {
            return text!("{name}");
        }
        let count = self.parts.iter().filter(|(name, _)| name.starts_with(kind)).count();
        let name = text!("{kind}-{count}")?;
        push(&mut self.parts, (text!("{name}")?, part))?;
        Ok(name)
    }

    /// Returns the number of rules.
    pub(super) fn rules(&self) -> usize {
        self.rules.len()
    }

    /// Returns the text and its parts.
    pub(super) fn finish(self) -> R<(String, Vec<(String, Part)>)> {
        let mut used = HashSet::new();
        for word in self.rules.values().flat_map(|expr| words(expr)) {
            used.try_reserve(1)?;
            used.insert(word);
        }
        // The root comes first, as is usual.
        let root = self.rules.get_key_value("root");
        let others = self.rules.iter().filter(|(name, _)| used.contains(name.as_str()));
        let mut gbnf = Text::default();
        for (name, expr) in root.into_iter().chain(others) {
            [name, " ::= ", expr.trim(), "\n"].into_iter().try_for_each(|part| gbnf.add(part))?;
        }
        Ok((gbnf.0, self.parts))
    }

    /// Writes a marker, with its control tokens by number.
    pub(super) fn marker(&self, marker: &str) -> R<String> {
        let (mut out, mut from) = (Vec::new(), 0);
        for part in token_parts(marker, &|text| (self.token)(text).is_some()) {
            if part.start > from {
                push(&mut out, quote(&marker[from..part.start])?)?;
            }
            if let Some(id) = (self.token)(&marker[part.clone()]) {
                push(&mut out, text!("<[{id}]>")?)?;
            }
            from = part.end;
        }
        if from < marker.len() {
            push(&mut out, quote(&marker[from..])?)?;
        }
        joined(&out, " ")
    }

    /// Returns the part of a marker that text must not contain, or `None` if the marker begins with a control token, which text
    /// never contains.
    fn as_text(&self, marker: &'static str) -> Option<&'static str> {
        let first = token_parts(marker, &|text| (self.token)(text).is_some()).next();
        let end = first.map_or(marker.len(), |part| part.start);
        marker.get(..end).filter(|text| !text.is_empty())
    }

    /// Writes text up to the first of some markers.
    pub(super) fn until(&mut self, markers: impl IntoIterator<Item = &'static str>) -> R<String> {
        let mut strings = gathered(markers.into_iter().filter_map(|marker| self.as_text(marker)))?;
        strings.sort_unstable();
        strings.dedup();
        self.part("text", Part::Until(strings))
    }

    /// Writes any text up to one of the markers `ends`. The text may contain the markers `marks`.
    pub(super) fn anything(&mut self, marks: &[&'static str], ends: &[&'static str]) -> R<String> {
        let mut all = gathered(marks.iter().chain(ends).copied().filter(|mark| !mark.is_empty()))?;
        all.sort_unstable();
        all.dedup();
        let text = self.until(all.iter().copied())?;
        let inside: Vec<String> = all.iter().map(|mark| self.marker(mark)).collect::<R<_>>()?;
        let ends: Vec<String> = ends.iter().map(|end| self.marker(end)).collect::<R<_>>()?;
        text!("{text} ({} {text})* {}", any_of(&inside)?, any_of(&ends)?)
    }

    /// Writes the marker that opens thinking, and the thinking with its end marker.
    pub(super) fn thinking(&mut self) -> R<Option<(String, (String, String))>> {
        let (open, close) = self.grammar.think;
        if open.is_empty() {
            return Ok(None);
        }
        let thoughts = self.until([close])?;
        Ok(Some((self.marker(open)?, (thoughts, self.marker(close)?))))
    }

    /// Returns the rules that begin calls.
    pub(super) fn openers(&self) -> impl Iterator<Item = Rule> + use<> {
        self.grammar.rules.iter().copied().filter(|rule| opens(rule) && rule.2 != At::Header)
    }

    /// Writes text that does not begin a call. Control tokens in it may be markers of content, and thinking.
    pub(super) fn free_text(&mut self) -> R<&'static str> {
        let text = self.until(self.openers().map(|rule| rule.1))?;
        let content = |rule: &&Rule| (rule.0, rule.2) == (At::Content, At::Content);
        let markers = self.grammar.rules.iter().filter(content).map(|rule| rule.1);
        let mut tokens = Vec::new();
        for marker in markers.filter(|marker| self.as_text(marker).is_none()) {
            push(&mut tokens, self.marker(marker)?)?;
        }
        if self.as_text(self.grammar.think.0).is_none()
            && let Some((open, (thoughts, close))) = self.thinking()?
        {
            push(&mut tokens, text!("{open} {thoughts} {close}")?)?;
        }
        let free = match tokens.is_empty() {
            true => text,
            false => text!("{text} (({}) {text})*", joined(&tokens, " | ")?)?,
        };
        self.rule("free", &free)?;
        Ok("free")
    }

    /// Writes the incomplete beginnings of triggers, such as `>` of `>>>`. Free text excludes them, but a reply may end with one.
    pub(super) fn ending(&mut self) -> R<String> {
        let mut ends: Vec<String> = Vec::new();
        for rule in self.openers() {
            let Some(text) = self.as_text(rule.1) else { continue };
            let parts = text.char_indices().skip(1).filter_map(|(i, _)| text.get(..i));
            for part in parts.filter(|part| text.ends_with(part)) {
                push(&mut ends, quote(part)?)?;
            }
        }
        if ends.is_empty() { Ok(String::new()) } else { text!("({})?", joined(&ends, " | ")?) }
    }

    /// Writes the answer, with the markers of the format or without.
    pub(super) fn answer(&mut self) -> R<String> {
        let answer = self.part("answer", Part::Answer)?;
        let (open, close) = self.grammar.answer;
        if open.is_empty() {
            return Ok(answer);
        }
        let (open, close) = (self.marker(open)?, self.marker(close)?);
        text!("({answer} | {open} ws {answer} (ws {close})?)")
    }

    /// Writes a tool's arguments as a JSON object, even if the schema names no type or allows other types too.
    pub(super) fn arguments(&mut self, tool: &Tool<'_>) -> R<String> {
        if tool.is_free() {
            return self.part(
                "arguments",
                Part::Schema(text!(r#"{{"type":"object","additionalProperties":true}}"#)?),
            );
        }
        let Some(map) = tool.parameters().as_object().filter(|_| tool.has_parameters()) else {
            let none = text!(r#"{{"type":"object","properties":{{}},"additionalProperties":false}}"#)?;
            return self.part("arguments", Part::Schema(none));
        };
        let object = json!("object");
        let schema = match map.get("type") {
            Some(kind) if *kind == object => json_text(map)?,
            Some(kind) if !kind.as_array().is_some_and(|kinds| kinds.contains(&object)) => {
                // Nothing satisfies this schema. Compiling it reports that.
                json_text(&With(map, &[("allOf", Some(&json!([{"type": "object"}])))]))?
            }
            _ => json_text(&With(map, &[("type", Some(&object))]))?,
        };
        self.part("arguments", Part::Schema(schema))
    }

    /// Writes a document that fits a schema inside of a tool's schema.
    pub(super) fn document(&mut self, tool: &Tool<'_>, schema: &Json) -> R<String> {
        let definition = |key| match schema.get(key) {
            Some(own) => (key, Some(own)),
            None => (key, tool.parameters().get(key)),
        };
        let schema = match schema {
            Json::Object(map) => json_text(&With(map, &["$defs", "definitions"].map(definition)))?,
            schema => json_text(schema)?,
        };
        self.part("value", Part::Schema(schema))
    }

    /// Returns whether calls have numbered names, as Kimi K2's do (`functions.f:0`).
    pub(super) fn has_numbered_names(&self) -> bool {
        std::ptr::eq(self.grammar, &calls::KIMI_K2)
    }
}

/// An object in which some members are replaced or added. A member given as `None` is left as it is.
struct With<'a>(&'a Map<String, Json>, &'a [(&'a str, Option<&'a Json>)]);

impl Serialize for With<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let With(own, others) = self;
        let other = |key: &str| others.iter().find(|(other, _)| *other == key)?.1;
        let own_members = own.iter().map(|(key, value)| (key.as_str(), other(key).unwrap_or(value)));
        let more = others.iter().filter(|(key, _)| !own.contains_key(*key));
        serializer.collect_map(own_members.chain(more.filter_map(|(key, value)| Some((*key, (*value)?)))))
    }
}

/// Writes a GBNF literal.
pub(super) fn quote(text: &str) -> R<String> {
    let mut out = Text::default();
    out.add("\"")?;
    // Characters that need no escape are copied together.
    for stretch in text.split_inclusive(|c| matches!(c, '"' | '\\' | '\0'..' ' | '\u{7f}')) {
        let mut chars = stretch.chars();
        match chars.next_back() {
            Some(c @ ('"' | '\\')) => write!(out, "{}\\{c}", chars.as_str()),
            Some('\n') => write!(out, "{}\\n", chars.as_str()),
            Some('\r') => write!(out, "{}\\r", chars.as_str()),
            Some('\t') => write!(out, "{}\\t", chars.as_str()),
            Some(c @ ('\0'..' ' | '\u{7f}')) => write!(out, "{}\\x{:02X}", chars.as_str(), u32::from(c)),
            _ => out.write_str(stretch),
        }
        .map_err(|_| OutOfMemory)?;
    }
    out.add("\"")?;
    Ok(out.0)
}

/// Writes alternatives as one expression.
pub(super) fn any_of(alternatives: &[String]) -> R<String> {
    match alternatives {
        [one] => text!("{one}"),
        all => text!("({})", joined(all, " | ")?),
    }
}

/// Returns the names in an expression: the words that are not in quotes or brackets.
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
