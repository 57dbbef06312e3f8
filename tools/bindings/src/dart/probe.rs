//! Checks with the C compiler that Dart's view of the interface agrees with the header.
//!
//! A C program includes `happy.h` and repeats in C what the Dart file says: it declares every function and callback
//! with Dart's types, and asserts the size, alignment, offset and type of every field as laid out by `dart:ffi`. A
//! compiler refuses declarations that differ and assertions that fail, so compiling the program is the check; it is
//! never run. It is compiled for two kinds of machines: with 64 bits, and with 32 bits and the alignments of armv7.

use super::header::{Header, Type, Variable};
use super::layout::layout;
use super::read::{Dart, DartFunction, Native};
use happy_tool_kit::{Result, paths, process};
use std::fmt::Write;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// A machine: its name, the size of its pointers, and the compiler's options.
struct Machine {
    name: &'static str,
    word: usize,
    options: &'static [&'static str],
}

const MACHINES: &[Machine] = &[
    Machine { name: "64 bits", word: 8, options: &[] },
    // Only compilers for x86-64 can do this without a second set of headers. `-ffreestanding` needs no headers of a C
    // library.
    #[cfg(target_arch = "x86_64")]
    Machine { name: "32 bits", word: 4, options: &["-m32", "-malign-double"] },
];

const LIMIT: Duration = Duration::from_secs(60);

/// Compiles the program for every machine. `include` is the header's folder. Returns what was compared.
pub(super) fn check(header: &Header, dart: &Dart, include: &Path) -> Result<String> {
    let folder = paths::target().join("dart");
    std::fs::create_dir_all(&folder).map_err(|e| format!("cannot create {}: {e}", folder.display()))?;
    for machine in MACHINES {
        let program = program(header, dart, machine.word)?;
        let path = folder.join(format!("probe-{}-{}.c", std::process::id(), machine.word));
        std::fs::write(&path, program).map_err(|e| format!("cannot write {}: {e}", path.display()))?;
        let mut command = Command::new("cc");
        command
            .args(["-std=c11", "-Wall", "-Werror", "-ffreestanding", "-fsyntax-only"])
            .args(machine.options);
        let done = process::run_within(command.arg("-I").arg(include).arg(&path), LIMIT)?;
        if !done.success {
            return Err(format!(
                "the C compiler finds that Dart's bindings are not the header's ({}):\n{}",
                machine.name, done.stderr
            ));
        }
        // It is only useful if the check failed.
        let _ = std::fs::remove_file(&path);
    }
    let fields: usize = dart.structs.iter().map(|item| item.fields.len()).sum();
    let machines: Vec<&str> = MACHINES.iter().map(|machine| machine.name).collect();
    Ok(format!(
        "{} functions, {} callbacks, {} structs with {fields} fields, {} constants: as in C ({})",
        dart.functions.len(),
        dart.callbacks.len(),
        dart.structs.len(),
        dart.constants.len(),
        machines.join(", ")
    ))
}

/// Returns the C program for a machine whose pointers have `word` bytes.
fn program(header: &Header, dart: &Dart, word: usize) -> Result<String> {
    names("struct", header.structs.iter().map(|s| &s.name), dart.structs.iter().map(|s| &s.name))?;
    names("callback", header.callbacks.iter().map(|f| &f.name), dart.callbacks.iter().map(|f| &f.name))?;
    names("function", header.functions.iter().map(|f| &f.name), dart.functions.iter().map(|f| &f.name))?;
    let constants = header.enums.iter().flat_map(|item| &item.values);
    names("constant", header.constants.iter().chain(constants).map(|c| &c.name), dart.constants.iter())?;
    let mut out = String::from("#include \"happy.h\"\n");
    let mut say = |text: String| {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{text}");
    };
    for (c, seen) in header.callbacks.iter().zip(&dart.callbacks) {
        let (result, parameters) = declared(c, seen)?;
        say(format!("typedef {result} (*{})({parameters});", c.name));
    }
    for (c, seen) in header.functions.iter().zip(&dart.functions) {
        let (result, parameters) = declared(c, seen)?;
        say(format!("{result} {}({parameters});", c.name));
    }
    for (c, seen) in header.structs.iter().zip(&dart.structs) {
        let name = &c.name;
        names(
            &format!("field of {name}"),
            c.fields.iter().map(|f| &f.name),
            seen.fields.iter().map(|f| &f.name),
        )?;
        let layout = layout(dart, seen, word)?;
        let (size, align) = (layout.extent.size, layout.extent.align);
        say(format!("_Static_assert(sizeof(struct {name}) == {size}, \"{name}: Dart has {size} bytes\");"));
        say(format!(
            "_Static_assert(_Alignof(struct {name}) == {align}, \"{name}: Dart aligns to {align}\");"
        ));
        for ((field, seen), offset) in c.fields.iter().zip(&seen.fields).zip(layout.offsets) {
            let (path, ty) = (format!("{name}.{}", field.name), c_type(dart, &seen.ty, &field.ty));
            let place = format!("offsetof(struct {name}, {}) == {offset}", field.name);
            say(format!("_Static_assert({place}, \"{path}: Dart has it at {offset}\");"));
            let access = format!("((struct {name} *)0)->{}", field.name);
            say(format!(
                "_Static_assert(_Generic({access}, {ty}: 1, default: 0), \"{path}: Dart has {ty}\");"
            ));
        }
    }
    for constant in header.enums.iter().flat_map(|item| &item.values) {
        say(format!("_Static_assert({name} == {}, \"{name}\");", constant.value, name = constant.name));
    }
    for constant in &header.constants {
        let (name, value) = (&constant.name, constant.value);
        say(format!("_Static_assert((int64_t){name} == {value}, \"{name}\");"));
    }
    Ok(out)
}

/// Returns the result and the parameters of a function in C, with Dart's types. Dart has no `const`, so that is taken
/// from the header.
fn declared(c: &super::header::Function, seen: &DartFunction) -> Result<(String, String)> {
    if c.parameters.len() != seen.parameters.len() {
        let (expected, found) = (c.parameters.len(), seen.parameters.len());
        return Err(format!("{}: {found} parameters in Dart, expected {expected}", c.name));
    }
    let text = |(ty, p): (&Native, &Variable)| plain(ty, &p.ty);
    let parameters: Vec<String> = seen.parameters.iter().zip(&c.parameters).map(text).collect();
    let parameters = if parameters.is_empty() { "void".to_owned() } else { parameters.join(", ") };
    Ok((plain(&seen.result, &c.result), parameters))
}

/// Returns the type of a field in C. A struct by value has its name.
fn c_type(dart: &Dart, ty: &Native, c: &Type) -> String {
    match ty {
        Native::Named(name) if dart.structs.iter().any(|known| known.name == *name) => {
            format!("struct {name}")
        }
        other => plain(other, c),
    }
}

/// Returns a number, a pointer or a callback in C.
fn plain(ty: &Native, c: &Type) -> String {
    match ty {
        Native::Number(name) if name == "Void" => "void".to_owned(),
        Native::Number(name) => {
            let known = super::header::SCALARS.iter().find(|(_, dart)| dart == name);
            known.map_or_else(|| format!("unknown_{name}"), |(scalar, _)| (*scalar).to_owned())
        }
        Native::Pointer(inner) => {
            let mut stars = "*".to_owned();
            let mut inner = &**inner;
            while let Native::Pointer(deeper) = inner {
                stars.push('*');
                inner = deeper;
            }
            let base = match inner {
                Native::Named(name) => format!("struct {name}"),
                number => plain(number, c),
            };
            format!("{}{base} {stars}", if c.is_const { "const " } else { "" })
        }
        Native::Named(name) => name.clone(),
    }
}

/// Checks that both sides have the same names in the same order.
fn names<'a>(
    what: &str,
    expected: impl Iterator<Item = &'a String>,
    found: impl Iterator<Item = &'a String>,
) -> Result<()> {
    let (expected, found): (Vec<_>, Vec<_>) = (expected.collect(), found.collect());
    match expected.iter().zip(&found).find(|(a, b)| a != b) {
        Some((a, b)) => Err(format!("{what} {a}: Dart has {b} in its place")),
        None if expected.len() != found.len() => {
            Err(format!("{what}: {} in Dart, expected {}", found.len(), expected.len()))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{emit, header, read};
    use super::*;

    const HEADER: &str = "\
#include <stddef.h>
#include <stdint.h>
#define HAPPY_SEED UINT64_MAX
enum HappyKind {
  HAPPY_A = 0,
  HAPPY_B = 1,
};
typedef int32_t HappyKind;
typedef struct HappyModel HappyModel;
typedef struct HappyText {
  const char *data;
  size_t len;
} HappyText;
typedef int32_t (*HappyHear)(void *user, float share);
typedef struct HappyOptions {
  uint32_t size;
  uint64_t budget;
  struct HappyText text;
  HappyHear hear;
  const struct HappyModel *model;
} HappyOptions;
HappyKind happy_open(const char *path, size_t len, const struct HappyOptions *options, struct HappyModel **out);
uint32_t happy_version(void);
";

    /// Checks [`HEADER`] against its bindings, in which `from` is replaced by `to`.
    fn changed(from: &str, to: &str) -> Result<String> {
        let header = header::parse(HEADER)?;
        let text = emit::dart(&header)?;
        assert!(text.contains(from), "{from}");
        let folder = paths::target().join(format!("dart-test-{}", std::process::id()));
        std::fs::create_dir_all(&folder).map_err(|e| e.to_string())?;
        std::fs::write(folder.join("happy.h"), HEADER).map_err(|e| e.to_string())?;
        check(&header, &read::read(&text.replace(from, to))?, &folder)
    }

    /// This is one test, because all cases write the same files.
    #[test]
    fn what_dart_sees_otherwise_is_found() {
        let same = changed("HappyText", "HappyText").unwrap();
        assert!(same.starts_with("2 functions, 1 callbacks, 2 structs with 7 fields, 3 constants"), "{same}");
        let cases = [
            (
                "@ffi.Uint64()\n  external int budget",
                "@ffi.Uint32()\n  external int budget",
                "HappyOptions.budget: Dart has uint32_t",
            ),
            (
                "@ffi.Uint32()\n  external int size",
                "@ffi.Int32()\n  external int size",
                "HappyOptions.size: Dart has int32_t",
            ),
            (
                "external ffi.Pointer<HappyModel> model",
                "external ffi.Pointer<ffi.Char> model",
                "HappyOptions.model",
            ),
            ("  external HappyHear hear;\n", "", "field of HappyOptions hear: Dart has model in its place"),
            (
                "  external ffi.Pointer<HappyModel> model;\n",
                "",
                "field of HappyOptions: 4 in Dart, expected 5",
            ),
            ("      ffi.Uint32 Function(),", "      ffi.Uint64 Function(),", "happy_version"),
            ("ffi.Char> path, ffi.Size len", "ffi.Char> path, ffi.Uint32 len", "happy_open"),
            ("ffi.Pointer<HappyOptions> options", "ffi.Pointer<HappyText> options", "happy_open"),
            ("ffi.Float share", "ffi.Double share", "HappyHear"),
            ("HAPPY_B", "HAPPY_C", "constant HAPPY_B: Dart has HAPPY_C"),
        ];
        let failures: Vec<String> = cases
            .iter()
            .filter_map(|(from, to, expected)| match changed(from, to) {
                Err(found) if found.contains(expected) => None,
                other => Some(format!("{from} -> {to}: expected {expected}, found {other:?}")),
            })
            .collect();
        assert!(failures.is_empty(), "{failures:#?}");
    }
}
