//! Linear kernels: a kernel multiplies one weight format on one instruction set, by one token (gemv) or many (gemm).

use super::panel::Panel;
use crate::acts::Acts;
use crate::isa::Isa;
use crate::pool::Columns;
use happy_tensor::DType;

/// Multiplies weight rows by one token: `y[r] = w[r] . x`.
///
/// `w` starts at the first weight row and holds at least `y.len()` rows. What follows them may be prefetched, but is
/// not read otherwise. `x.rows` is 1.
pub type Gemv = fn(w: &[u8], x: Acts<'_>, y: &mut [f32]);

/// Multiplies `y.width()` weight rows by a few tokens, decoding each weight once: `y.row_mut(t)[r] = w[r] . x[t]`.
///
/// `w` is as for [`Gemv`].
pub type Few = fn(w: &[u8], x: Acts<'_>, y: &mut Columns<'_>);

/// A kernel for a few tokens.
#[derive(Clone, Copy)]
pub struct FewKernel {
    /// Name, parseable as `docs/kernels.md` says.
    pub name: &'static str,
    /// The smallest number of tokens for which it is faster than the gemv for each of them. It can multiply any number.
    pub min_tokens: usize,
    /// The largest number of tokens for which it is faster than the gemm.
    pub max_tokens: usize,
    /// The kernel.
    pub multiply: Few,
}

/// Multiplies `y.width()` weight rows by `x.rows` tokens: `y.row_mut(t)[r] = w[r] . x[t]`.
///
/// `panel` is this worker's scratch; its contents are meaningless before and after.
pub type Gemm = fn(w: &[u8], x: Acts<'_>, y: &mut Columns<'_>, panel: &mut Panel);

/// One weight format on one instruction set.
#[derive(Clone, Copy)]
pub struct LinearKernel {
    /// Format of the weights.
    pub dtype: DType,
    /// Instruction set that the machine must have.
    pub isa: Isa,
    /// Name of the gemv, parseable as `docs/kernels.md` says.
    pub gemv_name: &'static str,
    /// Name of the gemm.
    pub gemm_name: &'static str,
    /// The kernel for one token.
    pub gemv: Gemv,
    /// The kernel for a few tokens, if there is one. Token counts that it does not take are left to the others: up to
    /// three tokens are multiplied by the gemv one by one, four and more by the gemm.
    pub few: Option<FewKernel>,
    /// The kernel for many tokens.
    pub gemm: Gemm,
    /// Number of weight rows that the gemm unpacks at a time. The rows of a task are a multiple of it.
    pub panel_rows: usize,
    /// Bytes of [`Panel`] that the gemm needs for rows of `k` weights.
    pub panel_bytes: fn(k: usize) -> usize,
}

impl core::fmt::Debug for LinearKernel {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} / {}", self.gemv_name, self.gemm_name)
    }
}
