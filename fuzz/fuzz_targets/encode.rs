//! Arbitrary text in every kind of vocabulary: no panic, ids of the vocabulary, one answer of all ways to ask, and the text
//! comes back where the vocabulary can.
#![no_main]

use happy_fuzz::vocabularies::{GivesBack, Vocabulary, choose};
use happy_tokenizer::{DecodeOptions, EncodeOptions, EncodeScratch, GrowingText, Tokenizer};
use libfuzzer_sys::fuzz_target;

/// The ranges ascend, lie inside the text, and as many are there as ids.
fn check_ranges(tokenizer: &Tokenizer, text: &str, options: EncodeOptions, ids: &[u32]) {
    let encoded = tokenizer.encode_with_ranges(text, options).expect("a short text");
    assert_eq!((&*encoded.ids, encoded.ranges.len()), (ids, ids.len()));
    assert!(encoded.ranges.iter().all(|r| r.start <= r.end && r.end <= text.len()), "{:?}", encoded.ranges);
    assert!(encoded.ranges.windows(2).all(|r| r[0].start <= r[1].start), "{:?}", encoded.ranges);
}

fn comes_back(vocabulary: &Vocabulary, text: &str) -> bool {
    match vocabulary.gives_back {
        GivesBack::Everything => true,
        GivesBack::But(characters) => !text.contains(characters),
        GivesBack::Nothing => false,
    }
}

fuzz_target!(|bytes: &[u8]| {
    let [which, how, cut, bytes @ ..] = bytes else { return };
    let (vocabulary, text) = (choose(*which), String::from_utf8_lossy(bytes));
    let tokenizer = &vocabulary.tokenizer;
    let options = EncodeOptions { add_special: how & 1 != 0, parse_special: how & 2 != 0 };

    let ids = tokenizer.encode(&text, options).expect("a short text");
    assert!(ids.iter().all(|id| (*id as usize) < tokenizer.vocab_size()));
    assert_eq!(tokenizer.count(&text, options), Ok(ids.len()));
    check_ranges(tokenizer, &text, options, &ids);
    // Buffers that were used, and what was learnt of whole pieces, change nothing.
    let (mut scratch, mut again) = (EncodeScratch::default(), Vec::new());
    for _ in 0..2 {
        again.clear();
        tokenizer.encode_into(&text, options, &mut scratch, &mut again).expect("a short text");
        assert_eq!(again, ids);
    }

    // A text that grows equals the whole.
    let cut = text.floor_char_boundary(usize::from(*cut) * text.len() / 255);
    let mut growing = GrowingText::new(tokenizer, options);
    growing.update(&text[..cut]).expect("a short text");
    assert_eq!(growing.ids(), tokenizer.encode(&text[..cut], options).expect("a short text"));
    let stayed = growing.update(&text).expect("a short text");
    assert!(growing.ids() == ids && stayed <= ids.len(), "{stayed} of {ids:?}");

    // SentencePiece puts a space after a special token in the text too, and that one stays.
    let added_inside = vocabulary.space_prefix && options.parse_special;
    if comes_back(vocabulary, &text) && !options.add_special && !added_inside {
        let exact = DecodeOptions { special: true, clean_spaces: false };
        assert_eq!(
            tokenizer.decode(&ids, exact).expect("ids of the vocabulary"),
            text,
            "{}",
            vocabulary.name
        );
    }
});
