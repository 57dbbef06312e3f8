//! The Kotlin interface on this machine's virtual machine. Not a part of `cargo test`, because it needs a
//! Kotlin compiler, which the step `kotlin` of `cargo xtask test --all` fetches: `cargo test -p happy-ffi --features jni --test kotlin` runs it.
//!
//! `HAPPY_KOTLIN` is a class path with Kotlin's compiler, its library and kotlinx-coroutines.
#![cfg(target_os = "linux")]

#[path = "support/java.rs"]
mod java;
mod support;

use java::{classes, java, library_with_jni, run, sources};
use std::process::Command;
use support::{Folder, package, smollm2, succeed, tiny_embedding_model};

#[test]
fn coroutines_and_flows() {
    let kotlin = std::env::var("HAPPY_KOTLIN").expect("HAPPY_KOTLIN is a class path");
    let model = smollm2().expect("the real models are fetched");
    let folder = Folder::new("jvm-kotlin");
    let (path, out) = (format!("{}:{kotlin}", classes()), folder.path("kotlin"));
    let mut kotlinc = Command::new("java");
    kotlinc.args(["-cp", &kotlin, "org.jetbrains.kotlin.cli.jvm.K2JVMCompiler", "-no-stdlib", "-no-reflect"]);
    kotlinc.args(["-Werror", "-jvm-target", "1.8", "-cp", &path, "-d"]).arg(&out);
    kotlinc.args(sources(&["../../bindings/android/src/main/kotlin/dev/happyllm", "tests/kotlin"], "kt"));
    kotlinc.args(
        ["Chat.kt", "Search.kt"].map(|name| package().join("../../bindings/android/sample").join(name)),
    );
    succeed(&mut kotlinc);
    let mut java = java(&library_with_jni(), &format!("{}:{path}", out.display()), "dev.happyllm.FlowTestKt");
    java.arg(&model).arg(folder.file("embedding.gguf", tiny_embedding_model()));
    run(&folder, java);
}
