/* libhappy: language models on the CPU. Made by `cargo xtask header` from crates/ffi/src; do not edit.
 *
 * Every function that can fail returns a HappyStatus and takes a HappyError ** as its last argument, which may be NULL. It
 * receives NULL or an error with a message, which the caller frees. Nothing else is written on failure.
 *
 * Handles are checked: NULL, a handle of another kind or one that was freed gives HAPPY_INVALID_HANDLE.
 * A session is used by one call at a time: others get HAPPY_BUSY, from other threads and from within its own callbacks.
 * An embedder is, too. Models, samplers, embeddings and cancel tokens may be used by any number of threads.
 *
 * Structs of options and results begin with their size, so that programs and libraries of different versions fit together:
 * fill options with their _init function and then set fields; set `size` of results before the call.
 *
 * Text goes in as UTF-8 with its length in bytes, and needs no NUL. Strings and messages that are handed out have a NUL after
 * their length; the texts of events do not.
 */


#ifndef HAPPY_H
#define HAPPY_H

#include <stddef.h>
#include <stdint.h>

/**
 * The version of this interface that the program is compiled against. `happy_abi_version` returns that of the library
 * that runs.
 */
#define HAPPY_ABI_VERSION 1

/**
 * The value of `seed` for a new random seed in each turn.
 */
#define HAPPY_SEED_RANDOM UINT64_MAX

/**
 * How a call ended, by what the caller can do about it. The error's message says what, where, expected and found.
 */
enum HappyStatus
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * The call succeeded.
   */
  HAPPY_OK = 0,
  /**
   * An argument or option is wrong: fix the call.
   */
  HAPPY_INVALID_ARGUMENT = 1,
  /**
   * The handle is null, of another kind, or was freed: fix the program.
   */
  HAPPY_INVALID_HANDLE = 2,
  /**
   * The session or embedder is in use by another call, or the session has a turn that was not read to its end: wait,
   * or stop the turn.
   */
  HAPPY_BUSY = 3,
  /**
   * The cancel token was raised, or the progress callback returned 0.
   */
  HAPPY_CANCELLED = 4,
  /**
   * The file or file descriptor cannot be read or written: check the path, the permissions, the offset and the free
   * space.
   */
  HAPPY_FILE = 5,
  /**
   * The file is not a GGUF model, is damaged, or its architecture is not supported: another file is needed.
   */
  HAPPY_MODEL = 6,
  /**
   * The plan is over the budget, or the system refused memory: plan for less, as the message says.
   */
  HAPPY_MEMORY = 7,
  /**
   * The conversation, the text or the session's file does not fit the context: shorten it, or load with a larger
   * context.
   */
  HAPPY_CONTEXT_FULL = 8,
  /**
   * The model has no chat template, or its template refuses the messages.
   */
  HAPPY_TEMPLATE = 9,
  /**
   * The grammar or JSON schema is wrong; the message has the line and column, if there are any.
   */
  HAPPY_GRAMMAR = 10,
  /**
   * The file has no tokenizer, the text cannot be tokenized, or a token id is outside the vocabulary.
   */
  HAPPY_TOKENIZER = 11,
  /**
   * Not supported yet, by this version or on this machine.
   */
  HAPPY_UNSUPPORTED = 12,
  /**
   * The system refused something else, such as a thread.
   */
  HAPPY_SYSTEM = 13,
  /**
   * An error of this library, which was contained: please report it. The session or embedder in which it happened must
   * be freed.
   */
  HAPPY_INTERNAL = 14,
  /**
   * The session's file is damaged, of another version, sealed with another key, or its token ids mean something else
   * here. Another file or key is needed.
   */
  HAPPY_SESSION_FILE = 15,
  /**
   * The session's file was computed with another model, adapter, kind of KV cache or version of the library, with the same
   * vocabulary: `happy_session_replay` computes its tokens again.
   */
  HAPPY_REPLAY = 16,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum HappyStatus HappyStatus;
#else
typedef int32_t HappyStatus;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Element type of the KV cache.
 */
enum HappyKvType
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * 16-bit floats.
   */
  HAPPY_KV_F16 = 0,
  /**
   * 32-bit floats: twice the memory.
   */
  HAPPY_KV_F32 = 1,
  /**
   * 8-bit integers with a scale for every 32: little more than half the memory. For models whose heads are multiples of 32
   * wide, without latent attention; others are refused.
   */
  HAPPY_KV_Q8_0 = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum HappyKvType HappyKvType;
#else
typedef int32_t HappyKvType;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Which messages a log callback receives.
 */
enum HappyLogLevel
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * Nothing.
   */
  HAPPY_LOG_OFF = 0,
  /**
   * Calls that failed.
   */
  HAPPY_LOG_ERROR = 1,
  /**
   * Also: what was loaded, and what each turn took.
   */
  HAPPY_LOG_INFO = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum HappyLogLevel HappyLogLevel;
#else
typedef int32_t HappyLogLevel;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * What an event is about.
 */
enum HappyEventKind
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * `done` of the `total` prompt tokens are computed. Comes after each part of a long prompt; the last one has
   * `done` equal to `total`.
   */
  HAPPY_EVENT_PREFILL = 0,
  /**
   * `text` is the next piece of the answer.
   */
  HAPPY_EVENT_TEXT = 1,
  /**
   * `text` is the next piece of what the model thinks before it answers.
   */
  HAPPY_EVENT_REASONING = 2,
  /**
   * The model begins to call tool `name`; it is call number `call`, from 0.
   */
  HAPPY_EVENT_TOOL_CALL_START = 3,
  /**
   * `text` is the next piece of the arguments of call `call`, as JSON: for callers that show them while they arrive.
   */
  HAPPY_EVENT_TOOL_CALL_ARGUMENTS = 4,
  /**
   * Call `call` is complete: tool `name`, arguments `text` (a JSON object), and `id` if the model wrote one.
   */
  HAPPY_EVENT_TOOL_CALL = 5,
  /**
   * A text that looked like a call is not a valid call; `text` says why. It follows as part of the answer. If call
   * `call` had started, it is withdrawn.
   */
  HAPPY_EVENT_MALFORMED_CALL = 6,
  /**
   * The end of the turn: `finish` says why.
   */
  HAPPY_EVENT_DONE = 7,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum HappyEventKind HappyEventKind;
#else
typedef int32_t HappyEventKind;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Why a turn ended.
 */
enum HappyFinishReason
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * The model ended its answer.
   */
  HAPPY_FINISH_END = 0,
  /**
   * A stop string was reached.
   */
  HAPPY_FINISH_STOP_STRING = 1,
  /**
   * The limit of tokens was reached.
   */
  HAPPY_FINISH_LENGTH = 2,
  /**
   * The context is full.
   */
  HAPPY_FINISH_CONTEXT_FULL = 3,
  /**
   * The text is complete: the grammar allows nothing more.
   */
  HAPPY_FINISH_GRAMMAR_END = 4,
  /**
   * The cancel token was raised, the callback said stop, the turn was stopped, or the session was freed.
   */
  HAPPY_FINISH_CANCELLED = 5,
  /**
   * The text ended before the grammar, the JSON schema or a call that had begun was complete: the limit of tokens, a
   * full context, or no token that continues it.
   */
  HAPPY_FINISH_UNFINISHED = 6,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum HappyFinishReason HappyFinishReason;
#else
typedef int32_t HappyFinishReason;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * How the hidden states of a text's tokens become one vector.
 */
enum HappyPooling
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * As the model's file says.
   */
  HAPPY_POOLING_MODEL = 0,
  /**
   * No pooling: a vector for each token.
   */
  HAPPY_POOLING_NONE = 1,
  /**
   * The mean of all hidden states.
   */
  HAPPY_POOLING_MEAN = 2,
  /**
   * The hidden state of the first token.
   */
  HAPPY_POOLING_CLS = 3,
  /**
   * The hidden state of the last token.
   */
  HAPPY_POOLING_LAST = 4,
  /**
   * The scores of the model's classifier: one for each label, and usually only one.
   */
  HAPPY_POOLING_RANK = 5,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum HappyPooling HappyPooling;
#else
typedef int32_t HappyPooling;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * What `happy_session_trim` gives back. Each level includes the levels before it.
 */
enum HappyTrimLevel
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * Buffers for computing. They are allocated again for the next token, and nothing is lost.
   */
  HAPPY_TRIM_SCRATCH = 0,
  /**
   * Snapshots. Conversations can continue, but in models with windows or recurrent layers, going back computes them
   * again. The memory stays with the process, for reuse.
   */
  HAPPY_TRIM_SNAPSHOTS = 1,
  /**
   * Branches, including those that were pinned. The memory stays with the process, for reuse.
   */
  HAPPY_TRIM_BRANCHES = 2,
  /**
   * The whole KV cache.
   */
  HAPPY_TRIM_SEQUENCES = 3,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum HappyTrimLevel HappyTrimLevel;
#else
typedef int32_t HappyTrimLevel;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * A flag that ends loading, generating or embedding early. Any thread may raise it, even from within callbacks.
 */
typedef struct HappyCancel HappyCancel;

/**
 * Memory and threads that turn texts into vectors, or rank documents.
 */
typedef struct HappyEmbedder HappyEmbedder;

/**
 * The vectors of the texts of one call. They never change: any number of threads may read them. Free them with
 * `happy_embeddings_free`.
 */
typedef struct HappyEmbeddings HappyEmbeddings;

/**
 * The error of a call that failed. Free it with `happy_error_free`.
 */
typedef struct HappyError HappyError;

/**
 * A loaded model, shared by its sessions. Handles are numbers that look like pointers and are never followed.
 */
typedef struct HappyModel HappyModel;

/**
 * How tokens are chosen. It never changes: any number of sessions and threads may use it.
 */
typedef struct HappySampler HappySampler;

/**
 * A conversation with its KV cache and threads.
 */
typedef struct HappySession HappySession;

/**
 * Text that the library made: UTF-8 (any bytes, from `happy_token_piece`), followed by a NUL. Free it with
 * `happy_string_free`.
 */
typedef struct HappyString {
  /**
   * The first byte; NULL if there is no string.
   */
  char *data;
  /**
   * Number of bytes, without the NUL.
   */
  size_t len;
} HappyString;

/**
 * Receives the library's messages; `text` has `len` bytes and a NUL. May be called from any thread that calls the
 * library.
 */
typedef void (*HappyOnLog)(void *user, int32_t level, const char *text, size_t len);

/**
 * Text that the caller owns: UTF-8, `len` bytes, no NUL needed. `data` may be NULL if `len` is 0.
 */
typedef struct HappyText {
  /**
   * The first byte.
   */
  const char *data;
  /**
   * Bytes.
   */
  size_t len;
} HappyText;

/**
 * Receives how much of a model is loaded, from 0 to 1. Returns 0 to cancel loading, anything else to continue.
 */
typedef int32_t (*HappyProgress)(void *user, float fraction);

/**
 * How to load a model. Begin with `happy_load_options_init`.
 */
typedef struct HappyLoadOptions {
  /**
   * `sizeof(HappyLoadOptions)`.
   */
  uint32_t size;
  /**
   * Number of threads, including the caller's, at most 256. 0, the default: all big cores but one, or all cores if
   * they are equal.
   */
  uint32_t threads;
  /**
   * Size of a session's context in tokens. 0, the default: what the model was trained for, but at most 4,096 and what
   * fits the budget.
   */
  uint32_t context;
  /**
   * Maximum number of prompt tokens in one pass. Results do not depend on it. 0 and the default: 256.
   */
  uint32_t batch;
  /**
   * Maximum bytes of anonymous memory for the model and one session. 0, the default: what the machine has free, or
   * less if the limits of the process are lower.
   */
  uint64_t memory_budget;
  /**
   * Instruction set, such as `scalar`, `avx2` or `dotprod`; `happy_cpu` lists those of this machine, and another one
   * gives `HAPPY_UNSUPPORTED`. Empty, the default: the best that the machine has.
   */
  struct HappyText isa;
  /**
   * Called while loading, on the caller's thread; may be NULL.
   */
  HappyProgress progress;
  /**
   * Passed to `progress` as `user`.
   */
  void *progress_user;
  /**
   * Ends loading early, with `HAPPY_CANCELLED`; may be NULL.
   */
  const struct HappyCancel *cancel;
  /**
   * Element type of the KV cache, a `HappyKvType`. Default: `HAPPY_KV_F16`.
   */
  int32_t kv_type;
  /**
   * 0, the default: map the file, which no program may write to or truncate while the model is loaded. 1: read it into
   * anonymous memory.
   */
  uint32_t copy;
  /**
   * Adapters (LoRA) with which sessions begin, in the order in which their results are added. Each is the path of a
   * file, or `FILE=SCALE`; the scale is 1 if none is given. NULL: no adapters.
   */
  const struct HappyText *adapters;
  /**
   * Number of elements.
   */
  size_t n_adapters;
  /**
   * Maximum rank of adapters to plan for: the sum of the ranks of all adapters that a session uses at once. 0, the
   * default: that of `adapters`.
   */
  uint32_t adapter_rank;
  /**
   * 1: load for embedders instead of sessions. A text runs in one pass, several texts share one, and there are no
   * logits; sessions of such a model cannot generate. 0, the default: load for sessions.
   */
  uint32_t embeddings;
  /**
   * Maximum bytes for snapshots. In models with windows or recurrent states, a conversation can go back only to a
   * snapshot; without one, it is computed again from the beginning. At most an eighth of the memory budget is taken,
   * and nothing for models that need no snapshots. Default: 33554432 (32 MiB); 0: no snapshots.
   */
  uint64_t snapshot_bytes;
  /**
   * Number of prompts that a session keeps computed in addition to that of its conversation: for branches, edits and
   * pinned prefixes. Default: 0.
   */
  uint32_t branches;
  /**
   * Maximum number of tokens, from 0 to 7, that sessions guess from their own texts and compute ahead. If a text
   * repeats its prompt, as an edit or a summary does, answers come faster, with the same words. Each guess takes
   * memory for its logits; if memory is short, fewer are guessed. Default: 0, no guesses.
   */
  uint32_t draft_tokens;
  /**
   * Bytes for the keys and values that the prompts of `branches` don't share with the conversation. If they need more,
   * the least recently used are dropped. Default: 0.
   */
  uint64_t branch_bytes;
  /**
   * 1: sessions also guess with the file's draft head (multi-token prediction), if `draft_tokens` is not 0. A file
   * without one is refused with `HAPPY_MODEL`. 0, the default: they guess from their texts alone.
   */
  uint32_t draft_head;
  /**
   * Must be 0.
   */
  uint32_t reserved;
} HappyLoadOptions;

/**
 * The memory that running a model takes. Set `size` before the call.
 */
typedef struct HappyPlan {
  /**
   * `sizeof(HappyPlan)`.
   */
  uint32_t size;
  /**
   * 1 if it fits the budget, otherwise 0.
   */
  uint32_t fits;
  /**
   * Maximum bytes of anonymous memory without grammars and tools: KV cache, scratch, tables, tokenizer, and the
   * weights if they are copied.
   */
  uint64_t anon_bytes;
  /**
   * The budget in bytes: the option `memory_budget`, or what the machine has free and the limits of the process
   * (control groups, RLIMIT_DATA, RLIMIT_AS) leave. UINT64_MAX if the system does not tell.
   */
  uint64_t budget_bytes;
  /**
   * Bytes of the weights.
   */
  uint64_t weight_bytes;
  /**
   * Bytes of the KV cache when all of it is used.
   */
  uint64_t kv_bytes;
  /**
   * Bytes of activations and scratch.
   */
  uint64_t scratch_bytes;
  /**
   * Bytes of the tokenizer's tables.
   */
  uint64_t tokenizer_bytes;
  /**
   * Size of a session's context in tokens.
   */
  uint32_t context;
  /**
   * If the plan does not fit: the largest context that would fit, or 0 if none would. Otherwise the same as
   * `context`.
   */
  uint32_t fitting_context;
  /**
   * Maximum number of prompt tokens in one pass.
   */
  uint32_t batch;
  /**
   * Number of threads.
   */
  uint32_t threads;
  /**
   * 1 if the weights are read into anonymous memory.
   */
  uint32_t weights_copied;
  /**
   * The context that was planned for at first, if it had to shrink to fit the budget; otherwise 0. It shrinks only
   * if the options leave its size open.
   */
  uint32_t shrunk_from;
  /**
   * Maximum bytes of the model's tables: layers, norms, biases.
   */
  uint64_t table_bytes;
  /**
   * Maximum bytes of the vocabulary that grammars, JSON schemas and tools need, in addition to `anon_bytes`. They
   * are taken when the first of these is used; if the budget has no room for them, that turn fails with
   * `HAPPY_MEMORY`.
   */
  uint64_t grammar_bytes;
  /**
   * The part of `kv_bytes` that holds the states of recurrent layers; 0 if the model has none.
   */
  uint64_t state_bytes;
  /**
   * The part of `kv_bytes` that holds snapshots (`snapshot_bytes` of the load options); 0 if the model needs none.
   */
  uint64_t snapshot_bytes;
} HappyPlan;

/**
 * A part of an open file.
 */
typedef struct HappyFilePart {
  /**
   * The file's descriptor, which is duplicated: it may be closed after the call.
   */
  int32_t fd;
  /**
   * Must be 0.
   */
  uint32_t reserved;
  /**
   * Offset of the part in the file, in bytes.
   */
  uint64_t offset;
  /**
   * Length of the part in bytes; 0: to the end of the file.
   */
  uint64_t length;
} HappyFilePart;

/**
 * A number to add to the logit of a token.
 */
typedef struct HappyLogitBias {
  /**
   * The token's id.
   */
  uint32_t token;
  /**
   * The number to add: finite, or minus infinity, which forbids the token.
   */
  float bias;
} HappyLogitBias;

/**
 * How to choose tokens; names, defaults and order are llama.cpp's. Begin with `happy_sampler_options_init`.
 */
typedef struct HappySamplerOptions {
  /**
   * `sizeof(HappySamplerOptions)`.
   */
  uint32_t size;
  /**
   * Keep this many of the most probable tokens. 0 keeps all. Default: 40.
   */
  uint32_t top_k;
  /**
   * Seed of the random choice; every turn starts from it. `HAPPY_SEED_RANDOM`, the default: another one each turn.
   */
  uint64_t seed;
  /**
   * Divide the logits by this. At least 0; 0 always takes the best token, 1 changes nothing. Default: 0.8.
   */
  float temperature;
  /**
   * Keep the most probable tokens until their probabilities add up to this. From 0 to 1; 1 keeps all. Default: 0.95.
   */
  float top_p;
  /**
   * Keep tokens whose probability is at least this share of the best one's. From 0 to 1; 0 keeps all. Default: 0.05.
   */
  float min_p;
  /**
   * Keep the tokens whose surprise is nearest to the entropy, until their probabilities add up to this. From 0 to 1; 1
   * keeps all. Default: 1.
   */
  float typical;
  /**
   * Keep tokens whose logit is at most this many standard deviations below the best one. At least 0; 0 keeps all.
   * Default: 0.
   */
  float top_n_sigma;
  /**
   * Probability that all top choices except for the least probable one are excluded (XTC). From 0 to 1; 0 turns XTC
   * off. Default: 0.
   */
  float xtc_probability;
  /**
   * Minimum probability of a top choice. Tokens at or above it are candidates for exclusion; values above 0.5 turn XTC
   * off. From 0 to 1. Default: 0.1.
   */
  float xtc_threshold;
  /**
   * Let the temperature follow the entropy, between the temperature minus and plus this. At least 0; 0 keeps it fixed.
   * Default: 0.
   */
  float dynatemp_range;
  /**
   * Exponent of the entropy for the dynamic temperature. At least 0. Default: 1.
   */
  float dynatemp_exponent;
  /**
   * Divide positive logits of recent tokens by this, and multiply negative ones by it. Above 0; 1 is neutral, and
   * values below 1 favor repetition. Default: 1.
   */
  float repeat_penalty;
  /**
   * Subtract this from a logit for each recent occurrence of its token. Any finite number; 0 is neutral, and negative
   * values favor repetition. Default: 0.
   */
  float frequency_penalty;
  /**
   * Subtract this once from the logits of recent tokens. Any finite number; 0 is neutral, and negative values favor
   * repetition. Default: 0.
   */
  float presence_penalty;
  /**
   * Penalty of a token that would make a repetition one token longer than DRY allows. At least 0; 0 turns DRY off.
   * Default: 0.
   */
  float dry_multiplier;
  /**
   * Factor by which DRY's penalty grows with each further token of a repetition. At least 0; below 1 turns DRY off.
   * Default: 1.75.
   */
  float dry_base;
  /**
   * Target surprise of Mirostat in bits (tau). At least 0. Default: 5.
   */
  float mirostat_tau;
  /**
   * Learning rate of Mirostat (eta). At least 0. Default: 0.1.
   */
  float mirostat_eta;
  /**
   * Prefer tokens whose probability is near this (adaptive-p). From 0 to 1; below 0 is an ordinary draw. Default: -1.
   */
  float adaptive_target;
  /**
   * Weight of the past in adaptive-p's average of its choices: 0.9 averages over about 10 tokens, 0.99 over about 100.
   * From 0 to 0.99. Default: 0.9.
   */
  float adaptive_decay;
  /**
   * Number of recent tokens that the penalties look at. At most 1,048,576; 0 turns them off. Default: 64.
   */
  uint32_t penalty_last_n;
  /**
   * Length in tokens of the longest repetition that DRY allows: it penalizes tokens that would make one longer. 0
   * penalizes every recent token. Default: 2.
   */
  uint32_t dry_allowed_length;
  /**
   * Number of recent tokens in which DRY looks for repetitions. At most 1,048,576; 0 turns DRY off. Default: 64.
   */
  uint32_t dry_last_n;
  /**
   * Minimum number of tokens that top-p, min-p, typical and XTC keep. Default: 0, which is like 1.
   */
  uint32_t min_keep;
  /**
   * Version of Mirostat, which replaces all steps but temperature and logit bias: 1 or 2. 0 turns it off. Default: 0.
   */
  uint32_t mirostat;
  /**
   * Must be 0.
   */
  uint32_t reserved;
  /**
   * The samplers and their order, separated by `;`: penalties, dry, top_n_sigma, top_k, typ_p, top_p, min_p, xtc,
   * temperature, infill, adaptive_p. Empty: these without the last two.
   */
  struct HappyText order;
  /**
   * Texts that end a repetition for DRY. NULL: line end, `:`, `"` and `*`.
   */
  const struct HappyText *dry_breakers;
  /**
   * Number of elements.
   */
  size_t n_dry_breakers;
  /**
   * Numbers to add to the logits of tokens: finite, or minus infinity, which forbids a token. NULL: none.
   */
  const struct HappyLogitBias *logit_bias;
  /**
   * Number of elements.
   */
  size_t n_logit_bias;
} HappySamplerOptions;

/**
 * The settings of a session. Begin with `happy_session_options_init`.
 */
typedef struct HappySessionOptions {
  /**
   * `sizeof(HappySessionOptions)`.
   */
  uint32_t size;
  /**
   * 1: answer even if the chat template has no place for the system message, the tools or a variable, which the model
   * then never sees. 0, the default: such a turn fails with `HAPPY_TEMPLATE`.
   */
  uint32_t ignore_unused;
  /**
   * The system message. Empty: no system message.
   */
  struct HappyText system;
  /**
   * A JSON array of tools that the model may call, as its template takes them (mostly OpenAI's form). Empty: no tools.
   */
  struct HappyText tools;
  /**
   * A JSON object with additional variables for the template, such as `{"enable_thinking": false}`. Empty: no
   * variables.
   */
  struct HappyText template_vars;
  /**
   * What happens when the messages leave too little of the context for an answer: `stop` (the turn fails with
   * `HAPPY_CONTEXT_FULL`), `drop-oldest` (the prompt leaves the oldest turns out; `happy_session_reuse` tells how many
   * messages), or `shift` (as `drop-oldest`, and an answer that fills the context goes on without the older half of
   * it: its text differs from then on; `happy_session_reuse` tells how many tokens). Empty: `stop`.
   */
  struct HappyText context_policy;
  /**
   * Key that seals the session's files (XChaCha20-Poly1305): 32 random bytes as 64 hexadecimal digits. Empty: files
   * are not sealed.
   */
  struct HappyText file_key;
  /**
   * Lets a governor choose the number of threads, up to those of the plan, and the pace, by measured speed and what
   * the system and `happy_report_device` tell of heat: `fastest` (as fast as the device can sustain), `rate=8` (at
   * most 8 tokens per second, with little energy; 0.01 to 1,000,000) or `energy=0.3` (up to 30% slower, to save
   * energy; 0 to 0.9). The words don't depend on it. Empty: all threads, without pauses.
   */
  struct HappyText governor;
  /**
   * Path of a file in which the governor keeps measured speeds, so that the next session begins with them. Empty: each
   * session measures during its first answer, for a second or two.
   */
  struct HappyText governor_cache;
} HappySessionOptions;

/**
 * The memory of a session and of the process, in bytes. Set `size` before the call.
 */
typedef struct HappyMemory {
  /**
   * `sizeof(HappyMemory)`.
   */
  uint32_t size;
  /**
   * 1 if the weights are in anonymous memory.
   */
  uint32_t weights_copied;
  /**
   * The weights; file-backed unless they are copied.
   */
  uint64_t weight_bytes;
  /**
   * The KV cache when all of it is used.
   */
  uint64_t kv_bytes;
  /**
   * The part of the KV cache that is in use.
   */
  uint64_t kv_resident_bytes;
  /**
   * Activations and scratch.
   */
  uint64_t scratch_bytes;
  /**
   * The tokenizer's tables.
   */
  uint64_t tokenizer_bytes;
  /**
   * The process: anonymous pages. 0 if the system does not tell, as for the next two.
   */
  uint64_t process_anon_bytes;
  /**
   * The process: pages of mapped files.
   */
  uint64_t process_file_bytes;
  /**
   * The process: the highest resident size so far.
   */
  uint64_t process_peak_bytes;
  /**
   * Number of positions of the context that are in use.
   */
  uint64_t positions;
} HappyMemory;

/**
 * What the turns of a session did not have to compute. Set `size` before the call.
 */
typedef struct HappyReuse {
  /**
   * `sizeof(HappyReuse)`.
   */
  uint32_t size;
  /**
   * Number of sequences that are kept in addition to the conversation's own: see the load option `branches`.
   */
  uint32_t branches;
  /**
   * Number of prompts so far.
   */
  uint64_t prompts;
  /**
   * Number of tokens of those prompts.
   */
  uint64_t prompt_tokens;
  /**
   * Number of those tokens that the KV cache already held.
   */
  uint64_t reused_tokens;
  /**
   * Number of branches that were dropped because memory or branches ran out.
   */
  uint64_t evicted_branches;
  /**
   * Number of messages that the last turn's prompt left out, as the option `context_policy` says.
   */
  uint64_t dropped_messages;
  /**
   * Number of tokens that were guessed and computed ahead: see the load option `draft_tokens`.
   */
  uint64_t guessed_tokens;
  /**
   * Number of guesses that turned out right. Each saved a pass.
   */
  uint64_t accepted_tokens;
  /**
   * Number of tokens that the last turn dropped from the context when it was full: see the option `context_policy`, `shift`.
   */
  uint64_t shifted_tokens;
} HappyReuse;

/**
 * How to generate. Begin with `happy_generate_options_init`.
 */
typedef struct HappyGenerateOptions {
  /**
   * `sizeof(HappyGenerateOptions)`.
   */
  uint32_t size;
  /**
   * Maximum number of generated tokens. 0, the default: until the context is full.
   */
  uint32_t max_tokens;
  /**
   * How tokens are chosen. NULL: the defaults.
   */
  const struct HappySampler *sampler;
  /**
   * Ends the turn early, with `HAPPY_FINISH_CANCELLED`; may be NULL.
   */
  const struct HappyCancel *cancel;
  /**
   * Texts that end the answer and are not part of it; may be NULL.
   */
  const struct HappyText *stop;
  /**
   * Number of elements.
   */
  size_t n_stop;
  /**
   * A GBNF grammar that the text must match. Empty: any text.
   */
  struct HappyText grammar;
  /**
   * A JSON schema that the text must match. Empty: any text. Not together with a grammar.
   */
  struct HappyText json_schema;
  /**
   * Deliver text when this many milliseconds have passed since the last text event. 0, the default: never because of
   * time.
   */
  uint32_t coalesce_ms;
  /**
   * Deliver text when this many bytes of UTF-8 have come. 0, the default: never because of size. If both are 0, text
   * is delivered at once.
   */
  uint32_t coalesce_bytes;
  /**
   * 1: continue the text as it is, without template and conversation. 0, the default: answer a message.
   */
  uint32_t raw;
  /**
   * 1: take the whole turn back when it is cancelled. 0, the default: keep what was answered as the assistant's
   * message.
   */
  uint32_t drop_cancelled;
  /**
   * 1: continue when the model wants to end its answer. 0, the default: end there.
   */
  uint32_t ignore_end;
  /**
   * Must be 0.
   */
  uint32_t reserved;
  /**
   * Whether the model calls tools: `auto` (it decides), `none`, `required` (at least one call), or the name of a tool
   * (at least one call, all of this tool). Empty: `auto`. Not used with `raw`.
   */
  struct HappyText tool_choice;
} HappyGenerateOptions;

/**
 * Something that happened in a turn. For `happy_next`: set `size` before the call; the texts are valid until the next
 * call for the session.
 */
typedef struct HappyEvent {
  /**
   * `sizeof(HappyEvent)`; in callbacks, the size that the library has.
   */
  uint32_t size;
  /**
   * A `HappyEventKind`; ignore kinds that you do not know.
   */
  int32_t kind;
  /**
   * `HAPPY_EVENT_DONE`: a `HappyFinishReason`; `happy_session_finish` says more.
   */
  int32_t finish;
  /**
   * Events of tool calls: the call's number, from 0; -1 without a call.
   */
  int32_t call;
  /**
   * `HAPPY_EVENT_PREFILL`: prompt tokens that are computed.
   */
  uint64_t done;
  /**
   * `HAPPY_EVENT_PREFILL`: prompt tokens that have to be computed.
   */
  uint64_t total;
  /**
   * Text, as the kind says.
   */
  struct HappyText text;
  /**
   * Events of tool calls: the tool's name.
   */
  struct HappyText name;
  /**
   * `HAPPY_EVENT_TOOL_CALL`, `HAPPY_EVENT_TOOL_CALL_START`: the id that the model gave the call; usually empty.
   */
  struct HappyText id;
} HappyEvent;

/**
 * Receives the events of a turn. An event and its texts are valid during the call only. Returns 0 to end the turn,
 * anything else to continue. It must not throw an exception or jump out of the call; calls for the same session give
 * `HAPPY_BUSY`.
 */
typedef int32_t (*HappyOnEvent)(void *user, const struct HappyEvent *event);

/**
 * What a turn took. Set `size` before the call.
 */
typedef struct HappyFinish {
  /**
   * `sizeof(HappyFinish)`.
   */
  uint32_t size;
  /**
   * A `HappyFinishReason`.
   */
  int32_t reason;
  /**
   * Prompt tokens that were computed.
   */
  uint64_t prompt_tokens;
  /**
   * Prompt tokens that the KV cache already held.
   */
  uint64_t reused_tokens;
  /**
   * Generated tokens, including a token that ended the answer.
   */
  uint64_t generated_tokens;
  /**
   * Seconds for the prompt.
   */
  double prefill_seconds;
  /**
   * Seconds for the generated tokens after the first.
   */
  double decode_seconds;
  /**
   * Computed prompt tokens per second.
   */
  double prefill_rate;
  /**
   * Generated tokens after the first, per second.
   */
  double decode_rate;
} HappyFinish;

/**
 * How texts become vectors. Begin with `happy_embed_options_init`.
 */
typedef struct HappyEmbedOptions {
  /**
   * `sizeof(HappyEmbedOptions)`.
   */
  uint32_t size;
  /**
   * How the hidden states of a text become one vector, a `HappyPooling`. Default: as the model's file says; a file
   * that does not say it is an error.
   */
  int32_t pooling;
  /**
   * Number of values at the beginning of each vector to keep, for models that were trained for it (Matryoshka). 0, the
   * default: all.
   */
  uint32_t dimensions;
  /**
   * 1: leave vectors as the model gives them. 0, the default: divide them by their length, so that their dot product
   * is their cosine. Ranks are never divided.
   */
  uint32_t unnormalized;
  /**
   * 1: shorten texts of more tokens than the context; the special token at the end stays there. 0, the default: such
   * texts give `HAPPY_CONTEXT_FULL`.
   */
  uint32_t truncate;
  /**
   * Must be 0.
   */
  uint32_t reserved;
} HappyEmbedOptions;

/**
 * The properties of an embedder. Set `size` before the call.
 */
typedef struct HappyEmbedderInfo {
  /**
   * `sizeof(HappyEmbedderInfo)`.
   */
  uint32_t size;
  /**
   * A `HappyPooling`; never `HAPPY_POOLING_MODEL`.
   */
  int32_t pooling;
  /**
   * Number of values of a vector.
   */
  uint32_t width;
  /**
   * Maximum number of tokens of a text.
   */
  uint32_t most_tokens;
} HappyEmbedderInfo;

/**
 * The vector of a text. Set `size` before the call.
 */
typedef struct HappyEmbedding {
  /**
   * `sizeof(HappyEmbedding)`.
   */
  uint32_t size;
  /**
   * Number of values of a vector.
   */
  uint32_t width;
  /**
   * The text's vector; with `HAPPY_POOLING_NONE` the vectors of its tokens, one after the other. Valid until the
   * embeddings are freed.
   */
  const float *values;
  /**
   * Values: `width`, or with `HAPPY_POOLING_NONE` `width` times `tokens`.
   */
  size_t count;
  /**
   * Tokens that were computed.
   */
  uint64_t tokens;
  /**
   * Number of tokens that were left out because the text is too long.
   */
  uint64_t left_out;
} HappyEmbedding;

/**
 * How well a document matches a query.
 */
typedef struct HappyRank {
  /**
   * The index of the document among those given, from 0.
   */
  uint32_t index;
  /**
   * The model's score, the higher the better; its scale is the model's own.
   */
  float score;
} HappyRank;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Returns the status of an error, or `HAPPY_INVALID_HANDLE` if the handle is not an error.
 */
HappyStatus happy_error_status(const struct HappyError *error);

/**
 * Returns the message of an error: UTF-8 followed by a NUL, valid until the error is freed. `len` receives the number
 * of bytes without the NUL, and may be NULL. Returns an empty text if the handle is not an error.
 */
const char *happy_error_message(const struct HappyError *error,
                                size_t *len);

/**
 * Frees an error. NULL is fine. A handle that is not an error, or was freed before, gives `HAPPY_INVALID_HANDLE`.
 */
HappyStatus happy_error_free(struct HappyError *error);

/**
 * Frees a string and sets its fields to NULL and 0. NULL and strings without data are fine; data that the library does
 * not know as a live string gives `HAPPY_INVALID_HANDLE`.
 */
HappyStatus happy_string_free(struct HappyString *string);

/**
 * Returns the version of this interface. A program that was compiled against version N runs with every library that
 * returns N.
 */
uint32_t happy_abi_version(void);

/**
 * Returns the library's version, such as `1.2.3`, with a NUL. It is never freed.
 */
const char *happy_version(void);

/**
 * Describes the processor and what the library uses of it, as a JSON object: `architecture`, `cores`, `capacities`,
 * `default_threads`, `features`, `instruction_sets`, `chosen`.
 */
HappyStatus happy_cpu(struct HappyString *out,
                      struct HappyError **error);

/**
 * Sends messages up to `level` (a `HappyLogLevel`) to `on_log` from now on. With NULL, which is the default, nobody
 * receives them. When this returns, the callback that was set before is not running and will not be called again. A
 * call from within the callback gives `HAPPY_BUSY`.
 */
HappyStatus happy_set_log(HappyOnLog on_log,
                          void *user,
                          int32_t level,
                          struct HappyError **error);

/**
 * Returns the number of handles, errors and strings that were made and not freed yet: 0 when a program has freed all.
 */
size_t happy_live_handles(void);

/**
 * Sets all fields to their defaults; `size` is `sizeof(HappyLoadOptions)`.
 */
HappyStatus happy_load_options_init(struct HappyLoadOptions *options, size_t size, struct HappyError **error);

/**
 * Makes a cancel token that is not raised.
 */
HappyStatus happy_cancel_new(struct HappyCancel **out, struct HappyError **error);

/**
 * Raises a cancel token. Work that uses it ends within milliseconds, or after the token that is being computed.
 */
HappyStatus happy_cancel_raise(const struct HappyCancel *cancel,
                               struct HappyError **error);

/**
 * Lowers a cancel token, so that it can be used again.
 */
HappyStatus happy_cancel_lower(const struct HappyCancel *cancel, struct HappyError **error);

/**
 * Frees a cancel token. Work that began with it still sees whether it was raised before. NULL is fine.
 */
HappyStatus happy_cancel_free(struct HappyCancel *cancel);

/**
 * Plans the memory for running the model of a file, from its header; for a split model, give the path of any part. A
 * plan over the budget is not an error here: `fits` is then 0. Nothing is loaded; the file is mapped during the call,
 * or with `copy` its header is read. `options` may be NULL: all defaults.
 */
HappyStatus happy_plan_file(const char *path,
                            size_t path_len,
                            const struct HappyLoadOptions *options,
                            struct HappyPlan *out,
                            struct HappyError **error);

/**
 * Plans the memory for running the model that is in `length` bytes (0: all) of a file from `offset` on; see
 * `happy_plan_file`.
 */
HappyStatus happy_plan_fd(int32_t fd,
                          uint64_t offset,
                          uint64_t length,
                          const struct HappyLoadOptions *options,
                          struct HappyPlan *out,
                          struct HappyError **error);

/**
 * Plans the memory for running a split model whose parts are `count` parts of open files, in any order; see
 * `happy_plan_file`.
 */
HappyStatus happy_plan_fds(const struct HappyFilePart *parts,
                           size_t count,
                           const struct HappyLoadOptions *options,
                           struct HappyPlan *out,
                           struct HappyError **error);

/**
 * Loads the model of a file, or a split model by the path of any part, if the other parts are next to it. A model over
 * the budget gives `HAPPY_MEMORY`, with the numbers and what would fit, before anything big is read. A file that
 * cannot be read gives `HAPPY_FILE`, and one that is not a supported model `HAPPY_MODEL`. `options` may be NULL: all
 * defaults.
 */
HappyStatus happy_model_open_file(const char *path,
                                  size_t path_len,
                                  const struct HappyLoadOptions *options,
                                  struct HappyModel **out,
                                  struct HappyError **error);

/**
 * Loads the model that is in `length` bytes (0: all) of a file from `offset` on, such as an asset of an Android
 * package. The offset needs no alignment. The descriptor is duplicated: the caller may close it after the call.
 */
HappyStatus happy_model_open_fd(int32_t fd,
                                uint64_t offset,
                                uint64_t length,
                                const struct HappyLoadOptions *options,
                                struct HappyModel **out,
                                struct HappyError **error);

/**
 * Loads a split model whose parts are `count` parts of open files, in any order; see `happy_model_open_fd`.
 */
HappyStatus happy_model_open_fds(const struct HappyFilePart *parts,
                                 size_t count,
                                 const struct HappyLoadOptions *options,
                                 struct HappyModel **out,
                                 struct HappyError **error);

/**
 * Frees a model. Its sessions keep what they need, and continue to work. NULL is fine.
 */
HappyStatus happy_model_free(struct HappyModel *model);

/**
 * Makes all sessions of a model wait before their next token, or their next part of a prompt, until
 * `happy_model_resume`: for an app that goes to the background. What is being computed is finished first. A turn that
 * is cancelled or closed while it waits ends. `happy_session_trim` gives memory of idle sessions back.
 */
HappyStatus happy_model_pause(const struct HappyModel *model,
                              struct HappyError **error);

/**
 * Lets the sessions of a model continue after `happy_model_pause`. Does nothing if they are not paused.
 */
HappyStatus happy_model_resume(const struct HappyModel *model, struct HappyError **error);

/**
 * Returns the plan of a loaded model: the memory that the model and one session take.
 */
HappyStatus happy_model_plan(const struct HappyModel *model,
                             struct HappyPlan *out,
                             struct HappyError **error);

/**
 * Describes a model as a JSON object: `architecture`, `name`, `parameters`, `trained_context`, `vocabulary`, `layers`,
 * `file_type`, `chat_template` (a boolean), `chat_template_error` and `reply_format`. If `metadata` is not 0, it also
 * has `metadata`: all pairs of the file, of long arrays only the length and the first elements.
 */
HappyStatus happy_model_info(const struct HappyModel *model,
                             int32_t metadata,
                             struct HappyString *out,
                             struct HappyError **error);

/**
 * Turns a text into tokens. The first `capacity` of them are written to `tokens` (which may be NULL if `capacity` is
 * 0), and `count` receives how many there are. With `special` (not 0) the strings of control tokens become those
 * tokens, and BOS and EOS are added if the model wants them.
 */
HappyStatus happy_tokenize(const struct HappyModel *model,
                           const char *text_data,
                           size_t text_len,
                           int32_t special,
                           uint32_t *tokens,
                           size_t capacity,
                           size_t *count,
                           struct HappyError **error);

/**
 * Turns tokens into text; bytes that are not UTF-8 become U+FFFD. With `special` (not 0) control tokens become their
 * strings; otherwise they are left out. An id outside the vocabulary gives `HAPPY_TOKENIZER`.
 */
HappyStatus happy_detokenize(const struct HappyModel *model,
                             const uint32_t *tokens,
                             size_t count,
                             int32_t special,
                             struct HappyString *out,
                             struct HappyError **error);

/**
 * Returns the bytes of one token, which may be only a part of a character. An id outside the vocabulary gives
 * `HAPPY_TOKENIZER`.
 */
HappyStatus happy_token_piece(const struct HappyModel *model,
                              uint32_t token,
                              struct HappyString *out,
                              struct HappyError **error);

/**
 * Renders the prompt that the model's template makes of messages, a JSON array like
 * `[{"role": "user", "content": "Hi"}]`. `tools` is a JSON array or empty. With `answer` (not 0) the prompt ends with
 * the header of an answer. A model without a template, or a template that refuses the messages, gives
 * `HAPPY_TEMPLATE`.
 */
HappyStatus happy_apply_template(const struct HappyModel *model,
                                 const char *messages,
                                 size_t messages_len,
                                 const char *tools,
                                 size_t tools_len,
                                 int32_t answer,
                                 struct HappyString *out,
                                 struct HappyError **error);

/**
 * Sets all fields to their defaults; `size` is `sizeof(HappySamplerOptions)`.
 */
HappyStatus happy_sampler_options_init(struct HappySamplerOptions *options,
                                       size_t size,
                                       struct HappyError **error);

/**
 * Makes a sampler. `options` may be NULL: all defaults. The options are copied.
 */
HappyStatus happy_sampler_new(const struct HappySamplerOptions *options,
                              struct HappySampler **out,
                              struct HappyError **error);

/**
 * Frees a sampler. A turn that began with it continues. NULL is fine.
 */
HappyStatus happy_sampler_free(struct HappySampler *sampler);

/**
 * Sets all fields to their defaults; `size` is `sizeof(HappySessionOptions)`.
 */
HappyStatus happy_session_options_init(struct HappySessionOptions *options,
                                       size_t size,
                                       struct HappyError **error);

/**
 * Makes a session: KV cache, scratch and threads as planned. `options` may be NULL: all defaults. If the options have a
 * system message or tools, a model without a chat template gives `HAPPY_TEMPLATE`.
 */
HappyStatus happy_session_new(const struct HappyModel *model,
                              const struct HappySessionOptions *options,
                              struct HappySession **out,
                              struct HappyError **error);

/**
 * Frees a session. A call that is still running in it, in another thread or around a callback, ends by itself with
 * `HAPPY_FINISH_CANCELLED`, at its next token or part of the prompt; memory and threads are freed then. NULL is fine.
 */
HappyStatus happy_session_free(struct HappySession *session);

/**
 * Adds a message without answering it. `role` is `user`, `assistant`, `system`, `tool`, or another one that the
 * template knows.
 */
HappyStatus happy_session_add_message(const struct HappySession *session,
                                      const char *role,
                                      size_t role_len,
                                      const char *content,
                                      size_t content_len,
                                      struct HappyError **error);

/**
 * Adds a message as a JSON object, such as a tool's result: `{"role": "tool", "tool_call_id": "..", "content": ".."}`.
 * Without a `role` it gives `HAPPY_INVALID_ARGUMENT`.
 */
HappyStatus happy_session_add_json(const struct HappySession *session,
                                   const char *message,
                                   size_t message_len,
                                   struct HappyError **error);

/**
 * Returns the conversation, including the system message, as a JSON array of messages.
 */
HappyStatus happy_session_messages(const struct HappySession *session,
                                   struct HappyString *out,
                                   struct HappyError **error);

/**
 * Keeps the first `count` messages, including the system message, and removes the others; the next turn computes only
 * what is new. If there are fewer, it gives `HAPPY_INVALID_ARGUMENT`.
 */
HappyStatus happy_session_truncate(const struct HappySession *session,
                                   size_t count,
                                   struct HappyError **error);

/**
 * Removes all messages but the system message, forgets the branches, and empties the conversation's part of the KV
 * cache. The session's file stays as it is until the next turn.
 */
HappyStatus happy_session_clear(const struct HappySession *session,
                                struct HappyError **error);

/**
 * Uses these adapters (LoRA) from now on, in the order in which their results are added; without any, the model alone.
 * Each is the path of a file, or `FILE=SCALE`. If the KV cache holds what was computed with other adapters, the next
 * turn computes it again. If their ranks add up to more than `adapter_rank` of the load options, it gives
 * `HAPPY_INVALID_ARGUMENT`; a file that is not an adapter for the model gives `HAPPY_MODEL`. Files stay mapped, and no
 * weight is copied. After an error nothing has changed.
 */
HappyStatus happy_session_set_adapters(const struct HappySession *session,
                                       const struct HappyText *adapters,
                                       size_t n_adapters,
                                       struct HappyError **error);

/**
 * Returns the tools that the last turn, or the one that runs, could not constrain, as a JSON array of objects with
 * `tool` (its name), `callable` and `reason`. If `callable` is false, the reply format cannot carry one of the tool's
 * names, and the model cannot call it. If it is true, no grammar can follow the tool's schema, and its calls may have
 * any arguments. Usually empty.
 */
HappyStatus happy_session_left_out(const struct HappySession *session,
                                   struct HappyString *out,
                                   struct HappyError **error);

/**
 * Describes what the session's governor decided last (option `governor`) as a JSON object: `threads`, `tokens_per_second` (the
 * limit, or null), and `reason`, a text. Without a governor, the object is empty.
 */
HappyStatus happy_session_governor(const struct HappySession *session,
                                   struct HappyString *out,
                                   struct HappyError **error);

/**
 * Returns the memory of the session and of the process.
 */
HappyStatus happy_session_memory(const struct HappySession *session,
                                 struct HappyMemory *out,
                                 struct HappyError **error);

/**
 * Writes the session into a new file (`*.happy`), which replaces one at the same path, and appends every turn that
 * ends from now on: its messages, its tokens and what was computed of them. If the process ends at any time, the file
 * has all turns that had ended, and an unfinished answer except for at most its last 32 tokens. It is sealed if the
 * session's options have a `file_key`. A turn that cannot be saved does not fail: `happy_session_file` says why it was
 * not saved, and the next turn tries again.
 */
HappyStatus happy_session_save(const struct HappySession *session,
                               const char *path,
                               size_t path_len,
                               struct HappyError **error);

/**
 * Continues with the conversation of a file instead of the session's own, and appends every turn to it. Nothing is
 * computed: the next turn answers with the same bits as if the process had never ended. Tools, variables and sampling
 * are those of this session. If the process ended within an answer (`unfinished` of `happy_session_file`), a turn
 * without a text returns that answer from its beginning and continues with the same text; if the options differ from
 * those that it was begun with, the message is answered again. After an error the conversation is as it was.
 * `HAPPY_REPLAY` says that `happy_session_replay` can use the file.
 */
HappyStatus happy_session_restore(const struct HappySession *session,
                                  const char *path,
                                  size_t path_len,
                                  struct HappyError **error);

/**
 * Does the same as `happy_session_restore` for a file that was computed with something else, for example before an
 * update of the model or of the library: its tokens are computed again, and the file is rewritten. `cancel`, which may
 * be NULL, ends that with `HAPPY_CANCELLED`; the file is then as it was.
 */
HappyStatus happy_session_replay(const struct HappySession *session,
                                 const char *path,
                                 size_t path_len,
                                 const struct HappyCancel *cancel,
                                 struct HappyError **error);

/**
 * Saves what is new, as the end of a turn does: for messages that were added or removed between two turns, and to try
 * again after a full disk. Without a file, it gives `HAPPY_INVALID_ARGUMENT`.
 */
HappyStatus happy_session_append(const struct HappySession *session,
                                 struct HappyError **error);

/**
 * Rewrites the session's file without what later turns replaced. At the end of a turn, the library does this by itself
 * for a file of more than 4 MiB, half of which was replaced. Without a file, it gives `HAPPY_INVALID_ARGUMENT`.
 */
HappyStatus happy_session_compact(const struct HappySession *session,
                                  struct HappyError **error);

/**
 * Continues without the file, which stays as it is. Freeing the session does the same.
 */
HappyStatus happy_session_close_file(const struct HappySession *session, struct HappyError **error);

/**
 * Describes the session's file as a JSON object: `path`, `turns`, `tokens`, `messages`, `bytes`, `sealed` (a boolean),
 * `unfinished` (the number of tokens of an answer that was cut off, or 0), and `problem`: why the last turn could not
 * be saved, or null. Without a file, the object is empty.
 */
HappyStatus happy_session_file(const struct HappySession *session,
                               struct HappyString *out,
                               struct HappyError **error);

/**
 * Removes everything after the user's last message. `happy_chat` or `happy_start` without a text then answer it again,
 * and compute next to nothing before the first token. If the user wrote no message, it gives `HAPPY_INVALID_ARGUMENT`.
 */
HappyStatus happy_session_regenerate(const struct HappySession *session,
                                     struct HappyError **error);

/**
 * Removes message `number` of the user, from 1 (0 is the last one), and everything after it, so that the next turn can
 * replace it. That turn computes only what follows the part that stays. If there is no such message, it gives
 * `HAPPY_INVALID_ARGUMENT`.
 */
HappyStatus happy_session_edit(const struct HappySession *session,
                               uint32_t number,
                               struct HappyError **error);

/**
 * Keeps the conversation as it is, continues in a copy, and writes the number of this new branch to `out`. The first
 * conversation has number 1. With the load option `branches`, what was computed of them is kept, too.
 */
HappyStatus happy_session_branch(const struct HappySession *session,
                                 uint32_t *out,
                                 struct HappyError **error);

/**
 * Keeps the conversation as it is, and switches to branch `number`, from 1. If there is no such branch, it gives
 * `HAPPY_INVALID_ARGUMENT`.
 */
HappyStatus happy_session_go_to_branch(const struct HappySession *session,
                                       uint32_t number,
                                       struct HappyError **error);

/**
 * Keeps what is computed now, such as a long system prompt, until `happy_session_unpin`, even if memory for other
 * branches is short. It needs the load option `branches`: if none of them is free, or nothing is computed, it gives
 * `HAPPY_INVALID_ARGUMENT`.
 */
HappyStatus happy_session_pin(const struct HappySession *session,
                              struct HappyError **error);

/**
 * Unpins everything, so that it can be dropped like the rest when memory for branches is short.
 */
HappyStatus happy_session_unpin(const struct HappySession *session, struct HappyError **error);

/**
 * Returns how much the turns of the session did not have to compute.
 */
HappyStatus happy_session_reuse(const struct HappySession *session,
                                struct HappyReuse *out,
                                struct HappyError **error);

/**
 * Gives memory back to the system, as much as the `HappyTrimLevel` says: for an app that goes to the background, or is
 * told that memory is short. The conversation stays. After `HAPPY_TRIM_SEQUENCES`, the next turn reads what was computed
 * from the session's file; without a file, it computes it again.
 */
HappyStatus happy_session_trim(const struct HappySession *session,
                               int32_t level,
                               struct HappyError **error);

/**
 * Sets all fields to their defaults; `size` is `sizeof(HappyGenerateOptions)`.
 */
HappyStatus happy_generate_options_init(struct HappyGenerateOptions *options,
                                        size_t size,
                                        struct HappyError **error);

/**
 * Runs a whole turn: adds `text` as the user's message, answers it, calls `on_event` (which may be NULL) for each
 * event, and adds the answer. With `text` NULL the messages are answered as they are, for example after a tool's
 * result. `finish` and `options` may be NULL. Cancelling is not an error: the turn ends with `HAPPY_FINISH_CANCELLED`,
 * and the session can continue. A turn that is cancelled while its prompt is rendered or tokenized, or its grammar is
 * compiled, leaves the conversation as it was. After an error the conversation is as it was before the turn.
 */
HappyStatus happy_chat(const struct HappySession *session,
                       const char *text_data,
                       size_t text_len,
                       const struct HappyGenerateOptions *options,
                       HappyOnEvent on_event,
                       void *user,
                       struct HappyFinish *finish,
                       struct HappyError **error);

/**
 * Begins a turn as `happy_chat` does; `happy_next` returns its events. Until its end or `happy_stop`, other calls for
 * the session give `HAPPY_BUSY`, except for `happy_next`, `happy_session_free` and those that only return information:
 * `happy_session_memory`, `happy_session_left_out`, `happy_session_file`, `happy_session_reuse`, `happy_session_governor`
 * and `happy_session_finish`.
 */
HappyStatus happy_start(const struct HappySession *session,
                        const char *text_data,
                        size_t text_len,
                        const struct HappyGenerateOptions *options,
                        struct HappyError **error);

/**
 * Computes until there is an event, and returns it. After `HAPPY_EVENT_DONE`, or an error, the turn is over. If no
 * turn runs, it gives `HAPPY_INVALID_ARGUMENT`.
 */
HappyStatus happy_next(const struct HappySession *session,
                       struct HappyEvent *out,
                       struct HappyError **error);

/**
 * Ends a turn that `happy_start` began, as if its cancel token were raised. Its remaining events are dropped.
 * Without such a turn, nothing happens.
 */
HappyStatus happy_stop(const struct HappySession *session, struct HappyError **error);

/**
 * Returns what the last turn took; `HAPPY_INVALID_ARGUMENT` if no turn has ended yet.
 */
HappyStatus happy_session_finish(const struct HappySession *session,
                                 struct HappyFinish *out,
                                 struct HappyError **error);

/**
 * Sets all fields to their defaults; `size` is `sizeof(HappyEmbedOptions)`.
 */
HappyStatus happy_embed_options_init(struct HappyEmbedOptions *options,
                                     size_t size,
                                     struct HappyError **error);

/**
 * Makes an embedder: memory and threads that turn texts into vectors, or rank documents, as planned. `options` may be
 * NULL: all defaults. It gives `HAPPY_INVALID_ARGUMENT` if the model was loaded without the option `embeddings`, if
 * neither its file nor `options` say how to pool, or if its vectors have fewer values than `dimensions`.
 */
HappyStatus happy_embedder_new(const struct HappyModel *model,
                               const struct HappyEmbedOptions *options,
                               struct HappyEmbedder **out,
                               struct HappyError **error);

/**
 * Frees an embedder. A call that is still running in another thread continues to its end. NULL is fine.
 */
HappyStatus happy_embedder_free(struct HappyEmbedder *embedder);

/**
 * Reads the properties of an embedder.
 */
HappyStatus happy_embedder_info(const struct HappyEmbedder *embedder,
                                struct HappyEmbedderInfo *out,
                                struct HappyError **error);

/**
 * Turns `count` texts into vectors, as many at a time as fit into a pass; a vector does not depend on the other texts.
 * `cancel` may be NULL; a raised one gives `HAPPY_CANCELLED`. A text of more tokens than the context gives
 * `HAPPY_CONTEXT_FULL` unless `truncate` is set, and one without tokens `HAPPY_INVALID_ARGUMENT`. Read the vectors with
 * `happy_embeddings_get`, and free `out` with `happy_embeddings_free`.
 */
HappyStatus happy_embed(const struct HappyEmbedder *embedder,
                        const struct HappyText *texts,
                        size_t count,
                        const struct HappyCancel *cancel,
                        struct HappyEmbeddings **out,
                        struct HappyError **error);

/**
 * Returns the vector of text number `index` of the call, from 0. The values stay where they are until the embeddings
 * are freed. If there are fewer texts, it gives `HAPPY_INVALID_ARGUMENT`.
 */
HappyStatus happy_embeddings_get(const struct HappyEmbeddings *embeddings,
                                 size_t index,
                                 struct HappyEmbedding *out,
                                 struct HappyError **error);

/**
 * Frees embeddings. NULL is fine.
 */
HappyStatus happy_embeddings_free(struct HappyEmbeddings *embeddings);

/**
 * Ranks `count` documents by how well they match a query. The model needs a classifier, and the embedder the pooling
 * `HAPPY_POOLING_RANK`; another one gives `HAPPY_INVALID_ARGUMENT`. `ranks` has room for `count` entries, and receives the best first; of equal scores the earlier
 * document comes first. `cancel` may be NULL. Nothing is written if a document cannot be ranked.
 */
HappyStatus happy_rerank(const struct HappyEmbedder *embedder,
                         const char *query,
                         size_t query_len,
                         const struct HappyText *documents,
                         size_t count,
                         const struct HappyCancel *cancel,
                         struct HappyRank *ranks,
                         struct HappyError **error);

/**
 * Computes what `happy_model_verify` compares with on other devices, as JSON of some 100 KiB: ids of texts, rendered templates, and
 * hashes of the weights, of every step inside every layer, and of logits. Make it where results are trusted. It takes seconds for
 * a model of a billion parameters; `cancel` may be NULL.
 */
HappyStatus happy_model_reference(const struct HappyModel *model,
                                  const struct HappyCancel *cancel,
                                  struct HappyString *out,
                                  struct HappyError **error);

/**
 * Checks whether this device computes what the device computed that made the reference: with the same bits. Gives a JSON object:
 * `{"same":true}`, or the first difference: `same` is false, `part` is `tokenizer`, `template`, `weights`, `layer` or `logits`, `name` says
 * which text, tensor or step, such as `blk.7.ffn_down`, and `kernel` what computed it, or null. A reference that cannot be compared (of
 * another architecture or version of the numerics) gives `HAPPY_INVALID_ARGUMENT`. `cancel` may be NULL.
 */
HappyStatus happy_model_verify(const struct HappyModel *model,
                               const char *reference_data,
                               size_t reference_len,
                               const struct HappyCancel *cancel,
                               struct HappyString *out,
                               struct HappyError **error);

/**
 * Tells the governors of all sessions (see the option `governor`) what the app knows of the device. What is unknown here is asked of the
 * system: on Android heat, by its NDK, from API level 30 on. `headroom` (at least 0) is the thermal headroom, where 1 is severe heat (NaN: unknown),
 * `thermal_status` Android's number of the thermal status, from 0 (none) to 6 (shutdown; -1: unknown), and `battery_saver` 1 if the battery
 * saver is on, 0 if not (-1: unknown). Other numbers give `HAPPY_INVALID_ARGUMENT`. It holds until the next call.
 */
HappyStatus happy_report_device(float headroom,
                                int32_t thermal_status,
                                int32_t battery_saver,
                                struct HappyError **error);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* HAPPY_H */
