//! Python's operators.

use super::budget::gathered;
use std::cmp::Ordering;

use super::error::{R, fail};
use super::filters;
use super::format;
use super::heap::Cx;
use super::machine::undefined;
use super::program::{Binary, Compare};
use super::text::{Builder, Text};
use super::value::{Id, MAX_DEPTH, Value, View, range_len, too_deep};
use crate::digits;

fn unsupported<T>(op: &str, left: &Value, right: &Value) -> R<T> {
    for value in [left, right] {
        if value.is_undefined() {
            return Err(undefined(value));
        }
    }
    let (left, right) = (left.type_name(), right.type_name());
    fail(format!("unsupported operand types for {op}: '{left}' and '{right}'"))
}

/// Converts a number to a float.
pub(super) fn float(value: &Value) -> Option<f64> {
    match value {
        Value::Float(x) => Some(*x),
        Value::Big(digits) => digits.parse().ok(),
        other => other.as_int().map(|i| i as f64),
    }
}

pub(super) fn sign(negative: bool, value: &Value) -> R<Value> {
    match value {
        Value::Float(x) => Ok(Value::Float(if negative { -x } else { *x })),
        Value::Undefined(_) => Err(undefined(value)),
        _ => match value.as_int() {
            Some(i) if negative => {
                i.checked_neg().map_or_else(|| fail("an integer is too large"), |i| Ok(Value::Int(i)))
            }
            Some(i) => Ok(Value::Int(i)),
            None => fail(format!("bad operand type for a sign: '{}'", value.type_name())),
        },
    }
}

pub(super) fn binary(cx: &mut Cx<'_>, op: Binary, left: &Value, right: &Value) -> R<Value> {
    if let (Some(a), Some(b)) = (left.as_int(), right.as_int()) {
        return integers(op, a, b);
    }
    if let (Some(a), Some(b)) = (float(left), float(right)) {
        return floats(op, a, b);
    }
    match (op, left, right) {
        (Binary::Add, Value::Str(a), Value::Str(b)) => {
            let mut out = Builder::default();
            let safe = a.safe || b.safe;
            for text in [a, b] {
                if safe && !text.safe {
                    out.text(&cx.budget, &filters::escape(cx, text)?)?;
                } else {
                    out.text(&cx.budget, text)?;
                }
            }
            Ok(Value::Str(out.finish().with_safe(safe)))
        }
        (Binary::Add, Value::List(a), Value::List(b)) => joined(cx, *a, *b).and_then(|items| cx.list(items)),
        (Binary::Add, Value::Tuple(a), Value::Tuple(b)) => {
            joined(cx, *a, *b).and_then(|items| cx.tuple(items))
        }
        (Binary::Mul, value, count) | (Binary::Mul, count, value)
            if count.as_int().is_some()
                && matches!(value, Value::Str(_) | Value::List(_) | Value::Tuple(_)) =>
        {
            repeated(cx, value, usize::try_from(count.index()?).unwrap_or(0))
        }
        (Binary::Mod, Value::Str(text), args) => {
            let args = match args {
                Value::Tuple(items) => format::Given::Positional(gathered(
                    cx.items_of(*items).len(),
                    cx.items_of(*items).iter().cloned(),
                )?),
                Value::Dict(dict) => format::Given::Dict(*dict),
                other => format::Given::Positional(vec![other.clone()]),
            };
            format::percent(cx, text, &args).map(|out| Value::Str(out.with_safe(text.safe)))
        }
        _ => unsupported(op.symbol(), left, right),
    }
}

fn joined(cx: &Cx<'_>, a: Id, b: Id) -> R<Vec<Value>> {
    let (a, b) = (cx.items_of(a), cx.items_of(b));
    cx.budget.items(a.len() + b.len())?;
    gathered(a.len() + b.len(), a.iter().chain(b).cloned())
}

fn repeated(cx: &mut Cx<'_>, value: &Value, count: usize) -> R<Value> {
    match value {
        Value::Str(text) => {
            let mut out = Builder::default();
            out.repeat(&cx.budget, text, count)?;
            Ok(Value::Str(out.finish().with_safe(text.safe)))
        }
        Value::List(items) | Value::Tuple(items) => {
            let len = cx.items_of(*items).len();
            cx.budget.items(len.saturating_mul(count))?;
            let count = if len == 0 { 0 } else { count };
            let all = (0..count).flat_map(|_| cx.items_of(*items)).cloned();
            let out = gathered(len.saturating_mul(count), all)?;
            if matches!(value, Value::List(_)) { cx.list(out) } else { cx.tuple(out) }
        }
        _ => unsupported("*", value, &Value::None),
    }
}

fn integers(op: Binary, a: i128, b: i128) -> R<Value> {
    let result = match op {
        Binary::Add => a.checked_add(b),
        Binary::Sub => a.checked_sub(b),
        Binary::Mul => a.checked_mul(b),
        Binary::Div => return floats(op, a as f64, b as f64),
        Binary::FloorDiv | Binary::Mod if b == 0 => return fail("integer division or modulo by zero"),
        Binary::FloorDiv => {
            a.checked_div(b).map(|q| if a % b != 0 && (a < 0) != (b < 0) { q - 1 } else { q })
        }
        Binary::Mod => a.checked_rem(b).map(|r| if r != 0 && (r < 0) != (b < 0) { r + b } else { r }),
        Binary::Pow if b < 0 => return floats(op, a as f64, b as f64),
        Binary::Pow if (0..=1).contains(&a) => Some(if b == 0 { 1 } else { a }),
        Binary::Pow if a == -1 => Some(if b % 2 == 0 { 1 } else { -1 }),
        Binary::Pow => u32::try_from(b).ok().and_then(|b| a.checked_pow(b)),
    };
    result.map_or_else(
        || fail("an integer is too large: at most 38 digits are supported"),
        |i| Ok(Value::Int(i)),
    )
}

fn floats(op: Binary, a: f64, b: f64) -> R<Value> {
    if b == 0.0 && matches!(op, Binary::Div | Binary::FloorDiv | Binary::Mod) {
        return fail("division by zero");
    }
    Ok(Value::Float(match op {
        Binary::Add => a + b,
        Binary::Sub => a - b,
        Binary::Mul => a * b,
        Binary::Div => a / b,
        // As in CPython's float_divmod.
        Binary::FloorDiv => {
            let r = remainder(a, b);
            let q = (a - r) / b;
            if q == 0.0 {
                0f64.copysign(a / b)
            } else {
                let floor = q.floor();
                if q - floor > 0.5 { floor + 1.0 } else { floor }
            }
        }
        Binary::Mod => remainder(a, b),
        Binary::Pow if a == 0.0 && b < 0.0 => return fail("0.0 cannot be raised to a negative power"),
        Binary::Pow if a < 0.0 && b.fract() != 0.0 => return fail("a complex number is not supported"),
        Binary::Pow => a.powf(b),
    }))
}

/// Returns the remainder with the sign of the divisor.
fn remainder(a: f64, b: f64) -> f64 {
    let r = a % b;
    if r != 0.0 { if (r < 0.0) != (b < 0.0) { r + b } else { r } } else { 0f64.copysign(b) }
}

impl Cx<'_> {
    pub(super) fn compare(&self, op: Compare, left: &Value, right: &Value) -> R<bool> {
        Ok(match op {
            Compare::Eq => self.equal(left, right, 0)?,
            Compare::Ne => !self.equal(left, right, 0)?,
            Compare::In => self.contains(right, left)?,
            Compare::NotIn => !self.contains(right, left)?,
            Compare::Lt | Compare::Le | Compare::Gt | Compare::Ge => {
                let order = self.order(left, right, 0)?;
                match op {
                    Compare::Lt => order == Some(Ordering::Less),
                    Compare::Le => matches!(order, Some(Ordering::Less | Ordering::Equal)),
                    Compare::Gt => order == Some(Ordering::Greater),
                    _ => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
                }
            }
        })
    }

    /// `a == b`.
    pub(super) fn equal(&self, a: &Value, b: &Value, depth: usize) -> R<bool> {
        self.budget.charge(1)?;
        if depth > MAX_DEPTH {
            return too_deep();
        }
        if let (Some(a), Some(b)) = (a.as_int(), b.as_int()) {
            return Ok(a == b);
        }
        Ok(match (a, b) {
            (Value::Str(a), Value::Str(b)) => {
                let (a, b) = (a.as_str(), b.as_str());
                if a.len() != b.len() {
                    return Ok(false);
                }
                self.budget.bytes(a.len())?;
                a == b
            }
            (Value::Big(a), Value::Big(b)) if digits::is_integer(a) && digits::is_integer(b) => a == b,
            (Value::Big(a), Value::Int(_)) | (Value::Int(_), Value::Big(a)) if digits::is_integer(a) => false,
            (Value::None, Value::None)
            | (Value::Undefined(_), Value::Undefined(_))
            | (Value::Blocks, Value::Blocks) => true,
            // An object is always equal to itself, as in Python, which compares identities first.
            (Value::List(a), Value::List(b)) | (Value::Tuple(a), Value::Tuple(b)) => {
                a == b || self.equal_items(self.items_of(*a), self.items_of(*b), depth + 1)?
            }
            (Value::Dict(a), Value::Dict(b)) => a == b || self.equal_dicts(*a, *b, depth + 1)?,
            (Value::View(View::Keys, a), Value::View(View::Keys, b)) => {
                let (a, b) = (self.dict_of(*a)?, self.dict_of(*b)?);
                self.budget.items(a.len())?;
                a.len() == b.len() && a.keys().all(|key| b.contains_key(key))
            }
            (Value::View(View::Items, a), Value::View(View::Items, b)) => {
                a == b || self.equal_dicts(*a, *b, depth + 1)?
            }
            (Value::Range(start, _, step), Value::Range(other, _, other_step)) => {
                let len = range_len(a);
                len == range_len(b) && (len == 0 || start == other && (len == 1 || step == other_step))
            }
            (Value::Namespace(a), Value::Namespace(b))
            | (Value::Iter(a), Value::Iter(b))
            | (Value::Loop(a), Value::Loop(b))
            | (Value::Macro(a), Value::Macro(b))
            | (Value::Cycler(a), Value::Cycler(b))
            | (Value::Joiner(a), Value::Joiner(b)) => a == b,
            (Value::Function(a), Value::Function(b)) => a == b,
            (Value::Method(a), Value::Method(b)) => a.1 == b.1 && self.same(&a.0, &b.0),
            _ => match (float(a), float(b)) {
                (Some(a), Some(b)) => a == b,
                _ => false,
            },
        })
    }

    pub(super) fn equal_items(&self, a: &[Value], b: &[Value], depth: usize) -> R<bool> {
        if a.len() != b.len() {
            return Ok(false);
        }
        for (a, b) in a.iter().zip(b) {
            if !self.same(a, b) && !self.equal(a, b, depth)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn equal_dicts(&self, a: Id, b: Id, depth: usize) -> R<bool> {
        let (a, b) = (self.dict_of(a)?, self.dict_of(b)?);
        if a.len() != b.len() {
            return Ok(false);
        }
        for (key, (_, value)) in a {
            let Some((_, other)) = b.get(key) else { return Ok(false) };
            if !self.same(value, other) && !self.equal(value, other, depth)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// `a is b`, for objects that have an identity in this evaluator.
    pub(super) fn same(&self, a: &Value, b: &Value) -> bool {
        match (a, b) {
            (Value::None, Value::None) => true,
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::Int(a), Value::Int(b)) => a == b,
            (Value::Str(a), Value::Str(b)) => a == b,
            (Value::Float(a), Value::Float(b)) => a.to_bits() == b.to_bits(),
            (Value::List(a), Value::List(b))
            | (Value::Tuple(a), Value::Tuple(b))
            | (Value::Dict(a), Value::Dict(b))
            | (Value::Namespace(a), Value::Namespace(b))
            | (Value::Iter(a), Value::Iter(b))
            | (Value::Loop(a), Value::Loop(b))
            | (Value::Macro(a), Value::Macro(b))
            | (Value::Cycler(a), Value::Cycler(b))
            | (Value::Joiner(a), Value::Joiner(b)) => a == b,
            (Value::Function(a), Value::Function(b)) => a == b,
            _ => false,
        }
    }

    /// `item in container`.
    pub(super) fn contains(&self, container: &Value, item: &Value) -> R<bool> {
        match container {
            Value::Str(text) => {
                let Value::Str(item) = item else {
                    if item.is_undefined() {
                        return Err(undefined(item));
                    }
                    return fail(format!(
                        "'in <string>' requires string as left operand, not {}",
                        item.type_name()
                    ));
                };
                self.budget.bytes(text.as_str().len())?;
                Ok(text.as_str().contains(item.as_str()))
            }
            Value::Dict(dict) | Value::View(View::Keys, dict) => {
                let key = self.key(item)?;
                Ok(self.dict_of(*dict)?.contains_key(&key))
            }
            Value::List(list) | Value::Tuple(list) | Value::Iter(list) => {
                for found in self.items_of(*list) {
                    if self.same(found, item) || self.equal(found, item, 0)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Value::View(View::Values, dict) => {
                for (_, found) in self.dict_of(*dict)?.values() {
                    if self.equal(found, item, 0)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Value::View(View::Items, dict) => {
                let Value::Tuple(pair) = item else { return Ok(false) };
                let [key, value] = self.items_of(*pair) else { return Ok(false) };
                match self.get_item(*dict, key)? {
                    Some(found) => self.equal(&found, value, 0),
                    None => Ok(false),
                }
            }
            Value::Range(start, _, step) => {
                let Some(i) = item.as_int() else { return Ok(false) };
                let distance = i - i128::from(*start);
                let step = i128::from(*step);
                let index = distance / step;
                Ok(distance % step == 0 && index >= 0 && index < range_len(container) as i128)
            }
            Value::Undefined(_) => Ok(false),
            _ => fail(format!("argument of type '{}' is not iterable", container.type_name())),
        }
    }

    /// Compares two values. Returns `None` if one is NaN.
    pub(super) fn order(&self, a: &Value, b: &Value, depth: usize) -> R<Option<Ordering>> {
        self.budget.charge(1)?;
        if depth > MAX_DEPTH {
            return too_deep();
        }
        if let (Some(a), Some(b)) = (a.as_int(), b.as_int()) {
            return Ok(Some(a.cmp(&b)));
        }
        match (a, b) {
            (Value::Str(a), Value::Str(b)) => {
                self.budget.bytes(a.as_str().len().min(b.as_str().len()))?;
                Ok(Some(a.as_str().cmp(b.as_str())))
            }
            (Value::List(a), Value::List(b)) | (Value::Tuple(a), Value::Tuple(b)) => {
                let (a, b) = (self.items_of(*a), self.items_of(*b));
                for (a, b) in a.iter().zip(b) {
                    if !self.same(a, b) && !self.equal(a, b, depth + 1)? {
                        return self.order(a, b, depth + 1);
                    }
                }
                Ok(Some(a.len().cmp(&b.len())))
            }
            _ => match (float(a), float(b)) {
                (Some(a), Some(b)) => Ok(a.partial_cmp(&b)),
                _ => {
                    for value in [a, b] {
                        if value.is_undefined() {
                            return Err(undefined(value));
                        }
                    }
                    let (a, b) = (a.type_name(), b.type_name());
                    fail(format!("values of types '{a}' and '{b}' have no order"))
                }
            },
        }
    }

    /// Sorts by the first value of each pair, as `sorted(..)` does: the order of equal values is kept. The merge sort is our own,
    /// since the library's may panic if an order is inconsistent, as it is with NaN.
    pub(super) fn sort_by_key(&self, pairs: Vec<(Value, Value)>, reverse: bool) -> R<Vec<(Value, Value)>> {
        let mut from = pairs;
        let mut width = 1;
        while width < from.len() {
            self.budget.items(from.len())?;
            let mut to = Vec::with_capacity(from.len());
            for run in from.chunks(2 * width) {
                let (left, right) = run.split_at(width.min(run.len()));
                let (mut left, mut right) = (left.iter().peekable(), right.iter().peekable());
                while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
                    let order = self.order(&a.0, &b.0, 0)?;
                    let right_first = order == Some(if reverse { Ordering::Less } else { Ordering::Greater });
                    to.extend(if right_first { right.next() } else { left.next() }.cloned());
                }
                to.extend(left.cloned());
                to.extend(right.cloned());
            }
            from = to;
            width *= 2;
        }
        Ok(from)
    }

    /// `str(value)`.
    pub(super) fn str(&self, value: &Value) -> R<Text> {
        if let Value::Str(text) = value {
            return Ok(text.clone());
        }
        let mut out = Builder::default();
        self.write_str(&mut out, value)?;
        Ok(out.finish())
    }
}
