//! What a tile must know of a format. Formats of one shape share its code.

/// The numbers that describe a unit, and its activations as types.
pub(super) trait Shape: 'static {
    /// Elements of a unit.
    const LEN: usize;
    /// Sub-blocks of a unit. If there are several, each has a scale of its own.
    const SUBS: usize;
    /// Whether there is a minimum. It is added in units of one sub-block, and subtracted in others.
    const HAS_MIN: bool;
    /// Whether the integers have 8 bits.
    const WIDE: bool;
    /// Units that share a block of activations. Each of them has zeros in the places of the others.
    const REPEAT: usize;
    /// Elements of a unit that a panel stores: all, or those that are not always zero.
    const VALUES: usize = Self::LEN / Self::REPEAT;
    /// The shape with the same numbers for an instruction set to which it makes no difference whether integers have 8
    /// bits.
    type Narrow: Shape;

    /// The activations of a unit: `[LEN / 16][16]`.
    type Quants: AsRef<[[i8; 16]]>;
    /// Their sums: `[LEN / 16]`.
    type Sums: AsRef<[i16]> + Copy;

    /// Returns activations as units; `x` is a whole number of them.
    fn quants(x: &[i8]) -> &[Self::Quants];
    /// Returns sums of activations as units.
    fn sums(x: &[i16]) -> &[Self::Sums];
}

macro_rules! shape {
    ($($(#[$doc:meta])* $name:ident: len $len:literal, subs $subs:literal, min $min:literal, wide $wide:literal, repeat $repeat:literal, narrow $narrow:ident;)*) => {$(
        $(#[$doc])*
        pub(super) struct $name;

        impl Shape for $name {
            const LEN: usize = $len;
            const SUBS: usize = $subs;
            const HAS_MIN: bool = $min;
            const WIDE: bool = $wide;
            const REPEAT: usize = $repeat;
            type Narrow = $narrow;
            type Quants = [[i8; 16]; $len / 16];
            type Sums = [i16; $len / 16];

            #[inline(always)]
            fn quants(x: &[i8]) -> &[Self::Quants] {
                x.as_chunks::<16>().0.as_chunks().0
            }
            #[inline(always)]
            fn sums(x: &[i16]) -> &[Self::Sums] {
                x.as_chunks().0
            }
        }

        const _: () = {
            type Narrow = <$name as Shape>::Narrow;
            assert!(Narrow::LEN == $len && Narrow::SUBS == $subs && Narrow::HAS_MIN == $min && Narrow::REPEAT == $repeat);
        };
    )*};
}

shape! {
    /// Q4_0, Q5_0, Q1_0, Q2_0, MXFP4.
    Plain: len 32, subs 1, min false, wide false, repeat 1, narrow Plain;
    /// Q4_1, Q5_1.
    PlainMin: len 32, subs 1, min true, wide false, repeat 1, narrow PlainMin;
    /// Q8_0, IQ4_NL, and unpacked units of 32.
    Wide: len 32, subs 1, min false, wide true, repeat 1, narrow Plain;
    /// Q4_K, Q5_K.
    Subs8Min: len 256, subs 8, min true, wide false, repeat 1, narrow Subs8Min;
    /// IQ1_S, IQ3_S, TQ1_0, TQ2_0.
    Subs8: len 256, subs 8, min false, wide false, repeat 1, narrow Subs8;
    /// IQ2_XXS, IQ3_XXS, IQ4_XS.
    WideSubs8: len 256, subs 8, min false, wide true, repeat 1, narrow Subs8;
    /// Q3_K, Q6_K, IQ1_M.
    Subs16: len 256, subs 16, min false, wide false, repeat 1, narrow Subs16;
    /// NVFP4, and unpacked units of 16.
    WideHalves: len 32, subs 1, min false, wide true, repeat 2, narrow WideHalves;
    /// IQ2_XS, IQ2_S, and unpacked units of 256.
    WideSubs16: len 256, subs 16, min false, wide true, repeat 1, narrow Subs16;
    /// Unpacked units of 32 with a minimum.
    WideMin: len 32, subs 1, min true, wide true, repeat 1, narrow PlainMin;
    /// Unpacked units of 256 with minimums.
    WideSubs16Min: len 256, subs 16, min true, wide true, repeat 1, narrow Subs16Min;
    /// Q2_K.
    Subs16Min: len 256, subs 16, min true, wide false, repeat 1, narrow Subs16Min;
}
