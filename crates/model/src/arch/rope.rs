//! Reads the parameters of rotations from metadata.

use happy_kernels::ops::RopePairing;

use super::params::Params;
use crate::error::LoadError;
use crate::spec::{ModelSpec, RopeFactors, RopeParams};

/// Returns the rotation of the layers without a window, derived from metadata as llama.cpp does it (`load_hparams` in
/// `src/llama-model.cpp`; YaRN's factor in `src/llama-context.cpp`).
///
/// If `rope.scaling.type` is missing, the scaling is `linear`. `log_mul` is the value of `rope.scaling.yarn_log_multiplier`, in
/// architectures that have this key.
///
/// # Errors
/// If a key has the wrong type or an impossible value, or the scaling is not implemented.
pub fn global(
    p: &Params<'_>,
    pairing: RopePairing,
    n_rot: usize,
    n_ctx_train: u32,
    log_mul: f32,
) -> Result<RopeParams, LoadError> {
    let kind = p.opt_str("rope.scaling.type")?.unwrap_or("linear");
    let factor = match p.opt_f32("rope.scaling.factor")? {
        Some(factor) => Some(factor),
        None => p.opt_f32("rope.scale_linear")?, // the key of old files
    };
    let freq_scale = match factor {
        None | Some(0.0) => 1.0,
        Some(factor) if factor > 0.0 => 1.0 / factor,
        Some(_) => return Err(p.invalid("rope.scaling.factor", "a positive number")),
    };
    let (freq_scale, ext_factor) = match kind {
        "none" => (1.0, 0.0),
        "linear" | "longrope" => (freq_scale, 0.0),
        "yarn" => (freq_scale, 1.0),
        _ => return Err(p.unsupported("rope.scaling.type", Some("none, linear, yarn or longrope"))),
    };
    let theta = p.opt_f32("rope.freq_base")?.unwrap_or(10000.0);
    if theta <= 0.0 {
        return Err(p.invalid("rope.freq_base", "a positive number"));
    }
    Ok(RopeParams {
        pairing,
        n_rot,
        theta,
        freq_scale,
        ext_factor,
        attn_factor: yarn_attn_factor(freq_scale, ext_factor, log_mul)
            * p.opt_f32("rope.scaling.attn_factor")?.unwrap_or(1.0),
        beta_fast: 32.0,
        beta_slow: 1.0,
        n_ctx_orig: p.opt_u32("rope.scaling.original_context_length")?.unwrap_or(n_ctx_train),
        factors: RopeFactors::None,
    })
}

/// Returns the factor that llama.cpp passes to the rotation. The rotation multiplies it by its own correction, `1 + 0.1 ln(factor)`; the
/// product is the magnitude scale that the model was trained with.
fn yarn_attn_factor(freq_scale: f32, ext_factor: f32, log_mul: f32) -> f32 {
    if ext_factor == 0.0 {
        return 1.0;
    }
    let factor = f64::from(1.0 / freq_scale);
    let magnitude = |mul: f64| if factor <= 1.0 { 1.0 } else { 0.1 * mul * libm::log(factor) + 1.0 };
    let wanted = if log_mul != 0.0 { magnitude(1.0) / magnitude(f64::from(log_mul)) } else { magnitude(1.0) };
    (wanted / (1.0 + 0.1 * libm::log(factor))) as f32
}

/// Returns which rotary factors a model of the Llama family has: long and short ones if the scaling is `longrope`, otherwise `rope_freqs`.
///
/// # Errors
/// If a key has the wrong type.
pub fn llama_factors(p: &Params<'_>) -> Result<RopeFactors, LoadError> {
    let long = p.opt_str("rope.scaling.type")? == Some("longrope");
    Ok(if long { RopeFactors::LongShort } else { RopeFactors::Freqs })
}

/// Returns whether the rotation has sections for time, height and width (`rope.dimension_sections`). A text token has the same position in
/// all three, so they make no difference to it; only pairs in a fourth section would be rotated differently.
///
/// # Errors
/// If a key has the wrong type, or there are pairs in a fourth section.
pub fn sections(p: &Params<'_>, spec: &ModelSpec) -> Result<bool, LoadError> {
    const KEY: &str = "rope.dimension_sections";
    let Some(sections) = p.opt_array(KEY, 4)? else { return Ok(false) };
    let [time, height, width, other] = [0, 1, 2, 3].map(|i| sections.get(i).map_or(0, |n| *n as usize));
    if time == 0 || height == 0 {
        return Ok(false);
    }
    let rotated = time.saturating_add(height).saturating_add(width);
    if other > 0 && spec.ropes.iter().any(|rope| rope.n_rot / 2 > rotated) {
        return Err(p.unsupported(KEY, Some("no pairs in the fourth section")));
    }
    Ok(true)
}
