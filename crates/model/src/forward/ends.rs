//! The first and last steps of a forward pass: from tokens to the residual stream, and from there to results.

use std::sync::atomic::{AtomicBool, Ordering};

use happy_kernels::{Mat, MatMut, linear, ops::AttnRow};

use super::pass::Pass;
use super::rows;
use crate::batch::{Batch, Want};
use crate::error::ForwardError;
use crate::scratch::{OutputRow, Scratch};
use crate::weights::kinds;

/// Looks up the embeddings, computes the rotary angles, and lists the rows and those of which results are wanted.
pub(super) fn start(pass: &Pass<'_>, s: &mut Scratch) {
    let (spec, weights) = (pass.model.spec(), pass.model.weights());
    let (cx, batch, n) = (pass.cx, pass.batch, pass.batch.len());
    rows::each_row(cx, s.x.mat_mut(n, spec.n_embd), &|i, row, worker| {
        // the token is below the vocabulary's size and the tensor's shape was checked
        if weights.embedding.row(batch.tokens()[i], row).is_err() {
            row.fill(f32::NAN);
        }
        if let Some(set) = batch.adapters(i) {
            s.row.with(worker, |spare| set.embed(&cx.kernels.ops, batch.tokens()[i], spare, row));
        }
        if let Some(scale) = spec.embedding_scale {
            (cx.kernels.ops.scale)(row, scale);
        }
        if let Some(token_type) = &weights.token_type {
            (cx.kernels.ops.add)(row, token_type);
        }
        if let Some(table) = &weights.positions {
            s.row.with(worker, |learned| {
                let learned = &mut learned[..spec.n_embd];
                // the position is below the rows of the table
                if table.row(batch.positions()[i], learned).is_err() {
                    learned.fill(f32::NAN);
                }
                (cx.kernels.ops.add)(row, learned);
            });
        }
    });
    if let Some(norm) = &weights.embedding_norm {
        rows::norm_parts(cx, norm, s.x.mat_mut(n, spec.n_embd), &s.row);
    }
    if spec.embedding_skips {
        let x = s.x.mat(n, spec.n_embd);
        rows::each_row(cx, s.embedding.mat_mut(n, spec.n_embd), &|i, row, _| row.copy_from_slice(x.row(i)));
    }
    let mut rest = s.cos_sin.take(n * s.sizes.cos_sin);
    for rope in &weights.ropes {
        let table = rope.table(pass.long);
        let (part, other) = rest.split_at_mut(n * table.n_rot());
        rest = other;
        rows::each_row(cx, MatMut::new(part, n, table.n_rot()), &|i, row, _| {
            table.fill(batch.positions()[i], row)
        });
    }
    pass.see("token_embd", None, s.x.mat(n, spec.n_embd));
    let angles = s.sizes.cos_sin;
    pass.see("rope", None, Mat::new(s.cos_sin.take(n * angles), n, angles));
    s.attn_rows.clear();
    for (sequence, rows) in batch.groups() {
        let len = batch.positions()[rows.end - 1].saturating_add(1);
        s.attn_rows.extend(rows.map(|i| {
            let row = AttnRow::causal(batch.positions()[i], sequence);
            if spec.causal { row } else { AttnRow { end: len, ..row } }
        }));
    }
    s.outputs.clear();
    let (mut logits, mut hidden) = (0, batch.n_logits());
    for (index, want) in batch.wants().iter().enumerate() {
        let slot = match want {
            Want::Nothing => continue,
            Want::Logits => &mut logits,
            Want::Hidden => &mut hidden,
        };
        s.outputs.push(OutputRow { index, want: *want, slot: *slot });
        *slot += 1;
    }
}

/// Returns the row of `x` that holds an output. `x` has either all rows of the batch, or only those of which something is wanted.
fn row_of(batch: &Batch, output: usize, row: &OutputRow, n: usize) -> usize {
    if n == batch.len() { row.index } else { output }
}

/// Copies the residual stream as it is, for the rows of which something is wanted.
pub(super) fn stop(pass: &Pass<'_>, s: &mut Scratch, n: usize) {
    let n_embd = pass.model.spec().n_embd;
    let hidden = s.io.0.take(s.outputs.len() * n_embd);
    for (i, o) in s.outputs.iter().enumerate() {
        let x = row_of(pass.batch, i, o, n) * n_embd;
        hidden[o.slot * n_embd..(o.slot + 1) * n_embd].copy_from_slice(&s.x.values()[x..x + n_embd]);
    }
}

/// Applies the last norm and, to rows of which logits are wanted, the output matrix.
pub(super) fn finish(pass: &Pass<'_>, s: &mut Scratch, n: usize) -> Result<(), ForwardError> {
    let (spec, weights, cx, batch) = (pass.model.spec(), pass.model.weights(), pass.cx, pass.batch);
    let (n_embd, n_vocab, n_layers) = (spec.n_embd, spec.n_vocab, spec.layers.len());
    let n_logits = batch.n_logits();
    let (x, outputs) = (s.x.mat(n, n_embd), &s.outputs);
    let hidden = s.io.0.take(outputs.len() * n_embd);
    let parts = hidden.split_at_mut(n_logits * n_embd);
    for (want, part) in [(Want::Logits, parts.0), (Want::Hidden, parts.1)] {
        // the slots of each kind of result ascend with the rows
        let from = |row: usize| {
            let found = outputs.iter().enumerate().filter(|(_, o)| o.want == want).nth(row);
            found.map_or(0, |(i, o)| row_of(batch, i, o, n))
        };
        let count = part.len() / n_embd;
        if count > 0 {
            rows::norm_from(cx, &weights.output_norm, x, &from, MatMut::new(part, count, n_embd));
            pass.see("output_norm", None, Mat::new(part, count, n_embd));
        }
    }
    let non_finite = ForwardError::NonFinite { layer: n_layers };
    if !(cx.kernels.ops.all_finite)(&hidden[n_logits * n_embd..]) {
        return Err(non_finite);
    }
    let Some(output) = weights.output.as_ref().filter(|_| n_logits > 0) else { return Ok(()) };
    if !s.acts.set(pass.logits, s.io.normed(n_logits, n_embd), kinds([output])) {
        return Err(non_finite);
    }
    let logits = s.logits.mat_mut(n_logits, n_vocab);
    linear::forward(pass.logits, &s.acts, &mut [(output, logits)], &s.panels);
    pass.see("output", Some(output), s.logits.mat(n_logits, n_vocab));
    let finite = AtomicBool::new(true);
    cx.pool.for_each_chunk(s.logits.take(n_logits * n_vocab), 1 << 14, &|_, chunk, _| {
        if cx.cancelled() {
            return;
        }
        if let Some(scale) = spec.logit_scale {
            (cx.kernels.ops.scale)(chunk, scale);
        }
        if let Some(cap) = spec.final_soft_cap {
            (cx.kernels.ops.soft_cap)(chunk, cap);
        }
        if !(cx.kernels.ops.all_finite)(chunk) {
            finite.store(false, Ordering::Relaxed);
        }
    });
    if finite.into_inner() { Ok(()) } else { Err(non_finite) }
}
