//! Prints the most likely tokens after some token ids: `next_token model.gguf 504 5345 282`.

use happy_gguf::GgufFile;
use happy_kernels::{Ctx, Kernels, Pool};
use happy_model::{Batch, KvOptions, KvType, Model, NoHook, RunOptions, Want};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let Some(path) = args.next() else { return Err("usage: next_token MODEL.gguf TOKEN_ID...".into()) };
    let tokens = args.map(|a| a.parse()).collect::<Result<Vec<u32>, _>>()?;

    let kernels = Kernels::detect()?;
    let threads = std::thread::available_parallelism()?.get().min(4);
    let pool = Pool::new(threads)?;
    // `GgufFile::read` copies the file. A mapped one (`GgufFile::map`, unsafe) stays on disk.
    let model = Model::load(&GgufFile::read(path)?, &kernels)?;

    let kv_options = KvOptions::new(KvType::F16, 1, tokens.len());
    let run =
        RunOptions { n_batch: tokens.len(), n_outputs: 1, threads, n_ctx: tokens.len(), adapter_rank: 0 };
    let plan = model.plan(&kv_options, &run);
    let (name, layers) = (model.spec().architecture, model.n_layers());
    println!(
        "{name}, {layers} layers, kv cache {} bytes, scratch {} bytes",
        plan.kv_bytes, plan.scratch_bytes
    );
    let mut kv = model.kv_cache(kv_options)?;
    let mut scratch = model.scratch(&run)?;

    let mut batch = Batch::with_capacity(tokens.len());
    batch.push_tokens(&tokens, 0, 0, Want::Logits)?;
    let output = model.forward(Ctx::new(&pool, &kernels), &batch, &mut kv, &mut scratch, &mut NoHook)?;
    let logits = output.logits(tokens.len().saturating_sub(1)).ok_or("no logits")?;

    let mut order: Vec<usize> = (0..logits.len()).collect();
    order.sort_by(|a, b| logits[*b].total_cmp(&logits[*a]));
    for token in order.iter().take(10) {
        println!("{token:8} {:9.4}", logits[*token]);
    }
    Ok(())
}
