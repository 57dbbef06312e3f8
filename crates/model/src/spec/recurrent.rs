//! Mixers that carry a state from position to position instead of a list of keys and values.
//!
//! The state of a sequence and layer is one list of f32 values, zeros at position 0. A scan reads and writes it position by
//! position, so its bits do not depend on how a prompt is cut into batches.

use super::NormSpec;

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
}

/// `b, c, x = W_in h;  y = W_out (c * conv(b * x))`, a causal convolution of each channel (LFM2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShortConvSpec {
    /// Channels.
    pub n_channels: usize,
    /// Positions that the convolution sees, the current one included; at least 1.
    pub kernel: usize,
}

impl RecurrentSpec {
    /// f32 values that a sequence keeps in the layer.
    pub fn state_elements(&self) -> usize {
        match self.kind {
            RecurrentKind::ShortConv(s) => s.kernel.saturating_sub(1).saturating_mul(s.n_channels),
        }
    }
}
