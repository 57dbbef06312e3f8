//! Linear kernels of the quantised formats for AVX2 and for AVX-512 with VNNI.
//!
//! ```text
//! vector    256-bit instructions as a token
//! format    a block as vectors of 32 integers, and its scales
//! isa       what differs between the two instruction sets
//! gemv      one token: 8 rows in lanes
//! gemm      many tokens: tiles of 16 rows x 4 or 8 tokens over a panel;  unpack: blocks to panel
//! ```
//!
//! Integer sums are exact in any order; what is rounded is one chain of fused multiply-adds for each output, in the
//! order of the units, with outputs in lanes. So the bits are those of [`crate::linear::scalar`].

mod format;
mod gemm;
mod gemv;
mod isa;
mod unpack;
mod vector;

use crate::isa::Isa;
use crate::linear::Panel;
use crate::linear::kernel::{Acts, LinearKernel};
use crate::pool::Columns;
use format::Format;
use happy_tensor::{
    BlockQ2K, BlockQ3K, BlockQ4_0, BlockQ4_1, BlockQ4K, BlockQ5_0, BlockQ5_1, BlockQ5K, BlockQ6K, BlockQ8_0,
    DType,
};
use isa::{Avx2, Avx512};

#[target_feature(enable = "avx2,fma,f16c")]
fn gemv_avx2<F: Format>(w: &[u8], x: Acts<'_>, y: &mut [f32]) {
    gemv::gemv::<_, F>(Avx2::new(), w, x, y);
}

#[target_feature(enable = "avx2,fma,f16c")]
fn gemm_avx2<F: Format>(w: &[u8], x: Acts<'_>, y: &mut Columns<'_>, panel: &mut Panel) {
    gemm::gemm::<_, F>(Avx2::new(), w, x, y, panel);
}

#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
fn gemv_avx512<F: Format>(w: &[u8], x: Acts<'_>, y: &mut [f32]) {
    gemv::gemv::<_, F>(Avx512::new(), w, x, y);
}

#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
fn gemm_avx512<F: Format>(w: &[u8], x: Acts<'_>, y: &mut Columns<'_>, panel: &mut Panel) {
    gemm::gemm::<_, F>(Avx512::new(), w, x, y, panel);
}

/// A kernel as a table entry: a plain function around the one that is compiled for the features.
macro_rules! kernel {
    ($dtype:ident, $block:ty, $name:literal, $act:literal, $isa:ident, $token:ty, $suffix:literal, $tile:literal,
     $gemv:ident, $gemm:ident) => {
        LinearKernel {
            dtype: DType::$dtype,
            isa: Isa::$isa,
            gemv_name: concat!("gemv_", $name, "_", $act, "_8x1_", $suffix),
            gemm_name: concat!("gemm_", $name, "_", $act, "_", $tile, "_", $suffix),
            gemv: |w, x, y| {
                debug_assert!(Isa::$isa.supported());
                // SAFETY: a table with this kernel is handed out only where `Isa::supported` found its features
                // (`Kernels::with_isa`); whoever takes it from the list of all kernels must ask the same.
                unsafe { $gemv::<$block>(w, x, y) }
            },
            gemm: |w, x, y, panel| {
                debug_assert!(Isa::$isa.supported());
                // SAFETY: as above.
                unsafe { $gemm::<$block>(w, x, y, panel) }
            },
            panel_rows: gemm::ROWS,
            panel_bytes: gemm::panel_bytes::<$token, $block>,
        }
    };
}

macro_rules! kernels {
    ($($args:tt)*) => {
        [
            kernel!(Q4_0, BlockQ4_0, "q4_0", "q8x32", $($args)*),
            kernel!(Q4_1, BlockQ4_1, "q4_1", "q8x32", $($args)*),
            kernel!(Q5_0, BlockQ5_0, "q5_0", "q8x32", $($args)*),
            kernel!(Q5_1, BlockQ5_1, "q5_1", "q8x32", $($args)*),
            kernel!(Q8_0, BlockQ8_0, "q8_0", "q8x32", $($args)*),
            kernel!(Q2K, BlockQ2K, "q2_k", "q8x256", $($args)*),
            kernel!(Q3K, BlockQ3K, "q3_k", "q8x256", $($args)*),
            kernel!(Q4K, BlockQ4K, "q4_k", "q8x256", $($args)*),
            kernel!(Q5K, BlockQ5K, "q5_k", "q8x256", $($args)*),
            kernel!(Q6K, BlockQ6K, "q6_k", "q8x256", $($args)*),
        ]
    };
}

/// Every quantised format on AVX2.
pub(crate) static AVX2_KERNELS: [LinearKernel; 10] =
    kernels!(Avx2, Avx2, "avx2", "16x4", gemv_avx2, gemm_avx2);

/// Every quantised format on AVX-512 VNNI.
pub(crate) static AVX512_KERNELS: [LinearKernel; 10] =
    kernels!(Avx512, Avx512, "avx512", "16x8", gemv_avx512, gemm_avx512);
