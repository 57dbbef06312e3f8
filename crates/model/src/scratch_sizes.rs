//! The sizes of the buffers of a forward pass, from the specification and the run options.

use happy_kernels::Pool;
use happy_kernels::linear::{ActKind, ActWidths};
use happy_kernels::ops::AttnPlan;

use crate::spec::{
    AttentionSpec, DenseSpec, FfnKind, FfnSpec, LatentForm, LatentSpec, LayerSpec, ModelSpec, MoeSpec,
    OutputKind, RecurrentWidths,
};

/// The limits of the passes that a caller is going to run. Numbers above [`RunOptions::MAX_BATCH`] are reduced to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunOptions {
    /// Maximum number of tokens in a batch.
    pub n_batch: usize,
    /// Maximum number of tokens in a batch that want logits, or that [`Model::embed`](crate::Model::embed) reads. Any number of tokens may
    /// want a hidden state.
    pub n_outputs: usize,
    /// Number of threads of the pool.
    pub threads: usize,
    /// Maximum number of positions in a sequence. A longer sequence is computed with less parallelism.
    pub n_ctx: usize,
    /// Maximum [`AdapterSet::rank`](crate::AdapterSet::rank) of the sets that rows may have. 0 means no adapters.
    pub adapter_rank: usize,
}

impl RunOptions {
    /// Maximum number of tokens in a batch that can be planned for.
    pub const MAX_BATCH: usize = 1 << 20;

    /// Maximum rank of a set of adapters that can be planned for.
    pub const MAX_ADAPTER_RANK: usize = 1 << 16;

    fn clamped(&self) -> Self {
        RunOptions {
            n_batch: self.n_batch.min(Self::MAX_BATCH),
            n_outputs: self.n_outputs.min(self.n_batch).min(Self::MAX_BATCH),
            threads: self.threads.min(Pool::MAX_THREADS),
            n_ctx: self.n_ctx.min(1 << 28),
            adapter_rank: self.adapter_rank.min(Self::MAX_ADAPTER_RANK),
        }
    }
}

/// The facts about a model's matrices on which the sizes of a scratch depend.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Matrices {
    /// Longest rows of the matrices that are not part of an expert, by the form of their activations.
    pub(crate) acts: ActWidths,
    /// The same for all matrices of the layers with a mixture of experts.
    pub(crate) moe_acts: ActWidths,
    /// Bytes of the largest panel of any matrix.
    pub(crate) panel_bytes: usize,
    /// Whether a feed-forward block reads what the attention read.
    pub(crate) parallel: bool,
}

/// Sizes of mixtures of experts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct MoeSizes {
    pub(crate) n_experts: usize,
    pub(crate) n_used: usize,
    pub(crate) acts: ActWidths,
}

/// Sizes of a [`Scratch`](crate::Scratch): numbers of f32 values per row, unless they say otherwise.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ScratchSizes {
    /// The id of the model.
    pub(crate) model: u64,
    pub(crate) rows: usize,
    pub(crate) outputs: usize,
    pub(crate) threads: usize,
    pub(crate) n_embd: usize,
    /// Logits of a row; 0 for models without logits.
    pub(crate) n_vocab: usize,
    /// What a draft head's first matrix reads; 0 for a model.
    pub(crate) joined: usize,
    /// The widest row of the head.
    pub(crate) head: usize,
    pub(crate) io: usize,
    pub(crate) attn_input: usize,
    pub(crate) embedding: usize,
    pub(crate) inner: usize,
    pub(crate) k: usize,
    pub(crate) v: usize,
    pub(crate) gate: usize,
    pub(crate) per_layer: usize,
    pub(crate) laurel: usize,
    pub(crate) n_streams: usize,
    pub(crate) sparse: usize,
    pub(crate) latent: usize,
    pub(crate) latent_kv: usize,
    pub(crate) cos_sin: usize,
    pub(crate) norm_row: usize,
    pub(crate) acts: ActWidths,
    pub(crate) panel_bytes: usize,
    pub(crate) attention: AttnPlan,
    /// Maximum rank of a set of adapters.
    pub(crate) adapter_rank: usize,
    pub(crate) moe: Option<MoeSizes>,
    pub(crate) recurrent: RecurrentWidths,
}

impl ScratchSizes {
    pub(crate) fn new(model: u64, spec: &ModelSpec, matrices: &Matrices, options: &RunOptions) -> Self {
        let options = &options.clamped();
        let matrices = &with_adapters(matrices, options.adapter_rank);
        let most = |f: &dyn Fn(&AttentionSpec) -> usize| spec.attentions().map(f).max().unwrap_or(0);
        let n_ff = spec.ffns().map(|ffn| match &ffn.kind {
            FfnKind::Elementwise(_) => 0,
            FfnKind::Dense(d) => d.n_ff,
            FfnKind::ChannelMix(m) => m.n_ff,
            FfnKind::Moe(m) => widest_expert(m),
        });
        let q = most(&|a| a.q_dim());
        let latent =
            |f: fn(&AttentionSpec, &LatentSpec) -> usize| most(&|a| a.latent.map_or(0, |l| f(a, &l)));
        let width = spec.per_layer.map_or(0, |p| p.width);
        let per_layer = width.saturating_mul(spec.layers.len());
        let n_streams = spec.altup.map_or(0, |a| a.n_streams);
        let rank = spec.layers.iter().filter_map(|l| l.laurel).map(|l| l.rank).max();
        let norm_row = spec.layers.iter().map(|l| norm_row(l, spec.n_embd)).max().unwrap_or(0);
        let norm_row =
            norm_row.max(embedding_row(spec)).max(per_layer).max(n_streams.saturating_mul(spec.n_embd));
        ScratchSizes {
            model,
            rows: options.n_batch,
            outputs: options.n_outputs,
            threads: options.threads,
            n_embd: spec.n_embd,
            n_vocab: if spec.output == OutputKind::None { 0 } else { spec.n_vocab },
            joined: spec.draft_head.map_or(0, |_| spec.n_embd.saturating_mul(2)),
            head: spec.head.widest(),
            io: spec.n_embd.max(most(&|a| a.out_dim().max(a.result_dim()))).max(latent(latent_io)),
            attn_input: if matrices.parallel { spec.n_embd } else { 0 },
            embedding: if spec.embedding_skips { spec.n_embd } else { 0 },
            inner: n_ff.max().unwrap_or(0).max(q).max(spec.n_embd).max(width).max(rank.unwrap_or(0)),
            k: most(&|a| a.k_dim()),
            v: most(&|a| a.stored_v_dim()),
            gate: most(&|a| a.gate_dim()),
            per_layer,
            laurel: rank.map_or(0, |_| spec.n_embd),
            n_streams,
            latent: latent(|a, l| l.q_rank.unwrap_or(0).max(a.result_dim())),
            latent_kv: latent(|_, l| l.row()),
            sparse: spec.ffns().map(sparse).max().unwrap_or(0),
            cos_sin: spec.ropes.iter().map(|r| r.n_rot).fold(0, usize::saturating_add),
            norm_row: norm_row.max(options.adapter_rank),
            acts: matrices.acts,
            adapter_rank: options.adapter_rank,
            panel_bytes: matrices.panel_bytes,
            attention: attn_plan(spec, options),
            moe: moe_sizes(spec, matrices),
            recurrent: recurrent_widths(spec),
        }
    }
}

/// Returns the elements per row of what latent attention computes before the attention.
fn latent_io(a: &AttentionSpec, l: &LatentSpec) -> usize {
    let of_head = match l.form {
        LatentForm::Absorbed => l.head_dim_q,
        LatentForm::Expanded => l.head_dim_expanded(),
    };
    a.n_heads.saturating_mul(of_head)
}

/// Returns the width of the widest expert of a mixture.
fn widest_expert(m: &MoeSpec) -> usize {
    m.n_ff.max(m.shared.map_or(0, |s| s.n_ff)).max(m.of_groups.map_or(0, |g| g.n_ff))
}

/// Returns the width of a block with sparse gates.
fn sparse(ffn: &FfnSpec) -> usize {
    match &ffn.kind {
        FfnKind::Dense(DenseSpec { n_ff, sparsity: Some(_), .. }) => *n_ff,
        FfnKind::Dense(_) | FfnKind::Moe(_) | FfnKind::Elementwise(_) | FfnKind::ChannelMix(_) => 0,
    }
}

/// Returns the elements per row of the embedding, if it is normed in place or something is added to it.
fn embedding_row(spec: &ModelSpec) -> usize {
    if spec.embedding_norm.is_some() || spec.learned_positions { spec.n_embd } else { 0 }
}

/// Adds the activations that adapters read, which are not quantized.
fn with_adapters(matrices: &Matrices, rank: usize) -> Matrices {
    let mut m = *matrices;
    if rank > 0 {
        m.acts = m.acts.with(ActKind::F32, m.acts.longest());
        m.moe_acts = m.moe_acts.with(ActKind::F32, m.moe_acts.longest());
    }
    m
}

/// Returns the length of the longest row of a layer that is normed in place.
fn norm_row(layer: &LayerSpec, n_embd: usize) -> usize {
    let attention = layer.attention.map_or(0, |a| {
        let qk = a.qk_norm.map_or(0, |_| a.q_dim().max(a.k_dim()));
        let v = a.v_norm.map_or(0, |_| a.head_dim_v);
        let heads = a.sub_norm.map_or(0, |_| a.out_dim());
        let latent = a.latent.map_or(0, |l| l.q_rank.unwrap_or(0).max(l.kv_rank));
        qk.max(v).max(heads).max(latent)
    });
    let inner = match layer.ffn.map(|ffn| ffn.kind) {
        Some(FfnKind::Dense(d)) => d.sub_norm.map_or(0, |_| d.n_ff),
        Some(FfnKind::Moe(m)) if m.post_norm.or(m.shared.and_then(|s| s.post_norm)).is_some() => n_embd,
        None | Some(FfnKind::Elementwise(_) | FfnKind::Moe(_) | FfnKind::ChannelMix(_)) => 0,
    };
    attention.max(inner).max(layer.recurrent.map_or(0, |r| r.widths().normed))
}

/// Returns the maximum width of each buffer of recurrent mixers.
fn recurrent_widths(spec: &ModelSpec) -> RecurrentWidths {
    let each = spec.layers.iter().filter_map(|l| l.recurrent).map(|r| r.widths());
    each.fold(RecurrentWidths::default(), |a, b| RecurrentWidths {
        projected: a.projected.max(b.projected),
        gate: a.gate.max(b.gate),
        wide: a.wide.max(b.wide),
        small: a.small.max(b.small),
        decay: a.decay.max(b.decay),
        y: a.y.max(b.y),
        first: a.first.max(b.first),
        normed: a.normed.max(b.normed),
    })
}

/// Plans the buffers for the attention of every layer.
fn attn_plan(spec: &ModelSpec, options: &RunOptions) -> AttnPlan {
    let plan = AttnPlan::new(options.threads, options.n_batch, options.n_ctx);
    spec.attentions().fold(plan, |plan, a| plan.layer(a.n_heads, a.n_kv_heads, a.head_dim_k, a.head_dim_v))
}

fn moe_sizes(spec: &ModelSpec, matrices: &Matrices) -> Option<MoeSizes> {
    let specs = spec.ffns().filter_map(|ffn| match &ffn.kind {
        FfnKind::Moe(m) => Some(m),
        FfnKind::Dense(_) | FfnKind::Elementwise(_) | FfnKind::ChannelMix(_) => None,
    });
    let n_experts = specs.clone().map(|m| m.n_experts).max()?;
    let widest = specs.clone().map(widest_expert).max()?;
    Some(MoeSizes {
        n_experts,
        n_used: specs.map(|m| m.n_used).max()?,
        // The matrices of the attention may be wider, but they are not part of the mixture.
        acts: matrices.moe_acts.at_most(widest.max(spec.n_embd)),
    })
}
