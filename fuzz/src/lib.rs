//! What fuzz targets share.

pub mod grammars;
pub mod vocabularies;
