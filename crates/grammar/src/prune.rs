//! Taking out what cannot be finished: `a ::= "x" a` has no end, and a property whose value nothing satisfies must not be
//! begun.

use crate::rules::{Expr, Rule, Rules};

/// The rules without ways that match nothing; `None` where the root matches nothing.
pub(crate) fn prune(mut rules: Rules) -> Option<Rules> {
    let mut callers = vec![Vec::new(); rules.rules.len()];
    for (i, rule) in rules.rules.iter().enumerate() {
        calls(&rule.expr, &mut |to| callers[to].push(i));
    }
    // The least fixed point: rules that can be finished by way of rules that can.
    let mut finishes = vec![false; rules.rules.len()];
    let mut work: Vec<usize> = (0..rules.rules.len()).collect();
    while let Some(i) = work.pop() {
        if !finishes[i] && can_finish(&rules.rules[i].expr, &finishes) {
            finishes[i] = true;
            work.append(&mut callers[i]);
        }
    }
    if !finishes[rules.root as usize] {
        return None;
    }
    for Rule { expr, .. } in &mut rules.rules {
        shorten(expr, &finishes);
    }
    Some(rules)
}

fn calls(expr: &Expr, found: &mut impl FnMut(usize)) {
    match expr {
        Expr::Rule(id) => found(*id as usize),
        Expr::Seq(parts) | Expr::Alt(parts) => parts.iter().for_each(|part| calls(part, found)),
        Expr::Repeat { body, .. } => calls(body, found),
        Expr::Literal(_) | Expr::Class(_) | Expr::Token { .. } | Expr::Unique(_) => {}
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

fn shorten(expr: &mut Expr, finishes: &[bool]) {
    if !can_finish(expr, finishes) {
        *expr = Expr::Alt(Vec::new());
        return;
    }
    match expr {
        Expr::Seq(parts) => parts.iter_mut().for_each(|part| shorten(part, finishes)),
        Expr::Alt(parts) => {
            parts.retain(|part| can_finish(part, finishes));
            parts.iter_mut().for_each(|part| shorten(part, finishes));
        }
        Expr::Repeat { body, .. } if !can_finish(body, finishes) => *expr = Expr::EMPTY,
        Expr::Repeat { body, .. } => shorten(body, finishes),
        _ => {}
    }
}
