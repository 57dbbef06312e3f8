//! Blocks of calls, from a format's rules.
//!
//! ```text
//! calls     block (ws block)*
//! block     opener body                       one alternative for each marker that begins calls
//! body      Objects     objects end
//!           List        [call, ..] end
//!           Open        (begin call)+ end      where `begin` leads from Open into a call
//!           Name, ..    call (begin call)* end?
//! call      from its first state on, tool by tool: name, markers, arguments
//! ```

use super::super::grammar::{At, Rule, closes};
use super::super::schema::Tool;
use super::writer::{Writer, any_of, quote};

impl Writer<'_> {
    /// Writes the rules `block` and `calls`.
    pub(super) fn calls(&mut self) {
        let mut blocks: Vec<String> = Vec::new();
        for (_, marker, to) in self.openers() {
            let body = self.body(marker, to);
            blocks.push(format!("{} {body}", self.marker(marker)));
        }
        self.rule("block", &blocks.join(" | "));
        if self.grammar.bare {
            let object = self.object();
            self.rule("calls", &format!("block (ws block)* | {object}"));
        } else {
            self.rule("calls", "block (ws block)*");
        }
    }

    fn body(&mut self, marker: &str, to: At) -> String {
        match to {
            At::Objects => {
                let objects = self.objects(marker);
                // A block that no marker opens has none that ends it; some models leave it out.
                let end = match marker.ends_with('[') || self.grammar.optional_end {
                    true => format!("({})?", self.end(At::Objects)),
                    false => self.end(At::Objects),
                };
                match self.begin(At::Objects) {
                    // Calls in tags of their own.
                    Some(call) => {
                        let tags = self.end(At::Open);
                        format!("ws ({objects} {end} | {call} (ws {call})* {tags})")
                    }
                    None => format!("ws {objects} {end}"),
                }
            }
            At::Open => {
                let call = self.begin(At::Open).unwrap_or_default();
                format!("ws {call} (ws {call})* {}", self.end(At::Open))
            }
            At::List => self.list(),
            _ => {
                let call = self.call(to);
                let more = self.begin(At::Open).map_or(String::new(), |more| format!("(ws {more})*"));
                let end = self.end(At::Open);
                let end = if end.is_empty() { end } else { format!("({end})?") };
                // Where the call's end is the block's, nothing more belongs to it.
                let rest = if self.ends_in_content() { String::new() } else { format!("{more} {end}") };
                match self.grammar.objects_for_name {
                    true => format!("ws ({} | {call} {rest})", self.objects(marker)),
                    false => format!("{call} {rest}"),
                }
            }
        }
    }

    /// The marks that end a block.
    fn end(&self, from: At) -> String {
        let ends = self.grammar.rules.iter().filter(|rule| rule.0 == from && closes(rule));
        let ends: Vec<String> = ends.map(|rule| self.marker(rule.1)).collect();
        if ends.is_empty() { String::new() } else { format!("ws {}", any_of(&ends)) }
    }

    /// Whether the mark that ends a call's parameters ends the block too.
    fn ends_in_content(&self) -> bool {
        self.rules_from(At::Params).any(|rule| rule.2 == At::Content)
    }

    fn rules_from(&self, from: At) -> impl Iterator<Item = Rule> + use<> {
        self.grammar.rules.iter().copied().filter(move |rule| rule.0 == from)
    }

    /// A call with the marker that begins it in `from`.
    fn begin(&mut self, from: At) -> Option<String> {
        let leads = |to| matches!(to, At::Name | At::Id | At::Skip);
        let (_, marker, to) = self.rules_from(from).find(|rule| leads(rule.2))?;
        let call = self.call(to);
        Some(format!("{} {call}", self.marker(marker)))
    }

    /// A call of any tool from the state on in which it begins.
    fn call(&mut self, from: At) -> String {
        let name = format!("call-{}", format!("{from:?}").to_lowercase());
        if !self.has_rule(&name) {
            let mut all = Vec::new();
            for (i, tool) in self.tools() {
                all.push(self.from(from, i, tool));
            }
            self.rule(&name, &all.join(" | "));
        }
        name
    }

    /// The call of a tool from a state on.
    fn from(&mut self, at: At, i: usize, tool: &Tool) -> String {
        let next = self.rules_from(at).next();
        match at {
            At::Skip => self.go_on(&quote("function"), next, i, tool),
            At::Id => self.go_on("[a-zA-Z0-9_-]{0,64}", next, i, tool),
            At::Name => {
                let name = quote(&tool.name);
                let name = match self.has_numbered_names() {
                    true => format!("\"functions.\" {name} \":\" [0-9]{{1,4}} ws"),
                    false => format!("{name} ws"),
                };
                if self.grammar.rules.iter().any(|rule| rule.0 == At::Params) {
                    return format!("{name} {}", self.parameters(i, tool));
                }
                // The arguments' own marker; one for an id may stand before it.
                let next = self.rules_from(At::Name).find(|rule| matches!(rule.2, At::Json | At::Literals));
                let id = self.rules_from(At::Name).find(|rule| rule.2 == At::Id);
                let id = id.map_or(String::new(), |(_, marker, _)| {
                    format!("({} [a-zA-Z0-9_-]{{0,64}})?", self.marker(marker))
                });
                self.go_on(&format!("{name} {id}"), next, i, tool)
            }
            At::Json => {
                let arguments = self.arguments(tool);
                let ends = self.rules_from(At::Open).filter(|rule| rule.2 == At::Open);
                let ends: String = ends.map(|rule| format!(" ws {}", self.marker(rule.1))).collect();
                format!("ws {arguments}{ends}")
            }
            At::Literals => self.literals(i, tool),
            _ => String::new(),
        }
    }

    fn go_on(&mut self, words: &str, next: Option<Rule>, i: usize, tool: &Tool) -> String {
        let Some((_, marker, to)) = next else { return words.to_owned() };
        let rest = self.from(to, i, tool);
        format!("{words} {} {rest}", self.marker(marker))
    }

    /// Calls in brackets, or one on each line.
    fn list(&mut self) -> String {
        let call = self.call(At::Name);
        let end = self.end(At::Open);
        match self.grammar.lines {
            true => format!("ws {call} (ws {call})* {end}"),
            false => format!("ws \"[\" ws {call} (ws \",\" ws {call})* ws \"]\" {end}"),
        }
    }

    /// Objects in an array or after one another.
    fn objects(&mut self, marker: &str) -> String {
        let object = self.object();
        if marker.ends_with('[') && !self.grammar.objects_for_name {
            return format!("{object} (ws \",\" ws {object})* ws \"]\"");
        }
        format!("(\"[\" ws {object} (ws \",\" ws {object})* ws \"]\" | {object} (ws {object})*)")
    }

    /// An object with name and arguments.
    fn object(&mut self) -> String {
        if self.has_rule("object") {
            return "object".to_owned();
        }
        let mut all = Vec::new();
        for (_, tool) in self.tools() {
            let arguments = self.arguments(tool);
            let name = quote(&serde_json::Value::from(tool.name.as_str()).to_string());
            all.push(match self.grammar.keyed {
                true => format!("\"{{\" ws {name} ws \":\" ws {arguments} ws \"}}\""),
                false => {
                    format!("\"{{\" ws before (name {name} ws \",\" ws arguments {arguments} | arguments {arguments} ws \",\" ws name {name}) after ws \"}}\"")
                }
            });
        }
        if !self.grammar.keyed {
            let id = "(\"\\\"\" [a-zA-Z0-9_.:-]{0,64} \"\\\"\" | [0-9]{1,9})";
            let ids = "(\"\\\"id\\\"\" | \"\\\"tool_call_id\\\"\") ws \":\" ws";
            self.rule("name", "(\"\\\"name\\\"\" | \"\\\"tool_name\\\"\") ws \":\" ws");
            self.rule("arguments", "(\"\\\"arguments\\\"\" | \"\\\"parameters\\\"\") ws \":\" ws");
            self.rule(
                "before",
                &format!("(\"\\\"type\\\"\" ws \":\" ws \"\\\"function\\\"\" ws \",\" ws)? ({ids} {id} ws \",\" ws)?"),
            );
            self.rule("after", &format!("(ws \",\" ws {ids} {id})?"));
        }
        self.rule("object", &all.join(" | "));
        "object".to_owned()
    }
}
