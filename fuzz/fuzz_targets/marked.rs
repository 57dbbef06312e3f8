//! Arbitrary text with arbitrary stretches of a stranger's: no control token overlaps one of them, and where no string of one
//! does, the ids are those of encoding without stretches.
#![no_main]

use std::ops::Range;

use happy_fuzz::vocabularies::choose;
use happy_tokenizer::{EncodeOptions, TokenId, Tokenizer};
use libfuzzer_sys::fuzz_target;

/// Up to three ranges of whole characters, ascending and disjoint.
fn ranges(text: &str, cuts: &[u8; 6]) -> Vec<Range<usize>> {
    let mut cuts = cuts.map(|cut| text.floor_char_boundary(usize::from(cut) * text.len() / 255));
    cuts.sort_unstable();
    cuts.as_chunks().0.iter().map(|[a, b]| *a..*b).collect()
}

fn overlaps(a: &Range<usize>, b: &Range<usize>) -> bool {
    a.start.max(b.start) < a.end.min(b.end)
}

/// Whether the string of a control token, or of an unknown token, touches one of the ranges.
fn touched(tokenizer: &Tokenizer, text: &str, plain: &[Range<usize>]) -> bool {
    (0..tokenizer.vocab_size() as TokenId).any(|id| {
        let string = tokenizer.token_text(id).expect("an id of the vocabulary");
        (tokenizer.is_control(id) || matches!(string, b"<unk>" | b"[UNK]"))
            && (0..text.len())
                .filter(|at| text.as_bytes()[*at..].starts_with(string))
                .any(|at| plain.iter().any(|range| overlaps(range, &(at..at + string.len()))))
    })
}

fuzz_target!(|bytes: &[u8]| {
    let [which, how, a, b, c, d, e, f, bytes @ ..] = bytes else { return };
    let (tokenizer, text) = (&choose(*which).tokenizer, String::from_utf8_lossy(bytes));
    let plain = ranges(&text, &[*a, *b, *c, *d, *e, *f]);
    let options = EncodeOptions { add_special: how & 1 != 0, parse_special: how & 2 != 0 };

    let ids = tokenizer.encode_marked(&text, &plain, options, &|| false).expect("whole characters");
    let encoded = tokenizer.encode_marked_with_ranges(&text, &plain, options, &|| false);
    let encoded = encoded.expect("whole characters");
    assert_eq!((&encoded.ids, encoded.ranges.len()), (&ids, ids.len()));
    for (id, range) in ids.iter().zip(&encoded.ranges).filter(|(id, _)| tokenizer.is_control(**id)) {
        assert!(!plain.iter().any(|plain| overlaps(plain, range)), "token {id} at {range:?} of {plain:?}");
    }
    // Without marks, the strings of control tokens are found if they are asked for; pieces may become such tokens too.
    if !touched(tokenizer, &text, &plain)
        && (options.parse_special || !touched(tokenizer, &text, &[0..text.len()]))
    {
        assert_eq!(ids, tokenizer.encode(&text, options).expect("a short text"), "{plain:?}");
    }
});
