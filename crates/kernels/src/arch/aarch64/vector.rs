//! NEON as safe functions: registers in, registers out, memory through arrays of 16 bytes.
//!
//! Every function is inlined into the kernel that uses it. NEON is part of every AArch64 target that has hardware
//! floating point, and the assertion below makes that a condition of building. So calling its instructions is safe
//! everywhere. Only loads and stores take pointers, which come from references here.

use core::arch::aarch64::*;
use core::arch::asm;

const _: () = assert!(cfg!(target_feature = "neon"), "an AArch64 target without NEON");

/// A vector's bytes in memory.
pub(super) type Bytes = [u8; 16];

macro_rules! wrap {
    ($($(#[$doc:meta])* fn $name:ident($($arg:ident: $ty:ty),*) -> $out:ty { $body:expr })*) => {$(
        $(#[$doc])*
        #[inline(always)]
        pub(super) fn $name($($arg: $ty),*) -> $out {
            // SAFETY: the intrinsics touch registers only, and the target has NEON (asserted above).
            unsafe { $body }
        }
    )*};
}

wrap! {
    fn splat_i8(x: i8) -> int8x16_t { vdupq_n_s8(x) }
    fn splat_u8(x: u8) -> uint8x16_t { vdupq_n_u8(x) }
    fn splat_i32(x: i32) -> int32x4_t { vdupq_n_s32(x) }
    fn splat_f32(x: f32) -> float32x4_t { vdupq_n_f32(x) }
    fn splat_u32(x: u32) -> uint8x16_t { vreinterpretq_u8_u32(vdupq_n_u32(x)) }
    fn splat_i16(x: i16) -> int16x8_t { vdupq_n_s16(x) }
    fn zero_i16() -> int16x8_t { vdupq_n_s16(0) }
    /// Returns 8 bytes twice.
    fn splat_u64(x: u64) -> uint8x16_t { vreinterpretq_u8_u64(vdupq_n_u64(x)) }

    fn and(a: uint8x16_t, b: uint8x16_t) -> uint8x16_t { vandq_u8(a, b) }
    fn or(a: uint8x16_t, b: uint8x16_t) -> uint8x16_t { vorrq_u8(a, b) }
    /// Shifts left, or right if the count is negative.
    fn shift(a: uint8x16_t, count: int8x16_t) -> uint8x16_t { vshlq_u8(a, count) }
    /// Does the same with lanes of 16 bits.
    fn shift_16(a: uint8x16_t, count: int16x8_t) -> uint8x16_t { vreinterpretq_u8_u16(vshlq_u16(vreinterpretq_u16_u8(a), count)) }
    fn mul_u8(a: uint8x16_t, b: uint8x16_t) -> uint8x16_t { vmulq_u8(a, b) }
    fn mul_i8(a: int8x16_t, b: int8x16_t) -> int8x16_t { vmulq_s8(a, b) }
    fn xor(a: uint8x16_t, b: uint8x16_t) -> uint8x16_t { veorq_u8(a, b) }
    fn add_u8(a: uint8x16_t, b: uint8x16_t) -> uint8x16_t { vaddq_u8(a, b) }
    fn sub_u8(a: uint8x16_t, b: uint8x16_t) -> uint8x16_t { vsubq_u8(a, b) }
    /// Returns half of each sum, rounded down.
    fn half_sum(a: uint8x16_t, b: uint8x16_t) -> uint8x16_t { vhaddq_u8(a, b) }
    /// Returns the even bytes of `a`, then those of `b`.
    fn even_bytes(a: uint8x16_t, b: uint8x16_t) -> uint8x16_t { vuzp1q_u8(a, b) }
    /// Returns the lower halves of `a` and `b`; [`high_halves`] returns the upper ones.
    fn low_halves(a: uint8x16_t, b: uint8x16_t) -> uint8x16_t { vreinterpretq_u8_u64(vzip1q_u64(vreinterpretq_u64_u8(a), vreinterpretq_u64_u8(b))) }
    fn high_halves(a: uint8x16_t, b: uint8x16_t) -> uint8x16_t { vreinterpretq_u8_u64(vzip2q_u64(vreinterpretq_u64_u8(a), vreinterpretq_u64_u8(b))) }
    /// Returns the even words of `a`, then those of `b`; [`odd_words`] returns the odd ones.
    fn even_words(a: uint8x16_t, b: uint8x16_t) -> uint8x16_t { vreinterpretq_u8_u32(vuzp1q_u32(vreinterpretq_u32_u8(a), vreinterpretq_u32_u8(b))) }
    fn odd_words(a: uint8x16_t, b: uint8x16_t) -> uint8x16_t { vreinterpretq_u8_u32(vuzp2q_u32(vreinterpretq_u32_u8(a), vreinterpretq_u32_u8(b))) }
    fn table(t: uint8x16_t, i: uint8x16_t) -> uint8x16_t { vqtbl1q_u8(t, i) }
    fn signed(a: uint8x16_t) -> int8x16_t { vreinterpretq_s8_u8(a) }
    fn unsigned(a: int8x16_t) -> uint8x16_t { vreinterpretq_u8_s8(a) }
    fn add_i8(a: int8x16_t, b: int8x16_t) -> int8x16_t { vaddq_s8(a, b) }

    /// Returns the bytes of the lower halves of `a` and `b` in turn; [`zip_hi`] does so for the upper halves.
    fn zip_lo(a: int8x16_t, b: int8x16_t) -> int8x16_t { vzip1q_s8(a, b) }
    fn zip_hi(a: int8x16_t, b: int8x16_t) -> int8x16_t { vzip2q_s8(a, b) }

    fn words(a: int8x16_t) -> int32x4_t { vreinterpretq_s32_s8(a) }
    fn bytes_of_words(a: int32x4_t) -> int8x16_t { vreinterpretq_s8_s32(a) }

    /// Returns the widened products of the lower or upper 8 lanes; the `mla` functions add them to `acc`.
    fn mul_lo_i8(a: int8x16_t, b: int8x16_t) -> int16x8_t { vmull_s8(vget_low_s8(a), vget_low_s8(b)) }
    fn mla_lo_i8(acc: int16x8_t, a: int8x16_t, b: int8x16_t) -> int16x8_t { vmlal_s8(acc, vget_low_s8(a), vget_low_s8(b)) }
    fn mla_hi_i8(acc: int16x8_t, a: int8x16_t, b: int8x16_t) -> int16x8_t { vmlal_high_s8(acc, a, b) }
    fn mul_lo_i16(a: int16x8_t, b: int16x8_t) -> int32x4_t { vmull_s16(vget_low_s16(a), vget_low_s16(b)) }
    fn mla_lo_i16(acc: int32x4_t, a: int16x8_t, b: int16x8_t) -> int32x4_t { vmlal_s16(acc, vget_low_s16(a), vget_low_s16(b)) }
    fn mla_hi_i16(acc: int32x4_t, a: int16x8_t, b: int16x8_t) -> int32x4_t { vmlal_high_s16(acc, a, b) }

    /// Returns widened sums of neighbors.
    fn pair_sums(a: int16x8_t) -> int32x4_t { vpaddlq_s16(a) }
    fn add_pair_sums(acc: int32x4_t, a: int16x8_t) -> int32x4_t { vpadalq_s16(acc, a) }
    /// Returns sums of neighbors, of `a` and then of `b`.
    fn pair_add_i16(a: int16x8_t, b: int16x8_t) -> int16x8_t { vpaddq_s16(a, b) }
    fn pair_add(a: int32x4_t, b: int32x4_t) -> int32x4_t { vpaddq_s32(a, b) }

    /// Returns each of the lower words twice; [`high_words_twice`] does so for the upper ones.
    fn low_words_twice(a: float32x4_t) -> uint8x16_t { vreinterpretq_u8_f32(vzip1q_f32(a, a)) }
    fn high_words_twice(a: float32x4_t) -> uint8x16_t { vreinterpretq_u8_f32(vzip2q_f32(a, a)) }
    /// Returns the upper half of `a`, then the lower half of `b`.
    fn inner_halves(a: int16x8_t, b: int16x8_t) -> int16x8_t { vextq_s16::<4>(a, b) }
    fn sub_i16(a: int16x8_t, b: int16x8_t) -> int16x8_t { vsubq_s16(a, b) }
    /// Returns numbers that fit in bytes as bytes: those of `a`, then those of `b`.
    fn low_bytes(a: int16x8_t, b: int16x8_t) -> int8x16_t { vuzp1q_s8(vreinterpretq_s8_s16(a), vreinterpretq_s8_s16(b)) }

    fn widen_lo_i8(a: int8x16_t) -> int16x8_t { vmovl_s8(vget_low_s8(a)) }
    fn widen_hi_i8(a: int8x16_t) -> int16x8_t { vmovl_high_s8(a) }
    fn widen_lo_i16(a: int16x8_t) -> int32x4_t { vmovl_s16(vget_low_s16(a)) }
    fn widen_hi_i16(a: int16x8_t) -> int32x4_t { vmovl_high_s16(a) }

    fn mul_i32(a: int32x4_t, b: int32x4_t) -> int32x4_t { vmulq_s32(a, b) }
    fn mla_i32(acc: int32x4_t, a: int32x4_t, b: int32x4_t) -> int32x4_t { vmlaq_s32(acc, a, b) }

    fn to_f32(a: int32x4_t) -> float32x4_t { vcvtq_f32_s32(a) }
    fn mul_f32(a: float32x4_t, b: float32x4_t) -> float32x4_t { vmulq_f32(a, b) }
    /// Returns `acc + a * b`, rounded once.
    fn fma(acc: float32x4_t, a: float32x4_t, b: float32x4_t) -> float32x4_t { vfmaq_f32(acc, a, b) }
    /// Returns `acc - a * b`, rounded once.
    fn fms(acc: float32x4_t, a: float32x4_t, b: float32x4_t) -> float32x4_t { vfmsq_f32(acc, a, b) }
    fn bytes_of_f32(a: float32x4_t) -> uint8x16_t { vreinterpretq_u8_f32(a) }
    fn f32_of_bytes(a: uint8x16_t) -> float32x4_t { vreinterpretq_f32_u8(a) }
    fn i16_of_bytes(a: uint8x16_t) -> int16x8_t { vreinterpretq_s16_u8(a) }
    fn words_of_bytes(a: uint8x16_t) -> int32x4_t { vreinterpretq_s32_u8(a) }
    fn bytes_of_i32(a: int32x4_t) -> uint8x16_t { vreinterpretq_u8_s32(a) }
    /// Returns `x` in the two lower lanes, 0 in the others.
    fn first_two_i16(x: i16) -> int16x8_t { vsetq_lane_s16::<1>(x, vsetq_lane_s16::<0>(x, vdupq_n_s16(0))) }
    /// Returns two numbers, four times.
    fn splat_pair_i16(x: u32) -> int16x8_t { vreinterpretq_s16_u32(vdupq_n_u32(x)) }
}

/// Returns the lower and the upper 8 bytes.
#[inline(always)]
pub(super) fn i16_words(a: int16x8_t) -> [u64; 2] {
    // SAFETY: registers only; the target has NEON (asserted above).
    unsafe { [vgetq_lane_u64::<0>(vreinterpretq_u64_s16(a)), vgetq_lane_u64::<1>(vreinterpretq_u64_s16(a))] }
}

/// Returns `a >> N`.
#[inline(always)]
pub(super) fn shr<const N: i32>(a: uint8x16_t) -> uint8x16_t {
    // SAFETY: registers only; the target has NEON (asserted above).
    unsafe { vshrq_n_u8::<N>(a) }
}

/// Returns `a >> N` of signed lanes.
#[inline(always)]
pub(super) fn shr_i16<const N: i32>(a: int16x8_t) -> int16x8_t {
    // SAFETY: registers only; the target has NEON (asserted above).
    unsafe { vshrq_n_s16::<N>(a) }
}

/// Returns `a << N`.
#[inline(always)]
pub(super) fn shl_i32<const N: i32>(a: int32x4_t) -> int32x4_t {
    // SAFETY: registers only; the target has NEON (asserted above).
    unsafe { vshlq_n_s32::<N>(a) }
}

/// Returns the bits of `b`, shifted left by `N`, above the lower `N` bits of `a`.
#[inline(always)]
pub(super) fn insert<const N: i32>(a: uint8x16_t, b: uint8x16_t) -> uint8x16_t {
    // SAFETY: registers only; the target has NEON (asserted above).
    unsafe { vsliq_n_u8::<N>(a, b) }
}

/// Returns lane `L` in all four lanes.
#[inline(always)]
pub(super) fn lane<const L: i32>(a: int32x4_t) -> int32x4_t {
    // SAFETY: registers only; the target has NEON (asserted above).
    unsafe { vdupq_laneq_s32::<L>(a) }
}

/// Returns `acc + a * b[L]` for the lower lanes of `a`, widened.
#[inline(always)]
pub(super) fn mla_lo_lane_i16<const L: i32>(acc: int32x4_t, a: int16x8_t, b: int16x8_t) -> int32x4_t {
    // SAFETY: registers only; the target has NEON (asserted above).
    unsafe { vmlal_laneq_s16::<L>(acc, vget_low_s16(a), b) }
}

/// Returns `acc + a * b[L]` for the upper lanes of `a`, widened.
#[inline(always)]
pub(super) fn mla_hi_lane_i16<const L: i32>(acc: int32x4_t, a: int16x8_t, b: int16x8_t) -> int32x4_t {
    // SAFETY: registers only; the target has NEON (asserted above).
    unsafe { vmlal_high_laneq_s16::<L>(acc, a, b) }
}

/// Returns four f16 numbers as f32. They are joined in a general register, which takes no vector instruction.
#[inline(always)]
pub(super) fn f32_of_f16(bits: [u16; 4]) -> float32x4_t {
    let [a, b, c, d] = bits.map(u64::from);
    // SAFETY: registers only; the target has NEON (asserted above), whose conversions from f16 are in armv8.0.
    unsafe { vcvt_f32_f16(vcreate_f16(a | b << 16 | c << 32 | d << 48)) }
}

/// Returns four f32 numbers from their bits.
#[inline(always)]
pub(super) fn f32_of_bits(bits: [u32; 4]) -> float32x4_t {
    let [a, b, c, d] = bits.map(u64::from);
    // SAFETY: registers only; the target has NEON (asserted above).
    unsafe { vcombine_f32(vcreate_f32(a | b << 32), vcreate_f32(c | d << 32)) }
}

/// Returns four pairs of f16 numbers as f32: the lower halves, and the upper halves.
#[inline(always)]
pub(super) fn f32_of_f16_pairs(bits: [u32; 4]) -> [float32x4_t; 2] {
    let [a, b, c, d] = bits.map(u64::from);
    // SAFETY: as in `f32_of_f16`.
    unsafe {
        let (ab, cd) = (vcreate_u16(a | b << 32), vcreate_u16(c | d << 32));
        let halves = [vuzp1_u16(ab, cd), vuzp2_u16(ab, cd)];
        halves.map(
            #[inline(always)]
            |h| vcvt_f32_f16(vreinterpret_f16_u16(h)),
        )
    }
}

/// Returns `2^119` times the f32 numbers that have the bits of four unsigned E4M3 in their place: bits `shift ..` of
/// `words`. 0x7F gives 0.
#[inline(always)]
pub(super) fn half_e4m3(words: [u32; 4], shift: usize) -> float32x4_t {
    // SAFETY: registers only; the target has NEON (asserted above).
    unsafe {
        let words = vreinterpretq_u32_f32(f32_of_bits(words));
        let byte = vandq_u32(vshlq_u32(words, vdupq_n_s32(-(shift as i32))), vdupq_n_u32(0xFF));
        let seven = vdupq_n_u32(0x7F);
        let bits = vbicq_u32(vandq_u32(byte, seven), vceqq_u32(byte, seven));
        let scale = vdupq_n_f32(f32::from_bits((127 + 119) << 23));
        vmulq_f32(vreinterpretq_f32_u32(vshlq_n_u32::<20>(bits)), scale)
    }
}

/// Loads two times 8 bytes.
#[inline(always)]
pub(super) fn load_8([a, b]: [&[i8; 8]; 2]) -> int8x16_t {
    // SAFETY: 8 bytes are read from arrays of 8.
    unsafe { vcombine_s8(vld1_s8(a.as_ptr()), vld1_s8(b.as_ptr())) }
}

/// Loads four times 4 bytes.
#[inline(always)]
pub(super) fn load_4([a, b, c, d]: [&[i8; 4]; 4]) -> int8x16_t {
    // SAFETY: 4 bytes are read from arrays of 4, at any alignment.
    unsafe {
        let x = vdupq_n_u32(a.as_ptr().cast::<u32>().read_unaligned());
        let x = vsetq_lane_u32::<1>(b.as_ptr().cast::<u32>().read_unaligned(), x);
        let x = vsetq_lane_u32::<2>(c.as_ptr().cast::<u32>().read_unaligned(), x);
        vreinterpretq_s8_u32(vsetq_lane_u32::<3>(d.as_ptr().cast::<u32>().read_unaligned(), x))
    }
}

/// Loads the lower 8 bytes; those above are zeros.
#[inline(always)]
pub(super) fn load_low(x: &[u8; 8]) -> uint8x16_t {
    // SAFETY: 8 bytes are read from an array of 8.
    unsafe { vcombine_u8(vld1_u8(x.as_ptr()), vdup_n_u8(0)) }
}

/// Returns the lower and the upper four words of 16 bits.
#[inline(always)]
pub(super) fn words_16(a: uint8x16_t) -> [u64; 2] {
    i16_words(i16_of_bytes(a))
}

/// Returns four points of a table. Their indices are taken modulo its length.
#[inline(always)]
pub(super) fn look_up_4<const N: usize>(table: &[[i8; 4]; N], numbers: [usize; 4]) -> int8x16_t {
    const { assert!(N.is_power_of_two()) };
    let [a, b, c, d] = numbers;
    let (a, b) = (load_point(table, a % N), load_point(table, b % N));
    let (c, d) = (load_point(table, c % N), load_point(table, d % N));
    // SAFETY: registers only; the target has NEON (asserted above).
    unsafe {
        let (ab, cd) = (vreinterpretq_u64_u32(vzip1q_u32(a, b)), vreinterpretq_u64_u32(vzip1q_u32(c, d)));
        vreinterpretq_s8_u64(vzip1q_u64(ab, cd))
    }
}

/// Returns point `i`, followed by zeros. It is written as assembly, because the compiler otherwise loads each point
/// into a lane, which takes an address of its own each time.
#[inline(always)]
fn load_point<const N: usize>(table: &[[i8; 4]; N], i: usize) -> uint32x4_t {
    debug_assert!(i < N);
    let out;
    // SAFETY: 4 bytes are read from the table: `i` is reduced modulo its length by the only caller, `look_up_4`.
    unsafe {
        asm!("ldr {out:s}, [{table}, {i}, lsl #2]", out = lateout(vreg) out, table = in(reg) table.as_ptr(), i = in(reg) i,
            options(pure, readonly, nostack, preserves_flags));
    }
    out
}

/// Looks up bytes of a table of 32 by their indices; [`table_64`] does so in a table of 64.
#[inline(always)]
pub(super) fn table_32(x: &[u8; 32], i: uint8x16_t) -> uint8x16_t {
    // SAFETY: 32 bytes are read from an array of 32.
    unsafe { vqtbl2q_u8(vld1q_u8_x2(x.as_ptr()), i) }
}

#[inline(always)]
pub(super) fn table_64(x: &[u8; 64], i: uint8x16_t) -> uint8x16_t {
    // SAFETY: 64 bytes are read from an array of 64.
    unsafe { vqtbl4q_u8(vld1q_u8_x4(x.as_ptr()), i) }
}

/// Loads 16 bytes.
#[inline(always)]
pub(super) fn load(x: &Bytes) -> uint8x16_t {
    // SAFETY: 16 bytes are read from an array of 16.
    unsafe { vld1q_u8(x.as_ptr()) }
}

/// Loads 16 signed bytes.
#[inline(always)]
pub(super) fn load_i8(x: &[i8; 16]) -> int8x16_t {
    // SAFETY: 16 bytes are read from an array of 16.
    unsafe { vld1q_s8(x.as_ptr()) }
}

/// Loads 8 sums.
#[inline(always)]
pub(super) fn load_i16(x: &[i16; 8]) -> int16x8_t {
    // SAFETY: 8 numbers are read from an array of 8.
    unsafe { vld1q_s16(x.as_ptr()) }
}

/// Loads 4 floats.
#[inline(always)]
pub(super) fn load_f32(x: &[f32; 4]) -> float32x4_t {
    // SAFETY: 4 numbers are read from an array of 4.
    unsafe { vld1q_f32(x.as_ptr()) }
}

/// Stores 16 bytes.
#[inline(always)]
pub(super) fn store(x: &mut Bytes, v: uint8x16_t) {
    // SAFETY: 16 bytes are written to an array of 16.
    unsafe { vst1q_u8(x.as_mut_ptr(), v) }
}

/// Stores 4 floats.
#[inline(always)]
pub(super) fn store_f32(x: &mut [f32; 4], v: float32x4_t) {
    // SAFETY: 4 numbers are written to an array of 4.
    unsafe { vst1q_f32(x.as_mut_ptr(), v) }
}

/// Returns the sum of the lanes of each of four vectors, in lanes.
#[inline(always)]
pub(super) fn sums_of(v: [int32x4_t; 4]) -> int32x4_t {
    pair_add(pair_add(v[0], v[1]), pair_add(v[2], v[3]))
}

/// Prefetches the line at `p + OFFSET` into the second-level cache. Any address may be given: a prefetch never faults.
#[inline(always)]
pub(super) fn prefetch<const OFFSET: usize>(p: *const u8) {
    // SAFETY: the instruction is a hint; it changes neither memory nor registers.
    unsafe {
        asm!("prfm pldl2keep, [{p}, #{offset}]", p = in(reg) p.addr(), offset = const OFFSET,
            options(nomem, nostack, preserves_flags));
    }
}

/// Returns 0xFF in the bytes where `a & b` is not 0. It is written as assembly, because the compiler otherwise
/// recognizes a mask and turns its uses into selections, which take more instructions.
#[inline(always)]
pub(super) fn test(a: uint8x16_t, b: uint8x16_t) -> uint8x16_t {
    let out;
    // SAFETY: the instruction works on registers only; the target has NEON (asserted above).
    unsafe {
        asm!("cmtst {out:v}.16b, {a:v}.16b, {b:v}.16b", out = lateout(vreg) out, a = in(vreg) a, b = in(vreg) b,
            options(pure, nomem, nostack, preserves_flags));
    }
    out
}

/// Returns all bits inverted. It is written as assembly, because the compiler otherwise turns the test of an inverted
/// bit, which is one instruction, into two on the original bit.
#[inline(always)]
pub(super) fn not(a: uint8x16_t) -> uint8x16_t {
    let out;
    // SAFETY: the instruction works on registers only; the target has NEON (asserted above).
    unsafe {
        asm!("mvn {out:v}.16b, {a:v}.16b", out = lateout(vreg) out, a = in(vreg) a,
            options(pure, nomem, nostack, preserves_flags));
    }
    out
}

/// Returns `acc + a * b[lane]`. It is written as assembly, because the compiler makes two more instructions of the
/// intrinsic: it chooses the lane before it widens `b`.
macro_rules! mla_lanes {
    ($($name:ident = $lane:literal;)*) => {$(
        #[inline(always)]
        pub(super) fn $name(acc: int32x4_t, a: int32x4_t, b: int32x4_t) -> int32x4_t {
            let mut acc = acc;
            // SAFETY: the instruction works on registers only; the target has NEON (asserted above).
            unsafe {
                asm!(concat!("mla {acc:v}.4s, {a:v}.4s, {b:v}.s[", $lane, "]"),
                    acc = inout(vreg) acc, a = in(vreg) a, b = in(vreg) b,
                    options(pure, nomem, nostack, preserves_flags));
            }
            acc
        }
    )*};
}

mla_lanes! {
    mla_lane0 = "0";
    mla_lane1 = "1";
    mla_lane2 = "2";
    mla_lane3 = "3";
}
