//! Objects: properties in the order of the schema, then others.
//!
//! ```text
//! members(i, n):  (i-th property, n written so far)
//!   write it:      "," key ":" value members(i+1, n+1)       leave it out, where it is not required:  members(i+1, n)
//! after the last:  other names, any number of times
//! ```
//!
//! A schema with `properties` and without `additionalProperties` makes no other names: what a model may invent there nobody
//! asked for. Other names may repeat; then each of their values satisfies the schema, whichever a reader keeps.

use super::emit::{Compiler, Spelling};
use super::shape;
use super::source::{Loc, Result};
use crate::regular::{Algebra, Automaton, Term};
use crate::rules::{Expr, RuleId};
use serde_json::Value;

/// Patterns of names with different schemas in one object: their combinations are looked at one by one.
const MAX_PATTERNS: usize = 5;

/// What is said of an object's members.
pub(super) struct ObjectLayout<'a> {
    /// All named properties, in order.
    pub(super) properties: Vec<String>,
    pub(super) required: Vec<String>,
    /// Schemas of the names themselves.
    pub(super) names: Vec<Loc<'a>>,
    sources: Vec<Source<'a>>,
}

/// What one schema says.
struct Source<'a> {
    properties: Vec<(&'a str, Loc<'a>)>,
    patterns: Vec<(Term, Loc<'a>)>,
    additional: Option<Loc<'a>>,
}

impl<'a> ObjectLayout<'a> {
    /// The schemas that the member `name` must satisfy.
    pub(super) fn member(&self, name: &str, a: &mut Algebra) -> Vec<Loc<'a>> {
        let mut found = Vec::new();
        for source in &self.sources {
            let before = found.len();
            found.extend(
                source.properties.iter().filter(|(known, _)| *known == name).map(|(_, loc)| loc.clone()),
            );
            for (pattern, loc) in &source.patterns {
                if a.matches(*pattern, name) {
                    found.push(loc.clone());
                }
            }
            if found.len() == before {
                found.extend(source.additional.clone());
            }
        }
        found
    }

    /// Whether names that are not listed and match no pattern are left out.
    pub(super) fn closed(&self) -> bool {
        self.sources.iter().all(|source| source.additional.is_none())
            && self.sources.iter().any(|source| !source.properties.is_empty() || !source.patterns.is_empty())
    }
}

fn is_false(schemas: &[Loc<'_>]) -> bool {
    schemas.iter().any(|schema| *schema.value == Value::Bool(false))
}

impl<'a> Compiler<'a> {
    pub(super) fn object_layout(&mut self, plain: &[Loc<'a>]) -> Result<ObjectLayout<'a>> {
        let mut layout = ObjectLayout {
            properties: Vec::new(),
            required: Vec::new(),
            names: Vec::new(),
            sources: Vec::new(),
        };
        for schema in plain {
            let properties = schema.members("properties")?;
            let mut patterns = Vec::new();
            for (text, loc) in schema.members("patternProperties")? {
                let term =
                    shape::pattern_term(schema, "patternProperties", text, self.limits, &mut self.algebra)?;
                patterns.push((term, loc));
            }
            for (name, _) in &properties {
                if !layout.properties.iter().any(|known| known == name) {
                    layout.properties.push((*name).to_owned());
                }
            }
            layout.required.extend(schema.required()?.into_iter().map(str::to_owned));
            layout.names.extend(schema.child("propertyNames"));
            layout.sources.push(Source {
                properties,
                patterns,
                additional: schema.child("additionalProperties"),
            });
        }
        layout.required.sort_unstable();
        layout.required.dedup();
        Ok(layout)
    }

    /// An object.
    pub(super) fn object(&mut self, plain: &[Loc<'a>]) -> Result<Expr> {
        let layout = self.object_layout(plain)?;
        let (min, max) = shape::lengths(plain, "Properties")?;
        self.check_counts(plain, "Properties", min, max)?;
        let mut members = Vec::new();
        let unnamed = layout.required.iter().filter(|name| !layout.properties.contains(name));
        for name in layout.properties.iter().chain(unnamed) {
            let schemas = layout.member(name, &mut self.algebra);
            let required = layout.required.contains(name);
            let allowed = !is_false(&schemas) && self.name_is_valid(&layout.names, name)?;
            if allowed {
                let key = Value::from(name.as_str()).to_string();
                members.push((Some(self.pair(Expr::literal(key), &schemas)?), required));
            } else if required {
                members.push((None, true));
            }
        }
        let others = self.others(&layout)?;
        let inside = self.members(plain, members, others, min, max)?;
        let space = Expr::Rule(self.space());
        Ok(Expr::Seq(vec![Expr::literal("{"), space.clone(), inside, space, Expr::literal("}")]))
    }

    /// `key : value`.
    fn pair(&mut self, key: Expr, schemas: &[Loc<'a>]) -> Result<Expr> {
        let space = Expr::Rule(self.space());
        let value = Expr::Rule(self.rule(schemas, Spelling::Any)?);
        let pair = Expr::Seq(vec![key, space.clone(), Expr::literal(":"), space, value]);
        Ok(Expr::Rule(self.new_rule("member", pair)))
    }

    /// Members that are not named: a pair for each combination of patterns that a name may match.
    fn others(&mut self, layout: &ObjectLayout<'a>) -> Result<Option<Expr>> {
        let patterns: Vec<(usize, Term, &Loc<'a>)> = layout
            .sources
            .iter()
            .enumerate()
            .flat_map(|(i, source)| source.patterns.iter().map(move |(term, loc)| (i, *term, loc)))
            .collect();
        if let Some((_, _, loc)) = patterns.get(MAX_PATTERNS) {
            return Err(
                loc.unsupported("", format!("more than {MAX_PATTERNS} patterns of names are not supported"))
            );
        }
        let taken: Vec<Term> =
            layout.properties.iter().chain(&layout.required).map(|name| self.algebra.literal(name)).collect();
        let taken = self.algebra.or(taken);
        let mut names = vec![self.algebra.not(taken)];
        if !layout.names.is_empty() {
            names.push(self.strings(&layout.names)?);
        }
        let names = self.algebra.and(names);
        let mut pairs = Vec::new();
        for matched in 0..1u32 << patterns.len() {
            if matched == 0 && layout.closed() {
                continue;
            }
            let mut terms = vec![names];
            let mut schemas = Vec::new();
            for (bit, (_, term, loc)) in patterns.iter().enumerate() {
                let is_matched = matched >> bit & 1 != 0;
                terms.push(if is_matched { *term } else { self.algebra.not(*term) });
                schemas.extend(is_matched.then(|| (*loc).clone()));
            }
            for (i, source) in layout.sources.iter().enumerate() {
                let by_pattern =
                    patterns.iter().enumerate().any(|(bit, (of, ..))| *of == i && matched >> bit & 1 != 0);
                schemas.extend(source.additional.clone().filter(|_| !by_pattern));
            }
            if is_false(&schemas) {
                continue;
            }
            let anything = self.algebra.anything();
            terms.push(anything);
            let term = self.algebra.and(terms);
            let Some(key) = self.quoted(term)? else { continue };
            pairs.push(self.pair(key, &schemas)?);
        }
        Ok(if pairs.is_empty() { None } else { Some(Expr::Alt(pairs)) })
    }

    /// The members between the braces, made from the end. Counts are kept where the schema bounds them.
    fn members(
        &mut self,
        plain: &[Loc<'a>],
        members: Vec<(Option<Expr>, bool)>,
        others: Option<Expr>,
        min: u32,
        max: Option<u32>,
    ) -> Result<Expr> {
        let top = min.max(max.unwrap_or(0)).max(1);
        if members.len() as u64 * u64::from(top) > self.limits.nodes as u64 / 10 {
            let schema = &plain[0];
            return Err(
                schema.limit("", "too many properties for these bounds of their number (Limits::nodes)")
            );
        }
        let comma = Expr::Seq(vec![Expr::literal(","), Expr::Rule(self.space())]);
        let separator = |n: u32| if n == 0 { Expr::EMPTY } else { comma.clone() };
        let room = |n: u32| max.is_none_or(|max| n < max);
        // After the last named member, for each number of them. Other names may be the same: they count as one.
        let mut after: Vec<RuleId> = Vec::new();
        for n in 0..=top {
            let mut ways = Vec::new();
            if n >= min {
                ways.push(Expr::EMPTY);
            }
            if let Some(other) = others.as_ref().filter(|_| room(n) && n + 1 >= min) {
                let more = Expr::Seq(vec![comma.clone(), other.clone()]);
                let more = Expr::repeat(more, 0, max.map(|max| max - n - 1));
                ways.push(Expr::Seq(vec![separator(n), other.clone(), more]));
            }
            after.push(self.new_rule("members", Expr::Alt(ways)));
        }
        for (pair, required) in members.into_iter().rev() {
            let mut before = Vec::new();
            for n in 0..=top {
                let mut ways = Vec::new();
                if let Some(pair) = pair.as_ref().filter(|_| room(n)) {
                    let next = Expr::Rule(after[(n + 1).min(top) as usize]);
                    ways.push(Expr::Seq(vec![separator(n), pair.clone(), next]));
                }
                if !required {
                    ways.push(Expr::Rule(after[n as usize]));
                }
                before.push(self.new_rule("members", Expr::Alt(ways)));
            }
            after = before;
        }
        Ok(Expr::Rule(after[0]))
    }

    /// A string in quotes that a term describes; `None` where it describes none.
    fn quoted(&mut self, term: Term) -> Result<Option<Expr>> {
        let Ok(automaton) = Automaton::new(&mut self.algebra, term, self.limits.pattern_states) else {
            return Err(self.too_many_states());
        };
        Ok(automaton.map(|automaton| self.string_automaton(&automaton, Spelling::Any)))
    }
}
