//! Every allocation of 4 KiB or more is refused once, while a vocabulary is loaded and texts are encoded and decoded:
//! an error each time, never an abort.

mod made;

use happy_testkit::{Meter, refusing};
use happy_tokenizer::{
    DecodeOptions, DecodeStream, EncodeOptions, GrowingText, Strings, TokenId, Tokenizer, TokenizerError,
};
use made::{KINDS, TYPES, file};

#[global_allocator]
static METER: Meter = Meter;

/// Runs `operation` once for each of its large allocations, with that one refused. Returns how many there are.
fn refuse_each<T>(name: &str, mut operation: impl FnMut() -> Result<T, TokenizerError>) -> usize {
    for n in 1.. {
        let (result, refused) = refusing(n, &mut operation);
        match result {
            Ok(_) => assert!(!refused, "{name}: a result without its allocation {n}"),
            Err(TokenizerError::OutOfMemory { bytes }) => {
                assert!(refused && bytes > 0, "{name}: {bytes} bytes, allocation {n}");
            }
            Err(error) => panic!("{name}: {error}"),
        }
        if !refused {
            return n - 1;
        }
    }
    0
}

#[test]
fn a_refused_allocation_is_an_error() {
    let options = EncodeOptions { add_special: true, parse_special: true };
    let text = "a [7] <0x41> é\u{301} 中 x1y2 z aaaa\n\n".repeat(600) + &"ab".repeat(10_000);
    for kind in KINDS {
        let file = file(kind, 5000, |i| format!("[{i}]"), &TYPES);
        let loaded = refuse_each(kind, || Tokenizer::from_gguf(&file));
        let built = Tokenizer::from_gguf(&file).unwrap();
        let ids = built.encode(&text, options).unwrap();
        let all = DecodeOptions { special: true, clean_spaces: true };
        let broken: Vec<TokenId> = ids.iter().flat_map(|id| [*id, 0xE4]).collect();
        let counts = [
            refuse_each("encode", || built.encode(&text, options)),
            refuse_each("marked", || built.encode_marked(&text, &[0..1, 6..12], options, &|| false)),
            refuse_each("ranges", || built.encode_with_ranges(&text, options)),
            refuse_each("batch", || built.encode_batch([&text, "a", &text], options)),
            refuse_each("growing", || {
                let mut growing = GrowingText::new(&built, options);
                growing.update(&text[..5000]).and_then(|_| growing.update(&text))
            }),
            refuse_each("decode", || built.decode(&ids, all)),
            refuse_each("decode invalid text", || built.decode(&broken, all)),
        ];
        refuse_each("count", || built.count(&text, options));
        assert!(loaded >= 5 && counts.iter().all(|n| *n > 0), "{kind}: {loaded} at load, {counts:?}");
        // Failures had no lasting effect.
        assert_eq!(built.encode(&text, options).unwrap(), ids, "{kind}");
    }
}

#[test]
fn lists_and_streams() {
    let texts: Vec<String> = (0..4000).map(|i| i.to_string()).collect();
    assert!(refuse_each("strings", || Strings::from_list(&texts)) >= 3);
    // A token is at most 4,096 bytes long; a stream returns that many bytes at once.
    let long = file("gpt2", 1, |_| "x".repeat(4096), &[1]);
    let tokenizer = Tokenizer::from_gguf(&long).unwrap();
    let pushed = refuse_each("stream", || {
        let mut stream = DecodeStream::new();
        stream.push(&tokenizer, 351).map(str::len)
    });
    assert!(pushed >= 2);
    // Nothing is lost: the same token can be pushed again.
    let mut stream = DecodeStream::new();
    assert!(refusing(1, || stream.push(&tokenizer, 351).is_err()).0);
    assert_eq!(stream.push(&tokenizer, 351).unwrap().len(), 4096);
}
