//! Arbitrary text as a JSON schema never panics; what builds accepts JSON only, and its masks agree with its steps.
#![no_main]

use happy_fuzz::grammars::{check, limits, split};
use happy_grammar::{Grammar, Reading};
use libfuzzer_sys::fuzz_target;

// A schema and, after a byte 0, a text.
fuzz_target!(|bytes: &[u8]| {
    let (schema, text) = split(bytes);
    for reading in [Reading::Writer, Reading::Specification] {
        if let Ok(grammar) = Grammar::from_json_schema_with(&schema, reading, &limits())
            && check(&grammar, text)
        {
            serde_json::from_slice::<serde_json::Value>(text).expect("an accepted text is JSON");
        }
    }
});
