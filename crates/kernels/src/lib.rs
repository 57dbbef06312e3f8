//! CPU kernels for language models that give the same bits on every machine.
//!
//! The crate computes on GGUF blocks where they lie: a [`Linear`](linear::Linear) multiplies activations by a
//! quantized weight matrix without copying it, [`ops`] holds normalization, rotary embedding, softmax, attention and
//! activations, and [`pool`] the threads. [`Kernels`] is the table that binds them to an instruction set.
//!
//! **Same bits.** The order of every floating-point operation is fixed (`docs/numerics.md`): scalar code, AVX2,
//! AVX-512, NEON, and NEON with dot or matrix products return identical results, at any number of threads and for any
//! grouping of tokens. Threads split outputs, never a sum.
#![doc = include_str!("../README.md")]
#![deny(unsafe_code)]

mod activation;
mod acts;
mod arch;
mod cancel;
mod check;
pub mod isa;
pub mod kernels;
pub mod linear;
pub mod mat;
pub mod ops;
pub mod pool;
pub(crate) mod simd;

pub use arch::fpenv::FpEnv;
pub use cancel::Cancel;
pub use check::{CheckError, Mismatch, check};
pub use isa::Isa;
pub use kernels::Kernels;
pub use mat::{Mat, MatMut};
pub use pool::{Columns, PerWorker, Pool, PoolError};

/// What every computation needs: the threads, and the kernels that they run.
#[derive(Clone, Copy)]
pub struct Ctx<'a> {
    /// The threads; the caller's thread is one of them.
    pub pool: &'a Pool,
    /// The kernels of one instruction set.
    pub kernels: &'a Kernels,
    cancel: Option<&'a Cancel<'a>>,
    adapting: Option<linear::Adapting<'a>>,
}

impl<'a> Ctx<'a> {
    /// Makes a context that computes with these threads and kernels, and cannot be cancelled.
    pub fn new(pool: &'a Pool, kernels: &'a Kernels) -> Self {
        Self { pool, kernels, cancel: None, adapting: None }
    }

    /// Returns the same context with a cancel flag. Once the flag is raised, tasks that have not begun are skipped, and
    /// results are incomplete.
    #[must_use]
    pub fn until(self, cancel: &'a Cancel<'a>) -> Self {
        Self { cancel: Some(cancel), ..self }
    }

    /// Returns the same context with additions to matrices (adapters), or without any if `None`.
    #[must_use]
    pub fn adapting(self, adapting: Option<linear::Adapting<'a>>) -> Self {
        Self { adapting, ..self }
    }

    /// Returns the same context with the additions for other rows: `rows` holds the number of each row's set.
    #[must_use]
    pub fn for_rows<'b>(self, rows: &'b [u32]) -> Ctx<'b>
    where
        'a: 'b,
    {
        Ctx { adapting: self.adapting.map(|adapting| linear::Adapting { rows, ..adapting }), ..self }
    }

    /// Returns the number of each row's set, if there are additions.
    pub fn row_sets(&self) -> Option<&'a [u32]> {
        self.adapting.map(|adapting| adapting.rows)
    }

    /// Returns whether the computation should end. Call it before each task that takes more than about a millisecond.
    #[inline]
    pub fn cancelled(&self) -> bool {
        self.cancel.is_some_and(Cancel::raised)
    }
}
