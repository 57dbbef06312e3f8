//! An error that a caller holds.

use crate::failure::Failure;
use crate::status::Status;
use std::ffi::{CStr, CString};

/// A failure whose message ends with a NUL.
#[derive(Debug)]
pub struct Failed {
    status: Status,
    text: CString,
}

impl Failed {
    /// The status.
    pub fn status(&self) -> Status {
        self.status
    }

    /// The message.
    pub fn text(&self) -> &CStr {
        &self.text
    }
}

impl From<Failure> for Failed {
    fn from(failure: Failure) -> Self {
        // A message quotes what came from outside, which may have a NUL.
        let mut bytes = failure.message.into_bytes();
        bytes.retain(|byte| *byte != 0);
        Self { status: failure.status, text: CString::new(bytes).unwrap_or_default() }
    }
}
