//! Parses the declarations of `happy.h`. It supports only the C that cbindgen writes for it.
//!
//! ```text
//! #define NAME VALUE                                a constant
//! enum Name { NAME = 1, .. };  typedef int32_t Name;   an enum of 32 bits
//! typedef struct Name Name;                         an opaque type, known by pointers only
//! typedef struct Name { type field; .. } Name;      a struct
//! typedef type (*Name)(type name, ..);              a callback
//! type name(type name, ..);                         a function; declared twice alike, it counts once, as in C
//! type = [const] (scalar | struct Name | Name) [*[*]]
//! ```
//! Arrays, bit fields, unions, nested declarators and unknown types are errors with their line. To add one to the
//! interface, decide here what it becomes in Dart.

use super::lex::{Kind, Token, tokens};
use happy_tool_kit::Result;

/// All declarations of a header, in order.
#[derive(Debug, Default)]
pub(crate) struct Header {
    pub(super) constants: Vec<Constant>,
    pub(crate) enums: Vec<Enum>,
    pub(super) opaques: Vec<Opaque>,
    pub(super) structs: Vec<Struct>,
    pub(super) callbacks: Vec<Function>,
    pub(super) functions: Vec<Function>,
}

/// `#define NAME VALUE`.
#[derive(Debug)]
pub(crate) struct Constant {
    pub(crate) doc: Vec<String>,
    pub(crate) name: String,
    /// The value as a Dart integer.
    pub(crate) value: i64,
}

/// An enum whose values are `int32_t`.
#[derive(Debug)]
pub(crate) struct Enum {
    pub(crate) doc: Vec<String>,
    pub(crate) name: String,
    pub(crate) values: Vec<Constant>,
}

/// A type without a known layout.
#[derive(Debug)]
pub(super) struct Opaque {
    pub(super) doc: Vec<String>,
    pub(super) name: String,
}

/// A struct and its fields.
#[derive(Debug)]
pub(super) struct Struct {
    pub(super) doc: Vec<String>,
    pub(super) name: String,
    pub(super) fields: Vec<Variable>,
}

/// A function, or the type of one.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Function {
    pub(super) doc: Vec<String>,
    pub(super) name: String,
    pub(super) result: Type,
    pub(super) parameters: Vec<Variable>,
}

/// A field or a parameter.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Variable {
    pub(super) doc: Vec<String>,
    pub(super) name: String,
    pub(super) ty: Type,
}

/// A base type with `pointers` levels of pointers. `is_const` refers to what the last of them points to.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Type {
    pub(super) base: Base,
    pub(super) pointers: usize,
    pub(super) is_const: bool,
}

/// A type without its pointers.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Base {
    /// `void`, after a pointer or as a result.
    Void,
    /// A scalar of [`SCALARS`], by its C name.
    Scalar(&'static str),
    /// An enum.
    Enum(String),
    /// A struct or an opaque type.
    Struct(String),
    /// A callback's type, itself a pointer.
    Callback(String),
}

/// The scalars that the interface uses: the name in C, and the name in `dart:ffi`.
pub(super) const SCALARS: &[(&str, &str)] = &[
    ("char", "Char"),
    ("int32_t", "Int32"),
    ("uint32_t", "Uint32"),
    ("uint64_t", "Uint64"),
    ("size_t", "Size"),
    ("float", "Float"),
    ("double", "Double"),
];

/// Reads a header.
pub(crate) fn parse(text: &str) -> Result<Header> {
    let tokens = tokens(text)?;
    let mut parser = Parser { tokens: &tokens, at: 0, header: Header::default() };
    while parser.at < tokens.len() {
        parser.declaration()?;
    }
    Ok(parser.header)
}

struct Parser<'a> {
    tokens: &'a [Token],
    at: usize,
    header: Header,
}

impl Parser<'_> {
    fn declaration(&mut self) -> Result<()> {
        let doc = self.doc();
        if let Some(Token { line, kind: Kind::Define(name, value) }) = self.tokens.get(self.at) {
            self.at += 1;
            let value =
                constant(value).ok_or(format!("line {line}: {name} is {value}, no integer that is known"))?;
            self.header.constants.push(Constant { doc, name: name.clone(), value });
            return Ok(());
        }
        match self.peek_word() {
            Some("enum") => self.enumeration(doc),
            Some("typedef") => self.typedef(doc),
            _ => self.function(doc),
        }
    }

    fn enumeration(&mut self, doc: Vec<String>) -> Result<()> {
        self.keyword("enum")?;
        let name = self.new_name()?;
        self.mark('{')?;
        let mut values = Vec::new();
        while !self.take('}') {
            let doc = self.doc();
            let constant = self.word()?;
            self.mark('=')?;
            let negative = self.take('-');
            let value: i32 = self.number()?;
            let value = i64::from(if negative { -value } else { value });
            values.push(Constant { doc, name: constant, value });
            if !self.take(',') {
                self.mark('}')?;
                break;
            }
        }
        self.mark(';')?;
        self.header.enums.push(Enum { doc, name, values });
        Ok(())
    }

    fn typedef(&mut self, doc: Vec<String>) -> Result<()> {
        self.keyword("typedef")?;
        if self.peek_word() == Some("struct") && !matches!(self.kind(2), Some(Kind::Mark('*'))) {
            self.at += 1;
            return self.structure(doc);
        }
        let result = self.ty()?;
        if !self.take('(') {
            // The second half of an enum's declaration.
            let line = self.line();
            let name = self.word()?;
            self.mark(';')?;
            let is_enum = self.header.enums.iter().any(|known| known.name == name);
            if is_enum && result == (Type { base: Base::Scalar("int32_t"), pointers: 0, is_const: false }) {
                return Ok(());
            }
            return Err(format!(
                "line {line}: typedef {name} is neither a struct, a callback nor the int32_t of an enum"
            ));
        }
        self.mark('*')?;
        let name = self.new_name()?;
        self.mark(')')?;
        let parameters = self.parameters()?;
        self.mark(';')?;
        self.header.callbacks.push(Function { doc, name, result, parameters });
        Ok(())
    }

    fn structure(&mut self, doc: Vec<String>) -> Result<()> {
        let name = self.new_name()?;
        if !self.take('{') {
            self.keyword(&name)?;
            self.mark(';')?;
            self.header.opaques.push(Opaque { doc, name });
            return Ok(());
        }
        let mut fields = Vec::new();
        while !self.take('}') {
            let doc = self.doc();
            let line = self.line();
            let ty = self.ty()?;
            if ty.pointers == 0 && (ty.base == Base::Void || self.is_opaque(&ty.base)) {
                return Err(format!("line {line}: a field without a size"));
            }
            let name = self.word()?;
            self.mark(';')?;
            fields.push(Variable { doc, name, ty });
        }
        self.keyword(&name)?;
        self.mark(';')?;
        self.header.structs.push(Struct { doc, name, fields });
        Ok(())
    }

    fn function(&mut self, doc: Vec<String>) -> Result<()> {
        let result = self.ty()?;
        let line = self.line();
        let name = self.word()?;
        let parameters = self.parameters()?;
        self.mark(';')?;
        let function = Function { doc, name, result, parameters };
        match self.header.functions.iter().find(|known| known.name == function.name) {
            None => self.header.functions.push(function),
            Some(known) if *known == function => {}
            Some(_) => return Err(format!("line {line}: {} is declared twice, differently", function.name)),
        }
        Ok(())
    }

    fn parameters(&mut self) -> Result<Vec<Variable>> {
        self.mark('(')?;
        if self.peek_word() == Some("void") && matches!(self.kind(1), Some(Kind::Mark(')'))) {
            self.at += 2;
            return Ok(Vec::new());
        }
        let mut parameters = Vec::new();
        loop {
            let line = self.line();
            let ty = self.ty()?;
            if ty.pointers == 0 && matches!(ty.base, Base::Void | Base::Struct(_)) {
                return Err(format!(
                    "line {line}: a parameter that is a struct or void, not a pointer to one"
                ));
            }
            let name = self.word()?;
            parameters.push(Variable { doc: Vec::new(), name, ty });
            if !self.take(',') {
                break;
            }
        }
        self.mark(')')?;
        Ok(parameters)
    }

    fn ty(&mut self) -> Result<Type> {
        let line = self.line();
        let is_const = self.take_word("const");
        let tagged = self.take_word("struct");
        let name = self.word()?;
        let is_struct = self.is_opaque(&Base::Struct(name.clone()))
            || self.header.structs.iter().any(|known| known.name == name);
        let base = if is_struct {
            Base::Struct(name)
        } else if tagged {
            return Err(format!("line {line}: struct {name} is not declared before"));
        } else if name == "void" {
            Base::Void
        } else if let Some((scalar, _)) = SCALARS.iter().find(|(scalar, _)| *scalar == name) {
            Base::Scalar(scalar)
        } else if self.header.enums.iter().any(|known| known.name == name) {
            Base::Enum(name)
        } else if self.header.callbacks.iter().any(|known| known.name == name) {
            Base::Callback(name)
        } else {
            return Err(format!("line {line}: unknown type {name}"));
        };
        let mut pointers = 0;
        while self.take('*') {
            pointers += 1;
        }
        if is_const && pointers != 1 {
            return Err(format!("line {line}: const of something else than what one pointer points to"));
        }
        Ok(Type { base, pointers, is_const })
    }

    fn is_opaque(&self, base: &Base) -> bool {
        matches!(base, Base::Struct(name) if self.header.opaques.iter().any(|known| known.name == *name))
    }

    /// Reads a name that no type has yet.
    fn new_name(&mut self) -> Result<String> {
        let line = self.line();
        let name = self.word()?;
        let header = &self.header;
        let mut known = (header.enums.iter().map(|known| &known.name))
            .chain(header.opaques.iter().map(|known| &known.name))
            .chain(header.structs.iter().map(|known| &known.name))
            .chain(header.callbacks.iter().map(|known| &known.name));
        match known.any(|known| *known == name) {
            true => Err(format!("line {line}: {name} is declared twice")),
            false => Ok(name),
        }
    }

    fn kind(&self, ahead: usize) -> Option<&Kind> {
        self.tokens.get(self.at + ahead).map(|token| &token.kind)
    }

    /// Returns the line of the next token, or of the last one at the end.
    fn line(&self) -> usize {
        self.tokens.get(self.at).or(self.tokens.last()).map_or(1, |token| token.line)
    }

    fn peek_word(&self) -> Option<&str> {
        match self.kind(0) {
            Some(Kind::Word(word)) => Some(word),
            _ => None,
        }
    }

    fn doc(&mut self) -> Vec<String> {
        let Some(Kind::Doc(lines)) = self.kind(0) else { return Vec::new() };
        let lines = lines.clone();
        self.at += 1;
        lines
    }

    fn word(&mut self) -> Result<String> {
        let word = self.peek_word().map(str::to_owned).ok_or_else(|| self.expected("a name"))?;
        self.at += 1;
        Ok(word)
    }

    fn number(&mut self) -> Result<i32> {
        let value = match self.kind(0) {
            Some(Kind::Number(text)) => text.parse().ok(),
            _ => None,
        };
        let value = value.ok_or_else(|| self.expected("an integer of 32 bits"))?;
        self.at += 1;
        Ok(value)
    }

    fn keyword(&mut self, word: &str) -> Result<()> {
        if self.take_word(word) { Ok(()) } else { Err(self.expected(&format!("`{word}`"))) }
    }

    fn mark(&mut self, mark: char) -> Result<()> {
        if self.take(mark) { Ok(()) } else { Err(self.expected(&format!("`{mark}`"))) }
    }

    fn take_word(&mut self, word: &str) -> bool {
        let found = self.peek_word() == Some(word);
        self.at += usize::from(found);
        found
    }

    fn take(&mut self, mark: char) -> bool {
        let found = self.kind(0) == Some(&Kind::Mark(mark));
        self.at += usize::from(found);
        found
    }

    fn expected(&self, what: &str) -> String {
        match self.kind(0) {
            Some(found) => format!("line {}: expected {what}, found {found:?}", self.line()),
            None => format!("line {}: expected {what}, found the end", self.line()),
        }
    }
}

/// Returns the value of a constant. Dart's integers are signed and have 64 bits, so the largest `uint64_t` is -1.
fn constant(text: &str) -> Option<i64> {
    match text {
        "UINT64_MAX" => Some(-1),
        _ => text.parse().ok(),
    }
}

#[cfg(test)]
#[path = "header_tests.rs"]
mod tests;
