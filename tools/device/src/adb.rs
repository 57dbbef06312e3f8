//! Calls of `adb`. Each has a time limit, and each complaint becomes one sentence.

use crate::marker::Output;
use crate::{complaint, interrupt, marker};
use happy_tool_kit::{Result, process};
use std::env;
use std::fmt;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

/// Small commands take well under a second, but starting adb's server takes some seconds.
const LIMIT: Duration = Duration::from_secs(20);

/// Far less than a slow cable transfers.
const PUSH_BYTES_PER_SECOND: u64 = 500_000;

/// The client program.
pub(crate) struct Adb(PathBuf);

/// A line of `adb devices`.
pub(crate) struct Listed {
    pub(crate) serial: String,
    /// `device` if it is ready.
    pub(crate) state: String,
}

/// One device that `adb` knows.
pub(crate) struct Device {
    adb: PathBuf,
    pub(crate) serial: String,
}

/// How a program on a device ended.
#[derive(Debug, PartialEq)]
pub(crate) enum Ending {
    Exited(i32),
    Signalled(i32),
    TimedOut(Duration),
}

/// The pipe from which a piece of output came.
#[derive(Clone, Copy, PartialEq)]
enum Pipe {
    Stdout,
    Stderr,
}

impl Adb {
    /// Finds `platform-tools/adb` of the SDK that ANDROID_HOME or ANDROID_SDK_ROOT names, or `adb` in the search path.
    pub(crate) fn find() -> Result<Self> {
        let sdks = ["ANDROID_HOME", "ANDROID_SDK_ROOT"].into_iter().filter_map(env::var_os);
        let mut programs = sdks.map(|sdk| Path::new(&sdk).join("platform-tools/adb")).collect::<Vec<_>>();
        programs.push("adb".into());
        programs
            .into_iter()
            .find(|program| process::succeeds(Command::new(program).arg("version")))
            .map(Self)
            .ok_or_else(|| {
                "no adb: install Android's platform tools (Debian's package adb), or set ANDROID_HOME".into()
            })
    }

    /// Returns all devices that adb knows, in any state.
    pub(crate) fn devices(&self) -> Result<Vec<Listed>> {
        self.start_server()?;
        let (status, said) = gather(Command::new(&self.0).arg("devices"), LIMIT)?;
        if !status.is_some_and(|status| status.success()) {
            let last = said.trim().lines().last().unwrap_or("its server does not answer");
            return Err(format!("`adb devices` failed: {last}"));
        }
        Ok(parse_devices(&said))
    }

    /// Starts adb's server by a call without pipes. The server outlives the call that starts it, and would keep the
    /// pipes of any other call open.
    fn start_server(&self) -> Result<()> {
        let mut command = Command::new(&self.0);
        command.arg("start-server").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(|e| format!("cannot start adb: {e}"))?;
        if wait(&mut child, Instant::now() + LIMIT)?.is_some() {
            // It fails if another program starts one at the same time, which serves as well.
            return Ok(());
        }
        // A process that has just ended cannot be killed, and need not be.
        let _ = child.kill();
        let _ = child.wait();
        Err(format!(
            "adb's server does not start within {} s: does another program listen on its port (5037, or ANDROID_ADB_SERVER_PORT)?",
            LIMIT.as_secs()
        ))
    }

    /// Connects to a device that listens on TCP.
    pub(crate) fn connect(&self, serial: &str) -> Result<()> {
        let (_, said) = gather(Command::new(&self.0).args(["connect", serial]), LIMIT)?;
        // "connected to" and "already connected to". Everything else is a complaint, whatever the exit code.
        if said.contains("connected to") {
            return Ok(());
        }
        Err(complaint::sentence(serial, "connect", &said))
    }

    pub(crate) fn device(&self, serial: &str) -> Device {
        Device { adb: self.0.clone(), serial: serial.to_owned() }
    }
}

impl Device {
    /// Runs a few commands in the device's shell and returns their output. An exit code other than 0 is an error.
    pub(crate) fn shell(&self, script: &str) -> Result<String> {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let ending = self.run(script, LIMIT, &mut stdout, &mut stderr)?;
        let stdout = String::from_utf8_lossy(&stdout).into_owned();
        match ending {
            Ending::Exited(0) => Ok(stdout),
            Ending::TimedOut(limit) => {
                Err(format!("device {} does not answer within {} s", self.serial, limit.as_secs()))
            }
            _ => {
                let said = format!("{stdout}{}", String::from_utf8_lossy(&stderr));
                Err(complaint::sentence(&self.serial, "run a command", &said))
            }
        }
    }

    /// Copies files and folders into the folder `to`, which must exist.
    pub(crate) fn push(&self, files: &[PathBuf], to: &str, bytes: u64) -> Result<()> {
        let mut command = self.command(&["push"]);
        command.args(files).arg(to);
        let limit = LIMIT + Duration::from_secs(bytes / PUSH_BYTES_PER_SECOND);
        match gather(&mut command, limit)? {
            (Some(status), _) if status.success() => Ok(()),
            (Some(_), said) => Err(complaint::sentence(&self.serial, "push files", &said)),
            (None, _) => {
                Err(format!("device {} did not take {bytes} bytes within {} s", self.serial, limit.as_secs()))
            }
        }
    }

    /// Runs a script, passes on its output as it comes, and returns how it ended.
    ///
    /// # Errors
    /// If the device disappears before the script has ended, or Ctrl-C is pressed.
    pub(crate) fn run(
        &self,
        script: &str,
        limit: Duration,
        stdout: &mut dyn Write,
        stderr: &mut dyn Write,
    ) -> Result<Ending> {
        let nonce = marker::nonce();
        // The parentheses keep an `exit` in the script from skipping the marker.
        let script = format!("(\n{script}\n)\ncode=$?\nprintf '%s %s\\n' {nonce} $code\nexit $code");
        let mut output = Output::new(&nonce, stdout);
        let mut said = Vec::new();
        let status = call(&mut self.command(&["shell", "-T", &script]), limit, &mut |pipe, bytes| {
            if pipe == Pipe::Stdout {
                return output.feed(bytes);
            }
            said.extend(bytes);
            stderr.write_all(bytes).map_err(|e| format!("cannot write the program's errors: {e}"))
        })?;
        let Some(status) = status else { return Ok(Ending::TimedOut(limit)) };
        let Some(code) = output.code() else {
            let known = complaint::explain(&self.serial, &String::from_utf8_lossy(&said));
            return Err(
                known.unwrap_or_else(|| format!("device {} went away: was it unplugged?", self.serial))
            );
        };
        // A device that does not report exit codes makes adb exit with 0.
        if let Some(other) = status.code().filter(|other| *other != 0 && *other != code) {
            return Err(format!(
                "device {}: the program ended with exit code {code}, but adb says {other}",
                self.serial
            ));
        }
        Ok(Ending::of(code))
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.adb);
        command.args(["-s", &self.serial]).args(arguments);
        command
    }
}

impl Ending {
    /// Converts an exit code. Shells report a signal as 128 plus its number.
    fn of(code: i32) -> Self {
        if (129..=192).contains(&code) { Self::Signalled(code - 128) } else { Self::Exited(code) }
    }

    pub(crate) fn is_success(&self) -> bool {
        *self == Self::Exited(0)
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "exit code {code}"),
            Self::Signalled(signal) => {
                const NAMES: &[(i32, &str)] =
                    &[(4, "SIGILL"), (6, "SIGABRT"), (7, "SIGBUS"), (9, "SIGKILL"), (11, "SIGSEGV")];
                let name = NAMES.iter().find(|(number, _)| number == signal).map_or("", |(_, name)| name);
                write!(f, "killed by signal {signal}{}{name}", if name.is_empty() { "" } else { ", " })
            }
            Self::TimedOut(limit) => write!(f, "killed: it ran longer than {} s", limit.as_secs()),
        }
    }
}

/// Reads the lines `SERIAL<tab>STATE` below the heading. The state may have several words.
fn parse_devices(listing: &str) -> Vec<Listed> {
    let lines = listing.lines().filter_map(|line| line.split_once('\t'));
    lines
        .map(|(serial, state)| Listed { serial: serial.trim().to_owned(), state: state.trim().to_owned() })
        .collect()
}

/// Runs a call and collects all its output, standard output first. The status is `None` if it took too long.
fn gather(command: &mut Command, limit: Duration) -> Result<(Option<ExitStatus>, String)> {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let status = call(command, limit, &mut |pipe, bytes| {
        if pipe == Pipe::Stdout { &mut stdout } else { &mut stderr }.extend(bytes);
        Ok(())
    })?;
    // adb 29 writes most errors to standard output, later ones to standard error.
    stdout.extend(stderr);
    Ok((status, String::from_utf8_lossy(&stdout).into_owned()))
}

/// Runs `adb` until it ends, the time is over (`None`) or Ctrl-C is pressed. Output is passed on as it comes.
fn call(
    command: &mut Command,
    limit: Duration,
    on_piece: &mut dyn FnMut(Pipe, &[u8]) -> Result<()>,
) -> Result<Option<ExitStatus>> {
    let deadline = Instant::now() + limit;
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child =
        command.spawn().map_err(|e| format!("cannot start `{}`: {e}", process::display(command)))?;
    let (sender, pieces) = mpsc::channel();
    read(child.stdout.take(), Pipe::Stdout, sender.clone());
    read(child.stderr.take(), Pipe::Stderr, sender);
    let ended = follow(&pieces, deadline, on_piece)
        .and_then(|open| if open { Ok(None) } else { wait(&mut child, deadline) });
    if !matches!(ended, Ok(Some(_))) {
        // A process that has just ended cannot be killed, and need not be.
        let _ = child.kill();
        let _ = child.wait();
    }
    // Ctrl-C reaches adb too, which may be the first to end.
    interrupt::check()?;
    ended
}

/// Passes on pieces until both pipes are closed. Returns `true` if one is still open at the deadline.
fn follow(
    pieces: &Receiver<(Pipe, Vec<u8>)>,
    deadline: Instant,
    on_piece: &mut dyn FnMut(Pipe, &[u8]) -> Result<()>,
) -> Result<bool> {
    loop {
        match pieces.recv_timeout(Duration::from_millis(50)) {
            Ok((pipe, piece)) => on_piece(pipe, &piece)?,
            Err(RecvTimeoutError::Disconnected) => return Ok(false),
            Err(RecvTimeoutError::Timeout) => {}
        }
        interrupt::check()?;
        if Instant::now() >= deadline {
            return Ok(true);
        }
    }
}

fn wait(child: &mut Child, deadline: Instant) -> Result<Option<ExitStatus>> {
    loop {
        match child.try_wait() {
            Ok(None) if Instant::now() < deadline => thread::sleep(Duration::from_millis(10)),
            Ok(status) => return Ok(status),
            Err(e) => return Err(format!("cannot wait for adb: {e}")),
        }
    }
}

/// Sends what comes through a pipe, from a thread of its own.
fn read(from: Option<impl Read + Send + 'static>, pipe: Pipe, sender: Sender<(Pipe, Vec<u8>)>) {
    thread::spawn(move || {
        let Some(mut from) = from else { return };
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match from.read(&mut buffer) {
                Ok(n @ 1..) if sender.send((pipe, buffer[..n].to_vec())).is_ok() => {}
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                _ => return,
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_is_read() {
        let text =
            "List of devices attached\n0123\tdevice\n127.0.0.1:5555\tno permissions (udev); see [url]\n\n";
        let found: Vec<(String, String)> =
            parse_devices(text).into_iter().map(|d| (d.serial, d.state)).collect();
        let expected = [("0123", "device"), ("127.0.0.1:5555", "no permissions (udev); see [url]")];
        assert_eq!(found, expected.map(|(serial, state)| (serial.to_owned(), state.to_owned())));
    }

    #[test]
    fn endings_are_told_in_words() {
        let cases = [
            (Ending::of(0), "exit code 0"),
            (Ending::of(101), "exit code 101"),
            (Ending::of(134), "killed by signal 6, SIGABRT"),
            (Ending::of(128 + 31), "killed by signal 31"),
            (Ending::of(255), "exit code 255"),
            (Ending::TimedOut(Duration::from_secs(5)), "killed: it ran longer than 5 s"),
        ];
        for (ending, expected) in cases {
            assert_eq!(ending.to_string(), expected);
        }
    }

    #[test]
    fn a_call_that_never_ends_is_ended() {
        let mut sleep = Command::new("sleep");
        let ended =
            call(sleep.arg("60"), Duration::from_millis(200), &mut |_, _| Ok(())).expect("sleep starts");
        assert!(ended.is_none());
    }
}
