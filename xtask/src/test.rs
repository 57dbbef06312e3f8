//! `cargo xtask test`: everything that CI runs, one named and timed step after the other.

use crate::{
    Result, apk, arm, avx512, conform, dart, device, dist, fetch, foreign, paths, process, progress, skips,
    tidy,
};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Arguments of `test`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only these steps, in the usual order (see --list)
    steps: Vec<String>,
    /// Print the steps' names and what each runs
    #[arg(long)]
    list: bool,
}

/// How a step ended when it did not fail.
pub(crate) enum Outcome {
    /// It ran and passed.
    Passed,
    /// It could not run here, and why: a failure in CI.
    Skipped(String),
    /// What it needs could not be fetched, which nothing here can mend: reported, in CI too, and never as passed.
    Unavailable(String),
}

/// One profile for everything that runs here, so that the libraries are compiled once: optimised, because real models run;
/// with overflow checks, because these are tests; without link-time optimisation, which would cost more than it gives for some
/// forty test programs. The bits of a result depend on none of this.
pub(crate) const TEST_PROFILE: &[(&str, &str)] = &[
    ("CARGO_PROFILE_RELEASE_LTO", "off"),
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16"),
    ("CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS", "true"),
];

/// The native methods of `bindings/android`: no other feature leaves code unchecked.
const JAVA: &str = "--features=happy-ffi/jni";

struct Step {
    name: &'static str,
    what: &'static str,
    /// What to do when it fails.
    advice: &'static str,
    run: fn() -> Result<Outcome>,
}

/// In this order: the cheap ones that fail most often first.
const STEPS: &[Step] = &[
    Step {
        name: "fmt",
        what: "cargo fmt --all -- --check",
        advice: "run `cargo fmt --all`",
        run: || cargo(&["fmt", "--all", "--", "--check"], &[]),
    },
    Step {
        name: "clippy",
        what: "cargo clippy --workspace --all-targets --features=happy-ffi/jni -- -D warnings",
        advice: "mend what clippy names above",
        run: || cargo(&["clippy", "--workspace", "--all-targets", JAVA, "--", "-D", "warnings"], &[]),
    },
    Step {
        name: "doc",
        what: "cargo doc --workspace --no-deps, warnings are errors",
        advice: "mend the doc comments named above (a broken link, a missing comment)",
        run: || cargo(&["doc", "--workspace", "--no-deps", JAVA], &[("RUSTDOCFLAGS", "-D warnings")]),
    },
    Step {
        name: "fetch-models",
        what: "the two real models, checked",
        advice: "put the file named above into the models' folder",
        run: || fetch::run(&[]).map(|()| Outcome::Passed),
    },
    Step {
        name: "tests",
        what: "cargo test --release --workspace, doctests and examples too, the real models included",
        advice: "run the failing test alone: cargo test --release -p PACKAGE NAME",
        run: tests,
    },
    Step {
        name: "tidy",
        what: "cargo xtask tidy: the conventions",
        advice: "each line above names the file and what it should be",
        run: || tidy::run().map(|()| Outcome::Passed),
    },
    Step {
        name: "bindings",
        what: "cargo xtask dart --check: Java's and Dart's option classes, Dart's bindings against the C header and the C compiler; Dart's grammar",
        advice: "run `cargo xtask options` and `cargo xtask dart` where the options or the header changed; else mend what is named above",
        run: dart::step,
    },
    Step {
        name: "conform",
        what: "cargo xtask conform: other people's results; the full data where HAPPY_CONFORMANCE names them",
        advice: "run the corpus alone: cargo xtask conform CORPUS",
        run: conform_step,
    },
    Step {
        name: "test-avx512",
        what: "cargo xtask test-avx512: the kernels for AVX-512 by emulated intrinsics",
        advice: "run `cargo xtask test-avx512` alone",
        run: avx512::step,
    },
    Step {
        name: "test-arm",
        what: "cargo xtask setup-arm (apt, root) and test-arm under three emulated CPUs",
        advice: "run `cargo xtask test-arm` alone; with `--cpu NAME` on one CPU",
        run: arm::step,
    },
    Step {
        name: "device-test",
        what: "cargo xtask device-test on phones of software: the real adb, programs emulated",
        advice: "run `cargo test -p xtask --test device` alone, or one of its tests by name",
        run: device::step,
    },
    Step {
        name: "test-foreign",
        what: "cargo xtask setup-foreign (rustup; apt, root) and test-foreign: 32-bit and big-endian machines",
        advice: "run `cargo xtask test-foreign` alone; with `--machine NAME` on one machine",
        run: foreign::step,
    },
    Step {
        name: "dist",
        what: "cargo xtask dist --android --stubs: libhappy.so and happy for phones, linked without an NDK, and elf-check",
        advice: "run `cargo xtask dist --android --stubs --abi arm64-v8a` alone",
        run: dist::step,
    },
    Step {
        name: "apk",
        what: "cargo xtask apk --setup (apt, root) and apk --stubs: an app with libhappy.so in it",
        advice: "run `cargo xtask apk --stubs` alone",
        run: apk::step,
    },
    Step {
        name: "package",
        what: "cargo package: every crate that is published",
        advice: "a packaged crate must build from its own files; see the error above",
        run: package,
    },
];

/// Runs the steps in order, also after one has failed, and prints a summary at the end.
pub(crate) fn run(args: &Args) -> Result<()> {
    if args.list {
        for step in STEPS {
            println!("{:<14}{}", step.name, step.what);
        }
        return Ok(());
    }
    if let Some(unknown) = args.steps.iter().find(|name| STEPS.iter().all(|step| step.name != **name)) {
        let known: Vec<&str> = STEPS.iter().map(|step| step.name).collect();
        return Err(format!("unknown step '{unknown}': expected some of {}", known.join(", ")));
    }
    let wanted = |step: &&Step| args.steps.is_empty() || args.steps.iter().any(|name| name == step.name);
    let steps: Vec<&Step> = STEPS.iter().filter(wanted).collect();
    let names: Vec<&str> = steps.iter().map(|step| step.name).collect();
    eprintln!("{} steps: {}", names.len(), names.join(", "));
    let start = Instant::now();
    let (mut lines, mut skips, mut failures) = (Vec::new(), Vec::new(), Vec::new());
    for step in &steps {
        eprintln!("\n=== {}: {}", step.name, step.what);
        let begin = Instant::now();
        let (mut line, failure) = judge(step, (step.run)(), paths::is_ci());
        let inside = skips::take();
        if !inside.is_empty() {
            line += &format!(", {} skipped inside", inside.values().sum::<usize>());
            let times = |n: usize| if n > 1 { format!(" ({n} times)") } else { String::new() };
            skips.extend(inside.iter().map(|(skip, n)| format!("{}: {skip}{}", step.name, times(*n))));
        }
        let line = format!("{:<14}{:>8}  {line}", step.name, seconds(begin.elapsed()));
        eprintln!("=== {line}");
        if let Some(failure) = &failure {
            eprintln!("{failure}");
        }
        lines.push(line);
        failures.extend(failure);
    }
    println!("\nsummary of cargo xtask test");
    for line in &lines {
        println!("  {line}");
    }
    println!("  {:<14}{:>8}", "total", seconds(start.elapsed()));
    if !skips.is_empty() {
        println!("skipped inside steps:");
        for skip in &skips {
            println!("  {skip}");
        }
    }
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n")) }
}

/// The summary's text for a step's result, and the error where it counts as a failure.
fn judge(step: &Step, result: Result<Outcome>, ci: bool) -> (String, Option<String>) {
    match result {
        Ok(Outcome::Passed) => ("passed".into(), None),
        Ok(Outcome::Skipped(reason)) if ci => {
            let text = format!("FAILED: it cannot run here ({reason}), and CI=true allows no skips");
            (text.clone(), Some(format!("step {}: {text}", step.name)))
        }
        Ok(Outcome::Skipped(reason)) => (format!("SKIPPED: {reason}"), None),
        Ok(Outcome::Unavailable(reason)) => (format!("NOT RUN: {reason}"), None),
        Err(message) => (
            "FAILED".into(),
            Some(format!("step {} failed: {message}\nwhat to do: {}", step.name, step.advice)),
        ),
    }
}

fn cargo(arguments: &[&str], environment: &[(&str, &str)]) -> Result<Outcome> {
    process::run(process::cargo(arguments).envs(environment.iter().copied())).map(|()| Outcome::Passed)
}

/// On the selection of the conformance data; the step `conform` uses the full data where they are.
fn tests() -> Result<Outcome> {
    eprintln!("compiling the workspace's tests: the first time takes minutes; then a line per test program");
    let mut command = process::cargo(&["test", "--release", "--workspace", "--no-fail-fast", JAVA]);
    command
        .envs(TEST_PROFILE.iter().copied())
        .envs([skips::variable()])
        .env("HAPPY_MODELS", paths::models()?)
        .env_remove("HAPPY_CONFORMANCE");
    let totals = progress::run(&mut command)?;
    eprintln!("{totals}");
    Ok(Outcome::Passed)
}

/// Packages of the workspace with `publish = false`.
const UNPUBLISHED: &[&str] = &["happy-benches", "happy-conform", "happy-testkit", "xtask"];

/// Cargo unpacks the packages that others depend on into a cache that is named after the target directory, and takes
/// what it finds there for a version that it has seen: so each run has a directory of its own.
fn package() -> Result<Outcome> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos());
    let folder = paths::target().join(format!("package-{now}"));
    // Verifying means compiling: the cheapest profile does.
    let environment = [
        ("CARGO_TARGET_DIR", &*folder.to_string_lossy()),
        ("CARGO_PROFILE_DEV_OPT_LEVEL", "0"),
        ("CARGO_PROFILE_DEV_DEBUG", "0"),
    ];
    // What is not published is not packaged: it depends on packages that no registry has.
    let unpublished = UNPUBLISHED.iter().flat_map(|name| ["--exclude", *name]);
    let arguments: Vec<&str> =
        ["package", "--workspace", "--allow-dirty", "--quiet"].into_iter().chain(unpublished).collect();
    let done = cargo(&arguments, &environment);
    // Were it to stay, it would take room and nothing else.
    let _ = std::fs::remove_dir_all(&folder);
    done
}

fn conform_step() -> Result<Outcome> {
    conform::run_in(&conform::Args::default(), TEST_PROFILE).map(|()| Outcome::Passed)
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skip_passes_on_a_desk_and_fails_in_ci() {
        let step = &STEPS[0];
        let skipped = || Ok(Outcome::Skipped("no root".into()));
        assert!(judge(step, skipped(), false).1.is_none());
        assert!(judge(step, skipped(), false).0.contains("SKIPPED: no root"));
        assert!(judge(step, skipped(), true).1.is_some_and(|message| message.contains("no root")));
        let unavailable = judge(step, Ok(Outcome::Unavailable("no network".into())), true);
        assert_eq!(unavailable, ("NOT RUN: no network".into(), None));
    }

    #[test]
    fn a_failure_says_what_to_do() {
        let (line, failure) = judge(&STEPS[0], Err("it broke".into()), false);
        assert_eq!(line, "FAILED");
        assert_eq!(failure.as_deref(), Some("step fmt failed: it broke\nwhat to do: run `cargo fmt --all`"));
    }

    #[test]
    fn names_are_unique() {
        for (i, step) in STEPS.iter().enumerate() {
            assert!(STEPS[..i].iter().all(|other| other.name != step.name), "{}", step.name);
        }
    }
}
