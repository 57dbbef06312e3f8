//! The kinds of vocabularies (`tokenizer.ggml.model`), and the defaults of each.

use crate::borders::SPACE;
use crate::bpe::Bpe;
use crate::job::Job;
use crate::merge::MergeScratch;
use crate::plamo2::{self, Plamo2};
use crate::pre::PreTokenizer;
use crate::reserve::{Reserve, add_str};
use crate::rwkv::Rwkv;
use crate::sink::{Origins, Sink};
use crate::spec::{Scores, SpecialIds, TokenizerSpec};
use crate::spm::Spm;
use crate::unigram::{Unigram, UnigramScratch};
use crate::vocab::Vocab;
use crate::watch::Watch;
use crate::wordpiece::WordPiece;
use crate::{TokenId, TokenizerError};

/// The kinds of vocabularies that are implemented.
const SUPPORTED: &str = "gpt2, llama, gemma4, bert, t5, rwkv, plamo2";

/// The parts in which the kinds differ.
#[derive(Debug)]
pub(crate) enum Kind {
    Bpe(Box<Bpe>),
    Spm(Box<Spm>),
    WordPiece(Box<WordPiece>),
    Unigram(Box<Unigram>),
    Rwkv(Box<Rwkv>),
    Plamo2(Box<Plamo2>),
}

/// How the strings of ordinary tokens are spelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Writing {
    /// One printable character per byte.
    Bytes,
    /// With U+2581 in place of spaces.
    Escaped,
    /// Literally.
    Plain,
    /// With escapes such as `
    /// ` and `\x80`.
    Rwkv,
}

/// A kind, and the defaults that a file's metadata may change.
pub(crate) struct Defaults {
    pub(crate) kind: Kind,
    pub(crate) ids: SpecialIds,
    pub(crate) add_bos: bool,
    pub(crate) add_eos: bool,
    pub(crate) add_sep: bool,
    /// Always, whatever the metadata says.
    pub(crate) always_bos: bool,
    pub(crate) clean_spaces: bool,
    pub(crate) space_prefix: bool,
}

/// The buffers of all kinds.
#[derive(Debug, Default)]
pub(crate) struct KindScratch {
    merge: MergeScratch,
    bytes: Vec<u8>,
    text: String,
    unigram: UnigramScratch,
    steps: Vec<plamo2::Step>,
    pub(crate) origins: Origins,
}

impl KindScratch {
    /// Releases the memory that one extraordinarily long text needed.
    pub(crate) fn shrink(&mut self) {
        const KEEP: usize = 1 << 16;
        self.merge.shrink();
        self.bytes.keep(KEEP);
        self.text.clear();
        if self.text.capacity() > KEEP {
            self.text = String::new();
        }
        self.unigram.shrink(KEEP);
        self.steps.keep(KEEP);
        self.origins.shrink(KEEP);
    }
}

/// A name from a file, shortened to fit a message.
fn shown(name: &str) -> String {
    const MOST: usize = 100;
    let short = name.get(..name.floor_char_boundary(MOST)).unwrap_or("");
    if short.len() < name.len() { format!("{short}...") } else { short.to_owned() }
}

fn scores_for(spec: &TokenizerSpec, vocab: &Vocab, why: &'static str) -> Result<Scores, TokenizerError> {
    let key = "tokenizer.ggml.scores";
    let scores = spec.scores.clone().ok_or(TokenizerError::Missing { key, why })?;
    if scores.len() < vocab.len() {
        return Err(TokenizerError::WrongLength { key, expected: vocab.len(), found: scores.len() });
    }
    Ok(scores)
}

fn ids(bos: Option<TokenId>, eos: Option<TokenId>, unk: Option<TokenId>) -> SpecialIds {
    SpecialIds { bos, eos, unk, ..SpecialIds::default() }
}

impl Defaults {
    /// Makes the kind that a description asks for.
    pub(crate) fn new(
        spec: &mut TokenizerSpec,
        vocab: &Vocab,
        warnings: &mut Vec<String>,
        watch: &Watch<'_>,
    ) -> Result<Self, TokenizerError> {
        let plain = |kind, ids| Defaults {
            kind,
            ids,
            add_bos: false,
            add_eos: false,
            add_sep: false,
            always_bos: false,
            clean_spaces: false,
            space_prefix: false,
        };
        let types = spec.token_types.as_slice();
        Ok(match spec.model.as_str() {
            "gpt2" | "gemma4" => Self::bpe(spec, vocab, warnings, watch)?,
            "llama" => {
                let scores = scores_for(spec, vocab, "SentencePiece BPE needs a score for each token")?;
                let kind = Kind::Spm(Box::new(Spm::new(vocab, scores)));
                let ids = ids(Some(1), Some(2), Some(0));
                Defaults { add_bos: true, space_prefix: true, ..plain(kind, ids) }
            }
            "bert" => {
                let kind = Kind::WordPiece(Box::new(WordPiece::new(vocab, spec.normalizer, watch)?));
                let named = ids(Some(101), None, Some(100));
                let ids = SpecialIds { sep: Some(102), pad: Some(0), mask: Some(103), ..named };
                Defaults { add_bos: true, add_sep: true, clean_spaces: true, ..plain(kind, ids) }
            }
            "t5" => {
                let prefix = spec.add_space_prefix.unwrap_or(false);
                let merge_spaces = spec.remove_extra_whitespaces.unwrap_or(false);
                let scores = scores_for(spec, vocab, "Unigram needs a score for each token")?;
                let charsmap = spec.charsmap.clone();
                let unigram =
                    Unigram::new(vocab, types, Some(scores), charsmap, merge_spaces, prefix, watch)?;
                let ids = SpecialIds { pad: Some(0), ..ids(None, Some(1), Some(2)) };
                Defaults { add_eos: true, ..plain(Kind::Unigram(Box::new(unigram)), ids) }
            }
            "rwkv" => plain(Kind::Rwkv(Box::new(Rwkv::new(vocab, watch)?)), SpecialIds::default()),
            "plamo2" => {
                let plamo2 = Plamo2::new(vocab, types, spec.scores.clone(), watch)?;
                let ids = SpecialIds { pad: Some(3), ..ids(Some(1), Some(2), Some(0)) };
                plain(Kind::Plamo2(Box::new(plamo2)), ids)
            }
            _ => {
                let (model, supported) = (shown(&spec.model), SUPPORTED);
                return Err(TokenizerError::UnsupportedModel { model, supported });
            }
        })
    }

    fn bpe(
        spec: &mut TokenizerSpec,
        vocab: &Vocab,
        warnings: &mut Vec<String>,
        watch: &Watch<'_>,
    ) -> Result<Self, TokenizerError> {
        let gemma4 = spec.model == "gemma4";
        let name = if gemma4 { Some("gemma4") } else { spec.pre.as_deref() };
        let name = name.unwrap_or_else(|| {
            let missing = "the file names no pre-tokenizer (tokenizer.ggml.pre): using `default`";
            warnings.push(missing.to_owned());
            "default"
        });
        let Some(pre) = PreTokenizer::by_name(name) else {
            let (pre, model) = (shown(name), shown(&spec.model));
            return Err(TokenizerError::UnsupportedPreTokenizer { pre, model });
        };
        // Kimi's vocabularies come without merge rules; llama.cpp accepts them.
        if spec.merges.is_none() && name != "kimi-k2" {
            let why = "byte-pair encoding needs its merge rules";
            return Err(TokenizerError::Missing { key: "tokenizer.ggml.merges", why });
        }
        let bpe = Bpe::new(vocab, spec.merges.take(), pre, watch)?;
        let default = |none: bool| if none { None } else { Some(11) };
        Ok(Defaults {
            kind: Kind::Bpe(Box::new(bpe)),
            ids: ids(default(gemma4 || pre.no_bos), default(gemma4), None),
            add_bos: pre.add_bos,
            add_eos: false,
            add_sep: pre.add_sep,
            always_bos: pre.always_bos,
            clean_spaces: pre.clean_spaces,
            space_prefix: false,
        })
    }
}

impl Kind {
    /// Sets the token for text without a token, which is known once the roles are assigned.
    pub(crate) fn set_unknown(&mut self, unknown: Option<TokenId>) {
        match self {
            Kind::Spm(spm) => spm.set_unknown(unknown),
            Kind::WordPiece(wordpiece) => wordpiece.unknown = unknown,
            Kind::Unigram(unigram) => unigram.unknown = unknown,
            Kind::Rwkv(rwkv) => rwkv.unknown = unknown,
            Kind::Bpe(_) | Kind::Plamo2(_) => {}
        }
    }

    pub(crate) fn writing(&self) -> Writing {
        match self {
            Kind::Bpe(bpe) if bpe.pre.escape => Writing::Escaped,
            Kind::Bpe(_) => Writing::Bytes,
            Kind::Spm(_) | Kind::WordPiece(_) | Kind::Unigram(_) => Writing::Escaped,
            Kind::Rwkv(_) => Writing::Rwkv,
            Kind::Plamo2(_) => Writing::Plain,
        }
    }

    /// Appends the tokens of a stretch of text that contains no special tokens. If `space` is true, kinds that put a
    /// space before a text do so.
    pub(crate) fn encode<S: Sink>(
        &self,
        job: &Job<'_>,
        text: &str,
        space: bool,
        scratch: &mut KindScratch,
        out: &mut S,
    ) -> Result<(), TokenizerError> {
        let KindScratch { merge, bytes, text: escaped, unigram: search, steps, origins } = scratch;
        origins.clear();
        match self {
            Kind::Bpe(bpe) if bpe.pre.escape => {
                escape(job, text, false, escaped, origins, S::SPANS)?;
                bpe.encode(job, escaped, merge, bytes, out)
            }
            Kind::Bpe(bpe) => bpe.encode(job, text, merge, bytes, out),
            Kind::Spm(spm) => {
                escape(job, text, space, escaped, origins, S::SPANS)?;
                spm.encode(job, escaped, merge, out)
            }
            Kind::WordPiece(wordpiece) => wordpiece.encode(job, text, bytes, origins, out),
            Kind::Unigram(unigram) => unigram.encode(job, text, bytes, search, origins, out),
            Kind::Rwkv(rwkv) => rwkv.encode(job, text, out),
            Kind::Plamo2(plamo2) => plamo2.encode(job, text, steps, out),
        }
    }

    pub(crate) fn owned_bytes(&self) -> usize {
        match self {
            Kind::Bpe(bpe) => bpe.owned_bytes(),
            Kind::Spm(_) => size_of::<Spm>(),
            Kind::WordPiece(wordpiece) => wordpiece.owned_bytes(),
            Kind::Unigram(unigram) => unigram.owned_bytes(),
            Kind::Rwkv(rwkv) => rwkv.owned_bytes(),
            Kind::Plamo2(plamo2) => plamo2.owned_bytes(),
        }
    }
}

/// Replaces spaces by U+2581, and adds one before the text if `prefix` is true.
fn escape(
    job: &Job<'_>,
    text: &str,
    prefix: bool,
    out: &mut String,
    origins: &mut Origins,
    spans: bool,
) -> Result<(), TokenizerError> {
    out.clear();
    if prefix {
        add_str(out, SPACE)?;
        if spans {
            origins.extend(SPACE.len(), 0, 0)?;
        }
    }
    let mut at = 0;
    for (i, word) in text.split(' ').enumerate() {
        job.work(1 + word.len() / 16)?;
        if i > 0 {
            add_str(out, SPACE)?;
            if spans {
                origins.extend(SPACE.len(), at, at + 1)?;
            }
            at += 1;
        }
        add_str(out, word)?;
        if spans {
            for byte in at..at + word.len() {
                origins.extend(1, byte, byte + 1)?;
            }
        }
        at += word.len();
    }
    Ok(())
}
