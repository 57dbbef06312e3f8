//! `cargo xtask dist --android`: everything that an app needs, in one folder.
//!
//! ```text
//! target/dist/android/
//!   jniLibs/arm64-v8a/libhappy.so    for an app's src/main/jniLibs
//!   jniLibs/x86_64/libhappy.so       for emulators, where the target is installed
//!   bin/arm64-v8a/happy              for adb shell
//!   include/happy.h
//!   happy.aar                        the same libraries, with the Java classes of bindings/android
//!   licenses/                        ours, and those of everything that is linked in
//!   SHA256SUMS                       for sha256sum --check
//! ```
//! With `--stubs` no NDK is needed and the folder is `target/dist/android-check`: see [`crate::link`].
//! `--host` packs the program and the library for this machine instead: see [`host`].

mod aar;
mod host;
mod licenses;

use crate::elf::image::Abi;
use crate::elf::{self, Wanted};
use crate::link;
use crate::link::{Link, Linker, Order, Product, ndk};
use happy_tool_kit::outcome::Outcome;
use happy_tool_kit::{Result, paths, process};
use sha2::{Digest, Sha256};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Arguments of `dist`.
#[derive(clap::Args, Clone)]
pub(crate) struct Args {
    /// Build for Android
    #[arg(long, required_unless_present = "host")]
    android: bool,
    /// Build for this machine, into an archive with a checksum
    #[arg(long, conflicts_with_all = ["android", "ndk", "stubs", "abi"])]
    host: bool,
    /// How to link
    #[command(flatten)]
    how: How,
    /// Only this ABI: arm64-v8a or x86_64
    #[arg(long)]
    abi: Option<String>,
}

/// The linker and the Android version. These arguments are shared with `apk`.
#[derive(clap::Args, Clone)]
pub(crate) struct How {
    /// The folder of the NDK; otherwise found as cargo-ndk finds it
    #[arg(long)]
    ndk: Option<PathBuf>,
    /// Link without an NDK, to check that linking works: the result is not for devices
    #[arg(long, conflicts_with = "ndk")]
    stubs: bool,
    /// The oldest API level that must load the result
    #[arg(long, default_value_t = elf::PLATFORM)]
    platform: u32,
}

/// The package of the C interface, and the file that it produces.
const PACKAGE: &str = "happy-ffi";
pub(crate) const LIBRARY: &str = "libhappy.so";

/// Returns the maximum size of `libhappy.so` in bytes.
fn max_library(abi: Abi) -> u64 {
    match abi {
        // 3.625 MiB. The goal is to return to 3.5: docs/android-libraries.md says what takes the rest.
        Abi::Arm64 => 29 << 17,
        // For emulators only; it also has kernels for AVX2 and AVX-512.
        Abi::X86_64 => 6 << 20,
    }
}

/// Prefixes of the symbols that the library may export: the C interface, and what Java calls.
const EXPORTS: [&str; 3] = ["happy_", "Java_", "JNI_On"];

/// `rustup target add` takes seconds, or never ends if a network drops packets.
const SETUP_LIMIT: Duration = Duration::from_secs(300);

/// `cargo xtask dist`.
pub(crate) fn run(args: &Args) -> Result<()> {
    if args.host {
        return host::run();
    }
    let abis = match &args.abi {
        None => Abi::ALL.to_vec(),
        Some(name) => vec![Abi::named(name)?],
    };
    let linker = args.how.linker()?;
    let folder = paths::target().join("dist").join(args.how.folder());
    remove(&folder)?;
    let mut checks = Vec::new();
    for abi in abis {
        if let Some(missing) = link::missing(abi) {
            // Phones are arm64; x86_64 serves emulators only.
            if abi == Abi::Arm64 || args.abi.is_some() {
                return Err(missing);
            }
            println!("left out: {} ({missing})", abi.name());
            continue;
        }
        let link = linker.link(abi, args.how.platform)?;
        println!("{}: {}", abi.name(), link.describe());
        let library = library(&link)?;
        let to = folder.join("jniLibs").join(abi.name()).join(LIBRARY);
        copy(&library, &to)?;
        checks.push((to, args.how.library_limits(abi)));
        if abi == Abi::Arm64 {
            let program = timed("happy", || {
                link.build(&Order {
                    manifest: None,
                    package: "happy-cli",
                    features: "",
                    product: Product::Program("happy"),
                    libraries: None,
                })
            })?;
            let to = folder.join("bin").join(abi.name()).join("happy");
            copy(&program, &to)?;
            let limits = Wanted {
                platform: args.how.platform,
                max_size: None,
                exports: Vec::new(),
                beside: Vec::new(),
            };
            checks.push((to, limits));
        }
    }
    elf::check(checks.iter().map(|(path, wanted)| (path.as_path(), wanted)))?;
    let root = paths::root();
    copy(&root.join("crates/ffi/include/happy.h"), &folder.join("include/happy.h"))?;
    put(&folder.join("happy.aar"), &aar::make(&root, &folder.join("jniLibs"), args.how.platform)?)?;
    for name in ["LICENSE-MIT", "LICENSE-APACHE"] {
        copy(&root.join(name), &folder.join("licenses").join(name))?;
    }
    put(
        &folder.join("licenses/THIRD-PARTY.txt"),
        licenses::third_party(&[PACKAGE, "happy-cli"], licenses::PHONES)?.as_bytes(),
    )?;
    let sums = sums(&folder)?;
    put(&folder.join("SHA256SUMS"), sums.as_bytes())?;
    print!("{}:\n{sums}", paths::short(&folder));
    Ok(())
}

/// Runs the step of `cargo xtask test`: the libraries and the program for phones, linked without an NDK, and every rule
/// of elf-check.
pub(crate) fn step() -> Result<Outcome> {
    if let Some(reason) = unavailable()? {
        return Ok(Outcome::Unavailable(reason));
    }
    run(&Args { android: true, host: false, how: How::check_only(), abi: Some(Abi::Arm64.name().into()) })
        .map(|()| Outcome::Passed)
}

/// Returns why the standard library for phones is not available here, after trying to fetch it. Only that of rustup
/// fits this compiler.
pub(crate) fn unavailable() -> Result<Option<String>> {
    if link::missing(Abi::Arm64).is_none() {
        return Ok(None);
    }
    let mut command = Command::new("rustup");
    let done = process::run_within(command.args(["target", "add", Abi::Arm64.target()]), SETUP_LIMIT);
    Ok(match done {
        Ok(done) if done.success => link::missing(Abi::Arm64),
        Ok(done) => Some(format!("`rustup target add` failed ({}): {}", done.ending, done.stderr.trim())),
        Err(e) => Some(e),
    })
}

/// Builds the shared library, including what Java calls.
pub(crate) fn library(link: &Link) -> Result<PathBuf> {
    timed(LIBRARY, || {
        link.build(&Order {
            manifest: None,
            package: PACKAGE,
            features: if licenses::has_feature(PACKAGE, "jni")? { "jni" } else { "" },
            product: Product::Library(LIBRARY),
            libraries: None,
        })
    })
}

impl How {
    /// Returns the linker that was requested.
    ///
    /// # Errors
    /// If there is no NDK, and stand-ins were not requested.
    pub(crate) fn linker(&self) -> Result<Linker> {
        if self.stubs {
            return Ok(Linker::Stubs);
        }
        ndk::find(self.ndk.as_deref())?.map(Linker::Ndk).ok_or_else(|| {
            "no NDK found: install one and set ANDROID_NDK_HOME, or give --ndk DIR; `--stubs` checks without one \
             that everything compiles and links"
                .into()
        })
    }

    /// Links without an NDK, as CI does.
    pub(crate) fn check_only() -> Self {
        Self { ndk: None, stubs: true, platform: elf::PLATFORM }
    }

    pub(crate) fn platform(&self) -> u32 {
        self.platform
    }

    /// Returns the requirements for `libhappy.so`.
    pub(crate) fn library_limits(&self, abi: Abi) -> Wanted {
        Wanted {
            platform: self.platform,
            max_size: Some(max_library(abi)),
            exports: EXPORTS.map(str::to_owned).to_vec(),
            beside: Vec::new(),
        }
    }

    /// Returns the folder of the results. What must not be shipped has a folder of its own, so that nobody mistakes it
    /// for a release.
    fn folder(&self) -> &'static str {
        if self.stubs { "android-check" } else { "android" }
    }
}

/// Runs `build` and prints how long it took.
pub(crate) fn timed(what: &str, build: impl FnOnce() -> Result<PathBuf>) -> Result<PathBuf> {
    let start = Instant::now();
    let made = build()?;
    println!("built {what} in {:.0} s", start.elapsed().as_secs_f64());
    Ok(made)
}

/// Returns `HASH  PATH` of every file, in the format of sha256sum.
fn sums(folder: &Path) -> Result<String> {
    let mut lines = Vec::new();
    for path in files(folder)? {
        let bytes = fs::read(&path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
        let hash: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let name = path.strip_prefix(folder).unwrap_or(&path).to_string_lossy().replace('\\', "/");
        lines.push((name.clone(), format!("{hash}  {name}\n")));
    }
    lines.sort();
    Ok(lines.into_iter().map(|(_, line)| line).collect())
}

/// Returns all files under a folder; none if it does not exist.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let entries = match fs::read_dir(&folder) {
            Err(e) if e.kind() == ErrorKind::NotFound => continue,
            entries => entries.map_err(|e| format!("cannot list {}: {e}", folder.display()))?,
        };
        for entry in entries {
            let path = entry.map_err(|e| format!("cannot list {}: {e}", folder.display()))?.path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    Ok(found)
}

/// Writes a file and the folders above it.
pub(crate) fn put(path: &Path, bytes: &[u8]) -> Result<()> {
    let written = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(path, bytes));
    written.map_err(|e| format!("cannot write {}: {e}", path.display()))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let copied = to.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::copy(from, to));
    copied.map(drop).map_err(|e| format!("cannot copy {} to {}: {e}", from.display(), to.display()))
}

/// Removes the folder of an earlier run, so that nothing left in it is packed again.
pub(crate) fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(format!("cannot remove {}: {e}", folder.display())),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use happy_tool_kit::scratch::Scratch;

    #[test]
    fn sums_are_those_of_sha256sum() {
        let scratch = Scratch::new("dist-sums");
        put(&scratch.path().join("b"), b"abc").expect("written");
        put(&scratch.path().join("a/c"), b"").expect("written");
        // The example of FIPS 180-2, appendix B.1, and the hash of an empty file.
        let expected = "\
            e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  a/c\n\
            ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  b\n";
        assert_eq!(sums(scratch.path()).as_deref(), Ok(expected));
    }

    #[test]
    fn folders_are_removed_and_may_be_missing() {
        let scratch = Scratch::new("dist-remove");
        let folder = scratch.path().join("x");
        put(&folder.join("y/z"), b"1").expect("written");
        assert_eq!((remove(&folder), folder.exists()), (Ok(()), false));
        assert_eq!(remove(&folder), Ok(()));
    }
}
