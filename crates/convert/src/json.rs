//! Reads the JSON files of a folder, and values in them by key.

use crate::error::{ConvertError, printable};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Size of the largest JSON or text file that is read. The largest tokenizers have about 35 MiB.
const MAX_FILE: u64 = 256 << 20;

/// Reads a small file. Returns `None` if it does not exist.
pub(crate) fn read_optional(path: &Path) -> Result<Option<Vec<u8>>, ConvertError> {
    match read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(ConvertError::read(path, &e)),
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(path)?;
    let len = file.metadata()?.len();
    if len > MAX_FILE {
        return Err(io::Error::other(format!("{len} bytes, expected at most {MAX_FILE}")));
    }
    // Room for the text and the parsed values is reserved here, since serde_json cannot report that there is no memory.
    let room = usize::try_from(len).unwrap_or(usize::MAX).saturating_mul(6).saturating_add(1 << 20);
    bytes.try_reserve_exact(room).map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
    bytes.shrink_to(usize::try_from(len).unwrap_or(0));
    file.take(MAX_FILE).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reads and parses a JSON file. Returns `None` if it does not exist.
pub(crate) fn parse_optional<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, ConvertError> {
    let Some(bytes) = read_optional(path)? else { return Ok(None) };
    serde_json::from_slice(&bytes).map(Some).map_err(|e| ConvertError::invalid(path, e))
}

/// A JSON object, and its file for messages.
#[derive(Debug, Clone)]
pub(crate) struct Object {
    pub(crate) path: PathBuf,
    values: Map<String, Value>,
}

impl Object {
    /// Reads the object in a file. Returns `None` if the file does not exist.
    pub(crate) fn optional(path: PathBuf) -> Result<Option<Self>, ConvertError> {
        Ok(parse_optional(&path)?.map(|values| Self { path, values }))
    }

    /// Reads the object in a file.
    pub(crate) fn open(path: PathBuf) -> Result<Self, ConvertError> {
        let not_found = || ConvertError::read(&path, &io::Error::from(io::ErrorKind::NotFound));
        Self::optional(path.clone())?.ok_or_else(not_found)
    }

    /// Returns the value of a key. Null counts as missing.
    pub(crate) fn get(&self, key: &str) -> Option<&Value> {
        self.values.get(key).filter(|value| !value.is_null())
    }

    /// Returns an object within this one.
    pub(crate) fn object(&self, key: &str) -> Option<Self> {
        let values = self.get(key)?.as_object()?.clone();
        Some(Self { path: self.path.clone(), values })
    }

    /// Merges an inner object into this one. Its values replace those of this object.
    pub(crate) fn flattened(mut self, key: &str) -> Self {
        if let Some(Value::Object(inner)) = self.values.remove(key) {
            self.values.extend(inner);
        }
        self
    }

    fn read<'v, T>(
        &'v self,
        key: &str,
        expected: &str,
        read: impl Fn(&'v Value) -> Option<T>,
    ) -> Result<Option<T>, ConvertError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        read(value).map(Some).ok_or_else(|| self.wrong(key, expected))
    }

    /// Returns the error for an unexpected value.
    pub(crate) fn wrong(&self, key: &str, expected: &str) -> ConvertError {
        let found = self.get(key).map_or("nothing".to_owned(), |value| printable(&value.to_string()));
        ConvertError::invalid(&self.path, format!("key `{key}`: expected {expected}, found {found}"))
    }

    pub(crate) fn u32(&self, key: &str) -> Result<Option<u32>, ConvertError> {
        self.read(key, "an unsigned integer of 32 bits", |v| v.as_u64()?.try_into().ok())
    }

    pub(crate) fn f32(&self, key: &str) -> Result<Option<f32>, ConvertError> {
        self.read(key, "a finite number", |v| Some(v.as_f64()? as f32).filter(|x| x.is_finite()))
    }

    pub(crate) fn bool(&self, key: &str) -> Result<Option<bool>, ConvertError> {
        self.read(key, "true or false", Value::as_bool)
    }

    pub(crate) fn str(&self, key: &str) -> Result<Option<&str>, ConvertError> {
        self.read(key, "a string", Value::as_str)
    }

    /// Reads the first of several keys that exists, since models use different names for the same thing.
    pub(crate) fn require_u32(&self, keys: &[&str]) -> Result<u32, ConvertError> {
        for key in keys {
            if let Some(value) = self.u32(key)? {
                return Ok(value);
            }
        }
        Err(self.absent(keys))
    }

    pub(crate) fn require_f32(&self, keys: &[&str]) -> Result<f32, ConvertError> {
        for key in keys {
            if let Some(value) = self.f32(key)? {
                return Ok(value);
            }
        }
        Err(self.absent(keys))
    }

    fn absent(&self, keys: &[&str]) -> ConvertError {
        let path = crate::error::shown(&self.path);
        ConvertError::missing(format!("`{path}`: no key `{}`", keys.join("` or `")))
    }
}
