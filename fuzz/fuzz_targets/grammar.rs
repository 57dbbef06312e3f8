//! Arbitrary text as GBNF never panics; what builds says the same of a text in one piece and byte by byte, and a mask offers
//! exactly the tokens that are accepted.
#![no_main]

use happy_fuzz::grammars::{check, limits, split};
use happy_grammar::Grammar;
use libfuzzer_sys::fuzz_target;

// A grammar and, after a byte 0, a text.
fuzz_target!(|bytes: &[u8]| {
    let (grammar, text) = split(bytes);
    if let Ok(grammar) = Grammar::from_gbnf_with(&grammar, "root", &limits()) {
        check(&grammar, text);
    }
});
