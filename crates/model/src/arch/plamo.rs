//! PLaMo 1, 2 and 3.

use super::decoder::{
    HALVES, decoder, each_dense, hybrid, norm_heads, norm_results, rms, window_rope, windows,
};
use super::params::Params;
use super::ssm::mixers;
use crate::error::LoadError;
use crate::spec::*;

/// PLaMo: both halves read the same norm.
pub(super) fn plamo(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let mut spec = decoder(p, rms(p)?, HALVES)?;
    spec.output = OutputKind::Own;
    spec.each_ffn(|f| f.input = FfnInput::Attention);
    Ok(spec)
}

/// PLaMo 2: a mixer with a state in the layers without key-value heads, and attention with norms of Q and K in the
/// others; norms before and after both halves, gate and up in one matrix.
pub(super) fn plamo2(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let norm = rms(p)?;
    let mut spec = hybrid(p, norm, HALVES)?;
    let qk_norm =
        QkNormSpec { kind: QkNormKind::PerHeadOwnWeight, norm, need: Need::Required, after_rope: false };
    spec.each_attention(|a| a.qk_norm = Some(qk_norm));
    each_dense(&mut spec, |d| d.fused = true);
    let kind = RecurrentKind::Plamo2(Plamo2Spec {
        d_inner: p.u32("ssm.inner_size")? as usize,
        n_heads: p.u32("ssm.time_step_rank")? as usize,
        d_state: p.u32("ssm.state_size")? as usize,
        dt_rank: (spec.n_embd / 16).max(64),
        kernel: p.u32("ssm.conv_kernel")? as usize,
        norm,
    });
    mixers(&mut spec, Some(norm), kind, |l, _| l.attention.is_none());
    norm_results(&mut spec, norm);
    Ok(spec)
}

/// PLaMo 3: norms before and after both halves and of Q and K, gate and up in one matrix; if the file has a window, then
/// seven of eight layers use it, with a rotation of their own.
pub(super) fn plamo3(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let norm = rms(p)?;
    let mut spec = decoder(p, norm, HALVES)?;
    norm_heads(&mut spec, norm, Need::Required, false);
    norm_results(&mut spec, norm);
    each_dense(&mut spec, |d| d.fused = true);
    let window = p.opt_u32("attention.sliding_window")?.unwrap_or(0);
    if window > 0 {
        let theta = p.opt_f32("rope.freq_base_swa")?.unwrap_or(10000.0);
        let local = window_rope(p, &spec)?.map(|global| RopeParams { theta, freq_scale: 1.0, ..global });
        spec.ropes.extend(local);
        windows(p, &mut spec, window, 8, 1)?;
    }
    Ok(spec)
}
