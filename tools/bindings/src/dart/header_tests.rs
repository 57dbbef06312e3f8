//! Tests of what the parser accepts and what it refuses.

use super::*;

const SMALL: &str = "\
/**
 * The version.
 */
#define HAPPY_ABI_VERSION 1
#define HAPPY_SEED_RANDOM UINT64_MAX
/** How it ended. */
enum HappyStatus {
  /** Well. */
  HAPPY_OK = 0,
  HAPPY_LESS = -3,
};
typedef int32_t HappyStatus;
typedef struct HappyModel HappyModel;
typedef struct HappyText {
  const char *data;
  size_t len;
} HappyText;
typedef int32_t (*HappyOnText)(void *user, const struct HappyText *text);
typedef struct HappyOptions {
  uint32_t size;
  /** Where. */
  struct HappyText text;
  HappyOnText on_text;
  struct HappyModel **model;
} HappyOptions;
/** Opens. */
HappyStatus happy_open(const char *path,
                       size_t path_len, struct HappyModel **out);
/** Opens. */
HappyStatus happy_open(const char *path, size_t path_len, struct HappyModel **out);
uint32_t happy_abi_version(void);
";

#[test]
fn a_header_is_read() {
    let header = parse(SMALL).unwrap();
    assert_eq!(header.constants.iter().map(|c| c.value).collect::<Vec<_>>(), [1, -1]);
    assert_eq!(header.constants[0].doc, ["The version."]);
    assert_eq!(header.enums[0].values.iter().map(|c| c.value).collect::<Vec<_>>(), [0, -3]);
    assert_eq!(header.opaques[0].name, "HappyModel");
    assert_eq!(header.callbacks[0].parameters.len(), 2);
    let fields: Vec<&Base> = header.structs[1].fields.iter().map(|field| &field.ty.base).collect();
    let expected = [
        &Base::Scalar("uint32_t"),
        &Base::Struct("HappyText".into()),
        &Base::Callback("HappyOnText".into()),
        &Base::Struct("HappyModel".into()),
    ];
    assert_eq!(fields, expected);
    assert_eq!(
        header.functions.iter().map(|f| f.name.as_str()).collect::<Vec<_>>(),
        ["happy_open", "happy_abi_version"]
    );
    assert_eq!(header.functions[0].doc, ["Opens."]);
    assert_eq!(
        header.functions[0].parameters[2].ty,
        Type { base: Base::Struct("HappyModel".into()), pointers: 2, is_const: false }
    );
    assert!(header.functions[1].parameters.is_empty());
}

#[test]
fn what_it_does_not_know_is_refused_with_its_line() {
    let cases = [
        ("\nint f(void);\n", "line 2: unknown type int"),
        ("uint32_t f();\n", "line 1: expected a name, found Mark(')')"),
        ("uint32_t f(uint32_t);\n", "line 1: expected a name"),
        ("uint32_t f(uint32_t a[4]);\n", "line 1: expected `)`"),
        ("uint32_t f(void)\n", "line 1: expected `;`, found the end"),
        ("uint32_t f(struct S *a);\n", "line 1: struct S is not declared before"),
        ("typedef struct S S;\nuint32_t f(struct S a);\n", "line 2: a parameter that is a struct"),
        ("typedef struct S S;\ntypedef struct T { struct S a; } T;\n", "line 2: a field without a size"),
        ("typedef struct S { uint32_t a : 3; } S;\n", "line 1: expected `;`, found Mark(':')"),
        ("typedef struct S { uint32_t a[2]; } S;\n", "line 1: expected `;`, found Mark('[')"),
        ("typedef struct S { uint32_t a; } T;\n", "line 1: expected `S`"),
        ("typedef struct S S;\ntypedef struct S S;\n", "line 2: S is declared twice"),
        ("typedef uint32_t T;\n", "line 1: typedef T is neither"),
        ("enum E { A };\n", "line 1: expected `=`"),
        ("enum E { A = 99999999999 };\n", "line 1: expected an integer of 32 bits"),
        ("enum E { A = 1 };\ntypedef uint32_t E;\n", "line 2: typedef E is neither"),
        ("const uint32_t f(void);\n", "line 1: const of something else"),
        ("uint32_t f(const char **a);\n", "line 1: const of something else"),
        ("uint32_t f(char *const a);\n", "line 1: expected `)`"),
        ("uint32_t f(void);\nuint64_t f(void);\n", "line 2: f is declared twice, differently"),
        ("uint32_t f(void);\nuint32_t f(uint32_t a);\n", "line 2: f is declared twice, differently"),
        ("#define A 1.5\n", "line 1: A is 1.5, no integer"),
        ("union U { int a; };\n", "line 1: unknown type union"),
    ];
    let failures: Vec<String> = cases
        .iter()
        .filter_map(|(text, expected)| match parse(text) {
            Err(found) if found.starts_with(expected) => None,
            other => Some(format!("{text:?}: expected {expected}, found {other:?}")),
        })
        .collect();
    assert!(failures.is_empty(), "{failures:#?}");
}
