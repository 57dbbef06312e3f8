//! A program in Python against `libhappy.so`, by ctypes.
#![cfg(target_os = "linux")]

mod support;

use std::process::Command;
use support::{Folder, TEMPLATE, greedy_answer, have, library_folder, package, smollm2, succeed, tiny_model};

fn chat(model: &str, question: &str, expected: &str, grammar: &str) {
    let mut python = Command::new("python3");
    python.arg("-I").arg(package().join("tests/python/chat.py")).arg(library_folder().join("libhappy.so"));
    let answer = succeed(python.args([model, question, expected, grammar]));
    assert_eq!(answer, format!("{expected}\n"));
}

#[test]
fn a_tiny_model_answers() {
    if have("python3") {
        let folder = Folder::new("python");
        let model = folder.file("tiny.gguf", tiny_model(Some(TEMPLATE)));
        chat(&model, "Hi", "Grüße, world.", "root ::= \"Grüße, world.\"");
    }
}

#[test]
fn a_real_model_answers() {
    if let (true, Some(model)) = (have("python3"), smollm2()) {
        let question = "What is the capital of France?";
        chat(&model, question, &greedy_answer(&model, question, 24), "");
    }
}
