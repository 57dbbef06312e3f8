//! Corpus `tokenizer`: texts to ids on real vocabularies, back again, and what is added at the ends.
//!
//! Followed is llama.cpp; a text that equals the original tokenizer's ids instead counts, and is reported apart. Nothing
//! counts that was not run: a vocabulary without pairs, and a case without a vocabulary, are failures.

use crate::data;
use crate::report::{Report, Verdict};
use happy_gguf::{GgufFile, Limits};
use happy_tokenizer::{DecodeOptions, EncodeOptions, TokenId, Tokenizer};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

/// Failures listed of one vocabulary; the rest are counted in its last line.
const LISTED: usize = 5;

#[derive(Deserialize)]
struct Vocabulary {
    file: String,
    add_special_example: Option<Example>,
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
    /// Absent: equal to `ids`.
    ids_special: Option<Vec<TokenId>>,
    /// The original tokenizer's, where they differ.
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
    /// llama.cpp's, where they differ.
    llamacpp: Option<Vec<TokenId>>,
}

pub(crate) fn run(folder: &Path, report: &mut Report) -> Result<(), String> {
    let vocabularies: BTreeMap<String, Vocabulary> = data::json(&folder.join("vocabs.json"))?;
    let upstream: Vec<Upstream> = data::json_lines(&folder.join("llama_cpp_inp_out.jsonl.gz"))?;
    let kitoken: Vec<Kitoken> = data::json_lines(&folder.join("kitoken.jsonl.gz"))?;
    let cases = upstream.iter().map(|c| &c.vocab).chain(kitoken.iter().map(|c| &c.vocab));
    for name in cases.filter(|name| !vocabularies.contains_key(*name)).collect::<BTreeSet<_>>() {
        report.case(name, || Verdict::Failed("cases of a vocabulary that vocabs.json lacks".into()));
    }
    for (name, vocabulary) in &vocabularies {
        let pairs_file = folder.join("pairs").join(format!("{name}.jsonl.gz"));
        if !pairs_file.is_file() {
            report.case(name, || Verdict::Failed(format!("there is no {}", pairs_file.display())));
            continue;
        }
        let file = unpack(&folder.join(&vocabulary.file))?;
        let tokenizer = match Tokenizer::from_gguf(&file) {
            Ok(tokenizer) => tokenizer,
            Err(e) => {
                let message = e.to_string();
                let verdict =
                    if message.contains("unsupported") { Verdict::Unsupported } else { Verdict::Failed };
                report.case(name, || verdict(message));
                continue;
            }
        };
        let mut tally = Tally { vocabulary: name, other_oracle: 0, failures: 0 };
        for pair in data::json_lines::<Pair>(&pairs_file)? {
            let label = format!("{name}/{} {}", pair.id, pair.cat);
            tally.case(report, &label, |hf| judge(&tokenizer, &pair, hf));
        }
        for case in upstream.iter().filter(|case| case.vocab == *name) {
            let label = format!("{name}/upstream {}", case.case);
            tally.case(report, &label, |_| {
                same("plain", &encode(&tokenizer, &case.text, false, false)?, &case.ids)
            });
        }
        for case in kitoken.iter().filter(|case| case.vocab == *name) {
            let label = format!("{name}/{} {}", case.src, case.line);
            tally.case(report, &label, |hf| {
                let found = encode(&tokenizer, &case.text, false, true)?;
                match &case.llamacpp {
                    Some(ids) if found == *ids => Ok(()),
                    Some(_) if found == case.ids => {
                        *hf += 1;
                        Ok(())
                    }
                    expected => same("special", &found, expected.as_ref().unwrap_or(&case.ids)),
                }
            });
        }
        if let Some(example) = &vocabulary.add_special_example {
            for (text, ids) in [(example.text.as_str(), &example.ids), ("", &example.empty_text_ids)] {
                let label = format!("{name}/ends of '{text}'");
                tally.case(report, &label, |_| {
                    same("with ends", &encode(&tokenizer, text, true, false)?, ids)
                });
            }
        }
        tally.finish(report);
    }
    Ok(())
}

/// The cases of one vocabulary: many of one kind fail together, so only the first are listed by name.
struct Tally<'a> {
    vocabulary: &'a str,
    /// Texts that equal the original tokenizer's ids instead of llama.cpp's.
    other_oracle: usize,
    failures: usize,
}

impl Tally<'_> {
    fn case(&mut self, report: &mut Report, label: &str, run: impl FnOnce(&mut usize) -> Result<(), String>) {
        let before = report.failed.len();
        let hf = &mut self.other_oracle;
        report.case(label, || run(hf).map_or_else(Verdict::Failed, |()| Verdict::Passed));
        if report.failed.len() > before {
            self.failures += 1;
        }
    }

    fn finish(self, report: &mut Report) {
        if self.failures > LISTED {
            let names: Vec<&str> =
                report.failed.iter().rev().take(self.failures).map(|case| case.name.as_str()).collect();
            let rest = names.len() - LISTED;
            report.notes.push(format!("{}: {rest} more failures than are shown in full", self.vocabulary));
            let shown = report.failed.len() - rest;
            for case in &mut report.failed[shown..] {
                case.why = "likewise".into();
            }
        }
        if self.other_oracle > 0 {
            report.notes.push(format!(
                "{}: {} texts as the original tokenizer has them, not as llama.cpp",
                self.vocabulary, self.other_oracle
            ));
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

/// Plain and with special strings: equal to llama.cpp's ids, or to the original's where they differ; and back to text.
fn judge(tokenizer: &Tokenizer, pair: &Pair, other_oracle: &mut usize) -> Result<(), String> {
    let modes = [
        ("plain", false, &pair.ids, pair.hf.as_ref()),
        ("special", true, pair.ids_special.as_ref().unwrap_or(&pair.ids), pair.hf_special.as_ref()),
    ];
    for (mode, parse_special, ids, original) in modes {
        let found = encode(tokenizer, &pair.text, false, parse_special)?;
        if found != *ids {
            if original == Some(&found) {
                *other_oracle += 1;
            } else {
                same(mode, &found, ids)?;
            }
        }
    }
    let expected = match (&pair.detok, &pair.detok_b64) {
        (Some(text), _) => text.as_bytes().to_vec(),
        (None, Some(text)) => data::base64(text).ok_or("bad base64 in the corpus")?,
        (None, None) => pair.text.as_bytes().to_vec(),
    };
    let found = tokenizer.decode_bytes(&pair.ids, DecodeOptions::default()).map_err(|e| e.to_string())?;
    if found == expected {
        return Ok(());
    }
    Err(format!(
        "decoded to {:?}, expected {:?}",
        String::from_utf8_lossy(&found),
        String::from_utf8_lossy(&expected)
    ))
}

/// The first place where ids differ.
fn same(mode: &str, found: &[TokenId], expected: &[TokenId]) -> Result<(), String> {
    if found == expected {
        return Ok(());
    }
    let at = found.iter().zip(expected).take_while(|(a, b)| a == b).count();
    let part = |ids: &[TokenId]| ids[at.min(ids.len())..].iter().take(6).copied().collect::<Vec<_>>();
    Err(format!("{mode}: id {at} on {:?}, expected {:?}", part(found), part(expected)))
}

/// A vocabulary-only file out of its zstd frame.
fn unpack(path: &Path) -> Result<GgufFile, String> {
    let fault = |e: &dyn std::fmt::Display| format!("cannot unpack {}: {e}", path.display());
    let packed = fs::File::open(path).map_err(|e| fault(&e))?;
    let mut bytes = Vec::new();
    ruzstd::decoding::StreamingDecoder::new(std::io::BufReader::new(packed))
        .map_err(|e| fault(&e))?
        .read_to_end(&mut bytes)
        .map_err(|e| fault(&e))?;
    GgufFile::from_shared(Arc::new(bytes), &Limits::default()).map_err(|e| fault(&e))
}
