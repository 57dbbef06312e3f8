//! The folder on the device that holds everything of a run and is removed after it.
//!
//! ```text
//! /data/local/tmp/happy-phone-llm.NONCE/
//!   pid            the program that runs
//!   bin/           programs
//!   crates/...     packages' test data, as in the workspace: a package's folder is its programs' current directory
//!   corpus/        corpora
//! ```
//!
//! If a run could not clean up (a cable was pulled), the next run removes its folder and kills what it left running. So
//! a device serves one run at a time, and a second one on this machine is refused.

use crate::adb::{Device, Ending};
use crate::environment::quote;
use crate::interrupt;
use happy_tool_kit::Result;
use std::fs::{File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where adb may write and run programs.
const BASE: &str = "/data/local/tmp";

/// The prefix of the folders' names.
const PREFIX: &str = "happy-phone-llm.";

/// A folder on the device; dropping it removes it.
pub(crate) struct Folder<'a> {
    pub(crate) device: &'a Device,
    path: String,
    /// Held as long as the run uses the device.
    _lock: Option<File>,
}

/// A program on the device, and its arguments and environment.
pub(crate) struct Program<'a> {
    /// The file's name in `bin/`.
    pub(crate) name: &'a str,
    pub(crate) arguments: &'a [String],
    pub(crate) environment: &'a [(String, String)],
    /// The current directory, relative to the folder.
    pub(crate) directory: &'a str,
}

impl<'a> Folder<'a> {
    /// Removes what earlier runs left behind, and makes a new folder.
    ///
    /// # Errors
    /// If another run on this machine uses the device, or a command on the device fails.
    pub(crate) fn create(device: &'a Device) -> Result<Self> {
        let lock = lock(&device.serial)?;
        let nonce = &crate::marker::nonce()[..8];
        let path = format!("{BASE}/{PREFIX}{nonce}");
        let removed = device.shell(&format!(
            "for d in {BASE}/{PREFIX}*; do\n[ -d \"$d\" ] || continue\n{}\necho \"$d\"\ndone\nmkdir -p {path}/bin",
            remove_script("\"$d\"")
        ))?;
        for old in removed.lines().filter(|line| !line.is_empty()) {
            println!("removed {old}, which an interrupted run left on {}", device.serial);
        }
        Ok(Self { device, path, _lock: lock })
    }

    /// Returns the device's path of a file in the folder, or of the folder itself if `file` is empty.
    pub(crate) fn path(&self, file: &str) -> String {
        if file.is_empty() { self.path.clone() } else { format!("{}/{file}", self.path) }
    }

    /// Copies files and folders of this machine into `to`, a folder in this one. Returns the number of their bytes.
    pub(crate) fn push(&self, files: &[PathBuf], to: &str) -> Result<u64> {
        let bytes = files.iter().map(|file| size(file)).sum::<Result<u64>>()?;
        let free = self.free()?;
        if bytes >= free {
            return Err(format!(
                "device {} has no space left: {} are free, {} are needed; free some, or push less (`--filter NAME`)",
                self.device.serial,
                megabytes(free),
                megabytes(bytes)
            ));
        }
        let to = self.path(to);
        self.device.shell(&format!("mkdir -p {}", quote(&to)))?;
        self.device.push(files, &to, bytes)?;
        Ok(bytes)
    }

    /// Copies programs into `bin/`.
    pub(crate) fn push_programs(&self, programs: &[PathBuf]) -> Result<u64> {
        let bytes = self.push(programs, "bin")?;
        // Not every system that adb runs on has file modes.
        self.device.shell(&format!("chmod 755 {}/*", self.path("bin")))?;
        Ok(bytes)
    }

    /// Removes a file or folder in the folder.
    pub(crate) fn remove(&self, file: &str) -> Result<()> {
        self.device.shell(&format!("rm -rf {}", quote(&self.path(file)))).map(drop)
    }

    /// Runs a program, which is killed if it takes longer than `limit`.
    pub(crate) fn run(
        &self,
        program: &Program,
        limit: Duration,
        stdout: &mut dyn Write,
        stderr: &mut dyn Write,
    ) -> Result<Ending> {
        let ending = self.device.run(&self.script(program), limit, stdout, stderr)?;
        if let Ending::TimedOut(_) = ending {
            self.device.shell(&kill_script(&self.path))?;
        }
        Ok(ending)
    }

    /// Returns a script that runs the program in the background, so that its id is known if it must be killed.
    fn script(&self, program: &Program) -> String {
        let mut script = format!(
            "cd {} || exit 97\nexport TMPDIR={}\n",
            quote(&self.path(program.directory)),
            quote(&self.path)
        );
        for (name, value) in program.environment {
            script += &format!("export {name}={}\n", quote(value));
        }
        script += &quote(&self.path(&format!("bin/{}", program.name)));
        for argument in program.arguments {
            script += &format!(" {}", quote(argument));
        }
        script + &format!(" </dev/null &\np=$!\necho $p >{}\nwait $p", self.path("pid"))
    }

    /// Returns the number of free bytes where the folder is.
    fn free(&self) -> Result<u64> {
        let table = self.device.shell(&format!("df -k {BASE}"))?;
        parse_free(&table).ok_or_else(|| {
            format!("device {}: `df -k {BASE}` says nothing of free space, but: {table}", self.device.serial)
        })
    }
}

/// Locks the device against other runs on this machine, from any checkout. The system releases the lock however this
/// process ends. `None` if the system cannot lock files.
fn lock(serial: &str) -> Result<Option<File>> {
    let name = serial.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    let Ok(file) = File::create(std::env::temp_dir().join(format!("happy-device-{name}.lock"))) else {
        return Ok(None);
    };
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Err(format!(
            "device {serial} is used by another run on this machine: wait for its end, or stop it"
        )),
        Err(TryLockError::Error(_)) => Ok(None),
        Ok(()) => Ok(Some(file)),
    }
}

impl Drop for Folder<'_> {
    fn drop(&mut self) {
        let script = remove_script(&quote(&self.path));
        if let Err(why) = interrupt::hold_off(|| self.device.shell(&script)) {
            eprintln!("warning: {} stays behind, the next run removes it: {why}", self.path);
        }
    }
}

/// Returns a script that kills the program whose id is in a folder, if that id still belongs to a program of the
/// folder.
fn kill_script(folder: &str) -> String {
    format!(
        "p=$(cat {folder}/pid 2>/dev/null) && grep -qF {folder}/bin/ /proc/$p/cmdline 2>/dev/null && kill -9 $p\ntrue"
    )
}

fn remove_script(folder: &str) -> String {
    format!("{}\nrm -rf {folder}", kill_script(folder))
}

/// Returns the fourth column of df's table, which precedes the percentage. A long first column has a line of its own.
fn parse_free(table: &str) -> Option<u64> {
    let words: Vec<&str> = table.split_whitespace().collect();
    // The heading has a `%` too, in `Use%`.
    let at = words.iter().position(|word| {
        word.strip_suffix('%')
            .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
    })?;
    words.get(at.checked_sub(1)?)?.parse::<u64>().ok()?.checked_mul(1024)
}

/// Returns the bytes of a file, or of all files in a folder.
fn size(path: &Path) -> Result<u64> {
    let unreadable = |e: std::io::Error| format!("cannot read {}: {e}", path.display());
    let about = path.metadata().map_err(unreadable)?;
    if !about.is_dir() {
        return Ok(about.len());
    }
    let mut sum = 0;
    for entry in path.read_dir().map_err(unreadable)? {
        sum += size(&entry.map_err(unreadable)?.path())?;
    }
    Ok(sum)
}

/// Formats a number of bytes for a person.
pub(crate) fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_space_is_read() {
        let cases = [
            (
                "Filesystem 1K-blocks Used Available Use% Mounted on\n/dev/block/dm-9 2048 1024 1000 50% /data\n",
                Some(1_024_000),
            ),
            ("Filesystem      1K-blocks\n/dev/a/very/long/name\n  2048 1024 7 99% /data\n", Some(7 * 1024)),
            ("df: /data: Permission denied", None),
            ("", None),
        ];
        for (table, expected) in cases {
            assert_eq!(parse_free(table), expected, "{table}");
        }
    }
}
