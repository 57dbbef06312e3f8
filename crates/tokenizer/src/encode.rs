//! Text to ids: whole texts, many texts, counts, and where in the text each token comes from.

use crate::job::{Barred, Job};
use crate::kind::KindScratch;
use crate::reserve::Reserve;
use crate::sink::{Count, Sink, Spans};
use crate::special::{Fragment, Part, Wanted};
use crate::watch::Watch;
use crate::{TokenId, Tokenizer, TokenizerError};
use std::ops::Range;

/// The maximum length of a text in bytes: positions have 32 bits, and a space may become three bytes.
const MAX_TEXT: usize = (u32::MAX / 4) as usize;

/// Options of encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EncodeOptions {
    /// Adds BOS, EOS and (BERT) SEP as the model's file says (default true).
    pub add_special: bool,
    /// Reads the strings of control tokens in the text as those tokens instead of as plain text (default true). For
    /// untrusted text, see [`Tokenizer::encode_marked`].
    pub parse_special: bool,
}

impl EncodeOptions {
    pub(crate) fn wanted(self) -> Wanted<'static> {
        if self.parse_special { Wanted::All } else { Wanted::UserDefined }
    }
}

/// The options, what is searched for in the text, and the tokens that pieces of text must not become.
type How<'r> = (EncodeOptions, Wanted<'r>, Barred<'r>);

impl From<EncodeOptions> for How<'_> {
    fn from(options: EncodeOptions) -> Self {
        (options, options.wanted(), Barred::default())
    }
}

impl Default for EncodeOptions {
    /// Adds the tokens that the model expects, and reads control tokens.
    fn default() -> Self {
        Self { add_special: true, parse_special: true }
    }
}

/// Reusable buffers for encoding.
#[derive(Debug, Default)]
pub struct EncodeScratch {
    pub(crate) kind: KindScratch,
}

/// Tokens, and the part of the text that each one stands for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Encoded {
    /// The tokens.
    pub ids: Vec<TokenId>,
    /// The bytes of the text that became each token, ascending. A token that was added (BOS, a space before the text)
    /// has an empty range. The tokens of a character that is encoded as single bytes may share its range. Text that a
    /// kind drops or replaces (accents, several spaces as one) belongs to no token or to an adjacent one.
    pub ranges: Vec<Range<usize>>,
}

impl Tokenizer {
    /// Encodes a text.
    ///
    /// # Errors
    /// If the text has more than a gigabyte, or memory is refused.
    pub fn encode(&self, text: &str, options: EncodeOptions) -> Result<Vec<TokenId>, TokenizerError> {
        self.encode_with(text, options, &|| false)
    }

    /// Like [`Tokenizer::encode`], for a text with untrusted parts. In them, the strings of control tokens are plain
    /// text.
    ///
    /// `plain` are the byte ranges of those parts, ascending and disjoint. No control or unknown token, and no token
    /// that ends the generation, is recognized if it overlaps one of them, even if it begins outside. User-defined
    /// tokens are recognized as they are without [`EncodeOptions::parse_special`], except those that the file types as
    /// control tokens. A token that the file types as normal is text, even if it ends the generation: it is not
    /// searched for, but pieces of text may merge into it. The ranges do not split the text: without such strings, the
    /// ids are those of [`Tokenizer::encode`].
    ///
    /// `cancelled` is called about once per millisecond.
    ///
    /// # Errors
    /// The same as [`Tokenizer::encode`]; `PlainRange` if a range is reversed, does not consist of whole characters of
    /// the text, or begins before the previous one ends; `Cancelled` soon after `cancelled` returns true.
    pub fn encode_marked(
        &self,
        text: &str,
        plain: &[Range<usize>],
        options: EncodeOptions,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Vec<TokenId>, TokenizerError> {
        let mut out = Vec::new();
        self.encode_marked_to(text, plain, options, &mut out, cancelled)?;
        Ok(out)
    }

    /// Like [`Tokenizer::encode`], but can be cancelled: `cancelled` is called about once per millisecond.
    ///
    /// # Errors
    /// The same as [`Tokenizer::encode`], and `Cancelled` soon after `cancelled` returns true.
    pub fn encode_with(
        &self,
        text: &str,
        options: EncodeOptions,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Vec<TokenId>, TokenizerError> {
        let (mut out, watch) = (Vec::new(), &Watch::new(cancelled));
        self.encode_to(text, options.into(), &mut EncodeScratch::default(), &mut out, watch)?;
        Ok(out)
    }

    /// Appends the ids of a text to `out`, and reuses buffers.
    ///
    /// # Errors
    /// The same as [`Tokenizer::encode`]; `out` is then unchanged.
    pub fn encode_into(
        &self,
        text: &str,
        options: EncodeOptions,
        scratch: &mut EncodeScratch,
        out: &mut Vec<TokenId>,
    ) -> Result<(), TokenizerError> {
        let before = out.len();
        let result = self.encode_to(text, options.into(), scratch, out, &Watch::new(&|| false));
        if result.is_err() {
            out.truncate(before);
        }
        result
    }

    /// Encodes several texts, in order.
    ///
    /// # Errors
    /// The same as [`Tokenizer::encode`].
    pub fn encode_batch<T: AsRef<str>>(
        &self,
        texts: impl IntoIterator<Item = T>,
        options: EncodeOptions,
    ) -> Result<Vec<Vec<TokenId>>, TokenizerError> {
        self.encode_batch_with(texts, options, &|| false)
    }

    /// Like [`Tokenizer::encode_batch`], but can be cancelled: `cancelled` is called about once per millisecond.
    ///
    /// # Errors
    /// The same as [`Tokenizer::encode_with`].
    pub fn encode_batch_with<T: AsRef<str>>(
        &self,
        texts: impl IntoIterator<Item = T>,
        options: EncodeOptions,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Vec<Vec<TokenId>>, TokenizerError> {
        let (mut scratch, watch) = (EncodeScratch::default(), &Watch::new(cancelled));
        let mut all = Vec::new();
        for text in texts {
            watch.work(1)?;
            let mut ids = Vec::new();
            self.encode_to(text.as_ref(), options.into(), &mut scratch, &mut ids, watch)?;
            all.add(ids)?;
        }
        Ok(all)
    }

    /// Encodes a text, and returns the part of the text that became each token.
    ///
    /// # Errors
    /// The same as [`Tokenizer::encode`].
    pub fn encode_with_ranges(&self, text: &str, options: EncodeOptions) -> Result<Encoded, TokenizerError> {
        let (mut spans, watch) = (Spans::default(), &Watch::new(&|| false));
        self.encode_to(text, options.into(), &mut EncodeScratch::default(), &mut spans, watch)?;
        Ok(Encoded { ids: spans.ids, ranges: spans.ranges })
    }

    /// Like [`encode_marked`](Self::encode_marked), and returns the part of the text that became each token.
    ///
    /// # Errors
    /// The same as [`encode_marked`](Self::encode_marked).
    pub fn encode_marked_with_ranges(
        &self,
        text: &str,
        plain: &[Range<usize>],
        options: EncodeOptions,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Encoded, TokenizerError> {
        let mut spans = Spans::default();
        self.encode_marked_to(text, plain, options, &mut spans, cancelled)?;
        Ok(Encoded { ids: spans.ids, ranges: spans.ranges })
    }

    fn encode_marked_to<S: Sink>(
        &self,
        text: &str,
        plain: &[Range<usize>],
        options: EncodeOptions,
        out: &mut S,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<(), TokenizerError> {
        check_ranges(text, plain)?;
        let wanted = if options.parse_special { Wanted::Outside(plain) } else { Wanted::UserDefined };
        let wanted = (options, wanted, self.specials.barred());
        self.encode_to(text, wanted, &mut EncodeScratch::default(), out, &Watch::new(cancelled))
    }

    /// Counts the tokens of a text without storing them.
    ///
    /// # Errors
    /// The same as [`Tokenizer::encode`].
    pub fn count(&self, text: &str, options: EncodeOptions) -> Result<usize, TokenizerError> {
        self.count_with(text, options, &|| false)
    }

    /// Like [`Tokenizer::count`], but can be cancelled: `cancelled` is called about once per millisecond.
    ///
    /// # Errors
    /// The same as [`Tokenizer::encode_with`].
    pub fn count_with(
        &self,
        text: &str,
        options: EncodeOptions,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<usize, TokenizerError> {
        let (mut count, watch) = (Count::default(), &Watch::new(cancelled));
        self.encode_to(text, options.into(), &mut EncodeScratch::default(), &mut count, watch)?;
        Ok(count.0)
    }

    /// Returns whether these tokens begin with BOS twice: the text began with it, and encoding added another.
    ///
    /// Encoding does not change that, as in llama.cpp. A caller may warn about it, or encode without
    /// [`EncodeOptions::add_special`].
    pub fn has_double_bos(&self, ids: &[TokenId]) -> bool {
        self.adds_bos() && matches!(ids, [a, b, ..] if a == b && self.bos() == Some(*a))
    }

    fn encode_to<S: Sink>(
        &self,
        text: &str,
        (options, wanted, barred): How<'_>,
        scratch: &mut EncodeScratch,
        out: &mut S,
        watch: &Watch<'_>,
    ) -> Result<(), TokenizerError> {
        check_length(text)?;
        if options.add_special {
            self.begin(out)?;
        }
        let job = &Job::new(&self.vocab, watch, barred);
        let mut after_special = true;
        for part in self.specials.partition(&self.vocab, text, wanted, watch)? {
            self.encode_fragment(job, text, part, &mut after_special, scratch, out)?;
        }
        if options.add_special {
            self.end(text.len(), out)?;
        }
        scratch.kind.shrink();
        Ok(())
    }

    /// Appends the tokens that are added before a text.
    pub(crate) fn begin<S: Sink>(&self, out: &mut S) -> Result<(), TokenizerError> {
        if let Some(bos) = self.ids.bos.filter(|_| self.add_bos) {
            out.push(bos, 0, 0)?;
        }
        Ok(())
    }

    /// Appends the tokens that are added after a text of `length` bytes.
    pub(crate) fn end<S: Sink>(&self, length: usize, out: &mut S) -> Result<(), TokenizerError> {
        if let Some(eos) = self.ids.eos.filter(|_| self.add_eos) {
            out.push(eos, length, length)?;
        }
        if let Some(sep) = self.ids.sep.filter(|_| self.ends_with_sep) {
            out.push(sep, length, length)?;
        }
        Ok(())
    }

    /// `after_special`: SentencePiece puts a space before a fragment that begins the text or follows a special token.
    pub(crate) fn encode_fragment<S: Sink>(
        &self,
        job: &Job<'_>,
        text: &str,
        (range, fragment): Part,
        after_special: &mut bool,
        scratch: &mut EncodeScratch,
        out: &mut S,
    ) -> Result<(), TokenizerError> {
        match fragment {
            Fragment::Token(id) => {
                out.push(id, range.start, range.end)?;
                *after_special = true;
            }
            Fragment::Text => {
                let from = out.count();
                let (start, space) = (range.start, self.add_space_prefix && *after_special);
                let stretch = text.get(range).unwrap_or("");
                self.kind.encode(job, stretch, space, &mut scratch.kind, out)?;
                out.place(from, start, &scratch.kind.origins);
                *after_special = false;
            }
        }
        Ok(())
    }
}

pub(crate) fn check_length(text: &str) -> Result<(), TokenizerError> {
    if text.len() > MAX_TEXT {
        let (what, found) = ("bytes of the text", text.len());
        return Err(TokenizerError::TooLarge { what, found, limit: MAX_TEXT });
    }
    Ok(())
}

/// Checks that plain ranges ascend, do not overlap, and hold whole characters.
fn check_ranges(text: &str, plain: &[Range<usize>]) -> Result<(), TokenizerError> {
    let mut end = 0;
    for (index, range) in plain.iter().enumerate() {
        let wrong = |why| TokenizerError::PlainRange { index, start: range.start, end: range.end, why };
        if range.start > range.end {
            return Err(wrong("it ends before it begins"));
        }
        if range.start < end {
            return Err(wrong("it begins before the previous range ends; sort and join the ranges"));
        }
        if range.end > text.len() {
            return Err(wrong("it ends after the end of the text"));
        }
        if text.get(range.clone()).is_none() {
            return Err(wrong("it begins or ends inside a character"));
        }
        end = range.end;
    }
    Ok(())
}
