//! Regular languages with intersection and complement, by derivatives (Brzozowski 1964; Owens, Reppy, Turon 2009).
//!
//! Patterns, lengths, formats, excluded names and bounds of numbers all become terms of one algebra. So `allOf`, two
//! patterns on one string, or "any name but these" are intersections and complements, not special cases.
//!
//! ```text
//! automaton(term): states are terms, the start is the term itself
//!   for each state t, for each set c of characters that are equivalent in t:  t --c--> derivative(t, c)
//!   t accepts if it matches the empty string; states that cannot reach an accepting state are left out
//! ```

mod algebra;
mod automaton;
mod pattern;
mod syntax;

pub(crate) use algebra::{Algebra, EMPTY, NOTHING, Term};
pub(crate) use automaton::Automaton;
pub(crate) use pattern::pattern;
