//! Corpus `gguf`: malformed and odd files with the verdicts of other readers, valid files of every tensor type, names of files.
//!
//! The rule: a file that the specification calls invalid and llama.cpp refuses must be refused by the strict check. A
//! file that the specification calls valid must be read, with the same entries and values. Of the rest, either
//! llama.cpp is followed, or the file is refused with a reason.

use crate::data;
use crate::report::Report;
use happy_gguf::{Array, FileName, Gguf, Value, ValueType, WarningKind};
use happy_testkit::{Corpus, Files};
use serde::Deserialize;
use serde_json::{Value as Json, json};

/// Files that [`Gguf::parse`] accepts on purpose, although the specification or the reference reader refuses them: a
/// newer version of the format may have the type, and big-endian files are read. [`Gguf::check_strict`] refuses them.
const TAKEN_WITH_A_WARNING: &[(&str, WarningKind)] = &[
    ("tensor type id 43", WarningKind::UnknownTensorType),
    ("tensor type id 44", WarningKind::UnknownTensorType),
    ("tensor type id 100", WarningKind::UnknownTensorType),
    ("tensor type id 255", WarningKind::UnknownTensorType),
    ("tensor type id 2147483647", WarningKind::UnknownTensorType),
    ("version field 0x03000000", WarningKind::BigEndian),
];

#[derive(Deserialize)]
struct Case {
    id: String,
    what: String,
    spec: Spec,
    llamacpp_0c1e570: Reader,
    parsed: Option<Parsed>,
    b64: String,
}

/// What the specification says about a file.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Spec {
    Valid,
    Invalid,
    Unspecified,
}

#[derive(Deserialize)]
struct Reader {
    data: Decision,
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Decision {
    Accept,
    Reject,
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Parsed {
    version: u32,
    alignment: u64,
    data_offset: u64,
    /// `[key, type, value]`
    kv: Vec<Json>,
    /// `[name, type, dimensions, absolute offset, bytes]`, or an object in `files/index.json`
    tensors: Vec<Json>,
}

#[derive(Deserialize)]
struct Naming {
    filename: String,
    expected: Json,
}

pub(crate) fn run(corpus: &Corpus, report: &mut Report) -> Result<(), String> {
    let files = corpus.open("gguf")?;
    let (cases, names): (Vec<Case>, Vec<Naming>) =
        (data::json_lines(&files, "cases.jsonl.gz")?, data::json(&files, "naming.json")?);
    report.holds(cases.len() + names.len());
    for case in cases {
        let bytes = happy_testkit::base64(&case.b64).ok_or_else(|| format!("{}: bad base64", case.id))?;
        report.case(&format!("{} ({})", case.id, case.what), || judge(&case, &bytes).into());
    }
    valid_files(&files, report)?;
    for case in names {
        report.case(&format!("name {}", case.filename), || name(&case).into());
    }
    Ok(())
}

fn judge(case: &Case, bytes: &[u8]) -> Result<(), String> {
    let parsed = Gguf::parse(bytes);
    let refusal = match &parsed {
        Ok(gguf) => gguf.check_strict().err().map(|e| e.to_string()),
        Err(e) => Some(e.to_string()),
    };
    let reference_takes = case.llamacpp_0c1e570.data == Decision::Accept;
    match (&case.spec, &refusal) {
        (Spec::Valid, Some(e)) => return Err(format!("valid, but: {e}")),
        (Spec::Invalid, None) if !reference_takes => return Err("invalid, but taken strictly".into()),
        (Spec::Unspecified, None) if !reference_takes => {
            return Err("taken strictly, although llama.cpp refuses it".into());
        }
        _ => {}
    }
    let Ok(gguf) = &parsed else { return Ok(()) };
    if matches!(case.spec, Spec::Invalid) && refusal.is_some() {
        let kinds: Vec<_> = gguf.warnings().iter().map(|w| w.kind).collect();
        if !TAKEN_WITH_A_WARNING.iter().any(|(name, kind)| *name == case.what && kinds == [*kind]) {
            return Err(format!("invalid, but taken with {kinds:?}"));
        }
    }
    case.parsed.as_ref().map_or(Ok(()), |expected| compare(gguf, expected))
}

/// Checks the files that gguf-py wrote (entries, values, and the SHA-256 of each tensor's bytes) and one with the other
/// byte order.
fn valid_files(files: &Files, report: &mut Report) -> Result<(), String> {
    for entry in data::json::<Vec<Json>>(files, "files/index.json")? {
        report.holds(entry["shards"].as_array().map_or(1, Vec::len));
        if let Some(shards) = entry["shards"].as_array() {
            for entry in shards {
                let (name, bytes) = named(files, entry)?;
                report.case(name, || shard(entry, &bytes).into());
            }
        } else {
            let (name, bytes) = named(files, &entry)?;
            report.case(name, || file(&entry, &bytes).into());
        }
    }
    Ok(())
}

/// Returns the name and the bytes of the file that an entry describes.
fn named<'a>(files: &Files, entry: &'a Json) -> Result<(&'a str, Vec<u8>), String> {
    let name = entry["file"]
        .as_str()
        .ok_or_else(|| format!("files/index.json: an entry of an unknown kind: {entry}"))?;
    Ok((name, files.bytes(&format!("files/{name}"))?))
}

/// Checks a part of a split model, of which the index has the keys and the names of the tensors.
fn shard(entry: &Json, bytes: &[u8]) -> Result<(), String> {
    let gguf = Gguf::parse(bytes).map_err(|e| format!("valid, but: {e}"))?;
    gguf.check_strict().map_err(|e| format!("valid, but: {e}"))?;
    let pairs: Vec<Json> = gguf.metadata().iter().map(|(key, value)| pair(key, &value)).collect();
    same("metadata", pairs.into(), &entry["kv"])?;
    let names: Vec<&str> = gguf.tensors().map(|tensor| tensor.name).collect();
    same("tensors", names.into(), &entry["tensors"])
}

fn file(entry: &Json, bytes: &[u8]) -> Result<(), String> {
    let gguf = Gguf::parse(bytes).map_err(|e| format!("valid, but: {e}"))?;
    if entry["tensors"].is_null() {
        return big_endian(&gguf);
    }
    gguf.check_strict().map_err(|e| format!("valid, but: {e}"))?;
    let expected = Parsed::deserialize(entry).map_err(|e| format!("files/index.json: {e}"))?;
    compare(&gguf, &expected)?;
    for (tensor, entry) in gguf.tensors().zip(&expected.tensors) {
        let bytes = gguf.data(&tensor).ok_or("a tensor without data")?;
        if entry["sha256"] != data::sha256(bytes) {
            return Err(format!("bytes of {} differ", tensor.name));
        }
    }
    Ok(())
}

/// Checks the file in the other byte order: a tensor of 0 to 7, and a number that shows the order of its bytes.
fn big_endian(gguf: &Gguf<'_>) -> Result<(), String> {
    let number = gguf.metadata().get_u32("test.u32").map_err(|e| e.to_string())?;
    let tensor = gguf.tensor("a").ok_or("no tensor `a`")?;
    let bytes = gguf.data(&tensor).ok_or("a tensor without data")?;
    let values: Vec<f32> = bytes.as_chunks::<4>().0.iter().map(|b| f32::from_be_bytes(*b)).collect();
    if number != 16_909_060 || values != [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0] {
        return Err(format!("{number}, {values:?}"));
    }
    match gguf.check_strict() {
        Ok(()) => Err("the strict check takes it".into()),
        Err(_) => Ok(()),
    }
}

fn name(case: &Naming) -> Result<(), String> {
    let found = FileName::parse(&case.filename);
    let parts = found.as_ref().map(|n| {
        json!({
            "Sidecar": n.sidecar, "BaseName": n.base_name, "SizeLabel": n.size_label, "FineTune": n.fine_tune,
            "Version": n.version, "Encoding": n.encoding, "Type": n.kind,
            "Shard": n.shard.map(|(no, count)| format!("{no:05}-of-{count:05}")),
        })
    });
    same("parts", parts.into(), &case.expected)?;
    match found {
        Some(name) if name.to_string() != case.filename => Err(format!("written as {name}")),
        _ => Ok(()),
    }
}

/// Returns the first difference between what was read and what gguf-py read.
fn compare(gguf: &Gguf<'_>, expected: &Parsed) -> Result<(), String> {
    let found = (gguf.version(), gguf.alignment(), gguf.data_offset());
    let wanted = (expected.version, expected.alignment, expected.data_offset);
    if found != wanted {
        return Err(format!("version, alignment, data offset: {found:?}, expected {wanted:?}"));
    }
    // Index files have no element types of arrays.
    let untyped = expected.kv.iter().any(|pair| pair[1] == "array");
    let mut pairs: Vec<Json> = gguf.metadata().iter().map(|(key, value)| pair(key, &value)).collect();
    for pair in pairs.iter_mut().filter(|_| untyped) {
        if pair[1].as_str().is_some_and(|ty| ty.starts_with("array")) {
            pair[1] = "array".into();
        }
    }
    same("metadata", pairs.into(), &expected.kv.clone().into())?;
    let tensors: Vec<Json> =
        gguf.tensors().map(|t| json!([t.name, t.ty.name(), &*t.dims, t.range.start, t.byte_len()])).collect();
    let wanted = expected.tensors.iter().map(|entry| match entry {
        Json::Object(o) => ["name", "type", "ne", "abs_offset", "bytes"]
            .iter()
            .map(|key| o.get(*key).cloned().unwrap_or_default())
            .collect(),
        list => list.clone(),
    });
    same("tensors", tensors.into(), &wanted.collect())
}

/// Compares two values. Lists are compared item by item, so that a message shows the one that differs.
fn same(what: &str, found: Json, expected: &Json) -> Result<(), String> {
    let (found, expected) = match (&found, expected) {
        (Json::Array(f), Json::Array(e)) if f.len() == e.len() => {
            match f.iter().zip(e).find(|(f, e)| f != e) {
                Some(pair) => pair,
                None => return Ok(()),
            }
        }
        (f, e) if *f == *e => return Ok(()),
        (f, e) => (f, e),
    };
    Err(format!("{what}: {found}, expected {expected}"))
}

/// Returns a pair in the corpus' notation: long strings as their length, arrays in arrays flattened, an empty array
/// without a type.
fn pair(key: &str, value: &Value<'_>) -> Json {
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
    let key = string(key);
    match value {
        Value::Array(array) if array.is_empty() => json!([key, "array", []]),
        Value::Array(array) => json!([key, format!("array:{}", name(innermost(array))), scalars(value)]),
        value => json!([key, name(value.value_type()), scalars(value)[0]]),
    }
}

fn scalars(value: &Value<'_>) -> Vec<Json> {
    let float = |v: f64| match v {
        v if v.is_nan() => "nan".into(),
        v if v.is_infinite() => if v > 0.0 { "inf" } else { "-inf" }.into(),
        v => v.into(),
    };
    vec![match value {
        Value::F32(v) => float((*v).into()),
        Value::F64(v) => float(*v),
        Value::Bool(v) => (*v).into(),
        Value::String(v) => v.to_str().map_or(Json::Null, string),
        Value::U64(v) => (*v).into(),
        Value::Array(v) => return v.iter().flat_map(|v| scalars(&v)).collect(),
        v => v.as_integer().and_then(|v| i64::try_from(v).ok()).into(),
    }]
}

fn string(s: &str) -> Json {
    // The number of characters, as Python counts them.
    let len = s.chars().count();
    if len > 4096 { json!({ "len": len }) } else { s.into() }
}

fn innermost(array: &Array<'_>) -> ValueType {
    match array.get(0) {
        Some(Value::Array(inner)) => innermost(&inner),
        _ => array.element_type(),
    }
}
