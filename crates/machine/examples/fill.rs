//! Chooses the size of a buffer by what may still be used, fills it, and shows what that did to the process:
//! `cargo run -p happy-machine --example fill -- [MIB]` (MIB: at most this much; 64 unless given)

use happy_machine::memory;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let most: u64 = std::env::args().nth(1).map_or(Ok(64), |mib| mib.parse())?;
    // Half of what is left, so that others and the rest of this program can grow too.
    let wanted = memory::available().map_or(most << 20, |left| (left / 2).min(most << 20));
    show("before")?;
    let mut buffer = Vec::new();
    buffer.try_reserve_exact(usize::try_from(wanted)?)?;
    buffer.resize(buffer.capacity(), 1u8);
    // Pages count once they are written to.
    show("filled")?;
    drop(buffer);
    show("freed")
}

/// Prints what this process uses, and what it may still use.
fn show(when: &str) -> Result<(), Box<dyn std::error::Error>> {
    let usage = memory::usage().ok_or("this system does not report the memory of a process")?;
    print!("{when}: {} MiB anonymous, {} MiB at most so far", usage.anon_bytes >> 20, usage.peak_bytes >> 20);
    match memory::left(0) {
        Some(budget) => println!("; {} MiB are left: {}", budget.bytes >> 20, budget.bound),
        None => println!(),
    }
    Ok(())
}
