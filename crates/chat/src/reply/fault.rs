//! Why a character or a marker is not taken: the block is not a proper call, or memory was refused.

use std::borrow::Cow;
use std::fmt;

use crate::memory::{OutOfMemory, R, copied, formatted};

/// What is wrong with a call. Reasons without details need no memory.
pub(super) type Reason = Cow<'static, str>;

/// Why a character or a marker is not taken.
#[derive(Debug)]
pub(super) enum Fault {
    /// The block is not a proper call.
    Call(Reason),
    /// Memory was refused, so the contents of the block are unknown.
    Memory,
}

/// The result of functions that take a part of a call.
pub(super) type Step<T> = Result<T, Fault>;

impl Fault {
    /// The function that [`fault!`] calls.
    pub(super) fn because(reason: fmt::Arguments<'_>) -> Self {
        formatted(reason).map_or(Fault::Memory, |reason| Fault::Call(reason.into()))
    }

    /// What is wrong with the call.
    pub(super) fn reason(self) -> R<Reason> {
        match self {
            Fault::Call(reason) => Ok(reason),
            Fault::Memory => Err(OutOfMemory),
        }
    }
}

impl From<OutOfMemory> for Fault {
    fn from(_: OutOfMemory) -> Self {
        Fault::Memory
    }
}

impl From<&'static str> for Fault {
    fn from(reason: &'static str) -> Self {
        Fault::Call(reason.into())
    }
}

/// Makes a [`Fault`] of the call, with a reason in the form of `format!`.
macro_rules! fault {
    ($($part:tt)*) => { $crate::reply::fault::Fault::because(format_args!($($part)*)) };
}
pub(super) use fault;

/// What was read, or `None` if something else was found.
pub(super) fn if_right<T>(step: Step<T>) -> R<Option<T>> {
    match step {
        Ok(value) => Ok(Some(value)),
        Err(fault) => fault.reason().map(|_| None),
    }
}

/// Copies a reason.
pub(super) fn same(reason: &Reason) -> R<Reason> {
    match reason {
        Cow::Borrowed(reason) => Ok(Cow::Borrowed(reason)),
        Cow::Owned(reason) => copied(reason).map(Cow::Owned),
    }
}
