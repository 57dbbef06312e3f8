//! From a rendered conversation to token ids, without trusting what is said in it.
//!
//! ```text
//! template's own text          control tokens are read
//! system, user, tool, tools    plain text, whatever it spells
//! an answer from elsewhere     plain text but for the markers of the reply format
//! an answer that we generated  the very tokens that were generated
//! ```
//!
//! A tokenizer may cut an answer otherwise than the model wrote it, and a text that spells a control token was not one.
//! So the tokens of answers are kept ([`Recorder`]), and put back where the template prints their text: that also keeps
//! the longest prefix in the KV cache.

use crate::EngineError;
use crate::chat::{Origin, Rendered, Reply};
use crate::reserve::{reserve, reserve_text};
use happy_tokenizer::{EncodeOptions, Encoded, TokenId, Tokenizer};
use serde_json::Value as Json;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

/// The tokens of an answer and the text that they made.
#[derive(Debug, Default)]
pub(crate) struct Said {
    ids: Vec<TokenId>,
    /// Bytes of text after each token. A token that ends inside of a character has the end of the one before.
    ends: Vec<usize>,
    text: String,
}

impl Said {
    /// Tokens with the bytes of text after each; `None` if they do not fit the text.
    pub(crate) fn new(ids: Vec<TokenId>, ends: Vec<usize>, text: String) -> Option<Self> {
        let fits = ids.len() == ends.len()
            && ends.is_sorted()
            && ends.iter().all(|end| text.is_char_boundary(*end))
            && ends.last().copied().unwrap_or(0) == text.len();
        fits.then_some(Self { ids, ends, text })
    }

    pub(crate) fn ids(&self) -> &[TokenId] {
        &self.ids
    }

    pub(crate) fn ends(&self) -> &[usize] {
        &self.ends
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Adds a token with the text and the marker that it completed.
    pub(crate) fn push(&mut self, id: TokenId, text: &str, marker: Option<&str>) -> Result<(), EngineError> {
        let marker = marker.unwrap_or_default();
        reserve(&mut self.ids, 1, "tokens of the answer")?;
        reserve(&mut self.ends, 1, "tokens of the answer")?;
        reserve_text(&mut self.text, text.len() + marker.len(), "text of the answer")?;
        self.text.push_str(text);
        self.text.push_str(marker);
        self.ids.push(id);
        self.ends.push(self.text.len());
        Ok(())
    }

    /// Tokens up to the last border at or before a byte, and that border. Tokens that made no text count to what follows, but
    /// at the end of the answer.
    fn border_before(&self, byte: usize) -> (usize, usize) {
        if byte >= self.text.len() {
            return (self.ids.len(), self.text.len());
        }
        let end = self.ends[..self.ends.partition_point(|end| *end <= byte)].last().copied().unwrap_or(0);
        if end == 0 { (0, 0) } else { (self.ends.partition_point(|e| *e < end) + 1, end) }
    }

    /// Tokens before the first border at or after a byte, and that border.
    fn border_after(&self, byte: usize) -> (usize, usize) {
        if byte == 0 {
            return (0, 0);
        }
        let index = self.ends.partition_point(|end| *end < byte);
        match self.ends.get(index) {
            Some(end) => (index + 1, *end),
            None => (self.ids.len(), self.text.len()),
        }
    }
}

/// An answer of this conversation: the message that it became, and its tokens.
#[derive(Debug)]
struct Record {
    message: Json,
    said: Arc<Said>,
}

/// The answers of a conversation. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recorder(Arc<Mutex<Vec<Record>>>);

impl Recorder {
    /// Keeps the tokens of an answer for when its message is rendered.
    pub(crate) fn record(&self, reply: &Reply, said: Said) {
        // Without room for the record the answer is encoded like one from elsewhere.
        let Ok(message) = reply.message() else { return };
        let record = Record { message, said: Arc::new(said) };
        let mut records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if records.try_reserve(1).is_ok() {
            records.push(record);
        }
    }

    /// Forgets answers that are not among the messages any more.
    pub(crate) fn keep_only(&self, messages: &[Json]) {
        let mut records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        records.retain(|record| messages.contains(&record.message));
    }

    /// Forgets all answers but these.
    pub(crate) fn replace(&self, answers: Vec<(Json, Said)>) -> Result<(), EngineError> {
        let mut records = Vec::new();
        reserve(&mut records, answers.len(), "answers of the conversation")?;
        records.extend(answers.into_iter().map(|(message, said)| Record { message, said: Arc::new(said) }));
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = records;
        Ok(())
    }

    /// The tokens of the latest answer that became this message.
    pub(crate) fn find(&self, message: &Json) -> Option<Arc<Said>> {
        let records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        records.iter().rev().find(|record| record.message == *message).map(|record| record.said.clone())
    }
}

/// What turns renderings of one conversation into ids.
pub(crate) struct Transcript<'a> {
    pub(crate) tokenizer: &'a Tokenizer,
    pub(crate) messages: &'a [Json],
    /// Markers that an answer from elsewhere may hold.
    pub(crate) markers: &'a [&'a str],
    pub(crate) recorder: &'a Recorder,
    pub(crate) cancelled: &'a dyn Fn() -> bool,
}

/// A stretch of the rendering that generated tokens stand for.
struct Stretch {
    text: Range<usize>,
    said: Arc<Said>,
    /// The byte of `said` at the beginning of `text`.
    from: usize,
}

impl Transcript<'_> {
    /// The ids of a rendering; BOS begins them if the model wants that, but once.
    pub(crate) fn encode(&self, rendered: &Rendered) -> Result<Vec<TokenId>, EngineError> {
        let text = rendered.text.as_str();
        let plain = self.plain(rendered)?;
        let whole = self.ids_of(text, &plain)?;
        let mut ids = Vec::new();
        // Bytes of the text that have their ids.
        let mut done = 0;
        for stretch in self.stretches(rendered)? {
            self.put(text, &plain, &whole, &stretch, &mut done, &mut ids)?;
        }
        let rest = whole.ranges.partition_point(|range| range.start < done);
        extend(&mut ids, &whole.ids[rest..])?;
        begin(self.tokenizer, &mut ids)?;
        Ok(ids)
    }

    fn ids_of(&self, text: &str, plain: &[Range<usize>]) -> Result<Encoded, EngineError> {
        let options = EncodeOptions { add_special: false, parse_special: true };
        Ok(self.tokenizer.encode_marked_with_ranges(text, plain, options, self.cancelled)?)
    }

    /// Ranges of the text in which no control token is read.
    fn plain(&self, rendered: &Rendered) -> Result<Vec<Range<usize>>, EngineError> {
        let mut plain = Vec::new();
        for span in &rendered.spans {
            let outside = match span.origin {
                Origin::Message(index) => self
                    .messages
                    .get(index)
                    .filter(|message| is_assistant(message) && self.recorder.find(message).is_none()),
                _ => None,
            };
            reserve(&mut plain, 1, "ranges of the prompt")?;
            if outside.is_none() {
                plain.push(span.range.clone());
                continue;
            }
            let mut start = span.range.start;
            while let Some((at, len)) = self.next_marker(&rendered.text[start..span.range.end]) {
                reserve(&mut plain, 2, "ranges of the prompt")?;
                plain.push(start..start + at);
                start += at + len;
            }
            plain.push(start..span.range.end);
        }
        plain.retain(|range| !range.is_empty());
        Ok(plain)
    }

    /// The first marker of a text, the longest of several.
    fn next_marker(&self, text: &str) -> Option<(usize, usize)> {
        let found = self.markers.iter().filter_map(|marker| Some((text.find(marker)?, marker.len())));
        found.min_by_key(|(at, len)| (*at, usize::MAX - len))
    }

    /// Where the text of generated answers stands, ascending.
    fn stretches(&self, rendered: &Rendered) -> Result<Vec<Stretch>, EngineError> {
        let text = rendered.text.as_bytes();
        let mut found: Vec<Stretch> = Vec::new();
        for (index, message) in self.messages.iter().enumerate().filter(|(_, m)| is_assistant(m)) {
            let Some(said) = self.recorder.find(message) else { continue };
            // Not every string of the message is of the answer: its role is not.
            let spans = rendered.spans.iter().filter(|span| span.origin == Origin::Message(index));
            let places = spans.filter_map(|span| {
                Some((said.text.rfind(&rendered.text[span.range.clone()])?, span.range.clone()))
            });
            let Some((at, longest)) = places.max_by_key(|(_, range)| range.len()) else { continue };
            let least = found.last().map_or(0, |stretch| stretch.text.end);
            let generated = said.text.as_bytes();
            let before = text[least.min(longest.start)..longest.start].iter().rev();
            let left = before.zip(generated[..at].iter().rev()).take_while(|(a, b)| a == b).count();
            let end = at + longest.len();
            let after = text[longest.end..].iter().zip(&generated[end..]);
            let right = after.take_while(|(a, b)| a == b).count();
            let range = longest.start - left..longest.end + right;
            if !range.is_empty() && range.start >= least {
                reserve(&mut found, 1, "answers in the prompt")?;
                found.push(Stretch { text: range, from: at - left, said });
            }
        }
        Ok(found)
    }

    /// Puts the ids up to a stretch, and its own, as far as both cuttings of the text have borders in common.
    fn put(
        &self,
        text: &str,
        plain: &[Range<usize>],
        whole: &Encoded,
        stretch: &Stretch,
        done: &mut usize,
        ids: &mut Vec<TokenId>,
    ) -> Result<(), EngineError> {
        let said = &stretch.said;
        let place = |byte: usize| stretch.text.start + (byte - stretch.from);
        // The first border of the generated tokens; if the text is not cut there, it is cut so when it ends there, as it did
        // when the answer began.
        let (mut first, mut byte) = said.border_after(stretch.from);
        let mut head = None;
        while place(byte) < stretch.text.end && !cuts(whole, text, place(byte)) {
            if byte == 0 {
                let cut = place(0);
                let ranges = clipped(plain, cut)?;
                let encoded = self.ids_of(&text[..cut], &ranges)?;
                let known = *done == 0 || cuts(&encoded, &text[..cut], *done);
                if known {
                    head = Some(encoded);
                    break;
                }
            }
            (first, byte) = said.border_after(byte + 1);
        }
        let start = place(byte);
        if start >= stretch.text.end {
            return Ok(());
        }
        // The last border that both have.
        let (mut last, mut end) = said.border_before(stretch.from + stretch.text.len());
        while end > byte && !cuts(whole, text, place(end)) {
            (last, end) = said.border_before(end - 1);
        }
        if end <= byte {
            return Ok(());
        }
        let source = head.as_ref().unwrap_or(whole);
        let from = source.ranges.partition_point(|range| range.start < *done);
        let to = source.ranges.partition_point(|range| range.start < start);
        extend(ids, &source.ids[from..to])?;
        extend(ids, &said.ids[first..last])?;
        *done = place(end);
        Ok(())
    }
}

/// Puts BOS before the ids of a prompt, if the model wants it and it is not there.
pub(crate) fn begin(tokenizer: &Tokenizer, ids: &mut Vec<TokenId>) -> Result<(), EngineError> {
    if let Some(bos) = tokenizer.bos().filter(|bos| tokenizer.adds_bos() && ids.first() != Some(bos)) {
        reserve(ids, 1, "tokens of the prompt")?;
        ids.insert(0, bos);
    }
    Ok(())
}

fn is_assistant(message: &Json) -> bool {
    message.get("role").and_then(Json::as_str) == Some("assistant")
}

/// Whether a token begins at a byte, or the text ends there.
fn cuts(encoded: &Encoded, text: &str, byte: usize) -> bool {
    let index = encoded.ranges.partition_point(|range| range.start < byte);
    byte == text.len() || encoded.ranges.get(index).is_some_and(|range| range.start == byte)
}

/// The ranges of a text that is cut.
fn clipped(ranges: &[Range<usize>], end: usize) -> Result<Vec<Range<usize>>, EngineError> {
    let mut clipped = Vec::new();
    reserve(&mut clipped, ranges.len(), "ranges of the prompt")?;
    let within = ranges.iter().take_while(|range| range.start < end);
    clipped.extend(within.map(|range| range.start..range.end.min(end)));
    Ok(clipped)
}

fn extend(ids: &mut Vec<TokenId>, more: &[TokenId]) -> Result<(), EngineError> {
    reserve(ids, more.len(), "tokens of the prompt")?;
    ids.extend_from_slice(more);
    Ok(())
}
