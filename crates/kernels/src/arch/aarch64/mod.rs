//! AArch64: NEON, NEON with dot product instructions, and NEON with both these and matrix products. [`Products`] says
//! what each file holds and how kernels are built from them. Besides those files, `shape` and `tile` are the
//! microkernel that formats of one shape share, and `sdot` and `smmla` are instructions that stable Rust lacks.
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
pub(crate) mod i8mm;
pub(crate) mod neon;
mod panel;
mod products;
mod sdot;
mod shape;
mod smmla;
#[cfg(test)]
mod tests;
mod tile;
#[allow(
    dead_code,
    reason = "for a format that is not decoded in place yet; the tests take all of them this way"
)]
mod unpacked;
mod vector;

use crate::acts::Acts;
use crate::linear::LinearKernel;
use crate::linear::name::Name;
use crate::linear::panel::PANEL_MAX_ROWS;
use crate::linear::source::Source;
use decode::{Decode, same_shape};
use gemm::Panels;
use happy_tensor::Block;
use products::ArmProducts;

/// The kernel of a format that is decoded in place.
const fn in_place<P: Panels, B: Decode + Source + Block>() -> LinearKernel {
    const {
        assert!(<B as Decode>::PARTS == <B as Source>::PARTS, "the same units");
        assert!(same_shape::<B>());
        assert!(P::TILES * panel::ROWS <= PANEL_MAX_ROWS);
    }
    LinearKernel {
        dtype: B::DTYPE,
        isa: P::ISA,
        gemv_name: const { &Name::new("gemv", B::DTYPE, gemv::rows::<B>(), 1, P::ISA) }.as_str(),
        gemm_name: const { &Name::new("gemm", B::DTYPE, panel::ROWS, P::TOKENS, P::ISA) }.as_str(),
        gemv: in_place_gemv::<P::Rows, B>,
        gemm: gemm::gemm::<B, P>,
        few: None,
        panel_rows: P::TILES * panel::ROWS,
        panel_bytes: gemm::panel_bytes::<B::Shape, P>,
    }
}

fn in_place_gemv<D: ArmProducts, B: Decode + Source>(w: &[u8], x: Acts<'_>, y: &mut [f32]) {
    D::proof().run(
        #[inline(always)]
        move |s| gemv::gemv::<B, D>(s, w, x, y),
    );
}

/// The kernel of a format that portable code unpacks.
#[allow(
    dead_code,
    reason = "for a format that is not decoded in place yet; the tests take all of them this way"
)]
const fn unpacked<P: Panels, B: Source<Unit: Decode> + Block>() -> LinearKernel {
    LinearKernel {
        dtype: B::DTYPE,
        isa: P::ISA,
        gemv_name: const { &Name::new("gemv", B::DTYPE, 4, 1, P::ISA) }.as_str(),
        gemm_name: const { &Name::new("gemm", B::DTYPE, panel::ROWS, P::TOKENS, P::ISA) }.as_str(),
        gemv: unpacked_gemv::<P::Rows, B>,
        gemm: unpacked::gemm::<B, P>,
        few: None,
        panel_rows: P::TILES * panel::ROWS,
        panel_bytes: gemm::panel_bytes::<<B::Unit as Decode>::Shape, P>,
    }
}

#[allow(dead_code, reason = "as `unpacked`")]
fn unpacked_gemv<D: ArmProducts, B: Source<Unit: Decode>>(w: &[u8], x: Acts<'_>, y: &mut [f32]) {
    D::proof().run(
        #[inline(always)]
        move |s| unpacked::gemv::<B, D>(s, w, x, y),
    );
}
