//! The parts of a [`ModelSpec`](super::ModelSpec) that describe recurrent mixers: mixers that carry a state of constant size from
//! one position to the next, where attention keeps the keys and values of every position.
//!
//! The state of one sequence in one layer is a list of f32 values. It begins with the last inputs of the short convolution,
//! followed by what the scan keeps; before position 0, all of it is zero. The scan reads and writes the state one position at a
//! time, so cutting a prompt into batches of another size doesn't change the result by a single bit.

use super::{NormSpec, Rwkv6Spec, Rwkv7Spec};

/// The recurrent mixer of a layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RecurrentSpec {
    /// The norm before the projections. `None` for a mixer beside attention, which reads the same normed rows as the attention.
    pub norm: Option<NormSpec>,
    /// The name of that norm's tensor, without `blk.{layer}.` and `.weight`. It is `attn_norm` in most architectures.
    pub norm_name: &'static str,
    /// What the mixer computes.
    pub kind: RecurrentKind,
    /// The norm after the output projection (`post_attention_norm`).
    pub post_norm: Option<NormSpec>,
}

/// What a recurrent mixer computes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RecurrentKind {
    /// A short convolution between two gates.
    ShortConv(ShortConvSpec),
    /// Mamba: a state space model in which every channel has several states, each with a decay of its own.
    Mamba(MambaSpec),
    /// Mamba 2: a state space model in which all channels of a head share one decay.
    Mamba2(Mamba2Spec),
    /// The mixer of PLaMo 2: Mamba 2 with different projections.
    Plamo2(Plamo2Spec),
    /// Linear attention with the gated delta rule.
    DeltaNet(DeltaNetSpec),
    /// Kimi's delta attention: the gated delta rule with a decay for each channel of K.
    Kda(KdaSpec),
    /// Linear attention with a constant decay for each head.
    Lightning(LightningSpec),
    /// RWKV-6: linear attention whose inputs mix each row with the one before it.
    Rwkv6(Rwkv6Spec),
    /// RWKV-7: the delta rule, with inputs that mix each row with the one before it.
    Rwkv7(Rwkv7Spec),
}

/// The short convolution of LFM2, between two gates:
///
/// ```text
/// b, c, x = W_in h;  y = W_out (c * conv(b * x))
/// ```
///
/// The convolution works on each channel by itself. It is causal; in a model that isn't causal, it is centered on the current
/// position, and `kernel` must be odd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShortConvSpec {
    /// Number of channels.
    pub n_channels: usize,
    /// Number of positions that the convolution sees, including the current one: from 1 to 16.
    pub kernel: usize,
}

/// Mamba:
///
/// ```text
/// x, z = W_in h;  x = silu(conv(x));  dt, b, c = norm(W_x x);  dt = softplus(W_dt dt + bias)
/// s = s * e^(dt a) + dt x b;  y = W_out (silu(z) * (s c + d x))
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MambaSpec {
    /// Number of channels.
    pub d_inner: usize,
    /// Number of states of each channel.
    pub d_state: usize,
    /// Width of `dt` before the product with `W_dt`.
    pub dt_rank: usize,
    /// Number of positions that the convolution sees, including the current one: from 1 to 16.
    pub kernel: usize,
    /// The norm of `dt`, `b` and `c`: each with weights of its own (Jamba), or without weights (Falcon Mamba).
    pub dt_b_c_norm: Option<NormSpec>,
}

/// Mamba 2:
///
/// ```text
/// z, x, b, c, dt = W_in h;  x, b, c = silu(conv(x, b, c));  dt = softplus(dt + bias)
/// S = S * e^(dt a) + dt x b;  y = W_out norm(silu(z) * (S c + d x))      the heads of a group share b and c
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mamba2Spec {
    /// Number of channels in all heads together.
    pub d_inner: usize,
    /// Number of heads. It divides `d_inner`.
    pub n_heads: usize,
    /// Number of groups of heads. It divides `n_heads` and `d_inner`.
    pub n_groups: usize,
    /// Number of states of each channel.
    pub d_state: usize,
    /// Number of positions that the convolution sees, including the current one: from 1 to 16.
    pub kernel: usize,
    /// The norm before the output matrix, over the channels of each group.
    pub norm: Option<NormSpec>,
}

/// The mixer of PLaMo 2:
///
/// ```text
/// z, x = W_in h, head by head;  x = silu(conv(x));  b, c, dt = norm(W_x x);  dt = softplus(W_dt dt + bias)
/// S = S * e^(dt a) + dt x b;  y = W_out (silu(z) * (S c + d x))          each head has its own step and decay
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plamo2Spec {
    /// Number of channels in all heads together.
    pub d_inner: usize,
    /// Number of heads. It divides `d_inner`.
    pub n_heads: usize,
    /// Number of states of each channel.
    pub d_state: usize,
    /// Width of `dt` before the product with `W_dt`.
    pub dt_rank: usize,
    /// Number of positions that the convolution sees, including the current one: from 1 to 16.
    pub kernel: usize,
    /// The norm of `b`, `c` and `dt`, each with its own weights.
    pub norm: NormSpec,
}

/// Gated delta net:
///
/// ```text
/// q, k, v = silu(conv(W_qkv h));  q, k = q / |q|, k / |k|;  decay = e^(a softplus(W_alpha h + bias));  beta = sigmoid(W_beta h)
/// S = S * decay;  S = S + k beta (v - S^T k);  y = W_out (norm(S^T q / sqrt(head_dim_k)) * silu(W_z h))
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DeltaNetSpec {
    /// Number of heads of Q, and of K. It divides `n_v_heads`.
    pub n_k_heads: usize,
    /// Number of heads of V.
    pub n_v_heads: usize,
    /// Number of elements in a head of Q or K.
    pub head_dim_k: usize,
    /// Number of elements in a head of V.
    pub head_dim_v: usize,
    /// Number of positions that the convolution sees, including the current one: from 1 to 16.
    pub kernel: usize,
    /// What is added to the sum of squares, under the root, when Q and K are scaled to unit length.
    pub eps: f32,
    /// Two things that differ in Qwen 3 Next. If `true`, head `h` of V uses head `h / (n_v_heads / n_k_heads)` of K, instead of
    /// `h % n_k_heads`; and W_beta and W_alpha are one matrix (`ssm_ba`), which holds beta, then alpha, for each head of K.
    pub grouped: bool,
    /// The norm that each head's result passes through.
    pub norm: NormSpec,
}

/// Kimi's delta attention, a gated delta net with a decay for each channel of K:
///
/// ```text
/// q, k, v = silu(conv(W_q h, W_k h, W_v h));  q = q / |q|, k / |k|;  beta = sigmoid(W_beta h);  f = F_b F_a h + bias
/// decay = e^(a softplus(f)), or with a lower bound e^(bound * sigmoid(a f))                 each head has its own a
/// S = S * decay;  S = S + k beta (v - S^T k);  y = W_out (norm(S^T q / sqrt(head_dim)) * sigmoid(G_b G_a h))
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KdaSpec {
    /// Number of heads.
    pub n_heads: usize,
    /// Number of elements in a head of Q, K or V.
    pub head_dim: usize,
    /// Number of positions that the convolution sees, including the current one: from 1 to 16.
    pub kernel: usize,
    /// What is added to the sum of squares, under the root, when Q and K are scaled to unit length.
    pub eps: f32,
    /// Number of rows of `F_a` and `G_a`. `None` if these are full matrices and `F_b` and `G_b` don't exist (Ling 3).
    pub rank: Option<usize>,
    /// The lower bound of the decays' logarithms, a number below 0.
    pub lower_bound: Option<f32>,
    /// The norm that each head's result passes through.
    pub norm: NormSpec,
}

/// Lightning attention (MiniMax 01): linear attention with a constant decay for each head:
///
/// ```text
/// q, k, v = silu(W_qkv h), head by head;  S = S * decay + k v;  y = W_out (norm(S^T q) * sigmoid(W_g h))
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LightningSpec {
    /// Number of heads.
    pub n_heads: usize,
    /// Number of elements in a head of Q, K or V.
    pub head_dim: usize,
    /// The factor of the slopes. Head `n` decays by `e^-(strength * slope)` from one position to the next; the slopes fall
    /// geometrically from head to head, as ALiBi's do.
    pub strength: f32,
    /// The norm of the results of all heads as one row (the tensor `attn_norm_2`).
    pub norm: NormSpec,
}

impl KdaSpec {
    /// Number of elements in a row of Q, K or V.
    pub fn width(&self) -> usize {
        self.n_heads.saturating_mul(self.head_dim)
    }

    /// Number of channels of the convolution, which runs over q, k and v.
    pub fn conv_dim(&self) -> usize {
        self.width().saturating_mul(3)
    }
}

impl LightningSpec {
    /// Number of elements in a row of Q, K or V.
    pub fn width(&self) -> usize {
        self.n_heads.saturating_mul(self.head_dim)
    }
}

impl MambaSpec {
    /// Number of columns of the product with `W_x`, which holds dt, b and c.
    pub fn x_dim(&self) -> usize {
        self.dt_rank.saturating_add(self.d_state.saturating_mul(2))
    }
}

impl Mamba2Spec {
    /// Number of channels of the convolution, which runs over x, b and c.
    pub fn conv_dim(&self) -> usize {
        self.d_inner.saturating_add(self.n_groups.saturating_mul(self.d_state).saturating_mul(2))
    }

    /// Number of rows of `W_in`.
    pub fn in_dim(&self) -> usize {
        self.d_inner.saturating_add(self.conv_dim()).saturating_add(self.n_heads)
    }

    /// Number of channels in a head.
    pub fn head_dim(&self) -> usize {
        self.d_inner / self.n_heads.max(1)
    }
}

impl Plamo2Spec {
    /// Number of columns of the product with `W_x`, which holds b, c and dt.
    pub fn x_dim(&self) -> usize {
        self.dt_rank.saturating_add(self.d_state.saturating_mul(2))
    }
}

impl DeltaNetSpec {
    /// Number of elements in a row of Q or K.
    pub fn k_dim(&self) -> usize {
        self.n_k_heads.saturating_mul(self.head_dim_k)
    }

    /// Number of elements in a row of V.
    pub fn v_dim(&self) -> usize {
        self.n_v_heads.saturating_mul(self.head_dim_v)
    }

    /// Number of channels of the convolution, which runs over q, k and v.
    pub fn conv_dim(&self) -> usize {
        self.k_dim().saturating_mul(2).saturating_add(self.v_dim())
    }
}

/// How many values a row has in each buffer of a mixer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RecurrentWidths {
    /// The result of the input projection.
    pub(crate) projected: usize,
    /// The gates that multiply the result.
    pub(crate) gate: usize,
    /// What the scan reads for each channel: the steps, or the input times its step.
    pub(crate) wide: usize,
    /// Inputs of the scan with few values a row: steps and states, or beta.
    pub(crate) small: usize,
    /// The decays of the heads.
    pub(crate) decay: usize,
    /// The scan's result.
    pub(crate) y: usize,
    /// V of the first layer, which later layers read.
    pub(crate) first: usize,
    /// The longest part of a row that is normed in place.
    pub(crate) normed: usize,
}

impl RecurrentSpec {
    /// Number of positions and channels of the convolution; 0 channels for a mixer without one. RWKV keeps the previous row, just as a
    /// convolution over two positions would.
    pub(crate) fn conv(&self) -> (usize, usize) {
        match self.kind {
            RecurrentKind::ShortConv(s) => (s.kernel, s.n_channels),
            RecurrentKind::Mamba(s) => (s.kernel, s.d_inner),
            RecurrentKind::Mamba2(s) => (s.kernel, s.conv_dim()),
            RecurrentKind::Plamo2(s) => (s.kernel, s.d_inner),
            RecurrentKind::DeltaNet(s) => (s.kernel, s.conv_dim()),
            RecurrentKind::Kda(s) => (s.kernel, s.conv_dim()),
            RecurrentKind::Lightning(_) => (1, 0),
            RecurrentKind::Rwkv6(s) => (2, s.width()),
            RecurrentKind::Rwkv7(s) => (2, s.width()),
        }
    }

    /// Number of f32 values in the convolution's state.
    pub(crate) fn conv_elements(&self) -> usize {
        let (kernel, channels) = self.conv();
        kernel.saturating_sub(1).saturating_mul(channels)
    }

    /// Number of f32 values that the layer keeps for each sequence.
    pub fn state_elements(&self) -> usize {
        let scan = match self.kind {
            RecurrentKind::ShortConv(_) => 0,
            RecurrentKind::Mamba(s) => s.d_state.saturating_mul(s.d_inner),
            RecurrentKind::Mamba2(s) => s.d_state.saturating_mul(s.d_inner),
            RecurrentKind::Plamo2(s) => s.d_state.saturating_mul(s.d_inner),
            RecurrentKind::DeltaNet(s) => s.v_dim().saturating_mul(s.head_dim_k),
            RecurrentKind::Kda(s) => s.width().saturating_mul(s.head_dim),
            RecurrentKind::Lightning(s) => s.width().saturating_mul(s.head_dim),
            RecurrentKind::Rwkv6(s) => s.width().saturating_mul(s.head_size),
            RecurrentKind::Rwkv7(s) => s.width().saturating_mul(s.head_size),
        };
        self.conv_elements().saturating_add(scan)
    }

    /// How many values a row has in each of the mixer's buffers.
    pub(crate) fn widths(&self) -> RecurrentWidths {
        let none = RecurrentWidths::default();
        match self.kind {
            RecurrentKind::ShortConv(s) => {
                RecurrentWidths { projected: s.n_channels.saturating_mul(3), y: s.n_channels, ..none }
            }
            RecurrentKind::Mamba(s) => RecurrentWidths {
                projected: s.d_inner.saturating_mul(2),
                wide: s.d_inner,
                small: s.x_dim(),
                y: s.d_inner,
                normed: s.dt_b_c_norm.map_or(0, |_| s.dt_rank.max(s.d_state)),
                ..none
            },
            RecurrentKind::Mamba2(s) => RecurrentWidths {
                projected: s.in_dim(),
                wide: s.d_inner,
                decay: s.n_heads,
                y: s.d_inner,
                normed: s.norm.map_or(0, |_| s.d_inner / s.n_groups.max(1)),
                ..none
            },
            RecurrentKind::Plamo2(s) => RecurrentWidths {
                projected: s.d_inner.saturating_mul(2),
                gate: s.d_inner,
                wide: s.d_inner,
                small: s.x_dim(),
                decay: s.n_heads,
                y: s.d_inner,
                normed: s.dt_rank.max(s.d_state),
                ..none
            },
            RecurrentKind::Rwkv6(s) => RecurrentWidths {
                projected: s.width().saturating_mul(5),
                gate: s.width(),
                wide: s.width(),
                small: s.width().saturating_mul(2).max(s.mix_rank.saturating_mul(5)),
                decay: s.width(),
                y: s.width(),
                normed: s.norm_eps.map_or(0, |_| s.head_size),
                ..none
            },
            RecurrentKind::Rwkv7(s) => RecurrentWidths {
                projected: s.width().saturating_mul(6),
                gate: s.width(),
                wide: s.width(),
                small: s.width().saturating_mul(2),
                decay: s.width(),
                y: s.width(),
                first: s.width(),
                normed: s.width(),
            },
            RecurrentKind::Kda(s) => RecurrentWidths {
                projected: s.conv_dim(),
                gate: s.width(),
                wide: s.rank.unwrap_or(0).saturating_mul(2),
                small: s.n_heads,
                decay: s.width(),
                y: s.width(),
                normed: s.head_dim,
                ..none
            },
            RecurrentKind::Lightning(s) => RecurrentWidths {
                projected: s.width().saturating_mul(3),
                gate: s.width(),
                decay: s.n_heads,
                y: s.width(),
                normed: s.width(),
                ..none
            },
            RecurrentKind::DeltaNet(s) => RecurrentWidths {
                projected: s.conv_dim(),
                gate: s.v_dim(),
                small: s.n_v_heads.saturating_mul(if s.grouped { 2 } else { 1 }),
                decay: s.n_v_heads,
                y: s.v_dim(),
                normed: s.head_dim_k.max(s.head_dim_v),
                ..none
            },
        }
    }
}
