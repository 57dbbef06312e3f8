//! Generates the Dart side of a header, in the form of ffigen: classes for structs, typedefs for callbacks, constants,
//! and a class that looks up the functions.
//!
//! ```text
//! const char *data;         external ffi.Pointer<ffi.Char> data;
//! size_t len;               @ffi.Size() external int len;
//! struct HappyText text;    external HappyText text;
//! HappyStatus f(float x);   late final int Function(double x) f = library.lookupFunction<
//!                               ffi.Int32 Function(ffi.Float x), int Function(double x)>('f');
//! ```
//! An `enum` becomes a class of integer constants: its values are passed as `int32_t`, and a newer library may have
//! more of them.

use super::header::{Base, Constant, Function, Header, SCALARS, Struct, Type, Variable};
use happy_tool_kit::Result;
use std::fmt::Write;

/// Functions that Dart may call as leaf calls. These block its garbage collector and must not call back. They only read
/// a number or a text, and never report to the log.
const LEAVES: &[&str] = &[
    "happy_abi_version",
    "happy_version",
    "happy_live_handles",
    "happy_error_status",
    "happy_error_message",
];

/// Names that cannot be used in Dart: its reserved words, and the members of every object and struct.
const TAKEN: &[&str] = &[
    "assert",
    "break",
    "case",
    "catch",
    "class",
    "const",
    "continue",
    "default",
    "do",
    "else",
    "enum",
    "extends",
    "false",
    "final",
    "finally",
    "for",
    "if",
    "in",
    "is",
    "new",
    "null",
    "rethrow",
    "return",
    "super",
    "switch",
    "this",
    "throw",
    "true",
    "try",
    "var",
    "void",
    "while",
    "with",
    "hashCode",
    "runtimeType",
    "toString",
    "noSuchMethod",
    "library",
];

const HEAD: &str = "\
// The functions, structs and constants of libhappy. Made by `cargo xtask dart` from crates/ffi/include/happy.h; do not edit.
//
// ignore_for_file: type=lint, unused_element, camel_case_types, non_constant_identifier_names, constant_identifier_names
// dart format off

import 'dart:ffi' as ffi;
";

/// Returns the Dart file of a header.
pub(super) fn dart(header: &Header) -> Result<String> {
    let mut out = HEAD.to_owned();
    for constant in &header.constants {
        out.push('\n');
        emit_constant(&mut out, constant, "")?;
    }
    for item in &header.enums {
        out.push('\n');
        doc(&mut out, &item.doc, "");
        line(&mut out, &format!("abstract final class {} {{", name(&item.name)?));
        for value in &item.values {
            emit_constant(&mut out, value, "  static ")?;
        }
        line(&mut out, "}");
    }
    for item in &header.opaques {
        out.push('\n');
        doc(&mut out, &item.doc, "");
        line(&mut out, &format!("final class {} extends ffi.Opaque {{}}", name(&item.name)?));
    }
    for item in &header.callbacks {
        emit_callback(&mut out, item)?;
    }
    for item in &header.structs {
        emit_struct(&mut out, item)?;
    }
    out.push('\n');
    line(&mut out, "/// The functions of libhappy. Each is looked up when it is called first.");
    line(&mut out, "class HappyBindings {");
    line(&mut out, "  /// The functions of [library].");
    line(&mut out, "  HappyBindings(this.library);");
    out.push('\n');
    line(&mut out, "  /// The library that they are in.");
    line(&mut out, "  final ffi.DynamicLibrary library;");
    for item in &header.functions {
        emit_function(&mut out, item)?;
    }
    line(&mut out, "}");
    Ok(out)
}

fn emit_constant(out: &mut String, constant: &Constant, prefix: &str) -> Result<()> {
    let indent = if prefix.is_empty() { "" } else { "  " };
    doc(out, &constant.doc, indent);
    line(out, &format!("{prefix}const int {} = {};", name(&constant.name)?, constant.value));
    Ok(())
}

fn emit_struct(out: &mut String, item: &Struct) -> Result<()> {
    out.push('\n');
    doc(out, &item.doc, "");
    line(out, &format!("final class {} extends ffi.Struct {{", name(&item.name)?));
    for (index, field) in item.fields.iter().enumerate() {
        if index > 0 {
            out.push('\n');
        }
        doc(out, &field.doc, "  ");
        if let (0, Base::Scalar(_) | Base::Enum(_)) = (field.ty.pointers, &field.ty.base) {
            line(out, &format!("  @{}()", native(&field.ty)));
        }
        line(out, &format!("  external {} {};", seen(&field.ty), name(&field.name)?));
    }
    line(out, "}");
    Ok(())
}

fn emit_callback(out: &mut String, item: &Function) -> Result<()> {
    let title = name(&item.name)?;
    out.push('\n');
    doc(out, &item.doc, "");
    line(out, &format!("typedef {title} = ffi.Pointer<ffi.NativeFunction<{title}Function>>;"));
    out.push('\n');
    line(out, &format!("/// A [{title}] as C sees it."));
    line(out, &format!("typedef {title}Function = {};", signature(item, native)?));
    out.push('\n');
    line(out, &format!("/// A [{title}] as Dart sees it."));
    line(out, &format!("typedef Dart{title}Function = {};", signature(item, seen)?));
    Ok(())
}

fn emit_function(out: &mut String, item: &Function) -> Result<()> {
    let title = name(&item.name)?;
    let (native, seen) = (signature(item, native)?, signature(item, seen)?);
    let leaf = if LEAVES.contains(&title) { ", isLeaf: true" } else { "" };
    out.push('\n');
    doc(out, &item.doc, "  ");
    line(out, &format!("  late final {seen} {title} = library.lookupFunction<"));
    line(out, &format!("      {native},"));
    line(out, &format!("      {seen}>('{title}'{leaf});"));
    Ok(())
}

/// Returns the type of a function, whose types are written by `write`.
fn signature(item: &Function, write: fn(&Type) -> String) -> Result<String> {
    let parameter = |p: &Variable| Ok(format!("{} {}", write(&p.ty), name(&p.name)?));
    let parameters: Vec<String> = item.parameters.iter().map(parameter).collect::<Result<_>>()?;
    Ok(format!("{} Function({})", write(&item.result), parameters.join(", ")))
}

/// Returns a type as `dart:ffi` describes C's.
fn native(ty: &Type) -> String {
    let base = match &ty.base {
        Base::Void => "ffi.Void".to_owned(),
        Base::Scalar(c) => {
            let dart = SCALARS.iter().find(|(known, _)| known == c).map_or("Void", |(_, dart)| dart);
            format!("ffi.{dart}")
        }
        Base::Enum(_) => "ffi.Int32".to_owned(),
        Base::Struct(name) | Base::Callback(name) => name.clone(),
    };
    (0..ty.pointers).fold(base, |inner, _| format!("ffi.Pointer<{inner}>"))
}

/// Returns the type that its values have in Dart code.
fn seen(ty: &Type) -> String {
    match (ty.pointers, &ty.base) {
        (0, Base::Void) => "void".to_owned(),
        (0, Base::Scalar("float" | "double")) => "double".to_owned(),
        (0, Base::Scalar(_) | Base::Enum(_)) => "int".to_owned(),
        _ => native(ty),
    }
}

fn name(name: &str) -> Result<&str> {
    match TAKEN.contains(&name) {
        true => Err(format!("`{name}` is a word of Dart's: it needs another name in the header")),
        false => Ok(name),
    }
}

fn doc(out: &mut String, lines: &[String], indent: &str) {
    for text in lines {
        line(out, format!("{indent}/// {text}").trim_end());
    }
}

fn line(out: &mut String, text: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{text}");
}

#[cfg(test)]
mod tests {
    use super::super::header::parse;
    use super::*;

    #[test]
    fn every_kind_of_declaration_is_written() {
        let header = "\
#define HAPPY_ABI_VERSION 1
/** How it ended. */
enum HappyStatus {
  /** Well. */
  HAPPY_OK = 0,
};
typedef int32_t HappyStatus;
typedef struct HappyModel HappyModel;
/** Text. */
typedef struct HappyText {
  /** Bytes. */
  const char *data;
  size_t len;
} HappyText;
typedef void (*HappyOnLog)(void *user, float share);
typedef struct HappyOptions {
  struct HappyText text;
  HappyOnLog log;
} HappyOptions;
/** Opens. */
HappyStatus happy_open(const char *path, size_t len, HappyOnLog log, struct HappyModel **out);
uint32_t happy_abi_version(void);
";
        let expected = "
const int HAPPY_ABI_VERSION = 1;

/// How it ended.
abstract final class HappyStatus {
  /// Well.
  static const int HAPPY_OK = 0;
}

final class HappyModel extends ffi.Opaque {}

typedef HappyOnLog = ffi.Pointer<ffi.NativeFunction<HappyOnLogFunction>>;

/// A [HappyOnLog] as C sees it.
typedef HappyOnLogFunction = ffi.Void Function(ffi.Pointer<ffi.Void> user, ffi.Float share);

/// A [HappyOnLog] as Dart sees it.
typedef DartHappyOnLogFunction = void Function(ffi.Pointer<ffi.Void> user, double share);

/// Text.
final class HappyText extends ffi.Struct {
  /// Bytes.
  external ffi.Pointer<ffi.Char> data;

  @ffi.Size()
  external int len;
}

final class HappyOptions extends ffi.Struct {
  external HappyText text;

  external HappyOnLog log;
}

/// The functions of libhappy. Each is looked up when it is called first.
class HappyBindings {
  /// The functions of [library].
  HappyBindings(this.library);

  /// The library that they are in.
  final ffi.DynamicLibrary library;

  /// Opens.
  late final int Function(ffi.Pointer<ffi.Char> path, int len, HappyOnLog log, ffi.Pointer<ffi.Pointer<HappyModel>> out) happy_open = library.lookupFunction<
      ffi.Int32 Function(ffi.Pointer<ffi.Char> path, ffi.Size len, HappyOnLog log, ffi.Pointer<ffi.Pointer<HappyModel>> out),
      int Function(ffi.Pointer<ffi.Char> path, int len, HappyOnLog log, ffi.Pointer<ffi.Pointer<HappyModel>> out)>('happy_open');

  late final int Function() happy_abi_version = library.lookupFunction<
      ffi.Uint32 Function(),
      int Function()>('happy_abi_version', isLeaf: true);
}
";
        let found = dart(&parse(header).unwrap()).unwrap();
        assert_eq!(found.strip_prefix(HEAD).unwrap_or(&found), expected);
    }

    #[test]
    fn words_of_dart_are_refused() {
        let refused = dart(&parse("uint32_t happy_f(uint32_t in);\n").unwrap());
        assert!(refused.as_ref().is_err_and(|message| message.contains("`in`")), "{refused:?}");
    }
}
