//! Typed access to a file's metadata under the architecture's prefix, with errors that name key, expected and found.

use happy_gguf::{GgufSet, Value};

use super::refuse::Heeded;
use crate::error::LoadError;
use crate::reserve::collected;

/// A file's hyper-parameters as an architecture function reads them: `p.u32("block_count")` is `llama.block_count` in
/// a file of architecture `llama`.
///
/// It notes which keys are read: a key that changes what a model computes, and that its architecture didn't read, stops the
/// load.
pub struct Params<'a> {
    gguf: &'a GgufSet<'a>,
    architecture: &'static str,
    heeded: Heeded,
}

impl<'a> Params<'a> {
    /// The hyper-parameters of a file of the given architecture.
    pub fn new(gguf: &'a GgufSet<'a>, architecture: &'static str) -> Self {
        Params { gguf, architecture, heeded: Heeded::default() }
    }

    /// The architecture's name.
    pub fn architecture(&self) -> &'static str {
        self.architecture
    }

    /// The file, or the parts of a split one.
    pub fn gguf(&self) -> &'a GgufSet<'a> {
        self.gguf
    }

    /// The full name of a key.
    pub fn key(&self, key: &str) -> String {
        match self.architecture {
            "" => key.to_owned(),
            architecture => format!("{architecture}.{key}"),
        }
    }

    /// The value of a key.
    pub fn value(&self, key: &str) -> Option<Value<'a>> {
        self.heeded.note(key);
        self.look(key)
    }

    /// The value of a key; does not count as reading it.
    pub(super) fn look(&self, key: &str) -> Option<Value<'a>> {
        self.gguf.metadata().get(&self.key(key))
    }

    /// Whether a key was read.
    pub(super) fn heeds(&self, key: &str) -> bool {
        self.heeded.contains(key)
    }

    /// The same file's keys that have no architecture in their names.
    pub fn unprefixed(&self) -> Params<'a> {
        Params::new(self.gguf, "")
    }

    /// Whether the key is there.
    pub fn has(&self, key: &str) -> bool {
        self.value(key).is_some()
    }

    /// The error for a value that makes no sense.
    pub fn invalid(&self, key: &str, expected: &str) -> LoadError {
        let found = self.look(key).map_or_else(|| "nothing".to_owned(), |v| v.describe());
        LoadError::Key { key: self.key(key), expected: expected.to_owned(), found }
    }

    /// The error for a value that may make sense and is not implemented. `expected`: the values that are, if that can be
    /// said.
    pub fn unsupported(&self, key: &str, expected: Option<&str>) -> LoadError {
        let found = self.look(key).map_or_else(|| "nothing".to_owned(), |v| v.describe());
        LoadError::UnsupportedKey { key: self.key(key), found, expected: expected.map(str::to_owned) }
    }

    fn get<T>(
        &self,
        key: &str,
        expected: &str,
        read: impl Fn(&Value<'a>) -> Option<T>,
    ) -> Result<Option<T>, LoadError> {
        match self.value(key) {
            None => Ok(None),
            Some(value) => read(&value).map(Some).ok_or_else(|| self.invalid(key, expected)),
        }
    }

    fn required<T>(&self, key: &str, value: Option<T>) -> Result<T, LoadError> {
        value.ok_or_else(|| LoadError::MissingKey { key: self.key(key) })
    }

    /// A whole number of any integer type that fits `u32`.
    pub fn opt_u32(&self, key: &str) -> Result<Option<u32>, LoadError> {
        self.get(key, "a whole number from 0 to 4294967295", number)
    }

    /// A whole number that must be there.
    pub fn u32(&self, key: &str) -> Result<u32, LoadError> {
        let value = self.opt_u32(key)?;
        self.required(key, value)
    }

    /// A finite f32.
    pub fn opt_f32(&self, key: &str) -> Result<Option<f32>, LoadError> {
        self.get(key, "a finite f32", |v| match *v {
            Value::F32(x) if x.is_finite() => Some(x),
            _ => None,
        })
    }

    /// A finite f32 that must be there.
    pub fn f32(&self, key: &str) -> Result<f32, LoadError> {
        let value = self.opt_f32(key)?;
        self.required(key, value)
    }

    /// A finite f32 for each of `n` layers, given once for all or as an array of at least `n` values.
    pub fn opt_f32_per_layer(&self, key: &str, n: usize) -> Result<Option<Vec<f32>>, LoadError> {
        let Some(Value::Array(array)) = self.value(key) else {
            return Ok(self.opt_f32(key)?.map(|x| collected(n, std::iter::repeat(x))).transpose()?);
        };
        let finite = |value| match value {
            Value::F32(x) if x.is_finite() => Some(x),
            _ => None,
        };
        let values = collected(n, array.iter().map_while(finite))?;
        if values.len() < n {
            return Err(self.invalid(key, &format!("a finite f32 for each of {n} layers")));
        }
        Ok(Some(values))
    }

    /// A truth value.
    pub fn opt_bool(&self, key: &str) -> Result<Option<bool>, LoadError> {
        self.get(key, "a bool", |v| match *v {
            Value::Bool(b) => Some(b),
            _ => None,
        })
    }

    /// A string.
    pub fn opt_str(&self, key: &str) -> Result<Option<&'a str>, LoadError> {
        self.get(key, "a string", |v| match v {
            Value::String(s) => s.to_str().ok(),
            _ => None,
        })
    }

    /// A whole number (or truth value) for each of `n` layers, given as an array of at least `n` values.
    pub fn opt_array(&self, key: &str, n: usize) -> Result<Option<Vec<u32>>, LoadError> {
        let Some(Value::Array(array)) = self.value(key) else { return Ok(None) };
        let values = collected(n, array.iter().map_while(|v| number(&v)))?;
        if values.len() < n {
            return Err(self.invalid(key, &format!("a whole number for each of {n} layers")));
        }
        Ok(Some(values))
    }

    /// A whole number for each of `n` layers, given once for all or as an array.
    pub fn opt_per_layer(&self, key: &str, n: usize) -> Result<Option<Vec<u32>>, LoadError> {
        match self.opt_array(key, n)? {
            Some(values) => Ok(Some(values)),
            None => Ok(match self.opt_u32(key)? {
                Some(v) => Some(collected(n, std::iter::repeat(v))?),
                None => None,
            }),
        }
    }

    /// The same, where it must be there.
    pub fn per_layer(&self, key: &str, n: usize) -> Result<Vec<u32>, LoadError> {
        let value = self.opt_per_layer(key, n)?;
        self.required(key, value)
    }
}

fn number(value: &Value<'_>) -> Option<u32> {
    match value {
        Value::Bool(b) => Some(u32::from(*b)),
        integer => integer.as_integer().and_then(|n| u32::try_from(n).ok()),
    }
}
