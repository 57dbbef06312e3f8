//! The services `shell:` and `shell,v2:`, which run a command.
//!
//! ```text
//! v2, both ways:  u8 kind, u32 length, bytes     kinds: 0 stdin, 1 stdout, 2 stderr, 3 exit code, 4 stdin has ended
//! v1:             bytes, standard error among standard output; no exit code
//! ```

use super::connection::{Stream, StreamReader, StreamWriter};
use super::{Fault, Phone};
use std::fs::{self, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const EXIT: u8 = 3;
const STDIN_ENDED: u8 = 4;

/// What Android has and this machine lacks: programs in the phone's `bin`, which its commands find first.
pub(super) fn install_programs(root: &Path, fault: Fault) -> io::Result<()> {
    let folder = root.join("bin");
    fs::create_dir_all(&folder)?;
    let abis = if fault == Fault::Abi { "x86_64,x86" } else { "arm64-v8a,armeabi-v7a,armeabi" };
    let mut programs = vec![(
        "getprop",
        format!(
            "case $1 in\nro.product.cpu.abilist) echo {abis};;\nro.product.model) echo Test;;\nro.build.version.release) echo 15;;\nesac\n"
        ),
    )];
    if fault == Fault::Small {
        let table =
            "Filesystem 1K-blocks Used Available Use% Mounted on\n/dev/block/dm-9 2048 1024 1024 50% /data";
        programs.push(("df", format!("echo '{table}'\n")));
    }
    for (name, body) in programs {
        let path = folder.join(name);
        fs::write(&path, format!("#!/bin/sh\n{body}"))?;
        fs::set_permissions(&path, Permissions::from_mode(0o755))?;
    }
    Ok(())
}

/// Sends what a program writes, as v1 or v2 has it.
#[derive(Clone)]
struct Output {
    writer: Arc<Mutex<StreamWriter>>,
    v2: bool,
}

impl Output {
    fn send(&self, kind: u8, bytes: &[u8]) -> io::Result<()> {
        let mut message = Vec::new();
        if self.v2 {
            message.push(kind);
            message.extend((bytes.len() as u32).to_le_bytes());
        }
        message.extend(bytes);
        lock(&self.writer).write_all(&message)
    }
}

pub(super) fn serve(phone: &Phone, stream: Stream, command: &str, v2: bool) -> io::Result<()> {
    let Stream { mut reader, writer } = stream;
    if phone.fault == Fault::Mute {
        // The stream stays open until the other side gives up.
        return io::copy(&mut reader, &mut io::sink()).map(drop);
    }
    let files = phone.path("/data/local/tmp").display().to_string();
    let path = std::env::var("PATH").unwrap_or_default();
    let mut child = Command::new("sh")
        .args(["-c", &command.replace("/data/local/tmp", &files)])
        .env("PATH", format!("{}:{path}", phone.root.join("bin").display()))
        .current_dir(&phone.root)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let output = Output { writer: Arc::new(Mutex::new(writer)), v2 };
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let child = Arc::new(Mutex::new(child));
    if let Some(stdin) = stdin {
        let child = Arc::clone(&child);
        thread::spawn(move || feed(reader, stdin, v2, &child));
    }
    // `device-test` waits for programs that it has pushed, and for nothing else.
    let pulled = phone.fault == Fault::Unplugged && command.contains("wait $");
    thread::scope(|scope| {
        if let Some(stderr) = stderr {
            scope.spawn(|| pump(stderr, &output, STDERR, None));
        }
        if let Some(stdout) = stdout {
            pump(stdout, &output, STDOUT, pulled.then_some(phone));
        }
    });
    let status = loop {
        if let Some(status) = lock(&child).try_wait()? {
            break status;
        }
        thread::sleep(Duration::from_millis(10));
    };
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    if v2 { output.send(EXIT, &[code as u8]) } else { Ok(()) }
}

/// Passes a program's output on; with `unplugged`, the phone goes with the first bytes.
fn pump(mut from: impl Read, output: &Output, kind: u8, unplugged: Option<&Phone>) {
    let mut buffer = [0; 32 * 1024];
    while let Ok(n @ 1..) = from.read(&mut buffer) {
        if output.send(kind, &buffer[..n]).is_err() {
            return;
        }
        if let Some(phone) = unplugged {
            phone.unplug();
            return;
        }
    }
}

/// Hands the program its standard input. If the stream ends before the program, the shell gets a hang-up signal, as from
/// Android's adbd; the shell's children live on.
fn feed(mut reader: StreamReader, stdin: ChildStdin, v2: bool, child: &Mutex<Child>) {
    let mut stdin = Some(stdin);
    let ended = feed_all(&mut reader, &mut stdin, v2);
    drop(stdin);
    // While it is locked and alive, its id is nobody else's.
    let mut child = lock(child);
    if ended.is_err() && matches!(child.try_wait(), Ok(None)) {
        // One that ends in this moment needs no signal.
        let _ = Command::new("kill").args(["-HUP", &child.id().to_string()]).status();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An error when the stream has ended.
fn feed_all(reader: &mut StreamReader, stdin: &mut Option<ChildStdin>, v2: bool) -> io::Result<()> {
    loop {
        let (kind, bytes) = if v2 {
            let (mut kind, mut length) = ([0], [0; 4]);
            reader.read_exact(&mut kind)?;
            reader.read_exact(&mut length)?;
            let mut bytes = vec![0; u32::from_le_bytes(length) as usize];
            reader.read_exact(&mut bytes)?;
            (kind[0], bytes)
        } else {
            let mut bytes = vec![0; 4096];
            let n = reader.read(&mut bytes)?;
            if n == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            bytes.truncate(n);
            (STDIN, bytes)
        };
        match (kind, stdin.as_mut()) {
            // A program that has closed its standard input reads no more.
            (STDIN, Some(pipe)) => drop(pipe.write_all(&bytes)),
            (STDIN_ENDED, _) => drop(stdin.take()),
            _ => {}
        }
    }
}
