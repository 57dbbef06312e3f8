//! What this machine leaves a process: `cargo run -p happy-machine --example machine`.

use happy_machine::{cpus, default_threads, memory};

fn main() {
    match memory::left(0) {
        Some(budget) => println!("{} MiB of memory may be taken: {}", budget.bytes >> 20, budget.bound),
        None => println!("this system does not tell how much memory may be taken"),
    }
    for cpu in cpus() {
        match cpu.capacity {
            Some(capacity) => println!("cpu {} of capacity {capacity}", cpu.number),
            None => println!("cpu {}", cpu.number),
        }
    }
    println!("{} threads", default_threads());
}
