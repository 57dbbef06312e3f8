//! `happy convert`: writes a Hugging Face folder as a GGUF file.

use crate::error::CliResult;
use crate::paths::{check_output, shown};
use crate::{interrupt, output};
use clap::Args;
use happy_convert::{Checkpoint, Conversion, ConvertOptions, OutputType, RunOptions};
use std::path::PathBuf;

/// Options of `happy convert`.
#[derive(Debug, Args)]
pub(crate) struct ConvertArgs {
    /// Folder to read: config.json, tokenizer.json or vocab.txt, and model.safetensors or its parts
    dir: PathBuf,
    /// GGUF file to write
    #[arg(short, long, value_name = "FILE")]
    out: PathBuf,
    /// Type of the matrices: f32, f16, bf16 or q8_0; vectors and norms stay f32
    #[arg(long = "type", value_name = "TYPE", default_value = "f16")]
    output_type: OutputType,
    /// Name of the model in the file [default: the name of the folder]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Pre-tokenizer by llama.cpp's name, if tokenizer.json has one that is not recognized
    #[arg(long, value_name = "NAME")]
    pre: Option<String>,
    /// Replace the output if it exists
    #[arg(long)]
    force: bool,
}

/// Runs the command.
pub(crate) fn run(args: &ConvertArgs) -> CliResult {
    let checkpoint = Checkpoint::open(&args.dir)?;
    check_output(&args.out, checkpoint.paths(), args.force)?;
    let options =
        ConvertOptions { output_type: args.output_type, name: args.name.clone(), pre: args.pre.clone() };
    let conversion = Conversion::plan(&checkpoint, &options)?;
    for warning in conversion.warnings() {
        output::note(&format!("warning: {warning}"));
    }
    interrupt::remove_unfinished_files()?;
    let bar = output::progress(conversion.elements(), "converting");
    let progress = |elements| bar.set_position(elements);
    let options = RunOptions { replace: args.force, progress: &progress, ..RunOptions::default() };
    let bytes = conversion.write_file(&args.out, &options)?;
    bar.finish_and_clear();
    output::note(&format!(
        "{}: {} tensors, {}",
        shown(&args.out),
        conversion.tensors().len(),
        output::human_bytes(bytes)
    ));
    Ok(())
}
