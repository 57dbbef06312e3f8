//! Loads the weights of what layers add to the residual stream, or keep beside it: per-layer embeddings, AltUp and LAuReL.

use super::tensors::Tensors;
use crate::error::LoadError;
use crate::names::{self, block};
use crate::spec::*;
use crate::weights::*;

#[inline(never)]
pub(super) fn per_layer_inputs(
    t: &mut Tensors<'_>,
    spec: &ModelSpec,
) -> Result<Option<PerLayerInputs>, LoadError> {
    let Some(PerLayerSpec { width, norm }) = spec.per_layer else { return Ok(None) };
    let all = width.saturating_mul(spec.layers.len());
    let proj = t.tensor(names::PER_LAYER_PROJ, &[spec.n_embd, all])?;
    let norm = t.norm(names::PER_LAYER_NORM, &norm, width)?;
    Ok(Some(PerLayerInputs {
        table: t.table(names::PER_LAYER_EMBD, all, spec.n_vocab)?,
        proj: t.rows(&proj, 0, all, spec.n_embd, None)?,
        norm: PartsNorm { norm, width, after_rope: false },
    }))
}

#[inline(never)]
pub(super) fn per_layer(
    t: &mut Tensors<'_>,
    spec: &ModelSpec,
    i: usize,
) -> Result<Option<PerLayer>, LoadError> {
    let Some(PerLayerSpec { width, norm }) = spec.per_layer else { return Ok(None) };
    Ok(Some(PerLayer {
        gate: t.linear(i, "inp_gate", spec.n_embd, width, Need::Never)?,
        proj: t.linear(i, "proj", width, spec.n_embd, Need::Never)?,
        post_norm: t.norm(&format!("blk.{i}.post_norm"), &norm, spec.n_embd)?,
    }))
}

#[inline(never)]
pub(super) fn laurel(
    t: &mut Tensors<'_>,
    n_embd: usize,
    spec: Option<LaurelSpec>,
    i: usize,
) -> Result<Option<Laurel>, LoadError> {
    let Some(LaurelSpec { rank, norm }) = spec else { return Ok(None) };
    Ok(Some(Laurel {
        down: t.linear(i, "laurel_l", n_embd, rank, Need::Never)?,
        up: t.linear(i, "laurel_r", rank, n_embd, Need::Never)?,
        post_norm: t.norm(&format!("blk.{i}.laurel_post_norm"), &norm, n_embd)?,
    }))
}

#[inline(never)]
pub(super) fn altup(t: &mut Tensors<'_>, spec: &ModelSpec, i: usize) -> Result<Option<AltUp>, LoadError> {
    let Some(AltUpSpec { n_streams: n, norm }) = spec.altup else { return Ok(None) };
    let factor = 1.0 / spec.n_embd as f32;
    let router_norm = t.scaled_norm(&block(i, "altup_router_norm", "weight"), &norm, spec.n_embd, factor)?;
    Ok(Some(AltUp {
        router_norm,
        router: t.linear(i, "altup_router", spec.n_embd, n, Need::Never)?,
        predict: t.vector(&block(i, "altup_predict_coef", "weight"), &[n, n * n])?,
        correct: t.vector(&block(i, "altup_correct_coef", "weight"), &[n, n])?,
        correct_scale: t.vector(&block(i, "altup_correct_scale", "weight"), &[spec.n_embd])?,
    }))
}

#[inline(never)]
pub(super) fn altup_ends(t: &mut Tensors<'_>, spec: &ModelSpec) -> Result<Option<AltUpEnds>, LoadError> {
    let Some(AltUpSpec { n_streams, .. }) = spec.altup else { return Ok(None) };
    let (n, others) = (spec.n_embd, n_streams.saturating_sub(1));
    let mut stack = |name: &str| {
        let tensor = t.tensor(name, &[n, n, others])?;
        t.rows(&tensor, 0, n.saturating_mul(others), n, None)
    };
    Ok(Some(AltUpEnds { proj: stack(names::ALTUP_PROJ)?, unembd: stack(names::ALTUP_UNEMBD)? }))
}
