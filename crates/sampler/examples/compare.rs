//! What each step leaves of a made-up row of logits, and which tokens each pick takes:
//!
//! ```text
//! cargo run -p happy-sampler --example compare
//! ```

use happy_sampler::{LogProbs, Sampler, SamplerBuilder, SamplerError};

fn main() -> Result<(), SamplerError> {
    // Ten words; the probabilities fall by a fifth of what is left each time.
    let words = ["the", "a", "one", "this", "that", "my", "her", "no", "some", "zebra"];
    let logits: Vec<f32> = (0..words.len()).map(|i| -0.4 * i as f32).collect();

    let mut log_probs = LogProbs::new();
    println!("the model's best:");
    for best in log_probs.best(&logits, 3)? {
        println!("  {:<6} ln p {:.3}", words[best.id as usize], best.ln_p);
    }

    let b = Sampler::builder;
    let history = [0, 1, 2, 0, 1]; // "the a one the a": "one" would go on repeating
    let steps: [(&str, SamplerBuilder); 11] = [
        ("nothing", b()),
        ("top_k(3)", b().top_k(3)),
        ("top_p(0.7)", b().top_p(0.7)),
        ("min_p(0.3)", b().min_p(0.3)),
        ("typical(0.5)", b().typical(0.5)),
        ("top_n_sigma(1)", b().top_n_sigma(1.0)),
        ("xtc(1, 0.15)", b().xtc(1.0, 0.15)),
        ("temperature(0.3)", b().temperature(0.3)),
        ("dynamic_temperature(0.8, 0.5, 1)", b().dynamic_temperature(0.8, 0.5, 1.0)),
        ("penalties(64, 1, 0.5, 0.5)", b().penalties(64, 1.0, 0.5, 0.5)),
        ("dry(2, 1.75, 1, 64, [])", b().dry(2.0, 1.75, 1, 64, [])),
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

    let picks = [
        ("greedy", b().greedy()),
        ("draw", b()),
        ("mirostat(2, 0.1)", b().mirostat(2.0, 0.1)),
        ("mirostat_v2(2, 0.1)", b().mirostat_v2(2.0, 0.1)),
        ("adaptive_p(0.1, 0.9)", b().adaptive_p(0.1, 0.9)),
    ];
    for (name, builder) in picks {
        let mut sampler = builder.seed(1).build()?;
        let taken = (0..12).map(|_| Ok(words[sampler.sample(&logits)? as usize]));
        println!("{name}:\n  {}", taken.collect::<Result<Vec<_>, SamplerError>>()?.join(" "));
    }
    Ok(())
}
