//! Bit-identical CPU kernels for language models on GGUF blocks: scalar, AVX2, AVX-512, NEON
