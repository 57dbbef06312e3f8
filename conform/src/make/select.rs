//! The selection from each corpus.

use super::licenses::{TEMPLATES, VOCABULARIES};
use super::{Selection, pack};
use crate::data;
use happy_testkit::Files;
use serde_json::{Map, Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};

/// Selects from the full data of a corpus.
type Select = fn(&Files, &mut Selection) -> Result<(), String>;

const LLAMA_CPP: &str = "test data of llama.cpp (MIT)";
const MODELS_OWN: &str = "vocabularies of the models in `counts` (Apache-2.0 or MIT, see make/licenses.rs); inputs generated, or public domain, Faker (MIT), CLDR and Unicode data (Unicode license); kitoken's results (BSD-2-Clause); results otherwise facts";

/// Name, rule in words, licenses, and rule in code of each corpus.
pub(super) const CORPORA: &[(&str, &str, &str, Select)] = &[
    ("architectures", "every recipe, its logits at four positions", "generated", architectures),
    (
        "chat-templates",
        "templates under permissive licenses and their cases; all unit cases",
        "templates: Apache-2.0 or MIT, see make/licenses.rs; cases of llama.cpp (MIT); conversations generated",
        chat_templates,
    ),
    ("embeddings", "everything", "generated", |files, selection| {
        let json = files.list("")?.into_iter().filter(|path| path.ends_with(".json"));
        whole(files, selection, &json.collect::<Vec<_>>(), &[])
    }),
    ("gguf", "everything that is read", "generated; names of files: facts", |files, selection| {
        whole(files, selection, &["cases.jsonl.gz", "naming.json"], &["files"])
    }),
    (
        "grammar",
        "everything",
        "test data and grammars of llama.cpp (MIT); JSON-Schema-Test-Suite (MIT); others generated",
        |files, selection| {
            let json = files.list("")?.into_iter().filter(|path| path.ends_with(".json"));
            whole(files, selection, &json.collect::<Vec<_>>(), &["gbnf"])
        },
    ),
    ("lora", "every file, its logits at four positions", "generated", lora),
    ("quants", "everything", "generated", |files, selection| {
        whole(files, selection, &["index.json"], &["blocks", "convert", QUANTIZE_FOLDER, "vecdot"])
    }),
    (
        "reference-logits",
        "the models of `fetch-models`; the long text's first 640 tokens, the 32 best tokens of each position",
        "facts (numbers)",
        reference_logits,
    ),
    ("sampling", "everything", LLAMA_CPP, |files, selection| {
        whole(files, selection, &["upstream_cases.json", "upstream_queue.json", "oracle_cases.jsonl.gz"], &[])
    }),
    ("text", "everything, counts of the selected vocabularies", "public domain", text),
    (
        "tokenizer",
        "vocabularies under permissive licenses, every fourth text of each category, kitoken's lines up to 2,000 bytes",
        MODELS_OWN,
        tokenizer,
    ),
];

/// A folder of `quants`, as it is spelled in the full data.
const QUANTIZE_FOLDER: &str = concat!("quanti", "se");
/// The positions, out of 48, that keep their logits: the ends, and both sides of the windows' size.
const POSITIONS: &[usize] = &[0, 15, 32, 47];
/// Number of tokens of the long text of `reference-logits`: more than Gemma 3's window of 512.
const LONG: usize = 640;
/// Number of best tokens of each position.
const BEST: usize = 32;
/// One of this many texts of each category is selected.
const EVERY: usize = 4;
/// Maximum length of kitoken's lines in bytes.
const LONGEST_LINE: usize = 2000;

impl Selection {
    fn count(&mut self, kind: impl Into<String>, n: usize) {
        *self.counts.entry(kind.into()).or_default() += n;
    }

    fn add(&mut self, path: &str, bytes: Vec<u8>) {
        self.files.insert(path.to_owned(), bytes);
    }

    /// Reads a file of the full data, and records its hash.
    fn read(&mut self, files: &Files, path: &str) -> Result<Vec<u8>, String> {
        let bytes = files.bytes(path)?;
        self.full_sha256.insert(path.to_owned(), data::sha256(&bytes));
        Ok(bytes)
    }

    fn copy(&mut self, files: &Files, path: &str) -> Result<(), String> {
        let bytes = self.read(files, path)?;
        self.add(path, bytes);
        Ok(())
    }

    fn json(&mut self, files: &Files, path: &str) -> Result<Json, String> {
        self.read(files, path)?;
        data::json(files, path)
    }

    fn lines(&mut self, files: &Files, path: &str) -> Result<Vec<Json>, String> {
        self.read(files, path)?;
        data::json_lines(files, path)
    }
}

fn whole(
    files: &Files,
    selection: &mut Selection,
    paths: &[impl AsRef<str>],
    folders: &[&str],
) -> Result<(), String> {
    for path in paths {
        selection.copy(files, path.as_ref())?;
    }
    for folder in folders {
        for path in files.list(folder)? {
            selection.copy(files, &path)?;
        }
    }
    selection.count("files", selection.files.len());
    Ok(())
}

fn architectures(files: &Files, selection: &mut Selection) -> Result<(), String> {
    for path in files.list("")?.iter().filter(|path| path.ends_with(".json")) {
        let Json::Object(mut recipe) = selection.json(files, path)? else {
            return Err(format!("{path} is not an object"));
        };
        let kept = some_logits(&recipe["logits_f32le_base64"], &recipe["n_vocab"])
            .ok_or_else(|| format!("{path} has no n_vocab or too few logits"))?;
        recipe.insert("positions".into(), POSITIONS.into());
        recipe.insert("logits_f32le_base64".into(), kept.into());
        selection.add(path, Json::Object(recipe).to_string().into_bytes());
        selection.count("recipes", 1);
    }
    Ok(())
}

/// Returns the logits of [`POSITIONS`] out of all, in base64.
fn some_logits(all: &Json, n_vocab: &Json) -> Option<String> {
    let (logits, row) = (happy_testkit::base64(all.as_str()?)?, 4 * n_vocab.as_u64()? as usize);
    let rows = POSITIONS.iter().map(|p| logits.get(p * row..(p + 1) * row));
    Some(pack::base64(&rows.collect::<Option<Vec<_>>>()?.concat()))
}

fn lora(files: &Files, selection: &mut Selection) -> Result<(), String> {
    for path in files.list("")?.iter().filter(|path| path.ends_with(".json")) {
        let mut file = selection.json(files, path)?;
        let n_vocab = file["n_vocab"].clone();
        for case in file["cases"].as_array_mut().into_iter().flatten() {
            let kept = some_logits(&case["logits_f32le_base64"], &n_vocab);
            case["logits_f32le_base64"] = kept.ok_or_else(|| format!("{path} has too few logits"))?.into();
            selection.count("cases", 1);
        }
        file["positions"] = POSITIONS.into();
        selection.add(path, file.to_string().into_bytes());
        selection.count("files", 1);
    }
    Ok(())
}

fn chat_templates(files: &Files, selection: &mut Selection) -> Result<(), String> {
    for (name, license) in TEMPLATES {
        selection.copy(files, &format!("templates/{name}.jinja"))?;
        selection.count(format!("templates, {license}"), 1);
    }
    let ours = |case: &Json| TEMPLATES.iter().any(|(name, _)| case["template"] == *name);
    let mut renderings = selection.lines(files, "renderings.jsonl.gz")?;
    renderings.retain(ours);
    selection.count("renderings", renderings.len());
    selection.add("renderings.jsonl.gz", pack::lines(&renderings)?);
    let Json::Array(mut cases) = selection.json(files, "llama_cpp_cases.json")? else {
        return Err("llama_cpp_cases.json is not a list".into());
    };
    cases.retain(ours);
    selection.count("cases of llama.cpp", cases.len());
    selection.add("llama_cpp_cases.json", Json::Array(cases).to_string().into_bytes());
    selection.copy(files, "jinja_units.json")
}

fn reference_logits(files: &Files, selection: &mut Selection) -> Result<(), String> {
    selection.add("shape.json", json!({"truth_tokens": BEST, "peer_tokens": BEST}).to_string().into_bytes());
    for model in ["smollm2", "gemma3"] {
        let mut lines = |name: &str| -> Result<Vec<String>, String> {
            let path = format!("{model}.{name}");
            let bytes = selection.read(files, &path)?;
            let text = String::from_utf8(bytes).map_err(|_| format!("{path} is not UTF-8"))?;
            Ok(text.lines().map(str::to_owned).collect())
        };
        let (mut cases, mut greedy) = (lines("cases")?, lines("greedy")?);
        for (case, greedy) in cases.iter_mut().zip(&mut greedy) {
            let words: Vec<&str> = case.split_whitespace().collect();
            if words.len() > LONG {
                *case = words[..LONG].join(" ");
                // The rest is the continuation of the whole text.
                greedy.clear();
            }
        }
        let tokens = cases.iter().map(|case| case.split_whitespace().count()).sum();
        selection.count(format!("positions of {model}"), tokens);
        selection.add(&format!("{model}.cases"), (cases.join("\n") + "\n").into_bytes());
        selection.add(&format!("{model}.greedy"), (greedy.join("\n") + "\n").into_bytes());
        for (name, listed) in [("truth", 256), ("peer", 512)] {
            let path = format!("{model}.{name}.bin");
            let bytes = selection.read(files, &path)?;
            let kept = best(&bytes, listed).ok_or_else(|| format!("{path}: cut short"))?;
            selection.add(&path, kept);
        }
    }
    Ok(())
}

/// Cuts every case to [`LONG`] positions, and every position to the [`BEST`] tokens of the `listed` ones.
fn best(bytes: &[u8], listed: usize) -> Option<Vec<u8>> {
    let mut rest = bytes;
    let mut take = |n: usize| -> Option<&[u8]> {
        let (head, tail) = rest.split_at_checked(n)?;
        rest = tail;
        Some(head)
    };
    let mut out = Vec::new();
    while let Some(head) = take(8) {
        let n = u32::from_le_bytes(head[..4].try_into().ok()?) as usize;
        out.extend_from_slice(&(n.min(LONG) as u32).to_le_bytes());
        out.extend_from_slice(&head[4..]);
        for i in 0..n {
            let position = take(4 + 8 * listed)?;
            if i < LONG {
                out.extend_from_slice(&position[..4 + 8 * BEST]);
            }
        }
    }
    rest.is_empty().then_some(out)
}

fn text(files: &Files, selection: &mut Selection) -> Result<(), String> {
    let Json::Object(mut counts) = selection.json(files, "token_counts.json")? else {
        return Err("token_counts.json is not an object".into());
    };
    for (name, of_text) in &mut counts {
        selection.copy(files, &format!("{name}.txt"))?;
        selection.count("texts", 1);
        keep_vocabularies(of_text.as_object_mut().ok_or("token_counts.json: expected objects")?);
    }
    selection.add("token_counts.json", Json::Object(counts).to_string().into_bytes());
    Ok(())
}

fn keep_vocabularies(map: &mut Map<String, Json>) {
    map.retain(|name, _| is_selected(name));
}

fn is_selected(vocabulary: &str) -> bool {
    VOCABULARIES.iter().any(|(name, _)| *name == vocabulary)
}

fn tokenizer(files: &Files, selection: &mut Selection) -> Result<(), String> {
    let Json::Object(mut all) = selection.json(files, "vocabs.json")? else {
        return Err("vocabs.json is not an object".into());
    };
    keep_vocabularies(&mut all);
    for (name, license) in VOCABULARIES {
        let entry = all.get_mut(*name).ok_or_else(|| format!("vocabs.json has no {name}"))?;
        let file = entry["file"].as_str().ok_or_else(|| format!("vocabs.json: {name} has no file"))?;
        selection.copy(files, file)?;
        selection.count(format!("{name} ({license})"), 1);
        let path = format!("pairs/{name}.jsonl.gz");
        let pairs = one_in(selection.lines(files, &path)?);
        entry["dev"] = pairs.len().into();
        selection.count("pairs", pairs.len());
        selection.add(&path, pack::lines(&pairs)?);
    }
    selection.add("vocabs.json", Json::Object(all).to_string().into_bytes());
    for path in ["llama_cpp_inp_out.jsonl.gz", "kitoken.jsonl.gz"] {
        let mut cases = selection.lines(files, path)?;
        cases.retain(|case| {
            case["vocab"].as_str().is_some_and(is_selected)
                && case["text"].as_str().is_some_and(|text| text.len() <= LONGEST_LINE)
        });
        let vocabularies: BTreeSet<&str> = cases.iter().filter_map(|case| case["vocab"].as_str()).collect();
        selection.counts.insert(format!("vocabularies in {path}"), vocabularies.len());
        selection.count(path, cases.len());
        selection.add(path, pack::lines(&cases)?);
    }
    Ok(())
}

/// Returns the first of each category, and one in [`EVERY`] after it.
fn one_in(pairs: Vec<Json>) -> Vec<Json> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut keep = |pair: &Json| {
        let n = seen.entry(pair["cat"].to_string()).or_default();
        *n += 1;
        (*n - 1).is_multiple_of(EVERY)
    };
    pairs.into_iter().filter(|pair| keep(pair)).collect()
}
