//! Describes the processor, and what the library uses of it.

use crate::failure::Outcome;
use happy_engine::{cpus, default_threads};
use happy_kernels::isa::cpu_features;
use happy_kernels::{Isa, Kernels};
use serde_json::{Map, json};

/// A JSON object.
///
/// # Errors
/// If the environment asks for an instruction set that the machine does not have.
pub fn describe() -> Outcome<String> {
    let kernels = Kernels::detect()?;
    let features: Map<_, _> =
        cpu_features().iter().map(|(name, has)| ((*name).to_owned(), json!(has))).collect();
    let available = |isa: &Isa| isa.available().is_ok();
    Ok(json!({
        "architecture": std::env::consts::ARCH,
        "cores": std::thread::available_parallelism().map_or(1, usize::from),
        "capacities": cpus().iter().map(|cpu| cpu.capacity).collect::<Vec<_>>(),
        "default_threads": default_threads(),
        "features": features,
        "instruction_sets": Isa::ALL.iter().filter(|isa| available(isa)).map(|isa| isa.name()).collect::<Vec<_>>(),
        "chosen": kernels.isa.name(),
    })
    .to_string())
}
