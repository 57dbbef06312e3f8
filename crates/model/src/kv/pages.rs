//! What a forward pass sees of the cache: page tables, which it reads, and the contents of pages and states, which it writes.

use happy_kernels::ops::attention::{KV_PAGE, KvData, KvLayer};
use happy_kernels::ops::{AttnRow, Ops};

use super::group::Group;
use super::layout::KvLayout;
use super::pool::{Data, blocks};
use super::states::{StateRun, States};

/// The contents of all pages and states.
pub(crate) struct Pages<'a> {
    pub(super) layout: &'a KvLayout,
    pub(super) groups: &'a mut [Group],
    pub(super) states: &'a mut States,
}

impl Pages<'_> {
    /// Returns the keys and values that a layer with attention reads: its own, or those of the layer that it shares them with.
    pub(crate) fn layer(&self, layer: usize) -> KvLayer<'_> {
        let l = &self.layout.layers[layer];
        let group = &self.groups[l.group];
        KvLayer {
            data: match group.pool.data() {
                Data::F32(d) => KvData::F32(d),
                Data::F16(d) => KvData::F16(d),
                Data::Q8_0(d) => KvData::Q8_0(d),
            },
            tables: &group.tables,
            page_stride: group.pool.stride(),
            k_offset: l.k_offset,
            v_offset: l.v_offset,
            n_kv_heads: l.n_kv_heads,
            head_dim_k: l.head_dim_k,
            head_dim_v: l.head_dim_v,
        }
    }

    /// Stores the keys and values of one row, each `[kv head][head_dim]`. The row's page has been taken already. `v` is empty if the
    /// keys are the values. A quantized cache leaves the rows rotated.
    pub(crate) fn store(&mut self, layer: usize, row: &AttnRow, k: &mut [f32], v: &mut [f32], ops: &Ops) {
        let l = self.layout.layers[layer];
        let Some(group) = self.groups.get_mut(l.group) else { return };
        let position = row.position as usize;
        let page = group.tables.get(row.sequence as usize).and_then(|t| t.get(position / KV_PAGE));
        let Some(page) = page else { return };
        let (base, slot) = (*page as usize * group.pool.stride(), position % KV_PAGE);
        for (values, offset, dim) in [(k, l.k_offset, l.head_dim_k), (v, l.v_offset, l.head_dim_v)] {
            for (head, values) in values.chunks_exact_mut(dim).enumerate() {
                let at = base + offset + (head * KV_PAGE + slot) * dim;
                match group.pool.data_mut() {
                    Data::F32(d) => d[at..at + dim].copy_from_slice(values),
                    Data::F16(d) => (ops.to_f16)(values, &mut d[at..at + dim]),
                    Data::Q8_0(d) => (ops.to_q8)(values, &mut d[blocks(at..at + dim)]),
                }
            }
        }
    }

    /// Returns the number of [`StateRun`]s of the pass: at least one for each sequence of the batch. Those of one sequence are in ascending
    /// order of their positions, and each starts with the state that the one before it wrote. Every recurrent layer computes all of
    /// them, in order.
    pub(crate) fn n_state_runs(&self) -> usize {
        self.states.n_runs()
    }

    /// Returns a recurrent layer's state before and after some rows of the batch.
    pub(crate) fn state_run(&mut self, layer: usize, run: usize) -> Option<StateRun<'_>> {
        self.states.run(self.layout.layers.get(layer)?, run)
    }
}
