//! Plans and memory reports as Java reads them: arrays of numbers, in the order of `HappyPlan.java`, `HappyMemory.java` and
//! `HappyReuse.java`.

use crate::capi::types::{HappyMemory, HappyPlan, HappyReuse};
use crate::core::model::Planned;
use crate::core::session::{Reuse, SessionMemory};

/// The fields of a `HappyPlan`.
pub(super) fn plan(planned: Planned) -> [i64; 17] {
    let plan = HappyPlan::from(planned);
    [
        plan.fits.into(),
        long(plan.anon_bytes),
        long(plan.budget_bytes),
        long(plan.weight_bytes),
        long(plan.kv_bytes),
        long(plan.scratch_bytes),
        long(plan.tokenizer_bytes),
        plan.context.into(),
        plan.fitting_context.into(),
        plan.batch.into(),
        plan.threads.into(),
        plan.weights_copied.into(),
        plan.shrunk_from.into(),
        long(plan.table_bytes),
        long(plan.grammar_bytes),
        long(plan.state_bytes),
        long(plan.snapshot_bytes),
    ]
}

/// The fields of a `HappyMemory`.
pub(super) fn memory(memory: SessionMemory) -> [i64; 10] {
    let memory = HappyMemory::from(memory);
    [
        memory.weights_copied.into(),
        long(memory.weight_bytes),
        long(memory.kv_bytes),
        long(memory.kv_resident_bytes),
        long(memory.scratch_bytes),
        long(memory.tokenizer_bytes),
        long(memory.process_anon_bytes),
        long(memory.process_file_bytes),
        long(memory.process_peak_bytes),
        long(memory.positions),
    ]
}

/// The fields of a `HappyReuse`.
pub(super) fn reuse(reuse: Reuse) -> [i64; 9] {
    let reuse = HappyReuse::from(reuse);
    [
        reuse.branches.into(),
        long(reuse.prompts),
        long(reuse.prompt_tokens),
        long(reuse.reused_tokens),
        long(reuse.evicted_branches),
        long(reuse.dropped_messages),
        long(reuse.guessed_tokens),
        long(reuse.accepted_tokens),
        long(reuse.shifted_tokens),
    ]
}

/// Java has no unsigned numbers: what is larger is as good as endless.
fn long(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
