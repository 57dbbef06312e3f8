//! Running other programs: with their output shown, captured, or captured under a time limit.

use crate::{Result, paths};
use cargo_metadata::{Artifact, Message, Metadata, MetadataCommand};
use std::env;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// The profile of everything that runs in `cargo xtask test`, so that the libraries are compiled once: optimized,
/// because real models run (opt-level 1 compiles 8% faster, which the tests lose again); with overflow checks, because these
/// are tests; without link-time optimization, which would cost more than it gives for some two hundred test programs. The
/// bits of results depend on none of this.
pub const TEST_PROFILE: &[(&str, &str)] = &[
    ("CARGO_PROFILE_RELEASE_LTO", "off"),
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16"),
    ("CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS", "true"),
];

/// The packages and features of everything that runs in `cargo xtask test`. With others, cargo would compile the
/// kernels again. xtask and the tools are compiled in a profile of their own. The native methods of `bindings/android`
/// are the only feature without which code would not be checked.
pub const TESTED: &[&str] =
    &["--workspace", "--exclude", "xtask", "--exclude", "happy-tool-*", "--features=happy-ffi/jni"];

/// Returns the command of the cargo that runs this program, in the workspace's root.
pub fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(paths::root());
    command
}

/// Returns the last `lines` lines of `text`.
pub fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// Returns the command as a person would type it, for messages.
pub fn display(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let name = program.file_name().unwrap_or(program.as_os_str());
    let mut text = name.to_string_lossy().into_owned();
    for argument in command.get_args() {
        let argument = argument.to_string_lossy();
        text.push(' ');
        if argument.is_empty() || argument.contains(' ') {
            text.push_str(&format!("'{argument}'"));
        } else {
            text.push_str(&argument);
        }
    }
    text
}

/// Runs `command` and shows its output. An exit code other than 0 is an error.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command.status().map_err(|e| cannot_start(command, &e))?;
    if status.success() { Ok(()) } else { Err(format!("`{}` failed ({status})", display(command))) }
}

/// Runs `command` and returns its standard output as text. Its standard error is shown.
pub fn output(command: &mut Command) -> Result<String> {
    let out = command.stderr(Stdio::inherit()).output().map_err(|e| cannot_start(command, &e))?;
    if !out.status.success() {
        return Err(format!("`{}` failed ({})", display(command), out.status));
    }
    String::from_utf8(out.stdout)
        .map_err(|_| format!("`{}` wrote bytes that are not UTF-8", display(command)))
}

/// Returns whether `command` starts and exits with 0. Nothing is shown.
pub fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// The result of a program with a time limit.
pub struct Finished {
    /// Standard output, with bytes that are not UTF-8 replaced.
    pub stdout: String,
    /// Standard error, likewise.
    pub stderr: String,
    /// Whether the exit code is 0.
    pub success: bool,
    /// The exit code or signal, or that the time ran out, in words.
    pub ending: String,
}

/// Runs `command`, captures its output, and kills it after `limit`.
pub fn run_within(command: &mut Command, limit: Duration) -> Result<Finished> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| cannot_start(command, &e))?;
    let stdout = collect(child.stdout.take());
    let stderr = collect(child.stderr.take());
    let status = wait_until(&mut child, Instant::now() + limit);
    let (success, ending) = match status {
        Ok(Some(status)) => (status.success(), status.to_string()),
        Ok(None) => (false, format!("killed: it ran longer than {} s", limit.as_secs())),
        Err(e) => (false, format!("cannot wait for it: {e}")),
    };
    Ok(Finished {
        stdout: stdout.join().unwrap_or_default(),
        stderr: stderr.join().unwrap_or_default(),
        success,
        ending,
    })
}

/// Returns the exit status, or `None` after killing a child that runs past `deadline`.
fn wait_until(child: &mut Child, deadline: Instant) -> std::io::Result<Option<std::process::ExitStatus>> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(Duration::from_millis(20));
    }
}

fn collect(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // A broken pipe ends the text early. What was read is still worth showing.
            let _ = pipe.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn cannot_start(command: &Command, error: &std::io::Error) -> String {
    format!("cannot start `{}`: {error}", display(command))
}

/// An executable that cargo built.
pub struct Built {
    /// The target's name (`happy`, or the test file's name).
    pub target: String,
    /// The package's folder, in which cargo would run its tests.
    pub package_dir: PathBuf,
    /// The file to run.
    pub executable: PathBuf,
    /// Whether it is a test program; otherwise it is a program that integration tests may start.
    is_test: bool,
}

/// Runs a `cargo build` or `cargo test --no-run` and lists the executables that it made.
pub fn build(command: &mut Command) -> Result<Vec<Built>> {
    command.arg("--message-format=json-render-diagnostics");
    let made = artifacts(&output(command)?);
    let programs = made.into_iter().filter_map(|artifact| {
        let manifest = artifact.manifest_path.into_std_path_buf();
        Some(Built {
            target: artifact.target.name,
            package_dir: manifest.parent().unwrap_or(&manifest).to_path_buf(),
            executable: artifact.executable?.into(),
            is_test: artifact.profile.test,
        })
    });
    Ok(programs.collect())
}

/// Returns what cargo's messages (`--message-format=json-render-diagnostics`) say that it built, crate by crate.
pub fn artifacts(messages: &str) -> Vec<Artifact> {
    let messages = Message::parse_stream(messages.as_bytes()).flatten();
    let artifact = |message| if let Message::CompilerArtifact(made) = message { Some(made) } else { None };
    messages.filter_map(artifact).collect()
}

/// Returns the metadata of a workspace from cargo.
///
/// # Errors
/// If cargo fails, or `cargo_metadata` cannot read its output.
pub fn metadata(arguments: &[&str]) -> Result<Metadata> {
    let text = output(cargo(&["metadata", "--format-version", "1"]).args(arguments))?;
    MetadataCommand::parse(text).map_err(|e| format!("cannot read what cargo metadata wrote: {e}"))
}

/// Runs a `cargo test --no-run` and lists the test programs that it made.
pub fn build_tests(command: &mut Command) -> Result<Vec<Built>> {
    let mut built = build(command)?;
    built.retain(|program| program.is_test);
    Ok(built)
}

/// Builds `happy` as `cargo install` does, and returns its path.
pub fn build_happy() -> Result<PathBuf> {
    happy_of(&mut cargo(&["build", "--release", "--package", "happy-cli", "--bin", "happy"]))
}

/// Builds `happy` from the crates that the tests of `cargo xtask test` use, most of which are compiled already, and
/// returns its path.
pub fn build_tested_happy() -> Result<PathBuf> {
    let mut command = cargo(&["build", "--release", "--bin", "happy"]);
    happy_of(command.args(TESTED).envs(TEST_PROFILE.iter().copied()))
}

fn happy_of(command: &mut Command) -> Result<PathBuf> {
    match build(command)?.into_iter().find(|b| b.target == "happy") {
        Some(happy) => Ok(happy.executable),
        None => Err("cargo built happy-cli but reported no executable named `happy`".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_keeps_the_last_lines() {
        assert_eq!(tail("a\nb\nc", 2), "b\nc");
        assert_eq!(tail("a", 2), "a");
    }
}
