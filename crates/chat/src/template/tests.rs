//! Jinja2's tests: `x is name(..)`.

use super::args::Args;
use super::error::{R, fail};
use super::filters;
use super::heap::Cx;
use super::operators::binary;
use super::program::{Binary, Compare};
use super::value::Value;

const NAMES: [&str; 39] = [
    "odd",
    "even",
    "divisibleby",
    "defined",
    "undefined",
    "filter",
    "test",
    "none",
    "boolean",
    "false",
    "true",
    "integer",
    "float",
    "lower",
    "upper",
    "string",
    "mapping",
    "number",
    "sequence",
    "callable",
    "sameas",
    "iterable",
    "escaped",
    "in",
    "==",
    "eq",
    "equalto",
    "!=",
    "ne",
    ">",
    "gt",
    "greaterthan",
    "ge",
    "<",
    "lt",
    "lessthan",
    "le",
    ">=",
    "<=",
];

fn is_divisible(cx: &mut Cx<'_>, value: &Value, by: i128, rest: i128) -> R<bool> {
    let remainder = binary(cx, Binary::Mod, value, &Value::Int(by))?;
    cx.equal(&remainder, &Value::Int(rest), 0)
}

/// `str.islower()` and `str.isupper()`: there is at least one cased character, and all of them have that case.
fn is_cased(cx: &Cx<'_>, value: &Value, lower: bool) -> R<bool> {
    let text = cx.str(value)?;
    cx.budget.bytes(text.as_str().len())?;
    let wrong = |c: char| if lower { c.is_uppercase() } else { c.is_lowercase() };
    let right = |c: char| if lower { c.is_lowercase() } else { c.is_uppercase() };
    Ok(!text.as_str().chars().any(wrong) && text.as_str().chars().any(right))
}

pub(super) fn apply(cx: &mut Cx<'_>, name: &str, value: &Value, args: Args) -> R<bool> {
    let operator = match name {
        "==" | "eq" | "equalto" => Some(Compare::Eq),
        "!=" | "ne" => Some(Compare::Ne),
        ">" | "gt" | "greaterthan" => Some(Compare::Gt),
        ">=" | "ge" => Some(Compare::Ge),
        "<" | "lt" | "lessthan" => Some(Compare::Lt),
        "<=" | "le" => Some(Compare::Le),
        _ => None,
    };
    if let Some(operator) = operator {
        let [other] = args.all(name, ["other"])?;
        return cx.compare(operator, value, &other);
    }
    match name {
        "in" => {
            let [container] = args.all(name, ["seq"])?;
            return cx.contains(&container, value);
        }
        "sameas" => {
            let [other] = args.all(name, ["other"])?;
            return Ok(cx.same(value, &other));
        }
        "divisibleby" => {
            let [number] = args.all(name, ["num"])?;
            let remainder = binary(cx, Binary::Mod, value, &number)?;
            return cx.equal(&remainder, &Value::Int(0), 0);
        }
        _ => args.all(name, []).map(|[]| ())?,
    }
    Ok(match name {
        "defined" => !value.is_undefined(),
        "undefined" => value.is_undefined(),
        "none" => matches!(value, Value::None),
        "boolean" => matches!(value, Value::Bool(_)),
        "true" => matches!(value, Value::Bool(true)),
        "false" => matches!(value, Value::Bool(false)),
        "integer" => value.type_name() == "int",
        "float" => value.type_name() == "float",
        "number" => matches!(value, Value::Bool(_) | Value::Int(_) | Value::Big(_) | Value::Float(_)),
        "string" => matches!(value, Value::Str(_)),
        "mapping" => matches!(value, Value::Dict(_)),
        // Values with a length and items.
        "sequence" => {
            matches!(
                value,
                Value::Str(_)
                    | Value::List(_)
                    | Value::Tuple(_)
                    | Value::Dict(_)
                    | Value::Range(..)
                    | Value::Undefined(_)
            )
        }
        "iterable" => matches!(
            value,
            Value::Str(_)
                | Value::List(_)
                | Value::Tuple(_)
                | Value::Dict(_)
                | Value::Range(..)
                | Value::View(..)
                | Value::Iter(_)
                | Value::Loop(_)
                | Value::Undefined(_)
        ),
        "callable" => matches!(
            value,
            Value::Function(_)
                | Value::Method(_)
                | Value::Macro(_)
                | Value::Joiner(_)
                | Value::Loop(_)
                | Value::Undefined(_)
        ),
        "escaped" => matches!(value, Value::Str(text) if text.safe),
        "odd" => return is_divisible(cx, value, 2, 1),
        "even" => return is_divisible(cx, value, 2, 0),
        "lower" => return is_cased(cx, value, true),
        "upper" => return is_cased(cx, value, false),
        "filter" => filters::find(value.as_text()?.as_str()).is_some(),
        "test" => NAMES.contains(&value.as_text()?.as_str()),
        _ => return fail(format!("there is no test named `{name}`")),
    })
}
