//! Decides which slot a job gets, and when, so that what its prompt shares with others is computed once.
//!
//! ```text
//! another slot is computing what the prompt shares with it   -> the job waits until that part is computed
//! a free slot holds a part of the prompt and nothing else    -> that slot
//! otherwise                                                  -> the least recently used free slot
//! ```
//!
//! The tree then gives the slot the longest prefix of the prompt that any slot, even a busy one, or a branch holds. What the slot held
//! before becomes a branch.

use super::slot::Slot;
use super::{Job, Worker};
use happy_engine::{Context, EngineError, PrefixTree};
use std::cmp::Reverse;

/// Minimum number of tokens that are worth waiting for, keeping, or taking a snapshot. Fewer tokens hardly lengthen a pass.
pub(super) const WORTH_SHARING: usize = 16;

impl Worker {
    /// Begins the jobs that don't have to wait for another slot.
    pub(super) fn admit(&mut self) {
        for job in std::mem::take(&mut self.admitted) {
            if job.left.is_cancelled() {
                self.metrics.waiting.sub(1);
            } else if self.follows(&job) {
                self.admitted.push(job);
            } else {
                self.metrics.waiting.sub(1);
                self.begin(job);
            }
        }
    }

    /// Returns whether a slot is computing a part of the job's prompt that no sequence holds yet. Waiting for it takes no longer than
    /// computing that part a second time in the same passes. If the model needs a snapshot to go back there, the slot will take one.
    fn follows(&mut self, job: &Job) -> bool {
        let prompt = job.composed.ids();
        let Self { context, tree, slots, .. } = self;
        let Some(first) = slots.first().map(Slot::sequence) else { return false };
        let Ok(held) = tree.held(context, first, prompt) else { return false };
        let coming = slots.iter_mut().map(|slot| (slot.coming(context, prompt), slot));
        let Some((coming, leader)) = coming.max_by_key(|(coming, _)| *coming) else { return false };
        let follows = coming >= held.reachable + WORTH_SHARING;
        if follows {
            leader.mark(coming);
        }
        follows
    }

    /// Gives a job a free slot.
    fn begin(&mut self, job: Job) {
        let prompt = job.composed.ids();
        let Some(index) = self.place(prompt) else { return };
        let Some(slot) = self.slots.get_mut(index) else { return };
        self.clock += 1;
        match share(&mut self.tree, &mut self.context, slot.sequence(), prompt) {
            Ok(mark) => {
                slot.begin(job, &mut self.context, self.clock, &self.metrics);
                if let Some(mark) = mark {
                    slot.mark(mark);
                }
            }
            Err(error) => slot.refuse(job, error),
        }
    }

    /// Returns the index of the free slot that a prompt gets.
    fn place(&self, prompt: &[u32]) -> Option<usize> {
        let free = || self.slots.iter().enumerate().filter(|(_, slot)| !slot.is_busy());
        let part = |(i, slot): (usize, &Slot)| {
            let (held, lost) = split(&self.context, slot.sequence(), prompt).ok()?;
            (lost < WORTH_SHARING).then_some((held, Reverse(slot.last_used()), i))
        };
        let part = free().filter_map(part).max().map(|(_, _, i)| i);
        part.or_else(|| free().min_by_key(|(_, slot)| slot.last_used()).map(|(i, _)| i))
    }
}

/// Gives a sequence the part of a prompt that is cached. Returns where the sequence should take a snapshot: where the prompt differs from
/// another one to which the model can't go back.
fn share(
    tree: &mut PrefixTree,
    context: &mut Context,
    sequence: u32,
    prompt: &[u32],
) -> Result<Option<usize>, EngineError> {
    let (held, lost) = split(context, sequence, prompt)?;
    if lost < WORTH_SHARING {
        // So few tokens are not worth a branch.
        context.truncate(sequence, held)?;
    }
    let common = tree.held(context, sequence, prompt)?.common;
    let reused = tree.prepare(context, sequence, prompt)?;
    Ok((common >= reused + WORTH_SHARING).then_some(common))
}

/// Returns how many tokens of a prompt a sequence can go back to, and how many of its own tokens that drops.
fn split(context: &Context, sequence: u32, prompt: &[u32]) -> Result<(usize, usize), EngineError> {
    let held = context.reachable_prefix(sequence, prompt)?;
    Ok((held, context.tokens(sequence).len() - held))
}
