// The functions, structs and constants of libhappy. Made by `cargo xtask dart` from crates/ffi/include/happy.h; do not edit.
//
// ignore_for_file: type=lint, unused_element, camel_case_types, non_constant_identifier_names, constant_identifier_names
// dart format off

import 'dart:ffi' as ffi;

/// The version of this interface that the program is compiled against. `happy_abi_version` returns that of the library
/// that runs.
const int HAPPY_ABI_VERSION = 1;

/// The value of `seed` for a new random seed in each turn.
const int HAPPY_SEED_RANDOM = -1;

/// How a call ended, by what the caller can do about it. The error's message says what, where, expected and found.
abstract final class HappyStatus {
  /// The call succeeded.
  static const int HAPPY_OK = 0;
  /// An argument or option is wrong: fix the call.
  static const int HAPPY_INVALID_ARGUMENT = 1;
  /// The handle is null, of another kind, or was freed: fix the program.
  static const int HAPPY_INVALID_HANDLE = 2;
  /// The session or embedder is in use by another call, or the session has a turn that was not read to its end: wait,
  /// or stop the turn.
  static const int HAPPY_BUSY = 3;
  /// The cancel token was raised, or the progress callback returned 0.
  static const int HAPPY_CANCELLED = 4;
  /// The file or file descriptor cannot be read or written: check the path, the permissions, the offset and the free
  /// space.
  static const int HAPPY_FILE = 5;
  /// The file is not a GGUF model, is damaged, or its architecture is not supported: another file is needed.
  static const int HAPPY_MODEL = 6;
  /// The plan is over the budget, or the system refused memory: plan for less, as the message says.
  static const int HAPPY_MEMORY = 7;
  /// The conversation, the text or the session's file does not fit the context: shorten it, or load with a larger
  /// context.
  static const int HAPPY_CONTEXT_FULL = 8;
  /// The model has no chat template, or its template refuses the messages.
  static const int HAPPY_TEMPLATE = 9;
  /// The grammar or JSON schema is wrong; the message has the line and column, if there are any.
  static const int HAPPY_GRAMMAR = 10;
  /// The file has no tokenizer, the text cannot be tokenized, or a token id is outside the vocabulary.
  static const int HAPPY_TOKENIZER = 11;
  /// Not supported yet, by this version or on this machine.
  static const int HAPPY_UNSUPPORTED = 12;
  /// The system refused something else, such as a thread.
  static const int HAPPY_SYSTEM = 13;
  /// An error of this library, which was contained: please report it. The session or embedder in which it happened must
  /// be freed.
  static const int HAPPY_INTERNAL = 14;
  /// The session's file is damaged, of another version, sealed with another key, or its token ids mean something else
  /// here. Another file or key is needed.
  static const int HAPPY_SESSION_FILE = 15;
  /// The session's file was computed with another model, adapter, kind of KV cache or version of the library, with the same
  /// vocabulary: `happy_session_replay` computes its tokens again.
  static const int HAPPY_REPLAY = 16;
}

/// Element type of the KV cache.
abstract final class HappyKvType {
  /// 16-bit floats.
  static const int HAPPY_KV_F16 = 0;
  /// 32-bit floats: twice the memory.
  static const int HAPPY_KV_F32 = 1;
  /// 8-bit integers with a scale for every 32: little more than half the memory. For models whose heads are multiples of 32
  /// wide, without latent attention; others are refused.
  static const int HAPPY_KV_Q8_0 = 2;
}

/// Which messages a log callback receives.
abstract final class HappyLogLevel {
  /// Nothing.
  static const int HAPPY_LOG_OFF = 0;
  /// Calls that failed.
  static const int HAPPY_LOG_ERROR = 1;
  /// Also: what was loaded, and what each turn took.
  static const int HAPPY_LOG_INFO = 2;
}

/// What an event is about.
abstract final class HappyEventKind {
  /// `done` of the `total` prompt tokens are computed. Comes after each part of a long prompt; the last one has
  /// `done` equal to `total`.
  static const int HAPPY_EVENT_PREFILL = 0;
  /// `text` is the next piece of the answer.
  static const int HAPPY_EVENT_TEXT = 1;
  /// `text` is the next piece of what the model thinks before it answers.
  static const int HAPPY_EVENT_REASONING = 2;
  /// The model begins to call tool `name`; it is call number `call`, from 0.
  static const int HAPPY_EVENT_TOOL_CALL_START = 3;
  /// `text` is the next piece of the arguments of call `call`, as JSON: for callers that show them while they arrive.
  static const int HAPPY_EVENT_TOOL_CALL_ARGUMENTS = 4;
  /// Call `call` is complete: tool `name`, arguments `text` (a JSON object), and `id` if the model wrote one.
  static const int HAPPY_EVENT_TOOL_CALL = 5;
  /// A text that looked like a call is not a valid call; `text` says why. It follows as part of the answer. If call
  /// `call` had started, it is withdrawn.
  static const int HAPPY_EVENT_MALFORMED_CALL = 6;
  /// The end of the turn: `finish` says why.
  static const int HAPPY_EVENT_DONE = 7;
}

/// Why a turn ended.
abstract final class HappyFinishReason {
  /// The model ended its answer.
  static const int HAPPY_FINISH_END = 0;
  /// A stop string was reached.
  static const int HAPPY_FINISH_STOP_STRING = 1;
  /// The limit of tokens was reached.
  static const int HAPPY_FINISH_LENGTH = 2;
  /// The context is full.
  static const int HAPPY_FINISH_CONTEXT_FULL = 3;
  /// The text is complete: the grammar allows nothing more.
  static const int HAPPY_FINISH_GRAMMAR_END = 4;
  /// The cancel token was raised, the callback said stop, the turn was stopped, or the session was freed.
  static const int HAPPY_FINISH_CANCELLED = 5;
  /// The text ended before the grammar, the JSON schema or a call that had begun was complete: the limit of tokens, a
  /// full context, or no token that continues it.
  static const int HAPPY_FINISH_UNFINISHED = 6;
}

/// How the hidden states of a text's tokens become one vector.
abstract final class HappyPooling {
  /// As the model's file says.
  static const int HAPPY_POOLING_MODEL = 0;
  /// No pooling: a vector for each token.
  static const int HAPPY_POOLING_NONE = 1;
  /// The mean of all hidden states.
  static const int HAPPY_POOLING_MEAN = 2;
  /// The hidden state of the first token.
  static const int HAPPY_POOLING_CLS = 3;
  /// The hidden state of the last token.
  static const int HAPPY_POOLING_LAST = 4;
  /// The scores of the model's classifier: one for each label, and usually only one.
  static const int HAPPY_POOLING_RANK = 5;
}

/// What `happy_session_trim` gives back. Each level includes the levels before it.
abstract final class HappyTrimLevel {
  /// Buffers for computing. They are allocated again for the next token, and nothing is lost.
  static const int HAPPY_TRIM_SCRATCH = 0;
  /// Snapshots. Conversations can continue, but in models with windows or recurrent layers, going back computes them
  /// again. The memory stays with the process, for reuse.
  static const int HAPPY_TRIM_SNAPSHOTS = 1;
  /// Branches, including those that were pinned. The memory stays with the process, for reuse.
  static const int HAPPY_TRIM_BRANCHES = 2;
  /// The whole KV cache.
  static const int HAPPY_TRIM_SEQUENCES = 3;
}

/// A flag that ends loading, generating or embedding early. Any thread may raise it, even from within callbacks.
final class HappyCancel extends ffi.Opaque {}

/// Memory and threads that turn texts into vectors, or rank documents.
final class HappyEmbedder extends ffi.Opaque {}

/// The vectors of the texts of one call. They never change: any number of threads may read them. Free them with
/// `happy_embeddings_free`.
final class HappyEmbeddings extends ffi.Opaque {}

/// The error of a call that failed. Free it with `happy_error_free`.
final class HappyError extends ffi.Opaque {}

/// A loaded model, shared by its sessions. Handles are numbers that look like pointers and are never followed.
final class HappyModel extends ffi.Opaque {}

/// How tokens are chosen. It never changes: any number of sessions and threads may use it.
final class HappySampler extends ffi.Opaque {}

/// A conversation with its KV cache and threads.
final class HappySession extends ffi.Opaque {}

/// Receives the library's messages; `text` has `len` bytes and a NUL. May be called from any thread that calls the
/// library.
typedef HappyOnLog = ffi.Pointer<ffi.NativeFunction<HappyOnLogFunction>>;

/// A [HappyOnLog] as C sees it.
typedef HappyOnLogFunction = ffi.Void Function(ffi.Pointer<ffi.Void> user, ffi.Int32 level, ffi.Pointer<ffi.Char> text, ffi.Size len);

/// A [HappyOnLog] as Dart sees it.
typedef DartHappyOnLogFunction = void Function(ffi.Pointer<ffi.Void> user, int level, ffi.Pointer<ffi.Char> text, int len);

/// Receives how much of a model is loaded, from 0 to 1. Returns 0 to cancel loading, anything else to continue.
typedef HappyProgress = ffi.Pointer<ffi.NativeFunction<HappyProgressFunction>>;

/// A [HappyProgress] as C sees it.
typedef HappyProgressFunction = ffi.Int32 Function(ffi.Pointer<ffi.Void> user, ffi.Float fraction);

/// A [HappyProgress] as Dart sees it.
typedef DartHappyProgressFunction = int Function(ffi.Pointer<ffi.Void> user, double fraction);

/// Receives the events of a turn. An event and its texts are valid during the call only. Returns 0 to end the turn,
/// anything else to continue. It must not throw an exception or jump out of the call; calls for the same session give
/// `HAPPY_BUSY`.
typedef HappyOnEvent = ffi.Pointer<ffi.NativeFunction<HappyOnEventFunction>>;

/// A [HappyOnEvent] as C sees it.
typedef HappyOnEventFunction = ffi.Int32 Function(ffi.Pointer<ffi.Void> user, ffi.Pointer<HappyEvent> event);

/// A [HappyOnEvent] as Dart sees it.
typedef DartHappyOnEventFunction = int Function(ffi.Pointer<ffi.Void> user, ffi.Pointer<HappyEvent> event);

/// Text that the library made: UTF-8 (any bytes, from `happy_token_piece`), followed by a NUL. Free it with
/// `happy_string_free`.
final class HappyString extends ffi.Struct {
  /// The first byte; NULL if there is no string.
  external ffi.Pointer<ffi.Char> data;

  /// Number of bytes, without the NUL.
  @ffi.Size()
  external int len;
}

/// Text that the caller owns: UTF-8, `len` bytes, no NUL needed. `data` may be NULL if `len` is 0.
final class HappyText extends ffi.Struct {
  /// The first byte.
  external ffi.Pointer<ffi.Char> data;

  /// Bytes.
  @ffi.Size()
  external int len;
}

/// How to load a model. Begin with `happy_load_options_init`.
final class HappyLoadOptions extends ffi.Struct {
  /// `sizeof(HappyLoadOptions)`.
  @ffi.Uint32()
  external int size;

  /// Number of threads, including the caller's, at most 256. 0, the default: all big cores but one, or all cores if
  /// they are equal.
  @ffi.Uint32()
  external int threads;

  /// Size of a session's context in tokens. 0, the default: what the model was trained for, but at most 4,096 and what
  /// fits the budget.
  @ffi.Uint32()
  external int context;

  /// Maximum number of prompt tokens in one pass. Results do not depend on it. 0 and the default: 256.
  @ffi.Uint32()
  external int batch;

  /// Maximum bytes of anonymous memory for the model and one session. 0, the default: what the machine has free, or
  /// less if the limits of the process are lower.
  @ffi.Uint64()
  external int memory_budget;

  /// Instruction set, such as `scalar`, `avx2` or `dotprod`; `happy_cpu` lists those of this machine, and another one
  /// gives `HAPPY_UNSUPPORTED`. Empty, the default: the best that the machine has.
  external HappyText isa;

  /// Called while loading, on the caller's thread; may be NULL.
  external HappyProgress progress;

  /// Passed to `progress` as `user`.
  external ffi.Pointer<ffi.Void> progress_user;

  /// Ends loading early, with `HAPPY_CANCELLED`; may be NULL.
  external ffi.Pointer<HappyCancel> cancel;

  /// Element type of the KV cache, a `HappyKvType`. Default: `HAPPY_KV_F16`.
  @ffi.Int32()
  external int kv_type;

  /// 0, the default: map the file, which no program may write to or truncate while the model is loaded. 1: read it into
  /// anonymous memory.
  @ffi.Uint32()
  external int copy;

  /// Adapters (LoRA) with which sessions begin, in the order in which their results are added. Each is the path of a
  /// file, or `FILE=SCALE`; the scale is 1 if none is given. NULL: no adapters.
  external ffi.Pointer<HappyText> adapters;

  /// Number of elements.
  @ffi.Size()
  external int n_adapters;

  /// Maximum rank of adapters to plan for: the sum of the ranks of all adapters that a session uses at once. 0, the
  /// default: that of `adapters`.
  @ffi.Uint32()
  external int adapter_rank;

  /// 1: load for embedders instead of sessions. A text runs in one pass, several texts share one, and there are no
  /// logits; sessions of such a model cannot generate. 0, the default: load for sessions.
  @ffi.Uint32()
  external int embeddings;

  /// Maximum bytes for snapshots. In models with windows or recurrent states, a conversation can go back only to a
  /// snapshot; without one, it is computed again from the beginning. At most an eighth of the memory budget is taken,
  /// and nothing for models that need no snapshots. Default: 33554432 (32 MiB); 0: no snapshots.
  @ffi.Uint64()
  external int snapshot_bytes;

  /// Number of prompts that a session keeps computed in addition to that of its conversation: for branches, edits and
  /// pinned prefixes. Default: 0.
  @ffi.Uint32()
  external int branches;

  /// Maximum number of tokens, from 0 to 7, that sessions guess from their own texts and compute ahead. If a text
  /// repeats its prompt, as an edit or a summary does, answers come faster, with the same words. Each guess takes
  /// memory for its logits; if memory is short, fewer are guessed. Default: 0, no guesses.
  @ffi.Uint32()
  external int draft_tokens;

  /// Bytes for the keys and values that the prompts of `branches` don't share with the conversation. If they need more,
  /// the least recently used are dropped. Default: 0.
  @ffi.Uint64()
  external int branch_bytes;

  /// 1: sessions also guess with the file's draft head (multi-token prediction), if `draft_tokens` is not 0. A file
  /// without one is refused with `HAPPY_MODEL`. 0, the default: they guess from their texts alone.
  @ffi.Uint32()
  external int draft_head;

  /// Must be 0.
  @ffi.Uint32()
  external int reserved;
}

/// The memory that running a model takes. Set `size` before the call.
final class HappyPlan extends ffi.Struct {
  /// `sizeof(HappyPlan)`.
  @ffi.Uint32()
  external int size;

  /// 1 if it fits the budget, otherwise 0.
  @ffi.Uint32()
  external int fits;

  /// Maximum bytes of anonymous memory without grammars and tools: KV cache, scratch, tables, tokenizer, and the
  /// weights if they are copied.
  @ffi.Uint64()
  external int anon_bytes;

  /// The budget in bytes: the option `memory_budget`, or what the machine has free and the limits of the process
  /// (control groups, RLIMIT_DATA, RLIMIT_AS) leave. UINT64_MAX if the system does not tell.
  @ffi.Uint64()
  external int budget_bytes;

  /// Bytes of the weights.
  @ffi.Uint64()
  external int weight_bytes;

  /// Bytes of the KV cache when all of it is used.
  @ffi.Uint64()
  external int kv_bytes;

  /// Bytes of activations and scratch.
  @ffi.Uint64()
  external int scratch_bytes;

  /// Bytes of the tokenizer's tables.
  @ffi.Uint64()
  external int tokenizer_bytes;

  /// Size of a session's context in tokens.
  @ffi.Uint32()
  external int context;

  /// If the plan does not fit: the largest context that would fit, or 0 if none would. Otherwise the same as
  /// `context`.
  @ffi.Uint32()
  external int fitting_context;

  /// Maximum number of prompt tokens in one pass.
  @ffi.Uint32()
  external int batch;

  /// Number of threads.
  @ffi.Uint32()
  external int threads;

  /// 1 if the weights are read into anonymous memory.
  @ffi.Uint32()
  external int weights_copied;

  /// The context that was planned for at first, if it had to shrink to fit the budget; otherwise 0. It shrinks only
  /// if the options leave its size open.
  @ffi.Uint32()
  external int shrunk_from;

  /// Maximum bytes of the model's tables: layers, norms, biases.
  @ffi.Uint64()
  external int table_bytes;

  /// Maximum bytes of the vocabulary that grammars, JSON schemas and tools need, in addition to `anon_bytes`. They
  /// are taken when the first of these is used; if the budget has no room for them, that turn fails with
  /// `HAPPY_MEMORY`.
  @ffi.Uint64()
  external int grammar_bytes;

  /// The part of `kv_bytes` that holds the states of recurrent layers; 0 if the model has none.
  @ffi.Uint64()
  external int state_bytes;

  /// The part of `kv_bytes` that holds snapshots (`snapshot_bytes` of the load options); 0 if the model needs none.
  @ffi.Uint64()
  external int snapshot_bytes;
}

/// A part of an open file.
final class HappyFilePart extends ffi.Struct {
  /// The file's descriptor, which is duplicated: it may be closed after the call.
  @ffi.Int32()
  external int fd;

  /// Must be 0.
  @ffi.Uint32()
  external int reserved;

  /// Offset of the part in the file, in bytes.
  @ffi.Uint64()
  external int offset;

  /// Length of the part in bytes; 0: to the end of the file.
  @ffi.Uint64()
  external int length;
}

/// A number to add to the logit of a token.
final class HappyLogitBias extends ffi.Struct {
  /// The token's id.
  @ffi.Uint32()
  external int token;

  /// The number to add: finite, or minus infinity, which forbids the token.
  @ffi.Float()
  external double bias;
}

/// How to choose tokens; names, defaults and order are llama.cpp's. Begin with `happy_sampler_options_init`.
final class HappySamplerOptions extends ffi.Struct {
  /// `sizeof(HappySamplerOptions)`.
  @ffi.Uint32()
  external int size;

  /// Keep this many of the most probable tokens. 0 keeps all. Default: 40.
  @ffi.Uint32()
  external int top_k;

  /// Seed of the random choice; every turn starts from it. `HAPPY_SEED_RANDOM`, the default: another one each turn.
  @ffi.Uint64()
  external int seed;

  /// Divide the logits by this. At least 0; 0 always takes the best token, 1 changes nothing. Default: 0.8.
  @ffi.Float()
  external double temperature;

  /// Keep the most probable tokens until their probabilities add up to this. From 0 to 1; 1 keeps all. Default: 0.95.
  @ffi.Float()
  external double top_p;

  /// Keep tokens whose probability is at least this share of the best one's. From 0 to 1; 0 keeps all. Default: 0.05.
  @ffi.Float()
  external double min_p;

  /// Keep the tokens whose surprise is nearest to the entropy, until their probabilities add up to this. From 0 to 1; 1
  /// keeps all. Default: 1.
  @ffi.Float()
  external double typical;

  /// Keep tokens whose logit is at most this many standard deviations below the best one. At least 0; 0 keeps all.
  /// Default: 0.
  @ffi.Float()
  external double top_n_sigma;

  /// Probability that all top choices except for the least probable one are excluded (XTC). From 0 to 1; 0 turns XTC
  /// off. Default: 0.
  @ffi.Float()
  external double xtc_probability;

  /// Minimum probability of a top choice. Tokens at or above it are candidates for exclusion; values above 0.5 turn XTC
  /// off. From 0 to 1. Default: 0.1.
  @ffi.Float()
  external double xtc_threshold;

  /// Let the temperature follow the entropy, between the temperature minus and plus this. At least 0; 0 keeps it fixed.
  /// Default: 0.
  @ffi.Float()
  external double dynatemp_range;

  /// Exponent of the entropy for the dynamic temperature. At least 0. Default: 1.
  @ffi.Float()
  external double dynatemp_exponent;

  /// Divide positive logits of recent tokens by this, and multiply negative ones by it. Above 0; 1 is neutral, and
  /// values below 1 favor repetition. Default: 1.
  @ffi.Float()
  external double repeat_penalty;

  /// Subtract this from a logit for each recent occurrence of its token. Any finite number; 0 is neutral, and negative
  /// values favor repetition. Default: 0.
  @ffi.Float()
  external double frequency_penalty;

  /// Subtract this once from the logits of recent tokens. Any finite number; 0 is neutral, and negative values favor
  /// repetition. Default: 0.
  @ffi.Float()
  external double presence_penalty;

  /// Penalty of a token that would make a repetition one token longer than DRY allows. At least 0; 0 turns DRY off.
  /// Default: 0.
  @ffi.Float()
  external double dry_multiplier;

  /// Factor by which DRY's penalty grows with each further token of a repetition. At least 0; below 1 turns DRY off.
  /// Default: 1.75.
  @ffi.Float()
  external double dry_base;

  /// Target surprise of Mirostat in bits (tau). At least 0. Default: 5.
  @ffi.Float()
  external double mirostat_tau;

  /// Learning rate of Mirostat (eta). At least 0. Default: 0.1.
  @ffi.Float()
  external double mirostat_eta;

  /// Prefer tokens whose probability is near this (adaptive-p). From 0 to 1; below 0 is an ordinary draw. Default: -1.
  @ffi.Float()
  external double adaptive_target;

  /// Weight of the past in adaptive-p's average of its choices: 0.9 averages over about 10 tokens, 0.99 over about 100.
  /// From 0 to 0.99. Default: 0.9.
  @ffi.Float()
  external double adaptive_decay;

  /// Number of recent tokens that the penalties look at. At most 1,048,576; 0 turns them off. Default: 64.
  @ffi.Uint32()
  external int penalty_last_n;

  /// Length in tokens of the longest repetition that DRY allows: it penalizes tokens that would make one longer. 0
  /// penalizes every recent token. Default: 2.
  @ffi.Uint32()
  external int dry_allowed_length;

  /// Number of recent tokens in which DRY looks for repetitions. At most 1,048,576; 0 turns DRY off. Default: 64.
  @ffi.Uint32()
  external int dry_last_n;

  /// Minimum number of tokens that top-p, min-p, typical and XTC keep. Default: 0, which is like 1.
  @ffi.Uint32()
  external int min_keep;

  /// Version of Mirostat, which replaces all steps but temperature and logit bias: 1 or 2. 0 turns it off. Default: 0.
  @ffi.Uint32()
  external int mirostat;

  /// Must be 0.
  @ffi.Uint32()
  external int reserved;

  /// The samplers and their order, separated by `;`: penalties, dry, top_n_sigma, top_k, typ_p, top_p, min_p, xtc,
  /// temperature, infill, adaptive_p. Empty: these without the last two.
  external HappyText order;

  /// Texts that end a repetition for DRY. NULL: line end, `:`, `"` and `*`.
  external ffi.Pointer<HappyText> dry_breakers;

  /// Number of elements.
  @ffi.Size()
  external int n_dry_breakers;

  /// Numbers to add to the logits of tokens: finite, or minus infinity, which forbids a token. NULL: none.
  external ffi.Pointer<HappyLogitBias> logit_bias;

  /// Number of elements.
  @ffi.Size()
  external int n_logit_bias;
}

/// The settings of a session. Begin with `happy_session_options_init`.
final class HappySessionOptions extends ffi.Struct {
  /// `sizeof(HappySessionOptions)`.
  @ffi.Uint32()
  external int size;

  /// 1: answer even if the chat template has no place for the system message, the tools or a variable, which the model
  /// then never sees. 0, the default: such a turn fails with `HAPPY_TEMPLATE`.
  @ffi.Uint32()
  external int ignore_unused;

  /// The system message. Empty: no system message.
  external HappyText system;

  /// A JSON array of tools that the model may call, as its template takes them (mostly OpenAI's form). Empty: no tools.
  external HappyText tools;

  /// A JSON object with additional variables for the template, such as `{"enable_thinking": false}`. Empty: no
  /// variables.
  external HappyText template_vars;

  /// What happens when the messages leave too little of the context for an answer: `stop` (the turn fails with
  /// `HAPPY_CONTEXT_FULL`), `drop-oldest` (the prompt leaves the oldest turns out; `happy_session_reuse` tells how many
  /// messages), or `shift` (as `drop-oldest`, and an answer that fills the context goes on without the older half of
  /// it: its text differs from then on; `happy_session_reuse` tells how many tokens). Empty: `stop`.
  external HappyText context_policy;

  /// Key that seals the session's files (XChaCha20-Poly1305): 32 random bytes as 64 hexadecimal digits. Empty: files
  /// are not sealed.
  external HappyText file_key;

  /// Lets a governor choose the number of threads, up to those of the plan, and the pace, by measured speed and what
  /// the system and `happy_report_device` tell of heat: `fastest` (as fast as the device can sustain), `rate=8` (at
  /// most 8 tokens per second, with little energy; 0.01 to 1,000,000) or `energy=0.3` (up to 30% slower, to save
  /// energy; 0 to 0.9). The words don't depend on it. Empty: all threads, without pauses.
  external HappyText governor;

  /// Path of a file in which the governor keeps measured speeds, so that the next session begins with them. Empty: each
  /// session measures during its first answer, for a second or two.
  external HappyText governor_cache;
}

/// The memory of a session and of the process, in bytes. Set `size` before the call.
final class HappyMemory extends ffi.Struct {
  /// `sizeof(HappyMemory)`.
  @ffi.Uint32()
  external int size;

  /// 1 if the weights are in anonymous memory.
  @ffi.Uint32()
  external int weights_copied;

  /// The weights; file-backed unless they are copied.
  @ffi.Uint64()
  external int weight_bytes;

  /// The KV cache when all of it is used.
  @ffi.Uint64()
  external int kv_bytes;

  /// The part of the KV cache that is in use.
  @ffi.Uint64()
  external int kv_resident_bytes;

  /// Activations and scratch.
  @ffi.Uint64()
  external int scratch_bytes;

  /// The tokenizer's tables.
  @ffi.Uint64()
  external int tokenizer_bytes;

  /// The process: anonymous pages. 0 if the system does not tell, as for the next two.
  @ffi.Uint64()
  external int process_anon_bytes;

  /// The process: pages of mapped files.
  @ffi.Uint64()
  external int process_file_bytes;

  /// The process: the highest resident size so far.
  @ffi.Uint64()
  external int process_peak_bytes;

  /// Number of positions of the context that are in use.
  @ffi.Uint64()
  external int positions;
}

/// What the turns of a session did not have to compute. Set `size` before the call.
final class HappyReuse extends ffi.Struct {
  /// `sizeof(HappyReuse)`.
  @ffi.Uint32()
  external int size;

  /// Number of sequences that are kept in addition to the conversation's own: see the load option `branches`.
  @ffi.Uint32()
  external int branches;

  /// Number of prompts so far.
  @ffi.Uint64()
  external int prompts;

  /// Number of tokens of those prompts.
  @ffi.Uint64()
  external int prompt_tokens;

  /// Number of those tokens that the KV cache already held.
  @ffi.Uint64()
  external int reused_tokens;

  /// Number of branches that were dropped because memory or branches ran out.
  @ffi.Uint64()
  external int evicted_branches;

  /// Number of messages that the last turn's prompt left out, as the option `context_policy` says.
  @ffi.Uint64()
  external int dropped_messages;

  /// Number of tokens that were guessed and computed ahead: see the load option `draft_tokens`.
  @ffi.Uint64()
  external int guessed_tokens;

  /// Number of guesses that turned out right. Each saved a pass.
  @ffi.Uint64()
  external int accepted_tokens;

  /// Number of tokens that the last turn dropped from the context when it was full: see the option `context_policy`, `shift`.
  @ffi.Uint64()
  external int shifted_tokens;
}

/// How to generate. Begin with `happy_generate_options_init`.
final class HappyGenerateOptions extends ffi.Struct {
  /// `sizeof(HappyGenerateOptions)`.
  @ffi.Uint32()
  external int size;

  /// Maximum number of generated tokens. 0, the default: until the context is full.
  @ffi.Uint32()
  external int max_tokens;

  /// How tokens are chosen. NULL: the defaults.
  external ffi.Pointer<HappySampler> sampler;

  /// Ends the turn early, with `HAPPY_FINISH_CANCELLED`; may be NULL.
  external ffi.Pointer<HappyCancel> cancel;

  /// Texts that end the answer and are not part of it; may be NULL.
  external ffi.Pointer<HappyText> stop;

  /// Number of elements.
  @ffi.Size()
  external int n_stop;

  /// A GBNF grammar that the text must match. Empty: any text.
  external HappyText grammar;

  /// A JSON schema that the text must match. Empty: any text. Not together with a grammar.
  external HappyText json_schema;

  /// Deliver text when this many milliseconds have passed since the last text event. 0, the default: never because of
  /// time.
  @ffi.Uint32()
  external int coalesce_ms;

  /// Deliver text when this many bytes of UTF-8 have come. 0, the default: never because of size. If both are 0, text
  /// is delivered at once.
  @ffi.Uint32()
  external int coalesce_bytes;

  /// 1: continue the text as it is, without template and conversation. 0, the default: answer a message.
  @ffi.Uint32()
  external int raw;

  /// 1: take the whole turn back when it is cancelled. 0, the default: keep what was answered as the assistant's
  /// message.
  @ffi.Uint32()
  external int drop_cancelled;

  /// 1: continue when the model wants to end its answer. 0, the default: end there.
  @ffi.Uint32()
  external int ignore_end;

  /// Must be 0.
  @ffi.Uint32()
  external int reserved;

  /// Whether the model calls tools: `auto` (it decides), `none`, `required` (at least one call), or the name of a tool
  /// (at least one call, all of this tool). Empty: `auto`. Not used with `raw`.
  external HappyText tool_choice;
}

/// Something that happened in a turn. For `happy_next`: set `size` before the call; the texts are valid until the next
/// call for the session.
final class HappyEvent extends ffi.Struct {
  /// `sizeof(HappyEvent)`; in callbacks, the size that the library has.
  @ffi.Uint32()
  external int size;

  /// A `HappyEventKind`; ignore kinds that you do not know.
  @ffi.Int32()
  external int kind;

  /// `HAPPY_EVENT_DONE`: a `HappyFinishReason`; `happy_session_finish` says more.
  @ffi.Int32()
  external int finish;

  /// Events of tool calls: the call's number, from 0; -1 without a call.
  @ffi.Int32()
  external int call;

  /// `HAPPY_EVENT_PREFILL`: prompt tokens that are computed.
  @ffi.Uint64()
  external int done;

  /// `HAPPY_EVENT_PREFILL`: prompt tokens that have to be computed.
  @ffi.Uint64()
  external int total;

  /// Text, as the kind says.
  external HappyText text;

  /// Events of tool calls: the tool's name.
  external HappyText name;

  /// `HAPPY_EVENT_TOOL_CALL`, `HAPPY_EVENT_TOOL_CALL_START`: the id that the model gave the call; usually empty.
  external HappyText id;
}

/// What a turn took. Set `size` before the call.
final class HappyFinish extends ffi.Struct {
  /// `sizeof(HappyFinish)`.
  @ffi.Uint32()
  external int size;

  /// A `HappyFinishReason`.
  @ffi.Int32()
  external int reason;

  /// Prompt tokens that were computed.
  @ffi.Uint64()
  external int prompt_tokens;

  /// Prompt tokens that the KV cache already held.
  @ffi.Uint64()
  external int reused_tokens;

  /// Generated tokens, including a token that ended the answer.
  @ffi.Uint64()
  external int generated_tokens;

  /// Seconds for the prompt.
  @ffi.Double()
  external double prefill_seconds;

  /// Seconds for the generated tokens after the first.
  @ffi.Double()
  external double decode_seconds;

  /// Computed prompt tokens per second.
  @ffi.Double()
  external double prefill_rate;

  /// Generated tokens after the first, per second.
  @ffi.Double()
  external double decode_rate;
}

/// How texts become vectors. Begin with `happy_embed_options_init`.
final class HappyEmbedOptions extends ffi.Struct {
  /// `sizeof(HappyEmbedOptions)`.
  @ffi.Uint32()
  external int size;

  /// How the hidden states of a text become one vector, a `HappyPooling`. Default: as the model's file says; a file
  /// that does not say it is an error.
  @ffi.Int32()
  external int pooling;

  /// Number of values at the beginning of each vector to keep, for models that were trained for it (Matryoshka). 0, the
  /// default: all.
  @ffi.Uint32()
  external int dimensions;

  /// 1: leave vectors as the model gives them. 0, the default: divide them by their length, so that their dot product
  /// is their cosine. Ranks are never divided.
  @ffi.Uint32()
  external int unnormalized;

  /// 1: shorten texts of more tokens than the context; the special token at the end stays there. 0, the default: such
  /// texts give `HAPPY_CONTEXT_FULL`.
  @ffi.Uint32()
  external int truncate;

  /// Must be 0.
  @ffi.Uint32()
  external int reserved;
}

/// The properties of an embedder. Set `size` before the call.
final class HappyEmbedderInfo extends ffi.Struct {
  /// `sizeof(HappyEmbedderInfo)`.
  @ffi.Uint32()
  external int size;

  /// A `HappyPooling`; never `HAPPY_POOLING_MODEL`.
  @ffi.Int32()
  external int pooling;

  /// Number of values of a vector.
  @ffi.Uint32()
  external int width;

  /// Maximum number of tokens of a text.
  @ffi.Uint32()
  external int most_tokens;
}

/// The vector of a text. Set `size` before the call.
final class HappyEmbedding extends ffi.Struct {
  /// `sizeof(HappyEmbedding)`.
  @ffi.Uint32()
  external int size;

  /// Number of values of a vector.
  @ffi.Uint32()
  external int width;

  /// The text's vector; with `HAPPY_POOLING_NONE` the vectors of its tokens, one after the other. Valid until the
  /// embeddings are freed.
  external ffi.Pointer<ffi.Float> values;

  /// Values: `width`, or with `HAPPY_POOLING_NONE` `width` times `tokens`.
  @ffi.Size()
  external int count;

  /// Tokens that were computed.
  @ffi.Uint64()
  external int tokens;

  /// Number of tokens that were left out because the text is too long.
  @ffi.Uint64()
  external int left_out;
}

/// How well a document matches a query.
final class HappyRank extends ffi.Struct {
  /// The index of the document among those given, from 0.
  @ffi.Uint32()
  external int index;

  /// The model's score, the higher the better; its scale is the model's own.
  @ffi.Float()
  external double score;
}

/// The functions of libhappy. Each is looked up when it is called first.
class HappyBindings {
  /// The functions of [library].
  HappyBindings(this.library);

  /// The library that they are in.
  final ffi.DynamicLibrary library;

  /// Returns the status of an error, or `HAPPY_INVALID_HANDLE` if the handle is not an error.
  late final int Function(ffi.Pointer<HappyError> error) happy_error_status = library.lookupFunction<
      ffi.Int32 Function(ffi.Pointer<HappyError> error),
      int Function(ffi.Pointer<HappyError> error)>('happy_error_status', isLeaf: true);

  /// Returns the message of an error: UTF-8 followed by a NUL, valid until the error is freed. `len` receives the number
  /// of bytes without the NUL, and may be NULL. Returns an empty text if the handle is not an error.
  late final ffi.Pointer<ffi.Char> Function(ffi.Pointer<HappyError> error, ffi.Pointer<ffi.Size> len) happy_error_message = library.lookupFunction<
      ffi.Pointer<ffi.Char> Function(ffi.Pointer<HappyError> error, ffi.Pointer<ffi.Size> len),
      ffi.Pointer<ffi.Char> Function(ffi.Pointer<HappyError> error, ffi.Pointer<ffi.Size> len)>('happy_error_message', isLeaf: true);

  /// Frees an error. NULL is fine. A handle that is not an error, or was freed before, gives `HAPPY_INVALID_HANDLE`.
  late final int Function(ffi.Pointer<HappyError> error) happy_error_free = library.lookupFunction<
      ffi.Int32 Function(ffi.Pointer<HappyError> error),
      int Function(ffi.Pointer<HappyError> error)>('happy_error_free');

  /// Frees a string and sets its fields to NULL and 0. NULL and strings without data are fine; data that the library does
  /// not know as a live string gives `HAPPY_INVALID_HANDLE`.
  late final int Function(ffi.Pointer<HappyString> string) happy_string_free = library.lookupFunction<
      ffi.Int32 Function(ffi.Pointer<HappyString> string),
      int Function(ffi.Pointer<HappyString> string)>('happy_string_free');

  /// Returns the version of this interface. A program that was compiled against version N runs with every library that
  /// returns N.
  late final int Function() happy_abi_version = library.lookupFunction<
      ffi.Uint32 Function(),
      int Function()>('happy_abi_version', isLeaf: true);

  /// Returns the library's version, such as `1.2.3`, with a NUL. It is never freed.
  late final ffi.Pointer<ffi.Char> Function() happy_version = library.lookupFunction<
      ffi.Pointer<ffi.Char> Function(),
      ffi.Pointer<ffi.Char> Function()>('happy_version', isLeaf: true);

  /// Describes the processor and what the library uses of it, as a JSON object: `architecture`, `cores`, `capacities`,
  /// `default_threads`, `features`, `instruction_sets`, `chosen`.
  late final int Function(ffi.Pointer<HappyString> out, ffi.Pointer<ffi.Pointer<HappyError>> error) happy_cpu = library.lookupFunction<
      ffi.Int32 Function(ffi.Pointer<HappyString> out, ffi.Pointer<ffi.Pointer<HappyError>> error),
      int Function(ffi.Pointer<HappyString> out, ffi.Pointer<ffi.Pointer<HappyError>> error)>('happy_cpu');

  /// Sends messages up to `level` (a `HappyLogLevel`) to `on_log` from now on. With NULL, which is the default, nobody
  /// receives them. When this returns, the callback that was set before is not running and will not be called again. A
  /// call from within the callback gives `HAPPY_BUSY`.
  late final int Function(HappyOnLog on_log, ffi.Pointer<ffi.Void> user, int level, ffi.Pointer<ffi.Pointer<HappyError>> error) happy_set_log = library.lookupFunction<
      ffi.Int32 Function(HappyOnLog on_log, ffi.Pointer<ffi.Void> user, ffi.Int32 level, ffi.Pointer<ffi.Pointer<HappyError>> error),
      int Function(HappyOnLog on_log, ffi.Pointer<ffi.Void> user, int level, ffi.Pointer<ffi.Pointer<HappyError>> error)>('happy_set_log');

  /// Returns the number of handles, errors and strings that were made and not freed yet: 0 when a program has freed all.
  late final int Function() happy_live_handles = library.lookupFunction<
      ffi.Size Function(),
      int Function()>('happy_live_handles', isLeaf: true);

  /// Sets all fields to their defaults; `size` is `sizeof(HappyLoadOptions)`.
  late final int Function(ffi.Pointer<HappyLoadOptions> options, int size, ffi.Pointer<ffi.Pointer<HappyError>> error) happy_load_options_init = library.lookupFunction<
      ffi.Int32 Function(ffi.Pointer<HappyLoadOptions> options, ffi.Size size, ffi.Pointer<ffi.Pointer<HappyError>> error),
      int Function(ffi.Pointer<HappyLoadOptions> options, int size, ffi.Pointer<ffi.Pointer<HappyError>> error)>('happy_load_options_init');

  /// Makes a cancel token that is not raised.
  late final int Function(ffi.Pointer<ffi.Pointer<HappyCancel>> out, ffi.Pointer<ffi.Pointer<HappyError>> error) happy_cancel_new = library.lookupFunction<
      ffi.Int32 Function(ffi.Pointer<ffi.Pointer<HappyCancel>> out, ffi.Pointer<ffi.Pointer<HappyError>> error),
      int Function(ffi.Pointer<ffi.Pointer<HappyCancel>> out, ffi.Pointer<ffi.Pointer<HappyError>> error)>('happy_cancel_new');

  /// Raises a cancel token. Work that uses it ends within milliseconds, or after the token that is being computed.
  late final int Function(ffi.Pointer<HappyCancel> cancel, ffi.Pointer<ffi.Pointer<HappyError>> error) happy_cancel_raise = library.lookupFunction<
      ffi.Int32 Function(ffi.Pointer<HappyCancel> cancel, ffi.Pointer<ffi.Pointer<HappyError>> error),
      int Function(ffi.Pointer<HappyCancel> cancel, ffi.Pointer<ffi.Pointer<HappyError>> error)>('happy_cancel_raise');

  /// Lowers a cancel token, so that it can be used again.
  late final int Function(ffi.Pointer<HappyCancel> cancel, ffi.Pointer<ffi.Pointer<HappyError>> error) happy_cancel_lower = library.lookupFunction<
      ffi.Int32 Function(ffi.Pointer<HappyCancel> cancel, ffi.Pointer<ffi.Pointer<HappyError>> error),
      int Function(ffi.Pointer<HappyCancel> cancel, ffi.Pointer<ffi.Pointer<HappyError>> error)>('happy_cancel_lower');

  /// Frees a cancel token. Work that began with it still sees whether it was raised before. NULL is fine.
  late final int Function(ffi.Pointer<HappyCancel> cancel) happy_cancel_free = library.lookupFunction<
      ffi.Int32 Function(ffi.Pointer<HappyCancel> cancel),
      int Function(ffi.Pointer<HappyCancel> cancel)>('happy_cancel_free');

  /// Plans the memory for running the model of a file, from its header; for a split model, give the path of any part. A
  /// plan over the budget is not an error here: `fits` is then 0. Nothing is loaded; the file is mapped during the call,
  /// or with `copy` its header is read. `options` may be NULL: all defaults.
  late final int Function(ffi.Pointer<ffi.Char> path, int path_len, ffi.Pointer<HappyLoadOptions> options, ffi.Pointer<HappyPlan> out, ffi.Pointer<ffi.Pointer<HappyError>> error) happy_plan_file = library.lookupFunction<
      ffi.Int32 Function(ffi.Pointer<ffi.Char> path, ffi.Size path_len, ffi.Pointer<HappyLoadOptions> options, ffi.Pointer<HappyPlan> out, ffi.Pointer<ffi.Pointer<HappyError>> error),
      int Function(ffi.Pointer<ffi.Char> path, int path_len, ffi.Pointer<HappyLoadOptions> options, ffi.Pointer<HappyPlan> out, ffi.Pointer<ffi.Pointer<HappyError>> error)>('happy_plan_file');

  /// Plans the memory for running the model that is in `length` bytes (0: all) of a file from `offset` on; see
  /// `happy_plan_file`.
  late final int Function(int fd, int offset, int length, ffi.Pointer<HappyLoadOptions> options, ffi.Pointer<HappyPlan> out, ffi.Pointer<ffi.Pointer<HappyError>> error) happy_plan_fd = library.lookupFunction<
      ffi.Int32 Function(ffi.Int32 fd, ffi.Uint64 offset, ffi.Uint64 length, ffi.Pointer<HappyLoadOptions> options, ffi.Pointer<HappyPlan> out, ffi.Pointer<ffi.Pointer<HappyError>> error),
      int Function(int fd, int offset, int length, ffi.Pointer<HappyLoadOptions> options, ffi.Pointer<HappyPlan> out, ffi.Pointer<ffi.Pointer<HappyError>> error)>('happy_plan_fd');

  /// Plans the memory for running a split model whose parts are `count` parts of open files, in any order; see
  /// `happy_plan_file`.
  late final int Function(ffi.Pointer<HappyFilePart> parts, int count, ffi.Pointer<HappyLoadOptions> options, ffi.Pointer<HappyPlan> out, ffi.Pointer<ffi.Pointer<HappyError>> error) happy_plan_fds = library.lookupFunction<
      ffi.Int32 Function(ffi.Pointer<HappyFilePart> parts, ffi.Size count, ffi.Pointer<HappyLoadOptions> options, ffi.Pointer<HappyPlan> out, ffi.Pointer<ffi.Pointer<HappyError>> error),
      int Function(ffi.Pointer<HappyFilePart> parts, int count, ffi.Pointer<HappyLoadOptions> options, ffi.Pointer<HappyPlan> out, ffi.Pointer<ffi.Pointer<HappyError>> error)>('happy_plan_fds');

  /// Loads the model of a file, or a split model by the path of any part, if the other parts are next to it. A model over
  /// the budget gives `HAPPY_MEMORY`, with the numbers and what would fit, before anything big is read. A file that
  /// cannot be read gives `HAPPY_FILE`, and one that is not a supported model `HAPPY_MODEL`. `options` may be NULL: all
  /// defaults.
  late final int Function(ffi.Pointer<ffi.Char> path, int path_len, ffi.Pointer<HappyLoadOptions> options, ffi.Pointer<ffi.Pointer<HappyModel>> out, ffi.Pointer<ffi.Pointer<HappyError>> error) happy_model_open_file = library.lookupFunction<
      ffi.Int32 Function(ffi.Pointer<ffi.Char> path, ffi.Size path_len, ffi.Pointer<HappyLoadOptions> options, ffi.Pointer<ffi.Pointer<HappyModel>> out, ffi.Pointer<ffi.Pointer<HappyError>> error),
      int Function(ffi.Pointer<ffi.Char> path, int path_len, ffi.Pointer<HappyLoadOptions> options, ffi.Pointer<ffi.Pointer<HappyModel>> out, ffi.Pointer<ffi.Pointer<HappyError>> error)>('happy_model_open_file');

  /// Loads the model that is in `length` bytes (0: all) of a file from `offset` on, such as an asset of an Android
  /// package. The offset needs no alignment. The descriptor is duplicated: the caller may close it after the call.
  late final int Function(int fd, int offset, int length, ffi.Pointer<HappyLoadOptions> options, ffi.Pointer<ffi.Pointer<HappyModel>> out, ffi.Pointer<ffi.Pointer<HappyError>> error) happy_model_open_fd = library.lookupFunction<
      ffi.Int32 Function(ffi.Int32 fd, ffi.Uint64 offset, ffi.Uint64 length, ffi.Pointer<HappyLoadOptions> options, ffi.Pointer<ffi.Pointer<HappyModel>> out, ffi.Pointer<ffi.Pointer<HappyError>> error),
      int Function(int fd, int offset, int length, ffi.Pointer<HappyLoadOptions> options, ffi.Pointer<ffi.Pointer<HappyModel>> out, ffi.Pointer<ffi.Pointer<HappyError>> error)>('happy_model_open_fd');

  /// Loads a split model whose parts are `count` parts of open files, in any order; see `happy_model_open_fd`.
  late final int Function(ffi.Pointer<HappyFilePart> parts, int count, ffi.Pointer<HappyLoadOptions> options, ffi.Pointer<ffi.Pointer<HappyModel>> out, ffi.Pointer<ffi.Pointer<HappyError>> error) happy_model_open_fds = library.lookupFunction<
      ffi.Int32 Function(ffi.Pointer<HappyFilePart> parts, ffi.Size count, ffi.Pointer<HappyLoadOptions> options, ffi.Pointer<ffi.Pointer<HappyModel>> out, ffi.Pointer<ffi.Pointer<HappyError>> error),
      int Function(ffi.Pointer<HappyFilePart> parts, int count, ffi.Pointer<HappyLoadOptions> options, ffi.Pointer<ffi.Pointer<HappyModel>> out, ffi.Pointer<ffi.Pointer<HappyError>> error)>('happy_model_open_fds');

  /// Frees a model. Its sessions keep what they need, and continue to work. NULL is fine.
  late final int Function(ffi.Pointer<HappyModel> model) happy_model_free = library.lookupFunction<
      ffi.Int32 Function(ffi.Pointer<HappyModel> model),
      int Function(ffi.Pointer<HappyModel> model)>('happy_model_free');

  /// Makes all sessions of a model wait before their next token, or their next part of a prompt, until
  /// `happy_model_resume`: for an app that goes to the background. What is being computed is finished first. A turn that
  /// is cancelled or closed while it waits ends. `happy_session_trim` gives memory of idle sessions back.
  late final int Function(ffi.Pointer<HappyModel> model, ffi.Pointer<ffi.Pointer<HappyError>> error) happy_model_pause = library.lookupFunction<
      ffi.Int32 Function(ffi.Pointer<HappyModel> model, ffi.Pointer<ffi.Pointer<HappyError>> error),
      int Function(ffi.Pointer<HappyModel> model, ffi.Pointer<ffi.Pointer<HappyError>> error)>('happy_model_pause');

  /// Lets the sessions of a model continue after `happy_model_pause`. Does nothing if they are not paused.
  late final int Function(ffi.Pointer<HappyModel> model, ffi.Pointer<ffi.Pointer<HappyError>> error) happy_model_resume = library.lookupFunction<
      ffi.Int32 Function(ffi.Pointer<HappyModel> model, ffi.Pointer<ffi.Pointer<HappyError>> error),
      int Function(ffi.Pointer<HappyModel> model, ffi.Pointer<ffi.Pointer<HappyError>> error)>('happy_model_resume');

  /// Returns the plan of a loaded model: the memory that the model and one session take.
  late final int Function(ffi.Pointer<HappyModel> model, ffi.Pointer<HappyPlan> out, ffi.Pointer<ffi.Pointer<HappyError>> error) happy_model_plan = library.lookupFunction<
      ffi.Int32 Function(ffi.Pointer<HappyModel> model, ffi.Pointer<HappyPlan> out, ffi.Pointer<ffi.Pointer<HappyError>> error),
      int Function(ffi.Pointer<HappyModel> model, ffi.Pointer<HappyPlan> out, ffi.Pointer<ffi.Pointer<HappyError>> error)>('happy_model_plan');

  /// Describes a model as a JSON object: `architecture`, `name`, `parameters`, `trained_context`, `vocabulary`, `layers`,
  /// `file_type`, `chat_template` (a boolean), `chat_template_error` and `reply_format`. If `metadata` is not 0, it also
  /// has `metadata`: all pairs of the file, of long arrays only the length and the first elements.
  late final int Function(ffi.Pointer<HappyModel> model, int metadata, ffi.Pointer<HappyString> out, ffi.Pointer<ffi.Pointer<HappyError>> error) happy_model_info = library.lookupFunction<
      ffi.Int32 Function(ffi.Pointer<HappyModel> model, ffi.Int32 metadata, ffi.Pointer<HappyString> out, ffi.Pointer<ffi.Pointer<HappyError>> error),
      int Function(ffi.Pointer<HappyModel> model, int metadata, ffi.Pointer<HappyString> out, ffi.Pointer<ffi.Pointer<HappyError>> error)>('happy_model_info');

  /// Turns a text into tokens. The first `capacity` of them are written to `tokens` (which may be NULL if `capacity` is
  /// 0), and `count` receives how many there are. With `special` (not 0) the strings of control tokens become those
  /// tokens, and BOS and EOS are added if the model wants them.
  late final int Function(ffi.Pointer<HappyModel> model, ffi.Pointer<ffi.Char> text_data, int text_len, int special, ffi.Pointer<ffi.Uint32> tokens, int capacity, ffi.Pointer<ffi.Size> count, ffi.Pointer<ffi.Pointer<HappyError>> error) happy_tokenize = library.lookupFunction<
      ffi.Int32 Function(ffi.Pointer<HappyModel> model, ffi.Pointer<ffi.Char> text_data, ffi.Size text_len, ffi.Int32 special, ffi.Pointer<ffi.Uint32> tokens, ffi.Size capacity, ffi.Pointer<ffi.Size> count, ffi.Pointer<ffi.Pointer<HappyError>> error),
      int Function(ffi.Pointer<HappyModel> model, ffi.Pointer<ffi.Char> text_data, int text_len, int special, ffi.Pointer<ffi.Uint32> tokens, int capacity, ffi.Pointer<ffi.Size> count, ffi.Pointer<ffi.Pointer<HappyError>> error)>('happy_tokenize');

  /// Turns tokens into text; bytes that are not UTF-8 become U+FFFD. With `special` (not 0) control tokens become their
  /// strings; otherwise they are left out. An id outside the vocabulary gives `HAPPY_TOKENIZER`.
  late final int Function(ffi.Pointer<HappyModel> model, ffi.Pointer<ffi.Uint32> tokens, int count, int special, ffi.Pointer<HappyString> out, ffi.Pointer<ffi.Pointer<HappyError>> error) happy_detokenize = library.lookupFunction<
      ffi.Int32 Function(ffi.Pointer<HappyModel> model, ffi.Pointer<ffi.Uint32> tokens, ffi.Size count, ffi.Int32 special, ffi.Pointer<HappyString> out, ffi.Pointer<ffi.Pointer<HappyError>> error),
      int Function(ffi.Pointer<HappyModel> model, ffi.Pointer<ffi.Uint32> tokens, int count, int special, ffi.Pointer<HappyString> out, ffi.Pointer<ffi.Pointer<HappyError>> error)>('happy_detokenize');

  /// Returns the bytes of one token, which may be only a part of a character. An id outside the vocabulary gives
  /// `HAPPY_TOKENIZER`.
  late final int Function(ffi.Pointer<HappyModel> model, int token, ffi.Pointer<HappyString> out, ffi.Pointer<ffi.Pointer<HappyError>> error) happy_token_piece = library.lookupFunction<
      ffi.Int32 Function(ffi.Pointer<HappyModel> model, ffi.Uint32 token, ffi.Pointer<HappyString> out, ffi.Pointer<ffi.Pointer<HappyError>> error),
      int Function(ffi.Pointer<HappyModel> model, int token, ffi.Pointer<HappyString> out, ffi.Pointer<ffi.Pointer<HappyError>> error)>('happy_token_piece');

  /// Renders the prompt that the model's template makes of messages, a JSON array like
  /// `[{"role": "user", "content": "Hi"}]`. `tools` is a JSON array or empty. With `answer` (not 0) the prompt ends with
  /// the header of an answer. A model without a template, or a template that refuses the messages, gives
  /// `HAPPY_TEMPLATE`.
  late final int Function(ffi.Pointer<HappyModel> model, ffi.Pointer<ffi.Char> messages, int messages_len, ffi.Pointer<ffi.Char> tools, int tools_len, int answer, ffi.Pointer<HappyString> out, ffi.Pointer<ffi.Pointer<HappyError>> error) happy_apply_template = library.lookupFunction<
      ffi.Int32 Function(ffi.Pointer<HappyModel> model, ffi.Pointer<ffi.Char> messages, ffi.Size messages_len, ffi.Pointer<ffi.Char> tools, ffi.Size tools_len, ffi.Int32 answer, ffi.Pointer<HappyString> out, ffi.Pointer<ffi.Pointer<HappyError>> error),
      int Function(ffi.Pointer<HappyModel> model, ffi.Pointer<ffi.Char> messages, int messages_len, ffi.Pointer<ffi.Char> tools, int tools_len, int answer, ffi.Pointer<HappyString> out, ffi.Pointer<ffi.Pointer<HappyError>> error)>('happy_apply_template');

  /// Sets all fields to their defaults; `size` is `sizeof(HappySamplerOptions)`.
  late final int Function(ffi.Pointer<HappySamplerOptions> options, int size, ffi.Pointer<ffi.Pointer<HappyError>> error) happy_sampler_options_init = library.lookupFunction<
      ffi.Int32 Function(ffi.Pointer<HappySamplerOptions> options, ffi.Size size, ffi.Pointer<ffi.Pointer<HappyError>> error),
      int Function(ffi.Pointer<HappySamplerOptions> options, int size, ffi.Pointer<ffi.Pointer<HappyError>> error)>('happy_sampler_options_init');

  /// Makes a sampler. `options` may be NULL: all defaults. The options are copied.
  late final int Function(ffi.Pointer<HappySamplerOptions> options, ffi.Pointer<ffi.Pointer<HappySampler>> out, ffi.Pointer<ffi.Pointer<HappyError>> error) happy_sampler_new = library.lookupFunction<
      ffi.Int32 Function(ffi.Pointer<HappySamplerOptions> options, ffi.Pointer<ffi.Pointer<HappySampler>> out, ffi.Pointer<ffi.Pointer<HappyError>> error),
      int Function(ffi.Pointer<HappySamplerOptions> options, ffi.Pointer<ffi.Pointer<HappySampler>> out, ffi.Pointer<ffi.Pointer<HappyError>> error)>('happy_sampler_new');

  /// Frees a sampler. A turn that began with it continues. NULL is fine.
  late final int Function(ffi.Pointer<HappySampler> sampler) happy_sampler_free = library.lookupFunction<
      ffi.Int32 Function(ffi.Pointer<HappySampler> sampler),
      int Function(ffi.Pointer<HappySampler> sampler)>('happy_sampler_free');

  /// Sets all fields to their defaults; `size` is `sizeof(HappySessionOptions)`.
  late final int Function(ffi.Pointer<HappySessionOptions> options, int size, ffi.Pointer<ffi.Pointer<HappyError>> error) happy_session_options_init = library.lookupFunction<
      ffi.Int32 Function(ffi.Pointer<HappySessionOptions> options, ffi.Size size, ffi.Pointer<ffi.Pointer<HappyError>> error),
      int Function(ffi.Pointer<HappySessionOptions> options, int size, ffi.Pointer<ffi.Pointer<HappyError>> error)>('happy_session_options_init');

  /// Makes a session: KV cache, scratch and threads as planned. `options` may be NULL: all defaults. If the options have a
  /// system message or tools, a model without a chat template gives `HAPPY_TEMPLATE`.
  late final int Function(ffi.Pointer<HappyModel> model, ffi.Pointer<HappySessionOptions> options, ffi.Pointer<ffi.Pointer<HappySession>> out, ffi.Pointer<ffi.Pointer<HappyError>> error) happy_session_new = library.lookupFunction<
      ffi.Int32 Function(ffi.Pointer<HappyModel> model, ffi.Pointer<HappySessionOptions> options, ffi.Pointer<ffi.Pointer<HappySession>> out, ffi.Pointer<ffi.Pointer<HappyError>> error),
      int Function(ffi.Pointer<HappyModel> model, ffi.Pointer<HappySessionOptions> options, ffi.Pointer<ffi.Pointer<HappySession>> out, ffi.Pointer<ffi.Pointer<HappyError>> error)>('happy_session_new');

  /// Frees a session. A call that is still running in it, in another thread or around a callback, ends by itself with
  /// `HAPPY_FINISH_CANCELLED`, at its next token or part of the prompt; memory and threads are freed then. NULL is fine.
  late final int Function(ffi.Pointer<HappySession> session) happy_session_free = library.lookupFunction<
      ffi.Int32 Function(ffi.Pointer<HappySession> session),
      int Function(ffi.Pointer<HappySession> session)>('happy_session_free');

  /// Adds a message without answering it. `role` is `user`, `assistant`, `system`, `tool`, or another one that the
  /// template knows.
  late final int Function(ffi.Pointer<HappySession> session, ffi.Pointer<ffi.Char> role, int role_len, ffi.Pointer<ffi.Char> content, int content_len, ffi.Pointer<ffi.Pointer<HappyError>> error) happy_session_add_message = library.lookupFunction<
      ffi.Int32 Function(ffi.Pointer<HappySession> session, ffi.Pointer<ffi.Char> role, ffi.Size role_len, ffi.Pointer<ffi.Char> content, ffi.Size content_len, ffi.Pointer<ffi.Pointer<HappyError>> error),
      int Function(ffi.Pointer<HappySession> session, ffi.Pointer<ffi.Char> role, int role_len, ffi.Pointer<ffi.Char> content, int content_len, ffi.Pointer<ffi.Pointer<HappyError>> error)>('happy_session_add_message');

  /// Adds a message as a JSON object, such as a tool's result: `{"role": "tool", "tool_call_id": "..", "content": ".."}`.
  /// Without a `role` it gives `HAPPY_INVALID_ARGUMENT`.
  late final int Function(ffi.Pointer<HappySession> session, ffi.Pointer<ffi.Char> message, int message_len, ffi.Pointer<ffi.Pointer<HappyError>> error) happy_session_add_json = library.lookupFunction<
      ffi.Int32 Function(ffi.Pointer<HappySession> session, ffi.Pointer<ffi.Char> message, ffi.Size message_len, ffi.Pointer<ffi.Pointer<HappyError>> error),
      int Function(ffi.Pointer<HappySession> session, ffi.Pointer<ffi.Char> message, int message_len, ffi.Pointer<ffi.Pointer<HappyError>> error)>('happy_session_add_json');

  /// Returns the conversation, including the system message, as a JSON array of messages.
  late final int Function(ffi.Pointer<HappySession> session, ffi.Pointer<HappyString> out, ffi.Pointer<ffi.Pointer<HappyError>> error) happy_session_messages = library.lookupFunction<
      ffi.Int32 Function(ffi.Pointer<HappySession> session, ffi.Pointer<HappyString> out, ffi.Pointer<ffi.Pointer<HappyError>> error),
      int Function(ffi.Pointer<HappySession> session, ffi.Pointer<HappyString> out, ffi.Pointer<ffi.Pointer<HappyError>> error)>('happy_session_messages');

  /// Keeps the first `count` messages, including the system message, and removes the others; the next turn computes only
  /// what is new. If there are fewer, it gives `HAPPY_INVALID_ARGUMENT`.
  late final int Function(ffi.Pointer<HappySession> session, int count, ffi.Pointer<ffi.Pointer<HappyError>> error) happy_session_truncate = library.lookupFunction<
      ffi.Int32 Function(ffi.Pointer<HappySession> session, ffi.Size count, ffi.Pointer<ffi.Pointer<HappyError>> error),
      int Function(ffi.Pointer<HappySession> session, int count, ffi.Pointer<ffi.Pointer<HappyError>> error)>('happy_session_truncate');

  /// Removes all messages but the system message, forgets the branches, and empties the conversation's part of the KV
  /// cache. The session's file stays as it is until the next turn.
  late final int Function(ffi.Pointer<HappySession> session, ffi.Pointer<ffi.Pointer<HappyError>> error) happy_session_clear = library.lookupFunction<
      ffi.Int32 Function(ffi.Pointer<HappySession> session, ffi.Pointer<ffi.Pointer<HappyError>> error),
      int Function(ffi.Pointer<HappySession> session, ffi.Pointer<ffi.Pointer<HappyError>> error)>('happy_session_clear');

  /// Uses these adapters (LoRA) from now on, in the order in which their results are added; without any, the model alone.
  /// Each is the path of a file, or `FILE=SCALE`. If the KV cache holds what was computed with other adapters, the next
  /// turn computes it again. If their ranks add up to more than `adapter_rank` of the load options, it gives
  /// `HAPPY_INVALID_ARGUMENT`; a file that is not an adapter for the model gives `HAPPY_MODEL`. Files stay mapped, and no
  /// weight is copied. After an error nothing has changed.
  late final int Function(ffi.Pointer<HappySession> session, ffi.Pointer<HappyText> adapters, int n_adapters, ffi.Pointer<ffi.Pointer<HappyError>> error) happy_session_set_adapters = library.lookupFunction<
      ffi.Int32 Function(ffi.Pointer<HappySession> session, ffi.Pointer<HappyText> adapters, ffi.Size n_adapters, ffi.Pointer<ffi.Pointer<HappyError>> error),
      int Function(ffi.Pointer<HappySession> session, ffi.Pointer<HappyText> adapters, int n_adapters, ffi.Pointer<ffi.Pointer<HappyError>> error)>('happy_session_set_adapters');

  /// Returns the tools that the last turn, or the one that runs, could not constrain, as a JSON array of objects with
  /// `tool` (its name), `callable` and `reason`. If `callable` is false, the reply format cannot carry one of the tool's
  /// names, and the model cannot call it. If it is true, no grammar can follow the tool's schema, and its calls may have
  /// any arguments. Usually empty.
  late final int Function(ffi.Pointer<HappySession> session, ffi.Pointer<HappyString> out, ffi.Pointer<ffi.Pointer<HappyError>> error) happy_session_left_out = library.lookupFunction<
      ffi.Int32 Function(ffi.Pointer<HappySession> session, ffi.Pointer<HappyString> out, ffi.Pointer<ffi.Pointer<HappyError>> error),
      int Function(ffi.Pointer<HappySession> session, ffi.Pointer<HappyString> out, ffi.Pointer<ffi.Pointer<HappyError>> error)>('happy_session_left_out');

  /// Describes what the session's governor decided last (option `governor`) as a JSON object: `threads`, `tokens_per_second` (the
  /// limit, or null), and `reason`, a text. Without a governor, the object is empty.
  late final int Function(ffi.Pointer<HappySession> session, ffi.Pointer<HappyString> out, ffi.Pointer<ffi.Pointer<HappyError>> error) happy_session_governor = library.lookupFunction<
      ffi.Int32 Function(ffi.Pointer<HappySession> session, ffi.Pointer<HappyString> out, ffi.Pointer<ffi.Pointer<HappyError>> error),
      int Function(ffi.Pointer<HappySession> session, ffi.Pointer<HappyString> out, ffi.Pointer<ffi.Pointer<HappyError>> error)>('happy_session_governor');

  /// Returns the memory of the session and of the process.
  late final int Function(ffi.Pointer<HappySession> session, ffi.Pointer<HappyMemory> out, ffi.Pointer<ffi.Pointer<HappyError>> error) happy_session_memory = library.lookupFunction<
      ffi.Int32 Function(ffi.Pointer<HappySession> session, ffi.Pointer<HappyMemory> out, ffi.Pointer<ffi.Pointer<HappyError>> error),
      int Function(ffi.Pointer<HappySession> session, ffi.Pointer<HappyMemory> out, ffi.Pointer<ffi.Pointer<HappyError>> error)>('happy_session_memory');

  /// Writes the session into a new file (`*.happy`), which replaces one at the same path, and appends every turn that
  /// ends from now on: its messages, its tokens and what was computed of them. If the process ends at any time, the file
  /// has all turns that had ended, and an unfinished answer except for at most its last 32 tokens. It is sealed if the
  /// session's options have a `file_key`. A turn that cannot be saved does not fail: `happy_session_file` says why it was
  /// not saved, and the next turn tries again.
  late final int Function(ffi.Pointer<HappySession> session, ffi.Pointer<ffi.Char> path, int path_len, ffi.Pointer<ffi.Pointer<HappyError>> error) happy_session_save = library.lookupFunction<
      ffi.Int32 Function(ffi.Pointer<HappySession> session, ffi.Pointer<ffi.Char> path, ffi.Size path_len, ffi.Pointer<ffi.Pointer<HappyError>> error),
      int Function(ffi.Pointer<HappySession> session, ffi.Pointer<ffi.Char> path, int path_len, ffi.Pointer<ffi.Pointer<HappyError>> error)>('happy_session_save');

  /// Continues with the conversation of a file instead of the session's own, and appends every turn to it. Nothing is
  /// computed: the next turn answers with the same bits as if the process had never ended. Tools, variables and sampling
  /// are those of this session. If the process ended within an answer (`unfinished` of `happy_session_file`), a turn
  /// without a text returns that answer from its beginning and continues with the same text; if the options differ from
  /// those that it was begun with, the message is answered again. After an error the conversation is as it was.
  /// `HAPPY_REPLAY` says that `happy_session_replay` can use the file.
  late final int Function(ffi.Pointer<HappySession> session, ffi.Pointer<ffi.Char> path, int path_len, ffi.Pointer<ffi.Pointer<HappyError>> error) happy_session_restore = library.lookupFunction<
      ffi.Int32 Function(ffi.Pointer<HappySession> session, ffi.Pointer<ffi.Char> path, ffi.Size path_len, ffi.Pointer<ffi.Pointer<HappyError>> error),
      int Function(ffi.Pointer<HappySession> session, ffi.Pointer<ffi.Char> path, int path_len, ffi.Pointer<ffi.Pointer<HappyError>> error)>('happy_session_restore');

  /// Does the same as `happy_session_restore` for a file that was computed with something else, for example before an
  /// update of the model or of the library: its tokens are computed again, and the file is rewritten. `cancel`, which may
  /// be NULL, ends that with `HAPPY_CANCELLED`; the file is then as it was.
  late final int Function(ffi.Pointer<HappySession> session, ffi.Pointer<ffi.Char> path, int path_len, ffi.Pointer<HappyCancel> cancel, ffi.Pointer<ffi.Pointer<HappyError>> error) happy_session_replay = library.lookupFunction<
      ffi.Int32 Function(ffi.Pointer<HappySession> session, ffi.Pointer<ffi.Char> path, ffi.Size path_len, ffi.Pointer<HappyCancel> cancel, ffi.Pointer<ffi.Pointer<HappyError>> error),
      int Function(ffi.Pointer<HappySession> session, ffi.Pointer<ffi.Char> path, int path_len, ffi.Pointer<HappyCancel> cancel, ffi.Pointer<ffi.Pointer<HappyError>> error)>('happy_session_replay');

  /// Saves what is new, as the end of a turn does: for messages that were added or removed between two turns, and to try
  /// again after a full disk. Without a file, it gives `HAPPY_INVALID_ARGUMENT`.
  late final int Function(ffi.Pointer<HappySession> session, ffi.Pointer<ffi.Pointer<HappyError>> error) happy_session_append = library.lookupFunction<
      ffi.Int32 Function(ffi.Pointer<HappySession> session, ffi.Pointer<ffi.Pointer<HappyError>> error),
      int Function(ffi.Pointer<HappySession> session, ffi.Pointer<ffi.Pointer<HappyError>> error)>('happy_session_append');

  /// Rewrites the session's file without what later turns replaced. At the end of a turn, the library does this by itself
  /// for a file of more than 4 MiB, half of which was replaced. Without a file, it gives `HAPPY_INVALID_ARGUMENT`.
  late final int Function(ffi.Pointer<HappySession> session, ffi.Pointer<ffi.Pointer<HappyError>> error) happy_session_compact = library.lookupFunction<
      ffi.Int32 Function(ffi.Pointer<HappySession> session, ffi.Pointer<ffi.Pointer<HappyError>> error),
      int Function(ffi.Pointer<HappySession> session, ffi.Pointer<ffi.Pointer<HappyError>> error)>('happy_session_compact');

  /// Continues without the file, which stays as it is. Freeing the session does the same.
  late final int Function(ffi.Pointer<HappySession> session, ffi.Pointer<ffi.Pointer<HappyError>> error) happy_session_close_file = library.lookupFunction<
      ffi.Int32 Function(ffi.Pointer<HappySession> session, ffi.Pointer<ffi.Pointer<HappyError>> error),
      int Function(ffi.Pointer<HappySession> session, ffi.Pointer<ffi.Pointer<HappyError>> error)>('happy_session_close_file');

  /// Describes the session's file as a JSON object: `path`, `turns`, `tokens`, `messages`, `bytes`, `sealed` (a boolean),
  /// `unfinished` (the number of tokens of an answer that was cut off, or 0), and `problem`: why the last turn could not
  /// be saved, or null. Without a file, the object is empty.
  late final int Function(ffi.Pointer<HappySession> session, ffi.Pointer<HappyString> out, ffi.Pointer<ffi.Pointer<HappyError>> error) happy_session_file = library.lookupFunction<
      ffi.Int32 Function(ffi.Pointer<HappySession> session, ffi.Pointer<HappyString> out, ffi.Pointer<ffi.Pointer<HappyError>> error),
      int Function(ffi.Pointer<HappySession> session, ffi.Pointer<HappyString> out, ffi.Pointer<ffi.Pointer<HappyError>> error)>('happy_session_file');

  /// Removes everything after the user's last message. `happy_chat` or `happy_start` without a text then answer it again,
  /// and compute next to nothing before the first token. If the user wrote no message, it gives `HAPPY_INVALID_ARGUMENT`.
  late final int Function(ffi.Pointer<HappySession> session, ffi.Pointer<ffi.Pointer<HappyError>> error) happy_session_regenerate = library.lookupFunction<
      ffi.Int32 Function(ffi.Pointer<HappySession> session, ffi.Pointer<ffi.Pointer<HappyError>> error),
      int Function(ffi.Pointer<HappySession> session, ffi.Pointer<ffi.Pointer<HappyError>> error)>('happy_session_regenerate');

  /// Removes message `number` of the user, from 1 (0 is the last one), and everything after it, so that the next turn can
  /// replace it. That turn computes only what follows the part that stays. If there is no such message, it gives
  /// `HAPPY_INVALID_ARGUMENT`.
  late final int Function(ffi.Pointer<HappySession> session, int number, ffi.Pointer<ffi.Pointer<HappyError>> error) happy_session_edit = library.lookupFunction<
      ffi.Int32 Function(ffi.Pointer<HappySession> session, ffi.Uint32 number, ffi.Pointer<ffi.Pointer<HappyError>> error),
      int Function(ffi.Pointer<HappySession> session, int number, ffi.Pointer<ffi.Pointer<HappyError>> error)>('happy_session_edit');

  /// Keeps the conversation as it is, continues in a copy, and writes the number of this new branch to `out`. The first
  /// conversation has number 1. With the load option `branches`, what was computed of them is kept, too.
  late final int Function(ffi.Pointer<HappySession> session, ffi.Pointer<ffi.Uint32> out, ffi.Pointer<ffi.Pointer<HappyError>> error) happy_session_branch = library.lookupFunction<
      ffi.Int32 Function(ffi.Pointer<HappySession> session, ffi.Pointer<ffi.Uint32> out, ffi.Pointer<ffi.Pointer<HappyError>> error),
      int Function(ffi.Pointer<HappySession> session, ffi.Pointer<ffi.Uint32> out, ffi.Pointer<ffi.Pointer<HappyError>> error)>('happy_session_branch');

  /// Keeps the conversation as it is, and switches to branch `number`, from 1. If there is no such branch, it gives
  /// `HAPPY_INVALID_ARGUMENT`.
  late final int Function(ffi.Pointer<HappySession> session, int number, ffi.Pointer<ffi.Pointer<HappyError>> error) happy_session_go_to_branch = library.lookupFunction<
      ffi.Int32 Function(ffi.Pointer<HappySession> session, ffi.Uint32 number, ffi.Pointer<ffi.Pointer<HappyError>> error),
      int Function(ffi.Pointer<HappySession> session, int number, ffi.Pointer<ffi.Pointer<HappyError>> error)>('happy_session_go_to_branch');

  /// Keeps what is computed now, such as a long system prompt, until `happy_session_unpin`, even if memory for other
  /// branches is short. It needs the load option `branches`: if none of them is free, or nothing is computed, it gives
  /// `HAPPY_INVALID_ARGUMENT`.
  late final int Function(ffi.Pointer<HappySession> session, ffi.Pointer<ffi.Pointer<HappyError>> error) happy_session_pin = library.lookupFunction<
      ffi.Int32 Function(ffi.Pointer<HappySession> session, ffi.Pointer<ffi.Pointer<HappyError>> error),
      int Function(ffi.Pointer<HappySession> session, ffi.Pointer<ffi.Pointer<HappyError>> error)>('happy_session_pin');

  /// Unpins everything, so that it can be dropped like the rest when memory for branches is short.
  late final int Function(ffi.Pointer<HappySession> session, ffi.Pointer<ffi.Pointer<HappyError>> error) happy_session_unpin = library.lookupFunction<
      ffi.Int32 Function(ffi.Pointer<HappySession> session, ffi.Pointer<ffi.Pointer<HappyError>> error),
      int Function(ffi.Pointer<HappySession> session, ffi.Pointer<ffi.Pointer<HappyError>> error)>('happy_session_unpin');

  /// Returns how much the turns of the session did not have to compute.
  late final int Function(ffi.Pointer<HappySession> session, ffi.Pointer<HappyReuse> out, ffi.Pointer<ffi.Pointer<HappyError>> error) happy_session_reuse = library.lookupFunction<
      ffi.Int32 Function(ffi.Pointer<HappySession> session, ffi.Pointer<HappyReuse> out, ffi.Pointer<ffi.Pointer<HappyError>> error),
      int Function(ffi.Pointer<HappySession> session, ffi.Pointer<HappyReuse> out, ffi.Pointer<ffi.Pointer<HappyError>> error)>('happy_session_reuse');

  /// Gives memory back to the system, as much as the `HappyTrimLevel` says: for an app that goes to the background, or is
  /// told that memory is short. The conversation stays. After `HAPPY_TRIM_SEQUENCES`, the next turn reads what was computed
  /// from the session's file; without a file, it computes it again.
  late final int Function(ffi.Pointer<HappySession> session, int level, ffi.Pointer<ffi.Pointer<HappyError>> error) happy_session_trim = library.lookupFunction<
      ffi.Int32 Function(ffi.Pointer<HappySession> session, ffi.Int32 level, ffi.Pointer<ffi.Pointer<HappyError>> error),
      int Function(ffi.Pointer<HappySession> session, int level, ffi.Pointer<ffi.Pointer<HappyError>> error)>('happy_session_trim');

  /// Sets all fields to their defaults; `size` is `sizeof(HappyGenerateOptions)`.
  late final int Function(ffi.Pointer<HappyGenerateOptions> options, int size, ffi.Pointer<ffi.Pointer<HappyError>> error) happy_generate_options_init = library.lookupFunction<
      ffi.Int32 Function(ffi.Pointer<HappyGenerateOptions> options, ffi.Size size, ffi.Pointer<ffi.Pointer<HappyError>> error),
      int Function(ffi.Pointer<HappyGenerateOptions> options, int size, ffi.Pointer<ffi.Pointer<HappyError>> error)>('happy_generate_options_init');

  /// Runs a whole turn: adds `text` as the user's message, answers it, calls `on_event` (which may be NULL) for each
  /// event, and adds the answer. With `text` NULL the messages are answered as they are, for example after a tool's
  /// result. `finish` and `options` may be NULL. Cancelling is not an error: the turn ends with `HAPPY_FINISH_CANCELLED`,
  /// and the session can continue. A turn that is cancelled while its prompt is rendered or tokenized, or its grammar is
  /// compiled, leaves the conversation as it was. After an error the conversation is as it was before the turn.
  late final int Function(ffi.Pointer<HappySession> session, ffi.Pointer<ffi.Char> text_data, int text_len, ffi.Pointer<HappyGenerateOptions> options, HappyOnEvent on_event, ffi.Pointer<ffi.Void> user, ffi.Pointer<HappyFinish> finish, ffi.Pointer<ffi.Pointer<HappyError>> error) happy_chat = library.lookupFunction<
      ffi.Int32 Function(ffi.Pointer<HappySession> session, ffi.Pointer<ffi.Char> text_data, ffi.Size text_len, ffi.Pointer<HappyGenerateOptions> options, HappyOnEvent on_event, ffi.Pointer<ffi.Void> user, ffi.Pointer<HappyFinish> finish, ffi.Pointer<ffi.Pointer<HappyError>> error),
      int Function(ffi.Pointer<HappySession> session, ffi.Pointer<ffi.Char> text_data, int text_len, ffi.Pointer<HappyGenerateOptions> options, HappyOnEvent on_event, ffi.Pointer<ffi.Void> user, ffi.Pointer<HappyFinish> finish, ffi.Pointer<ffi.Pointer<HappyError>> error)>('happy_chat');

  /// Begins a turn as `happy_chat` does; `happy_next` returns its events. Until its end or `happy_stop`, other calls for
  /// the session give `HAPPY_BUSY`, except for `happy_next`, `happy_session_free` and those that only return information:
  /// `happy_session_memory`, `happy_session_left_out`, `happy_session_file`, `happy_session_reuse`, `happy_session_governor`
  /// and `happy_session_finish`.
  late final int Function(ffi.Pointer<HappySession> session, ffi.Pointer<ffi.Char> text_data, int text_len, ffi.Pointer<HappyGenerateOptions> options, ffi.Pointer<ffi.Pointer<HappyError>> error) happy_start = library.lookupFunction<
      ffi.Int32 Function(ffi.Pointer<HappySession> session, ffi.Pointer<ffi.Char> text_data, ffi.Size text_len, ffi.Pointer<HappyGenerateOptions> options, ffi.Pointer<ffi.Pointer<HappyError>> error),
      int Function(ffi.Pointer<HappySession> session, ffi.Pointer<ffi.Char> text_data, int text_len, ffi.Pointer<HappyGenerateOptions> options, ffi.Pointer<ffi.Pointer<HappyError>> error)>('happy_start');

  /// Computes until there is an event, and returns it. After `HAPPY_EVENT_DONE`, or an error, the turn is over. If no
  /// turn runs, it gives `HAPPY_INVALID_ARGUMENT`.
  late final int Function(ffi.Pointer<HappySession> session, ffi.Pointer<HappyEvent> out, ffi.Pointer<ffi.Pointer<HappyError>> error) happy_next = library.lookupFunction<
      ffi.Int32 Function(ffi.Pointer<HappySession> session, ffi.Pointer<HappyEvent> out, ffi.Pointer<ffi.Pointer<HappyError>> error),
      int Function(ffi.Pointer<HappySession> session, ffi.Pointer<HappyEvent> out, ffi.Pointer<ffi.Pointer<HappyError>> error)>('happy_next');

  /// Ends a turn that `happy_start` began, as if its cancel token were raised. Its remaining events are dropped.
  /// Without such a turn, nothing happens.
  late final int Function(ffi.Pointer<HappySession> session, ffi.Pointer<ffi.Pointer<HappyError>> error) happy_stop = library.lookupFunction<
      ffi.Int32 Function(ffi.Pointer<HappySession> session, ffi.Pointer<ffi.Pointer<HappyError>> error),
      int Function(ffi.Pointer<HappySession> session, ffi.Pointer<ffi.Pointer<HappyError>> error)>('happy_stop');

  /// Returns what the last turn took; `HAPPY_INVALID_ARGUMENT` if no turn has ended yet.
  late final int Function(ffi.Pointer<HappySession> session, ffi.Pointer<HappyFinish> out, ffi.Pointer<ffi.Pointer<HappyError>> error) happy_session_finish = library.lookupFunction<
      ffi.Int32 Function(ffi.Pointer<HappySession> session, ffi.Pointer<HappyFinish> out, ffi.Pointer<ffi.Pointer<HappyError>> error),
      int Function(ffi.Pointer<HappySession> session, ffi.Pointer<HappyFinish> out, ffi.Pointer<ffi.Pointer<HappyError>> error)>('happy_session_finish');

  /// Sets all fields to their defaults; `size` is `sizeof(HappyEmbedOptions)`.
  late final int Function(ffi.Pointer<HappyEmbedOptions> options, int size, ffi.Pointer<ffi.Pointer<HappyError>> error) happy_embed_options_init = library.lookupFunction<
      ffi.Int32 Function(ffi.Pointer<HappyEmbedOptions> options, ffi.Size size, ffi.Pointer<ffi.Pointer<HappyError>> error),
      int Function(ffi.Pointer<HappyEmbedOptions> options, int size, ffi.Pointer<ffi.Pointer<HappyError>> error)>('happy_embed_options_init');

  /// Makes an embedder: memory and threads that turn texts into vectors, or rank documents, as planned. `options` may be
  /// NULL: all defaults. It gives `HAPPY_INVALID_ARGUMENT` if the model was loaded without the option `embeddings`, if
  /// neither its file nor `options` say how to pool, or if its vectors have fewer values than `dimensions`.
  late final int Function(ffi.Pointer<HappyModel> model, ffi.Pointer<HappyEmbedOptions> options, ffi.Pointer<ffi.Pointer<HappyEmbedder>> out, ffi.Pointer<ffi.Pointer<HappyError>> error) happy_embedder_new = library.lookupFunction<
      ffi.Int32 Function(ffi.Pointer<HappyModel> model, ffi.Pointer<HappyEmbedOptions> options, ffi.Pointer<ffi.Pointer<HappyEmbedder>> out, ffi.Pointer<ffi.Pointer<HappyError>> error),
      int Function(ffi.Pointer<HappyModel> model, ffi.Pointer<HappyEmbedOptions> options, ffi.Pointer<ffi.Pointer<HappyEmbedder>> out, ffi.Pointer<ffi.Pointer<HappyError>> error)>('happy_embedder_new');

  /// Frees an embedder. A call that is still running in another thread continues to its end. NULL is fine.
  late final int Function(ffi.Pointer<HappyEmbedder> embedder) happy_embedder_free = library.lookupFunction<
      ffi.Int32 Function(ffi.Pointer<HappyEmbedder> embedder),
      int Function(ffi.Pointer<HappyEmbedder> embedder)>('happy_embedder_free');

  /// Reads the properties of an embedder.
  late final int Function(ffi.Pointer<HappyEmbedder> embedder, ffi.Pointer<HappyEmbedderInfo> out, ffi.Pointer<ffi.Pointer<HappyError>> error) happy_embedder_info = library.lookupFunction<
      ffi.Int32 Function(ffi.Pointer<HappyEmbedder> embedder, ffi.Pointer<HappyEmbedderInfo> out, ffi.Pointer<ffi.Pointer<HappyError>> error),
      int Function(ffi.Pointer<HappyEmbedder> embedder, ffi.Pointer<HappyEmbedderInfo> out, ffi.Pointer<ffi.Pointer<HappyError>> error)>('happy_embedder_info');

  /// Turns `count` texts into vectors, as many at a time as fit into a pass; a vector does not depend on the other texts.
  /// `cancel` may be NULL; a raised one gives `HAPPY_CANCELLED`. A text of more tokens than the context gives
  /// `HAPPY_CONTEXT_FULL` unless `truncate` is set, and one without tokens `HAPPY_INVALID_ARGUMENT`. Read the vectors with
  /// `happy_embeddings_get`, and free `out` with `happy_embeddings_free`.
  late final int Function(ffi.Pointer<HappyEmbedder> embedder, ffi.Pointer<HappyText> texts, int count, ffi.Pointer<HappyCancel> cancel, ffi.Pointer<ffi.Pointer<HappyEmbeddings>> out, ffi.Pointer<ffi.Pointer<HappyError>> error) happy_embed = library.lookupFunction<
      ffi.Int32 Function(ffi.Pointer<HappyEmbedder> embedder, ffi.Pointer<HappyText> texts, ffi.Size count, ffi.Pointer<HappyCancel> cancel, ffi.Pointer<ffi.Pointer<HappyEmbeddings>> out, ffi.Pointer<ffi.Pointer<HappyError>> error),
      int Function(ffi.Pointer<HappyEmbedder> embedder, ffi.Pointer<HappyText> texts, int count, ffi.Pointer<HappyCancel> cancel, ffi.Pointer<ffi.Pointer<HappyEmbeddings>> out, ffi.Pointer<ffi.Pointer<HappyError>> error)>('happy_embed');

  /// Returns the vector of text number `index` of the call, from 0. The values stay where they are until the embeddings
  /// are freed. If there are fewer texts, it gives `HAPPY_INVALID_ARGUMENT`.
  late final int Function(ffi.Pointer<HappyEmbeddings> embeddings, int index, ffi.Pointer<HappyEmbedding> out, ffi.Pointer<ffi.Pointer<HappyError>> error) happy_embeddings_get = library.lookupFunction<
      ffi.Int32 Function(ffi.Pointer<HappyEmbeddings> embeddings, ffi.Size index, ffi.Pointer<HappyEmbedding> out, ffi.Pointer<ffi.Pointer<HappyError>> error),
      int Function(ffi.Pointer<HappyEmbeddings> embeddings, int index, ffi.Pointer<HappyEmbedding> out, ffi.Pointer<ffi.Pointer<HappyError>> error)>('happy_embeddings_get');

  /// Frees embeddings. NULL is fine.
  late final int Function(ffi.Pointer<HappyEmbeddings> embeddings) happy_embeddings_free = library.lookupFunction<
      ffi.Int32 Function(ffi.Pointer<HappyEmbeddings> embeddings),
      int Function(ffi.Pointer<HappyEmbeddings> embeddings)>('happy_embeddings_free');

  /// Ranks `count` documents by how well they match a query. The model needs a classifier, and the embedder the pooling
  /// `HAPPY_POOLING_RANK`; another one gives `HAPPY_INVALID_ARGUMENT`. `ranks` has room for `count` entries, and receives the best first; of equal scores the earlier
  /// document comes first. `cancel` may be NULL. Nothing is written if a document cannot be ranked.
  late final int Function(ffi.Pointer<HappyEmbedder> embedder, ffi.Pointer<ffi.Char> query, int query_len, ffi.Pointer<HappyText> documents, int count, ffi.Pointer<HappyCancel> cancel, ffi.Pointer<HappyRank> ranks, ffi.Pointer<ffi.Pointer<HappyError>> error) happy_rerank = library.lookupFunction<
      ffi.Int32 Function(ffi.Pointer<HappyEmbedder> embedder, ffi.Pointer<ffi.Char> query, ffi.Size query_len, ffi.Pointer<HappyText> documents, ffi.Size count, ffi.Pointer<HappyCancel> cancel, ffi.Pointer<HappyRank> ranks, ffi.Pointer<ffi.Pointer<HappyError>> error),
      int Function(ffi.Pointer<HappyEmbedder> embedder, ffi.Pointer<ffi.Char> query, int query_len, ffi.Pointer<HappyText> documents, int count, ffi.Pointer<HappyCancel> cancel, ffi.Pointer<HappyRank> ranks, ffi.Pointer<ffi.Pointer<HappyError>> error)>('happy_rerank');

  /// Computes what `happy_model_verify` compares with on other devices, as JSON of some 100 KiB: ids of texts, rendered templates, and
  /// hashes of the weights, of every step inside every layer, and of logits. Make it where results are trusted. It takes seconds for
  /// a model of a billion parameters; `cancel` may be NULL.
  late final int Function(ffi.Pointer<HappyModel> model, ffi.Pointer<HappyCancel> cancel, ffi.Pointer<HappyString> out, ffi.Pointer<ffi.Pointer<HappyError>> error) happy_model_reference = library.lookupFunction<
      ffi.Int32 Function(ffi.Pointer<HappyModel> model, ffi.Pointer<HappyCancel> cancel, ffi.Pointer<HappyString> out, ffi.Pointer<ffi.Pointer<HappyError>> error),
      int Function(ffi.Pointer<HappyModel> model, ffi.Pointer<HappyCancel> cancel, ffi.Pointer<HappyString> out, ffi.Pointer<ffi.Pointer<HappyError>> error)>('happy_model_reference');

  /// Checks whether this device computes what the device computed that made the reference: with the same bits. Gives a JSON object:
  /// `{"same":true}`, or the first difference: `same` is false, `part` is `tokenizer`, `template`, `weights`, `layer` or `logits`, `name` says
  /// which text, tensor or step, such as `blk.7.ffn_down`, and `kernel` what computed it, or null. A reference that cannot be compared (of
  /// another architecture or version of the numerics) gives `HAPPY_INVALID_ARGUMENT`. `cancel` may be NULL.
  late final int Function(ffi.Pointer<HappyModel> model, ffi.Pointer<ffi.Char> reference_data, int reference_len, ffi.Pointer<HappyCancel> cancel, ffi.Pointer<HappyString> out, ffi.Pointer<ffi.Pointer<HappyError>> error) happy_model_verify = library.lookupFunction<
      ffi.Int32 Function(ffi.Pointer<HappyModel> model, ffi.Pointer<ffi.Char> reference_data, ffi.Size reference_len, ffi.Pointer<HappyCancel> cancel, ffi.Pointer<HappyString> out, ffi.Pointer<ffi.Pointer<HappyError>> error),
      int Function(ffi.Pointer<HappyModel> model, ffi.Pointer<ffi.Char> reference_data, int reference_len, ffi.Pointer<HappyCancel> cancel, ffi.Pointer<HappyString> out, ffi.Pointer<ffi.Pointer<HappyError>> error)>('happy_model_verify');

  /// Tells the governors of all sessions (see the option `governor`) what the app knows of the device. What is unknown here is asked of the
  /// system: on Android heat, by its NDK, from API level 30 on. `headroom` (at least 0) is the thermal headroom, where 1 is severe heat (NaN: unknown),
  /// `thermal_status` Android's number of the thermal status, from 0 (none) to 6 (shutdown; -1: unknown), and `battery_saver` 1 if the battery
  /// saver is on, 0 if not (-1: unknown). Other numbers give `HAPPY_INVALID_ARGUMENT`. It holds until the next call.
  late final int Function(double headroom, int thermal_status, int battery_saver, ffi.Pointer<ffi.Pointer<HappyError>> error) happy_report_device = library.lookupFunction<
      ffi.Int32 Function(ffi.Float headroom, ffi.Int32 thermal_status, ffi.Int32 battery_saver, ffi.Pointer<ffi.Pointer<HappyError>> error),
      int Function(double headroom, int thermal_status, int battery_saver, ffi.Pointer<ffi.Pointer<HappyError>> error)>('happy_report_device');
}
