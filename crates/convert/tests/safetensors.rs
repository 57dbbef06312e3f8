//! Headers of safetensors: any bytes are handled without a panic, and accepted headers are consistent.

use happy_convert::safetensors::{MAX_HEADER, header_len, parse};
use proptest::prelude::*;

/// Returns the message for a header that is refused.
fn refused(header: &str, data_len: u64) -> String {
    parse(header.as_bytes(), data_len).expect_err("an error").to_string()
}

#[test]
fn lengths_are_bounded_by_the_file() {
    assert_eq!(header_len(8u64.to_le_bytes(), 16), Ok(8));
    assert!(header_len(9u64.to_le_bytes(), 16).is_err());
    for len in [0, 1, MAX_HEADER + 1, u64::MAX] {
        assert!(header_len(len.to_le_bytes(), u64::MAX).is_err(), "{len}");
    }
}

#[test]
fn wrong_headers_are_refused_with_the_tensor() {
    let one = |dtype: &str, shape: &str, begin: u64, end: u64| {
        format!(r#"{{"w":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{begin},{end}]}}}}"#)
    };
    let cases = [
        (one("F32", "[2,3]", 0, 24), 24, ""),
        (one("F32", "[2,3]", 0, 24), 25, "the tensors end at byte 24, the file has 25"),
        (one("F32", "[2,3]", 0, 24), 23, "tensor `w`: ends at byte 24"),
        (one("F32", "[2,3]", 24, 0), 24, "tensor `w`: begins at byte 24, after its end"),
        (one("F32", "[2,4]", 0, 24), 24, "tensor `w`: 24 bytes, expected 32 for F32 [2, 4]"),
        (one("F16", "[4294967296,4294967296,2]", 0, 0), 0, "more than 64 bits can count"),
        (one("F32", "[-1]", 0, 4), 4, "tensor `w`: invalid value"),
        (one("F32", "[1.5]", 0, 4), 4, "tensor `w`: invalid type"),
        (one("F32", "[1]", 4, 8), 8, "tensor `w`: begins at byte 4, expected 0"),
        ("[]".into(), 0, "does not begin with `{`"),
        ("{".into(), 0, "EOF"),
        (r#"{"w":{"dtype":"F32","shape":[]}}"#.into(), 4, "missing field `data_offsets`"),
        (r#"{"w":{"dtype":"F32","shape":[],"data_offsets":[0,4,8]}}"#.into(), 4, "tensor `w`"),
        ("{\"\\u001b[31m\":3}".into(), 4, "tensor `\\u{1b}[31m`"),
    ];
    for (header, len, expected) in cases {
        match expected {
            "" => assert_eq!(parse(header.as_bytes(), len).map(|t| t.len()), Ok(1)),
            expected => {
                let said = refused(&header, len);
                assert!(said.contains(expected) && !said.contains(['\n', '\u{1b}']), "{said}");
            }
        }
    }
    let deep = format!("{{\"w\":{}", "[".repeat(100_000));
    assert!(refused(&deep, 0).contains("tensor `w`"));
    let twice = r#"{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"w":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#;
    assert_eq!(refused(twice, 8), "tensor `w` occurs twice");
}

#[test]
fn empty_tensors_take_no_room() {
    let header = r#"{"a":{"dtype":"F32","shape":[0,3],"data_offsets":[0,0]},"b":{"dtype":"I8","shape":[4],"data_offsets":[0,4]}}"#;
    assert_eq!(parse(header.as_bytes(), 4).map(|t| t.len()), Ok(2));
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), data_len: u64, first: [u8; 8]) {
        let _ = header_len(first, data_len);
        let _ = parse(&bytes, data_len);
    }

    #[test]
    fn what_is_taken_fills_the_data(
        shapes in prop::collection::vec((0u64..5, 0u64..5, 0usize..4), 0..6),
        (byte, at) in (any::<u8>(), any::<prop::sample::Index>()),
        is_mutated: bool,
    ) {
        let (mut header, mut end) = (String::from("{"), 0);
        for (i, (rows, columns, dtype)) in shapes.iter().enumerate() {
            let (dtype, size) = [("F32", 4), ("BF16", 2), ("I64", 8), ("F8_E4M3", 1)][*dtype];
            let (begin, comma) = (end, if i == 0 { "" } else { "," });
            end += rows * columns * size;
            header += &format!(r#"{comma}"t{i}":{{"dtype":"{dtype}","shape":[{rows},{columns}],"data_offsets":[{begin},{end}]}}"#);
        }
        header.push('}');
        let mut bytes = header.into_bytes();
        if is_mutated {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let found = parse(&bytes, end);
        prop_assert!(is_mutated || found.as_ref().is_ok_and(|t| t.len() == shapes.len()));
        if let Ok(tensors) = found {
            let sum: u64 = tensors.iter().map(|t| t.range.end - t.range.start).sum();
            prop_assert_eq!(sum, end);
            prop_assert!(tensors.is_sorted_by(|a, b| a.name < b.name));
        }
    }
}
