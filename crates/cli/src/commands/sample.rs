//! `happy sample`: runs sampling steps over rows of logits, to compare samplers. It needs no model.

use crate::error::{CliError, CliResult};
use crate::input::StdinLines;
use crate::output;
use clap::Args;
use happy_sampler::{Candidates, SamplerError, StepSpec};
use happy_tokenizer::TokenId;
use serde::{Deserialize, Serialize};
use std::fmt::Display;
use std::io::Write;

/// The description of the lines in `--help`.
const LINES: &str = "\
A line of input: {\"logits\": [..], \"history\": [..], \"steps\": [{\"type\": \"top_k\", \"k\": 40}, ..]}.
Logits: one for each token; \"-inf\" excludes the token. History: tokens that were accepted before;
may be left out. Other fields are ignored. A line of output: {\"ids\": [..], \"p\": [..]}: the tokens
that the steps leave, in ascending order, and their probabilities.

Steps: top_k (k); top_p, min_p, typical (p, min_keep); temp (t); temp_ext (t, delta, exponent);
xtc (probability, threshold, min_keep, seed); top_n_sigma (n); penalties (last_n, repeat, freq,
present); dry (multiplier, base, allowed_length, last_n, breakers: lists of tokens); logit_bias
(bias: [[token, number], ..]).";

/// Options of `happy sample`.
#[derive(Debug, Args)]
#[command(after_help = LINES)]
pub(crate) struct SampleArgs {}

/// A line of input.
#[derive(Deserialize)]
struct Line {
    logits: Vec<Logit>,
    #[serde(default)]
    history: Vec<TokenId>,
    #[serde(default)]
    steps: Vec<StepSpec>,
}

/// A number, or a value that JSON cannot express as a number.
#[derive(Clone, Copy, Deserialize)]
#[serde(untagged, expecting = "a logit must be a number or \"-inf\"")]
enum Logit {
    Number(f32),
    Word(Word),
}

#[derive(Clone, Copy, Deserialize)]
enum Word {
    #[serde(rename = "-inf")]
    Excluded,
}

impl From<Logit> for f32 {
    fn from(logit: Logit) -> f32 {
        match logit {
            Logit::Number(x) => x,
            Logit::Word(Word::Excluded) => f32::NEG_INFINITY,
        }
    }
}

/// A line of output.
#[derive(Serialize)]
struct Left {
    ids: Vec<TokenId>,
    p: Vec<f32>,
}

/// Runs the command.
pub(crate) fn run(_: &SampleArgs) -> CliResult {
    let mut out = output::buffered(std::io::stdout().lock());
    let (mut lines, mut candidates) = (StdinLines::default(), Candidates::new());
    while let Some((number, line)) = lines.next()? {
        if line.trim().is_empty() {
            continue;
        }
        let at = |e: &dyn Display| CliError::new(format!("line {number} of standard input: {e}"));
        let line: Line = serde_json::from_str(&line).map_err(|e| {
            at(&format!("expected {{\"logits\": [..], \"history\": [..], \"steps\": [..]}}: {e}"))
        })?;
        let left = apply(&line, &mut candidates).map_err(|e| at(&e))?;
        serde_json::to_writer(&mut out, &left)?;
        writeln!(out)?;
        // Flushed, because a program may wait for this answer before it sends the next line.
        out.flush()?;
    }
    Ok(())
}

/// Returns the candidates of a row that the steps keep.
fn apply(line: &Line, candidates: &mut Candidates) -> Result<Left, SamplerError> {
    let logits: Vec<f32> = line.logits.iter().map(|l| f32::from(*l)).collect();
    candidates.fill(&logits)?;
    let mut steps = line.steps.iter().map(StepSpec::build).collect::<Result<Vec<_>, _>>()?;
    for token in &line.history {
        steps.iter_mut().for_each(|step| step.accept(*token));
    }
    steps.iter_mut().for_each(|step| step.apply(candidates));
    candidates.softmax();
    let items = candidates.as_mut_slice();
    items.sort_unstable_by_key(|c| c.id);
    Ok(Left { ids: items.iter().map(|c| c.id).collect(), p: items.iter().map(|c| c.p).collect() })
}
