//! Texts that callers hold by their address, until they free them.
//!
//! The library keeps the bytes; an address that it did not return, or that was freed, is noticed. One case is not: a
//! copy of an address that was freed and has been returned again.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

static TEXTS: Mutex<BTreeMap<usize, Box<[u8]>>> = Mutex::new(BTreeMap::new());

fn lock() -> MutexGuard<'static, BTreeMap<usize, Box<[u8]>>> {
    TEXTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps bytes followed by a NUL, and returns their address.
pub fn keep(mut bytes: Vec<u8>) -> *mut u8 {
    bytes.push(0);
    let mut text = bytes.into_boxed_slice();
    let address = text.as_mut_ptr();
    lock().insert(address as usize, text);
    address
}

/// Frees the text at an address. Returns whether there was one.
pub fn free(address: usize) -> bool {
    let text = lock().remove(&address);
    text.is_some()
}

/// Texts that are not freed.
pub fn live() -> usize {
    lock().len()
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_live_texts_are_freed() {
        let address = super::keep(b"text".to_vec()) as usize;
        assert!(!super::free(address + 1));
        assert!(super::free(address));
        assert!(!super::free(address));
        assert!(!super::free(0));
    }
}
