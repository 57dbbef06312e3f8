//! A generation loop around a sampler, with a made-up model in place of a real one:
//!
//! ```text
//! cargo run -p happy-sampler --example generation_loop
//! ```

use happy_sampler::steps::Penalties;
use happy_sampler::{LogProbs, Sampler, TokenId};

const WORDS: [&str; 8] = ["<end>", "the", "cat", "dog", "saw", "and", "heard", "slept"];
const END: TokenId = 0;

/// Stands for a model: the logits of the next token, given the last one.
fn logits_after(last: TokenId) -> [f32; 8] {
    match WORDS[last as usize] {
        "the" => [-9.0, -9.0, 2.0, 1.8, -9.0, -9.0, -9.0, -9.0],
        "cat" | "dog" => [-1.0, -9.0, -9.0, -9.0, 2.0, -1.0, 1.5, 1.0],
        "slept" => [2.0, -9.0, -9.0, -9.0, -9.0, 1.0, -9.0, -9.0],
        _ => [-9.0, 3.0, -9.0, -9.0, -9.0, -9.0, -9.0, 0.0],
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut sampler = Sampler::builder()
        .penalties(Penalties { frequency: 0.4, ..Penalties::default() })
        .top_p(0.95)
        .temperature(0.8)
        .seed(std::env::args().nth(1).as_deref().unwrap_or("1").parse()?)
        .build()?;
    let mut log_probs = LogProbs::new();

    let mut last: TokenId = 1; // the prompt: "the"
    sampler.accept(last); // the penalties count the prompt's tokens only if they are told about them
    print!("{}", WORDS[last as usize]);
    for _ in 0..20 {
        let logits = logits_after(last);
        // All eight, so that any token can be looked up. These are the model's own, before any step.
        let of_model = log_probs.best(&logits, logits.len())?;
        last = sampler.sample(&logits)?;
        let ln_p = of_model.iter().find(|l| l.id == last).map_or(f32::NEG_INFINITY, |l| l.ln_p);
        if last == END {
            break;
        }
        print!(" {} ({:.2})", WORDS[last as usize], ln_p.exp());
    }
    println!();
    Ok(())
}
