//! `smmla` as inline assembly: the intrinsic `vmmlaq_s32` is not stable yet. When it is, it replaces this file.

use core::arch::aarch64::{int8x16_t, int32x4_t};
use core::arch::asm;

/// Returns `acc[2 i + j] + sum of a[8 i + k] * b[8 j + k]` for k in 0..8: two rows of `a` times two rows of `b`.
#[inline]
#[target_feature(enable = "neon,i8mm")]
pub(super) fn smmla(acc: int32x4_t, a: int8x16_t, b: int8x16_t) -> int32x4_t {
    let mut acc = acc;
    // SAFETY: the instruction works on registers only, and the function has the feature.
    unsafe {
        asm!("smmla {acc:v}.4s, {a:v}.16b, {b:v}.16b", acc = inout(vreg) acc, a = in(vreg) a, b = in(vreg) b,
            options(pure, nomem, nostack, preserves_flags));
    }
    acc
}
