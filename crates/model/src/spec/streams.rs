//! Other things that layers add to the residual stream or keep beside it, besides their two halves.

use super::NormSpec;

/// Per-layer embeddings: each layer also reads its own values for the token (Gemma 3n, Gemma 4).
///
/// ```text
/// inputs, once:  p = norm(per_layer_model_proj x / sqrt(n_embd))              one norm per layer's part
///                input[layer] = (p[layer] + per_layer_token_embd[token][layer] * sqrt(width)) / sqrt(2)
/// each layer:    x += post_norm(proj(gelu(inp_gate x) * input[layer]))        after its feed-forward half
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PerLayerSpec {
    /// The number of values per layer.
    pub width: usize,
    /// The norms `per_layer_proj_norm` and `post_norm`.
    pub norm: NormSpec,
}

/// Several residual streams. A layer computes the first one, and predicts the others from all of them (AltUp; Gemma 3n). With per-layer
/// embeddings, the branch reads the first stream times `altup_correct_scale`, and its result is added to the others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AltUpSpec {
    /// The number of streams, from 2 to 16.
    pub n_streams: usize,
    /// The norm `altup_router_norm`, whose result is divided by `n_embd`.
    pub norm: NormSpec,
}

/// A matrix of low rank beside the attention (LAuReL; Gemma 3n): `x = (x + attention + h + norm(R (L h))) / sqrt(2)`, where `h` is the
/// input of the attention.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LaurelSpec {
    /// The number of rows of L.
    pub rank: usize,
    /// The norm `laurel_post_norm`.
    pub norm: NormSpec,
}
