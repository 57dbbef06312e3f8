//! The buffers of a forward pass, which are reserved once, as planned, and used again by every pass.

use std::collections::TryReserveError;

use happy_kernels::linear::{ActBuf, ActWidths, Hidden, Panels};
use happy_kernels::ops::{AttnRow, AttnScratch};
use happy_kernels::{Mat, MatMut, PerWorker};

use crate::batch::{Batch, Want};
use crate::buffers::{Buffers, counted};
use crate::error::KvError;
use crate::scratch_sizes::ScratchSizes;

/// A reservation of f32 values, of which only the used part becomes resident.
#[derive(Default)]
pub(crate) struct Buf(Vec<f32>);

impl Buf {
    /// Returns the first `n` values. They are within the reservation, so this doesn't allocate.
    pub(crate) fn take(&mut self, n: usize) -> &mut [f32] {
        if self.0.len() < n {
            self.0.resize(n, 0.0);
        }
        &mut self.0[..n]
    }

    /// Returns the beginning of the buffer as a matrix, to write to.
    pub(crate) fn mat_mut(&mut self, rows: usize, cols: usize) -> MatMut<'_> {
        MatMut::new(self.take(rows * cols), rows, cols)
    }

    /// Returns the beginning of the buffer as a matrix that was written earlier.
    pub(crate) fn mat(&self, rows: usize, cols: usize) -> Mat<'_> {
        Mat::new(&self.0, rows, cols)
    }

    /// Returns the values that were written earlier.
    pub(crate) fn values(&self) -> &[f32] {
        &self.0
    }

    /// Moves `n` values from one index to another.
    pub(crate) fn move_values(&mut self, from: usize, to: usize, n: usize) {
        if from != to {
            self.0.copy_within(from..from + n, to);
        }
    }
}

/// A row of which the caller wants a result.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OutputRow {
    /// Its index in the batch.
    pub(crate) index: usize,
    pub(crate) want: Want,
    /// The index of its hidden state. Rows that want logits come first, so for them it is also the index of the logits.
    pub(crate) slot: usize,
}

/// What adapters need during a pass.
#[derive(Default)]
pub(crate) struct AdaptScratch {
    pub(crate) hidden: Hidden,
    /// The adapter sets of the rows of which a result is wanted.
    pub(crate) wanted: Vec<u32>,
    /// The adapter sets of the rows of which logits are wanted.
    pub(crate) logits: Vec<u32>,
}

impl AdaptScratch {
    /// Copies the adapter sets of a batch, if it has any.
    pub(crate) fn fill(&mut self, batch: &Batch) {
        self.wanted.clear();
        self.logits.clear();
        if batch.n_sets() > 0 {
            let rows = || batch.row_sets().iter().zip(batch.wants());
            self.wanted.extend(rows().filter(|(_, want)| **want != Want::Nothing).map(|(set, _)| *set));
            self.logits.extend(rows().filter(|(_, want)| **want == Want::Logits).map(|(set, _)| *set));
        }
    }
}

/// Buffers of mixtures of experts.
#[derive(Default)]
pub(crate) struct MoeScratch {
    /// First the inputs of an expert, `[rows][n_embd]`; later the shared expert's result.
    pub(crate) gathered: Buf,
    /// Results of the experts, `[rows * n_used][n_embd]`, ordered by expert.
    pub(crate) results: Buf,
    pub(crate) router: Buf,
    pub(crate) weights: Buf,
    pub(crate) gate: Buf,
    /// The chosen experts, `[rows][n_used]`.
    pub(crate) ids: Vec<u32>,
    /// The index of each expert's first pair in `order`, and the end of the last.
    pub(crate) starts: Vec<u32>,
    /// Pairs (`row * n_used + rank`) ordered by expert.
    pub(crate) order: Vec<u32>,
    /// The adapters of an expert's rows.
    pub(crate) sets: Vec<u32>,
    /// The index in `order` of each pair.
    pub(crate) place: Vec<u32>,
    pub(crate) acts: ActBuf,
}

/// Buffers of recurrent mixers; see [`crate::spec::RecurrentWidths`].
#[derive(Default)]
pub(crate) struct RecurrentScratch {
    pub(crate) projected: Buf,
    pub(crate) gate: Buf,
    pub(crate) wide: Buf,
    pub(crate) small: Buf,
    pub(crate) decay: Buf,
    pub(crate) y: Buf,
    pub(crate) first: Buf,
}

/// Defines buffers that hold different matrices one after the other, each of which has a name of its own.
macro_rules! turns {
    ($(#[$doc:meta])* $name:ident { $($(#[$view_doc:meta])* $view:ident, $view_mut:ident;)* }) => {
        $(#[$doc])*
        #[derive(Default)]
        pub(crate) struct $name(pub(crate) Buf);

        impl $name {
            $(
                $(#[$view_doc])*
                pub(crate) fn $view(&self, rows: usize, cols: usize) -> Mat<'_> {
                    self.0.mat(rows, cols)
                }

                $(#[$view_doc])*
                pub(crate) fn $view_mut(&mut self, rows: usize, cols: usize) -> MatMut<'_> {
                    self.0.mat_mut(rows, cols)
                }
            )*
        }
    };
}

turns! {
    /// What enters and leaves the halves of a layer, and leaves the last one.
    BlockIo {
        /// The normed residual stream, `[rows][n_embd]`. At the end, the hidden states of the rows of which something is wanted: first of
        /// those that want logits, then of the others. Later, in the same place, what pooling makes of them.
        normed, normed_mut;
        /// Queries of latent attention before they are absorbed, `[rows][n_heads * head_dim_q]`.
        plain_q, plain_q_mut;
        /// Keys and values of latent attention, head beside head.
        expanded, expanded_mut;
        /// Attention's result, head beside head: `[rows][n_heads * head_dim_v]`.
        heads, heads_mut;
        /// The mixer's result after its norm, `[rows][n_embd]`.
        post_normed, post_normed_mut;
        /// The feed-forward half's result, `[rows][n_embd]`.
        ffn_out, ffn_out_mut;
    }
}

turns! {
    /// Intermediate results inside the halves of a layer.
    Inner {
        /// `[rows][n_heads * head_dim_k]`
        q, q_mut;
        /// The mixer's result, `[rows][n_embd]`.
        mixed, mixed_mut;
        /// What the feed-forward half's last matrix reads, `[rows][n_ff]`.
        ffn_inner, ffn_inner_mut;
        /// The feed-forward half's result after its norm, `[rows][n_embd]`.
        post_normed, post_normed_mut;
    }
}

/// The buffers of a forward pass. Made for one model and a largest batch; see [`Scratch::new`](crate::Model::scratch).
pub struct Scratch {
    pub(crate) sizes: ScratchSizes,
    /// The residual stream, `[rows][n_embd]`.
    pub(crate) x: Buf,
    pub(crate) io: BlockIo,
    /// What the mixer read, in layers whose halves run in parallel.
    pub(crate) attn_input: Buf,
    /// The embedding, `[rows][n_embd]`, in models whose layers add it.
    pub(crate) embedding: Buf,
    /// In a draft head, the normed embedding and the normed hidden state beside it, `[rows][2 * n_embd]`.
    pub(crate) joined: Buf,
    pub(crate) inner: Inner,
    pub(crate) k: Buf,
    pub(crate) v: Buf,
    /// The gates that multiply the attention's result, `[rows][gates]`.
    pub(crate) gate: Buf,
    /// Inputs of the per-layer embeddings, `[rows][layers * width]`.
    pub(crate) per_layer: Buf,
    /// The result of the low-rank matrix beside the attention, `[rows][n_embd]`.
    pub(crate) laurel: Buf,
    /// The residual streams, `[rows][streams][n_embd]`. Between layers, the first is `x`; inside a layer, it is the predicted one.
    pub(crate) streams: Buf,
    /// The values from which the coefficients of AltUp's predictions and corrections are computed, `[rows][streams]`.
    pub(crate) modalities: Buf,
    /// The result of the up matrix in a block with sparse gates, `[rows][n_ff]`.
    pub(crate) sparse: Buf,
    /// In latent attention, first what the queries are computed from, later the heads' results: `[rows][..]`.
    pub(crate) latent: Buf,
    /// The short rows of latent attention whose cache holds full keys and values, `[rows][row]`.
    pub(crate) latent_kv: Buf,
    /// Cosines and sines, `[rope][rows][n_rot]`.
    pub(crate) cos_sin: Buf,
    pub(crate) logits: Buf,
    /// The results of the head's matrices, which use the two buffers in turn.
    pub(crate) head: [Buf; 2],
    pub(crate) acts: ActBuf,
    pub(crate) panels: Panels,
    pub(crate) attention: AttnScratch,
    /// A row for each worker.
    pub(crate) row: PerWorker<Vec<f32>>,
    pub(crate) moe: MoeScratch,
    pub(crate) recurrent: RecurrentScratch,
    /// The rows that are still computed, as the attention kernel takes them.
    pub(crate) attn_rows: Vec<AttnRow>,
    pub(crate) outputs: Vec<OutputRow>,
    pub(crate) adapting: AdaptScratch,
}

impl Scratch {
    pub(crate) fn new(sizes: &ScratchSizes) -> Result<Self, KvError> {
        Self::build(sizes, &mut Buffers::Reserved("activations of the forward pass"))
    }

    /// Returns how many bytes a scratch of these sizes takes.
    pub(crate) fn bytes(sizes: &ScratchSizes) -> usize {
        counted(|memory| Self::build(sizes, memory))
    }

    /// Lists all buffers, in one place: the plan counts their bytes, and a scratch reserves them.
    fn build(s: &ScratchSizes, memory: &mut Buffers) -> Result<Self, KvError> {
        let rows = |per_row: usize| s.rows.saturating_mul(per_row);
        let outputs = |per_row: usize| s.outputs.saturating_mul(per_row);
        let adapted = if s.adapter_rank > 0 { s.rows } else { 0 };
        let mut moe = MoeScratch::default();
        if let Some(m) = &s.moe {
            moe = MoeScratch {
                gathered: floats(memory, rows(s.n_embd))?,
                results: floats(memory, rows(m.n_used.saturating_mul(s.n_embd)))?,
                router: floats(memory, rows(m.n_experts))?,
                weights: floats(memory, rows(m.n_used))?,
                gate: floats(memory, rows(1))?,
                ids: memory.list(rows(m.n_used))?,
                starts: memory.list(m.n_experts.saturating_add(1))?,
                order: memory.list(rows(m.n_used))?,
                place: memory.list(rows(m.n_used))?,
                sets: memory.list(adapted)?,
                acts: acts(memory, s.rows, m.acts)?,
            };
        }
        let row_bytes = s.threads.saturating_mul(s.norm_row.saturating_mul(size_of::<f32>()));
        let row_bytes = row_bytes.saturating_add(PerWorker::<Vec<f32>>::bytes(s.threads));
        Ok(Scratch {
            sizes: *s,
            x: floats(memory, rows(s.n_embd))?,
            io: BlockIo(floats(memory, rows(s.io))?),
            attn_input: floats(memory, rows(s.attn_input))?,
            embedding: floats(memory, rows(s.embedding))?,
            joined: floats(memory, rows(s.joined))?,
            inner: Inner(floats(memory, rows(s.inner))?),
            k: floats(memory, rows(s.k))?,
            v: floats(memory, rows(s.v))?,
            gate: floats(memory, rows(s.gate))?,
            per_layer: floats(memory, rows(s.per_layer))?,
            laurel: floats(memory, rows(s.laurel))?,
            streams: floats(memory, rows(s.n_streams.saturating_mul(s.n_embd)))?,
            modalities: floats(memory, rows(s.n_streams))?,
            sparse: floats(memory, rows(s.sparse))?,
            latent: floats(memory, rows(s.latent))?,
            latent_kv: floats(memory, rows(s.latent_kv))?,
            cos_sin: floats(memory, rows(s.cos_sin))?,
            logits: floats(memory, outputs(s.n_vocab))?,
            head: [floats(memory, outputs(s.head))?, floats(memory, outputs(s.head))?],
            acts: acts(memory, s.rows, s.acts)?,
            panels: memory.part(Panels::bytes(s.threads, s.rows, s.panel_bytes), || {
                Panels::new(s.threads, s.rows, s.panel_bytes)
            })?,
            attention: memory.part(AttnScratch::bytes(&s.attention), || AttnScratch::new(&s.attention))?,
            row: memory.part(row_bytes, || PerWorker::new(s.threads, |_| filled(s.norm_row)))?,
            moe,
            recurrent: RecurrentScratch {
                projected: floats(memory, rows(s.recurrent.projected))?,
                gate: floats(memory, rows(s.recurrent.gate))?,
                wide: floats(memory, rows(s.recurrent.wide))?,
                small: floats(memory, rows(s.recurrent.small))?,
                decay: floats(memory, rows(s.recurrent.decay))?,
                y: floats(memory, rows(s.recurrent.y))?,
                first: floats(memory, rows(s.recurrent.first))?,
            },
            attn_rows: memory.list(s.rows)?,
            outputs: memory.list(s.rows)?,
            adapting: AdaptScratch {
                hidden: Hidden::new(memory.list(Hidden::values(s.rows, s.adapter_rank))?),
                wanted: memory.list(adapted)?,
                logits: memory.list(adapted)?,
            },
        })
    }
}

/// Reserves room for `n` values.
fn floats(memory: &mut Buffers, n: usize) -> Result<Buf, KvError> {
    memory.list(n).map(Buf)
}

/// Reserves room for `rows` rows of activations.
fn acts(memory: &mut Buffers, rows: usize, widths: ActWidths) -> Result<ActBuf, KvError> {
    memory.part(ActBuf::bytes(rows, widths), || ActBuf::new(rows, widths))
}

/// Returns `n` zeros.
fn filled(n: usize) -> Result<Vec<f32>, TryReserveError> {
    let mut zeros = Vec::new();
    zeros.try_reserve_exact(n)?;
    zeros.resize(n, 0.0);
    Ok(zeros)
}
