//! `happy quantize` with a tiny model, and with real ones.

mod support;

use happy_gguf::{Gguf, GgufFile};
use std::path::PathBuf;
use support::{Folder, Tiny, happy, output, succeed};

/// The type of each tensor.
fn types(path: &str) -> Vec<(String, String)> {
    let file = GgufFile::read(path).expect("a file");
    file.view().tensors().map(|t| (t.name.to_owned(), t.ty.to_string())).collect()
}

fn type_of(path: &str, name: &str) -> String {
    types(path).into_iter().find(|(n, _)| n == name).map(|(_, ty)| ty).unwrap_or_default()
}

/// The sentence of a command that must fail.
fn refused(args: &[&str]) -> String {
    let done = output(&mut happy(args), b"");
    assert!(!done.status.success(), "{args:?}");
    String::from_utf8_lossy(&done.stderr).into_owned()
}

#[test]
fn matrices_get_the_types_of_the_mix() {
    let folder = Folder::new();
    let input = folder.file("tiny.gguf", Tiny::default().bytes());
    let q4 = folder.path("q4.gguf");
    let done =
        output(&mut happy(&["quantize", &input, &q4, "--type", "q4_k_m", "--tensor", "ffn_up=Q8_0"]), b"");
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}");
    let replaced = "12 of 15 matrices have rows that are not whole blocks and got Q5_0 instead of Q4_K, Q8_0 instead of Q6_K";
    assert!(said.lines().last().is_some_and(|line| line == replaced), "{said}");
    // Rows of 32 and 64 have no room for blocks of 256.
    for (name, ty) in [
        ("token_embd.weight", "Q8_0"),
        ("output_norm.weight", "F32"),
        ("blk.0.attn_q.weight", "Q5_0"),
        ("blk.1.attn_v.weight", "Q8_0"),
        ("blk.1.ffn_up.weight", "Q8_0"),
    ] {
        assert_eq!(type_of(&q4, name), ty, "{name}");
    }
    let bytes = std::fs::read(&q4).expect("the output");
    let gguf = Gguf::parse(&bytes).expect("a valid file");
    gguf.check_strict().expect("no deviations");
    assert_eq!(gguf.metadata().require::<u32>("general.file_type").ok(), Some(15));
    assert!(succeed(&["run", "-m", &q4, "-n", "3", "--raw", "he"], b"").len() < 100);

    // It does not replace files, encode twice, or accept what fits nothing; no temporary file is left.
    let other = folder.path("other.gguf");
    let said = refused(&["quantize", &input, &q4, "--type", "Q8_0"]);
    assert!(said.contains("--force"), "{said}");
    let said = refused(&["quantize", &q4, &other, "--type", "Q4_0"]);
    assert!(said.contains("--allow-requantize") && said.contains("Q5_0"), "{said}");
    let said = refused(&["quantize", &input, &other, "--type", "Q4_0", "--tensor", "nothing=F16"]);
    assert!(said.contains("nothing=F16"), "{said}");
    assert!(refused(&["quantize", &input, &other, "--type", "Q9"]).contains("Q4_K_S"));
    assert!(!PathBuf::from(&other).exists());
    succeed(&["quantize", &q4, &other, "--type", "Q4_0", "--allow-requantize", "-t", "1"], b"");
    assert_eq!(type_of(&other, "blk.0.attn_q.weight"), "Q4_0");
    let names = std::fs::read_dir(folder.path("")).expect("the folder").count();
    assert_eq!(names, 3);
}

#[test]
fn importance_matrices_of_the_older_format_are_used_and_checked() {
    let folder = Folder::new();
    let input = folder.file("tiny.gguf", Tiny::default().bytes());
    let entry = |values: &[f32]| {
        let name = b"blk.0.attn_q.weight";
        let mut bytes = Vec::new();
        for word in [1, name.len() as i32] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend(name);
        for word in [2, values.len() as i32] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend(values.iter().flat_map(|v| v.to_le_bytes()));
        bytes
    };
    let mut weights = [1.0; 32];
    weights[..4].fill(500.0);
    let good = folder.file("good.dat", entry(&weights));
    let (plain, weighted) = (folder.path("plain.gguf"), folder.path("weighted.gguf"));
    succeed(&["quantize", &input, &plain, "--type", "Q5_0"], b"");
    succeed(&["quantize", &input, &weighted, "--type", "Q5_0", "--imatrix", &good], b"");
    let (plain, weighted) =
        (std::fs::read(&plain).expect("a file"), std::fs::read(&weighted).expect("a file"));
    let data = |bytes: &[u8], name: &str| {
        let gguf = Gguf::parse(bytes).expect("a valid file");
        let tensor = gguf.tensor(name).expect("the tensor");
        gguf.data(&tensor).expect("its data").to_vec()
    };
    assert_ne!(data(&plain, "blk.0.attn_q.weight"), data(&weighted, "blk.0.attn_q.weight"));
    assert_eq!(data(&plain, "blk.1.attn_q.weight"), data(&weighted, "blk.1.attn_q.weight"));

    let out = folder.path("out.gguf");
    let cases = [
        (entry(&weights[..31]), "31 weights"),
        (entry(&weights)[..50].to_vec(), "at offset"),
        (entry(&[f32::NAN; 32]), "NaN"),
        (vec![0; 4], "none"),
    ];
    for (bytes, expected) in cases {
        let bad = folder.file("bad.dat", bytes);
        let said = refused(&["quantize", &input, &out, "--type", "Q5_0", "--imatrix", &bad]);
        assert!(said.contains(expected), "{said}");
        assert!(!PathBuf::from(&out).exists());
    }
}

/// A file that llama.cpp made as a mix has the types of that mix.
#[test]
fn the_mixes_are_those_of_real_files() {
    let folder = Folder::new();
    for (name, mix) in [("gemma-3-270m-q4_k_m.gguf", "Q4_K_M"), ("SmolLM2-135M-Instruct.Q4_1.gguf", "Q4_1")] {
        let Some(path) = happy_testkit::model(name) else { continue };
        let (input, out) = (path.display().to_string(), folder.path(name));
        succeed(&["quantize", &input, &out, "--type", mix], b"");
        assert_eq!(types(&input), types(&out), "{name}");
    }
}
