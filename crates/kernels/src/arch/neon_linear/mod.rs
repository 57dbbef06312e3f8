//! Linear kernels for AArch64: NEON, and NEON with dot product instructions.
//!
//! | file | what |
//! |---|---|
//! | `vec` | NEON as safe functions |
//! | `dotprod_asm` | `sdot`, which stable Rust lacks |
//! | `dot` | the integer products, the only thing that the two instruction sets do differently |
//! | `format` | 16 integers of a block as a vector, for each format |
//! | `gemv` | one token |
//! | `unpacked` | formats without kernels of their own |
//! | `panel`, `shape`, `tile`, `gemm` | many tokens: unpacking, the microkernel that formats of a shape share, the loops |
//!
//! The functions below are where a generic body is compiled for an instruction set, and the only ones that need its
//! presence; they ask for it.
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
mod unpacked;
mod vec;

use crate::isa::Isa;
use crate::linear::source::Source;
use crate::linear::{Acts, LinearKernel, Panel};
use crate::pool::Columns;
use dot::{Dotprod, Neon};
use format::Format;
use happy_tensor::*;

fn gemv_neon<F: Format + Source>(w: &[u8], x: Acts<'_>, y: &mut [f32]) {
    gemv::gemv::<F, _>(Neon, w, x, y);
}

fn gemm_neon<F: Format + Source>(w: &[u8], x: Acts<'_>, y: &mut Columns<'_>, panel: &mut Panel) {
    gemm::gemm::<F, _>(Neon, w, x, y, panel);
}

/// Panics on a processor without dot product instructions.
#[inline(always)]
fn prove_dotprod() {
    let have =
        std::arch::is_aarch64_feature_detected!("neon") && std::arch::is_aarch64_feature_detected!("dotprod");
    if !have || super::pretends_old() {
        super::missing();
    }
}

fn gemv_dotprod<F: Format + Source>(w: &[u8], x: Acts<'_>, y: &mut [f32]) {
    #[target_feature(enable = "neon,dotprod")]
    fn run<F: Format + Source>(w: &[u8], x: Acts<'_>, y: &mut [f32]) {
        gemv::gemv::<F, _>(Dotprod::new(), w, x, y);
    }
    prove_dotprod();
    // SAFETY: the processor has the features.
    unsafe { run::<F>(w, x, y) }
}

fn gemm_dotprod<F: Format + Source>(w: &[u8], x: Acts<'_>, y: &mut Columns<'_>, panel: &mut Panel) {
    #[target_feature(enable = "neon,dotprod")]
    fn run<F: Format + Source>(w: &[u8], x: Acts<'_>, y: &mut Columns<'_>, panel: &mut Panel) {
        gemm::gemm::<F, _>(Dotprod::new(), w, x, y, panel);
    }
    prove_dotprod();
    // SAFETY: the processor has the features.
    unsafe { run::<F>(w, x, y, panel) }
}

fn unpacked_gemv_neon<F: Source<Unit: Format>>(w: &[u8], x: Acts<'_>, y: &mut [f32]) {
    unpacked::gemv::<F, _>(Neon, w, x, y);
}

fn unpacked_gemm_neon<F: Source<Unit: Format>>(
    w: &[u8],
    x: Acts<'_>,
    y: &mut Columns<'_>,
    panel: &mut Panel,
) {
    unpacked::gemm::<F, _>(Neon, w, x, y, panel);
}

fn unpacked_gemv_dotprod<F: Source<Unit: Format>>(w: &[u8], x: Acts<'_>, y: &mut [f32]) {
    #[target_feature(enable = "neon,dotprod")]
    fn run<F: Source<Unit: Format>>(w: &[u8], x: Acts<'_>, y: &mut [f32]) {
        unpacked::gemv::<F, _>(Dotprod::new(), w, x, y);
    }
    prove_dotprod();
    // SAFETY: the processor has the features.
    unsafe { run::<F>(w, x, y) }
}

fn unpacked_gemm_dotprod<F: Source<Unit: Format>>(
    w: &[u8],
    x: Acts<'_>,
    y: &mut Columns<'_>,
    panel: &mut Panel,
) {
    #[target_feature(enable = "neon,dotprod")]
    fn run<F: Source<Unit: Format>>(w: &[u8], x: Acts<'_>, y: &mut Columns<'_>, panel: &mut Panel) {
        unpacked::gemm::<F, _>(Dotprod::new(), w, x, y, panel);
    }
    prove_dotprod();
    // SAFETY: the processor has the features.
    unsafe { run::<F>(w, x, y, panel) }
}

macro_rules! kernels {
    ($isa:ident, $gemv:ident, $gemm:ident, $unpacked_gemv:ident, $unpacked_gemm:ident, $nr:literal, $suffix:literal) => {
        kernels!(@list $isa, $nr, $suffix,
            Q4_0 BlockQ4_0 "q4_0_q8x32" "8" $gemv $gemm, Q4_1 BlockQ4_1 "q4_1_q8x32" "8" $gemv $gemm,
            Q5_0 BlockQ5_0 "q5_0_q8x32" "8" $gemv $gemm, Q5_1 BlockQ5_1 "q5_1_q8x32" "8" $gemv $gemm,
            Q8_0 BlockQ8_0 "q8_0_q8x32" "8" $gemv $gemm, Q2K BlockQ2K "q2_k_q8x256" "4" $gemv $gemm,
            Q3K BlockQ3K "q3_k_q8x256" "4" $gemv $gemm, Q4K BlockQ4K "q4_k_q8x256" "4" $gemv $gemm,
            Q5K BlockQ5K "q5_k_q8x256" "4" $gemv $gemm, Q6K BlockQ6K "q6_k_q8x256" "4" $gemv $gemm,
            Q1_0 BlockQ1_0 "q1_0_q8x32" "4" $unpacked_gemv $unpacked_gemm,
            Q2_0 BlockQ2_0 "q2_0_q8x32" "4" $unpacked_gemv $unpacked_gemm,
            IQ1S BlockIQ1S "iq1_s_q8x256" "4" $unpacked_gemv $unpacked_gemm,
            IQ1M BlockIQ1M "iq1_m_q8x256" "4" $unpacked_gemv $unpacked_gemm,
            IQ2XXS BlockIQ2XXS "iq2_xxs_q8x256" "4" $unpacked_gemv $unpacked_gemm,
            IQ2XS BlockIQ2XS "iq2_xs_q8x256" "4" $unpacked_gemv $unpacked_gemm,
            IQ2S BlockIQ2S "iq2_s_q8x256" "4" $unpacked_gemv $unpacked_gemm,
            IQ3XXS BlockIQ3XXS "iq3_xxs_q8x256" "4" $unpacked_gemv $unpacked_gemm,
            IQ3S BlockIQ3S "iq3_s_q8x256" "4" $unpacked_gemv $unpacked_gemm,
            IQ4NL BlockIQ4NL "iq4_nl_q8x32" "8" $gemv $gemm,
            IQ4XS BlockIQ4XS "iq4_xs_q8x256" "4" $gemv $gemm,
            TQ1_0 BlockTQ1_0 "tq1_0_q8x256" "4" $unpacked_gemv $unpacked_gemm,
            TQ2_0 BlockTQ2_0 "tq2_0_q8x256" "4" $gemv $gemm,
            MXFP4 BlockMXFP4 "mxfp4_q8x32" "8" $gemv $gemm,
            NVFP4 BlockNVFP4 "nvfp4_q8x32" "4" $unpacked_gemv $unpacked_gemm)
    };
    (@list $isa:ident, $nr:literal, $suffix:literal,
     $($dtype:ident $block:ident $name:literal $mr:literal $gemv:ident $gemm:ident),*) => {
        [$(LinearKernel {
            dtype: DType::$dtype,
            isa: Isa::$isa,
            gemv_name: concat!("gemv_", $name, "_", $mr, "x1_", $suffix),
            gemm_name: concat!("gemm_", $name, "_8x", $nr, "_", $suffix),
            gemv: $gemv::<$block>,
            gemm: $gemm::<$block>,
            panel_rows: gemm::PANEL_ROWS,
            panel_bytes: gemm::panel_bytes::<<$block as Source>::Unit>,
        }),*]
    };
}

/// Every quantised format, with what armv8.0 has.
pub(crate) static NEON_KERNELS: [LinearKernel; 25] =
    kernels!(Neon, gemv_neon, gemm_neon, unpacked_gemv_neon, unpacked_gemm_neon, "2", "neon");

/// Every quantised format, with dot product instructions.
pub(crate) static DOTPROD_KERNELS: [LinearKernel; 25] = kernels!(
    Dotprod,
    gemv_dotprod,
    gemm_dotprod,
    unpacked_gemv_dotprod,
    unpacked_gemm_dotprod,
    "4",
    "dotprod"
);
