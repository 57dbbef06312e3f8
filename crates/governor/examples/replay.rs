//! Prints the decisions for a recorded run, one sample per line: seconds, tokens, seconds of computing, threads, headroom (or `-`).
//!
//! ```text
//! cargo run -p happy-governor --example replay -- 4 < samples.txt
//! ```
//!
//! The same samples always give the same decisions, so a surprise in the field can be examined later.

use happy_governor::{Config, Governor, Readings, Sample};
use std::time::Duration;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let threads = std::env::args().nth(1).map_or(Ok(4), |n| n.parse())?;
    let mut config = Config::for_cores(&[]);
    (config.max_threads, config.first_threads) = (threads, threads);
    let mut governor = Governor::new(config)?;
    for line in std::io::stdin().lines() {
        let line = line?;
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [at, tokens, busy, threads, headroom] = fields[..] else {
            return Err(format!("expected SECONDS TOKENS BUSY THREADS HEADROOM, found `{line}`").into());
        };
        let seconds =
            |text: &str| Ok::<_, Box<dyn std::error::Error>>(Duration::try_from_secs_f64(text.parse()?)?);
        let decision = governor.observe(&Sample {
            at: seconds(at)?,
            tokens: tokens.parse()?,
            busy: seconds(busy)?,
            threads: threads.parse()?,
            readings: Readings { headroom: headroom.parse().ok(), ..Readings::default() },
            ..Sample::default()
        });
        let cap =
            decision.tokens_per_second_cap.map_or("none".to_owned(), |cap| format!("{cap:.2} tokens/s"));
        println!("{at} s: {} threads, cap {cap}: {}", decision.threads, decision.reason);
    }
    Ok(())
}
