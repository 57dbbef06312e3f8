//! A daemon that the real `adb` takes for a phone: it listens on TCP, keeps the phone's files in a folder of this machine,
//! and runs aarch64 programs that are pushed to it under `qemu-aarch64`.
//!
//! It knows what `adb connect`, `push`, `pull` and `shell` say (protocol 1.0.1, `shell_v2`, `stat_v2`), and it can be a phone
//! with a [`Fault`]. `/data/local/tmp` is mapped to the folder `data/local/tmp` in its root, also in the text of commands.

mod connection;
mod packet;
mod shell;
mod sync;

use std::fs;
use std::io;
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// What is wrong with the phone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// It never answers a connection.
    Offline,
    /// It asks for a key and accepts none.
    Unauthorized,
    /// It is an x86 phone.
    Abi,
    /// It says itself that a megabyte is free.
    Small,
    /// Its disk is full after 64 KiB, whatever it said before.
    DiskFull,
    /// The cable is pulled when a program has written its first bytes.
    Unplugged,
    /// It takes commands and never answers.
    Mute,
}

impl Fault {
    /// All of them, by the names that the example `adbd` takes.
    pub(crate) const NAMES: &[(&str, Self)] = &[
        ("none", Self::None),
        ("offline", Self::Offline),
        ("unauthorized", Self::Unauthorized),
        ("abi", Self::Abi),
        ("small", Self::Small),
        ("disk-full", Self::DiskFull),
        ("unplugged", Self::Unplugged),
        ("mute", Self::Mute),
    ];
}

/// The phone as all its connections see it.
struct Phone {
    root: PathBuf,
    fault: Fault,
    /// Pulled cables stay pulled.
    gone: AtomicBool,
    /// Open connections, to be closed at the end.
    sockets: Mutex<Vec<TcpStream>>,
}

/// A running daemon; dropping it closes its connections.
pub(crate) struct Daemon {
    phone: Arc<Phone>,
    port: u16,
}

impl Daemon {
    /// Listens on `port` (0: any free one) and keeps the phone's files in `root`.
    pub(crate) fn start(root: &Path, port: u16, fault: Fault) -> io::Result<Self> {
        fs::create_dir_all(root.join("data/local/tmp"))?;
        shell::install_programs(root, fault)?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        let port = listener.local_addr()?.port();
        let phone = Arc::new(Phone {
            root: root.to_owned(),
            fault,
            gone: AtomicBool::new(false),
            sockets: Mutex::default(),
        });
        let shared = Arc::clone(&phone);
        thread::spawn(move || {
            for socket in listener.incoming() {
                let Ok(socket) = socket else { continue };
                if shared.gone.load(Ordering::SeqCst) {
                    continue;
                }
                let Ok(copy) = socket.try_clone() else { continue };
                shared.sockets.lock().unwrap_or_else(PoisonError::into_inner).push(copy);
                let phone = Arc::clone(&shared);
                // It ends with an error when the other side hangs up, as every connection does.
                thread::spawn(move || connection::serve(&phone, socket));
            }
        });
        Ok(Self { phone, port })
    }

    /// The serial number that `adb` gives it.
    pub(crate) fn serial(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The folder that the phone calls `/data/local/tmp`.
    pub(crate) fn files(&self) -> PathBuf {
        self.phone.root.join("data/local/tmp")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.phone.unplug();
    }
}

impl Phone {
    /// Closes all connections and takes no others.
    fn unplug(&self) {
        self.gone.store(true, Ordering::SeqCst);
        for socket in self.sockets.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            // One that the other side has closed before is as good.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    /// Where this machine keeps the phone's file.
    fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }
}
