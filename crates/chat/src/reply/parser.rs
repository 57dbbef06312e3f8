//! The machine that follows a format's rules.
//!
//! ```text
//! for each character:  held += character
//!   while held is not empty:
//!     a marker of the state?             take it and go where its rule leads
//!     the beginning of one?              wait for the next character
//!     else                               the first held character is text of the state
//! a call that fails:                     everything since its block began is content, with the reason;
//!                                        what follows too, until a marker begins or ends a block
//! ```

use serde_json::Value as Json;

use super::grammar::{At, Grammar, Rule, closes, opens};
use super::literals::Literals;
use super::objects::Objects;
use super::output::{Draft, Output};
use super::scan::Scan;
use super::schema::Schema;
use super::{Reply, ReplyEvent, ReplyFormat};

/// Takes a reply apart while it is being generated.
///
/// ```
/// use happy_chat::{ReplyFormat, ReplyParser};
/// let mut parser = ReplyParser::new(ReplyFormat::Hermes);
/// parser.push("<think>Hm.</think>Let me see.\n<tool_call>{\"name\": \"now\", \"argu");
/// parser.push("ments\": {\"zone\": \"UTC\"}}</tool_call>");
/// let (_, reply) = parser.finish();
/// assert_eq!((reply.reasoning.as_str(), reply.content.as_str()), ("Hm.", "Let me see."));
/// assert_eq!((reply.tool_calls[0].name.as_str(), &reply.tool_calls[0].arguments["zone"]), ("now", &"UTC".into()));
/// ```
#[derive(Debug)]
pub struct ReplyParser {
    pub(super) grammar: &'static Grammar,
    pub(super) at: At,
    /// Characters that may begin a marker.
    held: String,
    /// Everything since the block or its last complete call, to give it back.
    pub(super) raw: String,
    /// The words that are being collected: a header, id, name, key or value.
    pub(super) field: String,
    /// Calls that this block had so far.
    pub(super) calls: usize,
    /// Whether the block began without a marker.
    pub(super) bare: bool,
    pub(super) may_be_bare: bool,
    pub(super) draft: Draft,
    pub(super) objects: Objects,
    pub(super) json: Scan,
    pub(super) literals: Literals,
    pub(super) schema: Schema,
    pub(super) out: Output,
}

/// What happened to a character of text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Text {
    Taken,
    /// The state has changed, and the character belongs to the new one.
    Again,
}

impl ReplyParser {
    /// A parser for replies in a format.
    pub fn new(format: ReplyFormat) -> Self {
        let grammar = format.grammar();
        ReplyParser {
            grammar,
            at: At::Content,
            held: String::new(),
            raw: String::new(),
            field: String::new(),
            calls: 0,
            bare: false,
            may_be_bare: grammar.bare,
            draft: Draft::default(),
            objects: Objects::default(),
            json: Scan::new(super::grammar::Notation::JSON),
            literals: Literals::new(grammar.notation),
            schema: Schema::default(),
            out: Output::default(),
        }
    }

    /// Uses the tools' schemas, as templates take them, to tell strings from other values where the notation does not.
    /// Without tools, a reply that is nothing but a JSON object stays content.
    #[must_use]
    pub fn with_tools(mut self, tools: &[Json]) -> Self {
        self.schema = Schema::new(tools);
        self.may_be_bare = self.grammar.bare && !tools.is_empty();
        self
    }

    /// Begins where the prompt ends: templates may open the thinking, or begin a message.
    #[must_use]
    pub fn after_prompt(mut self, prompt: &str) -> Self {
        let (open, _) = self.grammar.think;
        if !open.is_empty() && prompt.trim_end().ends_with(open) {
            self.out.marker();
            self.at = At::Reasoning;
            return self;
        }
        // A message that the prompt began, in formats of messages.
        let start = self.grammar.rules.iter().find(|rule| rule.2 == At::Header).map(|rule| rule.1);
        let begun = start.and_then(|start| prompt.get(prompt.rfind(start)?..)).unwrap_or_default();
        if begun.is_empty() {
            return self;
        }
        for c in begun.chars() {
            self.held.push(c);
            self.run();
        }
        // The prompt's words are not the reply's.
        self.raw.clear();
        self.out = Output::default();
        self.out.marker();
        self
    }

    /// Takes the next piece of the reply and returns what is known now that was not known before.
    pub fn push(&mut self, text: &str) -> Vec<ReplyEvent> {
        for c in text.chars() {
            self.held.push(c);
            self.run();
        }
        std::mem::take(&mut self.out.events)
    }

    /// The reply so far: what is still held back is missing.
    pub fn reply(&self) -> &Reply {
        &self.out.reply
    }

    /// The reply is over: returns the last events and the reply as a whole.
    pub fn finish(mut self) -> (Vec<ReplyEvent>, Reply) {
        // What looked like the beginning of a marker is none.
        while let Some(first) = self.held.chars().next() {
            self.take_text(first);
            self.run();
        }
        self.end();
        self.out.finish();
        (std::mem::take(&mut self.out.events), self.out.reply)
    }

    /// Deals with what is held, but for what may begin a marker.
    fn run(&mut self) {
        while let Some(first) = self.held.chars().next() {
            let resting = self.is_resting();
            let at = self.at;
            let mut rules = self.grammar.rules(at, resting).filter(|_| self.takes_markers());
            let held = self.held.as_str();
            if let Some(rule) = rules.find(|rule| held.starts_with(rule.1) || rule.1.starts_with(held)) {
                if held.len() < rule.1.len() {
                    return;
                }
                self.held.drain(..rule.1.len());
                if let Err(reason) = self.follow(rule) {
                    self.fail(reason, closes(&rule));
                }
            } else {
                self.take_text(first);
            }
        }
    }

    /// Takes the first held character as text.
    fn take_text(&mut self, first: char) {
        match self.text(first) {
            Ok(Text::Again) => return,
            Ok(Text::Taken) => {}
            Err(reason) => {
                self.raw.push(first);
                self.fail(reason, false);
            }
        }
        self.held.drain(..first.len_utf8());
    }

    /// Between calls, where only white space and markers stand.
    fn is_resting(&self) -> bool {
        match self.at {
            At::Open | At::List => true,
            At::Objects => self.objects.is_outside(),
            _ => false,
        }
    }

    /// Values end by themselves: what looks like a marker inside of them is none.
    fn takes_markers(&self) -> bool {
        match self.at {
            At::Json | At::Literals => false,
            At::Objects => self.objects.is_outside(),
            _ => true,
        }
    }

    /// A marker: finishes what its state collected, and begins the next.
    fn follow(&mut self, rule: Rule) -> Result<(), String> {
        let (from, marker, to) = rule;
        match self.at {
            At::Failed => {
                if closes(&rule) {
                    self.out.debris(marker);
                    self.at = At::Content;
                } else {
                    self.open(marker, to);
                }
                return Ok(());
            }
            // The next block, without the end of the last one.
            at if from == At::Content && at != At::Content => {
                let early = self.finish_block();
                if let Err(reason) = early {
                    self.fail(reason, true);
                }
                self.open(marker, to);
                return Ok(());
            }
            _ => {}
        }
        if opens(&rule) {
            self.open(marker, to);
            return Ok(());
        }
        self.raw.push_str(marker);
        match (from, to) {
            (At::Content | At::Reasoning, _) => {
                self.out.marker();
                self.at = to;
                self.raw.clear();
                Ok(())
            }
            (At::Header, At::Header) => {
                self.field.push_str(marker);
                Ok(())
            }
            _ => self.advance(from, to),
        }
    }

    /// A marker that begins a block of calls, or a header.
    fn open(&mut self, marker: &str, to: At) {
        self.raw = self.out.marker() + marker;
        self.calls = 0;
        self.bare = false;
        self.draft = Draft::default();
        self.enter(to);
        if to == At::Header {
            self.field.push_str(marker);
        }
    }

    /// Gives the block back as content. `closed`: what comes next is content, not more of the block.
    pub(super) fn fail(&mut self, reason: String, closed: bool) {
        let text = std::mem::take(&mut self.raw);
        let announced = self.draft.withdraw(&self.out);
        let bare = std::mem::take(&mut self.bare);
        if bare && announced.is_none() {
            // JSON that never looked like a call.
            self.out.verbatim(&text);
        } else {
            self.out.malformed(announced, reason, &text);
        }
        let more = !closed && !bare && self.grammar.has_ends();
        self.at = if more { At::Failed } else { At::Content };
    }
}
