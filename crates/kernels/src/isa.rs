//! Instruction sets: which exist, which of them this machine has, and the variables that choose or forbid them.
//!
//! | variable | effect |
//! |---|---|
//! | `HAPPY_ISA=scalar` | use exactly this instruction set |
//! | `HAPPY_DISABLE=avx512,avx2` | never use these (scalar code cannot be disabled) |
//! | `HAPPY_REQUIRE_ISA=avx2` | tests fail on a machine that lacks this one, instead of skipping it |
//!
//! If this is compiled with `--cfg emulate_avx512`, [`Isa::Avx512`] runs on AVX2 with emulated intrinsics. That is
//! slow, and for tests on machines that lack AVX-512 (`cargo xtask test-avx512`). `--cfg emulate_avxvnni` does so for
//! [`Isa::AvxVnni`].

use core::fmt;
use core::str::FromStr;

/// Calls a macro with a row for each instruction set, the reference first and the best of each architecture last. A row
/// has the variant of [`Isa`], the condition under which a build contains it, the path of its kernels, its name, the
/// processor features that it needs, and its description.
macro_rules! for_each_isa {
    ($callback:ident) => {
        $callback! {
            Scalar [all()] { in scalar, "scalar", needs [], "Portable code, the reference for all others." }
            Avx2 [target_arch = "x86_64"] {
                in x86_64::avx2, "avx2", needs ["avx2" "fma" "f16c"], "x86-64 with AVX2, FMA and F16C."
            }
            AvxVnni [target_arch = "x86_64"] {
                in x86_64::avxvnni, "avxvnni", needs ["avx2" "fma" "f16c" "avxvnni"],
                "x86-64 with AVX2 and AVX-VNNI (laptops since 2021)."
            }
            Avx512 [target_arch = "x86_64"] {
                in x86_64::avx512, "avx512",
                needs ["avx2" "fma" "f16c" "avx512f" "avx512bw" "avx512vl" "avx512dq" "avx512vnni"],
                "x86-64 with AVX-512 F, BW, VL, DQ and VNNI."
            }
            Neon [target_arch = "aarch64"] {
                in aarch64::neon, "neon", needs ["neon"], "AArch64 with what armv8.0 has."
            }
            Dotprod [target_arch = "aarch64"] {
                in aarch64::dotprod, "dotprod", needs ["neon" "dotprod"],
                "AArch64 with dot product instructions (armv8.2 and later)."
            }
            I8mm [target_arch = "aarch64"] {
                in aarch64::i8mm, "i8mm", needs ["neon" "dotprod" "i8mm"],
                "AArch64 with dot products and matrix products of bytes (armv8.6, most phones since 2022)."
            }
        }
    };
}
pub(crate) use for_each_isa;

macro_rules! isas {
    ($($isa:ident [$($when:tt)*] {
        in $($place:ident)::+, $name:literal, needs [$($feature:tt)*], $doc:literal
    })*) => {
        /// An instruction set that kernels are written for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Isa {
            $(#[doc = $doc] $isa,)*
        }

        impl Isa {
            /// Every instruction set, the reference first and the best of each architecture last.
            pub const ALL: [Isa; [$(Isa::$isa),*].len()] = [$(Isa::$isa),*];

            /// Returns the name used by options, environment variables and kernel names.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Isa::$isa => $name,)*
                }
            }

            const fn listed_features(self) -> &'static [&'static str] {
                match self {
                    $(Isa::$isa => &[$($feature),*],)*
                }
            }

            /// Returns whether this build has kernels for it.
            const fn built(self) -> bool {
                match self {
                    $(Isa::$isa => cfg!($($when)*),)*
                }
            }
        }

        /// Returns whether this machine has a feature that an instruction set needs.
        fn has_feature(name: &str) -> bool {
            $(
                #[cfg($($when)*)]
                {
                    $(if name == $feature {
                        return detected!($feature);
                    })*
                }
            )*
            let _ = name;
            false
        }
    };
}

#[cfg(target_arch = "x86_64")]
macro_rules! detected {
    ($feature:tt) => {
        is_x86_feature_detected!($feature)
    };
}
#[cfg(target_arch = "aarch64")]
macro_rules! detected {
    ($feature:tt) => {
        std::arch::is_aarch64_feature_detected!($feature)
    };
}

for_each_isa!(isas);

impl Isa {
    /// Returns the names of the processor features that it needs.
    pub const fn features(self) -> &'static [&'static str] {
        match self {
            Isa::Avx512 if cfg!(emulate_avx512) => Isa::Avx2.listed_features(),
            Isa::AvxVnni if cfg!(emulate_avxvnni) => Isa::Avx2.listed_features(),
            _ => self.listed_features(),
        }
    }

    /// Returns whether this build and this machine can run it, whatever the environment says.
    pub fn supported(self) -> bool {
        self.built() && self.features().iter().all(|name| has_feature(name))
    }

    /// Checks that it may be used: it is supported, and `HAPPY_DISABLE` does not name it.
    ///
    /// # Errors
    /// [`IsaError::Unsupported`] with the missing features, [`IsaError::Disabled`], or [`IsaError::Unknown`] if
    /// `HAPPY_DISABLE` holds an unknown name.
    pub fn available(self) -> Result<(), IsaError> {
        if !self.supported() {
            return Err(IsaError::Unsupported { isa: self });
        }
        if self != Isa::Scalar && disabled()?.contains(&self) {
            return Err(IsaError::Disabled { isa: self });
        }
        Ok(())
    }

    /// Returns the best instruction set that may be used, or the one that `HAPPY_ISA` names.
    ///
    /// # Errors
    /// If `HAPPY_ISA` or `HAPPY_DISABLE` holds an unknown name, or `HAPPY_ISA` names an instruction set that may not be
    /// used.
    pub fn detect() -> Result<Isa, IsaError> {
        Ok(Self::usable()?.first().copied().unwrap_or(Isa::Scalar))
    }

    /// Returns the instruction sets that may be used, the best first; only the one that `HAPPY_ISA` names, if it is
    /// set.
    pub(crate) fn usable() -> Result<Vec<Isa>, IsaError> {
        if let Some(name) = variable("HAPPY_ISA") {
            let isa = parse("HAPPY_ISA", &name)?;
            return isa.available().map(|()| vec![isa]);
        }
        let off = disabled()?;
        Ok(Isa::ALL.into_iter().rev().filter(|isa| isa.supported() && !off.contains(isa)).collect())
    }

    /// Returns the instruction set that `HAPPY_REQUIRE_ISA` names. Tests that skip it fail.
    ///
    /// # Errors
    /// [`IsaError::Unknown`] if no instruction set has the name.
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
    /// The machine, or the architecture that this was built for, lacks it.
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
    /// Its kernels do not give the results of scalar code on this machine.
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
    #[error("{from}: unknown instruction set {name:?}: expected one of {}", Isa::ALL.map(Isa::name).join(", "))]
    Unknown {
        /// Where the name was found.
        from: &'static str,
        /// The name.
        name: String,
    },
}

/// Returns features that no kernel needs yet, for reports.
fn other_features() -> Vec<(&'static str, bool)> {
    #[cfg(target_arch = "aarch64")]
    macro_rules! others { ($($name:tt)*) => { vec![$(($name, detected!($name))),*] } }
    #[cfg(target_arch = "aarch64")]
    return others!("fp16" "bf16" "sve" "sve2");
    #[cfg(not(target_arch = "aarch64"))]
    Vec::new()
}

/// Returns processor features and whether this machine has them. Those that kernels of this architecture need come
/// first.
pub fn cpu_features() -> Vec<(&'static str, bool)> {
    let mut features: Vec<(&'static str, bool)> = Vec::new();
    for isa in Isa::ALL.into_iter().filter(|isa| isa.built()) {
        for name in isa.listed_features() {
            if !features.iter().any(|(known, _)| known == name) {
                features.push((name, has_feature(name)));
            }
        }
    }
    features.extend(other_features());
    features
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
