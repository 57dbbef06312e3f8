//! `happy gguf`: every subcommand, as text and as JSON, and what it says to wrong input.

mod support;

use happy_gguf::{GgmlType, GgufWriter};
use serde_json::{Value, json};
use support::{Folder, Tiny, happy, output, succeed};

fn json_of(args: &[&str]) -> Value {
    let text = succeed(&[args, &["--json"]].concat(), b"");
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{args:?}: {e}: {text}"))
}

/// Standard error and exit code of a command that must fail.
fn fail(args: &[&str]) -> (String, i32) {
    let done = output(&mut happy(args), b"");
    let stderr = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(!done.status.success(), "{args:?}");
    assert_eq!(stderr.lines().count(), 1, "{args:?}: {stderr}");
    (stderr, done.status.code().unwrap_or(-1))
}

fn small() -> GgufWriter<'static> {
    GgufWriter::new()
        .kv("general.architecture", "llama")
        .kv("general.name", "small")
        .kv("test.list", vec![1i32, -2])
        .kv("test.float", 0.1f32)
        .tensor("a", GgmlType::F32, &[2, 3], vec![1; 24])
        .tensor("b", GgmlType::Q4_0, &[32], vec![2; 18])
}

fn bytes(writer: &GgufWriter<'_>) -> Vec<u8> {
    writer.to_vec().expect("a valid file")
}

#[test]
fn ls_and_get() {
    let folder = Folder::new();
    let file = folder.file("small.gguf", bytes(&small()));
    let text = succeed(&["gguf", "ls", &file], b"");
    for part in
        ["version 3, little-endian", "general.name  string  small", "2 x i32 [1, -2]", "2 x 3", "Q4_0"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    let report = json_of(&["gguf", "ls", &file]);
    assert_eq!(report["metadata"]["test.list"], json!({ "type": "array:i32", "value": [1, -2] }));
    assert_eq!(report["tensors"][1]["type"], "Q4_0");
    assert_eq!(report["tensors"][1]["bytes"], 18);

    // A download that has only begun.
    let begun = folder.file("begun.gguf", &bytes(&small())[..bytes(&small()).len() - 40]);
    assert!(fail(&["gguf", "ls", &begun]).0.contains("file ends too early"));
    let header = json_of(&["gguf", "ls", "--header", &begun]);
    assert_eq!(header["tensors"], report["tensors"]);

    assert_eq!(succeed(&["gguf", "get", &file, "general.name", "test.list"], b""), "small\n[1,-2]\n");
    assert_eq!(
        json_of(&["gguf", "get", &file, "test.float", "general.name"]),
        json!({ "test.float": 0.1, "general.name": "small" })
    );
    let (error, code) = fail(&["gguf", "get", &file, "general.nome"]);
    assert!(error.contains("no key `general.nome`") && code == 1, "{error}");
}

#[test]
fn set_and_rm() {
    let folder = Folder::new();
    let file = folder.file("small.gguf", bytes(&small()));
    let get = |key: &str| succeed(&["gguf", "get", &file, key], b"").trim_end().to_owned();
    let edited = |args: &[&str]| json_of(&[&["gguf"], args].concat())["edited"].clone();

    assert_eq!(edited(&["set", &file, "general.name=large", "test.list=[7, 8]"]), "in place");
    assert_eq!((get("general.name"), get("test.list")), ("large".into(), "[7,8]".into()));
    assert_eq!(edited(&["set", &file, "general.name=large"]), "unchanged");
    assert_eq!(edited(&["set", &file, "--rewrite", "general.name=small"]), "rewritten");
    let long = "x".repeat(300);
    assert_eq!(
        edited(&["set", &file, &format!("general.description={long}"), "llama.block_count=2"]),
        "rewritten"
    );
    let types = json_of(&["gguf", "ls", &file]);
    assert_eq!(types["metadata"]["llama.block_count"], json!({ "type": "u32", "value": 2 }));
    assert_eq!(
        edited(&["set", &file, "--type", "array:string", "general.tags=[\"a\",\"b=c\"]"]),
        "rewritten"
    );
    assert_eq!(get("general.tags"), "[\"a\",\"b=c\"]");
    assert_eq!(
        edited(&["rm", &file, "general.tags", "general.description", "llama.block_count"]),
        "rewritten"
    );
    assert_eq!(edited(&["set", &file, "test.list=[1,-2]"]), "in place");
    // Another alignment moves the tensors.
    assert_eq!(edited(&["set", &file, "general.alignment=256"]), "rewritten");
    assert_eq!(std::fs::read(&file).expect("the file"), bytes(&small().alignment(256)));
    assert_eq!(edited(&["rm", &file, "general.alignment"]), "rewritten");
    assert_eq!(std::fs::read(&file).expect("the file"), bytes(&small()));

    for (args, part, code) in [
        (&["set", &file, "general.name"][..], "expected KEY=VALUE", 2),
        (&["set", &file, "test.float=x"], "expected f32, found `x`", 2),
        (&["set", &file, "--type", "u99", "a=1"], "expected u8", 2),
        (&["set", &file, "general.alignment=24"], "a u32 that is a power of two", 1),
        (&["rm", &file, "absent"], "no key `absent`", 1),
        (&["set", &file], "KEY=VALUE", 2),
    ] {
        let (error, found) = fail(&[&["gguf"], args].concat());
        assert!(error.contains(part) && found == code, "{args:?}: {error}");
    }
    assert_eq!(std::fs::read(&file).expect("the file"), bytes(&small()));
}

#[test]
fn check_says_what_is_wrong() {
    let folder = Folder::new();
    let good = folder.file("Small-1K-v1.0.gguf", bytes(&small()));
    assert!(succeed(&["gguf", "check", &good], b"").contains("valid: 2 tensors in 1 files"));
    let report = json_of(&["gguf", "check", &good]);
    assert_eq!((&report["valid"], &report["name_follows_convention"]), (&json!(true), &json!(true)));

    let old = folder.file("old.gguf", bytes(&small().version(1)));
    assert!(
        succeed(&["gguf", "check", &old], b"")
            .contains("warning: old.gguf: at byte 4, expected version 2 or 3")
    );
    assert!(fail(&["gguf", "check", "--strict", &old]).0.contains("not strictly conforming"));

    let mut broken = bytes(&GgufWriter::new().kv("a", true).kv("b", true));
    *broken.last_mut().expect("a byte") = 9;
    let broken = folder.file("broken.gguf", broken);
    let done = output(&mut happy(&["gguf", "check", "--json", &broken]), b"");
    let report: Value = serde_json::from_slice(&done.stdout).expect("JSON");
    assert_eq!((done.status.code(), &report["valid"]), (Some(1), &json!(false)));
    assert!(report["warnings"][0].as_str().is_some_and(|w| w.contains("key `b`")), "{report}");
}

#[test]
fn split_merge_diff_and_hash() {
    let folder = Folder::new();
    let tiny = folder.file("tiny.gguf", Tiny::default().bytes());
    let report = json_of(&["gguf", "split", &tiny, &folder.path("part"), "--max-tensors", "9"]);
    let files: Vec<&str> =
        report["files"].as_array().expect("files").iter().filter_map(Value::as_str).collect();
    assert_eq!(files.len(), 3);
    assert!(files[0].ends_with("part-00001-of-00003.gguf"), "{files:?}");
    assert!(succeed(&["gguf", "check", "--strict", files[0]], b"").contains("in 3 files"));

    let merged = folder.path("merged.gguf");
    assert_eq!(json_of(&["gguf", "merge", files[0], &merged])["parts"], 3);
    assert_eq!(std::fs::read(&merged).expect("a file"), std::fs::read(&tiny).expect("a file"));

    let hash = |file: &str| json_of(&["gguf", "hash", file])["content"].clone();
    assert_eq!(hash(&tiny), hash(files[0]));
    assert_eq!(succeed(&["gguf", "hash", "--tensors", &tiny], b"").lines().count(), 20 + 3);

    assert_eq!(json_of(&["gguf", "diff", &tiny, &merged])["same"], true);
    succeed(&["gguf", "set", &merged, "general.name=other"], b"");
    assert_ne!(hash(&tiny), hash(&merged));
    assert_eq!(succeed(&["gguf", "diff", &tiny, &merged], b""), "+ key general.name: string other\n");
    assert!(fail(&["gguf", "diff", "--exit-code", &tiny, &merged]).0.contains("1 differences"));
    let other = small().tensor("c", GgmlType::F32, &[1], vec![0; 4]);
    let (a, b) = (folder.file("a.gguf", bytes(&small())), folder.file("b.gguf", bytes(&other)));
    assert_eq!(succeed(&["gguf", "diff", &a, &b], b""), "+ tensor c: F32 1\n");
    let mut changed = bytes(&small());
    let at = changed.iter().rposition(|b| *b == 2).expect("a byte");
    changed[at] = 3;
    let changed = folder.file("changed.gguf", changed);
    assert_eq!(succeed(&["gguf", "diff", &a, &changed], b""), "+ data b: Q4_0 32, 1 bytes differ\n");
    assert_eq!(succeed(&["gguf", "diff", "--no-data", &a, &changed], b""), "");

    // Any part stands for all.
    let again = folder.path("again.gguf");
    succeed(&["gguf", "merge", files[1], &again], b"");
    assert_eq!(std::fs::read(&again).expect("a file"), std::fs::read(&tiny).expect("a file"));
    assert_eq!(hash(files[2]), hash(&tiny));
    assert!(succeed(&["gguf", "check", files[2]], b"").contains("valid: 20 tensors in 3 files"));
    assert!(succeed(&["gguf", "ls", files[1]], b"").contains("part 2 of 3 of a split model"));
    assert_eq!(succeed(&["gguf", "get", files[1], "general.architecture"], b""), "llama\n");

    std::fs::remove_file(files[2]).expect("a file");
    for command in
        [&["gguf", "merge", files[0], "x"][..], &["gguf", "hash", files[1]], &["gguf", "check", files[0]]]
    {
        let (error, _) = fail(command);
        assert!(error.contains("missing part") && error.contains("part-00003-of-00003.gguf"), "{error}");
    }
    assert!(succeed(&["gguf", "ls", files[1]], b"").contains("part 2 of 3"));
    assert_eq!(succeed(&["gguf", "get", files[1], "split.no"], b""), "1\n");
    let (error, code) = fail(&["gguf", "split", &tiny, &folder.path("x"), "--max-size", "0"]);
    assert!(error.contains("such as 500M") && code == 2, "{error}");
}

/// What exists stays unless `--force` says otherwise, and an input always does.
#[test]
fn files_are_not_overwritten_by_accident() {
    let folder = Folder::new();
    let tiny = folder.file("tiny.gguf", Tiny::default().bytes());
    let (part, first, third) =
        (folder.path("p"), folder.path("p-00001-of-00003.gguf"), "p-00003-of-00003.gguf");
    let text = folder.file(third, "a text of mine");
    let split: &[&str] = &["gguf", "split", &tiny, &part, "--max-tensors", "9"];
    let (error, code) = fail(split);
    assert!(error.contains(third) && error.contains("--force") && code == 2, "{error}");
    assert_eq!(std::fs::read(&text).expect("a file"), b"a text of mine");
    assert!(!std::path::Path::new(&first).exists());
    succeed(&[split, &["--force"]].concat(), b"");

    let out = folder.file("out.gguf", "a text of mine");
    let (error, code) = fail(&["gguf", "merge", &first, &out]);
    assert!(error.contains("out.gguf` exists; --force replaces it") && code == 2, "{error}");
    assert_eq!(std::fs::read(&out).expect("a file"), b"a text of mine");
    succeed(&["gguf", "merge", &first, &out, "--force"], b"");
    assert_eq!(std::fs::read(&out).expect("a file"), std::fs::read(&tiny).expect("a file"));

    let link = folder.path("link.gguf");
    std::fs::hard_link(&first, &link).expect("a link");
    for output in [&first, &text, &link] {
        let (error, code) = fail(&["gguf", "merge", &first, output, "--force"]);
        assert!(error.contains("is an input") && code == 2, "{error}");
    }
    let whole = folder.file("w-00001-of-00001.gguf", Tiny::default().bytes());
    let (error, _) = fail(&["gguf", "split", &whole, &folder.path("w"), "--max-size", "1G", "--force"]);
    assert!(error.contains("is an input"), "{error}");
    let (error, _) = fail(&["quantize", &tiny, &tiny, "--type", "Q8_0", "--force"]);
    assert!(error.contains("is an input"), "{error}");
    assert_eq!(std::fs::read(&tiny).expect("a file"), Tiny::default().bytes());
}

/// Names are bytes, and what is shown of them does not steer terminals.
#[cfg(target_os = "linux")]
#[test]
fn names_need_not_be_utf8() {
    use std::ffi::{OsStr, OsString};
    use std::os::unix::ffi::OsStrExt;
    let folder = Folder::new();
    let path = |name: &[u8]| {
        let mut path = OsString::from(folder.path(""));
        path.push(OsStr::from_bytes(name));
        path
    };
    let model = path(b"m\xff\x1b.gguf");
    std::fs::write(&model, Tiny::default().bytes()).expect("a file");
    let run = |args: &[&OsStr]| {
        let done = output(happy(&[]).args(args), b"");
        let stderr = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(done.status.success(), "{args:?}: {stderr}");
        assert!(!stderr.contains('\x1b') && !done.stdout.contains(&0x1b), "{stderr}");
    };
    let (part, first) = (path(b"p\xfe"), path(b"p\xfe-00001-of-00002.gguf"));
    let (merged, small) = (path(b"\xfd.gguf"), path(b"\xfc.gguf"));
    let o = OsStr::new;
    run(&[o("gguf"), o("set"), &model, o("general.name=x")]);
    for command in ["ls", "check", "hash"] {
        run(&[o("gguf"), o(command), &model]);
        run(&[o("gguf"), o(command), &model, o("--json")]);
    }
    run(&[o("gguf"), o("get"), &model, o("general.name")]);
    run(&[o("gguf"), o("split"), &model, &part, o("--max-tensors"), o("10")]);
    run(&[o("gguf"), o("merge"), &first, &merged]);
    run(&[o("gguf"), o("diff"), &first, &merged]);
    run(&[o("quantize"), &first, &small, o("--type"), o("Q8_0")]);
}

/// A file that is cut while it is read gives an error with its name, and no file is left.
#[test]
fn a_file_that_was_cut_is_an_error() {
    let folder = Folder::new();
    let tiny = folder.file("tiny.gguf", Tiny::default().bytes());
    succeed(&["gguf", "split", &tiny, &folder.path("p"), "--max-tensors", "10"], b"");
    let second = folder.path("p-00002-of-00002.gguf");
    let len = std::fs::metadata(&second).expect("a file").len();
    std::fs::File::options().write(true).open(&second).and_then(|f| f.set_len(len - 33)).expect("a cut");
    for args in [
        &["gguf", "hash", &second][..],
        &["gguf", "check", "--no-mmap", &second],
        &["gguf", "merge", &second, &folder.path("out.gguf")],
        &["quantize", "--no-mmap", &second, &folder.path("out.gguf"), "--type", "Q8_0"],
    ] {
        let (error, code) = fail(args);
        assert!(error.contains("p-00002-of-00002.gguf") && code == 1, "{args:?}: {error}");
    }
    assert_eq!(std::fs::read_dir(folder.path("")).expect("the folder").count(), 3);
}

/// A model of 8 GiB that takes no room on the disk, for commands that must not come to their end.
#[cfg(target_os = "linux")]
fn endless(folder: &Folder) -> String {
    let n = 1u64 << 31;
    let mut header = b"GGUF".to_vec();
    header.extend(3u32.to_le_bytes());
    header.extend([1u64, 0, 1].map(u64::to_le_bytes).concat());
    header.extend(b"w");
    header.extend(1u32.to_le_bytes());
    header.extend(n.to_le_bytes());
    header.extend(0u32.to_le_bytes());
    header.extend(0u64.to_le_bytes());
    let path = folder.file("big.gguf", header);
    std::fs::File::options()
        .write(true)
        .open(&path)
        .and_then(|f| f.set_len(4 * n + 4096))
        .expect("a sparse file");
    path
}

/// Whether this process, and so each that it starts, was started with this signal ignored.
#[cfg(target_os = "linux")]
fn ignores(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").expect("procfs");
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).expect("a mask");
    u64::from_str_radix(mask.trim(), 16).expect("hexadecimal") >> (signal - 1) & 1 == 1
}

/// Signals remove what is unfinished; what a killed command left goes with the next one, and a living one's stays.
#[cfg(target_os = "linux")]
#[test]
fn interrupted_commands_leave_nothing() {
    use std::os::unix::process::ExitStatusExt;
    let folder = Folder::new();
    let big = endless(&folder);
    let tiny = folder.file("tiny.gguf", Tiny::default().bytes());
    let names = || {
        let entries = std::fs::read_dir(folder.path("")).expect("the folder");
        let mut names: Vec<_> = entries.map(|e| e.expect("an entry").file_name()).collect();
        names.sort();
        names
    };
    let before = names();
    let out = folder.path("out.gguf");
    let temporary = folder.path(".out.gguf.happy-tmp");
    let start = |args: &[&str]| {
        let mut child = happy(args).stderr(std::process::Stdio::null()).spawn().expect("the binary starts");
        while !std::path::Path::new(&temporary).exists() {
            assert!(child.try_wait().expect("a status").is_none(), "{args:?} ended");
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        child
    };
    let kill = |child: &std::process::Child, signal: &str| {
        let sent =
            std::process::Command::new("sh").args(["-c", &format!("kill -{signal} {}", child.id())]).status();
        assert!(sent.expect("a shell").success());
    };
    let merge: &[&str] = &["gguf", "merge", &big, &out];
    let quantize: &[&str] = &["quantize", &big, &out, "--type", "Q8_0"];
    for (signal, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        if ignores(code - 128) {
            happy_testkit::skip(&format!(
                "SIG{signal} is ignored here (nohup, or a script's `&`), so it interrupts nothing"
            ));
            continue;
        }
        for args in [merge, quantize] {
            let mut child = start(args);
            kill(&child, signal);
            let status = child.wait().expect("an end");
            assert_eq!(status.code(), Some(code), "{args:?} {signal}");
            assert_eq!(names(), before, "{args:?} {signal}");
        }
    }
    // Killed: nothing can be done then, but by the next.
    let mut child = start(merge);
    kill(&child, "KILL");
    assert_eq!(child.wait().expect("an end").signal(), Some(9));
    assert!(std::path::Path::new(&temporary).exists());
    succeed(&["gguf", "set", &tiny, "general.name=another name that is longer than before"], b"");
    assert_eq!(names(), before);
    // One that lives keeps its file, and its name.
    let mut child = start(merge);
    succeed(&["gguf", "set", &tiny, "general.name=x"], b"");
    assert!(std::path::Path::new(&temporary).exists());
    assert!(fail(&["gguf", "merge", &tiny, &out]).0.contains("another program is writing"));
    kill(&child, "TERM");
    child.wait().expect("an end");
    assert_eq!(names(), before);
}
