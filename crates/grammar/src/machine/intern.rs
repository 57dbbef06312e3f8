//! Lists of items by number: equal lists have one number.

use std::collections::HashMap;
use std::sync::Arc;

/// A position in the program, and what is to be done when its rule ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Item {
    pub(super) node: u32,
    /// The list of items to go on with where the rule ends; [`ROOT`] where the text may end.
    pub(super) frame: u32,
    /// What is known about the items of the array around it (`unique.rs`); 0 in frames.
    pub(super) guard: u32,
}

/// The frame of the rule that texts begin with.
pub(super) const ROOT: u32 = 0;

/// Numbered lists. Number 0 is the empty list.
#[derive(Debug)]
pub(super) struct Lists {
    numbers: HashMap<Arc<[Item]>, u32>,
    lists: Vec<Arc<[Item]>>,
}

impl Lists {
    pub(super) fn new() -> Self {
        let empty: Arc<[Item]> = Arc::new([]);
        Self { numbers: HashMap::from([(Arc::clone(&empty), 0)]), lists: vec![empty] }
    }

    pub(super) fn len(&self) -> usize {
        self.lists.len()
    }

    /// The number of a list that was met; it is sorted and freed of repetitions first.
    pub(super) fn find(&self, items: &mut Vec<Item>) -> Option<u32> {
        items.sort_unstable();
        items.dedup();
        self.numbers.get(items.as_slice()).copied()
    }

    /// The number of a list, a new one if need be.
    pub(super) fn number(&mut self, items: &mut Vec<Item>) -> u32 {
        if let Some(number) = self.find(items) {
            return number;
        }
        let list: Arc<[Item]> = items.as_slice().into();
        let number = self.lists.len() as u32;
        self.numbers.insert(Arc::clone(&list), number);
        self.lists.push(list);
        number
    }

    pub(super) fn get(&self, number: u32) -> Arc<[Item]> {
        Arc::clone(&self.lists[number as usize])
    }
}
