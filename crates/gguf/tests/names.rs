//! File names, and typed keys.

use happy_gguf::*;

/// Names that exercise corner cases of the document's regular expression, with the results that it gives.
#[test]
fn names_by_hand() {
    let fits = [
        "a-1B-v1.gguf",
        "-1B-v1.gguf",
        "a--v1.gguf",
        "a-1B-x2B--v1.gguf",
        "a-1B-x--v1.gguf",
        "mtp-1B-v1.gguf",
        "mmproj-Qwen2-VL-7B-v1.0-F16.gguf",
        "a-1B-v1-v2.gguf",
        "a-1B-v1-x-LoRA.gguf",
        "a-1B-v1-00001-of-00002.gguf",
        "a-1B-v1-LoRA-00001-of-00002.gguf",
    ];
    for name in fits {
        let parsed = FileName::parse(name);
        assert_eq!(parsed.as_ref().map(ToString::to_string).as_deref(), Some(name), "{parsed:?}");
    }
    for name in [
        "",
        ".gguf",
        "a-1B--v1.gguf",
        "a.gguf",
        "a-v1.gguf",
        "a-1B.gguf",
        "a-1B-v.gguf",
        "a-1B-v1..gguf",
        "a-1B-v1-.gguf",
        "é-1B-v1.gguf",
    ] {
        assert_eq!(FileName::parse(name), None, "{name}");
    }
    let long = format!("{}1B-v1.gguf", "a-".repeat(100_000));
    assert_eq!(FileName::parse(&long), None);
}

/// Every listed key consists of lower-case segments, occurs once, and can be read from files of any architecture.
#[test]
fn typed_keys() {
    let mut patterns: Vec<_> = keys::ALL.iter().map(|(pattern, _)| *pattern).collect();
    patterns.sort_unstable();
    patterns.dedup();
    assert_eq!(patterns.len(), keys::ALL.len());
    let file = GgufWriter::new()
        .kv("general.architecture", "gemma3")
        .kv("gemma3.attention.head_count", 4u32)
        .kv("gemma3.attention.head_count_kv", vec![1i32, 2])
        .kv("gemma3.rope.freq_base", 1e6f64)
        .kv("tokenizer.ggml.tokens", vec!["x"])
        .kv("tokenizer.ggml.scores", vec![0.5f32])
        .to_vec()
        .unwrap();
    let gguf = Gguf::parse(&file).unwrap();
    let m = gguf.metadata();
    assert_eq!(m.key(&keys::ARCHITECTURE).unwrap(), Some("gemma3"));
    assert_eq!(m.key(&keys::ATTENTION_HEAD_COUNT).unwrap(), Some(PerLayer::All(4)));
    assert_eq!(m.key(&keys::ATTENTION_HEAD_COUNT_KV).unwrap(), Some(PerLayer::Each(vec![1, 2])));
    assert_eq!(m.key(&keys::ROPE_FREQ_BASE).unwrap(), Some(1e6));
    assert_eq!(m.key(&keys::TOKENIZER_TOKENS).unwrap().unwrap().next().unwrap(), "x");
    assert_eq!(m.key(&keys::TOKENIZER_SCORES).unwrap(), Some(vec![0.5]));
    assert_eq!(m.key(&keys::CHAT_TEMPLATE).unwrap(), None);
    let none = GgufWriter::new().to_vec().unwrap();
    let none = Gguf::parse(&none).unwrap();
    assert_eq!(none.metadata().key(&keys::ALIGNMENT).unwrap(), None);
    let error = none.metadata().key(&keys::BLOCK_COUNT).unwrap_err();
    assert_eq!(error.key(), "general.architecture");
}
