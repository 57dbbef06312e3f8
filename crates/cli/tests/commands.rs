//! What the commands do with a tiny model, with the conformance vocabularies, and with a real model.

mod support;

use happy_testkit::Corpus;
use serde_json::{Value, json};
use std::process::Stdio;
use support::{Folder, N_VOCAB, Tiny, happy, output, succeed, vocabulary};

const COMMANDS: [&str; 17] = [
    "verify",
    "run",
    "chat",
    "bench",
    "inspect",
    "gguf",
    "quantize",
    "tokenize",
    "detokenize",
    "embed",
    "rerank",
    "logits",
    "sample",
    "grammar",
    "template",
    "reply",
    "cpu",
];

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

#[test]
fn help_names_every_command_and_option() {
    let help = succeed(&["--help"], b"");
    for command in COMMANDS {
        assert!(help.contains(command), "{command}");
        assert!(succeed(&[command, "--help"], b"").contains("Usage"), "{command}");
    }
    assert!(succeed(&["sample", "--help"], b"").contains("top_n_sigma (n)"));
    let run = succeed(&["run", "--help"], b"");
    let options = [
        "--model",
        "--file",
        "--system",
        "--raw",
        "--max-tokens",
        "--quiet",
        "--tool-choice",
        "--ctx",
        "--snapshots",
        "--lora",
        "--threads",
        "--temp",
        "--top-k",
        "--top-p",
        "--min-p",
        "--typical",
        "--top-n-sigma",
        "--xtc-probability",
        "--xtc-threshold",
        "--dynatemp-range",
        "--dynatemp-exp",
        "--repeat-last-n",
        "--repeat-penalty",
        "--frequency-penalty",
        "--presence-penalty",
        "--dry-multiplier",
        "--dry-base",
        "--dry-allowed-length",
        "--dry-penalty-last-n",
        "--dry-sequence-breaker",
        "--logit-bias",
        "--mirostat",
        "--mirostat-lr",
        "--mirostat-ent",
        "--adaptive-target",
        "--adaptive-decay",
        "--min-keep",
        "--samplers",
        "--seed",
        "--stop",
    ];
    for option in options {
        assert!(run.contains(option), "{option}");
    }
    assert!(succeed(&["--version"], b"").starts_with("happy "));
    let bare = output(&mut happy(&[]), b"");
    assert_eq!(bare.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&bare.stderr).contains("Usage"));
}

#[test]
fn run_streams_one_answer_and_says_why_it_ended() {
    let folder = Folder::new();
    let tiny = folder.file("tiny.gguf", Tiny::default().bytes());
    let answer = |more: &[&str], stdin: &[u8]| {
        let fixed = ["run", "-m", &tiny, "--temp", "0", "-n", "12", "-c", "128"];
        let done = output(&mut happy(&[&fixed, more].concat()), stdin);
        let stderr = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(done.status.success(), "{more:?}: {stderr}");
        for part in ["prompt", "tok/s", "memory"] {
            assert!(stderr.contains(part), "{part}: {stderr}");
        }
        (done.stdout, stderr)
    };
    let (text, stderr) = answer(&["hello"], b"");
    assert!(text.ends_with(b"\n"));
    // The model's own end goes without saying.
    assert!(stderr.contains("limit of tokens") || !stderr.contains('['), "{stderr}");
    let prompt = folder.file("prompt.txt", "hello\n");
    for (more, stdin) in [
        (&["-t", "1", "hello"][..], &b""[..]),
        (&["-t", "3", "hello"], b""),
        (&["--isa", "scalar", "hello"], b""),
        (&["-b", "1", "hello"], b""),
        (&["--no-mmap", "hello"], b""),
        (&["--", "hello"], b""),
        (&["-f", &prompt], b""),
        (&[], b"hello\n"),
    ] {
        assert_eq!(answer(more, stdin).0, text, "{more:?}");
    }
    // The same seed gives the same text.
    let seeded = |seed| answer(&["--temp", "1.5", "--seed", seed, "hello"], b"").0;
    assert_eq!(seeded("7"), seeded("7"));
    // Without a template and without a limit: until the context is full.
    let (_, stderr) = answer(&["--raw", "-c", "40", "-n", "-1", "x"], b"");
    assert!(stderr.contains("context is full") || !stderr.contains('['), "{stderr}");
}

#[test]
fn a_stop_string_ends_the_answer() {
    let folder = Folder::new();
    let tiny = folder.file("tiny.gguf", Tiny::default().bytes());
    let fixed = ["run", "-m", &tiny, "--temp", "0", "-n", "16", "--raw"];
    let whole = output(&mut happy(&[&fixed[..], &["hello"]].concat()), b"").stdout;
    let text = String::from_utf8(whole).expect("UTF-8");
    let Some((at, stop)) = text.trim_end().char_indices().nth(2) else {
        panic!("the tiny model says too little: {text:?}")
    };
    let stop = stop.to_string();
    let stopped = output(&mut happy(&[&fixed[..], &["--stop", &stop, "hello"]].concat()), b"");
    let first = text.find(&stop).unwrap_or(at);
    assert_eq!(
        String::from_utf8_lossy(&stopped.stdout).trim_end_matches('\n'),
        text[..first].trim_end_matches('\n')
    );
    assert!(String::from_utf8_lossy(&stopped.stderr).contains("stop string"));
}

#[test]
fn chat_computes_only_what_is_new() {
    let folder = Folder::new();
    let tiny = folder.file("tiny.gguf", Tiny::default().bytes());
    let script =
        b"hello there\n\n/stats\nand again\n/stats\n/help\n/nonsense\n/reset\n/stats\n/quit\nnever read\n";
    let done = output(&mut happy(&["chat", "-m", &tiny, "--temp", "0", "-n", "4"]), script);
    let stderr = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{stderr}");
    let reused: Vec<usize> = stderr
        .lines()
        .filter_map(|l| l.strip_prefix("last answer: ")?.split(' ').next()?.parse().ok())
        .collect();
    // "<|turn|>user: hello there\n<|turn|>assistant:" is the prefix of the second prompt.
    assert_eq!(reused.len(), 2, "{stderr}");
    assert!(reused[0] == 0 && reused[1] >= 20, "{stderr}");
    for part in ["4 messages", "0 messages", "forgotten", "/reset", "unknown command `/nonsense`"] {
        assert!(stderr.contains(part), "{part}: {stderr}");
    }
}

#[test]
fn bench_measures_what_it_says() {
    let folder = Folder::new();
    let tiny = folder.file("tiny.gguf", Tiny::default().bytes());
    let json = succeed(
        &["bench", "-m", &tiny, "-p", "32", "-n", "4", "-d", "8", "-t", "1,2", "-r", "2", "--json"],
        b"",
    );
    let json = json_of(&json);
    let reports = json.as_array().expect("an array");
    assert_eq!(reports.iter().map(|r| r["threads"].as_u64()).collect::<Vec<_>>(), [Some(1), Some(2)]);
    for report in reports {
        for field in [
            "threads",
            "n_prompt",
            "n_gen",
            "prefill_tok_s",
            "decode_tok_s",
            "load_ms",
            "first_token_ms",
            "rss_anon_bytes",
            "kv_bytes",
            "decode_gb_s",
            "n_depth",
        ] {
            assert!(report[field].is_number(), "{field}: {report}");
        }
        assert!(report["kernels"].as_array().is_some_and(|k| !k.is_empty()));
        // One page of 64 positions: 2 layers, keys and values of 16 elements, f16.
        assert_eq!(report["kv_bytes"], 64 * 2 * 2 * 16 * 2);
        assert!(report["prefill_tok_s"].as_f64() > Some(0.0) && report["decode_tok_s"].as_f64() > Some(0.0));
    }
    let svg = folder.path("speed.svg");
    let text =
        succeed(&["bench", "-m", &tiny, "-p", "8", "-n", "2", "-t", "1", "-r", "1", "--plot", &svg], b"");
    let svg = std::fs::read_to_string(svg).expect("a picture");
    assert!(svg.starts_with("<svg") && svg.matches("<rect").count() == 2, "{svg}");
    assert!(text.contains("prefill") && text.contains("decode") && text.contains("kernels"), "{text}");
    let only =
        json_of(&succeed(&["bench", "-m", &tiny, "-p", "0", "-n", "2", "-t", "1", "-r", "1", "--json"], b""));
    assert_eq!(only[0]["prefill_tok_s"], json!(0.0));
}

#[test]
fn inspect_shows_files_that_run_and_files_that_do_not() {
    let folder = Folder::new();
    let tiny = folder.file("tiny.gguf", Tiny::default().bytes());
    let text = succeed(&["inspect", &tiny, "--tensors", "-c", "100"], b"");
    for part in [
        "GGUF v3",
        "llama.block_count",
        "259 string [",
        "blk.1.ffn_down.weight",
        "64 x 32",
        "kv cache",
        "kernels",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let json = json_of(&succeed(&["inspect", &tiny, "--tensors", "--json", "-c", "100"], b""));
    assert_eq!(json["metadata"]["llama.block_count"], json!({ "type": "u32", "value": 2 }));
    assert_eq!(json["metadata"]["tokenizer.ggml.tokens"]["value"]["length"], N_VOCAB);
    assert_eq!(json["n_tensors"], 20);
    assert_eq!(json["tensors"].as_array().map(Vec::len), Some(20));
    assert_eq!(json["run"]["possible"], true);
    assert_eq!(json["run"]["context"], 100);
    // Two pages of 64 positions.
    assert_eq!(json["run"]["kv_bytes"], 2 * 64 * 2 * 2 * 16 * 2);
    let vocabulary = folder.file("vocabulary.gguf", vocabulary());
    let json = json_of(&succeed(&["inspect", &vocabulary, "--json"], b""));
    assert_eq!(json["run"]["possible"], false);
    let foreign = folder.file("foreign.gguf", Tiny { architecture: "llada", ..Tiny::default() }.bytes());
    let text = succeed(&["inspect", &foreign], b"");
    assert!(text.contains("not possible") && text.contains("unsupported"), "{text}");
}

#[test]
fn tokens_there_and_back() {
    let folder = Folder::new();
    let vocabulary = folder.file("vocabulary.gguf", vocabulary());
    let on = |command, more: &[&str], stdin: &str| {
        succeed(&[&[command, "-m", &vocabulary][..], more].concat(), stdin.as_bytes())
    };
    let ids = on("tokenize", &[], "he<|end|>");
    assert_eq!(ids, "256 258\n");
    assert_eq!(on("detokenize", &[], &ids), "he<|end|>");
    assert_eq!(on("detokenize", &["--no-special"], &ids), "he");
    assert_eq!(on("detokenize", &[], "[256, 258]"), "he<|end|>");
    assert!(!on("tokenize", &["--no-special"], "he<|end|>").contains("258"));
    let shown = on("tokenize", &["--show"], "he<|end|>");
    assert!(shown.starts_with('│') && shown.contains("│<|end|>│\n") && shown.contains("258\n"), "{shown}");
    let text = "naïve 日本 \u{1F980}\n";
    assert_eq!(on("detokenize", &[], &on("tokenize", &[], text)), text);
    let lines = on("tokenize", &["--jsonl"], "{\"text\": \"he\"}\n\n{\"text\": \"\"}\n");
    assert_eq!(lines, "{\"ids\":[256]}\n{\"ids\":[]}\n");
    assert_eq!(on("detokenize", &["--jsonl"], &lines), "{\"text\":\"he\"}\n{\"text\":\"\"}\n");
}

#[test]
fn tokenize_adds_what_the_file_asks_for() {
    let folder = Folder::new();
    for (vocabulary, ids, bare) in
        [("smollm2", "19556 905\n", "19556 905\n"), ("phi-3", "1 15043 3186\n", "15043 3186\n")]
    {
        let files = Corpus::repository().open("tokenizer").expect("a corpus");
        let bytes = files.unpacked(&format!("vocabs/{vocabulary}.gguf.zst")).expect("a vocabulary");
        let path = folder.file("vocabulary.gguf", bytes);
        assert_eq!(succeed(&["tokenize", "-m", &path], b"Hello world"), ids, "{vocabulary}");
        assert_eq!(succeed(&["tokenize", "-m", &path, "--no-bos"], b"Hello world"), bare, "{vocabulary}");
        assert_eq!(succeed(&["detokenize", "-m", &path], bare.as_bytes()), "Hello world", "{vocabulary}");
    }
}

/// A text with BOS before which another BOS is added: llama.cpp warns, and so do we.
#[test]
fn tokenize_warns_of_two_bos() {
    let folder = Folder::new();
    let files = Corpus::repository().open("tokenizer").expect("a corpus");
    let bytes = files.unpacked("vocabs/phi-3.gguf.zst").expect("a vocabulary");
    let path = folder.file("vocabulary.gguf", bytes);
    let json = &b"{\"text\": \"<s>Hi\"}\n"[..];
    let cases: [(&[&str], &[u8], bool); 6] = [
        (&[], b"<s>Hi", true),
        (&["--show"], b"<s>Hi", true),
        (&["--jsonl"], json, true),
        (&["--no-bos"], b"<s>Hi", false),
        (&["--no-special"], b"<s>Hi", false),
        (&[], b"Hi", false),
    ];
    for (more, text, warns) in cases {
        let done = output(&mut happy(&[&["tokenize", "-m", &path][..], more].concat()), text);
        let stderr = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{more:?}: {stderr}");
        assert_eq!(stderr.contains("BOS twice"), warns, "{more:?}: {stderr}");
    }
}

/// Every command that opens a model has a way not to map it; a split model gives its metadata by any of its parts.
#[test]
fn models_need_not_be_mapped() {
    let folder = Folder::new();
    let model = folder.file("tiny.gguf", Tiny::default().bytes());
    let part = folder.path("part");
    succeed(&["gguf", "split", &model, &part, "--max-tensors", "12"], b"");
    let last = folder.path("part-00002-of-00002.gguf");
    let messages = folder.file("messages.json", r#"[{"role": "user", "content": "he"}]"#);
    let cases = folder.file("cases.txt", "256 1 2\n");
    let commands: [&[&str]; 8] = [
        &["run", "-n", "1", "-q", "he"],
        &["chat", "-n", "1", "-q"],
        &["bench", "-p", "1", "-n", "1", "-r", "1"],
        &["inspect"],
        &["tokenize"],
        &["detokenize"],
        &["logits", "--sha256", "--tokens", &cases],
        &["template", "--messages", &messages],
    ];
    let mut wrong = Vec::new();
    for command in commands {
        for model in [&model, &last] {
            let done = output(&mut happy(&[command, &["-m", model, "--no-mmap"]].concat()), b"");
            if !done.status.success() {
                wrong.push(format!("{command:?} {model}: {}", String::from_utf8_lossy(&done.stderr)));
            }
        }
    }
    let copied = succeed(&["inspect", &model, "--no-mmap"], b"");
    if !copied.contains("anonymous memory") {
        wrong.push(format!("inspect maps: {copied}"));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn logits_have_the_same_bits_however_they_are_computed() {
    let folder = Folder::new();
    // Without a tokenizer: ids are all that is needed.
    let tiny = folder.file("tiny.gguf", Tiny { tokenizer: false, ..Tiny::default() }.bytes());
    let case = |n: usize| (0..n).map(|i| (i * 37 % 259).to_string()).collect::<Vec<_>>().join(" ");
    let cases = folder.file("cases", format!("{}\n\n{}\n1\n", case(70), case(5)));
    let out = folder.path("out");
    let hash = |more: &[&str]| {
        succeed(&[&["logits", "-m", &tiny, "--tokens", &cases, "--sha256", "--full"][..], more].concat(), b"")
    };
    let expected = hash(&["--out", &out]);
    assert_eq!(expected.trim_end().len(), 64);
    let bytes = std::fs::read(&out).expect("the file that was written");
    assert_eq!(bytes.len(), [70, 5, 1].map(|n| 8 + n * N_VOCAB as usize * 4).iter().sum::<usize>());
    assert_eq!(bytes[..8], [70u32.to_le_bytes(), (N_VOCAB as u32).to_le_bytes()].concat());
    let ways: [&[&str]; 11] = [
        &["--chunk", "1"],
        &["--chunk", "7"],
        &["--chunk", "512"],
        &["-t", "1"],
        &["-t", "2"],
        &["-t", "3"],
        &["--isa", "scalar"],
        &["--parallel", "4"],
        &["--parallel", "3", "--chunk", "5", "-t", "2"],
        &["--no-mmap"],
        &["--cases", "1-2,3"],
    ];
    for more in ways {
        assert_eq!(hash(more), expected, "{more:?}");
    }
    assert_ne!(hash(&["--kv", "f16"]), expected);
    // A prefix of a case has the case's first positions.
    let prefix = folder.path("prefix");
    hash(&["--cases", "1:9", "--out", &prefix]);
    let prefix = std::fs::read(prefix).expect("the file that was written");
    assert_eq!(prefix[8..], bytes[8..8 + 9 * N_VOCAB as usize * 4]);
    // The best K hold what the whole row holds.
    succeed(&["logits", "-m", &tiny, "--tokens", &cases, "--out", &out, "--top", "3"], b"");
    let top = std::fs::read(&out).expect("the file that was written");
    let words = |bytes: &[u8]| bytes.as_chunks::<4>().0.to_vec();
    let row: Vec<f32> =
        words(&bytes[8..8 + N_VOCAB as usize * 4]).into_iter().map(f32::from_le_bytes).collect();
    let best = words(&top[8..8 + 28]);
    let sum: f64 = row.iter().map(|l| f64::from(*l).exp()).sum();
    assert!((f64::from(f32::from_le_bytes(best[0])) - sum.ln()).abs() < 1e-5);
    let mut order: Vec<u32> = (0..N_VOCAB as u32).collect();
    order.sort_by(|a, b| row[*b as usize].total_cmp(&row[*a as usize]).then(a.cmp(b)));
    for (k, id) in order[..3].iter().enumerate() {
        assert_eq!(
            (u32::from_le_bytes(best[1 + 2 * k]), f32::from_le_bytes(best[2 + 2 * k])),
            (*id, row[*id as usize])
        );
    }
}

#[test]
fn templates_render_and_nothing_else_is_printed() {
    let folder = Folder::new();
    let tiny = folder.file("tiny.gguf", Tiny::default().bytes());
    let messages = folder.file("messages.json", r#"[{"role": "user", "content": "hi"}]"#);
    let rendered = succeed(&["template", "-m", &tiny, "--messages", &messages], b"");
    assert_eq!(rendered, "<|turn|>user: hi\n<|turn|>assistant:");
    let rendered = succeed(&["template", "-m", &tiny, "--messages", "-", "--no-generation-prompt"], b"[]");
    assert_eq!(rendered, "");
    let file = folder.file(
        "f.jinja",
        "{{ bos_token }}|{{ tools | length }}|{{ x }}|{{ y }}|{{ strftime_now('%Y-%m-%d %H:%M:%S') }}",
    );
    let tools = folder.file("tools.json", r#"[{"name": "f"}]"#);
    let rendered = succeed(
        &[
            "template",
            "--file",
            &file,
            "--messages",
            &messages,
            "--tools",
            &tools,
            "--var",
            "x=5",
            "--var",
            "y=a=b",
            "--var",
            "bos_token=<s>",
            "--now",
            "2026-03-14T09:26:53",
        ],
        b"",
    );
    assert_eq!(rendered, "<s>|1|5|a=b|2026-03-14 09:26:53");
    let context = folder.file(
        "context.json",
        r#"{"messages": [{"role": "a", "content": "b"}], "add_generation_prompt": false}"#,
    );
    let rendered = succeed(&["template", "-m", &tiny, "--context", &context], b"");
    assert_eq!(rendered, "<|turn|>a: b\n");
}

#[test]
fn cpu_lists_kernels_and_switches() {
    let text = succeed(&["cpu"], b"");
    for part in ["Q4_K", "gemv_q4_k", "HAPPY_DISABLE", "HAPPY_ISA", "scalar"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(json_of(&succeed(&["cpu", "--json"], b""))["kernels"].as_array().is_some_and(|k| k.len() >= 13));
    let mut scalar = happy(&["cpu", "--json"]);
    scalar.env("HAPPY_ISA", "scalar");
    assert_eq!(json_of(&String::from_utf8_lossy(&output(&mut scalar, b"").stdout))["chosen"], "scalar");
    let mut wrong = happy(&["cpu"]);
    wrong.env("HAPPY_ISA", "sse9");
    let wrong = output(&mut wrong, b"");
    assert_eq!(wrong.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("sse9"));
}

#[test]
fn a_closed_pipe_ends_the_command_quietly() {
    let folder = Folder::new();
    let tiny = folder.file("tiny.gguf", Tiny::default().bytes());
    for args in [
        &["inspect", &tiny, "--tensors"][..],
        &["cpu"],
        &["--help"],
        &["run", "-m", &tiny, "-n", "20", "hello"],
        &["tokenize", "-m", &tiny],
    ] {
        let mut command = happy(args);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        drop(child.stdout.take());
        let done = child.wait_with_output().expect("the binary ends");
        let stderr = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success() && !stderr.contains("error"), "{args:?}: {stderr}");
    }
}
