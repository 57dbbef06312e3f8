//! Broken and odd files, one per row: the kind of the error, its place, and its message.

mod support;

use happy_gguf::{Gguf, Limits, ParseErrorKind as Kind, WarningKind};
use support::Raw;

struct Case {
    name: &'static str,
    file: Raw,
    kind: Kind,
    offset: u64,
    message: &'static str,
}

fn case(name: &'static str, file: Raw, kind: Kind, offset: u64, message: &'static str) -> Case {
    Case { name, file, kind, offset, message }
}

fn nested(depth: u32) -> Raw {
    let outer = Raw::header(0, 1).string(b"a").u32(9);
    (1..depth).fold(outer, |raw, _| raw.u32(9).u64(1)).u32(0).u64(0)
}

fn alignment(n: u32) -> Raw {
    Raw::header(0, 1).string(b"general.alignment").u32(4).u32(n)
}

#[test]
fn errors() {
    let one = || Raw::header(1, 0);
    let two = || Raw::header(2, 0);
    let cases = [
        case(
            "empty",
            Raw(vec![]),
            Kind::Truncated,
            0,
            "file ends too early: at byte 0, expected 4 bytes (magic), found 0 bytes before the end",
        ),
        case(
            "magic",
            Raw(b"GGML....".to_vec()),
            Kind::NotGguf,
            0,
            "not a GGUF file: at byte 0, expected the magic `GGUF`, found `GGML`",
        ),
        case(
            "version 0",
            Raw(b"GGUF\0\0\0\0".to_vec()),
            Kind::UnsupportedVersion,
            4,
            "unsupported GGUF version: at byte 4, expected version 1, 2 or 3, found version 0",
        ),
        case(
            "version 4",
            Raw(b"GGUF\x04\0\0\0".to_vec()),
            Kind::UnsupportedVersion,
            4,
            "unsupported GGUF version: at byte 4, expected version 1, 2 or 3, found version 4",
        ),
        case(
            "version 1, cut",
            Raw(b"GGUF\x01\0\0\0\0".to_vec()),
            Kind::Truncated,
            8,
            "file ends too early: at byte 8, expected 4 bytes (tensor count), found 1 bytes before the end",
        ),
        case(
            "big-endian, tensor count",
            Raw(b"GGUF\0\0\0\x03\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\0".to_vec()),
            Kind::Truncated,
            8,
            "file ends too early: at byte 8, expected at most 0 tensors in the remaining bytes, found a count of 2",
        ),
        case(
            "tensor count",
            Raw::header(u64::MAX, 0),
            Kind::Truncated,
            8,
            "file ends too early: at byte 8, expected at most 0 tensors in the remaining bytes, found a count of 18446744073709551615",
        ),
        case(
            "pair count",
            Raw::header(0, 1 << 60),
            Kind::Truncated,
            16,
            "file ends too early: at byte 16, expected at most 0 metadata pairs in the remaining bytes, found a count of 1152921504606846976",
        ),
        case(
            "key length",
            Raw::header(0, 1).u64(u64::MAX).u64(0),
            Kind::Truncated,
            32,
            "file ends too early: at byte 32, expected 18446744073709551615 bytes (key), found 8 bytes before the end",
        ),
        case(
            "empty key",
            Raw::header(0, 1).string(b"").u32(0).u64(0),
            Kind::InvalidKey,
            24,
            "invalid key: at byte 24, expected a key of one or more bytes of UTF-8, found an empty key",
        ),
        case(
            "key not UTF-8",
            Raw::header(0, 1).string(b"a\xff").u32(0).u64(0),
            Kind::InvalidKey,
            24,
            "invalid key: key `a\\xff`, at byte 24, expected a key of one or more bytes of UTF-8, found other bytes",
        ),
        case(
            "duplicate key",
            Raw::header(0, 3)
                .string(b"a")
                .u32(0)
                .bytes(&[1])
                .string(b"b")
                .u32(0)
                .bytes(&[1])
                .string(b"a")
                .u32(0)
                .bytes(&[1]),
            Kind::DuplicateKey,
            60,
            "duplicate key: key `a`, at byte 60, expected each key once, found it again",
        ),
        case(
            "value type",
            Raw::header(0, 1).string(b"a").u32(13).u64(0),
            Kind::InvalidValueType,
            33,
            "invalid value type: key `a`, at byte 33, expected a value type of 0 to 12, found 13",
        ),
        case(
            "element type",
            Raw::header(0, 1).string(b"a").u32(9).u32(99).u64(1 << 60),
            Kind::InvalidValueType,
            37,
            "invalid value type: key `a`, at byte 37, expected an array element type of 0 to 12, found 99",
        ),
        case(
            "bool",
            Raw::header(0, 1).string(b"a").u32(7).bytes(&[2]),
            Kind::InvalidValue,
            37,
            "invalid value: key `a`, at byte 37, expected a bool of 0 or 1, found 2",
        ),
        case(
            "bool in array",
            Raw::header(0, 1).string(b"a").u32(9).u32(7).u64(3).bytes(&[0, 1, 9]),
            Kind::InvalidValue,
            51,
            "invalid value: key `a`, at byte 51, expected a bool of 0 or 1, found 9",
        ),
        case(
            "array length",
            Raw::header(0, 1).string(b"a").u32(9).u32(10).u64(1 << 29).u64(0),
            Kind::Truncated,
            49,
            "file ends too early: key `a`, at byte 49, expected 536870912 values of at least 8 bytes, found 8 bytes before the end",
        ),
        case(
            "array length times size wraps",
            Raw::header(0, 1).string(b"a").u32(9).u32(10).u64(1 << 61).u64(0),
            Kind::LimitExceeded,
            41,
            "limit exceeded: key `a`, at byte 41, expected at most 1073741824 elements of an array, found 2305843009213693952",
        ),
        case(
            "second string",
            Raw::header(0, 1).string(b"a").u32(9).u32(8).u64(2).string(b"x").u64(1 << 62),
            Kind::Truncated,
            66,
            "file ends too early: key `a`, at byte 66, expected 4611686018427387904 bytes (string), found 0 bytes before the end",
        ),
        case(
            "arrays too deep",
            nested(9),
            Kind::LimitExceeded,
            133,
            "limit exceeded: key `a`, at byte 133, expected at most 8 levels of arrays in arrays, found 9",
        ),
        case(
            "arrays far too deep",
            nested(100_000),
            Kind::LimitExceeded,
            133,
            "limit exceeded: key `a`, at byte 133, expected at most 8 levels of arrays in arrays, found 9",
        ),
        case(
            "alignment 0",
            alignment(0),
            Kind::InvalidAlignment,
            53,
            "invalid alignment: key `general.alignment`, at byte 53, expected a u32 that is a power of two, found u32 0",
        ),
        case(
            "alignment 24",
            alignment(24),
            Kind::InvalidAlignment,
            53,
            "invalid alignment: key `general.alignment`, at byte 53, expected a u32 that is a power of two, found u32 24",
        ),
        case(
            "alignment 2^31",
            alignment(1 << 31),
            Kind::LimitExceeded,
            53,
            "limit exceeded: key `general.alignment`, at byte 53, expected at most 1048576 bytes of alignment, found 2147483648",
        ),
        case(
            "alignment as string",
            Raw::header(0, 1).string(b"general.alignment").u32(8).string(b"32"),
            Kind::InvalidAlignment,
            53,
            "invalid alignment: key `general.alignment`, at byte 53, expected a u32 that is a power of two, found string `32`",
        ),
        case(
            "tensor name not UTF-8",
            one().tensor(b"\xc0", &[1], 0, 0),
            Kind::InvalidTensorName,
            24,
            "invalid tensor name: tensor `\\xc0`, at byte 24, expected a name of UTF-8, found other bytes",
        ),
        case(
            "tensor name too long",
            one().tensor(&[b'x'; 65], &[1], 0, 0),
            Kind::LimitExceeded,
            24,
            "limit exceeded: at byte 24, expected at most 64 bytes of a tensor name, found 65",
        ),
        case(
            "duplicate tensor",
            two().tensor(b"t", &[0], 0, 0).tensor(b"t", &[0], 0, 0).data(0),
            Kind::DuplicateTensor,
            65,
            "duplicate tensor: tensor `t`, at byte 65, expected each tensor once, found it again",
        ),
        case(
            "five dimensions",
            one().tensor(b"t", &[1; 5], 0, 0).data(4),
            Kind::InvalidShape,
            33,
            "invalid tensor shape: tensor `t`, at byte 33, expected at most 4 dimensions, found 5",
        ),
        case(
            "2^31 dimensions",
            one().string(b"t").u32(1 << 31).u64(0).u64(0),
            Kind::InvalidShape,
            33,
            "invalid tensor shape: tensor `t`, at byte 33, expected at most 4 dimensions, found 2147483648",
        ),
        case(
            "product wraps to 0",
            one().tensor(b"t", &[1 << 33, 1 << 33], 0, 0),
            Kind::InvalidShape,
            37,
            "invalid tensor shape: tensor `t`, at byte 37, expected dimensions whose product and size in bytes fit 63 bits, found [8589934592, 8589934592]",
        ),
        case(
            "size wraps",
            one().tensor(b"t", &[1 << 62], 0, 0),
            Kind::InvalidShape,
            37,
            "invalid tensor shape: tensor `t`, at byte 37, expected dimensions whose product and size in bytes fit 63 bits, found [4611686018427387904]",
        ),
        case(
            "partial block",
            one().tensor(b"t", &[48, 2], 2, 0).data(54),
            Kind::InvalidShape,
            37,
            "invalid tensor shape: tensor `t`, at byte 37, expected rows of whole blocks of 32 elements (Q4_0), found [48, 2]",
        ),
        case(
            "removed type",
            one().tensor(b"t", &[32], 4, 0).data(32),
            Kind::InvalidTensorType,
            45,
            "invalid tensor type: tensor `t`, at byte 45, expected a tensor type id in use, found 4 (Q4_2, removed from the format)",
        ),
        case(
            "negative type",
            one().tensor(b"t", &[32], u32::MAX, 0).data(32),
            Kind::InvalidTensorType,
            45,
            "invalid tensor type: tensor `t`, at byte 45, expected a tensor type id in use, found -1",
        ),
        case(
            "misaligned",
            one().tensor(b"t", &[1], 0, 4).data(8),
            Kind::MisalignedTensor,
            49,
            "misaligned tensor: tensor `t`, at byte 49, expected an offset that is a multiple of 32, found 4",
        ),
        case(
            "offset wraps",
            one().tensor(b"t", &[1], 0, u64::MAX - 31).data(4),
            Kind::Truncated,
            u64::MAX,
            "file ends too early: tensor `t`, at byte 18446744073709551615, expected 4 bytes of tensor data, found offset 18446744073709551584 in a file of 68 bytes",
        ),
        case(
            "data missing",
            one().tensor(b"t", &[2], 0, 0).data(7),
            Kind::Truncated,
            64,
            "file ends too early: tensor `t`, at byte 64, expected 8 bytes of tensor data, found offset 0 in a file of 71 bytes",
        ),
        case(
            "overlap",
            two().tensor(b"s", &[16], 0, 0).tensor(b"t", &[8], 0, 32).data(64),
            Kind::OverlappingTensors,
            96,
            "overlapping tensors: tensor `s`, at byte 96, expected an end before tensor `t`, found bytes 96 to 160",
        ),
        case(
            "same place",
            two().tensor(b"s", &[8], 0, 0).tensor(b"t", &[8], 0, 0).data(64),
            Kind::OverlappingTensors,
            96,
            "overlapping tensors: tensor `s`, at byte 96, expected an end before tensor `t`, found bytes 96 to 128",
        ),
        case(
            "same place, unknown type",
            two().tensor(b"s", &[8], 99, 0).tensor(b"t", &[8], 99, 0).data(64),
            Kind::OverlappingTensors,
            96,
            "overlapping tensors: tensor `s`, at byte 96, expected an end before tensor `t`, found bytes 96 to 96",
        ),
        case(
            "unknown type without bytes",
            one().tensor(b"s", &[8], 99, 0).data(0),
            Kind::Truncated,
            64,
            "file ends too early: tensor `s`, at byte 64, expected bytes of a tensor of 8 (unknown(99)), found the end of the file",
        ),
    ];
    let mut failures = Vec::new();
    for Case { name, file, kind, offset, message } in &cases {
        match Gguf::parse(&file.0) {
            Ok(_) => failures.push(format!("{name}: parsed")),
            Err(e) if (e.kind(), e.offset(), &*e.to_string()) == (*kind, *offset, *message) => {}
            Err(e) => failures.push(format!("{name}: {:?} at {}: {e}", e.kind(), e.offset())),
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn limits() {
    let pair = || Raw::header(0, 1).string(b"abc").u32(8).string(b"value").0;
    let array = || Raw::header(0, 1).string(b"abc").u32(9).u32(0).u64(3).bytes(&[1, 2, 3]).0;
    let strings = || Raw::header(0, 1).string(b"abc").u32(9).u32(8).u64(1).string(b"value").0;
    let tensor = || Raw::header(1, 0).tensor(b"abc", &[1], 0, 0).data(4).0;
    let deep = || nested(64).0;
    let max = Limits { max_array_depth: u32::MAX, ..Limits::default() };
    let cases = [
        ("pairs", pair(), Limits { max_pairs: 0, ..max.clone() }),
        ("key", pair(), Limits { max_key_len: 2, ..max.clone() }),
        ("string", pair(), Limits { max_string_len: 4, ..max.clone() }),
        ("string in array", strings(), Limits { max_string_len: 4, ..max.clone() }),
        ("array", array(), Limits { max_array_len: 2, ..max.clone() }),
        ("depth", array(), Limits { max_array_depth: 0, ..max.clone() }),
        ("deep", deep(), Limits { max_array_depth: 63, ..max.clone() }),
        ("tensors", tensor(), Limits { max_tensors: 0, ..max.clone() }),
        ("tensor name", tensor(), Limits { max_tensor_name_len: 2, ..max.clone() }),
        ("alignment", alignment(64).0, Limits { max_alignment: 32, ..max.clone() }),
    ];
    for (name, file, limits) in cases {
        assert!(Gguf::parse_with(&file, &max).is_ok(), "{name}");
        assert_eq!(Gguf::parse_with(&file, &limits).unwrap_err().kind(), Kind::LimitExceeded, "{name}");
    }
    // No setting allows a depth that could exhaust the stack.
    assert_eq!(Gguf::parse_with(&nested(65).0, &max).unwrap_err().kind(), Kind::LimitExceeded);
}

#[test]
fn deviations_are_accepted_and_listed() {
    let cases = [
        (
            "unknown type",
            Raw::header(1, 0).tensor(b"t", &[7, 7], 99, 0).data(100),
            vec![WarningKind::UnknownTensorType],
            true,
        ),
        ("gap", Raw::header(1, 0).tensor(b"t", &[8], 0, 32).data(64), vec![WarningKind::Layout], true),
        (
            "padding",
            Raw::header(1, 0).tensor(b"t", &[1], 0, 0).data(4),
            vec![WarningKind::MissingPadding],
            true,
        ),
        ("alignment", alignment(4), vec![WarningKind::SmallAlignment], false),
        ("key", Raw::header(0, 1).string(b"A-b").u32(0).bytes(&[0]), vec![WarningKind::UnusualKey], false),
        ("version 1", Raw(b"GGUF\x01\0\0\0".to_vec()).u64(0), vec![WarningKind::OldVersion], true),
        ("big-endian", Raw(b"GGUF\0\0\0\x03".to_vec()).u64(0).u64(0), vec![WarningKind::BigEndian], true),
        ("trailing bytes", Raw::header(1, 0).tensor(b"t", &[8], 0, 0).data(100), vec![], false),
    ];
    for (name, file, warnings, refused) in cases {
        let gguf = Gguf::parse(&file.0).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(gguf.warnings().iter().map(|w| w.kind).collect::<Vec<_>>(), warnings, "{name}");
        let strict = gguf.check_strict();
        assert_eq!(strict.is_err(), refused, "{name}: {strict:?}");
        assert!(strict.err().is_none_or(|e| e.kind() == Kind::NotStrict));
    }
}

/// What only lenient reading accepts; of that, the strict check refuses what the reference reader refuses.
#[test]
fn lenient_reading() {
    let bools =
        Raw::header(0, 2).string(b"a").u32(7).bytes(&[2]).string(b"b").u32(9).u32(7).u64(3).bytes(&[0, 1, 9]);
    let misaligned = Raw::header(1, 0).tensor(b"t", &[2], 0, 4).data(12);
    let cases = [
        ("bools", bools, vec![(WarningKind::OddBool, 37), (WarningKind::OddBool, 65)], Kind::InvalidValue),
        (
            "misaligned",
            misaligned,
            vec![(WarningKind::Misaligned, 68), (WarningKind::Layout, 68), (WarningKind::MissingPadding, 76)],
            Kind::MisalignedTensor,
        ),
    ];
    for (name, file, warnings, kind) in cases {
        assert_eq!(Gguf::parse(&file.0).unwrap_err().kind(), kind, "{name}");
        let gguf = Gguf::parse_lenient(&file.0, &Limits::default()).unwrap();
        let found: Vec<_> = gguf.warnings().iter().map(|w| (w.kind, w.offset)).collect();
        assert_eq!(found, warnings, "{name}");
        assert_eq!(gguf.check_strict().is_err(), name == "misaligned");
    }
}

/// Found by fuzzing: a tensor of unknown size without elements, in front of another tensor. A merged file may have one.
#[test]
fn an_unknown_type_without_elements_takes_no_bytes() {
    let file = Raw::header(2, 0).tensor(b"s", &[0], 99, 0).tensor(b"t", &[8], 0, 0).data(32);
    let gguf = Gguf::parse(&file.0).unwrap();
    assert_eq!(gguf.tensors().map(|t| t.byte_len()).collect::<Vec<_>>(), [0, 32]);
}

/// Tensors in another order than their entries; those of unknown size extend to the next one or to the file's end.
#[test]
fn order_and_unknown_sizes() {
    let file = Raw::header(4, 0)
        .tensor(b"last", &[3], 77, 96)
        .tensor(b"first", &[8], 0, 0)
        .tensor(b"opaque", &[5], 1000, 32)
        .tensor(b"none", &[0, 9], 0, 32)
        .data(100);
    let gguf = Gguf::parse(&file.0).unwrap();
    let start = gguf.data_offset();
    let range = |name| gguf.tensor(name).map(|t| (t.range.start - start, t.range.end - start));
    assert_eq!(range("first"), Some((0, 32)));
    assert_eq!(range("opaque"), Some((32, 96)));
    assert_eq!(range("none"), Some((32, 32)));
    assert_eq!(range("last"), Some((96, 100)));
    assert_eq!(range("absent"), None);
    assert_eq!(gguf.tensors().map(|t| t.name).collect::<Vec<_>>(), ["last", "first", "opaque", "none"]);
}
