//! The `quants` corpus: other people's blocks and the values that other people's software decodes and encodes.
//!
//! Found through `HAPPY_CONFORMANCE`, or beside the workspace. Without it these tests say so and check nothing;
//! under `CI=true` they fail then.

use std::path::PathBuf;

use happy_tensor::formats::quantize_q8_k;
use happy_tensor::{DType, convert, dequantize_to_vec, quantize_row};

/// The corpus' folder, or `None` (said loudly) where it is not installed.
fn corpus() -> Option<PathBuf> {
    let root = std::env::var_os("HAPPY_CONFORMANCE").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/conformance"),
        PathBuf::from,
    );
    let quants = root.join("quants");
    if quants.is_dir() {
        return Some(quants);
    }
    assert!(
        std::env::var("CI").as_deref() != Ok("true"),
        "the conformance corpus is missing: expected {}",
        quants.display()
    );
    eprintln!("NOT RUN: no conformance corpus at {}; set HAPPY_CONFORMANCE", quants.display());
    None
}

fn read(path: PathBuf) -> Vec<u8> {
    std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn read_f32(path: PathBuf) -> Vec<f32> {
    read(path).as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

fn read_u16(path: PathBuf) -> Vec<u16> {
    read(path).as_chunks().0.iter().map(|b| u16::from_le_bytes(*b)).collect()
}

#[test]
fn blocks_decode_to_the_same_bits() {
    let Some(dir) = corpus() else { return };
    let mut failed = Vec::new();
    for dtype in DType::ALL.into_iter().filter(|&t| t != DType::F32) {
        let bytes = read(dir.join("blocks").join(format!("{dtype}.bin")));
        let expected = read_f32(dir.join("blocks").join(format!("{dtype}.f32")));
        let found = dequantize_to_vec(dtype, &bytes).unwrap_or_else(|e| panic!("{dtype}: {e}"));
        assert_eq!(found.len(), expected.len(), "{dtype}");
        assert!(!found.is_empty(), "{dtype}");
        let differs =
            |(i, (a, b)): (usize, (&f32, &f32))| (a.to_bits() != b.to_bits()).then_some((i, *a, *b));
        if let Some((i, a, b)) = found.iter().zip(&expected).enumerate().find_map(differs) {
            failed.push(format!("{dtype}: element {i}: found {a:e}, expected {b:e}"));
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

/// The types of the corpus' index, which is JSON with a key a line.
#[test]
fn no_type_of_the_corpus_is_skipped() {
    let Some(dir) = corpus() else { return };
    let index = String::from_utf8(read(dir.join("index.json"))).expect("text");
    let names = index
        .lines()
        .filter_map(|l| l.strip_prefix(" \"")?.strip_suffix("\": {"))
        .filter(|n| !n.starts_with('_'));
    let missing: Vec<&str> = names.clone().filter(|name| DType::from_name(name).is_none()).collect();
    assert!(names.count() >= 27 && missing.is_empty(), "{missing:?}");
}

/// The number behind `"key": ` in a piece of JSON.
fn number(text: &str, key: &str) -> Option<usize> {
    let (_, rest) = text.split_once(&format!("\"{key}\": "))?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// Tensor `w2` of each file that another writer made, where its index says that the bytes are (a file a line), against
/// the values that llama.cpp decodes.
#[test]
fn tensors_of_files_decode_to_the_same_bits() {
    let Some(quants) = corpus() else { return };
    let dir = quants.with_file_name("gguf").join("files");
    let index = String::from_utf8(read(dir.join("index.json"))).expect("text");
    let (mut checked, mut failed) = (0, Vec::new());
    for line in index.lines() {
        let name = |l: &str| Some(l.split_once("\"type-")?.1.split_once(".gguf\"")?.0.to_owned());
        // Integers and F64 are types of files, not of computing.
        let Some(dtype) = name(line).and_then(|name| DType::from_name(&name)) else { continue };
        let (_, w2) = line.split_once("\"name\": \"w2\"").expect("w2");
        let (start, len) =
            (number(w2, "abs_offset").expect("an offset"), number(w2, "bytes").expect("a size"));
        let file = read(dir.join(format!("type-{dtype}.gguf")));
        let found =
            dequantize_to_vec(dtype, &file[start..start + len]).unwrap_or_else(|e| panic!("{dtype}: {e}"));
        let expected = read_f32(dir.join(format!("type-{dtype}.w2.f32")));
        assert_eq!(expected.len(), 768, "{dtype}");
        if !found.iter().map(|v| v.to_bits()).eq(expected.iter().map(|v| v.to_bits())) {
            failed.push(dtype);
        }
        checked += 1;
    }
    assert!(checked >= 16 && failed.is_empty(), "{checked} types, {failed:?} differ");
}

/// Formats whose encoder is exactly the reference's.
const EXACT: [DType; 11] = [
    DType::Q4_0,
    DType::Q4_1,
    DType::Q5_0,
    DType::Q5_1,
    DType::Q8_0,
    DType::Q1_0,
    DType::Q2_0,
    DType::TQ1_0,
    DType::TQ2_0,
    DType::MXFP4,
    DType::NVFP4,
];

#[test]
fn rows_encode_to_the_same_bytes() {
    let Some(dir) = corpus() else { return };
    let x = read_f32(dir.join("quantise/x.f32"));
    let mut failed = Vec::new();
    for dtype in EXACT {
        let expected = read(dir.join("quantise").join(format!("{dtype}.bin")));
        let mut found = vec![0; expected.len()];
        quantize_row(dtype, &x, &mut found).unwrap_or_else(|e| panic!("{dtype}: {e}"));
        if let Some(i) = found.iter().zip(&expected).position(|(a, b)| a != b) {
            failed.push(format!("{dtype}: byte {i} in block {}", i / dtype.block_bytes()));
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn activations_of_the_reference_are_encoded_to_the_same_bytes() {
    let Some(dir) = corpus() else { return };
    for (x, expected) in [("quantise/x.f32", "quantise/Q8_K.bin"), ("vecdot/act.f32", "vecdot/act_Q8_K.bin")]
    {
        let found: Vec<u8> = read_f32(dir.join(x)).as_chunks().0.iter().flat_map(quantize_q8_k).collect();
        assert!(found == read(dir.join(expected)), "{expected}");
    }
}

/// Sum of squared errors, in f64.
fn squared_error(dtype: DType, x: &[f32], bytes: &[u8]) -> f64 {
    let back = dequantize_to_vec(dtype, bytes).unwrap_or_else(|e| panic!("{dtype}: {e}"));
    x.iter().zip(&back).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum()
}

#[test]
fn searched_formats_have_at_most_the_error_of_the_reference() {
    let Some(dir) = corpus() else { return };
    let corpora = [("quantise/x.f32", "quantise/"), ("vecdot/weights.f32", "vecdot/w_")];
    let mut failed = Vec::new();
    for dtype in DType::ALL.into_iter().filter(|t| !t.is_float() && !EXACT.contains(t)) {
        for (x, reference) in corpora {
            let x = read_f32(dir.join(x));
            let reference = read(dir.join(format!("{reference}{dtype}.bin")));
            let mut ours = vec![0; reference.len()];
            quantize_row(dtype, &x, &mut ours).unwrap_or_else(|e| panic!("{dtype}: {e}"));
            let (ours, theirs) = (squared_error(dtype, &x, &ours), squared_error(dtype, &x, &reference));
            println!("{dtype:8} {ours:12.6} reference {theirs:12.6} ratio {:.3}", ours / theirs);
            if ours > theirs {
                failed.push(format!("{dtype}: {ours}, reference {theirs}"));
            }
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn f16_and_bf16_round_to_the_same_bits() {
    let Some(dir) = corpus() else { return };
    let x = read_f32(dir.join("convert/x.f32"));
    let f16 = read_u16(dir.join("convert/f16.u16"));
    let bf16 = read_u16(dir.join("convert/bf16.u16"));
    assert_eq!((x.len(), x.len()), (f16.len(), bf16.len()));
    let mut failed = Vec::new();
    for (&x, (&f16, &bf16)) in x.iter().zip(f16.iter().zip(&bf16)) {
        let found = (convert::f16_from_f32(x), convert::bf16_from_f32(x));
        if found != (f16, bf16) {
            failed.push(format!("{x:e} ({:08x}): {found:04x?}, expected {:04x?}", x.to_bits(), (f16, bf16)));
        }
    }
    assert!(failed.is_empty(), "{} differ: {:#?}", failed.len(), &failed[..failed.len().min(10)]);
}
