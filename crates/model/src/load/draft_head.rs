//! Loads what a draft head has before its layer.

use super::tensors::Tensors;
use crate::error::LoadError;
use crate::names::{self, block};
use crate::spec::*;
use crate::weights::DraftHead;

#[inline(never)]
pub(super) fn load(t: &mut Tensors<'_>, spec: &ModelSpec) -> Result<Option<DraftHead>, LoadError> {
    let Some(DraftHeadSpec { block: i, norm }) = spec.draft_head else { return Ok(None) };
    let norms =
        [names::ENORM, names::HNORM].map(|name| t.norm(&format!("blk.{i}.{name}"), &norm, spec.n_embd));
    let [embedding_norm, hidden_norm] = norms;
    let proj = t.tensor(&block(i, names::EH_PROJ, "weight"), &[2 * spec.n_embd, spec.n_embd])?;
    Ok(Some(DraftHead {
        embedding_norm: embedding_norm?,
        hidden_norm: hidden_norm?,
        proj: t.rows(&proj, 0, spec.n_embd, 2 * spec.n_embd, None)?,
    }))
}
