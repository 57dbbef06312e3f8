//! Writes the output as a stream: each tensor is read, decoded and encoded in groups of rows when its turn comes. Nothing is
//! mapped.

use crate::error::{QuantizeError, QuantizeErrorKind as Kind};
use crate::plan::{Plan, TensorPlan};
use crate::rows::{Rows, zeros};
use happy_gguf::{FileError, GgufWriter, WriteError, WriteOptions};
use happy_tensor::DType;
use std::fmt;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// Number of elements that are in memory at once, but at least one row. This is 4 MiB as f32.
const GROUP: usize = 1 << 20;

/// Options for carrying out a plan.
///
/// ```
/// use happy_quantize::RunOptions;
/// let progress = |p: &happy_quantize::Progress<'_>| eprintln!("{} of {} bytes", p.done, p.total);
/// let options = RunOptions { threads: 2, progress: &progress, ..RunOptions::default() };
/// assert!(options.replace);
/// ```
#[derive(Clone, Copy)]
pub struct RunOptions<'o> {
    /// Number of threads that encode, including the calling one. 0 counts as 1. The default is the number of cores. The
    /// output does not depend on it.
    pub threads: usize,
    /// Whether [`Plan::write_file`] replaces an existing file. The default is true.
    pub replace: bool,
    /// Called on the calling thread, many times per second; the work ends if it returns true. By default, it never does.
    pub cancelled: &'o (dyn Fn() -> bool + Sync),
    /// Called on the calling thread when a tensor begins, and after each group of about a million of its elements. By default,
    /// it does nothing.
    pub progress: &'o (dyn Fn(&Progress<'_>) + Sync),
}

impl Default for RunOptions<'_> {
    fn default() -> Self {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        Self { threads, replace: true, cancelled: &|| false, progress: &|_| () }
    }
}

impl fmt::Debug for RunOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunOptions")
            .field("threads", &self.threads)
            .field("replace", &self.replace)
            .finish_non_exhaustive()
    }
}

/// The progress of a run.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Progress<'p> {
    /// The tensor that is being written.
    pub tensor: &'p TensorPlan<'p>,
    /// Bytes of this tensor in the input that are done: 0 when it begins.
    pub tensor_done: u64,
    /// Bytes of all tensors in the input that are done.
    pub done: u64,
    /// Bytes of all tensors in the input.
    pub total: u64,
}

/// A run of a plan.
struct Run<'r> {
    plan: &'r Plan<'r>,
    options: &'r RunOptions<'r>,
    /// Why the work ended. The GGUF writer only sees that a producer failed.
    failure: Mutex<Option<QuantizeError>>,
    done: AtomicU64,
    total: u64,
}

type Produce<'w> = &'w (dyn Fn(&TensorPlan<'w>, &mut dyn Write) -> io::Result<()> + Send + Sync);

impl Plan<'_> {
    /// Returns the size of the output in bytes. Nothing is written.
    ///
    /// # Errors
    /// If the model has metadata or tensors that cannot be written.
    pub fn file_len(&self) -> Result<u64, QuantizeError> {
        Ok(self.writer(&|_, _| Ok(())).file_len()?)
    }

    /// Writes the output file, and returns its size in bytes. The file gets its name when it is complete. After an error, the
    /// file that was there before is unchanged.
    ///
    /// This needs memory for the headers of the input, a group of about a million elements in both types, and a row of f32 per
    /// thread.
    ///
    /// # Errors
    /// If the input cannot be read, the output cannot be written, a value is not finite, memory is refused, or the work is
    /// cancelled.
    pub fn write_file(&self, path: impl AsRef<Path>, options: &RunOptions<'_>) -> Result<u64, QuantizeError> {
        let cancelled = || (options.cancelled)();
        let how = WriteOptions { replace: options.replace, cancelled: &cancelled };
        self.run(options, |writer| writer.write_file_with(path.as_ref(), &how))
    }

    /// Writes the output to anything that takes bytes. It does not have to be buffered.
    ///
    /// # Errors
    /// As for [`Plan::write_file`]. The bytes before the error have been written.
    pub fn write_to(&self, out: impl Write, options: &RunOptions<'_>) -> Result<u64, QuantizeError> {
        let cancelled = || (options.cancelled)();
        self.run(options, |writer| writer.write_to_with(out, &cancelled))
    }

    fn run(
        &self,
        options: &RunOptions<'_>,
        write: impl FnOnce(&GgufWriter<'_>) -> Result<u64, WriteError>,
    ) -> Result<u64, QuantizeError> {
        let total = self.tensors().iter().fold(0u64, |sum, t| sum.saturating_add(t.info.byte_len()));
        let (failure, done) = (Mutex::new(None), AtomicU64::new(0));
        let run = Run { plan: self, options, failure, done, total };
        let written = write(&self.writer(&|t, out| run.tensor(t, out)));
        match run.failure.into_inner() {
            Ok(Some(error)) => Err(error),
            _ => Ok(written?),
        }
    }

    fn writer<'w>(&'w self, produce: Produce<'w>) -> GgufWriter<'w> {
        let pairs = [("general.quantization_version", 2u32), ("general.file_type", self.mix().file_type())];
        let is_kept = |key: &str| !key.starts_with("split.") && !pairs.iter().any(|(k, _)| *k == key);
        let mut writer = GgufWriter::new();
        for (key, value) in self.model.view().metadata().iter().filter(|(key, _)| is_kept(key)) {
            writer = writer.kv_read(key, value);
        }
        for (key, value) in pairs {
            writer = writer.kv(key, value);
        }
        for t in self.tensors() {
            // The size of a copied tensor's type may not follow from the dimensions.
            let len = t.encoded().is_none().then(|| t.info.byte_len());
            let (name, ty, dims) = (t.info.name, t.output_type(), &t.info.dims);
            writer = writer.tensor_from_sized(name, ty, dims, len, move |out| produce(t, out));
        }
        writer
    }
}

/// A failure of reading or of writing.
enum Failed {
    Here(QuantizeError),
    Writing(io::Error),
}

impl From<QuantizeError> for Failed {
    fn from(error: QuantizeError) -> Self {
        Self::Here(error)
    }
}

impl From<FileError> for Failed {
    fn from(error: FileError) -> Self {
        Self::Here(error.into())
    }
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self::Writing(error)
    }
}

impl Run<'_> {
    /// Writes one tensor.
    fn tensor(&self, t: &TensorPlan<'_>, out: &mut dyn Write) -> io::Result<()> {
        self.report(t, 0);
        let written = match t.encoded() {
            None => self.copy(t, out),
            Some(types) => self.encode(t, types, out),
        };
        self.done.fetch_add(t.info.byte_len(), Ordering::Relaxed);
        written.map_err(|failed| match failed {
            Failed::Writing(error) => error,
            Failed::Here(error) => {
                if let Ok(mut failure) = self.failure.lock() {
                    *failure = Some(error);
                }
                io::Error::other("the tensor could not be made")
            }
        })
    }

    fn report(&self, tensor: &TensorPlan<'_>, tensor_done: u64) {
        let done = self.done.load(Ordering::Relaxed).saturating_add(tensor_done);
        (self.options.progress)(&Progress { tensor, tensor_done, done, total: self.total });
    }

    fn copy(&self, t: &TensorPlan<'_>, out: &mut dyn Write) -> Result<(), Failed> {
        let mut done = 0;
        self.plan.model.read_tensor(t.part, &t.info, |piece| {
            out.write_all(piece)?;
            done += piece.len() as u64;
            self.report(t, done);
            Ok(())
        })
    }

    /// Decodes and encodes a group of rows at a time.
    fn encode(
        &self,
        t: &TensorPlan<'_>,
        (from, to): (DType, DType),
        out: &mut dyn Write,
    ) -> Result<(), Failed> {
        let name = t.info.name;
        let wrong =
            |e: happy_tensor::ShapeError| QuantizeError::tensor_error(Kind::Unsupported, name, e.to_string());
        let [columns, rows, ..] = t.info.dims.padded();
        let too_large = |_| QuantizeError::tensor_error(Kind::OutOfMemory, name, "rows do not fit in memory");
        let (columns, rows) =
            (usize::try_from(columns).map_err(too_large)?, usize::try_from(rows).map_err(too_large)?);
        let (from_row, to_row) =
            (from.row_bytes(columns).map_err(wrong)?, to.row_bytes(columns).map_err(wrong)?);
        let weights = self.plan.quantizer.weights(name);
        let encoder = Rows { tensor: name, from, to, columns, rows, from_row, to_row, weights };
        let all_rows = t.info.byte_len() / (from_row as u64).max(1);
        let group = ((GROUP / columns.max(1)).max(1) as u64).min(all_rows) as usize;
        let bytes = |row: usize| group.saturating_mul(row);
        let (mut data, mut encoded) =
            (zeros::<u8>(bytes(from_row), name)?, zeros::<u8>(bytes(to_row), name)?);
        let mut first = 0;
        while first < all_rows {
            let n = (group as u64).min(all_rows - first) as usize;
            let data = data.get_mut(..n * from_row).unwrap_or_default();
            let encoded = encoded.get_mut(..n * to_row).unwrap_or_default();
            self.plan.model.read_at(t.part, &t.info, first * from_row as u64, data)?;
            encoder.encode(first as usize, data, encoded, self.options.threads, self.options.cancelled)?;
            out.write_all(encoded)?;
            first += n as u64;
            self.report(t, first * from_row as u64);
        }
        Ok(())
    }
}
