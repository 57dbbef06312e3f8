//! Prints how large a model would be in every mix. Nothing is written:
//! `cargo run -p happy-quantize --example compare_mixes -- model-f16.gguf`

use happy_gguf::{GgufSetReader, Limits};
use happy_quantize::{Mix, Quantizer};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args_os().nth(1).ok_or("usage: compare_mixes MODEL.gguf")?;
    let model = GgufSetReader::open(path, &Limits::default())?;
    println!("{:<8} {:>14} bytes", "as it is", model.file_len()?);
    for mix in Mix::ALL {
        // Allowed, since only the size is of interest.
        let quantizer = Quantizer::new(*mix).requantize(true);
        let plan = quantizer.plan(&model)?;
        let encoded = plan.tensors().iter().filter(|t| t.encoded().is_some()).count();
        println!("{mix:<8} {:>14} bytes, {encoded} tensors change", plan.file_len()?);
    }
    Ok(())
}
