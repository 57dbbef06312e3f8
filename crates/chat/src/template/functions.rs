//! The global functions of templates, and calls of methods.

use super::LocalTime;
use super::args::Args;
use super::error::{Fail, R, fail};
use super::heap::Cx;
use super::lookup;
use super::machine::undefined;
use super::methods::{dict, list, number, string};
use super::text::{Builder, Text};
use super::value::{Function, Value, range_len};

/// Jinja2's sandbox allows ranges up to this length.
const MAX_RANGE: usize = 100_000;

pub(super) fn global(name: &str) -> Option<Value> {
    Some(match name {
        "range" => Value::Function(Function::Range),
        "dict" => Value::Function(Function::Dict),
        "namespace" => Value::Function(Function::Namespace),
        "cycler" => Value::Function(Function::Cycler),
        "joiner" => Value::Function(Function::Joiner),
        "raise_exception" => Value::Function(Function::RaiseException),
        "strftime_now" => Value::Function(Function::StrftimeNow),
        "self" => Value::Blocks,
        _ => return None,
    })
}

/// Calls anything but a macro or a loop.
pub(super) fn call(cx: &mut Cx<'_>, callee: &Value, args: Args) -> R<Value> {
    match callee {
        Value::Function(function) => call_function(cx, *function, args),
        Value::Method(bound) => method(cx, &bound.0, bound.1, args),
        Value::Joiner(id) => {
            args.all("joiner", [])?;
            let joiner = cx.heap.joiners.get_mut(*id as usize);
            Ok(match joiner {
                Some((text, true)) => Value::Str(text.clone()),
                Some((_, used)) => {
                    *used = true;
                    Value::Str(Text::plain(""))
                }
                None => Value::None,
            })
        }
        Value::Undefined(_) => Err(undefined(callee)),
        _ => fail(format!("'{}' object is not callable", callee.type_name())),
    }
}

/// Calls a method that `lookup::method` found.
pub(super) fn method(cx: &mut Cx<'_>, value: &Value, name: &'static str, args: Args) -> R<Value> {
    match value {
        Value::Str(text) => string::call(cx, text, name, args),
        Value::List(id) => list::call(cx, *id, name, args),
        Value::Tuple(_) | Value::Range(..) => list::call_tuple(cx, value, name, args),
        Value::Dict(id) => dict::call(cx, *id, name, args),
        Value::Loop(id) => {
            if !args.named.is_empty() {
                return fail(format!("loop.{name}() takes no named arguments"));
            }
            if name == "changed" {
                let last = cx.heap.loops.get(*id as usize).and_then(|state| state.last.clone());
                let same = match last {
                    Some(last) => cx.equal_items(&last, &args.positional, 0)?,
                    None => false,
                };
                if let Some(state) = cx.heap.loops.get_mut(*id as usize) {
                    state.last = Some(args.positional);
                }
                return Ok(Value::Bool(!same));
            }
            let index = cx.heap.loops.get(*id as usize).and_then(|state| state.index).unwrap_or(0);
            let Some(at) = index.checked_rem(args.positional.len()) else {
                return fail("no items for cycling given");
            };
            Ok(args.positional.into_iter().nth(at).unwrap_or(Value::None))
        }
        Value::Cycler(id) => {
            args.all("cycler", [])?;
            let Some((items, at)) = cx.heap.cyclers.get(*id as usize).copied() else {
                return Ok(Value::None);
            };
            let len = cx.items_of(items).len().max(1);
            let (value, next) = match name {
                "next" => (cx.items_of(items).get(at).cloned().unwrap_or(Value::None), (at + 1) % len),
                _ => (Value::None, 0),
            };
            if let Some(cycler) = cx.heap.cyclers.get_mut(*id as usize) {
                cycler.1 = next;
            }
            Ok(value)
        }
        _ => number::call(cx, value, name, args),
    }
}

fn call_function(cx: &mut Cx<'_>, function: Function, args: Args) -> R<Value> {
    match function {
        Function::Range => {
            let given = args.positional.len();
            if given == 0 || given > 3 || !args.named.is_empty() {
                return fail("range() takes 1 to 3 arguments without names");
            }
            let numbers = args.positional.iter().map(Value::index).collect::<R<Vec<_>>>()?;
            let range = match numbers.as_slice() {
                [stop] => Value::Range(0, *stop, 1),
                [start, stop] => Value::Range(*start, *stop, 1),
                [_, _, 0, ..] => return fail("range() arg 3 must not be zero"),
                [start, stop, step, ..] => Value::Range(*start, *stop, *step),
                [] => Value::Range(0, 0, 1),
            };
            if range_len(&range) > MAX_RANGE {
                return fail(format!("range too big: at most {MAX_RANGE} items"));
            }
            Ok(range)
        }
        Function::Dict | Function::Namespace => {
            let is_dict = function == Function::Dict;
            let what = if is_dict { "dict" } else { "namespace" };
            let Args { positional, named } = args;
            if positional.len() > 1 {
                return fail(format!("{what}() takes at most 1 argument without a name"));
            }
            let id = cx.new_dict()?;
            if let Some(from) = positional.first() {
                dict::update(cx, id, from)?;
            }
            for (name, value) in named {
                cx.set_item(id, Value::Str(name), value)?;
            }
            Ok(if is_dict { Value::Dict(id) } else { Value::Namespace(id) })
        }
        Function::Cycler => {
            if args.positional.is_empty() {
                return fail("cycler() needs at least one item");
            }
            cx.new_cycler(args.positional).map(Value::Cycler)
        }
        Function::Joiner => {
            let [separator] = args.bind("joiner", ["sep"])?;
            let separator = match separator {
                Some(value) => value.as_text()?.clone(),
                None => Text::plain(", "),
            };
            cx.new_joiner(separator).map(Value::Joiner)
        }
        Function::RaiseException => {
            let [message] = args.bind("raise_exception", ["message"])?;
            let mut out = Builder::default();
            if let Some(message) = message {
                cx.write_str(&mut out, &message)?;
            }
            Err(Box::new(Fail::Raised(out.into_parts().0)))
        }
        Function::StrftimeNow => {
            let [format] = args.all("strftime_now", ["format"])?;
            let format = format.as_text()?;
            // `%c` becomes 24 characters.
            cx.budget.bytes(format.as_str().len().saturating_mul(24))?;
            let now = cx.now.unwrap_or_else(LocalTime::now_utc);
            Ok(Value::Str(Text::marked(now.strftime(format.as_str()), format.origin())))
        }
    }
}

/// Looks up an attribute or item by a path, as filters do: `a.b.0`, or an index.
pub(super) fn by_path(cx: &mut Cx<'_>, value: &Value, path: &Value) -> R<Value> {
    by_path_or(cx, value, path, None)
}

/// Does the same as [`by_path`], with a default for a part that is undefined.
pub(super) fn by_path_or(cx: &mut Cx<'_>, value: &Value, path: &Value, default: Option<&Value>) -> R<Value> {
    let or_default = |found: Value| match default {
        Some(default) if found.is_undefined() => default.clone(),
        _ => found,
    };
    let program = super::program::Program::default();
    let Value::Str(text) = path else { return lookup::item(cx, &program, value, path).map(or_default) };
    let mut value = value.clone();
    for part in text.as_str().split('.') {
        cx.budget.charge(1)?;
        let key = match part.parse::<i128>() {
            Ok(index) if part.bytes().all(|b| b.is_ascii_digit()) => Value::Int(index),
            _ => Value::Str(Text::plain(part)),
        };
        value = or_default(lookup::item(cx, &program, &value, &key)?);
    }
    Ok(value)
}
