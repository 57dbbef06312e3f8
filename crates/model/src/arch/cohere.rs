//! Command R and Command R7B.

use super::decoder::{ADJACENT, decoder, layer_norm, windows};
use super::params::Params;
use crate::error::LoadError;
use crate::spec::{FfnInput, ModelSpec, Need, OutputKind, QkNormKind, QkNormSpec};

/// Layers from which on Command R's models norm Q and K.
const WITH_QK_NORM: usize = 64;

/// Command R: layer norms without biases, both halves read the same one, output tied to the embedding.
pub(super) fn command_r(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let mut spec = parallel(p)?;
    if spec.layers.len() >= WITH_QK_NORM {
        let (kind, norm) = (QkNormKind::PerHeadOwnWeight, layer_norm(p)?);
        let qk_norm = QkNormSpec { kind, norm, need: Need::Required, after_rope: false };
        spec.layers.iter_mut().for_each(|l| l.attention.qk_norm = Some(qk_norm));
    }
    Ok(spec)
}

/// Command R7B: three of four layers have a window, and only these rotate.
pub(super) fn cohere2(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    p.f32("logit_scale")?;
    let mut spec = parallel(p)?;
    spec.layers.iter_mut().for_each(|l| l.attention.rope = None);
    windows(p, &mut spec, p.u32("attention.sliding_window")?, 4, 0)?;
    Ok(spec)
}

fn parallel(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let mut spec = decoder(p, layer_norm(p)?, ADJACENT)?;
    spec.output = OutputKind::Tied;
    spec.logit_scale = p.opt_f32("logit_scale")?.filter(|scale| *scale != 0.0);
    spec.layers.iter_mut().for_each(|l| l.ffn.input = FfnInput::Attention);
    Ok(spec)
}
