//! A model's weights: matrices stay in the mapped file, small vectors are copied so that they are aligned.

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

/// The norm of parts of a row, for instance of the heads of Q; `weight` has one part's values, or those of all parts.
pub(crate) struct PartsNorm {
    pub(crate) norm: Norm,
    /// Elements of a part.
    pub(crate) width: usize,
    /// Whether it follows the rotation.
    pub(crate) after_rope: bool,
}

/// The token embedding; rows are decoded on demand.
pub(crate) struct Embedding {
    pub(crate) dtype: DType,
    pub(crate) bytes: Bytes,
    pub(crate) row_bytes: usize,
}

impl Embedding {
    /// Decodes the row of a token below the vocabulary's size.
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
    /// What latent attention has instead of K and V.
    pub(crate) latent: Option<Latent>,
    /// `None` where the layer reads another layer's keys and values.
    pub(crate) k: Option<Linear>,
    /// `None` there too, and where V is K.
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

/// What distances add to a layer's scores.
pub(crate) enum PositionBias {
    /// A slope for each head.
    Slopes(Vec<f32>),
    /// Index in [`Weights::relative`].
    Relative(usize),
}

/// Values for the distances from `-most` to `most`, `[head][2 * most + 1]`.
pub(crate) struct RelativeBias {
    pub(crate) values: Vec<f32>,
    pub(crate) most: u32,
}

/// The matrices of latent attention, besides the one that makes the queries.
pub(crate) struct Latent {
    pub(crate) spec: LatentSpec,
    /// What the queries are made of, and its norm.
    pub(crate) q_a: Option<(Linear, Norm)>,
    pub(crate) kv_a: Linear,
    pub(crate) kv_norm: Norm,
    pub(crate) up: LatentUp,
}

/// What makes keys and values of short rows.
pub(crate) enum LatentUp {
    /// Stacks of a matrix for each head: from its query to a short row, and from a short row to its result.
    Absorbed { k: Linear, v: Linear },
    /// The keys and values of all heads.
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

/// Matrices of one feed-forward block; `gate` is there if it is gated.
pub(crate) struct Mlp {
    pub(crate) activation: Activation,
    /// Standard deviations above the mean from which a gate counts.
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
    /// The norm of the residual stream that it reads instead of what the other experts read.
    pub(crate) norm: Option<Norm>,
    pub(crate) post_norm: Option<Norm>,
}

/// A mixture of experts.
pub(crate) struct Moe {
    pub(crate) spec: MoeSpec,
    pub(crate) router: Linear,
    /// The norm of the residual stream that the router reads instead of what the experts read.
    pub(crate) router_norm: Option<Norm>,
    pub(crate) choice_bias: Option<Vec<f32>>,
    /// Stacks: the rows of all experts, one expert after the other.
    pub(crate) experts: Mlp,
    /// Whether gate and up are the same stack, which has an expert's gate rows before its up rows.
    pub(crate) fused: bool,
    pub(crate) post_norm: Option<Norm>,
    pub(crate) shared: Option<SharedExpert>,
    /// Stacks of the small experts of groups.
    pub(crate) of_groups: Option<Mlp>,
}

impl Moe {
    /// Bytes of all experts.
    pub(crate) fn expert_bytes(&self) -> usize {
        let all: usize = self.experts.linears().map(Linear::weight_bytes).sum();
        if self.fused { all - self.experts.up.weight_bytes() } else { all }
    }
}

/// Dense or routed.
#[allow(clippy::large_enum_variant, reason = "one a layer: a few hundred bytes against an allocation more")]
pub(crate) enum Ffn {
    Elementwise(Activation),
    Dense(Mlp),
    Moe(Moe),
    ChannelMix(ChannelMix),
}

/// What the feed-forward half reads; decided by the specification and, where it leaves it open, by the file.
pub(crate) enum FfnIn {
    Norm(Norm),
    Residual,
    Attention,
    Layer(Norm),
}

/// One layer.
pub(crate) struct Layer {
    pub(crate) attention: Option<Attention>,
    /// At most one, outside of the layer, because most models have none.
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

/// A matrix of low rank beside the attention.
pub(crate) struct Laurel {
    pub(crate) down: Linear,
    pub(crate) up: Linear,
    pub(crate) post_norm: Norm,
}

/// How a layer predicts and corrects the residual streams.
pub(crate) struct AltUp {
    /// Its weights are over `n_embd`.
    pub(crate) router_norm: Norm,
    pub(crate) router: Linear,
    /// `[n * n][n]`
    pub(crate) predict: Vec<f32>,
    /// `[n][n]`
    pub(crate) correct: Vec<f32>,
    /// Multiplies what the branch of the per-layer embeddings reads.
    pub(crate) correct_scale: Vec<f32>,
}

/// What makes the streams, and one of them again.
pub(crate) struct AltUpEnds {
    /// Stacks of a matrix for each stream but the first.
    pub(crate) proj: Linear,
    pub(crate) unembd: Linear,
}

/// A layer's part of the per-layer embeddings.
pub(crate) struct PerLayer {
    pub(crate) gate: Linear,
    pub(crate) proj: Linear,
    pub(crate) post_norm: Norm,
}

/// What makes every layer's inputs of the per-layer embeddings.
pub(crate) struct PerLayerInputs {
    /// A row has a token's values of all layers; it is read in place.
    pub(crate) table: Embedding,
    pub(crate) proj: Linear,
    /// The norm of each layer's part.
    pub(crate) norm: PartsNorm,
}

/// A rotation, with its variant for long contexts where the model has one.
pub(crate) struct Rope {
    pub(crate) short: RopeTable,
    pub(crate) long: Option<RopeTable>,
}

impl Rope {
    /// The angles for short or long contexts.
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
    pub(crate) layers: Vec<Layer>,
    pub(crate) relative: Vec<RelativeBias>,
    pub(crate) ropes: Vec<Rope>,
    pub(crate) output_norm: Norm,
    pub(crate) output: Option<Linear>,
    pub(crate) head: Head,
    /// The tensors that matrices are, or parts of, by [`Linear::matrix`].
    pub(crate) targets: Vec<Target>,
}

/// A tensor that adapters may add to.
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) n_in: usize,
    /// Rows of all matrices of a stack.
    pub(crate) rows: usize,
    /// Matrices in it: 1, or as many as there are experts.
    pub(crate) stack: usize,
}

/// What makes embeddings and ranks of hidden states.
#[derive(Default)]
pub(crate) struct Head {
    /// Of every embedding, in this order.
    pub(crate) projections: Vec<Linear>,
    pub(crate) classifier: Option<Classifier>,
}

/// What makes ranks.
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
    /// The mixture of experts, if that is the feed-forward half.
    pub(crate) fn moe(&self) -> Option<&Moe> {
        match &self.ffn.as_ref()?.block {
            Ffn::Moe(moe) => Some(moe),
            Ffn::Elementwise(_) | Ffn::Dense(_) | Ffn::ChannelMix(_) => None,
        }
    }

    /// The mixer with a state.
    pub(crate) fn recurrent(&self) -> Option<&Recurrent> {
        self.recurrent.first()
    }

    /// Whether there is a mixer.
    pub(crate) fn mixes(&self) -> bool {
        self.attention.is_some() || self.recurrent().is_some()
    }

    /// The norm before the mixer.
    pub(crate) fn mixer_norm(&self) -> Option<&Norm> {
        match (&self.attention, self.recurrent()) {
            (Some(attention), _) => attention.norm.as_ref(),
            (None, recurrent) => recurrent?.norm.as_ref(),
        }
    }

    /// The norm of the mixer's result.
    pub(crate) fn mixer_post_norm(&self) -> Option<&Norm> {
        match (&self.attention, self.recurrent()) {
            (Some(attention), _) => attention.post_norm.as_ref(),
            (None, recurrent) => recurrent?.post_norm.as_ref(),
        }
    }

    /// The feed-forward half that reads the row before, too.
    pub(crate) fn channel_mix(&self) -> Option<&ChannelMix> {
        match &self.ffn.as_ref()?.block {
            Ffn::ChannelMix(mix) => Some(mix),
            Ffn::Elementwise(_) | Ffn::Dense(_) | Ffn::Moe(_) => None,
        }
    }

    /// What the feed-forward half reads.
    pub(crate) fn ffn_in(&self) -> Option<&FfnIn> {
        self.ffn.as_ref().map(|ffn| &ffn.input)
    }

    /// Every matrix of the layer.
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
    /// Every matrix that takes part in a forward pass.
    pub(crate) fn linears(&self) -> impl Iterator<Item = &Linear> {
        let ends = self.altup.iter().flat_map(|a| [&a.proj, &a.unembd]);
        let inputs = self.per_layer.iter().map(|p| &p.proj);
        self.layers
            .iter()
            .flat_map(Layer::linears)
            .chain(&self.output)
            .chain(inputs)
            .chain(ends)
            .chain(self.head.linears())
    }
}

/// The forms of activations that some matrices want.
pub(crate) fn kinds<'a, M: Into<LinearRows<'a>>>(matrices: impl IntoIterator<Item = M>) -> ActKinds {
    matrices.into_iter().fold(ActKinds::default(), |set, m| set.with(m.into().act_kind()))
}
