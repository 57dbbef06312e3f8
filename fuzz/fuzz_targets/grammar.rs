//! Arbitrary text as GBNF never panics; what builds says the same of a text in one piece and byte by byte, and a mask offers
//! exactly the tokens that are accepted.
#![no_main]

use happy_fuzz::grammars::{check, limits};
use happy_grammar::Grammar;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, &[u8])| {
    let (grammar, text) = input;
    if let Ok(grammar) = Grammar::from_gbnf_with(grammar, "root", &limits()) {
        check(&grammar, text);
    }
});
