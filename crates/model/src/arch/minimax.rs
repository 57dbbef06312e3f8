//! MiniMax 01: lightning attention, and attention in every eighth layer; halves that add to their normed input.

use super::decoder::{HALVES, each_moe, hybrid, mixture, rms};
use super::experts::weight_scale;
use super::params::Params;
use super::ssm::recurrent_layers;
use crate::error::LoadError;
use crate::spec::*;

pub(super) fn minimax_01(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let norm = rms(p)?;
    let mut spec = hybrid(p, norm, HALVES)?;
    spec.normed_residual = Some(p.f32("residual_scale")?);
    let n = spec.layers.len();
    let recurrent = recurrent_layers(p, n, 8)?;
    for (i, (layer, recurrent)) in spec.layers.iter_mut().zip(recurrent).enumerate() {
        let Some(a) = layer.attention.filter(|_| recurrent) else { continue };
        // later layers forget less
        let strength = (1.0 - i as f64 / (n.max(2) - 1) as f64 + 1e-5) as f32;
        let lightning = LightningSpec { n_heads: a.n_heads, head_dim: a.head_dim_k, strength, norm };
        layer.attention = None;
        let (norm_name, kind) = (a.norm_name, RecurrentKind::Lightning(lightning));
        layer.recurrent = Some(RecurrentSpec { norm: Some(norm), norm_name, kind, post_norm: None });
    }
    let n_ff = p.per_layer("feed_forward_length", n)?;
    mixture(p, &mut spec, &n_ff)?;
    let scale = weight_scale(p)?;
    each_moe(&mut spec, |moe| moe.weight_scale = scale);
    Ok(spec)
}
