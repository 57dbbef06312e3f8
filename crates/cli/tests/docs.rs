//! The examples of `docs/text.md`: each command prints what the document says.
//!
//! They run in one shell, so that files and functions of one example are there for the next; with a real model, so in
//! release builds only.
#![cfg(unix)]

mod support;

use std::path::Path;
use std::process::Command;
use support::{Folder, have, output};

/// A command and what it prints.
struct Example<'a> {
    command: &'a str,
    expected: String,
}

/// The lines of the blocks marked `console`: `$ command`, and what follows up to the next command.
fn examples(document: &str) -> Vec<Example<'_>> {
    let mut examples: Vec<Example<'_>> = Vec::new();
    let mut inside = false;
    for line in document.lines() {
        if line.starts_with("```") {
            inside = line == "```console";
        } else if let Some(command) = line.strip_prefix("$ ").filter(|_| inside) {
            examples.push(Example { command, expected: String::new() });
        } else if let Some(example) = examples.last_mut().filter(|_| inside) {
            example.expected.push_str(line);
            example.expected.push('\n');
        }
    }
    examples
}

#[test]
fn examples_print_what_the_document_says() {
    if !have("smollm2") {
        return;
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/text.md");
    let document = std::fs::read_to_string(path).expect("docs/text.md");
    let examples = examples(&document);
    assert!(examples.len() > 30, "{} examples", examples.len());

    // A byte that nothing prints ends the output of each command.
    let script: String = examples.iter().map(|e| format!("{}\nprintf '\\001'\n", e.command)).collect();
    let folder = Folder::new();
    let programs = Path::new(env!("CARGO_BIN_EXE_happy")).parent().expect("a folder");
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap_or_default());
    let mut shell = Command::new("sh");
    shell.args(["-c", &script]).current_dir(folder.path("")).env("PATH", path);
    let done = output(&mut shell, b"");
    let printed = String::from_utf8_lossy(&done.stdout);

    let printed: Vec<&str> = printed.split('\u{1}').collect();
    assert_eq!(printed.len(), examples.len() + 1, "{}", String::from_utf8_lossy(&done.stderr));
    let wrong: Vec<String> = examples
        .iter()
        .zip(printed)
        .filter(|(example, found)| example.expected.trim_end() != found.trim_end())
        .map(|(example, found)| format!("$ {}\n{found}expected\n{}", example.command, example.expected))
        .collect();
    assert!(wrong.is_empty(), "{} examples print something else:\n{}", wrong.len(), wrong.join("\n"));
}
