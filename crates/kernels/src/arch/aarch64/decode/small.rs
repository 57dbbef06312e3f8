//! Blocks of several units: Q1_0, Q2_0 and NVFP4.

use super::{Decode, clear_bits};
use crate::arch::aarch64::shape::{Plain, WideHalves};
use crate::arch::aarch64::vector::*;
use crate::linear::source::Source;
use core::arch::aarch64::{float32x4_t, int8x16_t};
use happy_tensor::{BlockNVFP4, BlockQ1_0, BlockQ2_0, FP4_LEVELS};

impl Decode for BlockQ1_0 {
    type Unit = <Self as Source>::Unit;
    type Shape = Plain;
    const PARTS: usize = 4;
    scales!(d);

    #[inline(always)]
    fn group<const G: usize>(&self) -> int8x16_t {
        self.group_of::<G>(0)
    }
    /// A clear bit gives all ones, which is -1.
    #[inline(always)]
    fn group_of<const G: usize>(&self, part: usize) -> int8x16_t {
        let bits = u32::from_le_bytes(self.qs.as_chunks().0[part]);
        signed(or(clear_bits(bits, G), splat_u8(1)))
    }
}

impl Decode for BlockQ2_0 {
    type Unit = <Self as Source>::Unit;
    type Shape = Plain;
    const PARTS: usize = 2;
    const BIAS: i32 = -1;
    scales!(d);

    #[inline(always)]
    fn group<const G: usize>(&self) -> int8x16_t {
        self.group_of::<G>(0)
    }
    /// Each byte is copied four times and shifted by 0, 2, 4 and 6.
    #[inline(always)]
    fn group_of<const G: usize>(&self, part: usize) -> int8x16_t {
        const BYTES: Bytes = [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3];
        const SHIFTS: [i8; 16] = [0, -2, -4, -6, 0, -2, -4, -6, 0, -2, -4, -6, 0, -2, -4, -6];
        let bits = u32::from_le_bytes(self.qs.as_chunks().0[2 * part + G]);
        signed(and(shift(table(splat_u32(bits), load(&BYTES)), load_i8(&SHIFTS)), splat_u8(3)))
    }
}

impl Decode for BlockNVFP4 {
    type Unit = <Self as Source>::Unit;
    type Shape = WideHalves;
    const PARTS: usize = 4;
    const F32_SCALE: bool = true;

    #[inline(always)]
    fn group<const G: usize>(&self) -> int8x16_t {
        self.group_of::<G>(0)
    }
    #[inline(always)]
    fn group_of<const G: usize>(&self, part: usize) -> int8x16_t {
        if part % 2 != G {
            return splat_i8(0);
        }
        let two = load(&self.qs.as_flattened().as_chunks().0[part / 2]);
        let (low, high) = (and(two, splat_u8(15)), shr::<4>(two));
        let nibbles = if const { G == 0 } { low_halves(low, high) } else { high_halves(low, high) };
        signed(table(unsigned(load_i8(&FP4_LEVELS)), nibbles))
    }
    /// Returns the bits of four scales.
    #[inline(always)]
    fn d_min_bits(&self) -> u32 {
        u32::from_le_bytes(self.d)
    }
    /// `d` is half the value of an unsigned E4M3. As f32, `bits << 20` is 2^-120 times that value, subnormal numbers
    /// included.
    #[inline(always)]
    fn d_lanes(bits: [u32; 4], part: usize) -> float32x4_t {
        half_e4m3(bits, 8 * part)
    }
}
