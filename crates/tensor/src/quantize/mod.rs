//! Encoding by search, for the formats whose best encoding has no formula: the K and IQ formats, and the simple ones
//! when weights say which elements matter.
//!
//! ```text
//! minimise  sum over i of w[i] * (x[i] - decoded[i])^2
//!
//! each sub-block alone:      try scales around the one that spans it; with the integers of a try fixed the best scale
//!                            is a quotient of sums (least squares); keep the try that explains most
//! all together:              try scales of scales d; for each the integer sub-scales beside scale / d, with integers
//!                            chosen anew, and keep the best; then with all integers fixed the best d is a quotient of
//!                            sums again, which may change integers, twice
//! ```
//!
//! `w` is 1 where nothing else is said, so that what is minimised is the mean squared error; ggml's encoders weigh
//! elements by their size then. With an importance matrix `w` is that of the element's column.

mod affine;
mod fit;
mod iq;
mod k;
mod lattice;
mod round;
mod simple;

use fit::{Fitted, Levels, Range, Scales, fit, super_block};
