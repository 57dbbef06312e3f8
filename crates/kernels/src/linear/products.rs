//! How a linear kernel is built, and what an instruction set contributes to it.

use crate::isa::Isa;
use crate::simd::Simd;

/// An instruction set as a token of the linear kernels: code that has one may use its instructions.
///
/// # How a kernel is built
///
/// The folders of the architectures have the same files:
///
/// | file | what |
/// |---|---|
/// | `mod` | how kernels are put together from the files below |
/// | `vector` | the instructions as safe functions |
/// | `decode` | the blocks that are decoded in place, as integers in registers |
/// | `products` | integer dot products, in which the instruction sets of an architecture differ |
/// | `gemv` | one token: blocks where they lie, rows in lanes |
/// | `few`, `few_wide` | x86: up to 4 tokens, on AVX-512 up to 8: blocks where they lie, each decoded once |
/// | `panel`, `gemm` | many tokens: rows unpacked into a panel, then tiles of rows and tokens |
/// | `unpacked` | gemv and gemm for formats that portable code unpacks |
/// | `vnni` | x86: products that AVX-VNNI and AVX-512 share |
/// | `avx2`, `avxvnni`, `avx512`; `neon`, `dotprod`, `i8mm` | an instruction set: its token and its row of [`crate::isa`] |
///
/// A kernel is the generic body of `gemv` or `gemm`, inlined into [`Products::run`], which is compiled for the
/// instruction set. Every part of it must be inlined: a function or closure that is not is compiled without the
/// instruction set, and each instruction in it becomes a call. So bodies and closures are `#[inline(always)]`, and
/// `array::map`, which is not, is avoided.
///
/// # How the sizes of tiles were chosen
///
/// A tile of `R` rows and `T` tokens reads `R + T` vectors for `R * T` products, so it is made as large as the
/// registers allow for its accumulators:
///
/// | | lanes | tile | integer accumulators | registers |
/// |---|---|---|---|---|
/// | AVX2 | 8 rows | 16 x 4 | 8 of pair sums, beside 2 weights, 1 activation, 2 products | 16 |
/// | AVX-VNNI | 8 rows | 16 x 4 | 8 of products, beside 2 weights, 1 activation | 16 |
/// | AVX-512 | 16 rows | 16 x 8 | 8 of products, 8 of scaled sums, 8 of results | 32 |
/// | NEON | 4 rows | 8 x 2 | 8 of pair sums, 8 of sums, 4 of results | 32 |
/// | dot products | 4 rows | 8 x 4 | 8 of products, 8 of scaled sums, 8 of results | 32 |
/// | i8mm | 2 rows of 2 tokens | 8 x 4 | 8 of products, 8 of scaled sums, 8 of results | 32 |
///
/// On AVX2 and AVX-VNNI, scaled sums and results do not fit in registers as well. They are loaded and stored, once a sub-block and
/// once a unit.
///
/// *Rows of a panel.* 16 on both sides: one tile of x86, or two of Arm, where the second tile finds the activations in
/// the first-level cache. i8mm has 32: it packs the activations of a tile in pairs of tokens, once for all rows of the
/// panel.
///
/// *Stretches of K.* Arm unpacks 1,024 weights of a row at a time: 16 rows of them take 16 KiB, half of the first-level
/// cache of a phone's small cores, whose second-level cache is shared or slow. Between stretches the results are stored
/// as f32, which changes no bit. x86 unpacks whole rows: its second-level caches are private and large, and a panel is
/// read from one end to the other, which prefetchers follow.
///
/// *Four tokens* are the fewest for which a gemm is used: they fill a tile of AVX2 and of the dot products, so each
/// weight that is loaded is used four times. With fewer tokens most of the time would go into unpacking, which costs as
/// much as about five tokens of a tile. Instead, gemv reads the rows once a token; they stay in the cache. If there is
/// a kernel for a few tokens ([`LinearKernel::few`](super::LinearKernel::few)), it is used for the token counts that it
/// names.
///
/// # Adding an instruction set
///
/// Write a file with a token, this trait, the products of its architecture and its list of formats decoded in place
/// (like `aarch64/dotprod.rs`), and add a row to [`crate::isa`].
pub(crate) trait Products: Copy + 'static {
    /// The instruction set.
    const ISA: Isa;
    /// Tokens of a whole tile.
    const TOKENS: usize;
    /// The token whose float operations are used with it.
    type Floats: Simd;

    /// Returns the token.
    ///
    /// # Panics
    /// If the machine lacks the instructions. The check costs a few loads.
    fn proof() -> Self;

    /// Runs `body`, which must be `#[inline(always)]`, compiled for the instructions.
    fn run(self, body: impl FnOnce(Self));
}
