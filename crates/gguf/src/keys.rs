//! Typed keys: the names that the format's document and llama.cpp use, and the types of their values.
//!
//! `{arch}` in a key stands for the value of `general.architecture`.

use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::marker::PhantomData;

use crate::array::Strings;
use crate::metadata::{FromValue, Metadata, ValueError};
use crate::value::Value;

mod sealed {
    pub trait Sealed {}
}

/// The type of a [`Key`]'s value: numbers, `bool`, `str`, [`PerLayer`], and slices of these.
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
    /// The value as read, borrowed from the file.
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

/// One number for all layers, or one for each layer: in some architectures the layers differ in size.
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
    /// The same number for all layers.
    All(T),
    /// One number for each layer.
    Each(Vec<T>),
}

impl<T: Copy> PerLayer<T> {
    /// Returns the number for a layer, from 0; `None` if the file has no number for it.
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

/// A key of a model file, with the type of its value. The keys of the format are in [`keys`](self).
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
    /// Makes a key. A `pattern` that starts with `{arch}.` has the architecture filled in when it is looked up.
    pub const fn new(pattern: &'static str) -> Self {
        Self { pattern, of: PhantomData }
    }

    /// Returns the key as listed here, with `{arch}`.
    pub const fn pattern(&self) -> &'static str {
        self.pattern
    }

    /// Returns the key as it appears in a file of this architecture.
    pub fn name(&self, architecture: &str) -> Cow<'static, str> {
        match self.pattern.strip_prefix("{arch}") {
            Some(rest) => Cow::Owned([architecture, rest].concat()),
            None => Cow::Borrowed(self.pattern),
        }
    }
}

impl<'a> Metadata<'a> {
    /// Returns the value of a typed key; `None` if the file does not have it. Example: [`Key`](crate::Key).
    ///
    /// # Errors
    /// If the value has another type, or if the key has `{arch}` and the file names no architecture.
    pub fn key<T: KeyType + ?Sized>(&self, key: &Key<T>) -> Result<Option<T::Out<'a>>, ValueError> {
        let architecture =
            if key.pattern.starts_with("{arch}") { self.require(ARCHITECTURE.pattern)? } else { "" };
        self.optional(&key.name(architecture))
    }
}

macro_rules! keys {
    ($( $doc:literal $name:ident $t:ty = $pattern:literal; )*) => {
        $( #[doc = $doc] #[doc = concat!("\n\n`", $pattern, "`")] pub const $name: Key<$t> = Key::new($pattern); )*

        /// The patterns of all keys in this module, with the names of their types.
        pub const ALL: &[(&str, &str)] = &[ $( ($pattern, stringify!($t)), )* ];
    };
}

keys! {
    "The architecture of the model: `llama`, `gemma3`." ARCHITECTURE str = "general.architecture";
    "The version of the quantized formats, currently 2." QUANTIZATION_VERSION u32 = "general.quantization_version";
    "The alignment of the tensor data in bytes." ALIGNMENT u32 = "general.alignment";
    "The name of the model." NAME str = "general.name";
    "The author of the model." AUTHOR str = "general.author";
    "The version of the model." VERSION str = "general.version";
    "The organization that published the model." ORGANIZATION str = "general.organization";
    "The name of the base model, without size and version." BASENAME str = "general.basename";
    "What the model was fine-tuned for: `instruct`, `chat`." FINETUNE str = "general.finetune";
    "A description of the model." DESCRIPTION str = "general.description";
    "Who quantized the model." QUANTIZED_BY str = "general.quantized_by";
    "The size class of the model: `8x7B`." SIZE_LABEL str = "general.size_label";
    "The license of the model, as an SPDX expression." LICENSE str = "general.license";
    "The model's web page." URL str = "general.url";
    "What the file contains: `model`, `adapter`, `vocab`." TYPE str = "general.type";
    "The mix of tensor types, by llama.cpp's numbers." FILE_TYPE u32 = "general.file_type";
    "Tags that describe the model, for search." TAGS [&'static str] = "general.tags";
    "The languages that the model supports." LANGUAGES [&'static str] = "general.languages";

    "The number of this part of a split model, from 0." SPLIT_NO u32 = "split.no";
    "The number of parts of a split model." SPLIT_COUNT u32 = "split.count";
    "The number of tensors in all parts together." SPLIT_TENSORS_COUNT u32 = "split.tensors.count";

    "The number of positions that the model was trained on." CONTEXT_LENGTH u64 = "{arch}.context_length";
    "The width of a hidden state, in elements." EMBEDDING_LENGTH u64 = "{arch}.embedding_length";
    "The number of layers." BLOCK_COUNT u64 = "{arch}.block_count";
    "The width of the feed-forward network." FEED_FORWARD_LENGTH PerLayer<u32> = "{arch}.feed_forward_length";
    "The number of tokens in the vocabulary." VOCAB_SIZE u32 = "{arch}.vocab_size";
    "Whether attention and feed-forward network run in parallel on the same input." USE_PARALLEL_RESIDUAL bool = "{arch}.use_parallel_residual";
    "The number of routed experts in a layer." EXPERT_COUNT u32 = "{arch}.expert_count";
    "The number of experts that each token is routed to." EXPERT_USED_COUNT u32 = "{arch}.expert_used_count";
    "The number of shared experts, which every token uses." EXPERT_SHARED_COUNT u32 = "{arch}.expert_shared_count";
    "The width of an expert's feed-forward network." EXPERT_FEED_FORWARD_LENGTH u32 = "{arch}.expert_feed_forward_length";
    "How token embeddings are pooled into one vector, by llama.cpp's numbers." POOLING_TYPE u32 = "{arch}.pooling_type";

    "The number of query heads." ATTENTION_HEAD_COUNT PerLayer<u32> = "{arch}.attention.head_count";
    "The number of key and value heads; the same as of query heads if it is missing." ATTENTION_HEAD_COUNT_KV PerLayer<u32> = "{arch}.attention.head_count_kv";
    "The width of a key, per head." ATTENTION_KEY_LENGTH u32 = "{arch}.attention.key_length";
    "The width of a value, per head." ATTENTION_VALUE_LENGTH u32 = "{arch}.attention.value_length";
    "The epsilon of layer norms." ATTENTION_LAYER_NORM_EPSILON f32 = "{arch}.attention.layer_norm_epsilon";
    "The epsilon of RMS norms." ATTENTION_LAYER_NORM_RMS_EPSILON f32 = "{arch}.attention.layer_norm_rms_epsilon";
    "The maximum ALiBi bias, from which the slope of each head follows." ATTENTION_MAX_ALIBI_BIAS f32 = "{arch}.attention.max_alibi_bias";
    "The bound that queries, keys and values are clamped to." ATTENTION_CLAMP_KQV f32 = "{arch}.attention.clamp_kqv";
    "The size of the sliding window, in positions." ATTENTION_SLIDING_WINDOW u32 = "{arch}.attention.sliding_window";
    "Whether a token attends only to itself and earlier tokens." ATTENTION_CAUSAL bool = "{arch}.attention.causal";
    "The factor that attention scores are multiplied by." ATTENTION_SCALE f32 = "{arch}.attention.scale";

    "The number of dimensions of a head that are rotated." ROPE_DIMENSION_COUNT u32 = "{arch}.rope.dimension_count";
    "The base of the rotation frequencies." ROPE_FREQ_BASE f32 = "{arch}.rope.freq_base";
    "How RoPE is scaled to positions past the trained ones: `none`, `linear`, `yarn`." ROPE_SCALING_TYPE str = "{arch}.rope.scaling.type";
    "The factor of the RoPE scaling." ROPE_SCALING_FACTOR f32 = "{arch}.rope.scaling.factor";
    "The trained context length before RoPE scaling." ROPE_SCALING_ORIGINAL_CONTEXT_LENGTH u32 = "{arch}.rope.scaling.original_context_length";
    "Whether the model was fine-tuned with RoPE scaling." ROPE_SCALING_FINETUNED bool = "{arch}.rope.scaling.finetuned";
    "The linear RoPE scaling factor, in its older form." ROPE_SCALE_LINEAR f32 = "{arch}.rope.scale_linear";

    "The width of the convolution kernel of a state space model, in positions." SSM_CONV_KERNEL u32 = "{arch}.ssm.conv_kernel";
    "The inner width of a state space model." SSM_INNER_SIZE u32 = "{arch}.ssm.inner_size";
    "The state size of a state space model." SSM_STATE_SIZE u32 = "{arch}.ssm.state_size";
    "The time step rank of a state space model." SSM_TIME_STEP_RANK u32 = "{arch}.ssm.time_step_rank";

    "The kind of tokenizer: `gpt2`, `llama`, `bert`." TOKENIZER_MODEL str = "tokenizer.ggml.model";
    "The pre-tokenizer, which splits text before tokenization: `qwen2`, `llama-bpe`." TOKENIZER_PRE str = "tokenizer.ggml.pre";
    "The texts of the tokens, by id." TOKENIZER_TOKENS [&'static str] = "tokenizer.ggml.tokens";
    "The score of each token, by id." TOKENIZER_SCORES [f32] = "tokenizer.ggml.scores";
    "The type of each token, by id: llama.cpp's numbers for normal, control, byte and so on." TOKENIZER_TOKEN_TYPE [i32] = "tokenizer.ggml.token_type";
    "The BPE merges, in order of decreasing priority." TOKENIZER_MERGES [&'static str] = "tokenizer.ggml.merges";
    "The id of the token that begins a text." TOKENIZER_BOS_TOKEN_ID u32 = "tokenizer.ggml.bos_token_id";
    "The id of the token that ends a text." TOKENIZER_EOS_TOKEN_ID u32 = "tokenizer.ggml.eos_token_id";
    "The id of the token for unknown text." TOKENIZER_UNKNOWN_TOKEN_ID u32 = "tokenizer.ggml.unknown_token_id";
    "The id of the padding token." TOKENIZER_PADDING_TOKEN_ID u32 = "tokenizer.ggml.padding_token_id";
    "Whether a text gets the start token added in front." TOKENIZER_ADD_BOS_TOKEN bool = "tokenizer.ggml.add_bos_token";
    "Whether a text gets the end token added at its end." TOKENIZER_ADD_EOS_TOKEN bool = "tokenizer.ggml.add_eos_token";
    "The chat template: an untrusted program that turns a conversation into text." CHAT_TEMPLATE str = "tokenizer.chat_template";
}
