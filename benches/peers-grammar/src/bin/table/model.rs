//! What is timed: a real vocabulary, a document in its tokens, and the schemas that it satisfies.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use happy_gguf::GgufFile;
use happy_tokenizer::{EncodeOptions, Tokenizer};
use peers_grammar::{Kind, Result, Token, write_texts, write_tokens};
use serde_json::Value;

/// The vocabulary of the conformance corpus.
const NAME: &str = "qwen2.5";

const SCHEMA: &str = include_str!("../../../../data/customer.schema.json");
const DOCUMENT: &str = include_str!("../../../../data/customer.json");

/// The files that the probes get.
pub struct Model {
    pub vocabulary: PathBuf,
    pub tokens: usize,
    pub document: PathBuf,
    pub document_tokens: usize,
    /// Name and file.
    pub schemas: Vec<(&'static str, PathBuf)>,
}

/// Writes them into `folder`.
pub fn write(corpus: &Path, folder: &Path) -> Result<Model> {
    let packed = corpus.join(format!("tokenizer/vocabs/{NAME}.gguf.zst"));
    let packed = File::open(&packed).map_err(|error| format!("{}: {error}", packed.display()))?;
    let mut bytes = Vec::new();
    ruzstd::decoding::StreamingDecoder::new(packed)?.read_to_end(&mut bytes)?;
    let gguf = folder.join("vocabulary.gguf");
    fs::write(&gguf, bytes)?;
    let tokenizer = Tokenizer::from_gguf(&GgufFile::read(&gguf)?)?;
    let eos = tokenizer.eos().ok_or("the vocabulary has no end")?;
    let mut tokens = Vec::new();
    for id in 0..u32::try_from(tokenizer.vocab_size())? {
        let kind = match id {
            id if id == eos => Kind::End,
            id if tokenizer.is_control(id) => Kind::Control,
            _ => Kind::Text,
        };
        tokens.push(Token { kind, bytes: tokenizer.piece(id)? });
    }
    let vocabulary = folder.join("vocabulary.bin");
    write_tokens(&vocabulary, &tokens)?;
    let options = EncodeOptions { add_special: false, parse_special: false };
    let ids = tokenizer.encode(DOCUMENT.trim_end(), options)?;
    let document = folder.join("document.bin");
    write_texts(&document, std::slice::from_ref(&ids))?;
    // Not every peer knows `uniqueItems`.
    let mut customer: Value = serde_json::from_str(SCHEMA)?;
    let tags = customer["properties"]["tags"].as_object_mut().ok_or("the schema has no tags")?;
    tags.remove("uniqueItems").ok_or("the tags of the schema are not unique")?;
    let mut schemas = Vec::new();
    for (name, file, schema) in [
        ("any object", "any.json", r#"{"type":"object"}"#),
        ("customer without `uniqueItems`", "customer.json", &*customer.to_string()),
        ("customer", "unique.json", SCHEMA),
    ] {
        let path = folder.join(file);
        fs::write(&path, schema)?;
        schemas.push((name, path));
    }
    Ok(Model { vocabulary, tokens: tokens.len(), document, document_tokens: ids.len(), schemas })
}
