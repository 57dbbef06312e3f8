//! Changes models and adapters as arbitrary bytes say, then does with them everything that can be done with a model. Each step must either
//! work or return an error, and take the memory that was planned. The tests in `mutations` and the fuzz targets `recipe` and `adapter` use
//! this.
#![allow(dead_code)] // each fuzz target uses a part

mod change;
mod run;

use std::sync::Arc;

use happy_gguf::GgufFile;
use happy_kernels::{Kernels, Pool};
use happy_model::{AdapterSet, Model};
use happy_testkit::measured;

use change::Parts;
use run::{Runs, said};

/// Decisions that depend on bytes. After the last byte every decision is 0, which makes no further changes.
pub(crate) struct Choices<'a>(&'a [u8]);

impl<'a> Choices<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Choices(bytes)
    }

    /// Returns a number below `n`, which must be at least 1.
    fn below(&mut self, n: usize) -> usize {
        let take = if n > 256 { 2 } else { 1 };
        let (bytes, rest) = self.0.split_at(take.min(self.0.len()));
        self.0 = rest;
        bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)) % n
    }
}

/// How far a changed file came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reached {
    /// The file can't be written or read.
    NoFile,
    /// An error says why the file can't be loaded, or it would take too much memory.
    Refused,
    /// A pass returned an error.
    Failed,
    /// Everything was computed, and every way of computing it gave the same bits.
    Computed,
}

/// Changes one of some files and does everything with it.
pub(crate) fn any_recipe(files: &[&GgufFile], data: &[u8]) -> Reached {
    let mut choices = Choices::new(data);
    let (of, from) = (choices.below(files.len()), choices.below(files.len()));
    let Some(file) = changed(files[of], files[from], &mut choices) else { return Reached::NoFile };
    let kernels = Kernels::detect().unwrap();
    match run::load(&file, &kernels, choices.below(4) == 3) {
        Some(model) => Runs::new(&model, &kernels, &mut choices).map_or(Reached::Refused, Runs::all),
        None => Reached::Refused,
    }
}

/// Changes the file of an adapter, and computes with and without that adapter. A case is a model with adapters for it.
pub(crate) fn any_adapter(cases: &[(GgufFile, Vec<GgufFile>)], data: &[u8]) -> Reached {
    let mut choices = Choices::new(data);
    let (model, adapters) = &cases[choices.below(cases.len())];
    let of = &adapters[choices.below(adapters.len())];
    let Some(file) = changed(of, &adapters[0], &mut choices) else { return Reached::NoFile };
    let kernels = Kernels::detect().unwrap();
    let model = Model::load(model, &kernels).unwrap();
    let (adapter, used) = measured(|| model.adapter(&file, &kernels));
    // While a matrix is being decoded, both forms of it are in memory.
    let decoded = 4 * change::elements(&file) + 8 * file.bytes().len() as u64 + (64 << 10);
    assert!(used.peak <= decoded, "an adapter of {} bytes took {used:?}", file.bytes().len());
    let adapter = match adapter {
        Ok(adapter) => Arc::new(adapter),
        Err(e) => return said(&e, Reached::Refused),
    };
    let scale = [1.0, -0.5, 0.0, 1e30, f32::NAN, f32::INFINITY][choices.below(6)];
    let list = [(adapter.clone(), scale), (adapter, 0.25)];
    let set = match AdapterSet::new(&list[..1 + choices.below(2)]) {
        Ok(set) => Arc::new(set),
        Err(e) => return said(&e, Reached::Refused),
    };
    match Runs::new(&model, &kernels, &mut choices) {
        Some(runs) => runs.adapted(&set),
        None => Reached::Refused,
    }
}

/// Returns a file with some changes, or `None` if it can't be written or read.
fn changed(of: &GgufFile, donor: &GgufFile, choices: &mut Choices<'_>) -> Option<GgufFile> {
    let (mut parts, donor) = (Parts::of(of), Parts::of(donor));
    for _ in 0..choices.below(5) {
        parts.change(&donor, choices);
    }
    parts.file(choices)
}

/// Returns a pool that has only the calling thread.
fn pool() -> Pool {
    Pool::new(1).unwrap()
}
