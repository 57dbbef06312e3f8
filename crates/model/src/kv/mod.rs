//! The key-value cache: one pool of pages, a page table for each sequence.
//!
//! ```text
//! page:   all layers' K and V of KV_PAGE consecutive positions of one sequence
//!         layer l at k_offset(l):  K [kv head][KV_PAGE][head_dim_k],  at v_offset(l):  V [kv head][KV_PAGE][head_dim_v]
//! table:  table[sequence][i] holds positions i * KV_PAGE ..; pages are counted, forks share them
//! ```
//!
//! A page that two sequences share is never written: whoever appends to a shared, partly filled page gets a copy first.
//! The pool is reserved once, fallibly, and becomes resident page by page as positions are written.

mod layout;
mod pages;

use happy_kernels::ops::KV_PAGE;

use crate::batch::Batch;
use crate::buffers::{Buffers, Reserved, counted};
use crate::error::KvError;
use crate::reserve::{NoMemory, reserved};
use crate::spec::ModelSpec;
pub(crate) use layout::{KvLayout, LayerLayout};
pub use layout::{KvOptions, KvType};
pub(crate) use pages::Pages;
use pages::PagesMut;

/// The elements of all pages; grows within its reservation as pages are first used.
enum Data {
    F32(Vec<f32>),
    F16(Vec<u16>),
}

/// Keys and values of all layers for several sequences.
pub struct KvCache {
    layout: KvLayout,
    options: KvOptions,
    data: Data,
    /// The pages of each sequence.
    tables: Vec<Vec<u32>>,
    /// The positions of each sequence.
    lens: Vec<usize>,
    /// How many page tables a page is in.
    counts: Vec<u32>,
    /// Pages that were used and are free again, to be used next.
    free: Vec<u32>,
    /// Pages from here on were never used.
    fresh: usize,
}

impl KvCache {
    /// A cache for models of this specification.
    ///
    /// # Errors
    /// Memory that cannot be reserved.
    pub fn new(spec: &ModelSpec, options: KvOptions) -> Result<Self, KvError> {
        let mut cache = Self::build(spec, options, &mut Reserved("kv cache"))?;
        cache.lens.resize(options.n_sequences, 0);
        cache.counts.resize(options.n_pages, 0);
        Ok(cache)
    }

    /// Bytes that such a cache reserves.
    pub(crate) fn bytes(spec: &ModelSpec, options: &KvOptions) -> usize {
        counted(|memory| Self::build(spec, *options, memory))
    }

    /// The one list of buffers: the plan counts it, and a cache reserves it.
    fn build(spec: &ModelSpec, options: KvOptions, memory: &mut impl Buffers) -> Result<Self, KvError> {
        let layers = spec.layers.len().saturating_mul(size_of::<LayerLayout>());
        let elements = KvLayout::page_elements(spec).saturating_mul(options.n_pages);
        let table = options.n_ctx.div_ceil(KV_PAGE).min(options.n_pages);
        let table_bytes = size_of::<Vec<u32>>().saturating_add(table.saturating_mul(size_of::<u32>()));
        Ok(KvCache {
            options,
            layout: memory.part(layers, || KvLayout::new(spec))?,
            data: match options.kind {
                KvType::F32 => Data::F32(memory.list(elements)?),
                KvType::F16 => Data::F16(memory.list(elements)?),
            },
            tables: memory.part(options.n_sequences.saturating_mul(table_bytes), || {
                let mut tables = reserved(options.n_sequences)?;
                for _ in 0..options.n_sequences {
                    tables.push(reserved(table)?);
                }
                Ok::<_, NoMemory>(tables)
            })?,
            lens: memory.list(options.n_sequences)?,
            counts: memory.list(options.n_pages)?,
            free: memory.list(options.n_pages)?,
            fresh: 0,
        })
    }

    /// The sizes it was made with.
    pub fn options(&self) -> &KvOptions {
        &self.options
    }

    /// Positions of a sequence; 0 for an unknown one.
    pub fn len(&self, sequence: u32) -> usize {
        self.lens.get(sequence as usize).copied().unwrap_or(0)
    }

    /// Whether a sequence has no positions.
    pub fn is_empty(&self, sequence: u32) -> bool {
        self.len(sequence) == 0
    }

    /// Bytes of a page.
    pub fn page_bytes(&self) -> usize {
        self.layout.page_elements * self.options.kind.bytes()
    }

    /// Pages that no sequence uses.
    pub fn free_pages(&self) -> usize {
        self.free.len() + (self.options.n_pages - self.fresh)
    }

    /// Bytes of the pages in use.
    pub fn resident_bytes(&self) -> usize {
        (self.options.n_pages - self.free_pages()) * self.page_bytes()
    }

    /// Bytes reserved for pages, in use or not.
    pub fn reserved_bytes(&self) -> usize {
        self.options.n_pages * self.page_bytes()
    }

    /// The pages and the positions of a sequence.
    fn sequence(&self, id: u32) -> Result<(&[u32], usize), KvError> {
        let n_sequences = self.tables.len();
        let pages = self.tables.get(id as usize).ok_or(KvError::Sequence { sequence: id, n_sequences })?;
        Ok((pages, self.len(id)))
    }

    /// Forgets the positions of a sequence from `len` on.
    ///
    /// # Errors
    /// An unknown sequence, or one that is shorter.
    pub fn truncate(&mut self, sequence: u32, len: usize) -> Result<(), KvError> {
        let (_, found) = self.sequence(sequence)?;
        if len > found {
            return Err(KvError::Truncate { sequence, len: found, to: len });
        }
        self.shrink(sequence, len);
        Ok(())
    }

    /// Forgets a sequence's positions.
    ///
    /// # Errors
    /// An unknown sequence.
    pub fn clear(&mut self, sequence: u32) -> Result<(), KvError> {
        self.truncate(sequence, 0)
    }

    /// Makes sequence `to` a continuation of the same positions as `from`; what `to` held is forgotten. Pages are
    /// shared until one of them appends.
    ///
    /// # Errors
    /// An unknown sequence.
    pub fn fork(&mut self, from: u32, to: u32) -> Result<(), KvError> {
        let (_, len) = self.sequence(from)?;
        self.sequence(to)?;
        if from == to {
            return Ok(());
        }
        self.clear(to)?;
        for i in 0..len.div_ceil(KV_PAGE) {
            let Some(page) = self.sequence(from)?.0.get(i).copied() else { break };
            if let Some(count) = self.counts.get_mut(page as usize) {
                *count += 1;
            }
            self.push_page(to, page);
        }
        self.set_len(to, len);
        Ok(())
    }

    fn push_page(&mut self, sequence: u32, page: u32) {
        if let Some(pages) = self.tables.get_mut(sequence as usize) {
            pages.push(page);
        }
    }

    fn set_len(&mut self, sequence: u32, len: usize) {
        if let Some(old) = self.lens.get_mut(sequence as usize) {
            *old = len;
        }
    }

    /// Drops the pages that `len` positions do not need.
    fn shrink(&mut self, sequence: u32, len: usize) {
        let len = len.min(self.len(sequence));
        self.set_len(sequence, len);
        let Some(pages) = self.tables.get_mut(sequence as usize) else { return };
        for page in pages.drain(len.div_ceil(KV_PAGE).min(pages.len())..) {
            if let Some(count) = self.counts.get_mut(page as usize) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    self.free.push(page);
                }
            }
        }
    }

    /// Whether the last page of a sequence is partly filled and shared: it has to be copied before it is written.
    fn shares_tail(&self, pages: &[u32], len: usize) -> bool {
        let tail = pages.get(len / KV_PAGE).copied();
        !len.is_multiple_of(KV_PAGE)
            && tail.and_then(|p| self.counts.get(p as usize)).is_some_and(|count| *count > 1)
    }

    /// Makes room for a batch, whose positions were checked: nothing changes if there is too little. Lengths stay as
    /// they are until [`KvCache::commit`].
    pub(crate) fn prepare(&mut self, batch: &Batch) -> Result<(), KvError> {
        let mut needed = 0;
        for (sequence, rows) in batch.groups() {
            let (pages, len) = self.sequence(sequence)?;
            let end = len + rows.len();
            let n_ctx = self.options.n_ctx;
            if end > n_ctx {
                return Err(KvError::Context { sequence, len, needed: end, n_ctx });
            }
            needed += end.div_ceil(KV_PAGE) - pages.len() + usize::from(self.shares_tail(pages, len));
        }
        let free = self.free_pages();
        if needed > free {
            return Err(KvError::Full { needed, free, total: self.options.n_pages, page: KV_PAGE });
        }
        for (sequence, rows) in batch.groups() {
            self.grow(sequence, rows.len());
        }
        Ok(())
    }

    /// Gives a sequence the pages for `n` more positions; there are enough.
    fn grow(&mut self, sequence: u32, n: usize) {
        let Ok((pages, len)) = self.sequence(sequence) else { return };
        let n_pages = pages.len();
        if self.shares_tail(pages, len) {
            let index = len / KV_PAGE;
            let shared = pages.get(index).copied();
            if let (Some(shared), Some(own)) = (shared, self.take_page()) {
                self.copy_page(shared, own);
                if let Some(count) = self.counts.get_mut(shared as usize) {
                    *count -= 1;
                }
                let pages = self.tables.get_mut(sequence as usize);
                if let Some(slot) = pages.and_then(|pages| pages.get_mut(index)) {
                    *slot = own;
                }
            }
        }
        for _ in n_pages..(len + n).div_ceil(KV_PAGE) {
            if let Some(page) = self.take_page() {
                self.push_page(sequence, page);
            }
        }
    }

    /// A free page, counted once.
    fn take_page(&mut self) -> Option<u32> {
        let page = match self.free.pop() {
            Some(page) => page,
            None if self.fresh < self.options.n_pages => {
                self.fresh += 1;
                // within the reservation: no allocation
                let n = self.fresh * self.layout.page_elements;
                match &mut self.data {
                    Data::F32(d) => d.resize(n, 0.0),
                    Data::F16(d) => d.resize(n, 0),
                }
                u32::try_from(self.fresh - 1).ok()?
            }
            None => return None,
        };
        *self.counts.get_mut(page as usize)? = 1;
        Some(page)
    }

    fn copy_page(&mut self, from: u32, to: u32) {
        let n = self.layout.page_elements;
        let (from, to) = (from as usize * n, to as usize * n);
        match &mut self.data {
            Data::F32(d) => d.copy_within(from..from + n, to),
            Data::F16(d) => d.copy_within(from..from + n, to),
        }
    }

    /// The batch's positions now count.
    pub(crate) fn commit(&mut self, batch: &Batch) {
        for (sequence, rows) in batch.groups() {
            let len = self.len(sequence) + rows.len();
            self.set_len(sequence, len);
        }
    }

    /// Gives back what [`KvCache::prepare`] took for a batch that was not run to its end.
    pub(crate) fn roll_back(&mut self, batch: &Batch) {
        for (sequence, _) in batch.groups() {
            self.shrink(sequence, self.len(sequence));
        }
    }

    /// Checks that the cache's pages have the layout of a model.
    pub(crate) fn check(&self, layout: &KvLayout) -> Result<(), KvError> {
        if self.layout != *layout {
            return Err(KvError::Layout { expected: layout.page_elements, found: self.layout.page_elements });
        }
        Ok(())
    }

    /// Page tables for reading, and page contents for writing.
    pub(crate) fn pages(&mut self) -> Pages<'_> {
        let data = match &mut self.data {
            Data::F32(d) => PagesMut::F32(d),
            Data::F16(d) => PagesMut::F16(d),
        };
        Pages { layout: &self.layout, tables: &self.tables, data }
    }
}
