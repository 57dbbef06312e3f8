//! The points of the IQ formats: tables of vectors.
//!
//! A format that stores each element by itself needs whole bits per element. The IQ1, IQ2 and IQ3 formats store 8 (or 4)
//! magnitudes at once, as the number of a point in a table. This is vector quantization. Signs are stored separately.
//!
//! ```text
//! table     coordinates  levels of a coordinate              points   bits a coordinate
//! IQ2_XXS   8            8 25 43   (about 1 3 5, times 8.5)     256   1     all of even parity
//! IQ2_XS    8            8 25 43                                512   1.125 all of even parity
//! IQ2_S     8            8 25 43                               1024   1.25  all of even parity
//! IQ3_XXS   4            4 12 20 28 36 44 52 62                 256   2     all of even parity
//! IQ3_S     4            1 3 5 7 9 11 13 15                     512   2.25
//! IQ1       8            -8 0 8    (-1 0 1)                    2048   1.375 no separate signs
//! ```
//!
//! Where they come from. The levels stand for odd numbers 1, 3, 5 ..; vectors of 8 odd numbers whose sum is a multiple
//! of 4 are, scaled by a half, the half-integer points of the lattice E8, the densest packing of spheres in 8
//! dimensions. "Even parity" above is this condition: if level `l` stands for the number `2 l + 1`, the sum of 8 is
//! `2 (sum of l) + 8`, so the sum of the `l` must be even. 3281 of the 3^8 vectors fulfill it. The lattice does not say
//! which of them to choose: ggml's author chose those that the weights of real models needed most. So no formula gives the
//! tables; they are facts of the formats. They are stored as packed codes, 2 bits per coordinate (3 in the tables of 4
//! coordinates), in ascending order, which is also the order of their numbers in a file. `examples/lattice.rs` makes
//! `codes.rs` from a ggml source tree; the functions below expand it when this crate is compiled.
//!
//! Signs. IQ2_XXS, IQ2_XS and IQ3_XXS store 7 signs for 8 elements: the number of minus signs is even, which determines the
//! eighth. An encoder that finds an odd number flips the sign that costs least.

mod codes;

use super::words::{ONES, byte_masks, bytes8, word8};

/// A table of points.
pub(crate) type Points<const N: usize> = &'static [[i8; N]];

/// Points of IQ2_XXS.
pub static IQ2_XXS: [[i8; 8]; 256] = expand8(&codes::IQ2_XXS, [8, 25, 43]);
/// Points of IQ2_XS.
pub static IQ2_XS: [[i8; 8]; 512] = expand8(&codes::IQ2_XS, [8, 25, 43]);
/// Points of IQ2_S.
pub static IQ2_S: [[i8; 8]; 1024] = expand8(&codes::IQ2_S, [8, 25, 43]);
/// Points of IQ1_S and IQ1_M in eighths, so that their shift of an eighth is an integer too.
pub static IQ1: [[i8; 8]; 2048] = expand8(&codes::IQ1, [-8, 0, 8]);
/// Points of IQ3_XXS.
pub static IQ3_XXS: [[i8; 4]; 256] = expand4(&codes::IQ3_XXS, [4, 12, 20, 28, 36, 44, 52, 62]);
/// Points of IQ3_S.
pub static IQ3_S: [[i8; 4]; 512] = expand4(&codes::IQ3_S, [1, 3, 5, 7, 9, 11, 13, 15]);

/// Expands points of 8 coordinates, 2 bits each.
const fn expand8<const N: usize>(codes: &[u16; N], levels: [i8; 3]) -> [[i8; 8]; N] {
    let mut points = [[0; 8]; N];
    let mut n = 0;
    while n < N {
        let mut i = 0;
        while i < 8 {
            points[n][i] = levels[(codes[n] >> (2 * i) & 3) as usize];
            i += 1;
        }
        n += 1;
    }
    points
}

/// Expands points of 4 coordinates, 3 bits each.
const fn expand4<const N: usize>(codes: &[u16; N], levels: [i8; 8]) -> [[i8; 4]; N] {
    let mut points = [[0; 4]; N];
    let mut n = 0;
    while n < N {
        let mut i = 0;
        while i < 4 {
            points[n][i] = levels[(codes[n] >> (3 * i) & 7) as usize];
            i += 1;
        }
        n += 1;
    }
    points
}

/// Returns all 8 signs, given the first 7: bit `i` says that element `i` is negative, and the number of set bits is even.
#[inline]
pub const fn eight_signs(seven: u32) -> u8 {
    let seven = (seven & 127) as u8;
    seven | (seven.count_ones() as u8 & 1) << 7
}

/// Applies signs to magnitudes. No magnitude is 0, so all bytes of a word can be negated at once without carries from one
/// byte to the next.
#[inline]
pub(super) fn signed8(point: &[i8; 8], signs: u8) -> [i8; 8] {
    let minus = byte_masks(signs);
    let q = word8(point) ^ minus;
    bytes8(q.wrapping_add(minus & ONES))
}

/// The same for four magnitudes; the upper four signs are ignored.
#[inline]
pub(super) fn signed4(point: &[i8; 4], signs: u8) -> [i8; 4] {
    let [a, b, c, d] = *point;
    let [a, b, c, d, ..] = signed8(&[a, b, c, d, 1, 1, 1, 1], signs & 0xF);
    [a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_have_even_parity_and_are_sorted() {
        for codes in [&codes::IQ2_XXS[..], &codes::IQ2_XS, &codes::IQ2_S] {
            for code in codes {
                let sum: u16 = (0..8).map(|i| code >> (2 * i) & 3).sum();
                assert!(sum.is_multiple_of(2) && (0..8).all(|i| code >> (2 * i) & 3 < 3), "{code:04X}");
            }
            assert!(codes.is_sorted_by(|a, b| a < b));
        }
        assert!(
            codes::IQ3_XXS
                .iter()
                .all(|code| (0..4).map(|i| code >> (3 * i) & 7).sum::<u16>().is_multiple_of(2))
        );
        assert!(codes::IQ1.is_sorted_by(|a, b| a < b) && codes::IQ3_S.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn signs_are_even() {
        for seven in 0..128 {
            assert!(eight_signs(seven).count_ones().is_multiple_of(2));
        }
        assert_eq!(signed4(&[1, 2, 3, 4], 0b1111_1010), [1, -2, 3, -4]);
        assert_eq!(signed8(&[1, 2, 43, 4, 62, 6, 7, 8], 0b1101_0101), [-1, 2, -43, 4, -62, 6, -7, -8]);
    }
}
