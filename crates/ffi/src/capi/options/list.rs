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
            /// Number of threads, including the caller's. 0: all big cores but one, or all cores if they are equal.
            threads: CountOrNone => options.threads;
            /// Positions of a session. 0: what the model was trained for, at most 4096, and what fits the budget.
            context: CountOrNone => options.context;
            /// Maximum number of prompt tokens in one pass. 0: 256. Results do not depend on it.
            batch: CountOrDefault => options.batch;
            /// Maximum bytes of anonymous memory for the model and one session. 0: what the machine has free, or less
            /// if the limits of the process are lower.
            memory_budget: Bytes => options.memory_budget;
            /// Instruction set, such as `scalar`, `avx2`, `neon`, `dotprod`. Empty: the best that the machine has.
            isa: InstructionSet => options.isa;
            /// Called while loading, on the caller's thread; may be NULL.
            progress: Progress => progress;
            /// Given to `progress`.
            progress_user: Pointer => progress_user;
            /// Ends loading early; may be NULL.
            cancel: Cancel => cancel;
            /// Element type of the KV cache, a `HappyKvType`.
            kv_type: KvType => options.kv;
            /// 0: map the file, which no program may write to or truncate while the model is loaded. 1: read it into
            /// anonymous memory.
            copy: Not => options.mmap;
        }
        later {
            /// Adapters (LoRA) with which sessions begin, in the order in which they are added: each a file, or
            /// `FILE=SCALE`. The scale is 1 if none is given. NULL: no adapters.
            adapters, n_adapters: Adapters => options.adapters;
            /// Rank of adapters to plan for: the most that sessions may change to, the sum of the ranks of those that
            /// are used at once. 0: that of `adapters`.
            adapter_rank: CountOrDefault => options.adapter_rank;
            /// 1: load for embedders instead of sessions. A text runs in one pass, several texts share one, and there
            /// are no logits; sessions of such a model cannot generate. 0: load for sessions.
            embeddings: Embeddings => options;
            /// Maximum bytes for snapshots, to which a conversation can go back in models with windows or recurrent
            /// states, which would be computed from the beginning otherwise. At most an eighth of the memory budget is
            /// taken, and nothing for models that need none. Default: 33554432 (32 MiB); 0: no snapshots.
            snapshot_bytes: Size => options.snapshot_bytes;
            /// Prompts that a session keeps computed beside its conversation's own, for branches, edits and pinned prefixes. Default: 0.
            branches: Count => options.branches;
            /// Most tokens, up to 7, that sessions guess from their own texts and compute ahead. Where a text repeats its prompt, as an edit
            /// or a summary does, answers come faster, with the same words. Each takes memory for its logits, and where that is
            /// short, fewer are guessed. Default: 0.
            draft_tokens: Count => options.draft_tokens;
            /// Bytes of keys and values for what these don't share with the conversation. With fewer than they need, those that were used
            /// least recently are given up. Default: 0.
            branch_bytes: Size => options.branch_bytes;
            /// 1: sessions guess with the file's draft head, too (multi-token prediction), if `draft_tokens` is not 0. A file without one is
            /// refused. 0: they guess from their texts alone.
            draft_head: Flag => options.draft_head;
            /// 0.
            reserved: Reserved;
        }
    }

    /// How to choose tokens; names, defaults and order are llama.cpp's. Begin with `happy_sampler_options_init`.
    struct HappySamplerOptions for SamplerSettings {
        first {
            top_k: Count => params.top_k.k;
            /// Seed of the random choice; every turn starts from it. `HAPPY_SEED_RANDOM`: another one each turn.
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
            /// 0.
            reserved: Reserved;
            /// The samplers and their order, separated by `;`: {samplers}. Empty: these without the last two.
            order: Steps => params.order;
            /// Texts that end a repetition for DRY. NULL: line end, `:`, `"` and `*`.
            dry_breakers, n_dry_breakers: TextsOrNone => dry_breakers;
            /// What is added to the logits of tokens: finite, or minus infinity, which forbids a token. May be NULL.
            logit_bias, n_logit_bias: Biases => params.logit_bias;
        }
        later {}
    }

    /// The settings of a session. Begin with `happy_session_options_init`.
    struct HappySessionOptions for SessionSettings {
        first {
            /// 1: answer although the chat template has no place for the system message, the tools or a variable, which
            /// the model then never sees. 0: such a turn fails with `HAPPY_TEMPLATE`.
            ignore_unused: Flag => conversation.ignore_unused;
            /// The system message. Empty: no system message.
            system: Text => conversation.system;
            /// A JSON array of tools that the model may call, as its template takes them (mostly OpenAI's form). Empty:
            /// no tools.
            tools: JsonArray => conversation.tools;
            /// A JSON object with more variables for the template, like `{"enable_thinking": false}`. Empty: no
            /// variables.
            template_vars: JsonObject => conversation.vars;
        }
        later {
            /// What happens when the messages leave too little of the context for an answer: `stop` (the turn fails
            /// with `HAPPY_CONTEXT_FULL`) or `drop-oldest` (the prompt leaves the oldest turns out;
            /// `happy_session_reuse` tells how many messages). Empty: `stop`.
            context_policy: Policy => conversation.policy;
            /// Key that seals the session's files (XChaCha20-Poly1305): 32 random bytes as 64 hexadecimal digits.
            /// Empty: files are not sealed.
            file_key: FileKey => key;
        }
    }

    /// How to generate. Begin with `happy_generate_options_init`.
    struct HappyGenerateOptions for TurnSettings {
        first {
            /// Maximum number of tokens. 0: until the context is full.
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
            /// Deliver text when this many milliseconds have passed since the last text event. 0: time is not a reason.
            coalesce_ms: Millis => coalesce.time;
            /// Deliver text when this many bytes of UTF-8 have come. 0: size is not a reason; both 0: as soon as there
            /// is text.
            coalesce_bytes: Count => coalesce.bytes;
            /// 1: continue the text as it is, without template and conversation.
            raw: Flag => raw;
            /// When a turn is cancelled: 0 keeps what was answered as the assistant's message, 1 takes the whole turn
            /// back.
            drop_cancelled: Flag => drop_cancelled;
            /// 1: go on when the model wants to end.
            ignore_end: Flag => ignore_end;
            /// 0.
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
            /// if it does not, that is an error.
            pooling: Pooling => pooling;
            /// Number of the first values of a vector to keep, for models that were trained for it (Matryoshka). 0:
            /// all.
            dimensions: CountOrNone => dimensions;
            /// 1: leave vectors as the model gives them. 0: divide them by their length, so that their dot product is
            /// their cosine. Ranks are never divided.
            unnormalized: Not => normalize;
            /// 1: shorten texts of more tokens than the context; the special token at the end stays there. 0: they are
            /// an error.
            truncate: Truncate => too_long;
            /// 0.
            reserved: Reserved;
        }
        later {}
    }
}
