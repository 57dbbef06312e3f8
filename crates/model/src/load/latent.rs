//! Loads the weights of latent attention.

use happy_kernels::linear::Linear;

use super::tensors::Tensors;
use crate::error::LoadError;
use crate::names::block;
use crate::spec::{AttentionSpec, LatentForm, LatentSpec, Need};
use crate::weights::{Latent, LatentUp};

/// Loads the matrix that computes the queries, and the other matrices.
#[inline(never)]
pub(super) fn load(
    t: &mut Tensors<'_>,
    n_embd: usize,
    (a, l): (&AttentionSpec, &LatentSpec),
    i: usize,
) -> Result<(Linear, Latent), LoadError> {
    let (n_heads, rank) = (a.n_heads, l.kv_rank);
    let heads = |n: usize| n.saturating_mul(n_heads);
    let (q, q_a) = match l.q_rank {
        Some(q_rank) => {
            let q_a = t.linear(i, "attn_q_a", n_embd, q_rank, Need::Never)?;
            let norm = t.norm(&format!("blk.{i}.attn_q_a_norm"), &l.norm, q_rank)?;
            (t.linear(i, "attn_q_b", q_rank, heads(l.head_dim_q), Need::Never)?, Some((q_a, norm)))
        }
        None => (t.linear(i, "attn_q", n_embd, heads(l.head_dim_q), Need::Never)?, None),
    };
    let mut stack = |part: &str, n_in: usize, n_out: usize| {
        let tensor = t.tensor(&block(i, part, "weight"), &[n_in, n_out, n_heads])?;
        t.rows(&tensor, 0, heads(n_out), n_in, None)
    };
    let up = match l.form {
        LatentForm::Absorbed => LatentUp::Absorbed {
            k: stack("attn_k_b", l.head_dim_plain(), rank)?,
            v: stack("attn_v_b", rank, l.head_dim_out)?,
        },
        LatentForm::Expanded => {
            LatentUp::Expanded(t.linear(i, "attn_kv_b", rank, heads(l.head_dim_expanded()), Need::Never)?)
        }
    };
    Ok((
        q,
        Latent {
            spec: *l,
            q_a,
            kv_a: t.linear(i, "attn_kv_a_mqa", n_embd, l.row(), Need::Never)?,
            kv_norm: t.norm(&format!("blk.{i}.attn_kv_a_norm"), &l.norm, rank)?,
            up,
        },
    ))
}
