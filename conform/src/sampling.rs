//! Corpus `sampling`: llama.cpp's own cases, its queue of truncation steps, and its results on random logits.

use crate::data;
use crate::report::{Report, Verdict};
use happy_sampler::{Candidates, Step, StepSpec};
use happy_testkit::Corpus;
use serde::Deserialize;

/// A number, or "-inf", which JSON lacks.
#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Finite(f32),
    Word(Infinite),
}

#[derive(Deserialize)]
enum Infinite {
    #[serde(rename = "-inf")]
    Negative,
}

impl Number {
    fn value(&self) -> f32 {
        match self {
            Self::Finite(x) => *x,
            Self::Word(Infinite::Negative) => f32::NEG_INFINITY,
        }
    }
}

#[derive(Deserialize)]
struct UpstreamCase {
    id: String,
    sampler: String,
    probs: Vec<f32>,
    expect: Vec<f32>,
    expect_ids: Vec<u32>,
    steps: Vec<StepSpec>,
    softmax_after: bool,
    history: Vec<u32>,
}

#[derive(Deserialize)]
struct QueueCase {
    id: String,
    n_vocab: u32,
    after: Vec<After>,
}

/// What is left after a step of the queue.
#[derive(Deserialize)]
struct After {
    step: StepSpec,
    size: usize,
    min_id: u32,
    max_id: u32,
    contiguous: bool,
}

#[derive(Deserialize)]
struct OracleCase {
    id: String,
    kind: String,
    logits: Vec<Number>,
    history: Vec<u32>,
    steps: Vec<StepSpec>,
    ids: Vec<u32>,
    out_logits: Vec<Number>,
    p: Vec<f32>,
    ties: bool,
}

pub(crate) fn run(corpus: &Corpus, report: &mut Report) -> Result<(), String> {
    let files = corpus.open("sampling")?;
    let upstream_cases: Vec<UpstreamCase> = data::json(&files, "upstream_cases.json")?;
    let queues: Vec<QueueCase> = data::json(&files, "upstream_queue.json")?;
    let oracles: Vec<OracleCase> = data::json_lines(&files, "oracle_cases.jsonl.gz")?;
    report.holds(upstream_cases.len() + queues.len() + oracles.len());
    for case in upstream_cases {
        report.case(&format!("{} {}", case.id, case.sampler), || {
            upstream(&case).unwrap_or_else(|verdict| verdict)
        });
    }
    for case in queues {
        report.case(&case.id, || queue(&case).unwrap_or_else(|verdict| verdict));
    }
    for case in oracles {
        report
            .case(&format!("{} {}", case.id, case.kind), || oracle(&case).unwrap_or_else(|verdict| verdict));
    }
    Ok(())
}

fn build(spec: &StepSpec) -> Result<Box<dyn Step>, Verdict> {
    spec.build().map_err(|e| Verdict::Failed(e.to_string()))
}

fn fill(logits: &[f32]) -> Result<Candidates, Verdict> {
    let mut candidates = Candidates::new();
    candidates.fill(logits).map_err(|e| Verdict::Failed(e.to_string()))?;
    Ok(candidates)
}

/// Returns the candidates after the steps, and whether the reference's result is undefined: its typical step computes p
/// ln p as NaN if p is 0, and then the candidates that it keeps depend on how its sort orders values that cannot be
/// compared.
fn apply(logits: &[f32], steps: &[StepSpec], history: &[u32]) -> Result<(Candidates, bool), Verdict> {
    let mut candidates = fill(logits)?;
    let mut undefined = false;
    let mut built = steps.iter().map(build).collect::<Result<Vec<_>, _>>()?;
    for token in history {
        built.iter_mut().for_each(|step| step.accept(*token));
    }
    for (step, spec) in built.iter_mut().zip(steps) {
        if matches!(spec, StepSpec::Typical(typical) if typical.p < 1.0) {
            candidates.softmax();
            undefined |= candidates.as_slice().iter().any(|c| c.p == 0.0);
        }
        step.apply(&mut candidates);
    }
    Ok((candidates, undefined))
}

fn near(a: f32, b: f32, tolerance: f32) -> bool {
    a == b || (a - b).abs() <= tolerance * b.abs().max(1.0)
}

/// Checks probabilities in llama.cpp's order.
fn upstream(case: &UpstreamCase) -> Result<Verdict, Verdict> {
    let logits: Vec<f32> = case.probs.iter().map(|p| f64::from(*p).ln() as f32).collect();
    let (mut candidates, _) = apply(&logits, &case.steps, &case.history)?;
    // If a step computed no probabilities, those of the input are compared.
    if case.softmax_after || candidates.as_slice().iter().all(|c| c.p == 0.0) {
        candidates.softmax();
    }
    let mut found: Vec<(u32, f32)> = candidates.as_slice().iter().map(|c| (c.id, c.p)).collect();
    // llama.cpp sorts this list in place of the ids; its own test compares only values.
    if case.sampler == "temp_ext" {
        found.sort_by_key(|(id, _)| *id);
    }
    let same = found.len() == case.expect.len()
        && found
            .iter()
            .zip(case.expect_ids.iter().zip(&case.expect))
            .all(|((id, p), (want, q))| id == want && near(*p, *q, 1e-5));
    if same {
        return Ok(Verdict::Passed);
    }
    Ok(Verdict::Failed(format!("{found:?}, expected {:?} {:?}", case.expect_ids, case.expect)))
}

/// Checks which ids are left after each step of a chain over logit(i) = ln(i).
fn queue(case: &QueueCase) -> Result<Verdict, Verdict> {
    let logits: Vec<f32> = (0..case.n_vocab).map(|i| f64::from(i).ln() as f32).collect();
    let mut candidates = fill(&logits)?;
    for after in &case.after {
        build(&after.step)?.apply(&mut candidates);
        let ids = || candidates.iter().map(|(id, _)| id);
        let found = (ids().count(), ids().min().unwrap_or(0), ids().max().unwrap_or(0));
        let contiguous = (found.2 - found.1) as usize + 1 == found.0;
        let found = (found.0, found.1, found.2, contiguous);
        let expected = (after.size, after.min_id, after.max_id, after.contiguous);
        if found != expected {
            return Ok(Verdict::Failed(format!(
                "count, least and greatest id, contiguous: {found:?}, expected {expected:?}"
            )));
        }
    }
    Ok(Verdict::Passed)
}

/// Checks random logits: the tokens that are kept, their logits, their probabilities.
fn oracle(case: &OracleCase) -> Result<Verdict, Verdict> {
    let logits: Vec<f32> = case.logits.iter().map(Number::value).collect();
    let (mut candidates, undefined) = apply(&logits, &case.steps, &case.history)?;
    candidates.softmax();
    let mut found: Vec<(u32, f32, f32)> =
        candidates.as_slice().iter().map(|c| (c.id, c.logit, c.p)).collect();
    found.sort_by_key(|(id, ..)| *id);
    let mut p: Vec<f32> = found.iter().map(|(.., p)| *p).collect();
    let mut expected_p = case.p.clone();
    let same_tokens = if case.ties {
        // Which of several equal ones is kept depends on the implementation.
        p.sort_by(f32::total_cmp);
        expected_p.sort_by(f32::total_cmp);
        true
    } else {
        found.iter().map(|(id, ..)| id).eq(&case.ids)
            && found
                .iter()
                .zip(&case.out_logits)
                .all(|((_, logit, _), want)| near(*logit, want.value(), 2e-5))
    };
    if same_tokens
        && p.len() == expected_p.len()
        && p.iter().zip(&expected_p).all(|(a, b)| near(*a, *b, 1e-5))
    {
        return Ok(Verdict::Passed);
    }
    if undefined {
        return Ok(Verdict::Unsupported(
            "the reference's result is undefined (NaN in its typical step)".into(),
        ));
    }
    Ok(Verdict::Failed(format!("{} tokens, expected {}", found.len(), case.ids.len())))
}
