//! `a.b`, `a[b]` and `a[b:c]`.

use super::budget::gathered;
use super::error::{R, fail};
use super::heap::{Cx, Source};
use super::machine::undefined;
use super::methods::{dict, list, number, string};
use super::program::Program;
use super::text::{Builder, Text};
use super::value::{Id, Value, range_len};

/// Finds the method with this name, if values of this kind have one.
pub(super) fn method(value: &Value, name: &str) -> Option<&'static str> {
    let names: &[&'static str] = match value {
        Value::Str(_) => string::NAMES,
        Value::List(_) => list::NAMES,
        Value::Tuple(_) | Value::Range(..) => list::TUPLE_NAMES,
        Value::Dict(_) => dict::NAMES,
        Value::Int(_) | Value::Bool(_) | Value::Big(_) | Value::Float(_) => number::NAMES,
        Value::Loop(_) => &["cycle", "changed"],
        Value::Cycler(_) => &["next", "reset"],
        _ => return None,
    };
    names.iter().find(|known| **known == name).copied()
}

/// `value.name`: an attribute, or the item of a dict.
pub(super) fn attribute(cx: &mut Cx<'_>, program: &Program, value: &Value, name: &Text) -> R<Value> {
    if let Some(found) = attribute_only(cx, program, value, name)? {
        return Ok(found);
    }
    let found = match value {
        Value::Dict(dict) => cx.get_named(*dict, name)?,
        _ => None,
    };
    Ok(found.unwrap_or_else(|| Value::Undefined(name.clone())))
}

fn attribute_only(cx: &mut Cx<'_>, program: &Program, value: &Value, name: &Text) -> R<Option<Value>> {
    if let Some(method) = method(value, name.as_str()) {
        return Ok(Some(Value::Method(std::sync::Arc::new((value.clone(), method)))));
    }
    Ok(match value {
        Value::Undefined(_) => return Err(undefined(value)),
        Value::Namespace(dict) => cx.get_named(*dict, name)?,
        Value::Loop(id) => loop_attribute(cx, *id, name.as_str()),
        Value::Cycler(id) if name.as_str() == "current" => {
            let cycler = cx.heap.cyclers.get(*id as usize);
            cycler.and_then(|(items, at)| cx.items_of(*items).get(*at)).cloned()
        }
        Value::Macro(id) => macro_attribute(cx, program, *id, name.as_str())?,
        Value::Blocks => {
            let block = program.blocks.iter().find(|(known, _)| known == name.as_str());
            match block {
                Some((_, code)) => {
                    Some(Value::Macro(cx.new_macro(super::heap::Macro { code: *code, scope: 0 })?))
                }
                None => None,
            }
        }
        // In Jinja2, `groupby` returns named tuples.
        Value::Tuple(pair) => match (name.as_str(), cx.items_of(*pair)) {
            ("grouper", [grouper, _]) => Some(grouper.clone()),
            ("list", [_, list]) => Some(list.clone()),
            _ => None,
        },
        Value::Range(start, stop, step) => match name.as_str() {
            "start" => Some(Value::Int((*start).into())),
            "stop" => Some(Value::Int((*stop).into())),
            "step" => Some(Value::Int((*step).into())),
            _ => None,
        },
        _ => None,
    })
}

fn macro_attribute(cx: &mut Cx<'_>, program: &Program, id: Id, name: &str) -> R<Option<Value>> {
    let code = cx.heap.macros.get(id as usize).and_then(|object| program.macros.get(object.code as usize));
    let Some(code) = code else { return Ok(None) };
    Ok(Some(match name {
        "name" => Value::Str(Text::plain(code.name.as_str())),
        "catch_varargs" => Value::Bool(code.varargs),
        "catch_kwargs" => Value::Bool(code.kwargs),
        "caller" => Value::Bool(code.caller),
        "arguments" => {
            let names = code.parameters.iter().filter_map(|(name, _)| program.names.get(*name as usize));
            let names = names.map(|name| Value::Str(name.clone())).collect();
            cx.tuple(names)?
        }
        _ => return Ok(None),
    }))
}

/// Returns the item of a loop at an index.
pub(super) fn loop_item(cx: &Cx<'_>, id: Id, index: usize) -> Option<Value> {
    match cx.heap.loops.get(id as usize)?.source {
        Source::List(list) | Source::Items(list) => cx.items_of(list).get(index).cloned(),
        Source::Range(start, stop, step) => {
            let range = Value::Range(start, stop, step);
            (index < range_len(&range))
                .then(|| Value::Int(i128::from(start) + index as i128 * i128::from(step)))
        }
    }
}

fn loop_attribute(cx: &Cx<'_>, id: Id, name: &str) -> Option<Value> {
    let state = cx.heap.loops.get(id as usize)?;
    let index = state.index.unwrap_or(0);
    let len = cx.loop_len(id);
    Some(match name {
        "index" => Value::from(index + 1),
        "index0" => Value::from(index),
        "revindex" => Value::Int(len as i128 - index as i128),
        "revindex0" => Value::Int(len as i128 - index as i128 - 1),
        "first" => Value::Bool(index == 0),
        "last" => Value::Bool(index + 1 >= len),
        "length" => Value::from(len),
        "depth" => Value::from(state.depth + 1),
        "depth0" => Value::from(state.depth),
        "previtem" => match index.checked_sub(1).and_then(|before| loop_item(cx, id, before)) {
            Some(item) => item,
            None => Value::undefined("there is no previous item"),
        },
        "nextitem" => match loop_item(cx, id, index + 1) {
            Some(item) => item,
            None => Value::undefined("there is no next item"),
        },
        _ => return None,
    })
}

/// Resolves an index as Python does: negative ones count from the end.
pub(super) fn position(index: i128, len: usize) -> Option<usize> {
    let index = if index < 0 { index + len as i128 } else { index };
    usize::try_from(index).ok().filter(|index| *index < len)
}

/// `value[key]`: an item, or an attribute with that name. A missing item is undefined.
pub(super) fn item(cx: &mut Cx<'_>, program: &Program, value: &Value, key: &Value) -> R<Value> {
    if value.is_undefined() {
        return Err(undefined(value));
    }
    let found = match (value, key) {
        (_, Value::Slice(slice)) => return sliced(cx, value, *slice),
        (Value::Dict(_), Value::List(_) | Value::Dict(_)) => None,
        (Value::Dict(dict), key) => cx.get_item(*dict, key)?,
        (Value::List(list) | Value::Tuple(list), key) => key
            .as_int()
            .and_then(|index| position(index, cx.items_of(*list).len()))
            .and_then(|index| cx.items_of(*list).get(index).cloned()),
        (Value::Range(start, _, step), key) => key
            .as_int()
            .and_then(|index| position(index, range_len(value)))
            .map(|index| Value::Int(i128::from(*start) + index as i128 * i128::from(*step))),
        (Value::Str(text), key) => match key.as_int() {
            Some(index) => character(cx, text, index)?,
            None => None,
        },
        _ => None,
    };
    if let Some(found) = found {
        return Ok(found);
    }
    if let Value::Str(name) = key {
        let name = Text::plain(name.as_str());
        if let Some(found) = attribute_only(cx, program, value, &name)? {
            return Ok(found);
        }
        return Ok(Value::Undefined(name));
    }
    Ok(Value::undefined("an item that is not there"))
}

fn character(cx: &mut Cx<'_>, text: &Text, index: i128) -> R<Option<Value>> {
    let string = text.as_str();
    cx.budget.bytes(string.len())?;
    let range = if string.is_ascii() {
        position(index, string.len()).map(|i| i..i + 1)
    } else {
        let len = string.chars().count();
        position(index, len)
            .and_then(|index| string.char_indices().nth(index))
            .map(|(i, c)| i..i + c.len_utf8())
    };
    range.map(|range| text.slice(&cx.budget, range).map(Value::Str)).transpose()
}

/// Returns the indices that a slice takes out of `len` items, as first index, step and count.
fn indices(cx: &Cx<'_>, slice: Id, len: usize) -> R<(i128, i128, usize)> {
    let parts = cx.items_of(slice);
    let number = |i: usize| -> R<Option<i128>> {
        match parts.get(i) {
            None | Some(Value::None) => Ok(None),
            Some(value) => match value.as_int() {
                Some(i) => Ok(Some(i)),
                None => fail(format!("slice indices must be integers or none, not '{}'", value.type_name())),
            },
        }
    };
    let (start, stop, step) = (number(0)?, number(1)?, number(2)?);
    let step = step.unwrap_or(1);
    if step == 0 {
        return fail("slice step cannot be zero");
    }
    let len = len as i128;
    let (low, high) = if step > 0 { (0, len) } else { (-1, len - 1) };
    let clamp = |i: i128| if i < 0 { i.saturating_add(len).max(low) } else { i.min(high) };
    let start = start.map_or(if step > 0 { low } else { high }, clamp);
    let stop = stop.map_or(if step > 0 { high } else { low }, clamp);
    let distance = if step > 0 { stop - start } else { start - stop };
    let stride = step.saturating_abs();
    let count = if distance <= 0 { 0 } else { (distance - 1) / stride + 1 };
    Ok((start, step, usize::try_from(count).unwrap_or(0)))
}

fn sliced(cx: &mut Cx<'_>, value: &Value, slice: Id) -> R<Value> {
    let len = match value {
        Value::List(_) | Value::Tuple(_) | Value::Str(_) | Value::Range(..) => cx.len(value)?,
        _ => return fail(format!("'{}' object cannot be sliced", value.type_name())),
    };
    let (start, step, count) = indices(cx, slice, len)?;
    let places =
        (0..count).filter_map(|i| usize::try_from(start.saturating_add(step.saturating_mul(i as i128))).ok());
    Ok(match value {
        Value::List(list) | Value::Tuple(list) => {
            cx.budget.items(count)?;
            let items = cx.items_of(*list);
            let taken = gathered(count.min(items.len()), places.filter_map(|i| items.get(i).cloned()))?;
            if matches!(value, Value::List(_)) { cx.list(taken)? } else { cx.tuple(taken)? }
        }
        Value::Range(a, _, b) => {
            let at = |i: i128| i64::try_from(i128::from(*a) + i * i128::from(*b)).unwrap_or(i64::MAX);
            let step = i64::try_from(step).unwrap_or(i64::MAX).saturating_mul(*b);
            Value::Range(at(start), at(start.saturating_add(step_times(count, step, *b))), step)
        }
        Value::Str(text) => Value::Str(characters(cx, text, start, step, count)?),
        _ => Value::None,
    })
}

/// Returns how far `count` steps go, in steps of the range that is sliced.
fn step_times(count: usize, step: i64, of: i64) -> i128 {
    count as i128 * i128::from(step) / i128::from(of).max(1).max(i128::from(of).abs())
}

fn characters(cx: &mut Cx<'_>, text: &Text, start: i128, step: i128, count: usize) -> R<Text> {
    let string = text.as_str();
    cx.budget.bytes(string.len())?;
    let start = usize::try_from(start).unwrap_or(0);
    if count == 0 {
        return Ok(Text::plain("").with_safe(text.safe));
    }
    if step == 1 {
        let byte = |i: usize| {
            if string.is_ascii() {
                i
            } else {
                string.char_indices().nth(i).map_or(string.len(), |(at, _)| at)
            }
        };
        return text.slice(&cx.budget, byte(start)..byte(start + count));
    }
    let mut out = Builder::default();
    // The positions of the characters, for random access.
    cx.budget.bytes(string.len().saturating_mul(8))?;
    let places = gathered(string.chars().count(), string.char_indices())?;
    for i in 0..count {
        let at = start as i128 + step.saturating_mul(i as i128);
        if let Some((byte, c)) = usize::try_from(at).ok().and_then(|at| places.get(at)) {
            cx.budget.charge(1)?;
            out.part(&cx.budget, text, *byte..*byte + c.len_utf8())?;
        }
    }
    Ok(out.finish().with_safe(text.safe))
}
