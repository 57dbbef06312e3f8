//! Shows what each step leaves of a made-up row of logits, and which tokens each pick chooses:
//!
//! ```text
//! cargo run -p happy-sampler --example compare
//! ```

use happy_sampler::steps::{Dry, Penalties, Temperature, Xtc};
use happy_sampler::{AdaptiveP, LogProbs, Mirostat, MirostatVersion, Sampler, SamplerBuilder, SamplerError};

fn main() -> Result<(), SamplerError> {
    // Ten words; each has about two thirds of the probability of the one before.
    let words = ["the", "a", "one", "this", "that", "my", "her", "no", "some", "zebra"];
    let logits: Vec<f32> = (0..words.len()).map(|i| -0.4 * i as f32).collect();

    let mut log_probs = LogProbs::new();
    println!("the model's best:");
    for best in log_probs.best(&logits, 3)? {
        println!("  {:<6} ln p {:.3}", words[best.id as usize], best.ln_p);
    }

    let b = Sampler::builder;
    let history = [0, 1, 2, 0, 1]; // "the a one the a": "one" would continue the repetition
    let steps: [(&str, SamplerBuilder); 11] = [
        ("nothing", b()),
        ("top_k(3)", b().top_k(3)),
        ("top_p(0.7)", b().top_p(0.7)),
        ("min_p(0.3)", b().min_p(0.3)),
        ("typical(0.5)", b().typical(0.5)),
        ("top_n_sigma(1)", b().top_n_sigma(1.0)),
        ("xtc(1, 0.15)", b().xtc(Xtc { probability: 1.0, threshold: 0.15, ..Xtc::default() })),
        ("temperature(0.3)", b().temperature(0.3)),
        ("temperature(0.3 to 1.3)", b().temperature(Temperature { t: 0.8, delta: 0.5, exponent: 1.0 })),
        (
            "penalties(frequency 0.5, presence 0.5)",
            b().penalties(Penalties { frequency: 0.5, presence: 0.5, ..Penalties::default() }),
        ),
        (
            "dry(multiplier 2, allowed_length 1)",
            b().dry(Dry { multiplier: 2.0, allowed_length: 1, ..Dry::default() }),
        ),
    ];
    for (name, builder) in steps {
        let mut sampler = builder.build()?;
        history.iter().for_each(|t| sampler.accept(*t));
        let left = sampler.apply(&logits)?;
        left.sort();
        left.softmax();
        let shares = left.as_slice().iter().filter(|c| c.p >= 0.005);
        let shares: Vec<String> =
            shares.map(|c| format!("{} {:.0}%", words[c.id as usize], c.p * 100.0)).collect();
        println!("{name}:\n  {}", shares.join(", "));
    }

    let mirostat = |version| Mirostat { version, tau: 2.0, ..Mirostat::default() };
    let picks = [
        ("greedy", b().greedy()),
        ("draw", b()),
        ("mirostat(version 1, tau 2)", b().mirostat(mirostat(MirostatVersion::V1))),
        ("mirostat(version 2, tau 2)", b().mirostat(mirostat(MirostatVersion::V2))),
        ("adaptive_p(target 0.1)", b().adaptive_p(AdaptiveP { target: Some(0.1), decay: 0.9 })),
    ];
    for (name, builder) in picks {
        let mut sampler = builder.seed(1).build()?;
        let taken = (0..12).map(|_| Ok(words[sampler.sample(&logits)? as usize]));
        println!("{name}:\n  {}", taken.collect::<Result<Vec<_>, SamplerError>>()?.join(" "));
    }
    Ok(())
}
