//! Python's values.
//!
//! Lists and dicts live in a heap (`heap.rs`) and are referred to by number. Two values with the same number are one object, so
//! that aliases see each other's changes. An object may contain itself, and nothing recurses when the heap is dropped at
//! the end of a render. Strings and numbers are stored in the value.

use std::sync::Arc;

use super::error::{R, fail};
use super::text::Text;
use crate::digits;

/// The number of an object, within its part of the heap.
pub(super) type Id = u32;

/// Deepest nesting of values that may be printed, compared or hashed, which is done by recursion. JSON parsers allow 128.
pub(super) const MAX_DEPTH: usize = 200;

#[derive(Clone)]
pub(super) enum Value {
    /// An undefined value, and the name by which it was requested.
    Undefined(Text),
    None,
    Bool(bool),
    Int(i128),
    /// A number whose digits do not fit in an integer or a float, as in the JSON text. It is printed as it is; calculations use a
    /// float.
    Big(Arc<str>),
    Float(f64),
    Str(Text),
    List(Id),
    Tuple(Id),
    Dict(Id),
    /// `d.keys()`, `d.values()` and `d.items()`, which reflect changes of the dict.
    View(View, Id),
    Range(i64, i64, i64),
    /// The result of `map`, `select` and other filters that return generators: a list that is empty after the first iteration.
    Iter(Id),
    Namespace(Id),
    /// A slice such as `1:2`: start, stop and step, in a list of the heap.
    Slice(Id),
    Loop(Id),
    Macro(Id),
    /// A cycler (items and position) or joiner.
    Cycler(Id),
    Joiner(Id),
    Function(Function),
    /// A method, and the value that it is bound to.
    Method(Arc<(Value, &'static str)>),
    /// `self`: the template's blocks.
    Blocks,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum View {
    Keys,
    Values,
    Items,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    Range,
    Dict,
    Namespace,
    Cycler,
    Joiner,
    RaiseException,
    StrftimeNow,
}

/// The key of a dict's entry. Equal numbers are equal keys, and the origin of a text does not matter.
#[derive(PartialEq, Eq, Hash)]
pub(super) enum Key {
    None,
    Int(i128),
    Float(u64),
    Str(Text),
    /// A tuple, as a text.
    Tuple(String),
    /// A function, a namespace or another object: its kind and number.
    Object(&'static str, Id),
}

impl PartialEq for Text {
    fn eq(&self, other: &Text) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Text {}

impl std::hash::Hash for Text {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

pub(super) fn too_deep<T>() -> R<T> {
    fail(format!("a value is nested more than {MAX_DEPTH} deep"))
}

/// Returns the number of items of a range.
pub(super) fn range_len(range: &Value) -> usize {
    let Value::Range(start, stop, step) = *range else { return 0 };
    let (start, stop, step) = (i128::from(start), i128::from(stop), i128::from(step));
    let distance = if step > 0 { stop - start } else { start - stop };
    let step = step.abs().max(1);
    usize::try_from((distance + step - 1).max(0) / step).unwrap_or(usize::MAX)
}

impl Value {
    /// Returns Python's name of the type.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Value::Undefined(_) => "Undefined",
            Value::None => "NoneType",
            Value::Bool(_) => "bool",
            Value::Big(digits) if digits::is_integer(digits) => "int",
            Value::Int(_) => "int",
            Value::Float(_) | Value::Big(_) => "float",
            Value::Str(text) if text.safe => "Markup",
            Value::Str(_) => "str",
            Value::List(_) => "list",
            Value::Tuple(_) => "tuple",
            Value::Dict(_) => "dict",
            Value::View(View::Keys, _) => "dict_keys",
            Value::View(View::Values, _) => "dict_values",
            Value::View(View::Items, _) => "dict_items",
            Value::Range(..) => "range",
            Value::Iter(_) => "generator",
            Value::Namespace(_) => "Namespace",
            Value::Slice(_) => "slice",
            Value::Loop(_) => "LoopContext",
            Value::Macro(_) => "Macro",
            Value::Cycler(_) => "Cycler",
            Value::Joiner(_) => "Joiner",
            Value::Function(_) => "function",
            Value::Method(_) => "builtin_function_or_method",
            Value::Blocks => "TemplateReference",
        }
    }

    pub(super) fn as_int(&self) -> Option<i128> {
        match self {
            Value::Bool(b) => Some(i128::from(*b)),
            Value::Int(i) => Some(*i),
            _ => None,
        }
    }

    /// Returns the value as an index or a count.
    pub(super) fn index(&self) -> R<i64> {
        match self.as_int() {
            Some(i) => Ok(i64::try_from(i).unwrap_or(if i < 0 { i64::MIN } else { i64::MAX })),
            None => fail(format!("'{}' object cannot be interpreted as an integer", self.type_name())),
        }
    }

    pub(super) fn as_text(&self) -> R<&Text> {
        match self {
            Value::Str(text) => Ok(text),
            other => fail(format!("expected a string, found '{}'", other.type_name())),
        }
    }

    pub(super) fn is_undefined(&self) -> bool {
        matches!(self, Value::Undefined(_))
    }

    /// Makes an undefined value with a name.
    pub(super) fn undefined(name: &str) -> Value {
        Value::Undefined(Text::plain(name))
    }
}

impl From<bool> for Value {
    fn from(b: bool) -> Value {
        Value::Bool(b)
    }
}

impl From<usize> for Value {
    fn from(n: usize) -> Value {
        Value::Int(n as i128)
    }
}

impl From<Text> for Value {
    fn from(text: Text) -> Value {
        Value::Str(text)
    }
}
