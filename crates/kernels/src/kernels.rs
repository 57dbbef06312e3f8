//! [`Kernels`]: the table that binds operations and linear kernels to one instruction set.

use crate::arch::scalar::Scalar;
use crate::check::{CheckError, check};
use crate::isa::{Isa, IsaError};
use crate::linear::{LinearKernel, float, scalar};
use crate::ops::Ops;
use crate::simd::Simd;
use happy_tensor::DType;

#[cfg(target_arch = "x86_64")]
use crate::arch::{avx2::Avx2, avx512::Avx512};

/// Kernels for every format and operation. A plain struct: override a field, keep the rest.
///
/// A kernel asks itself whether the machine has its instructions, so that one taken from [`all_linear`] panics where
/// it cannot run.
#[derive(Clone, Copy, Debug)]
pub struct Kernels {
    /// The instruction set. Single formats may run on a lesser one that it includes.
    pub isa: Isa,
    /// Operations that are not matrices.
    pub ops: Ops,
    /// A kernel for each format, in the order of [`DType::ALL`].
    pub linear: [&'static LinearKernel; DType::ALL.len()],
}

impl Kernels {
    /// The best kernels that this machine can run and the environment allows (see [`crate::isa`]).
    ///
    /// # Errors
    /// When `HAPPY_ISA` or `HAPPY_DISABLE` ask for what is not there.
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

    /// Portable kernels, the reference.
    pub fn scalar() -> Kernels {
        Self::table(Isa::Scalar, Ops::new(Scalar::token()), &[])
    }

    /// The kernels of `isa`.
    ///
    /// # Errors
    /// If the machine lacks it, the environment turns it off, or it computes something else than scalar code.
    pub fn with_isa(isa: Isa) -> Result<Kernels, IsaError> {
        isa.available()?;
        Self::checked(isa)
    }

    /// The table of `isa`, compared with scalar code where the test suites have run on no such machine.
    fn checked(isa: Isa) -> Result<Kernels, IsaError> {
        let kernels = Self::build(isa)?;
        if isa == Isa::Avx512 {
            check(&kernels).map_err(|error| match error {
                CheckError::Mismatch(mismatch) => IsaError::Wrong { isa, mismatch },
                CheckError::Memory => IsaError::Memory { isa },
            })?;
        }
        Ok(kernels)
    }

    /// The kernel for weights of `dtype`.
    pub fn linear(&self, dtype: DType) -> &'static LinearKernel {
        self.linear[dtype as usize]
    }

    #[cfg(target_arch = "x86_64")]
    fn build(isa: Isa) -> Result<Kernels, IsaError> {
        let missing = IsaError::Unsupported { isa };
        match isa {
            Isa::Scalar => Ok(Self::scalar()),
            Isa::Avx2 => Ok(Self::table(isa, Ops::new(Avx2::new().ok_or(missing)?), &[Isa::Avx2])),
            Isa::Avx512 => {
                Ok(Self::table(isa, Ops::new(Avx512::new().ok_or(missing)?), &[Isa::Avx2, Isa::Avx512]))
            }
            _ => Err(missing),
        }
    }

    #[cfg(target_arch = "aarch64")]
    fn build(isa: Isa) -> Result<Kernels, IsaError> {
        use crate::arch::neon::Neon;
        let missing = IsaError::Unsupported { isa };
        match isa {
            Isa::Scalar => Ok(Self::scalar()),
            Isa::Neon => Ok(Self::table(isa, Ops::new(Neon::new().ok_or(missing)?), &[Isa::Neon])),
            Isa::Dotprod if isa.supported() => {
                Ok(Self::table(isa, Ops::new(Neon::new().ok_or(missing)?), &[Isa::Neon, Isa::Dotprod]))
            }
            _ => Err(missing),
        }
    }

    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    fn build(isa: Isa) -> Result<Kernels, IsaError> {
        if isa == Isa::Scalar { Ok(Self::scalar()) } else { Err(IsaError::Unsupported { isa }) }
    }

    /// A table that takes for each format the kernel of the last of `isas` that has one, else the scalar kernel.
    fn table(isa: Isa, ops: Ops, isas: &[Isa]) -> Kernels {
        let rank = |k: &LinearKernel| isas.iter().position(|i| *i == k.isa).map(|p| p + 1);
        let linear = DType::ALL.map(|dtype| {
            let of_format = all_linear().filter(|k| k.dtype == dtype);
            let usable = of_format.filter(|k| k.isa == Isa::Scalar || rank(k).is_some());
            // `max_by_key` needs no default: the two scalar lists together hold every format
            usable.max_by_key(|k| rank(k).unwrap_or(0)).unwrap_or(&scalar::KERNELS[0])
        });
        Kernels { isa, ops, linear }
    }
}

/// Every linear kernel of this build, whether this machine can run it or not: the list that dispatch, tests and
/// benchmarks share. Calling one that the machine lacks panics: ask [`Isa::supported`] of its `isa` first.
pub fn all_linear() -> impl Iterator<Item = &'static LinearKernel> {
    let lists: [&'static [LinearKernel]; _] = [
        &float::SCALAR_KERNELS,
        &scalar::KERNELS,
        #[cfg(target_arch = "x86_64")]
        &float::AVX2_KERNELS,
        #[cfg(target_arch = "x86_64")]
        &float::AVX512_KERNELS,
        #[cfg(target_arch = "x86_64")]
        &crate::arch::x86_linear::AVX2_KERNELS,
        #[cfg(target_arch = "x86_64")]
        &crate::arch::x86_linear::AVX512_KERNELS,
        #[cfg(target_arch = "aarch64")]
        &float::NEON_KERNELS,
        #[cfg(target_arch = "aarch64")]
        &crate::arch::neon_linear::NEON_KERNELS,
        #[cfg(target_arch = "aarch64")]
        &crate::arch::neon_linear::DOTPROD_KERNELS,
    ];
    lists.into_iter().flatten()
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

    /// Integer kernels relied on whoever took them from the list: an illegal instruction out of safe code.
    #[test]
    fn kernels_that_the_machine_lacks_panic() {
        use crate::linear::{ActKind, Acts, Panel};
        use crate::{Columns, MatMut};
        crate::arch::pretend::OLD.set(true);
        let mut failed = Vec::new();
        for isa in [Isa::Avx2, Isa::Avx512, Isa::Neon, Isa::Dotprod] {
            if Kernels::build(isa).is_ok() && isa != Isa::Neon && isa != Isa::Dotprod {
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
