//! Statements of a template, compiled as they are read. Expressions are in `expression.rs`.

use std::collections::HashMap;

use super::TemplateError;
use super::lexer::{Lexer, Tok, Token, normalized};
use super::program::{Argument, MacroCode, Op, Program};
use super::text::Text;
use super::value::Value;

/// Deepest nesting of tags and brackets together: the parser recurses over them, on whatever stack its caller has.
const MAX_NESTING: usize = 64;

pub(super) type P<T> = Result<T, TemplateError>;

pub(super) struct Parser<'s> {
    tokens: Vec<Token<'s>>,
    at: usize,
    pub(super) program: Program,
    names: HashMap<&'s str, u32>,
    depth: usize,
    /// Whether memory was refused: parts of the program are missing.
    out_of_memory: bool,
    /// Macros whose bodies are being read.
    open_macros: Vec<usize>,
    /// For each loop that is open in this macro: where its `break`s and `continue`s are.
    loops: Vec<Jumps>,
}

#[derive(Default)]
struct Jumps {
    breaks: Vec<usize>,
    continues: Vec<usize>,
}

/// What `set` and `for` assign to.
enum Target {
    Name(u32),
    Attribute(u32, u32),
    Tuple(Vec<Target>),
}

/// Appends an item and returns its number. If memory is refused, notes that and returns a number that is of no use.
fn add<T>(list: &mut Vec<T>, item: T, out_of_memory: &mut bool) -> u32 {
    let number = list.len() as u32;
    match list.try_reserve(1) {
        Ok(()) => list.push(item),
        Err(_) => *out_of_memory = true,
    }
    number
}

/// Compiles a template.
pub(super) fn compile(source: &str) -> P<Program> {
    let source = normalized(source)?;
    let tokens = Lexer::tokens(&source)?;
    let mut parser = Parser {
        tokens,
        at: 0,
        program: Program::default(),
        names: HashMap::new(),
        depth: 0,
        out_of_memory: false,
        open_macros: Vec::new(),
        loops: Vec::new(),
    };
    let known = ["loop", "caller", "varargs", "kwargs"].map(|name| parser.name(name));
    let [looping, caller, varargs, kwargs] = known;
    parser.program.known = super::program::Known { looping, caller, varargs, kwargs };
    let parsed = parser.body(&[]);
    parser.emit(Op::Return);
    // First: what is missing may look like a syntax error.
    if parser.out_of_memory {
        return Err(TemplateError::OutOfMemory { line: parser.line() as usize });
    }
    parsed?;
    Ok(parser.program)
}

impl<'s> Parser<'s> {
    pub(super) fn peek(&self) -> &Tok<'s> {
        self.tokens.get(self.at).map_or(&Tok::End, |token| &token.tok)
    }

    pub(super) fn peek_second(&self) -> &Tok<'s> {
        self.tokens.get(self.at + 1).map_or(&Tok::End, |token| &token.tok)
    }

    pub(super) fn line(&self) -> u32 {
        self.tokens.get(self.at).or(self.tokens.last()).map_or(1, |token| token.line)
    }

    pub(super) fn next(&mut self) -> Tok<'s> {
        let tok = self
            .tokens
            .get_mut(self.at)
            .map_or(Tok::End, |token| std::mem::replace(&mut token.tok, Tok::End));
        // The last token is the end; it stays.
        if self.at + 1 < self.tokens.len() {
            self.at += 1;
        }
        tok
    }

    pub(super) fn error<T>(&self, message: impl Into<String>) -> P<T> {
        Err(TemplateError::Syntax { line: self.line() as usize, message: message.into() })
    }

    pub(super) fn unexpected<T>(&self, expected: &str) -> P<T> {
        match self.peek() {
            Tok::End => self.error(format!("unexpected end of the template, expected {expected}")),
            found => self.error(format!("expected {expected}, found {found}")),
        }
    }

    pub(super) fn is_op(&self, op: &str) -> bool {
        matches!(self.peek(), Tok::Op(found) if *found == op)
    }

    pub(super) fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), Tok::Name(found) if *found == word)
    }

    pub(super) fn skip_op(&mut self, op: &str) -> bool {
        let found = self.is_op(op);
        if found {
            self.next();
        }
        found
    }

    pub(super) fn skip_word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        if found {
            self.next();
        }
        found
    }

    pub(super) fn expect_op(&mut self, op: &str) -> P<()> {
        if self.skip_op(op) { Ok(()) } else { self.unexpected(&format!("`{op}`")) }
    }

    pub(super) fn expect_name(&mut self, what: &str) -> P<&'s str> {
        match *self.peek() {
            Tok::Name(name) => {
                self.next();
                Ok(name)
            }
            _ => self.unexpected(what),
        }
    }

    /// Counts a level of nesting; `f` reads what is inside.
    pub(super) fn nested<T>(&mut self, f: impl FnOnce(&mut Self) -> P<T>) -> P<T> {
        if self.depth >= MAX_NESTING {
            return self.error(format!("tags and brackets are nested more than {MAX_NESTING} deep"));
        }
        self.depth += 1;
        let result = f(self);
        self.depth -= 1;
        result
    }

    /// The number of a name.
    pub(super) fn name(&mut self, name: &'s str) -> u32 {
        if let Some(number) = self.names.get(name) {
            return *number;
        }
        let text = self.text(name);
        self.out_of_memory |= self.names.try_reserve(1).is_err();
        let number = add(&mut self.program.names, text, &mut self.out_of_memory);
        if !self.out_of_memory {
            self.names.insert(name, number);
        }
        number
    }

    /// The number of a name that is read: macros find out what their bodies ask for.
    pub(super) fn read_name(&mut self, name: &'s str) -> u32 {
        for open in &self.open_macros {
            let Some(code) = self.program.macros.get_mut(*open) else { continue };
            match name {
                "varargs" => code.varargs = true,
                "kwargs" => code.kwargs = true,
                "caller" => code.caller = true,
                _ => {}
            }
        }
        self.name(name)
    }

    pub(super) fn constant(&mut self, value: Value) -> u32 {
        add(&mut self.program.constants, value, &mut self.out_of_memory)
    }

    /// A copy of a part of the source.
    pub(super) fn text(&mut self, part: &str) -> Text {
        let mut copy = String::new();
        match copy.try_reserve_exact(part.len()) {
            Ok(()) => copy.push_str(part),
            Err(_) => self.out_of_memory = true,
        }
        Text::plain(copy)
    }

    /// The number of kinds of arguments.
    pub(super) fn argument_kinds(&mut self, kinds: Vec<Argument>) -> u32 {
        add(&mut self.program.arguments, kinds, &mut self.out_of_memory)
    }

    /// Takes the code from `start` on away, to be appended later.
    pub(super) fn cut(&mut self, start: usize) -> Vec<(Op, u32)> {
        let mut code = Vec::new();
        match code.try_reserve_exact(self.here().saturating_sub(start)) {
            Ok(()) => code.extend(self.program.code.drain(start.min(self.here())..)),
            Err(_) => self.out_of_memory = true,
        }
        code
    }

    /// Appends code that was cut.
    pub(super) fn paste(&mut self, mut code: Vec<(Op, u32)>) {
        match self.program.code.try_reserve(code.len()) {
            Ok(()) => self.program.code.append(&mut code),
            Err(_) => self.out_of_memory = true,
        }
    }

    pub(super) fn here(&self) -> usize {
        self.program.code.len()
    }

    /// Appends an instruction; returns its place.
    pub(super) fn emit(&mut self, op: Op) -> usize {
        let line = self.line();
        add(&mut self.program.code, (op, line), &mut self.out_of_memory) as usize
    }

    /// Lets the jump at `from` go to the next instruction.
    pub(super) fn land(&mut self, from: usize) {
        self.land_at(from, self.here());
    }

    pub(super) fn land_at(&mut self, from: usize, to: usize) {
        let distance = to as i32 - from as i32;
        if let Some((
            Op::Jump(to)
            | Op::Unless(to)
            | Op::And(to)
            | Op::Or(to)
            | Op::Chain(_, to)
            | Op::FilterNext(to)
            | Op::LoopNext(to)
            | Op::IfGiven(_, to),
            _,
        )) = self.program.code.get_mut(from)
        {
            *to = distance;
        }
    }

    /// Appends a jump back to `to`.
    fn jump_back(&mut self, to: usize) {
        let jump = self.emit(Op::Jump(0));
        self.land_at(jump, to);
    }

    /// Text, outputs and tags up to a tag that starts with one of `ends`; the word that ended it is taken.
    fn body(&mut self, ends: &[&str]) -> P<&'s str> {
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

    /// The end of a tag that has a body, which may be marked by a colon, and the body with its last tag's word.
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

    /// A body in a scope of its own.
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
            // Unless an iteration came to its end, as Jinja2 has it: not if all were left by `break` or `continue`.
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
        // The filters' code comes after the body's.
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

    /// A body whose text goes through filters.
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

    /// One or several targets, by commas.
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

    /// Adds a macro; its code begins at the next instruction but one, after a jump over it, whose place is returned.
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

    /// `(a, b=1)`: the parameters and the code of their defaults.
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

    /// The body of a macro, whose loops are its own.
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
        // The call's code comes after the body's, and is no part of it.
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
