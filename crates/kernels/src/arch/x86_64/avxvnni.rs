//! AVX-VNNI: the dot products of bytes on 256 bits, for processors without AVX-512 (most laptops since 2021).
//!
//! Tiles have the shape of AVX2's, 16 rows by 4 tokens in 16 registers; their sums of products are i32 and need no
//! moving out. Float operations are those of [`Avx2`].

use super::avx2::Avx2;
use super::decode::Decode;
#[cfg(emulate_avxvnni)]
use super::emulated512::{
    _mm256_dpbusd_epi32 as _mm256_dpbusd_avx_epi32, _mm256_dpwssd_epi32 as _mm256_dpwssd_avx_epi32,
};
use super::in_place;
use super::products::{Halves, RowProducts};
use super::vector::V;
use super::vnni::Vnni;
use crate::arch::{missing, pretends_old};
use crate::isa::Isa;
use crate::kernels::IsaKernels;
use crate::linear::LinearKernel;
use crate::linear::products::Products;
use crate::linear::table::kernel_table;
use crate::ops::Ops;
use core::arch::x86_64::__m256i;
#[cfg(not(emulate_avxvnni))]
use core::arch::x86_64::{_mm256_dpbusd_avx_epi32, _mm256_dpwssd_avx_epi32};
use happy_tensor::DType;

/// The formats decoded in place, in the order of the list.
static LINEAR: [LinearKernel; DType::COUNT] = kernel_table!(AvxVnni, in place [
    Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2K Q3K Q4K Q5K Q6K Q1_0 Q2_0 IQ1S IQ1M IQ2XXS IQ2XS IQ2S IQ3XXS IQ3S IQ4NL IQ4XS TQ1_0 TQ2_0
    MXFP4 NVFP4
]);

/// Everything on this instruction set. It uses the float operations of AVX2.
pub(crate) static KERNELS: IsaKernels = IsaKernels {
    isa: Isa::AvxVnni,
    ops: || AvxVnni::new().map(|AvxVnni(avx2)| Ops::new(avx2)),
    linear: &LINEAR,
};

/// Proof that the machine has AVX-VNNI, besides what [`Avx2`] proves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AvxVnni(Avx2);

impl AvxVnni {
    /// Returns the token if the machine has the instructions.
    #[inline(always)]
    pub(crate) fn new() -> Option<Self> {
        let have = cfg!(emulate_avxvnni) || is_x86_feature_detected!("avxvnni");
        if have && !pretends_old() { Avx2::new().map(AvxVnni) } else { None }
    }
}

/// Runs `body`, compiled for the instruction set, or for AVX2 if it is emulated.
#[cfg_attr(emulate_avxvnni, target_feature(enable = "avx2,fma,f16c"))]
#[cfg_attr(not(emulate_avxvnni), target_feature(enable = "avx2,fma,f16c,avxvnni"))]
fn run_with_features(s: AvxVnni, body: impl FnOnce(AvxVnni)) {
    body(s);
}

impl Products for AvxVnni {
    const ISA: Isa = Isa::AvxVnni;
    const TOKENS: usize = 4;
    type Floats = Avx2;

    #[inline(always)]
    fn proof() -> Self {
        match Self::new() {
            Some(token) => token,
            None => missing(),
        }
    }

    #[inline(always)]
    fn run(self, body: impl FnOnce(Self)) {
        // SAFETY: the token proves the features.
        unsafe { run_with_features(self, body) }
    }
}

impl Vnni for AvxVnni {
    #[inline(always)]
    fn registers(self) -> V {
        V::of(self.0)
    }

    #[inline(always)]
    fn dot4_256(self, acc: __m256i, w: __m256i, a: __m256i) -> __m256i {
        // SAFETY: the token proves the features.
        unsafe { _mm256_dpbusd_avx_epi32(acc, w, a) }
    }

    #[inline(always)]
    fn dot2_256(self, acc: __m256i, w: __m256i, a: __m256i) -> __m256i {
        // SAFETY: the token proves the features.
        unsafe { _mm256_dpwssd_avx_epi32(acc, w, a) }
    }
}

impl Halves for AvxVnni {
    #[inline(always)]
    fn step8<F: Decode>(self, p: __m256i, w: __m256i, a: __m256i) -> __m256i {
        self.dot4_256(p, w, a)
    }

    #[inline(always)]
    fn add_sums8(self, acc: __m256i, p: __m256i) -> __m256i {
        self.v().add32(acc, p)
    }

    #[inline(always)]
    fn add_scaled8(self, acc: __m256i, p: __m256i, scale: __m256i) -> __m256i {
        let v = self.v();
        v.add32(acc, v.mul32(p, scale))
    }
}
