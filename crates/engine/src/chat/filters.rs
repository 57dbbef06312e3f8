//! Filters, tests and functions that differ from Python's Jinja2 or are missing in minijinja.

use minijinja::value::{Rest, ValueKind};
use minijinja::{Environment, Error, ErrorKind, State, Value};

use super::error::RaisedByTemplate;
use super::{json, text};

/// Adds everything to an environment.
pub(super) fn register(env: &mut Environment<'static>) {
    env.add_function("raise_exception", |message: Option<&Value>| -> Result<Value, Error> {
        let message = message.map_or(Ok(String::new()), text::to_str)?;
        Err(Error::new(ErrorKind::InvalidOperation, message.clone()).with_source(RaisedByTemplate(message)))
    });
    env.add_filter("tojson", json::tojson);
    env.add_filter("from_json", |text: &str| json::from_json(text));
    env.add_filter("fromjson", |text: &str| json::from_json(text));
    env.add_filter("string", |value: &Value| -> Result<Value, Error> {
        // Strings stay as they are, also safe ones.
        if value.kind() == ValueKind::String { Ok(value.clone()) } else { text::to_str(value).map(Value::from) }
    });
    env.set_formatter(|out, state, value| {
        if text::needs_own_text(value) {
            let text = text::to_str(value)?;
            state.consume_fuel(text.len() as u64 / 16)?;
            out.write_str(&text).map_err(|_| Error::new(ErrorKind::WriteFailure, "cannot write the output"))
        } else {
            minijinja::escape_formatter(out, state, value)
        }
    });
}
