//! Collects the metadata of the output.

use happy_gguf::OwnedValue;

/// Keys and values in order, and other facts that are found on the way.
#[derive(Debug, Default)]
pub(crate) struct Pairs {
    architecture: &'static str,
    pub(crate) list: Vec<(String, OwnedValue)>,
    /// The values of `rope_freqs.weight`.
    pub(crate) rope_factors: Option<Vec<f32>>,
    pub(crate) warnings: Vec<String>,
}

impl Pairs {
    pub(crate) fn new(architecture: &'static str) -> Self {
        let mut pairs = Self { architecture, ..Self::default() };
        pairs.add("general.architecture", architecture);
        pairs.add("general.type", "model");
        pairs
    }

    /// Sets a key. If it is already set, its value is replaced.
    pub(crate) fn add(&mut self, key: impl Into<String>, value: impl Into<OwnedValue>) {
        let (key, value) = (key.into(), value.into());
        match self.list.iter_mut().find(|(known, _)| *known == key) {
            Some((_, old)) => *old = value,
            None => self.list.push((key, value)),
        }
    }

    /// Sets a key that begins with the architecture's name.
    pub(crate) fn arch(&mut self, key: &str, value: impl Into<OwnedValue>) {
        self.add(format!("{}.{key}", self.architecture), value);
    }

    pub(crate) fn warn(&mut self, warning: impl Into<String>) {
        self.warnings.push(warning.into());
    }
}
