//! The AVX-512 intrinsics that this crate uses, on AVX2: with `--cfg emulate_avx512` the kernels for AVX-512 are
//! compiled against these and run on machines that lack it, where the tests can then compare their bits.
//!
//! A register is represented by its two halves, so most instructions are the AVX2 instruction on each half. What AVX2
//! lacks is written from the operations in Intel's Intrinsics Guide. The tests compare every intrinsic with plain
//! loops, and with the hardware if it has AVX-512. Names, types and order of arguments are those of
//! `core::arch::x86_64`, which this module replaces; its own definitions hide those that the glob imports.
//!
//! # Safety
//! Loads and stores access as many bytes as the register has.
#![allow(non_camel_case_types, clippy::missing_safety_doc)]
#![cfg_attr(not(emulate_avx512), allow(dead_code, reason = "AVX-VNNI takes two of them"))]

pub(super) use core::arch::x86_64::*;

/// Two halves of 8 f32, the lower first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct __m512([__m256; 2]);

/// Two halves of 256 bits, the lower first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct __m512i([__m256i; 2]);

/// Intrinsics that do the same to each half.
macro_rules! each_half {
    ($(fn $name:ident($($arg:ident: $ty:ident),+) -> $out:ident = $f:expr;)*) => {$(
        #[inline]
        #[target_feature(enable = "avx2,fma,f16c")]
        pub(super) fn $name($($arg: $ty),+) -> $out {
            $out([$f($($arg.0[0]),+), $f($($arg.0[1]),+)])
        }
    )*};
}

each_half! {
    fn _mm512_add_ps(a: __m512, b: __m512) -> __m512 = _mm256_add_ps;
    fn _mm512_sub_ps(a: __m512, b: __m512) -> __m512 = _mm256_sub_ps;
    fn _mm512_mul_ps(a: __m512, b: __m512) -> __m512 = _mm256_mul_ps;
    fn _mm512_div_ps(a: __m512, b: __m512) -> __m512 = _mm256_div_ps;
    fn _mm512_min_ps(a: __m512, b: __m512) -> __m512 = _mm256_min_ps;
    fn _mm512_max_ps(a: __m512, b: __m512) -> __m512 = _mm256_max_ps;
    fn _mm512_fmadd_ps(a: __m512, b: __m512, c: __m512) -> __m512 = _mm256_fmadd_ps;
    fn _mm512_fnmadd_ps(a: __m512, b: __m512, c: __m512) -> __m512 = _mm256_fnmadd_ps;
    fn _mm512_cvtepi32_ps(a: __m512i) -> __m512 = _mm256_cvtepi32_ps;
    fn _mm512_castps_si512(a: __m512) -> __m512i = _mm256_castps_si256;
    fn _mm512_castsi512_ps(a: __m512i) -> __m512 = _mm256_castsi256_ps;
    fn _mm512_add_epi32(a: __m512i, b: __m512i) -> __m512i = _mm256_add_epi32;
    fn _mm512_mullo_epi32(a: __m512i, b: __m512i) -> __m512i = _mm256_mullo_epi32;
    fn _mm512_max_epi32(a: __m512i, b: __m512i) -> __m512i = _mm256_max_epi32;
    fn _mm512_and_si512(a: __m512i, b: __m512i) -> __m512i = _mm256_and_si256;
    fn _mm512_or_si512(a: __m512i, b: __m512i) -> __m512i = _mm256_or_si256;
    fn _mm512_dpbusd_epi32(acc: __m512i, a: __m512i, b: __m512i) -> __m512i = _mm256_dpbusd_epi32;
    fn _mm512_dpwssd_epi32(acc: __m512i, a: __m512i, b: __m512i) -> __m512i = _mm256_dpwssd_epi32;
}

/// Intrinsics that put the same value into each half.
macro_rules! both_halves {
    ($(fn $name:ident($arg:ident: $ty:ty) -> $out:ident = $f:expr;)*) => {$(
        #[inline]
        #[target_feature(enable = "avx2,fma,f16c")]
        pub(super) fn $name($arg: $ty) -> $out {
            $out([$f($arg); 2])
        }
    )*};
}

both_halves! {
    fn _mm512_set1_ps(x: f32) -> __m512 = _mm256_set1_ps;
    fn _mm512_set1_epi32(x: i32) -> __m512i = _mm256_set1_epi32;
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn _mm512_loadu_ps(p: *const f32) -> __m512 {
    // SAFETY: the caller's 64 bytes.
    unsafe { __m512([_mm256_loadu_ps(p), _mm256_loadu_ps(p.add(8))]) }
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn _mm512_storeu_ps(p: *mut f32, a: __m512) {
    // SAFETY: the caller's 64 bytes.
    unsafe {
        _mm256_storeu_ps(p, a.0[0]);
        _mm256_storeu_ps(p.add(8), a.0[1]);
    }
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn _mm512_loadu_si512(p: *const __m512i) -> __m512i {
    let p: *const __m256i = p.cast();
    // SAFETY: the caller's 64 bytes.
    unsafe { __m512i([_mm256_loadu_si256(p), _mm256_loadu_si256(p.add(1))]) }
}

/// The other intrinsics.
macro_rules! others {
    ($($(#[doc = $doc:literal])* fn $name:ident $(<const $n:ident: $nt:ty>)? ($($arg:ident: $ty:ty),+) $(-> $out:ty)?
        $body:block)*) => {$(
        $(#[doc = $doc])*
        #[inline]
        #[target_feature(enable = "avx2,fma,f16c")]
        pub(super) fn $name $(<const $n: $nt>)? ($($arg: $ty),+) $(-> $out)? $body
    )*};
}

others! {
    /// `VPDPBUSD`: four products of u8 and i8, added to an i32 that wraps.
    fn _mm256_dpbusd_epi32(acc: __m256i, a: __m256i, b: __m256i) -> __m256i {
        // Even and odd bytes are multiplied separately, as i16: a sum of two products fits an i32 and cannot saturate.
        let even = _mm256_madd_epi16(
            _mm256_and_si256(a, _mm256_set1_epi16(0xFF)),
            _mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(b)),
        );
        let odd = _mm256_madd_epi16(_mm256_srli_epi16::<8>(a), _mm256_srai_epi16::<8>(b));
        _mm256_add_epi32(acc, _mm256_add_epi32(even, odd))
    }

    /// `VPDPWSSD`: two products of i16, added to an i32 that wraps.
    fn _mm256_dpwssd_epi32(acc: __m256i, a: __m256i, b: __m256i) -> __m256i {
        _mm256_add_epi32(acc, _mm256_madd_epi16(a, b))
    }

    fn _mm512_slli_epi32<const N: u32>(a: __m512i) -> __m512i {
        // The AVX2 intrinsic takes its constant as i32; a count in a register does the same.
        let count = _mm_cvtsi32_si128(N as i32);
        __m512i([_mm256_sll_epi32(a.0[0], count), _mm256_sll_epi32(a.0[1], count)])
    }

    fn _mm512_castps512_ps256(a: __m512) -> __m256 {
        a.0[0]
    }

    /// The upper half is undefined on hardware. Here it is filled with NaNs, so that a use of it shows.
    fn _mm512_castps256_ps512(a: __m256) -> __m512 {
        __m512([a, _mm256_set1_ps(f32::NAN)])
    }

    fn _mm512_extractf32x8_ps<const HALF: i32>(a: __m512) -> __m256 {
        a.0[usize::from(HALF & 1 == 1)]
    }

    fn _mm512_insertf32x8<const HALF: i32>(a: __m512, b: __m256) -> __m512 {
        let mut out = a;
        out.0[usize::from(HALF & 1 == 1)] = b;
        out
    }

    fn _mm512_cmp_ps_mask<const OP: i32>(a: __m512, b: __m512) -> __mmask16 {
        let half = |i: usize| _mm256_movemask_ps(_mm256_cmp_ps::<OP>(a.0[i], b.0[i])) as u16;
        half(0) | half(1) << 8
    }

    /// `b` where the mask has a one, else `a`.
    fn _mm512_mask_blend_ps(k: __mmask16, a: __m512, b: __m512) -> __m512 {
        let bits = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
        let half = |i: usize| {
            let k = _mm256_set1_epi32(i32::from(k >> (8 * i)));
            let lanes = _mm256_cmpeq_epi32(_mm256_and_si256(k, bits), bits);
            _mm256_blendv_ps(a.0[i], b.0[i], _mm256_castsi256_ps(lanes))
        };
        __m512([half(0), half(1)])
    }

    fn _mm512_cvtph_ps(a: __m256i) -> __m512 {
        __m512([
            _mm256_cvtph_ps(_mm256_castsi256_si128(a)),
            _mm256_cvtph_ps(_mm256_extracti128_si256::<1>(a)),
        ])
    }

    /// Rounds to nearest, which is the only `ROUNDING` that is used here.
    fn _mm512_cvtps_ph<const ROUNDING: i32>(a: __m512) -> __m256i {
        const { assert!(ROUNDING & 7 == _MM_FROUND_TO_NEAREST_INT) };
        let half = |i: usize| _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(a.0[i]);
        _mm256_set_m128i(half(1), half(0))
    }

    fn _mm512_cvtepu16_epi32(a: __m256i) -> __m512i {
        __m512i([
            _mm256_cvtepu16_epi32(_mm256_castsi256_si128(a)),
            _mm256_cvtepu16_epi32(_mm256_extracti128_si256::<1>(a)),
        ])
    }

    /// The lowest byte of each lane.
    fn _mm512_cvtepi32_epi8(a: __m512i) -> __m128i {
        let bytes = lanes(a).map(|lane| lane as i8);
        // SAFETY: 16 bytes are read from an array of 16.
        unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
    }

    fn _mm512_reduce_max_epi32(a: __m512i) -> i32 {
        lanes(a).into_iter().fold(i32::MIN, i32::max)
    }

    fn _mm512_reduce_add_epi32(a: __m512i) -> i32 {
        lanes(a).into_iter().fold(0, i32::wrapping_add)
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn lanes(a: __m512i) -> [i32; 16] {
    let mut lanes = [0; 16];
    for (half, lanes) in a.0.into_iter().zip(lanes.as_chunks_mut::<8>().0) {
        // SAFETY: 32 bytes are written to an array of 32.
        unsafe { _mm256_storeu_si256(lanes.as_mut_ptr().cast(), half) }
    }
    lanes
}

#[cfg(test)]
mod tests;
