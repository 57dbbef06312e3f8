//! What a tokenizer takes of the heap, counted by the allocator: with the strings in shared storage a few bytes a token.

mod conformance;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use conformance::{corpus, load, vocabularies};
use happy_tokenizer::Tokenizer;

struct Counting;

thread_local! {
    // Per thread: the test harness allocates on its own threads.
    static ALLOCATED: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: usize, sign: isize) {
    // A thread that ends frees memory when its counter is gone already.
    let _ = ALLOCATED.try_with(|n| n.set(n.get() + sign * bytes as isize));
}

// SAFETY: every call is forwarded to the system allocator unchanged; the counter does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 1);
        // SAFETY: the caller's obligations are the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        count(layout.size(), -1);
        // SAFETY: as above.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bytes a token that are the tokenizer's own.
const MOST: f64 = 40.0;

#[test]
fn few_bytes_a_token() {
    let folder = corpus();
    let mut failures = Vec::new();
    for (name, info) in &vocabularies(&folder) {
        let file = load(&folder, info);
        let before = ALLOCATED.with(Cell::get);
        let tokenizer = Tokenizer::from_gguf(&file).unwrap_or_else(|e| panic!("{name}: {e}"));
        let allocated = (ALLOCATED.with(Cell::get) - before) as f64;
        let tokens = tokenizer.vocab_size() as f64;
        println!("{name}: {tokens} tokens, {:.1} bytes each", allocated / tokens);
        if allocated / tokens > MOST {
            failures.push(format!("{name}: {:.1} bytes a token", allocated / tokens));
        }
        // What the tokenizer says of itself leaves out lists of a few entries and what the allocator adds.
        let said = tokenizer.heap_bytes() as f64;
        if (said - allocated).abs() > 0.02 * allocated + 16384.0 {
            failures.push(format!("{name}: {said} bytes by its own account, {allocated} counted"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
