//! Requantising a file: which tensor gets which type, importance matrices, and writing in a stream.

pub(crate) mod imatrix;
pub(crate) mod mix;
pub(crate) mod write;
