//! Filters on lists, dicts and other iterables.

use super::super::args::{Args, given};
use super::super::budget::{gathered, push};
use super::super::error::{R, fail};
use super::super::functions::{by_path, by_path_or};
use super::super::heap::Cx;
use super::super::machine::undefined;
use super::super::program::Compare;
use super::super::text::{Builder, Text};
use super::super::value::Value;
use super::{add, count, flag, without_case};

/// Returns the key by which a value is sorted, grouped or compared: an attribute, or the value itself, with or without case.
fn key(cx: &mut Cx<'_>, value: &Value, attribute: Option<&Value>, case_sensitive: bool) -> R<Value> {
    cx.budget.charge(1)?;
    let found = match attribute {
        Some(attribute) => by_path(cx, value, attribute)?,
        None => value.clone(),
    };
    if case_sensitive { Ok(found) } else { without_case(cx, found) }
}

/// `join(d='', attribute=None)`: joins the items, converted by `str`.
pub(super) fn join(cx: &mut Cx<'_>, value: Value, args: Args) -> R<Value> {
    let [separator, attribute] = args.bind("join", ["d", "attribute"])?;
    let separator = separator.map_or(Ok(Text::plain("")), |d| cx.str(&d))?;
    let attribute = given(attribute);
    let mut out = Builder::default();
    for (i, item) in cx.collect(&value)?.iter().enumerate() {
        cx.budget.charge(1)?;
        if i > 0 {
            out.text(&cx.budget, &separator)?;
        }
        match &attribute {
            Some(attribute) => {
                let found = by_path(cx, item, attribute)?;
                cx.write_str(&mut out, &found)?;
            }
            None => cx.write_str(&mut out, item)?,
        }
    }
    Ok(Value::Str(out.finish()))
}

pub(super) fn first(cx: &mut Cx<'_>, value: Value, args: Args) -> R<Value> {
    args.all("first", [])?;
    let found = match &value {
        Value::List(list) | Value::Tuple(list) => cx.items_of(*list).first().cloned(),
        Value::Iter(list) => {
            let items = cx.list_mut(*list)?;
            (!items.is_empty()).then(|| items.remove(0))
        }
        _ => cx.collect(&value)?.into_iter().next(),
    };
    Ok(found.unwrap_or_else(|| Value::undefined("the first item of an empty sequence")))
}

pub(super) fn last(cx: &mut Cx<'_>, value: Value, args: Args) -> R<Value> {
    args.all("last", [])?;
    let found = match &value {
        Value::List(list) | Value::Tuple(list) => cx.items_of(*list).last().cloned(),
        Value::Iter(_) => return fail("'generator' object is not reversible"),
        _ => cx.collect(&value)?.pop(),
    };
    Ok(found.unwrap_or_else(|| Value::undefined("the last item of an empty sequence")))
}

pub(super) fn items(cx: &mut Cx<'_>, value: Value, args: Args) -> R<Value> {
    args.all("items", [])?;
    match value {
        Value::Undefined(_) => cx.iter(Vec::new()),
        Value::Dict(dict) => {
            let items = cx.collect(&Value::View(super::super::value::View::Items, dict))?;
            cx.iter(items)
        }
        _ => fail("Can only get item pairs from a mapping."),
    }
}

pub(super) fn reverse(cx: &mut Cx<'_>, value: Value, args: Args) -> R<Value> {
    args.all("reverse", [])?;
    if let Value::Str(text) = &value {
        let mut out = Builder::default();
        for (i, c) in text.as_str().char_indices().rev() {
            out.part(&cx.budget, text, i..i + c.len_utf8())?;
        }
        return Ok(Value::Str(out.finish().with_safe(text.safe)));
    }
    let mut items = cx.collect(&value)?;
    items.reverse();
    cx.iter(items)
}

pub(super) fn sort(cx: &mut Cx<'_>, value: Value, args: Args) -> R<Value> {
    let [reverse, case_sensitive, attribute] =
        args.bind("sort", ["reverse", "case_sensitive", "attribute"])?;
    let (reverse, case_sensitive) = (flag(cx, reverse), flag(cx, case_sensitive));
    // Several attributes are separated by commas. The keys are then lists.
    let attributes: Option<Vec<Value>> = given(attribute).map(|attribute| match &attribute {
        Value::Str(names) => names.as_str().split(',').map(|name| Value::Str(Text::plain(name))).collect(),
        _ => vec![attribute],
    });
    let mut pairs = Vec::new();
    for item in cx.collect(&value)? {
        let by = match attributes.as_deref() {
            None => key(cx, &item, None, case_sensitive)?,
            Some([attribute]) => key(cx, &item, Some(attribute), case_sensitive)?,
            Some(attributes) => {
                let keys = attributes.iter().map(|attribute| key(cx, &item, Some(attribute), case_sensitive));
                let keys = keys.collect::<R<Vec<_>>>()?;
                cx.list(keys)?
            }
        };
        push(&mut pairs, (by, item))?;
    }
    let sorted = cx.sort_by_key(pairs, reverse)?.into_iter().map(|(_, item)| item).collect();
    cx.list(sorted)
}

pub(super) fn dictsort(cx: &mut Cx<'_>, value: Value, args: Args) -> R<Value> {
    let [case_sensitive, by, reverse] = args.bind("dictsort", ["case_sensitive", "by", "reverse"])?;
    let case_sensitive = flag(cx, case_sensitive);
    let by_value = match by {
        None => false,
        Some(by) => match by.as_text()?.as_str() {
            "key" => false,
            "value" => true,
            _ => return fail("dictsort: can only sort by \"key\" or \"value\""),
        },
    };
    let Value::Dict(dict) = value else {
        return fail(format!("dictsort: '{}' is not a mapping", value.type_name()));
    };
    let entries: Vec<_> = gathered(cx.dict_of(dict)?.len(), cx.dict_of(dict)?.values().cloned())?;
    cx.budget.items(entries.len())?;
    let mut pairs = Vec::new();
    for (name, value) in entries {
        let by = key(cx, if by_value { &value } else { &name }, None, case_sensitive)?;
        push(&mut pairs, (by, cx.tuple(vec![name, value])?))?;
    }
    let reverse = flag(cx, reverse);
    let sorted = cx.sort_by_key(pairs, reverse)?.into_iter().map(|(_, item)| item).collect();
    cx.list(sorted)
}

pub(super) fn unique(cx: &mut Cx<'_>, value: Value, args: Args) -> R<Value> {
    let [case_sensitive, attribute] = args.bind("unique", ["case_sensitive", "attribute"])?;
    let (case_sensitive, attribute) = (flag(cx, case_sensitive), given(attribute));
    let seen = cx.new_dict()?;
    let mut out = Vec::new();
    for item in cx.collect(&value)? {
        let by = key(cx, &item, attribute.as_ref(), case_sensitive)?;
        if cx.get_item(seen, &by)?.is_none() {
            cx.set_item(seen, by, Value::None)?;
            push(&mut out, item)?;
        }
    }
    cx.iter(out)
}

/// `min` and `max`: returns the first if there are several.
pub(super) fn extreme(cx: &mut Cx<'_>, value: Value, args: Args, better: Compare) -> R<Value> {
    let [case_sensitive, attribute] = args.bind("min or max", ["case_sensitive", "attribute"])?;
    let (case_sensitive, attribute) = (flag(cx, case_sensitive), given(attribute));
    let mut best: Option<(Value, Value)> = None;
    for item in cx.collect(&value)? {
        let by = key(cx, &item, attribute.as_ref(), case_sensitive)?;
        let replaces = match &best {
            Some((known, _)) => cx.compare(better, &by, known)?,
            None => true,
        };
        if replaces {
            best = Some((by, item));
        }
    }
    Ok(best.map_or_else(|| Value::undefined("the best item of an empty sequence"), |(_, item)| item))
}

pub(super) fn sum(cx: &mut Cx<'_>, value: Value, args: Args) -> R<Value> {
    let [attribute, start] = args.bind("sum", ["attribute", "start"])?;
    let attribute = given(attribute);
    let mut total = start.unwrap_or(Value::Int(0));
    for item in cx.collect(&value)? {
        let item = key(cx, &item, attribute.as_ref(), true)?;
        total = add(cx, &total, &item)?;
    }
    Ok(total)
}

pub(super) fn groupby(cx: &mut Cx<'_>, value: Value, args: Args) -> R<Value> {
    let [attribute, default, case_sensitive] =
        args.bind("groupby", ["attribute", "default", "case_sensitive"])?;
    let Some(attribute) = attribute else {
        return fail("groupby() missing 1 required argument: 'attribute'");
    };
    let (case_sensitive, default) = (flag(cx, case_sensitive), given(default));
    let mut pairs = Vec::new();
    for item in cx.collect(&value)? {
        let by = by_path_or(cx, &item, &attribute, default.as_ref())?;
        let sorted_by = if case_sensitive { by } else { without_case(cx, by)? };
        push(&mut pairs, (sorted_by, item))?;
    }
    let mut groups: Vec<(Value, Vec<Value>)> = Vec::new();
    for (by, item) in cx.sort_by_key(pairs, false)? {
        match groups.last_mut() {
            Some((last, items)) if cx.equal(last, &by, 0)? => items.push(item),
            _ => groups.push((by, vec![item])),
        }
    }
    let mut out = Vec::new();
    for (by, items) in groups {
        // If case is ignored, the group has the name of its first item.
        let name = match items.first() {
            Some(first) if !case_sensitive => by_path_or(cx, first, &attribute, default.as_ref())?,
            _ => by,
        };
        let items = cx.list(items)?;
        push(&mut out, cx.tuple(vec![name, items])?)?;
    }
    cx.list(out)
}

pub(super) fn batch(cx: &mut Cx<'_>, value: Value, args: Args) -> R<Value> {
    let [linecount, fill] = args.bind("batch", ["linecount", "fill_with"])?;
    let Some(linecount) = linecount else { return fail("batch() missing 1 required argument: 'linecount'") };
    let width = count(&linecount, "batch: the number of items")?;
    let fill = given(fill);
    let mut out = Vec::new();
    for chunk in cx.collect(&value)?.chunks(width) {
        let mut row = chunk.to_vec();
        if let Some(fill) = &fill {
            cx.budget.items(width - row.len())?;
            row.resize(width, fill.clone());
        }
        push(&mut out, cx.list(row)?)?;
    }
    cx.iter(out)
}

pub(super) fn slice(cx: &mut Cx<'_>, value: Value, args: Args) -> R<Value> {
    let [slices, fill] = args.bind("slice", ["slices", "fill_with"])?;
    let Some(slices) = slices else { return fail("slice() missing 1 required argument: 'slices'") };
    let slices = count(&slices, "slice: the number of slices")?;
    let fill = given(fill);
    if value.is_undefined() {
        return Err(undefined(&value));
    }
    let items = cx.collect(&value)?;
    let (each, extra) = (items.len() / slices, items.len() % slices);
    let mut rest = items.as_slice();
    let mut out = Vec::new();
    for i in 0..slices {
        cx.budget.charge(1)?;
        let (row, tail) = rest.split_at((each + usize::from(i < extra)).min(rest.len()));
        rest = tail;
        let mut row = row.to_vec();
        if i >= extra {
            row.extend(fill.clone());
        }
        push(&mut out, cx.list(row)?)?;
    }
    cx.iter(out)
}
