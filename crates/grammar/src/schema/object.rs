//! Objects: properties in the order of the schema, then others.
//!
//! ```text
//! members(i, n, m):  (i-th property, n written so far, m: which of the members that must exist are there)
//!   write it:        "," key ":" value members(i+1, n+1, m plus those that it satisfies)
//!   leave it out, if it is not required:  members(i+1, n, m)
//! after the last:    other names, any number of times;  if members that must exist are missing: one that is all of them
//! ```
//!
//! A schema with `properties` but without `additionalProperties` gets no other names, since nobody asked for what a
//! model might invent there. Other names may repeat; each of their values then satisfies the schema, whichever a reader
//! keeps. As many of them as the minimum requires differ (`machine/unique.rs`). A member that must exist does not
//! repeat, so it is the only one with another name.

use super::emit::{Compiler, Spelling};
use super::goal::Goal;
use super::shape::{Exists, Members, Shape, Span};
use super::source::Result;
use crate::error::SchemaErrorKind;
use crate::regular::{Algebra, Automaton, Term};
use crate::rules::{BY_COUNT, Expr, Plan, PlanState, PlanWay, RuleId, UniqueStep};
use serde_json::Value;
use std::collections::HashSet;
use std::rc::Rc;

/// The maximum number of name patterns with different schemas in one object, since all their combinations are examined.
const MAX_PATTERNS: usize = 5;
/// The maximum number of members that must exist under any name, for the same reason.
const MAX_EXISTS: usize = 4;

/// What is said about an object's members.
pub(super) struct ObjectLayout<'a> {
    /// All named properties, in order.
    properties: Vec<&'a str>,
    pub(super) required: Vec<&'a str>,
    absent: Vec<&'a str>,
    sources: Vec<Rc<Members<'a>>>,
}

impl<'a> ObjectLayout<'a> {
    /// The goals of the member `name`.
    pub(super) fn member(&self, name: &str, a: &mut Algebra) -> Vec<Goal<'a>> {
        let mut found = Vec::new();
        for source in &self.sources {
            let before = found.len();
            found.extend(
                source.properties.iter().filter(|(known, _)| *known == name).map(|(_, goal)| goal.clone()),
            );
            for (pattern, goal) in &source.patterns {
                if a.matches(*pattern, name) {
                    found.push(goal.clone());
                }
            }
            if found.len() == before {
                found.extend(source.additional.clone());
            }
        }
        found
    }

    /// Whether names that are not listed and match no pattern are left out.
    fn closed(&self) -> bool {
        let closes = |source: &Rc<Members<'a>>| {
            source.chain.is_some() && !(source.properties.is_empty() && source.patterns.is_empty())
        };
        self.sources.iter().all(|source| source.additional.is_none()) && self.sources.iter().any(closes)
    }
}

/// A property: the ways to write it, each with the required members that it satisfies, and whether the property is
/// required.
struct Property {
    pairs: Vec<(Expr, usize)>,
    required: bool,
}

impl<'a> Compiler<'a> {
    pub(super) fn object_layout(&mut self, shape: &Shape<'a>) -> ObjectLayout<'a> {
        let mut layout = ObjectLayout {
            properties: Vec::new(),
            required: Vec::new(),
            absent: shape.absent.clone(),
            sources: shape.members.clone(),
        };
        let mut known = HashSet::new();
        let named = shape.members.iter().flat_map(|source| &source.properties).map(|(name, _)| *name);
        layout.properties.extend(named.filter(|name| known.insert(*name)));
        known.clear();
        layout.required.extend(shape.required.iter().filter(|name| known.insert(**name)));
        layout
    }

    /// Makes an object.
    pub(super) fn object(&mut self, shape: &Shape<'a>, spelling: Spelling) -> Result<Expr> {
        let layout = self.object_layout(shape);
        self.check_span(shape.member_count, "properties")?;
        if shape.exists.len() > MAX_EXISTS {
            let message =
                format!("more than {MAX_EXISTS} conditions that some member must meet are not supported");
            return Err(self.error_here(SchemaErrorKind::Unsupported, message));
        }
        let mut properties = Vec::new();
        let unnamed = layout.required.iter().filter(|name| !layout.properties.contains(name));
        for name in layout.properties.iter().chain(unnamed) {
            let required = layout.required.contains(name);
            let mut pairs = Vec::new();
            if !layout.absent.contains(name) && self.is_valid(&shape.names, &Value::from(*name))? {
                pairs = self.named_pairs(&layout, &shape.exists, name, spelling)?;
            }
            if required || !pairs.is_empty() {
                properties.push(Property { pairs, required });
            }
        }
        let inside = self.members(&layout, shape, properties, spelling)?;
        let space = self.space(spelling);
        Ok(Expr::Seq(vec![Expr::literal("{"), space.clone(), inside, space, Expr::literal("}")]))
    }

    /// The ways to write a property: plainly, and as each combination of the members that must exist.
    fn named_pairs(
        &mut self,
        layout: &ObjectLayout<'a>,
        exists: &[Exists<'a>],
        name: &'a str,
        spelling: Spelling,
    ) -> Result<Vec<(Expr, usize)>> {
        let own = layout.member(name, &mut self.algebra);
        let key = Expr::literal(Value::from(name).to_string());
        let mut pairs = Vec::new();
        for mask in 0..1usize << exists.len() {
            let mut goals = own.clone();
            let mut fits = true;
            for (_, exist) in exists.iter().enumerate().filter(|(i, _)| mask >> i & 1 != 0) {
                fits &= self.algebra.matches(exist.names, name);
                goals.extend(exist.value.clone());
            }
            if fits && !goals.iter().any(Goal::is_never) {
                pairs.push((self.pair(key.clone(), &goals, spelling)?, mask));
            }
        }
        Ok(pairs)
    }

    /// Makes `key : value`.
    fn pair(&mut self, key: Expr, goals: &[Goal<'a>], spelling: Spelling) -> Result<Expr> {
        let value = self.rule(goals, spelling)?;
        Ok(self.pair_of(key, value, spelling))
    }

    fn pair_of(&mut self, key: Expr, value: RuleId, spelling: Spelling) -> Expr {
        let space = self.space(spelling);
        let pair = Expr::Seq(vec![key, space.clone(), Expr::literal(":"), space, Expr::Rule(value)]);
        Expr::Rule(self.new_rule("member", pair))
    }

    /// Makes `count` members with unlisted names that differ.
    fn different(&mut self, pairs: &[(Expr, RuleId)], count: u32, comma: &Expr, spelling: Spelling) -> Expr {
        let plan = self.plans.len() as u32;
        let mut states = vec![PlanState::default(); count as usize + 1];
        states[count as usize].ends = true;
        let mut ways = Vec::new();
        for (key, value) in pairs {
            let kind = self.new_rule("name", key.clone());
            for (i, state) in states.iter_mut().take(count as usize).enumerate() {
                state.ways.push(PlanWay { kind, needs: *value, next: i as u32 + 1 });
            }
            let begin = Expr::Unique(UniqueStep::Begin { plan, kind, next: BY_COUNT });
            let key = Expr::Seq(vec![begin, Expr::Rule(kind), Expr::Unique(UniqueStep::End)]);
            ways.push(self.pair_of(key, *value, spelling));
        }
        self.plans.push(Plan { states });
        let one = Expr::Rule(self.new_rule("different", Expr::Alt(ways)));
        let more = Expr::Seq(vec![comma.clone(), one.clone()]);
        Expr::Seq(vec![
            Expr::Unique(UniqueStep::Enter { plan }),
            one,
            Expr::repeat(more, count - 1, Some(count - 1)),
            Expr::Unique(UniqueStep::Leave),
        ])
    }

    /// Members with unlisted names that are all of `exists`, as the key and the value's rule: a pair for each
    /// combination of patterns that the name may match. `names_spelling` is the spelling of the key.
    fn other(
        &mut self,
        layout: &ObjectLayout<'a>,
        shape: &Shape<'a>,
        exists: &[&Exists<'a>],
        names_spelling: Spelling,
        spelling: Spelling,
    ) -> Result<Vec<(Expr, RuleId)>> {
        let patterns: Vec<(usize, Term, &Goal<'a>)> = layout
            .sources
            .iter()
            .enumerate()
            .flat_map(|(i, source)| source.patterns.iter().map(move |(term, goal)| (i, *term, goal)))
            .collect();
        if let Some((_, _, goal)) = patterns.get(MAX_PATTERNS) {
            let message = format!("more than {MAX_PATTERNS} patterns of names are not supported");
            return Err(goal.loc.unsupported("", message));
        }
        let taken = [&layout.properties, &layout.required, &layout.absent];
        let taken: Vec<Term> = taken.into_iter().flatten().map(|name| self.algebra.literal(name)).collect();
        let taken = self.algebra.or(taken);
        let mut names = vec![self.algebra.not(taken)];
        if !shape.names.is_empty() {
            names.push(self.strings(&shape.names)?);
        }
        names.extend(exists.iter().map(|exist| exist.names));
        let names = self.algebra.and(names);
        let mut pairs = Vec::new();
        for matched in 0..1u32 << patterns.len() {
            if matched == 0 && exists.is_empty() && layout.closed() && !self.is_wide() {
                continue;
            }
            let mut terms = vec![names];
            let mut goals: Vec<Goal<'a>> = exists.iter().filter_map(|exist| exist.value.clone()).collect();
            for (bit, (_, term, goal)) in patterns.iter().enumerate() {
                let is_matched = matched >> bit & 1 != 0;
                terms.push(if is_matched { *term } else { self.algebra.not(*term) });
                goals.extend(is_matched.then(|| (*goal).clone()));
            }
            for (i, source) in layout.sources.iter().enumerate() {
                let by_pattern =
                    patterns.iter().enumerate().any(|(bit, (of, ..))| *of == i && matched >> bit & 1 != 0);
                goals.extend(source.additional.clone().filter(|_| !by_pattern));
            }
            if goals.iter().any(Goal::is_never) {
                continue;
            }
            let anything = self.algebra.anything();
            terms.push(anything);
            let term = self.algebra.and(terms);
            let Some(key) = self.quoted(term, names_spelling)? else { continue };
            pairs.push((key, self.rule(&goals, spelling)?));
        }
        Ok(pairs)
    }

    /// Makes the members between the braces, starting from the end. Tracks counts if the schema bounds them.
    fn members(
        &mut self,
        layout: &ObjectLayout<'a>,
        shape: &Shape<'a>,
        properties: Vec<Property>,
        spelling: Spelling,
    ) -> Result<Expr> {
        let Span { min, max } = shape.member_count;
        let top = min.max(max.unwrap_or(0)).max(1);
        let masks = 1usize << shape.exists.len();
        if properties.len() as u64 * u64::from(top) * masks as u64 > self.limits.nodes as u64 / 10 {
            let message = "too many properties for these bounds of their number (Limits::nodes)";
            return Err(self.error_here(SchemaErrorKind::Limit, message));
        }
        let comma = Expr::Seq(vec![Expr::literal(","), self.space(spelling)]);
        let separator = |n: u32| if n == 0 { Expr::EMPTY } else { comma.clone() };
        let room = |n: u32| max.is_none_or(|max| n < max);
        let at = |n: u32, mask: usize| n as usize * masks + mask;
        let mut others = Vec::new();
        for mask in 0..masks {
            let missing = shape.exists.iter().enumerate().filter(|(i, _)| mask >> i & 1 == 0);
            let missing: Vec<&Exists<'a>> = missing.map(|(_, exist)| exist).collect();
            let pairs = self.other(layout, shape, &missing, spelling, spelling)?;
            let pairs: Vec<Expr> =
                pairs.into_iter().map(|(key, value)| self.pair_of(key, value, spelling)).collect();
            others.push(if pairs.is_empty() { None } else { Some(Expr::Alt(pairs)) });
        }
        let open = others[masks - 1].is_some();
        if !shape.exists.is_empty() || (open && spelling == Spelling::One) {
            self.leave_out_here("objects of several members that are not named");
        }
        let mut different = Vec::new();
        if open && min >= 2 && spelling == Spelling::Any {
            if u64::from(min).pow(2) * properties.len().max(1) as u64 > self.limits.nodes as u64 {
                let message = "too many names that must differ (Limits::nodes)";
                return Err(self.error_here(SchemaErrorKind::Limit, message));
            }
            different = self.other(layout, shape, &[], Spelling::One, spelling)?;
        }
        // After the last named member, for each count. Other names may be equal and then count as one, so as many names
        // as are required differ.
        let mut after: Vec<RuleId> = Vec::new();
        for (n, mask) in (0..=top).flat_map(|n| (0..masks).map(move |mask| (n, mask))) {
            let complete = mask + 1 == masks;
            let mut ways = Vec::new();
            if n >= min && complete {
                ways.push(Expr::EMPTY);
            }
            if let Some(other) =
                others[mask].as_ref().filter(|_| complete && !different.is_empty() && n + 1 < min)
            {
                let first = self.different(&different, min - n, &comma, spelling);
                let more = Expr::Seq(vec![comma.clone(), other.clone()]);
                let more = Expr::repeat(more, 0, max.map(|max| max - min));
                ways.push(Expr::Seq(vec![separator(n), first, more]));
            }
            if let Some(other) = others[mask].as_ref().filter(|_| room(n) && n + 1 >= min) {
                let mut way = vec![separator(n), other.clone()];
                // In the single spelling there is at most one other member, since members have no order.
                if complete && spelling == Spelling::Any {
                    let more = Expr::Seq(vec![comma.clone(), other.clone()]);
                    way.push(Expr::repeat(more, 0, max.map(|max| max - n - 1)));
                }
                ways.push(Expr::Seq(way));
            }
            after.push(self.new_rule("members", Expr::Alt(ways)));
        }
        for Property { pairs, required } in properties.into_iter().rev() {
            let mut before = Vec::new();
            for (n, mask) in (0..=top).flat_map(|n| (0..masks).map(move |mask| (n, mask))) {
                let mut ways = Vec::new();
                for (pair, is) in pairs.iter().filter(|(_, is)| room(n) && is & mask == 0) {
                    let next = Expr::Rule(after[at((n + 1).min(top), mask | is)]);
                    ways.push(Expr::Seq(vec![separator(n), pair.clone(), next]));
                }
                if !required {
                    ways.push(Expr::Rule(after[at(n, mask)]));
                }
                before.push(self.new_rule("members", Expr::Alt(ways)));
            }
            after = before;
        }
        Ok(Expr::Rule(after[0]))
    }

    /// A quoted string that a term describes; `None` if it describes none.
    fn quoted(&mut self, term: Term, spelling: Spelling) -> Result<Option<Expr>> {
        let Ok(automaton) = Automaton::new(&mut self.algebra, term, self.limits.pattern_states) else {
            return Err(self.too_many_states());
        };
        Ok(automaton.map(|automaton| self.string_automaton(&automaton, spelling)))
    }
}
