//! Calls made of random bytes, seeded: what the fuzz target `ffi_options` does, without a fuzzer. A process of its own, since
//! it counts what is not freed.
#![allow(unreachable_pub)] // what is shared with other test binaries

#[path = "support/any_call.rs"]
mod any_call;
#[path = "support/tiny.rs"]
mod tiny;

use happy_sampler::Rng;

/// What struct fields, texts and JSON have in them, so that more than the first check is reached.
const PIECES: [&[u8]; 14] = [
    &[0; 8],
    &[0; 64],
    &[1, 0, 0, 0],
    &[0, 0, 0x80, 0x3f],
    &[0xff; 8],
    &[0x7f],
    b"[]",
    b"{\"a\": 1}",
    b"[{\"role\": \"user\", \"content\": \"x\"}]",
    b"root ::= \"ab\" | root2",
    b"root ::= [a-c]*",
    b"top_k;temperature",
    b"scalar",
    "\u{e9}\u{1f600}".as_bytes(),
];

#[test]
fn any_calls_are_answered() {
    let mut rng = Rng::new(7);
    for _ in 0..20_000 {
        let mut data = vec![0; 4];
        data.fill_with(|| rng.next_u64() as u8);
        for _ in 0..rng.next_u64() % 12 {
            match rng.next_u64() % 4 {
                0 => data.extend((0..rng.next_u64() % 24).map(|_| rng.next_u64() as u8)),
                _ => data.extend_from_slice(PIECES[rng.next_u64() as usize % PIECES.len()]),
            }
        }
        any_call::any_call(&data);
    }
}
