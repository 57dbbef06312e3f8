//! Calls outside of the format's notation, which are read on trial.
//!
//! Models below 3B parameters write the call of a declared tool without its wrapper, in another wrapper, or before the end of
//! their thinking. Text that may be such a call is held back and read by a parser of its own. It is a call only if it is
//! complete, names only declared tools, is not a copied example, and only white space follows until the end of the reply.
//! At the first character that rules this out, the text becomes what it would have been otherwise: content or thinking. So a
//! reply that talks about calls, or that is JSON for another purpose, stays as it is.
//!
//! ```text
//! loose    objects | [objects] | [f(a=1), ..]       as the whole reply, alone,
//!          in a ``` fence, <tools>, <tool_call> ..     or in one wrapper
//!          object                                   as the reply's last lines
//!          <function=f>object</function>            as the whole reply
//! early    a whole block of the format's own         at the end of thinking that never ended
//! ```

use super::calls::LOOSE;
use super::grammar::{At, Grammar};
use super::held::Held;
use super::output::Output;
use super::parser::ReplyParser;
use crate::memory::{R, Text, boxed};

/// Length of the longest text that is held back, in bytes. Longer text is not a call.
const MAX_HELD: usize = 1 << 20;

/// Texts that may come before the objects of a reply, and the texts that end them.
const WRAPPERS: &[(&str, &str)] = &[
    ("<tools>", "</tools>"),
    ("<tool_call>", "</tool_call>"),
    ("<tool_calls>", "</tool_calls>"),
    ("<function_call>", "</function_call>"),
    (FUNCTION, "</function>"),
    (FENCE, FENCE),
];

const FENCE: &str = "```";

/// A name, `>` and the arguments follow: the notation of Llama 3.1's model card.
const FUNCTION: &str = "<function=";

/// The languages that a fence around calls may name.
const LANGUAGES: &[&str] = &["", "json", "tool_call", "tool_calls", "tool_code", "python"];

/// A call that is read on trial.
#[derive(Debug)]
pub(super) struct Guess {
    /// The parser that reads the text as a call.
    inner: Box<[ReplyParser; 1]>,
    /// The text.
    held: Held,
    stage: Stage,
    /// The text that ends the wrapper.
    end: &'static str,
}

/// The position in the text.
#[derive(Debug)]
enum Stage {
    /// Before the first call, with the text so far.
    Opening(Text),
    /// In the calls.
    Calls,
    /// In the end of a wrapper, of which this many bytes were seen.
    Closing(usize),
    /// After everything.
    Over,
}

/// What the beginning of a text may be.
enum Opening<'a> {
    /// It may become calls.
    Open,
    /// Calls follow: the end of the wrapper, the first text of the calls, and the state in which it is read.
    Calls(&'static str, &'a str, At),
    /// It is something else.
    Other,
}

impl Guess {
    /// Makes a guess for a block that begins with a marker inside of the thinking.
    pub(super) fn early(outer: &ReplyParser, marker: &str) -> R<Self> {
        let mut guess = Self::new(outer, outer.grammar, Stage::Calls)?;
        for (i, c) in marker.char_indices() {
            let token = outer.tokens.of(marker).iter().any(|part| part.contains(&i));
            guess.held.push(c, token)?;
            guess.inner_mut().feed(c, token)?;
        }
        Ok(guess)
    }

    /// Makes a guess for calls without the format's markers, with `c` as the first character. Returns `None` if they cannot begin
    /// with it: a guess that takes no character would begin again at the same place, forever.
    pub(super) fn loose(outer: &ReplyParser, c: char) -> R<Option<Self>> {
        let control = outer.held.first().is_some_and(|(_, control)| control);
        let mut guess = Self::new(outer, &LOOSE, Stage::Opening(Text::default()))?;
        Ok(guess.feed(c, control)?.then_some(guess))
    }

    /// Returns whether calls without the format's markers may begin with this character.
    pub(super) fn may_begin(c: char) -> bool {
        matches!(c, '{' | '[') || WRAPPERS.iter().any(|(begin, _)| begin.starts_with(c))
    }

    fn new(outer: &ReplyParser, grammar: &'static Grammar, stage: Stage) -> R<Self> {
        let mut inner = ReplyParser::of_grammar(grammar, outer.schema.clone());
        inner.unsaid = outer.unsaid.clone();
        inner.guessed = true;
        inner.may_think = false;
        inner.may_be_bare = false;
        if std::ptr::eq(grammar, outer.grammar) {
            inner.tokens = outer.tokens.clone();
        }
        Ok(Guess { inner: boxed(inner)?, held: Held::default(), stage, end: "" })
    }

    fn inner(&self) -> &ReplyParser {
        let [inner] = &*self.inner;
        inner
    }

    fn inner_mut(&mut self) -> &mut ReplyParser {
        let [inner] = &mut *self.inner;
        inner
    }

    /// Whether the call stands without the format's markers.
    fn is_loose(&self) -> bool {
        std::ptr::eq(self.inner().grammar, &LOOSE)
    }

    /// Takes a character if the text may still be a call with it.
    pub(super) fn feed(&mut self, c: char, control: bool) -> R<bool> {
        let taken = self.held.len() < MAX_HELD && self.take(c, control)?;
        if taken {
            self.held.push(c, control)?;
        }
        Ok(taken)
    }

    fn take(&mut self, c: char, control: bool) -> R<bool> {
        if self.is_loose() && control {
            return Ok(false);
        }
        let ends = !self.end.is_empty() && self.end.starts_with(c) && self.is_resting();
        Ok(match &mut self.stage {
            Stage::Opening(text) => {
                text.add_char(c)?;
                let text = std::mem::take(text);
                match opening(&text) {
                    Opening::Open => {
                        self.stage = Stage::Opening(text);
                        true
                    }
                    Opening::Other => false,
                    Opening::Calls(end, first, at) => {
                        (self.stage, self.end) = (Stage::Calls, end);
                        self.inner_mut().enter(at);
                        self.inner_mut().bare = true;
                        for c in first.chars() {
                            if !self.call(c, false)? {
                                return Ok(false);
                            }
                        }
                        true
                    }
                }
            }
            Stage::Calls if ends => {
                self.stage = Stage::Closing(c.len_utf8());
                true
            }
            Stage::Calls => self.call(c, control)?,
            Stage::Closing(seen) => {
                let fits = self.end.get(*seen..).is_some_and(|rest| rest.starts_with(c));
                *seen += c.len_utf8();
                if *seen >= self.end.len() {
                    self.stage = Stage::Over;
                }
                fits
            }
            Stage::Over => c.is_whitespace(),
        })
    }

    fn call(&mut self, c: char, control: bool) -> R<bool> {
        self.inner_mut().feed(c, control)?;
        Ok(self.is_possible())
    }

    /// Returns whether a call is complete and no other one has begun.
    fn is_resting(&self) -> bool {
        self.inner().calls > 0 && self.inner().is_resting()
    }

    /// Returns whether everything so far may be calls of declared tools.
    fn is_possible(&self) -> bool {
        let inner = self.inner();
        let reply = &inner.out.reply;
        let known = |name: &str| inner.schema.is_declared(name);
        let begun = match inner.at {
            // The name so far must be the beginning of a tool's name.
            At::Name => inner.schema.begins_name(inner.field.trim()),
            _ => true,
        };
        reply.content.is_empty()
            && reply.reasoning.is_empty()
            && reply.malformed.is_empty()
            && !matches!(inner.at, At::Reasoning | At::Failed)
            && inner.draft.name.as_deref().is_none_or(known)
            // Earlier calls were checked when they were the last.
            && reply.tool_calls.last().is_none_or(|call| known(&call.name))
            && begun
    }

    /// Handles the end of the reply. Returns the calls, or the guess if it was wrong.
    pub(super) fn finish(mut self) -> R<Result<Output, Guess>> {
        let loose = self.is_loose();
        let complete = match self.stage {
            Stage::Opening(_) => false,
            Stage::Closing(_) | Stage::Over => true,
            Stage::Calls if loose => self.is_resting(),
            Stage::Calls => {
                self.inner_mut().flush()?;
                // A whole block, including its end marker if it has one.
                let ended = self.inner().at == At::Content;
                ended || (!self.inner().grammar.has_ends() && self.is_resting())
            }
        };
        let inner = self.inner();
        let calls = &inner.out.reply.tool_calls;
        let known = calls.iter().all(|call| inner.schema.is_declared(&call.name));
        let copied = inner.unsaid.as_ref().filter(|_| loose).is_some_and(|unsaid| {
            calls.iter().all(|call| unsaid.is_copied(&inner.schema, &call.name, &call.arguments))
        });
        if !complete || !known || copied || calls.is_empty() || !self.is_possible() {
            return Ok(Err(self));
        }
        let [inner] = *self.inner;
        Ok(Ok(inner.out))
    }

    /// Returns the text, to be read in another way.
    pub(super) fn into_held(self) -> Held {
        self.held
    }
}

impl ReplyParser {
    /// Returns whether the following text may be read as a call on trial.
    pub(super) fn may_guess(&self) -> bool {
        !self.guessed && self.replay == 0 && self.schema.has_tools()
    }

    pub(super) fn begin_guess(&mut self, guess: Guess) {
        self.guess = Some(guess);
    }

    /// Handles a wrong guess: its text is read again without guessing.
    pub(super) fn release(&mut self, guess: Guess) -> R<()> {
        let early = self.at == At::Reasoning;
        let text = guess.into_held();
        if early {
            self.replay = text.len();
            self.held.put_back(text)
        } else {
            self.may_think = false;
            text.text().chars().try_for_each(|c| self.out.content(c))
        }
    }
}

/// Reads the beginning of a text that may be calls. White space may come before the calls.
fn opening(text: &str) -> Opening<'_> {
    // A wrapper that is not complete yet.
    if WRAPPERS.iter().any(|(begin, _)| begin.len() > text.len() && begin.starts_with(text)) {
        return Opening::Open;
    }
    let wrapper = WRAPPERS.iter().find(|(begin, _)| text.starts_with(begin));
    let (begin, end) = wrapper.copied().unwrap_or_default();
    let mut rest = text.get(begin.len()..).unwrap_or_default();
    if begin == FUNCTION {
        return Opening::Calls(end, rest, At::Name);
    }
    if begin == FENCE {
        let language = rest.find(|c: char| !c.is_ascii_alphabetic() && c != '_').unwrap_or(rest.len());
        let (word, after) = rest.split_at(language);
        let so_far = |language: &&str| if after.is_empty() { word.len() } else { language.len() };
        let fits = |language: &&str| {
            language.get(..so_far(language)).is_some_and(|begin| begin.eq_ignore_ascii_case(word))
        };
        if !LANGUAGES.iter().any(fits) {
            return Opening::Other;
        }
        rest = after;
    }
    // After so much white space, something else follows.
    if rest.len() > 64 {
        return Opening::Other;
    }
    let rest = rest.trim_start();
    let inside = rest.strip_prefix('[').map(str::trim_start);
    match (inside.unwrap_or(rest).chars().next(), inside) {
        (None, _) if rest.is_empty() && begin.is_empty() => Opening::Other,
        (None, _) => Opening::Open,
        (Some('{'), _) => Opening::Calls(end, rest, At::Objects),
        (Some(c), Some(_)) if c.is_ascii_alphabetic() || c == '_' => Opening::Calls(end, rest, At::List),
        _ => Opening::Other,
    }
}
