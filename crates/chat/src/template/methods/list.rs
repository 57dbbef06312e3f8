//! Methods of list. Some of them are also methods of tuple and range.

use super::super::args::Args;
use super::super::budget::{gathered, push, reserve};
use super::super::error::{R, fail};
use super::super::heap::Cx;
use super::super::lookup::position;
use super::super::value::{Id, Value};

pub(in super::super) const NAMES: &[&str] =
    &["append", "extend", "insert", "pop", "remove", "clear", "reverse", "copy", "index", "count", "sort"];
pub(in super::super) const TUPLE_NAMES: &[&str] = &["index", "count"];

/// Clamps an index as Python does for `insert` and for the bounds of `index`.
fn clamped(index: i64, len: usize) -> usize {
    let index = if index < 0 { index.saturating_add(len as i64).max(0) } else { index };
    usize::try_from(index).unwrap_or(len).min(len)
}

pub(in super::super) fn call(cx: &mut Cx<'_>, list: Id, name: &'static str, args: Args) -> R<Value> {
    match name {
        "append" => {
            let [item] = args.all(name, ["object"])?;
            cx.budget.charge(1)?;
            push(cx.list_mut(list)?, item)?;
        }
        "extend" => {
            let [items] = args.all(name, ["iterable"])?;
            let mut items = cx.collect(&items)?;
            reserve(cx.list_mut(list)?, items.len())?;
            cx.list_mut(list)?.append(&mut items);
        }
        "insert" => {
            let [index, item] = args.all(name, ["index", "object"])?;
            let at = clamped(index.index()?, cx.items_of(list).len());
            cx.budget.charge(1 + (cx.items_of(list).len() - at) as u64 / 8)?;
            cx.list_mut(list)?.insert(at, item);
        }
        "pop" => {
            let [index] = args.bind(name, ["index"])?;
            let index = index.map_or(Ok(-1), |index| index.index())?;
            let len = cx.items_of(list).len();
            let Some(at) = position(i128::from(index), len) else {
                return fail(if len == 0 { "pop from empty list" } else { "pop index out of range" });
            };
            cx.budget.charge(1 + (len - at) as u64 / 8)?;
            return Ok(cx.list_mut(list)?.remove(at));
        }
        "remove" => {
            let [item] = args.all(name, ["value"])?;
            let at = find(cx, &Value::List(list), &item, 0, usize::MAX)?;
            let Some(at) = at else { return fail("list.remove(x): x not in list") };
            cx.budget.charge(1 + (cx.items_of(list).len() - at) as u64 / 8)?;
            cx.list_mut(list)?.remove(at);
        }
        "clear" => {
            args.all(name, [])?;
            cx.list_mut(list)?.clear();
        }
        "reverse" => {
            args.all(name, [])?;
            cx.budget.items(cx.items_of(list).len())?;
            cx.list_mut(list)?.reverse();
        }
        "copy" => {
            args.all(name, [])?;
            let items = cx.collect(&Value::List(list))?;
            return cx.list(items);
        }
        "sort" => {
            let [reverse] = args.bind(name, ["reverse"])?;
            let reverse = reverse.is_some_and(|reverse| cx.truth(&reverse));
            let pairs =
                cx.collect(&Value::List(list))?.into_iter().map(|item| (item.clone(), item)).collect();
            let sorted = cx.sort_by_key(pairs, reverse)?;
            *cx.list_mut(list)? = sorted.into_iter().map(|(_, item)| item).collect();
        }
        _ => return call_tuple(cx, &Value::List(list), name, args),
    }
    Ok(Value::None)
}

/// Finds the first position of an item in `start..stop`.
fn find(cx: &mut Cx<'_>, value: &Value, item: &Value, start: usize, stop: usize) -> R<Option<usize>> {
    let items = match value {
        Value::List(list) | Value::Tuple(list) => {
            gathered(cx.items_of(*list).len(), cx.items_of(*list).iter().cloned())?
        }
        other => cx.collect(other)?,
    };
    cx.budget.items(items.len())?;
    for (i, found) in items.iter().enumerate().take(stop).skip(start) {
        if cx.same(found, item) || cx.equal(found, item, 0)? {
            return Ok(Some(i));
        }
    }
    Ok(None)
}

pub(in super::super) fn call_tuple(
    cx: &mut Cx<'_>,
    value: &Value,
    name: &'static str,
    args: Args,
) -> R<Value> {
    if name == "count" {
        let [item] = args.all(name, ["value"])?;
        let mut count = 0usize;
        for found in cx.collect(value)? {
            count += usize::from(cx.same(&found, &item) || cx.equal(&found, &item, 0)?);
        }
        return Ok(Value::from(count));
    }
    let [item, start, stop] = args.bind(name, ["value", "start", "stop"])?;
    let Some(item) = item else { return fail("index expected at least 1 argument, got 0") };
    let len = cx.len(value)?;
    let start = start.map_or(Ok(0), |start| start.index())?;
    let stop = stop.map_or(Ok(i64::MAX), |stop| stop.index())?;
    match find(cx, value, &item, clamped(start, len), clamped(stop, len))? {
        Some(at) => Ok(Value::from(at)),
        None => fail(format!("{}.index(x): x not in {0}", value.type_name())),
    }
}
