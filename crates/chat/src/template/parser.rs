//! The compiler: its position in the tokens, and the code so far. Statements are in `statements.rs`, expressions in
//! `expression.rs`.

use std::collections::HashMap;

use super::TemplateError;
use super::lexer::{Lexer, Tok, Token, normalized};
use super::program::{Argument, Op, Program};
use super::text::Text;
use super::value::Value;

/// Maximum nesting of tags and brackets together. The parser recurses over them on its caller's stack.
const MAX_NESTING: usize = 64;

pub(super) type P<T> = Result<T, TemplateError>;

pub(super) struct Parser<'s> {
    tokens: Vec<Token<'s>>,
    pub(super) at: usize,
    pub(super) program: Program,
    names: HashMap<&'s str, u32>,
    depth: usize,
    /// Whether memory was refused, so that parts of the program are missing.
    pub(super) out_of_memory: bool,
    /// Macros whose bodies are being read.
    pub(super) open_macros: Vec<usize>,
    /// For each loop that is open in this macro, the positions of its `break`s and `continue`s.
    pub(super) loops: Vec<Jumps>,
}

#[derive(Default)]
pub(super) struct Jumps {
    pub(super) breaks: Vec<usize>,
    pub(super) continues: Vec<usize>,
}

/// Appends an item and returns its number. If memory is refused, sets the flag and returns a meaningless number.
pub(super) fn add<T>(list: &mut Vec<T>, item: T, out_of_memory: &mut bool) -> u32 {
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
    // This comes first, since missing tokens may look like a syntax error.
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

    /// Counts a level of nesting. `f` reads the inside.
    pub(super) fn nested<T>(&mut self, f: impl FnOnce(&mut Self) -> P<T>) -> P<T> {
        if self.depth >= MAX_NESTING {
            return self.error(format!("tags and brackets are nested more than {MAX_NESTING} deep"));
        }
        self.depth += 1;
        let result = f(self);
        self.depth -= 1;
        result
    }

    /// Returns the number of a name.
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

    /// Returns the number of a name that is read. Open macros take note of special names, such as `varargs`.
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

    /// Copies a part of the source.
    pub(super) fn text(&mut self, part: &str) -> Text {
        let mut copy = String::new();
        match copy.try_reserve_exact(part.len()) {
            Ok(()) => copy.push_str(part),
            Err(_) => self.out_of_memory = true,
        }
        Text::plain(copy)
    }

    /// Stores the kinds of a call's arguments and returns their number.
    pub(super) fn argument_kinds(&mut self, kinds: Vec<Argument>) -> u32 {
        add(&mut self.program.arguments, kinds, &mut self.out_of_memory)
    }

    /// Removes the code from `start` on, to be appended later.
    pub(super) fn cut(&mut self, start: usize) -> Vec<(Op, u32)> {
        let mut code = Vec::new();
        match code.try_reserve_exact(self.here().saturating_sub(start)) {
            Ok(()) => code.extend(self.program.code.drain(start.min(self.here())..)),
            Err(_) => self.out_of_memory = true,
        }
        code
    }

    /// Appends code that was removed by `cut`.
    pub(super) fn paste(&mut self, mut code: Vec<(Op, u32)>) {
        match self.program.code.try_reserve(code.len()) {
            Ok(()) => self.program.code.append(&mut code),
            Err(_) => self.out_of_memory = true,
        }
    }

    pub(super) fn here(&self) -> usize {
        self.program.code.len()
    }

    /// Appends an instruction and returns its position.
    pub(super) fn emit(&mut self, op: Op) -> usize {
        let line = self.line();
        add(&mut self.program.code, (op, line), &mut self.out_of_memory) as usize
    }

    /// Makes the jump at `from` go to the next instruction.
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
}
