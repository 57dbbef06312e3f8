//! SmallThinker.

use happy_kernels::ops::Activation;

use super::decoder::{HALVES, decoder, each_moe, rms, window_rope, windowed};
use super::experts::{experts, routing};
use super::params::Params;
use crate::error::LoadError;
use crate::spec::{ModelSpec, Need, RouterInput};

/// SmallThinker: the router reads the input of the layer, so that experts can be fetched while the attention runs;
/// ReLU-gated experts. If the file has a window, every fourth layer, starting with the first, sees everything and does
/// not rotate.
pub(super) fn smallthinker(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let mut spec = decoder(p, rms(p)?, HALVES)?;
    experts(p, &mut spec)?;
    routing(p, &mut spec, None, Need::Never)?;
    each_moe(&mut spec, |moe| {
        moe.router_input = RouterInput::Layer;
        moe.normalize = true;
        moe.activation = Activation::Relu;
    });
    let window = p.opt_u32("attention.sliding_window")?.unwrap_or(0);
    if window > 0 {
        spec.ropes.extend(window_rope(p, &spec)?);
        let windowed = windowed(p, &spec, 4, |i, every| i % every != 0)?;
        for (i, a) in spec.attentions_mut() {
            a.window = Some(window).filter(|_| windowed[i]);
            a.rope = Some(usize::from(windowed[i])).filter(|_| i % 4 != 0);
        }
    }
    Ok(spec)
}
