//! Arbitrary bytes: no panic, and what parses can be walked over whole.
#![no_main]

use happy_gguf::{Array, Gguf, Limits, Value, keys};
use libfuzzer_sys::fuzz_target;

fn walk(array: &Array<'_>) {
    assert_eq!(array.iter().count(), array.len());
    for value in array.iter().take(100) {
        if let Value::Array(inner) = value {
            walk(&inner);
        }
    }
    if let Some(strings) = array.strings() {
        let index = strings.clone().index().expect("an index");
        assert!(strings.enumerate().all(|(i, s)| index.get(i) == Some(s)));
    }
}

fuzz_target!(|bytes: &[u8]| {
    let strict = Gguf::parse(bytes);
    let Ok(gguf) = Gguf::parse_lenient(bytes, &Limits::default()) else {
        assert!(strict.is_err(), "taken strictly, but not leniently");
        return;
    };
    for (key, value) in gguf.metadata().iter() {
        assert!(gguf.metadata().contains(key));
        let _ = value.describe();
        if let Value::Array(array) = value {
            walk(&array);
        }
    }
    for tensor in gguf.tensors() {
        assert_eq!(gguf.tensor(tensor.name).as_ref(), Some(&tensor));
        assert_eq!(gguf.data(&tensor).expect("its bytes").len() as u64, tensor.byte_len());
    }
    let _ = gguf.metadata().key(&keys::ATTENTION_HEAD_COUNT_KV);
    let _ = gguf.metadata().key(&keys::TOKENIZER_SCORES);
    assert_eq!(gguf.check_strict().is_ok(), !gguf.warnings().iter().any(|w| w.is_refused_elsewhere()));
});
