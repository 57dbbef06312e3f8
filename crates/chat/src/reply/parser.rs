//! The machine that follows a format's rules.
//!
//! ```text
//! for each character:  held += character
//!   while held is not empty:
//!     a guess is open?                   the guess takes it, or is given up and its text is read without it
//!     a marker of the state?             take it and go where its rule leads
//!     the beginning of a marker?         wait for the next character
//!     else                               the first held character is text of the state
//! a call that fails:                     everything since the start of its block is content, with the reason;
//!                                        so is all that follows, until a marker begins or ends a block
//! ```

use std::sync::Arc;

use serde_json::Value as Json;

use super::examples::Unsaid;
use super::fault::{Reason, Step};
use super::grammar::{At, Grammar, Rule, closes, opens};
use super::guess::Guess;
use super::held::{Held, Tokens};
use super::literals::Literals;
use super::objects::Objects;
use super::output::{Draft, Output};
use super::scan::Scan;
use super::schema::Schema;
use super::{Channel, Reply, ReplyEvent, ReplyFormat};
use crate::memory::{OutOfMemory, R, Text};

/// Parses a reply while it is being generated.
///
/// Make one parser per reply, and tell it what is known: the tools, the conversation, the control tokens, and the prompt.
/// Then pass the text as it comes.
///
/// Memory that the system refuses is an error, [`OutOfMemory`], of whatever needed it. The parser then takes no more of the
/// reply: every further call is the same error. What it had read stays in [`reply`](Self::reply).
///
/// ```
/// use happy_chat::{Channel, ReplyFormat, ReplyParser};
/// let mut parser = ReplyParser::new(ReplyFormat::Hermes);
/// parser.push("<think>Hm.")?;
/// assert_eq!(parser.channel(), Channel::Reasoning);
/// parser.push("</think>Let me see.\n<tool_call>{\"name\": \"now\", \"argu")?;
/// assert_eq!(parser.channel(), Channel::Call);
/// parser.push("ments\": {\"zone\": \"UTC\"}}</tool_call>")?;
/// let (_, reply) = parser.finish()?;
/// assert_eq!((reply.reasoning.as_str(), reply.content.as_str()), ("Hm.", "Let me see."));
/// assert_eq!((reply.tool_calls[0].name.as_str(), &reply.tool_calls[0].arguments["zone"]), ("now", &"UTC".into()));
/// # Ok::<(), happy_chat::OutOfMemory>(())
/// ```
#[derive(Debug)]
pub struct ReplyParser {
    pub(super) grammar: &'static Grammar,
    pub(super) at: At,
    /// Characters that may begin a marker.
    pub(super) held: Held,
    /// Which markers are control tokens.
    pub(super) tokens: Arc<Tokens>,
    /// What may be a call though it does not stand where calls do.
    pub(super) guess: Option<Guess>,
    /// Bytes at the front of `held` that were a guess already: no other begins in them.
    pub(super) replay: usize,
    /// Whether this is a guess itself.
    pub(super) guessed: bool,
    /// Whether thinking may begin here: nothing has been said since the reply or its last call.
    pub(super) may_think: bool,
    /// Whether the mark before the answer was seen.
    in_answer: bool,
    /// Everything since the block or its last complete call, to give it back.
    pub(super) raw: Text,
    /// The words that are being collected: a header, id, name, key or value.
    pub(super) field: Text,
    /// Calls that this block had so far.
    pub(super) calls: usize,
    /// Whether the block began without a marker.
    pub(super) bare: bool,
    pub(super) may_be_bare: bool,
    pub(super) draft: Draft,
    pub(super) objects: Objects,
    pub(super) json: Scan,
    pub(super) literals: Literals,
    pub(super) schema: Arc<Schema<'static>>,
    /// `None` if the conversation is not known.
    pub(super) unsaid: Option<Arc<Unsaid>>,
    pub(super) out: Output,
    /// Whether memory was refused: the states above may then not fit together.
    refused: bool,
}

/// What was done with a character of text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Character {
    Taken,
    /// The state has changed, and the character belongs to the new one.
    Again,
}

impl ReplyParser {
    /// Makes a parser for replies in a format. All markers are expected as ordinary text, unless
    /// [`with_tokens`](Self::with_tokens) says otherwise.
    pub fn new(format: ReplyFormat) -> Self {
        Self::of_grammar(format.grammar(), Arc::default())
    }

    pub(super) fn of_grammar(grammar: &'static Grammar, schema: Arc<Schema<'static>>) -> Self {
        ReplyParser {
            grammar,
            at: At::Content,
            held: Held::default(),
            tokens: Arc::default(),
            guess: None,
            replay: 0,
            guessed: false,
            may_think: true,
            in_answer: false,
            raw: Text::default(),
            field: Text::default(),
            calls: 0,
            bare: false,
            may_be_bare: grammar.bare,
            draft: Draft::default(),
            objects: Objects::default(),
            json: Scan::new(super::grammar::Notation::JSON),
            literals: Literals::new(grammar.notation),
            schema,
            unsaid: None,
            out: Output::default(),
            refused: false,
        }
    }

    /// Declares the tools, in the form that templates take.
    ///
    /// Their schemas distinguish strings from other values in notations that do not. Calls of declared tools are also read in
    /// other notations, which small models use ([docs/tools.md](https://github.com/happy-phone-llm/happy-phone-llm/blob/main/docs/tools.md)
    /// lists them). Without tools, a reply that is only a JSON object stays content.
    ///
    /// # Errors
    /// If memory is refused for a copy of the tools' schemas.
    pub fn with_tools(mut self, tools: &[Json]) -> Result<Self, OutOfMemory> {
        self.schema = Arc::new(Schema::new(tools)?.into_owned()?);
        self.may_be_bare = self.grammar.bare && !tools.is_empty();
        Ok(self)
    }

    /// Declares what was said in the conversation. Call this after [`with_tools`](Self::with_tools).
    ///
    /// A call outside of the format's own notation is then content if it only repeats an example from a parameter's
    /// description that nobody has mentioned, such as Paris for "The city, e.g. Paris". Small models write such calls when there
    /// is nothing to call.
    ///
    /// # Errors
    /// If memory is refused for the words of the descriptions.
    pub fn after_conversation<'a>(
        mut self,
        said: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, OutOfMemory> {
        self.unsaid = Some(Arc::new(Unsaid::new(&self.schema, said)?));
        Ok(self)
    }

    /// Declares which texts are control tokens of the vocabulary. Markers, or parts of them, that are control tokens count only
    /// if they come through [`push_control`](Self::push_control). The same characters as ordinary text are text.
    ///
    /// # Errors
    /// If memory is refused for the list of these markers.
    pub fn with_tokens(mut self, is_control: impl Fn(&str) -> bool) -> Result<Self, OutOfMemory> {
        self.tokens = Arc::new(Tokens::new(self.grammar, &is_control)?);
        Ok(self)
    }

    /// Starts in the state in which the prompt ends, since a template may open the thinking or begin a message.
    /// [`channel`](Self::channel) then returns that state.
    ///
    /// # Errors
    /// If memory is refused for the message that the prompt began.
    pub fn after_prompt(mut self, prompt: &str) -> Result<Self, OutOfMemory> {
        let (open, _) = self.grammar.think;
        let tail = prompt.trim_end();
        if !open.is_empty() && tail.ends_with(open) {
            self.out.marker();
            self.at = At::Reasoning;
            self.may_think = false;
            return Ok(self);
        }
        self.in_answer = !self.grammar.answer.0.is_empty() && tail.ends_with(self.grammar.answer.0);
        // In formats of messages: a message that the prompt has begun.
        let start = self.grammar.rules.iter().find(|rule| rule.2 == At::Header).map(|rule| rule.1);
        let begun = start.and_then(|start| prompt.get(prompt.rfind(start)?..)).unwrap_or_default();
        if begun.is_empty() {
            return Ok(self);
        }
        for c in begun.chars() {
            // Markers that the template wrote are control tokens.
            self.feed(c, true)?;
        }
        // The text of the prompt is not part of the reply.
        self.raw.clear();
        self.out = Output::default();
        self.out.marker();
        Ok(self)
    }

    /// Takes the next piece of the reply, which must be text of ordinary tokens, and returns the new events.
    ///
    /// # Errors
    /// If memory is refused, now or before.
    pub fn push(&mut self, text: &str) -> Result<Vec<ReplyEvent>, OutOfMemory> {
        self.take(text, false)
    }

    /// Takes a control token that is a marker of the format ([`ReplyFormat::markers`]) or a part of one, and returns the new
    /// events.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn push_control(&mut self, text: &str) -> Result<Vec<ReplyEvent>, OutOfMemory> {
        self.take(text, true)
    }

    fn take(&mut self, text: &str, control: bool) -> R<Vec<ReplyEvent>> {
        self.unless_refused(|parser| text.chars().try_for_each(|c| parser.feed(c, control)))
    }

    /// Goes on, and returns what came of it.
    fn unless_refused(&mut self, go: impl FnOnce(&mut Self) -> R<()>) -> R<Vec<ReplyEvent>> {
        if std::mem::replace(&mut self.refused, true) {
            return Err(OutOfMemory);
        }
        go(self)?;
        self.refused = false;
        Ok(std::mem::take(&mut self.out.events))
    }

    pub(super) fn feed(&mut self, c: char, control: bool) -> R<()> {
        self.held.push(c, control)?;
        self.run()
    }

    /// Returns the channel that the next character belongs to, as far as it is known. While text is held back because it may
    /// be a call, this is [`Channel::Call`].
    pub fn channel(&self) -> Channel {
        match self.at {
            _ if self.guess.is_some() => Channel::Call,
            At::Content | At::Failed => Channel::Content,
            At::Reasoning => Channel::Reasoning,
            At::Header | At::Message => Channel::Control,
            _ => Channel::Call,
        }
    }

    /// Returns the reply so far, without text that is still held back.
    pub fn reply(&self) -> &Reply {
        &self.out.reply
    }

    /// Ends the reply, and returns the last events and the whole reply. Call it once: the parser is empty afterwards.
    ///
    /// # Errors
    /// If memory is refused, now or before: what was read is still in [`reply`](Self::reply).
    pub fn finish(&mut self) -> Result<(Vec<ReplyEvent>, Reply), OutOfMemory> {
        let events = self.unless_refused(|parser| {
            parser.flush()?;
            parser.end()?;
            parser.out.finish()
        })?;
        Ok((events, std::mem::take(&mut self.out.reply)))
    }

    /// Handles the held characters if nothing follows them: what looked like the beginning of a marker is text.
    pub(super) fn flush(&mut self) -> R<()> {
        loop {
            while let Some((first, _)) = self.held.first() {
                if self.guess.is_none() {
                    self.take_text(first)?;
                }
                self.run()?;
            }
            let Some(guess) = self.guess.take() else { return Ok(()) };
            match guess.finish()? {
                Ok(calls) => {
                    self.out.adopt(calls)?;
                    self.begin_text(At::Content);
                }
                Err(guess) => self.release(guess)?,
            }
        }
    }

    /// Handles the held characters, except for those that may begin a marker.
    fn run(&mut self) -> R<()> {
        while let Some((first, control)) = self.held.first() {
            if let Some(guess) = &mut self.guess {
                if guess.feed(first, control)? {
                    self.drop_held(first.len_utf8());
                } else if let Some(guess) = self.guess.take() {
                    self.release(guess)?;
                }
            } else if let Some(rule) = self.next_rule() {
                if self.held.len() < rule.1.len() {
                    return Ok(());
                }
                self.drop_held(rule.1.len());
                if let Err(fault) = self.follow(rule) {
                    self.fail(fault.reason()?, closes(&rule))?;
                }
            } else {
                self.take_text(first)?;
            }
        }
        Ok(())
    }

    /// Returns the rule whose marker is held, completely or in part.
    fn next_rule(&self) -> Option<Rule> {
        if !self.takes_markers() {
            return None;
        }
        // A call inside of thinking that has no end: see `Guess`.
        let early = self.at == At::Reasoning && self.may_guess();
        let early =
            self.grammar.rules.iter().copied().filter(move |r| early && opens(r) && r.2 != At::Header);
        let mut rules = self.grammar.rules(self.at, self.is_resting()).chain(early);
        rules.find(|rule| self.held.meets(rule.1, self.tokens.of(rule.1)) && self.counts(rule))
    }

    /// Returns whether a marker has its meaning here. Otherwise it is text, such as a sentence about the marker.
    fn counts(&self, rule: &Rule) -> bool {
        let token = || self.tokens.is_whole(rule.1);
        let (answer, answer_end) = self.grammar.answer;
        match (rule.0, rule.2) {
            (At::Content, At::Reasoning) => self.may_think || token(),
            (At::Content, At::Content) if rule.1 == answer => self.out.reply.content.is_empty() || token(),
            (At::Content, At::Content) if rule.1 == answer_end => self.in_answer || token(),
            _ => true,
        }
    }

    fn drop_held(&mut self, bytes: usize) {
        self.held.drop_front(bytes);
        self.replay = self.replay.saturating_sub(bytes);
    }

    /// Takes the first held character as text.
    fn take_text(&mut self, first: char) -> R<()> {
        match self.text(first) {
            Ok(Character::Again) => return Ok(()),
            Ok(Character::Taken) => {}
            Err(fault) => {
                let reason = fault.reason()?;
                self.raw.add_char(first)?;
                self.fail(reason, false)?;
            }
        }
        self.drop_held(first.len_utf8());
        Ok(())
    }

    /// Returns whether the parser is between calls, where only white space and markers are expected.
    pub(super) fn is_resting(&self) -> bool {
        match self.at {
            At::Open | At::List => true,
            At::Objects => self.objects.is_outside(),
            _ => false,
        }
    }

    /// Returns whether markers count here. Inside of a value whose end is known by itself, they are text.
    fn takes_markers(&self) -> bool {
        match self.at {
            At::Json | At::Literals => false,
            At::Objects => self.objects.is_outside(),
            _ => true,
        }
    }

    /// Takes a marker: finishes what the state collected, and begins the next state.
    fn follow(&mut self, rule: Rule) -> Step<()> {
        let (from, marker, to) = rule;
        match self.at {
            At::Failed => {
                if closes(&rule) {
                    self.out.debris(marker)?;
                    self.at = At::Content;
                } else {
                    self.open(marker, to)?;
                }
                return Ok(());
            }
            // The next block begins without the end of the last one.
            at if from == At::Content && !matches!(at, At::Content | At::Reasoning) => {
                if let Err(fault) = self.finish_block() {
                    self.fail(fault.reason()?, true)?;
                }
                return Ok(self.open(marker, to)?);
            }
            _ => {}
        }
        if from == At::Content && self.at == At::Reasoning {
            let guess = Guess::early(self, marker)?;
            self.begin_guess(guess);
            return Ok(());
        }
        if opens(&rule) {
            return Ok(self.open(marker, to)?);
        }
        self.raw.add(marker)?;
        match (from, to) {
            (At::Content | At::Reasoning, _) => {
                self.out.marker();
                self.at = to;
                self.raw.clear();
                self.may_think &= to != At::Reasoning && from != At::Reasoning;
                if !marker.is_empty() && [self.grammar.answer.0, self.grammar.answer.1].contains(&marker) {
                    self.in_answer = marker == self.grammar.answer.0;
                }
                Ok(())
            }
            (At::Header, At::Header) => {
                self.field.add(marker)?;
                Ok(())
            }
            _ => self.advance(from, to),
        }
    }

    /// Takes a marker that begins a block of calls or a header.
    fn open(&mut self, marker: &str, to: At) -> R<()> {
        self.raw = self.out.marker();
        self.raw.add(marker)?;
        self.calls = 0;
        self.bare = false;
        self.draft = Draft::default();
        self.enter(to);
        if to == At::Header { self.field.add(marker) } else { Ok(()) }
    }

    /// Turns the block into content. If `closed`, the text after it is content, not more of the failed block.
    pub(super) fn fail(&mut self, reason: Reason, closed: bool) -> R<()> {
        let text = std::mem::take(&mut self.raw);
        let announced = self.draft.withdraw(&self.out);
        let bare = std::mem::take(&mut self.bare);
        if bare && announced.is_none() {
            // JSON that never looked like a call.
            self.out.verbatim(&text)?;
        } else {
            self.out.malformed(announced, reason, &text)?;
        }
        let more = !closed && !bare && self.grammar.has_ends();
        self.at = if more { At::Failed } else { At::Content };
        Ok(())
    }
}
