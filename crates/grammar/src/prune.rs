//! Removes what cannot be finished: `a ::= "x" a` has no end, and a property whose value nothing satisfies must not be
//! started.

use crate::halt::{Halt, Meter, filled, push};
use crate::rules::{Expr, LeftOut, Plan, PlanWay, Rule, Rules, UniqueStep};

/// The result of pruning.
pub(crate) enum Pruned {
    /// The remaining rules, and whether something was removed.
    Rules(Rules, bool),
    /// The root matches nothing. The texts that were left out before may be the reason.
    Nothing(Option<LeftOut>),
}

/// Removes alternatives that match nothing, and arrays whose plans are `empty`.
pub(crate) fn prune(mut rules: Rules, empty: &[bool], meter: &Meter<'_>) -> Result<Pruned, Halt> {
    let mut changed = false;
    for Rule { expr, .. } in rules.rules.iter_mut().filter(|_| empty.contains(&true)) {
        changed |= leave_out(expr, empty);
    }
    let mut callers: Vec<Vec<usize>> = filled(Vec::new(), rules.rules.len())?;
    for (i, rule) in rules.rules.iter().enumerate() {
        calls(&rule.expr, &mut |to| push(&mut callers[to], i))?;
    }
    // The least fixed point: the rules that can be finished using rules that can be finished.
    let mut finishes = filled(false, rules.rules.len())?;
    let mut work: Vec<usize> = Vec::new();
    work.try_reserve(rules.rules.len())?;
    work.extend(0..rules.rules.len());
    while let Some(i) = work.pop() {
        meter.step(4)?;
        if !finishes[i] && can_finish(&rules.rules[i].expr, &finishes) {
            finishes[i] = true;
            work.try_reserve(callers[i].len())?;
            work.append(&mut callers[i]);
        }
    }
    if !finishes[rules.root as usize] {
        let is_cause = |left_out: &LeftOut| {
            empty.contains(&true) || left_out.rule.is_none_or(|rule| !finishes[rule as usize])
        };
        return Ok(Pruned::Nothing(rules.left_out.into_iter().find(is_cause)));
    }
    for Plan { states } in &mut rules.plans {
        let finishes = |way: &PlanWay| finishes[way.kind as usize] && finishes[way.needs as usize];
        states.iter_mut().for_each(|state| state.ways.retain(finishes));
    }
    for Rule { expr, .. } in &mut rules.rules {
        meter.step(4)?;
        changed |= shorten(expr, &finishes);
    }
    Ok(Pruned::Rules(rules, changed))
}

/// Makes the start of an array match nothing if no items can fill the array.
fn leave_out(expr: &mut Expr, empty: &[bool]) -> bool {
    match expr {
        Expr::Unique(UniqueStep::Enter { plan }) if empty.get(*plan as usize) == Some(&true) => {
            *expr = Expr::Alt(Vec::new());
            true
        }
        Expr::Seq(parts) | Expr::Alt(parts) => {
            parts.iter_mut().fold(false, |changed, part| leave_out(part, empty) | changed)
        }
        Expr::Repeat { body, .. } => leave_out(body, empty),
        _ => false,
    }
}

fn calls(expr: &Expr, found: &mut impl FnMut(usize) -> Result<(), Halt>) -> Result<(), Halt> {
    match expr {
        Expr::Rule(id) => found(*id as usize),
        Expr::Seq(parts) | Expr::Alt(parts) => parts.iter().try_for_each(|part| calls(part, found)),
        Expr::Repeat { body, .. } => calls(body, found),
        Expr::Literal(_) | Expr::Class(_) | Expr::Token { .. } | Expr::Unique(_) => Ok(()),
    }
}

fn can_finish(expr: &Expr, finishes: &[bool]) -> bool {
    match expr {
        Expr::Rule(id) => finishes[*id as usize],
        Expr::Seq(parts) => parts.iter().all(|part| can_finish(part, finishes)),
        Expr::Alt(parts) => parts.iter().any(|part| can_finish(part, finishes)),
        Expr::Repeat { body, min, .. } => *min == 0 || can_finish(body, finishes),
        Expr::Class(set) => !set.is_empty(),
        Expr::Literal(_) | Expr::Token { .. } | Expr::Unique(_) => true,
    }
}

/// Removes alternatives that cannot be finished. Returns whether there were any.
fn shorten(expr: &mut Expr, finishes: &[bool]) -> bool {
    if !can_finish(expr, finishes) {
        let nothing = Expr::Alt(Vec::new());
        return core::mem::replace(expr, nothing) != Expr::Alt(Vec::new());
    }
    match expr {
        Expr::Seq(parts) => parts.iter_mut().fold(false, |changed, part| shorten(part, finishes) | changed),
        Expr::Alt(parts) => {
            let before = parts.len();
            parts.retain(|part| can_finish(part, finishes));
            let changed = parts.len() < before;
            parts.iter_mut().fold(changed, |changed, part| shorten(part, finishes) | changed)
        }
        Expr::Repeat { body, .. } if !can_finish(body, finishes) => {
            *expr = Expr::EMPTY;
            true
        }
        Expr::Repeat { body, .. } => shorten(body, finishes),
        _ => false,
    }
}
