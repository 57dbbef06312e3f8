//! Reads the generated Dart file from its own text, independently of the header, so that what Dart sees can be compared
//! with what C sees.
//!
//! ```text
//! final class NAME extends ffi.Struct {         a struct
//!   @ffi.KIND()                                 the native type of the next field, where it is a number
//!   external TYPE NAME;
//! typedef NAMEFunction = RESULT Function(TYPE name, ..);               a callback as C sees it
//! .. NAME = library.lookupFunction<             a function
//!       RESULT Function(TYPE name, ..),         as C sees it
//!       RESULT Function(TYPE name, ..)>('NAME'  as Dart sees it
//! ```

use happy_tool_kit::Result;

/// What a Dart file declares about C.
#[derive(Debug, Default)]
pub(super) struct Dart {
    pub(super) structs: Vec<DartStruct>,
    pub(super) callbacks: Vec<DartFunction>,
    pub(super) functions: Vec<DartFunction>,
    /// Names of integer constants.
    pub(super) constants: Vec<String>,
}

/// A class that stands for a struct.
#[derive(Debug)]
pub(super) struct DartStruct {
    pub(super) name: String,
    pub(super) fields: Vec<DartField>,
}

/// A field of such a class.
#[derive(Debug)]
pub(super) struct DartField {
    pub(super) name: String,
    pub(super) ty: Native,
}

/// A function, or a callback, as C sees it.
#[derive(Debug)]
pub(super) struct DartFunction {
    pub(super) name: String,
    pub(super) result: Native,
    pub(super) parameters: Vec<Native>,
}

/// A type of `dart:ffi`.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Native {
    /// `ffi.Int32` and its kind, by the name after `ffi.`.
    Number(String),
    /// `ffi.Pointer<T>`.
    Pointer(Box<Native>),
    /// A class or typedef of the file.
    Named(String),
}

impl Native {
    fn parse(text: &str) -> Self {
        let inner = text.strip_prefix("ffi.Pointer<").and_then(|inner| inner.strip_suffix('>'));
        match (inner, text.strip_prefix("ffi.")) {
            (Some(inner), _) => Native::Pointer(Box::new(Native::parse(inner))),
            (None, Some(number)) => Native::Number(number.to_owned()),
            (None, None) => Native::Named(text.to_owned()),
        }
    }

    /// Returns the type that its values have in Dart code.
    fn seen(&self) -> String {
        match self {
            Native::Number(name) => match name.as_str() {
                "Void" => "void".to_owned(),
                "Float" | "Double" => "double".to_owned(),
                _ => "int".to_owned(),
            },
            other => other.written(),
        }
    }

    fn written(&self) -> String {
        match self {
            Native::Number(name) => format!("ffi.{name}"),
            Native::Pointer(inner) => format!("ffi.Pointer<{}>", inner.written()),
            Native::Named(name) => name.clone(),
        }
    }
}

/// Reads a generated file. Lines of other forms are skipped.
pub(super) fn read(text: &str) -> Result<Dart> {
    let mut dart = Dart::default();
    let mut annotation = None;
    let mut lines = text.lines().map(str::trim).enumerate();
    while let Some((index, line)) = lines.next() {
        let at = |what: String| format!("line {}: {what}", index + 1);
        if let Some(name) = between(line, "final class ", " extends ffi.Struct {") {
            dart.structs.push(DartStruct { name: name.to_owned(), fields: Vec::new() });
        } else if let Some(kind) = between(line, "@ffi.", "()") {
            annotation = Some(Native::Number(kind.to_owned()));
        } else if let Some((ty, name)) =
            between(line, "external ", ";").and_then(|field| field.split_once(' '))
        {
            let native = annotation.take().unwrap_or_else(|| Native::parse(ty));
            if native.seen() != ty {
                return Err(at(format!("field {name} is {ty} in Dart, expected {}", native.seen())));
            }
            let class =
                dart.structs.last_mut().ok_or_else(|| at(format!("field {name} outside of a struct")))?;
            class.fields.push(DartField { name: name.to_owned(), ty: native });
        } else if let Some((name, signature)) =
            between(line, "typedef ", ";").and_then(|item| item.split_once(" = "))
        {
            if let (Some(name), false) = (name.strip_suffix("Function"), name.starts_with("Dart")) {
                dart.callbacks.push(function(name, signature).map_err(at)?);
            }
        } else if let Some((head, "library.lookupFunction<")) = line.rsplit_once(" = ") {
            let name = head.rsplit(' ').next().unwrap_or(head);
            let (native, seen) = (lines.next().map_or("", |(_, l)| l), lines.next().map_or("", |(_, l)| l));
            dart.functions.push(looked_up(name, head, native, seen).map_err(at)?);
        } else if let Some(constant) = between(line.trim_start_matches("static "), "const int ", ";") {
            dart.constants.extend(constant.split_once(" = ").map(|(name, _)| name.to_owned()));
        }
    }
    Ok(dart)
}

/// Reads a function from the three lines that look it up.
fn looked_up(name: &str, head: &str, native: &str, seen: &str) -> Result<DartFunction> {
    let found = function(name, native.trim_end_matches(','))?;
    let (seen, symbol) =
        seen.split_once(">('").ok_or(format!("{name} is looked up in a form that is not known"))?;
    if symbol.split('\'').next() != Some(name) {
        return Err(format!("{name} is looked up as {symbol}"));
    }
    if between(head, "late final ", &format!(" {name}")) != Some(seen) {
        return Err(format!("{name} has another type than what is looked up for it"));
    }
    let (result, parameters) = types(seen)?;
    let expected: Vec<String> = found.parameters.iter().map(Native::seen).collect();
    if result != found.result.seen() || parameters != expected {
        return Err(format!("{name} is `{seen}` in Dart, which does not fit what C sees, `{native}`"));
    }
    Ok(found)
}

fn function(name: &str, signature: &str) -> Result<DartFunction> {
    let (result, parameters) = types(signature)?;
    Ok(DartFunction {
        name: name.to_owned(),
        result: Native::parse(result),
        parameters: parameters.into_iter().map(Native::parse).collect(),
    })
}

/// Returns the types of `RESULT Function(TYPE name, ..)`. No type in the file contains a comma or a space.
fn types(signature: &str) -> Result<(&str, Vec<&str>)> {
    let unknown = || format!("`{signature}` is not a function type that is known");
    let (result, rest) = signature.split_once(" Function(").ok_or_else(unknown)?;
    let inside = rest.strip_suffix(')').ok_or_else(unknown)?;
    let parameters = inside.split(", ").filter(|parameter| !parameter.is_empty());
    let ty = |parameter: &'_ str| parameter.split_once(' ').map(|(ty, _)| ty.len());
    let types: Option<Vec<&str>> = parameters.map(|p| ty(p).map(|end| &p[..end])).collect();
    Ok((result, types.ok_or_else(unknown)?))
}

fn between<'a>(line: &'a str, start: &str, end: &str) -> Option<&'a str> {
    line.strip_prefix(start)?.strip_suffix(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dart_that_contradicts_itself_is_refused() {
        let cases = [
            ("final class A extends ffi.Struct {\n@ffi.Float()\nexternal int a;\n", "line 3: field a is int"),
            (
                "final class A extends ffi.Struct {\nexternal int a;\n@ffi.Size()\nexternal double b;\n",
                "line 4: field b",
            ),
            ("external HappyText a;\n", "line 1: field a outside"),
            (
                "late final int Function() f = library.lookupFunction<\nffi.Int32 Function(),\nint Function()>('g');\n",
                "line 1: f is looked up as g",
            ),
            (
                "late final int Function() f = library.lookupFunction<\nffi.Float Function(),\nint Function()>('f');\n",
                "line 1: f is `int Function()` in Dart",
            ),
            (
                "late final int Function(int a) f = library.lookupFunction<\nffi.Int32 Function(),\nint Function()>('f');\n",
                "line 1: f has another type",
            ),
            (
                "late final int Function(int a) f = library.lookupFunction<\nffi.Int32 Function(ffi.Float a),\nint Function(int a)>('f');\n",
                "line 1: f is `int Function(int a)` in Dart",
            ),
        ];
        let failures: Vec<String> = cases
            .iter()
            .filter_map(|(text, expected)| match read(text) {
                Err(found) if found.starts_with(expected) => None,
                other => Some(format!("{text:?}: expected {expected}, found {other:?}")),
            })
            .collect();
        assert!(failures.is_empty(), "{failures:#?}");
    }
}
