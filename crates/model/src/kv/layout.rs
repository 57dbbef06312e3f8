//! Where a layer's keys and values lie in a page, and how many pages there are.

use happy_kernels::ops::KV_PAGE;

use crate::reserve::{NoMemory, collected};
use crate::spec::ModelSpec;

/// The element type of the cache.
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

/// Where a layer's keys and values lie in a page, in elements; all 0 for a layer without attention.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LayerLayout {
    pub(crate) k_offset: usize,
    pub(crate) v_offset: usize,
    pub(crate) n_kv_heads: usize,
    pub(crate) head_dim_k: usize,
    pub(crate) head_dim_v: usize,
}

/// The layout of a page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct KvLayout {
    pub(crate) layers: Vec<LayerLayout>,
    /// Elements of a page.
    pub(crate) page_elements: usize,
}

impl KvLayout {
    /// # Errors
    /// Memory that cannot be reserved.
    pub(crate) fn new(spec: &ModelSpec) -> Result<Self, NoMemory> {
        let mut at = 0usize;
        let mut place = |elements: usize| {
            let offset = at;
            at = at.saturating_add(elements.saturating_mul(KV_PAGE));
            offset
        };
        let layers = spec.layers.iter().map(|layer| {
            let Some(a) = &layer.attention else { return LayerLayout::default() };
            let (k_offset, v_offset) = (place(a.k_dim()), place(a.v_dim()));
            let (head_dim_k, head_dim_v) = (a.head_dim_k, a.head_dim_v);
            LayerLayout { k_offset, v_offset, n_kv_heads: a.n_kv_heads, head_dim_k, head_dim_v }
        });
        Ok(KvLayout {
            layers: collected(spec.layers.len(), layers)?,
            page_elements: Self::page_elements(spec),
        })
    }

    /// Elements of a page.
    pub(crate) fn page_elements(spec: &ModelSpec) -> usize {
        let rows = spec.attentions().map(|a| a.k_dim().saturating_add(a.v_dim()));
        rows.fold(0, usize::saturating_add).saturating_mul(KV_PAGE)
    }
}

/// Sizes of a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KvOptions {
    /// Element type.
    pub kind: KvType,
    /// Pages of [`KV_PAGE`] positions in the pool that all sequences share.
    pub n_pages: usize,
    /// Sequences, with ids from 0.
    pub n_sequences: usize,
    /// Most positions of a sequence. Models with rotary factors for long contexts (Phi 3) choose them by this.
    pub n_ctx: usize,
}

impl KvOptions {
    /// Room for `n_sequences` sequences of `n_ctx` positions each.
    pub fn new(kind: KvType, n_sequences: usize, n_ctx: usize) -> Self {
        KvOptions { kind, n_pages: n_ctx.div_ceil(KV_PAGE).saturating_mul(n_sequences), n_sequences, n_ctx }
    }
}
