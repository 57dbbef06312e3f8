//! Why a character or a marker is not taken: the block holds no proper call, or memory was refused.

use std::borrow::Cow;
use std::fmt;

use crate::memory::{OutOfMemory, R, copied, formatted};

/// What is wrong with a call. Reasons without details need no memory.
pub(super) type Reason = Cow<'static, str>;

/// Why a character or a marker is not taken.
#[derive(Debug)]
pub(super) enum Fault {
    /// The block holds no proper call.
    Call(Reason),
    /// Memory was refused: what the block holds is not known.
    Memory,
}

/// A result of what takes a part of a call.
pub(super) type Step<T> = Result<T, Fault>;

impl Fault {
    /// What [`fault!`] calls.
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

/// A [`Fault`] of the call, with a reason as `format!` takes it.
macro_rules! fault {
    ($($part:tt)*) => { $crate::reply::fault::Fault::because(format_args!($($part)*)) };
}
pub(super) use fault;

/// What was read, or `None` if it is not what was looked for.
pub(super) fn if_right<T>(step: Step<T>) -> R<Option<T>> {
    match step {
        Ok(value) => Ok(Some(value)),
        Err(fault) => fault.reason().map(|_| None),
    }
}

/// A copy of a reason.
pub(super) fn same(reason: &Reason) -> R<Reason> {
    match reason {
        Cow::Borrowed(reason) => Ok(Cow::Borrowed(reason)),
        Cow::Owned(reason) => copied(reason).map(Cow::Owned),
    }
}
