//! Writes the rules for blocks of calls, from a format's rules.
//!
//! ```text
//! calls     block (ws block)*
//! block     opener body                       one alternative per marker that begins calls
//! body      Objects     objects end
//!           List        [call, ..] end
//!           Open        (begin call)+ end      where `begin` leads from Open into a call
//!           Name, ..    call (begin call)* end?
//! call      one alternative per tool: name, markers, arguments
//! ```

use super::super::grammar::{At, Rule, closes};
use super::super::schema::Tool;
use super::writer::{Writer, any_of, quote};
use crate::memory::{R, joined, json_text, push, text};

impl Writer<'_> {
    /// Writes the rules `block` and `calls`.
    pub(super) fn calls(&mut self) -> R<()> {
        let mut blocks: Vec<String> = Vec::new();
        for (_, marker, to) in self.openers() {
            let body = self.body(marker, to)?;
            push(&mut blocks, text!("{} {body}", self.marker(marker)?)?)?;
        }
        self.rule("block", &joined(&blocks, " | ")?)?;
        if self.grammar.bare {
            let object = self.object()?;
            self.rule("calls", &text!("block (ws block)* | {object}")?)
        } else {
            self.rule("calls", "block (ws block)*")
        }
    }

    fn body(&mut self, marker: &str, to: At) -> R<String> {
        match to {
            At::Objects => {
                let objects = self.objects(marker)?;
                // A block without a marker has no end marker, and some models leave it out.
                let end = match marker.ends_with('[') || self.grammar.optional_end {
                    true => text!("({})?", self.end(At::Objects)?)?,
                    false => self.end(At::Objects)?,
                };
                match self.begin(At::Objects)? {
                    // Each call has tags of its own.
                    Some(call) => {
                        let tags = self.end(At::Open)?;
                        text!("ws ({objects} {end} | {call} (ws {call})* {tags})")
                    }
                    None => text!("ws {objects} {end}"),
                }
            }
            At::Open => {
                let call = self.begin(At::Open)?.unwrap_or_default();
                text!("ws {call} (ws {call})* {}", self.end(At::Open)?)
            }
            At::List => self.list(),
            _ => {
                let call = self.call(to)?;
                let more = match self.begin(At::Open)? {
                    Some(more) => text!("(ws {more})*")?,
                    None => String::new(),
                };
                let end = self.end(At::Open)?;
                let end = if end.is_empty() { end } else { text!("({end})?")? };
                // If the end of the call also ends the block, nothing follows in it.
                let rest = if self.ends_in_content() { String::new() } else { text!("{more} {end}")? };
                match self.grammar.objects_for_name {
                    true => text!("ws ({} | {call} {rest})", self.objects(marker)?),
                    false => text!("{call} {rest}"),
                }
            }
        }
    }

    /// Returns the markers that end a block.
    fn end(&self, from: At) -> R<String> {
        let ends = self.grammar.rules.iter().filter(|rule| rule.0 == from && closes(rule));
        let ends: Vec<String> = ends.map(|rule| self.marker(rule.1)).collect::<R<_>>()?;
        if ends.is_empty() { Ok(String::new()) } else { text!("ws {}", any_of(&ends)?) }
    }

    /// Returns whether the marker that ends a call's parameters also ends the block.
    fn ends_in_content(&self) -> bool {
        self.rules_from(At::Params).any(|rule| rule.2 == At::Content)
    }

    fn rules_from(&self, from: At) -> impl Iterator<Item = Rule> + use<> {
        self.grammar.rules.iter().copied().filter(move |rule| rule.0 == from)
    }

    /// Writes a call with the marker that begins it in state `from`.
    fn begin(&mut self, from: At) -> R<Option<String>> {
        let leads = |to| matches!(to, At::Name | At::Id | At::Skip);
        let Some((_, marker, to)) = self.rules_from(from).find(|rule| leads(rule.2)) else { return Ok(None) };
        let call = self.call(to)?;
        text!("{} {call}", self.marker(marker)?).map(Some)
    }

    /// Writes a call of any tool, starting in state `from`.
    fn call(&mut self, from: At) -> R<String> {
        let name = format!("call-{}", format!("{from:?}").to_lowercase());
        if !self.has_rule(&name) {
            let mut all = Vec::new();
            for (i, tool) in self.tools() {
                push(&mut all, self.from(from, i, tool)?)?;
            }
            self.rule(&name, &joined(&all, " | ")?)?;
        }
        Ok(name)
    }

    /// Writes the call of a tool, starting in a state.
    fn from(&mut self, at: At, i: usize, tool: &Tool<'_>) -> R<String> {
        let next = self.rules_from(at).next();
        match at {
            At::Skip => self.go_on(&quote("function")?, next, i, tool),
            At::Id => self.go_on("[a-zA-Z0-9_-]{0,64}", next, i, tool),
            At::Name => {
                let name = quote(&tool.name)?;
                let name = match self.has_numbered_names() {
                    true => text!("\"functions.\" {name} \":\" [0-9]{{1,4}} ws")?,
                    false => text!("{name} ws")?,
                };
                if self.grammar.rules.iter().any(|rule| rule.0 == At::Params) {
                    return text!("{name} {}", self.parameters(i, tool)?);
                }
                // The marker of the arguments. A marker with an id may come before it.
                let next = self.rules_from(At::Name).find(|rule| matches!(rule.2, At::Json | At::Literals));
                let id = match self.rules_from(At::Name).find(|rule| rule.2 == At::Id) {
                    Some((_, marker, _)) => text!("({} [a-zA-Z0-9_-]{{0,64}})?", self.marker(marker)?)?,
                    None => String::new(),
                };
                self.go_on(&text!("{name} {id}")?, next, i, tool)
            }
            At::Json => {
                let arguments = self.arguments(tool)?;
                let ends = self.rules_from(At::Open).filter(|rule| rule.2 == At::Open);
                let ends: String =
                    ends.map(|rule| text!(" ws {}", self.marker(rule.1)?)).collect::<R<_>>()?;
                text!("ws {arguments}{ends}")
            }
            At::Literals => self.literals(i, tool),
            _ => Ok(String::new()),
        }
    }

    fn go_on(&mut self, words: &str, next: Option<Rule>, i: usize, tool: &Tool<'_>) -> R<String> {
        let Some((_, marker, to)) = next else { return text!("{words}") };
        let rest = self.from(to, i, tool)?;
        text!("{words} {} {rest}", self.marker(marker)?)
    }

    /// Writes calls in brackets, or one per line.
    fn list(&mut self) -> R<String> {
        let call = self.call(At::Name)?;
        let end = self.end(At::Open)?;
        match self.grammar.lines {
            true => text!("ws {call} (ws {call})* {end}"),
            false => text!("ws \"[\" ws {call} (ws \",\" ws {call})* ws \"]\" {end}"),
        }
    }

    /// Writes objects, in an array or one after another.
    fn objects(&mut self, marker: &str) -> R<String> {
        let object = self.object()?;
        if marker.ends_with('[') && !self.grammar.objects_for_name {
            return text!("{object} (ws \",\" ws {object})* ws \"]\"");
        }
        text!("(\"[\" ws {object} (ws \",\" ws {object})* ws \"]\" | {object} (ws {object})*)")
    }

    /// Writes an object with name and arguments.
    fn object(&mut self) -> R<&'static str> {
        if self.has_rule("object") {
            return Ok("object");
        }
        let mut all = Vec::new();
        for (_, tool) in self.tools() {
            let arguments = self.arguments(tool)?;
            let name = quote(&json_text(&*tool.name)?)?;
            let one = match self.grammar.keyed {
                true => text!("\"{{\" ws {name} ws \":\" ws {arguments} ws \"}}\"")?,
                false => text!(
                    "\"{{\" ws before (name {name} ws \",\" ws arguments {arguments} | arguments {arguments} ws \",\" ws name {name}) after ws \"}}\""
                )?,
            };
            push(&mut all, one)?;
        }
        if !self.grammar.keyed {
            let id = "(\"\\\"\" [a-zA-Z0-9_.:-]{0,64} \"\\\"\" | [0-9]{1,9})";
            let ids = "(\"\\\"id\\\"\" | \"\\\"tool_call_id\\\"\") ws \":\" ws";
            self.rule("name", "(\"\\\"name\\\"\" | \"\\\"tool_name\\\"\") ws \":\" ws")?;
            self.rule("arguments", "(\"\\\"arguments\\\"\" | \"\\\"parameters\\\"\") ws \":\" ws")?;
            self.rule(
                "before",
                &text!("(\"\\\"type\\\"\" ws \":\" ws \"\\\"function\\\"\" ws \",\" ws)? ({ids} {id} ws \",\" ws)?")?,
            )?;
            self.rule("after", &text!("(ws \",\" ws {ids} {id})?")?)?;
        }
        self.rule("object", &joined(&all, " | ")?)?;
        Ok("object")
    }
}
