//! `happy bench`: prefill and decode speed, load time, memory.
//!
//! Decode starts from an empty context after a warm-up, as in llama-bench, or after `-d N` tokens. Thread counts
//! alternate within every repetition, so that a machine that slows down slows all of them. Decoding computes given
//! tokens, as in llama-bench: choosing them is not part of it.

mod plot;

use crate::error::{CliError, CliResult};
use crate::load::{Kv, ModelArgs, isa_help};
use crate::paths::shown;
use crate::{load, output};
use clap::Args;
use happy_engine::{Engine, LoadOptions, memory};
use happy_model::KvType;
use happy_sampler::Sampler;
use serde::Serialize;
use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;

/// Options of `happy bench`.
#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// Number of prompt tokens to prefill
    #[arg(short = 'p', long, value_name = "N", default_value_t = 512)]
    prompt: usize,
    /// Number of tokens to decode
    #[arg(short = 'n', long, value_name = "N", default_value_t = 64)]
    gen_tokens: usize,
    /// Number of tokens that the context already holds before decoding starts
    #[arg(short, long, value_name = "N", default_value_t = 0)]
    depth: usize,
    /// Thread counts, separated by commas [default: the big cores but one; all cores if they are equal]
    #[arg(short, long, value_name = "LIST", value_delimiter = ',')]
    threads: Vec<usize>,
    /// Number of repetitions; medians are printed
    #[arg(short, long, value_name = "N", default_value_t = 5)]
    repetitions: usize,
    /// Maximum number of tokens in one pass
    #[arg(short, long, value_name = "N", default_value_t = LoadOptions::DEFAULT_BATCH)]
    batch: usize,
    #[arg(long, value_name = "NAME", help = isa_help())]
    isa: Option<happy_kernels::Isa>,
    /// How the KV cache stores keys and values
    #[arg(long, default_value = "f16")]
    kv: Kv,
    /// Maximum anonymous memory in MiB [default: what the machine, its control groups and ulimit leave]
    #[arg(long, value_name = "MIB")]
    memory_budget: Option<u64>,
    /// Read the file into memory instead of mapping it
    #[arg(long)]
    no_mmap: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Draw what was measured into this file, which is replaced
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
}

/// The results with one number of threads. Times are medians.
#[derive(Debug, Serialize)]
struct Report {
    model: String,
    isa: String,
    threads: usize,
    n_prompt: usize,
    n_gen: usize,
    n_depth: usize,
    repetitions: usize,
    prefill_tok_s: f64,
    /// Smallest and largest.
    prefill_tok_s_range: [f64; 2],
    decode_tok_s: f64,
    decode_tok_s_range: [f64; 2],
    /// Bytes of weights that decoding reads, per second.
    decode_gb_s: f64,
    load_ms: f64,
    /// Time from the start of loading to the logits that follow the prompt and to the first token.
    first_token_ms: f64,
    rss_anon_bytes: u64,
    kv_bytes: usize,
    weight_bytes_per_token: usize,
    /// Bytes of the cache that decoding reads and writes per token: states, and the keys and values at the middle of the
    /// decoded tokens.
    cache_bytes_per_token: usize,
    kernels: Vec<&'static str>,
}

/// Number of tokens of a prompt that is computed and dropped before decoding starts from an empty context.
const WARM_UP: usize = 32;

/// The samples of one number of threads.
#[derive(Default)]
struct Samples {
    prefill: Vec<f64>,
    decode: Vec<f64>,
    load: Vec<f64>,
    first: Vec<f64>,
    anon: Vec<f64>,
    kv: Vec<f64>,
}

/// Runs the command.
pub(crate) fn run(args: &BenchArgs) -> CliResult {
    if args.repetitions == 0 {
        return Err(CliError::usage("--repetitions is 0, expected at least 1"));
    }
    if args.prompt == 0 && args.gen_tokens == 0 {
        return Err(CliError::usage("--prompt and --gen-tokens are 0: there is nothing to measure"));
    }
    let threads = match args.threads.as_slice() {
        [] => vec![happy_engine::default_threads()],
        some => some.to_vec(),
    };
    let mut samples: Vec<Samples> = threads.iter().map(|_| Samples::default()).collect();
    let mut engine = None;
    let bar = output::progress((args.repetitions * threads.len()) as u64, "runs");
    for _ in 0..args.repetitions {
        for (threads, samples) in threads.iter().zip(&mut samples) {
            // The previous engine is dropped first, so that memory is that of one run.
            drop(engine.take());
            engine = Some(measure(args, *threads, samples)?);
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    let Some(engine) = engine else { return Ok(()) };
    let reports: Vec<Report> = threads
        .iter()
        .zip(samples)
        .map(|(threads, samples)| report(args, &engine, *threads, samples))
        .collect();
    if let Some(path) = &args.plot {
        std::fs::write(path, plot::svg(&reports)).map_err(|e| CliError::io("write", shown(path), &e))?;
    }
    if args.json {
        let mut out = std::io::stdout().lock();
        serde_json::to_writer_pretty(&mut out, &reports)?;
        writeln!(out)?;
    } else {
        table(&reports)?;
    }
    Ok(())
}

/// Does one run with one number of threads.
fn measure(args: &BenchArgs, threads: usize, samples: &mut Samples) -> CliResult<Engine> {
    let options = LoadOptions {
        threads: Some(threads),
        context: Some(args.prompt.max(args.depth.saturating_add(args.gen_tokens)).max(WARM_UP)),
        batch: args.batch,
        isa: args.isa,
        kv: args.kv.into(),
        mmap: !args.no_mmap,
        memory_budget: args.memory_budget.map(|mib| mib.saturating_mul(1 << 20)),
        ..LoadOptions::default()
    };
    let started = Instant::now();
    let engine = load::engine(&args.model, &options, &|_| ())?;
    let mut context = engine.context()?;
    samples.load.push(started.elapsed().as_secs_f64() * 1e3);
    let n_vocab = engine.model().n_vocab();
    // Any ids do: the work does not depend on them.
    let id = |i: usize| (i.wrapping_mul(7919).wrapping_add(13) % n_vocab.max(1)) as u32;
    let prompt: Vec<u32> = (0..args.prompt.max(args.depth).max(WARM_UP)).map(id).collect();
    if args.prompt > 0 {
        let before = Instant::now();
        Sampler::greedy().sample(context.prefill(0, &prompt[..args.prompt])?)?;
        samples.prefill.push(args.prompt as f64 / before.elapsed().as_secs_f64());
        samples.first.push(started.elapsed().as_secs_f64() * 1e3);
    }
    if args.gen_tokens > 0 {
        let kept = context.truncate(0, args.depth.min(context.tokens(0).len()))?;
        if kept < args.depth {
            context.prefill(0, &prompt[kept..args.depth])?;
        }
        if args.prompt.max(args.depth) == 0 {
            // Warms up what a prompt would have loaded, as llama-bench does.
            context.prefill(0, &prompt)?;
            context.truncate(0, 0)?;
        }
        let before = Instant::now();
        for i in 0..args.gen_tokens {
            context.step(0, id(args.depth + i))?;
        }
        samples.decode.push(args.gen_tokens as f64 / before.elapsed().as_secs_f64());
    }
    samples.anon.push(memory::usage().map_or(0.0, |m| m.anon_bytes as f64));
    samples.kv.push(context.kv_resident_bytes() as f64);
    Ok(engine)
}

/// Returns median, smallest and largest; zeros if there are no values.
fn spread(values: &mut [f64]) -> (f64, [f64; 2]) {
    values.sort_unstable_by(f64::total_cmp);
    let (Some(first), Some(last)) = (values.first(), values.last()) else { return (0.0, [0.0; 2]) };
    let middle = values.len() / 2;
    let median =
        if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 };
    (median, [*first, *last])
}

fn report(args: &BenchArgs, engine: &Engine, threads: usize, mut s: Samples) -> Report {
    let model = engine.model();
    let (prefill_tok_s, prefill_tok_s_range) = spread(&mut s.prefill);
    let (decode_tok_s, decode_tok_s_range) = spread(&mut s.decode);
    Report {
        model: args.model.name().to_string(),
        isa: engine.kernels().isa.to_string(),
        threads,
        n_prompt: args.prompt,
        n_gen: args.gen_tokens,
        n_depth: args.depth,
        repetitions: args.repetitions,
        prefill_tok_s,
        prefill_tok_s_range,
        decode_tok_s,
        decode_tok_s_range,
        decode_gb_s: decode_tok_s * model.bytes_per_token() as f64 / 1e9,
        load_ms: spread(&mut s.load).0,
        first_token_ms: spread(&mut s.first).0,
        rss_anon_bytes: spread(&mut s.anon).0 as u64,
        kv_bytes: spread(&mut s.kv).0 as usize,
        weight_bytes_per_token: model.bytes_per_token(),
        cache_bytes_per_token: model
            .cache_bytes_per_token(KvType::from(args.kv), args.depth.saturating_add(args.gen_tokens / 2)),
        kernels: model.kernel_names(),
    }
}

fn table(reports: &[Report]) -> CliResult {
    let mut out = std::io::stdout().lock();
    for r in reports {
        let [low, high] = r.prefill_tok_s_range;
        let s = |n: usize| if n == 1 { "" } else { "s" };
        let (threads, runs) = (r.threads, r.repetitions);
        writeln!(
            out,
            "{}: {threads} thread{}, {} ({runs} repetition{}, medians)",
            r.model,
            s(threads),
            r.isa,
            s(runs)
        )?;
        if r.n_prompt > 0 {
            writeln!(
                out,
                "  prefill {:5}  {:9.1} tok/s   {low:.1} .. {high:.1}",
                r.n_prompt, r.prefill_tok_s
            )?;
        }
        let [low, high] = r.decode_tok_s_range;
        if r.n_gen > 0 {
            let after = if r.n_depth > 0 { format!(" after {}", r.n_depth) } else { String::new() };
            let gb_s = r.decode_gb_s;
            writeln!(
                out,
                "  decode  {:5}  {:9.1} tok/s   {low:.1} .. {high:.1}   {gb_s:.1} GB/s{after}",
                r.n_gen, r.decode_tok_s
            )?;
        }
        writeln!(out, "  load {:.1} ms, first token {:.1} ms", r.load_ms, r.first_token_ms)?;
        let (anon, kv) = (output::human_bytes(r.rss_anon_bytes), output::human_bytes(r.kv_bytes as u64));
        writeln!(out, "  anonymous memory {anon}, of it kv cache {kv}")?;
    }
    if let Some(r) = reports.first() {
        writeln!(out, "kernels: {}", r.kernels.join(", "))?;
    }
    Ok(())
}
