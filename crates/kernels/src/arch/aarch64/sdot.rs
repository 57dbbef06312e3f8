//! `sdot` as inline assembly: the intrinsics `vdotq_s32` and `vdotq_laneq_s32` are not stable yet. When they are,
//! they replace this file.

use core::arch::aarch64::{int8x16_t, int32x4_t};
use core::arch::asm;

/// Returns `acc[i] + sum of w[4 i + j] * a[4 i + j]` for j in 0..4.
#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(super) fn sdot(acc: int32x4_t, w: int8x16_t, a: int8x16_t) -> int32x4_t {
    let mut acc = acc;
    // SAFETY: the instruction works on registers only, and the function has the feature.
    unsafe {
        asm!("sdot {acc:v}.4s, {w:v}.16b, {a:v}.16b", acc = inout(vreg) acc, w = in(vreg) w, a = in(vreg) a,
            options(pure, nomem, nostack, preserves_flags));
    }
    acc
}

macro_rules! by_element {
    ($($name:ident = $lane:literal;)*) => {$(
        /// Returns `acc[i] + sum of w[4 i + j] * a[4 L + j]` for j in 0..4, where L is the number in the name.
        #[inline]
        #[target_feature(enable = "neon,dotprod")]
        pub(super) fn $name(acc: int32x4_t, w: int8x16_t, a: int8x16_t) -> int32x4_t {
            let mut acc = acc;
            // SAFETY: the instruction works on registers only, and the function has the feature.
            unsafe {
                asm!(concat!("sdot {acc:v}.4s, {w:v}.16b, {a:v}.4b[", $lane, "]"),
                    acc = inout(vreg) acc, w = in(vreg) w, a = in(vreg) a,
                    options(pure, nomem, nostack, preserves_flags));
            }
            acc
        }
    )*};
}

by_element! {
    sdot_lane0 = "0";
    sdot_lane1 = "1";
    sdot_lane2 = "2";
    sdot_lane3 = "3";
}
