//! Converts the tokenizer, `tokenizer.json` or `vocab.txt` of old BERT models, to the metadata of a GGUF file.

mod bpe;
mod file;
mod pre;
mod special;
mod unigram;
mod wordpiece;

use crate::checkpoint::Checkpoint;
use crate::error::{ConvertError, printable};
use crate::json::{Object, parse_optional};
use crate::pairs::Pairs;
use file::TokenizerFile;
use happy_gguf::{OwnedArray, OwnedValue};

/// The type of a token, with the numbers of `tokenizer.ggml.token_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub(crate) enum TokenType {
    Normal = 1,
    Unknown = 2,
    Control = 3,
    UserDefined = 4,
    Unused = 5,
    Byte = 6,
}

/// The tokens by id.
#[derive(Debug)]
pub(crate) struct Vocab {
    texts: Vec<Option<String>>,
    types: Vec<TokenType>,
}

impl Vocab {
    /// Makes room for the tokens that the embedding has rows for. Ids without a token stay unused.
    fn new(n: u64) -> Result<Self, ConvertError> {
        let (mut texts, mut types) = (Vec::new(), Vec::new());
        let no_memory = |_| ConvertError::no_memory(n.saturating_mul(32), "the vocabulary");
        let n = usize::try_from(n).unwrap_or(usize::MAX);
        texts.try_reserve_exact(n).map_err(no_memory)?;
        types.try_reserve_exact(n).map_err(no_memory)?;
        texts.resize(n, None);
        types.resize(n, TokenType::Unused);
        Ok(Self { texts, types })
    }

    fn set(&mut self, id: u32, text: String, kind: TokenType) -> Result<(), ConvertError> {
        let n = self.texts.len();
        match (self.texts.get_mut(id as usize), self.types.get_mut(id as usize)) {
            (Some(old), Some(old_kind)) => {
                (*old, *old_kind) = (Some(text), kind);
                Ok(())
            }
            _ => Err(ConvertError::unsupported(format!(
                "token `{}` has the id {id}, the embedding has {n} rows",
                printable(&text)
            ))),
        }
    }

    fn len(&self) -> usize {
        self.texts.len()
    }

    /// Returns the ids that have a token, with the token.
    fn iter(&self) -> impl Iterator<Item = (usize, &str)> {
        self.texts.iter().enumerate().filter_map(|(id, text)| Some((id, text.as_deref()?)))
    }

    /// Writes the metadata of tokens and types. Ids without a token get different texts, since two tokens with the same text would
    /// make one of them unreachable.
    fn write(&self, pairs: &mut Pairs) {
        let text =
            |(id, text): (usize, &Option<String>)| text.clone().unwrap_or_else(|| format!("[PAD{id}]"));
        pairs.add(
            "tokenizer.ggml.tokens",
            OwnedValue::Array(OwnedArray::strings(self.texts.iter().enumerate().map(text))),
        );
        let types = self.types.iter().map(|kind| *kind as i32);
        pairs.add("tokenizer.ggml.token_type", OwnedValue::Array(OwnedArray::packed(types)));
    }
}

/// Adds the metadata of the tokenizer. `n` is the number of rows of the embedding.
pub(crate) fn pairs(
    checkpoint: &Checkpoint,
    n: u64,
    pre: Option<&str>,
    pairs: &mut Pairs,
) -> Result<(), ConvertError> {
    let path = checkpoint.dir.join("tokenizer.json");
    let settings = Object::optional(checkpoint.dir.join("tokenizer_config.json"))?;
    let file = match parse_optional::<TokenizerFile>(&path)? {
        Some(file) => file,
        None => wordpiece::from_vocab_txt(&checkpoint.dir, settings.as_ref())?,
    };
    let mut vocab = Vocab::new(n)?;
    match file.model.kind.as_deref() {
        Some("WordPiece") => wordpiece::pairs(&path, &file, &mut vocab, pairs)?,
        Some("Unigram") => unigram::pairs(&path, &file, &mut vocab, pairs)?,
        // Old files do not name the type.
        Some("BPE") | None => bpe::pairs(&path, &file, pre, &mut vocab, pairs)?,
        Some(other) => {
            let message =
                format!("key `model.type`: `{}`, expected WordPiece, BPE or Unigram", printable(other));
            return Err(ConvertError::invalid(&path, message));
        }
    }
    vocab.write(pairs);
    special::pairs(checkpoint, settings.as_ref(), &file, pairs)
}

/// Sets the tokens that were added to a vocabulary: control tokens, and texts that are never split.
fn add_added(file: &TokenizerFile, vocab: &mut Vocab) -> Result<(), ConvertError> {
    for token in &file.added_tokens {
        let kind = if token.special { TokenType::Control } else { TokenType::UserDefined };
        vocab.set(token.id, token.content.clone(), kind)?;
    }
    Ok(())
}
