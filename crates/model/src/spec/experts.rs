//! Mixtures of experts.

use super::{Activation, Gating, Need, NormSpec};

/// An expert that every token passes through.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SharedExpertSpec {
    /// The width.
    pub n_ff: usize,
    /// Whether its result is multiplied by `sigmoid(w . x)` (Qwen2 MoE).
    pub gated: bool,
    /// Whether gate and up are the halves of `ffn_up_shexp.weight`, gate first (Granite SWA).
    pub fused: bool,
    /// Whether it is the layer's dense block, whose tensors are `ffn_gate`, `ffn_up` and `ffn_down`, without `_shexp` (Gemma 4).
    pub dense: bool,
    /// The norm of the residual stream, `ffn_norm`, whose result it reads. With `None`, it reads the input of the other experts.
    pub norm: Option<NormSpec>,
    /// The norm of its result, `post_ffw_norm_1`.
    pub post_norm: Option<NormSpec>,
}

impl SharedExpertSpec {
    /// Makes a plain expert of a given width. It reads the input of the other experts, and its result is added unchanged.
    pub fn new(n_ff: usize) -> Self {
        SharedExpertSpec { n_ff, gated: false, fused: false, dense: false, norm: None, post_norm: None }
    }
}

/// Experts in consecutive groups of the same size. A token's experts come only from its best groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpertGroups {
    /// The number of groups. It divides the number of experts.
    pub n_groups: usize,
    /// The number of groups that a token is routed to. A group's score is the sum of the scores of its two best experts.
    pub n_used: usize,
}

/// Small experts that neighboring experts share. The result of a group's small expert on the same input, times `scale`, is added to the
/// result of each expert (GroveMoE; `ffn_gate_chexps`, `ffn_up_chexps` and `ffn_down_chexps`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GroupExpertsSpec {
    /// The width of a small expert.
    pub n_ff: usize,
    /// The number of experts that share one. It divides the number of experts.
    pub group: usize,
    /// The factor of the small expert's result.
    pub scale: f32,
}

/// The input of a mixture's router.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RouterInput {
    /// The input of the feed-forward half.
    Block,
    /// The residual stream with the router's own norm, whose weights are `ffn_gate_inp.scale` divided by `sqrt(n_embd)` (Gemma 4).
    Scaled(NormSpec),
    /// The residual stream at the start of the layer, before the attention's norm (SmallThinker).
    Layer,
}

/// A mixture of experts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MoeSpec {
    /// The number of experts.
    pub n_experts: usize,
    /// The number of experts that a token is routed to.
    pub n_used: usize,
    /// The width of an expert.
    pub n_ff: usize,
    /// The input of the router.
    pub router_input: RouterInput,
    /// How scores become weights.
    pub gating: Gating,
    /// A bias that is added to the scores only for the choice of experts (`exp_probs_b`).
    pub choice_bias: Need,
    /// The groups of experts.
    pub groups: Option<ExpertGroups>,
    /// Whether the weights of the chosen experts are divided by their sum.
    pub normalize: bool,
    /// The factor of the weights, after they are normalized. 1 changes nothing.
    pub weight_scale: f32,
    /// Whether the weights multiply the input of the experts, not their results (Llama 4).
    pub weigh_input: bool,
    /// The activation of the experts.
    pub activation: Activation,
    /// Whether experts are gated: `down(act(gate x) * up x)`. Otherwise they are `down(act(up x))`. Gate and up may be one tensor in the
    /// file, `ffn_gate_up_exps`.
    pub gated: bool,
    /// The biases of the router and the experts.
    pub bias: Need,
    /// The norm of the sum of the routed experts, before the shared one is added (`post_ffw_norm_2`).
    pub post_norm: Option<NormSpec>,
    /// The shared expert.
    pub shared: Option<SharedExpertSpec>,
    /// Small experts of groups of experts.
    pub of_groups: Option<GroupExpertsSpec>,
}
