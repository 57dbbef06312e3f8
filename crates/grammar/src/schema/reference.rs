//! Resolving references to schemas of the document: by `$id`, `$anchor` and JSON pointer (RFC 3986 and 6901).
//!
//! ```text
//! once:     walk all places of schemas;  note the URI of each $id (resolved against the one around it) and of each anchor
//! "a.json#/b/c":  resolve "a.json" against the URI around the reference;  the schema with that $id;  /b/c below it
//! ```

use super::formats;
use super::source::{Loc, Result};
use crate::error::SchemaErrorKind;
use crate::halt::{Halt, Meter};
use serde_json::Value;
use std::collections::HashMap;
use std::rc::Rc;

/// Keywords whose value is a schema or an array of schemas.
const SCHEMAS: &[&str] = &[
    "additionalItems",
    "additionalProperties",
    "allOf",
    "anyOf",
    "contains",
    "else",
    "if",
    "items",
    "not",
    "oneOf",
    "prefixItems",
    "propertyNames",
    "then",
    "unevaluatedItems",
    "unevaluatedProperties",
];

/// Keywords whose value is an object of schemas.
const NAMED: &[&str] =
    &["$defs", "definitions", "dependencies", "dependentSchemas", "patternProperties", "properties"];

/// The schemas of the document that have a URI.
#[derive(Debug)]
pub(super) struct References<'a> {
    /// By `$id`, and by `$id#anchor`.
    targets: HashMap<String, Loc<'a>>,
    /// The URI at each place that has an `$id`.
    bases: HashMap<Rc<str>, String>,
    /// Constraints that are not checked, though the schema's writer may expect it.
    pub(super) ignored: Vec<String>,
}

impl<'a> References<'a> {
    /// Collects all of them.
    pub(super) fn new(root: &Loc<'a>, meter: &Meter<'_>) -> core::result::Result<Self, Halt> {
        let mut references = Self { targets: HashMap::new(), bases: HashMap::new(), ignored: Vec::new() };
        references.targets.insert(String::new(), root.clone());
        let mut work = vec![(root.clone(), String::new())];
        while let Some((schema, mut base)) = work.pop() {
            meter.step(40)?;
            references.targets.try_reserve(3)?;
            references.bases.try_reserve(1)?;
            references.ignored.try_reserve(1)?;
            // A place comes before what it contains, and the first of two equal names counts.
            if let Some(id) = schema.get("$id").and_then(Value::as_str) {
                base = resolve(&base, id.trim_end_matches('#'));
                references.targets.entry(base.clone()).or_insert_with(|| schema.clone());
                references.bases.insert(Rc::clone(&schema.pointer), base.clone());
            }
            for keyword in ["$anchor", "$dynamicAnchor"] {
                if let Some(name) = schema.get(keyword).and_then(Value::as_str) {
                    references.targets.entry(format!("{base}#{name}")).or_insert_with(|| schema.clone());
                }
            }
            if let Some(name) = schema.get("format").and_then(Value::as_str)
                && formats::pattern(name).is_none()
            {
                let place = &schema.pointer;
                references.ignored.push(format!("at {place}/format: the format {name:?} is not checked"));
            }
            let mut found: Vec<Loc<'a>> = Vec::new();
            for held in SCHEMAS.iter().filter_map(|keyword| schema.below(keyword)) {
                let items = held.value.as_array().map_or(0, Vec::len);
                found.try_reserve(items + 1)?;
                found.extend((0..items).filter_map(|i| held.below(&i.to_string())));
                found.push(held);
            }
            for held in NAMED.iter().filter_map(|keyword| schema.below(keyword)) {
                found.try_reserve(held.value.as_object().map_or(0, |object| object.len()))?;
                let names = held.value.as_object().into_iter().flat_map(|object| object.keys());
                found.extend(names.filter_map(|name| held.below(name)));
            }
            meter.step(4 * found.len())?;
            work.try_reserve(found.len())?;
            work.extend(found.into_iter().rev().map(|schema| (schema, base.clone())));
        }
        Ok(references)
    }

    /// The schema that the `$ref` of a schema refers to.
    pub(super) fn target(&self, schema: &Loc<'a>) -> Result<Option<Loc<'a>>> {
        let Some(text) = schema.text("$ref")? else { return Ok(None) };
        let (document, fragment) = text.split_once('#').unwrap_or((text, ""));
        let uri = resolve(self.base(&schema.pointer), document);
        let Some(resource) = self.targets.get(&uri) else {
            let message = format!("expected a reference into this document ('#..'), found {text:?}");
            return Err(schema.unsupported("$ref", message));
        };
        let missing = || schema.error("$ref", SchemaErrorKind::Reference, format!("nothing is at {text:?}"));
        let fragment = percent_decoded(fragment).ok_or_else(missing)?;
        if !fragment.is_empty() && !fragment.starts_with('/') {
            return self.targets.get(&format!("{uri}#{fragment}")).cloned().ok_or_else(missing).map(Some);
        }
        let mut at = resource.clone();
        for part in fragment.split('/').skip(1) {
            at = at.below(&part.replace("~1", "/").replace("~0", "~")).ok_or_else(missing)?;
        }
        Ok(Some(at))
    }

    /// The base URI at a place: that of the nearest enclosing `$id`.
    fn base(&self, pointer: &str) -> &str {
        let mut at = Some(pointer);
        while let Some(place) = at {
            if let Some(base) = self.bases.get(place) {
                return base;
            }
            at = place.rsplit_once('/').map(|(around, _)| around);
        }
        ""
    }
}

/// A reference without its fragment, resolved against a base.
fn resolve(base: &str, reference: &str) -> String {
    if reference.is_empty() {
        return base.to_owned();
    }
    let Some((scheme, rest)) = split_scheme(base).filter(|_| split_scheme(reference).is_none()) else {
        return reference.to_owned();
    };
    if reference.starts_with("//") {
        return format!("{scheme}:{reference}");
    }
    // Only a URI with a hierarchical path can be the base of relative references; `urn:` has none.
    let (authority, path) = match rest.strip_prefix("//") {
        Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
        None => return reference.to_owned(),
    };
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let whole =
        if reference.starts_with('/') { reference.to_owned() } else { format!("{folder}/{reference}") };
    let mut parts: Vec<&str> = Vec::new();
    for part in whole.split('/').skip(1) {
        match part {
            "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("{scheme}://{authority}/{}", parts.join("/"))
}

/// The scheme, and what follows its colon.
fn split_scheme(uri: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = uri.split_once(':')?;
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    is_scheme.then_some((scheme, rest))
}

/// Decodes `%41` and the like in a URI fragment.
fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|b| char::from(b).to_digit(16));
        bytes.push((digit()? * 16 + digit()?) as u8);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_references() {
        let cases = [
            ("http://example.com/b/c.json", "d.json", "http://example.com/b/d.json"),
            ("http://example.com/b/c.json", "../d.json", "http://example.com/d.json"),
            ("http://example.com/b/c.json", "/d.json", "http://example.com/d.json"),
            ("http://example.com", "d.json", "http://example.com/d.json"),
            ("http://example.com/a", "//other.org/x", "http://other.org/x"),
            ("http://example.com/a", "", "http://example.com/a"),
            ("http://example.com/a", "urn:x:y", "urn:x:y"),
            ("file:///c:/folder/file.json", "other.json", "file:///c:/folder/other.json"),
            ("urn:uuid:1", "node", "node"),
            ("", "node", "node"),
        ];
        let wrong: Vec<_> = cases.iter().filter(|(base, text, uri)| resolve(base, text) != *uri).collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }
}
