//! Corpus `quants`: block formats against the reference's bits, both ways, and the 16-bit floats.

use crate::data;
use crate::report::{Report, Verdict};
use happy_tensor::{DType, RowError, convert, dequantize_to_vec, quantize_row};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// The entry of a format in `index.json`.
#[derive(Deserialize)]
struct Format {
    block_bytes: usize,
    block_elems: usize,
}

pub(crate) fn run(folder: &Path, report: &mut Report) -> Result<(), String> {
    let index: BTreeMap<String, serde_json::Value> = data::json(&folder.join("index.json"))?;
    let x = data::f32_file(&folder.join("quantise/x.f32"))?;
    // Names with an underscore describe the other folders.
    for (name, entry) in index.iter().filter(|(name, _)| !name.starts_with('_')) {
        let format = &Format::deserialize(entry).map_err(|e| format!("index.json: {name}: {e}"))?;
        let blocks = folder.join("blocks");
        let encoded = data::bytes(&blocks.join(format!("{name}.bin")))?;
        let values = data::f32_file(&blocks.join(format!("{name}.f32")))?;
        report.case(&format!("dequantise {name}"), || dequantise(name, format, &encoded, &values));
        let rows = folder.join("quantise").join(format!("{name}.bin"));
        if rows.is_file() {
            let expected = data::bytes(&rows)?;
            report.case(&format!("quantise {name}"), || quantise(name, &x, &expected));
        }
    }
    let x = data::f32_file(&folder.join("convert/x.f32"))?;
    for (name, of) in [("f16", convert::f16_from_f32 as fn(f32) -> u16), ("bf16", convert::bf16_from_f32)] {
        let expected = data::u16_file(&folder.join("convert").join(format!("{name}.u16")))?;
        report.case(&format!("convert {name}"), || {
            let wrong = x.iter().zip(&expected).filter(|(x, bits)| of(**x) != **bits).count();
            check(wrong == 0 && x.len() == expected.len(), || {
                format!("{wrong} of {} values differ", expected.len())
            })
        });
    }
    Ok(())
}

fn dequantise(name: &str, format: &Format, encoded: &[u8], values: &[f32]) -> Verdict {
    let Some(dtype) = DType::from_name(name) else {
        return Verdict::Unsupported("no such element type".into());
    };
    if (dtype.block_bytes(), dtype.block_len()) != (format.block_bytes, format.block_elems) {
        return Verdict::Failed(format!(
            "blocks of {} bytes, expected {}",
            dtype.block_bytes(),
            format.block_bytes
        ));
    }
    match dequantize_to_vec(dtype, encoded) {
        Ok(found) => {
            let wrong = found.iter().zip(values).filter(|(a, b)| a.to_bits() != b.to_bits()).count();
            check(wrong == 0 && found.len() == values.len(), || {
                format!("{wrong} of {} values differ", values.len())
            })
        }
        Err(e) => Verdict::Failed(e.to_string()),
    }
}

/// Formats whose encoding searches: another search may find other bytes, but no worse ones.
fn searches(name: &str) -> bool {
    name.ends_with("_K") && name != "Q8_K" || name.starts_with("IQ")
}

fn quantise(name: &str, x: &[f32], expected: &[u8]) -> Verdict {
    let Some(dtype) = DType::from_name(name) else {
        return Verdict::Unsupported("no such element type".into());
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
        let values = dequantize_to_vec(dtype, encoded)?;
        Ok(values.iter().zip(x).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>() / x.len() as f64)
    };
    match (error(&found), error(expected)) {
        (Ok(ours), Ok(reference)) => check(ours <= reference, || {
            format!("mean squared error {ours:e}, the reference's is {reference:e}")
        }),
        (Err(e), _) | (_, Err(e)) => Verdict::Failed(RowError::to_string(&e)),
    }
}

fn check(holds: bool, why: impl FnOnce() -> String) -> Verdict {
    if holds { Verdict::Passed } else { Verdict::Failed(why()) }
}
