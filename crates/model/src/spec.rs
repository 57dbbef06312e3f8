//! What a model computes, as plain data.
//!
//! An architecture is a function from the file's metadata to a [`ModelSpec`] (see [`crate::arch`]); the loader
//! checks the tensors against it and the one forward pass reads nothing else. In words, for every layer:
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
//! and at the end `logits = soft_cap((Wout norm(x) + b) * logit_scale)`, or what [`HeadSpec`] says of embeddings and ranks.

mod experts;
mod latent;
mod recurrent;
mod rwkv;
mod streams;

pub use experts::*;
pub use latent::*;
pub use recurrent::*;
pub use rwkv::*;
pub use streams::*;

pub use crate::head::{ClassifierSpec, HeadSpec, Pooling, ProjectionSpec};

pub use happy_kernels::ops::{Activation, Gating, RopePairing};

/// Whether a tensor takes part in the computation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// The architecture has no such tensor; a file that has it is refused, because ignoring it would change results.
    Never,
    /// Used where the file has it.
    Optional,
    /// The loader reports the tensor as missing when the file lacks it.
    Required,
}

/// What a norm computes of a row `x`, before its weight and bias.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NormKind {
    /// `x / sqrt(mean(x^2) + eps)`
    Rms,
    /// `(x - mean(x)) / sqrt(var(x) + eps)`
    Layer,
    /// `x` as it is: there is no norm.
    Identity,
}

/// A normalization, mostly with a learned weight and maybe a learned bias.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NormSpec {
    /// Root mean square or mean and variance.
    pub kind: NormKind,
    /// Added under the root.
    pub eps: f32,
    /// Whether the norm has a tensor of weights. Without one it only divides (OLMo 1).
    pub weighted: bool,
    /// Whether a bias follows the weight.
    pub bias: Need,
}

impl NormSpec {
    /// No norm, where a specification must have one: it has no tensors and changes nothing.
    pub const IDENTITY: NormSpec =
        NormSpec { kind: NormKind::Identity, eps: 0.0, weighted: false, bias: Need::Never };
}

/// How Q and K are normalized.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QkNormKind {
    /// One weight of `head_dim` values, shared by all heads (Qwen3, Gemma 3).
    PerHead,
    /// A weight of `head_dim` values for each head (StableLM 2 12B).
    PerHeadOwnWeight,
    /// One norm over the whole row of all heads (OLMo 2, OLMoE).
    WholeRow,
    /// No weights for K, and one factor for each head of Q (Talkie).
    PerHeadGain,
}

/// A norm of Q and K.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct QkNormSpec {
    /// What one norm covers.
    pub kind: QkNormKind,
    /// The norm.
    pub norm: NormSpec,
    /// [`Need::Optional`] or [`Need::Required`].
    pub need: Need,
    /// Whether the norm follows the rotation instead of preceding it (Hunyuan).
    pub after_rope: bool,
}

/// Where the parts of a fused Q, K and V matrix are that has more rows than these; Q starts at row 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FusedRows {
    /// First row of K.
    pub k: usize,
    /// First row of V.
    pub v: usize,
    /// Rows of the matrix.
    pub all: usize,
}

/// How many gates the result of the attention has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GateWidth {
    /// One for each head (Spark).
    PerHead,
    /// One for each element of each head (AFMoE).
    PerElement,
    /// The same, but the rows of a head's gates follow those of its query in `attn_q`, which has twice as many rows
    /// (Qwen 3 Next).
    BesideQ,
}

/// Gates of the attention's result: `heads *= act(Wg h)`, with `h` what the projections read (`attn_gate`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AttentionGate {
    /// Gates a row.
    pub width: GateWidth,
    /// The activation, mostly [`Activation::Sigmoid`].
    pub activation: Activation,
}

/// Which tensor holds the divisors of the rotation's frequencies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RopeFactors {
    /// None.
    None,
    /// `rope_freqs.weight`, where the file has it (Llama 3).
    Freqs,
    /// `rope_factors_long.weight` if the context is longer than the one of training, else
    /// `rope_factors_short.weight`, where the file has them (Phi 3).
    LongShort,
}

/// One rotary position embedding; the meaning of the numbers is ggml's `ggml_rope_ext`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RopeParams {
    /// Which elements form a pair.
    pub pairing: RopePairing,
    /// The number of rotated elements at the start of each head; even.
    pub n_rot: usize,
    /// The base of the geometric series of frequencies.
    pub theta: f32,
    /// Positions are multiplied by this (1 / scaling factor).
    pub freq_scale: f32,
    /// 1 for YaRN, 0 without.
    pub ext_factor: f32,
    /// Multiplies cos and sin (YaRN multiplies its own magnitude correction on top).
    pub attn_factor: f32,
    /// YaRN: rotations within the original context above which a dimension is left alone.
    pub beta_fast: f32,
    /// YaRN: rotations below which a dimension is interpolated.
    pub beta_slow: f32,
    /// The context length before scaling.
    pub n_ctx_orig: u32,
    /// Frequency factors.
    pub factors: RopeFactors,
}

/// Q is multiplied by `ln(floor((position + offset) / floor) + 1) * scale + 1` (Mistral 3, Llama 4).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TemperatureSpec {
    /// Strength.
    pub scale: f32,
    /// Positions below this, the offset included, are left alone.
    pub floor: u32,
    /// Added to the position: 0, or 1 where positions are counted from 1 (Llama 4).
    pub offset: u32,
}

impl TemperatureSpec {
    /// The factor of Q at a position.
    pub fn factor(&self, position: u32) -> f32 {
        let steps = position.saturating_add(self.offset).checked_div(self.floor).unwrap_or(0);
        (libm::log(f64::from(steps) + 1.0) * f64::from(self.scale) + 1.0) as f32
    }
}

/// What the distance of two positions adds to their score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PositionBiasSpec {
    /// `-slope[head] * distance`, with slopes that fall geometrically from head to head: `2^(-max n / n_heads)` for the `n`-th
    /// of `n_heads`, a power of two (ALiBi).
    Alibi {
        /// The exponent of the last head's slope, mostly 8; above 0.
        max: f32,
    },
    /// A learned value per head for each of these buckets of distances, `attn_rel_b`, half of them for later positions (T5). A
    /// layer without the tensor takes the first layer's.
    Relative {
        /// Buckets; even.
        n_buckets: usize,
    },
}

/// The attention half of a layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AttentionSpec {
    /// The norm before the projections; `None` leaves the residual stream as it is (OLMo 2).
    pub norm: Option<NormSpec>,
    /// The name of that norm's tensor, without `blk.{layer}.` and `.weight`. Mostly `attn_norm`.
    pub norm_name: &'static str,
    /// Query heads.
    pub n_heads: usize,
    /// Key and value heads; divides `n_heads`.
    pub n_kv_heads: usize,
    /// Elements of a query or key head.
    pub head_dim_k: usize,
    /// Elements of a value head.
    pub head_dim_v: usize,
    /// Biases of Q, K and V.
    pub qkv_bias: Need,
    /// Where K and V are in a fused matrix, `attn_qkv`; `None`: Q, K and V follow each other without a gap.
    pub fused_rows: Option<FusedRows>,
    /// Q, K and V are clamped to `-clamp..=clamp` right after the projection; finite and above 0 (OLMo 1, DBRX).
    pub clamp: Option<f32>,
    /// Bias of the output projection.
    pub out_bias: Need,
    /// Norm of Q and K.
    pub qk_norm: Option<QkNormSpec>,
    /// Norm of each head of V; it has no weights.
    pub v_norm: Option<NormSpec>,
    /// Index into [`ModelSpec::ropes`]; `None`: no rotation in this layer.
    pub rope: Option<usize>,
    /// Multiplies `q . k`.
    pub scale: f32,
    /// `cap * tanh(score / cap)`.
    pub soft_cap: Option<f32>,
    /// A position sees itself and `window - 1` positions before it; in a model that is not causal, itself and `window / 2`
    /// positions on either side.
    pub window: Option<u32>,
    /// Positions are cut into chunks of `window`, and one sees those of its own chunk up to itself instead (Llama 4).
    pub chunked: bool,
    /// The layer before this one whose keys and values this one reads; it computes and stores none of its own (Gemma 4,
    /// Gemma 3n). That layer has keys and values of its own, of the same sizes and with the same window.
    pub kv_from: Option<usize>,
    /// What the distance of two positions adds to their score.
    pub position_bias: Option<PositionBiasSpec>,
    /// A learned score per head that takes part in the softmax only (gpt-oss).
    pub sinks: bool,
    /// Scales Q by the position.
    pub temperature: Option<TemperatureSpec>,
    /// Keys and values are made of one short row a position. Then the heads and their sizes here are those of the cache, and there
    /// are no biases, norms of Q, K and V, clamps, gates of elements or sub-norms.
    pub latent: Option<LatentSpec>,
    /// V is K as it is projected, before its norm and rotation; the file has no `attn_v` (Gemma 4).
    pub v_is_k: bool,
    /// Gates of the heads' results.
    pub gate: Option<AttentionGate>,
    /// The norm before the output projection, over all heads (`attn_sub_norm`; BitNet).
    pub sub_norm: Option<NormSpec>,
    /// Multiplies the result of the output projection, before the norm after it (MiMo 2).
    pub out_scale: Option<f32>,
    /// The name of the output projection's tensor, without `blk.{layer}.`. Mostly `attn_output`.
    pub out_name: &'static str,
    /// The norm after the output projection (`post_attention_norm`).
    pub post_norm: Option<NormSpec>,
    /// The norm of the residual stream after the half was added to it (`attn_output_norm`; BERT).
    pub sum_norm: Option<NormSpec>,
    /// After that norm, the norm of its result plus the layer's input (`attn_norm_2`; Jina BERT v2 for code).
    pub second_sum_norm: Option<NormSpec>,
}

impl AttentionSpec {
    /// Elements of a row of Q.
    pub fn q_dim(&self) -> usize {
        self.n_heads.saturating_mul(self.head_dim_k)
    }

    /// Elements of a row of K.
    pub fn k_dim(&self) -> usize {
        self.n_kv_heads.saturating_mul(self.head_dim_k)
    }

    /// Elements of a row of V.
    pub fn v_dim(&self) -> usize {
        self.n_kv_heads.saturating_mul(self.head_dim_v)
    }

    /// Elements of a row of V that the cache stores: none where the values are the rows that it stores as keys.
    pub fn stored_v_dim(&self) -> usize {
        match self.latent {
            Some(LatentSpec { form: LatentForm::Absorbed, .. }) => 0,
            _ => self.v_dim(),
        }
    }

    /// Elements of a row of what attention gives.
    pub fn out_dim(&self) -> usize {
        self.n_heads.saturating_mul(self.head_dim_v)
    }

    /// Elements of a row that the output projection reads: the same, but for latent attention.
    pub fn result_dim(&self) -> usize {
        self.latent.map_or(self.out_dim(), |l| self.n_heads.saturating_mul(l.head_dim_out))
    }

    /// Values that a row's gates take: one for each gate, and its query, if they are in one matrix. 0 without gates.
    pub fn gate_dim(&self) -> usize {
        match self.gate.map(|gate| gate.width) {
            None => 0,
            Some(GateWidth::PerHead) => self.n_heads,
            Some(GateWidth::PerElement) => self.out_dim(),
            Some(GateWidth::BesideQ) => self.q_dim().saturating_mul(2),
        }
    }
}

/// What the feed-forward half reads.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FfnInput {
    /// The normed residual stream.
    Norm(NormSpec),
    /// The same, where the file has the norm; otherwise [`FfnInput::Attention`] (StableLM 2 12B).
    NormOrAttention(NormSpec),
    /// The residual stream as it is (OLMo 2).
    Residual,
    /// What the attention half read: both halves run in parallel.
    Attention,
    /// The residual stream as it enters the layer, normed: both halves run in parallel, each with a norm of its own
    /// (GPT-NeoX, Falcon 40B).
    Layer(NormSpec),
}

/// A feed-forward block of one matrix pair or triple.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DenseSpec {
    /// Width.
    pub n_ff: usize,
    /// The activation.
    pub activation: Activation,
    /// `down(act(gate x) * up x)` or `down(act(up x))`.
    pub gated: bool,
    /// Gate and up are the halves of `ffn_up.weight`, gate first (Phi 3).
    pub fused: bool,
    /// Biases of the matrices.
    pub bias: Need,
    /// What the activations are divided by, element by element (`ffn.act.scales`); ungated blocks only (MPT).
    pub divisors: Need,
    /// The norm before the down matrix (`ffn_sub_norm`; BitNet).
    pub sub_norm: Option<NormSpec>,
    /// Only the gates that lie this many standard deviations above their row's mean count, by what they lie above it: `gate =
    /// max(gate - (mean + sparsity * deviation), 0)` before the activation; gated blocks only (Gemma 3n). `None`: all gates.
    pub sparsity: Option<f32>,
}

/// Dense or routed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FfnKind {
    /// No matrices: the activation of what the half reads. llama.cpp computes this where a file lacks the block.
    Elementwise(Activation),
    /// One block for every token.
    Dense(DenseSpec),
    /// Mixture of experts.
    Moe(MoeSpec),
    /// RWKV's half, which also reads the row before; only beside a recurrent mixer.
    ChannelMix(ChannelMixSpec),
}

/// The feed-forward half of a layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FfnSpec {
    /// What it reads.
    pub input: FfnInput,
    /// The name of the input norm's tensor, without `blk.{layer}.` and `.weight`; it ends in `_norm`. Mostly `ffn_norm`;
    /// `post_attention_norm` for gpt-oss.
    pub norm_name: &'static str,
    /// What it computes.
    pub kind: FfnKind,
    /// Multiplies its result, before the norm after it.
    pub scale: Option<f32>,
    /// The norm of its result (`post_ffw_norm`).
    pub post_norm: Option<NormSpec>,
    /// The norm of the residual stream after the half was added to it (`layer_output_norm`; BERT).
    pub sum_norm: Option<NormSpec>,
}

/// One layer: a mixer, which looks at other positions (attention, a recurrent one, or both), and a feed-forward half. A
/// layer may lack either half, not both (Nemotron-H has layers of one kind only).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LayerSpec {
    /// Attention.
    pub attention: Option<AttentionSpec>,
    /// A mixer with a state instead of keys and values. Beside attention it reads the same normed rows, and both results are
    /// added to the residual stream as one sum (Falcon-H1).
    pub recurrent: Option<RecurrentSpec>,
    /// Feed forward.
    pub ffn: Option<FfnSpec>,
    /// A matrix of low rank beside the attention.
    pub laurel: Option<LaurelSpec>,
    /// Whether the residual stream is multiplied by `layer_output_scale` at the end of the layer (Gemma 4), or, with
    /// [`ModelSpec::embedding_skips`], the embedding times it is added.
    pub out_scale: Need,
    /// The same as a number, for every file (RWKV-6 halves it every few layers).
    pub scale: Option<f32>,
    /// Tensors of the layer that its computation skips, without `blk.{layer}.`: files have them, and the architecture is
    /// known not to use them. A name that ends in `*` stands for every name that starts with the rest.
    pub inert: &'static [&'static str],
}

impl LayerSpec {
    /// What the feed-forward half computes, to change it.
    pub fn ffn_kind_mut(&mut self) -> Option<&mut FfnKind> {
        self.ffn.as_mut().map(|ffn| &mut ffn.kind)
    }

    /// Whether the layer looks at other positions than a row's own.
    pub fn mixes(&self) -> bool {
        self.attention.is_some() || self.recurrent.is_some()
    }

    /// Whether the layer keeps something of every row for later positions: keys and values of its own, or a state.
    pub fn stores(&self) -> bool {
        self.attention.is_some_and(|a| a.kv_from.is_none()) || self.recurrent.is_some()
    }

    /// f32 values that a sequence keeps in this layer between passes, besides keys and values; 0 without a recurrent mixer.
    pub fn state_elements(&self) -> usize {
        let mixer = self.recurrent.map_or(0, |r| r.state_elements());
        match self.ffn.map(|ffn| ffn.kind) {
            Some(FfnKind::ChannelMix(mix)) => mixer.saturating_add(mix.width),
            _ => mixer,
        }
    }
}

/// Where the output matrix comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputKind {
    /// `output.weight` must be there.
    Own,
    /// `output.weight` where the file has it, else the token embedding.
    OwnOrTied,
    /// Always the token embedding.
    Tied,
    /// No output matrix: the model gives hidden states only.
    None,
}

/// Everything the forward pass needs to know about a model, except its weights.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelSpec {
    /// `general.architecture`.
    pub architecture: &'static str,
    /// Rows of the token embedding.
    pub n_vocab: usize,
    /// Width of the residual stream.
    pub n_embd: usize,
    /// The context length the model was trained for.
    pub n_ctx_train: u32,
    /// Whether a position sees only those before it. Otherwise it sees its whole text.
    pub causal: bool,
    /// Whether a pass has whole texts, of which the cache keeps nothing: always of a model that is not causal.
    pub whole_texts: bool,
    /// What the names of the layers' tensors start with, before `blk.{layer}.`: mostly nothing, `enc.` for T5.
    pub prefix: &'static str,
    /// Whether the token embedding has `position_embd` added, a row for each position up to `n_ctx_train` (BERT).
    pub learned_positions: bool,
    /// Whether the first row of `token_types` is added to the token embedding (BERT).
    pub token_types: Need,
    /// The norm of the embedding, `token_embd_norm`.
    pub embedding_norm: Option<NormSpec>,
    /// Multiplies the token embedding.
    pub embedding_scale: Option<f32>,
    /// Whether each layer adds the embedding, as it enters the first one, times its `layer_output_scale` (Talkie).
    pub embedding_skips: bool,
    /// Each half adds its result to what it read, the normed residual stream, times this, instead of to the residual stream
    /// (MiniMax 01).
    pub normed_residual: Option<f32>,
    /// Multiplies what attention and feed forward add to the residual stream (Granite).
    pub residual_scale: Option<f32>,
    /// Embeddings of the token for each layer.
    pub per_layer: Option<PerLayerSpec>,
    /// Residual streams beside the one that the layers compute.
    pub altup: Option<AltUpSpec>,
    /// The rotations that layers refer to.
    pub ropes: Vec<RopeParams>,
    /// The layers, first to last.
    pub layers: Vec<LayerSpec>,
    /// The norm before the output matrix, mostly `output_norm`.
    pub output_norm: NormSpec,
    /// The name of its tensor, without `.weight`: `output_norm`; `token_embd_norm` for LFM2.
    pub output_norm_name: &'static str,
    /// The output matrix.
    pub output: OutputKind,
    /// The output matrix's bias.
    pub output_bias: Need,
    /// Multiplies the logits.
    pub logit_scale: Option<f32>,
    /// `cap * tanh(logit / cap)`.
    pub final_soft_cap: Option<f32>,
    /// What makes embeddings and ranks of hidden states.
    pub head: HeadSpec,
    /// Tensors outside of the layers that the computation skips, as [`LayerSpec::inert`].
    pub inert: &'static [&'static str],
}

impl ModelSpec {
    /// The attention of each layer that has one.
    pub fn attentions(&self) -> impl Iterator<Item = &AttentionSpec> + Clone {
        self.layers.iter().filter_map(|l| l.attention.as_ref())
    }

    /// The same with the layer's index, to change it.
    pub fn attentions_mut(&mut self) -> impl Iterator<Item = (usize, &mut AttentionSpec)> {
        self.layers.iter_mut().enumerate().filter_map(|(i, l)| Some((i, l.attention.as_mut()?)))
    }

    /// Changes the attention of every layer that has one.
    pub fn each_attention(&mut self, mut change: impl FnMut(&mut AttentionSpec)) {
        self.attentions_mut().for_each(|(_, attention)| change(attention));
    }

    /// The feed-forward half of each layer that has one.
    pub fn ffns(&self) -> impl Iterator<Item = &FfnSpec> + Clone {
        self.layers.iter().filter_map(|l| l.ffn.as_ref())
    }

    /// Changes the feed-forward half of every layer that has one.
    pub fn each_ffn(&mut self, change: impl FnMut(&mut FfnSpec)) {
        self.layers.iter_mut().filter_map(|l| l.ffn.as_mut()).for_each(change);
    }

    /// The longest context for which the short rotary factors hold, where the model has such.
    pub fn long_context_above(&self) -> Option<u32> {
        self.ropes.iter().find(|r| r.factors == RopeFactors::LongShort).map(|r| r.n_ctx_orig)
    }
}
