//! Java's arrays in and out, by copies: the collector never waits for the library.
//!
//! Texts are UTF-8 in byte arrays. A null array is an error of the caller, never followed.

use super::call::Trouble;
use crate::core::json;
use crate::failure::Failure;
use crate::status::Status;
use jni::Env;
use jni::objects::{JByteArray, JIntArray, JLongArray};
use jni::refs::Reference;
use serde_json::Value as Json;

/// The bytes of an array.
pub(super) fn bytes(env: &Env<'_>, array: &JByteArray<'_>, what: &str) -> Result<Vec<u8>, Trouble> {
    require(array, what)?;
    let mut read = room(array.len(env)?, what)?;
    array.get_region(env, 0, &mut read)?;
    Ok(read.into_iter().map(|byte| byte as u8).collect())
}

/// The text of an array.
pub(super) fn text(env: &Env<'_>, array: &JByteArray<'_>, what: &str) -> Result<String, Trouble> {
    let text = String::from_utf8(bytes(env, array, what)?);
    Ok(text.map_err(|e| {
        let valid = e.utf8_error().valid_up_to();
        Failure::argument(format!("{what} is no UTF-8 at byte {valid}"))
    })?)
}

/// The text of an array that may be null.
pub(super) fn optional(env: &Env<'_>, array: &JByteArray<'_>, what: &str) -> Result<Option<String>, Trouble> {
    if array.is_null() { Ok(None) } else { text(env, array, what).map(Some) }
}

/// Reads a JSON array of texts.
pub(super) fn texts(env: &Env<'_>, array: &JByteArray<'_>, what: &str) -> Result<Vec<String>, Trouble> {
    let items = json::array(&text(env, array, what)?, what)?.unwrap_or_default();
    let mut texts = Vec::new();
    for item in items {
        let Json::String(item) = item else {
            return Err(Failure::argument(format!("{what}: expected an array of texts")).into());
        };
        texts.try_reserve(1).map_err(|_| Failure::new(Status::Memory, format!("no memory for {what}")))?;
        texts.push(item);
    }
    Ok(texts)
}

/// The ids of an array of tokens.
pub(super) fn tokens(env: &Env<'_>, array: &JIntArray<'_>, what: &str) -> Result<Vec<u32>, Trouble> {
    require(array, what)?;
    let mut read = room(array.len(env)?, what)?;
    array.get_region(env, 0, &mut read)?;
    Ok(read.into_iter().map(|token| token as u32).collect())
}

/// The numbers of an array.
pub(super) fn numbers(env: &Env<'_>, array: &JLongArray<'_>, what: &str) -> Result<Vec<i64>, Trouble> {
    require(array, what)?;
    let mut read = room(array.len(env)?, what)?;
    array.get_region(env, 0, &mut read)?;
    Ok(read)
}

/// A new array of bytes.
pub(super) fn give<'l>(env: &mut Env<'l>, bytes: &[u8]) -> Result<JByteArray<'l>, Trouble> {
    Ok(env.byte_array_from_slice(bytes)?)
}

/// A new array of tokens.
pub(super) fn give_tokens<'l>(env: &mut Env<'l>, tokens: &[u32]) -> Result<JIntArray<'l>, Trouble> {
    let array = JIntArray::new(env, tokens.len())?;
    let ids: Vec<i32> = tokens.iter().map(|token| *token as i32).collect();
    array.set_region(env, 0, &ids)?;
    Ok(array)
}

/// A new array of numbers.
pub(super) fn give_numbers<'l>(env: &mut Env<'l>, numbers: &[i64]) -> Result<JLongArray<'l>, Trouble> {
    let array = JLongArray::new(env, numbers.len())?;
    array.set_region(env, 0, numbers)?;
    Ok(array)
}

fn require(array: &impl Reference, what: &str) -> Result<(), Trouble> {
    if array.is_null() { Err(Failure::argument(format!("{what} is null")).into()) } else { Ok(()) }
}

/// Returns `len` zeros, or an error if memory is refused. `what` names them in the message.
fn room<T: Clone + Default>(len: usize, what: &str) -> Result<Vec<T>, Trouble> {
    let mut room = Vec::new();
    room.try_reserve_exact(len)
        .map_err(|_| Failure::new(Status::Memory, format!("no memory for {what}, {len} elements")))?;
    room.resize(len, T::default());
    Ok(room)
}
