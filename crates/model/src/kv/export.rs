//! A sequence as bytes: what its next position needs, for a file, and back.
//!
//! ```text
//! magic, bytes of a unit of K and V, fingerprint of the layout, long rotary factors or not, positions    5 x u64
//! each group: the pages that a row at the next position sees; of each page K and V of its layers, head after head, as far as
//!             there are positions
//! the state of the recurrent layers, f32
//! checksum of all before it                                                                                     u64
//! ```
//!
//! Everything is little-endian. Snapshots are not part of it.

use std::ops::Range;

use happy_kernels::ops::KV_PAGE;

use super::KvCache;
use super::layout::{KvLayout, KvType};
use super::pool::read;
use crate::error::KvError;

/// The first eight bytes; the last is the version.
const MAGIC: u64 = u64::from_le_bytes(*b"happykv\x01");
const HEADER: usize = 5 * 8;

/// FNV-1a, over 64-bit words and then the bytes that are left.
fn checksum(bytes: &[u8]) -> u64 {
    let add = |hash: u64, word: u64| (hash ^ word).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
    let (words, rest) = bytes.as_chunks::<8>();
    let hash = words.iter().fold(0xcbf2_9ce4_8422_2325, |hash, word| add(hash, u64::from_le_bytes(*word)));
    rest.iter().fold(hash, |hash, byte| add(hash, u64::from(*byte)))
}

/// A number that tells layouts apart.
pub(super) fn fingerprint(layout: &KvLayout) -> u64 {
    let add = |hash: u64, n: u64| (hash ^ n).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
    let groups = layout.groups.iter().flat_map(|g| [g.window.map_or(0, u64::from), g.page_elements as u64]);
    let layers = layout.layers.iter().flat_map(|l| {
        let numbers = [l.group, l.k_offset, l.v_offset, l.n_kv_heads, l.head_dim_k, l.head_dim_v];
        numbers.into_iter().chain([l.state_offset, l.state_elements, usize::from(l.owns)]).map(|n| n as u64)
    });
    groups.chain(layers).fold(0xcbf2_9ce4_8422_2325, add)
}

/// The values of a page's first `n` positions.
fn filled(layout: &KvLayout, group: usize, n: usize) -> impl Iterator<Item = Range<usize>> + '_ {
    let layers = layout.layers.iter().filter(move |l| l.owns && l.group == group);
    layers.flat_map(move |l| {
        let parts = [(l.k_offset, l.head_dim_k), (l.v_offset, l.head_dim_v)].into_iter();
        let n_parts = if l.v_offset == l.k_offset { 1 } else { 2 };
        parts.take(n_parts).flat_map(move |(offset, dim)| {
            (0..l.n_kv_heads).map(move |head| {
                let first = offset + head * KV_PAGE * dim;
                first..first + n * dim
            })
        })
    })
}

impl KvCache {
    /// The parts of an exported sequence of `len` positions: a group, an entry of its page tables, and positions in that page.
    fn parts(&self, len: usize) -> impl Iterator<Item = (usize, usize, usize)> + '_ {
        self.groups.iter().enumerate().flat_map(move |(i, group)| {
            group.seen_pages(len).map(move |page| (i, page, (len - page * KV_PAGE).min(KV_PAGE)))
        })
    }

    /// f32 values of the state of a sequence of `len` positions.
    fn state_len(&self, len: usize) -> usize {
        if len == 0 { 0 } else { self.layout.state_elements }
    }

    /// Bytes of an exported sequence of `len` positions.
    fn exported_bytes(&self, len: usize) -> usize {
        let values =
            self.parts(len).flat_map(|(group, _, n)| filled(&self.layout, group, n)).map(|r| r.len());
        let pages = self.options.kind.bytes_of(values.fold(0, usize::saturating_add));
        (HEADER + 8)
            .saturating_add(pages)
            .saturating_add(self.state_len(len).saturating_mul(size_of::<f32>()))
    }

    fn header(&self, len: usize) -> [u64; 5] {
        let kind = self.options.kind.unit_bytes() as u64;
        [MAGIC, kind, fingerprint(&self.layout), u64::from(self.long), len as u64]
    }

    /// Appends a sequence to `out` as bytes that [`import`](Self::import) reads. They contain what its next position needs, but not the
    /// tokens. The same positions give the same bytes.
    ///
    /// # Errors
    /// If the sequence is unknown, or memory cannot be reserved.
    pub fn export(&self, sequence: u32, out: &mut Vec<u8>) -> Result<(), KvError> {
        self.export_first(sequence, self.len(sequence), out)
    }

    /// Appends the first `len` positions of a sequence to `out`, as [`export`](Self::export) does. [`truncate`](Self::truncate) must be
    /// able to go back to exactly `len`.
    ///
    /// # Errors
    /// As for [`export`](Self::export), and if the pages or the state at `len` are gone.
    pub fn export_first(&self, sequence: u32, len: usize, out: &mut Vec<u8>) -> Result<(), KvError> {
        let found = self.sequence(sequence)?;
        if len > found || len < found && !self.reach(sequence, len).1 {
            return Err(KvError::Import { problem: "the sequence does not hold these positions" });
        }
        let (start, bytes) = (out.len(), self.exported_bytes(len));
        out.try_reserve_exact(bytes).map_err(|_| KvError::Memory { bytes, what: "exported sequence" })?;
        out.extend(self.header(len).iter().flat_map(|n| n.to_le_bytes()));
        for (group, page, n) in self.parts(len) {
            let Some(found) = self.groups.get(group) else { continue };
            let page = found.table(sequence).get(page).map_or(0, |page| *page as usize * found.pool.stride());
            for range in filled(&self.layout, group, n) {
                let range = page + range.start..page + range.end;
                found.pool.data().write(range, out);
            }
        }
        if let Some(state) = self.state_at(sequence, len) {
            out.extend(self.states.values(state).iter().flat_map(|x| x.to_le_bytes()));
        }
        let checksum = checksum(out.get(start..).unwrap_or(&[]));
        out.extend(checksum.to_le_bytes());
        Ok(())
    }

    /// Replaces a sequence by an exported one, which may come from another process with the same model and type of cache. It continues
    /// with the same bits. All bytes are checked before anything changes.
    ///
    /// # Errors
    /// If the sequence is unknown, the bytes are not such a sequence, or there are too few pages. The sequence is then unchanged.
    pub fn import(&mut self, sequence: u32, bytes: &[u8]) -> Result<(), KvError> {
        self.sequence(sequence)?;
        let len = self.exported_positions(bytes)?;
        for group in &self.groups {
            let (needed, free) = (group.seen_pages(len).len(), group.free_without(sequence));
            if needed > free {
                return Err(KvError::Full { needed, free, total: group.pool.n(), page: KV_PAGE });
            }
        }
        self.clear(sequence)?;
        for group in &mut self.groups {
            group.take_seen(sequence, len);
        }
        let mut rest = bytes.get(HEADER..).unwrap_or(&[]);
        let Self { groups, layout, states, .. } = self;
        for (index, group) in groups.iter_mut().enumerate() {
            for entry in group.seen_pages(len) {
                let page =
                    group.table(sequence).get(entry).map_or(0, |page| *page as usize * group.pool.stride());
                for range in filled(layout, index, (len - entry * KV_PAGE).min(KV_PAGE)) {
                    let range = page + range.start..page + range.end;
                    rest = group.pool.data_mut().read(range, rest);
                }
            }
        }
        if layout.state_elements > 0
            && len > 0
            && let Some(state) = states.pool.take()
        {
            read(rest, Some(states.values_mut(state)), f32::from_le_bytes);
            states.set(sequence, Some(state));
        }
        self.set_len(sequence, len);
        Ok(())
    }

    /// Returns the number of positions of an exported sequence, after checking all of its bytes as [`import`](Self::import) does.
    ///
    /// # Errors
    /// If the bytes are not such a sequence.
    pub fn exported_positions(&self, bytes: &[u8]) -> Result<usize, KvError> {
        let problem = |problem| Err(KvError::Import { problem });
        let Some((header, _)) = bytes.split_at_checked(HEADER) else { return problem("it is cut off") };
        let mut found = header.as_chunks::<8>().0.iter().map(|n| u64::from_le_bytes(*n));
        let expected = self.header(0);
        let problems = ["it is of another kind or version", "its keys and values have another type"];
        let more = ["it is of another model", "it was computed with other rotary factors"];
        for (expected, what) in expected.iter().zip(problems.into_iter().chain(more)) {
            if found.next() != Some(*expected) {
                return problem(what);
            }
        }
        let len = found.next().and_then(|len| usize::try_from(len).ok());
        let Some(len) = len.filter(|len| *len <= self.options.n_ctx) else {
            return problem("it has more positions than the context");
        };
        let Some((body, sum)) =
            bytes.split_last_chunk::<8>().filter(|_| bytes.len() == self.exported_bytes(len))
        else {
            return problem("its size does not fit its positions");
        };
        if checksum(body) != u64::from_le_bytes(*sum) {
            return problem("its checksum is wrong");
        }
        let values = body.get(HEADER..).unwrap_or(&[]);
        let split = values.len().saturating_sub(self.state_len(len) * size_of::<f32>());
        let (pages, state) = values.split_at_checked(split).unwrap_or((&[], &[]));
        let finite = self.options.kind.are_finite(0, pages) && KvType::F32.are_finite(0, state);
        if finite { Ok(len) } else { problem("it has a value that is not finite") }
    }
}
