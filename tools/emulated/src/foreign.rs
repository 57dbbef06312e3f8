//! Tests on unusual machines: the tests of happy-gguf and happy-tensor with 32-bit addresses (i686), where sizes of
//! files do not fit a `usize`, and with the other byte order (s390x), where every number of a file must be
//! byte-swapped.
//!
//! `setup-foreign` fetches the standard libraries through rustup and, on Debian, a linker and the emulators.
//! `test-foreign` builds the tests and runs them. i686 runs without an emulator if the kernel can run its programs.

use crate::arm::passed_tests;
use crate::suites;
use happy_tool_kit::outcome::Outcome;
use happy_tool_kit::process::Built;
use happy_tool_kit::{Result, paths, process};
use std::process::Command;
use std::time::{Duration, Instant};

/// A kind of machine, and what is needed to build for it and to run its programs.
struct Machine {
    name: &'static str,
    target: &'static str,
    /// The target's name in cargo's variables.
    variable: &'static str,
    linker: &'static str,
    emulator: &'static str,
    /// Debian's packages of the linker and the emulator.
    packages: &'static [&'static str],
}

const MACHINES: &[Machine] = &[
    // musl: rustup's target includes all that a static program needs, and the linker is Rust's own.
    Machine {
        name: "i686",
        target: "i686-unknown-linux-musl",
        variable: "I686_UNKNOWN_LINUX_MUSL",
        linker: "rust-lld",
        emulator: "qemu-i386",
        packages: &["qemu-user"],
    },
    Machine {
        name: "s390x",
        target: "s390x-unknown-linux-gnu",
        variable: "S390X_UNKNOWN_LINUX_GNU",
        linker: "s390x-linux-gnu-gcc",
        emulator: "qemu-s390x",
        packages: &["qemu-user", "gcc-s390x-linux-gnu", "libc6-dev-s390x-cross"],
    },
];

/// The packages that read and write numbers in files.
const PACKAGES: &[&str] = &["happy-gguf", "happy-tensor"];

/// Selects the tests of the corpora `gguf` and `quants`, with no other crate than those.
const CORPORA: &[&str] =
    &["--package", "happy-conform", "--no-default-features", "--features", "files", "--test", "corpora"];

/// A test binary that runs longer than this is killed and counts as failed.
const TEST_LIMIT: Duration = Duration::from_secs(600);

/// Fetching two standard libraries takes seconds, or never ends if the network drops packets.
const SETUP_LIMIT: Duration = Duration::from_secs(300);

/// Arguments of `test-foreign`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only this machine: i686 or s390x
    #[arg(long)]
    machine: Option<String>,
}

/// `cargo xtask setup-foreign`.
pub(crate) fn setup() -> Result<()> {
    let targets: Vec<&str> = MACHINES.iter().map(|machine| machine.target).collect();
    let done =
        process::run_within(Command::new("rustup").args(["target", "add"]).args(targets), SETUP_LIMIT)?;
    if !done.success {
        return Err(format!(
            "`rustup target add` failed ({}): {}",
            done.ending,
            process::tail(&done.stderr, 3)
        ));
    }
    if MACHINES.iter().all(|machine| machine.missing().is_none()) {
        return Ok(());
    }
    let packages = MACHINES.iter().flat_map(|machine| machine.packages);
    process::run(Command::new("apt-get").args(["update", "-qq"]))?;
    process::run(Command::new("apt-get").args(["install", "-qq", "--no-install-recommends"]).args(packages))?;
    match MACHINES.iter().find_map(Machine::missing) {
        Some(missing) => Err(missing),
        None => Ok(()),
    }
}

/// Runs the step of `cargo xtask test`: sets up what is missing. Standard libraries come only through rustup, which not
/// every machine has or can reach. Then the step reports that it did not run.
pub(crate) fn step() -> Result<Outcome> {
    if MACHINES.iter().any(|machine| machine.missing().is_some())
        && let Err(reason) = setup()
    {
        return Ok(Outcome::Unavailable(reason));
    }
    run(&Args { machine: None }).map(|()| Outcome::Passed)
}

/// `cargo xtask test-foreign`.
pub(crate) fn run(args: &Args) -> Result<()> {
    let wanted = |machine: &&Machine| args.machine.as_ref().is_none_or(|name| name == machine.name);
    let machines: Vec<&Machine> = MACHINES.iter().filter(wanted).collect();
    if machines.is_empty() {
        let known: Vec<&str> = MACHINES.iter().map(|machine| machine.name).collect();
        return Err(format!("unknown machine: expected one of {}", known.join(", ")));
    }
    // Reported before anything is built.
    if let Some(missing) = machines.iter().find_map(|machine| machine.missing()) {
        return Err(missing);
    }
    let mut failures = Vec::new();
    for machine in machines {
        failures.extend(machine.test()?);
    }
    if failures.is_empty() {
        return Ok(());
    }
    Err(format!("{} failure(s) on foreign machines:\n  {}", failures.len(), failures.join("\n  ")))
}

impl Machine {
    /// Returns what this computer lacks to test for the machine, if anything.
    fn missing(&self) -> Option<String> {
        let mut rustc = Command::new("rustc");
        rustc.args(["--print", "target-libdir", "--target", self.target]);
        let library = process::output(&mut rustc).unwrap_or_default();
        if !std::path::Path::new(library.trim()).is_dir() {
            return Some(format!(
                "no standard library for {}: `rustup target add {}` or `cargo xtask setup-foreign`",
                self.target, self.target
            ));
        }
        let programs = [self.linker, self.emulator];
        // Rust's own linker is where only rustc looks for it.
        let absent = programs.into_iter().find(|program| {
            *program != "rust-lld" && !process::succeeds(Command::new(program).arg("--version"))
        })?;
        Some(format!(
            "`{absent}` does not run, which {} needs: `cargo xtask setup-foreign` installs {} (Debian, root)",
            self.name,
            self.packages.join(", ")
        ))
    }

    /// Builds and runs all tests, prints how many passed, and returns the failures.
    fn test(&self) -> Result<Vec<String>> {
        let start = Instant::now();
        let binaries = self.build()?;
        let built = start.elapsed();
        let Some(first) = binaries.first() else {
            return Err(format!("cargo built no test binary for {}", self.target));
        };
        let direct = self.name == "i686" && process::succeeds(Command::new(&first.executable).arg("--list"));
        let (mut failures, mut tests) = (Vec::new(), 0);
        for binary in &binaries {
            let mut command = if direct {
                Command::new(&binary.executable)
            } else {
                let mut emulator = Command::new(self.emulator);
                emulator.arg(&binary.executable).args(suites::without_slow()).envs(suites::LESS);
                emulator
            };
            command
                .current_dir(&binary.package_dir)
                .env("CARGO_MANIFEST_DIR", &binary.package_dir)
                .env_remove("HAPPY_CONFORMANCE")
                .envs([suites::FEW_CASES]);
            let done = process::run_within(&mut command, TEST_LIMIT)?;
            tests += passed_tests(&done.stdout);
            if !done.success {
                let name = format!("{} of {}", binary.target, paths::short(&binary.package_dir));
                let tail = process::tail(&format!("{}{}", done.stdout, done.stderr), 40);
                eprintln!("--- {name} on {}: {}\n{tail}", self.name, done.ending);
                failures.push(format!("{name} on {}: {}", self.name, done.ending));
            }
        }
        println!(
            "{:<6} {tests} tests in {} binaries passed, {} failure(s); built in {:.0} s, ran in {:.0} s {}",
            self.name,
            binaries.len(),
            failures.len(),
            built.as_secs_f64(),
            (start.elapsed() - built).as_secs_f64(),
            if direct { "on this CPU" } else { "under emulation" },
        );
        if !direct {
            println!(
                "{:<6} not run, since emulated they take too long: {}, formats whose encoding searches",
                self.name,
                suites::SLOW.join(", ")
            );
        }
        Ok(failures)
    }

    /// Builds the tests of the packages, and the corpora of files.
    fn build(&self) -> Result<Vec<Built>> {
        let packages = PACKAGES.iter().flat_map(|package| ["--package", *package]);
        let mut built = self.build_these(&packages.chain(["--lib", "--tests"]).collect::<Vec<_>>())?;
        built.extend(self.build_these(CORPORA)?);
        Ok(built)
    }

    /// Builds static programs, so that the emulator needs no foreign system.
    fn build_these(&self, selection: &[&str]) -> Result<Vec<Built>> {
        let mut command = process::cargo(&["test", "--no-run", "--release", "--target", self.target]);
        command.args(selection);
        command
            .env("CARGO_TARGET_DIR", paths::target().join("foreign"))
            .env(format!("CARGO_TARGET_{}_LINKER", self.variable), self.linker)
            .env(format!("CARGO_TARGET_{}_RUSTFLAGS", self.variable), "-Ctarget-feature=+crt-static")
            .env("CARGO_PROFILE_RELEASE_LTO", "off")
            .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")
            .env("CARGO_PROFILE_RELEASE_DEBUG", "0")
            .env("CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS", "true")
            .env("CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS", "true");
        process::build_tests(&mut command)
    }
}
