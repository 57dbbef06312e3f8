//! Latent attention (MLA).

use super::NormSpec;

/// Which rows of latent attention the cache holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LatentForm {
    /// The short rows `[c, k_rot]`, as one key-value head for all heads. Each head's query is multiplied by its `attn_k_b`. The
    /// values are the same rows, which are stored once; the first part of each head's result is multiplied by its `attn_v_b`.
    Absorbed,
    /// Whole keys and values, which `attn_kv_b` makes of the short rows.
    Expanded,
}

/// Latent attention (DeepSeek 2): keys and values are made of one short row a position.
///
/// ```text
/// q = attn_q_b norm(attn_q_a h), or attn_q h          heads of [q, q_rot]: the last n_rot elements are rotated
/// c, k_rot = attn_kv_a_mqa h;  c = norm(c);  k_rot = rope(k_rot)
/// k = [attn_k_b c, k_rot],  v = attn_v_b c            head by head; k_rot is the same in all
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LatentSpec {
    /// Elements between `attn_q_a` and `attn_q_b`; `None`: `attn_q` makes the queries.
    pub q_rank: Option<usize>,
    /// Elements of `c`.
    pub kv_rank: usize,
    /// Elements of a head's query, the rotated ones included.
    pub head_dim_q: usize,
    /// Rotated elements; those of the layer's rotation.
    pub n_rot: usize,
    /// Elements of a head's result.
    pub head_dim_out: usize,
    /// The norms `attn_q_a_norm` and `attn_kv_a_norm`.
    pub norm: NormSpec,
    /// What the cache holds.
    pub form: LatentForm,
}

impl LatentSpec {
    /// Elements of a head's query that are not rotated.
    pub fn head_dim_plain(&self) -> usize {
        self.head_dim_q.saturating_sub(self.n_rot)
    }

    /// Elements of a short row.
    pub fn row(&self) -> usize {
        self.kv_rank.saturating_add(self.n_rot)
    }

    /// Elements that the two parts of a key and value take of a head, before the rotated ones.
    pub fn head_dim_expanded(&self) -> usize {
        self.head_dim_plain().saturating_add(self.head_dim_out)
    }

    /// Key-value heads, and elements of their keys and values, of `n_heads` query heads.
    pub fn cached(&self, n_heads: usize) -> (usize, usize, usize) {
        match self.form {
            LatentForm::Absorbed => (1, self.row(), self.row()),
            LatentForm::Expanded => (n_heads, self.head_dim_q, self.head_dim_out),
        }
    }
}
