//! Programs in C against `libhappy.so`: plain, with AddressSanitizer, and the header by itself in C and C++.
#![cfg(target_os = "linux")]

mod support;

use std::process::Command;
use support::{
    Folder, TEMPLATE, greedy_answer, have, library_folder, package, smollm2, succeed, tiny_adapter,
    tiny_embedding_model, tiny_model,
};

const WARNINGS: [&str; 4] = ["-Wall", "-Wextra", "-Werror", "-pedantic"];
const SANITIZED: [&str; 4] = ["-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-O1"];

/// Compiles a program of `tests/c`; the result finds the library by itself.
fn compile(folder: &Folder, name: &str, flags: &[&str]) -> Command {
    let (library, program) = (library_folder(), folder.path(name));
    let mut cc = Command::new("cc");
    cc.arg("-std=gnu11").args(WARNINGS).args(flags);
    cc.arg("-I").arg(package().join("include")).arg("-o").arg(&program);
    cc.arg(package().join(format!("tests/c/{name}.c")));
    cc.arg("-L").arg(&library).arg("-lhappy").arg("-lpthread").arg("-lm");
    cc.arg(format!("-Wl,-rpath,{}", library.display()));
    succeed(&mut cc);
    let mut run = Command::new(program);
    // Cargo's own search path comes before the program's, and may lead to what an earlier `cargo build` left.
    run.env("ASAN_OPTIONS", "detect_leaks=1:abort_on_error=0")
        .env_remove("HAPPY_ISA")
        .env_remove("LD_LIBRARY_PATH");
    run
}

/// The arguments of `drive`, which are the first of `misuse`: a model, and a file in which it lies unaligned.
fn arguments(folder: &Folder) -> Vec<String> {
    let model = tiny_model(Some(TEMPLATE));
    let offset = 4096 + 1234;
    let package = [vec![b'#'; offset], model.clone(), vec![b'#'; 777]].concat();
    vec![
        folder.file("tiny.gguf", &model),
        folder.file("package", package),
        offset.to_string(),
        model.len().to_string(),
    ]
}

fn misuse_arguments(folder: &Folder) -> Vec<String> {
    let mut all = arguments(folder);
    let model = tiny_model(Some(TEMPLATE));
    all.push(folder.file("other.txt", "this is no model"));
    all.push(folder.file("truncated.gguf", &model[..model.len() - 1]));
    all.push(folder.file("plain.gguf", tiny_model(None)));
    all
}

#[test]
fn drives_every_function() {
    if have("cc") {
        let folder = Folder::new("drive");
        let text = succeed(compile(&folder, "drive", &[]).args(arguments(&folder)));
        assert!(text.ends_with("drive: passed\n"), "{text}");
    }
}

#[test]
fn drives_every_function_sanitized() {
    if have("cc") {
        let folder = Folder::new("drive-asan");
        let text = succeed(compile(&folder, "drive", &SANITIZED).args(arguments(&folder)));
        assert!(text.ends_with("drive: passed\n"), "{text}");
    }
}

/// Like the emulators that apps are tried out on: without AVX2 the scalar kernels run, and give the same text.
#[test]
#[cfg(target_arch = "x86_64")]
fn an_old_processor_answers_the_same() {
    if have("cc") && have("qemu-x86_64") {
        let folder = Folder::new("old");
        let model = folder.file("tiny.gguf", tiny_model(Some(TEMPLATE)));
        let mut native = compile(&folder, "chat", &[]);
        let mut qemu = Command::new("qemu-x86_64");
        qemu.args(["-cpu", "Nehalem"]).arg(native.get_program()).env_remove("LD_LIBRARY_PATH");
        let arguments = [&*model, "Hi", "16"];
        let answer = succeed(native.args(arguments));
        assert!(answer.len() > 1, "{answer:?}");
        assert_eq!(succeed(qemu.args(arguments)), answer);
    }
}

#[test]
fn misuse_gives_errors() {
    if have("cc") {
        let folder = Folder::new("misuse");
        let text = succeed(compile(&folder, "misuse", &[]).args(misuse_arguments(&folder)));
        assert!(text.ends_with("misuse: passed\n"), "{text}");
    }
}

#[test]
fn misuse_gives_errors_sanitized() {
    if have("cc") {
        let folder = Folder::new("misuse-asan");
        let text = succeed(compile(&folder, "misuse", &SANITIZED).args(misuse_arguments(&folder)));
        assert!(text.ends_with("misuse: passed\n"), "{text}");
    }
}

/// The arguments of `embed`: a model for embeddings, one without a word about them, and two adapters, one of another model.
fn embed_arguments(folder: &Folder) -> Vec<String> {
    vec![
        folder.file("embedding.gguf", tiny_embedding_model()),
        folder.file("plain.gguf", tiny_model(Some(TEMPLATE))),
        folder.file("adapter=1.gguf", tiny_adapter(64, 77)),
        folder.file("foreign.gguf", tiny_adapter(32, 77)),
    ]
}

#[test]
fn embeddings_ranks_and_adapters() {
    if have("cc") {
        let folder = Folder::new("embed");
        let text = succeed(compile(&folder, "embed", &[]).args(embed_arguments(&folder)));
        assert!(text.ends_with("embed: passed\n"), "{text}");
    }
}

#[test]
fn embeddings_ranks_and_adapters_sanitized() {
    if have("cc") {
        let folder = Folder::new("embed-asan");
        let text = succeed(compile(&folder, "embed", &SANITIZED).args(embed_arguments(&folder)));
        assert!(text.ends_with("embed: passed\n"), "{text}");
    }
}

/// The arguments of `saved`: a model, another one with the same vocabulary, and a place for a file.
fn saved_arguments(folder: &Folder) -> Vec<String> {
    let other = format!("{TEMPLATE}{{# another model #}}");
    vec![
        folder.file("tiny.gguf", tiny_model(Some(TEMPLATE))),
        folder.file("other.gguf", tiny_model(Some(&other))),
        folder.path("chat.happy").display().to_string(),
    ]
}

#[test]
fn saved_sessions_and_branches() {
    if have("cc") {
        let folder = Folder::new("saved");
        let text = succeed(compile(&folder, "saved", &[]).args(saved_arguments(&folder)));
        assert!(text.ends_with("saved: passed\n"), "{text}");
    }
}

#[test]
fn saved_sessions_and_branches_sanitized() {
    if have("cc") {
        let folder = Folder::new("saved-asan");
        let text = succeed(compile(&folder, "saved", &SANITIZED).args(saved_arguments(&folder)));
        assert!(text.ends_with("saved: passed\n"), "{text}");
    }
}

/// A hundred cycles here; `docs/embedding-in-an-app.md` has the figures of a thousand with a real model.
#[test]
fn cycles_leave_nothing_behind() {
    if have("cc") {
        let folder = Folder::new("cycles");
        let model = folder.file("tiny.gguf", tiny_model(Some(TEMPLATE)));
        print!("{}", succeed(compile(&folder, "cycles", &[]).args([&model, "100", "1024"])));
    }
}

#[test]
fn cycles_leave_nothing_behind_sanitized() {
    if have("cc") {
        let folder = Folder::new("cycles-asan");
        let model = folder.file("tiny.gguf", tiny_model(Some(TEMPLATE)));
        // The sanitizer keeps what is freed for a while: it finds the leaks, the test above measures.
        succeed(compile(&folder, "cycles", &SANITIZED).args([&model, "20", "1000000"]));
    }
}

#[test]
fn a_real_model_answers() {
    if let (true, Some(model)) = (have("cc"), smollm2()) {
        let folder = Folder::new("chat");
        let question = "What is the capital of France?";
        let answer = succeed(compile(&folder, "chat", &[]).args([&model, question, "24"]));
        assert_eq!(answer, greedy_answer(&model, question, 24) + "\n");
    }
}

#[test]
fn the_header_is_c_and_cpp() {
    let folder = Folder::new("header");
    let cases = [("cc", "-std=c11", "a.c"), ("c++", "-std=c++17", "a.cpp")];
    for (compiler, standard, name) in cases {
        if !have(compiler) {
            continue;
        }
        // Twice, and every struct with its size in it.
        let source = "#include \"happy.h\"\n#include \"happy.h\"\n\
            HappyLoadOptions a; HappyPlan b; HappyEvent c; HappyGenerateOptions d; HappySamplerOptions e;\n\
            int f(void); int f(void) { return (int)happy_abi_version() + (int)a.size + HAPPY_EVENT_DONE; }\n";
        let source = folder.file(name, source);
        let mut command = Command::new(compiler);
        command.arg(standard).args(WARNINGS).arg("-I").arg(package().join("include"));
        succeed(command.args(["-fsyntax-only", &source]));
    }
}
