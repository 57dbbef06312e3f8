//! The conformance corpus: 553 files, right and wrong, with the verdicts and results of other readers.
//!
//! Each case is parsed, checked strictly (as the reference reader, with tensor data) and walked over whole, under an
//! allocator that counts.

mod support;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};

use happy_gguf::{Array, ByteOrder, GgmlType, Gguf, ParseError, Value, ValueType, WarningKind};
use serde_json::Value as Json;
use support::counting::{Allocated, Counting, counted};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const MAX_ALLOCATED: usize = 4 << 20;

/// What [`Gguf::parse`] takes on purpose although the document or the reference reader say no: a newer version of the
/// format may have the type, and version 1 and big-endian files are read. [`Gguf::check_strict`] refuses them.
const TAKEN_WITH_A_WARNING: &[(&str, WarningKind)] = &[
    ("tensor type id 43", WarningKind::UnknownTensorType),
    ("tensor type id 44", WarningKind::UnknownTensorType),
    ("tensor type id 100", WarningKind::UnknownTensorType),
    ("tensor type id 255", WarningKind::UnknownTensorType),
    ("tensor type id 2147483647", WarningKind::UnknownTensorType),
    ("version field 0x03000000", WarningKind::BigEndian),
];

#[derive(Default)]
struct Tally {
    failures: Vec<String>,
    /// Cases that the reference reader takes and we refuse, with the reason.
    refused_beyond: Vec<String>,
    accepted: usize,
    peak: usize,
}

#[test]
fn cases() {
    let Some(corpus) = support::corpus() else { return };
    let mut tally = Tally::default();
    let mut n = 0;
    for (case, bytes) in support::cases(&corpus) {
        let name = format!("{} ({})", case["id"].as_str().unwrap(), case["what"].as_str().unwrap());
        n += 1;
        if catch_unwind(AssertUnwindSafe(|| check_case(&case, &bytes, &name, &mut tally))).is_err() {
            tally.failures.push(format!("{name}: panicked"));
        }
    }
    println!("{n} cases, {} taken, peak allocation {} bytes", tally.accepted, tally.peak);
    for refused in &tally.refused_beyond {
        println!("refused although llama.cpp takes it: {refused}");
    }
    assert!(n > 500, "only {n} cases");
    assert!(tally.failures.is_empty(), "{} failures:\n{}", tally.failures.len(), tally.failures.join("\n"));
}

fn check_case(case: &Json, bytes: &[u8], name: &str, tally: &mut Tally) {
    let mut fail = |what: String| tally.failures.push(format!("{name}: {what}"));
    let (result, allocated) = counted(|| -> Result<Option<ParseError>, ParseError> {
        let gguf = Gguf::parse(bytes)?;
        walk(&gguf);
        Ok(gguf.check_strict().err())
    });
    if allocated.peak > MAX_ALLOCATED {
        fail(format!("allocated {} bytes", allocated.peak));
    }

    let what = case["what"].as_str().unwrap();
    let reference_takes = case["llamacpp_0c1e570"]["data"] == "accept";
    let strict_error = match &result {
        Ok(strict) => strict.as_ref(),
        Err(error) => Some(error),
    };
    match (case["spec"].as_str().unwrap(), strict_error) {
        ("valid", Some(error)) => fail(format!("valid, but: {error}")),
        ("invalid", None) if case["llamacpp_0c1e570"]["data"] != "accept" => fail("taken strictly".into()),
        ("unspecified", None) if !reference_takes => fail("taken strictly, llama.cpp does not".into()),
        (_, Some(error)) if reference_takes => tally.refused_beyond.push(format!("{name}: {error}")),
        _ => {}
    }
    let Ok(strict) = &result else { return };
    tally.accepted += 1;
    tally.peak = tally.peak.max(allocated.peak);
    let mut fail = |what: String| tally.failures.push(format!("{name}: {what}"));
    let gguf = Gguf::parse(bytes).unwrap();
    if case["spec"] == "invalid" && strict.is_some() {
        // Beyond the strict reader only what the list names.
        let kinds: Vec<_> = gguf.warnings().iter().map(|w| w.kind).collect();
        if !TAKEN_WITH_A_WARNING.iter().any(|(name, kind)| *name == what && kinds == [*kind]) {
            fail(format!("invalid, but taken with {kinds:?}"));
        }
    }
    if !case["parsed"].is_null()
        && let Err(difference) = equals_parsed(&gguf, &case["parsed"])
    {
        fail(difference);
    }
}

/// Touches everything that a caller can reach.
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

/// Compares with what gguf-py read.
fn equals_parsed(gguf: &Gguf<'_>, parsed: &Json) -> Result<(), String> {
    /// Lists are compared item by item, so that a message shows the one that differs.
    fn same(what: &str, ours: Json, theirs: &Json) -> Result<(), String> {
        match (&ours, theirs) {
            (Json::Array(o), Json::Array(t)) if o.len() == t.len() => {
                match o.iter().zip(t).find(|(o, t)| o != t) {
                    None => Ok(()),
                    Some((o, t)) => Err(format!("{what}: {o} instead of {t}")),
                }
            }
            (o, t) if o == t => Ok(()),
            (o, t) => Err(format!("{what}: {o} instead of {t}")),
        }
    }
    same("version", gguf.version().into(), &parsed["version"])?;
    same("alignment", gguf.alignment().into(), &parsed["alignment"])?;
    same("data offset", gguf.data_offset().into(), &parsed["data_offset"])?;
    let pairs = gguf.metadata().iter().map(|(key, value)| kv_json(key, &value)).collect();
    // Index files leave the element types out.
    let theirs = &parsed["kv"];
    let untyped = theirs.as_array().unwrap().iter().any(|kv| kv[1] == "array");
    same("metadata", if untyped { without_element_types(pairs) } else { pairs }, theirs)?;
    let tensors: Vec<Json> = gguf
        .tensors()
        .map(|t| serde_json::json!([t.name, t.ty.name(), &*t.dims, t.range.start, t.byte_len()]))
        .collect();
    same("tensors", tensors.into(), &parsed["tensors"])
}

fn without_element_types(pairs: Json) -> Json {
    let Json::Array(mut pairs) = pairs else { return pairs };
    for pair in &mut pairs {
        if pair[1].as_str().is_some_and(|ty| ty.starts_with("array")) {
            pair[1] = "array".into();
        }
    }
    pairs.into()
}

/// A pair in the corpus's notation: long strings as their length, arrays in arrays flattened, an empty array without type.
fn kv_json(key: &str, value: &Value<'_>) -> Json {
    fn scalar(value: &Value<'_>) -> Vec<Json> {
        let float = |v: f64| match v {
            v if v.is_nan() => "nan".into(),
            v if v.is_infinite() => if v > 0.0 { "inf" } else { "-inf" }.into(),
            v => v.into(),
        };
        vec![match value {
            Value::F32(v) => float((*v).into()),
            Value::F64(v) => float(*v),
            Value::Bool(v) => (*v).into(),
            Value::String(v) => string(v.to_str().unwrap()),
            Value::U64(v) => (*v).into(),
            Value::Array(v) => return v.iter().flat_map(|v| scalar(&v)).collect(),
            v => i64::try_from(v.as_integer().unwrap()).unwrap().into(),
        }]
    }
    fn string(s: &str) -> Json {
        // Characters, as Python counts them.
        let len = s.chars().count();
        if len > 4096 { serde_json::json!({ "len": len }) } else { s.into() }
    }
    fn innermost(array: &Array<'_>) -> ValueType {
        match array.get(0) {
            Some(Value::Array(inner)) => innermost(&inner),
            _ => array.element_type(),
        }
    }
    let name = |ty| match ty {
        ValueType::U8 => "uint8",
        ValueType::I8 => "int8",
        ValueType::U16 => "uint16",
        ValueType::I16 => "int16",
        ValueType::U32 => "uint32",
        ValueType::I32 => "int32",
        ValueType::F32 => "float32",
        ValueType::Bool => "bool",
        ValueType::String => "string",
        ValueType::Array => "array",
        ValueType::U64 => "uint64",
        ValueType::I64 => "int64",
        ValueType::F64 => "float64",
    };
    match value {
        Value::Array(array) if array.is_empty() => serde_json::json!([string(key), "array", []]),
        Value::Array(array) => {
            serde_json::json!([string(key), format!("array:{}", name(innermost(array))), scalar(value)])
        }
        value => serde_json::json!([string(key), name(value.value_type()), scalar(value)[0]]),
    }
}

/// The valid files of gguf-py: metadata, tensor entries, and the SHA-256 of each tensor's bytes.
#[test]
fn files() {
    use sha2::Digest;

    let Some(corpus) = support::corpus() else { return };
    let folder = corpus.join("files");
    let index: Json = serde_json::from_slice(&fs::read(folder.join("index.json")).unwrap()).unwrap();
    let mut failures = Vec::new();
    let mut n = 0;
    for file in index.as_array().unwrap().iter().filter(|file| !file["tensors"].is_null()) {
        let name = file["file"].as_str().unwrap();
        let bytes = fs::read(folder.join(name)).unwrap();
        let gguf = match Gguf::parse(&bytes).and_then(|gguf| gguf.check_strict().map(|()| gguf)) {
            Ok(gguf) => gguf,
            Err(error) => {
                failures.push(format!("{name}: {error}"));
                continue;
            }
        };
        let mut parsed = file.clone();
        let tensors = file["tensors"].as_array().unwrap().iter();
        parsed["tensors"] = tensors
            .map(|t| serde_json::json!([t["name"], t["type"], t["ne"], t["abs_offset"], t["bytes"]]))
            .collect();
        if let Err(difference) = equals_parsed(&gguf, &parsed) {
            failures.push(format!("{name}: {difference}"));
        }
        for (ours, theirs) in gguf.tensors().zip(file["tensors"].as_array().unwrap()) {
            let digest = sha2::Sha256::digest(gguf.data(&ours).unwrap());
            let hex: String = digest.iter().map(|b| format!("{b:02x}")).collect();
            if theirs["sha256"] != hex {
                failures.push(format!("{name}: bytes of {} differ", ours.name));
            }
        }
        n += 1;
    }
    assert!(n > 20, "only {n} files");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// The big-endian file: a tensor of 0 to 7 and a number that shows the order of its bytes.
#[test]
fn big_endian() {
    let Some(corpus) = support::corpus() else { return };
    let bytes = fs::read(corpus.join("files/big-endian-v3.gguf")).unwrap();
    let gguf = Gguf::parse(&bytes).unwrap();
    assert_eq!((gguf.version(), gguf.byte_order()), (3, ByteOrder::Big));
    assert_eq!(gguf.metadata().get_u32("test.u32").unwrap(), 16_909_060);
    let tensor = gguf.tensor("a").unwrap();
    assert_eq!(tensor.ty, GgmlType::F32);
    let floats = gguf.data(&tensor).unwrap().as_chunks::<4>().0.iter().map(|b| f32::from_be_bytes(*b));
    assert_eq!(floats.collect::<Vec<_>>(), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
    let error = gguf.check_strict().unwrap_err();
    assert_eq!(
        error.to_string(),
        "not strictly conforming: at byte 4, expected little-endian numbers, found version 3 in big-endian order"
    );
}

/// A header as large as a real model's is parsed without copies: a handful of allocations, a few KiB.
#[test]
fn a_large_vocabulary_costs_nothing() {
    let mut raw = support::Raw::header(0, 2).string(b"tokenizer.ggml.tokens").u32(9).u32(8).u64(262_144);
    for i in 0..262_144u32 {
        raw = raw.string(format!("token {i}").as_bytes());
    }
    let raw = raw.string(b"general.name").u32(8).string(b"x");
    let (gguf, Allocated { peak, calls }) = counted(|| Gguf::parse(&raw.0).unwrap());
    assert!(peak < 4096 && calls < 16, "{peak} bytes in {calls} allocations");
    let mut tokens = gguf.metadata().get_strings("tokenizer.ggml.tokens").unwrap();
    assert_eq!(tokens.nth(262_143).unwrap(), "token 262143");
}

/// The largest index that the default limits allow stays under the bound, and a full table of hostile names is sorted
/// without trouble.
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
    let (gguf, allocated) = counted(|| Gguf::parse(&raw.0).unwrap());
    assert_eq!((gguf.metadata().len(), gguf.tensors().len()), (n_pairs as usize, n_tensors as usize));
    assert!(allocated.peak < MAX_ALLOCATED, "{allocated:?}");
}
