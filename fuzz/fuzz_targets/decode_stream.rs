//! Arbitrary ids: what comes piece by piece is the whole text, and ids that do not exist are errors that lose nothing.
#![no_main]

use happy_fuzz::vocabularies::choose;
use happy_tokenizer::{DecodeOptions, DecodeStream};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let [which, how, bytes @ ..] = bytes else { return };
    let (vocabulary, special) = (choose(*which), how & 1 != 0);
    let (tokenizer, size) = (&vocabulary.tokenizer, vocabulary.tokenizer.vocab_size() as u32);
    let mut stream = DecodeStream::with_special(special);
    // Twice: a stream that has ended begins anew.
    for _ in 0..2 {
        let (mut ids, mut pieces, mut streamed) = (Vec::new(), Vec::new(), String::new());
        for pair in bytes.chunks_exact(2) {
            // A few ids beyond the end.
            let id = u32::from(u16::from_le_bytes([pair[0], pair[1]])) % (size + 8);
            match stream.push(tokenizer, id) {
                Ok(text) => {
                    assert!(id < size);
                    streamed.push_str(text);
                    ids.push(id);
                    tokenizer.token_bytes(id, special, &mut pieces).expect("an id of the vocabulary");
                }
                Err(_) => assert!(id >= size && tokenizer.piece(id).is_err()),
            }
            // All but the beginning of one character is out.
            let out = String::from_utf8_lossy(&pieces);
            assert!(out.starts_with(&streamed) && out.len() <= streamed.len() + 3, "{streamed:?} of {out:?}");
        }
        // A character that is cut at the end is dropped; decoding at once writes U+FFFD for it.
        if stream.finish() > 0 {
            streamed.push('\u{FFFD}');
        }
        assert_eq!(streamed, String::from_utf8_lossy(&pieces), "{}", vocabulary.name);

        // Decoding at once takes away the space that encoding put before the text, and nothing else.
        let whole = tokenizer.decode(&ids, DecodeOptions { special, clean_spaces: false });
        let whole = whole.expect("ids of the vocabulary");
        let spaced = vocabulary.space_prefix && streamed.strip_prefix(' ') == Some(&whole);
        assert!(whole == streamed || spaced, "{}: {streamed:?}, at once {whole:?}", vocabulary.name);
    }
});
