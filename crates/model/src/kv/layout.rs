//! Which layers form a group, and where a layer's keys and values are in a page.

use happy_kernels::ops::{KV_PAGE, KvBlock};

use crate::error::KvError;
use crate::reserve::{NoMemory, collected};
use crate::spec::{AttentionSpec, LayerSpec, ModelSpec};

/// How keys and values are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KvType {
    /// 32-bit floats.
    F32,
    /// 16-bit floats, rounded to nearest even.
    #[default]
    F16,
    /// 8-bit integers with a 16-bit scale for every 32, of rotated rows: 34 bytes for 32 values, little more than half of f16. For
    /// models whose heads are multiples of 32 wide, without latent attention ([`check`](KvType::check)).
    Q8_0,
}

impl KvType {
    /// All types.
    pub const ALL: [KvType; 3] = [KvType::F32, KvType::F16, KvType::Q8_0];

    /// Returns the name in options and messages.
    pub const fn name(self) -> &'static str {
        match self {
            KvType::F32 => "f32",
            KvType::F16 => "f16",
            KvType::Q8_0 => "q8_0",
        }
    }

    /// Returns the number of values that are stored as a unit, and the bytes of the unit.
    const fn unit(self) -> (usize, usize) {
        match self {
            KvType::F32 => (1, 4),
            KvType::F16 => (1, 2),
            KvType::Q8_0 => (KvBlock::CHANNELS, KvBlock::BYTES),
        }
    }

    /// Returns the bytes of a unit, which tell the types apart in files.
    pub const fn unit_bytes(self) -> usize {
        self.unit().1
    }

    /// Returns the number of units of this many values, which are whole units.
    pub(crate) const fn units(self, values: usize) -> usize {
        values / self.unit().0
    }

    /// Returns the bytes of this many values.
    pub const fn bytes_of(self, values: usize) -> usize {
        self.units(values).saturating_mul(self.unit().1)
    }

    /// Checks that a model's keys and values can be stored like this.
    ///
    /// # Errors
    /// [`KvError::Quantized`] for quantized keys and values of latent attention, or of heads that are not a multiple of 32 wide.
    pub fn check(self, spec: &ModelSpec) -> Result<(), KvError> {
        let whole = |dim: usize| dim.is_multiple_of(self.unit().0);
        for (layer, a) in owners(spec).filter(|_| self == KvType::Q8_0) {
            let problem = match () {
                () if a.latent.is_some() => "its attention is latent (MLA)",
                () if !whole(a.head_dim_k) || !whole(a.head_dim_v) => {
                    "its heads are not a multiple of 32 wide"
                }
                () => continue,
            };
            return Err(KvError::Quantized { architecture: spec.architecture, layer, problem });
        }
        Ok(())
    }

    /// Returns whether all values in these little-endian bytes are finite. The bytes are a part of stored rows, from byte `at` of
    /// them on; only of [`KvType::Q8_0`] may they begin within a unit. An incomplete value at the end is ignored.
    pub fn are_finite(self, at: u64, bytes: &[u8]) -> bool {
        match self {
            // The scale comes first, and its second byte has the exponent.
            KvType::Q8_0 => {
                let exponent = (KvBlock::BYTES + 1 - (at % KvBlock::BYTES as u64) as usize) % KvBlock::BYTES;
                bytes.iter().skip(exponent).step_by(KvBlock::BYTES).all(|byte| byte & 0x7c != 0x7c)
            }
            KvType::F32 => bytes.as_chunks::<4>().0.iter().all(|x| f32::from_le_bytes(*x).is_finite()),
            KvType::F16 => bytes.as_chunks::<2>().0.iter().all(|x| u16::from_le_bytes(*x) & 0x7c00 != 0x7c00),
        }
    }
}

/// Where a layer's memory lies, in values; zeros for what the layer does not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LayerLayout {
    /// Whether the layer stores keys and values of its own.
    pub(crate) owns: bool,
    /// Index of the group whose pages hold the keys and values.
    pub(crate) group: usize,
    pub(crate) k_offset: usize,
    /// The same as `k_offset` if the values are the rows that are stored as keys.
    pub(crate) v_offset: usize,
    pub(crate) n_kv_heads: usize,
    pub(crate) head_dim_k: usize,
    pub(crate) head_dim_v: usize,
    /// Where the layer's recurrent state starts in a sequence's.
    pub(crate) state_offset: usize,
    pub(crate) state_elements: usize,
}

/// Layers that see the same positions: their keys and values share pages and page tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct GroupLayout {
    /// A position sees itself and `window - 1` before it; `None`: all before it.
    pub(crate) window: Option<u32>,
    /// Values of a page: a multiple of [`KV_PAGE`], so whole units of every type.
    pub(crate) page_elements: usize,
}

/// The layout of a model's memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct KvLayout {
    pub(crate) layers: Vec<LayerLayout>,
    pub(crate) groups: Vec<GroupLayout>,
    /// f32 values of a sequence's recurrent states.
    pub(crate) state_elements: usize,
}

/// The attention of a layer that stores keys and values of its own.
fn owner(layer: &LayerSpec) -> Option<&AttentionSpec> {
    layer.attention.as_ref().filter(|a| a.kv_from.is_none())
}

/// Elements of the keys and values of a page of a layer.
fn layer_elements(a: &AttentionSpec) -> usize {
    a.k_dim().saturating_add(a.stored_v_dim()).saturating_mul(KV_PAGE)
}

/// The layers that own keys and values, with their indices.
fn owners(spec: &ModelSpec) -> impl Iterator<Item = (usize, &AttentionSpec)> {
    spec.layers.iter().enumerate().filter_map(|(i, layer)| Some((i, owner(layer)?)))
}

/// Whether keys and values are needed only while their layer runs, so that all layers take the same place: passes see whole
/// texts, and no layer reads those of another.
fn passing(spec: &ModelSpec) -> bool {
    spec.whole_texts && spec.attentions().all(|a| a.kv_from.is_none())
}

/// The window that decides which positions a layer's group keeps. Of whole texts it keeps all.
fn kept_window(spec: &ModelSpec, a: &AttentionSpec) -> Option<u32> {
    a.window.filter(|_| !spec.whole_texts)
}

/// The groups of a model's layers, in the order in which the layers name them; allocates nothing.
pub(crate) fn groups(spec: &ModelSpec) -> impl Iterator<Item = GroupLayout> + '_ {
    owners(spec).filter_map(|(i, a)| {
        let window = kept_window(spec, a);
        let same = |(_, other): &(usize, &AttentionSpec)| kept_window(spec, other) == window;
        let (first, _) = owners(spec).find(same)?;
        let elements = || owners(spec).filter(same).map(|(_, a)| layer_elements(a));
        (first == i).then(|| GroupLayout {
            window,
            page_elements: elements().fold(0, if passing(spec) { usize::max } else { usize::saturating_add }),
        })
    })
}

/// Elements of the layers of a group before layer `i`, in a page.
fn elements_before(spec: &ModelSpec, i: usize, window: Option<u32>) -> usize {
    let before = owners(spec).take_while(|(j, _)| *j < i).filter(|(_, b)| kept_window(spec, b) == window);
    before.map(|(_, b)| layer_elements(b)).fold(0, usize::saturating_add)
}

/// f32 values of a sequence's recurrent states.
pub(crate) fn state_elements(spec: &ModelSpec) -> usize {
    spec.layers.iter().map(LayerSpec::state_elements).fold(0, usize::saturating_add)
}

impl KvLayout {
    /// # Errors
    /// If memory can't be reserved.
    pub(crate) fn new(spec: &ModelSpec) -> Result<Self, NoMemory> {
        let groups = collected(groups(spec).count(), groups(spec))?;
        let mut layers: Vec<LayerLayout> = collected(spec.layers.len(), std::iter::empty())?;
        let mut state_offset = 0usize;
        for (i, layer) in spec.layers.iter().enumerate() {
            let state = LayerLayout {
                state_offset,
                state_elements: layer.state_elements(),
                ..LayerLayout::default()
            };
            state_offset = state_offset.saturating_add(state.state_elements);
            let pages = match &layer.attention {
                None => LayerLayout::default(),
                Some(a) => match a.kv_from {
                    Some(from) => {
                        LayerLayout { owns: false, ..layers.get(from).copied().unwrap_or_default() }
                    }
                    None => {
                        let window = kept_window(spec, a);
                        let k_offset = if passing(spec) { 0 } else { elements_before(spec, i, window) };
                        LayerLayout {
                            owns: true,
                            group: groups.iter().position(|g| g.window == window).unwrap_or(0),
                            k_offset,
                            v_offset: match a.stored_v_dim() {
                                0 => k_offset,
                                _ => k_offset.saturating_add(a.k_dim().saturating_mul(KV_PAGE)),
                            },
                            n_kv_heads: a.n_kv_heads,
                            head_dim_k: a.head_dim_k,
                            head_dim_v: a.head_dim_v,
                            ..LayerLayout::default()
                        }
                    }
                },
            };
            let LayerLayout { state_offset, state_elements, .. } = state;
            layers.push(LayerLayout { state_offset, state_elements, ..pages });
        }
        Ok(KvLayout { layers, groups, state_elements: state_offset })
    }

    /// Elements of a page of each group, and of a sequence's state: what a message tells of a layout.
    pub(crate) fn elements(&self) -> usize {
        self.groups.iter().map(|g| g.page_elements).fold(self.state_elements, usize::saturating_add)
    }
}
