//! Which slot a job gets, and when: what its prompt shares with others is computed once.
//!
//! ```text
//! another slot is computing what the prompt shares with it   -> the job waits for that, and no longer
//! a free slot holds a part of the prompt and nothing else    -> this one
//! otherwise                                                  -> the free slot that was used longest ago
//! ```
//!
//! The tree then gives the slot the longest beginning of the prompt that there is, in a slot that may be busy or in a branch, and what
//! the slot held becomes a branch.

use super::slot::Slot;
use super::{Job, Worker};
use happy_engine::{Context, EngineError, PrefixTree};
use std::cmp::Reverse;

/// Tokens that are worth waiting for, keeping, or a snapshot: a pass computes fewer of them in no time.
pub(super) const WORTH_SHARING: usize = 16;

impl Worker {
    /// Begins the jobs that need not wait for another slot.
    pub(super) fn admit(&mut self) {
        for job in std::mem::take(&mut self.admitted) {
            if job.deltas.is_closed() {
                self.metrics.waiting.sub(1);
            } else if self.follows(&job) {
                self.admitted.push(job);
            } else {
                self.metrics.waiting.sub(1);
                self.begin(job);
            }
        }
    }

    /// Whether a slot is computing a part of the job's prompt that no sequence holds yet. Waiting for it takes no longer than computing
    /// it a second time beside it would. A model that needs a snapshot to go back there takes one.
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

    /// The free slot that a prompt gets.
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

/// Gives a sequence what there is of a prompt. Returns where it should take a snapshot: where the prompt parts from another one that the
/// model cannot go back to.
fn share(
    tree: &mut PrefixTree,
    context: &mut Context,
    sequence: u32,
    prompt: &[u32],
) -> Result<Option<usize>, EngineError> {
    let (held, lost) = split(context, sequence, prompt)?;
    if lost < WORTH_SHARING {
        // So little is not worth a branch.
        context.truncate(sequence, held)?;
    }
    let common = tree.held(context, sequence, prompt)?.common;
    let reused = tree.prepare(context, sequence, prompt)?;
    Ok((common >= reused + WORTH_SHARING).then_some(common))
}

/// How many tokens of a prompt a sequence can go back to, and how many of its tokens are lost by that.
fn split(context: &Context, sequence: u32, prompt: &[u32]) -> Result<(usize, usize), EngineError> {
    let held = context.reachable_prefix(sequence, prompt)?;
    Ok((held, context.tokens(sequence).len() - held))
}
