//! Interned lists of items: equal lists have the same number.

use crate::halt::{Halt, push};
use std::collections::HashMap;
use std::sync::Arc;

/// A position in the program, and what follows when its rule ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Item {
    pub(super) node: u32,
    /// The list of items to continue with when the rule ends; [`ROOT`] if the text may end.
    pub(super) frame: u32,
    /// What is known about the items of the enclosing array (`unique.rs`); 0 in frames.
    pub(super) guard: u32,
}

/// The frame of the rule that texts start from.
pub(super) const ROOT: u32 = 0;

/// Numbered lists. Number 0 is the empty list.
#[derive(Debug)]
pub(super) struct Lists {
    numbers: HashMap<Arc<Vec<Item>>, u32>,
    lists: Vec<Arc<Vec<Item>>>,
}

impl Lists {
    pub(super) fn new() -> Self {
        let empty: Arc<Vec<Item>> = Arc::default();
        Self { numbers: HashMap::from([(Arc::clone(&empty), 0)]), lists: vec![empty] }
    }

    pub(super) fn len(&self) -> usize {
        self.lists.len()
    }

    /// The number of a known list. Sorts and deduplicates the items first.
    pub(super) fn find(&self, items: &mut Vec<Item>) -> Option<u32> {
        items.sort_unstable();
        items.dedup();
        self.numbers.get(&*items).copied()
    }

    /// The number of a list, assigning a new one if needed.
    pub(super) fn number(&mut self, items: &mut Vec<Item>) -> Result<u32, Halt> {
        if let Some(number) = self.find(items) {
            return Ok(number);
        }
        let mut list = Vec::new();
        list.try_reserve_exact(items.len())?;
        list.extend_from_slice(items);
        let list = Arc::new(list);
        self.numbers.try_reserve(1)?;
        push(&mut self.lists, Arc::clone(&list))?;
        let number = self.lists.len() as u32 - 1;
        self.numbers.insert(list, number);
        Ok(number)
    }

    pub(super) fn get(&self, number: u32) -> Arc<Vec<Item>> {
        Arc::clone(&self.lists[number as usize])
    }
}
