//! Writing and reading back: by hand, with the corpus, and with proptest, which also truncates and changes what was
//! written.

mod support;

use happy_gguf::{
    ByteOrder, GgmlType, Gguf, GgufWriter, OwnedArray, OwnedValue, Value, ValueType, WriteErrorKind,
};
use proptest::prelude::*;

/// Values of every type, arrays of every type, and arrays of arrays.
fn value() -> impl Strategy<Value = OwnedValue> {
    let string = prop::collection::vec(any::<u8>(), 0..12);
    let array = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..5).prop_map(OwnedArray::packed),
        prop::collection::vec(any::<i8>(), 0..5).prop_map(OwnedArray::packed),
        prop::collection::vec(any::<u16>(), 0..5).prop_map(OwnedArray::packed),
        prop::collection::vec(any::<i16>(), 0..5).prop_map(OwnedArray::packed),
        prop::collection::vec(any::<u32>(), 0..5).prop_map(OwnedArray::packed),
        prop::collection::vec(any::<i32>(), 0..5).prop_map(OwnedArray::packed),
        prop::collection::vec(any::<u64>(), 0..5).prop_map(OwnedArray::packed),
        prop::collection::vec(any::<i64>(), 0..5).prop_map(OwnedArray::packed),
        prop::collection::vec(any::<f32>(), 0..5).prop_map(OwnedArray::packed),
        prop::collection::vec(any::<f64>(), 0..5).prop_map(OwnedArray::packed),
        prop::collection::vec(any::<bool>(), 0..5).prop_map(OwnedArray::packed),
        prop::collection::vec(string.clone(), 0..5).prop_map(OwnedArray::strings),
    ];
    let array = array
        .prop_recursive(4, 16, 4, |inner| prop::collection::vec(inner, 0..4).prop_map(OwnedArray::arrays));
    prop_oneof![
        any::<u8>().prop_map(OwnedValue::from),
        any::<i8>().prop_map(OwnedValue::from),
        any::<u16>().prop_map(OwnedValue::from),
        any::<i16>().prop_map(OwnedValue::from),
        any::<u32>().prop_map(OwnedValue::from),
        any::<i32>().prop_map(OwnedValue::from),
        any::<u64>().prop_map(OwnedValue::from),
        any::<i64>().prop_map(OwnedValue::from),
        any::<f32>().prop_map(OwnedValue::from),
        any::<f64>().prop_map(OwnedValue::from),
        any::<bool>().prop_map(OwnedValue::from),
        string.prop_map(OwnedValue::String),
        array.prop_map(OwnedValue::from),
    ]
}

#[derive(Clone, Debug)]
struct Model {
    alignment: Option<u32>,
    pairs: Vec<(String, OwnedValue)>,
    tensors: Vec<(String, GgmlType, Vec<u64>, Vec<u8>)>,
}

fn model() -> impl Strategy<Value = Model> {
    let pairs = prop::collection::btree_map("[a-z_]{1,8}(\\.[a-z_0-9]{1,8}){0,2}", value(), 0..6);
    let ty = prop::sample::select(GgmlType::ALL);
    let tensor = (ty, 0u64..3, prop::collection::vec(0u64..4, 0..4), any::<u8>()).prop_map(
        |(ty, blocks, rest, fill)| {
            let layout = ty.layout().unwrap();
            let dims: Vec<u64> = [blocks * u64::from(layout.len)].into_iter().chain(rest).collect();
            let bytes = ty.row_bytes(dims.iter().product()).unwrap();
            (ty, dims, vec![fill; bytes as usize])
        },
    );
    let tensors = prop::collection::btree_map("\\PC{0,12}", tensor, 0..5);
    let alignment = prop::option::of((3u32..8).prop_map(|n| 1 << n));
    (alignment, pairs, tensors).prop_map(|(alignment, pairs, tensors)| Model {
        alignment,
        pairs: pairs.into_iter().collect(),
        tensors: tensors
            .into_iter()
            .filter(|(name, _)| name.len() <= 64)
            .map(|(name, (ty, dims, bytes))| (name, ty, dims, bytes))
            .collect(),
    })
}

fn write(model: &Model) -> Vec<u8> {
    let mut writer = GgufWriter::new();
    if let Some(alignment) = model.alignment {
        writer = writer.alignment(alignment);
    }
    for (key, value) in &model.pairs {
        writer = writer.kv(key, value.clone());
    }
    for (name, ty, dims, bytes) in &model.tensors {
        writer = writer.tensor(name, *ty, dims, &bytes[..]);
    }
    writer.to_vec().unwrap()
}

/// Visits all values and all tensor bytes.
fn walk(gguf: &Gguf<'_>) -> usize {
    let values: usize = gguf.metadata().iter().map(|(_, value)| format!("{value:?}").len()).sum();
    values + gguf.tensors().map(|t| gguf.data(&t).unwrap().len()).sum::<usize>()
}

proptest! {
    #[test]
    fn what_is_written_is_read(model in model()) {
        let file = write(&model);
        let gguf = Gguf::parse(&file).unwrap();
        gguf.check_strict().unwrap();
        let alignment = model.alignment.map(|n| ("general.alignment".to_string(), OwnedValue::U32(n)));
        let pairs: Vec<_> = gguf.metadata().iter().map(|(k, v)| (k.to_string(), OwnedValue::from(v))).collect();
        let expected: Vec<_> = alignment.into_iter().chain(model.pairs.iter().cloned()).collect();
        // Compared as text, so that NaN equals NaN.
        prop_assert_eq!(format!("{pairs:?}"), format!("{expected:?}"));
        prop_assert_eq!(gguf.tensors().len(), model.tensors.len());
        for (tensor, (name, ty, dims, bytes)) in gguf.tensors().zip(&model.tensors) {
            prop_assert_eq!((tensor.name, tensor.ty, &*tensor.dims), (&**name, *ty, &**dims));
            prop_assert_eq!(gguf.data(&tensor).unwrap(), &**bytes);
            prop_assert_eq!(tensor.range.start % gguf.alignment(), 0);
        }
        prop_assert_eq!(GgufWriter::from_gguf(&gguf).to_vec().unwrap(), file);
    }

    /// A truncated file is an error, unless only padding is missing.
    #[test]
    fn what_is_cut_is_refused(model in model(), at in any::<prop::sample::Index>()) {
        let file = write(&model);
        let needed = Gguf::parse(&file).unwrap().tensors().map(|t| t.range.end).max().unwrap_or(file.len() as u64);
        let cut = &file[..at.index(file.len())];
        match Gguf::parse(cut) {
            Ok(gguf) => {
                prop_assert!(cut.len() as u64 >= needed);
                walk(&gguf);
            }
            Err(error) => prop_assert!((cut.len() as u64) < needed, "{}", error),
        }
    }

    /// A file with changed bytes is an error or reads as something; reading it never panics.
    #[test]
    fn what_is_changed_does_not_panic(
        model in model(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut file = write(&model);
        for (at, byte) in changes {
            let at = at.index(file.len());
            file[at] = byte;
        }
        if let Ok(gguf) = Gguf::parse(&file) {
            walk(&gguf);
            let _ = gguf.check_strict();
        }
    }

    #[test]
    fn any_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), pairs in 0u64..4, tensors in 0u64..4) {
        let _ = Gguf::parse(&bytes).map(|gguf| walk(&gguf));
        let _ = Gguf::parse(&support::Raw::header(tensors, pairs).bytes(&bytes).0).map(|gguf| walk(&gguf));
    }
}

/// Every valid file and case of the corpus is reproduced byte by byte, and has the same values in the other dialects.
#[test]
fn the_corpus_is_written_as_it_was() {
    let corpus = support::corpus();
    let mut files = support::files(&corpus);
    let cases = support::cases(&corpus).into_iter().filter(|(case, _)| case["spec"] == "valid");
    files.extend(cases.map(|(case, bytes)| (format!("{} ({})", case["id"], case["what"]), bytes)));
    assert!(files.len() > 60, "only {}", files.len());
    let mut failures = Vec::new();
    for (name, file) in &files {
        let gguf = Gguf::parse(file).unwrap();
        let writer = GgufWriter::from_gguf(&gguf);
        if writer.to_vec().unwrap() != *file {
            failures.push(format!("{name} differs"));
        }
        assert_eq!(writer.file_len().unwrap(), file.len() as u64);
        for (version, order) in
            [(1, ByteOrder::Little), (1, ByteOrder::Big), (2, ByteOrder::Little), (3, ByteOrder::Big)]
        {
            let other = writer.clone().version(version).byte_order(order).to_vec().unwrap();
            let other =
                Gguf::parse(&other).unwrap_or_else(|e| panic!("{name}, version {version}, {order}: {e}"));
            assert_eq!((other.version(), other.byte_order()), (version, order));
            if contents(&other) != contents(&gguf) {
                failures.push(format!("{name}: other values in version {version}, {order}"));
            }
            // And back to the original dialect.
            let back = GgufWriter::from_gguf(&other).version(gguf.version()).byte_order(gguf.byte_order());
            assert!(back.to_vec().unwrap() == *file, "{name}, version {version}, {order}");
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Everything in a file except its layout, as text, so that NaN equals NaN.
fn contents(gguf: &Gguf<'_>) -> String {
    fn owned(value: Value<'_>) -> String {
        match value {
            Value::Array(array) => {
                let strings = array.strings().and_then(|s| s.index()).map(|s| s.get(array.len() / 2));
                format!(
                    "{:?} {strings:?} {:?}",
                    array.element_type(),
                    array.iter().map(owned).collect::<Vec<_>>()
                )
            }
            value => format!("{value:?}"),
        }
    }
    let pairs: Vec<_> = gguf.metadata().iter().map(|(key, value)| (key, owned(value))).collect();
    let tensors: Vec<_> = gguf.tensors().map(|t| (t.name, t.ty, t.dims, gguf.data(&t))).collect();
    format!("{pairs:?} {tensors:?}")
}

#[test]
fn producers_must_keep_to_the_size() {
    let write = |n: usize| {
        let writer = GgufWriter::new().tensor_from("t", GgmlType::F32, &[2], move |out| {
            (0..n).try_for_each(|i| out.write_all(&[i as u8]))
        });
        writer.to_vec()
    };
    let file = write(8).unwrap();
    let gguf = Gguf::parse(&file).unwrap();
    assert_eq!(gguf.data(&gguf.tensor("t").unwrap()).unwrap(), [0, 1, 2, 3, 4, 5, 6, 7]);
    gguf.check_strict().unwrap();
    for n in [0, 7, 9] {
        let error = write(n).unwrap_err();
        let message = format!("cannot write tensor `t`: expected 8 bytes for F32 [2], found {n} bytes");
        assert_eq!((error.kind(), error.to_string()), (WriteErrorKind::WrongSize, message));
    }
    let unknown = GgufWriter::new().tensor_from("t", GgmlType::Unknown(99), &[2], |_| Ok(()));
    assert_eq!(unknown.to_vec().unwrap_err().kind(), WriteErrorKind::InvalidShape);
}

#[test]
fn version_1_has_32_bit_dimensions() {
    let writer = GgufWriter::new().tensor("t", GgmlType::F32, &[1 << 33, 0], vec![]);
    let error = writer.clone().version(1).to_vec().unwrap_err();
    assert_eq!(error.kind(), WriteErrorKind::TooLarge, "{error}");
    assert!(writer.version(2).to_vec().is_ok());
    assert_eq!(GgufWriter::new().version(4).to_vec().unwrap_err().kind(), WriteErrorKind::InvalidVersion);
}

#[test]
fn the_writer_refuses_what_a_reader_would() {
    let tensor =
        |name: &str, ty, dims: &[u64], n: usize| GgufWriter::new().tensor(name, ty, dims, vec![0; n]);
    let cases = [
        (
            "empty key",
            GgufWriter::new().kv("", 1u8),
            WriteErrorKind::InvalidKey,
            "cannot write key ``: expected a key of 1 to 65535 bytes, found 0 bytes",
        ),
        ("long key", GgufWriter::new().kv("x".repeat(65_536), 1u8), WriteErrorKind::InvalidKey, ""),
        (
            "key twice",
            GgufWriter::new().kv("a", 1u8).kv("a", 2u8),
            WriteErrorKind::InvalidKey,
            "cannot write key `a`: expected each key once, found it again",
        ),
        (
            "alignment 24",
            GgufWriter::new().alignment(24),
            WriteErrorKind::InvalidAlignment,
            "cannot write key `general.alignment`: expected a u32 that is a power of two up to 1048576, found 24",
        ),
        (
            "alignment i32",
            GgufWriter::new().kv("general.alignment", 32i32),
            WriteErrorKind::InvalidAlignment,
            "",
        ),
        ("alignment twice", GgufWriter::new().alignment(32).alignment(64), WriteErrorKind::InvalidKey, ""),
        ("long name", tensor(&"x".repeat(65), GgmlType::F32, &[1], 4), WriteErrorKind::InvalidTensorName, ""),
        (
            "name twice",
            tensor("t", GgmlType::F32, &[1], 4).tensor("t", GgmlType::F32, &[1], vec![0; 4]),
            WriteErrorKind::InvalidTensorName,
            "",
        ),
        (
            "five dimensions",
            tensor("t", GgmlType::F32, &[1; 5], 4),
            WriteErrorKind::InvalidShape,
            "cannot write tensor `t`: expected at most 4 dimensions, found F32 [1, 1, 1, 1, 1]",
        ),
        ("too large", tensor("t", GgmlType::F32, &[1 << 40, 1 << 40], 4), WriteErrorKind::InvalidShape, ""),
        ("partial block", tensor("t", GgmlType::Q4_0, &[48, 2], 54), WriteErrorKind::InvalidShape, ""),
        (
            "too few bytes",
            tensor("t", GgmlType::Q4_0, &[32, 2], 35),
            WriteErrorKind::WrongSize,
            "cannot write tensor `t`: expected 36 bytes for Q4_0 [32, 2], found 35 bytes",
        ),
    ];
    for (name, writer, kind, message) in cases {
        let error = writer.to_vec().unwrap_err();
        assert_eq!(error.kind(), kind, "{name}: {error}");
        assert!(message.is_empty() || error.to_string() == message, "{name}: {error}");
    }
}

#[test]
fn a_failing_destination_is_an_error() {
    let writer = GgufWriter::new().kv("a", "b").tensor("t", GgmlType::F32, &[8], vec![0; 32]);
    let len = writer.to_vec().unwrap().len();
    for room in 0..len {
        let mut destination = vec![0; room];
        assert_eq!(writer.write_to(&mut destination[..]).unwrap_err().kind(), WriteErrorKind::Io, "{room}");
    }
    assert_eq!(writer.write_to(&mut vec![0; len][..]).unwrap(), len as u64);
}

/// A tensor type that no version knows yet can be written and read.
#[test]
fn unknown_types_are_carried() {
    let file = GgufWriter::new().tensor("t", GgmlType::Unknown(99), &[3, 5], vec![7; 64]).to_vec().unwrap();
    let gguf = Gguf::parse(&file).unwrap();
    let tensor = gguf.tensor("t").unwrap();
    assert_eq!((tensor.ty, gguf.data(&tensor).unwrap()), (GgmlType::Unknown(99), &[7; 64][..]));
}

#[test]
fn typed_getters() {
    let nested = OwnedArray::arrays([OwnedArray::packed([1u8, 2]), OwnedArray::packed([3u8])]);
    let file = GgufWriter::new()
        .kv("u8", 200u8)
        .kv("i64", -1i64)
        .kv("u64", u64::MAX)
        .kv("f32", 0.5f32)
        .kv("f64", 0.1f64)
        .kv("bool", true)
        .kv("str", "h\u{e9}")
        .kv("bytes", OwnedValue::String(vec![0xff]))
        .kv("i32s", vec![1i32, -2])
        .kv("u16s", vec![1u16, 2])
        .kv("strs", vec!["a", ""])
        .kv("nested", nested)
        .kv("empty", OwnedArray::new(ValueType::F64))
        .to_vec()
        .unwrap();
    let gguf = Gguf::parse(&file).unwrap();
    let m = gguf.metadata();

    assert_eq!(m.get_u32("u8").unwrap(), 200);
    assert_eq!((m.get_i32("i64").unwrap(), m.get_i64("i64").unwrap()), (-1, -1));
    assert_eq!(m.get_u64("u64").unwrap(), u64::MAX);
    assert_eq!((m.get_f32("f32").unwrap(), m.get_f64("f32").unwrap()), (0.5, 0.5));
    assert_eq!((m.get_f32("f64").unwrap(), m.get_f64("f64").unwrap()), (0.1, 0.1));
    assert!(m.get_bool("bool").unwrap());
    assert_eq!(m.get_str("str").unwrap(), "h\u{e9}");
    assert_eq!(m.get_raw_str("bytes").unwrap().as_bytes(), [0xff]);
    assert_eq!(m.require::<Vec<i64>>("i32s").unwrap(), [1, -2]);
    assert_eq!(m.require::<Vec<u32>>("u16s").unwrap(), [1, 2]);
    assert_eq!(m.require::<Vec<&str>>("strs").unwrap(), ["a", ""]);
    assert_eq!(m.require::<Vec<Vec<u8>>>("nested").unwrap(), [vec![1, 2], vec![3]]);
    assert_eq!(m.require::<Vec<f32>>("empty").unwrap(), [0f32; 0]);
    assert_eq!(m.get_array("i32s").unwrap().packed::<i32>().unwrap().iter().sum::<i32>(), -1);
    assert!(m.get_array("i32s").unwrap().packed::<u32>().is_none());
    assert_eq!(m.optional::<u32>("absent").unwrap(), None);

    let errors = [
        (m.get_u32("i64").unwrap_err(), "key `i64`: expected an integer that fits u32, found i64 -1"),
        (
            m.get_i64("u64").unwrap_err(),
            "key `u64`: expected an integer that fits i64, found u64 18446744073709551615",
        ),
        (m.get_f32("u8").unwrap_err(), "key `u8`: expected a float, found u8 200"),
        (m.get_bool("u8").unwrap_err(), "key `u8`: expected a bool, found u8 200"),
        (m.get_str("bytes").unwrap_err(), "key `bytes`: expected a UTF-8 string, found string `\\xff`"),
        (m.get_array("str").unwrap_err(), "key `str`: expected an array, found string `h\u{e9}`"),
        (
            m.require::<Vec<u32>>("i32s").unwrap_err(),
            "key `i32s`: expected an array of integers that fit u32, found array of 2 i32",
        ),
        (
            m.get_strings("i32s").unwrap_err(),
            "key `i32s`: expected an array of strings, found array of 2 i32",
        ),
        (m.get_u32("absent").unwrap_err(), "key `absent`: expected an integer that fits u32, found nothing"),
    ];
    for (error, message) in errors {
        assert_eq!(error.to_string(), message);
    }
}
