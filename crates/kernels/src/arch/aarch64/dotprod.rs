//! NEON with dot product instructions.

use super::in_place;
use super::neon::Neon;
use super::products::ArmProducts;
use super::sdot::{sdot, sdot_lane0, sdot_lane1, sdot_lane2, sdot_lane3};
use super::shape::Shape;
use super::vector::*;
use crate::arch::{missing, pretends_old};
use crate::isa::Isa;
use crate::kernels::IsaKernels;
use crate::linear::LinearKernel;
use crate::linear::products::Products;
use crate::linear::table::kernel_table;
use crate::ops::Ops;
use core::arch::aarch64::{int8x16_t, int32x4_t};
use happy_tensor::DType;

/// The formats decoded in place, in the order of the list.
static LINEAR: [LinearKernel; DType::COUNT] = kernel_table!(Dotprod, in place [
    Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2K Q3K Q4K Q5K Q6K Q1_0 Q2_0 IQ1S IQ1M IQ2XXS IQ2XS IQ2S IQ3XXS IQ3S IQ4NL IQ4XS TQ1_0 TQ2_0
    MXFP4 NVFP4
]);

/// Everything on this instruction set. It uses the float operations of NEON.
pub(crate) static KERNELS: IsaKernels = IsaKernels {
    isa: Isa::Dotprod,
    ops: || Dotprod::new().and_then(|_| Neon::new()).map(Ops::new),
    linear: &LINEAR,
};

/// Proof that the machine has `sdot`, besides NEON.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dotprod(());

impl Dotprod {
    /// Returns the token if the machine has the instructions.
    #[inline(always)]
    pub(super) fn new() -> Option<Self> {
        let have = std::arch::is_aarch64_feature_detected!("neon")
            && std::arch::is_aarch64_feature_detected!("dotprod");
        (have && !pretends_old()).then_some(Dotprod(()))
    }
}

impl Products for Dotprod {
    const ISA: Isa = Isa::Dotprod;
    const TOKENS: usize = 4;
    type Floats = Neon;

    #[inline(always)]
    fn proof() -> Self {
        match Self::new() {
            Some(token) => token,
            None => missing(),
        }
    }

    #[inline(always)]
    fn run(self, body: impl FnOnce(Self)) {
        #[target_feature(enable = "neon,dotprod")]
        fn with_features(s: Dotprod, body: impl FnOnce(Dotprod)) {
            body(s);
        }
        // SAFETY: the token proves the features.
        unsafe { with_features(self, body) }
    }
}

/// Calls an instruction of [`Dotprod`].
macro_rules! dotprod {
    ($f:ident, $acc:expr, $w:expr, $a:expr) => {{
        let (acc, w, a) = ($acc, $w, $a);
        // SAFETY: a `Dotprod` is made only if the processor has the feature.
        unsafe { $f(acc, w, a) }
    }};
}

impl ArmProducts for Dotprod {
    type Of<S: Shape> = S::Narrow;

    #[inline(always)]
    fn dot16(self, w: int8x16_t, a: int8x16_t) -> int32x4_t {
        dotprod!(sdot, splat_i32(0), w, a)
    }

    #[inline(always)]
    fn dot32<const WIDE: bool>(self, acc: int32x4_t, w: [int8x16_t; 2], a: [int8x16_t; 2]) -> int32x4_t {
        dotprod!(sdot, dotprod!(sdot, acc, w[0], a[0]), w[1], a[1])
    }

    #[inline(always)]
    fn dots<const T: usize, const WIDE: bool>(self, w: &[Bytes], a: [&[[i8; 16]]; T]) -> [[int32x4_t; 2]; T] {
        let mut acc = [[splat_i32(0); 2]; T];
        for (g, w) in w.as_chunks::<8>().0.iter().enumerate() {
            let mut x = [splat_i8(0); T];
            for t in 0..T {
                x[t] = load_i8(&a[t][g]);
            }
            macro_rules! step {
                ($f:ident, $w0:literal) => {
                    let (w0, w1) = (signed(load(&w[$w0])), signed(load(&w[$w0 + 1])));
                    for t in 0..T {
                        acc[t] = [dotprod!($f, acc[t][0], w0, x[t]), dotprod!($f, acc[t][1], w1, x[t])];
                    }
                };
            }
            step!(sdot_lane0, 0);
            step!(sdot_lane1, 2);
            step!(sdot_lane2, 4);
            step!(sdot_lane3, 6);
        }
        acc
    }
}
