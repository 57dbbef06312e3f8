//! Mixtures of experts.

use super::{Activation, Gating, Need, NormSpec};

/// An expert that every token passes through.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SharedExpertSpec {
    /// Width.
    pub n_ff: usize,
    /// Its result is multiplied by `sigmoid(w . x)` (Qwen2 MoE).
    pub gated: bool,
    /// Gate and up are the halves of `ffn_up_shexp.weight`, gate first (Granite SWA).
    pub fused: bool,
    /// It is the layer's dense block: its tensors are `ffn_gate`, `ffn_up` and `ffn_down`, without `_shexp` (Gemma 4).
    pub dense: bool,
    /// It reads the residual stream with this norm, `ffn_norm`; `None`: it reads what the other experts read.
    pub norm: Option<NormSpec>,
    /// The norm of its result, `post_ffw_norm_1`.
    pub post_norm: Option<NormSpec>,
}

impl SharedExpertSpec {
    /// A plain expert of a width: it reads what the other experts read, and its result is added as it is.
    pub fn new(n_ff: usize) -> Self {
        SharedExpertSpec { n_ff, gated: false, fused: false, dense: false, norm: None, post_norm: None }
    }
}

/// Experts in groups of the same size, one after the other: a token's experts come from its best groups only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpertGroups {
    /// Groups; divides the number of experts.
    pub n_groups: usize,
    /// Groups a token is routed to. A group's score is the sum of its two best experts' scores.
    pub n_used: usize,
}

/// Small experts that several neighbors share: each expert's result gets that of its group's small one on the same input, times
/// `scale`, added (GroveMoE; `ffn_gate_chexps`, `ffn_up_chexps` and `ffn_down_chexps`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GroupExpertsSpec {
    /// Width of a small expert.
    pub n_ff: usize,
    /// Experts that share one; divides the number of experts.
    pub group: usize,
    /// Multiplies the small expert's result.
    pub scale: f32,
}

/// What the router of a mixture reads.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RouterInput {
    /// What the feed-forward half reads.
    Block,
    /// The residual stream with a norm of the router's own, whose weights are `ffn_gate_inp.scale` over
    /// `sqrt(n_embd)` (Gemma 4).
    Scaled(NormSpec),
    /// The residual stream as it enters the layer, before the attention's norm (SmallThinker).
    Layer,
}

/// A mixture of experts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MoeSpec {
    /// Experts.
    pub n_experts: usize,
    /// Experts a token is routed to.
    pub n_used: usize,
    /// Width of one expert.
    pub n_ff: usize,
    /// What the router reads.
    pub router_input: RouterInput,
    /// How scores become weights.
    pub gating: Gating,
    /// A bias that is added to the scores for the choice only (`exp_probs_b`).
    pub choice_bias: Need,
    /// Groups of experts.
    pub groups: Option<ExpertGroups>,
    /// Divide the chosen weights by their sum.
    pub normalize: bool,
    /// Multiplies the weights, after they are normalized; 1 for none.
    pub weight_scale: f32,
    /// The weights multiply what the experts read, not their results (Llama 4).
    pub weigh_input: bool,
    /// The activation of the experts.
    pub activation: Activation,
    /// `down(act(gate x) * up x)` or `down(act(up x))`. Gate and up may be one tensor in the file, `ffn_gate_up_exps`.
    pub gated: bool,
    /// Biases of the router and the experts.
    pub bias: Need,
    /// The norm of the sum of the routed experts, before the shared one is added (`post_ffw_norm_2`).
    pub post_norm: Option<NormSpec>,
    /// The shared expert.
    pub shared: Option<SharedExpertSpec>,
    /// Small experts of groups of experts.
    pub of_groups: Option<GroupExpertsSpec>,
}
