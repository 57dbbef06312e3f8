//! Methods of Python's types.

pub(super) mod dict;
pub(super) mod list;
pub(super) mod number;
pub(super) mod string;
