//! JSON Schema (draft 2020-12) to rules.
//!
//! ```text
//! rule(schemas that must all hold):
//!   branches := follow $ref and allOf, take one way at each anyOf and oneOf   -> lists of plain schemas   (branch.rs)
//!   for each branch: what each type may be, by intersecting the plain schemas -> a shape                  (shape.rs)
//!   alternatives of the shape's values, or of its types                       -> an expression           (emit.rs ..)
//! ```
//!
//! The rule of a set of schemas is made once, so recursive schemas are recursive rules. What cannot be checked is refused;
//! keywords that JSON Schema does not know, and annotations, constrain nothing there and nothing here.

mod array;
mod branch;
mod check;
mod decimal;
mod disjoint;
mod emit;
mod formats;
mod number;
mod object;
mod prune;
mod shape;
mod source;
mod string;

use crate::error::{SchemaError, SchemaErrorKind};
use crate::limits::Limits;
use crate::program::{self, Program};
use crate::rules::Rules;
use serde_json::Value;

/// Compiles a schema.
pub(crate) fn compile(text: &str, limits: &Limits) -> Result<Program, SchemaError> {
    if text.len() > limits.text_bytes {
        let (found, limit) = (text.len(), limits.text_bytes);
        let message = format!("the schema has {found} bytes, more than {limit} (Limits::text_bytes)");
        return Err(SchemaError::new(SchemaErrorKind::Limit, None, message));
    }
    let root: Value = serde_json::from_str(text)
        .map_err(|e| SchemaError::new(SchemaErrorKind::Malformed, None, format!("expected JSON: {e}")))?;
    let rules = emit::rules(&root, limits)?;
    let rules = prune::prune(rules).ok_or_else(|| {
        SchemaError::new(
            SchemaErrorKind::Unsatisfiable,
            Some("#".to_owned()),
            "no document satisfies the schema",
        )
    })?;
    build(&rules, limits)
}

fn build(rules: &Rules, limits: &Limits) -> Result<Program, SchemaError> {
    // Rules made of schemas do not recurse to the left: what is left are limits.
    program::build(rules, limits)
        .map_err(|e| SchemaError::new(SchemaErrorKind::Limit, Some("#".to_owned()), e.to_string()))
}
