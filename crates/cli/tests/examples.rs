//! Every example of every crate runs: with a real model where it takes one, so in release builds only.
//!
//! Cargo compiles the examples of all crates before it runs a test of the workspace. A run of this crate's tests alone finds those of
//! an earlier run, or is skipped.
#![cfg(unix)]

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use support::{Folder, Tiny, output, succeed};

/// An example, its arguments, and its standard input. `MODEL` stands for a real model.
type Run = (&'static str, &'static str, &'static [&'static str], &'static str);

const LINES: &str = "Bees make honey.\n{\"city\": \"Paris\"}\n";
const SAMPLES: &str = "0.1 1 0.1 4 0.5\n0.2 1 0.1 4 0.5\n0.3 1 0.1 4 0.9\n";
const TEXT: &str = "Once upon a time";
const QUESTION: &str = "Name one river.";

const RUNS: &[Run] = &[
    ("chat", "render_prompt", &[], ""),
    ("chat", "stream_reply", &[], ""),
    ("chat", "tool_round_trip", &[], ""),
    ("convert", "convert_folder", &["FOLDER", "new.gguf", "f16"], ""),
    ("convert", "list_safetensors", &["FOLDER/model-00001-of-00002.safetensors"], ""),
    ("convert", "show_plan", &["FOLDER"], ""),
    ("engine", "cookbook", &["several", "MODEL", TEXT], ""),
    ("engine", "cookbook", &["stream", "MODEL", QUESTION], ""),
    ("engine", "cookbook", &["json", "MODEL", "Paris"], ""),
    ("engine", "cookbook", &["search", "embedder.gguf", "what do cats eat", "a kitten", "a car"], ""),
    ("engine", "generate", &["MODEL", TEXT], ""),
    ("engine", "restore", &["MODEL", "300"], ""),
    ("engine", "trim", &["MODEL", "1"], ""),
    ("ffi", "chat", &["MODEL", QUESTION], ""),
    ("gguf", "list_tensors", &["MODEL"], ""),
    ("gguf", "set_key", &["tiny.gguf", "general.name", "My model"], ""),
    ("gguf", "split_model", &["MODEL", "part", "50000000"], ""),
    ("governor", "governed_loop", &[], ""),
    ("governor", "plot", &[], ""),
    ("governor", "replay", &["4"], SAMPLES),
    ("grammar", "check_lines", &["schema.json"], LINES),
    ("grammar", "random_document", &["schema.json"], ""),
    ("grammar", "thoughts_then_json", &[], ""),
    ("hub", "list_cache", &[], ""),
    ("kernels", "kernels", &["MODEL"], ""),
    ("kernels", "repeat", &["scalar", "Q4_0", "1", "10"], ""),
    ("machine", "cores", &[], ""),
    ("machine", "fill", &["8"], ""),
    ("machine", "machine", &[], ""),
    ("model", "next_token", &["MODEL", "504", "5345", "282"], ""),
    ("model", "plan_memory", &["MODEL", "4096"], ""),
    ("model", "several_sequences", &["MODEL", "504", "5345", "282"], ""),
    ("quantize", "compare_mixes", &["tiny.gguf"], ""),
    ("quantize", "quantize_file", &["tiny.gguf", "small.gguf", "Q8_0"], ""),
    ("quantize", "show_imatrix", &["imatrix.gguf"], ""),
    ("sampler", "compare", &[], ""),
    ("sampler", "generation_loop", &[], ""),
    ("sampler", "sample_file", &["logits.bin"], ""),
    ("server", "in_an_app", &["MODEL"], ""),
    ("tensor", "compare_formats", &[], ""),
    ("tensor", "dequantize", &["MODEL", "Q4_1", "2000000", "1024"], ""),
    ("tensor", "dot_product", &[], ""),
    ("tokenizer", "chat_tokens", &["MODEL"], LINES),
    ("tokenizer", "count_tokens", &["MODEL"], LINES),
    ("tokenizer", "show_tokens", &["MODEL", "some text"], ""),
];

/// Examples that cannot run here, and why.
const NOT_RUN: &[(&str, &str, &str)] = &[
    ("hub", "inspect", "it needs the network"),
    ("hub", "pull", "it needs the network"),
    ("server", "serve", "it runs until it is ended; the crate's tests serve requests"),
    ("server", "several_models", "it runs until it is ended; the crate's tests load several models"),
    ("tensor", "lattice", "it needs the sources of ggml"),
    ("tokenizer", "generate_unicode", "it needs the Unicode Character Database"),
];

/// Returns the examples that the source tree has: crate and name.
fn examples() -> Vec<(String, String)> {
    let names = |folder: PathBuf| {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned())
    };
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let of = |name: String| {
        let files = names(crates.join(&name).join("examples"));
        files.filter_map(move |file| Some((name.clone(), file.strip_suffix(".rs")?.to_owned())))
    };
    let mut found: Vec<_> = names(crates.clone()).flat_map(of).collect();
    found.sort();
    found
}

#[test]
fn every_example_is_listed() {
    let found = examples();
    if found.is_empty() {
        return happy_testkit::skip("the examples need the source tree");
    }
    let mut listed: Vec<(String, String)> = RUNS.iter().map(|run| (run.0.into(), run.1.into())).collect();
    listed.extend(NOT_RUN.iter().map(|(name, example, _)| ((*name).into(), (*example).into())));
    listed.sort();
    listed.dedup();
    assert_eq!(found, listed, "the examples in crates, and those of the tables in this file");
}

/// Writes the files that the runs name.
fn write_files(folder: &Folder) {
    folder.file("tiny.gguf", Tiny::default().bytes());
    folder.file("embedder.gguf", Tiny { pooling: Some(1), ..Tiny::default() }.bytes());
    folder.file(
        "schema.json",
        r#"{"type": "object", "properties": {"city": {"type": "string", "maxLength": 9}}}"#,
    );
    folder.file("logits.bin", [0.1f32, 3.0, -1.0].map(f32::to_le_bytes).concat());
    std::fs::create_dir_all(folder.path("FOLDER")).expect("a folder");
    happy_testkit::tiny_llama(Path::new(&folder.path("FOLDER")));
    let text = folder.file("text.txt", "The bee makes honey. ".repeat(100));
    let (tiny, imatrix) = (folder.path("tiny.gguf"), folder.path("imatrix.gguf"));
    succeed(&["imatrix", "-m", &tiny, &text, "-o", &imatrix], b"");
}

#[test]
fn every_example_runs() {
    if cfg!(debug_assertions) {
        return happy_testkit::skip("examples run in release builds");
    }
    let Some(model) = happy_testkit::model("SmolLM2-135M-Instruct.Q4_1.gguf") else { return };
    let programs = Path::new(env!("CARGO_BIN_EXE_happy")).parent().expect("a folder").join("examples");
    if !RUNS.iter().all(|run| programs.join(run.1).is_file()) {
        return happy_testkit::skip(
            "the examples are not built: `cargo test --release --workspace` builds them",
        );
    }
    let folder = Folder::new();
    write_files(&folder);
    let mut wrong = Vec::new();
    for (name, example, arguments, stdin) in RUNS {
        let mut command = Command::new(programs.join(example));
        for argument in *arguments {
            match *argument {
                "MODEL" => command.arg(&model),
                other => command.arg(other),
            };
        }
        command.current_dir(folder.path("")).env("HF_HOME", folder.path("hub"));
        let done = output(&mut command, stdin.as_bytes());
        if !done.status.success() || done.stdout.is_empty() {
            let said = String::from_utf8_lossy(&done.stderr);
            wrong.push(format!(
                "happy-{name}, {example} {arguments:?}: {}: {}",
                done.status,
                said.trim_end()
            ));
        }
    }
    assert!(wrong.is_empty(), "{} of {} runs:\n{}", wrong.len(), RUNS.len(), wrong.join("\n"));
}
