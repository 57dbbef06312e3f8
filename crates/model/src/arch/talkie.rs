//! Talkie: norms without weights, a factor for each head of Q, and the embedding once more at the end of each layer.

use super::decoder::{HALVES, decoder, rms};
use super::params::Params;
use crate::error::LoadError;
use crate::spec::*;

pub(super) fn talkie(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let weighted = rms(p)?;
    let norm = NormSpec { weighted: false, ..weighted };
    let mut spec = decoder(p, norm, HALVES)?;
    (spec.embedding_norm, spec.embedding_skips) = (Some(norm), true);
    (spec.output, spec.logit_scale) = (OutputKind::Own, Some(p.f32("logit_scale")?));
    let kind = QkNormKind::PerHeadGain;
    let qk_norm = QkNormSpec { kind, norm: weighted, need: Need::Required, after_rope: true };
    spec.each_attention(|a| a.qk_norm = Some(qk_norm));
    spec.layers.iter_mut().for_each(|layer| layer.out_scale = Need::Required);
    Ok(spec)
}
