//! Moves a sequence to earlier positions, when its context is full.

use happy_kernels::Ctx;
use happy_kernels::ops::{RopePairing, RopeTable};

use crate::error::KvError;
use crate::kv::{KvCache, KvType};
use crate::model::Model;
use crate::scratch::Scratch;

/// Fills `cos_sin` for turning back by `n` positions what was rotated before. Keys already have the table's magnitude (YaRN's), so the
/// rotation has none.
fn turn_back(table: &RopeTable, n: usize, cos_sin: &mut [f32]) {
    let pairs = cos_sin.len() / 2;
    table.fill(0, cos_sin);
    let magnitude = cos_sin.first().copied().unwrap_or(1.0);
    table.fill(u32::try_from(n).unwrap_or(u32::MAX), cos_sin);
    let (cos, sin) = cos_sin.split_at_mut(pairs);
    cos.iter_mut().for_each(|cos| *cos /= magnitude);
    sin.iter_mut().for_each(|sin| *sin /= -magnitude);
}

impl Model {
    /// Checks that positions in the middle of a sequence can be dropped ([`shift`](Self::shift)).
    ///
    /// # Errors
    /// [`KvError::Shift`] with what is in the way: learned positions, latent attention, attention in chunks, norms of keys after their
    /// rotation, or a cache of q8_0.
    pub fn check_shift(&self, kind: KvType) -> Result<(), KvError> {
        let spec = self.spec();
        let any = |what: fn(&crate::spec::AttentionSpec) -> bool| spec.attentions().any(what);
        let problem = match () {
            () if kind == KvType::Q8_0 => "the kv cache is q8_0",
            () if self.weights().positions.is_some() => "its positions are learned",
            () if any(|a| a.latent.is_some()) => "its attention is latent (MLA)",
            () if any(|a| a.chunked) => "its attention sees chunks of positions",
            () if any(|a| a.rope.is_some() && a.qk_norm.is_some_and(|norm| norm.after_rope)) => {
                "its keys have a norm after their rotation"
            }
            () => return Ok(()),
        };
        Err(KvError::Shift { architecture: spec.architecture, problem })
    }

    /// Drops about half of a sequence, so that a full context has room again: whole pages after its first page of
    /// [`KV_PAGE`](crate::KV_PAGE) positions. What follows them moves to their positions, with its keys rotated to match; values and
    /// recurrent states stay as they are. Returns the number of dropped positions, 0 if nothing can be dropped.
    ///
    /// The sequence is then no longer what its tokens would compute, since what stays has seen what was dropped. The bits are the same on
    /// every machine, as those of a pass are. Allocates nothing.
    ///
    /// # Errors
    /// As [`check_shift`](Self::check_shift), and if the sequence is unknown, the cache or scratch is another model's, or there are too few
    /// free pages for copies of those that other sequences share. The sequence then stays as it was, but may have lost snapshots.
    pub fn shift(
        &self,
        cx: Ctx<'_>,
        kv: &mut KvCache,
        scratch: &mut Scratch,
        sequence: u32,
    ) -> Result<usize, KvError> {
        kv.check(self.kv_layout())?;
        self.check_shift(kv.options().kind)?;
        let dropped = kv.droppable(sequence)?;
        if dropped == 0 {
            return Ok(0);
        }
        let (spec, weights, long) = (self.spec(), self.weights(), kv.shape().long);
        let Scratch { sizes, cos_sin, k, .. } = scratch;
        let mut rest = cos_sin.take(sizes.cos_sin);
        for rope in &weights.ropes {
            let table = rope.table(long);
            let Some((part, other)) = rest.split_at_mut_checked(table.n_rot()) else { break };
            turn_back(table, dropped, part);
            rest = other;
        }
        let angles = cos_sin.values();
        let turn = |layer: usize| -> Option<(&[f32], RopePairing)> {
            let index = spec.layers.get(layer)?.attention.as_ref()?.rope?;
            let rope = spec.ropes.get(index)?;
            let before: usize = spec.ropes.iter().take(index).map(|rope| rope.n_rot).sum();
            Some((angles.get(before..before + rope.n_rot)?, rope.pairing))
        };
        kv.shift((sequence, dropped), &cx.kernels.ops, turn, k.take(sizes.k))?;
        Ok(dropped)
    }
}
