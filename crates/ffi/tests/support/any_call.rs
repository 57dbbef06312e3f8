//! The C interface with option structs, sizes, texts and handles of any bytes: every call gives a status, every failure an
//! error with a message, and nothing is left behind.

#![allow(unsafe_code)]

use super::tiny;

use happy::Status;
use happy::capi::embed::{
    happy_embed, happy_embedder_free, happy_embedder_new, happy_embeddings_free, happy_embeddings_get,
    happy_rerank,
};
use happy::capi::error::{happy_error_free, happy_error_message, happy_error_status, happy_string_free};
use happy::capi::load::{happy_model_open_file, happy_plan_file};
use happy::capi::sampler::{happy_sampler_free, happy_sampler_new};
use happy::capi::saved::{
    happy_session_append, happy_session_branch, happy_session_close_file, happy_session_compact,
    happy_session_edit, happy_session_file, happy_session_go_to_branch, happy_session_pin,
    happy_session_regenerate, happy_session_replay, happy_session_restore, happy_session_reuse,
    happy_session_save, happy_session_trim, happy_session_unpin,
};
use happy::capi::session::{
    happy_session_clear, happy_session_free, happy_session_governor, happy_session_left_out,
    happy_session_new, happy_session_set_adapters,
};
use happy::capi::text::{happy_apply_template, happy_detokenize, happy_tokenize};
use happy::capi::turn::{happy_chat, happy_next};
use happy::capi::types::{
    HappyCancel, HappyEmbedOptions, HappyEmbedder, HappyEmbedding, HappyEmbeddings, HappyError, HappyEvent,
    HappyGenerateOptions, HappyLoadOptions, HappyModel, HappyPlan, HappyRank, HappyReuse, HappySampler,
    HappySamplerOptions, HappySession, HappySessionOptions, HappyString, HappyText,
};
use happy::capi::verify::{happy_model_verify, happy_report_device};
use happy::core::embedder::{EmbedOptions, Embedder};
use happy::core::model::{Model, Place};
use happy::core::session::{Session, SessionSettings};
use happy::core::{registry, strings};
use happy_engine::LoadOptions;
use happy_engine::model::Pooling;
use std::ffi::c_char;
use std::mem::{offset_of, size_of};
use std::ptr;
use std::sync::OnceLock;

/// A struct of the caller: the input's bytes, sizes included, in memory that is as long as any size that is taken, with
/// pointers that point to something.
#[repr(C, align(8))]
struct Caller([u8; 4096 + 8]);

impl Caller {
    fn new(bytes: &[u8]) -> Self {
        let mut all = [0; 4096 + 8];
        let n = bytes.len().min(all.len());
        all[..n].copy_from_slice(&bytes[..n]);
        Self(all)
    }

    fn set<T: Copy>(&mut self, offset: usize, value: T) -> &mut Self {
        assert!(offset + size_of::<T>() <= self.0.len());
        // SAFETY: inside of the bytes.
        unsafe { self.0.as_mut_ptr().add(offset).cast::<T>().write_unaligned(value) };
        self
    }

    fn get<T>(&self) -> *const T {
        self.0.as_ptr().cast()
    }

    fn get_mut<T>(&mut self) -> *mut T {
        self.0.as_mut_ptr().cast()
    }
}

/// A model and a session with it, that all inputs use.
fn made() -> (usize, usize) {
    static MADE: OnceLock<(usize, usize)> = OnceLock::new();
    *MADE.get_or_init(|| {
        let path = std::env::temp_dir().join(format!("happy-fuzz-{}.gguf", std::process::id()));
        std::fs::write(&path, tiny::tiny_model(Some(tiny::TEMPLATE))).expect("a file");
        let place = Place::path(path.to_str().expect("UTF-8")).expect("a path");
        let options = LoadOptions {
            threads: Some(1),
            context: Some(64),
            mmap: false,
            branches: 2,
            ..LoadOptions::default()
        };
        let model = Model::open(&place, &options, None, None).expect("a model");
        let session = Session::new(&model, &SessionSettings::default()).expect("a session");
        std::fs::remove_file(&path).expect("the file");
        (registry::insert(model).expect("a handle"), registry::insert(session).expect("a handle"))
    })
}

/// A model for embeddings, and embedders that give vectors and ranks.
fn made_for_texts() -> [usize; 3] {
    static MADE: OnceLock<[usize; 3]> = OnceLock::new();
    *MADE.get_or_init(|| {
        let path = std::env::temp_dir().join(format!("happy-any-embed-{}.gguf", std::process::id()));
        std::fs::write(&path, tiny::tiny_embedding_model()).expect("a temporary file");
        let place = Place::path(&path.display().to_string()).expect("a path");
        let options =
            LoadOptions { threads: Some(1), context: Some(64), mmap: false, ..LoadOptions::embeddings() };
        let model = Model::open(&place, &options, None, None).expect("a model");
        std::fs::remove_file(&path).expect("the file");
        let embedders = [None, Some(Pooling::Rank)].map(|pooling| {
            let options = EmbedOptions { pooling, ..EmbedOptions::default() };
            registry::insert(Embedder::new(&model, &options).expect("an embedder")).expect("a handle")
        });
        [registry::insert(model).expect("a handle"), embedders[0], embedders[1]]
    })
}

/// Saving, and restoring what may be anything, in a file of the temporary folder.
///
/// # Safety
/// The text is what it says.
unsafe fn saved_call(
    session: *const HappySession,
    content: HappyText,
    [a, b]: [u8; 2],
    any: usize,
    error: &mut *mut HappyError,
) -> Status {
    let path = std::env::temp_dir().join(format!("happy-any-{}.happy", std::process::id()));
    let name = path.to_str().expect("UTF-8");
    let (data, len) = (name.as_ptr().cast::<c_char>(), name.len());
    let bytes = match content.len {
        // An empty text may have no address.
        0 => &[][..],
        // SAFETY: the caller's promise.
        len => unsafe { std::slice::from_raw_parts(content.data.cast::<u8>(), len) },
    };
    // SAFETY: the name lives as long as the calls.
    let status = unsafe {
        match b % 8 {
            // Each is synced: few of them.
            0 if a % 4 == 0 => {
                let saved = happy_session_save(session, data, len, error);
                if saved == Status::Ok {
                    let mut more = ptr::null_mut();
                    check(happy_session_restore(session, data, len, &mut more), more);
                    let mut more = ptr::null_mut();
                    check(happy_session_close_file(session, &mut more), more);
                }
                saved
            }
            0..=2 => happy_session_restore(session, data, len, error),
            3 => happy_session_save(session, data, 0, error),
            n => {
                std::fs::write(&path, bytes).expect("a temporary file");
                let cancel = if n == 4 { ptr::null() } else { any as *const HappyCancel };
                if n < 6 {
                    happy_session_replay(session, data, len, cancel, error)
                } else {
                    happy_session_restore(session, data, len, error)
                }
            }
        }
    };
    let _ = std::fs::remove_file(&path);
    status
}

/// Checks a status against the error, and frees that.
fn check(status: Status, error: *mut HappyError) {
    assert_eq!(status == Status::Ok, error.is_null());
    assert_ne!(status, Status::Internal);
    if !error.is_null() {
        assert_eq!(happy_error_status(error), status);
        let mut len = 0;
        // SAFETY: `len` can be written.
        assert!(!unsafe { happy_error_message(error, &mut len) }.is_null() && len > 0);
        assert_eq!(happy_error_free(error), Status::Ok);
    }
}

/// One call, made of these bytes.
///
/// # Panics
/// If its status and its error do not agree, the library has to report an error of its own, or something is not freed.
pub fn any_call(data: &[u8]) {
    let Some((&[kind, a, b, c], rest)) = data.split_first_chunk::<4>() else { return };
    // A text in the input, and handles: of what there is, or any number.
    let text = rest.get(usize::from(a)..).unwrap_or_default();
    let view = HappyText { data: text.as_ptr().cast::<c_char>(), len: text.len() };
    let any = rest.first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes)) as usize;
    let (model, session) = if c & 1 == 0 { made() } else { (any, any) };
    let (model, session) = (model as *const HappyModel, session as *const HappySession);
    let [embedding, embedder, ranker] = if c & 1 == 0 { made_for_texts() } else { [any; 3] };
    let (embedding, embedder, ranker) =
        (embedding as *const HappyModel, embedder as *const HappyEmbedder, ranker as *const HappyEmbedder);
    let mut caller = Caller::new(rest);
    // Most sizes are refused at once.
    let sized = c & 2 == 0;
    let size_is = |caller: &mut Caller, size: usize| {
        if sized {
            caller.set(0, size as u32);
        }
    };
    made();
    made_for_texts();
    let live = registry::live() + strings::live();
    let none = HappyText { data: ptr::null(), len: 0 };
    let mut error = ptr::null_mut();
    let path = b"/dev/null".as_ptr().cast::<c_char>();
    // SAFETY: every pointer points to as much as is said, or is NULL.
    let status = unsafe {
        match kind % 26 {
            0 => {
                let mut out = ptr::null_mut::<HappySampler>();
                size_is(&mut caller, size_of::<HappySamplerOptions>());
                caller
                    .set(offset_of!(HappySamplerOptions, order), view)
                    .set(offset_of!(HappySamplerOptions, dry_breakers), ptr::from_ref(&view))
                    .set(offset_of!(HappySamplerOptions, n_dry_breakers), usize::from(b & 1))
                    .set(
                        offset_of!(HappySamplerOptions, logit_bias),
                        rest.as_ptr().align_offset(4) + rest.as_ptr() as usize,
                    )
                    .set(offset_of!(HappySamplerOptions, n_logit_bias), rest.len().saturating_sub(4) / 8);
                let status = happy_sampler_new(caller.get::<HappySamplerOptions>(), &mut out, &mut error);
                if status == Status::Ok {
                    assert_eq!(happy_sampler_free(out), Status::Ok);
                }
                status
            }
            1 => {
                let mut out = ptr::null_mut::<HappyModel>();
                size_is(&mut caller, size_of::<HappyLoadOptions>());
                caller
                    .set(offset_of!(HappyLoadOptions, isa), view)
                    .set(offset_of!(HappyLoadOptions, progress), 0usize)
                    .set(offset_of!(HappyLoadOptions, adapters), ptr::from_ref(&view))
                    .set(offset_of!(HappyLoadOptions, n_adapters), usize::from(b & 1));
                happy_model_open_file(path, 9, caller.get::<HappyLoadOptions>(), &mut out, &mut error)
            }
            2 => happy_plan_file(path, 9, ptr::null(), caller.get_mut::<HappyPlan>(), &mut error),
            3 => {
                let mut out = ptr::null_mut::<HappySession>();
                size_is(&mut caller, size_of::<HappySessionOptions>());
                caller
                    .set(offset_of!(HappySessionOptions, system), if b & 1 == 0 { view } else { none })
                    .set(offset_of!(HappySessionOptions, tools), if b & 2 == 0 { view } else { none })
                    .set(
                        offset_of!(HappySessionOptions, context_policy),
                        if b & 8 == 0 { view } else { none },
                    )
                    .set(offset_of!(HappySessionOptions, file_key), if b & 16 == 0 { view } else { none })
                    .set(offset_of!(HappySessionOptions, governor), if b & 32 == 0 { view } else { none })
                    .set(offset_of!(HappySessionOptions, governor_cache), none)
                    .set(
                        offset_of!(HappySessionOptions, template_vars),
                        if b & 4 == 0 { view } else { none },
                    );
                let status = happy_session_new(model, caller.get(), &mut out, &mut error);
                assert_eq!(happy_session_free(out), Status::Ok);
                status
            }
            4 => {
                size_is(&mut caller, size_of::<HappyGenerateOptions>());
                if c & 4 == 0 {
                    caller
                        .set(offset_of!(HappyGenerateOptions, sampler), 0usize)
                        .set(offset_of!(HappyGenerateOptions, cancel), 0usize);
                }
                caller
                    .set(offset_of!(HappyGenerateOptions, stop), ptr::from_ref(&view))
                    .set(offset_of!(HappyGenerateOptions, n_stop), usize::from(b & 1))
                    .set(offset_of!(HappyGenerateOptions, grammar), if b & 4 == 0 { none } else { view })
                    .set(offset_of!(HappyGenerateOptions, json_schema), if b & 2 == 0 { view } else { none })
                    .set(offset_of!(HappyGenerateOptions, tool_choice), view);
                happy_chat(
                    session,
                    view.data,
                    view.len,
                    caller.get::<HappyGenerateOptions>(),
                    None,
                    ptr::null_mut(),
                    ptr::null_mut(),
                    &mut error,
                )
            }
            5 => happy_next(session, caller.get_mut::<HappyEvent>(), &mut error),
            6 => happy_session_clear(session, &mut error),
            7 => {
                let mut count = 0;
                let mut tokens = [0u32; 4];
                let first = tokens.as_mut_ptr();
                happy_tokenize(model, view.data, view.len, b.into(), first, 4, &mut count, &mut error)
            }
            8 => {
                let mut out = HappyString { data: ptr::null_mut(), len: 0 };
                let tokens = caller.get::<u32>();
                let status = happy_detokenize(model, tokens, b.into(), 1, &mut out, &mut error);
                assert_eq!(happy_string_free(&mut out), Status::Ok);
                status
            }
            9 => {
                let mut out = HappyString { data: ptr::null_mut(), len: 0 };
                let (data, len) = (view.data, view.len);
                let status = happy_apply_template(model, data, len, data, len, 1, &mut out, &mut error);
                assert_eq!(happy_string_free(&mut out), Status::Ok);
                status
            }
            10 => {
                let mut out = ptr::null_mut::<HappyEmbedder>();
                size_is(&mut caller, size_of::<HappyEmbedOptions>());
                let status =
                    happy_embedder_new(embedding, caller.get::<HappyEmbedOptions>(), &mut out, &mut error);
                assert_eq!(happy_embedder_free(out), Status::Ok);
                status
            }
            11 => {
                let mut out = ptr::null_mut::<HappyEmbeddings>();
                let (texts, count) = ([view, view], usize::from(b % 4));
                let texts = if count > 2 { ptr::null() } else { texts.as_ptr() };
                let cancel = if b & 4 == 0 { ptr::null() } else { any as *const HappyCancel };
                let status = happy_embed(embedder, texts, count, cancel, &mut out, &mut error);
                if status == Status::Ok {
                    let found = caller.get_mut::<HappyEmbedding>();
                    let mut error = ptr::null_mut();
                    check(happy_embeddings_get(out, usize::from(b & 1), found, &mut error), error);
                }
                assert_eq!(happy_embeddings_free(out), Status::Ok);
                status
            }
            12 => {
                let (documents, count) = ([view, view], usize::from(b % 3));
                let mut ranks = [HappyRank { index: 7, score: 0.0 }; 2];
                let (data, len) = (view.data, view.len);
                let ranker = if b & 4 == 0 { ranker } else { embedder };
                let first = documents.as_ptr();
                happy_rerank(ranker, data, len, first, count, ptr::null(), ranks.as_mut_ptr(), &mut error)
            }
            13 => {
                let adapters = if b & 4 == 0 { ptr::from_ref(&view) } else { ptr::null() };
                happy_session_set_adapters(session, adapters, usize::from(b & 1), &mut error)
            }
            14 => {
                let mut out = HappyString { data: ptr::null_mut(), len: 0 };
                let status = happy_session_left_out(session, &mut out, &mut error);
                assert_eq!(happy_string_free(&mut out), Status::Ok);
                status
            }
            15 => saved_call(session, view, [a, b], any, &mut error),
            16 => match b % 4 {
                0 => happy_session_append(session, &mut error),
                1 => happy_session_compact(session, &mut error),
                2 => happy_session_close_file(session, &mut error),
                _ => {
                    let mut out = HappyString { data: ptr::null_mut(), len: 0 };
                    let status = happy_session_file(session, &mut out, &mut error);
                    assert_eq!(happy_string_free(&mut out), Status::Ok);
                    status
                }
            },
            17 => happy_session_regenerate(session, &mut error),
            18 => happy_session_edit(session, u32::from(b % 4), &mut error),
            19 => {
                // A branch for each call would be thousands of conversations.
                let mut number = 0;
                let out = if b % 64 == 0 { &raw mut number } else { ptr::null_mut() };
                happy_session_branch(session, out, &mut error)
            }
            20 => happy_session_go_to_branch(session, u32::from(b % 8), &mut error),
            21 if b % 2 == 0 => happy_session_pin(session, &mut error),
            21 => happy_session_unpin(session, &mut error),
            22 => {
                size_is(&mut caller, size_of::<HappyReuse>());
                happy_session_reuse(session, caller.get_mut::<HappyReuse>(), &mut error)
            }
            24 => {
                let mut out = HappyString { data: ptr::null_mut(), len: 0 };
                let status = match b % 2 {
                    0 => happy_session_governor(session, &mut out, &mut error),
                    _ => happy_model_verify(model, view.data, view.len, ptr::null(), &mut out, &mut error),
                };
                assert_eq!(happy_string_free(&mut out), Status::Ok);
                status
            }
            25 => happy_report_device(f32::from(a) / 200.0, i32::from(b) - 2, i32::from(c) - 2, &mut error),
            23 if b % 8 == 0 => happy_session_trim(session, i32::from(a) - 1, &mut error),
            _ => happy::capi::load::happy_cancel_raise(any as *const HappyCancel, &mut error),
        }
    };
    check(status, error);
    assert_eq!(registry::live() + strings::live(), live);
}
