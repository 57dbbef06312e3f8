//! The compiler's state, and the rule of a set of schemas.

use super::branch::{self, Branch};
use super::shape::{self, types::*};
use super::source::{Loc, Result};
use crate::charset::CharSet;
use crate::error::{SchemaError, SchemaErrorKind};
use crate::limits::Limits;
use crate::regular::{Algebra, Automaton, Term};
use crate::rules::{Expr, Rule, RuleId, Rules};
use serde_json::Value;
use std::collections::HashMap;
use std::rc::Rc;

/// How scalars may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Spelling {
    /// As JSON allows.
    Any,
    /// In one way, so that equal values have equal texts.
    One,
}

/// Which schemas, in which spelling: what a rule is made for.
type Key = (Vec<Rc<str>>, Spelling);

/// The compiler.
pub(super) struct Compiler<'a> {
    pub(super) limits: &'a Limits,
    pub(super) algebra: Algebra,
    root: Loc<'a>,
    rules: Vec<Rule>,
    made: HashMap<Key, RuleId>,
    queue: Vec<(RuleId, Vec<Loc<'a>>, Spelling)>,
    space: Option<RuleId>,
    pub(super) characters: HashMap<(CharSet, Spelling), RuleId>,
    scalars: HashMap<(Term, Option<Spelling>), RuleId>,
}

/// The rules of a schema.
pub(super) fn rules(root: &Value, limits: &Limits) -> Result<Rules> {
    let root = Loc::root(root);
    let mut compiler = Compiler {
        limits,
        algebra: Algebra::new(),
        root: root.clone(),
        rules: Vec::new(),
        made: HashMap::new(),
        queue: Vec::new(),
        space: None,
        characters: HashMap::new(),
        scalars: HashMap::new(),
    };
    let start = compiler.rule(&[root], Spelling::Any)?;
    while let Some((rule, schemas, spelling)) = compiler.queue.pop() {
        let expr = compiler.value(&schemas, spelling)?;
        compiler.set_rule(rule, expr);
        if compiler.rules.len() > limits.nodes {
            let message = format!("the schema needs more than {} rules (Limits::nodes)", limits.nodes);
            return Err(SchemaError::new(SchemaErrorKind::Limit, Some("#".to_owned()), message));
        }
    }
    Ok(Rules { rules: compiler.rules, root: start })
}

impl<'a> Compiler<'a> {
    pub(super) fn new_rule(&mut self, name: &str, expr: Expr) -> RuleId {
        self.rules.push(Rule { name: name.to_owned(), expr, place: None });
        (self.rules.len() - 1) as RuleId
    }

    /// `count` rules in a row, to be set later; the first one's number.
    pub(super) fn reserve(&mut self, count: usize) -> RuleId {
        let first = self.rules.len() as RuleId;
        for _ in 0..count {
            self.new_rule("state", Expr::EMPTY);
        }
        first
    }

    pub(super) fn set_rule(&mut self, rule: RuleId, expr: Expr) {
        self.rules[rule as usize].expr = expr;
    }

    /// The rule of schemas that must all hold; made later, once.
    pub(super) fn rule(&mut self, schemas: &[Loc<'a>], spelling: Spelling) -> Result<RuleId> {
        let mut pointers: Vec<Rc<str>> = schemas.iter().map(|schema| Rc::clone(&schema.pointer)).collect();
        pointers.sort_unstable();
        pointers.dedup();
        let key = (pointers, spelling);
        if let Some(&known) = self.made.get(&key) {
            return Ok(known);
        }
        let rule = self.new_rule("value", Expr::EMPTY);
        self.made.insert(key, rule);
        self.queue.push((rule, schemas.to_vec(), spelling));
        Ok(rule)
    }

    /// Whitespace where JSON has it: little of it, so that a model cannot fill its context with it.
    pub(super) fn space(&mut self) -> RuleId {
        if let Some(rule) = self.space {
            return rule;
        }
        let newline = Expr::repeat(Expr::literal("\n"), 1, Some(2));
        let indent = Expr::repeat(Expr::Class(CharSet::of(" \t")), 0, Some(20));
        let ways = vec![Expr::EMPTY, Expr::literal(" "), Expr::Seq(vec![newline, indent])];
        let rule = self.new_rule("space", Expr::Alt(ways));
        self.space = Some(rule);
        rule
    }

    pub(super) fn branches(&mut self, schemas: &[Loc<'a>]) -> Result<Vec<Branch<'a>>> {
        branch::branches(schemas, &self.root, self.limits)
    }

    /// Refuses counts that no grammar should spell out.
    pub(super) fn check_counts(
        &self,
        plain: &[Loc<'a>],
        what: &str,
        min: u32,
        max: Option<u32>,
    ) -> Result<()> {
        let wrong = if min > self.limits.min_repetitions {
            let limit = self.limits.min_repetitions;
            (format!("min{what}"), format!("{min} is more than {limit} (Limits::min_repetitions)"))
        } else if max.is_some_and(|max| max > self.limits.max_repetitions) {
            let (found, limit) = (max.unwrap_or(0), self.limits.max_repetitions);
            (format!("max{what}"), format!("{found} is more than {limit} (Limits::max_repetitions)"))
        } else {
            return Ok(());
        };
        let schema = plain.iter().find(|schema| schema.get(&wrong.0).is_some()).unwrap_or(&self.root);
        Err(schema.limit(&wrong.0, wrong.1))
    }

    pub(super) fn too_many_states(&self) -> SchemaError {
        let limit = self.limits.pattern_states;
        let message = format!("the schema's patterns need more than {limit} states (Limits::pattern_states)");
        SchemaError::new(SchemaErrorKind::Limit, Some(self.root.pointer.to_string()), message)
    }

    /// What satisfies all of the schemas.
    fn value(&mut self, schemas: &[Loc<'a>], spelling: Spelling) -> Result<Expr> {
        let branches = self.branches(schemas)?;
        self.check_choices(&branches, 0)?;
        let mut ways = Vec::new();
        for branch in &branches {
            self.branch(&branch.plain, spelling, &mut ways)?;
        }
        Ok(Expr::Alt(ways))
    }

    fn branch(&mut self, plain: &[Loc<'a>], spelling: Spelling, ways: &mut Vec<Expr>) -> Result<()> {
        if let Some(values) = shape::listed(plain, self.limits)? {
            for value in values {
                if self.satisfies_branch(plain, value)? {
                    ways.push(Expr::literal(value.to_string()));
                }
            }
            return Ok(());
        }
        let types = shape::types_of(plain, true)?;
        if types & OBJECT != 0 {
            ways.push(self.object(plain)?);
        }
        if types & ARRAY != 0 {
            ways.push(self.array(plain)?);
        }
        if types & STRING != 0 {
            ways.push(self.string(plain, spelling)?);
        }
        if types & (INTEGER | FRACTION) != 0 {
            let integer = types & FRACTION == 0;
            let term = shape::numbers(plain, integer, &mut self.algebra)?;
            ways.push(self.scalar(term, None)?);
        }
        if types & BOOL != 0 {
            ways.extend(["true", "false"].map(Expr::literal));
        }
        if types & NULL != 0 {
            ways.push(Expr::literal("null"));
        }
        Ok(())
    }

    fn string(&mut self, plain: &[Loc<'a>], spelling: Spelling) -> Result<Expr> {
        let (min, max) = shape::lengths(plain, "Length")?;
        self.check_counts(plain, "Length", min, max)?;
        if shape::string_terms(plain, self.limits, &mut self.algebra)?.is_empty() {
            if max.is_some_and(|max| max < min) {
                return Ok(Expr::Alt(Vec::new()));
            }
            let any = Expr::Rule(self.character(&CharSet::any(), spelling));
            let quote = || Expr::literal("\"");
            return Ok(Expr::Seq(vec![quote(), Expr::repeat(any, min, max), quote()]));
        }
        let term = shape::string_term(plain, self.limits, &mut self.algebra)?;
        self.scalar(term, Some(spelling))
    }

    /// The rule of a term: as a string with a spelling, as it is without.
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
        self.scalars.insert((term, spelling), rule);
        Ok(Expr::Rule(rule))
    }
}
