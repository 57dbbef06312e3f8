//! Corpus `gguf`: malformed and odd files with the verdicts of other readers, and valid files of every tensor type.
//!
//! The gate of the corpus: what the document calls invalid and llama.cpp refuses must be refused; what it calls valid must be
//! read, with the same entries; on the rest llama.cpp is followed, or the file is refused with a reason. The crate's own tests
//! also compare every metadata value and count allocations.

use crate::data;
use crate::report::{Report, Verdict};
use happy_gguf::Gguf;
use serde::Deserialize;
use serde_json::Value as Json;
use std::path::Path;

#[derive(Deserialize)]
struct Case {
    id: String,
    what: String,
    spec: String,
    llamacpp_0c1e570: Reader,
    parsed: Option<Parsed>,
    b64: String,
}

#[derive(Deserialize)]
struct Reader {
    data: String,
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

/// An entry of `files/index.json`; those of shards and of other byte orders lack some fields.
#[derive(Deserialize)]
struct File {
    #[serde(default)]
    file: String,
    #[serde(flatten)]
    parsed: Option<Parsed>,
}

pub(crate) fn run(folder: &Path, report: &mut Report) -> Result<(), String> {
    for case in data::json_lines::<Case>(&folder.join("cases.jsonl.gz"))? {
        let bytes = data::base64(&case.b64).ok_or_else(|| format!("{}: bad base64", case.id))?;
        report.case(&format!("{} ({})", case.id, case.what), || judge(&case, &bytes));
    }
    let files: Vec<File> = data::json(&folder.join("files/index.json"))?;
    for (name, parsed) in
        files.iter().filter_map(|f| Some((&f.file, f.parsed.as_ref()?))).filter(|(name, _)| !name.is_empty())
    {
        let bytes = data::bytes(&folder.join("files").join(name))?;
        report.case(name, || match Gguf::parse(&bytes) {
            Ok(gguf) => compare(&gguf, parsed).map_or(Verdict::Passed, Verdict::Failed),
            Err(e) => Verdict::Failed(format!("valid, but: {e}")),
        });
    }
    Ok(())
}

fn judge(case: &Case, bytes: &[u8]) -> Verdict {
    let parsed = Gguf::parse(bytes);
    // A newer version of the format may have more tensor types: parsing keeps them, the strict check refuses.
    let refusal = match &parsed {
        Ok(gguf) => gguf.check_strict().err().map(|e| e.to_string()),
        Err(e) => Some(e.to_string()),
    };
    let reference_takes = case.llamacpp_0c1e570.data == "accept";
    match (case.spec.as_str(), &refusal) {
        ("valid", Some(e)) if e.to_string().contains("unsupported") => {
            return Verdict::Unsupported(e.to_string());
        }
        ("valid", Some(e)) => return Verdict::Failed(format!("valid, but: {e}")),
        ("invalid", None) if !reference_takes => return Verdict::Failed("invalid, but taken".into()),
        ("unspecified", None) if !reference_takes => {
            return Verdict::Failed("taken, although llama.cpp refuses it".into());
        }
        _ => {}
    }
    match (&parsed, &case.parsed) {
        (Ok(gguf), Some(expected)) => compare(gguf, expected).map_or(Verdict::Passed, Verdict::Failed),
        _ => Verdict::Passed,
    }
}

/// The first difference between what was read and what gguf-py read.
fn compare(gguf: &Gguf<'_>, expected: &Parsed) -> Option<String> {
    let found = (gguf.version(), gguf.alignment(), gguf.data_offset());
    let wanted = (expected.version, expected.alignment, expected.data_offset);
    if found != wanted {
        return Some(format!("version, alignment, data offset: {found:?}, expected {wanted:?}"));
    }
    let keys: Vec<&str> = gguf.metadata().iter().map(|(key, _)| key).collect();
    let wanted: Vec<&str> = expected.kv.iter().filter_map(|pair| pair[0].as_str()).collect();
    if keys != wanted {
        return Some(format!("keys {keys:?}, expected {wanted:?}"));
    }
    if gguf.tensors().len() != expected.tensors.len() {
        return Some(format!("{} tensors, expected {}", gguf.tensors().len(), expected.tensors.len()));
    }
    gguf.tensors().zip(&expected.tensors).find_map(|(tensor, entry)| {
        let entry = match entry {
            Json::Object(o) => ["name", "type", "ne", "abs_offset", "bytes"]
                .iter()
                .map(|k| o.get(*k).cloned().unwrap_or_default())
                .collect(),
            list => list.clone(),
        };
        let found = serde_json::json!([
            tensor.name,
            tensor.ty.name(),
            &*tensor.dims,
            tensor.range.start,
            tensor.byte_len()
        ]);
        (found != entry).then(|| format!("tensor {found}, expected {entry}"))
    })
}
