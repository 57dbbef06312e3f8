//! BitNet b1.58.

use super::decoder::{HALVES, decoder, each_dense, rms};
use super::params::Params;
use crate::error::LoadError;
use crate::spec::{Activation, ModelSpec, OutputKind};

/// The number of layers and the width of BitNet b1.58 2B4T.
const SQUARED: (usize, usize) = (30, 2560);

/// BitNet: an additional norm before the output matrix of each half. Microsoft's 2B4T gates with the squared ReLU, as
/// its configuration says (`hidden_act` = `relu2`), and the models before it with SiLU. The files have no key for it.
/// llama.cpp computes SiLU for all of them.
pub(super) fn bitnet(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let norm = rms(p)?;
    let mut spec = decoder(p, norm, HALVES)?;
    spec.output = OutputKind::Tied;
    spec.each_attention(|a| a.sub_norm = Some(norm));
    let squared = (spec.layers.len(), spec.n_embd) == SQUARED;
    each_dense(&mut spec, |d| {
        d.activation = if squared { Activation::ReluSquared } else { Activation::Silu };
        d.sub_norm = Some(norm);
    });
    Ok(spec)
}
