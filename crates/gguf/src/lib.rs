//! Read, check and write GGUF model files
