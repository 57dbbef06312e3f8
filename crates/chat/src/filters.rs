//! Filters, tests and functions that differ from Python's Jinja2 or are missing in minijinja.

use minijinja::value::{Kwargs, Rest, ValueKind, ValueOrKwargs, from_args};
use minijinja::{Environment, Error, ErrorKind, State, Value};

use super::error::RaisedByTemplate;
use super::{json, methods, text, weight};

/// Adds everything to an environment.
pub(super) fn register(env: &mut Environment<'static>) {
    env.add_function("raise_exception", |state: &State, message: Option<&Value>| -> Result<Value, Error> {
        let message = message.map_or(Ok(String::new()), |message| text::to_str(state, message))?;
        Err(Error::new(ErrorKind::InvalidOperation, message.clone()).with_source(RaisedByTemplate(message)))
    });
    env.add_filter("tojson", json::tojson);
    env.add_filter("from_json", json::from_json);
    env.add_filter("fromjson", json::from_json);
    env.add_filter("string", |state: &State, value: &Value| -> Result<Value, Error> {
        // Strings stay as they are, also safe ones.
        if value.kind() == ValueKind::String {
            Ok(value.clone())
        } else {
            text::to_str(state, value).map(Value::from)
        }
    });
    env.add_filter("join", join);
    env.add_filter("indent", indent);
    env.add_filter("truncate", truncate);
    env.add_filter("wordcount", |value: &Value| -> usize {
        let word = |c: char| c.is_alphanumeric() || c == '_';
        value.as_str().unwrap_or_default().split(|c| !word(c)).filter(|w| !w.is_empty()).count()
    });
    env.add_filter("sort", sort);
    env.add_filter("trim", methods::trim);
    env.add_filter("format", methods::printf);
    env.add_filter("__markup", markup);
    env.add_filter("__stored", stored);
    env.add_filter("__walk", weight::walk);
    env.add_filter("__flat", weight::flat);
    // What Jinja2 does not have need not be bounded.
    env.remove_filter("chain");
    env.remove_filter("zip");
    env.remove_global("debug");
    // Jinja2: undefined is an empty sequence, none is nothing to iterate over.
    env.add_test("iterable", |v: &Value| v.is_undefined() || (!v.is_none() && v.try_iter().is_ok()));
    // Two undefined values are two objects.
    env.add_test("sameas", |a: &Value, b: &Value| !a.is_undefined() && minijinja::tests::is_sameas(a, b));
    env.set_formatter(|out, state, value| {
        if text::needs_own_text(value) {
            let text = text::to_str(state, value)?;
            out.write_str(&text).map_err(|_| Error::new(ErrorKind::WriteFailure, "cannot write the output"))
        } else {
            weight::charge(state, value)?;
            minijinja::escape_formatter(out, state, value)
        }
    });
}

fn invalid(text: &'static str) -> Error {
    Error::new(ErrorKind::InvalidOperation, text)
}

/// The arguments of a filter by Python's rules: the i-th positional one or the keyword; none counts as absent.
struct Arguments<'a> {
    positional: &'a [Value],
    keywords: Kwargs,
}

impl<'a> Arguments<'a> {
    fn new(values: &'a [Value]) -> Result<Self, Error> {
        let (positional, keywords) = from_args::<(&[Value], Kwargs)>(values)?;
        Ok(Arguments { positional, keywords })
    }

    fn get(&self, i: usize, name: &str) -> Result<Option<Value>, Error> {
        let value = match self.positional.get(i) {
            Some(v) => Some(v.clone()),
            None => self.keywords.get::<Option<Value>>(name)?,
        };
        Ok(value.filter(|v| !v.is_none() && !v.is_undefined()))
    }

    fn flag(&self, i: usize, name: &str) -> Result<bool, Error> {
        Ok(self.get(i, name)?.is_some_and(|v| v.is_true()))
    }

    fn count(&self, i: usize, name: &str, default: usize) -> Result<usize, Error> {
        match self.get(i, name)? {
            None => Ok(default),
            Some(v) => Ok(usize::try_from(i64::try_from(v)?).unwrap_or(0).min(1 << 20)),
        }
    }
}

/// Jinja2's attribute path: `a.b`, whole numbers are indices. A missing part gives undefined.
fn attribute(value: &Value, path: &Value) -> Result<Value, Error> {
    let Some(path) = path.as_str() else { return value.get_item(path) };
    path.split('.').try_fold(value.clone(), |value, part| match part.parse::<usize>() {
        Ok(index) if part.bytes().all(|b| b.is_ascii_digit()) => value.get_item_by_index(index),
        _ => value.get_item(&Value::from(part)),
    })
}

/// `join(d='', attribute=None)`: the items as Python's `str`.
fn join(state: &State, value: &Value, args: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let args = args.into_values();
    let args = Arguments::new(&args)?;
    let joiner = args.get(0, "d")?.map(|d| text::to_str(state, &d)).transpose()?.unwrap_or_default();
    let path = args.get(1, "attribute")?;
    args.keywords.assert_all_used()?;
    if value.is_undefined() {
        return Ok(Value::from(""));
    }
    join_with(state, &joiner, value, path.as_ref()).map(Value::from)
}

/// The items of a value as Python's `str`, with a text between them.
pub(super) fn join_with(
    state: &State,
    joiner: &str,
    value: &Value,
    path: Option<&Value>,
) -> Result<String, Error> {
    let mut out = String::new();
    for (i, item) in value.try_iter()?.checked().enumerate() {
        let item = match path {
            Some(path) => attribute(&item?, path)?,
            None => item?,
        };
        let before = out.len();
        if i > 0 {
            out.push_str(joiner);
        }
        match item.as_str() {
            Some(s) => out.push_str(s),
            None => out.push_str(&text::to_str(state, &item)?),
        }
        state.consume_fuel(1)?;
        weight::bytes(state, out.len() - before)?;
    }
    Ok(out)
}

/// `indent(width=4, first=False, blank=False)`; the width may be a string.
fn indent(state: &State, value: &Value, args: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let args = args.into_values();
    let args = Arguments::new(&args)?;
    let indention = match args.get(0, "width")? {
        Some(v) if v.kind() == ValueKind::String => v.as_str().unwrap_or_default().to_owned(),
        _ => " ".repeat(args.count(0, "width", 4)?),
    };
    let (first, blank) = (args.flag(1, "first")?, args.flag(2, "blank")?);
    args.keywords.assert_all_used()?;
    let s = text::to_str(state, value)?;
    let lines = s.matches('\n').count() as u64 + 1;
    state.consume_fuel(s.len() as u64 / 64 + lines.saturating_mul(indention.len() as u64 / 64 + 1))?;
    let mut out = String::with_capacity(s.len());
    // Jinja2 adds a newline before it splits into lines, so a final newline stays.
    for (i, line) in s.split('\n').enumerate() {
        let line = line.strip_suffix('\r').unwrap_or(line);
        if i > 0 {
            out.push('\n');
        }
        if if i == 0 { first } else { blank || !line.is_empty() } {
            out.push_str(&indention);
        }
        out.push_str(line);
    }
    Ok(Value::from(out))
}

/// `truncate(length=255, killwords=False, end='...', leeway=5)`.
fn truncate(state: &State, value: &Value, args: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let args = args.into_values();
    let args = Arguments::new(&args)?;
    let (length, leeway) = (args.count(0, "length", 255)?, args.count(3, "leeway", 5)?);
    let kill_words = args.flag(1, "killwords")?;
    let end =
        args.get(2, "end")?.map(|e| text::to_str(state, &e)).transpose()?.unwrap_or_else(|| "...".to_owned());
    args.keywords.assert_all_used()?;
    let s = text::to_str(state, value)?;
    let keep = length
        .checked_sub(end.chars().count())
        .ok_or_else(|| invalid("truncate: length is shorter than the end"))?;
    if s.chars().count() <= length + leeway {
        return Ok(Value::from(s));
    }
    let head: String = s.chars().take(keep).collect();
    let head =
        if kill_words { head.as_str() } else { head.rsplit_once(' ').map_or(head.as_str(), |(h, _)| h) };
    Ok(Value::from(format!("{head}{end}")))
}

/// minijinja's `sort` with positional arguments and attributes like `01`, which are indices in Jinja2.
fn sort(state: &State, value: Value, args: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let args = args.into_values();
    let args = Arguments::new(&args)?;
    weight::charge(state, &value)?;
    let reverse = Value::from(args.flag(0, "reverse")?);
    let case_sensitive = Value::from(args.flag(1, "case_sensitive")?);
    let path = args.get(2, "attribute")?;
    args.keywords.assert_all_used()?;
    let mut kwargs = vec![("reverse", reverse), ("case_sensitive", case_sensitive)];
    if let Some(path) = path {
        let plain = |part: &str| match part.parse::<usize>() {
            Ok(index) => index.to_string(),
            Err(_) => part.to_owned(),
        };
        let keys = path.to_string();
        let keys = keys.split(',').map(|key| key.trim().split('.').map(plain).collect::<Vec<_>>().join("."));
        kwargs.push(("attribute", Value::from(keys.collect::<Vec<_>>().join(","))));
    }
    minijinja::filters::sort(state, value, Kwargs::from_iter(kwargs))
}

/// What markupsafe does to an operand that is added to markup: plain text is escaped.
fn markup(state: &State, value: &Value) -> Result<Value, Error> {
    if value.is_safe() {
        return Ok(value.clone());
    }
    let mut out = String::new();
    for c in text::to_str(state, value)?.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\'' => out.push_str("&#39;"),
            '"' => out.push_str("&#34;"),
            c => out.push(c),
        }
    }
    Ok(Value::from_safe_string(out))
}

/// How deep a value in a namespace may nest. Attributes of namespaces are the only values that outlive a pass of a
/// loop, so this bounds the depth of all values, and with it the recursion of printing, comparing and dropping them.
const MAX_STORED_DEPTH: usize = 50;

/// Lets through what may be assigned to an attribute of a namespace; of a view, a list of its own.
fn stored(state: &State, value: Value) -> Result<Value, Error> {
    let value = weight::flat(state, value)?;
    check_depth(state, &value, 0, &mut 0)?;
    Ok(value)
}

fn check_depth(state: &State, value: &Value, depth: usize, visited: &mut u64) -> Result<(), Error> {
    *visited += 1;
    if visited.is_multiple_of(4) {
        state.consume_fuel(1)?;
    }
    let container = matches!(value.kind(), ValueKind::Seq | ValueKind::Map | ValueKind::Iterable);
    if !container {
        return Ok(());
    }
    if value.as_object().is_some_and(|o| o.type_name().ends_with("::Namespace")) {
        return Err(invalid("a namespace cannot hold a namespace"));
    }
    if depth >= MAX_STORED_DEPTH {
        return Err(invalid("a value in a namespace may nest at most 50 deep"));
    }
    let map = value.kind() == ValueKind::Map;
    for item in value.try_iter()?.checked() {
        let item = item?;
        if map {
            check_depth(state, &value.get_item(&item)?, depth + 1, visited)?;
        } else {
            check_depth(state, &item, depth + 1, visited)?;
        }
    }
    Ok(())
}
