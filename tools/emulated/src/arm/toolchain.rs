//! The aarch64 toolchains: found, installed on Debian, used for building.
//!
//! | for | standard library | linker |
//! |---|---|---|
//! | gnu, static | rustup's target, or Debian's toolchain that `setup-arm.sh` unpacks | `aarch64-linux-gnu-gcc` |
//! | musl, static | rustup's target, which brings a C library along | Rust's own `rust-lld` |
//! | Android | rustup's target | the NDK's `clang` |

use crate::suites;
use happy_tool_kit::process::Built;
use happy_tool_kit::{Result, paths, process};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const SCRIPT: &str = include_str!("setup-arm.sh");

/// Static linking: the emulator then needs no aarch64 system, and the files run on any device.
const STATIC: &str = "-Ctarget-feature=+crt-static";

/// Tests don't measure speed, and linking a dozen test binaries with LTO would cost more than it gives.
const CHECKED: &[(&str, &str)] = &[
    ("CARGO_PROFILE_RELEASE_LTO", "off"),
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16"),
    ("CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS", "true"),
    ("CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS", "true"),
];

/// A toolchain that was found to work.
pub struct Toolchain {
    target: &'static str,
    linker: PathBuf,
    rustflags: String,
    /// The folder of Debian's unpacked toolchain; `None` for rustup's own target.
    unpacked: Option<PathBuf>,
    version: String,
}

impl Toolchain {
    /// Finds the toolchain for emulation on this machine. The error names what is missing.
    pub fn find() -> Result<Self> {
        needs_program("qemu-aarch64", "qemu-user")?;
        Self::gnu()
    }

    /// Finds the toolchain for static programs with the GNU C library.
    pub fn gnu() -> Result<Self> {
        const TARGET: &str = "aarch64-unknown-linux-gnu";
        let linker = "aarch64-linux-gnu-gcc";
        needs_program(linker, "gcc-aarch64-linux-gnu")?;
        let folder = paths::root().join(paths::arm_toolchain());
        let rustc = || {
            let mut rustc = Command::new(rustc(&folder));
            rustc.env("LD_LIBRARY_PATH", libraries(&folder)).arg("--version");
            rustc
        };
        if process::succeeds(&mut rustc()) {
            let version = process::output(&mut rustc())?.trim().to_owned();
            return Ok(Self {
                target: TARGET,
                linker: linker.into(),
                rustflags: STATIC.into(),
                unpacked: Some(folder),
                version,
            });
        }
        Self::rustup(TARGET, linker.into(), STATIC.into()).map_err(|_| {
            format!(
                "no aarch64 toolchain: neither {} holds one nor has rustup the target; run `cargo xtask setup-arm` (Debian, root) or `rustup target add {TARGET}`",
                folder.display()
            )
        })
    }

    /// Finds the toolchain for static programs with musl. rustup's target includes all that they need.
    pub fn musl() -> Result<Self> {
        let flags = format!("-Clink-self-contained=yes {STATIC} -Cstrip=debuginfo");
        Self::rustup("aarch64-unknown-linux-musl", "rust-lld".into(), flags)
    }

    /// Returns the toolchain for Android programs, which the NDK's clang links.
    pub fn android(clang: PathBuf, clang_flags: &[String]) -> Result<Self> {
        let mut flags = String::from("-Cstrip=debuginfo");
        for flag in clang_flags {
            flags += &format!(" -Clink-arg={flag}");
        }
        Self::rustup("aarch64-linux-android", clang, flags)
    }

    fn rustup(target: &'static str, linker: PathBuf, rustflags: String) -> Result<Self> {
        let libdir =
            process::output(Command::new("rustc").args(["--print", "target-libdir", "--target", target]))
                .unwrap_or_default();
        if !Path::new(libdir.trim()).is_dir() {
            return Err(format!("no standard library for {target}: run `rustup target add {target}`"));
        }
        let version = process::output(Command::new("rustc").arg("--version"))?.trim().to_owned();
        Ok(Self { target, linker, rustflags, unpacked: None, version })
    }

    /// Describes its version and folder for a person.
    pub fn describe(&self) -> String {
        match &self.unpacked {
            Some(folder) => format!("{} in {} for {}", self.version, folder.display(), self.target),
            None => format!("{} with rustup's target {}", self.version, self.target),
        }
    }

    /// Builds the tests of `packages` once, those that [`suites`] chooses.
    pub(super) fn build_tests(&self, packages: &[&str]) -> Result<Vec<Built>> {
        let mut command = self.cargo("test");
        let mut built =
            process::build_tests(command.args(["--no-run", "--lib"]).args(suites::arguments(packages)?))?;
        built.retain(|program| suites::is_meant(&program.package_dir, &program.target));
        Ok(built)
    }

    /// Builds `happy` with the overflow checks of the tests.
    pub fn build_happy(&self) -> Result<PathBuf> {
        let [happy] = programs(self.cargo("build"), [HAPPY])?;
        Ok(happy)
    }

    /// Builds `happy` as it is shipped, to be measured.
    pub fn build_fast_happy(&self) -> Result<PathBuf> {
        let [happy] = programs(self.cargo_as_shipped("build"), [HAPPY])?;
        Ok(happy)
    }

    /// Builds an example of a package as it is shipped.
    pub fn build_example(&self, package: &str, name: &str) -> Result<PathBuf> {
        let mut command = self.cargo_as_shipped("build");
        let built = process::build(command.args(["--package", package, "--example", name]))?;
        let example = built.into_iter().find(|built| built.target == name);
        Ok(example.ok_or_else(|| format!("cargo built no example `{name}` of {package}"))?.executable)
    }

    /// Builds the program that runs all corpora. With `happy`, because another choice of packages has other features, for
    /// which the kernels would be compiled once more.
    pub fn build_conform(&self) -> Result<PathBuf> {
        let [_, conform] = programs(self.cargo("build"), [HAPPY, ("happy-conform", "happy-conform")])?;
        Ok(conform)
    }

    /// Returns `cargo SUBCOMMAND` in release with the overflow checks of the tests, in a target directory of its own.
    pub fn cargo(&self, subcommand: &str) -> Command {
        let mut command = self.cargo_as_shipped(subcommand);
        command.envs(CHECKED.iter().copied());
        command
    }

    fn cargo_as_shipped(&self, subcommand: &str) -> Command {
        let variable = self.target.to_uppercase().replace('-', "_");
        let mut command = process::cargo(&[subcommand, "--release", "--target", self.target]);
        command
            .env("CARGO_TARGET_DIR", paths::target().join("arm"))
            .env(format!("CARGO_TARGET_{variable}_LINKER"), &self.linker)
            .env(format!("CARGO_TARGET_{variable}_RUSTFLAGS"), &self.rustflags);
        if let Some(folder) = &self.unpacked {
            command
                .env("RUSTC", rustc(folder))
                .env("RUSTDOC", folder.join("tc/usr/bin/rustdoc"))
                .env("LD_LIBRARY_PATH", libraries(folder));
        }
        command
    }
}

/// A package and its program.
const HAPPY: (&str, &str) = ("happy-cli", "happy");

/// Builds programs, each given by package and name, in one run of cargo.
fn programs<const N: usize>(mut command: Command, wanted: [(&str, &str); N]) -> Result<[PathBuf; N]> {
    for (package, name) in wanted {
        command.args(["--package", package, "--bin", name]);
    }
    let built = process::build(&mut command)?;
    let mut paths = [const { PathBuf::new() }; N];
    for (path, (package, name)) in paths.iter_mut().zip(wanted) {
        let program = built.iter().find(|built| built.target == name);
        let missing =
            || format!("cargo built {package} for aarch64 but reported no executable named `{name}`");
        path.clone_from(&program.ok_or_else(missing)?.executable);
    }
    Ok(paths)
}

/// Returns an error that names Debian's package if `program` does not run.
fn needs_program(program: &str, package: &str) -> Result<()> {
    if process::succeeds(Command::new(program).arg("--version")) {
        return Ok(());
    }
    Err(format!(
        "no aarch64 toolchain: `{program}` (Debian's package {package}) does not run; `cargo xtask setup-arm` installs it (Debian, root)"
    ))
}

/// Returns an error if [`install`] cannot set up this machine.
pub fn can_install() -> Result<()> {
    if !process::succeeds(Command::new("apt-get").arg("--version")) {
        return Err("no aarch64 toolchain here, and no apt-get to install one with".into());
    }
    let id = process::output(Command::new("id").arg("-u"))?;
    if id.trim() != "0" {
        return Err("no aarch64 toolchain here, and installing one with apt-get needs root".into());
    }
    Ok(())
}

/// Runs `setup-arm.sh` and finds what it installed.
pub fn install() -> Result<Toolchain> {
    can_install().map_err(|reason| {
        format!(
            "{reason}; `rustup target add aarch64-unknown-linux-gnu`, a cross gcc and qemu-user do as well"
        )
    })?;
    let folder = paths::root().join(paths::arm_toolchain());
    eprintln!("setting up aarch64 in {} (about 200 MB from Debian)", folder.display());
    let mut command = Command::new("bash");
    command.arg("-s").arg(&folder).stdin(Stdio::piped());
    let mut child = command.spawn().map_err(|e| format!("cannot start bash: {e}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(SCRIPT.as_bytes()).map_err(|e| format!("cannot hand setup-arm.sh to bash: {e}"))?;
    }
    let status = child.wait().map_err(|e| format!("cannot wait for setup-arm.sh: {e}"))?;
    if !status.success() {
        return Err(format!(
            "setup-arm.sh failed ({status}); its messages are above (a network and Debian 12 or later are needed)"
        ));
    }
    Toolchain::find()
}

fn rustc(folder: &Path) -> PathBuf {
    folder.join("tc/usr/bin/rustc")
}

/// Returns the folder of libraries that Debian's rustc needs and the system lacks.
fn libraries(folder: &Path) -> PathBuf {
    folder.join("tc/usr/lib/x86_64-linux-gnu")
}
