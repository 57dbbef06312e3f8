//! Calls as JSON objects: `{"name": "f", "arguments": {..}}` or `{"f": {..}}`, one or several, also in an array.

use serde_json::Value as Json;

use super::fault::{Step, fault};
use super::grammar::Notation;
use super::output::{Draft, Output};
use super::scan::{Extent, Scan};
use crate::json;

/// The position in the objects.
#[derive(Debug, Default)]
enum State {
    #[default]
    Outside,
    /// A key or the object's end is next.
    Member,
    Key(Scan),
    Colon(Part),
    Value(Part, Scan),
    /// A comma or the object's end is next.
    After,
}

/// The kind of a member of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Id,
    Name,
    Arguments,
    /// A name, or an object with name and arguments, as in OpenAI's API: `{"function": {..}}`.
    Function,
    /// The calls themselves: `{"tool_calls": [..]}`.
    Calls,
    /// `type`, or any other key that a model adds.
    Other,
}

/// What a character was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// A part of the objects.
    Yes,
    /// The end of one of them.
    End,
    /// One of them ended before it, without its closing brace; it was not taken.
    Before,
    /// It belongs to none of the objects and was not taken.
    No,
}

/// Objects that are being read.
#[derive(Debug, Default)]
pub(super) struct Objects {
    state: State,
    /// Whether the object has arguments.
    pub(super) has_arguments: bool,
    /// Whether the key is the name, and its value the arguments.
    keyed: bool,
    /// Whether an unknown key means that this is not a call.
    strict: bool,
    /// Whether at least one object is complete.
    any: bool,
}

impl Objects {
    pub(super) fn new(keyed: bool, strict: bool) -> Self {
        Objects { keyed, strict, ..Objects::default() }
    }

    /// Returns whether an object of which `call` was read lacks nothing but its closing brace.
    pub(super) fn is_whole(&self, call: &Draft) -> bool {
        matches!(self.state, State::After) && self.has_arguments && call.name.is_some()
    }

    /// Returns whether no object is open.
    pub(super) fn is_outside(&self) -> bool {
        matches!(self.state, State::Outside)
    }

    /// Takes a character and adds to the call what it completes.
    pub(super) fn feed(&mut self, c: char, call: &mut Draft, out: &mut Output) -> Step<Taken> {
        let unexpected = |expected: &str| Err(fault!("expected {expected}, found `{c}`"));
        // Values handle white space themselves.
        let between = !matches!(self.state, State::Key(_) | State::Value(..));
        if between && c.is_whitespace() {
            return Ok(Taken::Yes);
        }
        let whole = self.is_whole(call);
        match &mut self.state {
            State::Outside => match c {
                '{' => {
                    self.state = State::Member;
                    self.has_arguments = false;
                }
                // The brackets and commas of an array are not checked: models forget them.
                '[' | ']' | ',' | ';' => {}
                // Models write too many closing braces.
                '}' if self.any => {}
                _ => return Ok(Taken::No),
            },
            State::Member if c == '"' => {
                let mut scan = Scan::new(Notation::JSON);
                scan.feed(c)?;
                self.state = State::Key(scan);
            }
            State::Member | State::After if c == '}' => {
                self.state = State::Outside;
                self.any = true;
                return Ok(Taken::End);
            }
            State::Member => return unexpected("a key or `}`"),
            State::Key(scan) => {
                if scan.feed(c)? == Extent::Last {
                    let key = string(scan.text())?;
                    let part = match key.as_str() {
                        _ if self.keyed => Part::Arguments,
                        "name" | "tool_name" => Part::Name,
                        "function" | "function_call" | "tool_call" => Part::Function,
                        "tool_calls" if call.name.is_none() && !self.has_arguments => Part::Calls,
                        "arguments" | "parameters" => Part::Arguments,
                        "id" | "tool_call_id" => Part::Id,
                        "type" | "index" => Part::Other,
                        _ if self.strict => return Err(fault!("a call has no key {}", scan.text())),
                        _ => Part::Other,
                    };
                    let repeated = match part {
                        Part::Name | Part::Function => call.name.is_some(),
                        Part::Arguments => std::mem::replace(&mut self.has_arguments, true),
                        _ => false,
                    };
                    if repeated {
                        return Err(fault!("the key {} occurs twice", scan.text()));
                    }
                    if self.keyed {
                        call.set_name(&key)?;
                    }
                    self.state = State::Colon(part);
                }
            }
            // What is read now are the objects in it: their wrapper is one closing brace too many.
            State::Colon(Part::Calls) if c == ':' => self.state = State::Outside,
            State::Colon(part) if c == ':' => self.state = State::Value(*part, Scan::new(Notation::JSON)),
            State::Colon(_) => return unexpected("`:`"),
            State::Value(_, scan) if scan.text().is_empty() && c.is_whitespace() => {}
            State::Value(part, scan) => {
                let before = scan.text().len();
                let extent = scan.feed(c)?;
                // An object is passed on as it comes.
                if *part == Part::Arguments && scan.text().starts_with('{') && extent != Extent::After {
                    call.arguments(scan.text().get(before..).unwrap_or_default(), out)?;
                }
                if extent != Extent::Inside {
                    self.has_arguments |= value(*part, scan.text(), self.has_arguments, call, out)?;
                    self.state = State::After;
                }
                if extent == Extent::After {
                    return self.feed(c, call, out);
                }
            }
            State::After if c == ',' => self.state = State::Member,
            // The marker after the object.
            State::After if c == '<' && whole => {
                (self.state, self.any) = (State::Outside, true);
                return Ok(Taken::Before);
            }
            State::After => return unexpected("a comma or `}`"),
        }
        Ok(Taken::Yes)
    }
}

fn string(text: &str) -> Step<String> {
    match json::attempt(text)? {
        Ok(Json::String(text)) => Ok(text),
        Ok(_) => Err("not a JSON string".into()),
        Err(e) => Err(fault!("not valid JSON: {e}")),
    }
}

/// Adds a complete value to the call, and returns whether it contained arguments.
fn value(part: Part, text: &str, has_arguments: bool, call: &mut Draft, out: &mut Output) -> Step<bool> {
    match part {
        Part::Function if text.starts_with('{') => return wrapped(text, has_arguments, call, out),
        Part::Name | Part::Function => {
            let Some(Json::String(name)) = json::read(text)? else {
                return Err("the name is not a string".into());
            };
            call.set_name(&name)?;
        }
        Part::Id => {
            // An id may be a number.
            match json::read(text)? {
                Some(Json::String(id)) => call.set_id(&id)?,
                _ => call.set_id(text)?,
            }
        }
        Part::Arguments if text.starts_with('{') || text == "null" => {}
        Part::Arguments => call.quoted_arguments(text, out)?,
        Part::Calls | Part::Other => {}
    }
    Ok(false)
}

/// Reads the call in `{"function": {"name": "f", "arguments": {..}}}`.
fn wrapped(text: &str, has_arguments: bool, call: &mut Draft, out: &mut Output) -> Step<bool> {
    let mut inner = Objects::new(false, true);
    let mut outer_arguments = has_arguments;
    for c in text.chars() {
        if matches!(inner.state, State::Colon(Part::Function)) {
            return Err("a function is nested in a function".into());
        }
        let taken = inner.feed(c, call, out)?;
        if taken == Taken::No {
            return Err(fault!("expected a call, found `{c}`"));
        }
        if inner.has_arguments && std::mem::take(&mut outer_arguments) {
            return Err("a call has arguments twice".into());
        }
    }
    Ok(inner.has_arguments)
}
