//! The weights of a model. Matrices stay in the mapped file; small vectors are copied, so that they are aligned.

use happy_kernels::linear::{ActKinds, Linear, LinearRows};
use happy_kernels::ops::{Activation, RopeTable};
use happy_tensor::{Bytes, DType, RowError, dequantize_row};

use crate::recurrent::{ChannelMix, Recurrent};
use crate::spec::{AttentionSpec, LatentSpec, MoeSpec, NormKind};

/// A norm.
pub(crate) struct Norm {
    pub(crate) kind: NormKind,
    pub(crate) eps: f32,
    pub(crate) weight: Option<Vec<f32>>,
    pub(crate) bias: Option<Vec<f32>>,
}

/// The norm of each part of a row, for instance of each head of Q. Its weights are those of one part, used for every part, or those of
/// the whole row.
pub(crate) struct PartsNorm {
    pub(crate) norm: Norm,
    /// Number of elements in a part.
    pub(crate) width: usize,
    /// Whether the norm comes after the rotation.
    pub(crate) after_rope: bool,
}

/// The token embedding, whose rows are decoded when they are needed.
pub(crate) struct Embedding {
    pub(crate) dtype: DType,
    pub(crate) bytes: Bytes,
    pub(crate) row_bytes: usize,
}

impl Embedding {
    /// Decodes the row of a token. Its id must be below the vocabulary's size.
    pub(crate) fn row(&self, token: u32, out: &mut [f32]) -> Result<(), RowError> {
        let start = token as usize * self.row_bytes;
        dequantize_row(self.dtype, self.bytes.get(start..start + self.row_bytes).unwrap_or(&[]), out)
    }
}

/// The attention half of a layer.
pub(crate) struct Attention {
    pub(crate) spec: AttentionSpec,
    pub(crate) norm: Option<Norm>,
    pub(crate) q: Linear,
    /// The matrices that latent attention has instead of K and V.
    pub(crate) latent: Option<Latent>,
    /// `None` if the layer reads another layer's keys and values.
    pub(crate) k: Option<Linear>,
    /// `None` in such a layer too, and where the values are the keys.
    pub(crate) v: Option<Linear>,
    pub(crate) q_norm: Option<PartsNorm>,
    pub(crate) k_norm: Option<PartsNorm>,
    pub(crate) v_norm: Option<PartsNorm>,
    pub(crate) gate: Option<Linear>,
    pub(crate) sub_norm: Option<PartsNorm>,
    pub(crate) out: Linear,
    pub(crate) sinks: Option<Vec<f32>>,
    pub(crate) position_bias: Option<PositionBias>,
    pub(crate) post_norm: Option<Norm>,
    pub(crate) sum_norm: Option<Norm>,
    pub(crate) second_sum_norm: Option<Norm>,
}

/// What is added to a layer's attention scores, by distance.
pub(crate) enum PositionBias {
    /// A slope for each head.
    Slopes(Vec<f32>),
    /// An index in [`Weights::relative`].
    Relative(usize),
}

/// What is added at each distance from `-most` to `most`: `[head][2 * most + 1]`.
pub(crate) struct RelativeBias {
    pub(crate) values: Vec<f32>,
    pub(crate) most: u32,
}

/// The matrices of latent attention, except for the one that computes the queries.
pub(crate) struct Latent {
    pub(crate) spec: LatentSpec,
    /// The matrix whose result the queries are computed from, and the norm of that result.
    pub(crate) q_a: Option<(Linear, Norm)>,
    pub(crate) kv_a: Linear,
    pub(crate) kv_norm: Norm,
    pub(crate) up: LatentUp,
}

/// The matrices that turn short rows into keys and values.
pub(crate) enum LatentUp {
    /// Two stacks, each with one matrix for each head: from the head's query to a short row, and from a short row to the head's result.
    Absorbed { k: Linear, v: Linear },
    /// One matrix that computes the keys and values of all heads.
    Expanded(Linear),
}

impl Latent {
    fn linears(&self) -> impl Iterator<Item = &Linear> {
        let (first, second) = match &self.up {
            LatentUp::Absorbed { k, v } => (k, Some(v)),
            LatentUp::Expanded(kv_b) => (kv_b, None),
        };
        self.q_a.iter().map(|(q_a, _)| q_a).chain([&self.kv_a, first]).chain(second)
    }
}

/// The matrices of one feed-forward block. A gated block has a `gate`.
pub(crate) struct Mlp {
    pub(crate) activation: Activation,
    /// How many standard deviations above the mean a gate must be to count.
    pub(crate) sparsity: Option<f32>,
    pub(crate) gate: Option<Linear>,
    pub(crate) up: Linear,
    /// What the activations are divided by.
    pub(crate) divisors: Option<Vec<f32>>,
    pub(crate) sub_norm: Option<PartsNorm>,
    pub(crate) down: Linear,
}

/// An expert that every token passes through.
pub(crate) struct SharedExpert {
    pub(crate) mlp: Mlp,
    /// The weight of its gate.
    pub(crate) gate: Option<Linear>,
    /// The norm of the residual stream, if the shared expert reads that and not what the other experts read.
    pub(crate) norm: Option<Norm>,
    pub(crate) post_norm: Option<Norm>,
}

/// A mixture of experts.
pub(crate) struct Moe {
    pub(crate) spec: MoeSpec,
    pub(crate) router: Linear,
    /// The norm of the residual stream, if the router reads that and not what the experts read.
    pub(crate) router_norm: Option<Norm>,
    pub(crate) choice_bias: Option<Vec<f32>>,
    /// Stacked matrices, which hold the rows of all experts, one expert after the other.
    pub(crate) experts: Mlp,
    /// Whether gate and up are one stack, in which each expert's gate rows come before its up rows.
    pub(crate) fused: bool,
    pub(crate) post_norm: Option<Norm>,
    pub(crate) shared: Option<SharedExpert>,
    /// The stacked matrices of the small experts that groups have.
    pub(crate) of_groups: Option<Mlp>,
}

impl Moe {
    /// Returns how many bytes all experts take.
    pub(crate) fn expert_bytes(&self) -> usize {
        let all: usize = self.experts.linears().map(Linear::weight_bytes).sum();
        if self.fused { all - self.experts.up.weight_bytes() } else { all }
    }
}

/// A dense feed-forward block, or one that routes to experts.
#[allow(clippy::large_enum_variant, reason = "one a layer: a few hundred bytes against an allocation more")]
pub(crate) enum Ffn {
    Elementwise(Activation),
    Dense(Mlp),
    Moe(Moe),
    ChannelMix(ChannelMix),
}

/// What the feed-forward half reads. The specification decides that or, where it leaves the choice open, the file.
pub(crate) enum FfnIn {
    Norm(Norm),
    Residual,
    Attention,
    Layer(Norm),
}

/// One layer.
#[derive(Default)]
pub(crate) struct Layer {
    pub(crate) attention: Option<Attention>,
    /// The recurrent mixer: at most one. A list keeps it out of the layer's own memory, because most models have none.
    pub(crate) recurrent: Vec<Recurrent>,
    pub(crate) ffn: Option<FeedForward>,
    pub(crate) laurel: Option<Laurel>,
    pub(crate) per_layer: Option<PerLayer>,
    pub(crate) altup: Option<AltUp>,
    /// Multiplies the residual stream at the end of the layer.
    pub(crate) out_scale: Option<f32>,
}

/// The feed-forward half of a layer.
pub(crate) struct FeedForward {
    pub(crate) input: FfnIn,
    pub(crate) block: Ffn,
    pub(crate) scale: Option<f32>,
    pub(crate) post_norm: Option<Norm>,
    pub(crate) sum_norm: Option<Norm>,
}

/// A low-rank matrix beside the attention.
pub(crate) struct Laurel {
    pub(crate) down: Linear,
    pub(crate) up: Linear,
    pub(crate) post_norm: Norm,
}

/// How a layer predicts and corrects the residual streams.
pub(crate) struct AltUp {
    /// The router's norm. Its weights are already divided by `n_embd`.
    pub(crate) router_norm: Norm,
    pub(crate) router: Linear,
    /// `[n * n][n]`
    pub(crate) predict: Vec<f32>,
    /// `[n][n]`
    pub(crate) correct: Vec<f32>,
    /// Multiplies what the branch with the per-layer embeddings reads.
    pub(crate) correct_scale: Vec<f32>,
}

/// The matrices that make the residual streams at the start, and one row of all of them at the end.
pub(crate) struct AltUpEnds {
    /// A stack with one matrix for each stream except the first.
    pub(crate) proj: Linear,
    pub(crate) unembd: Linear,
}

/// What a draft head has before its layer.
pub(crate) struct DraftHead {
    pub(crate) embedding_norm: Norm,
    pub(crate) hidden_norm: Norm,
    /// Reads both, the embedding first.
    pub(crate) proj: Linear,
}

/// A layer's part of the per-layer embeddings.
pub(crate) struct PerLayer {
    pub(crate) gate: Linear,
    pub(crate) proj: Linear,
    pub(crate) post_norm: Norm,
}

/// What the per-layer embeddings' inputs of all layers are computed from.
pub(crate) struct PerLayerInputs {
    /// Each row has one token's values for all layers. Rows are read from the mapped file.
    pub(crate) table: Embedding,
    pub(crate) proj: Linear,
    /// The norm of each layer's part of a row.
    pub(crate) norm: PartsNorm,
}

/// A rotation, and its variant for long contexts if the model has one.
pub(crate) struct Rope {
    pub(crate) short: RopeTable,
    pub(crate) long: Option<RopeTable>,
}

impl Rope {
    /// Returns the angles for short or long contexts.
    pub(crate) fn table(&self, long: bool) -> &RopeTable {
        self.long.as_ref().filter(|_| long).unwrap_or(&self.short)
    }
}

/// All weights.
pub(crate) struct Weights {
    pub(crate) embedding: Embedding,
    /// What is added to the token embedding for a position.
    pub(crate) positions: Option<Embedding>,
    /// What is added to every token's embedding.
    pub(crate) token_type: Option<Vec<f32>>,
    pub(crate) embedding_norm: Option<PartsNorm>,
    pub(crate) per_layer: Option<PerLayerInputs>,
    pub(crate) altup: Option<AltUpEnds>,
    pub(crate) draft_head: Option<DraftHead>,
    pub(crate) layers: Vec<Layer>,
    pub(crate) relative: Vec<RelativeBias>,
    pub(crate) ropes: Vec<Rope>,
    pub(crate) output_norm: Norm,
    pub(crate) output: Option<Linear>,
    pub(crate) head: Head,
    /// The tensors that the matrices come from, indexed by [`Linear::matrix`]. A matrix may be part of a tensor.
    pub(crate) targets: Vec<Target>,
}

/// A tensor to which adapters may add.
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) n_in: usize,
    /// Number of rows of all matrices in a stack together.
    pub(crate) rows: usize,
    /// Number of matrices in it: 1, or the number of experts.
    pub(crate) stack: usize,
}

/// The matrices that turn hidden states into embeddings and ranks.
#[derive(Default)]
pub(crate) struct Head {
    /// The matrices that every embedding goes through, in this order.
    pub(crate) projections: Vec<Linear>,
    pub(crate) classifier: Option<Classifier>,
}

/// The matrices that compute ranks.
pub(crate) struct Classifier {
    pub(crate) hidden: Option<Linear>,
    pub(crate) norm: Option<Norm>,
    pub(crate) output: Option<Linear>,
}

impl Head {
    pub(crate) fn linears(&self) -> impl Iterator<Item = &Linear> {
        let classifier = self.classifier.iter().flat_map(|c| c.hidden.iter().chain(&c.output));
        self.projections.iter().chain(classifier)
    }
}

impl Mlp {
    pub(crate) fn linears(&self) -> impl Iterator<Item = &Linear> {
        self.gate.iter().chain([&self.up, &self.down])
    }
}

impl Attention {
    pub(crate) fn linears(&self) -> impl Iterator<Item = &Linear> {
        let latent = self.latent.iter().flat_map(Latent::linears);
        [&self.q, &self.out].into_iter().chain(&self.k).chain(&self.v).chain(&self.gate).chain(latent)
    }
}

impl Layer {
    /// Returns the mixture of experts, if the feed-forward half is one.
    pub(crate) fn moe(&self) -> Option<&Moe> {
        match &self.ffn.as_ref()?.block {
            Ffn::Moe(moe) => Some(moe),
            Ffn::Elementwise(_) | Ffn::Dense(_) | Ffn::ChannelMix(_) => None,
        }
    }

    /// Returns the recurrent mixer, if there is one.
    pub(crate) fn recurrent(&self) -> Option<&Recurrent> {
        self.recurrent.first()
    }

    /// Returns whether the layer has a mixer.
    pub(crate) fn mixes(&self) -> bool {
        self.attention.is_some() || self.recurrent().is_some()
    }

    /// Returns the norm before the mixer.
    pub(crate) fn mixer_norm(&self) -> Option<&Norm> {
        match (&self.attention, self.recurrent()) {
            (Some(attention), _) => attention.norm.as_ref(),
            (None, recurrent) => recurrent?.norm.as_ref(),
        }
    }

    /// Returns the norm of the mixer's result.
    pub(crate) fn mixer_post_norm(&self) -> Option<&Norm> {
        match (&self.attention, self.recurrent()) {
            (Some(attention), _) => attention.post_norm.as_ref(),
            (None, recurrent) => recurrent?.post_norm.as_ref(),
        }
    }

    /// Returns RWKV's channel mix, a feed-forward half that also reads the previous row.
    pub(crate) fn channel_mix(&self) -> Option<&ChannelMix> {
        match &self.ffn.as_ref()?.block {
            Ffn::ChannelMix(mix) => Some(mix),
            Ffn::Elementwise(_) | Ffn::Dense(_) | Ffn::Moe(_) => None,
        }
    }

    /// Returns what the feed-forward half reads.
    pub(crate) fn ffn_in(&self) -> Option<&FfnIn> {
        self.ffn.as_ref().map(|ffn| &ffn.input)
    }

    /// Returns every matrix of the layer.
    pub(crate) fn linears(&self) -> impl Iterator<Item = &Linear> {
        let (mlp, router, shared) = match self.ffn.as_ref().map(|ffn| &ffn.block) {
            None | Some(Ffn::Elementwise(_) | Ffn::ChannelMix(_)) => (None, None, None),
            Some(Ffn::Dense(mlp)) => (Some(mlp), None, None),
            Some(Ffn::Moe(moe)) => (Some(&moe.experts), Some(&moe.router), moe.shared.as_ref()),
        };
        let attention = self.attention.iter().flat_map(Attention::linears);
        let mlp = mlp.into_iter().flat_map(Mlp::linears);
        let shared = shared.into_iter().flat_map(|s| s.mlp.linears().chain(&s.gate));
        let of_groups = self.moe().and_then(|moe| moe.of_groups.as_ref());
        let shared = shared.chain(of_groups.into_iter().flat_map(Mlp::linears));
        let per_layer = self.per_layer.iter().flat_map(|p| [&p.gate, &p.proj]);
        let laurel = self.laurel.iter().flat_map(|l| [&l.down, &l.up]);
        let altup = self.altup.iter().map(|a| &a.router);
        let recurrent = self.recurrent.iter().flat_map(Recurrent::linears);
        let recurrent = recurrent.chain(self.channel_mix().into_iter().flat_map(ChannelMix::linears));
        let mixers = attention.chain(recurrent);
        mixers.chain(router).chain(mlp).chain(shared).chain(per_layer).chain(laurel).chain(altup)
    }
}

impl Weights {
    /// Returns every matrix that takes part in a forward pass.
    pub(crate) fn linears(&self) -> impl Iterator<Item = &Linear> {
        let ends = self.altup.iter().flat_map(|a| [&a.proj, &a.unembd]);
        let inputs = self.per_layer.iter().map(|p| &p.proj).chain(self.draft_head.iter().map(|h| &h.proj));
        self.layers
            .iter()
            .flat_map(Layer::linears)
            .chain(&self.output)
            .chain(inputs)
            .chain(ends)
            .chain(self.head.linears())
    }
}

/// Returns the forms of activations that these matrices take.
pub(crate) fn kinds<'a, M: Into<LinearRows<'a>>>(matrices: impl IntoIterator<Item = M>) -> ActKinds {
    matrices.into_iter().fold(ActKinds::default(), |set, m| set.with(m.into().act_kind()))
}
