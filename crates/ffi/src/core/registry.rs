//! Handles: numbers that stand for objects.
//!
//! ```text
//! handle, high bits to low:  generation of the slot (never 0) | slot | kind (never 0)
//!                            64-bit: 40 | 20 | 4          32-bit: 16 | 12 | 4
//! ```
//! A handle is looked up, never followed: null, the wrong kind, freed, freed twice or made up gives an error. Freeing an
//! object raises the generation of its slot. A slot that has used all generations retires, so that no freed handle ever names
//! a later object. A call holds the object while it runs: freeing takes the handle away, and the object goes with its last
//! call.

use super::embedder::{Embedder, Embeddings};
use super::model::Model;
use super::sampler::Sampler;
use super::session::Session;
use super::{CancelToken, Failed};
use crate::failure::{Failure, Outcome};
use crate::status::Status;
use std::any::Any;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const KIND_BITS: u32 = 4;
const SLOT_BITS: u32 = if usize::BITS >= 64 { 20 } else { 12 };
const GENERATION_BITS: u32 = usize::BITS - SLOT_BITS - KIND_BITS;

/// What a handle may stand for.
pub trait Kind: Any + Send + Sync {
    /// Its number in handles.
    const NUMBER: usize;
    /// Its name in errors, with an article.
    const NAME: &'static str;
}

macro_rules! kinds {
    ($($number:literal $name:literal $kind:ty;)*) => {
        $(impl Kind for $kind {
            const NUMBER: usize = $number;
            const NAME: &'static str = $name;
        })*

        fn kind_name(number: usize) -> &'static str {
            match number {
                $($number => $name,)*
                _ => "no handle",
            }
        }
    };
}

kinds! {
    1 "a model" Model;
    2 "a session" Session;
    3 "a sampler" Sampler;
    4 "a cancel token" CancelToken;
    5 "an error" Failed;
    6 "an embedder" Embedder;
    7 "embeddings" Embeddings;
}

struct Slot {
    generation: usize,
    kind: usize,
    object: Option<Arc<dyn Any + Send + Sync>>,
}

/// Slots with objects of any kind.
struct Registry {
    slots: Vec<Slot>,
    free: Vec<usize>,
    live: usize,
    /// Generations of a slot before it retires.
    last_generation: usize,
}

static HANDLES: Mutex<Registry> = Mutex::new(Registry::new((1 << GENERATION_BITS) - 1));

impl Registry {
    const fn new(last_generation: usize) -> Self {
        Self { slots: Vec::new(), free: Vec::new(), live: 0, last_generation }
    }

    fn insert(&mut self, kind: usize, object: Arc<dyn Any + Send + Sync>) -> Option<usize> {
        let index = match self.free.pop() {
            Some(index) => index,
            None if self.slots.len() >> SLOT_BITS == 0 => {
                self.slots.try_reserve(1).ok()?;
                self.slots.push(Slot { generation: 1, kind: 0, object: None });
                self.slots.len() - 1
            }
            None => return None,
        };
        // A full list of slots, each with room on the list of free ones: freeing needs no memory.
        self.free.try_reserve(self.slots.len() - self.free.len()).ok()?;
        let slot = self.slots.get_mut(index)?;
        (slot.kind, slot.object) = (kind, Some(object));
        self.live += 1;
        Some(slot.generation << (SLOT_BITS + KIND_BITS) | index << KIND_BITS | kind)
    }

    /// The slot of a live handle of this kind, or what is wrong with the handle.
    fn slot(&mut self, handle: usize, kind: usize) -> Result<(usize, &mut Slot), String> {
        let wanted = kind_name(kind);
        if handle == 0 {
            return Err(format!("the handle is NULL, expected {wanted}"));
        }
        let given = handle & ((1 << KIND_BITS) - 1);
        let index = handle >> KIND_BITS & ((1 << SLOT_BITS) - 1);
        let generation = handle >> (SLOT_BITS + KIND_BITS);
        let unknown = || format!("the handle {handle:#x} is not one of the library's, expected {wanted}");
        let slot = self.slots.get_mut(index).ok_or_else(unknown)?;
        if generation == 0 || generation > slot.generation || kind_name(given) == "no handle" {
            return Err(unknown());
        }
        if given != kind {
            return Err(format!("the handle {handle:#x} is {}, expected {wanted}", kind_name(given)));
        }
        if generation < slot.generation || slot.object.is_none() {
            return Err(format!("the handle {handle:#x} was {wanted}, which has been freed"));
        }
        if slot.kind != kind { Err(unknown()) } else { Ok((index, slot)) }
    }

    fn remove(&mut self, handle: usize, kind: usize) -> Result<Arc<dyn Any + Send + Sync>, String> {
        let last = self.last_generation;
        let (index, slot) = self.slot(handle, kind)?;
        let object = slot.object.take().ok_or_else(|| "the handle has no object".to_owned())?;
        if slot.generation < last {
            slot.generation += 1;
            self.free.push(index);
        }
        self.live -= 1;
        Ok(object)
    }
}

fn lock() -> MutexGuard<'static, Registry> {
    // Nothing panics while it is held; were something to, the list is still whole.
    HANDLES.lock().unwrap_or_else(PoisonError::into_inner)
}

fn invalid(message: String) -> Failure {
    Failure::new(Status::InvalidHandle, message)
}

/// A handle for an object.
///
/// # Errors
/// If there are too many: about a million on 64-bit machines, 4,096 on others.
pub fn insert<T: Kind>(object: T) -> Outcome<usize> {
    // A statement of its own: the lock is free again when the failure is described.
    let handle = lock().insert(T::NUMBER, Arc::new(object));
    handle.ok_or_else(|| {
        let live = live();
        Failure::new(Status::Memory, format!("there is no room for another handle: {live} are not freed"))
    })
}

/// The object of a handle.
///
/// # Errors
/// [`Status::InvalidHandle`], with what is wrong with it.
pub fn get<T: Kind>(handle: usize) -> Outcome<Arc<T>> {
    let object = lock().slot(handle, T::NUMBER).map(|(_, slot)| slot.object.clone()).map_err(invalid)?;
    object
        .and_then(|object| object.downcast().ok())
        .ok_or_else(|| Failure::new(Status::Internal, format!("the handle {handle:#x} is not {}", T::NAME)))
}

/// Does the same as [`get`]; null gives `None`.
///
/// # Errors
/// As [`get`].
pub fn get_optional<T: Kind>(handle: usize) -> Outcome<Option<Arc<T>>> {
    if handle == 0 { Ok(None) } else { get(handle).map(Some) }
}

/// Frees a handle. Its object is dropped when the last call that holds it ends. Null is fine.
pub fn free<T: Kind>(handle: usize) -> Status {
    if handle == 0 {
        return Status::Ok;
    }
    let removed = lock().remove(handle, T::NUMBER);
    // Dropped here, when the lock is free again: a model takes its time.
    match removed {
        Ok(_) => Status::Ok,
        Err(_) => Status::InvalidHandle,
    }
}

/// Handles that are not freed.
pub fn live() -> usize {
    lock().live
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registry() -> Registry {
        Registry::new(3)
    }

    fn object() -> Arc<dyn Any + Send + Sync> {
        Arc::new(())
    }

    #[test]
    fn handles_of_every_kind_of_misuse() {
        let mut r = registry();
        let model = r.insert(1, object()).unwrap();
        let session = r.insert(2, object()).unwrap();
        let freed = r.insert(2, object()).unwrap();
        r.remove(freed, 2).unwrap();
        let top = 1 << (usize::BITS - 1);
        let cases = [
            (model, 1, ""),
            (session, 2, ""),
            (0, 1, "is NULL, expected a model"),
            (session, 1, "is a session, expected a model"),
            (freed, 2, "was a session, which has been freed"),
            (freed, 1, "is a session, expected a model"),
            (model + 7, 1, "is not one of the library's"),
            (model | top, 1, "is not one of the library's"),
            (1, 1, "is not one of the library's"),
            (usize::MAX, 1, "is not one of the library's"),
            (0xdead_beef, 1, "is not one of the library's"),
            (model ^ 3, 2, "is not one of the library's"),
        ];
        let mut failures = Vec::new();
        for (handle, kind, expected) in cases {
            let found = r.slot(handle, kind).map(|_| ()).err().unwrap_or_default();
            if found.is_empty() != expected.is_empty() || !found.contains(expected) {
                failures.push(format!("{handle:#x} as {kind}: {found:?}, expected {expected:?}"));
            }
        }
        assert!(failures.is_empty(), "{failures:#?}");
        assert_eq!(r.live, 2);
    }

    #[test]
    fn a_slot_counts_and_retires() {
        let mut r = registry();
        let mut seen = Vec::new();
        for _ in 0..9 {
            let handle = r.insert(3, object()).unwrap();
            assert!(!seen.contains(&handle), "{handle:#x} was given before");
            seen.push(handle);
            assert!(r.remove(handle, 3).is_ok() && r.remove(handle, 3).is_err());
        }
        // Three generations a slot, then another slot.
        assert_eq!((r.slots.len(), r.free.len(), r.live), (3, 0, 0));
        assert!(seen.iter().all(|handle| r.slot(*handle, 3).is_err()));
    }

    #[test]
    fn freed_while_in_use() {
        let handle = insert(CancelToken::new()).unwrap();
        let used = get::<CancelToken>(handle).unwrap();
        assert_eq!(free::<CancelToken>(handle), Status::Ok);
        assert_eq!(free::<CancelToken>(handle), Status::InvalidHandle);
        assert_eq!(get::<CancelToken>(handle).unwrap_err().status, Status::InvalidHandle);
        used.cancel();
        assert!(used.is_cancelled());
        assert_eq!(free::<CancelToken>(0), Status::Ok);
        assert!(get_optional::<CancelToken>(0).unwrap().is_none());
    }
}
