//! The Java interface on this machine's virtual machine: Java sources of the Android binding and of the test are compiled,
//! and load the library that cargo built with the feature `jni`.
//!
//! Needs a JDK and the model smollm2.
#![cfg(target_os = "linux")]

#[path = "support/java.rs"]
mod java;
mod support;

use java::{compile, java, library_with_jni, run};
use std::fs::File;
use std::io::Write;
use std::process::Stdio;
use support::{Folder, TEMPLATE, greedy_answer, have, smollm2, tiny_model};

/// Bytes before the model in the file that is opened at an offset: no multiple of a page, nor of anything.
const OFFSET: usize = 12_345;

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
