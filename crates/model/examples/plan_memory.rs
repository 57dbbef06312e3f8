//! Says from the header alone how much memory a model needs: `plan_memory model.gguf [POSITIONS]`.

use happy_gguf::{GgufSetFile, Limits};
use happy_kernels::Kernels;
use happy_model::{KvOptions, KvType, Outline, RunOptions};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let path = args.next().ok_or("usage: plan_memory MODEL.gguf [POSITIONS]")?;
    let n_ctx = args.next().map_or(Ok(4096), |n| n.parse())?;

    // Of a split model, any part; the weights are not read.
    let headers = GgufSetFile::headers(path, &Limits::default())?;
    let outline = Outline::read(&headers.view(), &Kernels::detect()?)?;
    let spec = outline.spec();
    println!(
        "{}: {} layers, width {}, trained for {} positions",
        spec.architecture,
        spec.layers.len(),
        spec.n_embd,
        spec.n_ctx_train
    );
    println!("tables of the loader: at most {} KiB", outline.table_bytes() >> 10);
    let run = RunOptions { n_batch: 256, n_outputs: 1, threads: 4, n_ctx, adapter_rank: 0 };
    for kind in [KvType::F16, KvType::F32] {
        let plan = outline.plan(&KvOptions::new(kind, 1, n_ctx).with_batch(run.n_batch), &run);
        println!(
            "{n_ctx} positions in {kind:?}: cache {} KiB, recurrent states {} KiB, scratch {} KiB, in total {} KiB",
            plan.kv_bytes >> 10,
            plan.state_bytes >> 10,
            plan.scratch_bytes >> 10,
            plan.total_bytes() >> 10
        );
    }
    Ok(())
}
