//! LFM2, dense and as mixture of experts.

use super::decoder::{HALVES, hybrid, norm_heads, rms};
use super::experts::{experts, routing};
use super::params::Params;
use super::ssm::mixers;
use crate::error::LoadError;
use crate::spec::{ModelSpec, Need, RecurrentKind, ShortConvSpec};

/// LFM2: a short convolution in the layers without key-value heads. The norm before the output has another name.
pub(super) fn lfm2(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let norm = rms(p)?;
    let mut spec = hybrid(p, norm, HALVES)?;
    spec.output_norm_name = "token_embd_norm";
    norm_heads(&mut spec, norm, Need::Required, false);
    let kernel = p.u32("shortconv.l_cache")? as usize;
    let kind = RecurrentKind::ShortConv(ShortConvSpec { n_channels: spec.n_embd, kernel });
    mixers(&mut spec, Some(norm), kind, |l, _| l.attention.is_none());
    if let Some(window) = p.opt_u32("attention.sliding_window")?.filter(|window| *window > 0) {
        spec.each_attention(|a| a.window = Some(window));
    }
    Ok(spec)
}

/// LFM2 MoE: experts after the dense layers at the start, with a bias for their choice.
pub(super) fn lfm2moe(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let mut spec = lfm2(p)?;
    experts(p, &mut spec)?;
    routing(p, &mut spec, None, Need::Required)?;
    super::decoder::each_moe(&mut spec, |moe| moe.normalize = true);
    Ok(spec)
}
