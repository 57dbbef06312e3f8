//! Corpus `tokenizer`: encodes texts with real vocabularies, decodes them at once and as a stream, and checks ranges
//! and the tokens added at the ends; also the long texts of corpus `text`.
//!
//! The reference is llama.cpp, except for [`DIFFERENCES`]. Nothing counts as passed that was not compared: a vocabulary
//! without pairs and a case without a vocabulary are failures, and a text of which only a part can be compared is
//! listed.

mod differences;
mod roles;

use crate::data;
use crate::report::{Report, Verdict};
use differences::{DIFFERENCES, Difference, Right};
use happy_gguf::{GgufFile, Limits};
use happy_testkit::{Corpus, Files};
use happy_tokenizer::{DecodeOptions, DecodeStream, EncodeOptions, GrowingText, TokenId, Tokenizer};
use roles::Info;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Maximum number of failures listed for one vocabulary. The rest are counted in its last line.
const LISTED: usize = 5;
/// Maximum heap size in bytes of tokenizers for which a size was promised.
const HEAP: &[(&str, usize)] = &[("smollm2", 3 << 20), ("gemma3", 4 << 20)];

#[derive(Deserialize)]
struct Vocabulary {
    file: String,
    /// Number of texts in its file of pairs.
    dev: usize,
    info: Info,
    add_special_example: Example,
}

#[derive(Deserialize)]
struct Example {
    text: String,
    ids: Vec<TokenId>,
    empty_text_ids: Vec<TokenId>,
}

#[derive(Deserialize)]
struct Pair {
    id: u32,
    cat: String,
    text: String,
    ids: Vec<TokenId>,
    /// The ids with special tokens parsed; equal to `ids` if absent.
    ids_special: Option<Vec<TokenId>>,
    /// The ids of the original tokenizer, if they differ.
    hf: Option<Vec<TokenId>>,
    hf_special: Option<Vec<TokenId>>,
    detok: Option<String>,
    detok_b64: Option<String>,
}

#[derive(Deserialize)]
struct Upstream {
    vocab: String,
    case: u32,
    text: String,
    ids: Vec<TokenId>,
}

/// kitoken's stored results of the original libraries: special strings parsed, nothing added.
#[derive(Deserialize)]
struct Kitoken {
    src: String,
    vocab: String,
    line: u32,
    text: String,
    ids: Vec<TokenId>,
    /// The ids of llama.cpp, if they differ.
    llamacpp: Option<Vec<TokenId>>,
}

/// What is known of the ids of a long text.
#[derive(Deserialize)]
struct Long {
    tokens: usize,
    first: Vec<TokenId>,
    last: Vec<TokenId>,
    sha256_u32le: String,
}

pub(crate) fn run(corpus: &Corpus, report: &mut Report) -> Result<(), String> {
    let (files, texts) = (corpus.open("tokenizer")?, corpus.open("text")?);
    let vocabularies: BTreeMap<String, Vocabulary> = data::json(&files, "vocabs.json")?;
    let upstream: Vec<Upstream> = data::json_lines(&files, "llama_cpp_inp_out.jsonl.gz")?;
    let kitoken: Vec<Kitoken> = data::json_lines(&files, "kitoken.jsonl.gz")?;
    let counts: BTreeMap<String, BTreeMap<String, Long>> = data::json(&texts, "token_counts.json")?;
    let cases = upstream.iter().map(|c| &c.vocab).chain(kitoken.iter().map(|c| &c.vocab));
    let cases = cases.chain(counts.values().flat_map(BTreeMap::keys));
    for name in cases.filter(|name| !vocabularies.contains_key(*name)).collect::<BTreeSet<_>>() {
        report.fail(name, "cases of a vocabulary that vocabs.json lacks");
    }
    let long_texts: usize = counts.values().map(BTreeMap::len).sum();
    report.holds(upstream.len() + kitoken.len() + long_texts);
    for (name, vocabulary) in &vocabularies {
        // Roles, memory, a growing text, what is added at two ends; and a case for each pair.
        report.holds(5 + vocabulary.dev);
        let tokenizer = match Tokenizer::from_gguf(&load(&files, &vocabulary.file)?) {
            Ok(tokenizer) => tokenizer,
            Err(e) => {
                report.fail(name, e.to_string());
                continue;
            }
        };
        let mut tally = Tally { vocabulary: name, failures: 0 };
        let difference = DIFFERENCES.iter().find(|difference| difference.vocabulary == name);
        let right = difference.map(|difference| difference.right);
        let mut others = 0;
        tally.case(report, &format!("{name}/roles"), || vocabulary.info.compare(&tokenizer));
        tally.case(report, &format!("{name}/memory"), || match HEAP.iter().find(|(n, _)| n == name) {
            Some((_, most)) if tokenizer.heap_bytes() > *most => {
                Err(format!("{} bytes on the heap, at most {most}", tokenizer.heap_bytes()))
            }
            _ => Ok(()),
        });
        let pairs: Vec<Pair> = data::json_lines(&files, &format!("pairs/{name}.jsonl.gz"))?;
        if pairs.len() != vocabulary.dev {
            report.fail(name, format!("{} pairs, vocabs.json says {}", pairs.len(), vocabulary.dev));
        }
        for pair in &pairs {
            let label = format!("{name}/{} {}", pair.id, pair.cat);
            tally.judged(report, &label, || judge(&tokenizer, difference, pair, &mut others));
        }
        tally.case(report, &format!("{name}/growing"), || growing(&tokenizer, &pairs));
        for case in upstream.iter().filter(|case| case.vocab == *name) {
            let label = format!("{name}/upstream {}", case.case);
            tally.case(report, &label, || {
                same("plain", &encode(&tokenizer, &case.text, false, false)?, &case.ids)
            });
        }
        for case in kitoken.iter().filter(|case| case.vocab == *name) {
            let label = format!("{name}/{} {}", case.src, case.line);
            let theirs = case.llamacpp.as_ref().filter(|_| right != Some(Right::Original));
            tally.case(report, &label, || {
                let found = encode(&tokenizer, &case.text, false, true)?;
                same("special", &found, theirs.unwrap_or(&case.ids))
            });
        }
        let example = &vocabulary.add_special_example;
        for (text, ids) in [(example.text.as_str(), &example.ids), ("", &example.empty_text_ids)] {
            let label = format!("{name}/ends of '{text}'");
            tally.case(report, &label, || same("with ends", &encode(&tokenizer, text, true, false)?, ids));
        }
        for (text, expected) in counts.iter().filter_map(|(text, all)| Some((text, all.get(name)?))) {
            let source = texts.text(&format!("{text}.txt"))?;
            tally.case(report, &format!("{name}/{text}"), || long(&tokenizer, &source, expected));
        }
        if let Some(Difference { vocabulary, why, .. }) = difference {
            report.notes.push(format!("{vocabulary}: {others} texts have other ids than llama.cpp's: {why}"));
        }
        tally.finish(report);
    }
    Ok(())
}

/// The results of one vocabulary. Many cases of one kind fail together, so only the first are listed with their
/// reasons.
struct Tally<'a> {
    vocabulary: &'a str,
    failures: usize,
}

impl Tally<'_> {
    fn case(&mut self, report: &mut Report, label: &str, run: impl FnOnce() -> Result<(), String>) {
        self.judged(report, label, || Verdict::from(run()));
    }

    fn judged(&mut self, report: &mut Report, label: &str, run: impl FnOnce() -> Verdict) {
        let before = report.failed.len();
        report.case(label, run);
        self.failures += report.failed.len() - before;
    }

    fn finish(self, report: &mut Report) {
        if self.failures > LISTED {
            let rest = self.failures - LISTED;
            report.notes.push(format!("{}: {rest} more failures than are shown in full", self.vocabulary));
            let shown = report.failed.len() - rest;
            for case in &mut report.failed[shown..] {
                case.why = "likewise".into();
            }
        }
    }
}

fn encode(
    tokenizer: &Tokenizer,
    text: &str,
    add_special: bool,
    parse_special: bool,
) -> Result<Vec<TokenId>, String> {
    tokenizer.encode(text, EncodeOptions { add_special, parse_special }).map_err(|e| e.to_string())
}

/// Judges a text plain and with special strings, with ranges, and decoded at once and token by token. Counts the texts
/// for which llama.cpp's ids are not followed.
fn judge(tokenizer: &Tokenizer, difference: Option<&Difference>, pair: &Pair, others: &mut usize) -> Verdict {
    let right = difference.map(|difference| difference.right);
    let mut run = || -> Result<bool, String> {
        let mut partly = false;
        for special in [false, true] {
            let found = encode(tokenizer, &pair.text, false, special)?;
            partly |= pair.compare(tokenizer, right, special, &found)?;
        }
        let special = encode(tokenizer, &pair.text, false, true)?;
        *others += usize::from(special != pair.llama_cpp(true));
        ranges_and_count(tokenizer, &pair.text, &special)?;
        decodes(tokenizer, pair)?;
        stream(tokenizer, &special)?;
        Ok(partly)
    };
    match run() {
        Ok(false) => Verdict::Passed,
        Ok(true) => Verdict::Unsupported(
            "punctuation that is newer than the original, beside marks that llama.cpp drops: only the words around it are \
             compared"
                .into(),
        ),
        Err(why) => Verdict::Failed(why),
    }
}

/// Checks that ids, decoded in one call, give the text.
fn decodes(tokenizer: &Tokenizer, pair: &Pair) -> Result<(), String> {
    let expected = match (&pair.detok, &pair.detok_b64) {
        (Some(text), _) => text.as_bytes().to_vec(),
        (None, Some(text)) => happy_testkit::base64(text).ok_or("bad base64 in the corpus")?,
        (None, None) => pair.text.as_bytes().to_vec(),
    };
    let found = tokenizer.decode_bytes(&pair.ids, DecodeOptions::default()).map_err(|e| e.to_string())?;
    if found == expected {
        return Ok(());
    }
    let (found, expected) = (String::from_utf8_lossy(&found), String::from_utf8_lossy(&expected));
    Err(format!("decoded to {found:?}, expected {expected:?}"))
}

/// Checks that ranges ascend and stay inside the text and, if tokens are pieces of the text, that they are those of the
/// ranges.
fn ranges_and_count(tokenizer: &Tokenizer, text: &str, ids: &[TokenId]) -> Result<(), String> {
    let options = EncodeOptions { add_special: false, parse_special: true };
    let encoded = tokenizer.encode_with_ranges(text, options).map_err(|e| e.to_string())?;
    let count = tokenizer.count(text, options).map_err(|e| e.to_string())?;
    same("with ranges", &encoded.ids, ids)?;
    if encoded.ranges.len() != ids.len() || count != ids.len() {
        return Err(format!("{count} tokens and {} ranges, expected {}", encoded.ranges.len(), ids.len()));
    }
    // Byte-level vocabularies cut the text without changing it.
    let cuts = tokenizer.token("Ġ").is_some() && tokenizer.token("▁").is_none();
    let mut before = 0;
    for (id, range) in ids.iter().zip(&encoded.ranges) {
        let piece = text.as_bytes().get(range.clone());
        let token = tokenizer.piece(*id).map_err(|e| e.to_string())?;
        let exact = !cuts || piece == Some(&token[..]);
        if range.start < before || piece.is_none() || !exact {
            return Err(format!("token {id} has the range {range:?}"));
        }
        before = range.start;
    }
    Ok(())
}

/// Checks that decoding token by token gives the same text.
fn stream(tokenizer: &Tokenizer, ids: &[TokenId]) -> Result<(), String> {
    let mut stream = DecodeStream::with_special(true);
    let (mut streamed, mut whole) = (String::new(), Vec::new());
    for id in ids {
        streamed.push_str(stream.push(tokenizer, *id).map_err(|e| e.to_string())?);
        tokenizer.token_bytes(*id, true, &mut whole).map_err(|e| e.to_string())?;
    }
    stream.finish();
    let whole = String::from_utf8_lossy(&whole);
    if streamed == whole { Ok(()) } else { Err(format!("streamed {streamed:?}, expected {whole:?}")) }
}

/// Checks that a chat that grows by one text at a time has the tokens of the whole, and keeps those before the last
/// special token.
fn growing(tokenizer: &Tokenizer, pairs: &[Pair]) -> Result<(), String> {
    let options = EncodeOptions::default();
    let end = tokenizer.eos().and_then(|id| tokenizer.piece(id).ok());
    let end = end.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
    let whole = |text: &str| tokenizer.encode(text, options).map_err(|e| e.to_string());
    let (mut chat, mut text) = (GrowingText::new(tokenizer, options), String::new());
    let turns: Vec<&str> = pairs.iter().step_by(100).map(|pair| pair.text.as_str()).collect();
    for turn in &turns {
        let before = chat.ids().to_vec();
        text.push_str(turn);
        text.push_str(&end);
        let stayed = chat.update(&text).map_err(|e| e.to_string())?;
        same("growing", chat.ids(), &whole(&text)?)?;
        if before.get(..stayed) != chat.ids().get(..stayed) {
            return Err(format!("{stayed} ids are said to have stayed, and did not"));
        }
    }
    let first = turns.first().copied().unwrap_or_default();
    chat.update(first).map_err(|e| e.to_string())?;
    same("cut back", chat.ids(), &whole(first)?)
}

fn long(tokenizer: &Tokenizer, text: &str, expected: &Long) -> Result<(), String> {
    let found = encode(tokenizer, text, false, false)?;
    let bytes: Vec<u8> = found.iter().flat_map(|id| id.to_le_bytes()).collect();
    let hash = data::sha256(&bytes);
    let same = found.len() == expected.tokens
        && hash == expected.sha256_u32le
        && found.starts_with(&expected.first)
        && found.ends_with(&expected.last);
    if same {
        return Ok(());
    }
    Err(format!("{} tokens with the hash {hash}, expected {}", found.len(), expected.tokens))
}

/// Returns the first place where ids differ.
fn same(mode: &str, found: &[TokenId], expected: &[TokenId]) -> Result<(), String> {
    if found == expected {
        return Ok(());
    }
    let at = found.iter().zip(expected).take_while(|(a, b)| a == b).count();
    let part = |ids: &[TokenId]| ids[at.min(ids.len())..].iter().take(6).copied().collect::<Vec<_>>();
    Err(format!("{mode}: id {at} on {:?}, expected {:?}", part(found), part(expected)))
}

/// Loads a file with only a vocabulary.
fn load(files: &Files, path: &str) -> Result<GgufFile, String> {
    let bytes = files.unpacked(path)?;
    GgufFile::from_shared(Arc::new(bytes), &Limits::default()).map_err(|e| format!("{path}: {e}"))
}
