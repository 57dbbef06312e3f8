//! Wrong input: each gives one clear sentence and exit code 1 or 2, and nothing panics.

mod support;

use support::{Folder, Tiny, happy, output, vocabulary};

struct Case<'a> {
    args: Vec<&'a str>,
    stdin: &'a [u8],
    code: i32,
    /// What the sentence must say.
    says: &'a [&'a str],
}

/// Checks all cases and reports every failure.
fn check(cases: &[Case<'_>], folder: &Folder) {
    let mut failures = Vec::new();
    for case in cases {
        let mut command = happy(&case.args);
        command.env("HAPPY_MODELS", folder.path("no-models"));
        let done = output(&mut command, case.stdin);
        let stderr = String::from_utf8_lossy(&done.stderr);
        let sentence = stderr.strip_prefix("error: ").unwrap_or("");
        let mut wrong = Vec::new();
        if done.status.code() != Some(case.code) {
            wrong.push(format!("exit code {:?}, expected {}", done.status.code(), case.code));
        }
        if sentence.trim_end().is_empty() || sentence.trim_end().contains('\n') {
            wrong.push("not one sentence".to_owned());
        }
        if stderr.contains("panicked") {
            wrong.push("a panic".to_owned());
        }
        if !done.stdout.is_empty() {
            wrong.push("something on standard output".to_owned());
        }
        wrong
            .extend(case.says.iter().filter(|s| !stderr.contains(*s)).map(|s| format!("does not say {s:?}")));
        if !wrong.is_empty() {
            failures.push(format!("{:?}: {}: {stderr}", case.args, wrong.join(", ")));
        }
    }
    assert!(
        failures.is_empty(),
        "{} of {} cases failed:\n{}",
        failures.len(),
        cases.len(),
        failures.join("\n")
    );
}

#[test]
fn files() {
    let folder = Folder::new();
    let whole = Tiny::default().bytes();
    let missing = folder.path("missing.gguf");
    let truncated = folder.file("truncated.gguf", &whole[..whole.len() / 2]);
    let header = folder.file("header.gguf", &whole[..20]);
    let empty = folder.file("empty.gguf", b"");
    let text = folder.file("text.gguf", b"this is no model");
    let foreign = folder.file("foreign.gguf", Tiny { architecture: "llada", ..Tiny::default() }.bytes());
    let unknown = folder.file("unknown.gguf", Tiny { architecture: "no-such", ..Tiny::default() }.bytes());
    let tensor = Some("blk.1.attn_k.weight");
    let lacking = folder.file("lacking.gguf", Tiny { without_tensor: tensor, ..Tiny::default() }.bytes());
    let misshapen = folder.file("misshapen.gguf", Tiny { misshapen: tensor, ..Tiny::default() }.bytes());
    let mute = folder.file("mute.gguf", Tiny { tokenizer: false, ..Tiny::default() }.bytes());
    let vocabulary = folder.file("vocabulary.gguf", vocabulary());
    let cases_file = folder.file("cases", "1 2 3\n");
    let directory = folder.path("");

    let run = |model| vec!["run", "-m", model, "-n", "4", "hello"];
    let case = |args, says| Case { args, stdin: b"", code: 1, says };
    let mut cases = vec![
        case(run(&missing), &["missing.gguf", "No such file"]),
        case(run(&directory), &["directory"]),
        case(run(&truncated), &["truncated.gguf", "tensor", "expected", "found"]),
        case(run(&header), &["header.gguf", "expected", "found"]),
        case(run(&empty), &["empty.gguf", "expected", "found"]),
        case(run(&text), &["text.gguf", "expected", "found"]),
        case(run(&foreign), &["foreign.gguf", "unsupported", "llada"]),
        case(run(&unknown), &["unknown.gguf", "unsupported", "no-such"]),
        case(run(&lacking), &["lacking.gguf", "blk.1.attn_k.weight"]),
        case(run(&misshapen), &["misshapen.gguf", "blk.1.attn_k.weight", "32", "33"]),
        case(run(&mute), &["mute.gguf", "tokenizer"]),
        case(run(&vocabulary), &["vocabulary.gguf"]),
        case(vec!["chat", "-m", &missing], &["missing.gguf"]),
        case(vec!["chat", "-m", &mute], &["chat template"]),
        case(vec!["bench", "-m", &text, "-r", "1"], &["text.gguf"]),
        case(vec!["inspect", &text], &["text.gguf"]),
        case(vec!["inspect", "--json", &truncated], &["truncated.gguf"]),
        case(vec!["tokenize", "-m", &mute], &["mute.gguf", "tokenizer.ggml.model"]),
        case(vec!["detokenize", "-m", &missing], &["missing.gguf"]),
        case(vec!["template", "-m", &mute, "--messages", "-"], &["mute.gguf", "tokenizer.chat_template"]),
        case(vec!["logits", "-m", &vocabulary, "--tokens", &cases_file, "--sha256"], &["vocabulary.gguf"]),
        case(vec!["run", "-m", "smollm2", "hi"], &["smollm2", "cargo xtask fetch-models smollm2"]),
        case(vec!["run", "hi"], &["SmolLM2-135M-Instruct.Q4_1.gguf", "cargo xtask fetch-models smollm2"]),
        case(vec!["inspect", "gemma3"], &["cargo xtask fetch-models gemma3"]),
    ];
    let no_mmap = case(vec!["run", "--no-mmap", "-m", &truncated, "hi"], &["truncated.gguf"]);
    cases.push(no_mmap);
    check(&cases, &folder);
}

#[test]
fn prompts_and_options() {
    let folder = Folder::new();
    let tiny = folder.file("tiny.gguf", Tiny::default().bytes());
    let blank = folder.file("blank.txt", "\n");
    let latin1 = folder.file("latin1.txt", b"caf\xe9");
    let long = "word ".repeat(200);
    let run = |more: &[&'static str]| -> Vec<&str> {
        ["run", "-m", &tiny].into_iter().chain(more.iter().copied()).collect()
    };
    let usage = |more: &[&'static str], says| Case { args: run(more), stdin: b"", code: 2, says };
    let fails = |more: &[&'static str], stdin, says| Case { args: run(more), stdin, code: 1, says };
    let cases = [
        usage(&[""], &["the prompt is empty"]),
        usage(&["-t", "0", "hi"], &["threads", "0"]),
        usage(&["-t", "x", "hi"], &["'x'", "--threads"]),
        usage(&["-t", "100000", "hi"], &["threads", "100000", "256"]),
        usage(&["-c", "0", "hi"], &["context", "0"]),
        usage(&["-b", "0", "hi"], &["batch", "0"]),
        usage(&["-n", "0", "hi"], &["--max-tokens is 0"]),
        usage(&["-n", "-5", "hi"], &["--max-tokens is -5"]),
        usage(&["--temp", "-1", "hi"], &["temperature", "-1"]),
        usage(&["--temp", "nan", "hi"], &["temperature"]),
        usage(&["--top-p", "1.5", "hi"], &["top_p", "1.5"]),
        usage(&["--min-p", "-1", "hi"], &["min_p", "-1"]),
        usage(&["--repeat-penalty", "0", "hi"], &["0"]),
        usage(&["--isa", "sse9", "hi"], &["sse9", "scalar"]),
        usage(&["--kv", "f8", "hi"], &["f8", "f16"]),
        usage(&["--no-such-option", "hi"], &["--no-such-option"]),
        usage(&["--raw", "--system", "x", "hi"], &["--raw", "--system"]),
        usage(&["-f", "a.txt", "hi"], &["--file", "PROMPT"]),
        fails(&[], b"", &["the prompt is empty"]),
        fails(&[], b"\n", &["the prompt is empty"]),
        fails(&[], b"abc\xff", &["standard input", "UTF-8", "0xff", "offset 3"]),
        fails(&["-c", "8", "a longer prompt than that"], b"", &["does not fit", "8 positions"]),
        fails(&["-c", "100000000", "--memory-budget", "8", "hi"], b"", &["budget", "8.0 MiB", "would fit"]),
        Case {
            args: vec!["run", "-m", &tiny, "-f", &blank],
            stdin: b"",
            code: 1,
            says: &["empty", "blank.txt"],
        },
        Case {
            args: vec!["run", "-m", &tiny, "-f", &latin1],
            stdin: b"",
            code: 1,
            says: &["latin1.txt", "offset 3"],
        },
        Case { args: vec!["run", "-m", &tiny, "-f", "/no/such"], stdin: b"", code: 1, says: &["/no/such"] },
        Case { args: vec!["chat", "-m", &tiny], stdin: b"hi\xff\n", code: 1, says: &["UTF-8", "offset 2"] },
        Case {
            args: vec!["chat", "-m", &tiny, "-c", "64"],
            stdin: long.as_bytes(),
            code: 1,
            says: &["does not fit"],
        },
        Case {
            args: vec!["bench", "-m", &tiny, "-r", "0"],
            stdin: b"",
            code: 2,
            says: &["--repetitions is 0"],
        },
        Case {
            args: vec!["bench", "-m", &tiny, "-p", "0", "-n", "0"],
            stdin: b"",
            code: 2,
            says: &["nothing"],
        },
        Case { args: vec!["bench", "-m", &tiny, "-t", "0"], stdin: b"", code: 2, says: &["threads"] },
        // A wrong option shows before a prompt or a model that is missing.
        Case { args: vec!["run", "-t", "0", "-m", "missing"], stdin: b"", code: 2, says: &["threads is 0"] },
        Case { args: vec!["chat", "-t", "0", "-m", "missing"], stdin: b"", code: 2, says: &["threads is 0"] },
        Case {
            args: vec!["bench", "-t", "0", "-m", "missing"],
            stdin: b"",
            code: 2,
            says: &["threads is 0"],
        },
        Case { args: vec!["no-such-command"], stdin: b"", code: 2, says: &["no-such-command"] },
    ];
    check(&cases, &folder);
}

#[test]
fn tokens() {
    let folder = Folder::new();
    let tiny = folder.file("tiny.gguf", Tiny::default().bytes());
    let far = folder.file("far", "1 2\n3 259 4\n");
    let words = folder.file("words", "1 2\n3 x\n");
    let blank = folder.file("blank", "\n\n");
    let good = folder.file("good", "1 2 3 4 5 6 7 8 9\n10\n");
    let logits = |file, more: &[&'static str]| -> Vec<&str> {
        let fixed = ["logits", "-m", &tiny, "--tokens", file, "--sha256"];
        fixed.into_iter().chain(more.iter().copied()).collect()
    };
    let case = |args, code, says| Case { args, stdin: b"", code, says };
    let detokenize = |more: &[&'static str]| -> Vec<&str> {
        ["detokenize", "-m", &tiny].into_iter().chain(more.iter().copied()).collect()
    };
    let tokenize = |more: &[&'static str]| -> Vec<&str> {
        ["tokenize", "-m", &tiny].into_iter().chain(more.iter().copied()).collect()
    };
    let cases = [
        case(logits(&far, &[]), 1, &["case 2", "259", "0 to 258"]),
        case(logits(&words, &[]), 1, &["line 2", "\"x\"", "token id"]),
        case(logits(&blank, &[]), 1, &["no cases"]),
        case(logits("/no/such", &[]), 1, &["/no/such"]),
        case(logits(&good, &["-c", "8"]), 1, &["case 1", "9 tokens", "8"]),
        case(logits(&good, &["--cases", "3"]), 2, &["--cases", "1 to 2"]),
        case(logits(&good, &["--cases", "x"]), 2, &["--cases"]),
        case(logits(&good, &["--chunk", "0"]), 2, &["--chunk is 0"]),
        case(logits(&good, &["--parallel", "0"]), 2, &["--parallel is 0"]),
        case(logits(&good, &["--top", "0"]), 2, &["--top is 0"]),
        case(logits(&good, &["--top", "5", "--full"]), 2, &["--full"]),
        case(logits(&good, &["-t", "0"]), 2, &["threads"]),
        case(logits(&good, &["--out", "/no/such/folder/out"]), 1, &["/no/such/folder/out"]),
        case(vec!["logits", "-m", &tiny, "--tokens", &good], 2, &["--out"]),
        Case { stdin: b"1 259", ..case(detokenize(&[]), 1, &["259", "259 tokens"]) },
        Case { stdin: b"1 -2", ..case(detokenize(&[]), 1, &["-2"]) },
        Case { stdin: b"{\"ids\": [99999]}", ..case(detokenize(&["--jsonl"]), 1, &["line 1", "99999"]) },
        Case { stdin: b"{\"text\": \"x\"}", ..case(detokenize(&["--jsonl"]), 1, &["line 1", "ids"]) },
        Case { stdin: b"caf\xe9", ..case(tokenize(&[]), 1, &["standard input", "offset 3"]) },
        Case { stdin: b"no json", ..case(tokenize(&["--jsonl"]), 1, &["line 1", "text"]) },
        Case { stdin: b"{\"text\": 5}", ..case(tokenize(&["--jsonl"]), 1, &["line 1"]) },
    ];
    check(&cases, &folder);
}

#[test]
fn templates() {
    let folder = Folder::new();
    let broken = folder.file("broken.gguf", Tiny { template: "{% if %}", ..Tiny::default() }.bytes());
    let tiny = folder.file("tiny.gguf", Tiny::default().bytes());
    let unclosed = folder.file("unclosed.jinja", "{% for m in messages %}\n{{ m.content }");
    let endless = folder.file(
        "endless.jinja",
        "{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) %}{% endfor %}{% endfor %}{% endfor %}",
    );
    let messages = folder.file("messages.json", r#"[{"role": "user", "content": "hi"}]"#);
    let tool = folder.file("tool.json", r#"[{"role": "tool", "content": "hi"}]"#);
    let object = folder.file("object.json", "{}");
    let numbers = folder.file("numbers.json", "[1]");
    let cut = folder.file("cut.json", "[{");
    let case = |args, code, says| Case { args, stdin: b"", code, says };
    let cases = [
        case(vec!["run", "-m", &broken, "hi"], 1, &["template", "line 1"]),
        case(vec!["template", "-m", &broken, "--messages", &messages], 1, &["broken.gguf", "line 1"]),
        case(vec!["template", "--file", &unclosed, "--messages", &messages], 1, &["unclosed.jinja", "line"]),
        case(vec!["template", "--file", &endless, "--messages", &messages], 1, &["endless.jinja"]),
        case(vec!["template", "-m", &tiny, "--messages", &tool], 1, &["no tools here"]),
        case(vec!["template", "-m", &tiny, "--messages", &object], 1, &["object.json", "expected an array"]),
        case(vec!["template", "-m", &tiny, "--messages", &numbers], 1, &["message 1", "expected an object"]),
        case(vec!["template", "-m", &tiny, "--messages", &cut], 1, &["cut.json", "JSON"]),
        case(
            vec!["template", "-m", &tiny, "--context", &messages],
            1,
            &["messages.json", "expected an object"],
        ),
        case(vec!["template", "-m", &tiny, "--messages", &messages, "--var", "x"], 2, &["NAME=VALUE"]),
        case(
            vec!["template", "-m", &tiny, "--messages", &messages, "--now", "today"],
            2,
            &["--now", "today"],
        ),
        case(vec!["template", "-m", &tiny], 2, &["--messages", "--context"]),
        case(vec!["template", "--messages", &messages], 2, &["--model", "--file"]),
        case(vec!["template", "-m", &tiny, "--messages", &messages, "--context", &object], 2, &["--context"]),
    ];
    check(&cases, &folder);
}
