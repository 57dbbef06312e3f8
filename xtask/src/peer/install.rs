//! The peer: llama.cpp as built by the Python package [`PACKAGE`], its headers, and the C program that measures it.

use happy_tool_kit::{Result, paths, process};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The pinned package, whose source contains the llama.cpp that this project is compared with.
const PACKAGE: &str = "llama-cpp-python==0.3.36";
const NAME: &str = "llama-cpp-python";
const SOURCE: &str = include_str!("peer_bench.c");

/// A peer that is ready to run.
pub(super) struct Peer {
    /// The path of the compiled [`SOURCE`].
    pub(super) program: PathBuf,
}

impl Peer {
    /// Finds the peer in `$HAPPY_PEER` or `target/peer`, a Python environment with the package. It is built from source
    /// if needed.
    pub(super) fn find_or_install() -> Result<Self> {
        let folder = env::var_os("HAPPY_PEER")
            .filter(|v| !v.is_empty())
            .map_or_else(|| paths::target().join("peer"), PathBuf::from);
        let folder = paths::root().join(folder);
        let python = folder.join("bin/python");
        if library_folder(&folder).is_none() {
            eprintln!("building the peer in {} (about ten minutes)", folder.display());
            process::run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
            process::run(Command::new(&python).args(["-m", "pip", "install", "--disable-pip-version-check", PACKAGE])).map_err(|e| {
                format!("{e}: building {PACKAGE} needs a network, a C++ compiler and cmake; HAPPY_PEER may name a Python environment that has it")
            })?;
        }
        let libraries = library_folder(&folder).ok_or_else(|| {
            format!("{PACKAGE} is installed in {}, but has no libllama.so", folder.display())
        })?;
        let headers = folder.join("llama.cpp-headers");
        if !headers.join("include/llama.h").is_file() {
            fetch_headers(&python, &headers)?;
        }
        let program = compile(&libraries, &headers)?;
        Ok(Self { program })
    }
}

/// Returns the folder of `libllama.so` in a Python environment.
fn library_folder(environment: &Path) -> Option<PathBuf> {
    let versions = fs::read_dir(environment.join("lib")).ok()?;
    versions
        .flatten()
        .map(|version| version.path().join("site-packages/llama_cpp/lib"))
        .find(|folder| folder.join("libllama.so").is_file())
}

/// Extracts the C headers from the source package, since the installed package lacks them.
fn fetch_headers(python: &Path, headers: &Path) -> Result<()> {
    let download = headers.join("download");
    fs::create_dir_all(&download).map_err(|e| format!("cannot create {}: {e}", download.display()))?;
    let mut pip = Command::new(python);
    pip.args([
        "-m",
        "pip",
        "download",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        "--no-binary",
        NAME,
        "--dest",
    ]);
    process::run(pip.arg(&download).arg(PACKAGE))?;
    let archive = fs::read_dir(&download)
        .map_err(|e| format!("cannot read {}: {e}", download.display()))?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.to_string_lossy().ends_with(".tar.gz"))
        .ok_or_else(|| format!("pip left no source package of {PACKAGE} in {}", download.display()))?;
    let mut tar = Command::new("tar");
    tar.arg("-xzf").arg(&archive).arg("-C").arg(headers);
    // PACKAGE/vendor/llama.cpp/include/llama.h -> include/llama.h
    tar.args([
        "--strip-components=3",
        "--wildcards",
        "*/vendor/llama.cpp/include/*.h",
        "*/vendor/llama.cpp/ggml/include/*.h",
    ]);
    process::run(&mut tar)?;
    fs::remove_dir_all(&download).map_err(|e| format!("cannot remove {}: {e}", download.display()))
}

/// Compiles [`SOURCE`] against the headers and libraries.
fn compile(libraries: &Path, headers: &Path) -> Result<PathBuf> {
    let source = paths::target().join("peer_bench.c");
    let program = paths::target().join("peer_bench");
    fs::create_dir_all(paths::target()).map_err(|e| format!("cannot create the target directory: {e}"))?;
    fs::write(&source, SOURCE).map_err(|e| format!("cannot write {}: {e}", source.display()))?;
    let mut cc = Command::new("cc");
    cc.args(["-O2", "-Wall", "-Wextra", "-I"])
        .arg(headers.join("include"))
        .arg("-I")
        .arg(headers.join("ggml/include"));
    cc.arg(&source).arg("-o").arg(&program).arg("-L").arg(libraries).args([
        "-lllama",
        "-lggml",
        "-lggml-base",
    ]);
    for option in ["-rpath", "-rpath-link"] {
        cc.arg(format!("-Wl,{option},{}", libraries.display()));
    }
    process::run(&mut cc)?;
    Ok(program)
}
