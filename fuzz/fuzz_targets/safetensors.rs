//! Arbitrary headers of safetensors files: no panic, and what is taken is consistent.
#![no_main]

use happy_convert::safetensors::{header_len, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((first, header)) = bytes.split_first_chunk::<8>() else { return };
    if let Ok(len) = header_len(*first, bytes.len() as u64) {
        assert!(len <= header.len() as u64);
    }
    // The first bytes say how much data there is.
    let data_len = u64::from_le_bytes(*first);
    let Ok(tensors) = parse(header, data_len) else { return };
    assert!(tensors.is_sorted_by(|a, b| a.name < b.name));
    let sum: u64 = tensors.iter().map(|t| t.range.end - t.range.start).sum();
    assert_eq!(sum, data_len);
    for t in &tensors {
        let elements = t.shape.iter().try_fold(1u64, |n, dim| n.checked_mul(*dim));
        if let (Some(size), Some(elements)) = (t.dtype.size(), elements) {
            assert_eq!(elements.checked_mul(size), Some(t.range.end - t.range.start));
        }
    }
});
