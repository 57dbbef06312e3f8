//! What values weigh, charged before something walks over them.
//!
//! minijinja charges fuel for instructions, for the bytes of new strings and for the slots of new lists, but not for what
//! it does with a whole tree: comparing, printing and hashing cost one instruction, and a list that holds another one
//! twice, which holds a third one twice .. has as many nodes as anybody likes. Lists that were added, repeated or sliced
//! do not even exist: they are views that are walked over again and again.
//!
//! ```text
//! walk(v)   counts the nodes of v as a tree and the bytes of its strings; one unit of fuel a node or 64 bytes
//! flat(v)   makes a list of a view; one unit an item
//! ```
//! `guard.rs` puts these in front of the operators and filters that need them.

use minijinja::value::ValueKind;
use minijinja::{Error, State, Value};

use super::text::{MAX_DEPTH, too_deep};

/// Bytes that one unit of fuel pays for: minijinja's own rate.
pub(super) const BYTES_PER_FUEL: u64 = 64;

/// Charges for bytes that are about to be written.
pub(super) fn bytes(state: &State, count: usize) -> Result<(), Error> {
    state.consume_fuel(count as u64 / BYTES_PER_FUEL)
}

pub(super) fn is_container(value: &Value) -> bool {
    matches!(value.kind(), ValueKind::Seq | ValueKind::Map | ValueKind::Iterable)
}

/// Charges for walking over a value and for writing it out. What is no container is free: its size was charged for when
/// it was made.
///
/// # Errors
/// Out of fuel, and deeper than [`MAX_DEPTH`]: comparing and printing recurse.
pub(super) fn charge(state: &State, value: &Value) -> Result<(), Error> {
    if !is_container(value) {
        return Ok(());
    }
    nodes(state, value, 0)
}

fn nodes(state: &State, value: &Value, depth: usize) -> Result<(), Error> {
    let text = value.as_str().map_or(0, |s| s.len() as u64);
    state.consume_fuel(1 + text / BYTES_PER_FUEL)?;
    if !is_container(value) {
        return Ok(());
    }
    if depth > MAX_DEPTH {
        return Err(too_deep());
    }
    let map = value.kind() == ValueKind::Map;
    for item in value.try_iter()?.checked() {
        let item = item?;
        nodes(state, &item, depth + 1)?;
        if map {
            nodes(state, &value.get_item(&item)?, depth + 1)?;
        }
    }
    Ok(())
}

/// The value, once it has been charged for.
pub(super) fn walk(state: &State, value: Value) -> Result<Value, Error> {
    charge(state, &value)?;
    Ok(value)
}

/// The value; a view as a list of its own.
pub(super) fn flat(state: &State, value: Value) -> Result<Value, Error> {
    if value.kind() != ValueKind::Iterable {
        return Ok(value);
    }
    let mut items = Vec::new();
    for item in value.try_iter()?.checked() {
        state.consume_fuel(1)?;
        items.push(item?);
    }
    Ok(Value::from(items))
}
