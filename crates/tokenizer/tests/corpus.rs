//! The conformance corpus: ids of 25 vocabularies, as llama.cpp has them.

mod conformance;

use conformance::{corpus, json, load, vocabularies};
use happy_tokenizer::{DecodeOptions, DecodeStream, EncodeOptions, GrowingText, Tokenizer};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::io::Read;
use std::path::Path;

/// Lines of a packed file.
fn gunzip(path: &Path) -> String {
    let mut text = String::new();
    let file = std::fs::File::open(path).unwrap();
    flate2::read::MultiGzDecoder::new(file).read_to_string(&mut text).unwrap();
    text
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

/// The vocabulary of which the original's ids are followed where llama.cpp's differ, because llama.cpp's are wrong there.
const FOLLOWS_THE_ORIGINAL: &str = "gpt-oss";

/// What a text of a record must give, plain or with special tokens.
fn expected_ids(vocabulary: &str, record: &Value, special: bool) -> Vec<u32> {
    let field = |name: &str| ids(&record[name]);
    let llama_cpp = field("ids_special").filter(|_| special).or_else(|| field("ids")).unwrap();
    let original = field("hf_special").filter(|_| special).or_else(|| field("hf").filter(|_| !special));
    // llama.cpp makes these user-defined tokens, which are found in plain text too.
    let user_defined = ["<|start|>", "<|message|>", "<|end|>", "<|channel|>"];
    let text = record["text"].as_str().unwrap();
    let in_plain = !user_defined.iter().any(|t| text.contains(t));
    // A letter since Unicode 16; neither llama.cpp's table nor this crate's has it.
    let known = !text.contains('\u{14092}');
    let follows = vocabulary == FOLLOWS_THE_ORIGINAL && known && (special || in_plain);
    original.filter(|_| follows).unwrap_or(llama_cpp)
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

/// The size, the tokens with roles, and what is added are llama.cpp's. Where a vocabulary has several tokens for the end
/// of a turn, llama.cpp takes whichever its hash map has first: then it is enough that both end the generation.
fn roles(tokenizer: &Tokenizer, info: &Value) -> Result<(), String> {
    let id = |key: &str| info[key].as_i64().and_then(|id| u32::try_from(id).ok());
    let expected = (
        [id("bos"), id("eos"), id("sep"), id("pad"), id("n_tokens")],
        ["add_bos", "add_eos", "add_sep"].map(|key| info[key] == true),
    );
    let ids = tokenizer.special_ids();
    let found = (
        [ids.bos, ids.eos, ids.sep, ids.pad, Some(tokenizer.vocab_size() as u32)],
        [tokenizer.adds_bos(), tokenizer.adds_eos(), tokenizer.adds_sep()],
    );
    let ends = |id: Option<u32>| id.is_some_and(|id| tokenizer.is_eog(id));
    if ids.eot != id("eot") && !(ends(ids.eot) && ends(id("eot"))) {
        return Err(format!("end of turn {:?}, expected {:?}", ids.eot, id("eot")));
    }
    if found == expected { Ok(()) } else { Err(format!("roles {found:?}, expected {expected:?}")) }
}

#[test]
fn ids_of_all_vocabularies() {
    let Some(folder) = corpus() else { return };
    let mut failures = Vec::new();
    for (name, info) in &vocabularies(&folder) {
        let tokenizer = Tokenizer::from_gguf(&load(&folder, info)).unwrap_or_else(|e| panic!("{name}: {e}"));
        if let Err(why) = roles(&tokenizer, &info["info"]) {
            failures.push(format!("{name}: {why}"));
        }
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
        let (mut n, mut detok) = (0, 0u64);
        let mut turns = Vec::new();
        for line in gunzip(&folder.join(format!("tokenizer/pairs/{name}.jsonl.gz"))).lines() {
            let record: Value = serde_json::from_str(line).unwrap();
            let text = record["text"].as_str().unwrap();
            let plain = ids(&record["ids"]).unwrap();
            if n % 200 == 0 {
                turns.push(text.to_owned());
            }
            let special = expected_ids(name, &record, true);
            let both = [("plain", false, &expected_ids(name, &record, false)), ("special", true, &special)];
            for (mode, parse_special, expected) in both {
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
            stream.finish();
            if streamed != String::from_utf8_lossy(&whole) {
                failures.push(format!("{name} {} stream: {streamed:?}", record["id"]));
            }
        }
        growing(&tokenizer, &turns);
        assert_eq!(Some(detok), info["dev"].as_u64(), "{name}: texts");
        println!("{name}: {n} encodings, {detok} decodings, {} failures so far", failures.len());
    }
    let shown: Vec<String> = failures.iter().take(20).map(|f| f.chars().take(400).collect()).collect();
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), shown.join("\n"));
}

#[test]
fn cases_of_llama_cpp() {
    let Some(folder) = corpus() else { return };
    let cases = gunzip(&folder.join("tokenizer/llama_cpp_inp_out.jsonl.gz"));
    let cases: Vec<Value> = cases.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let mut n = 0;
    for (name, info) in &vocabularies(&folder) {
        if !cases.iter().any(|c| c["vocab"] == name.as_str()) {
            continue;
        }
        let tokenizer = Tokenizer::from_gguf(&load(&folder, info)).unwrap();
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
    let cases = gunzip(&folder.join("tokenizer/kitoken.jsonl.gz"));
    let cases: Vec<Value> = cases.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let mut n = 0;
    for (name, info) in &vocabularies(&folder) {
        let mut cases = cases.iter().filter(|c| c["vocab"] == name.as_str()).peekable();
        if cases.peek().is_none() {
            continue;
        }
        let tokenizer = Tokenizer::from_gguf(&load(&folder, info)).unwrap();
        for case in cases {
            let found = encode(&tokenizer, case["text"].as_str().unwrap(), true);
            let llama_cpp = ids(&case["llamacpp"]).filter(|_| name != FOLLOWS_THE_ORIGINAL);
            let expected = llama_cpp.or_else(|| ids(&case["ids"]));
            assert_eq!(Some(found), expected, "{name} {} {}", case["src"], case["line"]);
            n += 1;
        }
    }
    println!("{n} of {} cases of the original libraries", cases.len());
    assert_eq!(n, cases.len());
}

/// Two long texts: the number of their tokens, the first and the last, and the hash of all.
#[test]
fn long_texts_of_all_vocabularies() {
    let Some(folder) = corpus() else { return };
    let counts = json(&folder.join("text/token_counts.json"));
    let (mut n, mut failures) = (0, Vec::new());
    for (name, info) in &vocabularies(&folder) {
        let tokenizer = Tokenizer::from_gguf(&load(&folder, info)).unwrap();
        for (text, counts) in counts.as_object().unwrap() {
            let expected = &counts[name.as_str()];
            if expected.is_null() {
                continue;
            }
            let found = encode(
                &tokenizer,
                &std::fs::read_to_string(folder.join(format!("text/{text}.txt"))).unwrap(),
                false,
            );
            let bytes: Vec<u8> = found.iter().flat_map(|id| id.to_le_bytes()).collect();
            let hash: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
            let (first, last) = (ids(&expected["first"]).unwrap(), ids(&expected["last"]).unwrap());
            n += 1;
            if expected["tokens"].as_u64() != Some(found.len() as u64)
                || expected["sha256_u32le"] != hash.as_str()
                || !found.starts_with(&first)
                || !found.ends_with(&last)
            {
                failures.push(format!("{name} {text}: {} tokens, hash {hash}", found.len()));
            }
        }
    }
    println!("{n} long texts");
    let expected: usize = counts.as_object().unwrap().values().map(|c| c.as_object().unwrap().len()).sum();
    assert_eq!(n, expected);
    assert!(failures.is_empty(), "{failures:#?}");
}
