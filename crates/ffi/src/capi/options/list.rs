//! The options of the header: see [`super`] for what a row says. `cargo xtask header` and `cargo xtask options` read this file,
//! line by line.

use super::kinds::{self, Key, Kind};
use super::{Loading, Options, options, place};
use crate::capi::structs::{Defaults, Versioned};
use crate::core::embedder::EmbedOptions;
use crate::core::sampler::SamplerSettings;
use crate::core::session::{SessionSettings, TurnSettings};
use crate::failure::Outcome;
use serde_json::{Map, Value as Json};

options! {
    /// How to load a model. Begin with `happy_load_options_init`.
    struct HappyLoadOptions for Loading {
        first {
            /// Number of threads, including the caller's, at most 256. 0, the default: all big cores but one, or all cores
            /// if they are equal.
            threads: CountOrNone => options.threads;
            /// Size of a session's context in tokens. 0, the default: what the model was trained for, but at most 4,096 and
            /// what fits the budget.
            context: CountOrNone => options.context;
            /// Maximum number of prompt tokens in one pass. Results do not depend on it. 0 and the default: 256.
            batch: CountOrDefault => options.batch;
            /// Maximum bytes of anonymous memory for the model and one session. 0, the default: what the machine has free,
            /// or less if the limits of the process are lower.
            memory_budget: Bytes => options.memory_budget;
            /// Instruction set, such as `scalar`, `avx2` or `dotprod`; `happy_cpu` lists those of this machine, and
            /// another one gives `HAPPY_UNSUPPORTED`. Empty, the default: the best that the machine has.
            isa: InstructionSet => options.isa;
            /// Called while loading, on the caller's thread; may be NULL.
            progress: Progress => progress;
            /// Passed to `progress` as `user`.
            progress_user: Pointer => progress_user;
            /// Ends loading early, with `HAPPY_CANCELLED`; may be NULL.
            cancel: Cancel => cancel;
            /// Element type of the KV cache, a `HappyKvType`. Default: `HAPPY_KV_F16`.
            kv_type: KvType => options.kv;
            /// 0, the default: map the file, which no program may write to or truncate while the model is loaded. 1: read
            /// it into anonymous memory.
            copy: Not => options.mmap;
        }
        later {
            /// Adapters (LoRA) with which sessions begin, in the order in which their results are added. Each is the
            /// path of a file, or `FILE=SCALE`; the scale is 1 if none is given. NULL: no adapters.
            adapters, n_adapters: Adapters => options.adapters;
            /// Maximum rank of adapters to plan for: the sum of the ranks of all adapters that a session uses at once.
            /// 0, the default: that of `adapters`.
            adapter_rank: CountOrDefault => options.adapter_rank;
            /// 1: load for embedders instead of sessions. A text runs in one pass, several texts share one, and there
            /// are no logits; sessions of such a model cannot generate. 0, the default: load for sessions.
            embeddings: Embeddings => options;
            /// Maximum bytes for snapshots. In models with windows or recurrent states, a conversation can go back only
            /// to a snapshot; without one, it is computed again from the beginning. At most an eighth of the memory
            /// budget is taken, and nothing for models that need no snapshots. Default: 33554432 (32 MiB); 0: no
            /// snapshots.
            snapshot_bytes: Size => options.snapshot_bytes;
            /// Number of prompts that a session keeps computed in addition to that of its conversation: for branches,
            /// edits and pinned prefixes. Default: 0.
            branches: Count => options.branches;
            /// Maximum number of tokens, from 0 to 7, that sessions guess from their own texts and compute ahead. If a
            /// text repeats its prompt, as an edit or a summary does, answers come faster, with the same words. Each
            /// guess takes memory for its logits; if memory is short, fewer are guessed. Default: 0, no guesses.
            draft_tokens: Count => options.draft_tokens;
            /// Bytes for the keys and values that the prompts of `branches` don't share with the conversation. If they
            /// need more, the least recently used are dropped. Default: 0.
            branch_bytes: Size => options.branch_bytes;
            /// 1: sessions also guess with the file's draft head (multi-token prediction), if `draft_tokens` is not 0.
            /// A file without one is refused with `HAPPY_MODEL`. 0, the default: they guess from their texts alone.
            draft_head: Flag => options.draft_head;
            /// Must be 0.
            reserved: Reserved;
        }
    }

    /// How to choose tokens; names, defaults and order are llama.cpp's. Begin with `happy_sampler_options_init`.
    struct HappySamplerOptions for SamplerSettings {
        first {
            top_k: Count => params.top_k.k;
            /// Seed of the random choice; every turn starts from it. `HAPPY_SEED_RANDOM`, the default: another one each turn.
            seed: Seed => seed;
            temperature: Number => params.temperature.t;
            top_p: Number => params.top_p.p;
            min_p: Number => params.min_p.p;
            typical: Number => params.typical.p;
            top_n_sigma: Number => params.top_n_sigma.n;
            xtc_probability: Number => params.xtc.probability;
            xtc_threshold: Number => params.xtc.threshold;
            dynatemp_range: Number => params.temperature.delta;
            dynatemp_exponent: Number => params.temperature.exponent;
            repeat_penalty: Number => params.penalties.repeat;
            frequency_penalty: Number => params.penalties.frequency;
            presence_penalty: Number => params.penalties.presence;
            dry_multiplier: Number => params.dry.multiplier;
            dry_base: Number => params.dry.base;
            mirostat_tau: Number => params.mirostat.tau;
            mirostat_eta: Number => params.mirostat.eta;
            adaptive_target: NumberOrNone => params.adaptive_p.target;
            adaptive_decay: Number => params.adaptive_p.decay;
            penalty_last_n: Count => params.penalties.last_n;
            dry_allowed_length: Count => params.dry.allowed_length;
            dry_last_n: Count => params.dry.last_n;
            /// Minimum number of tokens that top-p, min-p, typical and XTC keep. Default: 0, which is like 1.
            min_keep: Count => params.min_keep;
            mirostat: Mirostat => params.mirostat.version;
            /// Must be 0.
            reserved: Reserved;
            /// The samplers and their order, separated by `;`: {samplers}. Empty: these without the last two.
            order: Steps => params.order;
            /// Texts that end a repetition for DRY. NULL: line end, `:`, `"` and `*`.
            dry_breakers, n_dry_breakers: TextsOrNone => dry_breakers;
            /// Numbers to add to the logits of tokens: finite, or minus infinity, which forbids a token. NULL: none.
            logit_bias, n_logit_bias: Biases => params.logit_bias;
        }
        later {}
    }

    /// The settings of a session. Begin with `happy_session_options_init`.
    struct HappySessionOptions for SessionSettings {
        first {
            /// 1: answer even if the chat template has no place for the system message, the tools or a variable, which
            /// the model then never sees. 0, the default: such a turn fails with `HAPPY_TEMPLATE`.
            ignore_unused: Flag => conversation.ignore_unused;
            /// The system message. Empty: no system message.
            system: Text => conversation.system;
            /// A JSON array of tools that the model may call, as its template takes them (mostly OpenAI's form). Empty:
            /// no tools.
            tools: JsonArray => conversation.tools;
            /// A JSON object with additional variables for the template, such as `{"enable_thinking": false}`. Empty:
            /// no variables.
            template_vars: JsonObject => conversation.vars;
        }
        later {
            /// What happens when the messages leave too little of the context for an answer: `stop` (the turn fails
            /// with `HAPPY_CONTEXT_FULL`), `drop-oldest` (the prompt leaves the oldest turns out;
            /// `happy_session_reuse` tells how many messages), or `shift` (as `drop-oldest`, and an answer that fills
            /// the context goes on without the older half of it: its text differs from then on;
            /// `happy_session_reuse` tells how many tokens). Empty: `stop`.
            context_policy: Policy => conversation.policy;
            /// Key that seals the session's files (XChaCha20-Poly1305): 32 random bytes as 64 hexadecimal digits.
            /// Empty: files are not sealed.
            file_key: FileKey => key;
            /// Lets a governor choose the number of threads, up to those of the plan, and the pace, by measured speed and
            /// what the system and `happy_report_device` tell of heat: `fastest` (as fast as the device can sustain),
            /// `rate=8` (at most 8 tokens per second, with little energy; 0.01 to 1,000,000) or `energy=0.3` (up to 30%
            /// slower, to save energy; 0 to 0.9). The words don't depend on it. Empty: all threads, without pauses.
            governor: Governor => governor;
            /// Path of a file in which the governor keeps measured speeds, so that the next session begins with them.
            /// Empty: each session measures during its first answer, for a second or two.
            governor_cache: Text => governor_cache;
        }
    }

    /// How to generate. Begin with `happy_generate_options_init`.
    struct HappyGenerateOptions for TurnSettings {
        first {
            /// Maximum number of generated tokens. 0, the default: until the context is full.
            max_tokens: CountOrNone => max_tokens;
            /// How tokens are chosen. NULL: the defaults.
            sampler: Sampler => sampler;
            /// Ends the turn early, with `HAPPY_FINISH_CANCELLED`; may be NULL.
            cancel: Cancel => cancel;
            /// Texts that end the answer and are not part of it; may be NULL.
            stop, n_stop: Texts => stop;
            /// A GBNF grammar that the text must match. Empty: any text.
            grammar: Grammar => form;
            /// A JSON schema that the text must match. Empty: any text. Not together with a grammar.
            json_schema: JsonSchema => form;
            /// Deliver text when this many milliseconds have passed since the last text event. 0, the default: never
            /// because of time.
            coalesce_ms: Millis => coalesce.time;
            /// Deliver text when this many bytes of UTF-8 have come. 0, the default: never because of size. If both are 0,
            /// text is delivered at once.
            coalesce_bytes: Count => coalesce.bytes;
            /// 1: continue the text as it is, without template and conversation. 0, the default: answer a message.
            raw: Flag => raw;
            /// 1: take the whole turn back when it is cancelled. 0, the default: keep what was answered as the assistant's
            /// message.
            drop_cancelled: Flag => drop_cancelled;
            /// 1: continue when the model wants to end its answer. 0, the default: end there.
            ignore_end: Flag => ignore_end;
            /// Must be 0.
            reserved: Reserved;
        }
        later {
            /// Whether the model calls tools: `auto` (it decides), `none`, `required` (at least one call), or the name
            /// of a tool (at least one call, all of this tool). Empty: `auto`. Not used with `raw`.
            tool_choice: Choice => tool_choice;
        }
    }

    /// How texts become vectors. Begin with `happy_embed_options_init`.
    struct HappyEmbedOptions for EmbedOptions {
        first {
            /// How the hidden states of a text become one vector, a `HappyPooling`. Default: as the model's file says;
            /// a file that does not say it is an error.
            pooling: Pooling => pooling;
            /// Number of values at the beginning of each vector to keep, for models that were trained for it (Matryoshka).
            /// 0, the default: all.
            dimensions: CountOrNone => dimensions;
            /// 1: leave vectors as the model gives them. 0, the default: divide them by their length, so that their dot
            /// product is their cosine. Ranks are never divided.
            unnormalized: Not => normalize;
            /// 1: shorten texts of more tokens than the context; the special token at the end stays there. 0, the default:
            /// such texts give `HAPPY_CONTEXT_FULL`.
            truncate: Truncate => too_long;
            /// Must be 0.
            reserved: Reserved;
        }
        later {}
    }
}
