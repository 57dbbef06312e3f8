//! [`Outline`]: the memory that a model needs, from its file's header.

use happy_gguf::{ByteOrder, GgufSet};
use happy_kernels::Kernels;
use happy_kernels::linear::ActKind;
use happy_kernels::ops::RopeTable;

use crate::arch::{self, Architecture};
use crate::error::LoadError;
use crate::kv::{KvOptions, LayerLayout};
use crate::load::Part;
use crate::load::encoder::position_bias_values;
use crate::names::{self, Role, dtype, most_reads};
use crate::plan::MemoryPlan;
use crate::recurrent::Recurrent;
use crate::scratch_sizes::{Matrices, RunOptions};
use crate::spec::*;
use crate::weights::{Layer, Rope, Target};

/// A model before it is loaded: its specification and the memory that it will need.
///
/// It is read from the header alone: metadata, and the names, types and shapes of tensors. So a model that does not fit can be refused
/// before any weight is read or table is built. An outline takes a few hundred bytes per layer.
///
/// ```
/// use happy_gguf::GgufSet;
/// use happy_kernels::Kernels;
/// use happy_model::{KvOptions, KvType, LoadError, Outline, RunOptions};
///
/// /// Returns the maximum anonymous memory, in bytes, for one sequence of 2,048 positions.
/// fn bytes(header: &GgufSet<'_>, kernels: &Kernels) -> Result<u64, LoadError> {
///     let outline = Outline::read(header, kernels)?;
///     let run = RunOptions { n_batch: 256, n_outputs: 1, threads: 4, n_ctx: 2048, adapter_rank: 0 };
///     let plan = outline.plan(&KvOptions::new(KvType::F16, 1, 2048), &run);
///     Ok(outline.table_bytes() + plan.total_bytes() as u64)
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Outline {
    pub(crate) spec: ModelSpec,
    pub(crate) matrices: Matrices,
    table_bytes: u64,
}

impl Outline {
    /// Reads the header of a model, or the headers of the parts of a split one. `kernels` decides which matrix kernels it will use.
    ///
    /// # Errors
    /// If an architecture or feature is not implemented (the message contains `unsupported`), or metadata is missing or wrong.
    /// [`Model::load`](crate::Model::load) checks the tensors.
    pub fn read(gguf: &GgufSet<'_>, kernels: &Kernels) -> Result<Self, LoadError> {
        Self::new(gguf, kernels, &[], Part::Model)
    }

    /// Does the same with the caller's own architectures, for a part of the file.
    pub(crate) fn new(
        gguf: &GgufSet<'_>,
        kernels: &Kernels,
        own: &[&dyn Architecture],
        part: Part,
    ) -> Result<Self, LoadError> {
        let order = gguf.first().byte_order();
        if order != ByteOrder::Little {
            return Err(LoadError::ByteOrder { found: order });
        }
        let mut spec = match part {
            Part::Model | Part::Embeddings => arch::read_spec(gguf, own)?,
            Part::DraftHead => arch::read_draft_head(gguf, own)?,
        };
        if part == Part::Embeddings {
            (spec.whole_texts, spec.output) = (true, OutputKind::None);
        }
        let matrices = matrices(gguf, &spec, kernels);
        let table_bytes = table_bytes(gguf, &spec);
        Ok(Outline { spec, matrices, table_bytes })
    }

    /// Returns the specification: what the model computes.
    pub fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    /// Returns the maximum heap size in bytes during [`Model::load`](crate::Model::load), and of the loaded model: layers, norms,
    /// biases and rotary tables. Matrices stay in the file and are not counted.
    pub fn table_bytes(&self) -> u64 {
        self.table_bytes
    }

    /// Returns the exact sizes of a cache and a scratch, as [`Model::plan`](crate::Model::plan) does.
    pub fn plan(&self, kv: &KvOptions, run: &RunOptions) -> MemoryPlan {
        MemoryPlan::new(&self.spec, &self.matrices, kv, run)
    }
}

/// Collects the sizes of the tensors that are matrices. A tensor of a wrong type or shape, which loading refuses, may be left out.
fn matrices(gguf: &GgufSet<'_>, spec: &ModelSpec, kernels: &Kernels) -> Matrices {
    let mut m = Matrices::default();
    let output = names::output(spec, |name| gguf.tensor(name).is_some());
    for (_, info) in gguf.tensors() {
        let (layer, expert) = match names::role(info.name, spec) {
            Role::Matrix { layer, expert } => (layer, expert),
            Role::Table if output.as_deref() == Some(info.name) => (None, false),
            Role::Table | Role::Vector | Role::Unused => continue,
        };
        let n_in = info.dims.first().and_then(|n| usize::try_from(*n).ok()).unwrap_or(0);
        let Some(dtype) = dtype(info.ty) else { continue };
        let kind = ActKind::of(dtype);
        m.panel_bytes = m.panel_bytes.max((kernels.linear(dtype).panel_bytes)(n_in));
        if !expert {
            m.acts = m.acts.with(kind, n_in);
        }
        let moe = |layer: usize| matches!(spec.layers[layer].ffn.map(|ffn| ffn.kind), Some(FfnKind::Moe(_)));
        if layer.is_some_and(moe) {
            m.moe_acts = m.moe_acts.with(kind, n_in);
        }
    }
    m.parallel = spec.layers.iter().enumerate().any(|(i, layer)| {
        layer.ffn.is_some_and(|ffn| match ffn.input {
            FfnInput::Attention | FfnInput::Layer(_) => true,
            FfnInput::NormOrAttention(_) => {
                let name = names::block(spec.first_block() + i, ffn.norm_name, "weight");
                gguf.tensor(&name).is_none()
            }
            FfnInput::Norm(_) | FfnInput::Residual => false,
        })
    });
    m
}

/// Returns the number of f32 values that are computed from a few numbers: factors of heads, and decays.
fn derived_values(spec: &ModelSpec) -> usize {
    let gains = spec.attentions().map(|a| match a.qk_norm.map(|norm| norm.kind) {
        Some(QkNormKind::PerHeadGain) => a.q_dim(),
        _ => 0,
    });
    let decays = spec.layers.iter().map(|layer| match layer.recurrent.map(|r| r.kind) {
        Some(RecurrentKind::Lightning(l)) => l.n_heads,
        _ => 0,
    });
    gains.chain(decays).fold(0, usize::saturating_add)
}

/// Bytes for names of tensors and keys that are composed while loading, and for messages.
const SLACK: u64 = 16 << 10;

fn table_bytes(gguf: &GgufSet<'_>, spec: &ModelSpec) -> u64 {
    let sum = |terms: &[u64]| terms.iter().fold(0, |a: u64, b| a.saturating_add(*b));
    let of = |n: usize, bytes: usize| (n as u64).saturating_mul(bytes as u64);
    let n_layers = spec.layers.len();
    // Per-layer values of metadata are kept while the specification is made: at most 6 lists of u32.
    let layer = size_of::<LayerSpec>() + size_of::<Layer>() + size_of::<LayerLayout>() + 6 * size_of::<u32>();
    let rope = |r: &RopeParams| {
        let tables = if r.factors == RopeFactors::LongShort { 2 } else { 1 };
        of(tables, RopeTable::bytes(r.n_rot))
    };
    // The list of rotations may have twice the needed capacity.
    let ropes = sum(&[
        of(spec.ropes.len().max(4), 2 * (size_of::<RopeParams>() + size_of::<Rope>())),
        spec.ropes.iter().map(rope).fold(0, u64::saturating_add),
    ]);
    let derived = position_bias_values(spec).saturating_add(derived_values(spec));
    let (mut vectors, mut largest, mut unused) = (of(derived, size_of::<f32>()), 0u64, 0u64);
    for (_, info) in gguf.tensors() {
        match names::role(info.name, spec) {
            Role::Vector => {
                let bytes = info.elements().saturating_mul(4);
                vectors = vectors.saturating_add(bytes);
                largest = largest.max(bytes);
            }
            // The name, by which adapters find it.
            Role::Matrix { .. } => unused = sum(&[unused, info.name.len() as u64]),
            Role::Table => {}
            Role::Unused => unused = sum(&[unused, of(1, size_of::<String>() + info.name.len())]),
        }
    }
    // A bias is decoded and then copied to its matrix, so for a moment it exists twice. Rotary factors are decoded for each
    // rotation.
    let twice = largest.saturating_mul(1 + 2 * spec.ropes.len() as u64);
    let reads = of(most_reads(gguf.tensors().count()), size_of::<&str>() + size_of::<Target>());
    let mixers = of(spec.layers.iter().filter(|l| l.recurrent.is_some()).count(), size_of::<Recurrent>());
    sum(&[of(n_layers, layer), mixers, ropes, vectors, twice, unused, reads, SLACK])
}
