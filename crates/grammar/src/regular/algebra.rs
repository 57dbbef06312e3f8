//! Terms, their derivatives, and smart constructors that keep the number of different derivatives finite.

use crate::charset::CharSet;
use crate::halt::{Halt, Meter};
use std::collections::HashMap;
use std::rc::Rc;

/// The number of a term in its [`Algebra`]. Equal terms have the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Term(u32);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Shape {
    /// One character of a set; the empty set is the empty language.
    Class(CharSet),
    /// The empty string.
    Empty,
    /// One after the other. The first part is never a `Concat`.
    Concat(Term, Term),
    /// The body, repeated; never `{0,0}` or `{1,1}`.
    Repeat(Term, u32, Option<u32>),
    /// Any of these: at least two, ascending.
    Or(Rc<[Term]>),
    /// All of these: at least two, ascending.
    And(Rc<[Term]>),
    Not(Term),
    /// The decimal digits of a number that is `(remainder - digits so far) modulo` ...; see [`Algebra::multiple_of`].
    Multiple {
        modulus: u64,
        remainder: u64,
    },
}

/// All terms of one compilation.
///
/// If work is cancelled or memory is refused, every operation returns [`NOTHING`] from then on. Callers must ask
/// [`check`](Self::check) before they use a term.
pub(crate) struct Algebra<'m> {
    meter: &'m Meter<'m>,
    stopped: Option<Halt>,
    numbers: HashMap<Shape, Term>,
    shapes: Vec<Shape>,
    nullable: Vec<bool>,
    derivatives: HashMap<(Term, u32), Term>,
    /// The number of parts that were sorted into terms: the cost so far.
    work: usize,
}

/// Matches nothing.
pub(crate) const NOTHING: Term = Term(0);
/// Matches the empty string only.
pub(crate) const EMPTY: Term = Term(1);

impl<'m> Algebra<'m> {
    pub(crate) fn new(meter: &'m Meter<'m>) -> Self {
        let mut algebra = Self {
            meter,
            stopped: None,
            numbers: HashMap::new(),
            shapes: Vec::new(),
            nullable: Vec::new(),
            derivatives: HashMap::new(),
            work: 0,
        };
        algebra.term(Shape::Class(CharSet::default()));
        algebra.term(Shape::Empty);
        algebra
    }

    /// Why the work stopped, if it did.
    pub(crate) fn check(&self) -> Result<(), Halt> {
        self.stopped.map_or(Ok(()), Err)
    }

    /// Stops the work.
    pub(super) fn stop(&mut self, halt: Halt) {
        self.stopped.get_or_insert(halt);
    }

    /// Counts work. Returns `false` once the work has stopped.
    fn goes_on(&mut self, steps: usize) -> bool {
        if self.stopped.is_none() {
            self.stopped = self.meter.step(steps).err();
        }
        self.stopped.is_none()
    }

    fn reserve(&mut self) -> Result<(), Halt> {
        self.nullable.try_reserve(1)?;
        self.numbers.try_reserve(1)?;
        self.shapes.try_reserve(1)?;
        Ok(())
    }

    fn term(&mut self, shape: Shape) -> Term {
        self.work += 1;
        // The first two terms are always created.
        if self.shapes.len() > 1 && !self.goes_on(4) {
            return NOTHING;
        }
        if let Some(&term) = self.numbers.get(&shape) {
            return term;
        }
        let is = |term: &Term| self.nullable[term.0 as usize];
        let nullable = match &shape {
            Shape::Class(_) => false,
            Shape::Empty => true,
            Shape::Concat(a, b) => is(a) && is(b),
            Shape::Repeat(body, min, _) => *min == 0 || is(body),
            Shape::Or(parts) => parts.iter().any(is),
            Shape::And(parts) => parts.iter().all(is),
            Shape::Not(body) => !is(body),
            Shape::Multiple { remainder, .. } => *remainder == 0,
        };
        if let Err(halt) = self.reserve() {
            self.stopped = Some(halt);
            return NOTHING;
        }
        let term = Term(self.shapes.len() as u32);
        self.nullable.push(nullable);
        self.numbers.insert(shape.clone(), term);
        self.shapes.push(shape);
        term
    }

    fn shape(&self, term: Term) -> &Shape {
        &self.shapes[term.0 as usize]
    }

    /// The cost of the terms so far, in parts that were examined.
    pub(crate) fn work(&self) -> usize {
        self.work
    }

    /// Whether the term matches the empty string.
    pub(crate) fn is_nullable(&self, term: Term) -> bool {
        self.nullable[term.0 as usize]
    }

    pub(crate) fn class(&mut self, set: CharSet) -> Term {
        self.term(Shape::Class(set))
    }

    /// One of these characters.
    pub(crate) fn chars(&mut self, chars: &str) -> Term {
        self.class(CharSet::of(chars))
    }

    /// Any string.
    pub(crate) fn anything(&mut self) -> Term {
        let any = self.class(CharSet::any());
        self.repeat(any, 0, None)
    }

    pub(crate) fn literal(&mut self, text: &str) -> Term {
        let parts: Vec<Term> = text.chars().map(|c| self.class(CharSet::one(c))).collect();
        self.concat(parts)
    }

    /// All parts, one after the other.
    pub(crate) fn concat(
        &mut self,
        parts: impl IntoIterator<Item = Term, IntoIter: DoubleEndedIterator>,
    ) -> Term {
        parts.into_iter().rev().fold(EMPTY, |after, part| self.then(part, after))
    }

    /// One after the other.
    pub(crate) fn then(&mut self, first: Term, second: Term) -> Term {
        if first == NOTHING || second == NOTHING {
            return NOTHING;
        }
        if first == EMPTY {
            return second;
        }
        if second == EMPTY {
            return first;
        }
        // Right-associated, so that a chain of `Concat` of any length is walked, not recursed into.
        let mut parts = Vec::new();
        let mut last = first;
        while let Shape::Concat(a, b) = *self.shape(last) {
            parts.push(a);
            last = b;
        }
        let mut after = self.term(Shape::Concat(last, second));
        for part in parts.into_iter().rev() {
            after = self.term(Shape::Concat(part, after));
        }
        after
    }

    pub(crate) fn repeat(&mut self, body: Term, min: u32, max: Option<u32>) -> Term {
        match (min, max) {
            (_, Some(0)) => EMPTY,
            (1, Some(1)) => body,
            _ if body == EMPTY => EMPTY,
            _ if body == NOTHING => {
                if min == 0 {
                    EMPTY
                } else {
                    NOTHING
                }
            }
            // A body that can be empty satisfies any minimum.
            _ => {
                let min = if self.is_nullable(body) { 0 } else { min };
                self.term(Shape::Repeat(body, min, max))
            }
        }
    }

    pub(crate) fn optional(&mut self, body: Term) -> Term {
        self.or([body, EMPTY])
    }

    /// Any of these.
    pub(crate) fn or(&mut self, parts: impl IntoIterator<Item = Term>) -> Term {
        let all = self.not(NOTHING);
        let mut flat = Vec::new();
        let mut class = CharSet::default();
        let mut add = |part: Term, shape: &Shape| match shape {
            Shape::Class(set) => class = class.union(set),
            _ => flat.push(part),
        };
        for part in parts {
            match self.shape(part) {
                Shape::Or(inner) => inner.iter().for_each(|part| add(*part, self.shape(*part))),
                shape => add(part, shape),
            }
        }
        if flat.contains(&all) {
            return all;
        }
        if !class.is_empty() {
            flat.push(self.class(class));
        }
        self.work += flat.len();
        flat.sort_unstable();
        flat.dedup();
        match flat.as_slice() {
            [] => NOTHING,
            [one] => *one,
            _ => self.term(Shape::Or(flat.into())),
        }
    }

    /// All of these.
    pub(crate) fn and(&mut self, parts: impl IntoIterator<Item = Term>) -> Term {
        let all = self.not(NOTHING);
        let anything = self.anything();
        let mut flat = Vec::new();
        for part in parts {
            match self.shape(part) {
                Shape::And(inner) => flat.extend(inner.iter().copied()),
                _ => flat.push(part),
            }
        }
        flat.retain(|part| *part != all && *part != anything);
        self.work += flat.len();
        flat.sort_unstable();
        flat.dedup();
        if flat.contains(&NOTHING) {
            return NOTHING;
        }
        if flat.contains(&EMPTY) {
            return if flat.iter().all(|part| self.is_nullable(*part)) { EMPTY } else { NOTHING };
        }
        match flat.as_slice() {
            [] => all,
            [one] => *one,
            _ => self.term(Shape::And(flat.into())),
        }
    }

    /// Every string that the term does not match.
    pub(crate) fn not(&mut self, body: Term) -> Term {
        match *self.shape(body) {
            Shape::Not(inner) => inner,
            _ => self.term(Shape::Not(body)),
        }
    }

    /// The decimal digits (possibly none) of a multiple of `modulus`, which is at least 1. Decimal points between them
    /// are skipped.
    pub(crate) fn multiple_of(&mut self, modulus: u64) -> Term {
        self.term(Shape::Multiple { modulus, remainder: 0 })
    }

    /// Sets of characters that together are all characters, such that the term's derivative is the same for all
    /// characters of a set.
    pub(crate) fn classes(&mut self, term: Term) -> Vec<CharSet> {
        let mut found = vec![CharSet::any()];
        let mut work = vec![term];
        while let Some(term) = work.pop() {
            if !self.goes_on(found.len()) {
                return Vec::new();
            }
            match self.shape(term) {
                Shape::Class(set) => {
                    let parts = found.iter().flat_map(|part| [part.intersection(set), part.minus(set)]);
                    found = parts.filter(|part| !part.is_empty()).collect();
                }
                Shape::Empty => {}
                Shape::Concat(a, b) => {
                    work.push(*a);
                    if self.is_nullable(*a) {
                        work.push(*b);
                    }
                }
                Shape::Repeat(body, ..) | Shape::Not(body) => work.push(*body),
                Shape::Or(parts) | Shape::And(parts) => work.extend(parts.iter()),
                Shape::Multiple { .. } => {
                    for c in "0123456789.".chars() {
                        let set = CharSet::one(c);
                        let parts = found.iter().flat_map(|part| [part.intersection(&set), part.minus(&set)]);
                        found = parts.filter(|part| !part.is_empty()).collect();
                    }
                }
            }
        }
        found
    }

    /// The language that remains after the character `c`.
    pub(crate) fn derivative(&mut self, term: Term, c: u32) -> Term {
        if let Some(&known) = self.derivatives.get(&(term, c)) {
            return known;
        }
        let derived = match self.shape(term).clone() {
            Shape::Class(set) => {
                if set.contains(c) {
                    EMPTY
                } else {
                    NOTHING
                }
            }
            Shape::Empty => NOTHING,
            Shape::Concat(..) => self.concat_derivative(term, c),
            Shape::Repeat(body, min, max) => {
                let first = self.derivative(body, c);
                let rest = self.repeat(body, min.saturating_sub(1), max.map(|max| max - 1));
                self.then(first, rest)
            }
            Shape::Or(parts) => {
                let parts: Vec<Term> = parts.iter().map(|part| self.derivative(*part, c)).collect();
                self.or(parts)
            }
            Shape::And(parts) => {
                let parts: Vec<Term> = parts.iter().map(|part| self.derivative(*part, c)).collect();
                self.and(parts)
            }
            Shape::Not(body) => {
                let inner = self.derivative(body, c);
                self.not(inner)
            }
            Shape::Multiple { modulus, remainder } => match char::from_u32(c).and_then(|c| c.to_digit(10)) {
                Some(digit) => {
                    let next = (u128::from(remainder) * 10 + u128::from(digit)) % u128::from(modulus);
                    self.term(Shape::Multiple { modulus, remainder: next as u64 })
                }
                None if c == u32::from(b'.') => term,
                None => NOTHING,
            },
        };
        self.remember(term, c, derived);
        derived
    }

    fn remember(&mut self, term: Term, c: u32, derived: Term) {
        match self.derivatives.try_reserve(1) {
            Ok(()) => drop(self.derivatives.insert((term, c), derived)),
            Err(error) => self.stopped = Some(error.into()),
        }
    }

    /// The derivative of a concatenation, starting from the last part that matters. There may be as many parts as a
    /// pattern has letters.
    fn concat_derivative(&mut self, term: Term, c: u32) -> Term {
        let mut row = Vec::new();
        let mut at = term;
        // What follows a part matters only if that part can be empty.
        let mut after = loop {
            match *self.shape(at) {
                _ if self.derivatives.contains_key(&(at, c)) => break Some(self.derivatives[&(at, c)]),
                Shape::Concat(a, b) => {
                    row.push((at, a, b));
                    if !self.is_nullable(a) {
                        break None;
                    }
                    at = b;
                }
                _ => break Some(self.derivative(at, c)),
            }
        };
        for (whole, first, rest) in row.into_iter().rev() {
            let first = self.derivative(first, c);
            let through = self.then(first, rest);
            let derived = match after {
                Some(second) => self.or([through, second]),
                None => through,
            };
            self.remember(whole, c, derived);
            after = Some(derived);
        }
        after.unwrap_or(NOTHING)
    }

    /// Whether the term matches a text.
    pub(crate) fn matches(&mut self, term: Term, text: &str) -> bool {
        let end = text.chars().fold(term, |term, c| self.derivative(term, c as u32));
        self.is_nullable(end)
    }
}
