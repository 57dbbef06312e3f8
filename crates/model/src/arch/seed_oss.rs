//! Seed-OSS.

use super::decoder::{HALVES, decoder, rms};
use super::params::Params;
use crate::error::LoadError;
use crate::names;
use crate::spec::ModelSpec;

/// Seed-OSS: the decoder; the feed-forward norm is stored as `post_attention_norm`.
pub(super) fn seed_oss(p: &Params<'_>) -> Result<ModelSpec, LoadError> {
    let mut spec = decoder(p, rms(p)?, HALVES)?;
    spec.each_ffn(|f| f.norm_name = names::ATTN_POST_NORM);
    Ok(spec)
}
