//! Continues a prompt in several ways at once: `several_sequences model.gguf 504 5345 282`.
//!
//! The prompt runs once. Forked sequences share its pages of the cache, and one batch decodes all of them.

use happy_gguf::GgufFile;
use happy_kernels::{Ctx, Kernels, Pool};
use happy_model::{Batch, KvOptions, KvType, Model, NoHook, RunOptions, Want};

/// Number of continuations, and of tokens in each.
const SEQUENCES: usize = 4;
const TOKENS: usize = 12;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let path = args.next().ok_or("usage: several_sequences MODEL.gguf TOKEN_ID...")?;
    let prompt = args.map(|a| a.parse()).collect::<Result<Vec<u32>, _>>()?;
    let last = prompt.len().checked_sub(1).ok_or("give at least one token id")?;

    let kernels = Kernels::detect()?;
    let threads = std::thread::available_parallelism()?.get().min(4);
    let pool = Pool::new(threads)?;
    let model = Model::load(&GgufFile::read(path)?, &kernels)?;
    let n_ctx = prompt.len() + TOKENS;
    let n_batch = prompt.len().max(SEQUENCES);
    // The first step after the forks needs a copy of the prompt's last page for each sequence, so plan one sequence more.
    let mut kv = model.kv_cache(KvOptions::new(KvType::F16, SEQUENCES + 1, n_ctx))?;
    let run = RunOptions { n_batch, n_outputs: SEQUENCES, threads, n_ctx, adapter_rank: 0 };
    let mut scratch = model.scratch(&run)?;
    let cx = Ctx::new(&pool, &kernels);

    // The prompt, in sequence 0. Each continuation begins with one of the most likely tokens.
    let mut batch = Batch::with_capacity(n_batch);
    batch.push_tokens(&prompt, 0, 0, Want::Logits)?;
    let output = model.forward(cx, &batch, &mut kv, &mut scratch, &mut NoHook)?;
    let logits = output.logits(last).ok_or("no logits")?;
    let mut best: Vec<u32> = (0..).take(logits.len()).collect();
    best.sort_by(|a, b| logits[*b as usize].total_cmp(&logits[*a as usize]));
    let mut texts: Vec<Vec<u32>> = best.iter().take(SEQUENCES).map(|token| vec![*token]).collect();

    for sequence in 1..texts.len() as u32 {
        kv.fork(0, sequence)?;
    }
    for step in 0..TOKENS - 1 {
        batch.clear();
        for (sequence, text) in (0..).zip(&texts) {
            batch.push(text[step], (prompt.len() + step) as u32, sequence, Want::Logits)?;
        }
        let output = model.forward(cx, &batch, &mut kv, &mut scratch, &mut NoHook)?;
        for (row, text) in texts.iter_mut().enumerate() {
            let logits = output.logits(row).ok_or("no logits")?;
            text.push((kernels.ops.argmax)(logits).ok_or("no token")? as u32);
        }
    }
    for text in texts {
        println!("{text:?}");
    }
    Ok(())
}
