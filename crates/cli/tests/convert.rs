//! `happy convert` with tiny folders: its arguments, what it prints, and that what it writes is read. The rest is tested in
//! happy-convert.

mod support;

use happy_testkit::{tiny_bert, tiny_llama};
use std::path::Path;
use support::{Folder, happy, output, succeed};

#[test]
fn a_llama_runs() {
    let folder = Folder::new();
    tiny_llama(Path::new(&folder.path("")));
    let out = folder.path("out.gguf");
    let dir = folder.path("");
    let convert = ["convert", &dir, "--out", &out, "--type", "q8_0", "--name", "tiny"];
    let done = output(&mut happy(&convert), b"");
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success() && said.contains("21 tensors"), "{said}");
    assert!(!succeed(&["run", "-m", &out, "-n", "3", "--raw", "ab"], b"").is_empty());
    assert_eq!(succeed(&["tokenize", "-m", &out], b"abc").trim(), "256 99");
    // The same bytes from F32 by way of quantize.
    let (f32, q8) = (folder.path("f32.gguf"), folder.path("q8.gguf"));
    succeed(&["convert", &dir, "-o", &f32, "--type", "F32", "--name", "tiny"], b"");
    succeed(&["quantize", &f32, &q8, "--type", "Q8_0"], b"");
    assert_eq!(succeed(&["gguf", "diff", &out, &q8], b""), "");

    // It does not replace files.
    let said = output(&mut happy(&convert), b"");
    assert!(!said.status.success() && String::from_utf8_lossy(&said.stderr).contains("--force"));
    succeed(&[&convert[..], &["--force"]].concat(), b"");
}

#[test]
fn a_bert_is_tokenized() {
    let folder = Folder::new();
    tiny_bert(Path::new(&folder.path("")));
    let (dir, out) = (folder.path(""), folder.path("out.gguf"));
    succeed(&["convert", &dir, "--out", &out, "--type", "f32"], b"");
    let ids = succeed(&["tokenize", "-m", &out], "A\u{301}BCC x e.".as_bytes());
    assert_eq!(ids.trim(), "2 9 8 8 1 11 10 3");
    // Wrong input is one sentence.
    std::fs::write(folder.path("config.json"), "{").expect("a file");
    let done = output(&mut happy(&["convert", &dir, "--out", &out, "--force"]), b"");
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(
        !done.status.success() && said.contains("config.json") && said.trim().lines().count() == 1,
        "{said}"
    );
}
