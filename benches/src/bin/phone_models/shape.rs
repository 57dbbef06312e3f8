//! A file that is made of shapes: metadata, and tensors of random rows.

use happy_gguf::{GgmlType, GgufWriter, OwnedValue};
use happy_tensor::{DType, quantize_row};

/// Distinct rows of a matrix. A prime, so that experts and heads of even sizes differ.
const ROWS: usize = 61;

/// A model file under construction.
pub(crate) struct Shape {
    architecture: &'static str,
    writer: GgufWriter<'static>,
    /// The first row that could not be encoded.
    error: Option<String>,
}

impl Shape {
    /// A model with a vocabulary of `n_vocab` tokens, whose texts are bytes and numbers.
    pub(crate) fn new(architecture: &'static str, n_vocab: usize) -> Self {
        let bytes = (0..=255u8).map(byte_text);
        let numbers = (256..n_vocab).map(|id| format!("<{id}>"));
        let tokens: Vec<String> = bytes.chain(numbers).take(n_vocab).collect();
        let writer = GgufWriter::new()
            .kv("general.architecture", architecture.to_owned())
            .kv("tokenizer.ggml.model", "gpt2".to_owned())
            .kv("tokenizer.ggml.pre", "default".to_owned())
            .kv("tokenizer.ggml.tokens", OwnedValue::from(tokens))
            .kv("tokenizer.ggml.merges", OwnedValue::from(vec!["a b".to_owned()]))
            .kv("tokenizer.ggml.eos_token_id", n_vocab as u32 - 1);
        Shape { architecture, writer, error: None }
    }

    /// Adds the metadata key `ARCHITECTURE.key`.
    pub(crate) fn key(mut self, key: &str, value: impl Into<OwnedValue>) -> Self {
        self.writer = self.writer.kv(format!("{}.{key}", self.architecture), value);
        self
    }

    /// A matrix, or a stack of them: shape in the file's order, fastest dimension first.
    pub(crate) fn matrix(mut self, name: impl Into<String>, dtype: DType, dims: &[usize]) -> Self {
        let name = name.into();
        let columns = dims.first().copied().unwrap_or(1);
        let scale = 1.0 / (columns as f32).sqrt();
        match rows(&name, dtype, columns, scale) {
            Ok(pool) => self.writer = produced(self.writer, name, dtype, dims, pool),
            Err(error) => self.error = self.error.or(Some(error)),
        }
        self
    }

    /// F32 values of the same number.
    pub(crate) fn constant(mut self, name: impl Into<String>, dims: &[usize], value: f32) -> Self {
        let row = value.to_le_bytes().repeat(dims.first().copied().unwrap_or(1));
        self.writer = produced(self.writer, name.into(), DType::F32, dims, vec![row]);
        self
    }

    /// Adds a tensor with these F32 values.
    pub(crate) fn values(mut self, name: impl Into<String>, values: &[f32]) -> Self {
        let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        self.writer = self.writer.tensor(name, GgmlType::F32, &[values.len() as u64], bytes);
        self
    }

    /// The file, ready to be written.
    pub(crate) fn build(self) -> Result<GgufWriter<'static>, String> {
        self.error.map_or(Ok(self.writer), Err)
    }
}

/// A tensor that repeats the rows of a pool.
fn produced(
    writer: GgufWriter<'static>,
    name: String,
    dtype: DType,
    dims: &[usize],
    pool: Vec<Vec<u8>>,
) -> GgufWriter<'static> {
    let n: usize = dims.iter().skip(1).product();
    let dims: Vec<u64> = dims.iter().map(|d| *d as u64).collect();
    writer.tensor_from(name, GgmlType::from_id(dtype.id()), &dims, move |out| {
        (0..n).try_for_each(|i| out.write_all(&pool[i % pool.len()]))
    })
}

/// Random rows, encoded.
fn rows(name: &str, dtype: DType, columns: usize, scale: f32) -> Result<Vec<Vec<u8>>, String> {
    let bytes = dtype.row_bytes(columns).map_err(|e| format!("{name}: {e}"))?;
    let mut state = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mut uniform = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..ROWS)
        .map(|_| {
            // a sum of three is near enough to a normal distribution; its deviation is 1
            let row: Vec<f32> = (0..columns).map(|_| scale * (uniform() + uniform() + uniform())).collect();
            let mut out = vec![0; bytes];
            quantize_row(dtype, &row, &mut out).map_err(|e| format!("{name}: {e}"))?;
            Ok(out)
        })
        .collect()
}

/// The character that stands for a byte in a vocabulary of GPT-2's kind.
fn byte_text(byte: u8) -> String {
    let printable = |b: u8| matches!(b, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    if printable(byte) {
        return char::from(byte).to_string();
    }
    let index = (0..byte).filter(|b| !printable(*b)).count() as u32;
    char::from_u32(256 + index).unwrap_or('?').to_string()
}
