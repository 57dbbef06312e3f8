//! Tokenizers of GGUF models: byte-level BPE and SentencePiece BPE, without regular expressions
