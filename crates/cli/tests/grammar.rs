//! `happy grammar`: texts and tokens that match or do not, and grammars that cannot be built.

mod support;

use support::{Folder, happy, output, succeed};

#[test]
fn texts_and_tokens() {
    let folder = Folder::new();
    let words = folder.file("words.gbnf", "root ::= word (\" \" word)*\nword ::= [a-zé]+\n");
    let tools = folder.file("tools.gbnf", "call ::= <[7]> !<[8]>+ <[8]>\n");
    let schema =
        folder.file("schema.json", r#"{"type": "array", "items": {"type": "integer"}, "minItems": 1}"#);
    struct Case<'a> {
        args: Vec<&'a str>,
        lines: &'a str,
        accepts: &'a [bool],
    }
    let cases = [
        Case {
            args: vec!["grammar", "--grammar", &words],
            lines: "{\"text\": \"caf\u{e9} ol\\u00e9\"}\n\n{\"text\": \"\"}\n{\"text\": \"a  b\"}\n{\"pieces\": [\"a\", \" b\"]}\n",
            accepts: &[true, false, false, true],
        },
        Case {
            args: vec!["grammar", "--grammar", &tools, "--root", "call"],
            lines: "{\"pieces\": [{\"token\": 7}, \"x\", {\"token\": 9, \"text\": \"y\"}, {\"token\": 8}]}\n\
                    {\"pieces\": [{\"token\": 7}, {\"token\": 8}]}\n",
            accepts: &[true, false],
        },
        Case {
            args: vec!["grammar", "--json-schema", &schema, "--schema-literally"],
            lines: "{\"text\": \"[1.0, -2]\"}\n{\"text\": \"[1.5]\"}\n",
            accepts: &[true, false],
        },
        Case {
            args: vec!["grammar", "--json-schema", &schema],
            lines: "{\"text\": \"[1, -2]\"}\n{\"text\": \"[]\"}\n{\"text\": \"[1.5]\"}\n",
            accepts: &[true, false, false],
        },
    ];
    let mut failures = Vec::new();
    for Case { args, lines, accepts } in cases {
        let expected: String = accepts.iter().map(|accepts| format!("{{\"accepts\":{accepts}}}\n")).collect();
        let found = succeed(&args, lines.as_bytes());
        if found != expected {
            failures.push(format!("{args:?}: expected {expected}, found {found}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn what_cannot_be_built() {
    let folder = Folder::new();
    let gbnf = |name: &str, text: &str| vec!["--grammar".to_owned(), folder.file(name, text)];
    let schema = |name: &str, text: &str| vec!["--json-schema".to_owned(), folder.file(name, text)];
    let cases: Vec<(Vec<String>, &[u8], i32, &[&str])> = vec![
        (gbnf("a.gbnf", "root ::= \"a\n  b"), b"", 2, &["a.gbnf", "line 2, column 4", "expected", "found"]),
        (gbnf("b.gbnf", "root ::= root \"a\""), b"", 2, &["line 1", "left recursion"]),
        (gbnf("c.gbnf", "start ::= \"a\""), b"", 2, &["no rule is called 'root'"]),
        (gbnf("d.gbnf", "root ::= <think>"), b"", 2, &["line 1, column 10", "<think>"]),
        (schema("a.json", "{\"type\": 3}"), b"", 2, &["a.json", "#/type", "expected", "a number"]),
        (schema("d.json", "{\"not\": {}}"), b"", 2, &["#", "no document satisfies"]),
        (schema("c.json", "{\n\"type\": "), b"", 2, &["line 2 column"]),
        (gbnf("e.gbnf", "root ::= \"a\""), b"{\"txt\": 1}\n", 1, &["line 1 of standard input", "pieces"]),
        (vec![], b"", 2, &["--grammar"]),
    ];
    let mut failures = Vec::new();
    for (args, stdin, code, says) in cases {
        let args: Vec<&str> = ["grammar"].into_iter().chain(args.iter().map(String::as_str)).collect();
        let done = output(&mut happy(&args), stdin);
        let stderr = String::from_utf8_lossy(&done.stderr);
        let unsaid: Vec<_> = says.iter().filter(|says| !stderr.contains(*says)).collect();
        if done.status.code() != Some(code) || !unsaid.is_empty() || !stderr.starts_with("error: ") {
            failures.push(format!("{args:?}: {:?}, does not say {unsaid:?}: {stderr}", done.status.code()));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
