//! How much is said.

/// Which messages a log callback receives.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Nothing.
    Off = 0,
    /// Calls that failed.
    Error = 1,
    /// Also: what was loaded, and what each turn took.
    Info = 2,
}
