//! One forward pass: chooses its rows, and hands their logits to the slots.

use super::Worker;
use happy_engine::EngineError;
use happy_engine::model::{NoHook, Want};
use std::time::Instant;

/// Maximum number of prompt rows in a pass in which other slots decode: enough to make use of the weights that are read anyway, and few
/// enough that answers don't stall.
const PREFILL_BESIDE_DECODE: usize = 64;

/// How many of its pending tokens a slot computes in a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Share {
    slot: usize,
    rows: usize,
}

impl Worker {
    /// Computes one pass for all slots that have tokens to compute.
    pub(super) fn pass(&mut self) {
        let pending: Vec<usize> = self.slots.iter().map(|slot| slot.pending().len()).collect();
        let shares = shares(&pending, self.batch.capacity());
        if let [one] = shares.as_slice()
            && self.advance(one.slot)
        {
            return;
        }
        let Err(error) = self.compute(&shares) else { return };
        if matches!(error, EngineError::Cancelled) {
            // Nobody is at fault. The loop frees the slots whose clients have left, or ends.
            return;
        }
        match shares.as_slice() {
            [] => {}
            [one] => {
                if let Some(slot) = self.slots.get_mut(one.slot) {
                    slot.fail(error);
                }
            }
            // One of them is at fault. The sequences still have their lengths.
            several => {
                for share in several {
                    if let Err(error) = self.compute(&[*share])
                        && !matches!(error, EngineError::Cancelled)
                        && let Some(slot) = self.slots.get_mut(share.slot)
                    {
                        slot.fail(error);
                    }
                }
            }
        }
    }

    /// Computes the next token of the only running answer, with guesses. Returns false if the answer needs an ordinary pass.
    fn advance(&mut self, slot: usize) -> bool {
        let Self { context, tree, slots, metrics, .. } = self;
        // While the engine is paused, the pass must be one that ends when the server ends.
        let Some(before) = context.speculation_stats().filter(|_| !context.engine().is_paused()) else {
            return false;
        };
        let Some(slot) = slots.get_mut(slot) else { return false };
        // Giving way takes back guesses that still wait for their turn, so do it only if room is needed.
        let room = context.has_room(slot.sequence(), 1) || tree.give_way(context, slot.sequence()).is_ok();
        if !room || !slot.advance(context) {
            return false;
        }
        if let Some(after) = context.speculation_stats() {
            metrics.guessed.add(after.guessed.saturating_sub(before.guessed) as usize);
            metrics.guessed_right.add(after.accepted.saturating_sub(before.accepted) as usize);
        }
        true
    }

    /// Computes these rows and hands the logits to their slots.
    fn compute(&mut self, shares: &[Share]) -> Result<(), EngineError> {
        let Self { context, tree, slots, batch, stop, running, .. } = self;
        if shares.is_empty() {
            return Ok(());
        }
        batch.clear();
        let mut clients = Vec::new();
        for share in shares {
            let Some(slot) = slots.get(share.slot) else { continue };
            let (pending, sequence) = (slot.pending(), slot.sequence());
            let first = context.tokens(sequence).len() as u32;
            let want = if share.rows == pending.len() { Want::Logits } else { Want::Nothing };
            batch.push_tokens(pending.get(..share.rows).unwrap_or_default(), first, sequence, want)?;
            slot.snapshots().for_each(|position| batch.set_snapshot(sequence, position));
            clients.extend(slot.left().map(|left| (left, share.rows)));
        }
        // Branches give way to answers.
        tree.give_way_to(context, batch)?;
        let engine = context.engine().clone();
        let tokenizer = engine.require_tokenizer()?;
        let bytes_of = |id| tokenizer.piece(id).map(|piece| piece.to_vec()).unwrap_or_default();
        let started = Instant::now();
        let cancel = running.begin(clients);
        // Clients that left, or a server that ended, before the pass began could not end it.
        running.client_left();
        if stop.is_cancelled() {
            cancel.cancel();
        }
        let output = context.forward(batch, &cancel, &mut NoHook);
        running.end();
        let output = output?;
        let time = started.elapsed();
        let mut row = 0;
        for share in shares {
            row += share.rows;
            if let Some(slot) = slots.get_mut(share.slot) {
                let logits = if share.rows == slot.pending().len() { output.logits(row - 1) } else { None };
                slot.computed(logits, share.rows, time, &bytes_of);
            }
        }
        Ok(())
    }
}

/// Shares the rows of a pass among the slots: first those with one pending token, then the others, the shortest first. Each gets an equal
/// part of the rows that are left.
fn shares(pending: &[usize], capacity: usize) -> Vec<Share> {
    let mut left = capacity;
    let mut shares = Vec::new();
    for (slot, _) in pending.iter().enumerate().filter(|(_, n)| **n == 1) {
        if left > 0 {
            shares.push(Share { slot, rows: 1 });
            left -= 1;
        }
    }
    if !shares.is_empty() {
        left = left.min(PREFILL_BESIDE_DECODE);
    }
    let mut long: Vec<(usize, usize)> =
        pending.iter().enumerate().filter(|(_, n)| **n > 1).map(|(slot, n)| (*n, slot)).collect();
    long.sort_unstable();
    let mut waiting = long.len();
    for (n, slot) in long {
        let rows = n.min(left.div_ceil(waiting.max(1)));
        waiting -= 1;
        if rows > 0 {
            shares.push(Share { slot, rows });
            left -= rows;
        }
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_shared_fairly() {
        // Pending tokens of each slot, rows of the pass, expected rows of each slot.
        let cases: [(&[usize], usize, &[usize]); 8] = [
            (&[0, 0], 256, &[0, 0]),
            (&[1, 1, 0, 1], 256, &[1, 1, 0, 1]),
            (&[1000], 256, &[256]),
            (&[1000, 1000], 256, &[128, 128]),
            // The short prompt ends, and the long one gets the rest.
            (&[1000, 10], 256, &[246, 10]),
            // Beside slots that decode.
            (&[1, 1000], 256, &[1, 64]),
            (&[1, 40, 40, 40], 256, &[1, 22, 21, 21]),
            // There is no room for all.
            (&[1, 1, 1], 2, &[1, 1, 0]),
        ];
        for (pending, capacity, expected) in cases {
            let mut rows = vec![0; pending.len()];
            shares(pending, capacity).iter().for_each(|share| rows[share.slot] = share.rows);
            assert_eq!(rows, expected, "{pending:?} of {capacity}");
        }
    }
}
