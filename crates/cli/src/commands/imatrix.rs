//! `happy imatrix`: computes the mean squares of the inputs of a model's matrices, as an importance matrix in GGUF.
//!
//! ```text
//! NAME.in_sum2  f32 [columns]   sum of the squares of each column over all tokens
//! NAME.counts   f32 [1]         tokens
//! ```
//! This is the format of llama-imatrix. The inputs are results of steps that hooks can see. Matrices whose input no
//! hook sees (experts, and some of recurrent layers) have no entry, and are quantized without weights.

use crate::error::{CliError, CliResult};
use crate::paths::{self, shown};
use crate::score::{ScoreArgs, Scorer};
use crate::{input, output};
use clap::Args;
use happy_gguf::{GgmlType, GgufWriter, WriteOptions};
use happy_kernels::MatMut;
use happy_model::{LayerHook, Value};
use serde_json::json;
use std::collections::BTreeMap;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  happy imatrix -m f16.gguf calibration.txt -o imatrix.gguf
  happy quantize f16.gguf q3.gguf --type Q3_K_M --imatrix imatrix.gguf";

/// Options of `happy imatrix`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ImatrixArgs {
    /// File with the text
    #[arg(value_name = "FILE")]
    text: PathBuf,
    /// The importance matrix to write
    #[arg(short, long, value_name = "FILE")]
    out: PathBuf,
    /// Number of tokens in a chunk
    #[arg(short, long, value_name = "N", default_value_t = 512)]
    ctx: usize,
    /// Replace the file if it exists
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    score: ScoreArgs,
}

/// Matrices of a layer, by the step whose results are their input. If a layer has several of these steps, the first
/// counts.
const INPUTS: [(&str, &[&str]); 13] = [
    ("attn_q", &["attn_norm"]),
    ("attn_k", &["attn_norm"]),
    ("attn_v", &["attn_norm"]),
    ("attn_qkv", &["attn_norm"]),
    ("attn_gate", &["attn_norm"]),
    ("ssm_in", &["attn_norm"]),
    ("shortconv.in_proj", &["attn_norm"]),
    ("attn_output", &["attn_gated", "attn"]),
    ("ffn_gate", &["ffn_norm"]),
    ("ffn_up", &["ffn_norm"]),
    ("ffn_gate_shexp", &["ffn_norm"]),
    ("ffn_up_shexp", &["ffn_norm"]),
    // Hooks see the result of the matrix `ffn_up` after the activation.
    ("ffn_down", &["ffn_up"]),
];

/// Norms between an input that hooks see and the matrix.
const BETWEEN: [(&str, &str); 2] = [("attn_output", "attn_sub_norm"), ("ffn_down", "ffn_sub_norm")];

/// Sums of squares of the columns of a step's results.
#[derive(Clone, Default)]
struct Sum {
    squares: Vec<f64>,
    rows: u64,
}

/// Adds up the squares of what steps compute.
#[derive(Default)]
struct Sums {
    all: BTreeMap<(usize, &'static str), Sum>,
    no_memory: bool,
}

impl LayerHook for Sums {
    fn after_layer(&mut self, _layer: usize, _hidden: MatMut<'_>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn sees_values(&self) -> bool {
        true
    }

    fn on_value(&mut self, value: &Value<'_>) {
        let known = INPUTS.iter().flat_map(|(_, names)| *names).find(|name| **name == value.name);
        let (Some(layer), Some(name)) = (value.layer, known) else { return };
        let sum = self.all.entry((layer, name)).or_default();
        let columns = value.rows.cols();
        if sum.squares.is_empty() {
            if sum.squares.try_reserve_exact(columns).is_err() {
                self.no_memory = true;
                return;
            }
            sum.squares.resize(columns, 0.0);
        }
        if sum.squares.len() != columns {
            return;
        }
        for row in 0..value.rows.rows() {
            for (square, x) in sum.squares.iter_mut().zip(value.rows.row(row)) {
                *square += f64::from(*x) * f64::from(*x);
            }
        }
        sum.rows += value.rows.rows() as u64;
    }
}

/// Runs the command.
pub(crate) fn run(args: &ImatrixArgs) -> CliResult {
    let text = input::read_text(&args.text)?;
    paths::check_output(&args.out, [args.text.as_path()], args.force)?;
    let mut scorer = Scorer::load(&args.score, args.ctx)?;
    let tokens = scorer.tokens_of(&args.text, &text, args.score.chunks)?;
    let chunks = tokens.len() / args.ctx;
    let bar = output::progress(chunks as u64, "chunks");
    let mut sums = Sums::default();
    let mut done: u32 = 0;
    for chunk in tokens.chunks_exact(args.ctx) {
        if !scorer.watch(chunk, &mut sums)? {
            break;
        }
        done += 1;
        bar.inc(1);
    }
    bar.finish_and_clear();
    if sums.no_memory {
        return Err(CliError::new("no memory for the sums of all columns"));
    }
    if scorer.is_interrupted() {
        // Tokens of an interrupted chunk count too, since a mean does not need whole chunks.
        output::note(&format!("[interrupted after {done} of {chunks} chunks]"));
    }
    let files = scorer.engine().files().view();
    let mut writer = GgufWriter::new()
        .kv("general.type", "imatrix")
        .kv("imatrix.datasets", vec![shown(&args.text)])
        .kv("imatrix.chunk_count", done)
        .kv("imatrix.chunk_size", u32::try_from(args.ctx).unwrap_or(u32::MAX));
    let (mut found, mut missing) = (0, Vec::new());
    for (_, tensor) in files.tensors().filter(|(_, tensor)| tensor.dims.len() > 1) {
        let Some((layer, part)) = part_of(tensor.name) else { continue };
        let between = BETWEEN.iter().find(|(matrix, _)| *matrix == part);
        let changed =
            between.is_some_and(|(_, norm)| files.tensor(&format!("blk.{layer}.{norm}.weight")).is_some());
        let names = INPUTS.iter().find(|(matrix, _)| *matrix == part).map_or(&[][..], |(_, names)| *names);
        let sum = names.iter().filter(|_| !changed).find_map(|name| sums.all.get(&(layer, *name)));
        match sum.filter(|sum| Some(&(sum.squares.len() as u64)) == tensor.dims.first()) {
            Some(Sum { squares, rows }) => {
                let bytes: Vec<u8> = squares.iter().flat_map(|x| (*x as f32).to_le_bytes()).collect();
                writer = writer
                    .tensor(format!("{}.in_sum2", tensor.name), GgmlType::F32, &[squares.len() as u64], bytes)
                    .tensor(
                        format!("{}.counts", tensor.name),
                        GgmlType::F32,
                        &[1],
                        (*rows as f32).to_le_bytes().to_vec(),
                    );
                found += 1;
            }
            None => missing.push(part),
        }
    }
    if found == 0 {
        return Err(CliError::new(
            "nothing was measured: the inputs of this architecture's matrices are not seen",
        ));
    }
    writer.write_file_with(&args.out, &WriteOptions { replace: args.force, ..WriteOptions::default() })?;
    missing.sort_unstable();
    missing.dedup();
    if args.score.json {
        let object = json!({ "matrices": found, "without": missing, "chunks": done, "context": args.ctx });
        let mut out = output::buffered(std::io::stdout().lock());
        writeln!(out, "{object}")?;
        out.flush()?;
        return Ok(());
    }
    let without = match missing.as_slice() {
        [] => String::new(),
        some => format!("; none for {}, which will be quantized without", some.join(", ")),
    };
    output::note(&format!("{}: {found} matrices{without}", shown(&args.out)));
    Ok(())
}

/// Splits a tensor's name into layer and part: `blk.3.attn_q.weight` is (3, `attn_q`).
fn part_of(name: &str) -> Option<(usize, &str)> {
    let (layer, part) = name.strip_prefix("blk.")?.split_once('.')?;
    Some((layer.parse().ok()?, part.strip_suffix(".weight")?))
}

#[cfg(test)]
mod tests {
    use super::part_of;

    #[test]
    fn names_of_tensors() {
        assert_eq!(part_of("blk.12.shortconv.in_proj.weight"), Some((12, "shortconv.in_proj")));
        for other in ["output.weight", "blk.x.attn_q.weight", "blk.1.attn_q.bias"] {
            assert_eq!(part_of(other), None, "{other}");
        }
    }
}
