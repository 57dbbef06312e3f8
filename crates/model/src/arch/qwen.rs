//! Qwen 2 and 3, dense and as mixtures of experts.

use super::decoder::{HALVES, decoder, each_moe, mixture, rms};
use super::params::Params;
use crate::error::LoadError;
use crate::spec::{ModelSpec, Need, OutputKind, QkNormKind, QkNormSpec, SharedExpertSpec};

/// Qwen 2: the decoder with Q, K and V biases.
pub(super) fn qwen2(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let mut spec = decoder(p, rms(p)?, HALVES)?;
    spec.output_bias = Need::Optional;
    Ok(spec)
}

/// Qwen 3: Q and K are normed head by head.
pub(super) fn qwen3(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let norm = rms(p)?;
    let mut spec = decoder(p, norm, HALVES)?;
    let qk_norm = QkNormSpec { kind: QkNormKind::PerHead, norm, need: Need::Required };
    spec.layers.iter_mut().for_each(|l| l.attention.qk_norm = Some(qk_norm));
    Ok(spec)
}

/// Qwen 3 MoE: weights of the chosen experts add up to 1.
pub(super) fn qwen3moe(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let mut spec = qwen3(p)?;
    experts(p, &mut spec)?;
    Ok(spec)
}

/// Qwen 2 MoE: weights are not normalized; a gated shared expert.
pub(super) fn qwen2moe(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let mut spec = decoder(p, rms(p)?, HALVES)?;
    spec.output = OutputKind::Own;
    experts(p, &mut spec)?;
    let n_ff = match p.opt_u32("expert_shared_feed_forward_length")?.filter(|n| *n > 0) {
        Some(n_ff) => n_ff,
        None => p.u32("feed_forward_length")?,
    };
    each_moe(&mut spec, |moe| {
        moe.normalize = false;
        moe.shared = Some(SharedExpertSpec { n_ff: n_ff as usize, gated: true });
    });
    Ok(spec)
}

/// An expert is `expert_feed_forward_length` wide, or its share of `feed_forward_length`.
fn experts(p: &Params<'_>, spec: &mut ModelSpec) -> Result<(), LoadError> {
    let n = spec.layers.len();
    let n_ff = match p.opt_per_layer("expert_feed_forward_length", n)?.filter(|v| !v.contains(&0)) {
        Some(n_ff) => n_ff,
        None => {
            let all = p.per_layer("feed_forward_length", n)?;
            let used = p.per_layer("expert_used_count", n)?;
            crate::reserve::collected(n, all.iter().zip(used).map(|(ff, used)| ff / used.max(1)))?
        }
    };
    mixture(p, spec, &n_ff)
}
