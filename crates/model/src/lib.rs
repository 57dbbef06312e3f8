//! Language model architectures as data, with one forward pass over GGUF weights
