//! x86-64: AVX2, AVX-VNNI, and AVX-512 with VNNI. [`Products`] says what each file holds and how kernels are built from them.
//!
//! Integer sums are exact in any order. Only one chain of fused multiply-adds per output is rounded, in the order of
//! the units, with different outputs in different lanes. So the bits are those of [`crate::arch::scalar`].
//!
//! [`Products`]: crate::linear::products::Products

pub(crate) mod avx2;
pub(crate) mod avx512;
pub(crate) mod avxvnni;
mod decode;
#[cfg(any(emulate_avx512, emulate_avxvnni, test))]
mod emulated512;
mod few;
mod few_wide;
mod gemm;
mod gemv;
mod panel;
mod products;
#[cfg(test)]
mod tests;
#[allow(
    dead_code,
    reason = "for a format that is not decoded in place yet; the tests take all of them this way"
)]
mod unpacked;
mod vector;
mod vnni;

use crate::acts::Acts;
use crate::linear::name::Name;
use crate::linear::rows::Rows;
use crate::linear::source::Source;
use crate::linear::{FewKernel, LinearKernel, Panel};
use crate::pool::Columns;
use decode::Decode;
use happy_tensor::Block;
use products::X86Products;

/// The module from which the kernels for AVX-512 take their instructions.
#[cfg(not(emulate_avx512))]
use core::arch::x86_64 as intrinsics;
#[cfg(emulate_avx512)]
use emulated512 as intrinsics;

/// The kernel of a format that is decoded in place.
const fn in_place<P: X86Products, B: Decode + Source + Block>() -> LinearKernel {
    const { assert!(<B as Decode>::PARTS == <B as Source>::PARTS, "the same units") };
    LinearKernel {
        dtype: B::DTYPE,
        isa: P::ISA,
        gemv_name: const { &Name::new("gemv", B::DTYPE, gemv::ROWS, 1, P::ISA) }.as_str(),
        gemm_name: const { &Name::new("gemm", B::DTYPE, gemm::ROWS, P::TOKENS, P::ISA) }.as_str(),
        gemv: |w, x, y| {
            P::proof().run(
                #[inline(always)]
                move |s| gemv::gemv::<P, B>(s, w, x, y),
            );
        },
        gemm: |w, x, y, panel| {
            P::proof().run(
                #[inline(always)]
                move |s| gemm::gemm::<P, B>(s, w, x, y, panel),
            );
        },
        few: if <B as Decode>::COLUMNS { Some(few_tokens::<P, B>()) } else { None },
        panel_rows: gemm::ROWS,
        panel_bytes: gemm::panel_bytes::<P, B>,
    }
}

/// The kernel for a few tokens.
const fn few_tokens<P: X86Products, B: Decode + Source + Block>() -> FewKernel {
    FewKernel {
        name: const {
            let (rows, tokens) = few::shape::<P, B>();
            &Name::new("few", B::DTYPE, rows, tokens, P::ISA)
        }
        .as_str(),
        min_tokens: <B as Decode>::FEWEST,
        max_tokens: few::shape::<P, B>().1,
        multiply: |w, x, y| {
            P::proof().run(
                #[inline(always)]
                move |s| few::few::<P, B>(s, w, x, y),
            );
        },
    }
}

/// The kernel of a format that portable code unpacks.
#[allow(
    dead_code,
    reason = "for a format that is not decoded in place yet; the tests take all of them this way"
)]
const fn unpacked<P: X86Products, B: Source<Unit: Decode> + Block>() -> LinearKernel {
    LinearKernel {
        dtype: B::DTYPE,
        isa: P::ISA,
        gemv_name: const { &Name::new("gemv", B::DTYPE, gemv::ROWS, 1, P::ISA) }.as_str(),
        gemm_name: const { &Name::new("gemm", B::DTYPE, gemm::ROWS, P::TOKENS, P::ISA) }.as_str(),
        gemv: |w, x, y| {
            P::proof().run(
                #[inline(always)]
                move |s| unpacked::gemv::<P, B>(s, w, x, y),
            );
        },
        gemm: |w, x, y, panel| {
            let (s, rows) = (P::proof(), Rows::<B>::new(w, x, y.width()));
            panels::<P, B::Unit>(s, x, y, panel, &|first, lines| {
                s.run(
                    #[inline(always)]
                    |s| unpacked::fill(s, w, &rows, first, lines),
                );
            });
        },
        few: None,
        panel_rows: gemm::ROWS,
        panel_bytes: gemm::panel_bytes::<P, B::Unit>,
    }
}

/// Fills the lines of a panel, of which the first row is given.
#[allow(
    dead_code,
    reason = "for a format that is not decoded in place yet; the tests take all of them this way"
)]
type Fill<'a> = dyn Fn(usize, &mut [gemm::Line]) + 'a;

/// Multiplies panels that `fill` fills. It is compiled once for each kind of unit, and formats with the same units
/// share it.
#[allow(
    dead_code,
    reason = "for a format that is not decoded in place yet; the tests take all of them this way"
)]
#[inline(never)]
fn panels<P: X86Products, F: Decode>(
    s: P,
    x: Acts<'_>,
    y: &mut Columns<'_>,
    panel: &mut Panel,
    fill: &Fill<'_>,
) {
    s.run(
        #[inline(always)]
        move |s| gemm::panels::<P, F>(s, x, y, panel, fill),
    );
}
