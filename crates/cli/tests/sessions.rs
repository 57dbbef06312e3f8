//! `happy chat` with a file: what is saved, changed and taken up again.

mod support;

use support::{Folder, Tiny, happy, output};

/// Runs a chat and returns what it noted.
fn chat(args: &[&str], script: &str) -> String {
    let all = [&["chat", "--temp", "0", "-n", "4"], args].concat();
    let done = output(&mut happy(&all), script.as_bytes());
    let stderr = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success(), "{stderr}");
    stderr
}

/// The bytes of a session up to the end of its last turn within an answer.
fn cut_within_an_answer(bytes: &[u8]) -> &[u8] {
    let (mut at, mut kind_before, mut end) = (64, 0, 0);
    while let Some(header) = bytes.get(at..at + 64) {
        let kind = header[4];
        at += 64 + u64::from_le_bytes(header[8..16].try_into().unwrap()).next_multiple_of(64) as usize;
        if (kind_before, kind) == (8, 7) {
            end = at;
        }
        kind_before = kind;
    }
    &bytes[..end]
}

/// The process is killed while it answers: the file ends there. The next one tells the answer from its beginning, the same text,
/// although it draws other random numbers.
#[test]
fn an_answer_that_was_cut_off_goes_on() {
    let folder = Folder::new();
    let tiny = folder.file("tiny.gguf", Tiny::default().bytes());
    let file = folder.path("notes.happy");
    let run = |args: &[&str], script: &str| {
        let all = [&["chat", "-m", &tiny, "--session", &file, "--temp", "1.5"], args].concat();
        let done = output(&mut happy(&all), script.as_bytes());
        let stderr = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(done.status.success(), "{stderr}");
        (String::from_utf8_lossy(&done.stdout).into_owned(), stderr)
    };
    let long = ["-n", "80", "--seed", "4"];
    let (whole, _) = run(&long, "hello there\n");
    let bytes = std::fs::read(&file).unwrap();
    let cut = cut_within_an_answer(&bytes).to_vec();
    assert!(!cut.is_empty() && cut.len() < bytes.len());
    std::fs::write(&file, &cut).unwrap();
    let (again, notes) = run(&["-n", "80", "--seed", "5"], "/stats\n");
    assert!(notes.contains("the last answer was cut off") && notes.contains("2 messages"), "{notes}");
    assert_eq!(again, whole);
    assert!(std::fs::read(&file).unwrap().len() > cut.len(), "the turn is saved");
    // Nothing is cut off any more.
    let (nothing, notes) = run(&long, "");
    assert!(nothing.is_empty() && !notes.contains("cut off"), "{notes}");
    // With other options it is another answer.
    std::fs::write(&file, &cut).unwrap();
    let (other, notes) = run(&["-n", "3"], "/stats\n");
    assert!(notes.contains("its set of options differs") && notes.contains("2 messages"), "{notes}");
    assert!(!other.is_empty() && other != whole, "{other}");
}

/// Tokens of the last answers' prompts that were not computed.
fn reused(notes: &str) -> Vec<usize> {
    let lines = notes.lines().filter_map(|line| line.strip_prefix("last answer: "));
    lines.filter_map(|line| line.split(' ').next()?.parse().ok()).collect()
}

#[test]
fn a_chat_goes_on_in_another_process() {
    let folder = Folder::new();
    let tiny = folder.file("tiny.gguf", Tiny::default().bytes());
    let file = folder.path("notes.happy");
    let args = ["-m", &tiny, "--session", &file];
    let whole = chat(&["-m", &tiny], "hello there\nand again\n/stats\nthe end\n/stats\n");
    chat(&args, "hello there\n");
    let second = chat(&args, "and again\n/stats\n");
    assert!(second.contains("2 messages"), "{second}");
    let third = chat(&args, "the end\n/stats\n");
    assert!(third.contains("4 messages"), "{third}");
    assert_eq!([reused(&second), reused(&third)].concat(), reused(&whole), "{second}{third}{whole}");

    // Another file and back; a question otherwise, an answer again, a branch.
    let other = folder.path("other file.happy");
    let script = format!(
        "one\n/save {other}\ntwo\n/edit 1 uno\n/regen\n/branch\nthree\n/branch 1\n/stats\n/branch 2\n/branch 9\n/edit\n/load\n"
    );
    let notes = chat(&["-m", &tiny], &script);
    for part in [
        "saved in",
        "2 messages, ",
        "this is branch 2; /branch 1 goes back",
        "this is branch 1, of 2 messages",
        "this is branch 2, of 4 messages",
        "there is no branch `9`: expected 1 to 2",
        "/edit [N] TEXT needs a text",
        "/load needs the name of a file",
    ] {
        assert!(notes.contains(part), "{part}: {notes}");
    }
    let notes = chat(&["-m", &tiny], &format!("/load {other}\n/stats\n"));
    assert!(notes.contains("4 messages"), "{notes}");
}

#[test]
fn a_session_of_another_model_is_computed_again_or_refused() {
    let folder = Folder::new();
    let tiny = folder.file("tiny.gguf", Tiny::default().bytes());
    let file = folder.path("notes.happy");
    chat(&["-m", &tiny, "--session", &file], "hello there\n");
    // The same tokens, keys and values of another type.
    let notes = chat(&["-m", &tiny, "--session", &file, "--kv", "f32"], "on\n/stats\n");
    assert!(notes.contains("its kv cache is f16, expected f32: its tokens are computed again"), "{notes}");
    assert!(reused(&notes)[0] > 10, "{notes}");
    std::fs::write(
        folder.path("none.happy"),
        "no session at all, but long enough to look like one: 64 bytes and more",
    )
    .unwrap();
    let none = folder.path("none.happy");
    let done = output(&mut happy(&["chat", "-m", &tiny, "--session", &none]), b"x\n");
    let stderr = String::from_utf8_lossy(&done.stderr);
    assert!(!done.status.success() && stderr.contains("this is not a session"), "{stderr}");
    assert!(std::fs::read_to_string(none).unwrap().starts_with("no session"), "it is left alone");
}

#[test]
fn a_sealed_session_needs_its_key() {
    let folder = Folder::new();
    let tiny = folder.file("tiny.gguf", Tiny::default().bytes());
    let file = folder.path("chat.happy");
    let [key, other, wrong] =
        [("a.key", "07".repeat(32) + "\n"), ("b.key", "\x08".repeat(32)), ("c.key", "secret".to_owned())]
            .map(|(name, content)| {
                std::fs::write(folder.path(name), content).unwrap();
                folder.path(name)
            });
    let sealed = ["-m", &tiny, "--session", &file, "--session-key", &key];
    chat(&sealed, "my secret\n");
    let bytes = std::fs::read(&file).unwrap();
    assert!(!bytes.windows(6).any(|part| part == b"secret"), "it is sealed");
    let notes = chat(&sealed, "again\n/stats\n");
    assert!(notes.contains("2 messages"), "{notes}");
    let before = std::fs::read(&file).unwrap();
    for (key, expected) in
        [(None, "open it with its key"), (Some(&other), "another key"), (Some(&wrong), "is not a key")]
    {
        let mut args = vec!["chat", "-m", &tiny, "--session", &file];
        args.extend(key.iter().flat_map(|key| ["--session-key", key.as_str()]));
        let done = output(&mut happy(&args), b"x\n");
        let stderr = String::from_utf8_lossy(&done.stderr);
        assert!(!done.status.success() && stderr.contains(expected), "{expected}: {stderr}");
    }
    assert!(std::fs::read(&file).unwrap() == before, "it is left alone");
}

/// Going back to a branch computes nothing of it again; without room for earlier versions it does.
#[test]
fn a_branch_is_kept_computed() {
    let folder = Folder::new();
    let tiny = folder.file("tiny.gguf", Tiny::default().bytes());
    let script = "hello there\n/branch\n/edit 1 something else\nand more\n/branch 1\nyes?\n/stats\n/branch 2\nno?\n/stats\n";
    let kept = chat(&["-m", &tiny], script);
    let lost = chat(&["-m", &tiny, "--branches", "0"], script);
    for (with, without) in reused(&kept).into_iter().zip(reused(&lost)) {
        // All but the line of the new question and its header, against the header of the first one.
        assert!(with > without + 10, "{with}, {without}: {kept}");
    }
    assert!(kept.contains("prompt tokens were computed before; 2 earlier versions are kept"), "{kept}");
}

/// An answer that is longer than the context.
#[test]
fn an_answer_may_outgrow_the_context() {
    let folder = Folder::new();
    let tiny = folder.file("tiny.gguf", Tiny::default().bytes());
    let grammar = folder.file("long.gbnf", "root ::= [a-z]{400}");
    let run = |policy: &str| {
        let args = ["run", "-m", &tiny, "-c", "192", "--grammar", &grammar, "--when-full", policy, "hello"];
        let done = output(&mut happy(&args), b"");
        (done.status.code(), done.stdout, String::from_utf8_lossy(&done.stderr).into_owned())
    };
    let (code, _, told) = run("stop");
    assert!(
        code == Some(3) && told.contains("the end of the context") && !told.contains("dropped"),
        "{told}"
    );
    let (code, text, told) = run("shift");
    assert!(code == Some(0) && text.len() == 401, "{code:?}, {} bytes: {told}", text.len());
    assert!(told.contains("tokens after its first 64 were dropped, as --when-full shift asks for"), "{told}");
    let q8 = ["run", "-m", &tiny, "--kv", "q8_0", "--when-full", "shift", "hello"];
    let done = output(&mut happy(&q8), b"");
    let stderr = String::from_utf8_lossy(&done.stderr);
    assert!(!done.status.success() && stderr.contains("q8_0") && stderr.lines().count() < 4, "{stderr}");
}

/// What a user may do wrong, each with one clear error, and the file as it was.
#[test]
fn files_that_cannot_be_used_are_refused_and_left_alone() {
    let folder = Folder::new();
    let tiny = folder.file("tiny.gguf", Tiny::default().bytes());
    let file = folder.path("notes.happy");
    chat(&["-m", &tiny, "--session", &file], "hello there\nand again\n");
    let whole = std::fs::read(&file).unwrap();
    // Cut off in the second turn: the first one is there, and it is told.
    std::fs::write(&file, &whole[..whole.len() - 100]).unwrap();
    let notes = chat(&["-m", &tiny, "--session", &file], "/stats\n");
    assert!(notes.contains("bytes after turn") && notes.contains("are lost"), "{notes}");
    let refused = |file: &str, part: &str| {
        let before = std::fs::read(file).ok();
        let done = output(&mut happy(&["chat", "-m", &tiny, "--session", file, "-n", "4"]), b"x\n");
        let stderr = String::from_utf8_lossy(&done.stderr);
        assert!(!done.status.success() && stderr.contains(part), "{part}: {stderr}");
        assert_eq!(stderr.lines().filter(|line| line.starts_with("error")).count(), 1, "{stderr}");
        assert!(std::fs::read(file).ok() == before, "it is left alone");
    };
    // Cut off in the header, of a newer version, a model, a folder, a place that is not there.
    std::fs::write(&file, &whole[..150]).unwrap();
    refused(&file, "this is not a session: its header is damaged or cut off");
    std::fs::write(&file, &whole[..40]).unwrap();
    refused(&file, "this is not a session: it is too short");
    refused(&tiny, "this is not a session: it does not begin like one");
    refused(&folder.path(""), "Is a directory");
    refused(&folder.path("none/notes.happy"), "cannot create the session");
}
