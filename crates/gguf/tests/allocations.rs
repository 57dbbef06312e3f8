//! Heap use of reading, measured by a counting allocator: small, whatever the file claims. Everything that a parsed
//! file offers is walked over. `conform` tests that the corpus is read correctly.

mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};

use happy_gguf::{Array, Gguf, ParseError, Value};
use happy_testkit::{Meter, Used, measured};

#[global_allocator]
static METER: Meter = Meter;

const MAX_ALLOCATED: u64 = 4 << 20;

/// Each case of the corpus, valid or not, is parsed, checked strictly and walked over completely.
#[test]
fn no_case_of_the_corpus_allocates_much() {
    let (mut n, mut taken, mut failures) = (0, 0, Vec::new());
    for (case, bytes) in support::cases(&support::corpus()) {
        let name = format!("{} ({})", case["id"], case["what"]);
        n += 1;
        let read = || -> Result<Option<ParseError>, ParseError> {
            let gguf = Gguf::parse(&bytes)?;
            walk(&gguf);
            Ok(gguf.check_strict().err())
        };
        match catch_unwind(AssertUnwindSafe(|| measured(read))) {
            Err(_) => failures.push(format!("{name}: panicked")),
            Ok((_, allocated)) if allocated.peak > MAX_ALLOCATED => {
                failures.push(format!("{name}: allocated {} bytes", allocated.peak));
            }
            Ok((result, _)) => taken += usize::from(result.is_ok()),
        }
    }
    assert!(n > 500 && taken > 100, "{n} cases, {taken} of them accepted");
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

/// Visits everything that a caller can reach.
fn walk(gguf: &Gguf<'_>) {
    fn walk_array(array: &Array<'_>) {
        assert_eq!(array.iter().count(), array.len());
        for (i, value) in array.iter().enumerate().take(20) {
            match value {
                Value::Array(inner) => walk_array(&inner),
                value => assert_eq!(format!("{value:?}"), format!("{:?}", array.get(i).unwrap())),
            }
        }
        if let Some(strings) = array.strings() {
            let index = strings.clone().index().unwrap();
            assert!(strings.enumerate().all(|(i, s)| index.get(i) == Some(s)));
            assert_eq!(index.get(array.len()), None);
        }
        assert_eq!(array.get(array.len()), None);
    }
    for (key, value) in gguf.metadata().iter() {
        assert_eq!(gguf.metadata().get(key).map(|v| v.value_type()), Some(value.value_type()));
        if let Value::Array(array) = value {
            walk_array(&array);
        }
    }
    for tensor in gguf.tensors() {
        assert_eq!(gguf.tensor(tensor.name).as_ref(), Some(&tensor));
        assert_eq!(gguf.data(&tensor).unwrap().len() as u64, tensor.byte_len());
    }
}

/// A header as large as a real model's is parsed without copies: a handful of allocations, a few KiB.
#[test]
fn a_large_vocabulary_costs_nothing() {
    let mut raw = support::Raw::header(0, 2).string(b"tokenizer.ggml.tokens").u32(9).u32(8).u64(262_144);
    for i in 0..262_144u32 {
        raw = raw.string(format!("token {i}").as_bytes());
    }
    let raw = raw.string(b"general.name").u32(8).string(b"x");
    let (gguf, Used { peak, calls, .. }) = measured(|| Gguf::parse(&raw.0).unwrap());
    assert!(peak < 4096 && calls < 16, "{peak} bytes in {calls} allocations");
    let mut tokens = gguf.metadata().get_strings("tokenizer.ggml.tokens").unwrap();
    assert_eq!(tokens.nth(262_143).unwrap(), "token 262143");
}

/// The largest index that the default limits allow stays within the bound, and a full table of hostile names sorts
/// quickly.
#[test]
fn the_index_is_bounded() {
    let (n_pairs, n_tensors) = (1 << 14, 1 << 15);
    let mut raw = support::Raw::header(n_tensors, n_pairs);
    for i in 0..n_pairs {
        raw = raw.string(format!("{i:x}").as_bytes()).u32(0).bytes(&[0]);
    }
    for i in (0..n_tensors).rev() {
        raw = raw.tensor(format!("{i:x}").as_bytes(), &[0], 0, 0);
    }
    let raw = raw.data(0);
    let (gguf, allocated) = measured(|| Gguf::parse(&raw.0).unwrap());
    assert_eq!((gguf.metadata().len(), gguf.tensors().len()), (n_pairs as usize, n_tensors as usize));
    assert!(allocated.peak < MAX_ALLOCATED, "{allocated:?}");
}
