//! Writing and reading back.
