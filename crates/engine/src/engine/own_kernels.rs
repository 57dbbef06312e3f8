//! Engines on kernels that a program brings.

use super::Prepared;
use crate::source::Opened;
use crate::{Engine, EngineError, LoadOptions};
use happy_gguf::GgufSetFile;
use happy_kernels::Kernels;

impl Engine {
    /// Does the same as [`Engine::from_files`], on kernels of the caller's own: those of an instruction set with some fields
    /// replaced, such as for measuring or testing another implementation. [`LoadOptions::isa`] says nothing then.
    ///
    /// # Errors
    /// As [`Engine::open`].
    pub fn with_kernels(
        files: GgufSetFile,
        name: String,
        kernels: Kernels,
        options: &LoadOptions,
    ) -> Result<Self, EngineError> {
        let opened = Opened::whole(files, !options.mmap);
        let prepared = Prepared { kernels, ..Prepared::new(&opened, &name, options)? };
        prepared.build(opened.files, name, options, &mut |_| Ok(()))
    }
}
