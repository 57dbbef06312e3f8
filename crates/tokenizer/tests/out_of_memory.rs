//! Every allocation of 4 KiB or more is refused once, while a vocabulary is loaded and texts are encoded and decoded: an
//! error each time, never an abort.

mod made;

use happy_tokenizer::{
    DecodeOptions, DecodeStream, EncodeOptions, GrowingText, Strings, TokenId, Tokenizer, TokenizerError,
};
use made::{KINDS, TYPES, file};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// Refuses one allocation of the thread that asks for it.
struct Refusing;

/// Smaller allocations are never refused: the standard library makes them where it cannot return an error.
const LARGE: usize = 4096;

thread_local! {
    /// Large allocations until the one that is refused; 0: none is.
    static LEFT: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: calls are forwarded to the system allocator unchanged, or refused; the counter does not allocate.
unsafe impl GlobalAlloc for Refusing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.size() >= LARGE && LEFT.try_with(|left| left.replace(left.get().saturating_sub(1))) == Ok(1)
        {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller's obligations are the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Refusing = Refusing;

/// Runs `operation` once for each of its large allocations, with that one refused. Returns how many there are.
fn refuse_each<T>(name: &str, mut operation: impl FnMut() -> Result<T, TokenizerError>) -> usize {
    for n in 1.. {
        LEFT.set(n);
        let result = operation();
        let all_granted = LEFT.replace(0) > 0;
        match result {
            Ok(_) => assert!(all_granted, "{name}: a result without its allocation {n}"),
            Err(TokenizerError::OutOfMemory { bytes }) => {
                assert!(!all_granted && bytes > 0, "{name}: {bytes} bytes, allocation {n}");
            }
            Err(error) => panic!("{name}: {error}"),
        }
        if all_granted {
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
            refuse_each("decode what is no text", || built.decode(&broken, all)),
        ];
        refuse_each("count", || built.count(&text, options));
        assert!(loaded >= 5 && counts.iter().all(|n| *n > 0), "{kind}: {loaded} at load, {counts:?}");
        // What failed left nothing behind.
        assert_eq!(built.encode(&text, options).unwrap(), ids, "{kind}");
    }
}

#[test]
fn lists_and_streams() {
    let texts: Vec<String> = (0..4000).map(|i| i.to_string()).collect();
    assert!(refuse_each("strings", || Strings::from_list(&texts)) >= 3);
    // A token is at most 4,096 bytes long; that many bytes come out of a stream at once.
    let long = file("gpt2", 1, |_| "x".repeat(4096), &[1]);
    let tokenizer = Tokenizer::from_gguf(&long).unwrap();
    let pushed = refuse_each("stream", || {
        let mut stream = DecodeStream::new();
        stream.push(&tokenizer, 351).map(str::len)
    });
    assert!(pushed >= 2);
    // Nothing is lost: the same token can come again.
    let mut stream = DecodeStream::new();
    LEFT.set(1);
    assert!(stream.push(&tokenizer, 351).is_err());
    LEFT.set(0);
    assert_eq!(stream.push(&tokenizer, 351).unwrap().len(), 4096);
}
