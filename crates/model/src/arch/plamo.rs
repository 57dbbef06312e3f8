//! PLaMo 1 and 3.

use super::decoder::{HALVES, decoder, each_dense, norm_heads, norm_results, rms, window_rope, windows};
use super::params::Params;
use crate::error::LoadError;
use crate::spec::{FfnInput, ModelSpec, Need, OutputKind, RopeParams};

/// PLaMo: both halves read the same norm.
pub(super) fn plamo(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let mut spec = decoder(p, rms(p)?, HALVES)?;
    spec.output = OutputKind::Own;
    spec.each_ffn(|f| f.input = FfnInput::Attention);
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
