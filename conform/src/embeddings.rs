//! Corpus `embeddings`: small embedding and reranking models, and the vectors that they must give with each pooling.
//! Each is computed twice: alone on all cores with the best kernels, and between three other texts with scalar code,
//! which must give the same bits.

use std::sync::atomic::AtomicBool;

use crate::data;
use crate::missing;
use crate::recipe::{Recipe, Vectors};
use crate::report::{Report, Verdict};
use happy_gguf::GgufFile;
use happy_kernels::{Ctx, Kernels, Pool};
use happy_model::{Batch, KvOptions, KvType, Loader, Pooling, RunOptions, arch};
use happy_testkit::Corpus;

/// Maximum normalized mean squared error.
const MAX_NMSE: f64 = 1e-5;
/// Minimum cosine over all values of an output.
const MIN_COSINE: f64 = 1.0 - 1e-6;

pub(crate) fn run(corpus: &Corpus, report: &mut Report) -> Result<(), String> {
    let files = corpus.open("embeddings")?;
    let mut paths = files.list("")?;
    paths.retain(|path| path.ends_with(".json"));
    // HAPPY_RECIPES selects some recipes, of this corpus or of `architectures`.
    if let Ok(names) = std::env::var("HAPPY_RECIPES") {
        paths.retain(|path| names.split(',').any(|name| path.strip_suffix(".json") == Some(name)));
        report.notes.push(format!("only these recipes ran: {names}"));
    }
    let mut worst = (0.0, String::new());
    for path in paths {
        let recipe: Recipe = data::json(&files, &path)?;
        let known = arch::find(&recipe.architecture).is_some();
        let file = recipe.build()?;
        report.holds(recipe.outputs.len());
        for output in &recipe.outputs {
            let name = format!("{}, {}", recipe.name, output.pooling);
            report.case(&name, || match (known, missing::embedding(&recipe.name, &recipe.architecture)) {
                (true, None) => judge(&file, &recipe, output, &mut worst, &name).into(),
                (_, Some(block)) => refused(&file, block).unwrap_or_else(Verdict::Failed),
                (false, None) => Verdict::Failed("is not in the table of missing blocks".into()),
            });
        }
    }
    report.notes.push(format!("greatest error of those that passed: {:.1e} ({})", worst.0, worst.1));
    Ok(())
}

/// Checks that a model that cannot be computed is refused as unsupported.
fn refused(file: &GgufFile, block: &str) -> Result<Verdict, String> {
    match Loader::new(&Kernels::scalar()).load(file) {
        Ok(_) => Err(format!("loads, although the table says it lacks {block}")),
        Err(e) if e.to_string().contains("unsupported") => Ok(Verdict::Unsupported(block.into())),
        Err(e) => Err(format!("expected to be refused as unsupported, found: {e}")),
    }
}

fn judge(
    file: &GgufFile,
    recipe: &Recipe,
    output: &Vectors,
    worst: &mut (f64, String),
    name: &str,
) -> Result<(), String> {
    let pooling = Pooling::ALL.into_iter().find(|p| p.name() == output.pooling).ok_or("unknown pooling")?;
    let best = Kernels::detect().map_err(|e| e.to_string())?;
    let tokens = &recipe.tokens[..];
    let ours = vectors(file, best, pooling, &[tokens])?.concat();
    let theirs = output.values()?;
    if ours.len() != theirs.len() {
        return Err(format!("{} values, expected {} of {}", ours.len(), output.rows, output.width));
    }
    let others = [&tokens[5..], tokens, &tokens[..1], &tokens[20..40]];
    let scalar = vectors(file, Kernels::scalar(), pooling, &others)?;
    let beside = scalar.get(1).ok_or("no vectors of the second text")?;
    if !ours.iter().map(|x| x.to_bits()).eq(beside.iter().map(|x| x.to_bits())) {
        return Err("scalar code between other texts gives other bits".into());
    }
    let sum = |f: &dyn Fn(f64, f64) -> f64| -> f64 {
        ours.iter().zip(&theirs).map(|(a, b)| f(f64::from(*a), f64::from(*b))).sum()
    };
    let norm = sum(&|_, b| b * b);
    let nmse = sum(&|a, b| (a - b) * (a - b)) / norm;
    let cosine = sum(&|a, b| a * b) / (sum(&|a, _| a * a) * norm).sqrt();
    if nmse.is_nan() || nmse > MAX_NMSE {
        return Err(format!("error {nmse:.1e}, at most {MAX_NMSE:.0e}"));
    }
    if ours.len() > 1 && (cosine.is_nan() || cosine < MIN_COSINE) {
        return Err(format!("cosine 1 - {:.1e}, at least 1 - 1e-6", 1.0 - cosine));
    }
    if nmse >= worst.0 {
        *worst = (nmse, name.to_owned());
    }
    Ok(())
}

/// Returns the values of each of some texts, computed in one pass.
fn vectors(
    file: &GgufFile,
    kernels: Kernels,
    pooling: Pooling,
    texts: &[&[u32]],
) -> Result<Vec<Vec<f32>>, String> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = cores.clamp(2, Pool::MAX_THREADS);
    let pool = Pool::new(threads).map_err(|e| e.to_string())?;
    let model = Loader::new(&kernels).load(file).map_err(|e| e.to_string())?;
    let n_ctx = texts.iter().map(|text| text.len()).max().unwrap_or(0);
    let n_batch = texts.iter().map(|text| text.len()).sum();
    let kv = KvOptions::new(KvType::F32, texts.len(), n_ctx);
    let mut kv = model.kv_cache(kv).map_err(|e| e.to_string())?;
    let run = RunOptions { n_batch, n_outputs: n_batch, threads, n_ctx, adapter_rank: 0 };
    let mut scratch = model.scratch(&run).map_err(|e| e.to_string())?;
    let reads = model.pooling_reads(pooling).map_err(|e| e.to_string())?;
    let mut batch = Batch::with_capacity(n_batch);
    for (text, sequence) in texts.iter().zip(0..) {
        batch.push_text(text, sequence, reads).map_err(|e| e.to_string())?;
    }
    let cx = Ctx::new(&pool, &kernels);
    let found = model
        .embed(cx, &batch, &mut kv, &mut scratch, pooling, &AtomicBool::new(false))
        .map_err(|e| e.to_string())?;
    let mut rows = found.rows();
    let of = |text: &&[u32]| if pooling == Pooling::None { text.len() } else { 1 };
    Ok(texts.iter().map(|text| rows.by_ref().take(of(text)).flatten().copied().collect()).collect())
}
