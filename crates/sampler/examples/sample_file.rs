//! Samples from a file with one row of raw little-endian f32 logits, such as a model writes:
//!
//! ```text
//! cargo run -p happy-sampler --example sample_file -- FILE [TEMPERATURE [TOP_K [TOP_P [SEED [COUNT]]]]]
//! ```
//!
//! Prints the tokens that the steps leave (token, logit, probability), then COUNT draws.

use happy_sampler::{Sampler, TokenId};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some(path) = args.first() else {
        return Err("usage: sample_file FILE [TEMPERATURE [TOP_K [TOP_P [SEED [COUNT]]]]]".into());
    };
    let arg = |i: usize, default: &'static str| args.get(i).map_or(default, String::as_str);
    let bytes = std::fs::read(path).map_err(|e| format!("{path}: {e}"))?;
    let (values, rest) = bytes.as_chunks::<4>();
    if !rest.is_empty() {
        return Err(format!("{path}: expected a multiple of 4 bytes, found {}", bytes.len()).into());
    }
    let logits: Vec<f32> = values.iter().map(|b| f32::from_le_bytes(*b)).collect();

    let mut sampler = Sampler::builder()
        .top_k(arg(2, "40").parse::<usize>()?)
        .top_p(arg(3, "0.95").parse::<f32>()?)
        .temperature(arg(1, "0.8").parse::<f32>()?)
        .seed(arg(4, "0").parse()?)
        .build()?;
    let left = sampler.apply(&logits)?;
    left.sort();
    left.softmax();
    println!("{} of {} tokens left", left.len(), logits.len());
    for c in left.as_slice().iter().take(20) {
        println!("{:>8}  logit {:>9.4}  p {:.4}", c.id, c.logit, c.p);
    }
    let draws = (0..arg(5, "10").parse::<usize>()?).map(|_| sampler.sample(&logits));
    println!("drawn: {:?}", draws.collect::<Result<Vec<TokenId>, _>>()?);
    Ok(())
}
