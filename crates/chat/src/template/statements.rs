//! Statements of a template, compiled as they are read.

use super::lexer::Tok;
use super::parser::{Jumps, P, Parser, add};
use super::program::{MacroCode, Op};
use super::text::Text;
use super::value::Value;

/// The target of `set` and `for`.
enum Target {
    Name(u32),
    Attribute(u32, u32),
    Tuple(Vec<Target>),
}

impl<'s> Parser<'s> {
    /// Appends a jump back to `to`.
    fn jump_back(&mut self, to: usize) {
        let jump = self.emit(Op::Jump(0));
        self.land_at(jump, to);
    }

    /// Reads text, outputs and tags up to a tag that starts with one of `ends`. Takes that word and returns it.
    pub(super) fn body(&mut self, ends: &[&str]) -> P<&'s str> {
        loop {
            match self.peek() {
                Tok::Data(text) => {
                    let text = *text;
                    let text = Value::Str(self.text(text));
                    let constant = self.constant(text);
                    self.emit(Op::Data(constant));
                    self.next();
                }
                Tok::OutputBegin => {
                    self.next();
                    self.tuple(&[], true)?;
                    self.emit(Op::Write);
                    match self.next() {
                        Tok::OutputEnd => {}
                        _ => {
                            self.at -= 1;
                            return self.unexpected("`}}`");
                        }
                    }
                }
                Tok::BlockBegin => {
                    self.next();
                    let word = self.expect_name("the name of a tag")?;
                    if ends.contains(&word) {
                        return Ok(word);
                    }
                    self.nested(|parser| parser.statement(word, ends))?;
                }
                Tok::End if ends.is_empty() => return Ok(""),
                _ => {
                    let ends: Vec<_> = ends.iter().map(|end| format!("`{{% {end} %}}`")).collect();
                    return self.unexpected(&ends.join(" or "));
                }
            }
        }
    }

    fn end_tag(&mut self) -> P<()> {
        match self.peek() {
            Tok::BlockEnd => {
                self.next();
                Ok(())
            }
            _ => self.unexpected("`%}`"),
        }
    }

    /// Reads the end of a tag that has a body (a colon may precede it) and the body, with the word that ends it.
    fn block(&mut self, ends: &[&str]) -> P<&'s str> {
        self.skip_op(":");
        self.end_tag()?;
        self.body(ends)
    }

    fn statement(&mut self, word: &'s str, ends: &[&str]) -> P<()> {
        match word {
            "if" => return self.conditional(),
            "for" => self.iteration()?,
            "set" => self.assignment()?,
            "macro" => self.macro_tag()?,
            "call" => self.call_block()?,
            "filter" => self.filter_block()?,
            "with" => self.with_block()?,
            "block" => self.block_tag()?,
            "generation" => self.scope("endgeneration")?,
            "autoescape" => {
                self.expression()?;
                self.emit(Op::Pop);
                self.scope("endautoescape")?;
            }
            "print" => {
                self.expression()?;
                self.emit(Op::Write);
                while self.skip_op(",") {
                    self.expression()?;
                    self.emit(Op::Write);
                }
            }
            "do" => {
                self.tuple(&[], true)?;
                self.emit(Op::Pop);
            }
            "break" | "continue" => self.jump_out(word)?,
            "include" | "import" | "from" | "extends" => {
                return self.error(format!("`{word}` is not supported: a chat template is one text"));
            }
            _ => {
                self.at -= 1;
                let expected = match ends {
                    [] => "a tag that Jinja2 knows".to_owned(),
                    ends => ends.iter().map(|end| format!("`{end}`")).collect::<Vec<_>>().join(" or "),
                };
                return self.error(format!("unknown tag `{word}`, expected {expected}"));
            }
        }
        self.end_tag()
    }

    /// Reads a body in a scope of its own.
    fn scope(&mut self, end: &str) -> P<()> {
        self.emit(Op::PushScope);
        self.block(&[end])?;
        self.emit(Op::PopScope);
        Ok(())
    }

    fn conditional(&mut self) -> P<()> {
        let mut to_end = Vec::new();
        loop {
            self.tuple(&[], false)?;
            let skip = self.emit(Op::Unless(0));
            let word = self.block(&["elif", "else", "endif"])?;
            if word != "endif" {
                to_end.push(self.emit(Op::Jump(0)));
            }
            self.land(skip);
            match word {
                "elif" => {}
                "else" => {
                    self.block(&["endif"])?;
                    break;
                }
                _ => break,
            }
        }
        for jump in to_end {
            self.land(jump);
        }
        self.end_tag()
    }

    fn iteration(&mut self) -> P<()> {
        let target = self.targets(false)?;
        if !self.skip_word("in") {
            return self.unexpected("`in`");
        }
        self.tuple(&["recursive"], false)?;
        let begin = self.emit(Op::LoopBegin(false));
        if self.skip_word("if") {
            let top = self.here();
            let done = self.emit(Op::FilterNext(0));
            self.store(&target)?;
            self.expression()?;
            self.emit(Op::FilterKeep);
            self.jump_back(top);
            self.land(done);
            self.emit(Op::FilterEnd);
        }
        let recursive = self.skip_word("recursive");
        if recursive && let Some(op) = self.program.code.get_mut(begin) {
            op.0 = Op::LoopBegin(true);
        }
        let top = self.emit(Op::LoopNext(0));
        self.store(&target)?;
        self.loops.push(Jumps::default());
        let word = self.block(&["endfor", "else"])?;
        let jumps = self.loops.pop().unwrap_or_default();
        for jump in jumps.continues {
            self.land_at(jump, top);
        }
        if word == "else" {
            self.emit(Op::LoopDone);
        }
        self.jump_back(top);
        self.land(top);
        for jump in jumps.breaks {
            self.land(jump);
        }
        self.emit(Op::LoopEnd);
        if word == "else" {
            // As in Jinja2, `else` runs unless an iteration was completed. An iteration that `break` or `continue` left does not count.
            let skip = self.emit(Op::Or(0));
            self.block(&["endfor"])?;
            self.emit(Op::Undefined);
            self.land(skip);
        }
        self.emit(Op::Pop);
        if recursive {
            self.emit(Op::LoopReturn);
        }
        Ok(())
    }

    fn jump_out(&mut self, word: &str) -> P<()> {
        if self.loops.is_empty() {
            return self.error(format!("`{word}` outside of a loop"));
        }
        self.emit(Op::LoopUnwind);
        let jump = self.emit(Op::Jump(0));
        if let Some(jumps) = self.loops.last_mut() {
            if word == "break" { jumps.breaks.push(jump) } else { jumps.continues.push(jump) }
        }
        Ok(())
    }

    fn assignment(&mut self) -> P<()> {
        let target = self.targets(true)?;
        if self.skip_op("=") {
            self.tuple(&[], true)?;
            return self.store(&target);
        }
        // The code of the filters comes after the code of the body.
        let start = self.here();
        while self.skip_op("|") {
            self.filter()?;
        }
        let filters = self.cut(start);
        self.capture(&["endset"], filters)?;
        self.store(&target)
    }

    fn filter_block(&mut self) -> P<()> {
        let start = self.here();
        self.filter()?;
        while self.skip_op("|") {
            self.filter()?;
        }
        let filters = self.cut(start);
        self.capture(&["endfilter"], filters)?;
        self.emit(Op::Write);
        Ok(())
    }

    /// Reads a body whose text goes through filters.
    fn capture(&mut self, ends: &[&str], filters: Vec<(Op, u32)>) -> P<()> {
        self.emit(Op::CaptureBegin);
        self.emit(Op::PushScope);
        self.block(ends)?;
        self.emit(Op::PopScope);
        self.emit(Op::CaptureEnd);
        self.paste(filters);
        Ok(())
    }

    fn with_block(&mut self) -> P<()> {
        let mut targets = Vec::new();
        while !matches!(self.peek(), Tok::BlockEnd) && !self.is_op(":") {
            if !targets.is_empty() {
                self.expect_op(",")?;
            }
            targets.push(self.target(false)?);
            self.expect_op("=")?;
            self.expression()?;
        }
        self.emit(Op::PushScope);
        for target in targets.iter().rev() {
            self.store(target)?;
        }
        self.block(&["endwith"])?;
        self.emit(Op::PopScope);
        Ok(())
    }

    /// Reads one or several targets, separated by commas.
    fn targets(&mut self, attributes: bool) -> P<Target> {
        let first = self.target(attributes)?;
        if !self.is_op(",") {
            return Ok(first);
        }
        let mut all = vec![first];
        while self.skip_op(",") {
            if matches!(self.peek(), Tok::Name(name) if *name != "in") || self.is_op("(") {
                all.push(self.target(attributes)?);
            }
        }
        Ok(Target::Tuple(all))
    }

    fn target(&mut self, attributes: bool) -> P<Target> {
        if self.skip_op("(") {
            let inner = self.nested(|parser| parser.targets(attributes))?;
            self.expect_op(")")?;
            return Ok(inner);
        }
        let name = self.expect_name("a name to assign to")?;
        if matches!(name, "true" | "false" | "none" | "True" | "False" | "None") {
            return self.error(format!("cannot assign to `{name}`"));
        }
        if attributes && self.skip_op(".") {
            let name = self.read_name(name);
            let attribute = self.expect_name("the name of an attribute")?;
            return Ok(Target::Attribute(name, self.name(attribute)));
        }
        Ok(Target::Name(self.name(name)))
    }

    fn store(&mut self, target: &Target) -> P<()> {
        match target {
            Target::Name(name) => drop(self.emit(Op::Store(*name))),
            Target::Attribute(name, attribute) => drop(self.emit(Op::StoreAttribute(*name, *attribute))),
            Target::Tuple(targets) => {
                self.emit(Op::Unpack(targets.len() as u32));
                targets.iter().try_for_each(|target| self.store(target))?;
            }
        }
        Ok(())
    }

    /// Adds a macro. Its code begins after a jump over it, whose position is returned.
    fn macro_begin(&mut self, name: &str) -> (usize, usize) {
        let number = self.program.macros.len();
        let skip = self.emit(Op::Jump(0));
        self.program.macros.push(MacroCode {
            name: name.to_owned(),
            entry: self.here(),
            ..MacroCode::default()
        });
        self.open_macros.push(number);
        (number, skip)
    }

    fn macro_end(&mut self, skip: usize) {
        self.emit(Op::Return);
        self.land(skip);
        self.open_macros.pop();
    }

    /// Reads `(a, b=1)`: the parameters and their defaults.
    fn signature(&mut self, number: usize) -> P<()> {
        self.expect_op("(")?;
        let mut parameters = Vec::new();
        while !self.is_op(")") {
            if !parameters.is_empty() {
                self.expect_op(",")?;
            }
            let name = self.expect_name("the name of a parameter")?;
            let name = self.name(name);
            let default = self.skip_op("=");
            if default {
                let given = self.emit(Op::IfGiven(name, 0));
                self.expression()?;
                self.emit(Op::Store(name));
                self.land(given);
            } else if parameters.last().is_some_and(|(_, default)| *default) {
                return self.error("a parameter without a default follows one with a default");
            }
            parameters.push((name, default));
        }
        self.next();
        if let Some(code) = self.program.macros.get_mut(number) {
            code.parameters = parameters;
        }
        Ok(())
    }

    /// Reads the body of a macro, which does not see the loops around it.
    fn macro_body(&mut self, end: &str) -> P<()> {
        let loops = std::mem::take(&mut self.loops);
        self.block(&[end])?;
        self.loops = loops;
        Ok(())
    }

    fn macro_tag(&mut self) -> P<()> {
        let name = self.expect_name("the name of a macro")?;
        let (number, skip) = self.macro_begin(name);
        self.signature(number)?;
        self.macro_body("endmacro")?;
        self.macro_end(skip);
        self.emit(Op::Macro(number as u32));
        let name = self.name(name);
        self.emit(Op::Store(name));
        Ok(())
    }

    fn call_block(&mut self) -> P<()> {
        let (number, skip) = self.macro_begin("caller");
        if self.is_op("(") {
            self.signature(number)?;
        }
        // The code of the call comes after the body and is not part of it.
        self.open_macros.pop();
        let start = self.here();
        self.expression()?;
        let mut call = self.cut(start);
        let Some((last, line)) = call.pop() else { return self.unexpected("a call") };
        let (Op::Call(arguments) | Op::Method(_, arguments)) = last else { return self.unexpected("a call") };
        let caller = Text::plain("caller");
        if let Some(arguments) = self.program.arguments.get_mut(arguments as usize) {
            arguments.push(super::program::Argument::Named(caller));
        }
        self.open_macros.push(number);
        self.macro_body("endcall")?;
        self.macro_end(skip);
        self.paste(call);
        self.emit(Op::Macro(number as u32));
        add(&mut self.program.code, (last, line), &mut self.out_of_memory);
        self.emit(Op::Write);
        Ok(())
    }

    fn block_tag(&mut self) -> P<()> {
        let name = self.expect_name("the name of a block")?;
        if self.program.blocks.iter().any(|(known, _)| known == name) {
            return self.error(format!("block `{name}` is defined twice"));
        }
        let scoped = self.skip_word("scoped");
        self.skip_word("required");
        let (number, skip) = self.macro_begin(name);
        self.program.blocks.push((name.to_owned(), number as u32));
        self.macro_body("endblock")?;
        self.skip_word(name);
        self.macro_end(skip);
        self.emit(Op::Block(number as u32, scoped));
        self.emit(Op::Write);
        Ok(())
    }
}
