//! The beginning of a file against the whole of it: a prefix gives the same header, or asks for more that there is.
#![no_main]

use happy_gguf::{Gguf, Limits, ParseErrorKind};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let [a, b, bytes @ ..] = bytes else { return };
    let (limits, len) = (Limits::default(), bytes.len() as u64);
    let cut = usize::from(u16::from_le_bytes([*a, *b])) % (bytes.len() + 1);
    let whole = Gguf::parse(bytes);
    let part = Gguf::parse_header(&bytes[..cut], Some(len), &limits);
    match (&whole, &part) {
        (Ok(whole), Ok(part)) => {
            assert!(cut as u64 >= whole.header_end());
            assert!(whole.tensors().eq(part.tensors()));
            assert_eq!(whole.warnings(), part.warnings());
            for tensor in part.tensors().filter(|t| t.range.end <= cut as u64) {
                assert_eq!(part.data(&tensor), whole.data(&tensor));
            }
        }
        (Ok(whole), Err(error)) => {
            assert_eq!(error.kind(), ParseErrorKind::Truncated);
            let needed = error.needed().expect("what is missing");
            assert!((cut as u64 + 1..=whole.header_end()).contains(&needed), "{error}: {needed}");
        }
        (Err(whole), Err(part)) => {
            let same = (whole.kind(), whole.offset()) == (part.kind(), part.offset());
            assert!(same || part.needed().is_some_and(|n| n > cut as u64), "{whole} / {part}");
        }
        (Err(error), Ok(_)) => panic!("the whole does not parse: {error}"),
    }
    // Without a length nothing is known of the end, but the header is the same.
    if let (Ok(whole), Ok(part)) = (&whole, Gguf::parse_header(bytes, None, &limits)) {
        assert_eq!(whole.header_end(), part.header_end());
    }
});
