//! Plans what to do with each tensor. Everything is chosen and checked before anything is written.

use crate::error::{QuantizeError, QuantizeErrorKind as Kind};
use crate::imatrix::Imatrix;
use crate::mix::Mix;
use crate::overrides::Override;
use crate::rules::{Chooser, is_covered, order, that_fits};
use happy_gguf::{ByteOrder, GgmlType, GgufSetReader, TensorInfo};
use happy_tensor::DType;

/// The settings for quantizing a model: a mix, exceptions from it, and an importance matrix.
///
/// ```
/// use happy_gguf::{GgmlType, GgufSetReader, GgufWriter, Limits};
/// use happy_quantize::{Mix, Quantizer};
/// # let dir = std::env::temp_dir().join(format!("happy-quantize-doc-{}", std::process::id()));
/// # std::fs::create_dir_all(&dir)?;
/// # let path = dir.join("tiny.gguf");
/// GgufWriter::new().tensor("blk.0.ffn_up.weight", GgmlType::F32, &[64, 4], vec![0; 1024]).write_file(&path)?;
/// let model = GgufSetReader::open(&path, &Limits::default())?;
/// let quantizer = Quantizer::new(Mix::Q8_0).with_override("ffn_up=Q4_0".parse()?);
/// let plan = quantizer.plan(&model)?;
/// assert_eq!(plan.tensors()[0].to.map(|t| t.name()), Some("Q4_0"));
/// assert_eq!(plan.file_len()?, 320); // known before anything is written
/// # std::fs::remove_dir_all(&dir)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Quantizer {
    mix: Mix,
    overrides: Vec<Override>,
    imatrix: Option<Imatrix>,
    requantize: bool,
    pure: bool,
}

impl Quantizer {
    /// Starts with a mix, without exceptions and without an importance matrix.
    pub fn new(mix: Mix) -> Self {
        Self { mix, overrides: Vec::new(), imatrix: None, requantize: false, pure: false }
    }

    /// Adds an exception from the mix. If several match a tensor, the first one counts.
    pub fn with_override(mut self, rule: Override) -> Self {
        self.overrides.push(rule);
        self
    }

    /// Sets the importance matrix (default: none). Tensors that it does not name are quantized without weights.
    pub fn with_imatrix(mut self, imatrix: Imatrix) -> Self {
        self.imatrix = Some(imatrix);
        self
    }

    /// Sets whether matrices that are already quantized may be quantized again (default: false). This loses more than
    /// quantizing the original.
    pub fn requantize(mut self, allowed: bool) -> Self {
        self.requantize = allowed;
        self
    }

    /// Sets whether every matrix gets the type that the mix is named after, without its exceptions for important matrices
    /// (default: false). Overrides still count.
    pub fn pure(mut self, pure: bool) -> Self {
        self.pure = pure;
        self
    }

    /// Chooses the types for a model. No tensor is read.
    ///
    /// # Errors
    /// If a matrix is already quantized (see [`Quantizer::requantize`]), an override matches no matrix, the importance matrix
    /// has the wrong number of weights for a matrix, the model is big-endian, or memory is refused.
    pub fn plan<'a>(&'a self, model: &'a GgufSetReader) -> Result<Plan<'a>, QuantizeError> {
        let set = model.view();
        if set.parts().any(|(_, part)| part.byte_order() == ByteOrder::Big) {
            let message = "the model is big-endian, expected a little-endian one";
            return Err(QuantizeError::new(Kind::Unsupported, message));
        }
        let n = set.tensors().count();
        let no_memory = || QuantizeError::no_memory(format!("the types of {n} tensors"));
        let (mut tensors, mut by_layer) = (Vec::new(), Vec::new());
        tensors.try_reserve_exact(n).map_err(|_| no_memory())?;
        by_layer.try_reserve_exact(n).map_err(|_| no_memory())?;
        tensors.extend(set.tensors().map(|(part, info)| {
            let from = DType::from_name(info.ty.name());
            TensorPlan { info, from, asked: None, to: None, part }
        }));
        by_layer.extend(tensors.iter_mut().filter(|t| is_covered(&t.info) && t.from.is_some()));
        by_layer.sort_unstable_by(|a, b| order(a.info.name).cmp(&order(b.info.name)));
        let mut chooser = Chooser::new(&set, self.mix, self.imatrix.is_some());
        let mut used = vec![false; self.overrides.len()];
        for t in by_layer {
            let chosen = chooser.choose(&t.info);
            let mut asked = if self.pure { self.mix.dtype() } else { chosen };
            if let Some(i) = self.overrides.iter().position(|rule| rule.matches(t.info.name)) {
                asked = self.overrides[i].dtype();
            }
            for (used, rule) in used.iter_mut().zip(&self.overrides) {
                *used |= rule.matches(t.info.name);
            }
            let to = that_fits(asked, t.info.dims.padded()[0]);
            // A type without an id in files cannot be written, so the tensor stays as it is.
            if ggml_type(to).is_some() {
                (t.asked, t.to) = (Some(asked), Some(to));
            }
            self.check(t)?;
        }
        if let Some((_, rule)) = used.iter().zip(&self.overrides).find(|(used, _)| !**used) {
            let rule = rule.to_string();
            let message = format!("no matrix has a name that matches `{}`", rule.escape_debug());
            return Err(QuantizeError::new(Kind::UnusedOverride, message));
        }
        Ok(Plan { quantizer: self, model, tensors })
    }

    fn check(&self, t: &TensorPlan<'_>) -> Result<(), QuantizeError> {
        let Some((from, to)) = t.encoded() else { return Ok(()) };
        let wrong = |kind, message| Err(QuantizeError::tensor_error(kind, t.info.name, message));
        if !from.is_float() && !self.requantize {
            return wrong(
                Kind::AlreadyQuantized,
                format!(
                    "{from} already: quantizing it again to {to} loses more than quantizing the original, so use that, or allow requantizing"
                ),
            );
        }
        let [columns, _, a, b] = t.info.dims.padded();
        let matrices = a.saturating_mul(b);
        match self.weights(t.info.name) {
            Some(w) if w.len() as u64 != columns.saturating_mul(matrices) => wrong(
                Kind::InvalidImatrix,
                format!(
                    "importance matrix: expected {matrices} x {columns} weights, found {} weights",
                    w.len()
                ),
            ),
            _ => Ok(()),
        }
    }

    pub(crate) fn weights(&self, tensor: &str) -> Option<&[f32]> {
        self.imatrix.as_ref()?.get(tensor)
    }
}

/// Returns the type in files for an element type.
pub(crate) fn ggml_type(dtype: DType) -> Option<GgmlType> {
    GgmlType::ALL.iter().copied().find(|t| t.name() == dtype.name())
}

/// What happens to one tensor.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TensorPlan<'a> {
    /// Name, dimensions and position of the tensor in the input.
    pub info: TensorInfo<'a>,
    /// The type in the input; `None` if it cannot be decoded, as for integers.
    pub from: Option<DType>,
    /// The type that an override or the mix requests; `None` if they do not cover the tensor. It is then copied.
    pub asked: Option<DType>,
    /// The type in the output: `asked`, or another one if rows are not a whole number of its blocks. `None` if the tensor is
    /// copied.
    pub to: Option<DType>,
    pub(crate) part: usize,
}

impl TensorPlan<'_> {
    /// Returns the types before and after if they differ. Otherwise, the bytes are copied.
    pub fn encoded(&self) -> Option<(DType, DType)> {
        self.from.zip(self.to).filter(|(from, to)| from != to)
    }

    pub(crate) fn output_type(&self) -> GgmlType {
        self.encoded().and_then(|(_, to)| ggml_type(to)).unwrap_or(self.info.ty)
    }
}

/// What to do with each tensor of a model. [`Quantizer::plan`] makes it, and [`Plan::write_file`] carries it out.
#[derive(Debug)]
pub struct Plan<'a> {
    pub(crate) quantizer: &'a Quantizer,
    pub(crate) model: &'a GgufSetReader,
    tensors: Vec<TensorPlan<'a>>,
}

impl<'a> Plan<'a> {
    /// Returns every tensor, in the order of the files.
    pub fn tensors(&self) -> &[TensorPlan<'a>] {
        &self.tensors
    }

    pub(crate) fn mix(&self) -> Mix {
        self.quantizer.mix
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_can_be_written() {
        let missing: Vec<DType> = DType::ALL.into_iter().filter(|t| ggml_type(*t).is_none()).collect();
        assert_eq!(missing, []);
    }
}
