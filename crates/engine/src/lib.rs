//! Run GGUF language models on the CPU.
//!
//! ```text
//! Engine    a loaded model with its tokenizer and chat template; immutable, shared, cheap to clone
//! Plan      the memory that running it takes, known before any of it is allocated
//! Context   KV cache, scratch and threads: prefill, decode, truncate, fork; several sequences
//! Generation  an iterator of events: text in pieces, and why it ended
//! Embedder  texts to vectors, documents to ranks
//! Form      a grammar or a JSON schema that the generated text must match
//! Session   a sequence and its conversation in a file, which survives the process
//! Reference what a device computed, against which another is verified
//! Conversation  messages and tools; an answer is a generation with its reply taken apart
//! ```
#![doc = include_str!("../README.md")]
#![deny(unsafe_code)]

mod adapters;
mod calls;
mod cancel;
mod chooser;
mod constraint;
mod context;
mod conversation;
mod decode_loop;
mod embedder;
mod engine;
mod error;
mod event;
mod finish;
mod form;
mod generate;
mod governed;
mod mmap;
mod model_file;
mod options;
mod partial_answer;
mod piece;
mod plan;
mod policy;
mod prefix;
mod reply_reader;
mod reserve;
mod sampling;
pub mod session;
mod source;
mod speculation;
mod stop;
mod transcript;
pub mod verify;
mod vocabulary;

// What a pipeline of one's own needs, in the versions that fit: one dependency is enough.
pub use happy_chat as chat;
pub use happy_gguf as gguf;
pub use happy_governor as governor;
pub use happy_grammar as grammar;
pub use happy_kernels as kernels;
pub use happy_machine::memory;
pub use happy_model as model;
pub use happy_sampler as sampler;
pub use happy_tensor as tensor;
pub use happy_tokenizer as tokenizer;

pub use adapters::AdapterFile;
pub use calls::Unconstrained;
pub use cancel::Cancel;
pub use constraint::compile_reply;
pub use context::{Context, TrimLevel};
pub use conversation::{Composed, Conversation, ConversationOptions, template_input};
pub use embedder::{EmbedOptions, Embedder, Embedding, Rank, TooLong};
pub use engine::Engine;
pub use error::EngineError;
pub use event::Event;
pub use finish::{Finish, FinishReason, Unfinished};
pub use form::Form;
pub use generate::{BatchedGeneration, GenerateOptions, Generation, Prepared};
pub use governed::{Clock, GovernorOptions, Guide, Hint};
pub use happy_machine::{Cpu, cpus, default_threads};
pub use happy_model::{Adapter, AdapterSet};
pub use model_file::ModelFile;
pub use options::LoadOptions;
pub use partial_answer::PartialAnswer;
pub use piece::TextPiece;
pub use plan::{OverBudget, Plan};
pub use policy::{ContextPolicy, UnknownPolicy};
pub use prefix::{HeldPrefix, PrefixStats, PrefixTree};
pub use sampling::{DRY_BREAKERS, dry_breakers, infill};
pub use session::Session;
pub use source::Source;
pub use speculation::{Speculation, SpeculationStats};
