//! The compiler's state, and the rule for a set of goals.

use super::decimal::Decimal;
use super::expand::Sense;
use super::goal::{Chains, Goal, GoalKey, keys};
use super::number;
use super::reference::References;
use super::shape::{Shape, Span};
use super::source::{Loc, Result};
use super::types::*;
use crate::charset::CharSet;
use crate::error::{SchemaError, SchemaErrorKind};
use crate::grammar::Reading;
use crate::halt::{Halt, Meter, push};
use crate::limits::Limits;
use crate::regular::{Algebra, Automaton, Term};
use crate::rules::{Expr, LeftOut, Plan, Rule, RuleId, Rules};
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

/// How scalars may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Spelling {
    /// Any spelling that JSON allows.
    Any,
    /// Only one spelling, so that equal values have equal texts.
    One,
}

/// The key of a rule: its goals and their spelling.
type Key = (Vec<GoalKey>, Spelling);

/// The compiler.
pub(super) struct Compiler<'a> {
    pub(super) limits: &'a Limits,
    pub(super) meter: &'a Meter<'a>,
    pub(super) reading: Reading,
    pub(super) algebra: Algebra<'a>,
    pub(super) references: References<'a>,
    /// Expanded goals, and the results (`expand.rs`).
    pub(super) expanded: HashMap<(Vec<GoalKey>, Sense), Rc<[Shape<'a>]>>,
    pub(super) chains: Chains,
    /// The conditions that led to the current expansion.
    pub(super) around: HashSet<GoalKey>,
    /// The values of each `enum` that was examined, in canonical form.
    pub(super) enums: HashMap<Rc<str>, Rc<HashSet<String>>>,
    /// The steps of all expansions so far, and how deeply they are nested.
    pub(super) steps: usize,
    pub(super) depth: usize,
    /// The schema that is being compiled, for messages.
    pub(super) at: Rc<str>,
    rules: Vec<Rule>,
    pub(super) plans: Vec<Plan>,
    left_out: Vec<LeftOut>,
    /// The rule that is being made.
    making: Option<RuleId>,
    /// Whether memory for a rule was refused.
    starved: bool,
    made: HashMap<Key, RuleId>,
    queue: Vec<(RuleId, Vec<Goal<'a>>, Spelling)>,
    space: Option<RuleId>,
    pub(super) characters: HashMap<(CharSet, Spelling), RuleId>,
    scalars: HashMap<(Term, Option<Spelling>), RuleId>,
    nothing: HashMap<Term, bool>,
}

/// Compiles a schema to rules.
pub(super) fn rules<'a>(
    root: &'a Value,
    reading: Reading,
    limits: &'a Limits,
    meter: &'a Meter<'a>,
) -> Result<Rules> {
    let root = Loc::root(root);
    let mut compiler = Compiler {
        limits,
        meter,
        reading,
        algebra: Algebra::new(meter),
        references: References::new(&root, meter)?,
        expanded: HashMap::new(),
        chains: Chains::default(),
        around: HashSet::new(),
        enums: HashMap::new(),
        steps: 0,
        depth: 0,
        at: Rc::clone(&root.pointer),
        rules: Vec::new(),
        plans: Vec::new(),
        left_out: Vec::new(),
        making: None,
        starved: false,
        made: HashMap::new(),
        queue: Vec::new(),
        space: None,
        characters: HashMap::new(),
        scalars: HashMap::new(),
        nothing: HashMap::new(),
    };
    let mut start = compiler.rule(&[Goal::holds(root)], Spelling::Any)?;
    if compiler.is_wide() {
        let space = compiler.space(Spelling::Any);
        start = compiler.new_rule("document", Expr::Seq(vec![space.clone(), Expr::Rule(start), space]));
    }
    while let Some((rule, goals, spelling)) = compiler.queue.pop() {
        compiler.making = Some(rule);
        let expr = compiler.value(&goals, spelling)?;
        compiler.set_rule(rule, expr);
        compiler.check()?;
        if compiler.rules.len() > limits.nodes {
            let message = format!("the schema needs more than {} rules (Limits::nodes)", limits.nodes);
            return Err(SchemaError::new(SchemaErrorKind::Limit, Some("#".to_owned()), message));
        }
    }
    Ok(Rules {
        rules: compiler.rules,
        root: start,
        plans: compiler.plans,
        left_out: compiler.left_out,
        ignored: compiler.references.ignored,
    })
}

impl<'a> Compiler<'a> {
    pub(super) fn new_rule(&mut self, name: &str, expr: Expr) -> RuleId {
        if self.rules.try_reserve(1).is_err() {
            self.starved = true;
            return 0;
        }
        self.rules.push(Rule { name: name.to_owned(), expr, place: None });
        (self.rules.len() - 1) as RuleId
    }

    /// Whether the work may go on. After a failure, rules and terms are made of nothing until this is called.
    pub(super) fn check(&self) -> core::result::Result<(), Halt> {
        self.algebra.check()?;
        if self.starved { Err(Halt::OutOfMemory) } else { Ok(()) }
    }

    /// Reserves `count` consecutive rules, to be set later. Returns the number of the first.
    pub(super) fn reserve(&mut self, count: usize) -> RuleId {
        let first = self.rules.len() as RuleId;
        for _ in 0..count {
            self.new_rule("state", Expr::EMPTY);
        }
        first
    }

    pub(super) fn set_rule(&mut self, rule: RuleId, expr: Expr) {
        if let Some(rule) = self.rules.get_mut(rule as usize) {
            rule.expr = expr;
        }
    }

    /// The rule for goals that must all be met. Its body is made later, and only once.
    pub(super) fn rule(&mut self, goals: &[Goal<'a>], spelling: Spelling) -> Result<RuleId> {
        let key = (keys(goals), spelling);
        if let Some(&known) = self.made.get(&key) {
            return Ok(known);
        }
        let rule = self.new_rule("value", Expr::EMPTY);
        self.check()?;
        self.made.try_reserve(1).map_err(Halt::from)?;
        self.made.insert(key, rule);
        push(&mut self.queue, (rule, goals.to_vec(), spelling))?;
        Ok(rule)
    }

    /// Whether the schema is read as the specification defines it.
    pub(super) fn is_wide(&self) -> bool {
        self.reading == Reading::Specification
    }

    /// Whitespace where JSON allows it. Bounded, so that a model cannot fill its context with it.
    pub(super) fn space(&mut self, spelling: Spelling) -> Expr {
        if spelling == Spelling::One {
            return Expr::EMPTY;
        }
        if let Some(rule) = self.space {
            return Expr::Rule(rule);
        }
        let newline = Expr::repeat(Expr::literal("\n"), 1, Some(2));
        let indent = Expr::repeat(Expr::Class(CharSet::of(" \t")), 0, Some(20));
        let ways = vec![Expr::EMPTY, Expr::literal(" "), Expr::Seq(vec![newline, indent])];
        let all = Expr::repeat(Expr::Class(CharSet::of(" \t\r\n")), 0, Some(40));
        let rule = self.new_rule("space", if self.is_wide() { all } else { Expr::Alt(ways) });
        self.space = Some(rule);
        Expr::Rule(rule)
    }

    /// Refuses counts that are too large to be spelled out in a grammar.
    pub(super) fn check_span(&self, span: Span, what: &str) -> Result<()> {
        let wrong = if span.min > self.limits.min_repetitions {
            let (found, limit) = (span.min, self.limits.min_repetitions);
            format!("at least {found} {what} are more than {limit} (Limits::min_repetitions)")
        } else if let Some(found) = span.max.filter(|max| *max > self.limits.max_repetitions) {
            let limit = self.limits.max_repetitions;
            format!("up to {found} {what} are more than {limit} (Limits::max_repetitions)")
        } else {
            return Ok(());
        };
        Err(self.error_here(SchemaErrorKind::Limit, wrong))
    }

    /// An error about the schema that is being compiled as a whole.
    pub(super) fn error_here(&self, kind: SchemaErrorKind, message: impl Into<String>) -> SchemaError {
        SchemaError::new(kind, Some(self.at.to_string()), message)
    }

    /// Records that the current rule matches less than the schema allows.
    pub(super) fn leave_out_here(&mut self, what: &'static str) {
        let left_out = LeftOut { rule: self.making, pointer: self.at.to_string(), what };
        self.leave_out(left_out);
    }

    /// Records that not all of what a schema allows was examined, and nothing was found.
    pub(super) fn leave_out_at(&mut self, schema: &Loc<'a>, what: &'static str) {
        self.leave_out(LeftOut { rule: None, pointer: schema.pointer.to_string(), what });
    }

    fn leave_out(&mut self, left_out: LeftOut) {
        /// Enough to name a cause.
        const MOST: usize = 1_000;
        if self.left_out.len() < MOST {
            self.left_out.push(left_out);
        }
    }

    pub(super) fn too_many_states(&self) -> SchemaError {
        if let Err(halt) = self.check() {
            return halt.into();
        }
        let limit = self.limits.pattern_states;
        let message = format!("the schema's patterns need more than {limit} states (Limits::pattern_states)");
        self.error_here(SchemaErrorKind::Limit, message)
    }

    /// Makes an expression for the values that meet all of the goals.
    fn value(&mut self, goals: &[Goal<'a>], spelling: Spelling) -> Result<Expr> {
        if let Some(goal) = goals.first() {
            self.at = Rc::clone(&goal.loc.pointer);
        }
        let mut ways: Vec<Expr> = Vec::new();
        let sense = if self.is_wide() { Sense::Stated } else { Sense::Made };
        for shape in self.shapes(goals, sense)?.iter() {
            match &shape.values {
                None => self.shape(shape, spelling, &mut ways)?,
                Some(values) => {
                    for value in values {
                        if self.is_valid(goals, value)? {
                            let listed = self.listed(value, spelling)?;
                            push(&mut ways, listed)?;
                        }
                    }
                }
            }
        }
        Ok(Expr::Alt(ways))
    }

    fn shape(&mut self, shape: &Shape<'a>, spelling: Spelling, ways: &mut Vec<Expr>) -> Result<()> {
        let types = shape.types;
        if let Some((_, what)) = shape.narrow {
            self.leave_out_here(what);
        }
        if types & OBJECT != 0 {
            ways.push(self.object(shape, spelling)?);
        }
        if types & ARRAY != 0 {
            ways.push(self.array(shape, spelling)?);
        }
        if types & STRING != 0 {
            ways.push(self.string(shape, spelling)?);
        }
        if types & NUMBER != 0 {
            let wide = self.is_wide() && spelling == Spelling::Any;
            let mut term = number::numbers(shape, wide, &mut self.algebra);
            if spelling == Spelling::One {
                let shortest = number::shortest(&mut self.algebra);
                term = self.algebra.and([term, shortest]);
            }
            if self.is_nothing(term) {
                self.look_beyond(shape);
            }
            ways.push(self.scalar(term, None)?);
        }
        for (ty, text) in [(TRUE, "true"), (FALSE, "false"), (NULL, "null")] {
            if types & ty != 0 {
                ways.push(Expr::literal(text));
            }
        }
        Ok(())
    }

    /// Writes a value literally, except for whitespace and, in the specification's reading, trailing zeros of numbers.
    fn listed(&mut self, value: &Value, spelling: Spelling) -> Result<Expr> {
        let space = self.space(spelling);
        let comma = || [Expr::literal(","), space.clone()];
        let mut inside = vec![space.clone()];
        let (open, close) = match value {
            Value::Array(items) => {
                for (i, item) in items.iter().enumerate() {
                    inside.extend(comma().into_iter().filter(|_| i > 0));
                    inside.push(self.listed(item, spelling)?);
                }
                ("[", "]")
            }
            Value::Object(members) => {
                for (i, (name, value)) in members.iter().enumerate() {
                    inside.extend(comma().into_iter().filter(|_| i > 0));
                    inside.push(Expr::literal(Value::from(name.as_str()).to_string()));
                    inside.extend([space.clone(), Expr::literal(":"), space.clone()]);
                    inside.push(self.listed(value, spelling)?);
                }
                ("{", "}")
            }
            Value::Number(number) if spelling == Spelling::One => {
                return Ok(Expr::literal(Decimal::new(number).to_string()));
            }
            Value::Number(number) if self.is_wide() => {
                let mut shape = Shape::of_types(NUMBER);
                shape.numbers.push(number::equal(&Decimal::new(number), &mut self.algebra));
                let term = number::numbers(&shape, true, &mut self.algebra);
                return Ok(Expr::Alt(vec![Expr::literal(value.to_string()), self.scalar(term, None)?]));
            }
            scalar => return Ok(Expr::literal(scalar.to_string())),
        };
        inside.push(space.clone());
        Ok(Expr::Seq(vec![Expr::literal(open), Expr::Seq(inside), Expr::literal(close)]))
    }

    fn string(&mut self, shape: &Shape<'a>, spelling: Spelling) -> Result<Expr> {
        self.check_span(shape.length, "characters")?;
        if shape.strings.is_empty() {
            let any = Expr::Rule(self.character(&CharSet::any(), spelling));
            let quote = || Expr::literal("\"");
            let Span { min, max } = shape.length;
            return Ok(Expr::Seq(vec![quote(), Expr::repeat(any, min, max), quote()]));
        }
        let term = shape.string_term(&mut self.algebra);
        self.scalar(term, Some(spelling))
    }

    /// Records where longer numbers would meet what those of the usual length do not.
    pub(super) fn look_beyond(&mut self, shape: &Shape<'a>) {
        let all = number::of_any_length(shape, &mut self.algebra);
        if !self.is_nothing(all) {
            let left_out = LeftOut { rule: None, pointer: self.at.to_string(), what: number::LEFT_OUT };
            self.leave_out(left_out);
        }
    }

    /// Whether a term matches nothing; `false` if finding out would be too costly.
    pub(super) fn is_nothing(&mut self, term: Term) -> bool {
        if let Some(&known) = self.nothing.get(&term) {
            return known;
        }
        let found = matches!(Automaton::new(&mut self.algebra, term, self.limits.pattern_states), Ok(None));
        self.nothing.insert(term, found);
        found
    }

    /// Makes the rule of a term: as a quoted string if there is a spelling, literally otherwise.
    fn scalar(&mut self, term: Term, spelling: Option<Spelling>) -> Result<Expr> {
        if let Some(&rule) = self.scalars.get(&(term, spelling)) {
            return Ok(Expr::Rule(rule));
        }
        let Ok(automaton) = Automaton::new(&mut self.algebra, term, self.limits.pattern_states) else {
            return Err(self.too_many_states());
        };
        let expr = match (automaton, spelling) {
            (None, _) => Expr::Alt(Vec::new()),
            (Some(automaton), Some(spelling)) => self.string_automaton(&automaton, spelling),
            (Some(automaton), None) => self.plain_automaton(&automaton),
        };
        let rule = self.new_rule("scalar", expr);
        self.scalars.try_reserve(1).map_err(Halt::from)?;
        self.scalars.insert((term, spelling), rule);
        Ok(Expr::Rule(rule))
    }
}
