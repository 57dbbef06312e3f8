//! Instruction sets: which exist, which the machine has, and the switches that turn them off.
//!
//! | variable | effect |
//! |---|---|
//! | `HAPPY_ISA=scalar` | use exactly this instruction set |
//! | `HAPPY_DISABLE=avx512,avx2` | never use these (scalar code cannot be disabled) |
//! | `HAPPY_REQUIRE_ISA=avx2` | tests: not having this one is a failure, not a skip |
//!
//! Compiled with `--cfg emulate_avx512`, [`Isa::Avx512`] runs on AVX2 by emulated intrinsics: slow, for tests on
//! machines that lack it (`cargo xtask test-avx512`).

use core::fmt;
use core::str::FromStr;

/// An instruction set that kernels are written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Isa {
    /// Portable code, the reference for all others.
    Scalar,
    /// x86-64 with AVX2, FMA and F16C.
    Avx2,
    /// x86-64 with AVX-512 F, BW, VL, DQ and VNNI.
    Avx512,
    /// AArch64 with what armv8.0 has.
    Neon,
    /// AArch64 with dot product instructions (armv8.2 and later).
    Dotprod,
}

impl Isa {
    /// Every instruction set, the reference first and the best of each architecture last.
    pub const ALL: [Isa; 5] = [Isa::Scalar, Isa::Avx2, Isa::Avx512, Isa::Neon, Isa::Dotprod];

    /// The name used by options, environment variables and kernel names.
    pub const fn name(self) -> &'static str {
        match self {
            Isa::Scalar => "scalar",
            Isa::Avx2 => "avx2",
            Isa::Avx512 => "avx512",
            Isa::Neon => "neon",
            Isa::Dotprod => "dotprod",
        }
    }

    /// Names of the processor features that it needs.
    pub const fn features(self) -> &'static [&'static str] {
        match self {
            Isa::Scalar => &[],
            Isa::Avx2 => &["avx2", "fma", "f16c"],
            Isa::Avx512 if cfg!(emulate_avx512) => &["avx2", "fma", "f16c"],
            Isa::Avx512 => {
                &["avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512vnni"]
            }
            Isa::Neon => &["neon"],
            Isa::Dotprod => &["neon", "dotprod"],
        }
    }

    /// Whether this build and this machine can run it, whatever the environment says.
    pub fn supported(self) -> bool {
        match self {
            Isa::Scalar => true,
            _ => {
                let have = cpu_features();
                self.features().iter().all(|f| have.iter().any(|(name, yes)| name == f && *yes))
            }
        }
    }

    /// Whether it may be used: supported, and not in `HAPPY_DISABLE`.
    ///
    /// # Errors
    /// [`IsaError::Unsupported`] with the missing features, [`IsaError::Disabled`], or [`IsaError::Unknown`] when
    /// `HAPPY_DISABLE` holds a name that is none.
    pub fn available(self) -> Result<(), IsaError> {
        if !self.supported() {
            return Err(IsaError::Unsupported { isa: self });
        }
        if self != Isa::Scalar && disabled()?.contains(&self) {
            return Err(IsaError::Disabled { isa: self });
        }
        Ok(())
    }

    /// The best instruction set that may be used, or the one that `HAPPY_ISA` names.
    ///
    /// # Errors
    /// When `HAPPY_ISA` or `HAPPY_DISABLE` holds an unknown name, or `HAPPY_ISA` one that may not be used.
    pub fn detect() -> Result<Isa, IsaError> {
        Ok(Self::usable()?.first().copied().unwrap_or(Isa::Scalar))
    }

    /// What may be used, the best first; only one where `HAPPY_ISA` names it.
    pub(crate) fn usable() -> Result<Vec<Isa>, IsaError> {
        if let Some(name) = variable("HAPPY_ISA") {
            let isa = parse("HAPPY_ISA", &name)?;
            return isa.available().map(|()| vec![isa]);
        }
        let off = disabled()?;
        Ok(Isa::ALL.into_iter().rev().filter(|isa| isa.supported() && !off.contains(isa)).collect())
    }

    /// The instruction set that `HAPPY_REQUIRE_ISA` names, for tests: skipping it is a failure.
    ///
    /// # Errors
    /// [`IsaError::Unknown`] when the name is none.
    pub fn required() -> Result<Option<Isa>, IsaError> {
        variable("HAPPY_REQUIRE_ISA").map(|name| parse("HAPPY_REQUIRE_ISA", &name)).transpose()
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Isa {
    type Err = IsaError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        parse("instruction set", name)
    }
}

/// Why an instruction set cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IsaError {
    /// The machine, or the architecture this was built for, lacks it.
    #[error("instruction set {isa} is not supported by this machine: it needs {}", isa.features().join(", "))]
    Unsupported {
        /// Which one.
        isa: Isa,
    },
    /// The user turned it off.
    #[error("instruction set {isa} is turned off by HAPPY_DISABLE")]
    Disabled {
        /// Which one.
        isa: Isa,
    },
    /// Its kernels do not compute what they should on this machine.
    #[error("instruction set {isa} cannot be used: {mismatch}")]
    Wrong {
        /// Which one.
        isa: Isa,
        /// What was found.
        mismatch: crate::Mismatch,
    },
    /// The memory for comparing its kernels with scalar code cannot be reserved.
    #[error("instruction set {isa} cannot be checked: no memory can be reserved")]
    Memory {
        /// Which one.
        isa: Isa,
    },
    /// No instruction set has this name.
    #[error("{from}: unknown instruction set {name:?}: expected scalar, avx2, avx512, neon or dotprod")]
    Unknown {
        /// Where the name was found.
        from: &'static str,
        /// The name.
        name: String,
    },
}

/// The processor features that matter to the kernels, and whether this machine has them.
pub fn cpu_features() -> Vec<(&'static str, bool)> {
    #[cfg(target_arch = "x86_64")]
    {
        macro_rules! have { ($($name:tt),*) => { vec![$(($name, is_x86_feature_detected!($name))),*] } }
        have!("avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512vnni")
    }
    #[cfg(target_arch = "aarch64")]
    {
        macro_rules! have {
            ($($name:tt),*) => { vec![$(($name, std::arch::is_aarch64_feature_detected!($name))),*] }
        }
        have!("neon", "dotprod", "i8mm", "fp16", "bf16", "sve", "sve2")
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    Vec::new()
}

fn variable(name: &str) -> Option<String> {
    std::env::var_os(name).map(|v| v.to_string_lossy().trim().to_owned()).filter(|v| !v.is_empty())
}

fn parse(from: &'static str, name: &str) -> Result<Isa, IsaError> {
    let found = Isa::ALL.into_iter().find(|isa| isa.name().eq_ignore_ascii_case(name));
    found.ok_or_else(|| IsaError::Unknown { from, name: name.to_owned() })
}

fn disabled() -> Result<Vec<Isa>, IsaError> {
    let names = variable("HAPPY_DISABLE").unwrap_or_default();
    let names = names.split(',').map(str::trim).filter(|n| !n.is_empty());
    names.map(|n| parse("HAPPY_DISABLE", n)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_errors_say_what() {
        for isa in Isa::ALL {
            assert_eq!(isa.name().parse(), Ok(isa));
        }
        let error = "sse9".parse::<Isa>().map_err(|e| e.to_string());
        assert!(error.is_err_and(|e| e.contains("sse9") && e.contains("avx512")));
        assert!(Isa::Scalar.supported());
        let foreign = if cfg!(target_arch = "x86_64") { Isa::Neon } else { Isa::Avx2 };
        assert_eq!(foreign.available(), Err(IsaError::Unsupported { isa: foreign }));
    }
}
