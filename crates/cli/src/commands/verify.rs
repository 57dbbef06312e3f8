//! `happy verify`: checks whether this device computes the same as another one.

use crate::error::{CliError, CliResult};
use crate::load::{self, LoadArgs, ModelArgs};
use crate::output::{self, thousands};
use crate::paths::{check_output, shown};
use clap::Args;
use happy_engine::verify::{Difference, Reference};
use happy_engine::{Engine, LoadOptions};
use serde_json::json;
use std::fs::File;
use std::io::{Read, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
Examples:
  happy verify model.gguf --write model.verify.json      where results are trusted
  happy verify model.gguf --against model.verify.json    on the device in question

Exit codes: 0 if all is the same, 4 if something differs, 1 if it cannot be told.";

/// Options of `happy verify`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct VerifyArgs {
    /// Model: a path or a name, as `happy run -m` takes it
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    /// Write what this device computes
    #[arg(long, value_name = "FILE", required_unless_present = "against", conflicts_with = "against")]
    write: Option<PathBuf>,
    /// Compare with what another device has written, and name the first difference
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    /// Replace the file to write, if it exists
    #[arg(long, requires = "write")]
    force: bool,
    /// Print the result as JSON
    #[arg(long, requires = "against")]
    json: bool,
    #[command(flatten)]
    load: LoadArgs,
}

/// Returns the positions that are computed, for the plan of the model.
const POSITIONS: usize = 144;

/// Runs the command.
pub(crate) fn run(args: &VerifyArgs) -> CliResult {
    let options =
        LoadOptions { context: Some(POSITIONS), batch: POSITIONS, snapshot_bytes: 0, ..args.load.options() };
    // A wrong file is reported before a model is loaded.
    if let Some(path) = &args.write {
        check_output(path, [args.model.as_path()], args.force)?;
    }
    let reference = args.against.as_deref().map(read).transpose()?;
    let engine = load::engine(&ModelArgs { model: args.model.clone() }, &options, &output::note)?;
    let bar = output::progress(100, "verifying");
    let mut progress = |share: f32| {
        bar.set_position((share * 100.0) as u64);
        ControlFlow::Continue(())
    };
    match (&args.write, reference) {
        (Some(path), _) => {
            let reference = engine.reference(&mut progress)?;
            bar.finish_and_clear();
            write(path, &reference)?;
            output::note(&counts(&reference));
            Ok(())
        }
        (None, Some(reference)) => {
            let difference = engine.verify(&reference, &mut progress)?;
            bar.finish_and_clear();
            tell(args, &engine, &reference, difference)
        }
        (None, None) => Err(CliError::usage("nothing to do: give --write FILE or --against FILE")),
    }
}

/// Prints the result. A difference gives exit code 4.
fn tell(
    args: &VerifyArgs,
    engine: &Engine,
    reference: &Reference,
    difference: Option<Difference>,
) -> CliResult {
    let mut out = std::io::stdout();
    let same = difference.is_none();
    if args.json {
        let report = match &difference {
            None => json!({ "same": true }),
            Some(Difference { part, name, kernel, .. }) => {
                json!({ "same": false, "part": part.to_string(), "name": name, "kernel": kernel })
            }
        };
        writeln!(out, "{report}")?;
    } else if same {
        writeln!(out, "the same on {}: {}", engine.kernels().isa, counts(reference))?;
    }
    out.flush()?;
    difference.map_or(Ok(()), |difference| Err(CliError::differs(difference.to_string())))
}

fn counts(reference: &Reference) -> String {
    let (prompt, generated) = reference.positions();
    format!(
        "{} texts, {} tensors, {} results of steps, {prompt} prompt and {generated} generated tokens",
        reference.texts(),
        reference.tensors(),
        thousands(reference.values() as u64),
    )
}

fn read(path: &Path) -> CliResult<Reference> {
    let name = shown(path);
    let failed = |error: std::io::Error| CliError::io("read", &name, &error);
    // One byte more than a file may have, to detect that it is too large.
    let most = Reference::MAX_BYTES as u64 + 1;
    let mut bytes = Vec::new();
    File::open(path).map_err(failed)?.take(most).read_to_end(&mut bytes).map_err(failed)?;
    Reference::from_json(&bytes).map_err(|error| CliError::new(format!("`{name}`: {error}")))
}

fn write(path: &Path, reference: &Reference) -> CliResult {
    let text = reference.to_json()?;
    std::fs::write(path, text).map_err(|e| CliError::io("write", shown(path), &e))
}
