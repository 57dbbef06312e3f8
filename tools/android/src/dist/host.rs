//! `cargo xtask dist --host`: the program and the C library for the machine that builds them.
//!
//! ```text
//! target/dist/host/
//!   happy-VERSION-TARGET.zip         everything below in a folder of the same name
//!     bin/happy                      the program that `cargo install` would make
//!     lib/libhappy.so                the C library, with what Java calls; .dylib on macOS, .dll on Windows
//!     include/happy.h
//!     README.md                      of the program
//!     licenses/                      ours, and those of everything that is linked in
//!   SHA256SUMS                       for sha256sum --check
//! ```
//! The profile is `release`, not the small one of libraries for phones. Paths of the machine are not in the files.

use super::{PACKAGE, licenses, put, remove, sums};
use crate::archive::{Archive, Packing};
use crate::link::remaps;
use happy_tool_kit::{Result, paths, process};
use std::env::consts::{DLL_PREFIX, DLL_SUFFIX, EXE_SUFFIX};
use std::path::{Path, PathBuf};
use std::process::Command;

const PROGRAM: &str = "happy-cli";

/// Builds, packs, and prints the checksum.
pub(super) fn run() -> Result<()> {
    let rustc = process::output(Command::new("rustc").arg("-vV"))?;
    let target = target(&rustc)?;
    let made = build()?;
    let root = paths::root();
    let mut files = vec![
        ("include/happy.h".to_owned(), root.join("crates/ffi/include/happy.h"), Packing::Small),
        ("README.md".to_owned(), root.join("crates/cli/README.md"), Packing::Small),
    ];
    for name in ["LICENSE-MIT", "LICENSE-APACHE"] {
        files.push((format!("licenses/{name}"), root.join(name), Packing::Small));
    }
    files.extend(
        made.into_iter().filter_map(|path| placed(&path).map(|(name, packing)| (name, path, packing))),
    );
    let program = files.iter().find(|(name, ..)| name.starts_with("bin/"));
    let version = version(&program.ok_or("cargo made no program `happy`")?.1)?;
    if !files.iter().any(|(name, ..)| name.starts_with("lib/")) {
        return Err(format!("cargo made no library {DLL_PREFIX}happy{DLL_SUFFIX}"));
    }
    let name = format!("happy-{version}-{target}");
    let mut archive = Archive::default();
    for (file, path, packing) in files {
        let bytes = std::fs::read(&path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
        archive.add(format!("{name}/{file}"), bytes, packing);
    }
    let notices = licenses::third_party(&[PACKAGE, PROGRAM], target)?;
    archive.add(format!("{name}/licenses/THIRD-PARTY.txt"), notices, Packing::Small);
    let folder = paths::target().join("dist/host");
    remove(&folder)?;
    put(&folder.join(format!("{name}.zip")), &archive.write()?)?;
    let sums = sums(&folder)?;
    put(&folder.join("SHA256SUMS"), sums.as_bytes())?;
    print!("{}:\n{sums}", paths::short(&folder));
    Ok(())
}

/// Returns the target in the output of `rustc -vV`.
fn target(version: &str) -> Result<&str> {
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.ok_or_else(|| "`rustc -vV` names no host".to_owned())
}

/// Returns the files that cargo makes of the program and the library.
fn build() -> Result<Vec<PathBuf>> {
    let features = format!("{PACKAGE}/jni");
    let mut command =
        process::cargo(&["build", "--release", "--locked", "--package", PACKAGE, "--package", PROGRAM]);
    command.args(["--features", &features, "--message-format=json-render-diagnostics"]);
    // Flags are part of what cargo compares, so the folder is its own.
    command.env("CARGO_TARGET_DIR", paths::target().join("host"));
    command.env("CARGO_ENCODED_RUSTFLAGS", remaps().join("\x1f"));
    let made = process::artifacts(&process::output(&mut command)?);
    Ok(made.into_iter().flat_map(|artifact| artifact.filenames).map(PathBuf::from).collect())
}

/// Returns the name of a file in the archive, and how it is stored; `None` if it is not packed.
fn placed(path: &Path) -> Option<(String, Packing)> {
    let file = path.file_name()?.to_str()?;
    if file == format!("happy{EXE_SUFFIX}") {
        return Some((format!("bin/{file}"), Packing::Program));
    }
    // On Windows `happy.dll.lib`, with which programs link, is beside the library.
    let library = file.strip_prefix(&format!("{DLL_PREFIX}happy{DLL_SUFFIX}"))?;
    ["", ".lib"].contains(&library).then(|| (format!("lib/{file}"), Packing::Small))
}

/// Runs the program and returns its version.
fn version(program: &Path) -> Result<String> {
    let line = process::output(Command::new(program).arg("--version"))?;
    let version = line.trim().strip_prefix("happy ").map(str::to_owned);
    version.ok_or_else(|| format!("`{} --version` printed `{}`", program.display(), line.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_and_the_library_are_packed_and_nothing_else() {
        let library = format!("{DLL_PREFIX}happy{DLL_SUFFIX}");
        let name = |file: &str| placed(&Path::new("/t/release").join(file)).map(|(name, _)| name);
        assert_eq!(name(&format!("happy{EXE_SUFFIX}")), Some(format!("bin/happy{EXE_SUFFIX}")));
        assert_eq!(name(&library), Some(format!("lib/{library}")));
        assert_eq!(name(&format!("{library}.lib")), Some(format!("lib/{library}.lib")));
        for other in ["libhappy.rlib", "libhappy_gguf.rlib", "happy.d", &format!("{library}.pdb")] {
            assert_eq!(name(other), None, "{other}");
        }
    }

    #[test]
    fn the_host_is_read() {
        assert_eq!(
            target("rustc 1.95.0\nhost: aarch64-apple-darwin\nrelease: 1.95.0\n"),
            Ok("aarch64-apple-darwin")
        );
        assert!(target("rustc 1.95.0\n").is_err());
    }
}
