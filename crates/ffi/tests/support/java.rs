//! What the tests on a Java virtual machine share.
#![allow(unreachable_pub)] // as in mod.rs

use crate::support::{Folder, library_folder, package, succeed};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Longer than any of the programs takes, on any machine.
const LIMIT: Duration = Duration::from_secs(900);

/// The folder of the library, which must have the native methods.
pub fn library_with_jni() -> PathBuf {
    let library = library_folder().join("libhappy.so");
    let bytes = fs::read(&library).expect("the library");
    let name = b"Java_dev_happyllm_Native_next";
    // Cargo gives the library one name, whatever its features, and takes the one of other features for fresh.
    assert!(
        bytes.windows(name.len()).any(|window| window == name),
        "{} was built without the feature jni: touch crates/ffi/src/lib.rs and run this again",
        library.display()
    );
    library_folder()
}

/// The files with this ending in folders of the repository.
pub fn sources(folders: &[&str], ending: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for folder in folders.iter().map(|folder| package().join(folder)) {
        let entries = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        files.extend(entries.filter_map(|entry| entry.ok().map(|entry| entry.path())));
    }
    files.retain(|path| path.extension().is_some_and(|found| found == ending));
    files.sort();
    assert!(!files.is_empty(), "no .{ending} files in {folders:?}");
    files
}

/// The folder of the classes of the binding and the tests, compiled for Java 8 once, with no warning of any kind.
pub fn classes() -> &'static str {
    static CLASSES: OnceLock<String> = OnceLock::new();
    CLASSES.get_or_init(|| {
        let classes =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(concat!(env!("CARGO_CRATE_NAME"), "-classes"));
        // What an earlier run left may be of other sources.
        let _ = fs::remove_dir_all(&classes);
        let mut javac = Command::new("javac");
        // `-options`: newer compilers warn that Java 8 is old.
        javac
            .args(["-Xlint:all,-options", "-Werror", "--release", "8", "-encoding", "UTF-8", "-d"])
            .arg(&classes);
        let folders = ["../../bindings/android/src/main/java/dev/happyllm", "tests/java/dev/happyllm"];
        succeed(javac.args(sources(&folders, "java")));
        classes.display().to_string()
    })
}

/// A machine that checks what native code does, with a heap whose size does not change.
pub fn java(library: &Path, classes: &str, main: &str) -> Command {
    let mut java = Command::new("java");
    java.args(["-Xcheck:jni", "-Xms64m", "-Xmx64m", "-XX:+AlwaysPreTouch", "-Dfile.encoding=UTF-8"]);
    java.arg(format!("-Djava.library.path={}", library.display())).args(["-cp", classes, main]);
    java
}

/// Runs a program to its end, and prints what it printed. It must say that all passed, and the machine must not complain.
pub fn run(folder: &Folder, mut command: Command) {
    let log = folder.path("output.txt");
    let output = File::create(&log).expect("a file for the output");
    let copy = output.try_clone().expect("the same file");
    let mut child = command.stdout(output).stderr(copy).spawn().expect("the program starts");
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("its status") {
            break Some(status);
        }
        if start.elapsed() > LIMIT {
            child.kill().expect("it can be ended");
            break None;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let said = fs::read(&log).expect("the output");
    let said = String::from_utf8_lossy(&said);
    println!("{said}");
    let passed =
        status.is_some_and(|status| status.success()) && said.lines().any(|line| line == "all passed");
    assert!(passed, "{status:?} after {:?}, see above", start.elapsed());
    // What -Xcheck:jni prints when native code breaks a rule.
    for complaint in ["in native method", "JNI local refs", "JNI ERROR"] {
        assert!(!said.contains(complaint), "-Xcheck:jni complains, see above: {complaint}");
    }
}
