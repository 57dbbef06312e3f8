//! Recipes of small models: metadata and tensors described instead of stored, built into a GGUF file in memory.
//!
//! ```text
//! base = fnv1a64(tensor name) xor seed
//! z    = splitmix64(base, i + 1)                        element i, file order
//! u    = ((z >> 40) - 2^23) / 2^23                      f32, exact, in [-1, 1)
//! x    = offset + scale * u, each step rounded to f32   "affine";   -|x|   "neg_abs"
//!        the listed values, rounded to f32              "values"
//! ```

use crate::data;
use happy_gguf::{GgmlType, GgufFile, GgufWriter, Limits, OwnedValue};
use happy_testkit::{le_bytes, uniform};
use serde::Deserialize;
use serde_json::Value as Json;
use std::sync::Arc;

/// A recipe as the corpus stores it.
#[derive(Deserialize)]
pub(crate) struct Recipe {
    pub(crate) name: String,
    pub(crate) architecture: String,
    seed: u64,
    #[serde(default)]
    pub(crate) n_vocab: usize,
    metadata: Vec<(String, String, Json)>,
    tensors: Vec<Tensor>,
    pub(crate) tokens: Vec<u32>,
    /// The positions that have logits, ascending; all of them if it is absent.
    positions: Option<Vec<usize>>,
    #[serde(default)]
    logits_f32le_base64: String,
    /// The vectors that embedding models must give.
    #[serde(default)]
    pub(crate) outputs: Vec<Vectors>,
}

/// The vectors of a text's tokens with one pooling.
#[derive(Deserialize)]
pub(crate) struct Vectors {
    pub(crate) pooling: String,
    pub(crate) rows: usize,
    pub(crate) width: usize,
    embedding_f32le_base64: String,
}

impl Vectors {
    /// Returns all values, row by row.
    pub(crate) fn values(&self) -> Result<Vec<f32>, String> {
        let bytes = happy_testkit::base64(&self.embedding_f32le_base64).ok_or("bad base64 in the recipe")?;
        let expected = self.rows * self.width;
        if bytes.len() != 4 * expected {
            return Err(format!("{} bytes of values, expected {expected} values", bytes.len()));
        }
        Ok(data::f32_values(&bytes))
    }
}

#[derive(Deserialize)]
pub(crate) struct Tensor {
    name: String,
    /// The dimensions, the fastest first.
    shape: Vec<u64>,
    #[serde(rename = "type")]
    ty: String,
    fill: Option<Fill>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Fill {
    /// A rule's name, offset and scale.
    Uniform(String, f64, f64),
    /// `values` and these.
    Values(String, Vec<f64>),
}

impl Recipe {
    /// Builds the model's file.
    pub(crate) fn build(&self) -> Result<GgufFile, String> {
        build(self.seed, &self.metadata, &self.tensors)
    }

    /// Returns the reference's logits: positions, each with its `n_vocab` logits.
    pub(crate) fn logits(&self) -> Result<Vec<(usize, Vec<f32>)>, String> {
        logits(&self.logits_f32le_base64, self.positions.as_deref(), self.tokens.len(), self.n_vocab)
    }
}

/// A metadata entry: key, type, value.
pub(crate) type Entry = (String, String, Json);

/// Builds the file with this metadata and these tensors.
pub(crate) fn build(seed: u64, metadata: &[Entry], tensors: &[Tensor]) -> Result<GgufFile, String> {
    let mut writer = GgufWriter::new();
    for (key, ty, value) in metadata {
        let value = owned(ty, value).ok_or_else(|| format!("{key}: cannot read {value} as {ty}"))?;
        writer = writer.kv(key, value);
    }
    for tensor in tensors {
        let (ty, bytes) = tensor.bytes(seed)?;
        writer = writer.tensor(&tensor.name, ty, &tensor.shape, bytes);
    }
    let bytes = writer.to_vec().map_err(|e| e.to_string())?;
    GgufFile::from_shared(Arc::new(bytes), &Limits::default()).map_err(|e| e.to_string())
}

/// Returns positions, each with its `n_vocab` logits; all `n` positions if none are named.
pub(crate) fn logits(
    base64: &str,
    positions: Option<&[usize]>,
    n: usize,
    n_vocab: usize,
) -> Result<Vec<(usize, Vec<f32>)>, String> {
    let bytes = happy_testkit::base64(base64).ok_or("bad base64 in the recipe")?;
    let all = positions.map_or_else(|| (0..n).collect(), <[usize]>::to_vec);
    if bytes.len() != 4 * all.len() * n_vocab {
        let (found, positions) = (bytes.len(), all.len());
        return Err(format!("{found} bytes of logits, expected {positions} positions of {n_vocab}"));
    }
    let rows = bytes.chunks_exact(4 * n_vocab).map(data::f32_values);
    Ok(all.into_iter().zip(rows).collect())
}

impl Tensor {
    fn bytes(&self, seed: u64) -> Result<(GgmlType, Vec<u8>), String> {
        let n = self.shape.iter().product::<u64>() as usize;
        let negative = match (self.ty.as_str(), &self.fill) {
            ("I32", None) => return Ok((GgmlType::I32, vec![0; 4 * n])),
            ("F32", Some(Fill::Values(rule, values))) if rule == "values" && values.len() == n => {
                return Ok((GgmlType::F32, le_bytes(values.iter().map(|x| *x as f32))));
            }
            ("F32", Some(Fill::Uniform(rule, ..))) if rule == "affine" => false,
            ("F32", Some(Fill::Uniform(rule, ..))) if rule == "neg_abs" => true,
            (ty, _) => return Err(format!("{}: unknown type {ty}, or unknown or no fill", self.name)),
        };
        let Some(Fill::Uniform(_, offset, scale)) = self.fill else {
            return Err(format!("{}: no fill", self.name));
        };
        let (offset, scale) = (offset as f32, scale as f32);
        let values = uniform(&self.name, seed, n).map(|u| offset + scale * u);
        let values = values.map(|x| if negative { -x.abs() } else { x });
        Ok((GgmlType::F32, le_bytes(values)))
    }
}

fn owned(ty: &str, value: &Json) -> Option<OwnedValue> {
    fn list<T>(value: &Json, of: impl Fn(&Json) -> Option<T>) -> Option<Vec<T>> {
        value.as_array()?.iter().map(of).collect()
    }
    Some(match ty {
        "uint32" => u32::try_from(value.as_u64()?).ok()?.into(),
        "float32" => (value.as_f64()? as f32).into(),
        "bool" => value.as_bool()?.into(),
        "string" => value.as_str()?.into(),
        "array:uint32" => list(value, |v| u32::try_from(v.as_u64()?).ok())?.into(),
        "array:int32" => list(value, |v| i32::try_from(v.as_i64()?).ok())?.into(),
        "array:uint64" => list(value, Json::as_u64)?.into(),
        "array:string" => list(value, |v| Some(v.as_str()?.to_owned()))?.into(),
        "array:bool" => list(value, Json::as_bool)?.into(),
        "array:float32" => list(value, |v| Some(v.as_f64()? as f32))?.into(),
        _ => return None,
    })
}
