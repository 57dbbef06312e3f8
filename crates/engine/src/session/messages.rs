//! The messages of a conversation in a session, with the exact tokens of the answers that were generated.
//!
//! ```text
//! payload of a record    for each message: bytes u64, text
//! text                   {"message": .., "ids": [..], "ends": [..], "text": ".."}, the last three for answers that were generated
//! ```
//! A tokenizer may split an answer differently from how the model generated it. Without the original tokens, the rest
//! of a conversation would be computed from other ids.

use super::SessionError;
use super::scan::SavedTurn;
use super::storage::Storage;
use crate::chat::json;
use crate::reserve::{self, copied_json, copied_text, reserve, text_of};
use crate::transcript::Said;
use crate::{Conversation, EngineError};
use serde_json::Value as Json;
use std::fmt::{self, Display};

const WHAT: &str = "messages of the session";

/// The messages of a session. [`Conversation::resume`] continues with them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SavedMessages {
    texts: Vec<String>,
}

/// A message as it is saved.
struct Text<'a> {
    message: &'a Json,
    said: Option<&'a Said>,
}

impl Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(said) = self.said else { return write!(f, "{{\"message\":{}}}", self.message) };
        let list = |f: &mut fmt::Formatter<'_>, name: &str, numbers: &mut dyn Iterator<Item = u64>| {
            write!(f, ",\"{name}\":[")?;
            for (i, number) in numbers.enumerate() {
                write!(f, "{}{number}", if i == 0 { "" } else { "," })?;
            }
            f.write_str("]")
        };
        write!(f, "{{\"message\":{}", self.message)?;
        list(f, "ids", &mut said.ids().iter().map(|id| u64::from(*id)))?;
        list(f, "ends", &mut said.ends().iter().map(|end| *end as u64))?;
        let text = copied_text(said.text(), WHAT).map_err(|_| fmt::Error)?;
        write!(f, ",\"text\":{}}}", Json::String(text))
    }
}

impl SavedMessages {
    /// Returns the number of messages.
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// Returns whether there are no messages.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// Returns the messages in the form of [`TemplateInput::messages`](crate::chat::TemplateInput::messages).
    ///
    /// # Errors
    /// If a text is not a message, or memory cannot be reserved.
    pub fn to_json(&self) -> Result<Vec<Json>, EngineError> {
        Ok(self.parsed()?.into_iter().map(|(message, _)| message).collect())
    }

    /// Returns the messages, with the tokens of those that were generated.
    pub(crate) fn parsed(&self) -> Result<Vec<(Json, Option<Said>)>, EngineError> {
        let mut all = Vec::new();
        reserve(&mut all, self.texts.len(), WHAT)?;
        for text in &self.texts {
            let parsed = json::parse(text);
            let parsed = match parsed {
                Err(error) if error.is_data() => return Err(reserve::refused(text.len(), WHAT)),
                Err(_) => None,
                Ok(value) => Some(value),
            };
            let broken = || EngineError::from(SessionError::NotASession { problem: "a message is not one" });
            let Some(Json::Object(mut parts)) = parsed else { return Err(broken()) };
            let message = parts.remove("message").filter(Json::is_object).ok_or_else(broken)?;
            let said = match (parts.remove("ids"), parts.remove("ends"), parts.remove("text")) {
                (None, None, None) => None,
                (Some(ids), Some(ends), Some(Json::String(text))) => {
                    let ids = numbers(&ids)?.ok_or_else(broken)?;
                    let ends = numbers(&ends)?.ok_or_else(broken)?;
                    Some(Said::new(ids, ends, text).ok_or_else(broken)?)
                }
                _ => return Err(broken()),
            };
            all.push((message, said));
        }
        Ok(all)
    }

    /// Returns how many messages at the beginning are equal to those of `other`.
    pub(super) fn common(&self, other: &Self) -> usize {
        self.texts.iter().zip(&other.texts).take_while(|(a, b)| a == b).count()
    }

    /// Returns the messages from `first` on as the payload of a record.
    pub(super) fn payload(&self, first: usize) -> Result<Vec<u8>, EngineError> {
        let texts = self.texts.get(first..).unwrap_or(&[]);
        let mut bytes = Vec::new();
        reserve(&mut bytes, texts.iter().map(|text| text.len() + 8).sum(), WHAT)?;
        for text in texts {
            bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
            bytes.extend_from_slice(text.as_bytes());
        }
        Ok(bytes)
    }

    /// Reads the messages of all turns.
    pub(super) fn read(storage: &mut impl Storage, turns: &[SavedTurn]) -> Result<Self, EngineError> {
        let mut texts: Vec<String> = Vec::new();
        for SavedTurn { kept, bytes } in turns {
            let broken = |problem| SessionError::Record { offset: bytes.offset, problem };
            if *kept > texts.len() {
                return Err(broken("its messages do not follow the earlier ones").into());
            }
            texts.truncate(*kept);
            let payload = read_bytes(storage, bytes.offset, bytes.len)?;
            let mut rest = payload.as_slice();
            while let Some((len, after)) = rest.split_first_chunk::<8>() {
                let len = usize::try_from(u64::from_le_bytes(*len)).ok();
                let Some((text, after)) = len.and_then(|len| after.split_at_checked(len)) else { break };
                let Ok(text) = std::str::from_utf8(text) else { break };
                reserve(&mut texts, 1, WHAT)?;
                texts.push(copied_text(text, WHAT)?);
                rest = after;
            }
            if !rest.is_empty() {
                return Err(broken("its messages are not text").into());
            }
        }
        let all = Self { texts };
        // What is not a message is refused before anything is used.
        all.parsed()?;
        Ok(all)
    }
}

/// Reads bytes of a record that was checked.
pub(super) fn read_bytes(storage: &mut impl Storage, offset: u64, len: u64) -> Result<Vec<u8>, EngineError> {
    let (len, mut bytes) = (usize::try_from(len).unwrap_or(usize::MAX), Vec::new());
    reserve(&mut bytes, len, "a part of the session")?;
    bytes.resize(len, 0);
    storage.read_at(offset, &mut bytes).map_err(SessionError::storage("read"))?;
    Ok(bytes)
}

/// Reads a list of numbers; `None` if it is not a list or a number does not fit. The error is memory that cannot be
/// reserved.
fn numbers<T: TryFrom<u64>>(list: &Json) -> Result<Option<Vec<T>>, EngineError> {
    let Json::Array(list) = list else { return Ok(None) };
    let mut numbers = Vec::new();
    reserve(&mut numbers, list.len(), WHAT)?;
    for number in list {
        match number.as_u64().and_then(|number| T::try_from(number).ok()) {
            Some(number) => numbers.push(number),
            None => return Ok(None),
        }
    }
    Ok(Some(numbers))
}

impl Conversation {
    /// Returns the messages, with the tokens of the answers that were generated. [`resume`](Self::resume) goes back to
    /// them.
    ///
    /// # Errors
    /// If memory cannot be reserved.
    pub fn saved(&self) -> Result<SavedMessages, EngineError> {
        let mut texts = Vec::new();
        for message in &self.input().messages {
            let said = self.said(message);
            reserve(&mut texts, 1, WHAT)?;
            texts.push(text_of(&Text { message, said: said.as_deref() }, WHAT)?);
        }
        Ok(SavedMessages { texts })
    }

    /// Continues with the messages of a session. They replace this conversation's, and the answers among them have the
    /// tokens that were generated. Tools, variables and format stay as they are.
    ///
    /// # Errors
    /// If messages are not JSON objects, or memory cannot be reserved. Nothing is changed then.
    pub fn resume(&mut self, saved: &SavedMessages) -> Result<(), EngineError> {
        let (mut messages, mut said) = (Vec::new(), Vec::new());
        for (message, tokens) in saved.parsed()? {
            if let Some(tokens) = tokens {
                reserve(&mut said, 1, WHAT)?;
                said.push((copied_json(json::copy(&message))?, tokens));
            }
            reserve(&mut messages, 1, WHAT)?;
            messages.push(message);
        }
        self.replace_messages(messages, said)
    }
}
