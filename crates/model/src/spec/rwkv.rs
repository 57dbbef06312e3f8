//! The halves of RWKV.

/// The time mix of RWKV-6:
///
/// ```text
/// s = row before - h;  m = tanh(W_1 (h + s * lerp_x));  x_j = h + s * (lerp_j + W_2j m_j)      j: decay, key, value, r, gate
/// decay = e^-e^(D_2 tanh(D_1 x_decay) + d);  k, v, r, g = W_k x_key, W_v x_value, W_r x_r, W_g x_gate
/// y = norm((S + bonus k v)^T r) * silu(g);  S = S * decay + k v
/// ```
///
/// As linear attention (Qwen 2 models that were given it): `k = k * (1 - decay)`, `S = S * decay + k v`, and
/// `y = S^T (r / sqrt(head_size)) * sigmoid(g)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rwkv6Spec {
    /// The number of heads. `n_heads * head_size` is the width of the residual stream.
    pub n_heads: usize,
    /// The number of elements in a head.
    pub head_size: usize,
    /// The number of heads of K and V. It divides `n_heads`.
    pub n_kv_heads: usize,
    /// The width of each `m_j`.
    pub mix_rank: usize,
    /// The number of columns of `D_2`, at most the width of the residual stream.
    pub decay_rank: usize,
    /// Whether it is linear attention, without a bonus.
    pub linear: bool,
    /// The epsilon of the norm of each head's result; `None` without a norm.
    pub norm_eps: Option<f32>,
}

/// The time mix of RWKV-7:
///
/// ```text
/// s = row before - h;  x_j = h + s * lerp_j                       j: r, decay, key, value, rate, gate
/// r, k, v = W_r x_r, W_k x_key, W_v x_value;  g = G_2 sigmoid(G_1 x_gate)
/// decay = e^(-e^-0.5 sigmoid(D_2 tanh(D_1 x_decay) + d));  rate = sigmoid(A_2 A_1 x_rate + a)
/// v = v + (first - v) * sigmoid(V_2 V_1 x_value + v_0)            first: v of the first layer, which lacks this step
/// u = k * k_k, each head of unit length;  k = k + (rate - 1) * k * k_a
/// S = S * decay - (S^T u) (u * rate) + k v;  y = (norm(S^T r) + (sum of r k r_k) * v) * g
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rwkv7Spec {
    /// The number of heads. `n_heads * head_size` is the width of the residual stream.
    pub n_heads: usize,
    /// The number of elements in a head.
    pub head_size: usize,
    /// The number of rows of `D_1`. Like the other ranks, it is at most the width of the residual stream.
    pub decay_rank: usize,
    /// The number of rows of `A_1`.
    pub rate_rank: usize,
    /// The number of rows of `V_1`; `None` in the first layer.
    pub value_rank: Option<usize>,
    /// The number of rows of `G_1`; `None` without gates.
    pub gate_rank: Option<usize>,
    /// The epsilon of the norm of each head's result; `None` without a norm.
    pub norm_eps: Option<f32>,
}

/// The channel mix of RWKV, a feed-forward half that also reads the previous row:
/// `W_v relu(W_k lerp_k)^2`, times `sigmoid(W_r lerp_r)` in RWKV-6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelMixSpec {
    /// The width of the residual stream, which is the number of values that it keeps of the last row.
    pub width: usize,
    /// The number of rows of `W_k`.
    pub n_ff: usize,
    /// Whether its result has gates (RWKV-6).
    pub gated: bool,
}

impl Rwkv6Spec {
    /// Elements of a row of all heads.
    pub fn width(&self) -> usize {
        self.n_heads.saturating_mul(self.head_size)
    }
}

impl Rwkv7Spec {
    /// Elements of a row of all heads.
    pub fn width(&self) -> usize {
        self.n_heads.saturating_mul(self.head_size)
    }
}
