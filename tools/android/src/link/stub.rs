//! Linking for Android without an NDK: stand-ins for the few files that a linker needs from one.
//!
//! ```text
//! libc.so libm.so libdl.so liblog.so   export what bionic exports at the API level (elf/bionic.txt), and nothing else
//! libunwind                            at API 30 and later bionic's own; before, functions that trap
//! start of a program, Android's note   start.rs, compiled by rustc
//! the linker                           rust-lld, which comes with Rust
//! ```
//! So the linker reports a symbol that the system lacks, as with an NDK, and the result has the form of what is
//! shipped. Code that is linked for a level before 30 aborts where it would unwind with an NDK. It is for checks only,
//! never for a device.

use crate::elf::bionic::Bionic;
use crate::elf::image::Abi;
use crate::elf::write::{Spec, write};
use happy_tool_kit::{Result, process};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const LIBRARIES: [&str; 4] = ["libc", "libm", "libdl", "liblog"];
const START: &str = include_str!("start.rs");

/// The first level at which bionic exports the unwinder, which std links.
const UNWINDER_API: u32 = 30;

/// A folder of stand-ins for one machine and API level.
pub(crate) struct Stubs {
    folder: PathBuf,
    abi: Abi,
    api: u32,
}

impl Stubs {
    /// Writes the stand-ins into `folder`, which is created again.
    ///
    /// # Errors
    /// If the folder cannot be written, or rustc lacks the machine's target.
    pub(crate) fn write(folder: &Path, abi: Abi, api: u32) -> Result<Self> {
        let stubs = Self { folder: folder.to_path_buf(), abi, api };
        let bionic = Bionic::load()?;
        if folder.exists() {
            fs::remove_dir_all(folder).map_err(|e| format!("cannot remove {}: {e}", folder.display()))?;
        }
        fs::create_dir_all(folder).map_err(|e| format!("cannot create {}: {e}", folder.display()))?;
        for (name, bytes) in libraries(&bionic, abi, api)? {
            stubs.put(&name, &bytes)?;
        }
        if api >= UNWINDER_API {
            stubs.put("libunwind.so", b"INPUT(-lc)")?;
        } else {
            // The linker looks at the contents of a file, not at its name, so an object may have the name of an
            // archive.
            stubs.compile("libunwind.a", &unwinder(&bionic, abi), &[])?;
        }
        let start = START.replace("API_LEVEL", &api.to_string());
        stubs.compile("start-library.o", &start, &[])?;
        stubs.compile("start-program.o", &start, &["--cfg", "program"])?;
        Ok(stubs)
    }

    /// Describes for a person what replaces the NDK, and what that means.
    pub(crate) fn describe(&self) -> String {
        let unwinder = if self.api >= UNWINDER_API {
            "; the unwinder is the system's"
        } else {
            "; a check only: what is linked so must not be shipped, it has no unwinder"
        };
        format!("stand-ins for the system of API {} on {}{unwinder}", self.api, self.abi.name())
    }

    /// Returns the linker for cargo, as a variable and its value.
    pub(crate) fn linker(&self) -> (String, String) {
        let variable = self.abi.target().to_uppercase().replace('-', "_");
        (format!("CARGO_TARGET_{variable}_LINKER"), "rust-lld".into())
    }

    /// Returns rustc's flags for the last crate, which is the only one that is linked, with further arguments for the
    /// linker.
    pub(crate) fn flags(&self, further: impl Iterator<Item = String>, program: bool) -> Vec<String> {
        let mut arguments: Vec<String> =
            ["-zmax-page-size=16384", "-znow", "-zrelro", "--eh-frame-hdr", "--hash-style=gnu"]
                .map(str::to_owned)
                .to_vec();
        if program {
            arguments.push("--dynamic-linker=/system/bin/linker64".into());
        }
        arguments.push(self.path(if program { "start-program.o" } else { "start-library.o" }));
        let mut flags = vec!["-Clinker-flavor=ld.lld".into(), "-L".into(), self.path("")];
        flags.extend(arguments.into_iter().chain(further).map(|argument| format!("-Clink-arg={argument}")));
        flags
    }

    fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    fn put(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.folder.join(name);
        fs::write(&path, bytes).map_err(|e| format!("cannot write {}: {e}", path.display()))
    }

    /// Compiles a source without a standard library to an object file.
    fn compile(&self, name: &str, source: &str, flags: &[&str]) -> Result<()> {
        let mut rustc = Command::new("rustc");
        rustc
            .args([
                "-",
                "--edition=2024",
                "--crate-type=lib",
                "--crate-name=start",
                "--emit=obj",
                "-Cpanic=abort",
            ])
            .args(["--target", self.abi.target(), "-o", &self.path(name)])
            .args(flags)
            .stdin(Stdio::piped());
        let shown = process::display(&rustc);
        let mut child = rustc.spawn().map_err(|e| format!("cannot start `{shown}`: {e}"))?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(source.as_bytes()).map_err(|e| format!("cannot hand rustc {name}: {e}"))?;
        }
        match child.wait() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(format!("`{shown}` failed ({status})")),
            Err(e) => Err(format!("cannot wait for `{shown}`: {e}")),
        }
    }
}

/// Returns shared objects that export what the system's libraries export at the API level, by the names of their files.
fn libraries(bionic: &Bionic, abi: Abi, api: u32) -> Result<Vec<(String, Vec<u8>)>> {
    let library = |library: &str| {
        let soname = format!("{library}.so");
        let exports = bionic.exports(abi, library, api);
        let spec =
            Spec { machine: abi.machine(), soname: Some(&soname), exports: &exports, ..Spec::default() };
        let bytes = write(&spec)?;
        Ok((soname, bytes))
    };
    LIBRARIES.into_iter().map(library).collect()
}

/// Returns the source of an unwinder whose functions trap.
fn unwinder(bionic: &Bionic, abi: Abi) -> String {
    let trap = match abi {
        Abi::Arm64 => "udf #0",
        Abi::X86_64 => "ud2",
    };
    let names = bionic.exports(abi, "libc", UNWINDER_API);
    let functions: String = names
        .iter()
        .filter(|name| name.starts_with("_Unwind_"))
        .map(|name| format!("    \".globl {name}\", \".hidden {name}\", \"{name}: {trap}\",\n"))
        .collect();
    format!("#![no_std]\ncore::arch::global_asm!(\n    \".text\",\n{functions});\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elf::image::Image;

    #[test]
    fn the_linker_finds_what_the_level_has_and_no_more() {
        let bionic = Bionic::load().expect("the table reads");
        let mut failures = Vec::new();
        for abi in Abi::ALL {
            for (api, library, name, expected) in [
                (26, "libc.so", "malloc", true),
                (26, "libc.so", "getrandom", false),
                (28, "libc.so", "getrandom", true),
                (26, "libc.so", "fmaf", false),
                (26, "libm.so", "fmaf", true),
                (26, "libdl.so", "dlopen", true),
                (26, "liblog.so", "__android_log_write", true),
                (29, "libc.so", "_Unwind_Resume", false),
                (30, "libc.so", "_Unwind_Resume", true),
            ] {
                let made = libraries(&bionic, abi, api).expect("small files");
                let (_, bytes) = made.iter().find(|(file, _)| file == library).expect("the library");
                let image = Image::parse(bytes).expect("a library");
                let found = image.exports.iter().any(|export| export == name);
                if found != expected || image.abi != abi || image.soname.as_deref() != Some(library) {
                    failures.push(format!("{library} {name} {api} {}: {found}", abi.name()));
                }
            }
        }
        assert!(failures.is_empty(), "{}", failures.join("\n"));
    }

    #[test]
    fn the_unwinder_stays_inside() {
        let bionic = Bionic::load().expect("the table reads");
        let source = unwinder(&bionic, Abi::X86_64);
        for name in ["_Unwind_Resume", "_Unwind_RaiseException", "_Unwind_GetIP", "_Unwind_DeleteException"] {
            let line = format!("\".globl {name}\", \".hidden {name}\", \"{name}: ud2\",");
            assert!(source.contains(&line), "{name} is missing in {source}");
        }
    }
}
