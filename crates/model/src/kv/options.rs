//! The options of a cache, and the sizes that follow from them.

use happy_kernels::ops::KV_PAGE;

use super::layout::{KvType, groups, state_elements};
use crate::spec::ModelSpec;

/// The sizes of a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KvOptions {
    /// How keys and values are stored.
    pub kind: KvType,
    /// The number of pages of [`KV_PAGE`] positions in the pool that all sequences share. A group of layers with a window has
    /// only as many as it can use at once, if that is fewer.
    pub n_pages: usize,
    /// The number of sequences. Their ids start at 0.
    pub n_sequences: usize,
    /// Maximum number of positions in a sequence. Models with rotary factors for long contexts (Phi 3) choose the factors by it.
    pub n_ctx: usize,
    /// Maximum number of positions that a pass adds, over all sequences. The default is `n_ctx`. Layers with a window have room
    /// for the window and these positions, so a smaller number saves memory.
    pub n_batch: usize,
    /// Number of positions by which every sequence can be shortened, even in layers with a window. The default is
    /// [`KvOptions::ROLLBACK`]. Layers with a window keep this many positions more than the window. Recurrent layers can only go
    /// back to snapshots and to rows of speculative batches.
    pub rollback: usize,
    /// Maximum number of rows in a speculative batch, over all sequences. The default is 0. Recurrent layers keep the state after
    /// each row.
    pub n_speculative: usize,
    /// Bytes for snapshots, to which sequences can go back if windows and states do not allow it otherwise. The default is 0. Models
    /// whose layers all see every position need none.
    pub snapshot_bytes: usize,
}

/// Maximum number of snapshots, however small they are.
const MAX_SNAPSHOTS: usize = 16;

impl KvOptions {
    /// The default of [`rollback`](Self::rollback): a page.
    pub const ROLLBACK: usize = KV_PAGE;

    /// Makes options with room for `n_sequences` sequences of `n_ctx` positions each, for passes of up to `n_ctx` positions in all, and
    /// without snapshots.
    pub fn new(kind: KvType, n_sequences: usize, n_ctx: usize) -> Self {
        KvOptions {
            kind,
            n_pages: n_ctx.div_ceil(KV_PAGE).saturating_mul(n_sequences),
            n_sequences,
            n_ctx,
            n_batch: n_ctx,
            rollback: Self::ROLLBACK,
            n_speculative: 0,
            snapshot_bytes: 0,
        }
    }

    /// Limits the number of positions that a pass adds to `n`.
    pub fn with_batch(self, n: usize) -> Self {
        KvOptions { n_batch: n, ..self }
    }

    /// Reserves this many bytes for snapshots.
    pub fn with_snapshots(self, bytes: usize) -> Self {
        KvOptions { snapshot_bytes: bytes, ..self }
    }

    /// Allows speculative batches of up to `n` rows.
    pub fn with_speculation(self, n: usize) -> Self {
        KvOptions { n_speculative: n, ..self }
    }

    /// The numbers for a model; allocates nothing.
    pub(crate) fn sizes(&self, spec: &ModelSpec) -> Sizes {
        let state_elements = state_elements(spec);
        let windows = || groups(spec).filter_map(|group| Some((group.window?, group.page_elements)));
        let window_bytes = windows()
            .map(|(window, page)| self.kind.bytes_of(page).saturating_mul(self.window_pages(window)))
            .fold(0, usize::saturating_add);
        let bytes = state_elements.saturating_mul(size_of::<f32>()).saturating_add(window_bytes);
        let pages = windows().map(|(window, _)| self.window_pages(window));
        Sizes {
            options: *self,
            n_snapshots: self.snapshot_bytes.checked_div(bytes).unwrap_or(0).min(MAX_SNAPSHOTS),
            snapshot_bytes: bytes,
            snapshot_pages: pages.fold(0, usize::saturating_add),
            state_elements,
        }
    }

    /// Most pages that the window of a row needs before the row's own.
    pub(crate) fn window_pages(&self, window: u32) -> usize {
        let seen = (window as usize).saturating_sub(1).div_ceil(KV_PAGE).saturating_add(1);
        seen.min(self.n_ctx.div_ceil(KV_PAGE))
    }
}

/// What the options mean for a model.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    pub(crate) options: KvOptions,
    pub(crate) n_snapshots: usize,
    /// Bytes of the states and pages of a snapshot.
    pub(crate) snapshot_bytes: usize,
    /// Pages of a snapshot, over all groups with a window.
    pub(crate) snapshot_pages: usize,
    /// f32 values of a sequence's recurrent states.
    pub(crate) state_elements: usize,
}

impl Sizes {
    /// States of sequences: one of each and one that a pass writes for it, and those of speculative rows.
    pub(crate) fn live_states(&self) -> usize {
        let o = &self.options;
        let states = o.n_sequences.saturating_mul(2).saturating_add(o.n_speculative);
        if self.state_elements == 0 { 0 } else { states }
    }

    /// All states, those of snapshots included.
    pub(crate) fn n_states(&self) -> usize {
        let snapshots = if self.state_elements == 0 { 0 } else { self.n_snapshots };
        self.live_states().saturating_add(snapshots)
    }

    /// Pages of the sequences in a group of layers.
    ///
    /// A sequence at position `p` holds those of the positions from `p - (window - 1) - rollback` on. These are up to
    /// `ceil(n / KV_PAGE) + 1` pages for `n` positions; a pass adds its rows, and each further sequence may round up once more.
    pub(crate) fn live_pages(&self, window: Option<u32>) -> usize {
        let o = &self.options;
        let Some(window) = window else { return o.n_pages };
        let seen = (window as usize).saturating_sub(1).saturating_add(o.rollback);
        let pages = seen.div_ceil(KV_PAGE).saturating_add(2).saturating_mul(o.n_sequences);
        pages.saturating_add(o.n_batch.div_ceil(KV_PAGE)).saturating_sub(1).min(o.n_pages)
    }

    /// All pages of a group of layers: of its sequences, and of snapshots, which hold what the window sees.
    pub(crate) fn group_pages(&self, window: Option<u32>) -> usize {
        let per_snapshot = window.map_or(0, |window| self.options.window_pages(window));
        self.live_pages(window).saturating_add(per_snapshot.saturating_mul(self.n_snapshots))
    }
}
