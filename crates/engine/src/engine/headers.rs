//! A plan for a model that is not here yet.

use super::Prepared;
use crate::plan::Weights;
use crate::source::Opened;
use crate::{Engine, EngineError, LoadOptions, Plan};
use happy_gguf::GgufSetFile;

impl Engine {
    /// What running a model would take of which the headers alone are here, such as before a download; `bytes` are those of its
    /// files, and `name` stands for it in errors.
    ///
    /// # Errors
    /// As [`Engine::plan_of`].
    pub fn plan_of_headers(
        headers: GgufSetFile,
        bytes: u64,
        name: &str,
        options: &LoadOptions,
    ) -> Result<Plan, EngineError> {
        let weights = Weights { bytes, copied: !options.mmap };
        Ok(Prepared::new(&Opened { files: headers, headers_only: true, weights }, name, options)?.plan)
    }
}
