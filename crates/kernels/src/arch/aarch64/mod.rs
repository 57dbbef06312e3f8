//! AArch64: NEON, and NEON with dot product instructions. [`Products`] tells what is in the files and how kernels are
//! built of them; beside those, `shape` and `tile` are the microkernel that formats of a shape share, and `sdot` is an
//! instruction that stable Rust lacks.
//!
//! [`Products`]: crate::linear::products::Products
#![allow(
    clippy::needless_range_loop,
    reason = "a loop over rows or tokens indexes several arrays of registers"
)]

mod decode;
pub(crate) mod dotprod;
mod gemm;
mod gemv;
pub(crate) mod neon;
mod panel;
mod products;
mod sdot;
mod shape;
#[cfg(test)]
mod tests;
mod tile;
#[allow(
    dead_code,
    reason = "for a format that is not decoded in place yet; the tests take all of them this way"
)]
mod unpacked;
mod vector;

use crate::linear::LinearKernel;
use crate::linear::name::Name;
use crate::linear::source::Source;
use decode::{Decode, same_shape};
use happy_tensor::Block;
use products::ArmProducts;

/// The kernel of a format that is decoded in place.
const fn in_place<P: ArmProducts, B: Decode + Source + Block>() -> LinearKernel {
    const {
        assert!(<B as Decode>::PARTS == <B as Source>::PARTS, "the same units");
        assert!(same_shape::<B>());
    }
    LinearKernel {
        dtype: B::DTYPE,
        isa: P::ISA,
        gemv_name: const { &Name::new("gemv", B::DTYPE, gemv::rows::<B>(), 1, P::ISA) }.as_str(),
        gemm_name: const { &Name::new("gemm", B::DTYPE, panel::ROWS, P::TOKENS, P::ISA) }.as_str(),
        gemv: |w, x, y| {
            P::proof().run(
                #[inline(always)]
                move |s| gemv::gemv::<B, P>(s, w, x, y),
            );
        },
        gemm: |w, x, y, panel| {
            P::proof().run(
                #[inline(always)]
                move |s| gemm::gemm::<B, P>(s, w, x, y, panel),
            );
        },
        panel_rows: gemm::PANEL_ROWS,
        panel_bytes: gemm::panel_bytes::<B>,
    }
}

/// The kernel of a format that portable code unpacks.
#[allow(
    dead_code,
    reason = "for a format that is not decoded in place yet; the tests take all of them this way"
)]
const fn unpacked<P: ArmProducts, B: Source<Unit: Decode> + Block>() -> LinearKernel {
    LinearKernel {
        dtype: B::DTYPE,
        isa: P::ISA,
        gemv_name: const { &Name::new("gemv", B::DTYPE, 4, 1, P::ISA) }.as_str(),
        gemm_name: const { &Name::new("gemm", B::DTYPE, panel::ROWS, P::TOKENS, P::ISA) }.as_str(),
        gemv: |w, x, y| {
            P::proof().run(
                #[inline(always)]
                move |s| unpacked::gemv::<B, P>(s, w, x, y),
            );
        },
        gemm: |w, x, y, panel| {
            P::proof().run(
                #[inline(always)]
                move |s| unpacked::gemm::<B, P>(s, w, x, y, panel),
            );
        },
        panel_rows: gemm::PANEL_ROWS,
        panel_bytes: gemm::panel_bytes::<B::Unit>,
    }
}
