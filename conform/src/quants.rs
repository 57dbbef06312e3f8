//! Corpus `quants`: compares block formats with the reference's bits, both ways, and the 16-bit floats. It also
//! compares the tensors of the files of corpus `gguf`, whose values are known too. The kernels' products are compared
//! in happy-kernels' own tests, which can call each kernel alone.

use crate::data;
use crate::report::{Report, Verdict};
use happy_tensor::formats::quantize_q8_k;
use happy_tensor::{DType, convert, dequantize_to_vec, quantize_row};
use happy_testkit::{Corpus, Files};
use serde::Deserialize;
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// The entry of a format in `index.json`.
#[derive(Deserialize)]
struct Format {
    block_bytes: usize,
    block_elems: usize,
}

/// Entries of `index.json` that describe the other folders.
const FOLDERS: &[&str] = &["_convert", "_quantise", "_vecdot"];

/// Element types of GGUF files that are stored but never computed with.
const NOT_COMPUTED: &[&str] = &["F64", "I8", "I16", "I32", "I64"];

pub(crate) fn run(corpus: &Corpus, report: &mut Report) -> Result<(), String> {
    let files = corpus.open("quants")?;
    let index: BTreeMap<String, Json> = data::json(&files, "index.json")?;
    for (name, entry) in &index {
        if name.starts_with('_') {
            if !FOLDERS.contains(&name.as_str()) {
                report.fail(name, "index.json has an entry of an unknown kind");
            }
            continue;
        }
        report.holds(1);
        let format = Format::deserialize(entry).map_err(|e| format!("index.json: {name}: {e}"))?;
        let encoded = files.bytes(&format!("blocks/{name}.bin"))?;
        let values = data::f32_file(&files, &format!("blocks/{name}.f32"))?;
        report.case(&format!("dequantize {name}"), || dequantize(name, &format, &encoded, &values));
    }
    encode(&files, &index, report)?;
    converted(&files, report)?;
    tensors_of_files(&corpus.open("gguf")?, report)
}

fn dtype(name: &str) -> Result<DType, Verdict> {
    DType::from_name(name).ok_or_else(|| Verdict::Unsupported("no such element type".into()))
}

fn dequantize(name: &str, format: &Format, encoded: &[u8], values: &[f32]) -> Verdict {
    let dtype = match dtype(name) {
        Ok(dtype) => dtype,
        Err(verdict) => return verdict,
    };
    if (dtype.block_bytes(), dtype.block_len()) != (format.block_bytes, format.block_elems) {
        return Verdict::Failed(format!(
            "blocks of {} bytes, expected {}",
            dtype.block_bytes(),
            format.block_bytes
        ));
    }
    same_values(dtype, encoded, values)
}

fn same_values(dtype: DType, encoded: &[u8], values: &[f32]) -> Verdict {
    match dequantize_to_vec(dtype, encoded) {
        Ok(found) => {
            let wrong = found.iter().zip(values).filter(|(a, b)| a.to_bits() != b.to_bits()).count();
            check(wrong == 0 && found.len() == values.len() && !values.is_empty(), || {
                format!("{wrong} of {} values differ", values.len())
            })
        }
        Err(e) => Verdict::Failed(e.to_string()),
    }
}

/// Compares encoded rows with the reference: the rows of `quantise/` for all formats, the weights of `vecdot/` for
/// formats that search.
fn encode(files: &Files, index: &BTreeMap<String, Json>, report: &mut Report) -> Result<(), String> {
    let (x, weights) =
        (data::f32_file(files, "quantise/x.f32")?, data::f32_file(files, "vecdot/weights.f32")?);
    // Under emulation, searching takes minutes. It only computes with floats, which are the same on every machine.
    let without_search = std::env::var_os("HAPPY_NO_SEARCH").is_some();
    for name in index.keys().filter(|name| !name.starts_with('_')) {
        // 16-bit floats have a folder of their own.
        if ["F16", "BF16"].contains(&name.as_str()) {
            continue;
        }
        let sets = [("quantise/", "", &x), ("vecdot/w_", ", weights", &weights)];
        let sets = sets.iter().take(if searches(name) { 2 } else { 1 });
        report.holds(sets.len());
        for (place, what, values) in sets {
            let expected = files.bytes(&format!("{place}{name}.bin"))?;
            report.case(&format!("quantize {name}{what}"), || match searches(name) && without_search {
                true => Verdict::Unsupported("not run, since HAPPY_NO_SEARCH is set".into()),
                false => quantize(name, values, &expected),
            });
        }
    }
    for (x, expected) in [("quantise/x.f32", "quantise/Q8_K.bin"), ("vecdot/act.f32", "vecdot/act_Q8_K.bin")]
    {
        report.holds(1);
        let (values, wanted) = (data::f32_file(files, x)?, files.bytes(expected)?);
        report.case(&format!("activations {expected}"), || {
            let found: Vec<u8> = values.as_chunks().0.iter().flat_map(quantize_q8_k).collect();
            check(found == wanted, || "the bytes differ".into())
        });
    }
    Ok(())
}

/// Returns whether encoding this format searches. Another search may find other bytes, but no worse ones.
fn searches(name: &str) -> bool {
    name.ends_with("_K") && name != "Q8_K" || name.starts_with("IQ")
}

fn quantize(name: &str, x: &[f32], expected: &[u8]) -> Verdict {
    let dtype = match dtype(name) {
        Ok(dtype) => dtype,
        Err(verdict) => return verdict,
    };
    let mut found = vec![0; expected.len()];
    if let Err(e) = quantize_row(dtype, x, &mut found) {
        return Verdict::Failed(e.to_string());
    }
    if !searches(name) {
        let wrong = found.iter().zip(expected).filter(|(a, b)| a != b).count();
        return check(wrong == 0, || format!("{wrong} of {} bytes differ", expected.len()));
    }
    let error = |encoded: &[u8]| {
        let values = dequantize_to_vec(dtype, encoded).map_err(|e| e.to_string())?;
        Ok(values.iter().zip(x).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum::<f64>())
    };
    match (error(&found), error(expected)) {
        (Ok(ours), Ok(reference)) => {
            check(ours <= reference, || format!("squared error {ours:e}, the reference's is {reference:e}"))
        }
        (Err(e), _) | (_, Err(e)) => Verdict::Failed(e),
    }
}

fn converted(files: &Files, report: &mut Report) -> Result<(), String> {
    let x = data::f32_file(files, "convert/x.f32")?;
    for (name, of) in [("f16", convert::f16_from_f32 as fn(f32) -> u16), ("bf16", convert::bf16_from_f32)] {
        report.holds(1);
        let expected = data::u16_file(files, &format!("convert/{name}.u16"))?;
        report.case(&format!("convert {name}"), || {
            let wrong = x.iter().zip(&expected).filter(|(x, bits)| of(**x) != **bits).count();
            check(wrong == 0 && x.len() == expected.len(), || {
                format!("{wrong} of {} values differ", expected.len())
            })
        });
    }
    Ok(())
}

/// Compares tensor `w2` of each file that another writer made, at the place where the index says that its bytes are.
fn tensors_of_files(files: &Files, report: &mut Report) -> Result<(), String> {
    for entry in data::json::<Vec<Json>>(files, "files/index.json")? {
        let Some(name) = entry["file"].as_str().and_then(|f| f.strip_prefix("type-")?.strip_suffix(".gguf"))
        else {
            continue;
        };
        report.holds(1);
        if NOT_COMPUTED.contains(&name) {
            report.case(&format!("tensor of type-{name}.gguf"), || match DType::from_name(name) {
                None => Verdict::Unsupported("a type that is stored and never computed with".into()),
                Some(_) => Verdict::Failed("a type that is computed with: remove its row".into()),
            });
            continue;
        }
        let tensor = entry["tensors"].as_array().into_iter().flatten().find(|t| t["name"] == "w2");
        let place = tensor.and_then(|t| Some((t["abs_offset"].as_u64()?, t["bytes"].as_u64()?)));
        let (start, len) = place.ok_or_else(|| format!("files/index.json: type-{name}.gguf has no `w2`"))?;
        let bytes = files.bytes(&format!("files/type-{name}.gguf"))?;
        let values = data::f32_file(files, &format!("files/type-{name}.w2.f32"))?;
        report.case(&format!("tensor of type-{name}.gguf"), || match dtype(name) {
            Ok(dtype) => match bytes.get(start as usize..(start + len) as usize) {
                Some(encoded) => same_values(dtype, encoded, &values),
                None => Verdict::Failed("the tensor is not in the file".into()),
            },
            Err(verdict) => verdict,
        });
    }
    Ok(())
}

fn check(holds: bool, why: impl FnOnce() -> String) -> Verdict {
    if holds { Verdict::Passed } else { Verdict::Failed(why()) }
}
