//! The Java interface on this machine's virtual machine: Java sources of the Android binding and of the test are compiled,
//! and load the library that cargo built with the feature `jni`.
//!
//! Needs a JDK and the model smollm2.
#![cfg(target_os = "linux")]

mod support;

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use support::{Folder, TEMPLATE, greedy_answer, have, library_folder, package, smollm2, succeed, tiny_model};

/// Bytes before the model in the file that is opened at an offset: no multiple of a page, nor of anything.
const OFFSET: usize = 12_345;

/// Longer than any of the programs takes, on any machine.
const LIMIT: Duration = Duration::from_secs(900);

/// The folder of the library, which must have the native methods.
fn library_with_jni() -> PathBuf {
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
fn sources(folders: &[&str], ending: &str) -> Vec<PathBuf> {
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

/// Compiles the binding and the test for Java 8, with no warning of any kind; the folder of the classes.
fn compile(folder: &Folder) -> PathBuf {
    let classes = folder.path("classes");
    let mut javac = Command::new("javac");
    // `-options`: newer compilers warn that Java 8 is old.
    javac
        .args(["-Xlint:all,-options", "-Werror", "--release", "8", "-encoding", "UTF-8", "-d"])
        .arg(&classes);
    javac.args(sources(
        &["../../bindings/android/src/main/java/dev/happyllm", "tests/java/dev/happyllm"],
        "java",
    ));
    succeed(&mut javac);
    classes
}

/// A machine that checks what native code does, with a heap whose size does not change.
fn java(library: &Path, classes: &str, main: &str) -> Command {
    let mut java = Command::new("java");
    java.args(["-Xcheck:jni", "-Xms64m", "-Xmx64m", "-XX:+AlwaysPreTouch", "-Dfile.encoding=UTF-8"]);
    java.arg(format!("-Djava.library.path={}", library.display())).args(["-cp", classes, main]);
    java
}

/// Runs a program to its end, and prints what it printed. It must say that all passed, and the machine must not complain.
fn run(folder: &Folder, mut command: Command) {
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

#[test]
fn java_without_the_library() {
    if have("javac") && have("java") {
        let folder = Folder::new("jvm-nothing");
        let classes = compile(&folder).display().to_string();
        run(&folder, java(&folder.path(""), &classes, "dev.happyllm.NoLibraryTest"));
    }
}

/// `HAPPY_CYCLES` says how often the model is loaded and closed, instead of 100 times.
#[test]
fn java_drives_everything() {
    if !have("javac") || !have("java") {
        return;
    }
    let Some(model) = smollm2() else { return };
    let folder = Folder::new("jvm");
    let classes = compile(&folder).display().to_string();
    let part = folder.path("part.bin");
    let mut padded = File::create(&part).expect("a temporary file");
    padded.write_all(&[0; OFFSET]).expect("room on the disk");
    std::io::copy(&mut File::open(&model).expect("the model"), &mut padded).expect("room on the disk");
    let tiny = folder.file("tiny.gguf", tiny_model(Some(TEMPLATE)));
    folder.file("answer.txt", greedy_answer(&model, "What is the capital of France?", 24));
    let cycles = std::env::var("HAPPY_CYCLES").unwrap_or_else(|_| "100".into());

    let mut java = java(&library_with_jni(), &classes, "dev.happyllm.BindingTest");
    java.args([&model, &OFFSET.to_string(), &tiny, env!("CARGO_PKG_VERSION"), &cycles]).arg(folder.path(""));
    // A descriptor whose number Java knows.
    java.stdin(Stdio::from(File::open(&part).expect("the file at an offset")));
    run(&folder, java);
}

/// `HAPPY_KOTLIN` is a class path with Kotlin's compiler, its library and kotlinx-coroutines.
#[test]
#[ignore = "needs a Kotlin compiler and kotlinx-coroutines, see bindings/android/README.md"]
fn kotlin_flows() {
    let kotlin = std::env::var("HAPPY_KOTLIN").expect("HAPPY_KOTLIN is a class path");
    let model = smollm2().expect("the model");
    let folder = Folder::new("jvm-kotlin");
    let (classes, out) = (compile(&folder), folder.path("kotlin"));
    let path = format!("{}:{kotlin}", classes.display());
    let mut kotlinc = Command::new("java");
    kotlinc.args(["-cp", &kotlin, "org.jetbrains.kotlin.cli.jvm.K2JVMCompiler", "-no-stdlib", "-no-reflect"]);
    kotlinc.args(["-Werror", "-jvm-target", "1.8", "-cp", &path, "-d"]).arg(&out);
    kotlinc.args(sources(&["../../bindings/android/src/main/kotlin/dev/happyllm", "tests/kotlin"], "kt"));
    succeed(&mut kotlinc);
    let mut java = java(&library_with_jni(), &format!("{}:{path}", out.display()), "dev.happyllm.FlowTestKt");
    java.arg(&model);
    run(&folder, java);
}
