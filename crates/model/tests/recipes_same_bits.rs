//! Every recipe of a registered architecture gives the same bits with any number of threads, in pieces of any size, on every instruction
//! set, and together with other sequences.

mod common;

use common::{Runner, batch, bits, recipes};
use happy_gguf::GgufFile;
use happy_kernels::{Isa, Kernels};
use happy_model::{Batch, KvType, Want, arch};

/// Returns the logits of `tokens`, computed in pieces.
fn rows(file: &GgufFile, kernels: Kernels, threads: usize, piece: usize, tokens: &[u32]) -> Vec<Vec<u32>> {
    let mut runner = Runner::new(file, kernels, threads, KvType::F32, 4);
    let mut all = Vec::new();
    for (i, part) in tokens.chunks(piece).enumerate() {
        all.extend(runner.logits(&batch(part, (i * piece) as u32, 0)).unwrap());
    }
    bits(&all)
}

/// Returns the logits of each of four sequences that are computed in one batch.
fn together(file: &GgufFile, kernels: Kernels, sequences: &[Vec<u32>; 4]) -> [Vec<Vec<u32>>; 4] {
    let mut runner = Runner::new(file, kernels, 2, KvType::F32, 8);
    let mut all = Batch::with_capacity(200);
    for (s, tokens) in sequences.iter().enumerate() {
        for (i, t) in tokens.iter().enumerate() {
            all.push(*t, i as u32, s as u32, Want::Logits).unwrap();
        }
    }
    let mut found = bits(&runner.logits(&all).unwrap()).into_iter();
    sequences.each_ref().map(|tokens| found.by_ref().take(tokens.len()).collect())
}

#[test]
fn every_recipe_has_the_same_bits_however_it_is_computed() {
    let best = Kernels::detect().unwrap();
    let others: Vec<Kernels> = Isa::ALL.iter().filter_map(|isa| Kernels::with_isa(*isa).ok()).collect();
    let others = || others.iter().filter(|kernels| kernels.isa != best.isa);
    let (mut failed, mut compared) = (Vec::new(), 0);
    for recipe in recipes::some() {
        if !arch::registry().iter().any(|a| recipe["architecture"] == a.name()) {
            continue;
        }
        let name = recipe["name"].as_str().unwrap();
        let tokens: Vec<u32> =
            recipe["tokens"].as_array().unwrap().iter().map(|t| t.as_u64().unwrap() as u32).collect();
        let file = recipes::build(&recipe);
        let expected = rows(&file, best, 1, tokens.len(), &tokens);
        for (threads, piece) in [(2, 7), (3, 1)] {
            if rows(&file, best, threads, piece, &tokens) != expected {
                failed.push(format!("{name}: {threads} threads, pieces of {piece}"));
            }
        }
        for kernels in others() {
            if rows(&file, *kernels, 3, 48, &tokens) != expected {
                failed.push(format!("{name}: {}", kernels.isa));
            }
        }
        let sequences = [0, 41, 33, 46].map(|skip| tokens[skip..].to_vec());
        for (i, found) in together(&file, best, &sequences).into_iter().enumerate() {
            // the first sequence has been computed alone
            let alone = if i == 0 { expected.clone() } else { rows(&file, best, 1, 48, &sequences[i]) };
            if found != alone {
                failed.push(format!("{name}: sequence {i} of a batch of four"));
            }
        }
        compared += 1;
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    println!("{compared} recipes");
    assert!(compared > 0, "no recipes");
}
