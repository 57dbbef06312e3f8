//! [`Kernels`]: the table of operations and linear kernels of one instruction set.

use crate::arch::scalar::Scalar;
use crate::check::{CheckError, check};
use crate::isa::{Isa, IsaError, for_each_isa};
use crate::linear::LinearKernel;
use crate::ops::Ops;
use crate::simd::Simd;
use happy_tensor::DType;

/// The declarations of an instruction set's file.
pub(crate) struct IsaKernels {
    pub(crate) isa: Isa,
    /// Returns the operations, or `None` if the machine lacks the instructions.
    pub(crate) ops: fn() -> Option<Ops>,
    /// A kernel for each format, in the order of [`DType::ALL`].
    pub(crate) linear: &'static [LinearKernel; DType::COUNT],
}

macro_rules! isa_kernels {
    ($($isa:ident [$($when:tt)*] { in $($place:ident)::+, $($facts:tt)* })*) => {
        /// The instruction sets of this build.
        static ISAS: &[&IsaKernels] = &[$(#[cfg($($when)*)] &crate::arch::$($place)::+::KERNELS),*];
    };
}

for_each_isa!(isa_kernels);

/// Kernels for every format and operation, as a plain struct: a program can replace a field and keep the others.
///
/// A kernel checks whether the machine has its instructions. One that is taken from [`all_linear`] panics if the
/// machine cannot run it.
#[derive(Clone, Copy, Debug)]
pub struct Kernels {
    /// The instruction set.
    pub isa: Isa,
    /// Operations that are not matrices.
    pub ops: Ops,
    /// A kernel for each format, in the order of [`DType::ALL`].
    pub linear: [&'static LinearKernel; DType::COUNT],
}

impl Kernels {
    /// Returns the best kernels that this machine can run and the environment allows (see [`crate::isa`]).
    ///
    /// # Errors
    /// If `HAPPY_ISA` or `HAPPY_DISABLE` holds an unknown name, if `HAPPY_ISA` names an instruction set that may not be
    /// used or whose results differ from those of scalar code, or if the memory to check an instruction set cannot be
    /// reserved.
    pub fn detect() -> Result<Kernels, IsaError> {
        let mut wrong = None;
        for isa in Isa::usable()? {
            match Self::checked(isa) {
                Err(error @ IsaError::Wrong { .. }) => wrong = Some(error),
                kernels => return kernels,
            }
        }
        wrong.map_or_else(|| Ok(Self::scalar()), Err)
    }

    /// Returns the portable kernels, which are the reference.
    pub fn scalar() -> Kernels {
        let isa = &crate::arch::scalar::KERNELS;
        Kernels { isa: isa.isa, ops: Ops::new(<Scalar>::token()), linear: isa.linear.each_ref() }
    }

    /// Returns the kernels of an instruction set.
    ///
    /// # Errors
    /// If the machine lacks it, the environment turns it off, its results differ from those of scalar code, or the
    /// memory to check it cannot be reserved.
    pub fn with_isa(isa: Isa) -> Result<Kernels, IsaError> {
        isa.available()?;
        Self::checked(isa)
    }

    /// Returns the table of `isa`. AVX-VNNI and AVX-512 are compared with scalar code first, because few of the machines
    /// that run the test suites have them.
    fn checked(isa: Isa) -> Result<Kernels, IsaError> {
        let kernels = Self::build(isa)?;
        if matches!(isa, Isa::AvxVnni | Isa::Avx512) {
            check(&kernels).map_err(|error| match error {
                CheckError::Mismatch(mismatch) => IsaError::Wrong { isa, mismatch },
                CheckError::Memory => IsaError::Memory { isa },
            })?;
        }
        Ok(kernels)
    }

    /// Returns the kernel for weights of `dtype`.
    pub fn linear(&self, dtype: DType) -> &'static LinearKernel {
        self.linear[dtype as usize]
    }

    fn build(isa: Isa) -> Result<Kernels, IsaError> {
        let found = ISAS.iter().find(|kernels| kernels.isa == isa).filter(|_| isa.supported());
        let kernels = found.and_then(|kernels| Some((kernels, (kernels.ops)()?)));
        let (kernels, ops) = kernels.ok_or(IsaError::Unsupported { isa })?;
        Ok(Kernels { isa, ops, linear: kernels.linear.each_ref() })
    }
}

/// Returns every linear kernel of this build, whether this machine can run it or not. Dispatch, tests and benchmarks
/// share this list. A kernel that the machine cannot run panics: check [`Isa::supported`] of its `isa` first.
pub fn all_linear() -> impl Iterator<Item = &'static LinearKernel> {
    ISAS.iter().flat_map(|isa| isa.linear)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_has_its_own_kernel() {
        for isa in Isa::ALL {
            let Ok(kernels) = Kernels::with_isa(isa) else {
                println!("isa: {isa} skipped");
                continue;
            };
            for dtype in DType::ALL {
                assert_eq!(kernels.linear(dtype).dtype, dtype, "{isa}");
            }
        }
    }

    /// Integer kernels once relied on their caller to check the machine, so safe code could execute an illegal
    /// instruction.
    #[test]
    fn kernels_that_the_machine_lacks_panic() {
        use crate::linear::{ActKind, Acts, Panel};
        use crate::{Columns, MatMut};
        crate::arch::pretend::OLD.set(true);
        let mut failed = Vec::new();
        for isa in Isa::ALL {
            if Kernels::build(isa).is_ok() && !matches!(isa, Isa::Scalar | Isa::Neon) {
                failed.push(format!("{isa}: a table without its instructions"));
            }
        }
        // NEON is part of every aarch64.
        for kernel in all_linear().filter(|k| !matches!(k.isa, Isa::Scalar | Isa::Neon)) {
            let (w, x, q, d, sums) = ([0; 1024], [0.0; 256], [0; 256], [0.0; 8], [0; 16]);
            let kind = ActKind::of(kernel.dtype);
            let acts = match kind {
                ActKind::F32 => Acts { kind, rows: 1, k: 256, x: &x, q: &[], d: &[], sums: &[] },
                _ => Acts { kind, rows: 1, k: 256, x: &[], q: &q, d: &d[..256 / kind.unit()], sums: &sums },
            };
            let gemv = std::panic::catch_unwind(|| (kernel.gemv)(&w, acts, &mut [0.0]));
            let gemm = std::panic::catch_unwind(|| {
                let Ok(mut panel) = Panel::new((kernel.panel_bytes)(256), 0) else { return };
                let mut y = [0.0];
                (kernel.gemm)(&w, acts, &mut Columns::of(MatMut::new(&mut y, 1, 1)), &mut panel);
            });
            if gemv.is_ok() || gemm.is_ok() {
                failed.push(format!("{kernel:?} can be called"));
            }
        }
        crate::arch::pretend::OLD.set(false);
        assert!(failed.is_empty(), "{}", failed.join("\n"));
    }

    #[test]
    fn kernel_names_are_unique_and_say_format_and_isa() {
        let mut names: Vec<_> = all_linear().flat_map(|k| [k.gemv_name, k.gemm_name]).collect();
        for k in all_linear() {
            let format = k.dtype.name().to_lowercase();
            for (name, op) in [(k.gemv_name, "gemv"), (k.gemm_name, "gemm")] {
                let prefix = format!("{op}_{format}_");
                assert!(name.starts_with(&prefix) && name.ends_with(k.isa.name()), "{name}");
            }
        }
        let n = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), n);
    }
}
