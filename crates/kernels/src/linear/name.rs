//! Names of kernels, composed from their format, sizes and instruction set.

use crate::acts::ActKind;
use crate::isa::Isa;
use happy_tensor::DType;

/// The longest name: `gemm_iq2_xxs_q8x256_16x8_avx512` has 31 characters.
const MAX: usize = 48;

/// A name of the form `{op}_{weight}_{activation}_{rows}x{tokens}_{isa}`, see `docs/kernels.md`.
pub(crate) struct Name {
    text: [u8; MAX],
    len: usize,
}

impl Name {
    /// Makes the name of a kernel that takes `rows` weight rows and `tokens` tokens at a time.
    pub(crate) const fn new(op: &str, dtype: DType, rows: usize, tokens: usize, isa: Isa) -> Self {
        let name = Self { text: [0; MAX], len: 0 }.with(op).with("_").with(dtype.name()).with("_");
        let name = name.with(ActKind::of(dtype).name()).with("_").with_number(rows).with("x");
        name.with_number(tokens).with("_").with(isa.name())
    }

    /// Appends `text` in lower case.
    const fn with(mut self, text: &str) -> Self {
        let text = text.as_bytes();
        let mut i = 0;
        while i < text.len() {
            self.text[self.len] = text[i].to_ascii_lowercase();
            self.len += 1;
            i += 1;
        }
        self
    }

    /// Appends a number below 100.
    const fn with_number(mut self, n: usize) -> Self {
        if n >= 10 {
            self = self.with_number(n / 10);
        }
        self.text[self.len] = b'0' + (n % 10) as u8;
        self.len += 1;
        self
    }

    /// Returns the text.
    pub(crate) const fn as_str(&self) -> &str {
        match core::str::from_utf8(self.text.split_at(self.len).0) {
            Ok(text) => text,
            Err(_) => panic!("names are ASCII"),
        }
    }
}
