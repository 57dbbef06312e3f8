//! Building for Android: the toolchains that link for it, and the variables and flags for cargo.

pub mod ndk;
mod stub;

use crate::elf::image::Abi;
use happy_tool_kit::{Result, paths, process};
use ndk::Ndk;
use std::env;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::Command;
use stub::Stubs;

/// The supported API levels: from the first that reads GNU's hash tables and packed relocations, to the last in
/// `elf/bionic.txt`.
pub(crate) const PLATFORMS: RangeInclusive<u32> = 23..=37;

/// Packed relocations take an eighth of the size of plain ones.
const PACKED_RELOCATIONS: &str = "--pack-dyn-relocs=android";

/// Merges functions with the same code; Rust promises no function an address of its own.
const FOLDED_CODE: &str = "--icf=all";

/// Least bytes of code that a function must save which LLVM's outliner makes of instructions that repeat. By default it is one, but each
/// of them takes about 32 bytes in the tables for unwinding.
const OUTLINED_CODE: &str = "-Cllvm-args=-outliner-benefit-threshold=32";

/// The linker to use.
pub(crate) enum Linker {
    /// An NDK's clang, for devices.
    Ndk(Ndk),
    /// Rust's own linker with stand-ins for the system's libraries: see [`stub`].
    Stubs,
}

/// Links for one machine and API level.
pub(crate) struct Link {
    pub(crate) abi: Abi,
    with: With,
}

enum With {
    Ndk { ndk: Ndk, api: u32 },
    Stubs(Stubs),
}

/// What to build.
pub(crate) struct Order<'a> {
    /// The `Cargo.toml` of another workspace; `None` for this one.
    pub(crate) manifest: Option<&'a Path>,
    pub(crate) package: &'a str,
    pub(crate) features: &'a str,
    pub(crate) product: Product<'a>,
    /// A folder of further libraries to link with.
    pub(crate) libraries: Option<&'a Path>,
}

/// What a package makes.
#[derive(Clone, Copy)]
pub(crate) enum Product<'a> {
    /// A `cdylib`, with the name of its file.
    Library(&'a str),
    /// A program.
    Program(&'a str),
}

impl Linker {
    /// Returns the linker for one machine and API level.
    ///
    /// # Errors
    /// If the API level is not supported, the standard library for the machine is not installed, or the stand-ins
    /// cannot be written.
    pub(crate) fn link(&self, abi: Abi, api: u32) -> Result<Link> {
        if !PLATFORMS.contains(&api) {
            return Err(format!("no API level {api}: expected {} to {}", PLATFORMS.start(), PLATFORMS.end()));
        }
        if let Some(missing) = missing(abi) {
            return Err(missing);
        }
        let with = match self {
            Self::Ndk(ndk) => With::Ndk { ndk: ndk.clone(), api },
            Self::Stubs => {
                let folder = paths::target().join("android/stubs").join(format!("{}-{api}", abi.name()));
                With::Stubs(Stubs::write(&folder, abi, api)?)
            }
        };
        Ok(Link { abi, with })
    }
}

impl Link {
    /// Describes the linker for a person.
    pub(crate) fn describe(&self) -> String {
        match &self.with {
            With::Ndk { ndk, api } => format!("{}, API {api}", ndk.describe()),
            With::Stubs(stubs) => stubs.describe(),
        }
    }

    /// Builds with the profile `dist` and returns the path of the file.
    ///
    /// The flags for all crates are the same for every product of a machine, so that what they share is compiled once; what
    /// one product needs goes to its last crate only.
    ///
    /// # Errors
    /// If it does not compile or link, or cargo reports no such file.
    pub(crate) fn build(&self, order: &Order) -> Result<PathBuf> {
        let target = self.abi.target();
        let mut command = process::cargo(&["rustc", "--profile", "dist", "--target", target]);
        command.args(["--package", order.package, "--features", order.features]);
        if let Some(manifest) = order.manifest {
            command.arg("--manifest-path").arg(manifest);
        }
        match order.product {
            Product::Library(_) => command.args(["--lib", "--crate-type", "cdylib"]),
            Product::Program(name) => command.args(["--bin", name]),
        };
        command
            .arg("--message-format=json-render-diagnostics")
            .arg("--")
            .args(self.last_flags(order.product));
        if let Some(folder) = order.libraries {
            command.arg("-L").arg(folder);
        }
        command.env("CARGO_TARGET_DIR", paths::target().join("android")).envs(self.variables()?);
        let wanted = match order.product {
            Product::Library(name) | Product::Program(name) => name,
        };
        let made = process::artifacts(&process::output(&mut command)?);
        let mut files = made.into_iter().flat_map(|artifact| artifact.filenames);
        let file = files.find(|file| file.file_name() == Some(wanted));
        file.map(PathBuf::from)
            .ok_or_else(|| format!("cargo built {} for {target} but made no file {wanted}", order.package))
    }

    /// Returns variables for cargo: the linker, and the flags of every crate.
    fn variables(&self) -> Result<Vec<(String, String)>> {
        const FLAGS: &str = "CARGO_ENCODED_RUSTFLAGS";
        let mut variables = match &self.with {
            With::Ndk { ndk, api } => ndk.environment(self.abi.target(), *api)?,
            With::Stubs(stubs) => vec![stubs.linker()],
        };
        let mut flags: Vec<String> =
            variables.extract_if(.., |(name, _)| name == FLAGS).map(|v| v.1).collect();
        flags.extend(remaps());
        variables.push((FLAGS.into(), flags.join("\x1f")));
        Ok(variables)
    }

    /// Returns the flags of the product's own crate.
    fn last_flags(&self, product: Product) -> Vec<String> {
        let soname = match product {
            Product::Library(name) => Some(name),
            Product::Program(_) => None,
        };
        let arguments = [PACKED_RELOCATIONS, FOLDED_CODE].map(str::to_owned).into_iter();
        // By default a library may have undefined symbols. This makes the linker report those that the system lacks.
        let library = soname.iter().flat_map(|name| [format!("-soname={name}"), "-zdefs".into()]);
        let arguments = arguments.chain(library);
        let mut flags: Vec<String> = match &self.with {
            With::Ndk { .. } => arguments.map(|argument| format!("-Clink-arg=-Wl,{argument}")).collect(),
            With::Stubs(stubs) => stubs.flags(arguments, soname.is_none()),
        };
        flags.push(OUTLINED_CODE.into());
        flags
    }
}

/// Returns what is missing to compile for the machine, if anything.
pub(crate) fn missing(abi: Abi) -> Option<String> {
    let target = abi.target();
    let mut rustc = Command::new("rustc");
    let folder =
        process::output(rustc.args(["--print", "target-libdir", "--target", target])).unwrap_or_default();
    (!Path::new(folder.trim()).is_dir())
        .then(|| format!("no standard library for {target}: `rustup target add {target}`"))
}

/// Returns flags for the compiler that replace paths of this machine, because panic messages name source files and the bytes should not
/// depend on it.
pub(crate) fn remaps() -> Vec<String> {
    let cargo = env::var("CARGO_HOME").or_else(|_| env::var("HOME").map(|home| home + "/.cargo"));
    let mut flags: Vec<String> =
        cargo.into_iter().map(|from| format!("--remap-path-prefix={from}=/cargo")).collect();
    flags.push(format!("--remap-path-prefix={}=/happy", paths::root().display()));
    flags
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elf::bionic::Bionic;

    #[test]
    fn levels_are_those_of_the_table() {
        let bionic = Bionic::load().expect("the table reads");
        let exports = |api| bionic.exports(Abi::Arm64, "libc", api).len();
        let last = *PLATFORMS.end();
        assert!(exports(last - 1) < exports(last) && exports(last) == exports(u32::MAX));
    }

    #[test]
    fn other_levels_are_refused() {
        for api in [0, 22, 38] {
            let refused = Linker::Stubs.link(Abi::Arm64, api).err();
            assert_eq!(refused, Some(format!("no API level {api}: expected 23 to 37")));
        }
    }
}
