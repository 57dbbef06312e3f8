//! Commands under a limit of memory (`ulimit -d`), from what the program needs to start up to what they need to succeed: each
//! ends with an error or well, never by a signal.
#![cfg(all(target_os = "linux", target_env = "gnu"))]

mod support;

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output, Stdio};
use support::{Folder, Tiny, happy, output};

/// Runs `happy` with at most this many KiB of data.
fn limited(kib: usize, args: &[&str], stdin: &[u8]) -> Output {
    let happy = happy(args);
    let mut shell = Command::new("sh");
    // What is left of the limit is not split among the allocator's arenas.
    shell.env("MALLOC_ARENA_MAX", "1").env_remove("RUST_BACKTRACE");
    shell.args(["-c", "ulimit -c 0; ulimit -d \"$0\" && exec \"$@\""]).arg(kib.to_string());
    shell.arg(happy.get_program()).args(happy.get_args()).stderr(Stdio::piped());
    output(&mut shell, stdin)
}

#[test]
fn a_limit_of_memory_is_an_error() {
    let folder = Folder::new();
    let model = folder.file("m.gguf", Tiny::default().bytes());
    let written = folder.path("q.gguf");
    let members =
        (0..60).map(|i| format!("\"p{i}\": {{\"enum\": [{}]}}", ["\"v\""; 40].join(","))).collect::<Vec<_>>();
    let schema = format!("{{\"properties\": {{{}}}}}", members.join(","));
    let schema = folder.file("s.json", schema);
    let text = "hello world\n".repeat(2_000);
    let ids = "1 2 3 4 5\n".repeat(4_000);
    let long = format!("general.name={}", "x".repeat(60_000));
    let start = (100..4_000).step_by(50).find(|kib| limited(*kib, &["--version"], b"").status.success());
    let start = start.expect("the program starts in 4 MiB");
    // Arguments and input.
    let cases: [(&[&str], &[u8]); 7] = [
        (&["gguf", "check", &model], b""),
        (&["gguf", "get", &model, "tokenizer.ggml.tokens"], b""),
        (&["gguf", "set", &model, &long], b""),
        (&["tokenize", "-m", &model], text.as_bytes()),
        (&["detokenize", "-m", &model], ids.as_bytes()),
        (&["grammar", "--json-schema", &schema], b"{\"text\": \"{}\"}\n"),
        (&["quantize", &model, &written, "--type", "Q8_0", "--threads", "1", "--force"], b""),
    ];
    let mut wrong = Vec::new();
    for (args, stdin) in cases {
        let mut refusals = 0;
        for kib in (start..start + 3_000).step_by(75) {
            let done = limited(kib, args, stdin);
            if let Some(signal) = done.status.signal() {
                let said = String::from_utf8_lossy(&done.stderr).into_owned();
                wrong.push(format!("{} with {kib} KiB: signal {signal}: {said}", args[..2].join(" ")));
            }
            refusals += usize::from(!done.status.success());
        }
        println!("{}: {refusals} refusals", args[..2].join(" "));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
