//! The aarch64 toolchain: found, installed on Debian, used for building.
//!
//! Two kinds work: a rustup toolchain that has the target `aarch64-unknown-linux-gnu`, and the one that `setup-arm.sh`
//! unpacks from Debian. Both need `aarch64-linux-gnu-gcc` to link and `qemu-aarch64` to run.

use crate::process::Built;
use crate::{Result, paths, process};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const TARGET: &str = "aarch64-unknown-linux-gnu";
const SCRIPT: &str = include_str!("setup-arm.sh");

/// A toolchain that was found to work.
pub(super) struct Toolchain {
    /// Debian's toolchain, unpacked here; `None` for rustup's own target.
    unpacked: Option<PathBuf>,
    version: String,
}

impl Toolchain {
    /// The toolchain of this machine; the error names what is missing.
    pub(super) fn find() -> Result<Self> {
        for (program, package) in
            [("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu"), ("qemu-aarch64", "qemu-user")]
        {
            if !process::succeeds(Command::new(program).arg("--version")) {
                return Err(format!(
                    "no aarch64 toolchain: `{program}` (Debian's package {package}) does not run; `cargo xtask setup-arm` installs it (Debian, root)"
                ));
            }
        }
        let folder = paths::root().join(paths::arm_toolchain());
        let mut rustc = Command::new(rustc(&folder));
        rustc.env("LD_LIBRARY_PATH", libraries(&folder)).arg("--version");
        if process::succeeds(&mut rustc) {
            let version = process::output(&mut rustc)?.trim().to_owned();
            return Ok(Self { unpacked: Some(folder), version });
        }
        let mut rustc = Command::new("rustc");
        let libdir =
            process::output(rustc.args(["--print", "target-libdir", "--target", TARGET])).unwrap_or_default();
        if Path::new(libdir.trim()).is_dir() {
            let version = process::output(Command::new("rustc").arg("--version"))?.trim().to_owned();
            return Ok(Self { unpacked: None, version });
        }
        Err(format!(
            "no aarch64 toolchain: neither {} holds one nor has rustup the target; run `cargo xtask setup-arm` (Debian, root) or `rustup target add {TARGET}`",
            folder.display()
        ))
    }

    /// Its version and place, for a person.
    pub(super) fn describe(&self) -> String {
        match &self.unpacked {
            Some(folder) => format!("{} in {}", self.version, folder.display()),
            None => format!("{} with rustup's target {TARGET}", self.version),
        }
    }

    /// Builds the tests of `packages` once.
    pub(super) fn build_tests(&self, packages: &[&str]) -> Result<Vec<Built>> {
        let mut command = self.cargo("test");
        command.args(["--no-run", "--lib", "--tests"]);
        for package in packages {
            command.args(["--package", package]);
        }
        process::build(&mut command)
    }

    /// Builds `happy` for aarch64.
    pub(super) fn build_happy(&self) -> Result<PathBuf> {
        let mut command = self.cargo("build");
        command.args(["--package", "happy-cli", "--bin", "happy"]);
        let built = process::build(&mut command)?;
        let happy = built.into_iter().find(|b| b.target == "happy");
        Ok(happy
            .ok_or("cargo built happy-cli for aarch64 but reported no executable named `happy`")?
            .executable)
    }

    /// `cargo SUBCOMMAND` for aarch64, static, in release, in a target directory of its own.
    fn cargo(&self, subcommand: &str) -> Command {
        let mut command = process::cargo(&[subcommand, "--release", "--target", TARGET]);
        command
            .env("CARGO_TARGET_DIR", paths::target().join("arm"))
            .env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", "aarch64-linux-gnu-gcc")
            // Static: the emulator needs no aarch64 system, and the files run on any device.
            .env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUSTFLAGS", "-Ctarget-feature=+crt-static")
            // Speed is not measured here: linking a dozen test binaries with LTO costs more than it gives.
            .env("CARGO_PROFILE_RELEASE_LTO", "off")
            .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")
            .env("CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS", "true")
            .env("CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS", "true");
        if let Some(folder) = &self.unpacked {
            command
                .env("RUSTC", rustc(folder))
                .env("RUSTDOC", folder.join("tc/usr/bin/rustdoc"))
                .env("LD_LIBRARY_PATH", libraries(folder));
        }
        command
    }
}

/// Why this machine cannot be set up by [`install`], if so.
pub(super) fn can_install() -> Result<()> {
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
pub(super) fn install() -> Result<Toolchain> {
    can_install().map_err(|reason| {
        format!("{reason}; `rustup target add {TARGET}`, a cross gcc and qemu-user do as well")
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

/// The libraries that Debian's rustc needs and the system lacks.
fn libraries(folder: &Path) -> PathBuf {
    folder.join("tc/usr/lib/x86_64-linux-gnu")
}
