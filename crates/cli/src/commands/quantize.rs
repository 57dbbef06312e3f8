//! `happy quantize`: writes a model with its matrices in other types.

use crate::error::{CliError, CliResult};
use crate::paths::{AccessArgs, check_output, shown};
use crate::quantize::imatrix::Imatrix;
use crate::quantize::mix::{self, Mix, Override, dtype_of};
use crate::quantize::write::write;
use crate::{interrupt, models, output};
use clap::Args;
use happy_gguf::{GgufSetReader, Limits, WriteOptions};
use happy_kernels::Pool;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Options of `happy quantize`.
#[derive(Debug, Args)]
pub(crate) struct QuantizeArgs {
    /// GGUF file to read: a path, or a known name; of a split model any part
    input: OsString,
    /// GGUF file to write
    output: PathBuf,
    /// Mix of types: Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K, Q2_K_S, Q3_K_S .. Q3_K_L, Q4_K_S, Q4_K_M, Q5_K_S, Q5_K_M, Q6_K
    #[arg(long = "type", value_name = "TYPE")]
    mix: Mix,
    /// Importance matrix: a GGUF file or one of the older format
    #[arg(long, value_name = "FILE")]
    imatrix: Option<PathBuf>,
    /// A type for tensors whose name contains PATTERN, in which `*` stands for anything; the first that fits counts
    #[arg(long = "tensor", value_name = "PATTERN=TYPE")]
    tensors: Vec<Override>,
    /// Also encode tensors that are encoded already, which loses more than encoding the original would
    #[arg(long)]
    allow_requantize: bool,
    /// Replace the output if it exists
    #[arg(long)]
    force: bool,
    /// Threads [default: the number of cores]
    #[arg(short, long, value_name = "N")]
    threads: Option<usize>,
    #[command(flatten)]
    access: AccessArgs,
}

/// Runs the command.
pub(crate) fn run(args: &QuantizeArgs) -> CliResult {
    let model = GgufSetReader::open(models::resolve(&args.input)?, &Limits::default())?;
    check_output(&args.output, model.paths(), args.force)?;
    let gguf = model.view();
    let imatrix = args.imatrix.as_deref().map(Imatrix::read).transpose()?;
    let types = mix::types(&gguf, args.mix, &args.tensors, imatrix.is_some())?;
    if let Some(rule) = args.tensors.iter().find(|rule| !types.names().any(|name| rule.matches(name))) {
        return Err(CliError::usage(format!("no matrix has a name that fits `{rule}`")));
    }
    if !args.allow_requantize {
        let encoded = gguf.tensors().map(|(_, t)| t).find(|t| {
            let from = dtype_of(t).filter(|from| !from.is_float());
            from.is_some_and(|from| types.get(t.name).is_some_and(|to| to != from))
        });
        if let Some(t) = encoded {
            return Err(CliError::usage(format!(
                "tensor {} is of type {} already, and encoding it again loses more than encoding the original \
                 would; --allow-requantize does it",
                t.name, t.ty
            )));
        }
    }
    interrupt::remove_unfinished_files()?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let pool = Pool::new(args.threads.unwrap_or(cores).max(1)).map_err(|e| CliError::new(e.to_string()))?;
    let pairs = [("general.quantization_version", 2), ("general.file_type", args.mix.file_type())];
    let bar = output::progress(gguf.tensors().map(|(_, t)| t.byte_len()).sum(), "quantising");
    let encoded = AtomicUsize::new(0);
    let imatrix = imatrix.unwrap_or_default();
    let options = WriteOptions { replace: args.force, ..WriteOptions::default() };
    let bytes = write(&model, &types, &pairs, &imatrix, &pool, (&args.output, &options), &|t, types| {
        bar.inc(t.byte_len());
        if let Some((from, to)) = types {
            encoded.fetch_add(1, Ordering::Relaxed);
            bar.suspend(|| output::note(&format!("{:32} {from:>7} -> {to:7}", t.name)));
        }
    })?;
    bar.finish_and_clear();
    let before = model.file_len()?;
    output::note(&format!(
        "{}: {} of {} tensors encoded, {} -> {}",
        shown(&args.output),
        encoded.into_inner(),
        gguf.tensors().count(),
        output::human_bytes(before),
        output::human_bytes(bytes)
    ));
    if let Some(replacements) = types.replacements() {
        let grew = if bytes > before { "; the file grew" } else { "" };
        output::note(&format!("{replacements}{grew}"));
    }
    Ok(())
}
