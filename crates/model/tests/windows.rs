//! Layers with windows: what they keep, what they release, and how far their sequences can be shortened.

mod common;

use common::{Runner, batch, bits, recipes};
use happy_kernels::Kernels;
use happy_model::{ForwardError, KV_PAGE, KvError, KvOptions, KvType, Model, RunOptions};

const N: usize = 700;

/// Returns the smallest recipe of Gemma 3, in which some layers see everything, and the others only a few positions.
fn model() -> Model {
    let recipe = recipes::named(&["gemma3"]).remove(0);
    Model::load(&recipes::build(&recipe), &Kernels::detect().unwrap()).unwrap()
}

fn runner(change: impl Fn(KvOptions) -> KvOptions) -> Runner {
    let options = change(KvOptions::new(KvType::F16, 2, 768).with_batch(100));
    Runner::sized(model(), Kernels::detect().unwrap(), 2, options)
}

fn ids() -> Vec<u32> {
    (0..N as u32).map(|i| (i * 7 + i * i / 5) % 64).collect()
}

/// Returns the logits of `ids[from..to]`, computed in pieces.
fn run(r: &mut Runner, sequence: u32, from: usize, to: usize, piece: usize) -> Vec<Vec<u32>> {
    let ids = ids();
    let pieces = (from..to).step_by(piece);
    let logits = |first: usize| {
        let part = &ids[first..(first + piece).min(to)];
        bits(&r.logits(&batch(part, first as u32, sequence)).unwrap())
    };
    pieces.flat_map(logits).collect()
}

#[test]
fn pages_before_the_window_are_given_back() {
    let whole = KvOptions::new(KvType::F16, 2, 768).with_batch(100);
    let mut r = runner(|options| options);
    let window = r.model.spec().attentions().find_map(|a| a.window).unwrap() as usize;
    assert!(window < KV_PAGE, "a window of {window}");
    let expected = run(&mut r, 0, 0, N, 100);
    for piece in [1, 7, 64] {
        r.kv.clear(0).unwrap();
        assert!(run(&mut r, 0, 0, N, piece) == expected, "pieces of {piece}");
    }
    let all = N.div_ceil(KV_PAGE) * r.kv.page_bytes();
    assert!(r.kv.resident_bytes() < all, "{} of {all} bytes", r.kv.resident_bytes());
    assert!(r.kv.reserved_bytes() < whole.n_pages * r.kv.page_bytes());
    // both sequences can be full at once, and a batch may be of either
    run(&mut r, 1, 0, 768.min(N), 100);
    r.kv.clear(0).unwrap();
    r.kv.clear(1).unwrap();
    assert_eq!(r.kv.resident_bytes(), 0);
    // a batch that is larger than planned and doesn't fit is refused, and changes nothing
    run(&mut r, 0, 0, 300, 100);
    run(&mut r, 1, 0, 300, 100);
    let used = r.kv.resident_bytes();
    let big = batch(&ids()[300..500], 300, 0);
    match r.logits(&big) {
        Ok(_) => assert_eq!(r.kv.len(0), 500),
        Err(ForwardError::Kv(KvError::Full { .. })) => {
            assert_eq!((r.kv.len(0), r.kv.resident_bytes()), (300, used));
            assert!(run(&mut r, 0, 300, 400, 100) == expected[300..400]);
        }
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn sequences_are_shortened_exactly_by_a_rollback_and_else_to_snapshots() {
    let expected = run(&mut runner(|options| options), 0, 0, N, 100);
    for piece in [7, 100] {
        let mut r = runner(|options| options.with_snapshots(64 << 20));
        run(&mut r, 0, 0, N, piece);
        // (shortened to, left): exact within the rollback, otherwise a multiple of 256
        for (len, left) in
            [(N - 1, N - 1), (N - KvOptions::ROLLBACK, N - 64), (530, 512), (400, 256), (150, 0)]
        {
            assert_eq!(r.kv.truncate(0, len), Ok(left), "pieces of {piece}");
            let end = (left + 20).min(N);
            assert!(run(&mut r, 0, left, end, 20) == expected[left..end], "after {left}");
            assert_eq!(r.kv.truncate(0, left), Ok(left));
        }
        // a snapshot where the caller asks for one; with no bytes for it, no snapshot is kept
        run(&mut r, 0, 0, 300, 100);
        assert_eq!(r.kv.snapshot(0), Ok(true));
        run(&mut r, 0, 300, N, 100);
        r.kv.fork(0, 1).unwrap();
        assert_eq!(r.kv.truncate(1, 500), Ok(300));
        assert!(run(&mut r, 1, 300, N, 100) == expected[300..], "a fork's snapshot");
        assert_eq!(r.kv.truncate(0, 310), Ok(300));
        assert!(run(&mut r, 0, 300, N, 100) == expected[300..]);
    }
    let mut r = runner(|options| options);
    run(&mut r, 0, 0, N, 100);
    assert_eq!((r.kv.snapshot(0), r.kv.truncate(0, 300)), (Ok(false), Ok(0)));
}

#[test]
fn the_least_recently_used_snapshot_goes_first() {
    let one = |options: KvOptions| {
        let model = model();
        let spec = model.spec();
        // as few bytes as a snapshot takes, within 256
        let bytes = |n| happy_model::snapshot_bytes(spec, &options.with_snapshots(n));
        let first = (0..1 << 20).step_by(256).find(|n| bytes(*n) > bytes(0)).unwrap();
        options.with_snapshots(first)
    };
    let mut r = runner(one);
    run(&mut r, 0, 0, 300, 100);
    assert_eq!(r.kv.snapshot(0), Ok(true), "takes the place of the one at 256");
    run(&mut r, 0, 300, 480, 100);
    assert_eq!(r.kv.truncate(0, 330), Ok(300));
    run(&mut r, 0, 300, N, 100);
    assert_eq!(r.kv.truncate(0, 520), Ok(512), "the one at 300 was the only other");
    r.kv.clear(0).unwrap();
    r.kv.clear(1).unwrap();
    assert_eq!(r.kv.resident_bytes(), 0, "snapshots end with their sequences");
}

#[test]
fn imports_are_checked_before_anything_changes() {
    let mut r = runner(|options| options);
    let expected = run(&mut r, 0, 0, N, 100);
    let mut bytes = Vec::new();
    r.kv.truncate(0, N - 30).unwrap();
    r.kv.export(0, &mut bytes).unwrap();
    run(&mut r, 1, 0, 250, 100);
    let used = r.kv.resident_bytes();
    let refused = |r: &mut Runner, bytes: &[u8], what: &str| {
        let error = r.kv.import(1, bytes).unwrap_err().to_string();
        assert!(error.contains(what), "{error}, expected {what}");
        assert_eq!((r.kv.len(1), r.kv.resident_bytes()), (250, used));
    };
    for n in [0, 7, 39, 40, bytes.len() - 1] {
        refused(&mut r, &bytes[..n], if n < 40 { "cut off" } else { "size" });
    }
    let wrong = [(0, "kind"), (8, "type"), (16, "model"), (24, "rotary"), (32, "size"), (38, "context")];
    for (at, what) in wrong.into_iter().chain([(40, "checksum"), (bytes.len() - 1, "checksum")]) {
        let mut wrong = bytes.clone();
        wrong[at] ^= 1;
        refused(&mut r, &wrong, what);
    }
    assert!(r.kv.import(9, &bytes).is_err());
    let mut half = r.model.kv_cache(KvOptions::new(KvType::F32, 2, 768)).unwrap();
    assert!(half.import(0, &bytes).unwrap_err().to_string().contains("type"));
    assert!(run(&mut r, 1, 250, 300, 100) == expected[250..300], "the sequence is as it was");
    r.kv.import(1, &bytes).unwrap();
    assert!(run(&mut r, 1, N - 30, N, 100) == expected[N - 30..]);
}

#[test]
fn a_token_reads_what_its_layers_see() {
    let model = model();
    let moved = |position: usize| model.cache_bytes_per_token(KvType::F16, position);
    let window = model.spec().attentions().find_map(|a| a.window).unwrap() as usize;
    let options = KvOptions::new(KvType::F16, 1, 768);
    let run = RunOptions { n_batch: 1, n_outputs: 1, threads: 1, n_ctx: 768, adapter_rank: 0 };
    let row = model.plan(&options, &run).kv_page_bytes / KV_PAGE;
    assert_eq!(moved(0), row);
    assert_eq!(moved(window - 1), row * window);
    // positions further back are read only by layers without a window
    let windowed: usize =
        model.spec().attentions().filter(|a| a.window.is_some()).map(|a| 2 * (a.k_dim() + a.v_dim())).sum();
    assert!(windowed > 0 && windowed < row);
    assert_eq!(moved(window + 9), row * (window + 10) - windowed * 10);
    assert_eq!(model.cache_bytes_per_token(KvType::F32, 5), 2 * moved(5));
    // a state is read and written
    let recipe = recipes::named(&["mamba2"]).remove(0);
    let model = Model::load(&recipes::build(&recipe), &Kernels::detect().unwrap()).unwrap();
    let state = model.plan(&KvOptions::new(KvType::F16, 1, 768), &run).state_bytes;
    let moved = model.cache_bytes_per_token(KvType::F16, 700);
    assert!(moved > 0 && state.is_multiple_of(moved / 2), "{moved} of {state}");
    assert_eq!(moved, model.cache_bytes_per_token(KvType::F16, 0));
}
