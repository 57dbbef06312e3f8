//! `happy imatrix`: computes the mean squares of the inputs of a model's matrices, as an importance matrix in GGUF.
//!
//! ```text
//! NAME.in_sum2  f32 [columns, matrices]   sum of the squares of each column over all tokens
//! NAME.counts   f32 [1, matrices]         tokens
//! ```
//! This is the format of llama-imatrix. A tensor of experts has several matrices, each with the tokens that chose the expert.
//!
//! The inputs are what hooks can see: results of steps, and what experts read. Matrices whose input no hook sees (some of recurrent
//! layers) have no entry, and are quantized without weights.

use crate::error::{CliError, CliResult};
use crate::paths::{self, shown};
use crate::score::{ScoreArgs, Scorer};
use crate::{input, output};
use clap::Args;
use happy_gguf::{GgmlType, GgufWriter, WriteOptions};
use happy_kernels::{Mat, MatMut};
use happy_model::{ExpertInput, LayerHook, Value};
use happy_quantize::Mix;
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

/// What hooks see of a layer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Seen {
    /// The results of a step.
    Value(&'static str),
    /// What a matrix of experts is multiplied with.
    Experts(&'static str),
}
use Seen::{Experts, Value as Step};

/// Matrices of a layer, by where their input is seen. The first of these that the layer has counts. A shared expert may have the tensors
/// of a dense half, and norms of its own.
const INPUTS: [(&str, &[Seen]); 23] = [
    ("attn_q", &[Step("attn_norm")]),
    ("attn_k", &[Step("attn_norm")]),
    ("attn_v", &[Step("attn_norm")]),
    ("attn_qkv", &[Step("attn_norm")]),
    ("attn_gate", &[Step("attn_norm")]),
    ("ssm_in", &[Step("attn_norm")]),
    ("shortconv.in_proj", &[Step("attn_norm")]),
    // `attn_gated` comes after gates and norms, `attn_v_b` after the short rows of latent attention were expanded.
    ("attn_output", &[Step("attn_gated"), Step("attn_v_b"), Step("attn")]),
    ("ssm_out", &[Step("mixer_scan")]),
    ("shortconv.out_proj", &[Step("mixer_scan")]),
    ("ffn_gate", &[Experts("ffn_up_shexp"), Step("ffn_norm")]),
    ("ffn_up", &[Experts("ffn_up_shexp"), Step("ffn_norm")]),
    // Hooks see the result of the matrix `ffn_up` after the activation and its norm.
    ("ffn_down", &[Experts("ffn_down_shexp"), Step("ffn_up")]),
    ("ffn_gate_shexp", &[Experts("ffn_up_shexp")]),
    ("ffn_up_shexp", &[Experts("ffn_up_shexp")]),
    ("ffn_down_shexp", &[Experts("ffn_down_shexp")]),
    ("ffn_gate_exps", &[Experts("ffn_up_exps")]),
    ("ffn_up_exps", &[Experts("ffn_up_exps")]),
    ("ffn_gate_up_exps", &[Experts("ffn_up_exps")]),
    ("ffn_down_exps", &[Experts("ffn_down_exps")]),
    ("ffn_gate_chexps", &[Experts("ffn_up_chexps")]),
    ("ffn_up_chexps", &[Experts("ffn_up_chexps")]),
    ("ffn_down_chexps", &[Experts("ffn_down_chexps")]),
];

/// Sums of squares of the columns of some rows.
#[derive(Clone, Default)]
struct Sum {
    squares: Vec<f64>,
    rows: u64,
}

/// Adds up the squares of what matrices are multiplied with.
#[derive(Default)]
struct Sums {
    /// By layer and, for experts, their index.
    all: BTreeMap<(usize, Seen, usize), Sum>,
    no_memory: bool,
}

impl Sums {
    fn add(&mut self, (layer, seen, expert): (usize, Seen, usize), rows: Mat<'_>) {
        if !INPUTS.iter().any(|(_, inputs)| inputs.contains(&seen)) {
            return;
        }
        let sum = self.all.entry((layer, seen, expert)).or_default();
        let columns = rows.cols();
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
        for row in 0..rows.rows() {
            for (square, x) in sum.squares.iter_mut().zip(rows.row(row)) {
                *square += f64::from(*x) * f64::from(*x);
            }
        }
        sum.rows += rows.rows() as u64;
    }

    /// Returns the sums and the numbers of rows for `n` matrices of a tensor with so many columns, one after the other. A matrix that no
    /// token was multiplied with has zeros. `None` if nothing was seen.
    fn of(&self, layer: usize, part: &str, columns: usize, n: usize) -> Option<(Vec<f32>, Vec<f32>)> {
        let (_, inputs) = INPUTS.iter().find(|(matrix, _)| *matrix == part)?;
        let key = |seen: &Seen| (layer, *seen, 0)..=(layer, *seen, usize::MAX);
        let seen = inputs.iter().find(|seen| self.all.range(key(seen)).next().is_some())?;
        let (mut squares, mut rows) = (Vec::new(), Vec::new());
        for expert in 0..n {
            let sum = self.all.get(&(layer, *seen, expert));
            if sum.is_some_and(|sum| sum.squares.len() != columns) {
                return None;
            }
            rows.push(sum.map_or(0.0, |sum| sum.rows as f32));
            match sum {
                Some(sum) => squares.extend(sum.squares.iter().map(|x| *x as f32)),
                None => squares.resize(squares.len() + columns, 0.0),
            }
        }
        Some((squares, rows))
    }
}

impl LayerHook for Sums {
    fn after_layer(&mut self, _layer: usize, _hidden: MatMut<'_>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn sees_values(&self) -> bool {
        true
    }

    fn on_value(&mut self, value: &Value<'_>) {
        if let Some(layer) = value.layer {
            self.add((layer, Seen::Value(value.name), 0), value.rows);
        }
    }

    fn sees_expert_inputs(&self) -> bool {
        true
    }

    fn on_expert_input(&mut self, input: &ExpertInput<'_>) {
        self.add((input.layer, Experts(input.matrix), input.expert), input.rows);
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
    for (_, tensor) in files.tensors().filter(|(_, tensor)| Mix::covers(tensor)) {
        let Some((layer, part)) = part_of(tensor.name) else { continue };
        let [columns, _, n, 1] = tensor.dims.padded() else { continue };
        let Some((squares, rows)) = sums.of(layer, part, columns as usize, n as usize) else {
            missing.push(part);
            continue;
        };
        let bytes = |values: Vec<f32>| values.into_iter().flat_map(f32::to_le_bytes).collect::<Vec<u8>>();
        // A dimension of one matrix is left out, as in all GGUF files.
        let dims = if n > 1 { 2 } else { 1 };
        writer = writer
            .tensor(format!("{}.in_sum2", tensor.name), GgmlType::F32, &[columns, n][..dims], bytes(squares))
            .tensor(format!("{}.counts", tensor.name), GgmlType::F32, &[1, n][..dims], bytes(rows));
        found += 1;
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
