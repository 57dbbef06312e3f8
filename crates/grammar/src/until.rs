//! Texts up to the first of some strings, as rules: the automaton of Aho and Corasick (1975), without the states in
//! which a string has occurred.
//!
//! ```text
//! states:      the prefixes of the strings; the state is the longest one that the text so far ends with
//! state q, c:  the longest prefix that q c ends with; no transition if q c ends with a whole string
//! the end:     not allowed if the text ends with u, where u v is a string and v is a prefix of a string (u, v not empty):
//!              if that string followed, the first string would have begun earlier
//! ```
//!
//! Because of the last rule, `until("aba") "aba"` matches exactly the texts up to the first "aba": "ab" is not accepted
//! before it, since "ababa" begins with "aba".

use crate::charset::CharSet;
use crate::halt::{Halt, Meter};
use crate::limits::Limits;
use crate::rules::{Expr, Rule, Rules};
use std::collections::{BTreeMap, HashMap};

/// Why the automaton cannot be made.
#[derive(Debug)]
pub(crate) enum UntilError {
    /// A string of the list is empty.
    Empty(usize),
    /// The strings need too many states, or too many transitions between them.
    Limit(String),
    Halt(Halt),
}

impl From<Halt> for UntilError {
    fn from(halt: Halt) -> Self {
        Self::Halt(halt)
    }
}

/// A prefix of a string.
struct State {
    /// Where characters lead: first only along the tree, in the end everything that does not lead to the start.
    ways: BTreeMap<char, usize>,
    depth: usize,
    /// The longest other prefix that this one ends with.
    ending: usize,
    /// Whether a string ends here.
    met: bool,
    /// Whether a text must not end here.
    begun: bool,
}

/// Returns rules for the texts in which none of the strings occurs. A text must not end with the beginning of a string if
/// the string that follows it could then have begun earlier: see the last rule above. Without strings: all texts.
pub(crate) fn rules(strings: &[&str], limits: &Limits, meter: &Meter<'_>) -> Result<Rules, UntilError> {
    if let Some(i) = strings.iter().position(|text| text.is_empty()) {
        return Err(UntilError::Empty(i));
    }
    let (mut states, ends) = tree(strings, limits, meter)?;
    link(&mut states, &ends, strings, limits, meter)?;
    // The states that are reached without completing a string, in the order of their rules.
    let mut numbers: HashMap<usize, u32> = HashMap::from([(0, 0)]);
    let mut reached = vec![0];
    let mut rules = Vec::new();
    while let Some(&at) = reached.get(rules.len()) {
        let state = &states[at];
        meter.step(1 + state.ways.len())?;
        numbers.try_reserve(state.ways.len()).map_err(Halt::from)?;
        reached.try_reserve(state.ways.len()).map_err(Halt::from)?;
        rules.try_reserve(1).map_err(Halt::from)?;
        let named = CharSet::new(state.ways.keys().map(|c| (*c as u32, *c as u32)));
        // Characters grouped by where they lead. Those without an entry lead to the start.
        let mut sets: BTreeMap<u32, Vec<(u32, u32)>> = BTreeMap::new();
        sets.insert(0, named.complement().ranges().to_vec());
        for (c, to) in state.ways.iter().filter(|(_, to)| !states[**to].met) {
            let number = *numbers.entry(*to).or_insert_with(|| {
                reached.push(*to);
                reached.len() as u32 - 1
            });
            sets.entry(number).or_default().push((*c as u32, *c as u32));
        }
        let one = |(to, set)| Expr::Seq(vec![Expr::Class(CharSet::new(set)), Expr::Rule(to)]);
        let mut ways: Vec<Expr> = Vec::new();
        ways.try_reserve_exact(sets.len() + 1).map_err(Halt::from)?;
        ways.extend(sets.into_iter().map(one));
        if !state.begun {
            ways.push(Expr::EMPTY);
        }
        rules.push(Rule { name: "until".to_owned(), expr: Expr::Alt(ways), place: None });
    }
    Ok(Rules { rules, root: 0, plans: Vec::new(), left_out: Vec::new(), ignored: Vec::new() })
}

/// Builds the tree of prefixes, and finds where each string ends.
fn tree(
    strings: &[&str],
    limits: &Limits,
    meter: &Meter<'_>,
) -> Result<(Vec<State>, Vec<usize>), UntilError> {
    let new = |depth| State { ways: BTreeMap::new(), depth, ending: 0, met: false, begun: false };
    let mut states = vec![new(0)];
    let mut ends = Vec::new();
    ends.try_reserve_exact(strings.len()).map_err(Halt::from)?;
    for text in strings {
        let mut at = 0;
        for c in text.chars() {
            meter.step(1)?;
            let (new_id, depth) = (states.len(), states[at].depth + 1);
            at = *states[at].ways.entry(c).or_insert(new_id);
            if at == new_id {
                if new_id >= limits.pattern_states {
                    return Err(too_many("states", limits.pattern_states, "pattern_states"));
                }
                states.try_reserve(1).map_err(Halt::from)?;
                states.push(new(depth));
            }
        }
        states[at].met = true;
        ends.push(at);
    }
    Ok((states, ends))
}

/// Completes the transitions, breadth first: if a character does not continue in the tree, a state does what its ending
/// does.
fn link(
    states: &mut [State],
    ends: &[usize],
    strings: &[&str],
    limits: &Limits,
    meter: &Meter<'_>,
) -> Result<(), UntilError> {
    let mut order: Vec<usize> = Vec::new();
    order.try_reserve_exact(states.len()).map_err(Halt::from)?;
    let mut paths: Vec<Vec<usize>> = Vec::new();
    paths.try_reserve_exact(strings.len()).map_err(Halt::from)?;
    for text in strings {
        let mut path = Vec::new();
        path.try_reserve_exact(text.len() + 1).map_err(Halt::from)?;
        path.push(0);
        for c in text.chars() {
            let last = path[path.len() - 1];
            path.push(states[last].ways[&c]);
        }
        paths.push(path);
    }
    order.push(0);
    let (mut next, mut total) = (0, 0);
    while let Some(&at) = order.get(next) {
        next += 1;
        let ending = states[at].ending;
        let inherited = if at == 0 { BTreeMap::new() } else { states[ending].ways.clone() };
        let mut own: Vec<(char, usize)> = Vec::new();
        own.try_reserve_exact(states[at].ways.len()).map_err(Halt::from)?;
        own.extend(states[at].ways.iter().map(|(c, to)| (*c, *to)));
        total += inherited.len() + own.len();
        meter.step(1 + inherited.len() + own.len())?;
        if total > limits.nodes {
            return Err(too_many("ways between states", limits.nodes, "nodes"));
        }
        for (c, to) in own {
            let ending = inherited.get(&c).copied().unwrap_or(0);
            states[to].ending = ending;
            states[to].met |= states[ending].met;
            order.push(to);
        }
        for (c, to) in inherited {
            states[at].ways.entry(c).or_insert(to);
        }
    }
    // The endings of a whole string are those of its suffixes that begin a string.
    for (path, end) in paths.iter().zip(ends) {
        let mut ending = states[*end].ending;
        while ending != 0 {
            meter.step(1)?;
            let before = path[states[*end].depth - states[ending].depth];
            states[before].begun = true;
            ending = states[ending].ending;
        }
    }
    for at in order {
        let begun = states[states[at].ending].begun;
        states[at].begun |= begun;
    }
    Ok(())
}

fn too_many(what: &str, limit: usize, name: &str) -> UntilError {
    UntilError::Limit(format!("the strings need more than {limit} {what} (Limits::{name})"))
}
