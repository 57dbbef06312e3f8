//! Tokens and templates.

use super::barrier::guard;
use super::pointers::{Out, OutSlice, give, give_bytes, slice, text};
use super::types::{HappyError, HappyModel, HappyString};
use crate::core::model::Model;
use crate::core::registry;
use crate::status::Status;
use std::ffi::c_char;

/// Turns a text into tokens. The first `capacity` of them are written to `tokens` (which may be NULL if `capacity` is
/// 0), and `count` receives how many there are. With `special` (not 0) the strings of control tokens become those
/// tokens, and BOS and EOS are added if the model wants them.
///
/// # Safety
/// As for every function: pointers are NULL or point to what the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_tokenize(
    model: *const HappyModel,
    text_data: *const c_char,
    text_len: usize,
    special: i32,
    tokens: *mut u32,
    capacity: usize,
    count: *mut usize,
    error: *mut *mut HappyError,
) -> Status {
    // SAFETY: the caller keeps the header's contract.
    unsafe {
        guard(error, || {
            let (tokens, count) = (OutSlice::new(tokens, capacity, "tokens")?, Out::new(count, "count")?);
            let model = registry::get::<Model>(model as usize)?;
            let found = model.tokenize(text(text_data, text_len, "text")?, special != 0)?;
            tokens.set(&found);
            count.set(found.len());
            Ok(())
        })
    }
}

/// Turns tokens into text; bytes that are not UTF-8 become U+FFFD. With `special` (not 0) control tokens become their
/// strings; otherwise they are left out. An id outside the vocabulary gives `HAPPY_TOKENIZER`.
///
/// # Safety
/// As for every function: pointers are NULL or point to what the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_detokenize(
    model: *const HappyModel,
    tokens: *const u32,
    count: usize,
    special: i32,
    out: *mut HappyString,
    error: *mut *mut HappyError,
) -> Status {
    // SAFETY: the caller keeps the header's contract.
    unsafe {
        guard(error, || {
            let (out, model) = (Out::new(out, "out")?, registry::get::<Model>(model as usize)?);
            give(out, model.detokenize(slice(tokens, count, "tokens")?, special != 0)?)
        })
    }
}

/// Returns the bytes of one token, which may be only a part of a character. An id outside the vocabulary gives
/// `HAPPY_TOKENIZER`.
///
/// # Safety
/// As for every function: pointers are NULL or point to what the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_token_piece(
    model: *const HappyModel,
    token: u32,
    out: *mut HappyString,
    error: *mut *mut HappyError,
) -> Status {
    // SAFETY: the caller keeps the header's contract.
    unsafe {
        guard(error, || {
            let (out, model) = (Out::new(out, "out")?, registry::get::<Model>(model as usize)?);
            give_bytes(out, model.piece(token)?)
        })
    }
}

/// Renders the prompt that the model's template makes of messages, a JSON array like
/// `[{"role": "user", "content": "Hi"}]`. `tools` is a JSON array or empty. With `answer` (not 0) the prompt ends with
/// the header of an answer. A model without a template, or a template that refuses the messages, gives
/// `HAPPY_TEMPLATE`.
///
/// # Safety
/// As for every function: pointers are NULL or point to what the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn happy_apply_template(
    model: *const HappyModel,
    messages: *const c_char,
    messages_len: usize,
    tools: *const c_char,
    tools_len: usize,
    answer: i32,
    out: *mut HappyString,
    error: *mut *mut HappyError,
) -> Status {
    // SAFETY: the caller keeps the header's contract.
    unsafe {
        guard(error, || {
            let (out, model) = (Out::new(out, "out")?, registry::get::<Model>(model as usize)?);
            let messages = text(messages, messages_len, "messages")?;
            let tools = text(tools, tools_len, "tools")?;
            give(out, model.apply_template(messages, tools, answer != 0)?)
        })
    }
}
