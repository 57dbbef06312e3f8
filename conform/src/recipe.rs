//! Recipes of small models: metadata and tensors described instead of stored, built into a GGUF file in memory.
//!
//! ```text
//! base = fnv1a64(tensor name) xor seed
//! z    = splitmix64(base, i + 1)                        element i, file order
//! u    = ((z >> 40) - 2^23) / 2^23                      f32, exact, in [-1, 1)
//! x    = offset + scale * u, each step rounded to f32   "affine";   -|x|   "neg_abs"
//! ```

use happy_gguf::{GgmlType, GgufFile, GgufWriter, Limits, OwnedValue};
use serde::Deserialize;
use serde_json::Value as Json;
use std::sync::Arc;

/// A recipe as the corpus stores it.
#[derive(Deserialize)]
pub(crate) struct Recipe {
    pub(crate) name: String,
    pub(crate) architecture: String,
    seed: u64,
    pub(crate) n_vocab: usize,
    metadata: Vec<(String, String, Json)>,
    tensors: Vec<Tensor>,
    pub(crate) tokens: Vec<u32>,
    pub(crate) logits_f32le_base64: String,
}

#[derive(Deserialize)]
struct Tensor {
    name: String,
    /// Fastest dimension first.
    shape: Vec<u64>,
    #[serde(rename = "type")]
    ty: String,
    fill: Option<(String, f64, f64)>,
}

impl Recipe {
    /// The model's file.
    pub(crate) fn build(&self) -> Result<GgufFile, String> {
        let mut writer = GgufWriter::new();
        for (key, ty, value) in &self.metadata {
            let value = owned(ty, value).ok_or_else(|| format!("{key}: cannot read {value} as {ty}"))?;
            writer = writer.kv(key, value);
        }
        for tensor in &self.tensors {
            let (ty, bytes) = tensor.bytes(self.seed)?;
            writer = writer.tensor(&tensor.name, ty, &tensor.shape, bytes);
        }
        let bytes = writer.to_vec().map_err(|e| e.to_string())?;
        GgufFile::from_shared(Arc::new(bytes), &Limits::default()).map_err(|e| e.to_string())
    }
}

impl Tensor {
    fn bytes(&self, seed: u64) -> Result<(GgmlType, Vec<u8>), String> {
        let n = self.shape.iter().product::<u64>();
        match (self.ty.as_str(), &self.fill) {
            ("I32", _) => Ok((GgmlType::I32, vec![0; 4 * n as usize])),
            ("F32", Some((rule, offset, scale))) => {
                let (offset, scale) = (*offset as f32, *scale as f32);
                let sign: fn(f32) -> f32 = match rule.as_str() {
                    "affine" => |x| x,
                    "neg_abs" => |x| -x.abs(),
                    other => return Err(format!("{}: unknown fill {other}", self.name)),
                };
                let values = (0..n).map(|i| sign(offset + scale * uniform(&self.name, seed, i)));
                Ok((GgmlType::F32, values.flat_map(f32::to_le_bytes).collect()))
            }
            (ty, _) => Err(format!("{}: unknown type {ty} or no fill", self.name)),
        }
    }
}

/// Element `i` of the tensor `name`, in [-1, 1).
fn uniform(name: &str, seed: u64, i: u64) -> f32 {
    let fnv = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mut z = (fnv ^ seed).wrapping_add((i + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^= z >> 31;
    ((z >> 40) as f32 - 8_388_608.0) / 8_388_608.0
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
        "array:float32" => list(value, |v| Some(v.as_f64()? as f32))?.into(),
        _ => return None,
    })
}
