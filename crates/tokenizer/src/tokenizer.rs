//! [`Tokenizer`]: text to ids.

use crate::bpe::Bpe;
use crate::merge::MergeScratch;
use crate::pre::PreTokenizer;
use crate::spec::{SpecialIds, TokenizerSpec};
use crate::special::{Fragment, SpecialStrings};
use crate::spm::{self, Spm};
use crate::vocab::{Vocab, attr};
use crate::{TokenId, TokenizerError, roles};

/// Kinds of vocabularies that are implemented.
const SUPPORTED: &str = "gpt2, llama";

/// Longest text, in bytes: positions are 32-bit, and a space may become three bytes.
const MAX_TEXT: usize = (u32::MAX / 4) as usize;

/// What distinguishes the kinds.
#[derive(Debug)]
enum Kind {
    Bpe(Box<Bpe>),
    Spm(Box<Spm>),
}

/// A tokenizer. Immutable; share it between threads.
#[derive(Debug)]
pub struct Tokenizer {
    pub(crate) vocab: Vocab,
    kind: Kind,
    specials: SpecialStrings,
    ids: SpecialIds,
    add_bos: bool,
    add_eos: bool,
    pub(crate) add_space_prefix: bool,
    pub(crate) clean_spaces: bool,
    warnings: Vec<String>,
}

/// How to encode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EncodeOptions {
    /// Add BOS and EOS as the model's file says.
    pub add_special: bool,
    /// Read the strings of control tokens in the text as those tokens, not as plain text.
    pub parse_special: bool,
}

impl Default for EncodeOptions {
    /// Adds what the model wants and reads control tokens.
    fn default() -> Self {
        Self { add_special: true, parse_special: true }
    }
}

/// Buffers of encoding, to be used again.
#[derive(Debug, Default)]
pub struct EncodeScratch {
    merge: MergeScratch,
    bytes: Vec<u8>,
    text: String,
}

impl Tokenizer {
    /// Builds a tokenizer.
    ///
    /// # Errors
    /// A kind or pre-tokenizer that is not implemented (the message contains `unsupported` and its name), or a part
    /// that is missing or too short.
    pub fn new(spec: TokenizerSpec) -> Result<Self, TokenizerError> {
        let mut vocab = Vocab::new(spec.tokens, &spec.token_types)?;
        let mut warnings = Vec::new();
        let (mut kind, defaults, add_bos, clean_spaces, space_prefix) = match spec.model.as_str() {
            "gpt2" => {
                let name = spec.pre.as_deref().unwrap_or_else(|| {
                    warnings.push(
                        "the file names no pre-tokenizer (tokenizer.ggml.pre): using `default`".to_owned(),
                    );
                    "default"
                });
                let Some(pre) = PreTokenizer::by_name(name) else {
                    let (pre, model) = (name.to_owned(), spec.model.clone());
                    return Err(TokenizerError::UnsupportedPreTokenizer { pre, model });
                };
                let why = "byte-level BPE needs its merge rules";
                let merges =
                    spec.merges.ok_or(TokenizerError::Missing { key: "tokenizer.ggml.merges", why })?;
                let bpe = Bpe::new(&vocab, &merges, pre)?;
                let defaults = SpecialIds { bos: Some(11), eos: Some(11), ..SpecialIds::default() };
                (Kind::Bpe(Box::new(bpe)), defaults, pre.add_bos, pre.clean_spaces, false)
            }
            "llama" => {
                let why = "SentencePiece BPE needs a score for each token";
                let scores =
                    spec.scores.ok_or(TokenizerError::Missing { key: "tokenizer.ggml.scores", why })?;
                if scores.len() < vocab.len() {
                    let (expected, found) = (vocab.len(), scores.len());
                    return Err(TokenizerError::WrongLength {
                        key: "tokenizer.ggml.scores",
                        expected,
                        found,
                    });
                }
                let defaults =
                    SpecialIds { bos: Some(1), eos: Some(2), unk: Some(0), ..SpecialIds::default() };
                (Kind::Spm(Box::new(Spm::new(&vocab, scores))), defaults, true, false, true)
            }
            _ => return Err(TokenizerError::UnsupportedModel { model: spec.model, supported: SUPPORTED }),
        };
        let ids = roles::assign(&mut vocab, &spec.special, defaults, spec.model_name.as_deref())?;
        if let Kind::Spm(spm) = &mut kind {
            spm.set_unknown(ids.unk);
        }
        Ok(Self {
            specials: SpecialStrings::new(&vocab),
            vocab,
            kind,
            ids,
            add_bos: spec.add_bos.unwrap_or(add_bos),
            add_eos: spec.add_eos.unwrap_or(false),
            add_space_prefix: spec.add_space_prefix.unwrap_or(space_prefix),
            clean_spaces,
            warnings,
        })
    }

    /// The ids of a text.
    ///
    /// # Errors
    /// A text of more than a gigabyte.
    pub fn encode(&self, text: &str, options: EncodeOptions) -> Result<Vec<TokenId>, TokenizerError> {
        let mut out = Vec::new();
        self.encode_into(text, options, &mut EncodeScratch::default(), &mut out)?;
        Ok(out)
    }

    /// Appends the ids of a text to `out`, using buffers again.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`]; `out` is then unchanged.
    pub fn encode_into(
        &self,
        text: &str,
        options: EncodeOptions,
        scratch: &mut EncodeScratch,
        out: &mut Vec<TokenId>,
    ) -> Result<(), TokenizerError> {
        if text.len() > MAX_TEXT {
            let (what, found) = ("bytes of the text", text.len());
            return Err(TokenizerError::TooLarge { what, found, limit: MAX_TEXT });
        }
        if options.add_special && self.add_bos {
            out.extend(self.ids.bos);
        }
        // SentencePiece puts a space before a text that begins or follows a special token.
        let mut after_special = true;
        for fragment in self.specials.partition(&self.vocab, text, options.parse_special) {
            match fragment {
                Fragment::Token(id) => {
                    out.push(id);
                    after_special = true;
                }
                Fragment::Text(range) => {
                    self.encode_text(text.get(range).unwrap_or(""), after_special, scratch, out);
                    after_special = false;
                }
            }
        }
        if options.add_special && self.add_eos {
            out.extend(self.ids.eos);
        }
        scratch.merge.shrink();
        Ok(())
    }

    fn encode_text(
        &self,
        text: &str,
        after_special: bool,
        scratch: &mut EncodeScratch,
        out: &mut Vec<TokenId>,
    ) {
        let EncodeScratch { merge, bytes, text: escaped } = scratch;
        match &self.kind {
            Kind::Bpe(bpe) => bpe.encode(&self.vocab, text, merge, bytes, out),
            Kind::Spm(spm) => {
                escaped.clear();
                if self.add_space_prefix && after_special {
                    escaped.push_str(spm::SPACE);
                }
                for (i, word) in text.split(' ').enumerate() {
                    if i > 0 {
                        escaped.push_str(spm::SPACE);
                    }
                    escaped.push_str(word);
                }
                spm.encode(&self.vocab, escaped, merge, out);
            }
        }
    }

    /// The number of tokens.
    pub fn vocab_size(&self) -> usize {
        self.vocab.len()
    }

    /// The tokens with roles.
    pub fn special_ids(&self) -> &SpecialIds {
        &self.ids
    }

    /// The token that begins a text, where the model has one.
    pub fn bos(&self) -> Option<TokenId> {
        self.ids.bos
    }

    /// The token that ends a text, where the model has one.
    pub fn eos(&self) -> Option<TokenId> {
        self.ids.eos
    }

    /// Whether encoding with [`EncodeOptions::add_special`] begins with BOS.
    pub fn adds_bos(&self) -> bool {
        self.add_bos && self.ids.bos.is_some()
    }

    /// Whether a token ends the generation; false for an id that does not exist.
    pub fn is_eog(&self, id: TokenId) -> bool {
        self.vocab.attrs(id) & attr::EOG != 0
    }

    /// Whether a token is a control token; false for an id that does not exist.
    pub fn is_control(&self, id: TokenId) -> bool {
        self.vocab.attrs(id) & attr::CONTROL != 0
    }

    /// The token with exactly this string, as the vocabulary writes it.
    pub fn token(&self, text: &str) -> Option<TokenId> {
        self.vocab.find(text.as_bytes())
    }

    /// The string of a token as the vocabulary writes it.
    ///
    /// # Errors
    /// An id that does not exist.
    pub fn token_text(&self, id: TokenId) -> Result<&[u8], TokenizerError> {
        self.vocab.check(id)?;
        Ok(self.vocab.text(id))
    }

    /// Whether spaces are written as U+2581 and bytes as `<0x41>`, SentencePiece's way.
    pub(crate) fn is_spm(&self) -> bool {
        matches!(self.kind, Kind::Spm(_))
    }

    /// What was missing in the file and assumed.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Bytes on the heap; strings and scores that stay in shared storage are not counted.
    pub fn heap_bytes(&self) -> usize {
        let kind = match &self.kind {
            Kind::Bpe(bpe) => bpe.owned_bytes(),
            Kind::Spm(_) => 0,
        };
        self.vocab.owned_bytes() + self.specials.owned_bytes() + kind
    }
}
