//! The bytes of the tensors.

use super::hash::Hash;
use crate::reserve::{copied_text, reserve};
use crate::{Engine, EngineError};
use happy_kernels::Pool;
use std::sync::OnceLock;

/// Tensors that are hashed between two looks at whether to go on.
const AT_ONCE: usize = 16;

/// The name and hash of each tensor, in the order of the file; a tensor is hashed by one thread.
pub(super) fn hashes(
    engine: &Engine,
    tick: &mut dyn FnMut(f32) -> Result<(), EngineError>,
) -> Result<Vec<(String, Hash)>, EngineError> {
    let pool = Pool::new(engine.plan().threads)?;
    let set = engine.files().view();
    let mut tensors = Vec::new();
    for (part, gguf) in set.parts().map(|(_, gguf)| gguf).enumerate() {
        reserve(&mut tensors, gguf.tensors().len(), "the list of tensors")?;
        tensors.extend(gguf.tensors().map(|tensor| (part, tensor.name, gguf.data(&tensor).unwrap_or(&[]))));
    }
    let mut hashes = Vec::new();
    reserve(&mut hashes, tensors.len(), "hashes of tensors")?;
    let total = tensors.iter().map(|(.., bytes)| bytes.len()).sum::<usize>().max(1);
    let mut done = 0;
    for some in tensors.chunks(AT_ONCE) {
        let found: [OnceLock<Hash>; AT_ONCE] = Default::default();
        pool.run(some.len(), &|task, _| {
            if let (Some((.., bytes)), Some(place)) = (some.get(task), found.get(task)) {
                place.get_or_init(|| Hash::of(bytes));
            }
        });
        for ((_, name, bytes), hash) in some.iter().zip(&found) {
            let hash = hash.get().copied().unwrap_or_default();
            hashes.push((copied_text(name, "names of tensors")?, hash));
            done += bytes.len();
        }
        tick(done as f32 / total as f32)?;
    }
    Ok(hashes)
}

/// The first tensor that is not the same, or that is on one side alone.
pub(super) fn compare(expected: &[(String, Hash)], found: &[(String, Hash)]) -> Option<String> {
    // by name: splitting a file changes the order
    let mut sorted: Vec<_> = found.iter().collect();
    sorted.sort_unstable_by_key(|(name, _)| name);
    let of = |name: &String| sorted.binary_search_by_key(&name, |(name, _)| name).ok().map(|i| sorted[i].1);
    let differs = expected.iter().find(|(name, hash)| of(name) != Some(*hash)).map(|(name, _)| name);
    let mut names: Vec<_> = expected.iter().map(|(name, _)| name).collect();
    names.sort_unstable();
    let added = || found.iter().map(|(name, _)| name).find(|name| names.binary_search(name).is_err());
    differs.or_else(added).cloned()
}
