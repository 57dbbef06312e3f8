//! The errors of adapters and sets of adapters.

use happy_gguf::{ByteOrder, GgmlType};

/// Why an adapter cannot be used. Nothing was changed. Names and texts from the file are shortened and escaped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AdapterError {
    /// A metadata key has a value that an adapter cannot have.
    #[error("`{key}` is {found}, expected {expected}")]
    Key {
        /// The key.
        key: &'static str,
        /// The allowed value.
        expected: String,
        /// The value in the file.
        found: String,
    },
    /// The adapter was made for another architecture.
    #[error("the adapter is for the architecture `{found}`, the model is `{expected}`")]
    Architecture {
        /// The model's architecture.
        expected: &'static str,
        /// The adapter's architecture.
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
    /// A tensor is neither `.lora_a` nor `.lora_b`. Ignoring it would give other results than the adapter's.
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
    /// A tensor's shape does not fit the model.
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
    /// A tensor's type cannot be decoded.
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
    /// A scale is not finite.
    #[error("the scale of adapter {index} is {scale}, expected a finite number")]
    Scale {
        /// Index in the list.
        index: usize,
        /// The scale, as text.
        scale: String,
    },
    /// The adapters of a set belong to different models.
    #[error("adapter {index} was loaded for another model")]
    OtherModel {
        /// Index in the list.
        index: usize,
    },
    /// A set has more than one adapter with invocation tokens.
    #[error("adapter {index} is the second that waits for invocation tokens, expected at most one in a set")]
    SecondInvoked {
        /// Index in the list.
        index: usize,
    },
    /// Memory could not be reserved.
    #[error("cannot reserve {bytes} bytes for an adapter")]
    Memory {
        /// The number of bytes.
        bytes: usize,
    },
}
