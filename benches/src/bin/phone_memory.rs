//! Anonymous memory while a model generates, beside the plan's lines; and of a table that is read a row a token, the pages that
//! became resident.
//!
//! ```text
//! cargo run --release -p happy-benches --bin phone_memory FILE.gguf [DEPTH]
//! ```
//!
//! A prompt of DEPTH tokens (512 if it is not given), then 64 tokens one by one, all different, with two threads: the pages of a
//! table are those of 64 rows. For pages that the system did not map on its own because they were in memory already, drop its
//! cache first (`echo 1 > /proc/sys/vm/drop_caches`).

#![forbid(unsafe_code)]

use happy_engine::{Engine, LoadOptions, memory};
use std::error::Error;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::process::ExitCode;

/// Tokens that are generated.
const TOKENS: usize = 64;
/// The table that is read a row a token.
const TABLE: &str = "per_layer_token_embd.weight";
const PAGE: usize = 4096;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (path, depth) = match args.as_slice() {
        [path] => (path, Ok(512)),
        [path, depth] => (path, depth.parse()),
        _ => {
            eprintln!("usage: phone_memory FILE [DEPTH]");
            return ExitCode::from(2);
        }
    };
    match depth.map_err(Into::into).and_then(|depth| run(path, depth)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{path}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(path: &str, depth: usize) -> Result<(), Box<dyn Error>> {
    let before = memory::usage().map_or(0, |m| m.anon_bytes);
    let options = LoadOptions { threads: Some(2), context: Some(depth + TOKENS), ..LoadOptions::default() };
    let engine = Engine::open(path, &options)?;
    let mut context = engine.context()?;
    let n_vocab = engine.model().n_vocab();
    let id = |i: usize| (i.wrapping_mul(7919).wrapping_add(13) % n_vocab.max(1)) as u32;
    let prompt: Vec<u32> = (0..depth).map(id).collect();
    context.prefill(0, &prompt)?;
    let pages = || table_pages(&engine);
    let table = pages()?;
    for i in 0..TOKENS {
        context.step(0, id(depth + i))?;
    }
    let used = memory::usage().map_or(0, |m| m.anon_bytes).saturating_sub(before);
    let plan = engine.plan();
    let mib = |bytes: u64| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
    let cache = plan.kv_bytes - plan.state_bytes - plan.snapshot_bytes;
    println!("{path}: {depth} tokens in the context, then {TOKENS}");
    for (what, bytes) in [
        ("keys and values", cache),
        ("states", plan.state_bytes),
        ("snapshots", plan.snapshot_bytes),
        ("tokenizer", plan.tokenizer_bytes),
        ("scratch", plan.scratch_bytes),
        ("tables", plan.table_bytes),
        ("scratch and tables", plan.scratch_bytes + plan.table_bytes),
        ("the plan's sum", plan.anon_bytes()),
        ("measured", used),
    ] {
        println!("  {what:20} {:>12}", mib(bytes));
    }
    if let (Some((then, all)), Some((now, _))) = (table, pages()?) {
        let per_token = (now - then) as f64 / TOKENS as f64;
        println!("  {TABLE}: {now} of {all} pages mapped; {per_token:.1} for each of the {TOKENS} tokens");
    }
    Ok(())
}

/// Pages of the table that are mapped, and all of them; `None` without such a table.
fn table_pages(engine: &Engine) -> Result<Option<(usize, usize)>, Box<dyn Error>> {
    let Some(table) = engine.files().view().data(TABLE) else { return Ok(None) };
    // only an address: what it points to is counted, not read
    let first = table.as_ptr() as usize / PAGE;
    let n = (table.as_ptr() as usize + table.len()).div_ceil(PAGE) - first;
    let mut map = File::open("/proc/self/pagemap")?;
    map.seek(SeekFrom::Start(first as u64 * 8))?;
    let mut entries = vec![0; n * 8];
    map.read_exact(&mut entries)?;
    let present = |entry: &&[u8; 8]| u64::from_le_bytes(**entry) >> 63 == 1;
    Ok(Some((entries.as_chunks::<8>().0.iter().filter(present).count(), n)))
}
