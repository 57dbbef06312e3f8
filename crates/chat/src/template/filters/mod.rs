//! Jinja2's filters, by name. Those on texts are in `texts.rs`, those on sequences in `sequences.rs`.

mod sequences;
mod texts;

use super::args::{Args, given};
use super::budget::push;
use super::error::{Fail, R, fail};
use super::functions::{by_path, by_path_or};
use super::heap::Cx;
use super::lexer::is_space;
use super::machine::undefined;
use super::operators::{binary, float};
use super::program::{Binary, Compare};
use super::text::Text;
use super::value::Value;
use super::{format, json, lookup, tests};
use crate::digits;

pub(super) use texts::escape;

pub(super) type Filter = fn(&mut Cx<'_>, Value, Args) -> R<Value>;

/// Finds the filter with this name.
pub(super) fn find(name: &str) -> Option<Filter> {
    Some(match name {
        "abs" => abs,
        "attr" => attr,
        "batch" => sequences::batch,
        "capitalize" => texts::capitalize,
        "center" => texts::center,
        "count" | "length" => |cx, value, args| {
            args.all("length", [])?;
            cx.len(&value).map(Value::from)
        },
        "d" | "default" => default,
        "dictsort" => sequences::dictsort,
        "e" | "escape" => texts::escape_filter,
        "filesizeformat" => filesizeformat,
        "first" => sequences::first,
        "float" => to_float,
        "forceescape" => texts::forceescape,
        "format" => format_filter,
        "from_json" | "fromjson" => json::from_json,
        "groupby" => sequences::groupby,
        "indent" => texts::indent,
        "int" => to_int,
        "items" => sequences::items,
        "join" => sequences::join,
        "last" => sequences::last,
        "list" => |cx, value, args| {
            args.all("list", [])?;
            let items = cx.collect(&value)?;
            cx.list(items)
        },
        "lower" => |cx, value, args| texts::cased(cx, value, args, "lower"),
        "map" => map,
        "max" => |cx, value, args| sequences::extreme(cx, value, args, Compare::Gt),
        "min" => |cx, value, args| sequences::extreme(cx, value, args, Compare::Lt),
        "pprint" => texts::pprint,
        "reject" => |cx, value, args| select(cx, value, args, false, false),
        "rejectattr" => |cx, value, args| select(cx, value, args, false, true),
        "replace" => texts::replace,
        "reverse" => sequences::reverse,
        "round" => round,
        "safe" => |cx, value, args| {
            args.all("safe", [])?;
            cx.str(&value).map(|text| Value::Str(text.with_safe(true)))
        },
        "select" => |cx, value, args| select(cx, value, args, true, false),
        "selectattr" => |cx, value, args| select(cx, value, args, true, true),
        "slice" => sequences::slice,
        "sort" => sequences::sort,
        "string" => |cx, value, args| {
            args.all("string", [])?;
            cx.str(&value).map(Value::Str)
        },
        "striptags" => texts::striptags,
        "sum" => sequences::sum,
        "title" => texts::title,
        "tojson" => json::tojson,
        "trim" => texts::trim,
        "truncate" => texts::truncate,
        "unique" => sequences::unique,
        "upper" => |cx, value, args| texts::cased(cx, value, args, "upper"),
        "urlencode" => texts::urlencode,
        "wordcount" => texts::wordcount,
        "wordwrap" => texts::wordwrap,
        "xmlattr" => texts::xmlattr,
        _ => return None,
    })
}

/// `value|name(..)`.
pub(super) fn apply(cx: &mut Cx<'_>, name: &str, value: Value, args: Args) -> R<Value> {
    match find(name) {
        Some(filter) => filter(cx, value, args),
        None => fail(format!("there is no filter named `{}`", name.chars().take(40).collect::<String>())),
    }
}

/// Returns whether an optional argument is given and true.
fn flag(cx: &Cx<'_>, value: Option<Value>) -> bool {
    value.is_some_and(|value| cx.truth(&value))
}

fn default(cx: &mut Cx<'_>, value: Value, args: Args) -> R<Value> {
    let [other, boolean] = args.bind("default", ["default_value", "boolean"])?;
    let other = other.unwrap_or_else(|| Value::Str(Text::plain("")));
    let replaced = value.is_undefined() || (flag(cx, boolean) && !cx.truth(&value));
    Ok(if replaced { other } else { value })
}

fn attr(cx: &mut Cx<'_>, value: Value, args: Args) -> R<Value> {
    let [name] = args.all("attr", ["name"])?;
    let name = Text::plain(name.as_text()?.as_str());
    // Only attributes, not the items of a dict.
    if matches!(value, Value::Dict(_)) && lookup::method(&value, name.as_str()).is_none() {
        return Ok(Value::Undefined(name));
    }
    lookup::attribute(cx, &super::program::Program::default(), &value, &name)
}

fn map(cx: &mut Cx<'_>, value: Value, mut args: Args) -> R<Value> {
    let items = cx.collect(&value)?;
    let mut out = Vec::new();
    if args.positional.is_empty() && args.named.iter().any(|(name, _)| name.as_str() == "attribute") {
        let [attribute, default] = args.bind("map", ["attribute", "default"])?;
        let (attribute, default) = (attribute.unwrap_or(Value::None), given(default));
        for item in items {
            push(&mut out, by_path_or(cx, &item, &attribute, default.as_ref())?)?;
        }
        return cx.iter(out);
    }
    if args.positional.is_empty() {
        return fail("map requires a filter argument");
    }
    let name = args.positional.remove(0);
    let name = name.as_text()?;
    for item in items {
        cx.budget.items(1 + args.positional.len() + args.named.len())?;
        let args = Args { positional: args.positional.clone(), named: args.named.clone() };
        push(&mut out, apply(cx, name.as_str(), item, args)?)?;
    }
    cx.iter(out)
}

fn select(cx: &mut Cx<'_>, value: Value, mut args: Args, keep: bool, of_attribute: bool) -> R<Value> {
    if !cx.truth(&value) {
        return cx.iter(Vec::new());
    }
    let items = cx.collect(&value)?;
    if of_attribute && args.positional.is_empty() {
        return fail("missing parameter for attribute name");
    }
    let attribute = of_attribute.then(|| args.positional.remove(0));
    let test = if args.positional.is_empty() { None } else { Some(args.positional.remove(0)) };
    let mut out = Vec::new();
    for item in items {
        cx.budget.items(1 + args.positional.len() + args.named.len())?;
        let asked = match &attribute {
            Some(attribute) => by_path(cx, &item, attribute)?,
            None => item.clone(),
        };
        let holds = match &test {
            Some(test) => {
                let args = Args { positional: args.positional.clone(), named: args.named.clone() };
                tests::apply(cx, test.as_text()?.as_str(), &asked, args)?
            }
            None => cx.truth(&asked),
        };
        if holds == keep {
            push(&mut out, item)?;
        }
    }
    cx.iter(out)
}

fn abs(_: &mut Cx<'_>, value: Value, args: Args) -> R<Value> {
    args.all("abs", [])?;
    match &value {
        Value::Float(x) => Ok(Value::Float(x.abs())),
        Value::Undefined(_) => Err(undefined(&value)),
        _ => match value.as_int().and_then(i128::checked_abs) {
            Some(i) => Ok(Value::Int(i)),
            None => fail(format!("bad operand type for abs(): '{}'", value.type_name())),
        },
    }
}

/// Normalizes the text of a number as Python's `int()` and `float()` do: it is trimmed, and may have single underscores between
/// digits.
fn number_text(text: &str) -> Option<String> {
    let text = text.trim_matches(is_space);
    let bytes = text.as_bytes();
    let lone = |i: usize| {
        let digit =
            |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_alphanumeric);
        digit(i.checked_sub(1)) && digit(Some(i + 1))
    };
    let valid = bytes.iter().enumerate().all(|(i, b)| *b != b'_' || lone(i));
    (valid && !text.is_empty()).then(|| text.replace('_', ""))
}

fn parse_int(text: &str, base: u32) -> Option<i128> {
    let text = number_text(text)?;
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(&text)),
    };
    let prefixes = [("0x", 16), ("0o", 8), ("0b", 2)];
    let lower = digits.to_ascii_lowercase();
    let (digits, base) = prefixes
        .into_iter()
        .find_map(|(prefix, of)| {
            lower.strip_prefix(prefix).filter(|_| base == of || base == 0).map(|rest| (rest, of))
        })
        .unwrap_or((&lower, if base == 0 { 10 } else { base }));
    if digits.starts_with(['+', '-']) || !(2..=36).contains(&base) {
        return None;
    }
    let value = i128::from_str_radix(digits, base).ok()?;
    Some(if negative { -value } else { value })
}

pub(super) fn parse_float(text: &str) -> Option<f64> {
    let text = number_text(text)?;
    // Rust accepts the same words for infinity and NaN, in upper or lower case.
    text.parse().ok()
}

/// `int(x)` of a float: returns the integer part.
fn truncated(x: f64) -> Option<Value> {
    (x.is_finite() && x.abs() < 1e38).then_some(Value::Int(x as i128))
}

fn to_int(cx: &mut Cx<'_>, value: Value, args: Args) -> R<Value> {
    let [default, base] = args.bind("int", ["default", "base"])?;
    let base = base.map_or(Ok(10), |base| base.index())?;
    let found = match &value {
        Value::Str(text) => {
            cx.budget.bytes(text.as_str().len())?;
            let whole = parse_int(text.as_str(), u32::try_from(base).unwrap_or(1)).map(Value::Int);
            whole.or_else(|| parse_float(text.as_str()).and_then(truncated))
        }
        Value::Float(x) => truncated(*x),
        Value::Big(digits) if digits::is_integer(digits) => Some(value.clone()),
        Value::Big(digits) => digits.parse().ok().and_then(truncated),
        Value::Undefined(_) => return Err(undefined(&value)),
        _ => value.as_int().map(Value::Int),
    };
    Ok(found.or(default).unwrap_or(Value::Int(0)))
}

fn to_float(cx: &mut Cx<'_>, value: Value, args: Args) -> R<Value> {
    let [default] = args.bind("float", ["default"])?;
    let found = match &value {
        Value::Str(text) => {
            cx.budget.bytes(text.as_str().len())?;
            parse_float(text.as_str())
        }
        Value::Undefined(_) => return Err(undefined(&value)),
        other => float(other),
    };
    Ok(found.map(Value::Float).or(default).unwrap_or(Value::Float(0.0)))
}

/// Python's `round(x, digits)`: exact, with halves to even.
pub(super) fn round_to(x: f64, digits: i32) -> f64 {
    if !x.is_finite() || digits > 300 {
        return x;
    }
    if digits >= 0 {
        // The decimal digits of a double are exact, and Rust rounds them half to even.
        return format!("{x:.0$}", digits as usize).parse().unwrap_or(x);
    }
    let unit = 10f64.powi(-digits);
    (x / unit).round_ties_even() * unit
}

fn round(_: &mut Cx<'_>, value: Value, args: Args) -> R<Value> {
    let [precision, method] = args.bind("round", ["precision", "method"])?;
    let precision = precision.map_or(Ok(0), |p| p.index())?;
    let digits = i32::try_from(precision).unwrap_or(if precision < 0 { -400 } else { 400 });
    let method = method.unwrap_or_else(|| Value::Str(Text::plain("common")));
    let Some(x) = float(&value) else {
        return fail(format!("type '{}' cannot be rounded", value.type_name()));
    };
    let scale = 10f64.powi(digits);
    Ok(match method.as_text()?.as_str() {
        "common" if value.as_int().is_some() && digits >= 0 => value,
        "common" if value.as_int().is_some() => truncated(round_to(x, digits)).unwrap_or(value),
        "common" => Value::Float(round_to(x, digits)),
        "ceil" => Value::Float((x * scale).ceil() / scale),
        "floor" => Value::Float((x * scale).floor() / scale),
        _ => return fail("round: the method must be common, ceil or floor"),
    })
}

fn format_filter(cx: &mut Cx<'_>, value: Value, args: Args) -> R<Value> {
    let text = cx.str(&value)?;
    let given = match (args.positional.is_empty(), args.named.is_empty()) {
        (false, false) => {
            return fail("format: positional and named arguments cannot be given at the same time");
        }
        (true, false) => format::Given::Dict(cx.named_dict(args.named)?),
        _ => format::Given::Positional(args.positional),
    };
    format::percent(cx, &text, &given).map(|out| Value::Str(out.with_safe(text.safe)))
}

fn filesizeformat(cx: &mut Cx<'_>, value: Value, args: Args) -> R<Value> {
    let [binary_units] = args.bind("filesizeformat", ["binary"])?;
    let binary_units = flag(cx, binary_units);
    let bytes = match &value {
        Value::Str(text) => parse_float(text.as_str()),
        other => float(other),
    };
    let Some(bytes) = bytes else { return fail("filesizeformat: not a number") };
    let base: f64 = if binary_units { 1024.0 } else { 1000.0 };
    let text = if bytes == 1.0 {
        "1 Byte".to_owned()
    } else if bytes < base {
        format!("{} Bytes", bytes as i64)
    } else {
        let prefixes = ["k", "M", "G", "T", "P", "E", "Z", "Y"];
        let mut unit = base;
        let mut chosen = prefixes[0];
        for prefix in prefixes {
            unit *= base;
            chosen = prefix;
            if bytes < unit {
                break;
            }
        }
        let scaled = base * bytes / unit;
        let unit = if binary_units { format!("{}iB", chosen.to_uppercase()) } else { format!("{chosen}B") };
        format!("{scaled:.1} {unit}")
    };
    Ok(Value::Str(Text::plain(text)))
}

/// Adds two values, for `sum`.
fn add(cx: &mut Cx<'_>, a: &Value, b: &Value) -> R<Value> {
    binary(cx, Binary::Add, a, b)
}

/// Converts strings to lower case, to compare them without case.
fn without_case(cx: &Cx<'_>, value: Value) -> R<Value> {
    match value {
        Value::Str(text) => texts::lower(cx, &text).map(Value::Str),
        other => Ok(other),
    }
}

/// Reads an argument that must be a number of at least 1.
fn count(value: &Value, what: &str) -> R<usize> {
    match usize::try_from(value.index()?) {
        Ok(count) if count > 0 => Ok(count),
        _ => Err(Box::new(Fail::Runtime(format!("{what} must be at least 1")))),
    }
}
