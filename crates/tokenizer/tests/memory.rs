//! The heap size of a tokenizer, counted by the allocator: a few bytes per token, if the strings are in shared storage.

mod conformance;
mod made;

use conformance::{corpus, load, vocabularies};
use happy_gguf::GgufFile;
use happy_testkit::{Meter, measured};
use happy_tokenizer::Tokenizer;
use made::{KINDS, TYPES, file};

#[global_allocator]
static METER: Meter = Meter;

/// The maximum number of bytes per token that the tokenizer itself takes.
const MOST: f64 = 40.0;

#[test]
fn few_bytes_a_token() {
    let folder = corpus();
    let mut failures = Vec::new();
    for (name, info) in &vocabularies(&folder) {
        let file = load(&folder, info);
        let (tokenizer, used) =
            measured(|| Tokenizer::from_gguf(&file).unwrap_or_else(|e| panic!("{name}: {e}")));
        let allocated = used.held as f64;
        let tokens = tokenizer.vocab_size() as f64;
        println!("{name}: {tokens} tokens, {:.1} bytes each", allocated / tokens);
        if allocated / tokens > MOST {
            failures.push(format!("{name}: {:.1} bytes per token", allocated / tokens));
        }
        // The tokenizer's own figure leaves out short lists and the allocator's overhead.
        let said = tokenizer.heap_bytes() as f64;
        if (said - allocated).abs() > 0.02 * allocated + 16384.0 {
            failures.push(format!("{name}: {said} bytes by its own account, {allocated} counted"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Building never takes more than planned, and planning allocates nothing. Returns the plan, and what building took.
fn check_plan(name: &str, file: &GgufFile) -> (u64, u64) {
    let view = file.view();
    let (planned, own) = measured(|| Tokenizer::planned_bytes(view.metadata()));
    assert_eq!(own.calls, 0, "{name}: the plan allocates");
    let (result, used) = measured(|| Tokenizer::from_gguf(file));
    let taken = used.peak;
    let size = result.map(|tokenizer| tokenizer.vocab_size());
    println!("{name}: {planned} bytes planned, {taken} taken, {size:?} tokens");
    assert!(taken <= planned, "{name}: {taken} bytes, {planned} planned");
    (planned, taken)
}

#[test]
fn the_plan_is_an_upper_bound() {
    let cases: &[(&str, usize, &dyn Fn(usize) -> String, &[i32])] = &[
        ("few", 1, &|_| "ab".to_owned(), &[1]),
        ("numbers", 20_000, &|i| format!("[{i}]"), &TYPES),
        ("all special", 20_000, &|i| format!("[{i}]"), &[3, 4]),
        ("special, nothing in common", 5_000, &|i| format!("{i:05}").repeat(20), &[4]),
        ("long", 300, &|i| format!("{i}").repeat(4000 / i.to_string().len()), &[1, 4]),
        ("one letter", 1_000, &|i| "a".repeat(i + 1), &[1, 4]),
        ("equal", 20_000, &|_| "abc".to_owned(), &TYPES),
        ("empty", 20_000, &|_| String::new(), &TYPES),
        ("too long", 10, &|i| "a".repeat(5_000 * i), &[1]),
    ];
    for (name, n, text, types) in cases {
        for kind in KINDS {
            check_plan(&format!("{name}, {kind}"), &file(kind, *n, text, types));
        }
    }
}

/// A million tokens: the plan is an upper bound and not far from what is taken.
#[test]
fn a_million_tokens_are_planned() {
    for kind in ["gpt2", "llama", "t5"] {
        let file = file(kind, 1_000_000, |i| format!("{}{i}", ["a", "▁b", "Ġ"][i % 3]), &[1, 1, 1, 4]);
        let (planned, taken) = check_plan(kind, &file);
        assert!(planned < 3 * taken, "{kind}: {planned} planned, {taken} taken");
    }
}

#[test]
fn the_plan_holds_for_the_corpus() {
    let folder = corpus();
    for (name, info) in &vocabularies(&folder) {
        let (planned, taken) = check_plan(name, &load(&folder, info));
        assert!(planned < 3 * taken + (1 << 17), "{name}: {planned} planned, {taken} taken");
    }
}
