//! What trimming gives back, by what the system counts: `cargo run --release -p happy-engine --example trim -- MODEL [CYCLES]`

use happy_engine::{Engine, LoadOptions, TrimLevel, memory};

/// Anonymous memory of the process in MiB.
fn anonymous() -> f64 {
    memory::usage().map_or(f64::NAN, |usage| usage.anon_bytes as f64 / (1 << 20) as f64)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let model = args.next().ok_or("usage: trim MODEL [CYCLES]")?;
    let cycles: usize = args.next().map_or(Ok(10), |n| n.parse())?;
    let engine = Engine::open(&model, &LoadOptions { context: Some(2048), ..LoadOptions::default() })?;
    let idle = anonymous();
    println!("model mapped, no context   {idle:8.1} MiB");
    let mut context = engine.context()?;
    let prompt: Vec<u32> = (0..1024).map(|i| 100 + i * 7 % 10_000).collect();
    context.prefill(0, &prompt)?;
    println!("1,024 tokens               {:8.1} MiB", anonymous());
    for level in [TrimLevel::Scratch, TrimLevel::Snapshots, TrimLevel::Branches, TrimLevel::Sequences] {
        context.trim(level)?;
        println!("after {:<20} {:8.1} MiB", format!("{level:?}"), anonymous());
    }
    for cycle in 1..=cycles {
        context.prefill(0, &prompt[..16])?;
        context.trim(TrimLevel::Sequences)?;
        if cycle == 1 || cycle == cycles {
            println!("cycle {cycle:<20} {:8.1} MiB", anonymous());
        }
    }
    println!("above the idle process     {:8.1} MiB", anonymous() - idle);
    Ok(())
}
