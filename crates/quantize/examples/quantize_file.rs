//! Quantizes a model:
//! `cargo run --release -p happy-quantize --example quantize_file -- model-f16.gguf small.gguf Q4_K_M [imatrix.gguf]`

use happy_gguf::{GgufSetReader, Limits};
use happy_quantize::{Imatrix, Mix, Quantizer, RunOptions};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (input, output, mix, imatrix) = match args.as_slice() {
        [input, output, mix] => (input, output, mix, None),
        [input, output, mix, imatrix] => (input, output, mix, Some(imatrix)),
        _ => return Err("usage: quantize_file INPUT.gguf OUTPUT.gguf MIX [IMATRIX]".into()),
    };
    let mut quantizer = Quantizer::new(mix.parse::<Mix>()?);
    if let Some(path) = imatrix {
        quantizer = quantizer.with_imatrix(Imatrix::read(path)?);
    }
    let model = GgufSetReader::open(input, &Limits::default())?;
    let plan = quantizer.plan(&model)?;
    println!("{} bytes -> {} bytes", model.file_len()?, plan.file_len()?);
    let progress = |p: &happy_quantize::Progress<'_>| {
        if let (0, Some((from, to))) = (p.tensor_done, p.tensor.encoded()) {
            println!("{:3}% {:32} {from} -> {to}", p.done * 100 / p.total.max(1), p.tensor.info.name);
        }
    };
    plan.write_file(output, &RunOptions { replace: false, progress: &progress, ..RunOptions::default() })?;
    Ok(())
}
