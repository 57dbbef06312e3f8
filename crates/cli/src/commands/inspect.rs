//! `happy inspect`: shows metadata, tensors, sizes by type, and what running the model would need.

use crate::error::CliResult;
use crate::load::{ContextArgs, LoadArgs, ModelArgs};
use crate::{models, output};
use clap::Args;
use happy_engine::{Engine, EngineError, LoadOptions, Source};
use happy_gguf::{Array, GgufSet, GgufSetFile, Value, ValueType};
use serde_json::{Map, json};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Options of `happy inspect`.
#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// GGUF file: a path or a name, as -m takes it
    #[arg(value_name = "MODEL", conflicts_with = "model")]
    file: Option<PathBuf>,
    #[command(flatten)]
    model: ModelArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// List the tensors
    #[arg(long)]
    tensors: bool,
    #[command(flatten)]
    context: ContextArgs,
    #[command(flatten)]
    load: LoadArgs,
}

impl InspectArgs {
    fn path(&self) -> &Path {
        self.file.as_ref().unwrap_or(&self.model.model)
    }
}

/// Elements of an array that are shown.
const SHOWN_ELEMENTS: usize = 8;
/// Characters of a string that the table shows.
const SHOWN_CHARACTERS: usize = 80;

/// Runs the command.
pub(crate) fn run(args: &InspectArgs) -> CliResult {
    let path = args.path();
    // The numbers are shown even if they exceed the free memory.
    let options = LoadOptions {
        memory_budget: Some(args.load.memory_budget.map_or(u64::MAX, |mib| mib.saturating_mul(1 << 20))),
        ..args.context.options(&args.load)
    };
    let files = Source::Path(&models::resolve(path)?).files(&options)?;
    let engine = Engine::from_files(files.clone(), path.display().to_string(), &options);
    if let Err(error @ (EngineError::Option { .. } | EngineError::Isa(_))) = engine {
        return Err(error.into());
    }
    if args.json { print_json(args, &files, &engine) } else { print_text(args, &files, &engine) }
}

/// Returns the number of tensors and bytes of each element type, largest first.
fn types(gguf: &GgufSet<'_>) -> Vec<(String, usize, u64)> {
    let mut types: BTreeMap<String, (usize, u64)> = BTreeMap::new();
    for (_, tensor) in gguf.tensors() {
        let entry = types.entry(tensor.ty.to_string()).or_default();
        entry.0 += 1;
        entry.1 += tensor.byte_len();
    }
    let mut types: Vec<_> = types.into_iter().map(|(name, (n, bytes))| (name, n, bytes)).collect();
    types.sort_by_key(|(_, _, bytes)| core::cmp::Reverse(*bytes));
    types
}

/// Returns the bytes of all parts.
fn size(files: &GgufSetFile) -> u64 {
    files.parts().map(|(_, file)| file.bytes().len() as u64).sum()
}

fn parameters(gguf: &GgufSet<'_>) -> u64 {
    gguf.tensors().map(|(_, t)| t.elements()).fold(0, u64::saturating_add)
}

fn print_text(args: &InspectArgs, files: &GgufSetFile, engine: &Result<Engine, EngineError>) -> CliResult {
    let gguf = files.view();
    let first = gguf.first();
    let mut out = output::buffered(crate::terminal::stdout());
    writeln!(out, "file          {}", args.path().display())?;
    writeln!(out, "format        GGUF v{}, data aligned to {} bytes", first.version(), first.alignment())?;
    writeln!(out, "size          {}", output::human_bytes(size(files)))?;
    writeln!(out, "parameters    {}", output::thousands(parameters(&gguf)))?;
    writeln!(out, "\nmetadata ({} pairs)", gguf.metadata().len())?;
    let width = gguf.metadata().iter().map(|(k, _)| k.chars().count()).max().unwrap_or(0).min(48);
    for (key, value) in gguf.metadata().iter() {
        writeln!(out, "  {key:width$}  {}", text_of(value))?;
    }
    writeln!(out, "\ntensors ({})", gguf.tensors().count())?;
    for (name, n, bytes) in types(&gguf) {
        writeln!(out, "  {name:8} {n:5}  {:>12}", output::human_bytes(bytes))?;
    }
    if args.tensors {
        writeln!(out)?;
        let width = gguf.tensors().map(|(_, t)| t.name.chars().count()).max().unwrap_or(0).min(64);
        for (_, t) in gguf.tensors() {
            let (bytes, offset) = (output::human_bytes(t.byte_len()), t.range.start);
            writeln!(
                out,
                "  {:width$}  {:8} {:>20}  {bytes:>12}  at {offset}",
                t.name,
                t.ty,
                t.dims.to_string()
            )?;
        }
    }
    let warnings = first.warnings();
    if !warnings.is_empty() {
        writeln!(out, "\ndeviations from the format ({})", warnings.len())?;
        for warning in warnings.iter().take(20) {
            writeln!(out, "  {warning}")?;
        }
    }
    writeln!(out, "\nrunning it")?;
    match engine {
        Err(error) => writeln!(out, "  not possible: {error}")?,
        Ok(engine) => {
            let (plan, model) = (engine.plan(), engine.model());
            let weights = if plan.weights_copied { "anonymous memory" } else { "mapped, evictable" };
            let bytes = output::human_bytes;
            writeln!(out, "  architecture  {}, {} layers", model.spec().architecture, model.n_layers())?;
            writeln!(out, "  context       {} of {} positions", plan.context, model.n_ctx_train())?;
            writeln!(out, "  weights       {:>12}  {weights}", bytes(plan.weight_bytes))?;
            writeln!(out, "  a token reads {:>12}", bytes(model.bytes_per_token() as u64))?;
            writeln!(out, "  kv cache      {:>12}  when the context is full", bytes(plan.kv_bytes))?;
            for (what, part) in
                [("states of recurrent layers", plan.state_bytes), ("snapshots", plan.snapshot_bytes)]
            {
                if part > 0 {
                    writeln!(out, "                {:>12}  of it for {what}", bytes(part))?;
                }
            }
            writeln!(
                out,
                "  scratch       {:>12}  for {} tokens at once",
                bytes(plan.scratch_bytes),
                plan.batch
            )?;
            writeln!(out, "  tokenizer     {:>12}", bytes(plan.tokenizer_bytes))?;
            writeln!(out, "  tables        {:>12}", bytes(plan.table_bytes))?;
            writeln!(out, "  anonymous     {:>12}  at most", bytes(plan.anon_bytes()))?;
            writeln!(
                out,
                "  grammars      {:>12}  more, with a grammar or tools",
                bytes(plan.grammar_bytes)
            )?;
            writeln!(out, "  kernels       {}", model.kernel_names().join(" "))?;
            let mut skipped: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
            for name in model.unused_tensors() {
                skipped.entry(model.unused_reason(name)).or_default().push(name);
            }
            for (why, names) in skipped {
                let list = shorten(&names.join(" "));
                writeln!(out, "  skipped       {} tensors, {why}: {list}", names.len())?;
            }
        }
    }
    out.flush()?;
    Ok(())
}

/// Returns a value for a table: one line, shortened.
fn text_of(value: Value<'_>) -> String {
    match value {
        Value::String(s) => shorten(&s.to_string_lossy()),
        Value::Array(array) => {
            let shown: Vec<String> = array.iter().take(SHOWN_ELEMENTS).map(text_of).collect();
            let more = if array.len() > SHOWN_ELEMENTS { ", ..." } else { "" };
            format!("{} {} [{}{more}]", array.len(), array.element_type(), shown.join(", "))
        }
        Value::F32(v) => v.to_string(),
        Value::F64(v) => v.to_string(),
        Value::Bool(v) => v.to_string(),
        integer => integer.as_integer().map(|v| v.to_string()).unwrap_or_default(),
    }
}

/// Returns the text without line ends and control characters, shortened if it is long.
fn shorten(text: &str) -> String {
    let cut = text.char_indices().nth(SHOWN_CHARACTERS).map(|(at, _)| at);
    let shown: String = text[..cut.unwrap_or(text.len())].chars().flat_map(escape).collect();
    if cut.is_some() { format!("{shown}... ({} bytes)", text.len()) } else { shown }
}

/// Returns a character that a terminal shows as it is, or its escape.
fn escape(c: char) -> impl Iterator<Item = char> {
    let escaped = if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    escaped.chars().collect::<Vec<_>>().into_iter()
}

fn print_json(args: &InspectArgs, files: &GgufSetFile, engine: &Result<Engine, EngineError>) -> CliResult {
    let gguf = files.view();
    let first = gguf.first();
    let metadata: Map<_, _> = gguf
        .metadata()
        .iter()
        .map(|(key, value)| (key.to_owned(), json!({ "type": type_of(&value), "value": json_of(value) })))
        .collect();
    let mut report = json!({
        "file": args.path().display().to_string(),
        "bytes": size(files),
        "version": first.version(),
        "alignment": first.alignment(),
        "data_offset": first.data_offset(),
        "parameters": parameters(&gguf),
        "metadata": metadata,
        "n_tensors": gguf.tensors().count(),
        "types": types(&gguf).into_iter()
            .map(|(name, n, bytes)| json!({ "type": name, "tensors": n, "bytes": bytes }))
            .collect::<Vec<_>>(),
        "warnings": first.warnings().iter().map(ToString::to_string).collect::<Vec<_>>(),
        "run": match engine {
            Ok(engine) => run_json(engine),
            Err(error) => json!({ "possible": false, "error": error.to_string() }),
        },
    });
    if let (true, Some(report)) = (args.tensors, report.as_object_mut()) {
        let tensors: Vec<_> = gguf
            .tensors()
            .map(|(_, t)| {
                json!({ "name": t.name, "type": t.ty.to_string(), "dims": t.dims.as_slice(),
                        "offset": t.range.start, "bytes": t.byte_len() })
            })
            .collect();
        report.insert("tensors".to_owned(), tensors.into());
    }
    let mut out = output::buffered(crate::terminal::stdout());
    serde_json::to_writer_pretty(&mut out, &report)?;
    writeln!(out)?;
    out.flush()?;
    Ok(())
}

/// The memory that running takes, in bytes.
fn run_json(engine: &Engine) -> serde_json::Value {
    let (plan, model) = (engine.plan(), engine.model());
    json!({
        "possible": true,
        "architecture": model.spec().architecture,
        "n_layers": model.n_layers(),
        "n_embd": model.n_embd(),
        "n_vocab": model.n_vocab(),
        "n_ctx_train": model.n_ctx_train(),
        "context": plan.context,
        "batch": plan.batch,
        "threads": plan.threads,
        "weight_bytes": plan.weight_bytes,
        "weights_mapped": !plan.weights_copied,
        "weight_bytes_per_token": model.bytes_per_token(),
        "kv_bytes": plan.kv_bytes,
        "state_bytes": plan.state_bytes,
        "snapshot_bytes": plan.snapshot_bytes,
        "scratch_bytes": plan.scratch_bytes,
        "tokenizer_bytes": plan.tokenizer_bytes,
        "grammar_bytes": plan.grammar_bytes,
        "table_bytes": plan.table_bytes,
        "anon_bytes": plan.anon_bytes(),
        "isa": engine.kernels().isa.name(),
        "kernels": model.kernel_names(),
        "unused_tensors": model.unused_tensors(),
        "unused_reasons": model.unused_tensors().iter().map(|name| model.unused_reason(name)).collect::<Vec<_>>(),
    })
}

fn type_of(value: &Value<'_>) -> String {
    match value {
        Value::Array(array) => format!("array:{}", array.element_type()),
        value => value.value_type().to_string(),
    }
}

/// Returns a value as JSON; of a long array, its length and its first elements.
fn json_of(value: Value<'_>) -> serde_json::Value {
    match value {
        Value::String(s) => s.to_string_lossy().into(),
        Value::Bool(v) => v.into(),
        Value::F32(v) => v.into(),
        Value::F64(v) => v.into(),
        Value::U64(v) => v.into(),
        Value::Array(array) => array_json(array),
        integer => integer.as_integer().and_then(|v| i64::try_from(v).ok()).into(),
    }
}

fn array_json(array: Array<'_>) -> serde_json::Value {
    let elements = |n: usize| array.iter().take(n).map(json_of).collect::<Vec<_>>();
    if array.len() <= SHOWN_ELEMENTS || (array.len() <= 256 && array.element_type() != ValueType::String) {
        elements(array.len()).into()
    } else {
        json!({ "length": array.len(), "first": elements(SHOWN_ELEMENTS) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_shown_in_one_line() {
        assert_eq!(shorten("a\nb\x1b[31m"), "a\\nb\\u{1b}[31m");
        assert_eq!(shorten(&"é".repeat(81)), format!("{}... (162 bytes)", "é".repeat(80)));
    }
}
