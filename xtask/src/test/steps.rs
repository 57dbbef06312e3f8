//! The steps of `cargo xtask test`.

use crate::{conform, skips, tidy, tools};
use When::{Always, Long};
use happy_tool_kit::outcome::Outcome;
use happy_tool_kit::process::{TEST_PROFILE, TESTED};
use happy_tool_kit::{Result, fetch, paths, process, progress};
use std::time::{SystemTime, UNIX_EPOCH};

/// When a step runs.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum When {
    /// Always, unless other steps are requested.
    Always,
    /// With `--all`, or if it is named.
    Long,
}

/// This package, and the one that it shares with the tools.
const XTASK: &[&str] = &["xtask", "happy-tool-kit"];

pub(super) struct Step {
    pub(super) when: When,
    pub(super) name: &'static str,
    pub(super) what: &'static str,
    /// What to do when it fails.
    pub(super) advice: &'static str,
    /// Whether it only compiles and checks, and needs nothing of the steps before it. Then it may run at the same time
    /// as others.
    pub(super) beside: bool,
    pub(super) run: fn() -> Result<Outcome>,
}

/// All steps in order: cheap ones that fail often come first.
pub(super) const STEPS: &[Step] = &[
    Step {
        when: Always,
        name: "fmt",
        what: "cargo fmt --all -- --check",
        advice: "run `cargo fmt --all`",
        beside: false,
        run: || cargo(&["fmt", "--all", "--", "--check"], &[]),
    },
    Step {
        when: Always,
        name: "tidy",
        what: "cargo xtask tidy: the conventions",
        advice: "each line above names the file and what it should be",
        beside: false,
        run: || tidy::check().map(|()| Outcome::Passed),
    },
    Step {
        when: Always,
        name: "clippy",
        what: "cargo clippy on all crates and targets, warnings are errors",
        advice: "fix what clippy names above",
        beside: true,
        run: || {
            cargo(&crates(&["clippy", "--release"], &["--all-targets", "--", "-D", "warnings"]), TEST_PROFILE)
        },
    },
    Step {
        when: Always,
        name: "doc",
        what: "cargo doc on all crates, warnings are errors",
        advice: "fix the doc comments named above (a broken link, a missing comment)",
        beside: true,
        run: || {
            let environment = [TEST_PROFILE, &[("RUSTDOCFLAGS", "-D warnings")]].concat();
            cargo(&crates(&["doc", "--release", "--no-deps"], &[]), &environment)
        },
    },
    Step {
        when: Always,
        name: "fetch-models",
        what: "the real models, checked",
        advice: "put the file named above into the models' folder",
        beside: false,
        run: || fetch::run(&[]).map(|()| Outcome::Passed),
    },
    Step {
        when: Always,
        name: "tests",
        what: "cargo test --release on all crates, doctests and examples too, the real models included",
        advice: "run the failing test alone: cargo test --release -p PACKAGE NAME",
        beside: false,
        run: tests,
    },
    Step {
        when: Always,
        name: "conform",
        what: "cargo xtask conform: other people's results; the full data where HAPPY_CONFORMANCE names them",
        advice: "run the corpus alone: cargo xtask conform CORPUS",
        beside: false,
        run: conform_step,
    },
    Step {
        when: Always,
        name: "xtask",
        what: "clippy, doc and tests of xtask, in the profile in which it runs",
        advice: "run the failing test alone: cargo test --profile xtask -p PACKAGE NAME",
        beside: true,
        run: || in_xtask_profile(XTASK),
    },
    Step {
        when: Long,
        name: "sweeps",
        what: "the tests over recipes and pages, with every recipe of the selection and every line",
        advice: "run HAPPY_SWEEP=1 cargo test --release -p PACKAGE --test NAME",
        beside: false,
        run: sweeps,
    },
    Step {
        when: Long,
        name: "tools",
        what: "the same of the packages in tools",
        advice: "run the failing test alone: cargo test --profile xtask -p PACKAGE NAME",
        beside: true,
        run: || in_xtask_profile(tools::PACKAGES),
    },
    Step {
        when: Long,
        name: "bindings",
        what: "cargo xtask dart --check: Java's and Dart's option classes, Dart's bindings against the C header and the C compiler; Dart's grammar",
        advice: "run `cargo xtask options` and `cargo xtask dart` where the options or the header changed; else fix what is named above",
        beside: true,
        run: || tools::step(tools::BINDINGS, "bindings"),
    },
    Step {
        when: Long,
        name: "kotlin",
        what: "the Kotlin sources with JetBrains' compiler from npm, warnings are errors",
        advice: "fix what is named above; target/kotlin has the compiler",
        beside: true,
        run: || tools::step(tools::BINDINGS, "kotlin"),
    },
    Step {
        when: Long,
        name: "test-clients",
        what: "cargo xtask test-clients: clients from PyPI and npm against `happy serve`",
        advice: "run `cargo xtask test-clients` alone",
        beside: false,
        run: || tools::step(tools::CLIENTS, "test-clients"),
    },
    Step {
        when: Long,
        name: "test-avx512",
        what: "the kernels' unit tests; without AVX-512 in this machine, these and whole models by emulated intrinsics",
        advice: "run cargo test --release -p happy-kernels --lib, or `cargo xtask test-avx512`",
        beside: false,
        run: || tools::step(tools::EMULATED, "test-avx512"),
    },
    Step {
        when: Long,
        name: "test-arm",
        what: "cargo xtask setup-arm (apt, root) and test-arm: the tests on an emulated CPU, `happy` on three",
        advice: "run `cargo xtask test-arm` alone; with `--cpu NAME` on one CPU",
        beside: false,
        run: || tools::step(tools::EMULATED, "test-arm"),
    },
    Step {
        when: Long,
        name: "device-test",
        what: "cargo xtask device-test on phones of software: the real adb, programs emulated",
        advice: "run `cargo test -p happy-tool-device --test device` alone, or one of its tests by name",
        beside: false,
        run: || tools::step(tools::DEVICE, "device-test"),
    },
    Step {
        when: Long,
        name: "test-foreign",
        what: "cargo xtask setup-foreign (rustup; apt, root) and test-foreign: 32-bit and big-endian machines",
        advice: "run `cargo xtask test-foreign` alone; with `--machine NAME` on one machine",
        beside: false,
        run: || tools::step(tools::EMULATED, "test-foreign"),
    },
    Step {
        when: Long,
        name: "dist",
        what: "cargo xtask dist --android --stubs: libhappy.so and happy for phones, linked without an NDK, and elf-check",
        advice: "run `cargo xtask dist --android --stubs --abi arm64-v8a` alone",
        beside: false,
        run: || tools::step(tools::ANDROID, "dist"),
    },
    Step {
        when: Long,
        name: "apk",
        what: "cargo xtask apk --setup (apt, root) and apk --stubs: an app with libhappy.so in it",
        advice: "run `cargo xtask apk --stubs` alone",
        beside: false,
        run: || tools::step(tools::ANDROID, "apk"),
    },
    Step {
        when: Long,
        name: "features",
        what: "cargo clippy on each crate without features and with each feature alone, so happy-gguf without std too; warnings are errors",
        advice: "run cargo clippy -p PACKAGE --no-default-features --features FEATURE alone",
        beside: true,
        run: features,
    },
    Step {
        when: Long,
        name: "package",
        what: "cargo package: every crate that is published",
        advice: "a packaged crate must build from its own files; see the error above",
        beside: true,
        run: package,
    },
];

fn cargo(arguments: &[&str], environment: &[(&str, &str)]) -> Result<Outcome> {
    process::run(process::cargo(arguments).envs(environment.iter().copied())).map(|()| Outcome::Passed)
}

/// Returns the arguments of a cargo command for all crates and the packages of tests. xtask and the tools have steps of
/// their own. Clippy and doc also use the profile of the tests, so that build scripts and derive macros are compiled
/// once for all three.
fn crates<'a>(command: &[&'a str], further: &[&'a str]) -> Vec<&'a str> {
    [command, TESTED, further].concat()
}

/// Runs the tests on the selection of the conformance data. The step `conform` uses the full data if they are
/// available.
fn tests() -> Result<Outcome> {
    eprintln!("compiling the workspace's tests: the first time takes minutes; then a line per test program");
    // The step `conform` runs the corpora and prints their table.
    let mut command =
        process::cargo(&crates(&["test", "--release", "--no-fail-fast"], &["--", "--skip", "corpus::"]));
    command
        .envs(TEST_PROFILE.iter().copied())
        .envs([skips::variable()])
        .env("HAPPY_MODELS", paths::models()?)
        .env_remove("HAPPY_CONFORMANCE");
    let totals = progress::run(&mut command)?;
    eprintln!("{totals}");
    Ok(Outcome::Passed)
}

/// Runs with all recipes, and all lines of the pages, what the step `tests` runs with some. That step has compiled the programs, unless only this
/// one was requested.
fn sweeps() -> Result<Outcome> {
    let programs = ["memory", "pages", "recipes_memory", "recipes_same_bits"].map(|name| ["--test", name]);
    let programs = programs.as_flattened();
    let mut command = process::cargo(&crates(&["test", "--release", "--no-fail-fast"], programs));
    command
        .envs(TEST_PROFILE.iter().copied())
        .envs([skips::variable()])
        .env("HAPPY_SWEEP", "1")
        .env("HAPPY_MODELS", paths::models()?)
        .env_remove("HAPPY_CONFORMANCE");
    eprintln!("{}", progress::run(&mut command)?);
    Ok(Outcome::Passed)
}

/// Runs clippy, doc and the tests of these packages in the profile in which they run, since most of it is compiled
/// already.
fn in_xtask_profile(packages: &[&str]) -> Result<Outcome> {
    let packages: Vec<&str> = packages.iter().flat_map(|name| ["--package", *name]).collect();
    let with = |command: &[&'static str], further: &[&'static str]| [command, &packages, further].concat();
    let profile = ["--profile", "xtask"];
    cargo(&with(&["clippy", "--all-targets"], &["--profile", "xtask", "--", "-D", "warnings"]), &[])?;
    cargo(&with(&["doc", "--no-deps"], &profile), &[("RUSTDOCFLAGS", "-D warnings")])?;
    let mut command = process::cargo(&with(&["test", "--no-fail-fast"], &profile));
    println!("{}", progress::run(command.envs([skips::variable()]))?);
    Ok(Outcome::Passed)
}

/// Packages the crates. Cargo unpacks packages that others depend on into a cache named after the target directory, and
/// assumes that what it finds there is the same version. So each run has a target directory of its own.
fn package() -> Result<Outcome> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos());
    let folder = paths::target().join(format!("package-{now}"));
    // Verifying compiles the packages, so it uses the cheapest profile.
    let environment = [
        ("CARGO_TARGET_DIR", &*folder.to_string_lossy()),
        ("CARGO_PROFILE_DEV_OPT_LEVEL", "0"),
        ("CARGO_PROFILE_DEV_DEBUG", "0"),
    ];
    // Packages that are not published are left out, because they depend on packages that no registry has.
    let metadata = process::metadata(&["--no-deps"])?;
    let unpublished = metadata.packages.iter().filter(|package| package.publish.as_deref() == Some(&[]));
    let unpublished = unpublished.flat_map(|package| ["--exclude", package.name.as_str()]);
    let arguments: Vec<&str> =
        ["package", "--workspace", "--allow-dirty", "--quiet"].into_iter().chain(unpublished).collect();
    let done = cargo(&arguments, &environment);
    // It is not needed any more.
    let _ = std::fs::remove_dir_all(&folder);
    done
}

/// Checks that each published package with features compiles without any and with each of them alone.
fn features() -> Result<Outcome> {
    let metadata = process::metadata(&["--no-deps"])?;
    let published = metadata.packages.iter().filter(|package| package.publish.as_deref() != Some(&[]));
    for package in published {
        let features = package.features.keys().filter(|feature| *feature != "default");
        let features: Vec<&str> = features.map(String::as_str).collect();
        if features.is_empty() {
            continue;
        }
        for feature in [""].into_iter().chain(features) {
            println!("{} with {}", package.name, if feature.is_empty() { "no features" } else { feature });
            let which = ["--package", package.name.as_str(), "--no-default-features", "--features", feature];
            let command =
                [&["clippy", "--release", "--quiet"], &which[..], &["--", "-D", "warnings"]].concat();
            cargo(&command, TEST_PROFILE)?;
        }
    }
    Ok(Outcome::Passed)
}

/// Runs the corpora on the selection in the repository, and on the full data if they are available.
fn conform_step() -> Result<Outcome> {
    // The program that the step `tests` has compiled. It is built together with the crates' tests; otherwise cargo
    // would compile most of it with other features.
    let mut build = process::cargo(&crates(&["test", "--release", "--no-run"], &["--test", "corpora"]));
    let built = process::build(build.envs(TEST_PROFILE.iter().copied()))?;
    let program = built.into_iter().find(|built| built.target == conform::PROGRAM);
    let program = program.ok_or_else(|| format!("cargo built no `{}`", conform::PROGRAM))?;
    let run = |selection| {
        let args = conform::Args { selection, ..conform::Args::default() };
        conform::run_program(&program.executable, &args)
    };
    run(true)?;
    paths::full_corpus().map_or(Ok(()), |_| run(false)).map(|()| Outcome::Passed)
}
