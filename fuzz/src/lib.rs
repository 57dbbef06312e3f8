//! What fuzz targets share.

pub mod contexts;
pub mod grammars;
pub mod vocabularies;
pub mod walk;
