//! Corpus `architectures`: small models of every architecture of llama.cpp and the logits that they must give.

use crate::data;
use crate::recipe::Recipe;
use crate::report::{Report, Verdict};
use crate::runner::{Runner, best};
use happy_model::KvType;
use std::fs;
use std::path::Path;

/// Normalised mean squared error that still passes.
const MAX_NMSE: f64 = 1e-5;
/// Where the reference's best two logits are further apart, the best token must be the same.
const CLEAR_LEAD: f32 = 0.01;

/// The architectures that must load: a loader that calls one of these unsupported has failed.
const PROMISED: &[&str] = &[
    "llama",
    "mistral3",
    "qwen2",
    "qwen3",
    "gemma",
    "gemma2",
    "gemma3",
    "phi3",
    "smollm3",
    "granite",
    "olmo2",
    "stablelm",
    "qwen2moe",
    "qwen3moe",
    "olmoe",
    "granitemoe",
    "phimoe",
    "gpt-oss",
];

pub(crate) fn run(folder: &Path, report: &mut Report) -> Result<(), String> {
    let entries = fs::read_dir(folder).map_err(|e| format!("cannot read {}: {e}", folder.display()))?;
    let mut paths: Vec<_> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|p| p.extension().is_some_and(|e| e == "json"))
        .collect();
    paths.sort();
    let mut worst = (0.0, String::new());
    for path in paths {
        let recipe: Recipe = data::json(&path)?;
        report.case(&recipe.name, || judge(&recipe, &mut worst).unwrap_or_else(Verdict::Failed));
    }
    report.notes.push(format!("greatest error of those that passed: {:.1e} ({})", worst.0, worst.1));
    Ok(())
}

fn judge(recipe: &Recipe, worst: &mut (f64, String)) -> Result<Verdict, String> {
    let file = recipe.build()?;
    let mut runner = match Runner::new(&file, KvType::F32, recipe.tokens.len()) {
        Ok(runner) => runner,
        Err(message)
            if !PROMISED.contains(&recipe.architecture.as_str()) && message.contains("unsupported") =>
        {
            return Ok(if message.contains(&recipe.architecture) {
                Verdict::Unsupported("architecture".into())
            } else {
                Verdict::Failed(format!(
                    "unsupported, but the message does not name the architecture: {message}"
                ))
            });
        }
        Err(message) => return Err(format!("does not load: {message}")),
    };
    let bytes = data::base64(&recipe.logits_f32le_base64).ok_or("bad base64 in the recipe")?;
    let reference = data::f32_values(&bytes);
    if reference.len() != recipe.tokens.len() * recipe.n_vocab || runner.n_vocab() != recipe.n_vocab {
        return Err(format!("n_vocab {}, the recipe's {}", runner.n_vocab(), recipe.n_vocab));
    }
    let mut rows = reference.chunks_exact(recipe.n_vocab);
    let (mut error, mut norm, mut other_best) = (0.0, 0.0, 0);
    runner.logits(&recipe.tokens, |ours| {
        let theirs = rows.next().unwrap_or(&[]);
        for (a, b) in ours.iter().zip(theirs) {
            error += (f64::from(*a) - f64::from(*b)).powi(2);
            norm += f64::from(*b).powi(2);
        }
        let top = best(theirs);
        let lead = theirs
            .iter()
            .enumerate()
            .filter(|(i, _)| *i != top)
            .map(|(_, x)| theirs[top] - x)
            .fold(f32::INFINITY, f32::min);
        other_best += usize::from(lead > CLEAR_LEAD && best(ours) != top);
    })?;
    let nmse = error / norm;
    if nmse.is_nan() || nmse > MAX_NMSE {
        return Ok(Verdict::Failed(format!("error {nmse:.1e}, at most {MAX_NMSE:.0e}")));
    }
    if other_best > 0 {
        return Ok(Verdict::Failed(format!(
            "{other_best} positions with another best token, error {nmse:.1e}"
        )));
    }
    if nmse >= worst.0 {
        *worst = (nmse, recipe.name.clone());
    }
    Ok(Verdict::Passed)
}
