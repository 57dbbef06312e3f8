//! What happy-hub reads of servers, other programs and people: ranges, listings, journals, addresses and names.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| happy_hub::internals::check(data));
