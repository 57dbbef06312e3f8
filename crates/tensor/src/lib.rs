//! Element types, shapes and the block formats of quantised tensors
