//! Hunyuan, dense and as mixture of experts; Hy 3.

use happy_kernels::ops::Gating;

use super::decoder::{HALVES, decoder, mixture, norm_heads, rms};
use super::experts::{experts_by_tensors, routing, shared_experts};
use super::params::Params;
use super::rope;
use crate::error::LoadError;
use crate::spec::{ModelSpec, Need};

/// Hunyuan: Q and K are normed head by head after the rotation, whose base may be stretched by `rope.scaling.alpha`.
pub(super) fn hunyuan(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let norm = rms(p)?;
    let mut spec = decoder(p, norm, HALVES)?;
    rope::sections(p, &spec)?;
    norm_heads(&mut spec, norm, Need::Required, true);
    if let Some(alpha) = p.opt_f32("rope.scaling.alpha")?.filter(|alpha| *alpha > 0.0) {
        let head_dim = spec.attentions().next().map_or(0, |a| a.head_dim_k) as f64;
        let stretch = libm::pow(f64::from(alpha), head_dim / (head_dim - 2.0));
        spec.ropes.iter_mut().for_each(|r| r.theta = (f64::from(r.theta) * stretch) as f32);
    }
    Ok(spec)
}

/// Hunyuan MoE: experts as wide as `feed_forward_length` and a shared one in every layer.
pub(super) fn hunyuan_moe(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let mut spec = hunyuan(p)?;
    let n_ff = p.per_layer("feed_forward_length", spec.layers.len())?;
    mixture(p, &mut spec, &n_ff)?;
    let width = p.opt_u32("expert_shared_feed_forward_length")?.filter(|n| *n > 0);
    shared_experts(&mut spec, width, 1);
    Ok(spec)
}

/// Hy 3: norms of Q and K before the rotation; the tensors say which layers have experts, routed by sigmoid. If a layer
/// has experts and a dense block, the dense block is not used.
pub(super) fn hy_v3(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let norm = rms(p)?;
    let mut spec = decoder(p, norm, HALVES)?;
    norm_heads(&mut spec, norm, Need::Required, false);
    experts_by_tensors(p, &mut spec)?;
    routing(p, &mut spec, Some(Gating::Sigmoid), Need::Required)?;
    let width = p.opt_u32("expert_shared_feed_forward_length")?.filter(|n| *n > 0);
    shared_experts(&mut spec, width, 1);
    Ok(spec)
}
