//! Apertus.

use super::decoder::{HALVES, decoder, norm_heads, rms};
use super::params::Params;
use super::rope;
use crate::error::LoadError;
use crate::spec::{Activation, FfnKind, ModelSpec, Need, OutputKind};

/// Apertus: an ungated block with xIELU, whose parameters differ from layer to layer; norms of Q and K.
pub(super) fn apertus(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let norm = rms(p)?;
    let mut spec = decoder(p, norm, HALVES)?;
    spec.output = OutputKind::Own;
    let factors = rope::llama_factors(p)?;
    spec.ropes.iter_mut().for_each(|r| r.factors = factors);
    norm_heads(&mut spec, norm, Need::Required, false);
    let (n, keys) = (spec.layers.len(), p.unprefixed());
    let values = |key: &str| match keys.opt_f32_per_layer(key, n)? {
        Some(values) => Ok(values),
        None => Err(LoadError::MissingKey { key: key.to_owned() }),
    };
    let (alpha_n, alpha_p) = (values("xielu.alpha_n")?, values("xielu.alpha_p")?);
    let (beta, eps) = (values("xielu.beta")?, values("xielu.eps")?);
    spec.each_attention(|a| a.out_bias = Need::Optional);
    for (i, layer) in spec.layers.iter_mut().enumerate() {
        layer.inert = &["attn_q_norm.bias", "attn_k_norm.bias"];
        if let Some(FfnKind::Dense(dense)) = layer.ffn_kind_mut() {
            dense.gated = false;
            dense.activation =
                Activation::Xielu { alpha_n: alpha_n[i], alpha_p: alpha_p[i], beta: beta[i], eps: eps[i] };
        }
    }
    Ok(spec)
}
