//! `happy gguf diff`: shows what differs between two models.

use super::{open, print_json, values};
use crate::error::{CliError, CliResult};
use crate::output;
use crate::paths::{AccessArgs, shown};
use clap::Args;
use happy_gguf::{FileError, GgufSet, GgufSetReader, TensorInfo};
use serde_json::json;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::Write;

/// Options of `happy gguf diff`.
#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// GGUF file; of a split model any part
    a: OsString,
    /// GGUF file to compare with
    b: OsString,
    /// Compare types and shapes of tensors only, not their bytes
    #[arg(long)]
    no_data: bool,
    /// Fail when there is a difference
    #[arg(long)]
    exit_code: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    access: AccessArgs,
}

/// A key or a tensor, and what each side has.
struct Difference {
    what: &'static str,
    name: String,
    a: Option<String>,
    b: Option<String>,
}

/// Runs the command.
pub(super) fn run(args: &DiffArgs) -> CliResult {
    let (a, b) = (open(&args.a)?, open(&args.b)?);
    let mut differences = pairs(&a.view(), &b.view());
    differences.extend(tensors(args, &a, &b)?);
    if args.json {
        let list: Vec<_> = differences
            .iter()
            .map(|d| json!({ "what": d.what, "name": d.name, "a": d.a, "b": d.b }))
            .collect();
        print_json(
            &json!({ "a": shown(&args.a), "b": shown(&args.b), "same": list.is_empty(), "differences": list }),
        )?;
    } else {
        let mut out = output::buffered(std::io::stdout().lock());
        for Difference { what, name, a, b } in &differences {
            for (sign, side) in [('-', a), ('+', b)] {
                if let Some(side) = side {
                    writeln!(out, "{sign} {what} {name}: {side}")?;
                }
            }
        }
        out.flush()?;
    }
    match differences.len() {
        n if n > 0 && args.exit_code => Err(CliError::new(format!("{n} differences"))),
        _ => Ok(()),
    }
}

fn pairs(a: &GgufSet<'_>, b: &GgufSet<'_>) -> Vec<Difference> {
    let keys: BTreeSet<&str> =
        [a, b].iter().flat_map(|set| set.metadata().iter().map(|(key, _)| key)).collect();
    let mut found = Vec::new();
    for key in keys {
        let same = match (a.metadata().get(key), b.metadata().get(key)) {
            (Some(a), Some(b)) => values::same(a, b),
            _ => false,
        };
        if !same {
            let line = |set: &GgufSet<'_>| {
                set.metadata().get(key).map(|v| format!("{} {}", values::type_of(&v), values::line_of(v)))
            };
            found.push(Difference { what: "key", name: key.to_owned(), a: line(a), b: line(b) });
        }
    }
    found
}

fn tensors(args: &DiffArgs, a: &GgufSetReader, b: &GgufSetReader) -> CliResult<Vec<Difference>> {
    let (in_a, in_b) = (a.view(), b.view());
    let names: BTreeSet<&str> =
        [&in_a, &in_b].iter().flat_map(|set| set.tensors().map(|(_, t)| t.name)).collect();
    let mut found = Vec::new();
    for name in names {
        let shape = |t: &TensorInfo<'_>| format!("{} {}", t.ty, t.dims);
        let (x, y) = (in_a.tensor(name), in_b.tensor(name));
        let [side_a, side_b] = [&x, &y].map(|side| side.as_ref().map(|(_, t)| shape(t)));
        if side_a != side_b {
            found.push(Difference { what: "tensor", name: name.to_owned(), a: side_a, b: side_b });
        } else if let (false, Some(x), Some(y)) = (args.no_data, x, y) {
            let n = differing((a, x.0, &x.1), (b, y.0, &y.1))?;
            if n > 0 {
                let both = format!("{}, {n} bytes differ", side_b.unwrap_or_default());
                found.push(Difference { what: "data", name: name.to_owned(), a: None, b: Some(both) });
            }
        }
    }
    Ok(found)
}

/// A tensor of a part of a model.
type Place<'t> = (&'t GgufSetReader, usize, &'t TensorInfo<'t>);

/// Returns how many bytes of two tensors differ. Bytes that only one of them has count too.
fn differing((a, part_a, x): Place<'_>, (b, part_b, y): Place<'_>) -> Result<u64, FileError> {
    let (both, mut at, mut n) = (x.byte_len().min(y.byte_len()), 0, x.byte_len().abs_diff(y.byte_len()));
    let (mut left, mut right) = ([0; 8192], [0; 8192]);
    while at < both {
        let len = (both - at).min(left.len() as u64) as usize;
        a.read_at(part_a, x, at, &mut left[..len])?;
        b.read_at(part_b, y, at, &mut right[..len])?;
        n += left[..len].iter().zip(&right[..len]).filter(|(x, y)| x != y).count() as u64;
        at += len as u64;
    }
    Ok(n)
}
