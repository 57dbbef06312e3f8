//! Changes to a file: keys and tensors that are missing, wrong, odd or from another model, and flipped bits.

use std::borrow::Cow;
use std::sync::Arc;

use happy_gguf::{GgmlType, GgufFile, GgufWriter, Limits, OwnedArray, OwnedValue, Value, ValueType as Type};

use super::Choices;

/// Numbers that have broken readers.
const ODD: [f64; 20] = [
    0.0,
    1.0,
    2.0,
    3.0,
    5.0,
    31.0,
    -1.0,
    255.0,
    65_536.0,
    2_147_483_647.0,
    2_147_483_648.0,
    4_294_967_295.0,
    4.6e18,
    0.5,
    -0.0,
    1e-30,
    1e38,
    f64::NAN,
    f64::INFINITY,
    f64::NEG_INFINITY,
];

/// A changed tensor has at most as many elements.
const MAX_ELEMENTS: u64 = 1 << 22;

/// A value whose numbers can be changed.
#[derive(Clone)]
enum Data {
    Number(Type, f64),
    Numbers(Type, Vec<f64>),
    Text(String),
    Other(OwnedValue),
}

#[derive(Clone)]
struct Tensor<'a> {
    name: String,
    ty: GgmlType,
    dims: Vec<u64>,
    bytes: Cow<'a, [u8]>,
}

/// A file that has been taken apart.
pub(super) struct Parts<'a> {
    keys: Vec<(String, Data)>,
    tensors: Vec<Tensor<'a>>,
}

impl<'a> Parts<'a> {
    pub(super) fn of(file: &'a GgufFile) -> Self {
        let view = file.view();
        let keys = view.metadata().iter().map(|(key, value)| (key.to_owned(), data(value))).collect();
        let tensor = |t: happy_gguf::TensorInfo<'_>| Tensor {
            name: t.name.to_owned(),
            ty: t.ty,
            dims: t.dims.to_vec(),
            bytes: Cow::Borrowed(&file.bytes()[t.range.start as usize..t.range.end as usize]),
        };
        Parts { keys, tensors: view.tensors().map(tensor).collect() }
    }

    /// Makes one change. Keys and tensors that this file doesn't have come from `donor`.
    pub(super) fn change(&mut self, donor: &Parts<'a>, choices: &mut Choices<'_>) {
        match choices.below(20) {
            0 => self.become_another(donor),
            1 => self.take_key(donor, choices),
            2 => self.take_tensor(donor, choices),
            3..10 => self.change_key(choices),
            _ => self.change_tensor(choices),
        }
    }

    /// Puts the file together, perhaps with a few other bits.
    pub(super) fn file(&self, choices: &mut Choices<'_>) -> Option<GgufFile> {
        let mut w = GgufWriter::new();
        for (key, value) in &self.keys {
            w = w.kv(key.as_str(), owned(value));
        }
        for t in &self.tensors {
            w = w.tensor(t.name.as_str(), t.ty, &t.dims, &*t.bytes);
        }
        let mut bytes = w.to_vec().ok()?;
        if choices.below(8) == 7 {
            let header = 1 + bytes.len().min(8000);
            for _ in 0..choices.below(4) {
                let at = choices.below(header);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << choices.below(8);
                }
            }
        }
        GgufFile::from_shared(Arc::new(bytes), &Limits::default()).ok()
    }

    fn architecture(&self) -> &str {
        let text = self.keys.iter().find_map(|(key, value)| match value {
            Data::Text(text) if key == "general.architecture" => Some(text.as_str()),
            _ => None,
        });
        text.unwrap_or_default()
    }

    /// Takes the name of another architecture, with all keys that begin with it.
    fn become_another(&mut self, donor: &Parts<'_>) {
        let (old, new) = (self.architecture().to_owned(), donor.architecture().to_owned());
        for (key, value) in &mut self.keys {
            match value {
                Data::Text(text) if key == "general.architecture" => text.clone_from(&new),
                _ => *key = renamed(key, &old, &new),
            }
        }
    }

    fn take_key(&mut self, donor: &Parts<'_>, choices: &mut Choices<'_>) {
        let Some((key, value)) = donor.keys.get(choices.below(donor.keys.len().max(1))) else { return };
        let key = renamed(key, donor.architecture(), self.architecture());
        self.keys.retain(|(known, _)| *known != key);
        self.keys.push((key, value.clone()));
    }

    fn take_tensor(&mut self, donor: &Parts<'a>, choices: &mut Choices<'_>) {
        let Some(tensor) = donor.tensors.get(choices.below(donor.tensors.len().max(1))) else { return };
        self.tensors.retain(|known| known.name != tensor.name);
        self.tensors.push(tensor.clone());
    }

    fn change_key(&mut self, choices: &mut Choices<'_>) {
        let n = self.keys.len();
        let at = choices.below(n.max(1));
        let Some((_, value)) = self.keys.get_mut(at) else { return };
        match choices.below(8) {
            0 => _ = self.keys.remove(at),
            1 => {
                // Take the value of another key.
                let other = self.keys[choices.below(n)].1.clone();
                self.keys[at].1 = other;
            }
            2 => *value = Data::Text(["", "none", "yarn", "gelu", "linear"][choices.below(5)].to_owned()),
            3 => {
                let types =
                    [Type::U8, Type::I32, Type::F32, Type::Bool, Type::U64, Type::I64, Type::F64, Type::U32];
                let ty = types[choices.below(types.len())];
                match value {
                    Data::Number(old, _) | Data::Numbers(old, _) => *old = ty,
                    _ => *value = Data::Number(ty, ODD[choices.below(ODD.len())]),
                }
            }
            4 => match value {
                // Turn a number into a list, and a list into its first number.
                Data::Number(ty, x) => *value = Data::Numbers(*ty, vec![*x; choices.below(9)]),
                Data::Numbers(ty, list) => {
                    *value = Data::Number(*ty, list.first().copied().unwrap_or_default());
                }
                _ => {}
            },
            how => match value {
                Data::Number(_, x) => *x = other_number(*x, how, choices),
                Data::Numbers(_, list) => match choices.below(4) {
                    0 => _ = list.pop(),
                    1 => list.push(ODD[choices.below(ODD.len())]),
                    _ => {
                        let at = choices.below(list.len().max(1));
                        if let Some(x) = list.get_mut(at) {
                            *x = other_number(*x, how, choices);
                        }
                    }
                },
                _ => {}
            },
        }
    }

    fn change_tensor(&mut self, choices: &mut Choices<'_>) {
        let n = self.tensors.len();
        let at = choices.below(n.max(1));
        let Some(tensor) = self.tensors.get_mut(at) else { return };
        match choices.below(8) {
            0 => _ = self.tensors.remove(at),
            1 => {
                let other = choices.below(n);
                let name = std::mem::take(&mut self.tensors[at].name);
                self.tensors[at].name = std::mem::replace(&mut self.tensors[other].name, name);
            }
            2 => tensor.name.push_str([".scale", "_a", "s", ".bias"][choices.below(4)]),
            3 | 4 => tensor.reshape(choices),
            5 => tensor.set_type(GgmlType::ALL[choices.below(GgmlType::ALL.len())]),
            _ => tensor.damage(choices),
        }
    }
}

impl Tensor<'_> {
    fn reshape(&mut self, choices: &mut Choices<'_>) {
        let n = self.dims.len();
        let at = choices.below(n.max(1));
        match choices.below(4) {
            0 => self.dims.reverse(),
            1 if n > 1 => _ = self.dims.pop(),
            1 => self.dims.push(1),
            2 => self.dims.insert(0, 1 + choices.below(3) as u64),
            _ => {
                let Some(dim) = self.dims.get_mut(at) else { return };
                let others = [0, 1, 2, 32, *dim + 1, dim.saturating_sub(1), *dim * 2, *dim / 2, *dim + 32];
                *dim = others[choices.below(others.len())];
            }
        }
        self.set_type(self.ty);
    }

    /// Gives the tensor another type, and as many bytes as that needs, by repeating the old ones.
    fn set_type(&mut self, ty: GgmlType) {
        let Some(layout) = ty.layout() else { return };
        let elements = self.dims.iter().try_fold(1u64, |n, dim| n.checked_mul(*dim));
        let Some(elements) = elements.filter(|n| *n <= MAX_ELEMENTS) else { return };
        let len = (elements / u64::from(layout.len) * u64::from(layout.bytes)) as usize;
        self.ty = ty;
        self.bytes = self.bytes.iter().copied().cycle().take(len).collect::<Vec<u8>>().into();
        self.bytes.to_mut().resize(len, 0);
    }

    /// Changes the values in one place or everywhere.
    fn damage(&mut self, choices: &mut Choices<'_>) {
        let values = [f32::NAN, f32::INFINITY, f32::MAX, -1e30, 1e-42, 0.0, 1e15, -1.0];
        let value = values[choices.below(values.len())].to_le_bytes();
        let words = self.bytes.len() / 4;
        let (everywhere, at) = (choices.below(4) == 3, choices.below(words.max(1)));
        let chunks = self.bytes.to_mut().as_chunks_mut::<4>().0;
        let one = chunks.iter_mut().skip(if everywhere { 0 } else { at });
        one.take(if everywhere { words } else { 1 }).for_each(|chunk| *chunk = value);
    }
}

/// Returns the number of elements in all tensors.
pub(super) fn elements(file: &GgufFile) -> u64 {
    file.view().tensors().map(|t| t.dims.iter().product::<u64>()).sum()
}

fn renamed(key: &str, old: &str, new: &str) -> String {
    match key.strip_prefix(old).and_then(|rest| rest.strip_prefix('.')) {
        Some(rest) if !old.is_empty() => format!("{new}.{rest}"),
        _ => key.to_owned(),
    }
}

fn other_number(x: f64, how: usize, choices: &mut Choices<'_>) -> f64 {
    match how {
        5 => ODD[choices.below(ODD.len())],
        6 => [x + 1.0, x - 1.0, -x][choices.below(3)],
        _ => [x * 2.0, (x / 2.0).floor(), x * 1000.0, x + 32.0][choices.below(4)],
    }
}

fn number(value: &Value<'_>) -> Option<f64> {
    Some(match value {
        Value::F32(x) => f64::from(*x),
        Value::F64(x) => *x,
        Value::Bool(x) => f64::from(u8::from(*x)),
        value => value.as_integer()? as f64,
    })
}

fn data(value: Value<'_>) -> Data {
    if let Some(x) = number(&value) {
        return Data::Number(value.value_type(), x);
    }
    match &value {
        Value::Array(list) => match list.iter().map(|x| number(&x)).collect() {
            Some(numbers) => Data::Numbers(list.element_type(), numbers),
            None => Data::Other(value.into()),
        },
        Value::String(text) => Data::Text(text.to_string()),
        _ => Data::Other(value.into()),
    }
}

/// Returns the value as it is in a file. Numbers that a type can't hold become the nearest one that it can.
fn owned(data: &Data) -> OwnedValue {
    fn list<T>(numbers: &[f64], to: fn(f64) -> T) -> Vec<T> {
        numbers.iter().map(|x| to(*x)).collect()
    }
    match data {
        Data::Text(text) => text.as_str().into(),
        Data::Other(value) => value.clone(),
        Data::Number(ty, x) => match ty {
            Type::U8 => (*x as u8).into(),
            Type::I32 => (*x as i32).into(),
            Type::F32 => (*x as f32).into(),
            Type::Bool => (*x != 0.0).into(),
            Type::U64 => (*x as u64).into(),
            Type::I64 => (*x as i64).into(),
            Type::F64 => (*x).into(),
            _ => (*x as u32).into(),
        },
        Data::Numbers(ty, numbers) => match ty {
            Type::U8 => list(numbers, |x| x as u8).into(),
            Type::I32 => list(numbers, |x| x as i32).into(),
            Type::F32 => list(numbers, |x| x as f32).into(),
            Type::Bool => list(numbers, |x| x != 0.0).into(),
            Type::U64 => list(numbers, |x| x as u64).into(),
            Type::I64 => list(numbers, |x| x as i64).into(),
            Type::F64 => OwnedArray::packed(numbers.iter().copied()).into(),
            _ => list(numbers, |x| x as u32).into(),
        },
    }
}
