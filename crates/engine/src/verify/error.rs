//! Why a reference cannot be used.

/// What is wrong with a reference.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReferenceError {
    /// The file is too large to be one.
    #[error("a verification file of {found} bytes, expected at most {most}")]
    Size {
        /// Bytes of the file.
        found: usize,
        /// Most bytes.
        most: usize,
    },
    /// The file is not JSON.
    #[error("the verification file is not JSON: {0}")]
    Json(String),
    /// A member is missing or has another type or size.
    #[error("the verification file: `{place}` is not {expected}")]
    Member {
        /// Where.
        place: String,
        /// What it has to be.
        expected: &'static str,
    },
    /// The file has another version.
    #[error("a verification file of version {found}, expected {expected}: write it anew")]
    Version {
        /// Of the file.
        found: u64,
        /// Of this build.
        expected: u64,
    },
    /// Results may have changed since.
    #[error(
        "a verification file of version {found} of the numerics, this build computes version {expected}: write it anew"
    )]
    Numerics {
        /// Of the file.
        found: u64,
        /// Of this build.
        expected: u64,
    },
    /// Another build made it, which shows other steps.
    #[error("the verification file lists other steps inside the layers than this build: write it anew")]
    Steps,
    /// It is about another model.
    #[error("the verification file is of a model of architecture `{found}`, expected `{expected}`")]
    Architecture {
        /// Of the file.
        found: String,
        /// Of the model.
        expected: &'static str,
    },
    /// A token that the model does not have.
    #[error("the verification file has token id {id}, the model's ids are below {n_vocab}")]
    Token {
        /// The id.
        id: u32,
        /// Tokens of the model.
        n_vocab: usize,
    },
    /// There is no memory for it.
    #[error("no memory for a verification file of {bytes} bytes")]
    Memory {
        /// Bytes of the file.
        bytes: usize,
    },
}
