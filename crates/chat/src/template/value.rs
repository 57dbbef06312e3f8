//! Values as Python has them.
//!
//! Lists and dicts live in a heap (`heap.rs`) and are named by numbers: two values with one number are one object, so that
//! aliases see each other's changes, an object may hold itself, and nothing recurses when a render ends and the heap is
//! dropped. Strings and numbers are values.

use std::sync::Arc;

use super::error::{R, fail};
use super::text::Text;
use crate::digits;

/// The number of an object in its part of the heap.
pub(super) type Id = u32;

/// Deepest nesting of values that may be printed, compared or hashed; these recurse. JSON parsers allow 128.
pub(super) const MAX_DEPTH: usize = 200;

#[derive(Clone)]
pub(super) enum Value {
    /// What has no value, and by what name it was asked for.
    Undefined(Text),
    None,
    Bool(bool),
    Int(i128),
    /// A number whose digits an integer or a float can't hold, as JSON writes it: it is printed as it is, and calculated
    /// with as a float.
    Big(Arc<str>),
    Float(f64),
    Str(Text),
    List(Id),
    Tuple(Id),
    Dict(Id),
    /// `d.keys()`, `d.values()`, `d.items()`: they follow the dict.
    View(View, Id),
    Range(i64, i64, i64),
    /// What `map`, `select` and the like return: a list that is empty after somebody went over it.
    Iter(Id),
    Namespace(Id),
    /// `a[1:2]`, before it is applied: start, stop and step in a list of the heap.
    Slice(Id),
    Loop(Id),
    Macro(Id),
    /// A cycler (items and position) or joiner.
    Cycler(Id),
    Joiner(Id),
    Function(Function),
    /// A method and the value that it belongs to.
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

/// What a dict is looked up by. Equal numbers are equal keys; text marks do not count.
#[derive(PartialEq, Eq, Hash)]
pub(super) enum Key {
    None,
    Int(i128),
    Float(u64),
    Str(Text),
    /// A tuple, written out.
    Tuple(String),
    /// A function, a namespace ..: the kind and the number.
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

/// The number of items of a range.
pub(super) fn range_len(range: &Value) -> usize {
    let Value::Range(start, stop, step) = *range else { return 0 };
    let (start, stop, step) = (i128::from(start), i128::from(stop), i128::from(step));
    let distance = if step > 0 { stop - start } else { start - stop };
    let step = step.abs().max(1);
    usize::try_from((distance + step - 1).max(0) / step).unwrap_or(usize::MAX)
}

impl Value {
    /// Python's name of the type.
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

    /// An index or a count.
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

    /// An undefined value of this name.
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
