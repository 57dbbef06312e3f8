//! Methods of int and float.

use super::super::args::Args;
use super::super::error::{R, fail};
use super::super::heap::Cx;
use super::super::value::Value;

pub(in super::super) const NAMES: &[&str] = &["is_integer", "bit_length", "conjugate"];

pub(in super::super) fn call(_: &mut Cx<'_>, value: &Value, name: &'static str, args: Args) -> R<Value> {
    args.all(name, [])?;
    match (name, value) {
        ("conjugate", _) => Ok(value.clone()),
        ("is_integer", Value::Float(x)) => Ok(Value::Bool(x.is_finite() && x.fract() == 0.0)),
        ("bit_length", value) if value.as_int().is_some() => {
            let bits = value.as_int().map_or(0, |i| u128::BITS - i.unsigned_abs().leading_zeros());
            Ok(Value::Int(i128::from(bits)))
        }
        _ => fail(format!("'{}' object has no attribute '{name}'", value.type_name())),
    }
}
