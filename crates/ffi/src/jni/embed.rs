//! The methods of `HappyEmbedder`.

use super::arrays::{give, give_numbers, text, texts};
use super::call::{Trouble, call};
use super::library::{free, from_java, to_java};
use super::options;
use crate::capi::types::HappyEmbedderInfo;
use crate::core::embedder::{Embedder, Embeddings};
use crate::core::model::Model;
use crate::core::{CancelToken, registry};
use crate::failure::{Failure, Outcome};
use crate::status::Status;
use happy_engine::Rank;
use jni::EnvUnowned;
use jni::objects::{JByteArray, JClass, JLongArray};
use jni::sys::jlong;
use std::sync::Arc;

fn embedder(handle: jlong) -> Outcome<Arc<Embedder>> {
    registry::get::<Embedder>(from_java(handle))
}

/// An embedder of a model.
#[unsafe(no_mangle)]
pub extern "system" fn Java_dev_happyllm_Native_embedderNew<'l>(
    env: EnvUnowned<'l>,
    _: JClass<'l>,
    model: jlong,
    options: JByteArray<'l>,
) -> jlong {
    call(env, |env| {
        let model = registry::get::<Model>(from_java(model))?;
        let settings = options::embed(&text(env, &options, "options")?)?;
        Ok(to_java(registry::insert(Embedder::new(&model, &settings)?)?))
    })
}

/// Frees an embedder.
#[unsafe(no_mangle)]
pub extern "system" fn Java_dev_happyllm_Native_embedderFree(
    env: EnvUnowned<'_>,
    _: JClass<'_>,
    embedder: jlong,
) {
    call(env, |_| free::<Embedder>(embedder));
}

/// Pooling, values of a vector, maximum number of tokens of a text.
#[unsafe(no_mangle)]
pub extern "system" fn Java_dev_happyllm_Native_embedderInfo<'l>(
    env: EnvUnowned<'l>,
    _: JClass<'l>,
    embedder: jlong,
) -> JLongArray<'l> {
    call(env, |env| {
        let info = HappyEmbedderInfo::from(self::embedder(embedder)?.info());
        give_numbers(env, &[info.pooling.into(), info.width.into(), info.most_tokens.into()])
    })
}

/// Returns the vectors of texts, which are a JSON array.
#[unsafe(no_mangle)]
pub extern "system" fn Java_dev_happyllm_Native_embed<'l>(
    env: EnvUnowned<'l>,
    _: JClass<'l>,
    embedder: jlong,
    texts: JByteArray<'l>,
    cancel: jlong,
) -> JByteArray<'l> {
    call(env, |env| {
        let embedder = self::embedder(embedder)?;
        let texts = self::texts(env, &texts, "texts")?;
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let cancel = registry::get_optional::<CancelToken>(from_java(cancel))?;
        let record = encode(&embedder.embed(&texts, cancel.as_deref())?)?;
        give(env, &record)
    })
}

/// Returns the ranks of documents, which are a JSON array.
#[unsafe(no_mangle)]
pub extern "system" fn Java_dev_happyllm_Native_rerank<'l>(
    env: EnvUnowned<'l>,
    _: JClass<'l>,
    embedder: jlong,
    query: JByteArray<'l>,
    documents: JByteArray<'l>,
    cancel: jlong,
) -> JByteArray<'l> {
    call(env, |env| {
        let embedder = self::embedder(embedder)?;
        let (query, documents) = (text(env, &query, "query")?, texts(env, &documents, "documents")?);
        let documents: Vec<&str> = documents.iter().map(String::as_str).collect();
        let cancel = registry::get_optional::<CancelToken>(from_java(cancel))?;
        let record = encode_ranks(&embedder.rank(&query, &documents, cancel.as_deref())?)?;
        give(env, &record)
    })
}

/// Encodes vectors as `HappyEmbedding.java` reads them, little-endian: width; then for each text its tokens, the tokens
/// left out, the number of values (all i32), and the values.
fn encode(found: &Embeddings) -> Result<Vec<u8>, Trouble> {
    let texts = found.texts();
    let bytes = texts.iter().map(|text| 12 + 4 * text.values.len()).sum::<usize>();
    let mut out = room(bytes.saturating_add(4))?;
    out.extend(int(found.width()));
    for text in texts {
        for count in [text.tokens, text.left_out, text.values.len()] {
            out.extend(int(count));
        }
        out.extend(text.values.iter().flat_map(|value| value.to_le_bytes()));
    }
    Ok(out)
}

/// Encodes ranks as `HappyRank.java` reads them, little-endian: index and score of each.
fn encode_ranks(ranks: &[Rank]) -> Result<Vec<u8>, Trouble> {
    let mut out = room(ranks.len().saturating_mul(8))?;
    for rank in ranks {
        out.extend(int(rank.index));
        out.extend(rank.score.to_le_bytes());
    }
    Ok(out)
}

/// Converts a count, which Java's arrays cannot exceed.
fn int(count: usize) -> [u8; 4] {
    i32::try_from(count).unwrap_or(i32::MAX).to_le_bytes()
}

fn room(bytes: usize) -> Result<Vec<u8>, Trouble> {
    let mut out = Vec::new();
    let refused = || Failure::new(Status::Memory, format!("no memory for the vectors, {bytes} bytes"));
    match i32::try_from(bytes) {
        Ok(_) => out.try_reserve_exact(bytes).map_err(|_| refused())?,
        Err(_) => return Err(refused().into()),
    }
    Ok(out)
}
