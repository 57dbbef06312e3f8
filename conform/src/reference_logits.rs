//! Corpus `reference-logits`: two real models, judged by their divergence from the dequantised model in f32.

use crate::data;
use crate::kl::{self, Position};
use crate::report::{Report, Verdict};
use crate::runner::{Runner, best};
use happy_gguf::GgufFile;
use happy_model::KvType;
use std::path::{Path, PathBuf};

/// Tokens of each position in `M.truth.bin` and `M.peer.bin`.
const TRUTH_TOKENS: usize = 256;
const PEER_TOKENS: usize = 512;

struct Reference {
    name: &'static str,
    file: &'static str,
    /// The most mean divergence: 1.1 times llama.cpp's, with an f32 and an f16 cache.
    max_f32: f64,
    max_f16: f64,
}

const MODELS: &[Reference] = &[
    Reference { name: "smollm2", file: "SmolLM2-135M-Instruct.Q4_1.gguf", max_f32: 0.0034, max_f16: 0.0035 },
    Reference { name: "gemma3", file: "gemma-3-270m-q4_k_m.gguf", max_f32: 0.0066, max_f16: 0.0066 },
];

pub(crate) fn run(folder: &Path, report: &mut Report) -> Result<(), String> {
    let models = std::env::var_os("HAPPY_MODELS")
        .map(PathBuf::from)
        .ok_or("HAPPY_MODELS is not set: run this through `cargo xtask conform`, which fetches the models")?;
    for model in MODELS {
        let path = models.join(model.file);
        let file = GgufFile::read(&path).map_err(|e| e.to_string())?;
        let cases = data::id_lines(&folder.join(format!("{}.cases", model.name)))?;
        let truth = kl::read(&folder.join(format!("{}.truth.bin", model.name)), TRUTH_TOKENS)?;
        let peer = kl::read(&folder.join(format!("{}.peer.bin", model.name)), PEER_TOKENS)?;
        let greedy = data::id_lines(&folder.join(format!("{}.greedy", model.name)))?;
        let counts = [cases.len(), truth.len(), peer.len(), greedy.len()];
        if counts.iter().any(|n| *n != cases.len()) {
            return Err(format!("{}: cases, truth, peer, greedy have {counts:?} entries", model.name));
        }
        let of_peer = divergences_of_file(&truth, &peer);
        report.notes.push(format!("{} llama.cpp:    {}", model.name, summary(&of_peer)));
        for (kind, name, limit) in [(KvType::F32, "f32", model.max_f32), (KvType::F16, "f16", model.max_f16)]
        {
            let mut line = String::new();
            report.case(&format!("{} {name} cache", model.name), || {
                judge(&file, kind, &cases, &truth, limit, &mut line).unwrap_or_else(Verdict::Failed)
            });
            report.notes.push(format!("{} {name} cache:    {line}", model.name));
        }
        report.notes.push(format!("{} greedy: {}", model.name, greedy_agreement(&file, &cases, &greedy)?));
    }
    Ok(())
}

/// Each position's divergence, and whether the best token is the truth's.
type Divergences = Vec<(f64, bool)>;

fn judge(
    file: &GgufFile,
    kind: KvType,
    cases: &[Vec<u32>],
    truth: &[Vec<Position>],
    limit: f64,
    line: &mut String,
) -> Result<Verdict, String> {
    let longest = cases.iter().map(Vec::len).max().unwrap_or(1);
    let mut runner = Runner::new(file, kind, longest)?;
    let mut all = Divergences::new();
    for (tokens, truth) in cases.iter().zip(truth) {
        runner.clear()?;
        let mut positions = truth.iter();
        runner.logits(tokens, |logits| {
            let Some(truth) = positions.next() else { return };
            let total = kl::logsumexp(logits);
            let ln_q =
                |token: u32| logits.get(token as usize).map_or(f64::NEG_INFINITY, |x| f64::from(*x) - total);
            let same = truth.best.first().is_some_and(|(token, _)| *token as usize == best(logits));
            all.push((kl::divergence(truth, ln_q), same));
        })?;
    }
    let expected: usize = truth.iter().map(Vec::len).sum();
    if all.len() != expected {
        return Err(format!("{} positions, expected {expected}", all.len()));
    }
    *line = summary(&all);
    let mean = mean(&all);
    if mean <= limit {
        Ok(Verdict::Passed)
    } else {
        Ok(Verdict::Failed(format!("mean divergence {mean:.6}, at most {limit}")))
    }
}

/// The same measure on a file of reference logits; a token that it does not list counts with its lowest listed logit.
fn divergences_of_file(truth: &[Vec<Position>], other: &[Vec<Position>]) -> Divergences {
    let pairs = truth.iter().flatten().zip(other.iter().flatten());
    pairs
        .map(|(truth, other)| {
            let ln_q = |token: u32| {
                let listed = other.best.iter().find(|(id, _)| *id == token).or(other.best.last());
                listed.map_or(f64::NEG_INFINITY, |(_, logit)| f64::from(*logit) - f64::from(other.logsumexp))
            };
            let same = truth.best.first().map(|(t, _)| t) == other.best.first().map(|(t, _)| t);
            (kl::divergence(truth, ln_q), same)
        })
        .collect()
}

fn mean(all: &Divergences) -> f64 {
    all.iter().map(|(kl, _)| kl).sum::<f64>() / all.len() as f64
}

fn summary(all: &Divergences) -> String {
    let mut sorted: Vec<f64> = all.iter().map(|(kl, _)| *kl).collect();
    sorted.sort_by(f64::total_cmp);
    let p99 = sorted
        .get((sorted.len() * 99 / 100).min(sorted.len().saturating_sub(1)))
        .copied()
        .unwrap_or(f64::NAN);
    let same = all.iter().filter(|(_, same)| *same).count();
    format!("mean KL {:.6}, 99th percentile {p99:.5}, same best token {same} / {}", mean(all), all.len())
}

/// How long greedy decoding follows the truth's 48 tokens after each case.
fn greedy_agreement(file: &GgufFile, cases: &[Vec<u32>], greedy: &[Vec<u32>]) -> Result<String, String> {
    let longest = cases.iter().zip(greedy).map(|(c, g)| c.len() + g.len()).max().unwrap_or(1);
    let mut runner = Runner::new(file, KvType::F32, longest)?;
    let (mut whole, mut followed, mut total) = (0, 0, 0);
    for (tokens, expected) in cases.iter().zip(greedy) {
        runner.clear()?;
        let mut next = 0;
        runner.logits(tokens, |logits| next = best(logits) as u32)?;
        let mut n = 0;
        for want in expected {
            if next != *want {
                break;
            }
            n += 1;
            runner.logits(&[next], |logits| next = best(logits) as u32)?;
        }
        followed += n;
        total += expected.len();
        whole += usize::from(n == expected.len());
    }
    Ok(format!(
        "{whole} of {} continuations are the truth's, {followed} of {total} tokens until the first other one",
        cases.len()
    ))
}
