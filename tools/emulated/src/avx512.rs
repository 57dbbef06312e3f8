//! `cargo xtask test-avx512`: tests the code for AVX-512 and AVX-VNNI on machines without them.
//!
//! With `--cfg emulate_avx512` the kernels for AVX-512 are compiled with intrinsics that are written with AVX2
//! (`crates/kernels/src/arch/x86_64/emulated512.rs`), with `--cfg emulate_avxvnni` those for AVX-VNNI. Their tests must
//! give the bits of scalar code, and so must whole models, in the tests of happy-model. This cannot show that the
//! compiler turns the real intrinsics into the right instructions. A machine that has them shows that in the ordinary
//! tests, with real models too.

use crate::suites;
use happy_tool_kit::outcome::Outcome;
use happy_tool_kit::process::TEST_PROFILE;
use happy_tool_kit::{Result, paths, process, progress};
use std::process::Command;

/// The packages that compute.
const PACKAGES: &[&str] = &["happy-kernels", "happy-model"];

/// The step of `cargo xtask test`, in which the kernels' unit tests run. With AVX-512 in the machine, its kernels have
/// run in the step `tests`, and here the unit tests follow, AVX-VNNI emulated if the machine lacks it; else all of it is
/// emulated.
pub(crate) fn step() -> Result<Outcome> {
    if have_avx512() {
        println!("this CPU has AVX-512: it is not emulated, and the kernels' unit tests run on it");
        let mut units = process::cargo(&["test", "--release", "--lib", "--package", "happy-kernels"]);
        units.envs(TEST_PROFILE.iter().copied()).env("HAPPY_REQUIRE_ISA", "avx512");
        if !have_avxvnni() {
            println!("it lacks AVX-VNNI, whose two instructions are emulated");
            emulating(&mut units, "--cfg emulate_avxvnni");
        }
        println!("{}", progress::run(&mut units)?);
        return Ok(Outcome::Passed);
    }
    if !have_avx2() {
        return Ok(Outcome::Skipped("AVX-512 is emulated on x86-64 with AVX2, FMA and F16C".into()));
    }
    run().map(|()| Outcome::Passed)
}

/// `cargo xtask test-avx512`.
pub(crate) fn run() -> Result<()> {
    // In one command, so that the kernels are compiled with and without their unit tests at the same time.
    let mut tests = process::cargo(&["test", "--release", "--lib"]);
    tests
        .args(suites::arguments(PACKAGES)?)
        .envs(TEST_PROFILE.iter().copied())
        .env("HAPPY_REQUIRE_ISA", "avx512");
    emulating(&mut tests, "--cfg emulate_avx512 --cfg emulate_avxvnni");
    println!("{}", progress::run(&mut tests)?);
    Ok(())
}

/// Sets up a build with emulation, in a target directory of its own.
fn emulating(command: &mut Command, flags: &str) {
    command.env("RUSTFLAGS", flags).env("CARGO_TARGET_DIR", paths::target().join("avx512"));
}

/// Whether the real kernels run here.
fn have_avx512() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vnni")
    }
    #[cfg(not(target_arch = "x86_64"))]
    false
}

fn have_avxvnni() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        is_x86_feature_detected!("avxvnni")
    }
    #[cfg(not(target_arch = "x86_64"))]
    false
}

fn have_avx2() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c")
    }
    #[cfg(not(target_arch = "x86_64"))]
    false
}
