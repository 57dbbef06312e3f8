//! The cache during a forward pass: page tables for reading, page contents for writing.

use happy_kernels::ops::AttnRow;
use happy_kernels::ops::attention::{KV_PAGE, KvData, KvLayer};

use super::layout::KvLayout;

pub(super) enum PagesMut<'a> {
    F32(&'a mut [f32]),
    F16(&'a mut [u16]),
}

/// The contents of all pages.
pub(crate) struct Pages<'a> {
    pub(super) layout: &'a KvLayout,
    pub(super) tables: &'a [Vec<u32>],
    pub(super) data: PagesMut<'a>,
}

impl Pages<'_> {
    /// A layer's keys and values, for the attention kernel.
    pub(crate) fn layer(&self, layer: usize) -> KvLayer<'_> {
        let l = &self.layout.layers[layer];
        KvLayer {
            data: match &self.data {
                PagesMut::F32(d) => KvData::F32(d),
                PagesMut::F16(d) => KvData::F16(d),
            },
            tables: self.tables,
            page_stride: self.layout.page_elements,
            k_offset: l.k_offset,
            v_offset: l.v_offset,
            n_kv_heads: l.n_kv_heads,
            head_dim_k: l.head_dim_k,
            head_dim_v: l.head_dim_v,
        }
    }

    /// Stores the keys and values (`[kv head][head_dim]` each) of one row, whose page there is.
    pub(crate) fn store(
        &mut self,
        layer: usize,
        row: &AttnRow,
        k: &[f32],
        v: &[f32],
        to_f16: fn(&[f32], &mut [u16]),
    ) {
        let l = self.layout.layers[layer];
        let position = row.position as usize;
        let Some(page) = self.tables.get(row.sequence as usize).and_then(|t| t.get(position / KV_PAGE))
        else {
            return;
        };
        let (base, slot) = (*page as usize * self.layout.page_elements, position % KV_PAGE);
        for (values, offset, dim) in [(k, l.k_offset, l.head_dim_k), (v, l.v_offset, l.head_dim_v)] {
            for (head, values) in values.chunks_exact(dim).enumerate() {
                let at = base + offset + (head * KV_PAGE + slot) * dim;
                match &mut self.data {
                    PagesMut::F32(d) => d[at..at + dim].copy_from_slice(values),
                    PagesMut::F16(d) => to_f16(values, &mut d[at..at + dim]),
                }
            }
        }
    }
}
