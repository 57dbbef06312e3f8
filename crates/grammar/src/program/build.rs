//! From rules to nodes, back to front: each expression is given the node that follows it, and returns where it begins.

use super::analysis::{expanded_symbols, is_nullable, nullable_rules, topological};
use super::{ACCEPT, ByteSet, NAMED_TOKEN, Node, NodeId, Program, utf8};
use crate::charset::CharSet;
use crate::error::{GrammarError, GrammarErrorKind, Place};
use crate::halt::{Halt, Meter, copied, copied_text, push};
use crate::limits::Limits;
use crate::rules::{Expr, Rules, TokenRef};
use std::collections::HashMap;

/// Compiles a grammar.
///
/// # Errors
///
/// Left recursion (with a cycle of rules that begin with one another), and limits.
pub(crate) fn build<'a>(
    rules: &'a Rules,
    limits: &'a Limits,
    meter: &'a Meter<'a>,
) -> Result<Program, GrammarError> {
    let mut bodies = Vec::new();
    bodies.try_reserve(rules.rules.len()).map_err(Halt::from)?;
    bodies.extend(rules.rules.iter().map(|rule| Body::Expr(&rule.expr)));
    for rule in &rules.rules {
        meter.step(4)?;
        let symbols = expanded_symbols(&rule.expr);
        if symbols > limits.expanded_symbols {
            let message = format!(
                "rule '{}': its repetitions make {symbols} symbols, more than {} (Limits::expanded_symbols)",
                rule.name, limits.expanded_symbols
            );
            return Err(GrammarError::new(GrammarErrorKind::Limit, rule.place, message));
        }
    }
    let mut builder = Builder {
        limits,
        nullable: nullable_rules(rules, meter)?,
        nodes: vec![Node::Accept],
        shared: HashMap::new(),
        sets: Vec::new(),
        set_ids: HashMap::new(),
        bodies,
        classes: HashMap::new(),
        named_tokens: Vec::new(),
        too_large: None,
        meter,
        halt: None,
        depth: 0,
    };
    let mut starts: Vec<NodeId> = Vec::new();
    // Compiling a rule may add rules: for bodies of repetitions, and for characters.
    while let Some(body) = builder.bodies.get(starts.len()).cloned() {
        let start = match body {
            Body::Expr(expr) => builder.expr(expr, ACCEPT),
            Body::Class(set) => builder.utf8(&set),
        };
        if let Some(halt) = builder.halt {
            return Err(halt.into());
        }
        push(&mut starts, start)?;
        if let Some(message) = builder.too_large {
            let place = rules.rules.get(starts.len() - 1).and_then(|rule| rule.place);
            return Err(GrammarError::new(GrammarErrorKind::Limit, place, message));
        }
    }
    let Builder { nodes, sets, nullable, named_tokens, .. } = builder;
    let mut edges: Vec<Vec<u32>> = Vec::new();
    edges.try_reserve_exact(starts.len()).map_err(Halt::from)?;
    for &start in &starts {
        edges.push(first_calls(start, &nodes, &nullable, meter)?);
    }
    let rank = topological(&edges, meter)?.map_err(|cycle| left_recursion(rules, &cycle))?;
    let has_unique = nodes.iter().any(|node| matches!(node, Node::Unique { .. }));
    let (class_of, members) = if has_unique { single_bytes() } else { byte_classes(&sets) };
    let root = rules.root;
    let mut ignored = Vec::new();
    for what in &rules.ignored {
        push(&mut ignored, copied_text(what)?)?;
    }
    let mut plans = Vec::new();
    for plan in &rules.plans {
        push(&mut plans, plan.copied()?)?;
    }
    Ok(Program { nodes, sets, starts, nullable, rank, root, class_of, members, named_tokens, plans, ignored })
}

fn left_recursion(rules: &Rules, cycle: &[u32]) -> GrammarError {
    // Rules that the compiler added have no name, but a rule with a name is always in the cycle too.
    let named: Vec<_> = cycle.iter().filter_map(|&id| rules.rules.get(id as usize)).collect();
    let names: Vec<&str> = named.iter().map(|rule| rule.name.as_str()).collect();
    let place = named.first().and_then(|rule| rule.place);
    let message = match names.as_slice() {
        [name] => format!("rule '{name}' begins with itself (left recursion): write it as a repetition"),
        _ => format!(
            "the rules {} begin with one another (left recursion): write them as a repetition",
            names.join(", ")
        ),
    };
    GrammarError::new(GrammarErrorKind::LeftRecursion, place, message)
}

/// The rules that a rule may call before it consumes anything.
fn first_calls(
    start: NodeId,
    nodes: &[Node],
    nullable: &[bool],
    meter: &Meter<'_>,
) -> Result<Vec<u32>, Halt> {
    let mut seen = std::collections::HashSet::from([start]);
    let mut work = vec![start];
    let mut calls = Vec::new();
    while let Some(node) = work.pop() {
        let ways = if let Node::Split(to) = &nodes[node as usize] { to.len() } else { 1 };
        meter.step(1 + ways)?;
        seen.try_reserve(ways)?;
        work.try_reserve(ways)?;
        calls.try_reserve(1)?;
        let mut follow = |next: NodeId| {
            if seen.insert(next) {
                work.push(next);
            }
        };
        match &nodes[node as usize] {
            Node::Split(to) => to.iter().copied().for_each(follow),
            Node::Unique { next, .. } => follow(*next),
            Node::Call { rule, next, .. } => {
                calls.push(*rule);
                if nullable[*rule as usize] {
                    follow(*next);
                }
            }
            Node::Accept | Node::Bytes { .. } | Node::Token { .. } => {}
        }
    }
    calls.sort_unstable();
    calls.dedup();
    Ok(calls)
}

/// Puts every byte into a group of its own.
fn single_bytes() -> ([u8; 256], Vec<u8>) {
    (core::array::from_fn(|i| i as u8), (0..=255).collect())
}

/// Groups bytes that occur in the same sets. Returns each byte's group, and one byte of each group.
fn byte_classes(sets: &[ByteSet]) -> ([u8; 256], Vec<u8>) {
    let mut class_of = [0u8; 256];
    let mut members = Vec::new();
    // The sets split the classes one by one: a byte's new class depends on its class so far and on whether the set
    // contains it.
    for set in sets {
        let mut known: HashMap<(u8, bool), u8> = HashMap::new();
        members.clear();
        for byte in 0..=255u8 {
            let class = &mut class_of[usize::from(byte)];
            *class = *known.entry((*class, set.contains(byte))).or_insert_with(|| {
                members.push(byte);
                (members.len() - 1) as u8
            });
        }
    }
    if sets.is_empty() {
        members.push(0);
    }
    (class_of, members)
}

/// The source of a rule of the program.
#[derive(Clone)]
enum Body<'a> {
    Expr(&'a Expr),
    /// The characters of a set that are outside ASCII.
    Class(CharSet),
}

struct Builder<'a> {
    limits: &'a Limits,
    nullable: Vec<bool>,
    nodes: Vec<Node>,
    /// Equal nodes are created once, which shares common endings.
    shared: HashMap<Node, NodeId>,
    sets: Vec<ByteSet>,
    set_ids: HashMap<ByteSet, u32>,
    bodies: Vec<Body<'a>>,
    classes: HashMap<CharSet, u32>,
    named_tokens: Vec<(String, Option<Place>)>,
    too_large: Option<String>,
    meter: &'a Meter<'a>,
    halt: Option<Halt>,
    /// The current recursion depth of `expr`.
    depth: usize,
}

/// Splits with more ways than this are not deduplicated.
const SHARED_WAYS: usize = 4_096;

/// The maximum recursion depth of the compiler. Deeper expressions become rules, which bounds the stack whatever
/// `Limits::nesting` is.
const DEPTH: usize = 24;

impl<'a> Builder<'a> {
    fn node(&mut self, node: Node) -> NodeId {
        if let Some(&id) = self.shared.get(&node) {
            return id;
        }
        if self.halted(2) {
            return ACCEPT;
        }
        if self.nodes.len() >= self.limits.nodes {
            self.too_large.get_or_insert_with(|| {
                format!("the grammar needs more than {} nodes (Limits::nodes)", self.limits.nodes)
            });
            return ACCEPT;
        }
        let copy = match &node {
            Node::Split(to) => match copied(to) {
                Ok(to) => Node::Split(to),
                Err(halt) => {
                    self.halt = Some(halt);
                    return ACCEPT;
                }
            },
            small => small.clone(),
        };
        self.nodes.push(copy);
        let id = (self.nodes.len() - 1) as NodeId;
        self.shared.insert(node, id);
        id
    }

    /// Reserves room for a node, a rule and a set, and counts work. Returns `true` once that fails; no more nodes are
    /// created then.
    fn halted(&mut self, steps: usize) -> bool {
        if self.halt.is_none() {
            self.halt = self.make_room(steps).err();
        }
        self.halt.is_some()
    }

    fn make_room(&mut self, steps: usize) -> Result<(), Halt> {
        self.meter.step(steps)?;
        self.nodes.try_reserve(1)?;
        self.shared.try_reserve(1)?;
        self.sets.try_reserve(1)?;
        self.set_ids.try_reserve(1)?;
        self.bodies.try_reserve(1)?;
        self.nullable.try_reserve(1)?;
        self.classes.try_reserve(1)?;
        Ok(())
    }

    fn bytes(&mut self, set: ByteSet, next: NodeId) -> NodeId {
        if self.halted(1) {
            return ACCEPT;
        }
        let new = self.sets.len() as u32;
        let id = *self.set_ids.entry(set).or_insert(new);
        if id == new {
            self.sets.push(set);
        }
        self.node(Node::Bytes { set: id, next })
    }

    fn split(&mut self, mut to: Vec<NodeId>) -> NodeId {
        to.sort_unstable();
        to.dedup();
        match to.as_slice() {
            [one] => *one,
            // Deduplication would keep a second copy.
            to_many if to_many.len() > SHARED_WAYS => {
                if self.halted(to.len()) || self.nodes.len() >= self.limits.nodes {
                    return self.node(Node::Split(Vec::new()));
                }
                self.nodes.push(Node::Split(to));
                (self.nodes.len() - 1) as NodeId
            }
            _ => self.node(Node::Split(to)),
        }
    }

    fn expr(&mut self, expr: &'a Expr, next: NodeId) -> NodeId {
        if self.depth == DEPTH && matches!(expr, Expr::Seq(_) | Expr::Alt(_) | Expr::Repeat { .. }) {
            let nullable = is_nullable(expr, &self.nullable);
            let rule = self.add_rule(Body::Expr(expr), nullable);
            return self.node(Node::Call { rule, next, skip: true });
        }
        self.depth += 1;
        let start = self.shallow(expr, next);
        self.depth -= 1;
        start
    }

    /// Adds a rule that no text names.
    fn add_rule(&mut self, body: Body<'a>, nullable: bool) -> u32 {
        if self.halted(1) {
            return 0;
        }
        self.bodies.push(body);
        self.nullable.push(nullable);
        (self.bodies.len() - 1) as u32
    }

    fn shallow(&mut self, expr: &'a Expr, next: NodeId) -> NodeId {
        match expr {
            Expr::Literal(text) => text.bytes().rev().fold(next, |next, byte| {
                let mut set = ByteSet::default();
                set.insert_range(byte, byte);
                self.bytes(set, next)
            }),
            Expr::Class(set) => self.class(set, next),
            Expr::Token { token, negated, place } => {
                let token = match token {
                    TokenRef::Id(id) => *id,
                    TokenRef::Text(text) => {
                        let i = self.named_tokens.iter().position(|(known, _)| known == text);
                        let new = self.named_tokens.len();
                        if i.is_none() {
                            let copy = copied_text(text);
                            let named = copy.and_then(|text| push(&mut self.named_tokens, (text, *place)));
                            if let Err(halt) = named {
                                self.halt = Some(halt);
                                return ACCEPT;
                            }
                        }
                        NAMED_TOKEN + i.unwrap_or(new) as u32
                    }
                };
                self.node(Node::Token { token, negated: *negated, next })
            }
            Expr::Rule(rule) => self.node(Node::Call { rule: *rule, next, skip: true }),
            Expr::Seq(parts) => parts.iter().rev().fold(next, |next, part| self.expr(part, next)),
            Expr::Alt(parts) => {
                let mut to = Vec::new();
                for part in parts {
                    let start = self.expr(part, next);
                    if let Err(halt) = push(&mut to, start) {
                        self.halt = Some(halt);
                        return ACCEPT;
                    }
                }
                self.split(to)
            }
            Expr::Repeat { body, min, max } => self.repeat(body, *min, *max, next),
            Expr::Unique(step) => self.node(Node::Unique { step: *step, next }),
        }
    }

    /// Compiles `body{min,max}`. A body that is used more than once becomes a rule.
    fn repeat(&mut self, body: &'a Expr, min: u32, max: Option<u32>, next: NodeId) -> NodeId {
        let nullable = is_nullable(body, &self.nullable);
        // A body that can be empty satisfies any minimum.
        let min = if nullable { 0 } else { min };
        let copies = max.unwrap_or(min.max(1));
        let rule = match body {
            Expr::Rule(rule) => Some(*rule),
            Expr::Class(_) => None,
            _ if copies > 1 => Some(self.add_rule(Body::Expr(body), nullable)),
            _ => None,
        };
        let one = |this: &mut Self, next: NodeId, skip: bool| match rule {
            Some(rule) => this.node(Node::Call { rule, next, skip }),
            None => this.expr(body, next),
        };
        let mut at = next;
        let mut required = min;
        match max {
            None => {
                // loop: split (body, back to loop), next. If there is a minimum, its last copy is the body of the loop.
                let hold = self.nodes.len() as NodeId;
                if self.nodes.len() >= self.limits.nodes {
                    return self.node(Node::Accept);
                }
                if self.halted(1) {
                    return ACCEPT;
                }
                self.nodes.push(Node::Accept);
                let entry = one(self, hold, false);
                let mut to = vec![entry, next];
                to.sort_unstable();
                to.dedup();
                self.nodes[hold as usize] = Node::Split(to);
                at = if min > 0 { entry } else { hold };
                required = min.saturating_sub(1);
            }
            Some(max) => {
                // Each optional copy can only be left out together with all copies after it, so none needs to be
                // skipped alone.
                for _ in min..max {
                    let entry = one(self, at, false);
                    at = self.split(vec![entry, next]);
                }
            }
        }
        for _ in 0..required {
            at = one(self, at, true);
        }
        at
    }

    fn class(&mut self, set: &CharSet, next: NodeId) -> NodeId {
        let mut to = Vec::new();
        let mut ascii = ByteSet::default();
        for &(low, high) in set.ranges().iter().filter(|(low, _)| *low < 0x80) {
            ascii.insert_range(low as u8, high.min(0x7F) as u8);
        }
        if ascii != ByteSet::default() {
            to.push(self.bytes(ascii, next));
        }
        let wide = set.minus(&CharSet::new([(0, 0x7F)]));
        if !wide.is_empty() {
            let rule = match self.classes.get(&wide) {
                Some(&rule) => rule,
                None => {
                    let rule = self.add_rule(Body::Class(wide.clone()), false);
                    self.classes.insert(wide, rule);
                    rule
                }
            };
            to.push(self.node(Node::Call { rule, next, skip: true }));
        }
        self.split(to)
    }

    /// Compiles the characters of a set, spelled in UTF-8. Equal endings share nodes, as do equal (first bytes, ending)
    /// pairs.
    fn utf8(&mut self, set: &CharSet) -> NodeId {
        let mut first: HashMap<NodeId, ByteSet> = HashMap::new();
        for &(low, high) in set.ranges() {
            for sequence in utf8::sequences(low, high) {
                let mut next = ACCEPT;
                for &(low, high) in sequence[1..].iter().rev() {
                    let mut set = ByteSet::default();
                    set.insert_range(low, high);
                    next = self.bytes(set, next);
                }
                let (low, high) = sequence[0];
                if let Err(error) = first.try_reserve(1) {
                    self.halt = Some(error.into());
                    return ACCEPT;
                }
                first.entry(next).or_default().insert_range(low, high);
            }
        }
        let by_next = first;
        let mut first = Vec::new();
        if let Err(error) = first.try_reserve_exact(by_next.len()) {
            self.halt = Some(error.into());
            return ACCEPT;
        }
        first.extend(by_next);
        first.sort_unstable_by_key(|(next, _)| *next);
        let to = first.into_iter().map(|(next, set)| self.bytes(set, next)).collect();
        self.split(to)
    }
}
