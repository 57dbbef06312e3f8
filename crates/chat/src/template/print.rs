//! Python's `str()` and `repr()`.

use std::fmt::Write;

use super::error::R;
use super::heap::Cx;
use super::text::{Builder, Text};
use super::value::{Function, Id, MAX_DEPTH, Value, View, too_deep};

/// `repr(float)`: the shortest digits that read back as the same value, with an exponent below 1e-4 and from 1e16 on.
pub(super) fn float_repr(x: f64) -> String {
    if x.is_nan() {
        return "nan".into();
    }
    if x.is_infinite() {
        return if x > 0.0 { "inf" } else { "-inf" }.into();
    }
    let magnitude = x.abs();
    if magnitude != 0.0 && !(1e-4..1e16).contains(&magnitude) {
        let text = format!("{x:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let exponent: i32 = exponent.parse().unwrap_or(0);
        return format!("{digits}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.unsigned_abs());
    }
    let text = x.to_string();
    if text.contains('.') { text } else { text + ".0" }
}

/// Returns whether `repr(str)` escapes a character: controls, separators other than the space, formats, private use, and
/// unassigned characters (here only the ranges that occur in practice).
fn is_hidden(c: char) -> bool {
    c.is_control()
        || (c.is_whitespace() && c != ' ')
        || matches!(c,
            '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{e000}'..='\u{f8ff}' | '\u{feff}'
            | '\u{fff0}'..='\u{fffb}' | '\u{fffe}'..='\u{ffff}' | '\u{e0000}'..='\u{10ffff}')
}

/// The values that are being printed.
#[derive(Default)]
struct Nesting {
    /// The lists and dicts that are being printed. Inside of itself, such an object is printed as `[...]`.
    open: Vec<(bool, Id)>,
}

impl Cx<'_> {
    /// Appends `str(value)`.
    pub(super) fn write_str(&self, out: &mut Builder, value: &Value) -> R<()> {
        match value {
            Value::Str(text) => out.text(&self.budget, text),
            Value::Undefined(_) => Ok(()),
            value => self.write_repr(out, value),
        }
    }

    /// Appends `repr(value)`.
    pub(super) fn write_repr(&self, out: &mut Builder, value: &Value) -> R<()> {
        self.repr(out, value, &mut Nesting::default())
    }

    fn repr(&self, out: &mut Builder, value: &Value, nesting: &mut Nesting) -> R<()> {
        self.budget.charge(1)?;
        let plain = |out: &mut Builder, text: &str| out.str(&self.budget, text, None);
        match value {
            Value::Undefined(_) => plain(out, "Undefined"),
            Value::None => plain(out, "None"),
            Value::Bool(b) => plain(out, if *b { "True" } else { "False" }),
            Value::Int(i) => plain(out, &i.to_string()),
            Value::Big(digits) => plain(out, digits),
            Value::Float(x) => plain(out, &float_repr(*x)),
            Value::Str(text) if text.safe => {
                plain(out, "Markup(")?;
                self.string_repr(out, text)?;
                plain(out, ")")
            }
            Value::Str(text) => self.string_repr(out, text),
            Value::List(id) => self.nest(out, nesting, (false, *id), "[", "]", &|out, nesting| {
                self.repr_items(out, self.items_of(*id), nesting)
            }),
            Value::Tuple(id) => {
                let items = self.items_of(*id);
                let close = if items.len() == 1 { ",)" } else { ")" };
                self.nest(out, nesting, (false, *id), "(", close, &|out, nesting| {
                    self.repr_items(out, items, nesting)
                })
            }
            Value::Dict(id) => self
                .nest(out, nesting, (true, *id), "{", "}", &|out, nesting| self.repr_dict(out, *id, nesting)),
            Value::Namespace(id) => {
                let inside = |out: &mut Builder, nesting: &mut Nesting| self.repr_dict(out, *id, nesting);
                plain(out, "<Namespace ")?;
                self.nest(out, nesting, (true, *id), "{", "}", &inside)?;
                plain(out, ">")
            }
            Value::View(view, id) => {
                let (open, close) = match view {
                    View::Keys => ("dict_keys([", "])"),
                    View::Values => ("dict_values([", "])"),
                    View::Items => ("dict_items([", "])"),
                };
                self.nest(out, nesting, (true, *id), open, close, &|out, nesting| {
                    self.repr_view(out, *view, *id, nesting)
                })
            }
            Value::Range(start, stop, 1) => plain(out, &format!("range({start}, {stop})")),
            Value::Range(start, stop, step) => plain(out, &format!("range({start}, {stop}, {step})")),
            Value::Loop(id) => {
                let index =
                    self.heap.loops.get(*id as usize).and_then(|state| state.index).map_or(0, |i| i + 1);
                plain(out, &format!("<LoopContext {index}/{}>", self.loop_len(*id)))
            }
            Value::Function(function) => plain(
                out,
                match function {
                    Function::Range => "<class 'range'>",
                    Function::Dict => "<class 'dict'>",
                    Function::Namespace => "<class 'jinja2.utils.Namespace'>",
                    Function::Cycler => "<class 'jinja2.utils.Cycler'>",
                    Function::Joiner => "<class 'jinja2.utils.Joiner'>",
                    Function::RaiseException => "<function raise_exception>",
                    Function::StrftimeNow => "<function strftime_now>",
                },
            ),
            Value::Method(method) => {
                plain(out, &format!("<built-in method {} of {} object>", method.1, method.0.type_name()))
            }
            _ => plain(out, &format!("<{} object>", value.type_name())),
        }
    }

    /// Writes brackets around what `inside` writes. An object inside of itself becomes three dots.
    fn nest(
        &self,
        out: &mut Builder,
        nesting: &mut Nesting,
        object: (bool, Id),
        open: &str,
        close: &str,
        inside: &dyn Fn(&mut Builder, &mut Nesting) -> R<()>,
    ) -> R<()> {
        out.str(&self.budget, open, None)?;
        if nesting.open.contains(&object) {
            out.str(&self.budget, "...", None)?;
        } else {
            if nesting.open.len() >= MAX_DEPTH {
                return too_deep();
            }
            nesting.open.push(object);
            inside(out, nesting)?;
            nesting.open.pop();
        }
        out.str(&self.budget, close, None)
    }

    fn separate(&self, out: &mut Builder, i: usize) -> R<()> {
        if i > 0 { out.str(&self.budget, ", ", None) } else { Ok(()) }
    }

    fn repr_items(&self, out: &mut Builder, items: &[Value], nesting: &mut Nesting) -> R<()> {
        for (i, item) in items.iter().enumerate() {
            self.separate(out, i)?;
            self.repr(out, item, nesting)?;
        }
        Ok(())
    }

    fn repr_dict(&self, out: &mut Builder, id: Id, nesting: &mut Nesting) -> R<()> {
        for (i, (key, value)) in self.dict_of(id)?.values().enumerate() {
            self.separate(out, i)?;
            self.repr(out, key, nesting)?;
            out.str(&self.budget, ": ", None)?;
            self.repr(out, value, nesting)?;
        }
        Ok(())
    }

    fn repr_view(&self, out: &mut Builder, view: View, id: Id, nesting: &mut Nesting) -> R<()> {
        for (i, (key, value)) in self.dict_of(id)?.values().enumerate() {
            self.separate(out, i)?;
            match view {
                View::Keys => self.repr(out, key, nesting)?,
                View::Values => self.repr(out, value, nesting)?,
                View::Items => {
                    out.str(&self.budget, "(", None)?;
                    self.repr(out, key, nesting)?;
                    out.str(&self.budget, ", ", None)?;
                    self.repr(out, value, nesting)?;
                    out.str(&self.budget, ")", None)?;
                }
            }
        }
        Ok(())
    }

    /// `repr(str)`: in single quotes, unless the text contains single quotes and no double ones. Control characters are escaped.
    fn string_repr(&self, out: &mut Builder, text: &Text) -> R<()> {
        let string = text.as_str();
        let quote = if string.contains('\'') && !string.contains('"') { '"' } else { '\'' };
        let quotes = if quote == '"' { "\"" } else { "'" };
        out.str(&self.budget, quotes, None)?;
        let escaped = text.map_chars(&self.budget, |c, push| {
            let mut escape = |text: &str| text.chars().for_each(&mut *push);
            match c {
                '\n' => escape("\\n"),
                '\r' => escape("\\r"),
                '\t' => escape("\\t"),
                '\\' => escape("\\\\"),
                c if c == quote => {
                    push('\\');
                    push(c);
                }
                c if !is_hidden(c) => push(c),
                c => {
                    let mut code = String::new();
                    // Writing to a String cannot fail.
                    let _ = match c as u32 {
                        n @ 0..=0xff => write!(code, "\\x{n:02x}"),
                        n @ 0x100..=0xffff => write!(code, "\\u{n:04x}"),
                        n => write!(code, "\\U{n:08x}"),
                    };
                    escape(&code);
                }
            }
        })?;
        out.text(&self.budget, &escaped)?;
        out.str(&self.budget, quotes, None)
    }
}

#[cfg(test)]
mod tests {
    use super::float_repr;

    #[test]
    fn floats_like_python() {
        let cases = [
            (1e16, "1e+16"),
            (1e-5, "1e-05"),
            (123456789.125, "123456789.125"),
            (2.0, "2.0"),
            (-0.0, "-0.0"),
        ];
        for (x, expect) in cases {
            assert_eq!(float_repr(x), expect);
        }
    }
}
