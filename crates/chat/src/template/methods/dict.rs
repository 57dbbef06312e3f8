//! Methods of dict.

use super::super::args::Args;
use super::super::budget::gathered;
use super::super::error::{R, fail};
use super::super::heap::Cx;
use super::super::value::{Id, Value, View};

pub(in super::super) const NAMES: &[&str] =
    &["get", "items", "keys", "values", "update", "setdefault", "pop", "popitem", "clear", "copy"];

/// `d.update(other)`: a mapping or pairs.
pub(in super::super) fn update(cx: &mut Cx<'_>, dict: Id, from: &Value) -> R<()> {
    let pairs = match from {
        Value::Dict(other) => {
            cx.budget.items(cx.dict_of(*other)?.len())?;
            gathered(cx.dict_of(*other)?.len(), cx.dict_of(*other)?.values().cloned())?
        }
        _ => {
            let mut pairs = Vec::new();
            for pair in cx.collect(from)? {
                match <[Value; 2]>::try_from(cx.collect(&pair)?) {
                    Ok([key, value]) => pairs.push((key, value)),
                    Err(found) => {
                        return fail(format!("expected pairs of key and value, found {} items", found.len()));
                    }
                }
            }
            pairs
        }
    };
    pairs.into_iter().try_for_each(|(key, value)| cx.set_item(dict, key, value))
}

pub(in super::super) fn call(cx: &mut Cx<'_>, dict: Id, name: &'static str, args: Args) -> R<Value> {
    match name {
        "get" => {
            let [key, default] = args.bind(name, ["key", "default"])?;
            let Some(key) = key else { return fail("get expected at least 1 argument, got 0") };
            Ok(cx.get_item(dict, &key)?.or(default).unwrap_or(Value::None))
        }
        "items" | "keys" | "values" => {
            args.all(name, [])?;
            let view = match name {
                "items" => View::Items,
                "keys" => View::Keys,
                _ => View::Values,
            };
            Ok(Value::View(view, dict))
        }
        "update" => {
            let Args { positional, named } = args;
            if positional.len() > 1 {
                return fail(format!("update expected at most 1 argument, got {}", positional.len()));
            }
            if let Some(from) = positional.first() {
                update(cx, dict, from)?;
            }
            for (key, value) in named {
                cx.set_item(dict, Value::Str(key), value)?;
            }
            Ok(Value::None)
        }
        "setdefault" => {
            let [key, default] = args.bind(name, ["key", "default"])?;
            let Some(key) = key else { return fail("setdefault expected at least 1 argument, got 0") };
            if let Some(found) = cx.get_item(dict, &key)? {
                return Ok(found);
            }
            let default = default.unwrap_or(Value::None);
            cx.set_item(dict, key, default.clone())?;
            Ok(default)
        }
        "pop" => {
            let [key, default] = args.bind(name, ["key", "default"])?;
            let Some(key) = key else { return fail("pop expected at least 1 argument, got 0") };
            let hashed = cx.key(&key)?;
            cx.budget.charge(1 + cx.dict_of(dict)?.len() as u64 / 4)?;
            match cx.dict_mut(dict)?.shift_remove(&hashed).map(|(_, value)| value).or(default) {
                Some(value) => Ok(value),
                None => {
                    let key = cx.str(&key)?.as_str().chars().take(100).collect::<String>();
                    fail(format!("the dict has no key `{key}`"))
                }
            }
        }
        "popitem" => {
            args.all(name, [])?;
            match cx.dict_mut(dict)?.pop() {
                Some((_, (key, value))) => cx.tuple(vec![key, value]),
                None => fail("popitem(): dictionary is empty"),
            }
        }
        "clear" => {
            args.all(name, [])?;
            cx.dict_mut(dict)?.clear();
            Ok(Value::None)
        }
        _ => {
            args.all(name, [])?;
            let copy = cx.new_dict()?;
            update(cx, copy, &Value::Dict(dict))?;
            Ok(Value::Dict(copy))
        }
    }
}
