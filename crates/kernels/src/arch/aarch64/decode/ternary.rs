//! Blocks of 256 whose integers are -1, 0 and 1: TQ1_0 and TQ2_0.

use super::{Decode, pairs, part};
use crate::arch::aarch64::shape::Subs8;
use crate::arch::aarch64::vector::*;
use crate::linear::source::Source;
use core::arch::aarch64::{int8x16_t, uint8x16_t};
use happy_tensor::{BlockTQ1_0, BlockTQ2_0};

impl Decode for BlockTQ2_0 {
    type Unit = <Self as Source>::Unit;
    type Shape = Subs8;
    const BIAS: i32 = -1;
    scales!(d);

    #[inline(always)]
    fn group<const G: usize>(&self) -> int8x16_t {
        signed(pairs(part(&self.qs, G / 8 * 2 + G % 2), G / 2 % 4))
    }
}

/// Returns the first trit of each byte, which is a fraction of 256 in base three: 0 up to 85, 1 up to 170, else 2. It
/// is in the upper two bits of three quarters of the byte, rounded down twice: 85 gives 63 and 86 gives 64, 170 gives
/// 127 and 171 gives 128.
#[inline(always)]
fn first_trit(bytes: uint8x16_t) -> int8x16_t {
    signed(shr::<6>(half_sum(bytes, shr::<1>(bytes))))
}

impl Decode for BlockTQ1_0 {
    type Unit = <Self as Source>::Unit;
    type Shape = Subs8;
    const BIAS: i32 = -1;
    scales!(d);

    /// Trit `n` is the first trit of the byte times 3^n, modulo 256.
    #[inline(always)]
    fn group<const G: usize>(&self) -> int8x16_t {
        const POWERS: [u8; 5] = [1, 3, 9, 27, 81];
        const LAST: Bytes = [1, 1, 1, 1, 3, 3, 3, 3, 9, 9, 9, 9, 27, 27, 27, 27];
        first_trit(match G {
            0..10 => mul_u8(part(&self.qs, G % 2), splat_u8(POWERS[G / 2])),
            10..15 => mul_u8(part(&self.qs, 2), splat_u8(POWERS[G - 10])),
            _ => mul_u8(splat_u32(u32::from_le_bytes(self.qh)), load(&LAST)),
        })
    }
}
