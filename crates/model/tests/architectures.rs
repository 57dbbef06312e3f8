//! Every recipe of the conformance corpus: the architectures of the registry must give llama.cpp's logits, all others
//! must be refused by name.

mod common;

use std::path::PathBuf;

use common::recipes::{build, corpus};
use common::{Runner, batch, bits};
use happy_gguf::GgufFile;
use happy_kernels::Kernels;
use happy_model::{KvType, Model, arch};
use serde_json::Value;

fn base64(text: &str) -> Vec<u8> {
    let digit = |c: u8| match c {
        b'A'..=b'Z' => u32::from(c - b'A'),
        b'a'..=b'z' => u32::from(c - b'a') + 26,
        b'0'..=b'9' => u32::from(c - b'0') + 52,
        b'+' => 62,
        _ => 63,
    };
    let mut out = Vec::new();
    for four in text.as_bytes().chunks(4) {
        let n = four.iter().filter(|c| **c != b'=').count();
        let bits = four.iter().fold(0, |acc, c| acc << 6 | if *c == b'=' { 0 } else { digit(*c) });
        out.extend(bits.to_be_bytes().iter().skip(1).take(n - 1));
    }
    out
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|c| f32::from_le_bytes(c.try_into().unwrap())).collect()
}

/// The normalised mean squared error, and whether best tokens agree where the reference's are 0.01 apart.
fn compare(ours: &[Vec<f32>], reference: &[f32]) -> (f64, bool) {
    let (mut error, mut norm, mut same) = (0.0, 0.0, true);
    for (a, b) in ours.iter().zip(reference.chunks_exact(ours[0].len())) {
        for (a, b) in a.iter().zip(b) {
            error += (f64::from(*a) - f64::from(*b)).powi(2);
            norm += f64::from(*b).powi(2);
        }
        let best = |x: &[f32]| (0..x.len()).max_by(|i, j| x[*i].total_cmp(&x[*j])).unwrap();
        let top = best(b);
        let second =
            b.iter().enumerate().filter(|(i, _)| *i != top).map(|(_, x)| *x).fold(f32::MIN, f32::max);
        same &= b[top] - second <= 0.01 || best(a) == top;
    }
    (error / norm, same)
}

/// The logits of scalar code on one thread, the prompt cut into pieces of 7 tokens.
fn in_pieces(file: &GgufFile, tokens: &[u32]) -> Vec<Vec<f32>> {
    let mut runner = Runner::new(file, Kernels::scalar(), 1, KvType::F32, 4);
    let pieces = tokens.chunks(7).enumerate().map(|(i, piece)| runner.logits(&batch(piece, 7 * i as u32, 0)));
    pieces.flat_map(|rows| rows.unwrap_or_default()).collect()
}

#[test]
fn recipes() {
    let Some(folder) = corpus() else { return };
    let known: Vec<&str> = arch::registry().iter().map(|a| a.name()).collect();
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.retain(|f| f.extension().is_some_and(|e| e == "json"));
    files.sort();
    // An emulated CPU takes minutes for all of them: HAPPY_RECIPES=llama,gemma3 names some.
    let only = std::env::var("HAPPY_RECIPES").ok();
    if let Some(only) = &only {
        files.retain(|f| only.split(',').any(|name| f.file_stem().is_some_and(|stem| stem == name)));
        assert_eq!(
            files.len(),
            only.split(',').count(),
            "HAPPY_RECIPES names recipes that do not exist: {only}"
        );
        println!("only these recipes run: {only}");
    }
    let least = if only.is_some() { files.len() } else { 69 };
    let (mut passed, mut refused, mut failed) = (0, 0, Vec::new());
    for path in files {
        let recipe: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let name = recipe["name"].as_str().unwrap();
        let architecture = recipe["architecture"].as_str().unwrap();
        let file = build(&recipe);
        if !known.contains(&architecture) {
            let message = Model::load(&file, &Kernels::scalar()).map(|_| ()).map_err(|e| e.to_string());
            match message {
                Err(m) if m.contains("unsupported") && m.contains(architecture) => refused += 1,
                other => failed.push(format!("{name}: expected to be refused by name, found {other:?}")),
            }
            continue;
        }
        let tokens: Vec<u32> =
            recipe["tokens"].as_array().unwrap().iter().map(|t| t.as_u64().unwrap() as u32).collect();
        let reference = floats(&base64(recipe["logits_f32le_base64"].as_str().unwrap()));
        let message = Model::load(&file, &Kernels::scalar()).map(|_| ()).map_err(|e| e.to_string());
        if let Err(message) = message {
            failed.push(format!("{name}: does not load: {message}"));
            continue;
        }
        let mut runner = Runner::new(&file, Kernels::detect().unwrap(), 2, KvType::F32, 4);
        match runner.logits(&batch(&tokens, 0, 0)) {
            Ok(ours) => {
                let (nmse, same) = compare(&ours, &reference);
                println!("{name:32} nmse {nmse:9.2e}  best tokens {}", if same { "agree" } else { "differ" });
                if bits(&ours) != bits(&in_pieces(&file, &tokens)) {
                    failed.push(format!("{name}: chunks, one thread and scalar code give other bits"));
                } else if nmse <= 1e-5 && same {
                    passed += 1;
                } else {
                    failed.push(format!("{name}: nmse {nmse:.2e}, best tokens agree: {same}"));
                }
            }
            Err(e) => failed.push(format!("{name}: {e}")),
        }
    }
    println!("{passed} passed, {refused} unsupported, {} failed", failed.len());
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(passed >= least, "only {passed} recipes passed");
}
