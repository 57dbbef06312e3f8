//! The service `sync:`, which moves files: STAT, STA2 and LST2, SEND, RECV, QUIT.
//!
//! ```text
//! request:  4 letters, u32 length, that many bytes (a path; for SEND a path, a comma, a mode)
//! data:     DATA u32 length, bytes; ...; DONE u32 time
//! answer:   OKAY u32 0, or FAIL u32 length, message
//! ```
//!
//! An aarch64 program that is sent becomes two files: itself as NAME.elf, and NAME, a script that emulates it.

use super::connection::Stream;
use super::{Fault, Phone};
use std::fs::{self, File, Metadata, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

/// What a phone with [`Fault::DiskFull`] takes.
const FULL_AFTER: usize = 64 * 1024;

/// The most bytes of one DATA.
const CHUNK: usize = 64 * 1024;

pub(super) fn serve(phone: &Phone, mut stream: Stream) -> io::Result<()> {
    loop {
        let (request, length) = header(&mut stream)?;
        let mut argument = vec![0; length];
        stream.reader.read_exact(&mut argument)?;
        let argument = String::from_utf8_lossy(&argument).into_owned();
        match &request {
            b"QUIT" => return Ok(()),
            b"STAT" => {
                let found = fs::symlink_metadata(phone.path(&argument));
                let words = found.map_or([0; 3], |m| [m.mode(), m.size() as u32, m.mtime() as u32]);
                stream.writer.write_all(&message(b"STAT", &words))?;
            }
            b"STA2" => stat2(&mut stream, b"STA2", fs::metadata(phone.path(&argument)))?,
            b"LST2" => stat2(&mut stream, b"LST2", fs::symlink_metadata(phone.path(&argument)))?,
            b"SEND" => receive(phone, &mut stream, &argument)?,
            b"RECV" => send(&mut stream, &phone.path(&argument))?,
            _ => fail(&mut stream, "unknown request")?,
        }
    }
}

fn header(stream: &mut Stream) -> io::Result<([u8; 4], usize)> {
    let (mut name, mut length) = ([0; 4], [0; 4]);
    stream.reader.read_exact(&mut name)?;
    stream.reader.read_exact(&mut length)?;
    Ok((name, u32::from_le_bytes(length) as usize))
}

fn message(name: &[u8; 4], words: &[u32]) -> Vec<u8> {
    let words = words.iter().flat_map(|word| word.to_le_bytes());
    name.iter().copied().chain(words).collect()
}

fn fail(stream: &mut Stream, why: &str) -> io::Result<()> {
    let mut bytes = message(b"FAIL", &[why.len() as u32]);
    bytes.extend(why.as_bytes());
    stream.writer.write_all(&bytes)
}

/// u32 error; u64 device, inode; u32 mode, links, user, group; u64 size; i64 times of access, change, status.
fn stat2(stream: &mut Stream, name: &[u8; 4], found: io::Result<Metadata>) -> io::Result<()> {
    let mut bytes = name.to_vec();
    match found {
        Err(e) => {
            bytes.extend(e.raw_os_error().unwrap_or(5).to_le_bytes());
            bytes.extend([0; 64]);
        }
        Ok(m) => {
            bytes.extend(0_u32.to_le_bytes());
            bytes.extend([m.dev(), m.ino()].iter().flat_map(|word| word.to_le_bytes()));
            bytes.extend([m.mode(), m.nlink() as u32, m.uid(), m.gid()].iter().flat_map(|w| w.to_le_bytes()));
            bytes.extend(m.size().to_le_bytes());
            bytes.extend([m.atime(), m.mtime(), m.ctime()].iter().flat_map(|time| time.to_le_bytes()));
        }
    }
    stream.writer.write_all(&bytes)
}

/// SEND: the other side sends a file. All of it is read, even if it cannot be kept.
fn receive(phone: &Phone, stream: &mut Stream, argument: &str) -> io::Result<()> {
    let (path, mode) = argument.rsplit_once(',').unwrap_or((argument, "33188"));
    let path = phone.path(path);
    let mode = mode.parse::<u32>().unwrap_or(0o644) & 0o777;
    let mut content = Vec::new();
    loop {
        let (name, length) = header(stream)?;
        if &name == b"DONE" {
            break;
        }
        let at = content.len();
        content.resize(at + length, 0);
        stream.reader.read_exact(&mut content[at..])?;
    }
    if phone.fault == Fault::DiskFull && content.len() > FULL_AFTER {
        return fail(stream, "write failed: No space left on device");
    }
    match keep(&path, &content, mode) {
        Ok(()) => stream.writer.write_all(&message(b"OKAY", &[0])),
        Err(e) => fail(stream, &format!("couldn't create file: {e}")),
    }
}

fn keep(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    if is_aarch64(content) {
        let elf = format!("{}.elf", path.display());
        fs::write(&elf, content)?;
        fs::set_permissions(&elf, Permissions::from_mode(mode | 0o100))?;
        fs::write(path, "#!/bin/sh\nexec qemu-aarch64 -cpu max \"$0.elf\" \"$@\"\n")?;
    } else {
        fs::write(path, content)?;
    }
    fs::set_permissions(path, Permissions::from_mode(mode))
}

/// An ELF file for machine 183.
fn is_aarch64(content: &[u8]) -> bool {
    content.starts_with(b"\x7fELF") && content.get(18..20) == Some(&[183, 0])
}

/// RECV: the other side wants a file.
fn send(stream: &mut Stream, path: &Path) -> io::Result<()> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(e) => return fail(stream, &format!("open failed: {e}")),
    };
    let mut content = Vec::new();
    file.read_to_end(&mut content)?;
    for chunk in content.chunks(CHUNK) {
        let mut bytes = message(b"DATA", &[chunk.len() as u32]);
        bytes.extend(chunk);
        stream.writer.write_all(&bytes)?;
    }
    stream.writer.write_all(&message(b"DONE", &[0]))
}
