//! Sessions: a sequence of a context, with its conversation, in a file that grows turn by turn and survives the process.
//!
//! ```no_run
//! use happy_engine::session::{Session, Turn};
//! use happy_engine::{Conversation, Engine};
//! # fn answer(_: &mut Conversation, _: &mut happy_engine::Context) {}
//! let engine = Engine::open("model.gguf", &Default::default())?;
//! let (mut context, mut conversation) = (engine.context()?, Conversation::new(&engine)?);
//! let mut session = match Session::open("chat.happy", &mut context, 0) {
//!     Ok((session, restored)) => {
//!         conversation.resume(&restored.messages)?;
//!         session
//!     }
//!     Err(_) => Session::create("chat.happy", &context, 0)?,
//! };
//! answer(&mut conversation, &mut context); // computes only what is new
//! session.append(&context, Turn { conversation: Some(&conversation), ..Default::default() })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! **What is saved.** [`Session::append`] writes what changed since the last turn: new tokens, their keys and values, the state of
//! recurrent layers, new messages. A context that restores them goes on with the same bits as one that computed them.
//! Samplers and grammars have no state between two turns: a generation begins with its seed and its first rule.
//!
//! **An answer that is cut off.** An app may be killed while an answer is generated. [`Session::follow`] saves how far the answer has
//! come, every 32 tokens; with [`Turn::answer`] the app does it when it likes, as when it goes to the background. A restored session
//! then has [`Restored::answer`], and [`Conversation::resume_answer`](crate::Conversation::resume_answer) goes on with the same text, as if
//! nothing had happened: random numbers, penalties, mirostat, grammar and reply parser are where they were.
//!
//! ```no_run
//! # use happy_engine::session::{Session, Turn};
//! # use happy_engine::{Context, Conversation, EngineError, GenerateOptions, PartialAnswer};
//! # fn go_on(conversation: &Conversation, context: &mut Context, session: &mut Session, restored: Option<PartialAnswer>) -> Result<(), EngineError> {
//! # let options = GenerateOptions::default();
//! let mut generation = match &restored {
//!     Some(answer) => conversation.resume_answer(context, 0, options, answer)?,
//!     None => conversation.answer(context, 0, options)?,
//! };
//! while let Some(event) = generation.next() {
//!     println!("{:?}", event?);
//!     session.follow(&generation, Some(conversation))?;
//! }
//! # Ok(())
//! # }
//! ```
//!
//! **When it counts.** A turn counts once its last record is complete, so a process may be killed at any time: the
//! session then has the turns before. After each turn the file is synced, so that it also survives a loss of power
//! ([`Session::set_sync`]).
//!
//! **What is refused.** Every byte is checked before a sequence is touched. A session of another model, vocabulary, adapter, kind of
//! KV cache or version of the numerics is refused with the reason, and [`Session::replay`] computes its tokens again.
//!
//! **What others see.** With the feature `encryption`, a file can be sealed with a key of 32 bytes:
//! `SessionPath::sealed`, or `Sealed` around storage of your own. Without the key it reveals only its size.
//!
//! The format is in `docs/session-format.md`.

mod crc;
mod error;
mod header;
pub(crate) mod identity;
mod messages;
mod record;
mod restore;
mod scan;
#[cfg(feature = "encryption")]
mod seal;
mod spans;
mod storage;
mod writer;

pub use error::{Mismatch, SessionError};
pub use identity::Identity;
pub use messages::SavedMessages;
pub use restore::{Restored, Saved};
#[cfg(feature = "encryption")]
pub use seal::{Sealed, SessionKey};
pub use storage::{MemoryStorage, SessionFile, SessionPath, Storage};
pub use writer::{Appended, Session, Turn};
