//! What the tests share: phones, an adb server of their own, a package with tests of every kind, and `xtask`.

use super::adbd::{Daemon, Fault};
use std::env;
use std::fs;
use std::io::Read;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

/// Nothing here takes longer, on however busy a machine.
const PATIENCE: Duration = Duration::from_secs(900);

/// Tests that pass, fail, crash and never end.
const TINY: &str = r#"//! A package to be tested on a device.

#[test]
fn passes() {
    println!("NOT RUN: only to be listed");
}

#[test]
fn reads_its_environment() {
    let folder = std::env::current_dir().expect("a folder");
    assert_eq!(std::env::var("CARGO_MANIFEST_DIR").expect("set"), folder.display().to_string());
    assert_eq!(std::env::var("HAPPY_TEST_WORD").expect("passed on"), "it's a 'word' with $HOME");
    assert!(folder.join("tests/data.txt").is_file());
}

#[test]
fn fails() {
    assert!(std::env::var_os("HAPPY_TEST_FAIL").is_none(), "this test fails when it is asked to");
}

#[test]
fn crashes() {
    if std::env::var_os("HAPPY_TEST_CRASH").is_some() {
        std::process::abort();
    }
}

#[test]
fn hangs() {
    while std::env::var_os("HAPPY_TEST_HANG").is_some() {
        std::thread::sleep(std::time::Duration::from_secs(1));
    }
}
"#;

/// The folder of everything that the tests write, and the port of their adb server; both go with the last test.
pub(super) struct World {
    pub(super) folder: PathBuf,
    port: u16,
}

static WORLD: Mutex<Weak<World>> = Mutex::new(Weak::new());

impl World {
    /// The tests' world, made by the first that asks.
    pub(super) fn get() -> Arc<Self> {
        let mut shared = WORLD.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(world) = shared.upgrade() {
            return world;
        }
        let world = Arc::new(Self::new());
        *shared = Arc::downgrade(&world);
        world
    }

    /// A world of its own, for a test that must know all of its adb server's devices.
    pub(super) fn new() -> Self {
        let port = free_port();
        let folder = env::temp_dir().join(format!("happy-device-{}-{port}", std::process::id()));
        fs::create_dir_all(folder.join("home")).expect("a folder");
        let world = Self { folder, port };
        // Two programs that start a server at once get in each other's way.
        let started =
            world.command("adb").arg("start-server").stdout(Stdio::null()).stderr(Stdio::null()).status();
        assert!(started.is_ok_and(|status| status.success()), "adb's server does not start");
        world
    }

    /// A command that talks to this world's adb server.
    pub(super) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        // Cargo and rustup keep their folders where they are when HOME moves.
        let home = PathBuf::from(env::var_os("HOME").unwrap_or_default());
        for (variable, folder) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
            if env::var_os(variable).is_none() {
                command.env(variable, home.join(folder));
            }
        }
        command
            .env("HOME", self.folder.join("home"))
            .env("ANDROID_ADB_SERVER_PORT", self.port.to_string())
            .env_remove("ANDROID_SERIAL")
            .env_remove("ADB_TRACE")
            .stdin(Stdio::null());
        command
    }

    /// `cargo xtask device-test` with these arguments.
    pub(super) fn device_test(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(env!("CARGO_BIN_EXE_happy-tool-device"));
        command.args(["device-test", "--target", "gnu"]).args(arguments);
        command
    }

    /// The same for the package with tests of every kind, on all devices.
    pub(super) fn test_tiny_everywhere(&self) -> Command {
        let manifest = self.tiny().join("Cargo.toml").display().to_string();
        let mut command = self.device_test(&["--manifest-path", &manifest]);
        command.env("HAPPY_TEST_WORD", "it's a 'word' with $HOME");
        command
    }

    /// The same on one device.
    pub(super) fn test_tiny(&self, serial: &str, arguments: &[&str]) -> Command {
        let mut command = self.test_tiny_everywhere();
        command.args(["--serial", serial]).args(arguments);
        command
    }

    /// The folder of that package.
    fn tiny(&self) -> PathBuf {
        static WRITING: Mutex<()> = Mutex::new(());
        let _guard = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = self.folder.join("tiny");
        if !folder.is_dir() {
            fs::create_dir_all(folder.join("tests")).expect("a folder");
            let manifest = "[package]\nname = \"tiny\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n[[test]]\nname = \"all\"\npath = \"tests/all.rs\"\n";
            fs::write(folder.join("Cargo.toml"), manifest).expect("a file");
            fs::write(folder.join("tests/all.rs"), TINY).expect("a file");
            fs::write(folder.join("tests/data.txt"), "data").expect("a file");
        }
        folder
    }

    /// A phone that works as [`Fault`] says.
    pub(super) fn phone(&self, name: &str, fault: Fault) -> Daemon {
        Daemon::start(&self.folder.join(name), 0, fault).expect("a port and a folder")
    }
}

/// A port that nobody listens on; adb binds it a moment later.
fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    listener.local_addr().expect("its address").port()
}

impl Drop for World {
    fn drop(&mut self) {
        // Errors here would hide those of the tests.
        let _ = self.command("adb").arg("kill-server").stderr(Stdio::null()).status();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// How a command ended and all that it printed.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) code: Option<i32>,
    pub(super) text: String,
}

impl Done {
    /// Panics with the whole text unless the exit code and these parts of the text are as expected.
    #[track_caller]
    pub(super) fn expect(&self, code: i32, parts: &[&str]) {
        let missing: Vec<&&str> = parts.iter().filter(|part| !self.text.contains(**part)).collect();
        assert!(
            self.code == Some(code) && missing.is_empty(),
            "exit code {:?}, expected {code}; missing: {missing:?}; printed:\n{}",
            self.code,
            self.text
        );
    }
}

/// A command that has been started, its output read as it comes.
pub(super) struct Running {
    child: Child,
    text: Arc<Mutex<String>>,
    readers: Vec<thread::JoinHandle<()>>,
}

/// Starts a command.
pub(super) fn start(command: &mut Command) -> Running {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let text = Arc::new(Mutex::new(String::new()));
    let mut readers = Vec::new();
    let stdout = child.stdout.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>);
    let stderr = child.stderr.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>);
    for mut pipe in [stdout, stderr].into_iter().flatten() {
        let text = Arc::clone(&text);
        readers.push(thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(n @ 1..) = pipe.read(&mut buffer) {
                let mut text = text.lock().unwrap_or_else(PoisonError::into_inner);
                text.push_str(&String::from_utf8_lossy(&buffer[..n]));
            }
        }));
    }
    Running { child, text, readers }
}

impl Running {
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What has been printed so far.
    pub(super) fn text(&self) -> String {
        self.text.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for its end.
    pub(super) fn finish(mut self) -> Done {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("it can be waited for") {
                break status;
            }
            if Instant::now() > deadline {
                self.child.kill().expect("it can be killed");
                panic!("it did not end; printed:\n{}", self.text());
            }
            thread::sleep(Duration::from_millis(20));
        };
        for reader in self.readers.drain(..) {
            reader.join().expect("reading does not panic");
        }
        Done { code: status.code(), text: self.text() }
    }
}

/// Runs a command to its end.
pub(super) fn finish(command: &mut Command) -> Done {
    start(command).finish()
}

/// Waits until `condition` holds.
#[track_caller]
pub(super) fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// What lies in a phone's /data/local/tmp.
pub(super) fn left_behind(phone: &Daemon) -> Vec<String> {
    let entries = fs::read_dir(phone.files()).expect("a folder");
    entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
}

/// Programs that run from a phone's files.
pub(super) fn programs(phone: &Daemon) -> Vec<String> {
    let files = phone.files().display().to_string();
    let processes = fs::read_dir("/proc").expect("Linux").flatten();
    processes
        .filter_map(|process| fs::read(process.path().join("cmdline")).ok())
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .filter(|line| line.starts_with("qemu-aarch64") && line.contains(&files))
        .collect()
}

/// A file for a test, in its world's folder.
pub(super) fn file(world: &World, name: &str, content: &[u8]) -> PathBuf {
    let path = world.folder.join(name);
    fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).expect("a folder");
    fs::write(&path, content).expect("a file");
    path
}
