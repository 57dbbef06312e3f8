//! `happy quantize` with a tiny model: its arguments and what it prints. The rest is tested in happy-quantize.

mod support;

use happy_gguf::{GgmlType, Gguf, GgufFile, GgufWriter};
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
fn an_importance_matrix_is_used_or_refused_with_its_name() {
    let folder = Folder::new();
    let input = folder.file("tiny.gguf", Tiny::default().bytes());
    let floats = |values: &[f32]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    let mut weights = [1.0; 32];
    weights[..4].fill(500.0);
    let matrix = GgufWriter::new()
        .tensor("blk.0.attn_q.weight.in_sum2", GgmlType::F32, &[32], floats(&weights))
        .tensor("blk.0.attn_q.weight.counts", GgmlType::F32, &[1], floats(&[1.0]))
        .to_vec()
        .expect("a file");
    let (matrix, bad) = (folder.file("matrix.gguf", matrix), folder.file("bad.dat", [0; 4]));
    let (plain, weighted) = (folder.path("plain.gguf"), folder.path("weighted.gguf"));
    succeed(&["quantize", &input, &plain, "--type", "Q5_0"], b"");
    succeed(&["quantize", &input, &weighted, "--type", "Q5_0", "--imatrix", &matrix], b"");
    assert_ne!(std::fs::read(&plain).expect("a file"), std::fs::read(&weighted).expect("a file"));
    let out = folder.path("out.gguf");
    let said = refused(&["quantize", &input, &out, "--type", "Q5_0", "--imatrix", &bad]);
    assert!(said.contains("bad.dat") && said.contains("expected entries, found none"), "{said}");
    assert!(!PathBuf::from(&out).exists());
}
