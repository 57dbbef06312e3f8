//! The activation functions of feed-forward layers, as names; `ops` computes them.

/// The non-linearity of a feed-forward layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// x / (1 + e^-x)
    Silu,
    /// x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2
    Gelu,
    /// x (1 + erf(x / sqrt 2)) / 2
    GeluErf,
    /// x / (1 + e^(-1.702 x))
    GeluQuick,
    /// max(x, 0)
    Relu,
    /// max(x, 0)^2
    ReluSquared,
    /// 1 / (1 + e^-x)
    Sigmoid,
    /// tanh x
    Tanh,
    /// ln(1 + e^x)
    Softplus,
    /// Apertus: alpha_p x^2 + beta x above 0, else alpha_n (e^min(x, eps) - 1 - x) + beta x.
    Xielu {
        /// Factor of the part below 0.
        alpha_n: f32,
        /// Factor of the square above 0.
        alpha_p: f32,
        /// Slope at 0.
        beta: f32,
        /// Upper bound of the exponent, a small number below 0.
        eps: f32,
    },
    /// g = min(gate, limit), u = clamp(up, -limit, limit), result g / (1 + e^-g) u. Without a gate, u is 1.
    SwigluClamped {
        /// Bound of the inputs.
        limit: f32,
    },
    /// gpt-oss: g = min(gate, limit), u = clamp(up, -limit, limit), result g / (1 + e^(-alpha g)) (u + 1). Without a
    /// gate, u is 0.
    SwigluOai {
        /// Slope of the sigmoid, 1.702.
        alpha: f32,
        /// Bound of the inputs, 7.
        limit: f32,
    },
}
