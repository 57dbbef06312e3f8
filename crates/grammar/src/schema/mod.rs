//! JSON Schema (draft 2020-12) to rules.
//!
//! ```text
//! rule(goals: this schema holds, that one fails ..):
//!   shapes := follow $ref and allOf, take one alternative at each anyOf, oneOf, if, and schema that must fail  (expand.rs,
//!             negate.rs);  a shape is the set of all conditions on a value, grouped by type                    (shape.rs)
//!   alternatives: the values of the shapes, or their types             -> an expression             (emit.rs, object.rs ..)
//! ```
//!
//! The rule of a set of goals is made once, so recursive schemas become recursive rules. What cannot be checked is
//! refused. Annotations and keywords unknown to JSON Schema have no effect.

mod array;
mod check;
mod decimal;
mod emit;
mod expand;
mod formats;
mod goal;
mod keywords;
mod negate;
mod number;
mod object;
mod reference;
mod shape;
mod source;
mod string;
mod types;

use crate::error::{GrammarError, GrammarErrorKind, SchemaError, SchemaErrorKind};
use crate::grammar::Reading;
use crate::halt::{Halt, Meter};
use crate::json;
use crate::limits::Limits;
use crate::machine::Machine;
use crate::program::{self, Program};
use crate::prune::{self, Pruned};
use crate::rules::{LeftOut, Rules};
use std::sync::Arc;

/// Compiles a schema.
pub(crate) fn compile(
    text: &str,
    reading: Reading,
    limits: &Limits,
    meter: &Meter<'_>,
) -> Result<Program, SchemaError> {
    build(&rules(text, reading, limits, meter)?, limits, meter)
}

fn build(rules: &Rules, limits: &Limits, meter: &Meter<'_>) -> Result<Program, SchemaError> {
    // Rules made from schemas are not left-recursive, so only limits can fail.
    program::build(rules, limits, meter).map_err(stopped)
}

fn stopped(error: impl Into<GrammarError>) -> SchemaError {
    let error = error.into();
    match error.kind() {
        GrammarErrorKind::Cancelled => Halt::Cancelled.into(),
        GrammarErrorKind::OutOfMemory => Halt::OutOfMemory.into(),
        _ => SchemaError::new(SchemaErrorKind::Limit, Some("#".to_owned()), error.to_string()),
    }
}

/// The bytes that the small pieces of a schema take for each byte of its text. 30 were measured for enumerations of
/// short strings.
const ROOM: usize = 48;

/// The rules of a schema, without those that match nothing.
pub(crate) fn rules(
    text: &str,
    reading: Reading,
    limits: &Limits,
    meter: &Meter<'_>,
) -> Result<Rules, SchemaError> {
    if text.len() > limits.text_bytes {
        let (found, limit) = (text.len(), limits.text_bytes);
        let message = format!("the schema has {found} bytes, more than {limit} (Limits::text_bytes)");
        return Err(SchemaError::new(SchemaErrorKind::Limit, None, message));
    }
    // Reserved and released again: lists are reserved fallibly, but a schema also becomes many small pieces.
    let room = Vec::<u8>::new().try_reserve_exact(ROOM * text.len());
    room.map_err(|_| Halt::OutOfMemory)?;
    let root = json::parse(text).map_err(|e| match e.is_data() {
        true => Halt::OutOfMemory.into(),
        false => SchemaError::new(SchemaErrorKind::Malformed, None, format!("expected JSON: {e}")),
    })?;
    // If the writer's reading leaves no document, it is not what the writer means.
    let mut why = None;
    for reading in [reading, Reading::Specification] {
        let made = emit::rules(&root, reading, limits, meter)?;
        let mut pruned = prune::prune(made, &[], meter)?;
        if let Pruned::Rules(rules, _) = &pruned
            && !rules.plans.is_empty()
        {
            // Arrays that need more different items than there are.
            let program = Arc::new(build(rules, limits, meter)?);
            let machine = Machine::new(program, Vec::new(), limits, meter);
            let empty = machine.and_then(|mut machine| machine.empty_plans(meter)).map_err(stopped)?;
            let Pruned::Rules(rules, _) = pruned else { continue };
            pruned = prune::prune(rules, &empty, meter)?;
        }
        match pruned {
            Pruned::Rules(rules, _) => return Ok(rules),
            Pruned::Nothing(left_out) => why = left_out,
        }
    }
    Err(match why {
        Some(LeftOut { pointer, what, .. }) => {
            let message = format!("not supported: no document was found, but {what} were not looked at");
            SchemaError::new(SchemaErrorKind::Unsupported, Some(pointer), message)
        }
        None => {
            let message = "no document satisfies the schema";
            SchemaError::new(SchemaErrorKind::Unsatisfiable, Some("#".to_owned()), message)
        }
    })
}
