//! Linear kernels for AArch64: NEON, and NEON with dot product instructions.
//!
//! | file | what |
//! |---|---|
//! | `vec` | NEON as safe functions |
//! | `dotprod_asm` | `sdot`, which stable Rust lacks |
//! | `dot` | the integer products, the only thing that the two instruction sets do differently |
//! | `format` | 16 integers of a block as a vector, for each format |
//! | `gemv` | one token |
//! | `panel`, `shape`, `tile`, `gemm` | many tokens: unpacking, the microkernel that formats of a shape share, the loops |
//!
//! The functions below are where a generic body is compiled for an instruction set, and the only ones that need its
//! presence: a [`LinearKernel`] is handed out only where [`Isa::supported`] holds.
#![allow(
    clippy::needless_range_loop,
    reason = "a loop over rows or tokens indexes several arrays of registers"
)]

mod dot;
mod dotprod_asm;
mod format;
mod gemm;
mod gemv;
mod panel;
mod shape;
#[cfg(test)]
mod tests;
mod tile;
mod vec;

use crate::isa::Isa;
use crate::linear::{Acts, LinearKernel, Panel};
use crate::pool::Columns;
use dot::{Dotprod, Neon};
use format::Format;
use happy_tensor::{
    BlockQ2K, BlockQ3K, BlockQ4_0, BlockQ4_1, BlockQ4K, BlockQ5_0, BlockQ5_1, BlockQ5K, BlockQ6K, BlockQ8_0,
    DType,
};

fn gemv_neon<F: Format>(w: &[u8], x: Acts<'_>, y: &mut [f32]) {
    gemv::gemv::<F, _>(Neon, w, x, y);
}

fn gemm_neon<F: Format>(w: &[u8], x: Acts<'_>, y: &mut Columns<'_>, panel: &mut Panel) {
    gemm::gemm::<F, _>(Neon, w, x, y, panel);
}

fn gemv_dotprod<F: Format>(w: &[u8], x: Acts<'_>, y: &mut [f32]) {
    #[target_feature(enable = "neon,dotprod")]
    fn run<F: Format>(w: &[u8], x: Acts<'_>, y: &mut [f32]) {
        gemv::gemv::<F, _>(Dotprod::new(), w, x, y);
    }
    // SAFETY: kernels of `Isa::Dotprod` are handed out only where the processor has the feature.
    unsafe { run::<F>(w, x, y) }
}

fn gemm_dotprod<F: Format>(w: &[u8], x: Acts<'_>, y: &mut Columns<'_>, panel: &mut Panel) {
    #[target_feature(enable = "neon,dotprod")]
    fn run<F: Format>(w: &[u8], x: Acts<'_>, y: &mut Columns<'_>, panel: &mut Panel) {
        gemm::gemm::<F, _>(Dotprod::new(), w, x, y, panel);
    }
    // SAFETY: kernels of `Isa::Dotprod` are handed out only where the processor has the feature.
    unsafe { run::<F>(w, x, y, panel) }
}

macro_rules! kernels {
    ($isa:ident, $gemv:ident, $gemm:ident, $nr:literal, $suffix:literal) => {
        kernels!(@list $isa, $gemv, $gemm, $nr, $suffix,
            Q4_0 BlockQ4_0 "q4_0_q8x32" "8", Q4_1 BlockQ4_1 "q4_1_q8x32" "8", Q5_0 BlockQ5_0 "q5_0_q8x32" "8",
            Q5_1 BlockQ5_1 "q5_1_q8x32" "8", Q8_0 BlockQ8_0 "q8_0_q8x32" "8", Q2K BlockQ2K "q2_k_q8x256" "4",
            Q3K BlockQ3K "q3_k_q8x256" "4", Q4K BlockQ4K "q4_k_q8x256" "4", Q5K BlockQ5K "q5_k_q8x256" "4",
            Q6K BlockQ6K "q6_k_q8x256" "4")
    };
    (@list $isa:ident, $gemv:ident, $gemm:ident, $nr:literal, $suffix:literal,
     $($dtype:ident $block:ident $name:literal $mr:literal),*) => {
        [$(LinearKernel {
            dtype: DType::$dtype,
            isa: Isa::$isa,
            gemv_name: concat!("gemv_", $name, "_", $mr, "x1_", $suffix),
            gemm_name: concat!("gemm_", $name, "_8x", $nr, "_", $suffix),
            gemv: $gemv::<$block>,
            gemm: $gemm::<$block>,
            panel_rows: gemm::PANEL_ROWS,
            panel_bytes: gemm::panel_bytes::<$block>,
        }),*]
    };
}

/// Every quantised format, with what armv8.0 has.
pub(crate) static NEON_KERNELS: [LinearKernel; 10] = kernels!(Neon, gemv_neon, gemm_neon, "2", "neon");

/// Every quantised format, with dot product instructions.
pub(crate) static DOTPROD_KERNELS: [LinearKernel; 10] =
    kernels!(Dotprod, gemv_dotprod, gemm_dotprod, "4", "dotprod");
