//! Decodes and encodes rows on several threads.
//!
//! A group of rows is split into tasks of about 16,384 elements. Each thread takes the next task until none is left. A row's bytes
//! depend only on the row and its weights, so threads don't change them.

use crate::error::{QuantizeError, QuantizeErrorKind as Kind};
use happy_tensor::{DType, dequantize_row, quantize_row, quantize_row_weighted};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// Number of elements in a task, which has at least one row. It is small, so that a cancelled search of an IQ format ends soon.
const TASK: usize = 16 << 10;

/// The rows of one tensor.
pub(crate) struct Rows<'a> {
    pub(crate) tensor: &'a str,
    pub(crate) from: DType,
    pub(crate) to: DType,
    /// Number of elements in a row.
    pub(crate) columns: usize,
    /// Number of rows in each matrix of the stack.
    pub(crate) rows: usize,
    /// Bytes of a row in the input and in the output.
    pub(crate) from_row: usize,
    pub(crate) to_row: usize,
    /// One weight per column of each matrix.
    pub(crate) weights: Option<&'a [f32]>,
}

/// The failure of the first row that fails, whichever thread finds it.
#[derive(Default)]
struct Failure {
    /// The row, and the error.
    first: Mutex<Option<(usize, QuantizeError)>>,
    is_recorded: AtomicBool,
}

impl Failure {
    fn record(&self, row: usize, error: QuantizeError) {
        self.is_recorded.store(true, Ordering::Relaxed);
        if let Ok(mut first) = self.first.lock()
            && first.as_ref().is_none_or(|(other, _)| row < *other)
        {
            *first = Some((row, error));
        }
    }

    fn is_recorded(&self) -> bool {
        self.is_recorded.load(Ordering::Relaxed)
    }
}

impl Rows<'_> {
    /// Encodes whole rows, starting with row `first` of the tensor. The calling thread calls `cancelled` before each of its
    /// tasks.
    pub(crate) fn encode(
        &self,
        first: usize,
        data: &[u8],
        out: &mut [u8],
        threads: usize,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<(), QuantizeError> {
        let per_task = (TASK / self.columns.max(1)).max(1);
        let task_bytes = |row: usize| per_task.saturating_mul(row).max(1);
        let tasks = data.chunks(task_bytes(self.from_row)).zip(out.chunks_mut(task_bytes(self.to_row)));
        let n_tasks = tasks.len();
        let tasks = Mutex::new((first..).step_by(per_task).zip(tasks));
        let next = || tasks.lock().ok()?.next();
        let failure = Failure::default();
        let work = |cancelled: &dyn Fn() -> bool| {
            let mut x = match zeros::<f32>(self.columns, self.tensor) {
                Ok(x) => x,
                Err(e) => return failure.record(0, e),
            };
            // Tasks are taken in order. So when one fails, all earlier ones are done or running, and the first failure is found.
            while !failure.is_recorded() {
                if cancelled() {
                    return failure.record(0, QuantizeError::new(Kind::Cancelled, "cancelled"));
                }
                let Some((row, (data, out))) = next() else { return };
                let rows =
                    data.chunks_exact(self.from_row.max(1)).zip(out.chunks_exact_mut(self.to_row.max(1)));
                for (row, (data, out)) in (row..).zip(rows) {
                    if let Err(e) = self.encode_row(row, data, &mut x, out) {
                        failure.record(row, e);
                        break;
                    }
                }
            }
        };
        thread::scope(|scope| {
            for _ in 1..threads.min(n_tasks) {
                // If the system refuses another thread, the existing ones do the work.
                if thread::Builder::new().spawn_scoped(scope, || work(&|| false)).is_err() {
                    break;
                }
            }
            work(cancelled);
        });
        match failure.first.into_inner() {
            Ok(Some((_, error))) => Err(error),
            _ => Ok(()),
        }
    }

    fn encode_row(
        &self,
        row: usize,
        data: &[u8],
        x: &mut [f32],
        out: &mut [u8],
    ) -> Result<(), QuantizeError> {
        let wrong =
            |kind, what: String| QuantizeError::tensor_error(kind, self.tensor, format!("row {row}: {what}"));
        dequantize_row(self.from, data, x).map_err(|e| wrong(Kind::Unsupported, e.to_string()))?;
        // The sum over all is formed in vector registers, which a search for the first one is not.
        let all_finite = x.iter().fold(true, |all, v| all & v.is_finite());
        if !all_finite && let Some((i, value)) = x.iter().enumerate().find(|(_, v)| !v.is_finite()) {
            return Err(wrong(Kind::NotFinite, format!("element {i} is {value}, expected a finite number")));
        }
        let matrix = row / self.rows.max(1);
        let weights = self.weights.and_then(|w| w.chunks(self.columns.max(1)).nth(matrix));
        match weights {
            Some(w) => quantize_row_weighted(self.to, x, w, out),
            None => quantize_row(self.to, x, out),
        }
        .map_err(|e| wrong(Kind::Unsupported, e.to_string()))
    }
}

/// Returns `n` zeros, or an error if there is no memory for them.
pub(crate) fn zeros<T: Clone + Default>(n: usize, tensor: &str) -> Result<Vec<T>, QuantizeError> {
    let mut values = Vec::new();
    values.try_reserve_exact(n).map_err(|_| {
        let bytes = n.saturating_mul(size_of::<T>());
        QuantizeError::tensor_error(Kind::OutOfMemory, tensor, format!("no memory for {bytes} bytes"))
    })?;
    values.resize(n, T::default());
    Ok(values)
}
