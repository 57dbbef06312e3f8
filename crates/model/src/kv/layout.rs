//! Which layers form a group, where a layer's keys and values lie in a page, and how many pages there are.

use happy_kernels::ops::KV_PAGE;

use crate::reserve::{NoMemory, collected};
use crate::spec::{AttentionSpec, LayerSpec, ModelSpec};

/// The element type of keys and values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KvType {
    /// 32-bit floats.
    F32,
    /// 16-bit floats, rounded to nearest even.
    #[default]
    F16,
}

impl KvType {
    /// Bytes of an element.
    pub fn bytes(self) -> usize {
        match self {
            KvType::F32 => 4,
            KvType::F16 => 2,
        }
    }
}

/// Where a layer's memory lies, in elements; zeros for what the layer does not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LayerLayout {
    /// Index of the group whose pages hold the keys and values.
    pub(crate) group: usize,
    pub(crate) k_offset: usize,
    pub(crate) v_offset: usize,
    pub(crate) n_kv_heads: usize,
    pub(crate) head_dim_k: usize,
    pub(crate) head_dim_v: usize,
    /// Where the layer's recurrent state starts in a sequence's.
    pub(crate) state_offset: usize,
    pub(crate) state_elements: usize,
}

/// Layers that see the same positions: their keys and values share pages and page tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct GroupLayout {
    /// A position sees itself and `window - 1` before it; `None`: all before it.
    pub(crate) window: Option<u32>,
    /// Elements of a page.
    pub(crate) page_elements: usize,
}

/// The layout of a model's memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct KvLayout {
    pub(crate) layers: Vec<LayerLayout>,
    pub(crate) groups: Vec<GroupLayout>,
    /// f32 values of a sequence's recurrent states.
    pub(crate) state_elements: usize,
}

/// The attention of a layer that stores keys and values of its own.
fn owner(layer: &LayerSpec) -> Option<&AttentionSpec> {
    layer.attention.as_ref().filter(|a| a.kv_from.is_none())
}

/// Elements of the keys and values of a page of a layer.
fn layer_elements(a: &AttentionSpec) -> usize {
    a.k_dim().saturating_add(a.v_dim()).saturating_mul(KV_PAGE)
}

/// The layers that own keys and values, with their indices.
fn owners(spec: &ModelSpec) -> impl Iterator<Item = (usize, &AttentionSpec)> {
    spec.layers.iter().enumerate().filter_map(|(i, layer)| Some((i, owner(layer)?)))
}

/// The groups of a model's layers, in the order in which the layers name them; allocates nothing.
pub(crate) fn groups(spec: &ModelSpec) -> impl Iterator<Item = GroupLayout> + '_ {
    owners(spec).filter_map(|(i, a)| {
        let same = |(_, other): &(usize, &AttentionSpec)| other.window == a.window;
        let (first, _) = owners(spec).find(same)?;
        let elements = || owners(spec).filter(same).map(|(_, a)| layer_elements(a));
        (first == i).then(|| GroupLayout {
            window: a.window,
            page_elements: elements().fold(0, usize::saturating_add),
        })
    })
}

/// f32 values of a sequence's recurrent states.
pub(crate) fn state_elements(spec: &ModelSpec) -> usize {
    spec.layers.iter().map(LayerSpec::state_elements).fold(0, usize::saturating_add)
}

impl KvLayout {
    /// # Errors
    /// Memory that cannot be reserved.
    pub(crate) fn new(spec: &ModelSpec) -> Result<Self, NoMemory> {
        let groups = collected(groups(spec).count(), groups(spec))?;
        let mut layers: Vec<LayerLayout> = collected(spec.layers.len(), std::iter::empty())?;
        let mut state_offset = 0usize;
        for (i, layer) in spec.layers.iter().enumerate() {
            let state = LayerLayout {
                state_offset,
                state_elements: layer.state_elements(),
                ..LayerLayout::default()
            };
            state_offset = state_offset.saturating_add(state.state_elements);
            let pages = match &layer.attention {
                None => LayerLayout::default(),
                Some(a) => match a.kv_from {
                    Some(from) => LayerLayout { ..layers.get(from).copied().unwrap_or_default() },
                    None => {
                        let before =
                            owners(spec).take_while(|(j, _)| *j < i).filter(|(_, b)| b.window == a.window);
                        let k_offset = before.map(|(_, b)| layer_elements(b)).fold(0, usize::saturating_add);
                        LayerLayout {
                            group: groups.iter().position(|g| g.window == a.window).unwrap_or(0),
                            k_offset,
                            v_offset: k_offset.saturating_add(a.k_dim().saturating_mul(KV_PAGE)),
                            n_kv_heads: a.n_kv_heads,
                            head_dim_k: a.head_dim_k,
                            head_dim_v: a.head_dim_v,
                            ..LayerLayout::default()
                        }
                    }
                },
            };
            let LayerLayout { state_offset, state_elements, .. } = state;
            layers.push(LayerLayout { state_offset, state_elements, ..pages });
        }
        Ok(KvLayout { layers, groups, state_elements: state_offset })
    }

    /// Elements of a page of each group, and of a sequence's state: what a message tells of a layout.
    pub(crate) fn elements(&self) -> usize {
        self.groups.iter().map(|g| g.page_elements).fold(self.state_elements, usize::saturating_add)
    }
}

/// Sizes of a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KvOptions {
    /// Element type of keys and values.
    pub kind: KvType,
    /// Pages of [`KV_PAGE`] positions in the pool that all sequences share. A group of layers with a window has as many as it
    /// can use at once, if that is fewer.
    pub n_pages: usize,
    /// Sequences, with ids from 0.
    pub n_sequences: usize,
    /// Most positions of a sequence. Models with rotary factors for long contexts (Phi 3) choose them by this.
    pub n_ctx: usize,
    /// Most positions that a pass adds, over all sequences; by default `n_ctx`. Layers with a window have room for the
    /// window and these, so a smaller number saves memory.
    pub n_batch: usize,
    /// Positions by which any sequence can be shortened, whatever windows its layers have; by default
    /// [`KvOptions::ROLLBACK`]. Layers with a window keep this many positions more than the window sees.
    pub rollback: usize,
}

impl KvOptions {
    /// Positions by which sequences can be shortened unless the options say otherwise: a page.
    pub const ROLLBACK: usize = KV_PAGE;

    /// Room for `n_sequences` sequences of `n_ctx` positions each, in passes of any size.
    pub fn new(kind: KvType, n_sequences: usize, n_ctx: usize) -> Self {
        let n_pages = n_ctx.div_ceil(KV_PAGE).saturating_mul(n_sequences);
        KvOptions { kind, n_pages, n_sequences, n_ctx, n_batch: n_ctx, rollback: Self::ROLLBACK }
    }

    /// The same for passes that add at most `n` positions.
    pub fn with_batch(self, n: usize) -> Self {
        KvOptions { n_batch: n, ..self }
    }

    /// Pages of a group of layers.
    ///
    /// A sequence at position `p` holds those of the positions from `p - (window - 1) - rollback` on. These are up to
    /// `ceil(n / KV_PAGE) + 1` pages for `n` positions; a pass adds its rows, and each further sequence may round up once more.
    pub(crate) fn group_pages(&self, window: Option<u32>) -> usize {
        let Some(window) = window else { return self.n_pages };
        let seen = (window as usize).saturating_sub(1).saturating_add(self.rollback);
        let pages = seen.div_ceil(KV_PAGE).saturating_add(2).saturating_mul(self.n_sequences);
        pages.saturating_add(self.n_batch.div_ceil(KV_PAGE)).saturating_sub(1).min(self.n_pages)
    }

    /// States of `elements` values: one of each sequence, and one that a pass writes.
    pub(crate) fn n_states(&self, elements: usize) -> usize {
        if elements == 0 { 0 } else { self.n_sequences.saturating_mul(2) }
    }
}
