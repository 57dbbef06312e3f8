//! The objects of a render, and the context of all operations on values.

use indexmap::IndexMap;
use indexmap::map::Entry;

use super::Origin;
use super::budget::{Budget, gathered, push};
use super::clock::LocalTime;
use super::error::{Fail, R, fail};
use super::print::float_repr;
use super::text::{Builder, Text};
use super::value::{Id, Key, MAX_DEPTH, Value, View, range_len, too_deep};
use crate::digits;

/// A dict. Its keys are in insertion order.
pub(super) type Dict = IndexMap<Key, (Value, Value)>;

/// Dicts up to this size are searched key by key. A message has two to four keys, and hashing a name would cost more.
const FEW: usize = 8;

/// Finds the key and the value of a text in a dict.
fn find<'a>(dict: &'a Dict, name: &Text) -> Option<&'a (Value, Value)> {
    if dict.len() > FEW {
        return dict.get(&Key::Str(name.clone()));
    }
    dict.iter().find(|(key, _)| matches!(key, Key::Str(text) if text == name)).map(|(_, entry)| entry)
}

/// The state of a `{% for %}`.
pub(super) struct Loop {
    pub(super) source: Source,
    /// The index of the current item; `None` before the first one.
    pub(super) index: Option<usize>,
    pub(super) depth: usize,
    /// The last arguments of `loop.changed`.
    pub(super) last: Option<Vec<Value>>,
    /// For a recursive loop: the start of its code, and the scope around it.
    pub(super) entry: Option<(usize, Id)>,
}

/// The items of a loop. A list is read when its item is needed, as in Python.
#[derive(Clone)]
pub(super) enum Source {
    List(Id),
    Items(Id),
    Range(i64, i64, i64),
}

/// A macro, and the scope in which it was made.
pub(super) struct Macro {
    pub(super) code: u32,
    pub(super) scope: Id,
}

#[derive(Default)]
pub(super) struct Heap {
    pub(super) lists: Vec<Vec<Value>>,
    pub(super) dicts: Vec<Dict>,
    pub(super) loops: Vec<Loop>,
    pub(super) macros: Vec<Macro>,
    /// The list with a cycler's items, and its position.
    pub(super) cyclers: Vec<(Id, usize)>,
    /// A joiner's text, and whether it was used.
    pub(super) joiners: Vec<(Text, bool)>,
}

/// The context of every operation: the objects, the budget and the clock.
pub(super) struct Cx<'a> {
    pub(super) heap: Heap,
    pub(super) budget: Budget<'a>,
    pub(super) now: Option<LocalTime>,
}

fn id(len: usize) -> R<Id> {
    Id::try_from(len).or_else(|_| fail("too many objects"))
}

impl Cx<'_> {
    /// Puts an object into its part of the heap.
    fn add<T>(&mut self, part: impl FnOnce(&mut Heap) -> &mut Vec<T>, object: T) -> R<Id> {
        self.budget.charge(2)?;
        let objects = part(&mut self.heap);
        let new = id(objects.len())?;
        push(objects, object)?;
        Ok(new)
    }

    /// Makes a list object and charges for its items.
    pub(super) fn new_list(&mut self, items: Vec<Value>) -> R<Id> {
        self.budget.items(items.len())?;
        self.add(|heap| &mut heap.lists, items)
    }

    pub(super) fn list(&mut self, items: Vec<Value>) -> R<Value> {
        self.new_list(items).map(Value::List)
    }

    pub(super) fn tuple(&mut self, items: Vec<Value>) -> R<Value> {
        self.new_list(items).map(Value::Tuple)
    }

    pub(super) fn iter(&mut self, items: Vec<Value>) -> R<Value> {
        self.new_list(items).map(Value::Iter)
    }

    pub(super) fn new_dict(&mut self) -> R<Id> {
        self.add(|heap| &mut heap.dicts, Dict::default())
    }

    pub(super) fn new_loop(&mut self, state: Loop) -> R<Id> {
        self.add(|heap| &mut heap.loops, state)
    }

    pub(super) fn new_macro(&mut self, object: Macro) -> R<Id> {
        self.add(|heap| &mut heap.macros, object)
    }

    pub(super) fn new_cycler(&mut self, items: Vec<Value>) -> R<Id> {
        let items = self.new_list(items)?;
        self.add(|heap| &mut heap.cyclers, (items, 0))
    }

    pub(super) fn new_joiner(&mut self, text: Text) -> R<Id> {
        self.add(|heap| &mut heap.joiners, (text, false))
    }

    pub(super) fn items_of(&self, list: Id) -> &[Value] {
        self.heap.lists.get(list as usize).map_or(&[], Vec::as_slice)
    }

    /// Returns the items of a list for changes. The caller charges for items that it adds.
    pub(super) fn list_mut(&mut self, list: Id) -> R<&mut Vec<Value>> {
        self.heap.lists.get_mut(list as usize).map_or_else(|| fail("no such list"), Ok)
    }

    pub(super) fn dict_of(&self, dict: Id) -> R<&Dict> {
        self.heap.dicts.get(dict as usize).map_or_else(|| fail("no such dict"), Ok)
    }

    pub(super) fn dict_mut(&mut self, dict: Id) -> R<&mut Dict> {
        self.heap.dicts.get_mut(dict as usize).map_or_else(|| fail("no such dict"), Ok)
    }

    /// `d[key] = value`. An existing key stays the same object.
    pub(super) fn set_item(&mut self, dict: Id, key: Value, value: Value) -> R<()> {
        self.budget.charge(3)?;
        let hashed = self.key(&key)?;
        let dict = self.dict_mut(dict)?;
        dict.try_reserve(1).map_err(|_| Box::new(Fail::Memory))?;
        match dict.entry(hashed) {
            Entry::Occupied(mut entry) => entry.get_mut().1 = value,
            Entry::Vacant(entry) => drop(entry.insert((key, value))),
        }
        Ok(())
    }

    /// `d[key]`, if it exists.
    pub(super) fn get_item(&self, dict: Id, key: &Value) -> R<Option<Value>> {
        let dict = self.dict_of(dict)?;
        let found = match key {
            Value::Str(name) => {
                self.budget.bytes(name.as_str().len())?;
                find(dict, name)
            }
            _ => dict.get(&self.key(key)?),
        };
        Ok(found.map(|(_, value)| value.clone()))
    }

    /// `d[name]`, if it exists.
    pub(super) fn get_named(&self, dict: Id, name: &Text) -> R<Option<Value>> {
        Ok(find(self.dict_of(dict)?, name).map(|(_, value)| value.clone()))
    }

    /// Returns the key for a value.
    pub(super) fn key(&self, value: &Value) -> R<Key> {
        Ok(match value {
            Value::None => Key::None,
            Value::Bool(b) => Key::Int(i128::from(*b)),
            Value::Int(i) => Key::Int(*i),
            Value::Float(x) if x.fract() == 0.0 && x.abs() < 1e38 => Key::Int(*x as i128),
            Value::Float(x) => Key::Float(x.to_bits()),
            Value::Str(text) => {
                self.budget.bytes(text.as_str().len())?;
                Key::Str(text.clone())
            }
            Value::Tuple(_) => {
                let mut out = Builder::default();
                self.write_key(&mut out, value, 0)?;
                Key::Tuple(out.into_parts().0)
            }
            Value::Big(digits) if digits::is_integer(digits) => Key::Tuple(digits.to_string()),
            Value::Big(digits) => Key::Float(digits.parse().unwrap_or(f64::NAN).to_bits()),
            Value::List(_) | Value::Dict(_) | Value::Slice(_) => {
                return fail(format!("unhashable type: '{}'", value.type_name()));
            }
            Value::Namespace(id)
            | Value::Iter(id)
            | Value::Loop(id)
            | Value::Macro(id)
            | Value::Cycler(id)
            | Value::Joiner(id) => Key::Object(value.type_name(), *id),
            Value::Undefined(_)
            | Value::View(..)
            | Value::Range(..)
            | Value::Function(_)
            | Value::Method(_)
            | Value::Blocks => Key::Object(value.type_name(), 0),
        })
    }

    /// Writes a text that is equal only for equal tuples.
    fn write_key(&self, out: &mut Builder, value: &Value, depth: usize) -> R<()> {
        if depth > MAX_DEPTH {
            return too_deep();
        }
        self.budget.charge(1)?;
        if let Value::Tuple(items) = value {
            out.str(&self.budget, "(", None)?;
            for item in self.items_of(*items) {
                self.write_key(out, item, depth + 1)?;
            }
            return out.str(&self.budget, ")", None);
        }
        let text = match self.key(value)? {
            Key::None => "n;".to_owned(),
            Key::Int(i) => format!("i{i};"),
            Key::Float(bits) => format!("f{bits};"),
            Key::Str(text) => format!("s{};{}", text.as_str().len(), text.as_str()),
            Key::Tuple(text) => format!("b{text};"),
            Key::Object(kind, id) => format!("o{kind};{id};"),
        };
        out.str(&self.budget, &text, None)
    }

    /// Collects all items of an iterable value.
    pub(super) fn collect(&mut self, value: &Value) -> R<Vec<Value>> {
        let items = match value {
            Value::List(list) | Value::Tuple(list) => {
                self.budget.items(self.items_of(*list).len())?;
                gathered(self.items_of(*list).len(), self.items_of(*list).iter().cloned())?
            }
            Value::Iter(list) => {
                // Like a generator, it yields its items only once.
                let items = std::mem::take(self.list_mut(*list)?);
                self.budget.items(items.len())?;
                items
            }
            Value::Undefined(_) => Vec::new(),
            Value::Str(text) => {
                let mut out = Vec::new();
                for (i, c) in text.as_str().char_indices() {
                    self.budget.charge(1)?;
                    let c = text.slice(&self.budget, i..i + c.len_utf8())?.with_safe(false);
                    push(&mut out, Value::Str(c))?;
                }
                out
            }
            Value::Dict(dict) | Value::View(View::Keys, dict) => {
                self.budget.items(self.dict_of(*dict)?.len())?;
                let dict = self.dict_of(*dict)?;
                gathered(dict.len(), dict.values().map(|(key, _)| key.clone()))?
            }
            Value::View(View::Values, dict) => {
                self.budget.items(self.dict_of(*dict)?.len())?;
                let dict = self.dict_of(*dict)?;
                gathered(dict.len(), dict.values().map(|(_, value)| value.clone()))?
            }
            Value::View(View::Items, dict) => {
                self.budget.items(self.dict_of(*dict)?.len())?;
                let dict = self.dict_of(*dict)?;
                let pairs = gathered(dict.len(), dict.values().cloned())?;
                let mut out = Vec::new();
                for (key, value) in pairs {
                    push(&mut out, self.tuple(vec![key, value])?)?;
                }
                out
            }
            Value::Range(start, _, step) => {
                let len = range_len(value);
                self.budget.items(len)?;
                let item = |i| Value::Int(i128::from(*start) + i as i128 * i128::from(*step));
                gathered(len, (0..len).map(item))?
            }
            _ => return fail(format!("'{}' object is not iterable", value.type_name())),
        };
        Ok(items)
    }

    /// `len(value)`.
    pub(super) fn len(&self, value: &Value) -> R<usize> {
        Ok(match value {
            Value::List(list) | Value::Tuple(list) => self.items_of(*list).len(),
            Value::Dict(dict) | Value::View(_, dict) => self.dict_of(*dict)?.len(),
            Value::Str(text) => {
                self.budget.bytes(text.as_str().len())?;
                text.as_str().chars().count()
            }
            Value::Range(..) => range_len(value),
            Value::Undefined(_) => 0,
            Value::Loop(id) => self.loop_len(*id),
            _ => return fail(format!("object of type '{}' has no len()", value.type_name())),
        })
    }

    pub(super) fn loop_len(&self, id: Id) -> usize {
        match self.heap.loops.get(id as usize).map(|state| &state.source) {
            Some(Source::List(list) | Source::Items(list)) => self.items_of(*list).len(),
            Some(Source::Range(a, b, c)) => range_len(&Value::Range(*a, *b, *c)),
            None => 0,
        }
    }

    /// `bool(value)`.
    pub(super) fn truth(&self, value: &Value) -> bool {
        match value {
            Value::Undefined(_) | Value::None => false,
            Value::Bool(b) => *b,
            Value::Int(i) => *i != 0,
            Value::Float(x) => *x != 0.0,
            Value::Str(text) => !text.as_str().is_empty(),
            Value::List(list) | Value::Tuple(list) => !self.items_of(*list).is_empty(),
            Value::Dict(dict) | Value::View(_, dict) => {
                self.dict_of(*dict).is_ok_and(|dict| !dict.is_empty())
            }
            Value::Range(..) => range_len(value) > 0,
            _ => true,
        }
    }

    /// Makes a dict of names and values, from JSON or keyword arguments.
    pub(super) fn named_dict(&mut self, named: Vec<(Text, Value)>) -> R<Id> {
        let dict = self.new_dict()?;
        for (name, value) in named {
            self.set_item(dict, Value::Str(name), value)?;
        }
        Ok(dict)
    }

    /// Converts a JSON value whose strings come from `origin`.
    pub(super) fn json_value(
        &mut self,
        json: &serde_json::Value,
        origin: Option<Origin>,
        depth: usize,
    ) -> R<Value> {
        self.json_part(json, &mut [].iter(), origin, depth)
    }

    /// Converts a JSON value whose numbers are written as in `numbers`.
    pub(super) fn exact_json_value(
        &mut self,
        json: &serde_json::Value,
        numbers: &[&str],
        origin: Option<Origin>,
        depth: usize,
    ) -> R<Value> {
        self.budget.items(numbers.len())?;
        // If a key occurred twice, it is unknown which numbers are left.
        let known = numbers.len() == digits::count(json);
        self.json_part(json, &mut if known { numbers } else { &[] }.iter(), origin, depth)
    }

    /// Converts a part of a JSON value. `digits` has its numbers, as they are written, and all later ones.
    fn json_part(
        &mut self,
        json: &serde_json::Value,
        digits: &mut std::slice::Iter<'_, &str>,
        origin: Option<Origin>,
        depth: usize,
    ) -> R<Value> {
        use serde_json::Value as Json;
        if depth > MAX_DEPTH {
            return too_deep();
        }
        self.budget.charge(1)?;
        Ok(match json {
            Json::Null => Value::None,
            Json::Bool(b) => Value::Bool(*b),
            Json::Number(n) => number(n, digits.next().copied()),
            Json::String(s) => Value::Str(self.text(s, origin)?),
            Json::Array(items) => {
                let mut out = Vec::new();
                for item in items {
                    push(&mut out, self.json_part(item, digits, origin, depth + 1)?)?;
                }
                self.list(out)?
            }
            Json::Object(map) => {
                let dict = self.new_dict()?;
                // Only messages have calls; tools have so many objects that looking for a key in each would show.
                let calls = matches!(origin, Some(Origin::Message(_)))
                    && matches!(map.get("arguments"), Some(Json::Object(_)));
                let text = if calls { map.get(digits::TEXT_KEY).and_then(Json::as_str) } else { None };
                for (key, value) in map {
                    let value = match text {
                        Some(text) if key == "arguments" => {
                            self.budget.bytes(text.len())?;
                            self.exact_json_value(value, &digits::numbers(text)?, origin, depth + 1)?
                        }
                        Some(_) if key == digits::TEXT_KEY => continue,
                        _ => self.json_part(value, digits, origin, depth + 1)?,
                    };
                    let key = Value::Str(self.text(key, origin)?);
                    self.set_item(dict, key, value)?;
                }
                Value::Dict(dict)
            }
        })
    }

    pub(super) fn text(&self, text: &str, origin: Option<Origin>) -> R<Text> {
        let mut out = Builder::default();
        out.str(&self.budget, text, origin)?;
        Ok(out.finish())
    }
}

/// Converts a number. If its text is known, it keeps its digits.
fn number(n: &serde_json::Number, written: Option<&str>) -> Value {
    if let Some(i) = n.as_i128() {
        return Value::Int(i);
    }
    let float = n.as_f64().unwrap_or(f64::NAN);
    match written.filter(|written| digits::is_same(&n.to_string(), written)) {
        Some(written) if float_repr(float) == written => Value::Float(float),
        Some(written) => written.parse().map_or_else(|_| Value::Big(written.into()), Value::Int),
        None => Value::Float(float),
    }
}
