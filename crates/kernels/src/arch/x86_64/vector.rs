//! 256-bit vectors as a token: code that holds a [`V`] may use AVX2, FMA and F16C, and a few instructions of AVX-512 if
//! the token was made from a proof of these.
//!
//! The methods are the instructions under shorter names. They are `#[inline(always)]`, so that they become part of a
//! function that is compiled for these features.

use super::avx2::Avx2;
use super::avx512::Avx512;
use core::arch::asm;
use core::arch::x86_64::*;

/// Proof that the machine has AVX2, FMA and F16C.
#[derive(Clone, Copy, Debug)]
pub(super) struct V {
    /// Whether the machine also has AVX-512 BW and VL. Kernels make their token from a constant, so this is not tested
    /// at run time.
    masks: bool,
}

impl V {
    /// Makes the token from a proof of AVX2.
    #[inline(always)]
    pub(super) fn of(_: Avx2) -> Self {
        V { masks: false }
    }

    /// Makes the token with masks, unless AVX-512 is emulated.
    #[inline(always)]
    pub(super) fn with_masks(_: Avx512) -> Self {
        V { masks: cfg!(not(emulate_avx512)) }
    }

    /// Returns all ones in the bytes whose bit is set, else 0.
    #[inline(always)]
    pub(super) fn set_bits(self, bits: u32) -> __m256i {
        if self.masks {
            // SAFETY: the token proves AVX-512 BW and VL.
            return unsafe { _mm256_movm_epi8(bits) };
        }
        let spread =
            self.words([0, 0, 0x0101_0101, 0x0101_0101, 0x0202_0202, 0x0202_0202, 0x0303_0303, 0x0303_0303]);
        let each = self.splat64(0x8040_2010_0804_0201u64 as i64);
        self.equal8(self.and(self.shuffle8(self.splat32(bits as i32), spread), each), each)
    }

    /// Returns `a` with those bytes negated whose bit is set.
    #[inline(always)]
    pub(super) fn negate8(self, a: __m256i, bits: u32) -> __m256i {
        if self.masks {
            // SAFETY: the token proves AVX-512 BW and VL.
            return unsafe { _mm256_mask_sub_epi8(a, bits, _mm256_setzero_si256(), a) };
        }
        self.sign8(a, self.or(self.set_bits(bits), self.splat8(1)))
    }
}

/// Returns two addresses unchanged, but hides from the compiler where they come from.
#[inline(always)]
#[allow(clippy::pointers_in_nomem_asm_block, reason = "nothing is read or written through them here")]
pub(super) fn opaque<T>([mut a, mut b]: [*const T; 2]) -> [*const T; 2] {
    // SAFETY: there is no instruction.
    unsafe {
        asm!("/* {a} {b} */", a = inout(reg) a, b = inout(reg) b, options(pure, nomem, nostack, preserves_flags))
    };
    [a, b]
}

/// `array::map` that is always inlined. The standard library's is not always, and a function that is not inlined is
/// compiled without the features: every instruction in it would be a call. For the same reason closures that use
/// vectors are `#[inline(always)]` here.
#[inline(always)]
pub(super) fn map<T: Copy, U: Copy, const N: usize>(x: [T; N], f: impl Fn(T) -> U) -> [U; N] {
    let mut out = [f(x[0]); N];
    for i in 1..N {
        out[i] = f(x[i]);
    }
    out
}

/// Returns `x[at .. at + N]`.
///
/// # Safety
/// `x` has those elements.
#[inline(always)]
pub(super) unsafe fn array<T, const N: usize>(x: &[T], at: usize) -> &[T; N] {
    debug_assert!(at + N <= x.len());
    // SAFETY: as the caller promises; an array has the alignment of its elements.
    unsafe { &*x.as_ptr().add(at).cast::<[T; N]>() }
}

macro_rules! instructions {
    ($($(#[$meta:meta])* fn $name:ident $(<const $n:ident: i32>)? ($($arg:ident: $ty:ty),*) -> $out:ty
        = $intrinsic:ident;)*) => {$(
        $(#[$meta])*
        #[inline(always)]
        pub(super) fn $name $(<const $n: i32>)? (self, $($arg: $ty),*) -> $out {
            // SAFETY: the token proves the features; the intrinsic takes and gives values only.
            unsafe { $intrinsic $(::<$n>)? ($($arg),*) }
        }
    )*};
}

impl V {
    instructions! {
        fn zero() -> __m256i = _mm256_setzero_si256;
        fn splat8(x: i8) -> __m256i = _mm256_set1_epi8;
        fn splat16(x: i16) -> __m256i = _mm256_set1_epi16;
        fn splat32(x: i32) -> __m256i = _mm256_set1_epi32;
        fn splat64(x: i64) -> __m256i = _mm256_set1_epi64x;
        fn and(a: __m256i, b: __m256i) -> __m256i = _mm256_and_si256;
        fn or(a: __m256i, b: __m256i) -> __m256i = _mm256_or_si256;
        fn xor(a: __m256i, b: __m256i) -> __m256i = _mm256_xor_si256;
        /// `b` without the bits of `a`.
        fn and_not(a: __m256i, b: __m256i) -> __m256i = _mm256_andnot_si256;
        fn add8(a: __m256i, b: __m256i) -> __m256i = _mm256_add_epi8;
        fn sub8(a: __m256i, b: __m256i) -> __m256i = _mm256_sub_epi8;
        fn greater8(a: __m256i, b: __m256i) -> __m256i = _mm256_cmpgt_epi8;
        fn add16(a: __m256i, b: __m256i) -> __m256i = _mm256_add_epi16;
        fn add32(a: __m256i, b: __m256i) -> __m256i = _mm256_add_epi32;
        /// The low halves of the products of i16.
        fn mul16(a: __m256i, b: __m256i) -> __m256i = _mm256_mullo_epi16;
        fn mul32(a: __m256i, b: __m256i) -> __m256i = _mm256_mullo_epi32;
        /// Products of i16, neighbors added to an i32.
        fn madd16(a: __m256i, b: __m256i) -> __m256i = _mm256_madd_epi16;
        /// Products of u8 and i8, neighbors added to an i16 that saturates.
        fn madd_u8_i8(a: __m256i, b: __m256i) -> __m256i = _mm256_maddubs_epi16;
        fn abs8(a: __m256i) -> __m256i = _mm256_abs_epi8;
        /// `a` with the sign of `b`: `-a` where `b < 0`, 0 where `b == 0`.
        fn sign8(a: __m256i, b: __m256i) -> __m256i = _mm256_sign_epi8;
        fn equal8(a: __m256i, b: __m256i) -> __m256i = _mm256_cmpeq_epi8;
        /// Chooses bytes of each half of `a` by the indices in the same half of `b`.
        fn shuffle8(a: __m256i, b: __m256i) -> __m256i = _mm256_shuffle_epi8;
        fn shr16<const N: i32>(a: __m256i) -> __m256i = _mm256_srli_epi16;
        fn shl16<const N: i32>(a: __m256i) -> __m256i = _mm256_slli_epi16;
        /// Shifts right with copies of the sign.
        fn sign16<const N: i32>(a: __m256i) -> __m256i = _mm256_srai_epi16;
        fn shl32<const N: i32>(a: __m256i) -> __m256i = _mm256_slli_epi32;
        fn shr32<const N: i32>(a: __m256i) -> __m256i = _mm256_srli_epi32;
        fn sub32(a: __m256i, b: __m256i) -> __m256i = _mm256_sub_epi32;
        /// Shifts right with copies of the sign.
        fn sign32<const N: i32>(a: __m256i) -> __m256i = _mm256_srai_epi32;
        fn min32(a: __m256i, b: __m256i) -> __m256i = _mm256_min_epi32;
        fn max32(a: __m256i, b: __m256i) -> __m256i = _mm256_max_epi32;
        fn equal32(a: __m256i, b: __m256i) -> __m256i = _mm256_cmpeq_epi32;
        /// In each half: the lanes of `a`, then those of `b`, saturated to unsigned numbers of half as many bits.
        fn narrow16(a: __m256i, b: __m256i) -> __m256i = _mm256_packus_epi16;
        fn narrow32(a: __m256i, b: __m256i) -> __m256i = _mm256_packus_epi32;
        fn shr64_each(a: __m256i, n: __m256i) -> __m256i = _mm256_srlv_epi64;
        /// Each lane of `a` shifted right by its own number.
        fn shr32_each(a: __m256i, n: __m256i) -> __m256i = _mm256_srlv_epi32;
        fn low32(a: __m256i, b: __m256i) -> __m256i = _mm256_unpacklo_epi32;
        fn high32(a: __m256i, b: __m256i) -> __m256i = _mm256_unpackhi_epi32;
        fn low64(a: __m256i, b: __m256i) -> __m256i = _mm256_unpacklo_epi64;
        fn high64(a: __m256i, b: __m256i) -> __m256i = _mm256_unpackhi_epi64;
        /// Two of the four halves of `a` and `b`.
        fn halves<const N: i32>(a: __m256i, b: __m256i) -> __m256i = _mm256_permute2x128_si256;
        /// Words of `b` where the bit of `N` is set, else of `a`.
        fn blend32<const N: i32>(a: __m256i, b: __m256i) -> __m256i = _mm256_blend_epi32;
        /// In each half: the bytes of `b`, then those of `a`, from byte `N` on.
        fn align8<const N: i32>(a: __m256i, b: __m256i) -> __m256i = _mm256_alignr_epi8;
        fn words_within<const N: i32>(a: __m256i) -> __m256i = _mm256_shuffle_epi32;
        fn quarters<const N: i32>(a: __m256i) -> __m256i = _mm256_permute4x64_epi64;
        fn low_half(a: __m256i) -> __m128i = _mm256_castsi256_si128;
        fn high_half<const N: i32>(a: __m256i) -> __m128i = _mm256_extracti128_si256;
        /// The high half, then the low one.
        fn joined(high: __m128i, low: __m128i) -> __m256i = _mm256_set_m128i;
        fn twice(a: __m128i) -> __m256i = _mm256_broadcastsi128_si256;
        fn widen_u8(a: __m128i) -> __m256i = _mm256_cvtepu8_epi16;
        fn widen_i8(a: __m128i) -> __m256i = _mm256_cvtepi8_epi16;
        fn widen_i16(a: __m128i) -> __m256i = _mm256_cvtepi16_epi32;
        fn widen_u8_u32(a: __m128i) -> __m256i = _mm256_cvtepu8_epi32;
        fn widen_i16_i64(a: __m128i) -> __m256i = _mm256_cvtepi16_epi64;
        fn to_f32(a: __m256i) -> __m256 = _mm256_cvtepi32_ps;
        /// Bits as f32.
        fn of_bits(a: __m256i) -> __m256 = _mm256_castsi256_ps;

        fn shuffle8_128(a: __m128i, b: __m128i) -> __m128i = _mm_shuffle_epi8;
        fn low64_128(a: __m128i, b: __m128i) -> __m128i = _mm_unpacklo_epi64;
        fn or_128(a: __m128i, b: __m128i) -> __m128i = _mm_or_si128;
        fn sub8_128(a: __m128i, b: __m128i) -> __m128i = _mm_sub_epi8;
        fn shl16_128<const N: i32>(a: __m128i) -> __m128i = _mm_slli_epi16;
        fn shr32_each_128(a: __m128i, n: __m128i) -> __m128i = _mm_srlv_epi32;
        fn splat32_128(x: i32) -> __m128i = _mm_set1_epi32;
        fn low8_128(a: __m128i, b: __m128i) -> __m128i = _mm_unpacklo_epi8;
        fn and_128(a: __m128i, b: __m128i) -> __m128i = _mm_and_si128;
        fn shr16_128<const N: i32>(a: __m128i) -> __m128i = _mm_srli_epi16;
        fn splat8_128(x: i8) -> __m128i = _mm_set1_epi8;
        fn of_u64(x: i64) -> __m128i = _mm_cvtsi64_si128;

        fn zero_f32() -> __m256 = _mm256_setzero_ps;
        fn splat_f32(x: f32) -> __m256 = _mm256_set1_ps;
        fn mul(a: __m256, b: __m256) -> __m256 = _mm256_mul_ps;
        /// `a * b + c`, rounded once.
        fn fma(a: __m256, b: __m256, c: __m256) -> __m256 = _mm256_fmadd_ps;
        /// `c - a * b`, rounded once.
        fn nfma(a: __m256, b: __m256, c: __m256) -> __m256 = _mm256_fnmadd_ps;
        fn of_f16(a: __m128i) -> __m256 = _mm256_cvtph_ps;
    }

    #[inline(always)]
    pub(super) fn load(self, x: &[u8; 32]) -> __m256i {
        // SAFETY: the token proves the features; 32 bytes are read through the reference.
        unsafe { _mm256_loadu_si256(x.as_ptr().cast()) }
    }

    /// [`V::load`] of signed bytes.
    #[inline(always)]
    pub(super) fn load_i8(self, x: &[i8; 32]) -> __m256i {
        // SAFETY: the token proves the features; 32 bytes are read through the reference.
        unsafe { _mm256_loadu_si256(x.as_ptr().cast()) }
    }

    /// Words 1 and 3 of each half of `a`, then those of `b`.
    #[inline(always)]
    pub(super) fn odd32(self, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: the token proves the features; the intrinsics take and give values only.
        unsafe {
            let odd = _mm256_shuffle_ps::<0b11_01_11_01>(_mm256_castsi256_ps(a), _mm256_castsi256_ps(b));
            _mm256_castps_si256(odd)
        }
    }

    /// Loads 32 signed bytes from four places.
    #[inline(always)]
    pub(super) fn load_i8_by_8(self, [a, b, c, d]: [&[i8; 8]; 4]) -> __m256i {
        // SAFETY: the token proves the features; 8 bytes are read through each reference.
        unsafe {
            let both = |a: &[i8; 8], b: &[i8; 8]| {
                let low = _mm_castsi128_pd(_mm_loadl_epi64(a.as_ptr().cast()));
                _mm_castpd_si128(_mm_loadh_pd(low, b.as_ptr().cast()))
            };
            _mm256_set_m128i(both(c, d), both(a, b))
        }
    }

    #[inline(always)]
    pub(super) fn load_i16(self, x: &[i16; 16]) -> __m256i {
        // SAFETY: the token proves the features; 32 bytes are read through the reference.
        unsafe { _mm256_loadu_si256(x.as_ptr().cast()) }
    }

    #[inline(always)]
    pub(super) fn load_128(self, x: &[u8; 16]) -> __m128i {
        // SAFETY: the token proves the features; 16 bytes are read through the reference.
        unsafe { _mm_loadu_si128(x.as_ptr().cast()) }
    }

    #[inline(always)]
    pub(super) fn load_i8_128(self, x: &[i8; 16]) -> __m128i {
        // SAFETY: the token proves the features; 16 bytes are read through the reference.
        unsafe { _mm_loadu_si128(x.as_ptr().cast()) }
    }

    /// Loads four u16 into the low half.
    #[inline(always)]
    pub(super) fn load_u16_64(self, x: &[u16; 4]) -> __m128i {
        // SAFETY: the token proves the features; 8 bytes are read through the reference.
        unsafe { _mm_loadl_epi64(x.as_ptr().cast()) }
    }

    #[inline(always)]
    pub(super) fn load_f32(self, x: &[u8; 32]) -> __m256 {
        // SAFETY: the token proves the features; 32 bytes are read through the reference.
        unsafe { _mm256_loadu_ps(x.as_ptr().cast()) }
    }

    #[inline(always)]
    pub(super) fn store(self, a: __m256i, y: &mut [u8; 32]) {
        // SAFETY: the token proves the features; 32 bytes are written through the reference.
        unsafe { _mm256_storeu_si256(y.as_mut_ptr().cast(), a) }
    }

    #[inline(always)]
    pub(super) fn store_u16(self, a: __m256i, y: &mut [u16; 16]) {
        // SAFETY: the token proves the features; 32 bytes are written through the reference.
        unsafe { _mm256_storeu_si256(y.as_mut_ptr().cast(), a) }
    }

    /// Returns the lanes as numbers in memory.
    #[inline(always)]
    pub(super) fn to_u32(self, a: __m256i) -> [u32; 8] {
        let mut y = [0; 8];
        // SAFETY: the token proves the features; 32 bytes are written to an array of 32.
        unsafe { _mm256_storeu_si256(y.as_mut_ptr().cast(), a) }
        y
    }

    #[inline(always)]
    pub(super) fn store_f32_bytes(self, a: __m256, y: &mut [u8; 32]) {
        // SAFETY: the token proves the features; 32 bytes are written through the reference.
        unsafe { _mm256_storeu_ps(y.as_mut_ptr().cast(), a) }
    }

    #[inline(always)]
    pub(super) fn store_f32(self, a: __m256, y: &mut [f32; 8]) {
        // SAFETY: the token proves the features; 32 bytes are written through the reference.
        unsafe { _mm256_storeu_ps(y.as_mut_ptr(), a) }
    }

    /// Prefetches the cache line of `w[at]` into L2. Past the end of `w` this has no effect that a program can see.
    #[inline(always)]
    pub(super) fn prefetch(self, w: &[u8], at: usize) {
        // SAFETY: a prefetch reads nothing the program can see and cannot fault, whatever the address.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(w.as_ptr().wrapping_add(at).cast()) }
    }

    /// Returns the bytes of each word of `a` that `bytes` names, 0 to 3; 0x80 gives 0.
    #[inline(always)]
    pub(super) fn bytes_of_words(self, a: __m256i, bytes: [u8; 4]) -> __m256i {
        let first = [0, 0x0404_0404, 0x0808_0808, 0x0C0C_0C0C];
        let [b, c, d, e] = map(
            first,
            #[inline(always)]
            |first| u32::from_le_bytes(bytes).wrapping_add(first),
        );
        self.shuffle8(a, self.words([b, c, d, e, b, c, d, e]))
    }

    /// Returns 8 words as a vector.
    #[inline(always)]
    pub(super) fn words(self, x: [u32; 8]) -> __m256i {
        let [a, b, c, d, e, f, g, h] = map(x, |x| x as i32);
        // SAFETY: the token proves the features; the intrinsic takes and gives values only.
        unsafe { _mm256_setr_epi32(a, b, c, d, e, f, g, h) }
    }

    /// Adds up the i32 of 8 vectors: lane `r` of the result is the sum of `p[r]`.
    #[inline(always)]
    pub(super) fn sums8(self, p: [__m256i; 8]) -> __m256i {
        let quads = self.quads(p, Self::add32);
        self.octet(quads, Self::add32)
    }

    /// Adds two of the three levels of a transposing sum of words (or of pairs of i16, if `add` adds those): each half
    /// of the first result holds the sums of that half of `p[0] .. p[3]`, the second result those of `p[4] .. p[7]`.
    ///
    /// Blends run on any port, shuffles on two, so one operand of each addition is blended.
    #[inline(always)]
    pub(super) fn quads(
        self,
        p: [__m256i; 8],
        add: impl Fn(Self, __m256i, __m256i) -> __m256i,
    ) -> [__m256i; 2] {
        [self.quad([p[0], p[1], p[2], p[3]], &add), self.quad([p[4], p[5], p[6], p[7]], &add)]
    }

    /// Adds two levels for four vectors: lane `r` of each half is the sum of that half of `p[r]`.
    #[inline(always)]
    pub(super) fn quad(
        self,
        [a, b, c, d]: [__m256i; 4],
        add: impl Fn(Self, __m256i, __m256i) -> __m256i,
    ) -> __m256i {
        // a0+a2 a1+a3 c0+c2 c1+c3
        let x = add(self, self.blend32::<0b1100_1100>(a, c), self.align8::<8>(c, a));
        let y = add(self, self.blend32::<0b1100_1100>(b, d), self.align8::<8>(d, b));
        // x0 y1 x2 y3 and x1 y0 x3 y2
        let z = self.words_within::<0b10_11_00_01>(self.blend32::<0b1010_1010>(y, x));
        add(self, self.blend32::<0b1010_1010>(x, y), z)
    }

    /// Adds the third level.
    #[inline(always)]
    pub(super) fn octet(
        self,
        [x, y]: [__m256i; 2],
        add: impl Fn(Self, __m256i, __m256i) -> __m256i,
    ) -> __m256i {
        add(self, self.blend32::<0b1111_0000>(x, y), self.halves::<0x21>(x, y))
    }

    /// Returns columns of 8 rows of 4 words: lane `r` of result `j` is word `j` of `rows[r]`.
    #[inline(always)]
    pub(super) fn columns4(self, [a, b, c, d, e, f, g, h]: [__m128i; 8]) -> [__m256i; 4] {
        // Joined as they are loaded, which needs no shuffle.
        self.transpose_halves([self.joined(e, a), self.joined(f, b), self.joined(g, c), self.joined(h, d)])
    }

    /// Returns columns of 8 rows of 8 words.
    #[inline(always)]
    pub(super) fn columns8(self, rows: [&[u8; 32]; 8]) -> [__m256i; 8] {
        let half = |i: usize| {
            map(
                rows,
                #[inline(always)]
                |row| self.load_128(&row.as_chunks::<16>().0[i]),
            )
        };
        let ([a, b, c, d], [e, f, g, h]) = (self.columns4(half(0)), self.columns4(half(1)));
        [a, b, c, d, e, f, g, h]
    }

    /// Turns rows into columns: lane `r` of result `i` is lane `i` of `rows[r]`.
    #[inline(always)]
    pub(super) fn transpose(self, rows: [__m256i; 8]) -> [__m256i; 8] {
        let [a, b, c, d, e, f, g, h] = rows;
        let [x0, x1, x2, x3] = self.transpose_halves([
            self.halves::<0x20>(a, e),
            self.halves::<0x20>(b, f),
            self.halves::<0x20>(c, g),
            self.halves::<0x20>(d, h),
        ]);
        let [x4, x5, x6, x7] = self.transpose_halves([
            self.halves::<0x31>(a, e),
            self.halves::<0x31>(b, f),
            self.halves::<0x31>(c, g),
            self.halves::<0x31>(d, h),
        ]);
        [x0, x1, x2, x3, x4, x5, x6, x7]
    }

    /// Does the same for the 4 x 4 words in each half.
    #[inline(always)]
    fn transpose_halves(self, [a, b, c, d]: [__m256i; 4]) -> [__m256i; 4] {
        let (x, y) = (self.low32(a, b), self.low32(c, d));
        let (z, w) = (self.high32(a, b), self.high32(c, d));
        [self.low64(x, y), self.high64(x, y), self.low64(z, w), self.high64(z, w)]
    }
}
