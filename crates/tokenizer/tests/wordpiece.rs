//! WordPiece does what Hugging Face's BertNormalizer and WordPiece do. Ids of real vocabularies are tested elsewhere;
//! here each rule has its case.

use happy_gguf::{GgufFile, GgufWriter, Limits, OwnedArray};
use happy_tokenizer::{EncodeOptions, Tokenizer};
use std::sync::Arc;

/// [UNK], [CLS], [SEP], followed by these.
const WORDS: [&str; 14] = [
    "\u{2581}e",
    "\u{2581}\u{1100}", // first letters of 가 and 각
    "\u{1161}",
    "\u{11A8}",
    "\u{2581}\u{915}", // Devanagari ka
    "\u{93E}",         // with its long a
    "\u{2581}\u{9C7}", // Bengali e, of which o is made,
    "\u{9BE}",         // with aa
    "\u{2581}a",
    "a",
    "b",
    "\u{2581}ab",
    "\u{2581};",
    "\u{307}", // a dot above
];

fn ids(text: &str, lowercase: bool) -> Vec<u32> {
    let tokens = ["[UNK]", "[CLS]", "[SEP]"].into_iter().chain(WORDS);
    let types = (0..3 + WORDS.len()).map(|id| if id < 3 { 3i32 } else { 1 });
    let bytes = GgufWriter::new()
        .kv("tokenizer.ggml.model", "bert")
        .kv("tokenizer.ggml.tokens", OwnedArray::strings(tokens))
        .kv("tokenizer.ggml.token_type", OwnedArray::packed(types))
        .kv("tokenizer.ggml.unknown_token_id", 0u32)
        .kv("tokenizer.ggml.bos_token_id", 1u32)
        .kv("tokenizer.ggml.seperator_token_id", 2u32)
        .kv("tokenizer.ggml.normalizer.lowercase", lowercase)
        .to_vec()
        .expect("a file");
    let file = GgufFile::from_shared(Arc::new(bytes), &Limits::default()).expect("a valid file");
    let tokenizer = Tokenizer::from_gguf(&file).expect("a tokenizer");
    tokenizer.encode(text, EncodeOptions { add_special: false, parse_special: false }).expect("ids")
}

/// The tokens of a text, as indices of [`WORDS`]; `None` for the unknown token.
fn words(text: &str) -> Vec<Option<usize>> {
    ids(text, true).into_iter().map(|id| (id as usize).checked_sub(3)).collect()
}

#[test]
fn hangul_syllables_become_all_of_their_letters() {
    assert_eq!(words("가"), [Some(1), Some(2)]);
    assert_eq!(words("각"), [Some(1), Some(2), Some(3)]);
}

#[test]
fn marks_with_a_place_of_their_own_stay() {
    // Devanagari ka with its long a (Mc), with a nukta (Mn), and the letter composed of ka and nukta.
    assert_eq!(words("\u{915}\u{93E}"), [Some(4), Some(5)]);
    assert_eq!(words("\u{915}\u{93C}\u{93E}"), [Some(4), Some(5)]);
    assert_eq!(words("\u{958}\u{93E}"), [Some(4), Some(5)]);
    // Bengali o is two spacing marks.
    assert_eq!(words("\u{9CB}"), [Some(6), Some(7)]);
}

#[test]
fn accents_go_where_they_are_stripped() {
    assert_eq!(words("É e\u{301} \u{301}"), [Some(0), Some(0)]);
    // A capital whose lower case is two characters, one of which is an accent.
    assert_eq!(words("\u{37E}"), [Some(12)]);
    assert_eq!(ids("É", false), [0]);
}

#[test]
fn controls_are_dropped_and_do_not_end_a_word() {
    assert_eq!(words("a\u{B}b\0\u{85}"), [Some(11)]);
    assert_eq!(words("a\tab\u{2028}e\r\n"), [Some(8), Some(11), Some(0)]);
}

#[test]
fn words_of_more_than_100_characters_are_unknown() {
    let word = |n: usize| words(&"a".repeat(n));
    assert_eq!(word(100).len(), 100);
    assert_eq!(word(101), [None]);
    assert_eq!(words(&format!("ab {} ab", "b".repeat(200))), [Some(11), None, Some(11)]);
    // Characters are counted after accents are stripped, and the letters of syllables one by one.
    assert_eq!(words(&"a\u{301}".repeat(100)).len(), 100);
    assert_eq!(words(&"각".repeat(34)), [None]);
}
