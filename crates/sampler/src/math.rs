//! The transcendental functions of this crate, in f64 and from the `libm` crate, so that the bits are equal on every
//! platform.

/// `e^x`; 0 for -inf.
#[inline]
pub(crate) fn exp(x: f64) -> f64 {
    // Below -745.13 the exact result rounds to 0 in f64: skip the call for excluded tokens.
    if x < -746.0 { 0.0 } else { libm::exp(x) }
}

/// Natural logarithm.
#[inline]
pub(crate) fn ln(x: f64) -> f64 {
    libm::log(x)
}

/// `x^y`.
#[inline]
pub(crate) fn pow(x: f64, y: f64) -> f64 {
    libm::pow(x, y)
}

/// Logarithm to base 2.
#[inline]
pub(crate) fn log2(x: f64) -> f64 {
    libm::log2(x)
}
