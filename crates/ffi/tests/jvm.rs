//! The Java interface on this machine's virtual machine: Java sources of the Android binding and of the test are compiled,
//! and load the library that cargo built with the feature `jni`.
//!
//! Needs a JDK and the model smollm2.
#![cfg(target_os = "linux")]

#[path = "support/java.rs"]
mod java;
mod support;

use java::{classes, java, library_with_jni, run, sources};
use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::process::Stdio;
use support::{
    Folder, TEMPLATE, greedy_answer, have, package, smollm2, tiny_adapter, tiny_embedding_model, tiny_model,
};

/// Bytes before the model in the file that is opened at an offset: no multiple of a page, nor of anything.
const OFFSET: usize = 12_345;

/// Java finds a native method when it is first called: one that is missing would show in an app only.
#[test]
fn native_methods_have_their_functions() {
    let read =
        |path: PathBuf| fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let declared = read(package().join("../../bindings/android/src/main/java/dev/happyllm/Native.java"));
    let mut methods: Vec<&str> = declared
        .split("static native ")
        .skip(1)
        .filter_map(|rest| rest.split_once('(')?.0.split_whitespace().nth(1))
        .collect();
    let rust: String = sources(&["src/jni"], "rs").into_iter().map(read).collect();
    let (mut functions, mut failures) = (Vec::new(), Vec::new());
    for part in rust.split("fn Java_dev_happyllm_Native_").skip(1) {
        let name = part.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
        functions.push(name);
        // Nothing stands outside of the barrier.
        let body = part.split_once(" {\n").map_or("", |(_, body)| body);
        let body = body.split("\n}\n").next().unwrap_or_default();
        let outside = body.lines().filter(|line| line.starts_with("    ") && !line.starts_with("     "));
        let statements: Vec<&str> = outside.filter(|line| !line.starts_with("    }")).collect();
        if statements.len() != 1 || !statements[0].starts_with("    call(env, |") {
            failures.push(format!("{name}: not all of it is in `call`"));
        }
    }
    methods.sort_unstable();
    functions.sort_unstable();
    assert!(failures.is_empty(), "{failures:#?}");
    assert_eq!(methods, functions);
    assert!(methods.len() > 25, "{methods:?}");
}

#[test]
fn java_without_the_library() {
    if have("javac") && have("java") {
        let folder = Folder::new("jvm-nothing");
        run(&folder, java(&folder.path(""), classes(), "dev.happyllm.NoLibraryTest"));
    }
}

#[test]
fn java_embeds_ranks_and_swaps_adapters() {
    if !have("javac") || !have("java") {
        return;
    }
    let folder = Folder::new("jvm-embed");
    let mut java = java(&library_with_jni(), classes(), "dev.happyllm.EmbeddingTest");
    java.arg(folder.file("embedding.gguf", tiny_embedding_model()));
    java.arg(folder.file("plain.gguf", tiny_model(Some(TEMPLATE))));
    java.arg(folder.file("adapter=1.gguf", tiny_adapter(64, 77)));
    java.arg(folder.file("foreign.gguf", tiny_adapter(32, 77)));
    run(&folder, java);
}

#[test]
fn java_saves_restores_and_branches() {
    if !have("javac") || !have("java") {
        return;
    }
    let folder = Folder::new("jvm-saved");
    let mut java = java(&library_with_jni(), classes(), "dev.happyllm.SavedTest");
    java.arg(folder.file("tiny.gguf", tiny_model(Some(TEMPLATE))));
    java.arg(folder.file("other.gguf", tiny_model(Some(&format!("{TEMPLATE}{{# another model #}}")))));
    java.arg(folder.path("chat.happy"));
    run(&folder, java);
}

/// `HAPPY_CYCLES` says how often the model is loaded and closed, instead of 100 times.
#[test]
fn java_drives_everything() {
    if !have("javac") || !have("java") {
        return;
    }
    let Some(model) = smollm2() else { return };
    let folder = Folder::new("jvm");
    let part = folder.path("part.bin");
    let mut padded = File::create(&part).expect("a temporary file");
    padded.write_all(&[0; OFFSET]).expect("room on the disk");
    std::io::copy(&mut File::open(&model).expect("the model"), &mut padded).expect("room on the disk");
    let tiny = folder.file("tiny.gguf", tiny_model(Some(TEMPLATE)));
    folder.file("answer.txt", greedy_answer(&model, "What is the capital of France?", 24));
    let cycles = std::env::var("HAPPY_CYCLES").unwrap_or_else(|_| "100".into());

    let mut java = java(&library_with_jni(), classes(), "dev.happyllm.BindingTest");
    java.args([&model, &OFFSET.to_string(), &tiny, env!("CARGO_PKG_VERSION"), &cycles]).arg(folder.path(""));
    // A descriptor whose number Java knows.
    java.stdin(Stdio::from(File::open(&part).expect("the file at an offset")));
    run(&folder, java);
}
