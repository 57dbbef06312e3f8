//! The cache: truncation, forks, and too little room.

mod common;

use common::{Runner, batch, bits, q4_0, small_llama, tokens};
use happy_kernels::Kernels;
use happy_model::{Batch, ForwardError, KV_PAGE, KvError, KvType, Want};

fn runner(n_pages: usize) -> Runner {
    Runner::new(&small_llama(&q4_0), Kernels::detect().unwrap(), 2, KvType::F16, n_pages)
}

/// Returns the logits of the last `n` tokens of a sequence that is computed in one piece.
fn fresh(ids: &[u32], n: usize) -> Vec<Vec<u32>> {
    let all = runner(4).logits(&batch(ids, 0, 0)).unwrap();
    bits(&all[ids.len() - n..])
}

#[test]
fn truncate_and_go_on() {
    let (a, b) = (tokens(130, 1), tokens(40, 2));
    for keep in [0, 1, 63, 64, 65, 100, 128, 130] {
        let mut r = runner(4);
        r.logits(&batch(&a, 0, 0)).unwrap();
        r.kv.truncate(0, keep).unwrap();
        assert_eq!((r.kv.len(0), r.kv.free_pages()), (keep, 4 - keep.div_ceil(KV_PAGE)));
        assert_eq!(r.kv.resident_bytes(), keep.div_ceil(KV_PAGE) * r.kv.page_bytes());
        assert_eq!(r.kv.held_bytes(), 3 * r.kv.page_bytes(), "free pages stay");
        let found = r.logits(&batch(&b, keep as u32, 0)).unwrap();
        let ids: Vec<u32> = a[..keep].iter().chain(&b).copied().collect();
        assert!(bits(&found) == fresh(&ids, b.len()), "after {keep} positions");
    }
    let mut r = runner(4);
    assert_eq!(r.kv.truncate(0, 1), Err(KvError::Truncate { sequence: 0, len: 0, to: 1 }));
    assert_eq!(r.kv.clear(4), Err(KvError::Sequence { sequence: 4, n_sequences: 4 }));
}

#[test]
fn forks_share_pages_and_write_their_own() {
    let (a, b, c) = (tokens(100, 1), tokens(30, 2), tokens(50, 3));
    let mut r = runner(8);
    r.logits(&batch(&a, 0, 0)).unwrap();
    r.kv.fork(0, 1).unwrap();
    r.kv.fork(1, 2).unwrap();
    assert_eq!((r.kv.len(1), r.kv.len(2), r.kv.free_pages()), (100, 100, 6));
    let continued = |ids: &[u32]| -> Vec<u32> { a.iter().chain(ids).copied().collect() };
    let found = r.logits(&batch(&b, 100, 1)).unwrap();
    assert!(bits(&found) == fresh(&continued(&b), b.len()));
    assert_eq!(r.kv.free_pages(), 4, "a copy of the shared page and one more");
    let found = r.logits(&batch(&c, 100, 0)).unwrap();
    assert!(bits(&found) == fresh(&continued(&c), c.len()));
    let found = r.logits(&batch(&b, 100, 2)).unwrap();
    assert!(bits(&found) == fresh(&continued(&b), b.len()), "the last owner writes in place");
    for (sequence, free) in [(1, 2 + 1), (0, 3 + 2), (2, 8)] {
        r.kv.clear(sequence).unwrap();
        assert!(r.kv.free_pages() >= free, "{sequence}: {}", r.kv.free_pages());
    }
    assert_eq!((r.kv.free_pages(), r.kv.resident_bytes()), (8, 0));
    // a fork replaces the sequence that it goes to; a fork of a sequence onto itself does nothing
    r.logits(&batch(&a, 0, 0)).unwrap();
    r.logits(&batch(&b, 0, 1)).unwrap();
    r.kv.fork(1, 1).unwrap();
    r.kv.fork(0, 1).unwrap();
    assert_eq!((r.kv.len(1), r.kv.free_pages()), (100, 6));
    assert!(r.kv.fork(0, 9).is_err() && r.kv.fork(9, 0).is_err());
}

/// Three sequences share a page and all write to it in one batch: two copies, and the last owner writes in place.
#[test]
fn the_last_owner_of_a_page_needs_no_room() {
    let (a, b) = (tokens(100, 1), tokens(3, 2));
    for (n_pages, fits) in [(4, true), (3, false)] {
        let mut r = runner(n_pages);
        r.logits(&batch(&a, 0, 0)).unwrap();
        r.kv.fork(0, 1).unwrap();
        r.kv.fork(0, 2).unwrap();
        let mut all = Batch::with_capacity(3);
        for (sequence, token) in (0..).zip(&b) {
            all.push(*token, 100, sequence, Want::Logits).unwrap();
        }
        let Ok(found) = r.logits(&all) else {
            assert!(!fits, "{n_pages} pages");
            assert_eq!(r.kv.len(0), 100);
            continue;
        };
        assert!(fits, "{n_pages} pages");
        assert_eq!(r.kv.free_pages(), 0);
        for (row, token) in bits(&found).into_iter().zip(&b) {
            let ids: Vec<u32> = a.iter().chain([token]).copied().collect();
            assert!(vec![row] == fresh(&ids, 1), "token {token}");
        }
    }
}

#[test]
fn too_little_room_is_an_error_that_changes_nothing() {
    let a = tokens(150, 1);
    let mut r = runner(3);
    r.logits(&batch(&a[..100], 0, 0)).unwrap();
    let full = KvError::Full { needed: 2, free: 1, total: 3, page: KV_PAGE };
    assert_eq!(r.logits(&batch(&a[..100], 0, 1)), Err(ForwardError::Kv(full.clone())));
    assert!(full.to_string().contains("2 more pages of 64 positions are needed, 1 of 3 are free"));
    assert_eq!((r.kv.len(1), r.kv.free_pages()), (0, 1));
    let found = r.logits(&batch(&a[100..], 100, 0)).unwrap();
    assert!(bits(&found) == fresh(&a, 50));
    // the context of a sequence is 256 positions
    let mut r = runner(8);
    r.logits(&batch(&tokens(200, 1), 0, 0)).unwrap();
    let error = r.logits(&batch(&tokens(57, 1), 200, 0));
    assert_eq!(error, Err(KvError::Context { sequence: 0, len: 200, needed: 257, n_ctx: 256 }.into()));
    assert!(r.logits(&batch(&tokens(56, 1), 200, 0)).is_ok());
}

#[test]
fn a_cache_of_another_model_is_refused() {
    let mut r = runner(2);
    let mut spec = r.model.spec().clone();
    spec.layers.truncate(1);
    r.kv = happy_model::KvCache::new(&spec, *r.kv.options()).unwrap();
    assert!(matches!(r.logits(&batch(&[1], 0, 0)), Err(ForwardError::Kv(KvError::Layout { .. }))));
    r.kv = r.model.kv_cache(*r.kv.options()).unwrap();
    let run = happy_model::RunOptions { n_batch: 200, n_outputs: 1, threads: 1, n_ctx: 1, adapter_rank: 0 };
    r.scratch = r.model.scratch(&run).unwrap();
    assert_eq!(r.logits(&batch(&[1], 0, 0)), Err(ForwardError::Scratch), "two threads, one planned");
}
