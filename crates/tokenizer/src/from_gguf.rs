//! Building a tokenizer from the metadata of a GGUF file. Strings and scores stay in the file.

use crate::reserve::{copy, exactly};
use crate::spec::{Normalizer, Scores, SharedBytes, SpecialIds, Strings, TokenType, TokenizerSpec};
use crate::{CharsMap, TokenId, Tokenizer, TokenizerError};
use happy_gguf::{Array, ByteOrder, FromValue, GgufFile, Metadata, ValueType};

impl Tokenizer {
    /// Makes the tokenizer of a file. A vocabulary-only file is sufficient.
    ///
    /// # Errors
    /// The same as [`Tokenizer::new`], and if metadata is missing or has the wrong type.
    pub fn from_gguf(file: &GgufFile) -> Result<Self, TokenizerError> {
        Self::from_gguf_with(file, &|| false)
    }

    /// Like [`Tokenizer::from_gguf`], but can be cancelled: `cancelled` is called about once per millisecond.
    ///
    /// # Errors
    /// The same as [`Tokenizer::from_gguf`], and `Cancelled` soon after `cancelled` returns true.
    pub fn from_gguf_with(file: &GgufFile, cancelled: &dyn Fn() -> bool) -> Result<Self, TokenizerError> {
        Tokenizer::new_with(TokenizerSpec::from_gguf(file)?, cancelled)
    }
}

impl TokenizerSpec {
    /// Reads the description of a file's tokenizer.
    ///
    /// # Errors
    /// If metadata is missing or has the wrong type.
    pub fn from_gguf(file: &GgufFile) -> Result<Self, TokenizerError> {
        let view = file.view();
        let (metadata, storage) = (view.metadata(), file.shared());
        if view.version() == 1 || view.byte_order() != ByteOrder::Little {
            // Tokens and scores are read in place, which requires this layout.
            let found = format!("version {}, {}", view.version(), view.byte_order());
            let message = format!("the vocabulary: expected version 2 or 3, little-endian, found {found}");
            return Err(TokenizerError::Value { message });
        }
        let why = "the file has no tokenizer";
        let model: &str = read(metadata, "tokenizer.ggml.model")?
            .ok_or(TokenizerError::Missing { key: "tokenizer.ggml.model", why })?;
        let tokens =
            strings(metadata, &storage, "tokenizer.ggml.tokens")?.ok_or(TokenizerError::Missing {
                key: "tokenizer.ggml.tokens",
                why: "it holds the vocabulary",
            })?;
        let id = |key| Ok::<_, TokenizerError>(read::<u32>(metadata, key).ok().flatten());
        let either = |a: Option<u32>, b: Option<u32>| a.or(b);
        let mut spec = TokenizerSpec::new(copy(model)?, tokens);
        let pre = read::<&str>(metadata, "tokenizer.ggml.pre")?.filter(|p| !p.is_empty());
        spec.pre = pre.map(copy).transpose()?;
        spec.token_types = token_types(metadata)?;
        spec.scores = scores(metadata, &storage)?;
        spec.merges = strings(metadata, &storage, "tokenizer.ggml.merges")?;
        spec.special = SpecialIds {
            bos: id("tokenizer.ggml.bos_token_id")?,
            eos: id("tokenizer.ggml.eos_token_id")?,
            eot: id("tokenizer.ggml.eot_token_id")?,
            eom: id("tokenizer.ggml.eom_token_id")?,
            unk: id("tokenizer.ggml.unknown_token_id")?,
            sep: id("tokenizer.ggml.seperator_token_id")?,
            pad: id("tokenizer.ggml.padding_token_id")?,
            mask: id("tokenizer.ggml.mask_token_id")?,
            fim_prefix: either(id("tokenizer.ggml.fim_pre_token_id")?, id("tokenizer.ggml.prefix_token_id")?),
            fim_suffix: either(id("tokenizer.ggml.fim_suf_token_id")?, id("tokenizer.ggml.suffix_token_id")?),
            fim_middle: either(id("tokenizer.ggml.fim_mid_token_id")?, id("tokenizer.ggml.middle_token_id")?),
            fim_pad: id("tokenizer.ggml.fim_pad_token_id")?,
            fim_repo: id("tokenizer.ggml.fim_rep_token_id")?,
            fim_separator: id("tokenizer.ggml.fim_sep_token_id")?,
        };
        spec.eos_ids = ids(metadata, "tokenizer.ggml.eos_token_ids")?;
        spec.add_bos = read(metadata, "tokenizer.ggml.add_bos_token")?;
        spec.add_eos = read(metadata, "tokenizer.ggml.add_eos_token")?;
        spec.add_space_prefix = read(metadata, "tokenizer.ggml.add_space_prefix")?;
        spec.add_sep = read(metadata, "tokenizer.ggml.add_sep_token")?;
        spec.remove_extra_whitespaces = read(metadata, "tokenizer.ggml.remove_extra_whitespaces")?;
        spec.charsmap = charsmap(metadata, &storage)?;
        spec.normalizer = Normalizer {
            lowercase: read(metadata, "tokenizer.ggml.normalizer.lowercase")?,
            strip_accents: read(metadata, "tokenizer.ggml.normalizer.strip_accents")?,
        };
        spec.architecture = name(metadata, "general.architecture")?;
        spec.model_name = name(metadata, "general.name")?;
        Ok(spec)
    }
}

/// A value that may be missing.
fn read<'a, T: FromValue<'a>>(metadata: &Metadata<'a>, key: &str) -> Result<Option<T>, TokenizerError> {
    metadata.optional(key).map_err(|e| TokenizerError::Value { message: e.to_string() })
}

/// A list of ids. Entries that are not valid ids are left out, as they are for keys with a single id.
fn ids(metadata: &Metadata<'_>, key: &str) -> Result<Vec<TokenId>, TokenizerError> {
    let Some(array) = read::<Array<'_>>(metadata, key).ok().flatten() else { return Ok(Vec::new()) };
    let mut ids = exactly(array.len())?;
    ids.extend(array.iter().filter_map(|value| TokenId::try_from(value.as_integer()?).ok()));
    Ok(ids)
}

/// A name that only affects details.
fn name(metadata: &Metadata<'_>, key: &str) -> Result<Option<String>, TokenizerError> {
    read::<&str>(metadata, key).ok().flatten().map(copy).transpose()
}

/// Where a part of the file's bytes begins.
fn offset(storage: &SharedBytes, part: &[u8]) -> usize {
    // `part` is borrowed from the storage. If it were not, the bounds checks of the parts would refuse the offset.
    (part.as_ptr() as usize).wrapping_sub((**storage).as_ref().as_ptr() as usize)
}

/// An array of strings, left in place.
fn strings(
    metadata: &Metadata<'_>,
    storage: &SharedBytes,
    key: &str,
) -> Result<Option<Strings>, TokenizerError> {
    let Some(array) = read::<Array<'_>>(metadata, key)? else { return Ok(None) };
    if array.element_type() != ValueType::String {
        return Err(wrong_type(key, "an array of strings", &array));
    }
    let base = offset(storage, array.raw());
    Strings::behind_lengths(storage.clone(), base, array.len()).map(Some)
}

fn scores(metadata: &Metadata<'_>, storage: &SharedBytes) -> Result<Option<Scores>, TokenizerError> {
    let key = "tokenizer.ggml.scores";
    let Some(array) = read::<Array<'_>>(metadata, key)? else { return Ok(None) };
    let integers = match array.element_type() {
        ValueType::F32 => false,
        ValueType::I32 => true,
        _ => return Err(wrong_type(key, "an array of f32 or i32", &array)),
    };
    Scores::in_storage(storage.clone(), offset(storage, array.raw()), array.len(), integers).map(Some)
}

/// The normalization map, left in place.
fn charsmap(metadata: &Metadata<'_>, storage: &SharedBytes) -> Result<Option<CharsMap>, TokenizerError> {
    let key = "tokenizer.ggml.precompiled_charsmap";
    let Some(array) = read::<Array<'_>>(metadata, key)? else { return Ok(None) };
    match array.element_type() {
        ValueType::I8 | ValueType::U8 => {}
        _ => return Err(wrong_type(key, "an array of u8 or i8", &array)),
    }
    CharsMap::in_storage(storage.clone(), offset(storage, array.raw()), array.len()).map(Some)
}

fn token_types(metadata: &Metadata<'_>) -> Result<Vec<TokenType>, TokenizerError> {
    let key = "tokenizer.ggml.token_type";
    let Some(array) = read::<Array<'_>>(metadata, key)? else { return Ok(Vec::new()) };
    let of = |number: i32| TokenType::from(i64::from(number));
    let mut types = exactly(array.len())?;
    if let Some(numbers) = array.packed::<i32>() {
        types.extend(numbers.iter().map(of));
    } else if let Some(numbers) = array.packed::<u32>() {
        types.extend(numbers.iter().map(|n| of(n as i32)));
    } else {
        return Err(wrong_type(key, "an array of i32", &array));
    }
    Ok(types)
}

fn wrong_type(key: &str, expected: &'static str, array: &Array<'_>) -> TokenizerError {
    TokenizerError::WrongType {
        key: key.to_owned(),
        expected,
        found: format!("an array of {}", array.element_type()),
    }
}
