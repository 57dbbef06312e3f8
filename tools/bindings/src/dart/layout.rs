//! The layout of structs in `dart:ffi`: each field is at the next multiple of its alignment, and the size is a multiple
//! of the largest alignment. Every number is aligned to its size on all machines that Flutter supports, except 32-bit
//! x86, where 64-bit numbers are aligned to 4. libhappy is not built for that.

use super::read::{Dart, DartStruct, Native};
use happy_tool_kit::Result;

/// Size in bytes and alignment of a type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Extent {
    pub(super) size: usize,
    pub(super) align: usize,
}

/// A struct's extent and the offsets of its fields, in bytes.
#[derive(Debug, PartialEq)]
pub(super) struct Layout {
    pub(super) extent: Extent,
    pub(super) offsets: Vec<usize>,
}

/// Returns the layout of a struct of `dart`, if pointers have `word` bytes.
pub(super) fn layout(dart: &Dart, item: &DartStruct, word: usize) -> Result<Layout> {
    let (mut end, mut align) = (0usize, 1);
    let mut offsets = Vec::new();
    for field in &item.fields {
        let extent = extent(dart, item, &field.ty, word)
            .map_err(|what| format!("{}.{}: {what}", item.name, field.name))?;
        let offset = end.next_multiple_of(extent.align);
        offsets.push(offset);
        end = offset + extent.size;
        align = align.max(extent.align);
    }
    Ok(Layout { extent: Extent { size: end.next_multiple_of(align), align }, offsets })
}

fn extent(dart: &Dart, outer: &DartStruct, ty: &Native, word: usize) -> Result<Extent> {
    let number = |size| Ok(Extent { size, align: size });
    match ty {
        Native::Pointer(_) => number(word),
        Native::Number(name) => match name.as_str() {
            "Char" => number(1),
            "Int32" | "Uint32" | "Float" => number(4),
            "Uint64" | "Double" => number(8),
            "Size" => number(word),
            other => Err(format!("ffi.{other} has no size that is known")),
        },
        Native::Named(name) => {
            if dart.callbacks.iter().any(|callback| callback.name == *name) {
                return number(word);
            }
            // A struct comes after those that it contains, so there can be no cycle.
            match dart
                .structs
                .iter()
                .take_while(|known| known.name != outer.name)
                .find(|known| known.name == *name)
            {
                Some(inner) => Ok(layout(dart, inner, word)?.extent),
                None => Err(format!("{name} is not a struct or callback that stands before it")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::read::read;
    use super::*;

    const TEXT: &str = "\
typedef FFunction = ffi.Void Function();
final class A extends ffi.Struct {
@ffi.Char()
external int a;
@ffi.Uint64()
external int b;
@ffi.Int32()
external int c;
}
final class B extends ffi.Struct {
@ffi.Float()
external double a;
external A b;
external F c;
@ffi.Size()
external int d;
@ffi.Char()
external int e;
}
";

    #[test]
    fn padding_goes_between_and_behind() {
        let dart = read(TEXT).unwrap();
        let of = |index: usize, word| layout(&dart, &dart.structs[index], word).unwrap();
        let extent = |size| Extent { size, align: 8 };
        assert_eq!(of(0, 8), Layout { extent: extent(24), offsets: vec![0, 8, 16] });
        assert_eq!(of(1, 8), Layout { extent: extent(56), offsets: vec![0, 8, 32, 40, 48] });
        assert_eq!(of(1, 4), Layout { extent: extent(48), offsets: vec![0, 8, 32, 36, 40] });
    }

    #[test]
    fn circles_and_unknown_types_are_refused() {
        for field in ["external S a;", "external T a;", "@ffi.Long()\nexternal int a;"] {
            let dart = read(&format!("final class S extends ffi.Struct {{\n{field}\n}}\n")).unwrap();
            assert!(layout(&dart, &dart.structs[0], 8).is_err_and(|e| e.starts_with("S.a: ")), "{field}");
        }
    }
}
