//! The first step of a draft head: from the embedding of a token and the hidden state before it to the layer's input; see
//! [`crate::spec::DraftHeadSpec`].

use happy_kernels::{Mat, linear};

use super::pass::Pass;
use super::rows::{each_row, norm_row};
use crate::error::ForwardError;
use crate::scratch::Scratch;
use crate::weights::kinds;

/// Replaces the embeddings in `x` by the layer's input. `hidden` has a row for each of them.
pub(super) fn join(pass: &Pass<'_>, hidden: &[f32], s: &mut Scratch) -> Result<(), ForwardError> {
    let Some(head) = &pass.model.weights().draft_head else { return Ok(()) };
    let (cx, n, n_embd) = (pass.cx, pass.batch.len(), pass.model.n_embd());
    let (x, hidden) = (s.x.mat(n, n_embd), Mat::new(hidden, n, n_embd));
    each_row(cx, s.joined.mat_mut(n, 2 * n_embd), &|i, row, _| {
        let (embedding, state) = row.split_at_mut(n_embd);
        norm_row(cx, &head.embedding_norm, x.row(i), embedding);
        norm_row(cx, &head.hidden_norm, hidden.row(i), state);
    });
    let joined = s.joined.mat(n, 2 * n_embd);
    pass.see("nextn_joined", None, joined);
    if !s.acts.set(cx, joined, kinds([&head.proj])) {
        return Err(ForwardError::NonFinite { layer: 0 });
    }
    linear::forward(cx, &s.acts, &mut [(&head.proj, s.x.mat_mut(n, n_embd))], &s.panels);
    pass.see("nextn.eh_proj", Some(&head.proj), s.x.mat(n, n_embd));
    Ok(())
}
