//! Lists the cores that a process may use, here or on a machine whose `/proc` and `/sys` were copied to a folder:
//! `cargo run -p happy-machine --example cores -- [FOLDER]`

use happy_machine::{cpus, cpus_at};
use std::path::PathBuf;

fn main() {
    let folder = std::env::args_os().nth(1).map(PathBuf::from);
    let cores = folder.map_or_else(cpus, |folder| cpus_at(&folder));
    if cores.is_empty() {
        println!("the system does not report its cores");
    }
    let largest = cores.iter().filter_map(|core| core.capacity).max();
    for core in &cores {
        match (core.capacity, largest) {
            // The rule of `default_threads`: big cores have at least half of the largest capacity.
            (Some(capacity), Some(largest)) if capacity >= largest.div_ceil(2) => {
                println!("cpu {}: capacity {capacity}, big", core.number);
            }
            (Some(capacity), _) => println!("cpu {}: capacity {capacity}, little", core.number),
            (None, _) => println!("cpu {}: unknown capacity", core.number),
        }
    }
}
