//! The conformance corpus: ids of 25 vocabularies, as llama.cpp has them.

use happy_gguf::{GgufFile, Limits};
use happy_tokenizer::{DecodeOptions, DecodeStream, EncodeOptions, GrowingText, Tokenizer};
use serde_json::Value;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn corpus() -> Option<PathBuf> {
    let root = std::env::var_os("HAPPY_CONFORMANCE")
        .map(PathBuf::from)
        .unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/conformance"));
    let folder = root.join("tokenizer");
    if folder.is_dir() {
        return Some(folder);
    }
    println!("DID NOT RUN: no conformance corpus at {}", folder.display());
    assert!(std::env::var("CI").is_err(), "the conformance corpus is required under CI");
    None
}

fn gunzip(path: &Path) -> String {
    let mut text = String::new();
    let file = std::fs::File::open(path).unwrap();
    flate2::read::MultiGzDecoder::new(file).read_to_string(&mut text).unwrap();
    text
}

fn vocabulary(path: &Path) -> GgufFile {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).unwrap();
    ruzstd::decoding::StreamingDecoder::new(file).unwrap().read_to_end(&mut bytes).unwrap();
    GgufFile::from_shared(Arc::new(bytes), &Limits::default()).unwrap()
}

fn ids(value: &Value) -> Option<Vec<u32>> {
    value.as_array().map(|a| a.iter().map(|v| v.as_u64().unwrap() as u32).collect())
}

fn from_base64(text: &str) -> Vec<u8> {
    let digit = |c: u8| match c {
        b'A'..=b'Z' => c - b'A',
        b'a'..=b'z' => c - b'a' + 26,
        b'0'..=b'9' => c - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let mut bytes = Vec::new();
    let (mut bits, mut n) = (0u32, 0);
    for c in text.bytes().filter(|c| *c != b'=') {
        bits = (bits << 6) | u32::from(digit(c));
        n += 6;
        if n >= 8 {
            n -= 8;
            bytes.push((bits >> n) as u8);
        }
    }
    bytes
}

fn encode(tokenizer: &Tokenizer, text: &str, parse_special: bool) -> Vec<u32> {
    tokenizer.encode(text, EncodeOptions { add_special: false, parse_special }).unwrap()
}

/// Ranges ascend and stay inside; where tokens are pieces of the text, they are the pieces that the ranges say.
fn ranges_and_counts(tokenizer: &Tokenizer, text: &str, ids: &[u32]) -> Result<(), String> {
    let options = EncodeOptions { add_special: false, parse_special: true };
    let encoded = tokenizer.encode_with_ranges(text, options).unwrap();
    let count = tokenizer.count(text, options).unwrap();
    if encoded.ids != ids || encoded.ranges.len() != ids.len() || count != ids.len() {
        return Err(format!("{count} tokens, ids with ranges {:?}", encoded.ids));
    }
    let mut before = 0;
    let mut exact = true;
    for (id, range) in ids.iter().zip(&encoded.ranges) {
        if range.start < before || range.end < range.start || range.end > text.len() {
            return Err(format!("ranges {:?}", encoded.ranges));
        }
        before = range.start;
        exact &= tokenizer.piece(*id).unwrap() == text.as_bytes()[range.clone()];
    }
    // Byte-level vocabularies cut the text and change nothing.
    let cuts = tokenizer.token("Ġ").is_some() && tokenizer.token("▁").is_none();
    if cuts && !exact {
        return Err(format!("pieces are not what the ranges {:?} say", encoded.ranges));
    }
    Ok(())
}

/// A chat that grows by a text at a time equals the whole, and keeps what is before the last special token.
fn growing(tokenizer: &Tokenizer, turns: &[String]) {
    let options = EncodeOptions::default();
    let end = tokenizer.eos().map(|id| tokenizer.piece(id).unwrap());
    let end = end.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
    let (mut chat, mut text) = (GrowingText::new(tokenizer, options), String::new());
    for turn in turns {
        let before = chat.ids().to_vec();
        text.push_str(turn);
        text.push_str(&end);
        let stayed = chat.update(&text).unwrap();
        assert_eq!(chat.ids(), tokenizer.encode(&text, options).unwrap(), "{text:?}");
        assert_eq!(before[..stayed], chat.ids()[..stayed]);
    }
    let longest = chat.ids().to_vec();
    assert_eq!(chat.update(&text).unwrap(), longest.len());
    chat.update(&turns[0]).unwrap();
    assert_eq!(chat.ids(), tokenizer.encode(&turns[0], options).unwrap());
}

#[test]
fn ids_of_all_vocabularies() {
    let Some(folder) = corpus() else { return };
    let info: Value =
        serde_json::from_str(&std::fs::read_to_string(folder.join("vocabs.json")).unwrap()).unwrap();
    let mut failures = Vec::new();
    for (name, info) in info.as_object().unwrap() {
        let file = vocabulary(&folder.join(info["file"].as_str().unwrap()));
        let tokenizer = Tokenizer::from_gguf(&file).unwrap_or_else(|e| panic!("{name}: {e}"));
        let most = match name.as_str() {
            "smollm2" => 3 << 20,
            "gemma3" => 4 << 20,
            _ => usize::MAX,
        };
        assert!(tokenizer.heap_bytes() <= most, "{name}: {} bytes on the heap", tokenizer.heap_bytes());
        let example = &info["add_special_example"];
        for (text, expected) in [("Hello world", &example["ids"]), ("", &example["empty_text_ids"])] {
            let found = tokenizer.encode(text, EncodeOptions::default()).unwrap();
            assert_eq!(Some(found), ids(expected), "{name}: {text:?} with special tokens");
        }
        let (mut n, mut detok) = (0, 0);
        let mut turns = Vec::new();
        for line in gunzip(&folder.join(format!("pairs/{name}.jsonl.gz"))).lines() {
            let record: Value = serde_json::from_str(line).unwrap();
            let text = record["text"].as_str().unwrap();
            let plain = ids(&record["ids"]).unwrap();
            if n % 200 == 0 {
                turns.push(text.to_owned());
            }
            let special = ids(&record["ids_special"]).unwrap_or_else(|| plain.clone());
            for (mode, parse_special, expected) in [("plain", false, &plain), ("special", true, &special)] {
                let found = encode(&tokenizer, text, parse_special);
                n += 1;
                if found != *expected {
                    failures.push(format!(
                        "{name} {} {mode} {text:?}: {found:?}, expected {expected:?}",
                        record["id"]
                    ));
                }
            }
            if let Err(why) = ranges_and_counts(&tokenizer, text, &special) {
                failures.push(format!("{name} {} {text:?}: {why}", record["id"]));
            }
            let expected = match (record["detok"].as_str(), record["detok_b64"].as_str()) {
                (Some(text), _) => text.as_bytes().to_vec(),
                (None, Some(base64)) => from_base64(base64),
                (None, None) => text.as_bytes().to_vec(),
            };
            let found = tokenizer.decode_bytes(&plain, DecodeOptions::default()).unwrap();
            detok += 1;
            if found != expected {
                let (found, expected) = (String::from_utf8_lossy(&found), String::from_utf8_lossy(&expected));
                failures.push(format!("{name} {} decode: {found:?}, expected {expected:?}", record["id"]));
            }
            let mut stream = DecodeStream::with_special(true);
            let mut streamed = String::new();
            let mut whole = Vec::new();
            for id in &special {
                streamed.push_str(stream.push(&tokenizer, *id).unwrap());
                tokenizer.token_bytes(*id, true, &mut whole).unwrap();
            }
            streamed.push_str(stream.finish());
            if streamed != String::from_utf8_lossy(&whole) {
                failures.push(format!("{name} {} stream: {streamed:?}", record["id"]));
            }
        }
        growing(&tokenizer, &turns);
        println!("{name}: {n} encodings, {detok} decodings, {} failures so far", failures.len());
    }
    let shown: Vec<String> = failures.iter().take(20).map(|f| f.chars().take(400).collect()).collect();
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), shown.join("\n"));
}

#[test]
fn cases_of_llama_cpp() {
    let Some(folder) = corpus() else { return };
    let info: Value =
        serde_json::from_str(&std::fs::read_to_string(folder.join("vocabs.json")).unwrap()).unwrap();
    let cases = gunzip(&folder.join("llama_cpp_inp_out.jsonl.gz"));
    let cases: Vec<Value> = cases.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let mut n = 0;
    for (name, info) in info.as_object().unwrap() {
        if !cases.iter().any(|c| c["vocab"] == name.as_str()) {
            continue;
        }
        let file = vocabulary(&folder.join(info["file"].as_str().unwrap()));
        let tokenizer = Tokenizer::from_gguf(&file).unwrap();
        for case in cases.iter().filter(|c| c["vocab"] == name.as_str()) {
            let text = case["text"].as_str().unwrap();
            assert_eq!(Some(encode(&tokenizer, text, false)), ids(&case["ids"]), "{name}: {text:?}");
            n += 1;
        }
    }
    println!("{n} of {} cases of llama.cpp", cases.len());
    assert_eq!(n, cases.len());
}

/// kitoken's stored results of the original libraries; llama.cpp's where it differs from them.
#[test]
fn cases_of_the_original_libraries() {
    let Some(folder) = corpus() else { return };
    let info: Value =
        serde_json::from_str(&std::fs::read_to_string(folder.join("vocabs.json")).unwrap()).unwrap();
    let cases = gunzip(&folder.join("kitoken.jsonl.gz"));
    let cases: Vec<Value> = cases.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let mut n = 0;
    for (name, info) in info.as_object().unwrap() {
        let mut cases = cases.iter().filter(|c| c["vocab"] == name.as_str()).peekable();
        if cases.peek().is_none() {
            continue;
        }
        let tokenizer =
            Tokenizer::from_gguf(&vocabulary(&folder.join(info["file"].as_str().unwrap()))).unwrap();
        for case in cases {
            let found = encode(&tokenizer, case["text"].as_str().unwrap(), true);
            let expected = ids(&case["llamacpp"]).or_else(|| ids(&case["ids"]));
            assert_eq!(Some(found), expected, "{name} {} {}", case["src"], case["line"]);
            n += 1;
        }
    }
    println!("{n} of {} cases of the original libraries", cases.len());
    assert_eq!(n, cases.len());
}
