//! The specification of a model: what it computes, as plain data.
//!
//! An architecture is a function from a file's metadata to a [`ModelSpec`] (see [`crate::arch`]). The loader checks the tensors
//! against it, and the forward pass reads nothing else. For every layer:
//!
//! ```text
//! h  = attn.input == Norm ? norm(x) : x
//! q, k, v = clamp(Wq h + bq), clamp(Wk h + bk), clamp(Wv h + bv)         (may be stored as one fused matrix)
//! q, k = qk_norm(q), qk_norm(k);  rope(q), rope(k);  q *= temperature(position)      norm before or after rope
//! a  = attention(q, cache) * act(Wg h)               scale, soft cap, window, sinks; gates
//! o  = post_norm(Wo sub_norm(a) + bo) * residual_scale
//! x  = x + o                                          post-norms (BERT): x = norm(x + o);  MiniMax 01: x = h * factor + o
//! f  = ffn.input: norm(x) | x | h | norm(x at the layer's start)     the last two: both halves in parallel
//! x  = x + post_norm(ffn(f) * scale) * residual_scale        dense or mixture of experts, maybe with a shared expert
//! ```
//!
//! At the end, `logits = soft_cap((Wout norm(x) + b) * logit_scale)`; [`HeadSpec`] describes embeddings and ranks.

mod draft_head;
mod experts;
mod latent;
mod recurrent;
mod rwkv;
mod streams;

pub use draft_head::*;
pub use experts::*;
pub use latent::*;
pub use recurrent::*;
pub use rwkv::*;
pub use streams::*;

pub use crate::head::{ClassifierSpec, HeadSpec, Pooling, ProjectionSpec};

pub use happy_kernels::ops::{Activation, Gating, RopePairing};

/// Whether an architecture uses a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// The architecture has no such tensor. A file that has it is refused, because ignoring it would change results.
    Never,
    /// The tensor is used if the file has it.
    Optional,
    /// The tensor is required. If the file lacks it, loading fails.
    Required,
}

/// What a norm computes from a row `x`, before its weight and bias.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NormKind {
    /// `x / sqrt(mean(x^2) + eps)`
    Rms,
    /// `(x - mean(x)) / sqrt(var(x) + eps)`
    Layer,
    /// `x` unchanged: there is no norm.
    Identity,
}

/// A normalization, usually with a learned weight, and possibly with a learned bias.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NormSpec {
    /// The kind of norm.
    pub kind: NormKind,
    /// The epsilon, which is added under the root.
    pub eps: f32,
    /// Whether the norm has a tensor of weights. Without one, it only divides (OLMo 1).
    pub weighted: bool,
    /// Whether there is a bias, which is added after the weight.
    pub bias: Need,
}

impl NormSpec {
    /// A norm that has no tensors and changes nothing, for fields that are not optional.
    pub const IDENTITY: NormSpec =
        NormSpec { kind: NormKind::Identity, eps: 0.0, weighted: false, bias: Need::Never };
}

/// How Q and K are normalized.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QkNormKind {
    /// One weight of `head_dim` values, shared by all heads (Qwen3, Gemma 3).
    PerHead,
    /// A weight of `head_dim` values per head (StableLM 2 12B).
    PerHeadOwnWeight,
    /// One norm over the whole row of all heads (OLMo 2, OLMoE).
    WholeRow,
    /// No weights for K, and one factor per head of Q (Talkie).
    PerHeadGain,
}

/// A norm of Q and K.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct QkNormSpec {
    /// What each norm covers.
    pub kind: QkNormKind,
    /// The norm.
    pub norm: NormSpec,
    /// Whether the tensors are required: [`Need::Optional`] or [`Need::Required`].
    pub need: Need,
    /// Whether the norm comes after the rotation instead of before it (Hunyuan).
    pub after_rope: bool,
}

/// The positions of the parts in a fused Q, K and V matrix that also has other rows. Q starts at row 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FusedRows {
    /// The first row of K.
    pub k: usize,
    /// The first row of V.
    pub v: usize,
    /// The number of rows of the matrix.
    pub all: usize,
}

/// The number of gates of the attention's result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GateWidth {
    /// One per head (Spark).
    PerHead,
    /// One per element of each head (AFMoE).
    PerElement,
    /// One per element, but the rows of a head's gates are in `attn_q` after those of its query. `attn_q` then has twice as many
    /// rows (Qwen 3 Next).
    BesideQ,
}

/// Gates of the attention's result: `heads *= act(Wg h)`, where `h` is the input of the projections (`attn_gate`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AttentionGate {
    /// The number of gates per row.
    pub width: GateWidth,
    /// The activation, usually [`Activation::Sigmoid`].
    pub activation: Activation,
}

/// Which tensor has the divisors of the rotation's frequencies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RopeFactors {
    /// No tensor: frequencies are not divided.
    None,
    /// `rope_freqs.weight`, if the file has it (Llama 3).
    Freqs,
    /// `rope_factors_long.weight` if the context is longer than that of training, otherwise `rope_factors_short.weight`, if the
    /// file has them (Phi 3).
    LongShort,
}

/// A rotary position embedding. The numbers have the same meaning as in ggml's `ggml_rope_ext`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RopeParams {
    /// Which elements form a pair.
    pub pairing: RopePairing,
    /// The number of rotated elements at the start of each head. Even.
    pub n_rot: usize,
    /// The base of the geometric series of frequencies.
    pub theta: f32,
    /// The factor of positions, which is 1 / scaling factor. 1 means no scaling.
    pub freq_scale: f32,
    /// 1 with YaRN, 0 without.
    pub ext_factor: f32,
    /// The factor of cos and sin. (YaRN also multiplies its own magnitude correction.)
    pub attn_factor: f32,
    /// For YaRN: a dimension with more rotations than this within the original context is not changed.
    pub beta_fast: f32,
    /// For YaRN: a dimension with fewer rotations than this is interpolated.
    pub beta_slow: f32,
    /// The context length before scaling.
    pub n_ctx_orig: u32,
    /// The divisors of the frequencies.
    pub factors: RopeFactors,
}

/// A factor of Q: `ln(floor((position + offset) / floor) + 1) * scale + 1` (Mistral 3, Llama 4).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TemperatureSpec {
    /// The strength.
    pub scale: f32,
    /// Positions below this, including the offset, are not changed.
    pub floor: u32,
    /// Added to the position: 0, or 1 if positions are counted from 1 (Llama 4).
    pub offset: u32,
}

impl TemperatureSpec {
    /// Returns the factor of Q at a position.
    pub fn factor(&self, position: u32) -> f32 {
        let steps = position.saturating_add(self.offset).checked_div(self.floor).unwrap_or(0);
        (libm::log(f64::from(steps) + 1.0) * f64::from(self.scale) + 1.0) as f32
    }
}

/// A bias that is added to the score of two positions and depends on their distance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PositionBiasSpec {
    /// `-slope[head] * distance`, with slopes that fall geometrically from head to head: `2^(-max n / n_heads)` for the `n`-th
    /// of `n_heads`, a power of two (ALiBi).
    Alibi {
        /// The exponent of the last head's slope. Above 0, usually 8.
        max: f32,
    },
    /// A learned value per head and bucket of distances, `attn_rel_b`. Half of the buckets are for later positions (T5). A layer
    /// without the tensor uses the first layer's.
    Relative {
        /// The number of buckets. Even.
        n_buckets: usize,
    },
}

/// The attention half of a layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AttentionSpec {
    /// The norm before the projections. With `None`, they read the residual stream itself (OLMo 2).
    pub norm: Option<NormSpec>,
    /// The name of that norm's tensor, without `blk.{layer}.` and `.weight`. Usually `attn_norm`.
    pub norm_name: &'static str,
    /// The number of query heads.
    pub n_heads: usize,
    /// The number of key and value heads. It divides `n_heads`.
    pub n_kv_heads: usize,
    /// The number of elements in a query or key head.
    pub head_dim_k: usize,
    /// The number of elements in a value head.
    pub head_dim_v: usize,
    /// The biases of Q, K and V.
    pub qkv_bias: Need,
    /// The positions of K and V in a fused matrix, `attn_qkv`. With `None`, Q, K and V follow one another without a gap.
    pub fused_rows: Option<FusedRows>,
    /// The bound to which Q, K and V are clamped right after the projection, `-clamp..=clamp`. Finite and above 0 (OLMo 1, DBRX).
    pub clamp: Option<f32>,
    /// The bias of the output projection.
    pub out_bias: Need,
    /// The norm of Q and K.
    pub qk_norm: Option<QkNormSpec>,
    /// The norm of each head of V, which has no weights.
    pub v_norm: Option<NormSpec>,
    /// The rotation, as an index into [`ModelSpec::ropes`]. `None` means no rotation in this layer.
    pub rope: Option<usize>,
    /// The factor of scores, `q . k`.
    pub scale: f32,
    /// The cap of scores: `cap * tanh(score / cap)`.
    pub soft_cap: Option<f32>,
    /// The window: a position sees itself and `window - 1` positions before it. In a model that is not causal, it sees itself and
    /// `window / 2` positions on either side. `None` means all positions.
    pub window: Option<u32>,
    /// Whether positions are split into chunks of `window`, and a position sees its own chunk up to itself instead (Llama 4).
    pub chunked: bool,
    /// An earlier layer whose keys and values this one reads instead of computing and storing its own (Gemma 4, Gemma 3n). That
    /// layer has its own keys and values, of the same sizes and with the same window.
    pub kv_from: Option<usize>,
    /// The bias of scores by the distance of positions.
    pub position_bias: Option<PositionBiasSpec>,
    /// Whether there is a learned score per head that is used only in the softmax (gpt-oss).
    pub sinks: bool,
    /// The factor of Q by its position.
    pub temperature: Option<TemperatureSpec>,
    /// Latent attention, in which keys and values are made from one short row per position. The heads and their sizes here are then
    /// those of the cache, and there are no biases, norms of Q, K and V, clamps, gates of elements or sub-norms.
    pub latent: Option<LatentSpec>,
    /// Whether V is the projected K before its norm and rotation. The file then has no `attn_v` (Gemma 4).
    pub v_is_k: bool,
    /// The gates of the heads' results.
    pub gate: Option<AttentionGate>,
    /// The norm before the output projection, over all heads (`attn_sub_norm`; BitNet).
    pub sub_norm: Option<NormSpec>,
    /// The factor of the output projection's result, before the norm after it (MiMo 2).
    pub out_scale: Option<f32>,
    /// The name of the output projection's tensor, without `blk.{layer}.`. Usually `attn_output`.
    pub out_name: &'static str,
    /// The norm after the output projection (`post_attention_norm`).
    pub post_norm: Option<NormSpec>,
    /// The norm of the residual stream after the result was added to it (`attn_output_norm`; BERT).
    pub sum_norm: Option<NormSpec>,
    /// After that norm, the norm of its result plus the layer's input (`attn_norm_2`; Jina BERT v2 for code).
    pub second_sum_norm: Option<NormSpec>,
}

impl AttentionSpec {
    /// Returns the number of elements in a row of Q.
    pub fn q_dim(&self) -> usize {
        self.n_heads.saturating_mul(self.head_dim_k)
    }

    /// Returns the number of elements in a row of K.
    pub fn k_dim(&self) -> usize {
        self.n_kv_heads.saturating_mul(self.head_dim_k)
    }

    /// Returns the number of elements in a row of V.
    pub fn v_dim(&self) -> usize {
        self.n_kv_heads.saturating_mul(self.head_dim_v)
    }

    /// Returns the number of elements in a row of V that the cache stores: none if the values are the rows that it stores as keys.
    pub fn stored_v_dim(&self) -> usize {
        match self.latent {
            Some(LatentSpec { form: LatentForm::Absorbed, .. }) => 0,
            _ => self.v_dim(),
        }
    }

    /// Returns the number of elements in a row of the attention's result.
    pub fn out_dim(&self) -> usize {
        self.n_heads.saturating_mul(self.head_dim_v)
    }

    /// Returns the number of elements in a row that the output projection reads. Except for latent attention, it is
    /// [`out_dim`](Self::out_dim).
    pub fn result_dim(&self) -> usize {
        self.latent.map_or(self.out_dim(), |l| self.n_heads.saturating_mul(l.head_dim_out))
    }

    /// Returns the number of values in a row of the gates' buffer: the gates, and also the queries if both are in one matrix. 0 without
    /// gates.
    pub fn gate_dim(&self) -> usize {
        match self.gate.map(|gate| gate.width) {
            None => 0,
            Some(GateWidth::PerHead) => self.n_heads,
            Some(GateWidth::PerElement) => self.out_dim(),
            Some(GateWidth::BesideQ) => self.q_dim().saturating_mul(2),
        }
    }
}

/// The input of the feed-forward half.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FfnInput {
    /// The normed residual stream.
    Norm(NormSpec),
    /// The normed residual stream if the file has the norm, otherwise [`FfnInput::Attention`] (StableLM 2 12B).
    NormOrAttention(NormSpec),
    /// The residual stream without a norm (OLMo 2).
    Residual,
    /// The input of the attention half: both halves run in parallel.
    Attention,
    /// The residual stream at the start of the layer, normed: both halves run in parallel, each with its own norm (GPT-NeoX,
    /// Falcon 40B).
    Layer(NormSpec),
}

/// A feed-forward block of two or three matrices.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DenseSpec {
    /// The width.
    pub n_ff: usize,
    /// The activation.
    pub activation: Activation,
    /// Whether the block is gated: `down(act(gate x) * up x)`. Otherwise it is `down(act(up x))`.
    pub gated: bool,
    /// Whether gate and up are the halves of `ffn_up.weight`, gate first (Phi 3).
    pub fused: bool,
    /// The biases of the matrices.
    pub bias: Need,
    /// The divisors of the activations, one per element (`ffn.act.scales`). Only for blocks without gates (MPT).
    pub divisors: Need,
    /// The norm before the down matrix (`ffn_sub_norm`; BitNet).
    pub sub_norm: Option<NormSpec>,
    /// Keeps only gates that exceed their row's mean by this many standard deviations: `gate = max(gate - (mean + sparsity *
    /// deviation), 0)`, before the activation. Only for gated blocks (Gemma 3n). `None` keeps all gates.
    pub sparsity: Option<f32>,
}

/// What the feed-forward half computes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FfnKind {
    /// No matrices: the activation of the input. llama.cpp computes this if a file lacks the block.
    Elementwise(Activation),
    /// One block for every token.
    Dense(DenseSpec),
    /// A mixture of experts.
    Moe(MoeSpec),
    /// RWKV's half, which also reads the previous row. Only in layers with a recurrent mixer.
    ChannelMix(ChannelMixSpec),
}

/// The feed-forward half of a layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FfnSpec {
    /// Its input.
    pub input: FfnInput,
    /// The name of the input norm's tensor, without `blk.{layer}.` and `.weight`. It ends with `_norm`. Usually `ffn_norm`;
    /// `post_attention_norm` for gpt-oss.
    pub norm_name: &'static str,
    /// What it computes.
    pub kind: FfnKind,
    /// The factor of its result, before the norm after it.
    pub scale: Option<f32>,
    /// The norm of its result (`post_ffw_norm`).
    pub post_norm: Option<NormSpec>,
    /// The norm of the residual stream after the result was added to it (`layer_output_norm`; BERT).
    pub sum_norm: Option<NormSpec>,
}

/// A layer: a mixer, which reads other positions (attention, a recurrent mixer, or both), and a feed-forward half. One of them may be
/// missing (in Nemotron-H, each layer has only one).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LayerSpec {
    /// The attention.
    pub attention: Option<AttentionSpec>,
    /// A mixer with a state instead of keys and values. Beside attention, it reads the same normed rows, and the sum of both results
    /// is added to the residual stream (Falcon-H1).
    pub recurrent: Option<RecurrentSpec>,
    /// The feed-forward half.
    pub ffn: Option<FfnSpec>,
    /// A matrix of low rank beside the attention.
    pub laurel: Option<LaurelSpec>,
    /// Whether the residual stream is multiplied by `layer_output_scale` at the end of the layer (Gemma 4). With
    /// [`ModelSpec::embedding_skips`], the embedding is multiplied by it and added instead.
    pub out_scale: Need,
    /// The same factor as a number, for every file (RWKV-6 halves the stream every few layers).
    pub scale: Option<f32>,
    /// Tensors of the layer that are not used, without `blk.{layer}.`: files have them, and the architecture is known to ignore them.
    /// A name that ends with `*` means every name that starts with the rest.
    pub inert: &'static [&'static str],
}

impl LayerSpec {
    /// Returns what the feed-forward half computes, for changes.
    pub fn ffn_kind_mut(&mut self) -> Option<&mut FfnKind> {
        self.ffn.as_mut().map(|ffn| &mut ffn.kind)
    }

    /// Returns whether the layer reads other positions than a row's own.
    pub fn mixes(&self) -> bool {
        self.attention.is_some() || self.recurrent.is_some()
    }

    /// Returns whether the layer keeps something of every row for later positions: its own keys and values, or a state.
    pub fn stores(&self) -> bool {
        self.attention.is_some_and(|a| a.kv_from.is_none()) || self.recurrent.is_some()
    }

    /// Returns the number of f32 values that a sequence keeps in this layer between passes, besides keys and values. 0 without a
    /// recurrent mixer.
    pub fn state_elements(&self) -> usize {
        let mixer = self.recurrent.map_or(0, |r| r.state_elements());
        match self.ffn.map(|ffn| ffn.kind) {
            Some(FfnKind::ChannelMix(mix)) => mixer.saturating_add(mix.width),
            _ => mixer,
        }
    }
}

/// The output matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputKind {
    /// `output.weight`, which is required.
    Own,
    /// `output.weight` if the file has it, otherwise the token embedding.
    OwnOrTied,
    /// Always the token embedding.
    Tied,
    /// No output matrix: the model has only hidden states.
    None,
}

/// Everything that the forward pass needs to know about a model, except its weights.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelSpec {
    /// The file's `general.architecture`.
    pub architecture: &'static str,
    /// The size of the vocabulary: the number of rows in the token embedding.
    pub n_vocab: usize,
    /// The width of the residual stream.
    pub n_embd: usize,
    /// The context length that the model was trained for.
    pub n_ctx_train: u32,
    /// Whether a position sees only those before it. Otherwise, it sees its whole text.
    pub causal: bool,
    /// Whether passes have whole texts, of which the cache keeps nothing. Always true for a model that is not causal.
    pub whole_texts: bool,
    /// The prefix of the names of the layers' tensors, before `blk.{layer}.`. Usually empty; `enc.` for T5.
    pub prefix: &'static str,
    /// Whether `position_embd`, which has a row per position up to `n_ctx_train`, is added to the token embedding (BERT).
    pub learned_positions: bool,
    /// Whether the first row of `token_types` is added to the token embedding (BERT).
    pub token_types: Need,
    /// The norm of the embedding, `token_embd_norm`.
    pub embedding_norm: Option<NormSpec>,
    /// The factor of the token embedding.
    pub embedding_scale: Option<f32>,
    /// Whether each layer adds the embedding at the start of the first layer, times its `layer_output_scale` (Talkie).
    pub embedding_skips: bool,
    /// If set, each half adds its result to its input (the normed residual stream) times this factor, instead of to the residual
    /// stream (MiniMax 01).
    pub normed_residual: Option<f32>,
    /// The factor of everything that the halves add to the residual stream (Granite).
    pub residual_scale: Option<f32>,
    /// Embeddings of the token for each layer.
    pub per_layer: Option<PerLayerSpec>,
    /// Residual streams besides the one that the layers compute.
    pub altup: Option<AltUpSpec>,
    /// The rotations that layers refer to.
    pub ropes: Vec<RopeParams>,
    /// The layers, first to last.
    pub layers: Vec<LayerSpec>,
    /// The norm before the output matrix, usually `output_norm`.
    pub output_norm: NormSpec,
    /// The name of its tensor, without `.weight`: `output_norm`; `token_embd_norm` for LFM2.
    pub output_norm_name: &'static str,
    /// The output matrix.
    pub output: OutputKind,
    /// The bias of the output matrix.
    pub output_bias: Need,
    /// The factor of the logits.
    pub logit_scale: Option<f32>,
    /// The cap of the logits: `cap * tanh(logit / cap)`.
    pub final_soft_cap: Option<f32>,
    /// How hidden states become embeddings and ranks.
    pub head: HeadSpec,
    /// Set if this is not a model, but its draft head.
    pub draft_head: Option<DraftHeadSpec>,
    /// Tensors outside of the layers that are not used, in the form of [`LayerSpec::inert`].
    pub inert: &'static [&'static str],
}

impl ModelSpec {
    /// Returns the attention of each layer that has one.
    pub fn attentions(&self) -> impl Iterator<Item = &AttentionSpec> + Clone {
        self.layers.iter().filter_map(|l| l.attention.as_ref())
    }

    /// Returns the attention of each layer that has one, with the layer's index, for changes.
    pub fn attentions_mut(&mut self) -> impl Iterator<Item = (usize, &mut AttentionSpec)> {
        self.layers.iter_mut().enumerate().filter_map(|(i, l)| Some((i, l.attention.as_mut()?)))
    }

    /// Changes the attention of every layer that has one.
    pub fn each_attention(&mut self, mut change: impl FnMut(&mut AttentionSpec)) {
        self.attentions_mut().for_each(|(_, attention)| change(attention));
    }

    /// Returns the feed-forward half of each layer that has one.
    pub fn ffns(&self) -> impl Iterator<Item = &FfnSpec> + Clone {
        self.layers.iter().filter_map(|l| l.ffn.as_ref())
    }

    /// Changes the feed-forward half of every layer that has one.
    pub fn each_ffn(&mut self, change: impl FnMut(&mut FfnSpec)) {
        self.layers.iter_mut().filter_map(|l| l.ffn.as_mut()).for_each(change);
    }

    /// Returns the longest context for which the short rotary factors are used, if the model has such factors.
    pub fn long_context_above(&self) -> Option<u32> {
        self.ropes.iter().find(|r| r.factors == RopeFactors::LongShort).map(|r| r.n_ctx_orig)
    }
}
