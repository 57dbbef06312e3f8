//! `happy gguf diff`: what two models have that the other has not.

use super::{open, print_json, values};
use crate::error::{CliError, CliResult};
use clap::Args;
use happy_gguf::{GgufSet, TensorInfo};
use serde_json::json;
use std::collections::BTreeSet;
use std::io::Write;

/// Options of `happy gguf diff`.
#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// GGUF file; of a split model the first one
    a: String,
    /// GGUF file to compare with
    b: String,
    /// Compare types and shapes of tensors only, not their bytes
    #[arg(long)]
    no_data: bool,
    /// Fail when there is a difference
    #[arg(long)]
    exit_code: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
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
    let (a, b) = (a.view(), b.view());
    let differences: Vec<Difference> = pairs(&a, &b).into_iter().chain(tensors(args, &a, &b)).collect();
    if args.json {
        let list: Vec<_> = differences
            .iter()
            .map(|d| json!({ "what": d.what, "name": d.name, "a": d.a, "b": d.b }))
            .collect();
        print_json(&json!({ "a": args.a, "b": args.b, "same": list.is_empty(), "differences": list }))?;
    } else {
        let mut out = std::io::BufWriter::new(std::io::stdout().lock());
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
        let side =
            |set: &GgufSet<'_>| set.metadata().get(key).map(|v| (values::type_of(&v), values::json_of(v)));
        if side(a) != side(b) {
            let line = |set: &GgufSet<'_>| {
                set.metadata().get(key).map(|v| format!("{} {}", values::type_of(&v), values::line_of(v)))
            };
            found.push(Difference { what: "key", name: key.to_owned(), a: line(a), b: line(b) });
        }
    }
    found
}

fn tensors(args: &DiffArgs, a: &GgufSet<'_>, b: &GgufSet<'_>) -> Vec<Difference> {
    let names: BTreeSet<&str> = [a, b].iter().flat_map(|set| set.tensors().map(|(_, t)| t.name)).collect();
    let mut found = Vec::new();
    for name in names {
        let shape = |t: &TensorInfo<'_>| format!("{} {}", t.ty, t.dims);
        let side = |set: &GgufSet<'_>| set.tensor(name).map(|(_, t)| shape(&t));
        let (in_a, in_b) = (side(a), side(b));
        if in_a != in_b {
            found.push(Difference { what: "tensor", name: name.to_owned(), a: in_a, b: in_b });
        } else if let (false, Some(x), Some(y)) = (args.no_data, a.data(name), b.data(name))
            && x != y
        {
            let n = x.iter().zip(y).filter(|(x, y)| x != y).count() + x.len().abs_diff(y.len());
            let both = in_b.unwrap_or_default();
            found.push(Difference {
                what: "data",
                name: name.to_owned(),
                a: None,
                b: Some(format!("{both}, {n} bytes differ")),
            });
        }
    }
    found
}
