//! Run GGUF language models: memory plan, sessions, prefill and decode, chat templates
