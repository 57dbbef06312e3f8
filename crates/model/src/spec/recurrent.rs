//! Mixers that carry a state from position to position instead of a list of keys and values.
//!
//! The state of a sequence and layer is one list of f32 values, zeros at position 0: first the last inputs of the short
//! convolution, then what the scan keeps. A scan reads and writes it position by position, so its bits do not depend on how
//! a prompt is cut into batches.

use super::{NormSpec, Rwkv6Spec, Rwkv7Spec};

/// The recurrent mixer of a layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RecurrentSpec {
    /// The norm before the projections; `None` beside attention, whose normed rows it reads.
    pub norm: Option<NormSpec>,
    /// The name of that norm's tensor, without `blk.{layer}.` and `.weight`. Mostly `attn_norm`.
    pub norm_name: &'static str,
    /// What it computes.
    pub kind: RecurrentKind,
    /// The norm after the output projection (`post_attention_norm`).
    pub post_norm: Option<NormSpec>,
}

/// What a recurrent mixer computes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RecurrentKind {
    /// A short convolution between two gates.
    ShortConv(ShortConvSpec),
    /// A state space with a decay for each channel and state.
    Mamba(MambaSpec),
    /// A state space with a decay for each head.
    Mamba2(Mamba2Spec),
    /// A Mamba 2 with other projections.
    Plamo2(Plamo2Spec),
    /// Linear attention with the gated delta rule.
    DeltaNet(DeltaNetSpec),
    /// The same with a decay for each channel of K (Kimi's delta attention).
    Kda(KdaSpec),
    /// Linear attention with a constant decay for each head.
    Lightning(LightningSpec),
    /// Linear attention of mixtures of each row with the one before it.
    Rwkv6(Rwkv6Spec),
    /// The delta rule of mixtures of each row with the one before it.
    Rwkv7(Rwkv7Spec),
}

/// `b, c, x = W_in h;  y = W_out (c * conv(b * x))`, a causal convolution of each channel (LFM2); in a model that is not causal, a
/// centered one of an odd number of positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShortConvSpec {
    /// Channels.
    pub n_channels: usize,
    /// Positions that the convolution sees, the current one included; 1 to 16.
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
    /// Channels.
    pub d_inner: usize,
    /// States of a channel.
    pub d_state: usize,
    /// Width of `dt` before `W_dt`.
    pub dt_rank: usize,
    /// Positions that the convolution sees; 1 to 16.
    pub kernel: usize,
    /// The norm of `dt`, `b` and `c`, each with its own weights (Jamba) or without (Falcon Mamba).
    pub dt_b_c_norm: Option<NormSpec>,
}

/// Mamba 2:
///
/// ```text
/// z, x, b, c, dt = W_in h;  x, b, c = silu(conv(x, b, c));  dt = softplus(dt + bias)
/// S = S * e^(dt a) + dt x b;  y = W_out norm(silu(z) * (S c + d x))      b and c shared by the heads of a group
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mamba2Spec {
    /// Channels of all heads.
    pub d_inner: usize,
    /// Heads; divides `d_inner`.
    pub n_heads: usize,
    /// Groups of heads; divides `n_heads` and `d_inner`.
    pub n_groups: usize,
    /// States of a channel.
    pub d_state: usize,
    /// Positions that the convolution sees; 1 to 16.
    pub kernel: usize,
    /// The norm of each group's channels before the output matrix.
    pub norm: Option<NormSpec>,
}

/// The mixer of PLaMo 2:
///
/// ```text
/// z, x = W_in h, head by head;  x = silu(conv(x));  b, c, dt = norm(W_x x);  dt = softplus(W_dt dt + bias)
/// S = S * e^(dt a) + dt x b;  y = W_out (silu(z) * (S c + d x))          a step and a decay for each head
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plamo2Spec {
    /// Channels of all heads.
    pub d_inner: usize,
    /// Heads; divides `d_inner`.
    pub n_heads: usize,
    /// States of a channel.
    pub d_state: usize,
    /// Width of `dt` before `W_dt`.
    pub dt_rank: usize,
    /// Positions that the convolution sees; 1 to 16.
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
    /// Heads of Q and K; divides `n_v_heads`.
    pub n_k_heads: usize,
    /// Heads of V.
    pub n_v_heads: usize,
    /// Elements of a head of Q or K.
    pub head_dim_k: usize,
    /// Elements of a head of V.
    pub head_dim_v: usize,
    /// Positions that the convolution sees; 1 to 16.
    pub kernel: usize,
    /// Added to the sum of squares under the root when Q and K get unit length.
    pub eps: f32,
    /// Head `h` of V uses head `h / (n_v_heads / n_k_heads)` of K, not `h % n_k_heads`; and W_beta and W_alpha are one matrix
    /// (`ssm_ba`), which has beta then alpha for each head of K (Qwen 3 Next).
    pub grouped: bool,
    /// The norm of each head's result.
    pub norm: NormSpec,
}

/// Kimi's delta attention, a gated delta net with a decay for each channel of K:
///
/// ```text
/// q, k, v = silu(conv(W_q h, W_k h, W_v h));  q = q / |q|, k / |k|;  beta = sigmoid(W_beta h);  f = F_b F_a h + bias
/// decay = e^(a softplus(f)), or with a lower bound e^(bound * sigmoid(a f))                 a: a number for each head
/// S = S * decay;  S = S + k beta (v - S^T k);  y = W_out (norm(S^T q / sqrt(head_dim)) * sigmoid(G_b G_a h))
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KdaSpec {
    /// Heads.
    pub n_heads: usize,
    /// Elements of a head of Q, K or V.
    pub head_dim: usize,
    /// Positions that the convolution sees; 1 to 16.
    pub kernel: usize,
    /// Added to the sum of squares under the root when Q and K get unit length.
    pub eps: f32,
    /// Rows of `F_a` and `G_a`; `None`: `F_a` and `G_a` are whole matrices, without `F_b` and `G_b` (Ling 3).
    pub rank: Option<usize>,
    /// Bound of the decays' logarithms, below 0.
    pub lower_bound: Option<f32>,
    /// The norm of each head's result.
    pub norm: NormSpec,
}

/// Lightning attention (MiniMax 01), linear attention whose decay depends on the head alone:
///
/// ```text
/// q, k, v = silu(W_qkv h), head by head;  S = S * decay + k v;  y = W_out (norm(S^T q) * sigmoid(W_g h))
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LightningSpec {
    /// Heads.
    pub n_heads: usize,
    /// Elements of a head of Q, K or V.
    pub head_dim: usize,
    /// Multiplies the slopes: head `n` of `n_heads` decays by `e^-(strength * slope)`, where the slope falls geometrically
    /// from head to head as ALiBi's does.
    pub strength: f32,
    /// The norm of the row of all heads, `attn_norm_2`.
    pub norm: NormSpec,
}

impl KdaSpec {
    /// Elements of a row of Q, K or V.
    pub fn width(&self) -> usize {
        self.n_heads.saturating_mul(self.head_dim)
    }

    /// Channels of the convolution: q, k, v.
    pub fn conv_dim(&self) -> usize {
        self.width().saturating_mul(3)
    }
}

impl LightningSpec {
    /// Elements of a row of Q, K or V.
    pub fn width(&self) -> usize {
        self.n_heads.saturating_mul(self.head_dim)
    }
}

impl MambaSpec {
    /// Columns of `W_x`'s result: dt, b, c.
    pub fn x_dim(&self) -> usize {
        self.dt_rank.saturating_add(self.d_state.saturating_mul(2))
    }
}

impl Mamba2Spec {
    /// Channels of the convolution: x, b, c.
    pub fn conv_dim(&self) -> usize {
        self.d_inner.saturating_add(self.n_groups.saturating_mul(self.d_state).saturating_mul(2))
    }

    /// Rows of `W_in`.
    pub fn in_dim(&self) -> usize {
        self.d_inner.saturating_add(self.conv_dim()).saturating_add(self.n_heads)
    }

    /// Channels of a head.
    pub fn head_dim(&self) -> usize {
        self.d_inner / self.n_heads.max(1)
    }
}

impl Plamo2Spec {
    /// Columns of `W_x`'s result: b, c, dt.
    pub fn x_dim(&self) -> usize {
        self.dt_rank.saturating_add(self.d_state.saturating_mul(2))
    }
}

impl DeltaNetSpec {
    /// Elements of a row of Q or K.
    pub fn k_dim(&self) -> usize {
        self.n_k_heads.saturating_mul(self.head_dim_k)
    }

    /// Elements of a row of V.
    pub fn v_dim(&self) -> usize {
        self.n_v_heads.saturating_mul(self.head_dim_v)
    }

    /// Channels of the convolution: q, k, v.
    pub fn conv_dim(&self) -> usize {
        self.k_dim().saturating_mul(2).saturating_add(self.v_dim())
    }
}

/// Values a row of a mixer's buffers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RecurrentWidths {
    /// What the input projection gives.
    pub(crate) projected: usize,
    /// Gates of the result.
    pub(crate) gate: usize,
    /// The scan's input of each channel: steps, or the input times its step.
    pub(crate) wide: usize,
    /// Few values a row: steps and states, or beta.
    pub(crate) small: usize,
    /// Decays of the heads.
    pub(crate) decay: usize,
    /// The scan's result.
    pub(crate) y: usize,
    /// V of the first layer, which later ones read.
    pub(crate) first: usize,
    /// The longest part that is normed in place.
    pub(crate) normed: usize,
}

impl RecurrentSpec {
    /// Positions and channels of the convolution, 0 channels without one; RWKV keeps one row as a convolution over two does.
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

    /// f32 values of the convolution's state.
    pub(crate) fn conv_elements(&self) -> usize {
        let (kernel, channels) = self.conv();
        kernel.saturating_sub(1).saturating_mul(channels)
    }

    /// f32 values that a sequence keeps in the layer.
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

    /// Values a row of the mixer's buffers.
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
