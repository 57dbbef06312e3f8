//! Text and changes of state inside of a block of calls.

use super::fault::{Step, fault};
use super::grammar::{At, Heading, Notation};
use super::guess::Guess;
use super::literals::{Literals, Piece};
use super::objects::{Objects, Taken};
use super::output::Draft;
use super::parser::{Character, ReplyParser};
use super::scan::{Extent, Scan};
use super::schema;
use crate::memory::{R, copied, json_text};

impl ReplyParser {
    /// Takes a character of text.
    ///
    /// # Errors
    /// If the block is not a proper call, with the reason. The character was not taken.
    pub(super) fn text(&mut self, c: char) -> Step<Character> {
        match self.at {
            At::Content if self.begins_bare(c) => {
                self.open_bare();
                return Ok(Character::Again);
            }
            At::Content
                if self.begins_loose(c)
                    && let Some(guess) = Guess::loose(self, c)? =>
            {
                self.begin_guess(guess);
            }
            At::Content => {
                self.may_think &= c.is_whitespace();
                self.out.content(c)?;
            }
            At::Reasoning => self.out.reasoning(c)?,
            At::Failed => self.out.debris(c.encode_utf8(&mut [0; 4]))?,
            At::Name if matches!(c, '[' | '{') && self.may_be_objects() => {
                self.enter(At::Objects);
                return Ok(Character::Again);
            }
            At::List if c == '{' && self.grammar.objects_for_name => {
                self.enter(At::Objects);
                return Ok(Character::Again);
            }
            At::Open if !c.is_whitespace() && c != ';' && self.grammar.lines => {
                self.enter(At::Name);
                return Ok(Character::Again);
            }
            // Models write too many closing braces.
            At::Open if c == '}' && self.calls > 0 && !self.json.text().is_empty() => {
                self.raw.add_char(c)?;
            }
            At::List if !c.is_whitespace() => {
                self.enter(At::Name);
                return Ok(Character::Again);
            }
            At::Open | At::Params if !c.is_whitespace() => return self.foreign(c),
            At::Objects => {
                let taken = self.objects.feed(c, &mut self.draft, &mut self.out)?;
                if self.bare && self.schema.has_tools() {
                    self.check_declared()?;
                }
                match taken {
                    Taken::No => return self.foreign(c),
                    Taken::Yes => self.raw.add_char(c)?,
                    Taken::End => self.end_object()?,
                    Taken::Before => {
                        self.end_object()?;
                        return Ok(Character::Again);
                    }
                }
                return Ok(Character::Taken);
            }
            At::Json => return self.json(c),
            At::Literals => return self.literal(c),
            At::Name => {
                let words = self.field.trim_start();
                if !c.is_whitespace() && words.ends_with(char::is_whitespace) {
                    return Err(fault!("a tool's name has white space: `{words}{c}`"));
                }
                self.field.add_char(c)?;
                self.raw.add_char(c)?;
            }
            _ => {
                self.field.add_char(c)?;
                self.raw.add_char(c)?;
            }
        }
        Ok(Character::Taken)
    }

    /// Returns whether `c` begins a reply that is a call without any marker.
    fn begins_bare(&self, c: char) -> bool {
        let reply = &self.out.reply;
        self.may_be_bare && c == '{' && reply.content.is_empty() && reply.tool_calls.is_empty()
    }

    /// Returns whether `c` may begin a call outside of the format's notation.
    fn begins_loose(&self, c: char) -> bool {
        let reply = &self.out.reply;
        let first = reply.content.is_empty() && Guess::may_begin(c);
        let last = c == '{' && self.out.begins_line();
        (first || last) && reply.tool_calls.is_empty() && reply.malformed.is_empty() && self.may_guess()
    }

    /// Checks that a call without a marker names a declared tool.
    fn check_declared(&self) -> Step<()> {
        match &self.draft.name {
            Some(name) if !self.schema.is_declared(name) => Err(fault!("unknown tool `{name}`")),
            _ => Ok(()),
        }
    }

    fn open_bare(&mut self) {
        self.raw = self.out.marker();
        self.calls = 0;
        self.enter(At::Objects);
        self.bare = true;
    }

    fn may_be_objects(&self) -> bool {
        self.grammar.objects_for_name && self.field.trim().is_empty()
    }

    /// Handles text where only markers are expected. After a call, it is content.
    fn foreign(&mut self, c: char) -> Step<Character> {
        if self.calls == 0 || self.at == At::Params {
            return Err(fault!("expected a call, found `{c}`"));
        }
        self.leave_block();
        Ok(Character::Again)
    }

    /// Handles the last character of an object.
    fn end_object(&mut self) -> Step<()> {
        if self.bare && !self.objects.has_arguments {
            return Err("the object has no arguments".into());
        }
        self.finish_call()
    }

    fn json(&mut self, c: char) -> Step<Character> {
        if self.json.text().is_empty() && c.is_whitespace() {
            self.raw.add_char(c)?;
            return Ok(Character::Taken);
        }
        if self.json.text().is_empty() && !matches!(c, '{' | '"') {
            return Err(fault!("expected the arguments as a JSON object, found `{c}`"));
        }
        let before = self.json.text().len();
        let extent = self.json.feed(c)?;
        self.raw.add_char(c)?;
        let quoted = self.json.text().starts_with('"');
        if !quoted {
            self.draft.arguments(self.json.text().get(before..).unwrap_or_default(), &mut self.out)?;
        }
        if extent == Extent::Last {
            // The character was taken: it is part of the call, even if something is wrong with the call.
            let finished = match quoted {
                true => self.draft.quoted_arguments(self.json.text(), &mut self.out),
                false => Ok(()),
            };
            let finished = finished.and_then(|()| self.finish_call());
            self.settle(finished)?;
        }
        Ok(Character::Taken)
    }

    fn literal(&mut self, c: char) -> Step<Character> {
        let piece = self.literals.feed(c)?;
        self.raw.add_char(c)?;
        match piece {
            Piece::None => {}
            Piece::Member(key, value) => self.member(&key, &value)?,
            Piece::End(last) => {
                if let Some((key, value)) = last {
                    self.member(&key, &value)?;
                }
                self.close_members()?;
                let finished = self.finish_call();
                self.settle(finished)?;
            }
        }
        Ok(Character::Taken)
    }

    /// Continues after complete arguments, or fails.
    fn settle(&mut self, finished: Step<()>) -> R<()> {
        match finished {
            Ok(()) => self.enter(At::Open),
            Err(fault) => self.fail(fault.reason()?, false)?,
        }
        Ok(())
    }

    fn member(&mut self, key: &str, value: &str) -> R<()> {
        let text = schema::member(self.draft.has_no_arguments(), key, value)?;
        self.draft.arguments(&text, &mut self.out)
    }

    fn close_members(&mut self) -> R<()> {
        let text = if self.draft.has_no_arguments() { "{}" } else { "}" };
        self.draft.arguments(text, &mut self.out)
    }

    /// Begins a state.
    pub(super) fn enter(&mut self, to: At) {
        self.field.clear();
        match to {
            At::Objects => self.objects = Objects::new(self.grammar.keyed, self.guessed && self.bare),
            At::Json => self.json = Scan::new(Notation::JSON),
            At::Literals => self.literals = Literals::new(self.grammar.notation),
            _ => {}
        }
        self.at = to;
    }

    /// Goes from one state of a block to the next.
    pub(super) fn advance(&mut self, from: At, to: At) -> Step<()> {
        let field = std::mem::take(&mut self.field);
        match (from, to) {
            (At::Header, At::Content | At::Reasoning) => {
                self.begin_text(to);
                return Ok(());
            }
            // A value in quotes: nothing may come before the quotes.
            (At::Typed, At::Plain) if field.trim().is_empty() => {
                self.enter(to);
                return Ok(());
            }
            (At::Typed, At::Plain) => return Err(fault!("a value begins twice: `{}`", field.trim())),
            _ => {}
        }
        match from {
            At::Id => self.draft.set_id(&field)?,
            At::Name => {
                let (name, id) = (self.grammar.name)(field.trim());
                self.draft.set_name(name)?;
                if let Some(id) = id {
                    self.draft.set_id(id)?;
                }
            }
            At::Key => self.draft.key = Some(copied(field.trim())?),
            At::Typed | At::Plain => self.parameter(from, &field)?,
            _ => {}
        }
        if to == At::Message {
            return self.begin_message(&field);
        }
        // A call in tags ends with its parameters.
        if matches!(to, At::Open | At::Content) && matches!(from, At::Name | At::Params) {
            self.close_members()?;
            self.finish_call()?;
        }
        if to == At::Content {
            return self.finish_block();
        }
        self.enter(to);
        Ok(())
    }

    /// Handles the end of a parameter's value. Line feeds next to the tags are not part of it.
    fn parameter(&mut self, from: At, text: &str) -> Step<()> {
        let key = self.draft.key.take().ok_or("a value has no name")?;
        let text = text.strip_prefix('\n').unwrap_or(text);
        let text = text.strip_suffix('\n').unwrap_or(text);
        let tool = self.draft.name.as_deref().unwrap_or_default();
        let value = match from {
            At::Plain => json_text(text)?,
            _ => self.schema.value(tool, &key, text)?,
        };
        Ok(self.member(&key, &value)?)
    }

    /// Begins the message that a header announces.
    fn begin_message(&mut self, header: &str) -> Step<()> {
        match (self.grammar.heading)(header.trim()) {
            Heading::Call(name) => {
                self.draft.set_name(name)?;
                self.enter(At::Json);
            }
            Heading::Object => self.enter(At::Objects),
            Heading::Reasoning => self.begin_text(At::Reasoning),
            Heading::Content => self.begin_text(At::Content),
        }
        Ok(())
    }

    pub(super) fn begin_text(&mut self, at: At) {
        self.raw.clear();
        self.enter(at);
    }

    /// Completes a call.
    fn finish_call(&mut self) -> Step<()> {
        self.draft.finish(&mut self.out)?;
        self.calls += 1;
        self.raw.clear();
        Ok(())
    }

    /// Completes a block.
    pub(super) fn finish_block(&mut self) -> Step<()> {
        if self.calls == 0 {
            return Err("the block holds no call".into());
        }
        self.leave_block();
        Ok(())
    }

    fn leave_block(&mut self) {
        self.raw.clear();
        self.draft = Draft::default();
        self.bare = false;
        self.may_think = true;
        self.enter(At::Content);
    }

    /// Handles the end of the reply. A block that lacks only its end marker is complete.
    pub(super) fn end(&mut self) -> R<()> {
        let done = match self.at {
            At::Content | At::Reasoning | At::Failed => return Ok(()),
            At::Open | At::List => self.finish_block(),
            At::Objects if self.objects.is_outside() => self.finish_block(),
            At::Objects if self.objects.is_whole(&self.draft) => {
                self.end_object().and_then(|()| self.finish_block())
            }
            // A marker that ends one message and begins the next also ends replies.
            At::Header if self.grammar.rules.iter().any(|rule| rule.1 == self.field.trim()) => {
                self.begin_text(At::Content);
                return Ok(());
            }
            At::Header => Err("the reply ends in the header of a message".into()),
            _ => Err("the reply ends inside of a call".into()),
        };
        match done {
            Ok(()) => Ok(()),
            Err(fault) => self.fail(fault.reason()?, true),
        }
    }
}
