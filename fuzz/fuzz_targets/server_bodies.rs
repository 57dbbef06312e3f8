//! Bodies of requests to the server: each API ends with a request or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    happy_server::internals::check(body);
});
