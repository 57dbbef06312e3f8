//! Prints how much memory and which cores a process may use: `cargo run -p happy-machine --example machine`

use happy_machine::{cpus, default_threads, memory};

fn main() {
    match memory::left(0) {
        Some(budget) => println!("{} MiB of memory may be used: {}", budget.bytes >> 20, budget.bound),
        None => println!("this system does not report how much memory may be used"),
    }
    for cpu in cpus() {
        match cpu.capacity {
            Some(capacity) => println!("cpu {} of capacity {capacity}", cpu.number),
            None => println!("cpu {}", cpu.number),
        }
    }
    println!("{} threads", default_threads());
}
