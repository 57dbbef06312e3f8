//! `cargo xtask test`: the tests, one named and timed step after the other.
//!
//! ```text
//! cargo xtask test           the steps that every change needs, in about ten minutes
//! cargo xtask test --all     the long steps: the tools' own tests, emulated machines, Android, packaging
//! cargo xtask test NAME..    the named steps, long or not
//! ```
//! A step is one or the other ([`When`]), so that CI, which runs the first and then the second, runs each once.

use crate::{conform, skips, tidy, tools};
use happy_tool_kit::outcome::Outcome;
use happy_tool_kit::process::TEST_PROFILE;
use happy_tool_kit::{Result, fetch, paths, process, progress};
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Arguments of `test`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only these steps, in the usual order (see --list)
    steps: Vec<String>,
    /// Run the long steps, which are left out unless asked for: emulated machines, Android, packaging
    #[arg(long, conflicts_with = "steps")]
    all: bool,
    /// Print the steps' names and what each runs
    #[arg(long)]
    list: bool,
}

/// When a step runs.
#[derive(Clone, Copy, PartialEq)]
enum When {
    /// Unless other steps are asked for.
    Always,
    /// With `--all`, or by its name.
    Long,
}
use When::{Always, Long};

/// The native methods of `bindings/android`: no other feature leaves code unchecked.
const JAVA: &str = "--features=happy-ffi/jni";

/// This package, and what it shares with the tools.
const XTASK: &[&str] = &["xtask", "happy-tool-kit"];

struct Step {
    when: When,
    name: &'static str,
    what: &'static str,
    /// What to do when it fails.
    advice: &'static str,
    run: fn() -> Result<Outcome>,
}

/// In this order: the cheap ones that fail most often first.
const STEPS: &[Step] = &[
    Step {
        when: Always,
        name: "fmt",
        what: "cargo fmt --all -- --check",
        advice: "run `cargo fmt --all`",
        run: || cargo(&["fmt", "--all", "--", "--check"], &[]),
    },
    Step {
        when: Always,
        name: "tidy",
        what: "cargo xtask tidy: the conventions",
        advice: "each line above names the file and what it should be",
        run: || tidy::check().map(|()| Outcome::Passed),
    },
    Step {
        when: Always,
        name: "clippy",
        what: "cargo clippy on all crates and targets, warnings are errors",
        advice: "mend what clippy names above",
        run: || cargo(&crates(&["clippy"], &["--all-targets", "--", "-D", "warnings"]), &[]),
    },
    Step {
        when: Always,
        name: "doc",
        what: "cargo doc on all crates, warnings are errors",
        advice: "mend the doc comments named above (a broken link, a missing comment)",
        run: || cargo(&crates(&["doc", "--no-deps"], &[]), &[("RUSTDOCFLAGS", "-D warnings")]),
    },
    Step {
        when: Always,
        name: "fetch-models",
        what: "the two real models, checked",
        advice: "put the file named above into the models' folder",
        run: || fetch::run(&[]).map(|()| Outcome::Passed),
    },
    Step {
        when: Always,
        name: "tests",
        what: "cargo test --release on all crates, doctests and examples too, the real models included",
        advice: "run the failing test alone: cargo test --release -p PACKAGE NAME",
        run: tests,
    },
    Step {
        when: Always,
        name: "conform",
        what: "cargo xtask conform: other people's results; the full data where HAPPY_CONFORMANCE names them",
        advice: "run the corpus alone: cargo xtask conform CORPUS",
        run: conform_step,
    },
    Step {
        when: Always,
        name: "xtask",
        what: "clippy, doc and tests of xtask, in the profile in which it runs",
        advice: "run the failing test alone: cargo test --profile xtask -p PACKAGE NAME",
        run: || in_xtask_profile(XTASK),
    },
    Step {
        when: Long,
        name: "tools",
        what: "the same of the packages in tools",
        advice: "run the failing test alone: cargo test --profile xtask -p PACKAGE NAME",
        run: || in_xtask_profile(tools::PACKAGES),
    },
    Step {
        when: Long,
        name: "bindings",
        what: "cargo xtask dart --check: Java's and Dart's option classes, Dart's bindings against the C header and the C compiler; Dart's grammar",
        advice: "run `cargo xtask options` and `cargo xtask dart` where the options or the header changed; else mend what is named above",
        run: || tools::step(tools::BINDINGS, "bindings"),
    },
    Step {
        when: Long,
        name: "test-avx512",
        what: "cargo xtask test-avx512: the kernels for AVX-512 by emulated intrinsics",
        advice: "run `cargo xtask test-avx512` alone",
        run: || tools::step(tools::EMULATED, "test-avx512"),
    },
    Step {
        when: Long,
        name: "test-arm",
        what: "cargo xtask setup-arm (apt, root) and test-arm under three emulated CPUs",
        advice: "run `cargo xtask test-arm` alone; with `--cpu NAME` on one CPU",
        run: || tools::step(tools::EMULATED, "test-arm"),
    },
    Step {
        when: Long,
        name: "device-test",
        what: "cargo xtask device-test on phones of software: the real adb, programs emulated",
        advice: "run `cargo test -p happy-tool-device --test device` alone, or one of its tests by name",
        run: || tools::step(tools::DEVICE, "device-test"),
    },
    Step {
        when: Long,
        name: "test-foreign",
        what: "cargo xtask setup-foreign (rustup; apt, root) and test-foreign: 32-bit and big-endian machines",
        advice: "run `cargo xtask test-foreign` alone; with `--machine NAME` on one machine",
        run: || tools::step(tools::EMULATED, "test-foreign"),
    },
    Step {
        when: Long,
        name: "dist",
        what: "cargo xtask dist --android --stubs: libhappy.so and happy for phones, linked without an NDK, and elf-check",
        advice: "run `cargo xtask dist --android --stubs --abi arm64-v8a` alone",
        run: || tools::step(tools::ANDROID, "dist"),
    },
    Step {
        when: Long,
        name: "apk",
        what: "cargo xtask apk --setup (apt, root) and apk --stubs: an app with libhappy.so in it",
        advice: "run `cargo xtask apk --stubs` alone",
        run: || tools::step(tools::ANDROID, "apk"),
    },
    Step {
        when: Long,
        name: "package",
        what: "cargo package: every crate that is published",
        advice: "a packaged crate must build from its own files; see the error above",
        run: package,
    },
];

/// What the steps of a run came to.
#[derive(Default)]
struct Tally {
    /// A line per step, for the summary.
    lines: Vec<String>,
    /// What was skipped inside steps.
    skips: Vec<String>,
    failures: Vec<String>,
    passed: usize,
    not_run: usize,
}

/// Runs the steps in order, also after one has failed, and prints a summary at the end. The last line is for programs:
/// `N passed, N failed`, counting steps.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    if args.list {
        for step in STEPS {
            println!("{:<8}{:<14}{}", if step.when == Long { "--all" } else { "" }, step.name, step.what);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let steps = chosen(args)?;
    let names: Vec<&str> = steps.iter().map(|step| step.name).collect();
    eprintln!("{} steps: {}", names.len(), names.join(", "));
    let (start, cpu) = (Instant::now(), cpu_time());
    let mut tally = Tally::default();
    for step in steps {
        tally.run(step);
    }
    for failure in &tally.failures {
        eprintln!("{failure}");
    }
    println!("\nsummary of cargo xtask test: elapsed and CPU time");
    for line in &tally.lines {
        println!("  {line}");
    }
    println!("  {:<14}{}  {} not run", "total", times(start, cpu), tally.not_run);
    if !tally.skips.is_empty() {
        println!("skipped inside steps:");
        for skip in &tally.skips {
            println!("  {skip}");
        }
    }
    println!("{} passed, {} failed", tally.passed, tally.failures.len());
    Ok(if tally.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The steps that are asked for, in the usual order.
fn chosen(args: &Args) -> Result<Vec<&'static Step>> {
    if let Some(unknown) = args.steps.iter().find(|name| STEPS.iter().all(|step| step.name != **name)) {
        let known: Vec<&str> = STEPS.iter().map(|step| step.name).collect();
        return Err(format!("unknown step '{unknown}': expected some of {}", known.join(", ")));
    }
    let when = if args.all { Long } else { Always };
    let named = |step: &Step| args.steps.iter().any(|name| name == step.name);
    Ok(STEPS
        .iter()
        .filter(|step| if args.steps.is_empty() { step.when == when } else { named(step) })
        .collect())
}

impl Tally {
    fn run(&mut self, step: &Step) {
        eprintln!("\n=== {}: {}", step.name, step.what);
        let (start, cpu) = (Instant::now(), cpu_time());
        let result = (step.run)();
        match result {
            Ok(Outcome::Passed) => self.passed += 1,
            Ok(_) if !paths::is_ci() => self.not_run += 1,
            Ok(Outcome::Unavailable(_)) => self.not_run += 1,
            _ => {}
        }
        let (mut line, failure) = judge(step, result, paths::is_ci());
        let inside = skips::take();
        if !inside.is_empty() {
            line += &format!(", {} skipped inside", inside.values().sum::<usize>());
            let often = |n: usize| if n > 1 { format!(" ({n} times)") } else { String::new() };
            self.skips.extend(inside.iter().map(|(skip, n)| format!("{}: {skip}{}", step.name, often(*n))));
        }
        let line = format!("{:<14}{}  {line}", step.name, times(start, cpu));
        eprintln!("=== {line}");
        self.lines.push(line);
        self.failures.extend(failure);
    }
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

/// Arguments of a cargo command for all crates and the packages of tests; xtask and the tools have steps of their own. Always the same packages and features: with others, cargo would compile the kernels
/// once more.
fn crates<'a>(command: &[&'a str], further: &[&'a str]) -> Vec<&'a str> {
    let tools = XTASK.iter().chain(tools::PACKAGES).flat_map(|name| ["--exclude", *name]);
    let selection = ["--workspace", JAVA].into_iter().chain(tools);
    command.iter().copied().chain(selection).chain(further.iter().copied()).collect()
}

/// On the selection of the conformance data; the step `conform` uses the full data where they are.
fn tests() -> Result<Outcome> {
    eprintln!("compiling the workspace's tests: the first time takes minutes; then a line per test program");
    let mut command = process::cargo(&crates(&["test", "--release", "--no-fail-fast"], &[]));
    command
        .envs(TEST_PROFILE.iter().copied())
        .envs([skips::variable()])
        .env("HAPPY_MODELS", paths::models()?)
        .env_remove("HAPPY_CONFORMANCE");
    let totals = progress::run(&mut command)?;
    eprintln!("{totals}");
    Ok(Outcome::Passed)
}

/// Clippy, doc and tests of these packages, in the profile in which they run: most of it is compiled already.
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
    let metadata = process::metadata(&["--no-deps"])?;
    let unpublished = metadata.packages.iter().filter(|package| package.publish.as_deref() == Some(&[]));
    let unpublished = unpublished.flat_map(|package| ["--exclude", package.name.as_str()]);
    let arguments: Vec<&str> =
        ["package", "--workspace", "--allow-dirty", "--quiet"].into_iter().chain(unpublished).collect();
    let done = cargo(&arguments, &environment);
    // Were it to stay, it would take room and nothing else.
    let _ = std::fs::remove_dir_all(&folder);
    done
}

fn conform_step() -> Result<Outcome> {
    // The program that the step `tests` has compiled: no package is built for fewer features than there.
    let mut build = process::cargo(&crates(&["build", "--release"], &["--bin", conform::PROGRAM]));
    let built = process::build(build.envs(TEST_PROFILE.iter().copied()))?;
    let program = built.into_iter().find(|built| built.target == conform::PROGRAM);
    let program = program.ok_or_else(|| format!("cargo built no `{}`", conform::PROGRAM))?;
    conform::run_program(&program.executable, &conform::Args::default()).map(|()| Outcome::Passed)
}

/// Elapsed and CPU time since a step began, as columns.
fn times(start: Instant, cpu: Option<Duration>) -> String {
    let cpu = cpu_time().zip(cpu).map(|(now, before)| seconds(now.saturating_sub(before)));
    format!("{:>10}{:>10}", seconds(start.elapsed()), cpu.as_deref().unwrap_or("unknown"))
}

/// CPU time of this process and of the programs that it has waited for, theirs included; `None` where the system does not tell.
fn cpu_time() -> Option<Duration> {
    #[cfg(unix)]
    {
        use nix::sys::resource::{UsageWho, getrusage};
        let mut sum = Duration::ZERO;
        for who in [UsageWho::RUSAGE_SELF, UsageWho::RUSAGE_CHILDREN] {
            let usage = getrusage(who).ok()?;
            for time in [usage.user_time(), usage.system_time()] {
                sum += Duration::new(time.tv_sec().try_into().ok()?, 0);
                sum += Duration::from_micros(time.tv_usec().try_into().ok()?);
            }
        }
        Some(sum)
    }
    #[cfg(not(unix))]
    None
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
    fn a_step_runs_in_the_plain_run_or_in_the_long_one() {
        let args = |all, steps: &[&str]| Args {
            steps: steps.iter().map(|name| (*name).to_owned()).collect(),
            all,
            list: false,
        };
        let names = |args: &Args| -> Vec<&str> {
            chosen(args).expect("known steps").iter().map(|step| step.name).collect()
        };
        let (plain, long) = (names(&args(false, &[])), names(&args(true, &[])));
        assert_eq!([&plain[..], &long[..]].concat(), STEPS.iter().map(|step| step.name).collect::<Vec<_>>());
        assert!(plain.contains(&"tests") && long.contains(&"test-arm"));
        assert_eq!(names(&args(false, &["test-arm", "fmt"])), ["fmt", "test-arm"]);
        assert!(chosen(&args(false, &["tset"])).is_err_and(|e| e.contains("unknown step 'tset'")));
    }

    #[test]
    fn cpu_time_grows() {
        let before = cpu_time();
        let mut sum = 0_u64;
        while cpu_time() == before && before.is_some() {
            sum = std::hint::black_box(sum + 1);
        }
        assert!(cpu_time() >= before && (before.is_some() || cfg!(not(unix))));
    }

    #[test]
    fn names_are_unique() {
        for (i, step) in STEPS.iter().enumerate() {
            assert!(STEPS[..i].iter().all(|other| other.name != step.name), "{}", step.name);
        }
    }
}
