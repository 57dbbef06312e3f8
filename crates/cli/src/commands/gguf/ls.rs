//! `happy gguf ls`: lists what is in a file.

use super::print_json;
use super::values::{self, AsJson, List, Pairs};
use crate::error::{CliError, CliResult};
use crate::paths::{AccessArgs, shown};
use crate::{models, output};
use clap::Args;
use happy_gguf::{Gguf, GgufHeader, HeaderOptions, Limits, TensorInfo, Value};
use serde::Serialize;
use serde_json::json;
use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::path::Path;

/// Options of `happy gguf ls`.
#[derive(Debug, Args)]
pub(crate) struct LsArgs {
    /// GGUF file: a path or a name, as `happy run -m` takes it
    file: OsString,
    /// Read the header only: for a file that is still being downloaded
    #[arg(long)]
    header: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    access: AccessArgs,
}

/// Runs the command.
pub(super) fn run(args: &LsArgs) -> CliResult {
    let path = models::resolve(&args.file)?;
    let header = if args.header { beginning(&path)? } else { GgufHeader::open(&path, &Limits::default())? };
    list(args, &header.view())
}

/// Reads the header of a file that may be incomplete.
fn beginning(path: &Path) -> CliResult<GgufHeader> {
    let file = File::open(path).map_err(|e| CliError::io("read", shown(path), &e))?;
    GgufHeader::read_with(file, &HeaderOptions::default())
        .map_err(|e| CliError::new(format!("`{}`: {e}", shown(path))))
}

/// For a part of a split model: which one, and of how many.
fn part(gguf: &Gguf<'_>) -> Option<(u64, u64)> {
    let number = |key| gguf.metadata().optional::<u64>(key).ok().flatten();
    let count = number("split.count").filter(|count| *count > 1)?;
    Some((number("split.no")?.checked_add(1)?, count))
}

fn list(args: &LsArgs, gguf: &Gguf<'_>) -> CliResult {
    if args.json { print_json(&report(args, gguf)) } else { print_text(gguf) }
}

fn print_text(gguf: &Gguf<'_>) -> CliResult {
    let mut out = output::buffered(std::io::stdout().lock());
    let (version, order, alignment) = (gguf.version(), gguf.byte_order(), gguf.alignment());
    writeln!(out, "version {version}, {order}, alignment {alignment}, data at {}", gguf.data_offset())?;
    if let Some((no, count)) = part(gguf) {
        writeln!(out, "part {no} of {count} of a split model; `happy gguf check` looks at all of them")?;
    }
    writeln!(out, "\nmetadata ({})", gguf.metadata().len())?;
    for (key, value) in gguf.metadata().iter() {
        writeln!(out, "  {key}  {}  {}", values::type_of(&value), values::line_of(value))?;
    }
    writeln!(out, "\ntensors ({})", gguf.tensors().len())?;
    for t in gguf.tensors() {
        let (dims, ty, bytes) = (t.dims.to_string(), t.ty.to_string(), output::human_bytes(t.byte_len()));
        writeln!(out, "  {:>14}  {ty:8} {dims:>20} {bytes:>12}  {}", t.range.start, t.name)?;
    }
    Ok(out.flush()?)
}

/// Returns everything in a file as JSON.
fn report<'a>(args: &'a LsArgs, gguf: &'a Gguf<'a>) -> impl Serialize + 'a {
    #[derive(Serialize)]
    struct Report<N, M: Serialize, T: Serialize> {
        file: N,
        part: Option<serde_json::Value>,
        version: u32,
        byte_order: String,
        alignment: u64,
        data_offset: u64,
        data_end: u64,
        metadata: M,
        tensors: T,
    }
    #[derive(Serialize)]
    struct Typed<'a> {
        r#type: String,
        value: AsJson<'a>,
    }
    let pair = |(key, value): (&'a str, Value<'a>)| {
        (key, Typed { r#type: values::type_of(&value), value: AsJson(value) })
    };
    let tensor = |t: TensorInfo<'a>| {
        json!({ "name": t.name, "type": t.ty.to_string(), "dims": t.dims.as_slice(),
                "offset": t.range.start, "bytes": t.byte_len() })
    };
    Report {
        file: shown(&args.file).to_string(),
        part: part(gguf).map(|(no, count)| json!({ "no": no, "count": count })),
        version: gguf.version(),
        byte_order: gguf.byte_order().to_string(),
        alignment: gguf.alignment(),
        data_offset: gguf.data_offset(),
        data_end: gguf.data_end(),
        metadata: Pairs(move || gguf.metadata().iter().map(pair)),
        tensors: List(move || gguf.tensors().map(tensor)),
    }
}
