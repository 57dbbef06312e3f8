//! Latent attention (MLA).

use super::NormSpec;

/// Which rows of latent attention the cache stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LatentForm {
    /// The short rows `[c, k_rot]`, as one key-value head for all heads. Each head's query is multiplied by its `attn_k_b`. The
    /// values are the same rows, which are stored once. The first part of each head's result is multiplied by its `attn_v_b`.
    Absorbed,
    /// Whole keys and values, which `attn_kv_b` makes from the short rows.
    Expanded,
}

/// Latent attention (DeepSeek 2): keys and values are made from one short row per position.
///
/// ```text
/// q = attn_q_b norm(attn_q_a h), or attn_q h          heads of [q, q_rot]: the last n_rot elements are rotated
/// c, k_rot = attn_kv_a_mqa h;  c = norm(c);  k_rot = rope(k_rot)
/// k = [attn_k_b c, k_rot],  v = attn_v_b c            head by head; k_rot is the same in all
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LatentSpec {
    /// The number of elements between `attn_q_a` and `attn_q_b`. With `None`, `attn_q` makes the queries.
    pub q_rank: Option<usize>,
    /// The number of elements of `c`.
    pub kv_rank: usize,
    /// The number of elements in a head's query, including the rotated ones.
    pub head_dim_q: usize,
    /// The number of rotated elements, which is that of the layer's rotation.
    pub n_rot: usize,
    /// The number of elements in a head's result.
    pub head_dim_out: usize,
    /// The norms `attn_q_a_norm` and `attn_kv_a_norm`.
    pub norm: NormSpec,
    /// What the cache stores.
    pub form: LatentForm,
}

impl LatentSpec {
    /// Returns the number of elements in a head's query that are not rotated.
    pub fn head_dim_plain(&self) -> usize {
        self.head_dim_q.saturating_sub(self.n_rot)
    }

    /// Returns the number of elements in a short row.
    pub fn row(&self) -> usize {
        self.kv_rank.saturating_add(self.n_rot)
    }

    /// Returns the number of elements per head in the result of `attn_kv_b`: the part of the key that is not rotated, and the value.
    pub fn head_dim_expanded(&self) -> usize {
        self.head_dim_plain().saturating_add(self.head_dim_out)
    }

    /// Returns the number of key-value heads for `n_heads` query heads, and the elements of their keys and values.
    pub fn cached(&self, n_heads: usize) -> (usize, usize, usize) {
        match self.form {
            LatentForm::Absorbed => (1, self.row(), self.row()),
            LatentForm::Expanded => (n_heads, self.head_dim_q, self.head_dim_out),
        }
    }
}
