//! What the compiler needs to know about rules: which match the empty string, how large they are, and which begin with
//! which.

use crate::halt::{Halt, Meter, filled};
use crate::rules::{Expr, Rules};

/// Whether each rule matches the empty string (the least fixed point).
pub(super) fn nullable_rules(rules: &Rules, meter: &Meter<'_>) -> Result<Vec<bool>, Halt> {
    let mut nullable = filled(false, rules.rules.len())?;
    loop {
        let mut changed = false;
        for (i, rule) in rules.rules.iter().enumerate() {
            meter.step(2)?;
            if !nullable[i] && is_nullable(&rule.expr, &nullable) {
                nullable[i] = true;
                changed = true;
            }
        }
        if !changed {
            return Ok(nullable);
        }
    }
}

/// Whether an expression matches the empty string.
pub(super) fn is_nullable(expr: &Expr, rules: &[bool]) -> bool {
    match expr {
        Expr::Literal(text) => text.is_empty(),
        Expr::Class(_) | Expr::Token { .. } => false,
        // These steps consume no text, but must not be skipped.
        Expr::Unique(_) => false,
        Expr::Rule(id) => rules[*id as usize],
        Expr::Seq(parts) => parts.iter().all(|part| is_nullable(part, rules)),
        Expr::Alt(parts) => parts.iter().any(|part| is_nullable(part, rules)),
        Expr::Repeat { body, min, .. } => *min == 0 || is_nullable(body, rules),
    }
}

/// The number of symbols in an expression with its repetitions written out.
pub(super) fn expanded_symbols(expr: &Expr) -> u64 {
    match expr {
        Expr::Literal(text) => text.len() as u64,
        Expr::Class(_) | Expr::Token { .. } | Expr::Rule(_) | Expr::Unique(_) => 1,
        Expr::Seq(parts) | Expr::Alt(parts) => {
            parts.iter().map(expanded_symbols).fold(0, u64::saturating_add)
        }
        Expr::Repeat { body, min, max } => {
            expanded_symbols(body).saturating_mul(u64::from(max.unwrap_or(*min)).max(1))
        }
    }
}

/// Orders the nodes of a graph so that edges point forward.
///
/// # Errors
///
/// The nodes of a cycle, in cycle order.
pub(super) fn topological(edges: &[Vec<u32>], meter: &Meter<'_>) -> Result<Result<Vec<u32>, Vec<u32>>, Halt> {
    // Depth-first search with an explicit stack: (node, edges already followed).
    let mut state = filled(0u8, edges.len())?; // 0 new, 1 on the path, 2 done
    let (mut done, mut path): (Vec<u32>, Vec<(u32, usize)>) = (Vec::new(), Vec::new());
    done.try_reserve_exact(edges.len())?;
    path.try_reserve_exact(edges.len())?;
    for start in 0..edges.len() as u32 {
        if state[start as usize] != 0 {
            continue;
        }
        state[start as usize] = 1;
        path.push((start, 0));
        while let Some((node, followed)) = path.last_mut() {
            meter.step(1)?;
            let node = *node;
            let Some(&to) = edges[node as usize].get(*followed) else {
                state[node as usize] = 2;
                done.push(node);
                path.pop();
                continue;
            };
            *followed += 1;
            match state[to as usize] {
                0 => {
                    state[to as usize] = 1;
                    path.push((to, 0));
                }
                1 => {
                    let from = path.iter().position(|&(n, _)| n == to).unwrap_or(0);
                    return Ok(Err(path[from..].iter().map(|&(n, _)| n).collect()));
                }
                _ => {}
            }
        }
    }
    let mut rank = filled(0, edges.len())?;
    for (i, &node) in done.iter().rev().enumerate() {
        rank[node as usize] = i as u32;
    }
    Ok(Ok(rank))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_cycles() {
        let topological = |edges: &[Vec<u32>]| topological(edges, &Meter::new(&|| false)).expect("memory");
        let rank = topological(&[vec![2], vec![0, 2], vec![]]).expect("no cycle");
        assert!(rank[1] < rank[0] && rank[0] < rank[2], "{rank:?}");
        assert_eq!(topological(&[vec![1], vec![2], vec![1]]), Err(vec![1, 2]));
        assert_eq!(topological(&[vec![0]]), Err(vec![0]));
    }
}
