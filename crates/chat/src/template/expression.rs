//! Compiles expressions as they are read: operands first, then the operator.

use super::lexer::Tok;
use super::parser::{P, Parser};
use super::program::{Argument, Binary, Compare, Op};
use super::text::Text;
use super::value::Value;

/// The precedence of operators, as in Jinja2's parser.
mod level {
    pub(super) const OR: u8 = 0;
    pub(super) const AND: u8 = 1;
    pub(super) const NOT: u8 = 2;
    pub(super) const COMPARE: u8 = 3;
    pub(super) const SUM: u8 = 4;
    pub(super) const CONCAT: u8 = 5;
    pub(super) const PRODUCT: u8 = 6;
    pub(super) const POWER: u8 = 7;
    pub(super) const UNARY: u8 = 8;
}

impl<'s> Parser<'s> {
    /// Reads an expression, which may be `a if b else c`.
    pub(super) fn expression(&mut self) -> P<()> {
        self.nested(Self::conditional_expression)
    }

    fn conditional_expression(&mut self) -> P<()> {
        let start = self.here();
        self.operators(level::OR)?;
        while self.skip_word("if") {
            let first = self.cut(start);
            self.operators(level::OR)?;
            let skip = self.emit(Op::Unless(0));
            self.paste(first);
            let end = self.emit(Op::Jump(0));
            self.land(skip);
            if self.skip_word("else") {
                self.expression()?;
            } else {
                self.emit(Op::Undefined);
            }
            self.land(end);
        }
        Ok(())
    }

    /// Reads one expression, or a tuple of several with commas between them. It ends at the end of a tag, a closing parenthesis,
    /// or one of `ends`.
    pub(super) fn tuple(&mut self, ends: &[&str], conditional: bool) -> P<()> {
        let mut count = 0;
        let mut is_tuple = false;
        loop {
            let at_end = matches!(self.peek(), Tok::BlockEnd | Tok::OutputEnd)
                || self.is_op(")")
                || ends.iter().any(|end| self.is_word(end));
            if at_end {
                break;
            }
            if conditional {
                self.expression()?
            } else {
                self.nested(|parser| parser.operators(level::OR))?
            }
            count += 1;
            if !self.skip_op(",") {
                break;
            }
            is_tuple = true;
        }
        if is_tuple {
            self.emit(Op::Tuple(count));
        } else if count == 0 {
            return self.unexpected("an expression");
        }
        Ok(())
    }

    fn comparison(&mut self) -> Option<Compare> {
        let compare = match self.peek() {
            Tok::Op("==") => Compare::Eq,
            Tok::Op("!=") => Compare::Ne,
            Tok::Op("<") => Compare::Lt,
            Tok::Op("<=") => Compare::Le,
            Tok::Op(">") => Compare::Gt,
            Tok::Op(">=") => Compare::Ge,
            Tok::Name("in") => Compare::In,
            Tok::Name("not") if matches!(self.peek_second(), Tok::Name("in")) => {
                self.next();
                Compare::NotIn
            }
            _ => return None,
        };
        self.next();
        Some(compare)
    }

    fn binary(&self) -> Option<(u8, Binary)> {
        Some(match self.peek() {
            Tok::Op("+") => (level::SUM, Binary::Add),
            Tok::Op("-") => (level::SUM, Binary::Sub),
            Tok::Op("*") => (level::PRODUCT, Binary::Mul),
            Tok::Op("/") => (level::PRODUCT, Binary::Div),
            Tok::Op("//") => (level::PRODUCT, Binary::FloorDiv),
            Tok::Op("%") => (level::PRODUCT, Binary::Mod),
            Tok::Op("**") => (level::POWER, Binary::Pow),
            _ => return None,
        })
    }

    /// Reads operators of at least the precedence `least`, and their operands.
    fn operators(&mut self, least: u8) -> P<()> {
        let mut negations = 0;
        while least <= level::NOT && self.skip_word("not") {
            negations += 1;
        }
        if negations > 0 {
            self.operators(level::COMPARE)?;
            for _ in 0..negations {
                self.emit(Op::Not);
            }
        } else {
            self.unary()?;
        }
        loop {
            if let Some((level, op)) = self.binary() {
                if level < least {
                    return Ok(());
                }
                self.next();
                self.operators(level + 1)?;
                self.emit(Op::Binary(op));
            } else if self.is_op("~") && least <= level::CONCAT {
                let mut count = 1;
                while self.skip_op("~") {
                    self.operators(level::PRODUCT)?;
                    count += 1;
                }
                self.emit(Op::Concat(count));
            } else if least <= level::COMPARE
                && let Some(first) = self.comparison()
            {
                self.comparisons(first)?;
            } else if self.is_word("and") && least <= level::AND {
                self.next();
                let skip = self.emit(Op::And(0));
                self.operators(level::NOT)?;
                self.land(skip);
            } else if self.is_word("or") && least == level::OR {
                self.next();
                let skip = self.emit(Op::Or(0));
                self.operators(level::AND)?;
                self.land(skip);
            } else {
                return Ok(());
            }
        }
    }

    /// Reads `a < b < c`, which compares each operand with the next.
    fn comparisons(&mut self, first: Compare) -> P<()> {
        let mut compare = first;
        let mut skips = Vec::new();
        loop {
            self.operators(level::SUM)?;
            match self.comparison() {
                Some(next) => {
                    skips.push(self.emit(Op::Chain(compare, 0)));
                    compare = next;
                }
                None => break,
            }
        }
        self.emit(Op::Compare(compare));
        for skip in skips {
            self.land(skip);
        }
        Ok(())
    }

    /// Reads signs, an operand, and the subscripts, calls, filters and tests after it.
    fn unary(&mut self) -> P<()> {
        const { assert!(level::UNARY > level::POWER) };
        let mut signs = Vec::new();
        loop {
            match self.peek() {
                Tok::Op("-") => signs.push(Op::Negative),
                Tok::Op("+") => signs.push(Op::Positive),
                _ => break,
            }
            self.next();
        }
        self.primary()?;
        self.postfix()?;
        for sign in signs.into_iter().rev() {
            self.emit(sign);
        }
        loop {
            if self.skip_op("|") {
                self.filter()?;
            } else if self.is_word("is") {
                self.test()?;
            } else if self.is_op("(") {
                let arguments = self.arguments()?;
                self.emit(Op::Call(arguments));
            } else {
                return Ok(());
            }
        }
    }

    fn push_constant(&mut self, value: Value) {
        let constant = self.constant(value);
        self.emit(Op::Const(constant));
    }

    fn primary(&mut self) -> P<()> {
        match self.peek() {
            Tok::Name(name) => {
                let name = *name;
                match name {
                    "true" | "True" => self.push_constant(Value::Bool(true)),
                    "false" | "False" => self.push_constant(Value::Bool(false)),
                    "none" | "None" => self.push_constant(Value::None),
                    _ => {
                        let name = self.read_name(name);
                        self.emit(Op::Load(name));
                    }
                }
                self.next();
            }
            Tok::Str(_) => {
                let mut whole = String::new();
                while matches!(self.peek(), Tok::Str(_)) {
                    if let Tok::Str(part) = self.next() {
                        whole.push_str(&part);
                    }
                }
                self.push_constant(Value::Str(Text::plain(whole)));
            }
            Tok::Int(i) => {
                let value = Value::Int(*i);
                self.next();
                self.push_constant(value);
            }
            Tok::Float(x) => {
                let value = Value::Float(*x);
                self.next();
                self.push_constant(value);
            }
            Tok::Op("(") => {
                self.next();
                if self.skip_op(")") {
                    self.emit(Op::Tuple(0));
                } else {
                    self.tuple(&[], true)?;
                    self.expect_op(")")?;
                }
            }
            Tok::Op("[") => {
                self.next();
                let count = self.items("]", |parser| parser.expression())?;
                self.emit(Op::List(count));
            }
            Tok::Op("{") => {
                self.next();
                let count = self.items("}", |parser| {
                    parser.expression()?;
                    parser.expect_op(":")?;
                    parser.expression()
                })?;
                self.emit(Op::Dict(count));
            }
            _ => return self.unexpected("an expression"),
        }
        Ok(())
    }

    /// Reads items with commas between them up to a closing bracket, and returns their number.
    fn items(&mut self, close: &str, mut item: impl FnMut(&mut Self) -> P<()>) -> P<u32> {
        let mut count = 0;
        while !self.skip_op(close) {
            if count > 0 {
                self.expect_op(",")?;
                if self.skip_op(close) {
                    break;
                }
            }
            item(self)?;
            count += 1;
        }
        Ok(count)
    }

    fn postfix(&mut self) -> P<()> {
        loop {
            if self.skip_op(".") {
                match *self.peek() {
                    Tok::Name(name) => {
                        self.next();
                        let name = self.name(name);
                        if self.is_op("(") {
                            let arguments = self.arguments()?;
                            self.emit(Op::Method(name, arguments));
                        } else {
                            self.emit(Op::Attribute(name));
                        }
                    }
                    Tok::Int(i) => {
                        self.next();
                        self.push_constant(Value::Int(i));
                        self.emit(Op::Item);
                    }
                    _ => return self.unexpected("a name or a number after `.`"),
                }
            } else if self.skip_op("[") {
                self.subscript()?;
            } else if self.is_op("(") {
                let arguments = self.arguments()?;
                self.emit(Op::Call(arguments));
            } else {
                return Ok(());
            }
        }
    }

    /// Reads what is between `[` and `]`. An empty text stands for an empty tuple.
    fn subscript(&mut self) -> P<()> {
        let mut count = 0;
        let mut comma = false;
        while !self.skip_op("]") {
            if count > 0 {
                self.expect_op(",")?;
                comma = true;
            }
            self.slice_or_index()?;
            count += 1;
        }
        if comma || count == 0 {
            self.emit(Op::Tuple(count));
        }
        self.emit(Op::Item);
        Ok(())
    }

    fn slice_or_index(&mut self) -> P<()> {
        if self.is_op(":") {
            self.push_constant(Value::None);
        } else {
            self.expression()?;
            if !self.is_op(":") {
                return Ok(());
            }
        }
        for _ in 0..2 {
            let more = self.skip_op(":");
            if more && !self.is_op(":") && !self.is_op("]") && !self.is_op(",") {
                self.expression()?;
            } else {
                self.push_constant(Value::None);
            }
        }
        self.emit(Op::Slice);
        Ok(())
    }

    /// Reads `(a, *b, c=d, **e)`. The values are pushed on the stack. Returns the number of the list of their kinds.
    fn arguments(&mut self) -> P<u32> {
        let mut kinds: Vec<Argument> = Vec::new();
        self.expect_op("(")?;
        self.items(")", |parser| {
            let kind = if parser.skip_op("*") {
                Argument::Positionals
            } else if parser.skip_op("**") {
                Argument::Nameds
            } else if let Tok::Name(name) = *parser.peek()
                && matches!(parser.peek_second(), Tok::Op("="))
            {
                parser.next();
                parser.next();
                Argument::Named(Text::plain(name))
            } else {
                if kinds.iter().any(|kind| !matches!(kind, Argument::Positional)) {
                    return parser.error("a positional argument follows a named one");
                }
                Argument::Positional
            };
            kinds.push(kind);
            parser.expression()
        })?;
        Ok(self.argument_kinds(kinds))
    }

    /// Reads the name of a filter or test, which may contain dots.
    fn dotted_name(&mut self, what: &str) -> P<u32> {
        let name = self.expect_name(what)?;
        if self.is_op(".") {
            return self.error(format!("there is no {what} `{name}.`"));
        }
        Ok(self.name(name))
    }

    fn no_arguments(&mut self) -> u32 {
        self.argument_kinds(Vec::new())
    }

    /// Reads a filter after its `|`. Its input is on the stack.
    pub(super) fn filter(&mut self) -> P<()> {
        let name = self.dotted_name("the name of a filter")?;
        let arguments = if self.is_op("(") { self.arguments()? } else { self.no_arguments() };
        self.emit(Op::Filter(name, arguments));
        Ok(())
    }

    /// Reads `is [not] name`, with arguments in parentheses, or with one argument without them.
    fn test(&mut self) -> P<()> {
        self.next();
        let negated = self.skip_word("not");
        let name = self.dotted_name("the name of a test")?;
        let arguments = match self.peek() {
            Tok::Op("(") => self.arguments()?,
            Tok::Name("else" | "or" | "and") => self.no_arguments(),
            Tok::Name("is") => return self.error("tests cannot be chained with `is`"),
            Tok::Name(_) | Tok::Str(_) | Tok::Int(_) | Tok::Float(_) | Tok::Op("[" | "{") => {
                self.primary()?;
                self.postfix()?;
                self.argument_kinds(vec![Argument::Positional])
            }
            _ => self.no_arguments(),
        };
        self.emit(Op::Test(name, arguments));
        if negated {
            self.emit(Op::Not);
        }
        Ok(())
    }
}
