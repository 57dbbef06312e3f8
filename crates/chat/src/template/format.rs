//! `text % values` and `text.format(..)`.

use super::args::Args;
use super::error::{R, fail};
use super::functions::by_path;
use super::heap::Cx;
use super::operators::float;
use super::print::float_repr;
use super::text::{Builder, Text};
use super::value::{Id, Value};

/// The right operand of `%`.
pub(super) enum Given {
    Positional(Vec<Value>),
    Dict(Id),
}

/// Python's format specification, which says how a value is written into a field. `%` uses a part of it.
#[derive(Clone)]
struct Spec {
    fill: char,
    align: Option<char>,
    sign: Option<char>,
    alternate: bool,
    width: usize,
    grouping: Option<char>,
    precision: Option<usize>,
    kind: Option<char>,
}

impl Default for Spec {
    fn default() -> Self {
        Spec {
            fill: ' ',
            align: None,
            sign: None,
            alternate: false,
            width: 0,
            grouping: None,
            precision: None,
            kind: None,
        }
    }
}

/// Maximum precision of a float. A width is bounded by the fuel.
const MAX_PRECISION: usize = 1000;

fn fitting(cx: &Cx<'_>, digits: &str) -> R<usize> {
    match digits.parse::<usize>() {
        Ok(n) => cx.budget.bytes(n).map(|()| n),
        Err(_) => fail("a number in a format is too large"),
    }
}

/// `text % values`.
pub(super) fn percent(cx: &mut Cx<'_>, text: &Text, given: &Given) -> R<Text> {
    let string = text.as_str();
    let mut out = Builder::default();
    let mut at = 0;
    let mut next = 0;
    while let Some(start) = string.get(at..).and_then(|rest| rest.find('%')).map(|i| i + at) {
        cx.budget.charge(1)?;
        out.part(&cx.budget, text, at..start)?;
        let mut rest = string.get(start + 1..).unwrap_or_default();
        let mut keyed = None;
        if let Some(tail) = rest.strip_prefix('(') {
            let Some((key, tail)) = tail.split_once(')') else { return fail("incomplete format key") };
            let Given::Dict(dict) = given else { return fail("format requires a mapping") };
            let found = cx.get_named(*dict, &Text::plain(key))?;
            let Some(found) = found else {
                return fail(format!(
                    "the mapping has no key `{}`",
                    key.chars().take(40).collect::<String>()
                ));
            };
            keyed = Some(found);
            rest = tail;
        }
        let mut take = |next: &mut usize| -> R<Value> {
            if let Some(value) = keyed.take() {
                return Ok(value);
            }
            let found = match given {
                Given::Positional(values) => values.get(*next).cloned(),
                Given::Dict(dict) if *next == 0 => Some(Value::Dict(*dict)),
                Given::Dict(_) => None,
            };
            *next += 1;
            found.map_or_else(|| fail("not enough arguments for format string"), Ok)
        };
        let mut spec = Spec { align: Some('>'), ..Spec::default() };
        let mut zero = false;
        while let Some(c) = rest.chars().next().filter(|c| "-+ #0".contains(*c)) {
            match c {
                '-' => spec.align = Some('<'),
                '0' => zero = true,
                '#' => spec.alternate = true,
                sign => spec.sign = spec.sign.filter(|s| *s == '+').or(Some(sign)),
            }
            rest = rest.get(1..).unwrap_or_default();
        }
        let mut number = |rest: &mut &str, next: &mut usize| -> R<Option<i64>> {
            if let Some(tail) = rest.strip_prefix('*') {
                *rest = tail;
                return take(next)?.index().map(Some);
            }
            let len = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            let (digits, tail) = rest.split_at(len);
            *rest = tail;
            if digits.is_empty() { Ok(None) } else { fitting(cx, digits).map(|n| Some(n as i64)) }
        };
        if let Some(width) = number(&mut rest, &mut next)? {
            if width < 0 {
                spec.align = Some('<');
            }
            spec.width = usize::try_from(width.unsigned_abs()).unwrap_or(usize::MAX);
        }
        if let Some(tail) = rest.strip_prefix('.') {
            rest = tail;
            let precision = number(&mut rest, &mut next)?.unwrap_or(0);
            spec.precision = Some(usize::try_from(precision).unwrap_or(0));
        }
        rest = rest.trim_start_matches(['h', 'l', 'L']);
        let Some(kind) = rest.chars().next() else { return fail("incomplete format") };
        at = string.len() - rest.len() + kind.len_utf8();
        if kind == '%' {
            out.str(&cx.budget, "%", None)?;
            continue;
        }
        let value = take(&mut next)?;
        let zeroed = zero && spec.align == Some('>');
        match kind {
            's' | 'r' | 'a' => {
                let body = if kind == 's' { cx.str(&value)? } else { repr(cx, &value)? };
                padded_text(cx, &mut out, &body, &spec)?;
            }
            'c' => {
                let body = match &value {
                    Value::Str(text) if text.as_str().chars().count() == 1 => text.clone(),
                    other => {
                        let c = other.as_int().and_then(|i| u32::try_from(i).ok()).and_then(char::from_u32);
                        let Some(c) = c else { return fail("%c requires an integer or a character") };
                        Text::plain(c.to_string())
                    }
                };
                padded_text(cx, &mut out, &body, &spec)?;
            }
            'd' | 'i' | 'u' | 'x' | 'X' | 'o' | 'e' | 'E' | 'f' | 'F' | 'g' | 'G' => {
                let integral = matches!(kind, 'd' | 'i' | 'u');
                let value = match &value {
                    Value::Float(x) if integral && x.is_finite() && x.abs() < 1e38 => Value::Int(*x as i128),
                    _ => value,
                };
                if value.as_int().is_none() && float(&value).is_none() {
                    return fail(format!("%{kind} format: a number is required, not {}", value.type_name()));
                }
                if zeroed {
                    (spec.fill, spec.align) = ('0', Some('='));
                }
                spec.kind = Some(if integral { 'd' } else { kind });
                let digits = spec.precision.take_if(|_| integral);
                let mut spec = spec;
                if let Some(digits) = digits {
                    // %.5d means at least five digits.
                    let text =
                        value.as_int().map_or(String::new(), |i| format!("{:0>digits$}", i.unsigned_abs()));
                    let negative = value.as_int().is_some_and(|i| i < 0);
                    cx.budget.bytes(digits)?;
                    let sign = if negative {
                        "-"
                    } else {
                        spec.sign.map_or("", |s| if s == '+' { "+" } else { " " })
                    };
                    padded_number(cx, &mut out, sign, &text, &spec)?;
                } else {
                    spec.kind = spec.kind.map(|k| if k == 'F' { 'f' } else { k });
                    number_field(cx, &mut out, &value, &spec)?;
                }
            }
            other => return fail(format!("unsupported format character '{other}'")),
        }
    }
    out.part(&cx.budget, text, at..string.len())?;
    match given {
        Given::Positional(values)
            if next < values.len()
                && !(values.len() == 1
                    && matches!(values.first(), Some(Value::List(_) | Value::Dict(_)))) =>
        {
            fail("not all arguments converted during string formatting")
        }
        _ => Ok(out.finish()),
    }
}

fn repr(cx: &Cx<'_>, value: &Value) -> R<Text> {
    let mut out = Builder::default();
    cx.write_repr(&mut out, value)?;
    Ok(out.finish())
}

/// Writes a text, cut to the precision and padded to the width.
fn padded_text(cx: &Cx<'_>, out: &mut Builder, text: &Text, spec: &Spec) -> R<()> {
    let string = text.as_str();
    cx.budget.bytes(string.len())?;
    let cut = spec.precision.and_then(|n| string.char_indices().nth(n)).map_or(string.len(), |(i, _)| i);
    let len = string.get(..cut).unwrap_or_default().chars().count();
    let missing = spec.width.saturating_sub(len);
    let (left, right) = match spec.align {
        Some('>') => (missing, 0),
        Some('^') => (missing / 2, missing - missing / 2),
        _ => (0, missing),
    };
    let fill = Text::plain(spec.fill.to_string());
    out.repeat(&cx.budget, &fill, left)?;
    out.part(&cx.budget, text, 0..cut)?;
    out.repeat(&cx.budget, &fill, right)
}

fn padded_number(cx: &Cx<'_>, out: &mut Builder, sign: &str, digits: &str, spec: &Spec) -> R<()> {
    let missing = spec.width.saturating_sub(sign.len() + digits.chars().count());
    let fill = Text::plain(spec.fill.to_string());
    let (left, inner, right) = match spec.align {
        Some('<') => (0, 0, missing),
        Some('^') => (missing / 2, 0, missing - missing / 2),
        Some('=') => (0, missing, 0),
        _ => (missing, 0, 0),
    };
    out.repeat(&cx.budget, &fill, left)?;
    out.str(&cx.budget, sign, None)?;
    out.repeat(&cx.budget, &fill, inner)?;
    out.str(&cx.budget, digits, None)?;
    out.repeat(&cx.budget, &fill, right)
}

/// Separates digits into groups: of three, or of four if they are binary, octal or hexadecimal.
fn grouped(digits: &str, separator: char, size: usize) -> String {
    let digit = |c: char| if size == 3 { c.is_ascii_digit() } else { c.is_ascii_hexdigit() };
    let whole = digits.find(|c| !digit(c)).unwrap_or(digits.len());
    let (whole, rest) = digits.split_at(whole);
    let mut out = String::new();
    for (i, c) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i).is_multiple_of(size) {
            out.push(separator);
        }
        out.push(c);
    }
    out + rest
}

/// Writes `x` in the style `e`: one digit, the fraction, and an exponent of at least two digits.
fn exponential(x: f64, precision: usize) -> String {
    let text = format!("{x:.precision$e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    format!("{digits}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.unsigned_abs())
}

/// Writes `x` in the style `g`.
fn general(x: f64, precision: usize, alternate: bool) -> String {
    let precision = precision.max(1);
    let scientific = exponential(x, precision - 1);
    let exponent: i32 = scientific.split_once('e').and_then(|(_, e)| e.parse().ok()).unwrap_or(0);
    let strip = |digits: &str| match alternate || !digits.contains('.') {
        true => digits.to_owned(),
        false => digits.trim_end_matches('0').trim_end_matches('.').to_owned(),
    };
    if exponent < -4 || exponent >= precision as i32 {
        let (digits, tail) = scientific.split_once('e').unwrap_or((&scientific, "+00"));
        return format!("{}e{tail}", strip(digits));
    }
    let decimals = (precision as i32 - 1 - exponent).max(0) as usize;
    strip(&format!("{x:.decimals$}"))
}

/// Writes a number in its format.
fn number_field(cx: &Cx<'_>, out: &mut Builder, value: &Value, spec: &Spec) -> R<()> {
    let kind = spec.kind;
    let lower = kind.map(|k| k.to_ascii_lowercase());
    let (negative, mut digits) = match (value.as_int(), lower) {
        (Some(i), None | Some('d' | 'n' | 'b' | 'o' | 'x' | 'c')) => {
            if spec.precision.is_some() {
                return fail("precision not allowed in an integer format");
            }
            let n = i.unsigned_abs();
            let digits = match lower {
                Some('b') => format!("{n:b}"),
                Some('o') => format!("{n:o}"),
                Some('x') => format!("{n:x}"),
                Some('c') => {
                    u32::try_from(i).ok().and_then(char::from_u32).map_or(String::new(), String::from)
                }
                _ => n.to_string(),
            };
            (i < 0, digits)
        }
        _ => {
            let Some(x) = float(value) else {
                return fail(format!("a number is required, not {}", value.type_name()));
            };
            let magnitude = x.abs();
            if spec.precision.is_some_and(|p| p > MAX_PRECISION) {
                return fail(format!("a precision is at most {MAX_PRECISION}"));
            }
            let precision = spec.precision.unwrap_or(6);
            let digits = if !x.is_finite() {
                if x.is_nan() { "nan".to_owned() } else { "inf".to_owned() }
            } else {
                match lower {
                    Some('e') => exponential(magnitude, precision),
                    Some('f') => format!("{magnitude:.precision$}"),
                    Some('%') => format!("{:.precision$}%", magnitude * 100.0),
                    Some('g' | 'n') => general(magnitude, precision, spec.alternate),
                    None if spec.precision.is_some() => {
                        let text = general(magnitude, precision, false);
                        if text.contains(['.', 'e']) { text } else { text + ".0" }
                    }
                    None => float_repr(magnitude),
                    Some(kind) => return fail(format!("unknown format code '{kind}' for a float")),
                }
            };
            (x.is_sign_negative() && !x.is_nan(), digits)
        }
    };
    let sign = match (negative, spec.sign) {
        (true, _) => "-",
        (_, Some('+')) => "+",
        (_, Some(' ')) => " ",
        _ => "",
    };
    // The sign and the base come before the padding.
    let base = match lower {
        Some('b') if spec.alternate => "0b",
        Some('o') if spec.alternate => "0o",
        Some('x') if spec.alternate => "0x",
        _ => "",
    };
    let mut sign = format!("{sign}{base}");
    if let Some(separator) = spec.grouping {
        let size = if matches!(lower, Some('b' | 'o' | 'x')) { 4 } else { 3 };
        if separator == ',' && size == 4 {
            return fail("cannot specify ',' with a binary, octal or hexadecimal format");
        }
        let plain = digits;
        digits = grouped(&plain, separator, size);
        // Leading zeros are part of groups too.
        let short = spec.width.saturating_sub(sign.len() + digits.len());
        if spec.fill == '0' && spec.align == Some('=') && short > 0 {
            // `size` of every `size + 1` characters are digits.
            let mut zeros = (short / (size + 1)) * size;
            loop {
                cx.budget.bytes(spec.width)?;
                digits = grouped(&format!("{}{plain}", "0".repeat(zeros)), separator, size);
                if sign.len() + digits.len() >= spec.width {
                    break;
                }
                zeros += 1;
            }
        }
    }
    if kind.is_some_and(|k| k.is_ascii_uppercase()) {
        digits = digits.to_uppercase();
        sign = sign.to_uppercase();
    }
    padded_number(cx, out, &sign, &digits, spec)
}

/// Reads a format specification of `str.format`.
fn specification(cx: &Cx<'_>, text: &str) -> R<Spec> {
    let mut spec = Spec::default();
    let mut rest = text;
    let is_align = |c: &char| matches!(c, '<' | '>' | '^' | '=');
    let mut chars = rest.chars();
    let (first, second) = (chars.next(), chars.next());
    let filled = second.is_some_and(|c| is_align(&c));
    if let (Some(fill), Some(align)) = (first, second.filter(is_align)) {
        (spec.fill, spec.align) = (fill, Some(align));
        rest = rest.get(fill.len_utf8() + 1..).unwrap_or_default();
    } else if let Some(align) = first.filter(is_align) {
        spec.align = Some(align);
        rest = rest.get(1..).unwrap_or_default();
    }
    let skip = |rest: &mut &str, set: &[char]| -> Option<char> {
        let c = rest.chars().next().filter(|c| set.contains(c))?;
        *rest = rest.get(1..).unwrap_or_default();
        Some(c)
    };
    spec.sign = skip(&mut rest, &['+', '-', ' ']);
    spec.alternate = skip(&mut rest, &['#']).is_some();
    // If a fill character is given, a zero is a digit of the width.
    if !filled && skip(&mut rest, &['0']).is_some() {
        spec.fill = '0';
        spec.align = spec.align.or(Some('='));
    }
    let digits = |rest: &mut &str| -> String {
        let len = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (digits, tail) = rest.split_at(len);
        *rest = tail;
        digits.to_owned()
    };
    let width = digits(&mut rest);
    if !width.is_empty() {
        spec.width = fitting(cx, &width)?;
    }
    spec.grouping = skip(&mut rest, &[',', '_']);
    if skip(&mut rest, &['.']).is_some() {
        spec.precision = Some(fitting(cx, &digits(&mut rest))?);
    }
    let mut chars = rest.chars();
    spec.kind = chars.next();
    match chars.next() {
        None => Ok(spec),
        Some(_) => fail("invalid format specifier"),
    }
}

/// `text.format(..)`.
pub(super) fn braces(cx: &mut Cx<'_>, text: &Text, args: Args) -> R<Text> {
    let mut out = Builder::default();
    let mut auto = 0;
    fields(cx, text, 0..text.as_str().len(), &args, &mut auto, &mut out, 0)?;
    Ok(out.finish().with_safe(text.safe))
}

/// Writes a part of a format text: the fields and the text between them. The specification of a field may contain fields, one
/// level deep.
fn fields(
    cx: &mut Cx<'_>,
    text: &Text,
    range: std::ops::Range<usize>,
    args: &Args,
    auto: &mut usize,
    out: &mut Builder,
    depth: usize,
) -> R<()> {
    let string = text.as_str();
    let mut at = range.start;
    while let Some(rest) = string.get(at..range.end).filter(|rest| !rest.is_empty()) {
        cx.budget.charge(1)?;
        let Some(brace) = rest.find(['{', '}']) else {
            return out.part(&cx.budget, text, at..range.end);
        };
        out.part(&cx.budget, text, at..at + brace)?;
        let from = rest.get(brace..).unwrap_or_default();
        at += brace;
        if from.starts_with("{{") || from.starts_with("}}") {
            out.part(&cx.budget, text, at..at + 1)?;
            at += 2;
            continue;
        }
        if from.starts_with('}') {
            return fail("Single '}' encountered in format string");
        }
        // The field ends at its closing brace; there may be one more level inside.
        let mut level = 0usize;
        let end = from.char_indices().find(|(_, c)| {
            level = match c {
                '{' => level + 1,
                '}' => level.saturating_sub(1),
                _ => level,
            };
            level == 0
        });
        let Some((end, _)) = end else { return fail("expected '}' before end of string") };
        let inside = from.get(1..end).unwrap_or_default();
        field(cx, text, (at + 1, inside), args, auto, out, depth)?;
        at += end + 1;
    }
    Ok(())
}

fn field(
    cx: &mut Cx<'_>,
    text: &Text,
    (start, inside): (usize, &str),
    args: &Args,
    auto: &mut usize,
    out: &mut Builder,
    depth: usize,
) -> R<()> {
    let split = inside.find([':', '!']).unwrap_or(inside.len());
    let (path, tail) = inside.split_at(split);
    let (conversion, spec_at) = match tail.strip_prefix('!') {
        Some(tail) => {
            let c = tail.chars().next();
            let len = c.map_or(0, char::len_utf8);
            (c, split + 1 + len + usize::from(tail.get(len..).is_some_and(|t| t.starts_with(':'))))
        }
        None => (None, split + usize::from(!tail.is_empty())),
    };
    let value = field_value(cx, path, args, auto)?;
    let spec = if spec_at < inside.len() {
        if depth > 1 {
            return fail("Max string recursion exceeded");
        }
        let mut spec = Builder::default();
        fields(cx, text, start + spec_at..start + inside.len(), args, auto, &mut spec, depth + 1)?;
        specification(cx, spec.finish().as_str())?
    } else {
        Spec::default()
    };
    let value = match conversion {
        None => value,
        Some('s') => Value::Str(cx.str(&value)?),
        Some('r' | 'a') => Value::Str(repr(cx, &value)?),
        Some(c) => return fail(format!("unknown conversion specifier '{c}'")),
    };
    let is_number = value.as_int().is_some() || matches!(value, Value::Float(_));
    // Without a specification, a bool is written as `str(True)`; with one, as a number.
    let bool_text = matches!(value, Value::Bool(_)) && spec_at >= inside.len();
    if is_number && !bool_text {
        return number_field(cx, out, &value, &spec);
    }
    if let Some(kind) = spec.kind.filter(|kind| *kind != 's') {
        return fail(format!("unknown format code '{kind}' for object of type '{}'", value.type_name()));
    }
    let body = cx.str(&value)?;
    padded_text(cx, out, &body, &spec)
}

/// Returns the value that a field refers to: `0.a[b]`, a name, or the next argument.
fn field_value(cx: &mut Cx<'_>, path: &str, args: &Args, auto: &mut usize) -> R<Value> {
    let head = path.find(['.', '[']).unwrap_or(path.len());
    let (name, mut rest) = path.split_at(head);
    let index = if name.is_empty() {
        *auto += 1;
        Some(*auto - 1)
    } else {
        name.parse::<usize>().ok()
    };
    let found = match index {
        Some(index) => args.positional.get(index).cloned(),
        None => args.named.iter().find(|(known, _)| known.as_str() == name).map(|(_, value)| value.clone()),
    };
    let Some(mut value) = found else {
        return fail(format!("no argument for the field `{}`", name.chars().take(40).collect::<String>()));
    };
    while !rest.is_empty() {
        let (part, tail) = if let Some(tail) = rest.strip_prefix('[') {
            let Some((part, tail)) = tail.split_once(']') else {
                return fail("Missing ']' in format string");
            };
            (part, tail)
        } else {
            let tail = rest.strip_prefix('.').unwrap_or(rest);
            tail.split_at(tail.find(['.', '[']).unwrap_or(tail.len()))
        };
        if part.is_empty() {
            return fail("Empty attribute in format string");
        }
        value = by_path(
            cx,
            &value,
            &part.parse::<i128>().map_or_else(|_| Value::Str(Text::plain(part)), Value::Int),
        )?;
        rest = tail;
    }
    Ok(value)
}
