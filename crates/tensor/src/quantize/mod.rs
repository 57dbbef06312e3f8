//! Encoding by search: for the K and IQ formats, whose best encoding has no formula, and for the simple formats if weights
//! are given.
//!
//! ```text
//! minimize  sum over i of w[i] * (x[i] - decoded[i])^2
//!
//! each sub-block alone:      try 4 to 16 scales around the one that spans the sub-block. With the integers of a try fixed, the
//!                            best scale is a quotient of sums (least squares). Keep the try with the least error.
//! the whole super-block:     try up to four scales of scales d. For each, try the integer sub-scales next to scale / d, with
//!                            the integers chosen anew, and keep the best. With all integers fixed, the best d is again a
//!                            quotient of sums; choose the integers anew for it.
//! ```
//!
//! Eight tries run side by side, each in a lane of vector registers. Every sum has a fixed order, nothing is fused, and no step
//! depends on the width of registers, so the bytes are the same on every machine.
//!
//! Without weights, `w` is 1, so that the mean squared error is minimized. (ggml's encoders then weigh elements by their
//! size.) With an importance matrix, `w` is the weight of the element's column.

mod affine;
mod fit;
mod iq;
mod k;
mod lattice;
mod neighbors;
mod round;
mod simple;

use fit::{Fitted, Levels, Range, Scales, fit, super_block};
