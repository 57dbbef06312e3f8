//! The types of the header: handles, results, callbacks; options are declared in `options`.
//!
//! Structs have no padding, so that a later version can add fields after the last one: what a caller compiled against an
//! older header does not give takes its default.

pub use super::options::{
    HappyEmbedOptions, HappyGenerateOptions, HappyLoadOptions, HappySamplerOptions, HappySessionOptions,
};
use happy_engine::model::Pooling;
use std::ffi::{c_char, c_void};

/// The version of this interface that the program is compiled against. `happy_abi_version` returns that of the library
/// that runs.
pub const HAPPY_ABI_VERSION: u32 = 1;

/// The value of `seed` for a new random seed in each turn.
pub const HAPPY_SEED_RANDOM: u64 = u64::MAX;

/// A loaded model, shared by its sessions. Handles are numbers that look like pointers and are never followed.
pub struct HappyModel {
    _opaque: [u8; 0],
}

/// A conversation with its KV cache and threads.
pub struct HappySession {
    _opaque: [u8; 0],
}

/// How tokens are chosen. It never changes: any number of sessions and threads may use it.
pub struct HappySampler {
    _opaque: [u8; 0],
}

/// Memory and threads that turn texts into vectors, or rank documents.
pub struct HappyEmbedder {
    _opaque: [u8; 0],
}

/// The vectors of the texts of one call. They never change: any number of threads may read them. Free them with
/// `happy_embeddings_free`.
pub struct HappyEmbeddings {
    _opaque: [u8; 0],
}

/// A flag that ends loading, generating or embedding early. Any thread may raise it, even from within callbacks.
pub struct HappyCancel {
    _opaque: [u8; 0],
}

/// The error of a call that failed. Free it with `happy_error_free`.
pub struct HappyError {
    _opaque: [u8; 0],
}

/// Text that the caller owns: UTF-8, `len` bytes, no NUL needed. `data` may be NULL if `len` is 0.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct HappyText {
    /// The first byte.
    pub data: *const c_char,
    /// Bytes.
    pub len: usize,
}

/// Text that the library made: UTF-8 (any bytes, from `happy_token_piece`), followed by a NUL. Free it with
/// `happy_string_free`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct HappyString {
    /// The first byte; NULL if there is no string.
    pub data: *mut c_char,
    /// Number of bytes, without the NUL.
    pub len: usize,
}

/// Element type of the KV cache.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KvType {
    /// 16-bit floats.
    F16 = 0,
    /// 32-bit floats: twice the memory.
    F32 = 1,
    /// 8-bit integers with a scale for every 32: little more than half the memory. For models whose heads are multiples of 32
    /// wide, without latent attention; others are refused.
    Q8_0 = 2,
}

/// How the hidden states of a text's tokens become one vector.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolingKind {
    /// As the model's file says.
    Model = 0,
    /// No pooling: a vector for each token.
    None = 1,
    /// The mean of all hidden states.
    Mean = 2,
    /// The hidden state of the first token.
    Cls = 3,
    /// The hidden state of the last token.
    Last = 4,
    /// The scores of the model's classifier: one for each label, and usually only one.
    Rank = 5,
}

/// What `happy_session_trim` gives back. Each level includes the levels before it.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrimLevel {
    /// Buffers for computing. They are allocated again for the next token, and nothing is lost.
    Scratch = 0,
    /// Snapshots. Conversations can continue, but in models with windows or recurrent layers, going back computes them
    /// again. The memory stays with the process, for reuse.
    Snapshots = 1,
    /// Branches, including those that were pinned. The memory stays with the process, for reuse.
    Branches = 2,
    /// The whole KV cache.
    Sequences = 3,
}

/// What an event is about.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// `done` of the `total` prompt tokens are computed. Comes after each part of a long prompt; the last one has
    /// `done` equal to `total`.
    Prefill = 0,
    /// `text` is the next piece of the answer.
    Text = 1,
    /// `text` is the next piece of what the model thinks before it answers.
    Reasoning = 2,
    /// The model begins to call tool `name`; it is call number `call`, from 0.
    ToolCallStart = 3,
    /// `text` is the next piece of the arguments of call `call`, as JSON: for callers that show them while they arrive.
    ToolCallArguments = 4,
    /// Call `call` is complete: tool `name`, arguments `text` (a JSON object), and `id` if the model wrote one.
    ToolCall = 5,
    /// A text that looked like a call is not a valid call; `text` says why. It follows as part of the answer. If call
    /// `call` had started, it is withdrawn.
    MalformedCall = 6,
    /// The end of the turn: `finish` says why.
    Done = 7,
}

/// Why a turn ended.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinishReason {
    /// The model ended its answer.
    End = 0,
    /// A stop string was reached.
    StopString = 1,
    /// The limit of tokens was reached.
    Length = 2,
    /// The context is full.
    ContextFull = 3,
    /// The text is complete: the grammar allows nothing more.
    GrammarEnd = 4,
    /// The cancel token was raised, the callback said stop, the turn was stopped, or the session was freed.
    Cancelled = 5,
    /// The text ended before the grammar, the JSON schema or a call that had begun was complete: the limit of tokens, a
    /// full context, or no token that continues it.
    Unfinished = 6,
}

/// Receives how much of a model is loaded, from 0 to 1. Returns 0 to cancel loading, anything else to continue.
pub type HappyProgress = Option<extern "C" fn(user: *mut c_void, fraction: f32) -> i32>;

/// Receives the events of a turn. An event and its texts are valid during the call only. Returns 0 to end the turn,
/// anything else to continue. It must not throw an exception or jump out of the call; calls for the same session give
/// `HAPPY_BUSY`.
pub type HappyOnEvent = Option<extern "C" fn(user: *mut c_void, event: *const HappyEvent) -> i32>;

/// Receives the library's messages; `text` has `len` bytes and a NUL. May be called from any thread that calls the
/// library.
pub type HappyOnLog = Option<extern "C" fn(user: *mut c_void, level: i32, text: *const c_char, len: usize)>;

/// A part of an open file.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct HappyFilePart {
    /// The file's descriptor, which is duplicated: it may be closed after the call.
    pub fd: i32,
    /// Must be 0.
    pub reserved: u32,
    /// Offset of the part in the file, in bytes.
    pub offset: u64,
    /// Length of the part in bytes; 0: to the end of the file.
    pub length: u64,
}

/// The memory that running a model takes. Set `size` before the call.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct HappyPlan {
    /// `sizeof(HappyPlan)`.
    pub size: u32,
    /// 1 if it fits the budget, otherwise 0.
    pub fits: u32,
    /// Maximum bytes of anonymous memory without grammars and tools: KV cache, scratch, tables, tokenizer, and the
    /// weights if they are copied.
    pub anon_bytes: u64,
    /// The budget in bytes: the option `memory_budget`, or what the machine has free and the limits of the process
    /// (control groups, RLIMIT_DATA, RLIMIT_AS) leave. UINT64_MAX if the system does not tell.
    pub budget_bytes: u64,
    /// Bytes of the weights.
    pub weight_bytes: u64,
    /// Bytes of the KV cache when all of it is used.
    pub kv_bytes: u64,
    /// Bytes of activations and scratch.
    pub scratch_bytes: u64,
    /// Bytes of the tokenizer's tables.
    pub tokenizer_bytes: u64,
    /// Size of a session's context in tokens.
    pub context: u32,
    /// If the plan does not fit: the largest context that would fit, or 0 if none would. Otherwise the same as
    /// `context`.
    pub fitting_context: u32,
    /// Maximum number of prompt tokens in one pass.
    pub batch: u32,
    /// Number of threads.
    pub threads: u32,
    /// 1 if the weights are read into anonymous memory.
    pub weights_copied: u32,
    /// The context that was planned for at first, if it had to shrink to fit the budget; otherwise 0. It shrinks only
    /// if the options leave its size open.
    pub shrunk_from: u32,
    /// Maximum bytes of the model's tables: layers, norms, biases.
    pub table_bytes: u64,
    /// Maximum bytes of the vocabulary that grammars, JSON schemas and tools need, in addition to `anon_bytes`. They
    /// are taken when the first of these is used; if the budget has no room for them, that turn fails with
    /// `HAPPY_MEMORY`.
    pub grammar_bytes: u64,
    /// The part of `kv_bytes` that holds the states of recurrent layers; 0 if the model has none.
    pub state_bytes: u64,
    /// The part of `kv_bytes` that holds snapshots (`snapshot_bytes` of the load options); 0 if the model needs none.
    pub snapshot_bytes: u64,
}

/// A number to add to the logit of a token.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct HappyLogitBias {
    /// The token's id.
    pub token: u32,
    /// The number to add: finite, or minus infinity, which forbids the token.
    pub bias: f32,
}

/// Something that happened in a turn. For `happy_next`: set `size` before the call; the texts are valid until the next
/// call for the session.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct HappyEvent {
    /// `sizeof(HappyEvent)`; in callbacks, the size that the library has.
    pub size: u32,
    /// A `HappyEventKind`; ignore kinds that you do not know.
    pub kind: i32,
    /// `HAPPY_EVENT_DONE`: a `HappyFinishReason`; `happy_session_finish` says more.
    pub finish: i32,
    /// Events of tool calls: the call's number, from 0; -1 without a call.
    pub call: i32,
    /// `HAPPY_EVENT_PREFILL`: prompt tokens that are computed.
    pub done: u64,
    /// `HAPPY_EVENT_PREFILL`: prompt tokens that have to be computed.
    pub total: u64,
    /// Text, as the kind says.
    pub text: HappyText,
    /// Events of tool calls: the tool's name.
    pub name: HappyText,
    /// `HAPPY_EVENT_TOOL_CALL`, `HAPPY_EVENT_TOOL_CALL_START`: the id that the model gave the call; usually empty.
    pub id: HappyText,
}

/// What a turn took. Set `size` before the call.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct HappyFinish {
    /// `sizeof(HappyFinish)`.
    pub size: u32,
    /// A `HappyFinishReason`.
    pub reason: i32,
    /// Prompt tokens that were computed.
    pub prompt_tokens: u64,
    /// Prompt tokens that the KV cache already held.
    pub reused_tokens: u64,
    /// Generated tokens, including a token that ended the answer.
    pub generated_tokens: u64,
    /// Seconds for the prompt.
    pub prefill_seconds: f64,
    /// Seconds for the generated tokens after the first.
    pub decode_seconds: f64,
    /// Computed prompt tokens per second.
    pub prefill_rate: f64,
    /// Generated tokens after the first, per second.
    pub decode_rate: f64,
}

/// The memory of a session and of the process, in bytes. Set `size` before the call.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct HappyMemory {
    /// `sizeof(HappyMemory)`.
    pub size: u32,
    /// 1 if the weights are in anonymous memory.
    pub weights_copied: u32,
    /// The weights; file-backed unless they are copied.
    pub weight_bytes: u64,
    /// The KV cache when all of it is used.
    pub kv_bytes: u64,
    /// The part of the KV cache that is in use.
    pub kv_resident_bytes: u64,
    /// Activations and scratch.
    pub scratch_bytes: u64,
    /// The tokenizer's tables.
    pub tokenizer_bytes: u64,
    /// The process: anonymous pages. 0 if the system does not tell, as for the next two.
    pub process_anon_bytes: u64,
    /// The process: pages of mapped files.
    pub process_file_bytes: u64,
    /// The process: the highest resident size so far.
    pub process_peak_bytes: u64,
    /// Number of positions of the context that are in use.
    pub positions: u64,
}

/// What the turns of a session did not have to compute. Set `size` before the call.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct HappyReuse {
    /// `sizeof(HappyReuse)`.
    pub size: u32,
    /// Number of sequences that are kept in addition to the conversation's own: see the load option `branches`.
    pub branches: u32,
    /// Number of prompts so far.
    pub prompts: u64,
    /// Number of tokens of those prompts.
    pub prompt_tokens: u64,
    /// Number of those tokens that the KV cache already held.
    pub reused_tokens: u64,
    /// Number of branches that were dropped because memory or branches ran out.
    pub evicted_branches: u64,
    /// Number of messages that the last turn's prompt left out, as the option `context_policy` says.
    pub dropped_messages: u64,
    /// Number of tokens that were guessed and computed ahead: see the load option `draft_tokens`.
    pub guessed_tokens: u64,
    /// Number of guesses that turned out right. Each saved a pass.
    pub accepted_tokens: u64,
    /// Number of tokens that the last turn dropped from the context when it was full: see the option `context_policy`, `shift`.
    pub shifted_tokens: u64,
}

/// The properties of an embedder. Set `size` before the call.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct HappyEmbedderInfo {
    /// `sizeof(HappyEmbedderInfo)`.
    pub size: u32,
    /// A `HappyPooling`; never `HAPPY_POOLING_MODEL`.
    pub pooling: i32,
    /// Number of values of a vector.
    pub width: u32,
    /// Maximum number of tokens of a text.
    pub most_tokens: u32,
}

/// The vector of a text. Set `size` before the call.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct HappyEmbedding {
    /// `sizeof(HappyEmbedding)`.
    pub size: u32,
    /// Number of values of a vector.
    pub width: u32,
    /// The text's vector; with `HAPPY_POOLING_NONE` the vectors of its tokens, one after the other. Valid until the
    /// embeddings are freed.
    pub values: *const f32,
    /// Values: `width`, or with `HAPPY_POOLING_NONE` `width` times `tokens`.
    pub count: usize,
    /// Tokens that were computed.
    pub tokens: u64,
    /// Number of tokens that were left out because the text is too long.
    pub left_out: u64,
}

/// How well a document matches a query.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct HappyRank {
    /// The index of the document among those given, from 0.
    pub index: u32,
    /// The model's score, the higher the better; its scale is the model's own.
    pub score: f32,
}

impl From<Option<Pooling>> for PoolingKind {
    fn from(pooling: Option<Pooling>) -> Self {
        match pooling {
            None => Self::Model,
            Some(Pooling::None) => Self::None,
            Some(Pooling::Mean) => Self::Mean,
            Some(Pooling::Cls) => Self::Cls,
            Some(Pooling::Last) => Self::Last,
            Some(Pooling::Rank) => Self::Rank,
        }
    }
}
