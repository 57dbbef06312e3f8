//! What an operation needs of an instruction set: 16 virtual lanes of `f32`, with the same bits on each.
//!
//! An operation is written once, over [`Simd`], and compiled for every instruction set:
//!
//! ```text
//! fn body<S: Simd>(s: S, args..)           #[inline(always)], all of it
//! S::vectorize(op)                         a #[target_feature] function that the body is inlined into
//! entry!(fn name(args..) = body)           a plain function for the table of operations
//! ```
//!
//! Sums have the same order everywhere: element `i` goes to lane `i % 16`, and the lanes of a register are added by a
//! tree: lane `i` += lane `i + 8`, then `i + 4`, `i + 2`, `i + 1`. A row whose length is not a multiple of 16 is padded
//! with zeros.

/// A piece of work that is compiled for every instruction set.
pub(crate) trait Op {
    /// The type of the result.
    type Out;
    /// Does the work. Implementations are `#[inline(always)]`.
    fn run<S: Simd>(self, s: S) -> Self::Out;
}

/// An instruction set as a token: code that has one may use its instructions.
///
/// Every method does the same on every implementation, bit for bit, except for the payloads of NaNs.
pub(crate) trait Simd: Copy + 'static {
    /// 16 lanes of `f32`.
    type V: Copy;
    /// 16 lanes of `i32`; addition wraps.
    type I: Copy;

    /// Whether instances of code that only save time are left out, for the reference on machines that never compute with it.
    const COMPACT: bool = false;

    /// The number of queries whose dot products a block of attention keeps in registers: 1, 4 or 8.
    const QUERIES: usize;

    /// Rows and tokens of a tile of float weights, whose outputs are a register of 16 lanes each: (4, 6), (2, 3) or (1, 1).
    const FLOAT_TILE: (usize, usize) = (2, 3);

    /// By which the bits of each byte of the keys of [`Simd::dot4`] differ from the signed byte that they stand for:
    /// `0x80808080` if the keys are unsigned bytes, the signed ones plus 128; else 0.
    const KEY_BIAS: u32 = 0;

    /// Returns the token. Tables are only built if [`crate::Isa::supported`] holds.
    ///
    /// # Panics
    /// If the machine lacks the instructions, which can only happen to a kernel that was not taken from a table.
    fn token() -> Self;
    /// Runs `op` compiled for these instructions.
    fn vectorize<O: Op>(self, op: O) -> O::Out;

    /// Returns `f(x)`, by a call that compact code shares. Other code must not come here, but name `f` itself where [`Self::COMPACT`] is
    /// false: a function that was passed on is not inlined everywhere, and short convolutions took 1.5 times as long.
    #[inline(always)]
    fn outline<X, T>(self, x: X, f: impl FnOnce(Self, X) -> T) -> T {
        f(self, x)
    }

    /// Prefetches the cache line of `w[at]`, which may lie past the end, or does nothing.
    #[inline(always)]
    fn prefetch(self, _w: &[u8], _at: usize) {}

    fn splat(self, x: f32) -> Self::V;
    fn load(self, x: &[f32; 16]) -> Self::V;
    fn store(self, v: Self::V, y: &mut [f32; 16]);
    /// Loads little-endian f32, at any alignment; the next two methods load f16 and bf16.
    fn load_f32_bytes(self, x: &[u8; 64]) -> Self::V;
    fn load_f16_bytes(self, x: &[u8; 32]) -> Self::V;
    fn load_bf16_bytes(self, x: &[u8; 32]) -> Self::V;
    fn load_f16(self, x: &[u16; 16]) -> Self::V;
    /// Rounds to nearest, ties to even.
    fn store_f16(self, v: Self::V, y: &mut [u16; 16]);

    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    fn div(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a * b + c`, rounded once.
    fn fma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// `c - a * b`, rounded once.
    fn nfma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// `a < b ? a : b`: this is `b` if one of them is NaN or both are zeros.
    fn min(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a > b ? a : b`: this is `b` if one of them is NaN or both are zeros.
    fn max(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a < b ? x : y`.
    fn select_lt(self, a: Self::V, b: Self::V, x: Self::V, y: Self::V) -> Self::V;
    /// Returns the sum of the lanes, added by the tree.
    fn reduce_add(self, v: Self::V) -> f32;
    /// Returns 16 sums, each added by the tree: the sum of `v[i]` in lane `i`.
    fn reduce_add_16(self, v: &[Self::V; 16]) -> Self::V;
    /// Returns the maximum of the lanes by the tree, with [`Simd::max`].
    fn reduce_max(self, v: Self::V) -> f32;

    fn to_bits(self, v: Self::V) -> Self::I;
    #[allow(clippy::wrong_self_convention)] // the inverse of `to_bits`; `self` is the instruction set
    fn from_bits(self, v: Self::I) -> Self::V;
    fn splat_i(self, x: i32) -> Self::I;
    fn add_i(self, a: Self::I, b: Self::I) -> Self::I;
    fn and_i(self, a: Self::I, b: Self::I) -> Self::I;
    fn or_i(self, a: Self::I, b: Self::I) -> Self::I;
    /// Signed maximum.
    fn max_i(self, a: Self::I, b: Self::I) -> Self::I;
    fn shl_i<const N: u32>(self, a: Self::I) -> Self::I;
    fn reduce_max_i(self, v: Self::I) -> i32;
    fn reduce_add_i(self, v: Self::I) -> i32;
    /// Stores lanes, which are in -128 ..= 127, as bytes.
    fn store_i8(self, v: Self::I, y: &mut [i8; 16]);

    /// Returns `acc` plus, in each lane, the dot product of the lane's four bytes with the four bytes of `word`, which are
    /// -127 to 127. Lanes wrap, and nothing else is rounded or saturated. See [`Simd::KEY_BIAS`] for what the bytes are.
    #[inline(always)]
    fn dot4(self, acc: Self::I, keys: Self::V, word: u32) -> Self::I {
        let (mut lanes, word) = ([0.0f32; 16], word.to_le_bytes());
        self.store(keys, &mut lanes);
        for lane in &mut lanes {
            let mut sum = 0;
            for (key, q) in lane.to_bits().to_le_bytes().into_iter().zip(word) {
                sum += i32::from(key as i8) * i32::from(q as i8);
            }
            *lane = f32::from_bits(sum as u32);
        }
        self.add_i(acc, self.to_bits(self.load(&lanes)))
    }

    /// Loads signed bytes as f32.
    #[inline(always)]
    fn load_i8(self, x: &[i8; 16]) -> Self::V {
        let mut lanes = [0.0; 16];
        for (lane, x) in lanes.iter_mut().zip(x) {
            *lane = f32::from(*x);
        }
        self.load(&lanes)
    }

    /// Prefetches the cache line of `x[at]`, to be read soon. Past the end this has no effect, nor on machines without
    /// such an instruction.
    #[inline(always)]
    fn prefetch_near<T>(self, _x: &[T], _at: usize) {}

    /// Writes the transposed square: element `j` of row `i` of `out`, whose rows are `stride` apart, becomes
    /// `rows[j][i]`.
    #[inline(always)]
    fn transpose(self, rows: &[[f32; 16]; 16], out: &mut [f32], stride: usize) {
        for (i, out) in out.chunks_mut(stride).take(16).enumerate() {
            for (x, row) in out.iter_mut().zip(rows) {
                *x = row[i];
            }
        }
    }

    /// Loads up to 16 elements; the other lanes are zeros.
    #[inline(always)]
    fn load_part(self, x: &[f32]) -> Self::V {
        let mut lanes = [0.0; 16];
        for (lane, x) in lanes.iter_mut().zip(x) {
            *lane = *x;
        }
        self.load(&lanes)
    }

    /// Stores the first `y.len()` lanes, up to 16.
    #[inline(always)]
    fn store_part(self, v: Self::V, y: &mut [f32]) {
        let mut lanes = [0.0; 16];
        self.store(v, &mut lanes);
        for (y, lane) in y.iter_mut().zip(lanes) {
            *y = lane;
        }
    }
}

/// Adds the lanes of an array by the tree. [`Simd::reduce_add`] must give the same.
#[inline(always)]
pub(crate) fn tree<T: Copy>(mut lanes: [T; 16], f: impl Fn(T, T) -> T) -> T {
    for width in [8, 4, 2, 1] {
        for i in 0..width {
            lanes[i] = f(lanes[i], lanes[i + width]);
        }
    }
    lanes[0]
}

/// Makes a plain function out of a generic body: `entry!(fn name(arg: Type, ..) -> Out = body);` defines
/// `fn name<S: Simd>(arg: Type, ..) -> Out`, whose body runs compiled for `S`.
macro_rules! entry {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) -> $out:ty = $body:path) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments)]
        $vis fn $name<S: $crate::simd::Simd>($($arg: $ty),*) -> $out {
            struct Args<T>(T);
            impl $crate::simd::Op for Args<($($ty,)*)> {
                type Out = $out;
                #[inline(always)]
                fn run<S: $crate::simd::Simd>(self, s: S) -> $out {
                    let ($($arg,)*) = self.0;
                    $body(s, $($arg),*)
                }
            }
            S::token().vectorize(Args(($($arg,)*)))
        }
    };
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) = $body:path) => {
        entry!($(#[$meta])* $vis fn $name($($arg: $ty),*) -> () = $body);
    };
}
pub(crate) use entry;
