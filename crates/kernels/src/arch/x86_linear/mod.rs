//! Linear kernels of the quantised formats for AVX2 and for AVX-512 with VNNI.
//!
//! ```text
//! vector    256-bit instructions as a token
//! format    a block as vectors of 32 integers, and its scales
//! isa       what differs between the two instruction sets
//! gemv      one token: 8 rows in lanes
//! gemm      many tokens: tiles of 16 rows x 4 or 8 tokens over a panel;  unpack: blocks to panel
//! unpacked  gemv and gemm of the formats that are unpacked by portable code
//! ```
//!
//! Integer sums are exact in any order; what is rounded is one chain of fused multiply-adds for each output, in the
//! order of the units, with outputs in lanes. So the bits are those of [`crate::linear::scalar`].

mod format;
mod gemm;
mod gemv;
mod isa;
mod unpack;
mod unpacked;
mod vector;

use crate::isa::Isa;
use crate::linear::Panel;
use crate::linear::kernel::{Acts, LinearKernel};
use crate::linear::source::Source;
use crate::pool::Columns;
use crate::simd::Simd;
use format::Format;
use happy_tensor::*;
use isa::{Avx2, Avx512};

/// The features of an instruction set, around a generic body with its token.
macro_rules! entries {
    ($features:literal, $token:ident, $gemv:ident, $gemm:ident, $unpacked_gemv:ident, $unpacked_gemm:ident) => {
        #[target_feature(enable = $features)]
        fn $gemv<F: Format + Source>(w: &[u8], x: Acts<'_>, y: &mut [f32]) {
            gemv::gemv::<_, F>($token::new(), w, x, y);
        }

        #[target_feature(enable = $features)]
        fn $gemm<F: Format + Source>(w: &[u8], x: Acts<'_>, y: &mut Columns<'_>, panel: &mut Panel) {
            gemm::gemm::<_, F>($token::new(), w, x, y, panel);
        }

        #[target_feature(enable = $features)]
        fn $unpacked_gemv<S: Source<Unit: Format>>(w: &[u8], x: Acts<'_>, y: &mut [f32]) {
            unpacked::gemv::<_, S>($token::new(), w, x, y);
        }

        #[target_feature(enable = $features)]
        fn $unpacked_gemm<S: Source<Unit: Format>>(
            w: &[u8],
            x: Acts<'_>,
            y: &mut Columns<'_>,
            panel: &mut Panel,
        ) {
            // One copy of the tiles for each kind of unit.
            #[target_feature(enable = $features)]
            fn panels<F: Format>(x: Acts<'_>, y: &mut Columns<'_>, panel: &mut Panel, fill: &Fill<'_>) {
                gemm::panels::<_, F>($token::new(), x, y, panel, fill);
            }
            let rows = unpacked::Rows::<S>::new(w, x, y.width());
            panels::<S::Unit>(x, y, panel, &|first, lines| rows.fill($token::new(), first, lines));
        }
    };
}

/// The tokens that are made only where the machine has the features, which costs a few loads.
mod proof {
    pub(super) use crate::arch::avx2::Avx2;
    pub(super) use crate::arch::avx512::Avx512;
}

/// What fills a panel: the first row, and the lines.
type Fill<'a> = dyn Fn(usize, &mut [gemm::Line]) + 'a;

entries!("avx2,fma,f16c", Avx2, gemv_avx2, gemm_avx2, unpacked_gemv_avx2, unpacked_gemm_avx2);
#[cfg(not(emulate_avx512))]
entries!(
    "avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni",
    Avx512,
    gemv_avx512,
    gemm_avx512,
    unpacked_gemv_avx512,
    unpacked_gemm_avx512
);
#[cfg(emulate_avx512)]
entries!("avx2,fma,f16c", Avx512, gemv_avx512, gemm_avx512, unpacked_gemv_avx512, unpacked_gemm_avx512);

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
                proof::$isa::token();
                // SAFETY: the token proves the features that the function is compiled for.
                unsafe { $gemv::<$block>(w, x, y) }
            },
            gemm: |w, x, y, panel| {
                proof::$isa::token();
                // SAFETY: as above.
                unsafe { $gemm::<$block>(w, x, y, panel) }
            },
            panel_rows: gemm::ROWS,
            panel_bytes: gemm::panel_bytes::<$token, <$block as Source>::Unit>,
        }
    };
}

macro_rules! kernels {
    ($isa:ident, $token:ty, $suffix:literal, $tile:literal, $gemv:ident, $gemm:ident, $unpacked_gemv:ident,
     $unpacked_gemm:ident) => {
        kernels!(@list $isa, $token, $suffix, $tile;
            Q4_0 BlockQ4_0 "q4_0" "q8x32" $gemv $gemm, Q4_1 BlockQ4_1 "q4_1" "q8x32" $gemv $gemm,
            Q5_0 BlockQ5_0 "q5_0" "q8x32" $gemv $gemm, Q5_1 BlockQ5_1 "q5_1" "q8x32" $gemv $gemm,
            Q8_0 BlockQ8_0 "q8_0" "q8x32" $gemv $gemm, Q2K BlockQ2K "q2_k" "q8x256" $gemv $gemm,
            Q3K BlockQ3K "q3_k" "q8x256" $gemv $gemm, Q4K BlockQ4K "q4_k" "q8x256" $gemv $gemm,
            Q5K BlockQ5K "q5_k" "q8x256" $gemv $gemm, Q6K BlockQ6K "q6_k" "q8x256" $gemv $gemm,
            Q1_0 BlockQ1_0 "q1_0" "q8x32" $unpacked_gemv $unpacked_gemm,
            Q2_0 BlockQ2_0 "q2_0" "q8x32" $unpacked_gemv $unpacked_gemm,
            IQ1S BlockIQ1S "iq1_s" "q8x256" $unpacked_gemv $unpacked_gemm,
            IQ1M BlockIQ1M "iq1_m" "q8x256" $unpacked_gemv $unpacked_gemm,
            IQ2XXS BlockIQ2XXS "iq2_xxs" "q8x256" $unpacked_gemv $unpacked_gemm,
            IQ2XS BlockIQ2XS "iq2_xs" "q8x256" $unpacked_gemv $unpacked_gemm,
            IQ2S BlockIQ2S "iq2_s" "q8x256" $unpacked_gemv $unpacked_gemm,
            IQ3XXS BlockIQ3XXS "iq3_xxs" "q8x256" $unpacked_gemv $unpacked_gemm,
            IQ3S BlockIQ3S "iq3_s" "q8x256" $unpacked_gemv $unpacked_gemm,
            IQ4NL BlockIQ4NL "iq4_nl" "q8x32" $gemv $gemm,
            IQ4XS BlockIQ4XS "iq4_xs" "q8x256" $gemv $gemm,
            TQ1_0 BlockTQ1_0 "tq1_0" "q8x256" $unpacked_gemv $unpacked_gemm,
            TQ2_0 BlockTQ2_0 "tq2_0" "q8x256" $gemv $gemm,
            MXFP4 BlockMXFP4 "mxfp4" "q8x32" $gemv $gemm,
            NVFP4 BlockNVFP4 "nvfp4" "q8x32" $unpacked_gemv $unpacked_gemm)
    };
    (@list $isa:ident, $token:ty, $suffix:literal, $tile:literal;
     $($dtype:ident $block:ident $name:literal $act:literal $gemv:ident $gemm:ident),*) => {
        [$(kernel!($dtype, $block, $name, $act, $isa, $token, $suffix, $tile, $gemv, $gemm)),*]
    };
}

/// Every quantised format on AVX2.
pub(crate) static AVX2_KERNELS: [LinearKernel; 25] =
    kernels!(Avx2, Avx2, "avx2", "16x4", gemv_avx2, gemm_avx2, unpacked_gemv_avx2, unpacked_gemm_avx2);

/// Every quantised format on AVX-512 VNNI.
pub(crate) static AVX512_KERNELS: [LinearKernel; 25] = kernels!(
    Avx512,
    Avx512,
    "avx512",
    "16x8",
    gemv_avx512,
    gemm_avx512,
    unpacked_gemv_avx512,
    unpacked_gemm_avx512
);
