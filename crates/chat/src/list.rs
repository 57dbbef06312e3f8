//! Lists of the context, with the methods of Python's that change them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use minijinja::value::{Enumerator, Object, ObjectRepr, ValueKind, from_args};
use minijinja::{Error, ErrorKind, State, Value};

/// A list that `append`, `insert`, `extend`, `pop`, `remove`, `clear` and `reverse` change in place, as Python's. Only
/// strings, numbers, booleans and none can be put in: a list that held itself would never end when printed.
/// (transformers forbids all of these; they are here because templates from elsewhere use them.)
pub(super) struct List(Mutex<Vec<Value>>);

impl List {
    pub(super) fn new(items: Vec<Value>) -> Self {
        List(Mutex::new(items))
    }

    fn items(&self) -> MutexGuard<'_, Vec<Value>> {
        // Nothing below panics while the lock is held, and the vector is valid at any moment.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for List {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A copy, so that nothing is locked while the items print themselves.
        let items = self.items().clone();
        f.debug_list().entries(items.iter()).finish()
    }
}

/// Python's index: negative ones count from the end.
fn position(index: i64, len: usize) -> Option<usize> {
    let len = i64::try_from(len).ok()?;
    let index = if index < 0 { index + len } else { index };
    (0..len).contains(&index).then(|| usize::try_from(index).ok()).flatten()
}

fn storable(value: &Value) -> Result<Value, Error> {
    match value.kind() {
        ValueKind::None | ValueKind::Bool | ValueKind::Number | ValueKind::String => Ok(value.clone()),
        kind => {
            let text = format!("cannot put a value of type {kind} into a list of the context");
            Err(Error::new(ErrorKind::InvalidOperation, text))
        }
    }
}

impl Object for List {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let index = match key.kind() {
            ValueKind::Bool => i64::from(key.is_true()),
            ValueKind::Number if key.is_integer() => key.as_i64()?,
            _ => return None,
        };
        let items = self.items();
        items.get(position(index, items.len())?).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(self.items().len())
    }

    fn call_method(
        self: &Arc<Self>,
        _: &mut State<'_, '_>,
        method: &str,
        args: &[Value],
    ) -> Result<Value, Error> {
        let missing = |what: &'static str| Error::new(ErrorKind::InvalidOperation, what);
        match method {
            "append" => {
                let (value,): (&Value,) = from_args(args)?;
                let value = storable(value)?;
                self.items().push(value);
            }
            "insert" => {
                let (index, value): (i64, &Value) = from_args(args)?;
                let value = storable(value)?;
                let mut items = self.items();
                let len = items.len();
                let index = if index < 0 { index.saturating_add(len as i64).max(0) } else { index };
                let index = usize::try_from(index).unwrap_or(len).min(len);
                items.insert(index, value);
            }
            "extend" => {
                let (values,): (&Value,) = from_args(args)?;
                let values =
                    values.try_iter()?.checked().map(|v| storable(&v?)).collect::<Result<Vec<_>, _>>()?;
                self.items().extend(values);
            }
            "pop" => {
                let (index,): (Option<i64>,) = from_args(args)?;
                let mut items = self.items();
                let at = position(index.unwrap_or(-1), items.len())
                    .ok_or_else(|| missing("pop index out of range"))?;
                return Ok(items.remove(at));
            }
            "remove" => {
                let (value,): (&Value,) = from_args(args)?;
                let copy = self.items().clone();
                let at = copy
                    .iter()
                    .position(|v| v == value)
                    .ok_or_else(|| missing("list.remove: not in the list"))?;
                self.items().remove(at);
            }
            "clear" => self.items().clear(),
            "reverse" => self.items().reverse(),
            "copy" => return Ok(Value::from(self.items().clone())),
            "index" => {
                let (value,): (&Value,) = from_args(args)?;
                let copy = self.items().clone();
                let at = copy
                    .iter()
                    .position(|v| v == value)
                    .ok_or_else(|| missing("list.index: not in the list"))?;
                return Ok(Value::from(at));
            }
            _ => return Err(Error::from(ErrorKind::UnknownMethod)),
        }
        Ok(Value::from(()))
    }
}
