//! The commands on the project's pages: every line of a block marked `sh` is run in the step `sweeps`, every fourth one elsewhere, and
//! must succeed. A block whose lines cannot be run
//! here is marked `sh,no_run`; the unit test `pages` of the program still parses its `happy` commands.
//!
//! Each line has a folder of its own, with the files that the pages name: tiny models, schemas, texts. They need a real model, too,
//! so they run in release builds only.
#![cfg(unix)]

mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use support::{Folder, Tiny, adapter, have, output};

/// Programs of lines that are run; everything else on a page is marked `no_run`.
const PROGRAMS: &[&str] = &["happy", "cat", "echo", "printf"];

/// Answers are the same each time, and short.
const CONFIGURATION: &str = "context = 1024\n[sampling]\ntemp = 0.0\n";

const SCHEMA: &str = r#"{"type": "object", "properties": {"city": {"type": "string", "maxLength": 20}},
    "required": ["city"], "additionalProperties": false}"#;

/// Returns a text of more than 512 tokens in any vocabulary: a chunk of `happy perplexity`.
fn long_text() -> String {
    (0..100).map(|n| format!("The {n}th bee makes honey. ")).collect()
}

/// Writes the files that the pages name.
fn write_files(folder: &Folder) {
    let plain = Tiny::default().bytes();
    for name in ["model", "in", "f16", "q4", "a", "b"] {
        folder.file(&format!("{name}.gguf"), &plain);
    }
    folder.file("minilm.gguf", Tiny { pooling: Some(1), ..Tiny::default() }.bytes());
    let ranker = Tiny { pooling: Some(4), classifier: true, ..Tiny::default() }.bytes();
    for name in ["ranker", "reranker"] {
        folder.file(&format!("{name}.gguf"), &ranker);
    }
    for (seed, name) in [(1, "style"), (2, "facts")] {
        folder.file(&format!("{name}.gguf"), adapter(support::N_EMBD, seed));
    }
    for name in ["notes.txt", "documents", "documents.txt", "lines.txt"] {
        folder.file(name, "Bees make honey.\nCats drink milk.\n");
    }
    folder.file("text.txt", long_text());
    folder.file("cases", "1 2 3\n4 5\n");
    folder
        .file("rows.jsonl", "{\"logits\": [0.1, 3.0, -1.0], \"steps\": [{\"type\": \"top_k\", \"k\": 1}]}\n");
    folder.file("chat.json", "[{\"role\": \"user\", \"content\": \"Hi\"}]\n");
    folder.file("s.json", SCHEMA);
    folder.file("reply.txt", "Ok.\n<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": 1}}\n</tool_call>");
    std::fs::create_dir_all(folder.path("FOLDER")).expect("a folder");
    happy_testkit::tiny_llama(Path::new(&folder.path("FOLDER")));
    std::fs::create_dir_all(folder.path("config/happy")).expect("a folder");
    folder.file("config/happy/config.toml", CONFIGURATION);
}

/// Runs a line in a shell that finds `happy`; `None` if it succeeds, else what it says.
fn failure(line: &str, folder: &Folder) -> Option<String> {
    let programs = Path::new(env!("CARGO_BIN_EXE_happy")).parent().expect("a folder");
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap_or_default());
    let mut shell = Command::new("sh");
    shell.args(["-e", "-c", line]).current_dir(folder.path("")).env("PATH", path);
    shell.env("XDG_CONFIG_HOME", folder.path("config")).env("XDG_CACHE_HOME", folder.path("cache"));
    shell.env("HF_HUB_OFFLINE", "1").env("HF_HOME", folder.path("hub"));
    let done = output(&mut shell, b"");
    let said = String::from_utf8_lossy(&done.stderr);
    (!done.status.success()).then(|| format!("{}: {}", done.status, said.trim_end()))
}

/// The lines before the one in question that make what it reads.
const BEFORE: &[(&str, &str)] = &[
    ("gguf get model.gguf", "happy gguf set model.gguf general.name=tiny"),
    ("base.bin", "happy perplexity -m f16.gguf text.txt --save-logits base.bin"),
    ("m.json", "happy verify model.gguf --write m.json"),
    ("part-00001-of-00003.gguf", "happy gguf split model.gguf part --max-tensors 7"),
];

#[test]
fn lines_of_the_pages_succeed() {
    let mut lines = Vec::new();
    let mut wrong = Vec::new();
    for (path, text) in happy_testkit::pages() {
        for line in happy_testkit::page_lines(&text).into_iter().filter(|line| line.is_run) {
            let at = format!("{path}:{}: {}", line.line, line.text);
            // `docs.rs` runs this page and compares what is printed.
            match (line.language, path.as_str()) {
                ("console", "docs/text.md") => {}
                ("console", _) => {
                    wrong.push(format!("{at}\nno test runs it: mark the block `console,no_run`"))
                }
                _ => lines.push((at, line)),
            }
        }
    }
    if lines.is_empty() {
        return happy_testkit::skip("the pages need the source tree");
    }
    if !have("smollm2") {
        return;
    }
    assert!(lines.len() > 40, "{} lines", lines.len());
    // A command that several pages show is run once.
    let mut known = BTreeSet::new();
    for (n, (at, line)) in lines.iter().enumerate() {
        let commands = happy_testkit::page_commands(&format!("```sh\n{}\n```\n", line.text));
        if let Some(other) = commands.iter().find(|c| !PROGRAMS.contains(&c.words[0].as_str())) {
            wrong.push(format!("{at}\nno test runs `{}`: mark the block `sh,no_run`", other.words[0]));
            continue;
        }
        // Each takes half a second, since it loads a model.
        if n % 4 != 0 && !happy_testkit::is_sweep() {
            continue;
        }
        if !known.insert(commands.into_iter().map(|command| command.words).collect::<Vec<_>>()) {
            continue;
        }
        let folder = Folder::new();
        write_files(&folder);
        let before = BEFORE.iter().filter(|(what, _)| line.text.contains(what));
        let before: String = before.map(|(_, command)| format!("{command}\n")).collect();
        if let Some(said) = failure(&(before + &line.text), &folder) {
            wrong.push(format!("{at}\n{said}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} lines:\n{}", wrong.len(), lines.len(), wrong.join("\n"));
}
