//! Whether two schemas of a `oneOf` exclude each other. Where that is not seen the schema is refused: a document that
//! satisfies two of them is invalid, and no grammar of ours could tell.

use super::branch::Branch;
use super::emit::Compiler;
use super::shape::{self, types::*};
use super::source::{Loc, Result};
use crate::regular::Automaton;

/// How deep properties are looked into.
const DEPTH: usize = 4;
/// How many ways through a `oneOf` are compared with one another.
const MAX_WAYS: usize = 100;

impl<'a> Compiler<'a> {
    /// Checks that no document of a branch satisfies another schema of a `oneOf` on its way.
    pub(super) fn check_choices(&mut self, branches: &[Branch<'a>], depth: usize) -> Result<()> {
        let chosen = branches.iter().filter(|branch| !branch.choices.is_empty()).count();
        if chosen > MAX_WAYS {
            let Some((schema, _)) = branches.iter().find_map(|branch| branch.choices.first()) else {
                return Ok(());
            };
            let message =
                format!("'oneOf' with more than {MAX_WAYS} combinations of alternatives is not supported");
            return Err(schema.unsupported("oneOf", message));
        }
        for (i, a) in branches.iter().enumerate() {
            for b in &branches[..i] {
                for (schema, way) in &a.choices {
                    let same = b.choices.iter().find(|(other, _)| other.pointer == schema.pointer);
                    let Some((_, other)) = same.filter(|(_, other)| other != way) else { continue };
                    if !self.disjoint(&a.plain, &b.plain, depth)?
                        || !self.disjoint(&b.plain, &a.plain, depth)?
                    {
                        let message = format!(
                            "a document may satisfy schemas {other} and {way} (counted from 0) at once; 'anyOf' allows that"
                        );
                        return Err(schema.unsupported("oneOf", message));
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether no document that is made for `made` satisfies `other`.
    fn disjoint(&mut self, made: &[Loc<'a>], other: &[Loc<'a>], depth: usize) -> Result<bool> {
        if depth > DEPTH {
            return Ok(false);
        }
        for (list, schemas) in [(made, other), (other, made)] {
            if let Some(values) = shape::listed(list, self.limits)? {
                for value in values {
                    if self.is_valid(schemas, value)? && self.is_valid(list, value)? {
                        return Ok(false);
                    }
                }
                return Ok(true);
            }
        }
        let common = shape::types_of(made, true)? & shape::types_of(other, false)?;
        if common & (NULL | BOOL) != 0 {
            return Ok(false);
        }
        let both = [made, other].concat();
        for ty in [INTEGER, FRACTION, STRING, ARRAY, OBJECT].into_iter().filter(|ty| common & ty != 0) {
            let apart = match ty {
                ARRAY => matches!(shape::lengths(&both, "Items")?, (min, Some(max)) if min > max),
                OBJECT => self.objects_disjoint(made, other, depth)?,
                _ => {
                    let term = match ty {
                        STRING => shape::string_term(&both, self.limits, &mut self.algebra)?,
                        _ => shape::numbers(&both, ty == INTEGER, &mut self.algebra)?,
                    };
                    // Too many states: not seen to be apart.
                    matches!(Automaton::new(&mut self.algebra, term, self.limits.pattern_states), Ok(None))
                }
            };
            if !apart {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn objects_disjoint(&mut self, made: &[Loc<'a>], other: &[Loc<'a>], depth: usize) -> Result<bool> {
        let (ours, theirs) = (self.object_layout(made)?, self.object_layout(other)?);
        for name in ours.required.iter().chain(&theirs.required) {
            let ours_has = ours.properties.iter().any(|known| known == name) || !ours.closed();
            if !ours_has && !ours.required.contains(name) {
                return Ok(true);
            }
            let a = ours.member(name, &mut self.algebra);
            let b = theirs.member(name, &mut self.algebra);
            let (a, b) = (self.branches(&a)?, self.branches(&b)?);
            let mut apart = true;
            for (a, b) in a.iter().flat_map(|a| b.iter().map(move |b| (a, b))) {
                apart = apart && self.disjoint(&a.plain, &b.plain, depth + 1)?;
            }
            if apart {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
