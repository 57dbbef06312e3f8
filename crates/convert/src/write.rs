//! Writes the output as a stream: each tensor is read, changed and encoded in pieces when its turn comes. Nothing is mapped.

use crate::checkpoint::Tensor;
use crate::error::{ConvertError, ConvertErrorKind as Kind, printable};
use crate::plan::{Change, Conversion, Source, TensorPlan};
use crate::safetensors::Dtype;
use happy_gguf::{GgufWriter, WriteError, WriteOptions};
use happy_tensor::{DType, bf16, f16, quantize_row};
use std::fmt;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Number of elements that are in memory at once: 1 MiB as f32, and a whole number of blocks of any format.
const PIECE: usize = 1 << 18;

/// Options for carrying out a conversion.
#[derive(Clone, Copy)]
pub struct RunOptions<'o> {
    /// Whether [`Conversion::write_file`] replaces an existing file. The default is true.
    pub replace: bool,
    /// Called many times per second; the work ends if it returns true. By default, it never does.
    pub cancelled: &'o (dyn Fn() -> bool + Sync),
    /// Called with the number of elements that have been written, after each piece of about 260,000. By default, it does
    /// nothing.
    pub progress: &'o (dyn Fn(u64) + Sync),
}

impl Default for RunOptions<'_> {
    fn default() -> Self {
        Self { replace: true, cancelled: &|| false, progress: &|_| () }
    }
}

impl fmt::Debug for RunOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunOptions").field("replace", &self.replace).finish_non_exhaustive()
    }
}

type Produce<'w> = &'w (dyn Fn(&TensorPlan<'_>, &mut dyn Write) -> io::Result<()> + Send + Sync);

impl Conversion<'_> {
    /// Returns the size of the output in bytes. Nothing is written.
    ///
    /// # Errors
    /// If there are metadata or tensors that cannot be written.
    pub fn file_len(&self) -> Result<u64, ConvertError> {
        Ok(self.writer(&|_, _| Ok(())).file_len()?)
    }

    /// Returns the number of elements of all tensors, which is the last number that `progress` gets.
    pub fn elements(&self) -> u64 {
        self.tensors.iter().fold(0, |n: u64, t| n.saturating_add(t.elements()))
    }

    /// Writes the output file, and returns its size in bytes. The file gets its name when it is complete. After an error, the
    /// file that was there before is unchanged.
    ///
    /// This needs memory for the metadata, and for a piece of about 260,000 elements as they are in the checkpoint, in f32, and
    /// encoded.
    ///
    /// # Errors
    /// If the checkpoint cannot be read, the output cannot be written, a value does not fit the type, memory is refused, or the
    /// work is cancelled.
    pub fn write_file(&self, path: impl AsRef<Path>, options: &RunOptions<'_>) -> Result<u64, ConvertError> {
        let cancelled = || (options.cancelled)();
        let how = WriteOptions { replace: options.replace, cancelled: &cancelled };
        self.run(options, |writer| writer.write_file_with(path.as_ref(), &how))
    }

    /// Writes the output to anything that takes bytes.
    ///
    /// # Errors
    /// As for [`Conversion::write_file`]. The bytes before the error have been written.
    pub fn write_to(&self, out: impl Write, options: &RunOptions<'_>) -> Result<u64, ConvertError> {
        let cancelled = || (options.cancelled)();
        self.run(options, |writer| writer.write_to_with(out, &cancelled))
    }

    fn run(
        &self,
        options: &RunOptions<'_>,
        write: impl FnOnce(&GgufWriter<'_>) -> Result<u64, WriteError>,
    ) -> Result<u64, ConvertError> {
        // The GGUF writer only sees that a producer failed. The reason is kept here.
        let (failure, done) = (Mutex::new(None), AtomicU64::new(0));
        let produce = |t: &TensorPlan<'_>, out: &mut dyn Write| {
            let report = |n: usize| {
                (options.progress)(done.fetch_add(n as u64, Ordering::Relaxed).saturating_add(n as u64));
            };
            self.tensor(t, out, &report).map_err(|failed| match failed {
                Failed::Writing(error) => error,
                Failed::Here(error) => {
                    if let Ok(mut failure) = failure.lock() {
                        *failure = Some(error);
                    }
                    io::Error::other("the tensor could not be made")
                }
            })
        };
        let written = write(&self.writer(&produce));
        match failure.into_inner() {
            Ok(Some(error)) => Err(error),
            _ => Ok(written?),
        }
    }

    fn writer<'w>(&'w self, produce: Produce<'w>) -> GgufWriter<'w> {
        let pairs = self.pairs.iter();
        let writer =
            pairs.fold(GgufWriter::new(), |writer, (key, value)| writer.kv(key.as_str(), value.clone()));
        self.tensors.iter().fold(writer, |writer, t| {
            writer.tensor_from(t.name.as_str(), t.file_type, &t.dims, move |out| produce(t, out))
        })
    }

    fn tensor(&self, t: &TensorPlan<'_>, out: &mut dyn Write, report: &dyn Fn(usize)) -> Result<(), Failed> {
        let mut pieces = Pieces::new(t)?;
        match &t.from {
            Source::Values(values) => pieces.encode(values, out).map(|()| report(values.len())),
            Source::Tensor(tensor, change) => self.stream(tensor, *change, t.elements(), pieces, out, report),
        }
    }

    /// Fills pieces with runs of elements that are adjacent in the checkpoint, and writes each piece when it is full.
    fn stream(
        &self,
        tensor: &Tensor,
        change: Change,
        elements: u64,
        mut pieces: Pieces<'_>,
        out: &mut dyn Write,
        report: &dyn Fn(usize),
    ) -> Result<(), Failed> {
        let size = tensor.dtype.size().unwrap_or(1) as usize;
        let piece = elements.min(PIECE as u64) as usize;
        let (mut raw, mut values) = (zeros::<u8>(piece * size, tensor)?, zeros::<f32>(piece, tensor)?);
        let mut filled = 0;
        let rows = Rows::new(tensor, change, elements);
        for row in 0..rows.n {
            let (mut from, end) = rows.range(row);
            while from < end {
                let n = (end - from).min((piece - filled) as u64) as usize;
                let bytes = raw.get_mut(filled * size..(filled + n) * size).unwrap_or_default();
                self.checkpoint.read_at(tensor, from * size as u64, bytes)?;
                (from, filled) = (from + n as u64, filled + n);
                if filled == piece || row + 1 == rows.n && from == end {
                    let values = values.get_mut(..filled).unwrap_or_default();
                    decode(tensor.dtype, raw.get(..filled * size).unwrap_or_default(), values);
                    if change == Change::PlusOne {
                        values.iter_mut().for_each(|x| *x += 1.0);
                    }
                    pieces.encode(values, out)?;
                    report(filled);
                    filled = 0;
                }
            }
        }
        Ok(())
    }
}

/// The order in which the rows of a tensor are written.
struct Rows {
    n: u64,
    /// Number of elements in a row.
    len: u64,
    /// Number of rows in a head, if they are interleaved.
    head: Option<u64>,
}

impl Rows {
    fn new(tensor: &Tensor, change: Change, elements: u64) -> Self {
        match change {
            Change::None | Change::PlusOne => Self { n: 1, len: elements, head: None },
            Change::Interleave(heads) => {
                let n = tensor.shape.first().copied().unwrap_or(1).max(1);
                Self { n, len: elements / n, head: Some((n / heads.max(1)).max(2)) }
            }
        }
    }

    /// Returns the elements of the checkpoint that become a row. Row `2 i + s` of a head is row `s d/2 + i` of the checkpoint.
    fn range(&self, row: u64) -> (u64, u64) {
        let from = self.head.map_or(row, |head| {
            let (first, at) = (row - row % head, row % head);
            first + at % 2 * (head / 2) + at / 2
        });
        (from * self.len, (from + 1) * self.len)
    }
}

/// Converts values to f32. Those of F64 are rounded.
fn decode(dtype: Dtype, bytes: &[u8], out: &mut [f32]) {
    match dtype {
        Dtype::F64 => each(bytes, out, |b| f64::from_le_bytes(b) as f32),
        Dtype::F16 => each(bytes, out, |b| f16::from_le_bytes(b).to_f32()),
        Dtype::BF16 => each(bytes, out, |b| bf16::from_le_bytes(b).to_f32()),
        // The plan has refused the other types.
        Dtype::F32 | Dtype::Other(_) | Dtype::Unknown => each(bytes, out, f32::from_le_bytes),
    }
}

fn each<const N: usize>(bytes: &[u8], out: &mut [f32], value: impl Fn([u8; N]) -> f32) {
    let (values, _) = bytes.as_chunks::<N>();
    out.iter_mut().zip(values).for_each(|(out, bytes)| *out = value(*bytes));
}

/// Encodes one tensor piece by piece.
struct Pieces<'t> {
    name: &'t str,
    to: DType,
    encoded: Vec<u8>,
    /// Number of elements that are done, for messages.
    done: u64,
    /// Magnitudes from this one on do not fit the type.
    limit: f32,
}

impl<'t> Pieces<'t> {
    fn new(t: &'t TensorPlan<'_>) -> Result<Self, ConvertError> {
        /// Half a unit above the largest f16, which rounds to infinity.
        const F16_LIMIT: f32 = 65_520.0;
        let limit = match t.to {
            DType::F16 => F16_LIMIT,
            // The scale of a block is its largest magnitude divided by 127, as f16.
            DType::Q8_0 => F16_LIMIT * 127.0,
            // Half a unit above the largest bf16.
            DType::BF16 => f32::from_bits(0x7F7F_8000),
            _ => f32::INFINITY,
        };
        Ok(Self { name: &t.name, to: t.to, encoded: Vec::new(), done: 0, limit })
    }

    fn encode(&mut self, values: &[f32], out: &mut dyn Write) -> Result<(), Failed> {
        let wrong = |kind, what: String| {
            ConvertError::new(kind, format!("tensor `{}`: {what}", printable(self.name)))
        };
        if let Some(at) = values.iter().position(|x| x.is_nan() || x.abs() >= self.limit) {
            let (value, to) = (values.get(at).copied().unwrap_or_default(), self.to);
            let message = format!(
                "element {} is {value}, expected a number that {to} can hold",
                self.done.saturating_add(at as u64)
            );
            return Err(wrong(Kind::OutOfRange, message).into());
        }
        let len = self.to.row_bytes(values.len()).map_err(|e| wrong(Kind::Unsupported, e.to_string()))?;
        if self.encoded.len() < len {
            self.encoded
                .try_reserve_exact(len - self.encoded.len())
                .map_err(|_| wrong(Kind::OutOfMemory, format!("no memory for {len} bytes")))?;
            self.encoded.resize(len, 0);
        }
        let encoded = self.encoded.get_mut(..len).unwrap_or_default();
        quantize_row(self.to, values, encoded).map_err(|e| wrong(Kind::Unsupported, e.to_string()))?;
        out.write_all(encoded)?;
        self.done = self.done.saturating_add(values.len() as u64);
        Ok(())
    }
}

/// A failure of making a tensor, or of writing it.
enum Failed {
    Here(ConvertError),
    Writing(io::Error),
}

impl From<ConvertError> for Failed {
    fn from(error: ConvertError) -> Self {
        Self::Here(error)
    }
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self::Writing(error)
    }
}

fn zeros<T: Clone + Default>(n: usize, tensor: &Tensor) -> Result<Vec<T>, ConvertError> {
    let mut values = Vec::new();
    let bytes = n.saturating_mul(size_of::<T>()) as u64;
    values
        .try_reserve_exact(n)
        .map_err(|_| ConvertError::no_memory(bytes, format!("tensor `{}`", printable(&tensor.name))))?;
    values.resize(n, T::default());
    Ok(values)
}
