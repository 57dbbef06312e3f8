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

#[test]
fn texts_are_scored_against_references() {
    let folder = Folder::new();
    let tiny = folder.file("tiny.gguf", Tiny::default().bytes());
    let text = folder.file("text.txt", "The quick brown fox jumps over the lazy dog. ".repeat(6));
    let base = folder.path("base.bin");
    let fixed = ["-m", &tiny, "-t", "1", "--json"];
    let json = |args: &[&str]| -> serde_json::Value {
        serde_json::from_str(&succeed(&[args, &fixed].concat(), b"")).expect("JSON")
    };
    let scored = json(&["perplexity", &text, "-c", "64", "--save-logits", &base]);
    assert_eq!((&scored["chunks"], &scored["tokens"]), (&4.into(), &(4 * 31).into()), "{scored}");
    let perplexity = scored["perplexity"].as_f64().expect("a number");
    assert!(perplexity > 1.0 && perplexity.is_finite(), "{perplexity}");
    // More chunks than there are are all of them.
    assert_eq!(json(&["perplexity", &text, "-c", "64", "--chunks", "9"]), scored);

    let same = json(&["kl", "--against", &base]);
    let number = |object: &serde_json::Value, key: &str| object[key].as_f64().expect("a number");
    assert!(number(&same, "kl_mean").abs() < 1e-6 && number(&same, "same_top") > 0.9, "{same}");
    assert!((number(&same, "perplexity_base") - perplexity).abs() < 1e-2, "{same}");
    assert_eq!(number(&same, "perplexity"), perplexity);
    let q = folder.path("q.gguf");
    succeed(&["quantize", &tiny, &q, "--type", "Q4_0", "--allow-requantize"], b"");
    let other = succeed(&["kl", "--against", &base, "-m", &q, "-t", "1", "--json"], b"");
    let other = serde_json::from_str(&other).expect("JSON");
    assert!(
        number(&other, "kl_mean") > 1e-6 && number(&other, "kl_max") >= number(&other, "kl_99"),
        "{other}"
    );

    // What is wrong is an error with numbers.
    let fails = |args: &[&str], part: &str| {
        let done = output(&mut happy(&[args, &fixed].concat()), b"");
        let errors = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(!done.status.success() && errors.contains(part), "{args:?}: {errors}");
    };
    fails(&["perplexity", &text, "-c", "2000"], "expected at least 2000, which is one chunk");
    fails(&["perplexity", &text, "-c", "64", "--save-logits", &base], "--force");
    fails(&["kl", "--against", &text], "begin with `_logits_`");
    let bytes = std::fs::read(&base).expect("the file");
    for (len, part) in [(10, "ends in its header"), (100, "don't fit its 100 bytes")] {
        fails(&["kl", "--against", &folder.file("cut.bin", &bytes[..len])], part);
    }
    let cut = folder.file("cut.bin", &bytes[..bytes.len() - 9]);
    assert_eq!(json(&["kl", "--against", &cut])["chunks"], 3);
}

/// The values of a tensor of F32.
fn values(file: &GgufFile, name: &str) -> Vec<f32> {
    let view = file.view();
    let tensor = view.tensor(name).expect(name);
    let bytes = view.data(&tensor).expect(name);
    bytes.as_chunks::<4>().0.iter().map(|word| f32::from_le_bytes(*word)).collect()
}

/// Each expert has the tokens that chose it.
#[test]
fn importance_matrices_have_a_part_for_each_expert() {
    let folder = Folder::new();
    let tiny = folder.file("tiny.gguf", Tiny { experts: true, ..Tiny::default() }.bytes());
    let text = folder.file("text.txt", "The quick brown fox jumps over the lazy dog. ".repeat(6));
    let matrix = folder.path("imatrix.gguf");
    let args = ["imatrix", &text, "-m", &tiny, "-t", "1", "-c", "64", "-o", &matrix, "--json"];
    let said: serde_json::Value = serde_json::from_str(&succeed(&args, b"")).expect("JSON");
    // The router is no matrix that is quantized.
    assert_eq!((&said["matrices"], &said["without"]), (&14.into(), &serde_json::json!([])), "{said}");
    let (file, model) = (GgufFile::read(&matrix).expect("a file"), GgufFile::read(&tiny).expect("the model"));
    let norms = values(&model, "blk.1.ffn_norm.weight");
    let of = |part: &str| values(&file, &format!("blk.1.{part}.weight.in_sum2"));
    let counts = |part: &str| values(&file, &format!("blk.1.{part}.weight.counts"));
    let (up, down) = (of("ffn_up_exps"), of("ffn_down_exps"));
    assert_eq!((up.len(), down.len()), (4 * norms.len(), 4 * 64));
    assert_eq!((&up, counts("ffn_up_exps")), (&of("ffn_gate_exps"), counts("ffn_down_exps")));
    // A token chooses two experts. What it brings each of them has, but for the norm's weights, a mean square of 1.
    assert_eq!(counts("ffn_up_exps").iter().sum::<f32>(), 2.0 * 256.0);
    for ((up, down), count) in up.chunks(norms.len()).zip(down.chunks(64)).zip(counts("ffn_up_exps")) {
        let squares = up.iter().zip(&norms).map(|(x, norm)| x / (norm * norm));
        let mean = squares.sum::<f32>() / norms.len() as f32;
        assert!((mean - count).abs() <= 0.05 * count, "{mean}, {count} tokens");
        assert_eq!(down.iter().any(|x| *x > 0.0), count > 0.0);
    }
    // It is used: the experts' blocks are others with it.
    let [plain, weighted] = ["plain.gguf", "weighted.gguf"].map(|name| folder.path(name));
    succeed(&["quantize", &tiny, &plain, "--type", "Q5_0"], b"");
    succeed(&["quantize", &tiny, &weighted, "--type", "Q5_0", "--imatrix", &matrix], b"");
    let blocks = |path: &str| {
        let file = GgufFile::read(path).expect("a model");
        let view = file.view();
        let tensor = view.tensor("blk.1.ffn_down_exps.weight").expect("the experts");
        view.data(&tensor).expect("their blocks").to_vec()
    };
    let (plain, weighted) = (blocks(&plain), blocks(&weighted));
    let expert = plain.len() / 4;
    let parts = plain.chunks(expert).zip(weighted.chunks(expert));
    let differ: Vec<bool> = parts.map(|(a, b)| a != b).collect();
    let used: Vec<bool> = counts("ffn_down_exps").iter().map(|count| *count > 0.0).collect();
    assert_eq!(differ, used);
}

#[test]
fn importance_matrices_are_measured() {
    let folder = Folder::new();
    let tiny = folder.file("tiny.gguf", Tiny::default().bytes());
    let text = folder.file("text.txt", "The quick brown fox jumps over the lazy dog. ".repeat(6));
    let matrix = folder.path("imatrix.gguf");
    let args = ["imatrix", &text, "-m", &tiny, "-t", "1", "-c", "64", "-o", &matrix];
    let said: serde_json::Value =
        serde_json::from_str(&succeed(&[&args[..], &["--json"]].concat(), b"")).expect("JSON");
    assert_eq!((&said["matrices"], &said["chunks"]), (&14.into(), &4.into()), "{said}");
    let file = GgufFile::read(&matrix).expect("a file");
    let view = file.view();
    let meta = view.metadata();
    assert_eq!(meta.require::<&str>("general.type").ok(), Some("imatrix"));
    assert_eq!(meta.require::<u32>("imatrix.chunk_size").ok(), Some(64));
    assert_eq!(values(&file, "blk.1.ffn_down.weight.counts"), [256.0]);
    let q = values(&file, "blk.0.attn_q.weight.in_sum2");
    assert_eq!(q, values(&file, "blk.0.attn_v.weight.in_sum2"));
    // What a root mean square norm returns has, but for its weights, a mean square of 1 in each row.
    let model = GgufFile::read(&tiny).expect("the model");
    let weights = values(&model, "blk.0.attn_norm.weight");
    let sum: f64 = q.iter().zip(&weights).map(|(q, w)| f64::from(*q) / f64::from(w * w)).sum();
    assert!((sum / (256.0 * weights.len() as f64) - 1.0).abs() < 0.05, "{sum}");
    // It is taken, and not replaced unasked.
    let q4 = folder.path("q4.gguf");
    succeed(&["quantize", &tiny, &q4, "--type", "Q4_0", "--imatrix", &matrix], b"");
    assert!(refused(&args).contains("--force"));
    let repeated = succeed(&[&args[..], &["--json", "--force"]].concat(), b"");
    assert_eq!(serde_json::from_str::<serde_json::Value>(&repeated).expect("JSON"), said);
}
