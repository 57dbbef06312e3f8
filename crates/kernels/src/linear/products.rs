//! How a linear kernel is built, and what an instruction set brings to it.

use crate::isa::Isa;
use crate::simd::Simd;

/// An instruction set as a token of the linear kernels: who has one may use its instructions.
///
/// # How a kernel is built
///
/// The folders of the architectures have the same rooms:
///
/// | file | what |
/// |---|---|
/// | `mod` | how kernels are put together from the rooms below |
/// | `vector` | the instructions as safe functions |
/// | `decode` | the blocks that can be read in place, as integers in registers |
/// | `products` | integer dot products: the part that instruction sets of the architecture do differently |
/// | `gemv` | one token: blocks where they lie, rows in lanes |
/// | `few` | x86: 2 to 4 tokens, blocks where they lie, each decoded once |
/// | `panel`, `gemm` | many tokens: rows unpacked into a panel, then tiles of rows and tokens |
/// | `unpacked` | both for formats that portable code unpacks |
/// | `avx2`, `avx512`; `neon`, `dotprod`, `i8mm` | an instruction set: its token and its row of [`crate::isa`] |
///
/// A kernel is the generic body of `gemv` or `gemm`, inlined into [`Products::run`], which is compiled for the
/// instruction set. All of it must be inlined: a function or closure that is not is compiled without the instruction
/// set, and each instruction in it becomes a call. So bodies and closures are `#[inline(always)]`, and `array::map`,
/// which is neither, is avoided.
///
/// # How the sizes of tiles were chosen
///
/// A tile of `R` rows and `T` tokens reads `R + T` vectors for `R * T` products, so it is as large as the accumulators
/// fit in registers:
///
/// | | lanes | tile | integer accumulators | registers |
/// |---|---|---|---|---|
/// | AVX2 | 8 rows | 16 x 4 | 8 of pair sums, beside 2 weights, 1 activation, 2 products | 16 |
/// | AVX-512 | 16 rows | 16 x 8 | 8 of products, 8 of scaled sums, 8 of results | 32 |
/// | NEON | 4 rows | 8 x 2 | 8 of pair sums, 8 of sums, 4 of results | 32 |
/// | dot products | 4 rows | 8 x 4 | 8 of products, 8 of scaled sums, 8 of results | 32 |
/// | i8mm | 2 rows of 2 tokens | 8 x 4 | 8 of products, 8 of scaled sums, 8 of results | 32 |
///
/// On AVX2 scaled sums and results do not fit any more; they are loaded and stored once a sub-block and once a unit.
///
/// *Rows of a panel.* 16 on both sides: one tile of x86, two of Arm, whose activations the second finds in the
/// first-level cache. i8mm has 32: it packs the activations of a tile in pairs of tokens, once for all rows of the panel.
///
/// *Stretches of K.* Arm unpacks 1,024 weights of a row at a time: 16 rows of them are 16 KiB, half the first-level
/// cache of a phone's small cores, whose second-level cache is shared or slow. The results go through memory between
/// stretches, as f32, which changes no bit. x86 unpacks whole rows: its second-level caches are private and large, and
/// a panel is read from one end to the other, which prefetchers follow.
///
/// *Four tokens* are the fewest that a gemm is used for: they fill a tile of AVX2 and of the dot products, so each
/// weight that is loaded is used four times. With fewer tokens most of the time would go into unpacking, which costs as
/// much as about five tokens of a tile; gemv reads the rows, which stay in the cache, once a token. Where there is a kernel for
/// few tokens ([`LinearKernel::few`](super::LinearKernel::few)), it takes up to as many as it says.
///
/// # Adding an instruction set
///
/// A file with a token, this trait, the products of its architecture and its list of formats decoded in place (as
/// `aarch64/dotprod.rs`), and a row in [`crate::isa`].
pub(crate) trait Products: Copy + 'static {
    /// The instruction set.
    const ISA: Isa;
    /// Tokens of a whole tile.
    const TOKENS: usize;
    /// What multiplies floats on it.
    type Floats: Simd;

    /// The token.
    ///
    /// # Panics
    /// If the machine lacks the instructions. It costs a few loads to ask.
    fn proof() -> Self;

    /// Runs `body`, which must be `#[inline(always)]`, compiled for the instructions.
    fn run(self, body: impl FnOnce(Self));
}
