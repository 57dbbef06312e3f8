//! Loads an [`Adapter`] from a GGUF file, and checks everything against the model.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use happy_gguf::{ByteOrder, FromValue, GgufFile, TensorInfo, Value};
use happy_kernels::Kernels;
use happy_kernels::linear::{ActKind, Linear, LinearError, LowRank, WeightMatrix};
use happy_tensor::{Bytes, DType, RowError, dequantize_to_vec};

use super::{Adapter, AdapterError, EmbeddingProduct};
use crate::error::{excerpt, shape};
use crate::model::Model;
use crate::names;
use crate::reserve::{NoMemory, reserved};
use crate::weights::{Embedding, Target};

const TYPE: &str = "general.type";
const ADAPTER_TYPE: &str = "adapter.type";
const ALPHA: &str = "adapter.lora.alpha";
const INVOCATION: &str = "adapter.alora.invocation_tokens";

/// The two halves of a product, by the name of the matrix that it is added to.
struct Pair<'a> {
    name: &'a str,
    a: Option<TensorInfo<'a>>,
    b: Option<TensorInfo<'a>>,
}

impl From<NoMemory> for AdapterError {
    fn from(NoMemory { bytes }: NoMemory) -> Self {
        AdapterError::Memory { bytes }
    }
}

impl Model {
    /// Loads an adapter: checks its metadata, and every tensor against the model's. Matrices of F32, F16 and BF16 stay in the file's
    /// memory; others are decoded to F32. `kernels` must be those that the model was loaded with.
    ///
    /// # Errors
    /// If the file is not an adapter, or an adapter for another model.
    pub fn adapter(&self, file: &GgufFile, kernels: &Kernels) -> Result<Adapter, AdapterError> {
        let view = file.view();
        if view.byte_order() != ByteOrder::Little {
            return Err(AdapterError::ByteOrder { found: view.byte_order() });
        }
        expect(file, TYPE, "adapter")?;
        let architecture = value::<&str>(file, names::ARCHITECTURE)?.unwrap_or_default();
        if architecture != self.spec().architecture {
            let (expected, found) = (self.spec().architecture, excerpt(architecture));
            return Err(AdapterError::Architecture { expected, found });
        }
        expect(file, ADAPTER_TYPE, "lora")?;
        let alpha = value::<f32>(file, ALPHA)?.unwrap_or(0.0);
        if !alpha.is_finite() {
            return Err(key(ALPHA, "a finite number", &alpha.to_string()));
        }
        let invocation = self.invocation(file)?;
        let loader = PairLoader { model: self, file, kernels };
        let pairs = loader.pairs()?;
        let mut adapter = Adapter {
            id: next_id(),
            model: self.id(),
            alpha,
            products: reserved(pairs.len().saturating_mul(2))?,
            embedding: None,
            invocation,
            rank: 0,
            bytes: 0,
        };
        for pair in &pairs {
            loader.add(pair, &mut adapter)?;
        }
        Ok(adapter)
    }

    fn invocation(&self, file: &GgufFile) -> Result<Vec<u32>, AdapterError> {
        let metadata = file.view();
        let Some(found) = metadata.metadata().get(INVOCATION) else { return Ok(Vec::new()) };
        let wrong = |found: &str| key(INVOCATION, "a list of token ids, at least one", found);
        let Value::Array(list) = found else { return Err(wrong("no list")) };
        let mut ids = reserved(list.len())?;
        for value in list.iter() {
            let id = value.as_integer().and_then(|id| u32::try_from(id).ok());
            let id = id.filter(|id| (*id as usize) < self.n_vocab());
            ids.push(id.ok_or_else(|| wrong("a value that is not a token id of the model"))?);
        }
        if ids.is_empty() { Err(wrong("an empty list")) } else { Ok(ids) }
    }
}

fn next_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn key(key: &'static str, expected: &str, found: &str) -> AdapterError {
    AdapterError::Key { key, expected: expected.to_owned(), found: excerpt(found) }
}

fn value<'a, T: FromValue<'a>>(file: &'a GgufFile, name: &'static str) -> Result<Option<T>, AdapterError> {
    let view = file.view();
    view.metadata().optional(name).map_err(|e| key(name, e.expected(), e.found()))
}

fn expect(file: &GgufFile, name: &'static str, expected: &str) -> Result<(), AdapterError> {
    match value::<&str>(file, name)? {
        Some(found) if found == expected => Ok(()),
        Some(found) => Err(key(name, &format!("`{expected}`"), &format!("`{found}`"))),
        None => Err(key(name, &format!("`{expected}`"), "missing")),
    }
}

fn dims(list: &[usize]) -> String {
    shape(&list.iter().map(|d| *d as u64).collect::<Vec<_>>())
}

struct PairLoader<'a> {
    model: &'a Model,
    file: &'a GgufFile,
    kernels: &'a Kernels,
}

impl<'a> PairLoader<'a> {
    /// The file's tensors as pairs, sorted by name.
    fn pairs(&self) -> Result<Vec<Pair<'a>>, AdapterError> {
        let view = self.file.view();
        let mut halves = reserved(view.tensors().len())?;
        for info in view.tensors() {
            let name: &'a str = info.name;
            let half = name.strip_suffix(".lora_a").map(|base| (base, false));
            let half = half.or_else(|| name.strip_suffix(".lora_b").map(|base| (base, true)));
            let (base, is_b) = half.ok_or_else(|| AdapterError::Tensor { tensor: excerpt(name) })?;
            halves.push((base, is_b, info));
        }
        if halves.is_empty() {
            return Err(AdapterError::Empty);
        }
        halves.sort_unstable_by_key(|(base, is_b, _)| (*base, *is_b));
        let mut pairs: Vec<Pair<'a>> = reserved(halves.len())?;
        for (name, is_b, info) in halves {
            let (a, b) = if is_b { (None, Some(info)) } else { (Some(info), None) };
            match pairs.last_mut().filter(|pair| pair.name == name && pair.b.is_none() && is_b) {
                Some(pair) => pair.b = b,
                None => pairs.push(Pair { name, a, b }),
            }
        }
        Ok(pairs)
    }

    fn add(&self, pair: &Pair<'a>, adapter: &mut Adapter) -> Result<(), AdapterError> {
        let half = |half: &Option<TensorInfo<'a>>, suffix: &str| {
            half.clone()
                .ok_or_else(|| AdapterError::Half { tensor: format!("{}.{suffix}", excerpt(pair.name)) })
        };
        let (a, b) = (half(&pair.a, "lora_a")?, half(&pair.b, "lora_b")?);
        let rank = b.dims.first().map_or(0, |n| usize::try_from(*n).unwrap_or(0));
        let spec = self.model.spec();
        if pair.name == names::TOKEN_EMBD {
            let a = self.matrix(&a, &[rank, spec.n_vocab])?;
            let b = self.matrix(&b, &[rank, spec.n_embd])?;
            adapter.bytes = adapter.bytes.saturating_add(a.bytes.len()).saturating_add(b.bytes.len());
            let row_bytes = a.dtype.row_bytes(rank).map_err(|e| data(pair.name, e))?;
            let a = Embedding { dtype: a.dtype, bytes: a.bytes, row_bytes };
            let b = Linear::new(b, self.kernels).map_err(|e| linear(pair.name, e))?;
            adapter.embedding = Some(Arc::new(EmbeddingProduct { a, b }));
        } else {
            let Target { n_in, rows, stack, .. } = *self.target(pair.name)?;
            let stacked =
                |list: [usize; 2]| if stack > 1 { vec![list[0], list[1], stack] } else { list.to_vec() };
            let a = self.matrix(&a, &stacked([n_in, rank]))?;
            let b = self.matrix(&b, &stacked([rank, rows / stack.max(1)]))?;
            let product = LowRank::new(a, b, stack, self.kernels).map_err(|e| linear(pair.name, e))?;
            adapter.bytes = adapter.bytes.saturating_add(product.weight_bytes());
            let product = Arc::new(product);
            for matrix in self.matrices(pair.name) {
                adapter
                    .products
                    .try_reserve(1)
                    .map_err(|_| AdapterError::Memory { bytes: size_of::<u64>() })?;
                adapter.products.push((matrix, product.clone()));
            }
        }
        adapter.rank = adapter.rank.max(rank);
        Ok(())
    }

    /// The numbers of the model's matrices that are this tensor, or parts of it. The output matrix has its name also where it
    /// is the token embedding.
    fn matrices(&self, name: &str) -> impl Iterator<Item = u32> {
        let weights = self.model.weights();
        let output = weights.output.as_ref().and_then(Linear::matrix).filter(|_| name == names::OUTPUT);
        let named =
            weights.targets.iter().zip(0..).filter(move |(t, _)| t.name == name && name != names::OUTPUT);
        output.into_iter().chain(named.map(|(_, number)| number))
    }

    fn target(&self, name: &str) -> Result<&'a Target, AdapterError> {
        let number = self.matrices(name).next();
        let target = number.and_then(|number| self.model.weights().targets.get(number as usize));
        target.ok_or_else(|| AdapterError::UnknownTensor { tensor: excerpt(name) })
    }

    /// A tensor of this shape, of floats.
    fn matrix(&self, info: &TensorInfo<'_>, expected: &[usize]) -> Result<WeightMatrix, AdapterError> {
        let found = info.dims.padded();
        let wanted = expected.iter().map(|d| *d as u64).chain(std::iter::repeat(1));
        if expected.contains(&0) || !found.iter().zip(wanted).all(|(a, b)| *a == b) {
            let (tensor, found) = (excerpt(info.name), shape(&info.dims));
            return Err(AdapterError::Shape { tensor, expected: dims(expected), found });
        }
        let dtype = names::dtype(info.ty)
            .ok_or_else(|| AdapterError::Type { tensor: excerpt(info.name), found: info.ty })?;
        let range = usize::try_from(info.range.start).ok().zip(usize::try_from(info.range.end).ok());
        let bytes =
            range.and_then(|(start, end)| Bytes::from_owner_range(self.file.shared(), start..end).ok());
        let bytes = bytes.ok_or_else(|| data(info.name, "its bytes are not in the file"))?;
        let (n_in, n_out) = (expected[0], expected[1..].iter().product());
        if ActKind::of(dtype) == ActKind::F32 {
            return Ok(WeightMatrix { dtype, n_out, n_in, bytes });
        }
        let values = dequantize_to_vec(dtype, &bytes).map_err(|e| match e {
            RowError::OutOfMemory { elements } => AdapterError::Memory { bytes: elements.saturating_mul(4) },
            e => data(info.name, e),
        })?;
        let mut bytes = reserved::<u8>(values.len().saturating_mul(4))?;
        values.iter().for_each(|x| bytes.extend_from_slice(&x.to_le_bytes()));
        Ok(WeightMatrix { dtype: DType::F32, n_out, n_in, bytes: Bytes::from(bytes) })
    }
}

fn data(name: &str, problem: impl std::fmt::Display) -> AdapterError {
    AdapterError::Data { tensor: excerpt(name), problem: problem.to_string() }
}

fn linear(name: &str, error: LinearError) -> AdapterError {
    match error {
        LinearError::Memory { bytes } => AdapterError::Memory { bytes },
        e => data(name, e),
    }
}
