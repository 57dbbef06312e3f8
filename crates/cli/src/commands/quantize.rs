//! `happy quantize`: writes a model with its matrices in other types.

use crate::error::{CliError, CliResult};
use crate::paths::{AccessArgs, check_output, shown};
use crate::{interrupt, models, output};
use clap::Args;
use happy_gguf::{GgufSetReader, Limits};
use happy_quantize::{
    Imatrix, Mix, Override, Plan, QuantizeError, QuantizeErrorKind, Quantizer, RunOptions, TensorPlan,
};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;

/// Options of `happy quantize`.
#[derive(Debug, Args)]
pub(crate) struct QuantizeArgs {
    /// GGUF file to read: a path or a name, as `happy run -m` takes it; any part of a split model
    input: OsString,
    /// GGUF file to write
    output: PathBuf,
    /// Mix of types: Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K, Q2_K_S, Q3_K_S .. Q3_K_L, Q4_K_S, Q4_K_M, Q5_K_S, Q5_K_M, Q6_K,
    /// IQ1_S, IQ1_M, IQ2_XXS .. IQ2_M, IQ3_XXS .. IQ3_M, IQ4_NL, IQ4_XS, TQ1_0, TQ2_0, Q1_0, Q2_0, MXFP4_MOE, F16, BF16
    #[arg(long = "type", value_name = "TYPE")]
    mix: Mix,
    /// Give every matrix the type that the mix is named after, even the important ones
    #[arg(long)]
    pure: bool,
    /// Importance matrix: a GGUF file or one of the older format
    #[arg(long, value_name = "FILE")]
    imatrix: Option<PathBuf>,
    /// A type for tensors whose name contains PATTERN, in which `*` stands for anything; the first match counts
    #[arg(long = "tensor", value_name = "PATTERN=TYPE")]
    tensors: Vec<Override>,
    /// Also encode tensors that are encoded already, which loses more than encoding the original would
    #[arg(long)]
    allow_requantize: bool,
    /// Replace the output if it exists
    #[arg(long)]
    force: bool,
    /// Number of threads [default: the number of cores]
    #[arg(short, long, value_name = "N")]
    threads: Option<usize>,
    #[command(flatten)]
    access: AccessArgs,
}

/// Runs the command.
pub(crate) fn run(args: &QuantizeArgs) -> CliResult {
    let model = GgufSetReader::open(models::resolve(&args.input)?, &Limits::default())?;
    check_output(&args.output, model.paths(), args.force)?;
    let mut quantizer = Quantizer::new(args.mix).requantize(args.allow_requantize).pure(args.pure);
    for rule in &args.tensors {
        quantizer = quantizer.with_override(rule.clone());
    }
    if let Some(path) = &args.imatrix {
        quantizer = quantizer.with_imatrix(Imatrix::read(path)?);
    }
    let plan = quantizer.plan(&model).map_err(refused)?;
    interrupt::remove_unfinished_files()?;
    let bar = output::progress(plan.tensors().iter().map(|t| t.info.byte_len()).sum(), "quantizing");
    let progress = |p: &happy_quantize::Progress<'_>| {
        bar.set_position(p.done);
        if let (0, Some((from, to))) = (p.tensor_done, p.tensor.encoded()) {
            bar.suspend(|| output::note(&format!("{:32} {from:>7} -> {to:7}", p.tensor.info.name)));
        }
    };
    let defaults = RunOptions::default();
    let threads = args.threads.unwrap_or(defaults.threads);
    let options = RunOptions { threads, replace: args.force, progress: &progress, ..defaults };
    let bytes = plan.write_file(&args.output, &options)?;
    bar.finish_and_clear();
    let before = model.file_len()?;
    output::note(&format!(
        "{}: {} of {} tensors encoded, {} -> {}",
        shown(&args.output),
        plan.tensors().iter().filter(|t| t.encoded().is_some()).count(),
        plan.tensors().len(),
        output::human_bytes(before),
        output::human_bytes(bytes)
    ));
    if let Some(replacements) = replacements(&plan) {
        let grew = if bytes > before { "; the file grew" } else { "" };
        output::note(&format!("{replacements}{grew}"));
    }
    Ok(())
}

/// Errors that other arguments would avoid are errors of usage.
fn refused(error: QuantizeError) -> CliError {
    match error.kind() {
        QuantizeErrorKind::AlreadyQuantized => {
            CliError::usage(format!("{error}; --allow-requantize does it"))
        }
        QuantizeErrorKind::UnusedOverride => CliError::usage(error.to_string()),
        _ => error.into(),
    }
}

/// Says in one sentence which types were used instead of those whose blocks do not fit.
fn replacements(plan: &Plan<'_>) -> Option<String> {
    let covered = || plan.tensors().iter().filter(|t| t.to.is_some());
    let is_replaced = |t: &&TensorPlan<'_>| t.to != t.asked;
    let pair = |t: &TensorPlan<'_>| Some(format!("{} instead of {}", t.to?, t.asked?));
    let pairs: BTreeSet<String> = covered().filter(is_replaced).filter_map(pair).collect();
    let pairs: Vec<String> = pairs.into_iter().collect();
    (!pairs.is_empty()).then(|| {
        let (n, all) = (covered().filter(is_replaced).count(), covered().count());
        format!("{n} of {all} matrices have rows that are not whole blocks and got {}", pairs.join(", "))
    })
}
