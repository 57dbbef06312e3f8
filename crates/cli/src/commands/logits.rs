//! `happy logits`: writes the logits of token sequences to a binary file, or prints the file's hash.
//!
//! ```text
//! per case:      u32 positions, u32 n_vocab
//! per position:  f32 log of the sum of exp(logit), then K x (u32 token, f32 logit), best first     --top K
//!                n_vocab x f32                                                                     --full
//! ```
//!
//! All numbers are little-endian. Positions are written as they are computed, so the logits of a case are never all in
//! memory.

use crate::error::{CliError, CliResult};
use crate::load::{Kv, LoadArgs, LoraArgs, ModelArgs};
use crate::{input, load, output};
use clap::Args;
use happy_engine::{Cancel, Context, LoadOptions};
use happy_model::{Batch, NoHook, Want};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

/// Options of `happy logits`.
#[derive(Debug, Args)]
pub(crate) struct LogitsArgs {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    lora: LoraArgs,
    /// File of token sequences: one case per line, ids separated by white space; no special tokens are added
    #[arg(long, value_name = "CASES")]
    tokens: PathBuf,
    /// Cases to compute, counted from 1, and how many of their tokens: `1-5,9:600`
    #[arg(long, value_name = "LIST")]
    cases: Option<String>,
    /// File to write; needed unless --sha256 asks for the hash alone
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write the K best logits of each position
    #[arg(long, value_name = "K", default_value_t = 256, conflicts_with = "full")]
    top: usize,
    /// Write all logits of each position
    #[arg(long)]
    full: bool,
    /// Number of tokens in one pass
    #[arg(long, value_name = "N", default_value_t = 64)]
    chunk: usize,
    /// Number of sequences in one batch: the case and shifted copies of it
    #[arg(long, value_name = "N", default_value_t = 1)]
    parallel: usize,
    /// How the KV cache stores keys and values
    #[arg(long, default_value = "f32")]
    kv: Kv,
    /// Print the SHA-256 of what would be written
    #[arg(long)]
    sha256: bool,
    /// Size of the context in tokens [default: the length of the longest case]
    #[arg(short, long, value_name = "N")]
    ctx: Option<usize>,
    #[command(flatten)]
    load: LoadArgs,
}

/// A sequence of tokens.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Case {
    /// Its number in the file, from 1.
    number: usize,
    pub(super) ids: Vec<u32>,
}

/// Where results go.
struct Sink {
    file: Option<(BufWriter<File>, String)>,
    hash: Option<Sha256>,
}

impl Sink {
    fn write(&mut self, bytes: &[u8]) -> CliResult {
        if let Some((file, path)) = &mut self.file {
            file.write_all(bytes).map_err(|e| CliError::io("write", path, &e))?;
        }
        if let Some(hash) = &mut self.hash {
            hash.update(bytes);
        }
        Ok(())
    }
}

/// Runs the command.
pub(crate) fn run(args: &LogitsArgs) -> CliResult {
    for (what, n) in [("--chunk", args.chunk), ("--parallel", args.parallel), ("--top", args.top)] {
        if n == 0 {
            return Err(CliError::usage(format!("{what} is 0, expected at least 1")));
        }
    }
    if args.out.is_none() && !args.sha256 {
        return Err(CliError::usage(
            "there is nowhere to write to: give --out FILE, or --sha256 for the hash alone",
        ));
    }
    let text = input::read_text(&args.tokens)?;
    let cases = select(parse_cases(&text, &args.tokens.display().to_string())?, args.cases.as_deref())?;
    let longest = cases.iter().map(|c| c.ids.len()).max().unwrap_or(0);
    let chunk = args.chunk.min(longest);
    let options = LoadOptions {
        context: Some(args.ctx.unwrap_or(longest)),
        kv: args.kv.into(),
        sequences: args.parallel,
        batch: chunk.saturating_mul(args.parallel),
        outputs: Some(chunk),
        ..args.load.options()
    };
    let options = args.lora.of(options);
    let engine = load::engine(&args.model, &options, &output::note)?;
    let n_vocab = engine.model().n_vocab();
    for Case { number, ids } in &cases {
        if let Some((at, id)) = ids.iter().enumerate().find(|(_, id)| **id as usize >= n_vocab) {
            return Err(CliError::new(format!(
                "case {number} has token id {id} at place {at}, the model's ids are 0 to {}",
                n_vocab.saturating_sub(1)
            )));
        }
        let (n, most) = (ids.len(), engine.plan().context);
        if n > most {
            return Err(CliError::new(format!("case {number} has {n} tokens, the context holds {most}")));
        }
    }
    let mut sink = Sink { file: None, hash: args.sha256.then(Sha256::new) };
    if let Some(path) = &args.out {
        let path = path.display().to_string();
        let file = File::create(&path).map_err(|e| CliError::io("create", &path, &e))?;
        sink.file = Some((output::buffered(file), path));
    }
    let mut context = engine.context()?;
    let bar = output::progress(cases.iter().map(|c| c.ids.len() as u64).sum(), "tokens");
    for case in &cases {
        write_case(args, chunk, &mut context, &case.ids, &mut sink, &bar)?;
    }
    bar.finish_and_clear();
    if let Some((mut file, path)) = sink.file {
        file.flush().map_err(|e| CliError::io("write", path, &e))?;
    }
    if let Some(hash) = sink.hash {
        let digest: String = hash.finalize().iter().map(|b| format!("{b:02x}")).collect();
        writeln!(std::io::stdout(), "{digest}")?;
    }
    Ok(())
}

/// Returns by how much a copy of the case is shifted. The case itself, in the middle, is not shifted.
fn shift_of(copy: usize, parallel: usize) -> usize {
    (copy + parallel - parallel / 2) % parallel
}

/// Returns a token of a copy.
fn token_of(case: &[u32], position: usize, shift: usize) -> u32 {
    case[(position + shift * 7) % case.len()]
}

/// Computes a case chunk by chunk and writes every position.
fn write_case(
    args: &LogitsArgs,
    chunk_len: usize,
    context: &mut Context,
    case: &[u32],
    sink: &mut Sink,
    bar: &indicatif::ProgressBar,
) -> CliResult {
    let n_vocab = context.engine().model().n_vocab();
    for sequence in 0..args.parallel as u32 {
        context.truncate(sequence, 0)?;
        // An activated adapter begins where its tokens are in the whole case.
        let shift = shift_of(sequence as usize, args.parallel);
        let ids: Vec<u32> = (0..case.len()).map(|position| token_of(case, position, shift)).collect();
        context.invoke(sequence, &ids, &Cancel::new())?;
    }
    sink.write(&(case.len() as u32).to_le_bytes())?;
    sink.write(&(n_vocab as u32).to_le_bytes())?;
    let mut batch = Batch::with_capacity(chunk_len.saturating_mul(args.parallel));
    let mut row = Vec::new();
    for (c, chunk) in case.chunks(chunk_len).enumerate() {
        batch.clear();
        // The case is between copies that begin elsewhere, so that no neighbor computes the same.
        let first_row = (args.parallel / 2) * chunk.len();
        for copy in 0..args.parallel {
            let shift = shift_of(copy, args.parallel);
            for (i, _) in chunk.iter().enumerate() {
                let position = c * chunk_len + i;
                let token = token_of(case, position, shift);
                let want = if copy == args.parallel / 2 { Want::Logits } else { Want::Nothing };
                batch.push(token, position as u32, copy as u32, want)?;
            }
        }
        let output = context.forward(&batch, &Cancel::new(), &mut NoHook)?;
        for i in 0..chunk.len() {
            let logits = output.logits(first_row + i).unwrap_or(&[]);
            encode(logits, (!args.full).then_some(args.top), &mut row);
            sink.write(&row)?;
        }
        bar.inc(chunk.len() as u64);
    }
    Ok(())
}

/// Writes one position in the form of the file.
fn encode(logits: &[f32], top: Option<usize>, row: &mut Vec<u8>) {
    row.clear();
    let Some(top) = top else {
        row.extend(logits.iter().flat_map(|l| l.to_le_bytes()));
        return;
    };
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|l| libm::exp(f64::from(*l) - f64::from(max))).sum();
    row.extend(((f64::from(max) + libm::log(sum)) as f32).to_le_bytes());
    let mut ids: Vec<u32> = (0..logits.len() as u32).collect();
    let better = |a: &u32, b: &u32| logits[*b as usize].total_cmp(&logits[*a as usize]).then(a.cmp(b));
    let top = top.min(ids.len());
    if top < ids.len() {
        ids.select_nth_unstable_by(top, better);
        ids.truncate(top);
    }
    ids.sort_unstable_by(better);
    for id in ids {
        row.extend(id.to_le_bytes());
        row.extend(logits[id as usize].to_le_bytes());
    }
}

/// Reads the cases of a file.
pub(super) fn parse_cases(text: &str, path: &str) -> CliResult<Vec<Case>> {
    let mut cases = Vec::new();
    for (i, line) in text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty()) {
        let ids: Result<Vec<u32>, _> = line
            .split_whitespace()
            .map(|word| {
                word.parse().map_err(|_| {
                    CliError::new(format!("line {} of `{path}` has {word:?}, expected a token id", i + 1))
                })
            })
            .collect();
        cases.push(Case { number: cases.len() + 1, ids: ids? });
    }
    if cases.is_empty() {
        return Err(CliError::new(format!("`{path}` has no cases, expected a line of token ids for each")));
    }
    Ok(cases)
}

/// Returns the cases that a list like `1-5,9:600` names.
fn select(cases: Vec<Case>, list: Option<&str>) -> CliResult<Vec<Case>> {
    let Some(list) = list else { return Ok(cases) };
    let bad = |part: &str| {
        let n = cases.len();
        CliError::usage(format!(
            "--cases has {part:?}, expected N, N-M or N:TOKENS with numbers from 1 to {n}"
        ))
    };
    let mut selected = Vec::new();
    for part in list.split(',') {
        let (range, most) = part.split_once(':').map_or((part, None), |(r, m)| (r, Some(m)));
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let number = |s: &str| s.trim().parse::<usize>().map_err(|_| bad(part));
        let (first, last) = (number(first)?, number(last)?);
        let most = most.map(number).transpose()?.unwrap_or(usize::MAX);
        if first == 0 || last > cases.len() || first > last || most == 0 {
            return Err(bad(part));
        }
        selected.extend(cases[first - 1..last].iter().cloned().map(|mut case| {
            case.ids.truncate(most);
            case
        }));
    }
    Ok(selected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selects_cases() {
        let cases = || parse_cases("1\n\n2 2\n3 3 3\n", "x").map_err(|e| e.to_string());
        let pick = |list: &str| {
            let picked = select(cases()?, Some(list)).map_err(|e| e.to_string())?;
            Ok(picked.into_iter().map(|c| (c.number, c.ids)).collect::<Vec<_>>())
        };
        assert_eq!(pick("1-2"), Ok(vec![(1, vec![1]), (2, vec![2, 2])]));
        assert_eq!(pick("3:2,1"), Ok(vec![(3, vec![3, 3]), (1, vec![1])]));
        for wrong in ["0", "4", "2-1", "x", "1:0", "", "1-"] {
            assert!(pick(wrong).is_err_and(|e: String| e.contains("--cases")), "{wrong}");
        }
        assert_eq!(select(cases().unwrap_or_default(), None).map_err(|e| e.to_string()), cases());
    }

    #[test]
    fn best_first_and_ties_to_the_lower_id() {
        let mut row = Vec::new();
        encode(&[0.0, 2.0, -1.0, 2.0], Some(3), &mut row);
        let words: Vec<[u8; 4]> = row.as_chunks::<4>().0.to_vec();
        let ids: Vec<u32> = words[1..].iter().step_by(2).map(|w| u32::from_le_bytes(*w)).collect();
        assert_eq!(ids, [1, 3, 0]);
        let expected = (2.0f64.exp() * 2.0 + 1.0 + (-1.0f64).exp()).ln() as f32;
        assert!((f32::from_le_bytes(words[0]) - expected).abs() < 1e-6);
    }
}
