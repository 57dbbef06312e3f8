//! WordPiece: BERT's vocabulary. GGUF files mark the beginning of a word with U+2581, and write the rest of a word without `##`.

use super::file::{AddedToken, Model, Token, TokenizerFile, Tokens};
use super::{TokenType, Vocab};
use crate::error::{ConvertError, printable};
use crate::json::{Object, read_optional};
use crate::pairs::Pairs;
use serde_json::{Value, json};
use std::path::Path;

/// The mark of a token that continues a word, in `tokenizer.json` and `vocab.txt`.
const CONTINUED: &str = "##";
/// The mark of a token that begins a word, in a GGUF file.
const BEGIN: char = '\u{2581}';
/// Longer words become the unknown token. GGUF files have no key for this number.
const LONGEST_WORD: u64 = 100;

pub(crate) fn pairs(
    path: &Path,
    file: &TokenizerFile,
    vocab: &mut Vocab,
    pairs: &mut Pairs,
) -> Result<(), ConvertError> {
    let model = &file.model;
    if let Some(other) = model.continuing_subword_prefix.as_deref().filter(|prefix| *prefix != CONTINUED) {
        let other = printable(other);
        let message = format!("key `model.continuing_subword_prefix`: `{other}`, expected `{CONTINUED}`");
        return Err(ConvertError::unsupported(message));
    }
    if let Some(other) = model.max_input_chars_per_word.filter(|n| *n != LONGEST_WORD) {
        pairs.warn(format!(
            "words of more than {LONGEST_WORD} characters become the unknown token; in the original, of more than {other}"
        ));
    }
    for Token { text, id, .. } in &model.vocab.0 {
        let text = text.strip_prefix(CONTINUED).map_or_else(|| format!("{BEGIN}{text}"), str::to_owned);
        vocab.set(*id, text, TokenType::Normal)?;
    }
    super::add_added(file, vocab)?;
    pairs.add("tokenizer.ggml.model", "bert");
    // llama.cpp splits text in the same way for all vocabularies of this kind. The name is that of the most common one.
    pairs.add("tokenizer.ggml.pre", "jina-v2-en");
    for part in TokenizerFile::parts(&file.normalizer, "normalizers") {
        normalizer(path, part, pairs)?;
    }
    Ok(())
}

fn normalizer(path: &Path, part: &Value, pairs: &mut Pairs) -> Result<(), ConvertError> {
    let flag = |key: &str| part.get(key).and_then(Value::as_bool);
    match part.get("type").and_then(Value::as_str) {
        Some("BertNormalizer") => {
            for key in ["clean_text", "handle_chinese_chars"] {
                if flag(key) == Some(false) {
                    return Err(ConvertError::invalid(
                        path,
                        format!("key `normalizer.{key}`: false is not converted"),
                    ));
                }
            }
            if let Some(lowercase) = flag("lowercase") {
                pairs.add("tokenizer.ggml.normalizer.lowercase", lowercase);
            }
            if let Some(strip) = flag("strip_accents") {
                pairs.add("tokenizer.ggml.normalizer.strip_accents", strip);
            }
        }
        Some("Lowercase") => pairs.add("tokenizer.ggml.normalizer.lowercase", true),
        Some("StripAccents") => pairs.add("tokenizer.ggml.normalizer.strip_accents", true),
        Some("NFC" | "NFD" | "NFKC" | "NFKD") => {}
        other => pairs.warn(format!("normalizer `{}` is left out", printable(other.unwrap_or_default()))),
    }
    Ok(())
}

/// Makes the tokenizer of a folder without `tokenizer.json`, from the lines of `vocab.txt` and BERT's defaults.
pub(crate) fn from_vocab_txt(dir: &Path, settings: Option<&Object>) -> Result<TokenizerFile, ConvertError> {
    let path = dir.join("vocab.txt");
    let Some(bytes) = read_optional(&path)? else {
        let dir = crate::error::shown(dir);
        return Err(ConvertError::missing(format!("`{dir}`: neither `tokenizer.json` nor `vocab.txt`")));
    };
    let text = String::from_utf8(bytes).map_err(|e| ConvertError::invalid(&path, e.utf8_error()))?;
    let line = |(id, line): (usize, &str)| Token {
        text: line.trim_end_matches('\r').to_owned(),
        id: u32::try_from(id).unwrap_or(u32::MAX),
        score: 0.0,
    };
    let tokens: Vec<Token> =
        text.strip_suffix('\n').unwrap_or(&text).split('\n').enumerate().map(line).collect();
    let is_special = |t: &&Token| ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].contains(&t.text.as_str());
    let added = |t: &Token| AddedToken { id: t.id, content: t.text.clone(), special: true };
    let setting = |key| settings.map_or(Ok(None), |settings| settings.bool(key));
    let has = |name: &str| tokens.iter().any(|t| t.text == name);
    if !has("[CLS]") || !has("[SEP]") || !has("[UNK]") {
        return Err(ConvertError::invalid(&path, "expected the tokens [CLS], [SEP] and [UNK]"));
    }
    let special = |name: &str| json!({ "SpecialToken": { "id": name } });
    Ok(TokenizerFile {
        added_tokens: tokens.iter().filter(is_special).map(added).collect(),
        normalizer: json!({
            "type": "BertNormalizer",
            "lowercase": setting("do_lower_case")?.unwrap_or(true),
            "strip_accents": setting("strip_accents")?,
            "handle_chinese_chars": setting("tokenize_chinese_chars")?.unwrap_or(true),
        }),
        pre_tokenizer: Value::Null,
        post_processor: json!({
            "type": "TemplateProcessing",
            "single": [special("[CLS]"), { "Sequence": { "id": "A" } }, special("[SEP]")],
        }),
        model: Model {
            kind: Some("WordPiece".to_owned()),
            vocab: Tokens(tokens),
            merges: Vec::new(),
            unk_token: Some("[UNK]".to_owned()),
            unk_id: None,
            continuing_subword_prefix: None,
            max_input_chars_per_word: None,
            byte_fallback: None,
            ignore_merges: None,
        },
    })
}
