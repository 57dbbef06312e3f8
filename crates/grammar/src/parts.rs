//! Grammars of parts: GBNF in which some rules are defined outside its text.
//!
//! ```text
//! rules := the text's rules (the names of the parts come first), then the rules of each part, renumbered
//! rule of a part's name := the root rule of that part
//! ```

use crate::error::{GrammarError, GrammarErrorKind, PartsError};
use crate::grammar::Reading;
use crate::halt::{Halt, Meter, push};
use crate::limits::Limits;
use crate::program::{self, Program};
use crate::prune::{self, Pruned};
use crate::rules::{Expr, RuleId, Rules};
use crate::until::{self, UntilError};
use crate::{gbnf, schema};

/// A rule that is defined outside a grammar's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part<'a> {
    /// A JSON schema, as [`Grammar::from_json_schema_with`](crate::Grammar::from_json_schema_with) accepts it.
    Schema(&'a str, Reading),
    /// A GBNF grammar with a rule `root`. Its rule names do not conflict with those of the text or of other parts.
    Gbnf(&'a str),
    /// Text up to the first occurrence of one of these strings. Matches every text that contains none of them and in
    /// which none would occur earlier once one of them follows. So `Until(&["</think>"])` followed by the literal
    /// `"</think>"` matches a text up to and including its first `</think>`. No string may be empty. An empty list
    /// matches any text.
    Until(&'a [&'a str]),
}

/// Compiles a GBNF grammar: its rules without those that never end, and its program.
pub(crate) fn gbnf(
    text: &str,
    root: &str,
    limits: &Limits,
    meter: &Meter<'_>,
) -> Result<(Rules, Program), GrammarError> {
    let rules = gbnf::parse(text, root, &[], limits, meter)?;
    // Checks all rules, including those that are left out because none of their texts ends.
    let program = program::build(&rules, limits, meter)?;
    finish(rules, program, root, limits, meter)
}

/// Leaves out alternatives that never end.
fn finish(
    rules: Rules,
    program: Program,
    root: &str,
    limits: &Limits,
    meter: &Meter<'_>,
) -> Result<(Rules, Program), GrammarError> {
    let place = rules.rules[rules.root as usize].place;
    let Pruned::Rules(pruned, changed) = prune::prune(rules, &[], meter)? else {
        let message = format!("no text that begins with the rule '{root}' ever ends");
        return Err(GrammarError::new(GrammarErrorKind::Endless, place, message));
    };
    let program = if changed { program::build(&pruned, limits, meter)? } else { program };
    Ok((pruned, program))
}

/// Compiles a grammar of parts.
pub(crate) fn compile(
    text: &str,
    root: &str,
    parts: &[(&str, Part<'_>)],
    limits: &Limits,
    meter: &Meter<'_>,
) -> Result<Program, PartsError> {
    let whole = |error| PartsError::Grammar(error);
    let bytes = |part: &Part<'_>| match part {
        Part::Schema(text, _) | Part::Gbnf(text) => text.len(),
        Part::Until(strings) => strings.iter().map(|text| text.len()).fold(0, usize::saturating_add),
    };
    let total = parts.iter().map(|(_, part)| bytes(part)).fold(text.len(), usize::saturating_add);
    if total > limits.text_bytes {
        let limit = limits.text_bytes;
        let message =
            format!("the grammar and its parts have {total} bytes, more than {limit} (Limits::text_bytes)");
        return Err(whole(GrammarError::new(GrammarErrorKind::Limit, None, message)));
    }
    let mut names = Vec::new();
    names.try_reserve_exact(parts.len()).map_err(|e| whole(Halt::from(e).into()))?;
    names.extend(parts.iter().map(|(name, _)| *name));
    let mut rules = gbnf::parse(text, root, &names, limits, meter).map_err(whole)?;
    for (i, (name, part)) in parts.iter().enumerate() {
        let added = rules_of(name, part, limits, meter)?;
        rules.ignored.try_reserve(added.ignored.len()).map_err(|e| whole(Halt::from(e).into()))?;
        rules.ignored.extend(added.ignored.iter().map(|what| format!("part '{name}': {what}")));
        append(&mut rules, i, added, meter).map_err(|halt| whole(halt.into()))?;
    }
    // An error here is one of the text, or a limit: the parts were compiled separately before.
    let program = program::build(&rules, limits, meter).map_err(whole)?;
    finish(rules, program, root, limits, meter).map(|(_, program)| program).map_err(whole)
}

/// Compiles the rules of a part.
fn rules_of(name: &str, part: &Part<'_>, limits: &Limits, meter: &Meter<'_>) -> Result<Rules, PartsError> {
    let name = || name.to_owned();
    match part {
        Part::Schema(text, reading) => schema::rules(text, *reading, limits, meter)
            .map_err(|error| PartsError::Schema { part: name(), error }),
        Part::Gbnf(text) => gbnf(text, "root", limits, meter)
            .map(|(rules, _)| rules)
            .map_err(|error| PartsError::Gbnf { part: name(), error }),
        Part::Until(strings) => until::rules(strings, limits, meter).map_err(|error| {
            let error = match error {
                UntilError::Empty(i) => {
                    let message = format!("string {i} of the list is empty, expected at least one character");
                    GrammarError::new(GrammarErrorKind::Syntax, None, message)
                }
                UntilError::Limit(message) => GrammarError::new(GrammarErrorKind::Limit, None, message),
                UntilError::Halt(halt) => halt.into(),
            };
            PartsError::Until { part: name(), error }
        }),
    }
}

/// Adds a part's rules, and lets the rule `name` match what the part matches.
fn append(rules: &mut Rules, name: usize, added: Rules, meter: &Meter<'_>) -> Result<(), Halt> {
    let (base, plans) = (rules.rules.len() as RuleId, rules.plans.len() as u32);
    rules.rules.try_reserve(added.rules.len())?;
    rules.rules[name].expr = Expr::Rule(base + added.root);
    for mut rule in added.rules {
        meter.step(1)?;
        rule.expr.shift(base, plans);
        rule.place = None;
        rules.rules.push(rule);
    }
    for mut plan in added.plans {
        for way in plan.states.iter_mut().flat_map(|state| &mut state.ways) {
            way.kind += base;
            way.needs += base;
        }
        push(&mut rules.plans, plan)?;
    }
    Ok(())
}
