//! StableLM 1 and 2.

use super::decoder::{HALVES, decoder, layer_norm};
use super::params::Params;
use crate::error::LoadError;
use crate::spec::{FfnInput, ModelSpec, Need, NormSpec, OutputKind, QkNormKind, QkNormSpec};

/// StableLM: layer norms with biases, and only a part of each head is rotated. The 12B model norms Q and K head by
/// head, and has no second norm: both halves of a layer read the result of the first one.
pub(super) fn stablelm(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let plain = layer_norm(p)?;
    let norm = NormSpec { bias: Need::Required, ..plain };
    let mut spec = decoder(p, norm, HALVES)?;
    spec.output = OutputKind::Own;
    let qk_norm = QkNormSpec {
        kind: QkNormKind::PerHeadOwnWeight,
        norm: plain,
        need: Need::Optional,
        after_rope: false,
    };
    spec.each_attention(|a| a.qk_norm = Some(qk_norm));
    spec.each_ffn(|f| f.input = FfnInput::NormOrAttention(NormSpec { bias: Need::Optional, ..plain }));
    Ok(spec)
}
