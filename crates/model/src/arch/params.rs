//! Typed access to a file's metadata under the architecture's prefix. Errors name the key, what was expected and what was found.

use happy_gguf::{GgufSet, Value};

use super::refuse::Heeded;
use crate::error::LoadError;
use crate::reserve::collected;

/// A file's hyper-parameters, for an architecture function: `p.u32("block_count")` reads `llama.block_count` in a file of architecture
/// `llama`.
///
/// It records which keys are read. If a key changes what a model computes and its architecture did not read it, loading fails.
pub struct Params<'a> {
    gguf: &'a GgufSet<'a>,
    architecture: &'static str,
    heeded: Heeded,
}

impl<'a> Params<'a> {
    /// Makes the hyper-parameters of a file with a given architecture.
    pub fn new(gguf: &'a GgufSet<'a>, architecture: &'static str) -> Self {
        Params { gguf, architecture, heeded: Heeded::default() }
    }

    /// Returns the architecture's name.
    pub fn architecture(&self) -> &'static str {
        self.architecture
    }

    /// Returns the file, or the parts of a split one.
    pub fn gguf(&self) -> &'a GgufSet<'a> {
        self.gguf
    }

    /// Returns the full name of a key.
    pub fn key(&self, key: &str) -> String {
        match self.architecture {
            "" => key.to_owned(),
            architecture => format!("{architecture}.{key}"),
        }
    }

    /// Returns the value of a key, if it exists.
    pub fn value(&self, key: &str) -> Option<Value<'a>> {
        self.heeded.note(key);
        self.look(key)
    }

    /// Returns the value of a key, without recording that it was read.
    pub(super) fn look(&self, key: &str) -> Option<Value<'a>> {
        self.gguf.metadata().get(&self.key(key))
    }

    /// Returns whether a key was read.
    pub(super) fn heeds(&self, key: &str) -> bool {
        self.heeded.contains(key)
    }

    /// Returns access to the same file's keys without the architecture's prefix.
    pub fn unprefixed(&self) -> Params<'a> {
        Params::new(self.gguf, "")
    }

    /// Returns whether a key exists.
    pub fn has(&self, key: &str) -> bool {
        self.value(key).is_some()
    }

    /// Returns the error for an impossible value.
    pub fn invalid(&self, key: &str, expected: &str) -> LoadError {
        let found = self.look(key).map_or_else(|| "nothing".to_owned(), |v| v.describe());
        LoadError::Key { key: self.key(key), expected: expected.to_owned(), found }
    }

    /// Returns the error for a value that is not implemented. `expected` lists the values that are, if they can be listed.
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

    /// Reads an integer of any type that fits in `u32`, if the key exists. A bool counts as 0 or 1.
    ///
    /// # Errors
    /// [`LoadError::Key`] if the value is of another type, negative or too large.
    pub fn opt_u32(&self, key: &str) -> Result<Option<u32>, LoadError> {
        self.get(key, "a whole number from 0 to 4294967295", number)
    }

    /// Reads an integer that is required.
    ///
    /// # Errors
    /// As for [`opt_u32`](Self::opt_u32), and [`LoadError::MissingKey`] if the key does not exist.
    pub fn u32(&self, key: &str) -> Result<u32, LoadError> {
        let value = self.opt_u32(key)?;
        self.required(key, value)
    }

    /// Reads a finite f32, if the key exists.
    ///
    /// # Errors
    /// [`LoadError::Key`] if the value is of another type or not finite.
    pub fn opt_f32(&self, key: &str) -> Result<Option<f32>, LoadError> {
        self.get(key, "a finite f32", |v| match *v {
            Value::F32(x) if x.is_finite() => Some(x),
            _ => None,
        })
    }

    /// Reads a finite f32 that is required.
    ///
    /// # Errors
    /// As for [`opt_f32`](Self::opt_f32), and [`LoadError::MissingKey`] if the key does not exist.
    pub fn f32(&self, key: &str) -> Result<f32, LoadError> {
        let value = self.opt_f32(key)?;
        self.required(key, value)
    }

    /// Reads a finite f32 for each of `n` layers, if the key exists: one value for all layers, or an array of at least `n` values.
    ///
    /// # Errors
    /// As for [`opt_f32`](Self::opt_f32), if the array has fewer than `n` such values, and if memory is refused.
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

    /// Reads a bool, if the key exists.
    ///
    /// # Errors
    /// [`LoadError::Key`] if the value is of another type.
    pub fn opt_bool(&self, key: &str) -> Result<Option<bool>, LoadError> {
        self.get(key, "a bool", |v| match *v {
            Value::Bool(b) => Some(b),
            _ => None,
        })
    }

    /// Reads a string, if the key exists.
    ///
    /// # Errors
    /// [`LoadError::Key`] if the value is of another type or not UTF-8.
    pub fn opt_str(&self, key: &str) -> Result<Option<&'a str>, LoadError> {
        self.get(key, "a string", |v| match v {
            Value::String(s) => s.to_str().ok(),
            _ => None,
        })
    }

    /// Reads an integer (or bool) for each of `n` layers from an array of at least `n` values. Returns `None` if the key does not exist or
    /// its value is not an array.
    ///
    /// # Errors
    /// [`LoadError::Key`] if the array has fewer than `n` such values, and an error if memory is refused.
    pub fn opt_array(&self, key: &str, n: usize) -> Result<Option<Vec<u32>>, LoadError> {
        let Some(Value::Array(array)) = self.value(key) else { return Ok(None) };
        let values = collected(n, array.iter().map_while(|v| number(&v)))?;
        if values.len() < n {
            return Err(self.invalid(key, &format!("a whole number for each of {n} layers")));
        }
        Ok(Some(values))
    }

    /// Reads an integer for each of `n` layers, if the key exists: one value for all layers, or an array.
    ///
    /// # Errors
    /// As for [`opt_array`](Self::opt_array) and [`opt_u32`](Self::opt_u32).
    pub fn opt_per_layer(&self, key: &str, n: usize) -> Result<Option<Vec<u32>>, LoadError> {
        match self.opt_array(key, n)? {
            Some(values) => Ok(Some(values)),
            None => Ok(match self.opt_u32(key)? {
                Some(v) => Some(collected(n, std::iter::repeat(v))?),
                None => None,
            }),
        }
    }

    /// Reads an integer for each of `n` layers that is required: one value for all layers, or an array.
    ///
    /// # Errors
    /// As for [`opt_per_layer`](Self::opt_per_layer), and [`LoadError::MissingKey`] if the key does not exist.
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
