//! x
use crate::{error::{SchemaError,SchemaErrorKind}, limits::Limits, program::Program};
pub(crate) fn compile(_text: &str, _limits: &Limits) -> Result<Program, SchemaError> {
    Err(SchemaError::new(SchemaErrorKind::Unsupported, None, "x"))
}
