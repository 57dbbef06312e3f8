//! Loads the weights of mixtures of experts.

use happy_kernels::linear::Linear;

use super::tensors::Tensors;
use crate::error::LoadError;
use crate::names::{self, block};
use crate::spec::*;
use crate::weights::{Ffn, Mlp, Moe, SharedExpert};

/// Loads the mixture of layer `i`.
#[inline(never)]
pub(super) fn load(t: &mut Tensors<'_>, n_embd: usize, m: &MoeSpec, i: usize) -> Result<Ffn, LoadError> {
    let router = t.linear(i, "ffn_gate_inp", n_embd, m.n_experts, m.bias)?;
    let router_norm = match &m.router_input {
        RouterInput::Scaled(norm) => {
            let factor = 1.0 / (n_embd as f32).sqrt();
            Some(t.scaled_norm(&block(i, "ffn_gate_inp", "scale"), norm, n_embd, factor)?)
        }
        RouterInput::Block | RouterInput::Layer => None,
    };
    let choice_bias = choice_bias(t, m, i)?;
    let fused = m.gated && t.has(&block(i, "ffn_gate_up_exps", "weight"));
    let mut stack = |part: &str, n_in: usize, n_out: usize| -> Result<Linear, LoadError> {
        let tensor = t.tensor(&block(i, part, "weight"), &[n_in, n_out, m.n_experts])?;
        let bias = t.opt_vector(m.bias, &block(i, part, "bias"), &[n_out, m.n_experts])?;
        t.rows(&tensor, 0, n_out.saturating_mul(m.n_experts), n_in, bias.as_deref())
    };
    let mut gate_or_up = |part: &str| match fused {
        true => stack("ffn_gate_up_exps", n_embd, 2 * m.n_ff),
        false => stack(part, n_embd, m.n_ff),
    };
    let gate = if m.gated { Some(gate_or_up("ffn_gate_exps")?) } else { None };
    let up = gate_or_up("ffn_up_exps")?;
    let down = stack("ffn_down_exps", m.n_ff, n_embd)?;
    let experts =
        Mlp { activation: m.activation, sparsity: None, gate, up, divisors: None, sub_norm: None, down };
    let shared = m.shared.as_ref().map(|s| shared_expert(t, n_embd, s, m, i)).transpose()?;
    let of_groups = m.of_groups.as_ref().map(|g| group_experts(t, n_embd, g, m, i)).transpose()?;
    let post_norm = t.opt_norm(i, names::FFN_POST_NORM_2, m.post_norm.as_ref(), n_embd)?;
    Ok(Ffn::Moe(Moe {
        spec: *m,
        router,
        router_norm,
        choice_bias,
        experts,
        fused,
        post_norm,
        shared,
        of_groups,
    }))
}

/// Loads the small experts of groups.
#[inline(never)]
fn group_experts(
    t: &mut Tensors<'_>,
    n_embd: usize,
    g: &GroupExpertsSpec,
    m: &MoeSpec,
    i: usize,
) -> Result<Mlp, LoadError> {
    let n = m.n_experts / g.group;
    let mut stack = |part: &str, n_in: usize, n_out: usize| -> Result<Linear, LoadError> {
        let tensor = t.tensor(&block(i, part, "weight"), &[n_in, n_out, n])?;
        t.rows(&tensor, 0, n_out.saturating_mul(n), n_in, None)
    };
    let gate = if m.gated { Some(stack("ffn_gate_chexps", n_embd, g.n_ff)?) } else { None };
    let (up, down) = (stack("ffn_up_chexps", n_embd, g.n_ff)?, stack("ffn_down_chexps", g.n_ff, n_embd)?);
    Ok(Mlp { activation: m.activation, sparsity: None, gate, up, divisors: None, sub_norm: None, down })
}

/// Loads the bias that is added for the choice of experts. Some converters leave `.bias` out of its name.
fn choice_bias(t: &mut Tensors<'_>, m: &MoeSpec, i: usize) -> Result<Option<Vec<f32>>, LoadError> {
    let (name, short) = (block(i, "exp_probs_b", "bias"), format!("blk.{i}.exp_probs_b"));
    let name = if !t.has(&name) && t.has(&short) { short } else { name };
    t.opt_vector(m.choice_bias, &name, &[m.n_experts])
}

#[inline(never)]
fn shared_expert(
    t: &mut Tensors<'_>,
    n_embd: usize,
    s: &SharedExpertSpec,
    m: &MoeSpec,
    i: usize,
) -> Result<SharedExpert, LoadError> {
    let gate = if s.gated {
        let tensor = t.tensor(&block(i, "ffn_gate_inp_shexp", "weight"), &[n_embd])?;
        Some(t.rows(&tensor, 0, 1, n_embd, None)?)
    } else {
        None
    };
    let [gate_name, up_name, down_name] = match s.dense {
        true => ["ffn_gate", "ffn_up", "ffn_down"],
        false => ["ffn_gate_shexp", "ffn_up_shexp", "ffn_down_shexp"],
    };
    let down = t.linear(i, down_name, s.n_ff, n_embd, Need::Never)?;
    let (own, up) = if s.fused {
        let tensor = t.tensor(&block(i, up_name, "weight"), &[n_embd, 2 * s.n_ff])?;
        let half = |first| t.rows(&tensor, first, s.n_ff, n_embd, None);
        (Some(half(0)?), half(s.n_ff)?)
    } else {
        let mut linear = |part: &str| t.linear(i, part, n_embd, s.n_ff, Need::Never);
        (if m.gated { Some(linear(gate_name)?) } else { None }, linear(up_name)?)
    };
    let mlp =
        Mlp { activation: m.activation, sparsity: None, gate: own, up, divisors: None, sub_norm: None, down };
    Ok(SharedExpert {
        mlp,
        gate,
        norm: t.opt_norm(i, names::FFN_NORM, s.norm.as_ref(), n_embd)?,
        post_norm: t.opt_norm(i, names::FFN_POST_NORM_1, s.post_norm.as_ref(), n_embd)?,
    })
}
