//! OpenAI's `/v1/embeddings`, and `/v1/rerank` of Jina and Cohere.

use crate::embeddings::{Found, Work};
use crate::error::ApiError;
use crate::fields::Fields;
use crate::http::Call;
use crate::http::reply::Reply;
use crate::models::Lease;
use happy_engine::Embedding;
use serde_json::{Value as Json, json};

/// Maximum number of texts in a request.
const MAX_TEXTS: usize = 2048;

/// Turns texts into vectors.
pub(crate) async fn create(call: Call) -> Result<Reply, ApiError> {
    let body = call.json()?;
    let fields = Fields::of(&body, "")?;
    let model = call.model(fields.text("model")?).await?;
    let (texts, dimensions, base64) = read(fields)?;
    let texts = texts_of(&model, fields, texts)?;
    let found = embed(&model, texts, dimensions, false).await?;
    let tokens: usize = found.iter().map(|one| one.tokens).sum();
    let data = found.into_iter().enumerate().map(|(index, one)| {
        let vector = if base64 { Json::from(encode(&one.values)) } else { one.values.into() };
        json!({ "object": "embedding", "index": index, "embedding": vector })
    });
    Ok(Reply::Json(json!({
        "object": "list",
        "data": data.collect::<Vec<_>>(),
        "model": model.name,
        "usage": { "prompt_tokens": tokens, "total_tokens": tokens },
    })))
}

/// Reads a request: its texts, the length of the vectors, and whether they are encoded as Base64.
pub(crate) fn read(fields: Fields<'_, '_>) -> Result<(Vec<Input>, Option<usize>, bool), ApiError> {
    let texts = read_texts(fields)?;
    let dimensions = fields.count("dimensions", 1, usize::MAX)?;
    let base64 = match fields.text("encoding_format")? {
        None | Some("float") => false,
        Some("base64") => true,
        Some(other) => {
            return Err(
                fields.wrong("encoding_format", format_args!("is {other:?}, expected float or base64"))
            );
        }
    };
    Ok((texts, dimensions, base64))
}

/// Computes the vectors of texts.
pub(crate) async fn embed(
    model: &Lease,
    texts: Vec<String>,
    dimensions: Option<usize>,
    truncate: bool,
) -> Result<Vec<Embedding>, ApiError> {
    match model.embeddings.run(Work::Embed { texts, dimensions, truncate }).await? {
        Found::Embeddings(found) => Ok(found),
        Found::Ranks(_) => Err(ApiError::internal("ranks instead of vectors: please report it")),
    }
}

/// A text of a request. Some clients cut texts with a tokenizer of their own, which must be the model's, and send token ids.
pub(crate) enum Input {
    Text(String),
    Ids(Vec<u32>),
}

/// The field with the texts.
const TEXTS: &str = "input";

/// Reads one text or several. Each may be an array of token ids.
pub(crate) fn read_texts(fields: Fields<'_, '_>) -> Result<Vec<Input>, ApiError> {
    let is_ids = |value: &Json| value.as_array().is_some_and(|all| all.first().is_some_and(Json::is_number));
    let ids = |all: &Json| -> Result<Input, ApiError> {
        let id = |id: &Json| {
            let number = id.as_u64().and_then(|id| u32::try_from(id).ok());
            number.ok_or_else(|| fields.wrong(TEXTS, format_args!("{id} is not a valid token id")))
        };
        Ok(Input::Ids(all.as_array().into_iter().flatten().map(id).collect::<Result<_, _>>()?))
    };
    let texts: Vec<Input> = match fields.get(TEXTS) {
        Some(one) if is_ids(one) => vec![ids(one)?],
        Some(Json::Array(all)) if all.first().is_some_and(is_ids) => {
            all.iter().map(ids).collect::<Result<_, _>>()?
        }
        _ => fields.texts(TEXTS)?.into_iter().map(Input::Text).collect(),
    };
    match texts.len() {
        0 => Err(fields.wrong(TEXTS, "is missing or empty, expected a string or an array of strings")),
        found if found > MAX_TEXTS => {
            Err(fields.wrong(TEXTS, format_args!("{found} texts, expected at most {MAX_TEXTS}")))
        }
        _ => Ok(texts),
    }
}

/// Returns the texts, with token ids decoded by the model's tokenizer.
pub(crate) fn texts_of(
    model: &Lease,
    fields: Fields<'_, '_>,
    texts: Vec<Input>,
) -> Result<Vec<String>, ApiError> {
    let text = |input| match input {
        Input::Text(text) => Ok(text),
        Input::Ids(ids) => {
            let tokenizer = model.engine.require_tokenizer()?;
            let mut bytes = Vec::new();
            for id in ids {
                let wrong = |_| fields.wrong(TEXTS, format_args!("{id} is not a valid token id"));
                bytes.extend_from_slice(&tokenizer.piece(id).map_err(wrong)?);
            }
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        }
    };
    texts.into_iter().map(text).collect()
}

/// Ranks documents by how well they match a query.
pub(crate) async fn rerank(call: Call) -> Result<Reply, ApiError> {
    let body = call.json()?;
    let fields = Fields::of(&body, "")?;
    let model = call.model(fields.text("model")?).await?;
    let Ranking { query, documents, most, with_text } = read_ranking(fields)?;
    let work = Work::Rank { query, documents: documents.clone() };
    let Found::Ranks(ranks) = model.embeddings.run(work).await? else {
        return Err(ApiError::internal("vectors instead of ranks: please report it"));
    };
    let results = ranks.into_iter().take(most).map(|rank| {
        let mut result = json!({ "index": rank.index, "relevance_score": rank.score });
        if with_text {
            result["document"] = json!({ "text": documents.get(rank.index) });
        }
        result
    });
    Ok(Reply::Json(json!({
        "object": "list",
        "model": model.name,
        "results": results.collect::<Vec<_>>(),
    })))
}

/// A request to rank documents.
pub(crate) struct Ranking {
    query: String,
    documents: Vec<String>,
    /// Maximum number of results.
    most: usize,
    /// Whether results contain the documents.
    with_text: bool,
}

/// Reads a request to rank documents.
pub(crate) fn read_ranking(fields: Fields<'_, '_>) -> Result<Ranking, ApiError> {
    let query = fields.need_text("query")?.to_owned();
    let mut documents = Vec::new();
    for (i, document) in fields.need_array("documents")?.iter().enumerate() {
        let text = document.as_str().or_else(|| document.get("text")?.as_str());
        let expected = "expected a string, or an object with a `text`";
        documents.push(text.ok_or_else(|| ApiError::field(&format!("documents.{i}"), expected))?.to_owned());
    }
    if !(1..=MAX_TEXTS).contains(&documents.len()) {
        let found = documents.len();
        return Err(fields.wrong("documents", format_args!("{found}, expected 1 to {MAX_TEXTS}")));
    }
    let most = fields.count("top_n", 1, usize::MAX)?.unwrap_or(usize::MAX);
    let with_text = fields.flag("return_documents")?.unwrap_or(false);
    Ok(Ranking { query, documents, most, with_text })
}

/// Encodes floats, little-endian, as Base64 (RFC 4648), as OpenAI's clients expect.
fn encode(values: &[f32]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let at = |i: usize| u32::from(group.get(i).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for i in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * i)) as usize & 63];
            text.push(if i <= group.len() { digit.into() } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_in_base64() {
        // Computed with Python: base64.b64encode(struct.pack("<2f", 1, -2.5))
        assert_eq!(encode(&[1.0, -2.5]), "AACAPwAAIMA=");
        assert_eq!(encode(&[1.0]), "AACAPw==");
        assert_eq!(encode(&[0.0, 1.0, 2.0]), "AAAAAAAAgD8AAABA");
        assert_eq!(encode(&[]), "");
    }
}
