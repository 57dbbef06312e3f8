//! Linking for Android without an NDK: stand-ins for the few files that a linker wants of one.
//!
//! ```text
//! libc.so libm.so libdl.so liblog.so   export what bionic exports at the API level (elf/bionic.txt), and nothing else
//! libunwind                            at API 30 and later bionic's own; before, functions that trap
//! start of a program, Android's note   start.rs, compiled by rustc
//! the linker                           rust-lld, which comes with Rust
//! ```
//! So a symbol that the system lacks is an error of the linker, as with an NDK, and the result has the form of what is
//! shipped. What is linked for a level before 30 would end where an NDK's would unwind: it is for checks, never for a device.

use crate::elf::bionic::Bionic;
use crate::elf::image::Abi;
use crate::elf::write::{Spec, write};
use crate::{Result, process};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const LIBRARIES: [&str; 4] = ["libc", "libm", "libdl", "liblog"];
const START: &str = include_str!("start.rs");

/// The first level at which bionic exports the unwinder, which std links: the table's, for the message.
const UNWINDER_API: u32 = 30;

/// A folder of stand-ins for one machine and API level.
pub(crate) struct Stubs {
    folder: PathBuf,
    abi: Abi,
    api: u32,
}

impl Stubs {
    /// Writes the stand-ins into `folder`, which is made anew.
    ///
    /// # Errors
    /// The folder cannot be written, or rustc lacks the machine's target.
    pub(crate) fn write(folder: &Path, abi: Abi, api: u32) -> Result<Self> {
        let stubs = Self { folder: folder.to_path_buf(), abi, api };
        let bionic = Bionic::load()?;
        if folder.exists() {
            fs::remove_dir_all(folder).map_err(|e| format!("cannot remove {}: {e}", folder.display()))?;
        }
        fs::create_dir_all(folder).map_err(|e| format!("cannot create {}: {e}", folder.display()))?;
        for library in LIBRARIES {
            let soname = format!("{library}.so");
            let exports = bionic.exports(abi, library, api);
            let spec =
                Spec { machine: abi.machine(), soname: Some(&soname), exports: &exports, ..Spec::default() };
            stubs.put(&soname, &write(&spec))?;
        }
        if api >= UNWINDER_API {
            stubs.put("libunwind.so", b"INPUT(-lc)")?;
        } else {
            let unwinder = bionic.exports(abi, "libc", UNWINDER_API);
            let unwinder = unwinder.iter().filter(|name| name.starts_with("_Unwind_"));
            let trap = match abi {
                Abi::Arm64 => "udf #0",
                Abi::X86_64 => "ud2",
            };
            let functions: String = unwinder
                .map(|name| {
                    format!(".globl {name}\\n.hidden {name}\\n.type {name}, %function\\n{name}: {trap}\\n")
                })
                .collect();
            // The linker looks at what a file is, not at its name: an object may stand where an archive is looked for.
            stubs.compile(
                "libunwind.a",
                &format!("#![no_std]\ncore::arch::global_asm!(\"{functions}\");\n"),
                &[],
            )?;
        }
        let start = START.replace("API_LEVEL", &api.to_string());
        stubs.compile("start-library.o", &start, &[])?;
        stubs.compile("start-program.o", &start, &["--cfg", "program"])?;
        Ok(stubs)
    }

    /// For a person: what stands in for an NDK, and what that means.
    pub(crate) fn describe(&self) -> String {
        let unwinder = if self.api >= UNWINDER_API {
            "; the unwinder is the system's"
        } else {
            "; a check only: what is linked so must not be shipped, it has no unwinder"
        };
        format!("stand-ins for the system of API {} on {}{unwinder}", self.api, self.abi.name())
    }

    /// The variables that make `cargo build --target TARGET` link with these, as [`super::ndk::Ndk::environment`].
    pub(crate) fn environment(&self, target: &str) -> Vec<(String, String)> {
        let mut flags = vec!["-Clinker-flavor=ld.lld".to_owned(), "-L".into(), self.path("")];
        let arguments = ["-zmax-page-size=16384", "-znow", "-zrelro", "--eh-frame-hdr", "--hash-style=gnu"];
        flags.extend(arguments.map(|argument| format!("-Clink-arg={argument}")));
        let variable = target.to_uppercase().replace('-', "_");
        vec![
            (format!("CARGO_TARGET_{variable}_LINKER"), "rust-lld".into()),
            ("CARGO_ENCODED_RUSTFLAGS".into(), flags.join("\x1f")),
        ]
    }

    /// rustc's flags for the last crate, a shared library.
    pub(crate) fn library_flags(&self, soname: &str) -> Vec<String> {
        vec![format!("-Clink-arg={}", self.path("start-library.o")), format!("-Clink-arg=-soname={soname}")]
    }

    /// rustc's flags for the last crate, a program.
    pub(crate) fn program_flags(&self) -> Vec<String> {
        vec![
            format!("-Clink-arg={}", self.path("start-program.o")),
            "-Clink-arg=--dynamic-linker=/system/bin/linker64".into(),
        ]
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
