//! Embeddings and ranks.

use super::barrier::{guard, value};
use super::options::settings;
use super::pointers::{Out, OutSlice, OutStruct, text, views};
use super::results;
use super::structs::initialize;
use super::types::{
    HappyCancel, HappyEmbedOptions, HappyEmbedder, HappyEmbedderInfo, HappyEmbedding, HappyEmbeddings,
    HappyError, HappyModel, HappyRank, HappyText,
};
use crate::core::embedder::{Embedder, Embeddings};
use crate::core::model::Model;
use crate::core::{CancelToken, registry};
use crate::status::Status;
use std::ffi::c_char;

/// Sets all fields to their defaults; `size` is `sizeof(HappyEmbedOptions)`.
///
/// # Safety
/// `options` is NULL or can be written, for `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_embed_options_init(
    options: *mut HappyEmbedOptions,
    size: usize,
    error: *mut *mut HappyError,
) -> Status {
    // SAFETY: the caller keeps the header's contract.
    unsafe { guard(error, || initialize(options, size)) }
}

/// Makes an embedder: memory and threads that turn texts into vectors, or rank documents, as planned. `options` may be
/// NULL: all defaults. It gives `HAPPY_INVALID_ARGUMENT` if the model was loaded without the option `embeddings`, if
/// neither its file nor `options` say how to pool, or if its vectors have fewer values than `dimensions`.
///
/// # Safety
/// As for every function: pointers are NULL or point to what the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_embedder_new(
    model: *const HappyModel,
    options: *const HappyEmbedOptions,
    out: *mut *mut HappyEmbedder,
    error: *mut *mut HappyError,
) -> Status {
    // SAFETY: the caller keeps the header's contract.
    unsafe {
        guard(error, || {
            let (out, model) = (Out::new(out, "out")?, registry::get::<Model>(model as usize)?);
            let embedder = Embedder::new(&model, &settings(options)?)?;
            out.set(registry::insert(embedder)? as *mut HappyEmbedder);
            Ok(())
        })
    }
}

/// Frees an embedder. A call that is still running in another thread continues to its end. NULL is fine.
#[unsafe(no_mangle)]
pub extern "C" fn happy_embedder_free(embedder: *mut HappyEmbedder) -> Status {
    value(Status::Internal, || registry::free::<Embedder>(embedder as usize))
}

/// Reads the properties of an embedder.
///
/// # Safety
/// As for every function: pointers are NULL or point to what the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_embedder_info(
    embedder: *const HappyEmbedder,
    out: *mut HappyEmbedderInfo,
    error: *mut *mut HappyError,
) -> Status {
    // SAFETY: the caller keeps the header's contract.
    unsafe {
        guard(error, || {
            let (out, embedder) = (OutStruct::new(out)?, registry::get::<Embedder>(embedder as usize)?);
            out.set(embedder.info().into());
            Ok(())
        })
    }
}

/// Turns `count` texts into vectors, as many at a time as fit into a pass; a vector does not depend on the other texts.
/// `cancel` may be NULL; a raised one gives `HAPPY_CANCELLED`. A text of more tokens than the context gives
/// `HAPPY_CONTEXT_FULL` unless `truncate` is set, and one without tokens `HAPPY_INVALID_ARGUMENT`. Read the vectors with
/// `happy_embeddings_get`, and free `out` with `happy_embeddings_free`.
///
/// # Safety
/// As for every function: pointers are NULL or point to what the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_embed(
    embedder: *const HappyEmbedder,
    texts: *const HappyText,
    count: usize,
    cancel: *const HappyCancel,
    out: *mut *mut HappyEmbeddings,
    error: *mut *mut HappyError,
) -> Status {
    // SAFETY: the caller keeps the header's contract.
    unsafe {
        guard(error, || {
            let (out, embedder) = (Out::new(out, "out")?, registry::get::<Embedder>(embedder as usize)?);
            let cancel = registry::get_optional::<CancelToken>(cancel as usize)?;
            let found = embedder.embed(&views(texts, count, "texts")?, cancel.as_deref())?;
            out.set(registry::insert(found)? as *mut HappyEmbeddings);
            Ok(())
        })
    }
}

/// Returns the vector of text number `index` of the call, from 0. The values stay where they are until the embeddings
/// are freed. If there are fewer texts, it gives `HAPPY_INVALID_ARGUMENT`.
///
/// # Safety
/// As for every function: pointers are NULL or point to what the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_embeddings_get(
    embeddings: *const HappyEmbeddings,
    index: usize,
    out: *mut HappyEmbedding,
    error: *mut *mut HappyError,
) -> Status {
    // SAFETY: the caller keeps the header's contract.
    unsafe {
        guard(error, || {
            let out = OutStruct::new(out)?;
            let embeddings = registry::get::<Embeddings>(embeddings as usize)?;
            let text = embeddings.text(index)?;
            // The registry keeps the values where they are until the embeddings are freed.
            out.set(HappyEmbedding::new(text, embeddings.width()));
            Ok(())
        })
    }
}

/// Frees embeddings. NULL is fine.
#[unsafe(no_mangle)]
pub extern "C" fn happy_embeddings_free(embeddings: *mut HappyEmbeddings) -> Status {
    value(Status::Internal, || registry::free::<Embeddings>(embeddings as usize))
}

/// Ranks `count` documents by how well they match a query. The model needs a classifier, and the embedder the pooling
/// `HAPPY_POOLING_RANK`; another one gives `HAPPY_INVALID_ARGUMENT`. `ranks` has room for `count` entries, and receives the best first; of equal scores the earlier
/// document comes first. `cancel` may be NULL. Nothing is written if a document cannot be ranked.
///
/// # Safety
/// As for every function: pointers are NULL or point to what the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_rerank(
    embedder: *const HappyEmbedder,
    query: *const c_char,
    query_len: usize,
    documents: *const HappyText,
    count: usize,
    cancel: *const HappyCancel,
    ranks: *mut HappyRank,
    error: *mut *mut HappyError,
) -> Status {
    // SAFETY: the caller keeps the header's contract.
    unsafe {
        guard(error, || {
            let ranks = OutSlice::new(ranks, count, "ranks")?;
            let embedder = registry::get::<Embedder>(embedder as usize)?;
            let cancel = registry::get_optional::<CancelToken>(cancel as usize)?;
            let documents = views(documents, count, "documents")?;
            let found = embedder.rank(text(query, query_len, "query")?, &documents, cancel.as_deref())?;
            for (index, rank) in found.iter().enumerate() {
                // A list has at most 2^28 bytes: an index fits.
                ranks.set_at(index, HappyRank { index: results::count(rank.index), score: rank.score });
            }
            Ok(())
        })
    }
}
