//! Arctic and Grok: experts beside the layer's dense block.

use super::decoder::{ADJACENT, HALVES, decoder, each_moe, mixture, rms};
use super::experts::weight_scale;
use super::params::Params;
use crate::error::LoadError;
use crate::names::{self, block};
use crate::spec::*;

/// Snowflake Arctic: the dense block reads the residual stream after the attention, and the experts read the input of
/// the layer.
pub(super) fn arctic(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let norm = rms(p)?;
    let mut spec = decoder(p, norm, ADJACENT)?;
    let n_ff = p.per_layer("feed_forward_length", spec.layers.len())?;
    mixture(p, &mut spec, &n_ff)?;
    let (scale, n_embd) = (weight_scale(p)?, spec.n_embd);
    each_moe(&mut spec, |moe| {
        moe.weight_scale = scale;
        let shared = SharedExpertSpec::new(n_embd);
        moe.shared = Some(SharedExpertSpec { dense: true, norm: Some(norm), ..shared });
    });
    spec.each_ffn(|ffn| (ffn.input, ffn.norm_name) = (FfnInput::Layer(norm), names::FFN_NORM_EXPS));
    Ok(spec)
}

/// Grok: norms after both halves; Grok 2 has a dense block beside the experts.
pub(super) fn grok(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let norm = rms(p)?;
    let mut spec = decoder(p, norm, HALVES)?;
    let or = |key: &str, default: f32| Ok::<f32, LoadError>(p.opt_f32(key)?.unwrap_or(default));
    spec.embedding_scale = Some(or("embedding_scale", 78.383_67)?);
    spec.logit_scale = Some(or("logit_scale", 0.577_350_26)?);
    spec.final_soft_cap = p.opt_f32("final_logit_softcapping")?.filter(|cap| *cap != 0.0);
    for rope in &mut spec.ropes {
        rope.ext_factor = or("rope.scaling.yarn_ext_factor", rope.ext_factor)?;
        rope.beta_fast = or("rope.scaling.yarn_beta_fast", 8.0)?;
        rope.beta_slow = or("rope.scaling.yarn_beta_slow", rope.beta_slow)?;
    }
    let (scale, cap) = (or("attention.output_scale", 0.088_388_35)?, or("attn_logit_softcapping", 30.0)?);
    spec.each_attention(|a| {
        (a.scale, a.soft_cap) = (scale, Some(cap));
        (a.out_bias, a.post_norm) = (Need::Optional, Some(norm));
    });
    let n = spec.layers.len();
    let n_ff = p.per_layer("feed_forward_length", n)?;
    let of_expert = p.opt_per_layer("expert_feed_forward_length", n)?.filter(|n_ff| !n_ff.contains(&0));
    mixture(p, &mut spec, of_expert.as_ref().unwrap_or(&n_ff))?;
    let weight_scale = weight_scale(p)?;
    for ((i, layer), n_ff) in spec.layers.iter_mut().enumerate().zip(n_ff) {
        let has = |part: &str| p.gguf().tensor(&block(i, part, "weight")).is_some();
        let Some(FfnSpec { kind: FfnKind::Moe(moe), scale, post_norm, .. }) = &mut layer.ffn else {
            continue;
        };
        (moe.activation, moe.weight_scale) = (Activation::Gelu, weight_scale);
        if has("ffn_up") {
            moe.shared = Some(SharedExpertSpec { dense: true, ..SharedExpertSpec::new(n_ff as usize) });
            *scale = Some(std::f32::consts::FRAC_1_SQRT_2);
        }
        *post_norm = Some(norm);
    }
    Ok(spec)
}
