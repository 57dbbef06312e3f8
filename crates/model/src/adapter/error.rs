//! Why a file is not an adapter of a model, or adapters do not make a set.

use happy_gguf::{ByteOrder, GgmlType};

/// An adapter that cannot be used. Nothing was changed. Names and texts from the file are shortened and escaped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AdapterError {
    /// A metadata key that says what the file is has another value.
    #[error("`{key}` is {found}, expected {expected}")]
    Key {
        /// The key.
        key: &'static str,
        /// What it must be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// The adapter was made for another architecture.
    #[error("the adapter is for the architecture `{found}`, the model is `{expected}`")]
    Architecture {
        /// The model's.
        expected: &'static str,
        /// The adapter's.
        found: String,
    },
    /// The file is big-endian.
    #[error("unsupported: a {found:?}-endian adapter")]
    ByteOrder {
        /// Its byte order.
        found: ByteOrder,
    },
    /// The file has no tensors.
    #[error("the adapter has no tensors")]
    Empty,
    /// A tensor that is neither `.lora_a` nor `.lora_b`. Leaving it out would give other results than the adapter's.
    #[error(
        "unsupported: tensor `{tensor}` of the adapter, expected names that end in `.lora_a` or `.lora_b`"
    )]
    Tensor {
        /// Its name.
        tensor: String,
    },
    /// One of the two matrices is missing.
    #[error("the adapter has no tensor `{tensor}`, although it has the other half of the pair")]
    Half {
        /// The missing tensor.
        tensor: String,
    },
    /// The model has no such matrix.
    #[error(
        "the model has no matrix `{tensor}`, to which the adapter would add: it was made for another model"
    )]
    UnknownTensor {
        /// Name of the matrix in the model.
        tensor: String,
    },
    /// A tensor has another shape than the model asks for.
    #[error(
        "tensor `{tensor}` of the adapter is {found}, expected {expected}: it was made for another model"
    )]
    Shape {
        /// Its name.
        tensor: String,
        /// Dimensions that fit the model, the row length first.
        expected: String,
        /// Its dimensions.
        found: String,
    },
    /// A tensor's type is not one that can be read.
    #[error("unsupported: tensor `{tensor}` of the adapter has type {found}")]
    Type {
        /// Its name.
        tensor: String,
        /// Its type.
        found: GgmlType,
    },
    /// A tensor's values cannot be read.
    #[error("tensor `{tensor}` of the adapter: {problem}")]
    Data {
        /// Its name.
        tensor: String,
        /// What is wrong.
        problem: String,
    },
    /// A scale that is not finite.
    #[error("the scale of adapter {index} is {scale}, expected a finite number")]
    Scale {
        /// Index in the list.
        index: usize,
        /// The scale, as text.
        scale: String,
    },
    /// Adapters of different models in one set.
    #[error("adapter {index} was loaded for another model")]
    OtherModel {
        /// Index in the list.
        index: usize,
    },
    /// A set may hold one adapter with invocation tokens.
    #[error("adapter {index} is the second that waits for invocation tokens, expected at most one in a set")]
    SecondInvoked {
        /// Index in the list.
        index: usize,
    },
    /// Memory could not be reserved.
    #[error("cannot reserve {bytes} bytes for an adapter")]
    Memory {
        /// Bytes.
        bytes: usize,
    },
}
