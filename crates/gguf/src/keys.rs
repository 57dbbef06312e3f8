//! Keys with types: what the format's document and llama.cpp call them, and what stands behind them.
//!
//! `{arch}` in a key is the value of `general.architecture`.

use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::marker::PhantomData;

use crate::array::Strings;
use crate::metadata::{FromValue, Metadata, ValueError};
use crate::value::Value;

mod sealed {
    pub trait Sealed {}
}

/// What stands behind a [`Key`]: numbers, `bool`, `str`, [`PerLayer`], and slices of these.
///
/// ```
/// use happy_gguf::{Gguf, GgufWriter, keys::Key};
/// /// A key that this crate does not list.
/// const STOPS: Key<[&'static str]> = Key::new("{arch}.stop_words");
/// let file = GgufWriter::new()
///     .kv("general.architecture", "tiny")
///     .kv("tiny.stop_words", vec!["halt", "end"])
///     .to_vec()?;
/// let gguf = Gguf::parse(&file).unwrap();
/// let mut stops = gguf.metadata().key(&STOPS).unwrap().unwrap();
/// assert_eq!(stops.next().unwrap().to_str(), Ok("halt"));
/// # Ok::<(), happy_gguf::WriteError>(())
/// ```
pub trait KeyType: sealed::Sealed {
    /// The value, borrowed from the file.
    type Out<'a>: FromValue<'a>;
}

macro_rules! key_types {
    ($( $t:ty => $out:ty, )*) => { $(
        impl sealed::Sealed for $t {}
        impl KeyType for $t {
            type Out<'a> = $out;
        }
    )* };
}
key_types! {
    u32 => u32, u64 => u64, i32 => i32, f32 => f32, bool => bool,
    str => &'a str, [&'static str] => Strings<'a>,
    [u32] => Vec<u32>, [i32] => Vec<i32>, [f32] => Vec<f32>, [bool] => Vec<bool>,
    PerLayer<u32> => PerLayer<u32>, PerLayer<f32> => PerLayer<f32>, PerLayer<bool> => PerLayer<bool>,
}

/// A number for all layers, or one for each: some architectures have other sizes in every layer.
///
/// ```
/// use happy_gguf::{Gguf, GgufWriter, PerLayer, keys};
/// let file = GgufWriter::new()
///     .kv("general.architecture", "openelm")
///     .kv("openelm.attention.head_count", vec![12u32, 12, 16])
///     .to_vec()
///     .unwrap();
/// let gguf = Gguf::parse(&file).unwrap();
/// let heads = gguf.metadata().key(&keys::ATTENTION_HEAD_COUNT).unwrap().unwrap();
/// assert_eq!((heads.get(0), heads.get(2), heads.get(3)), (Some(12), Some(16), None));
/// assert_eq!(PerLayer::All(7).get(100), Some(7));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum PerLayer<T> {
    /// The same for all.
    All(T),
    /// One for each layer.
    Each(Vec<T>),
}

impl<T: Copy> PerLayer<T> {
    /// The number of a layer; `None` when the file has no number for it.
    pub fn get(&self, layer: usize) -> Option<T> {
        match self {
            Self::All(value) => Some(*value),
            Self::Each(values) => values.get(layer).copied(),
        }
    }
}

impl<T> crate::metadata::Sealed for PerLayer<T> {}
impl<'a, T: FromValue<'a>> FromValue<'a> for PerLayer<T> {
    const EXPECTED: &'static str = T::EXPECTED;
    const EXPECTED_ARRAY: &'static str = T::EXPECTED_ARRAY;

    fn from_value(value: Value<'a>) -> Option<Self> {
        match value {
            Value::Array(_) => Vec::from_value(value).map(Self::Each),
            value => T::from_value(value).map(Self::All),
        }
    }
}

/// A key of a model file, with the type of its value. Those of the format are in [`keys`](self).
///
/// ```
/// use happy_gguf::{Gguf, GgufWriter, keys};
/// let file = GgufWriter::new()
///     .kv(keys::ARCHITECTURE.name(""), "llama")
///     .kv(keys::CONTEXT_LENGTH.name("llama"), 2048u32)
///     .kv(keys::ROPE_SCALING_TYPE.name("llama"), 7u8)
///     .to_vec()?;
/// let gguf = Gguf::parse(&file).unwrap();
/// let metadata = gguf.metadata();
/// assert_eq!(metadata.key(&keys::CONTEXT_LENGTH).unwrap(), Some(2048));
/// assert_eq!(metadata.key(&keys::FEED_FORWARD_LENGTH).unwrap(), None);
/// let error = metadata.key(&keys::ROPE_SCALING_TYPE).unwrap_err();
/// assert_eq!(error.to_string(), "key `llama.rope.scaling.type`: expected a UTF-8 string, found u8 7");
/// # Ok::<(), happy_gguf::WriteError>(())
/// ```
pub struct Key<T: ?Sized> {
    pattern: &'static str,
    of: PhantomData<fn() -> PhantomData<T>>,
}

impl<T: KeyType + ?Sized> Key<T> {
    /// A key, `{arch}.` in front of those that an architecture has for itself.
    pub const fn new(pattern: &'static str) -> Self {
        Self { pattern, of: PhantomData }
    }

    /// The key as it is listed, with `{arch}`.
    pub const fn pattern(&self) -> &'static str {
        self.pattern
    }

    /// The key as a file of this architecture has it.
    pub fn name(&self, architecture: &str) -> Cow<'static, str> {
        match self.pattern.strip_prefix("{arch}") {
            Some(rest) => Cow::Owned([architecture, rest].concat()),
            None => Cow::Borrowed(self.pattern),
        }
    }
}

impl<'a> Metadata<'a> {
    /// The value of a typed key; `None` when the file does not have it. Example: [`Key`](crate::Key).
    ///
    /// # Errors
    /// When the value is of another type, or the key has `{arch}` and the file names no architecture.
    pub fn key<T: KeyType + ?Sized>(&self, key: &Key<T>) -> Result<Option<T::Out<'a>>, ValueError> {
        let architecture =
            if key.pattern.starts_with("{arch}") { self.require(ARCHITECTURE.pattern)? } else { "" };
        self.optional(&key.name(architecture))
    }
}

macro_rules! keys {
    ($( $doc:literal $name:ident $t:ty = $pattern:literal; )*) => {
        $( #[doc = $doc] #[doc = concat!("\n\n`", $pattern, "`")] pub const $name: Key<$t> = Key::new($pattern); )*

        /// The patterns of all keys of this module, with the names of their types.
        pub const ALL: &[(&str, &str)] = &[ $( ($pattern, stringify!($t)), )* ];
    };
}

keys! {
    "What the model computes." ARCHITECTURE str = "general.architecture";
    "The version of the quantised formats: 2 today." QUANTIZATION_VERSION u32 = "general.quantization_version";
    "The alignment of the tensor data in bytes." ALIGNMENT u32 = "general.alignment";
    "The name of the model." NAME str = "general.name";
    "Who made it." AUTHOR str = "general.author";
    "The version of the model." VERSION str = "general.version";
    "Who brought it out." ORGANIZATION str = "general.organization";
    "The name without size and version." BASENAME str = "general.basename";
    "What it was tuned for." FINETUNE str = "general.finetune";
    "What it is." DESCRIPTION str = "general.description";
    "Who quantised it." QUANTIZED_BY str = "general.quantized_by";
    "The class of its size: `8x7B`." SIZE_LABEL str = "general.size_label";
    "Its licence, as an SPDX expression." LICENSE str = "general.license";
    "Where to find it." URL str = "general.url";
    "What the file is: `model`, `adapter`, `vocab`." TYPE str = "general.type";
    "The mix of types of most tensors, by llama.cpp's numbers." FILE_TYPE u32 = "general.file_type";
    "What it is about." TAGS [&'static str] = "general.tags";
    "The languages it knows." LANGUAGES [&'static str] = "general.languages";

    "Which part of a split model the file is, from 0." SPLIT_NO u32 = "split.no";
    "How many parts there are." SPLIT_COUNT u32 = "split.count";
    "How many tensors all parts have." SPLIT_TENSORS_COUNT u32 = "split.tensors.count";

    "The number of positions that it was trained with." CONTEXT_LENGTH u64 = "{arch}.context_length";
    "The width of a hidden state." EMBEDDING_LENGTH u64 = "{arch}.embedding_length";
    "The number of layers." BLOCK_COUNT u64 = "{arch}.block_count";
    "The width of the feed-forward part." FEED_FORWARD_LENGTH PerLayer<u32> = "{arch}.feed_forward_length";
    "The number of tokens." VOCAB_SIZE u32 = "{arch}.vocab_size";
    "Whether attention and feed-forward part add to the same input." USE_PARALLEL_RESIDUAL bool = "{arch}.use_parallel_residual";
    "How many experts there are." EXPERT_COUNT u32 = "{arch}.expert_count";
    "How many experts a token goes to." EXPERT_USED_COUNT u32 = "{arch}.expert_used_count";
    "How many experts every token goes to." EXPERT_SHARED_COUNT u32 = "{arch}.expert_shared_count";
    "The width of an expert." EXPERT_FEED_FORWARD_LENGTH u32 = "{arch}.expert_feed_forward_length";
    "How tokens are pooled to one vector." POOLING_TYPE u32 = "{arch}.pooling_type";

    "Heads of the queries." ATTENTION_HEAD_COUNT PerLayer<u32> = "{arch}.attention.head_count";
    "Heads of keys and values; as many as of queries when it is missing." ATTENTION_HEAD_COUNT_KV PerLayer<u32> = "{arch}.attention.head_count_kv";
    "The width of a key." ATTENTION_KEY_LENGTH u32 = "{arch}.attention.key_length";
    "The width of a value." ATTENTION_VALUE_LENGTH u32 = "{arch}.attention.value_length";
    "The epsilon of layer norms." ATTENTION_LAYER_NORM_EPSILON f32 = "{arch}.attention.layer_norm_epsilon";
    "The epsilon of RMS norms." ATTENTION_LAYER_NORM_RMS_EPSILON f32 = "{arch}.attention.layer_norm_rms_epsilon";
    "The slope of ALiBi." ATTENTION_MAX_ALIBI_BIAS f32 = "{arch}.attention.max_alibi_bias";
    "The bound that queries, keys and values are clamped to." ATTENTION_CLAMP_KQV f32 = "{arch}.attention.clamp_kqv";
    "How many positions a token looks back." ATTENTION_SLIDING_WINDOW u32 = "{arch}.attention.sliding_window";
    "Whether a token sees only those before it." ATTENTION_CAUSAL bool = "{arch}.attention.causal";
    "What scores are multiplied by." ATTENTION_SCALE f32 = "{arch}.attention.scale";

    "How many dimensions of a head are rotated." ROPE_DIMENSION_COUNT u32 = "{arch}.rope.dimension_count";
    "The base of the rotation's frequencies." ROPE_FREQ_BASE f32 = "{arch}.rope.freq_base";
    "How positions beyond the trained ones are reached: `none`, `linear`, `yarn`." ROPE_SCALING_TYPE str = "{arch}.rope.scaling.type";
    "By how much." ROPE_SCALING_FACTOR f32 = "{arch}.rope.scaling.factor";
    "The number of positions before." ROPE_SCALING_ORIGINAL_CONTEXT_LENGTH u32 = "{arch}.rope.scaling.original_context_length";
    "Whether it was trained with that." ROPE_SCALING_FINETUNED bool = "{arch}.rope.scaling.finetuned";
    "The old form of a linear factor." ROPE_SCALE_LINEAR f32 = "{arch}.rope.scale_linear";

    "The kernel of the convolution of a state space model." SSM_CONV_KERNEL u32 = "{arch}.ssm.conv_kernel";
    "The width of its inner part." SSM_INNER_SIZE u32 = "{arch}.ssm.inner_size";
    "The width of its state." SSM_STATE_SIZE u32 = "{arch}.ssm.state_size";
    "The rank of its time steps." SSM_TIME_STEP_RANK u32 = "{arch}.ssm.time_step_rank";

    "The kind of tokenizer: `gpt2`, `llama`, `bert`." TOKENIZER_MODEL str = "tokenizer.ggml.model";
    "How text is cut before." TOKENIZER_PRE str = "tokenizer.ggml.pre";
    "The tokens." TOKENIZER_TOKENS [&'static str] = "tokenizer.ggml.tokens";
    "A score for each token." TOKENIZER_SCORES [f32] = "tokenizer.ggml.scores";
    "A type for each token." TOKENIZER_TOKEN_TYPE [i32] = "tokenizer.ggml.token_type";
    "The pairs that are merged, the first ones first." TOKENIZER_MERGES [&'static str] = "tokenizer.ggml.merges";
    "The token at the start." TOKENIZER_BOS_TOKEN_ID u32 = "tokenizer.ggml.bos_token_id";
    "The token at the end." TOKENIZER_EOS_TOKEN_ID u32 = "tokenizer.ggml.eos_token_id";
    "The token for what is unknown." TOKENIZER_UNKNOWN_TOKEN_ID u32 = "tokenizer.ggml.unknown_token_id";
    "The token that fills." TOKENIZER_PADDING_TOKEN_ID u32 = "tokenizer.ggml.padding_token_id";
    "Whether the start token is put in front." TOKENIZER_ADD_BOS_TOKEN bool = "tokenizer.ggml.add_bos_token";
    "Whether the end token is put behind." TOKENIZER_ADD_EOS_TOKEN bool = "tokenizer.ggml.add_eos_token";
    "How a conversation becomes text: a program of a stranger." CHAT_TEMPLATE str = "tokenizer.chat_template";
}
