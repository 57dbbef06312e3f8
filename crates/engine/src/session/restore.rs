//! Restores sessions: everything is checked before the sequence is replaced.

use super::SessionError;
use super::header::Header;
use super::messages::{SavedMessages, read_bytes};
use super::scan::{Bytes, Log, scan};
use super::storage::{SessionFile, SessionPath, Storage};
use super::writer::{Content, Session, Turn};
use crate::reserve::reserve;
use crate::{Cancel, Context, EngineError, PartialAnswer};
use happy_tokenizer::TokenId;

/// Bytes that are read at once.
const PIECE: usize = 256 << 10;

/// What was restored from a session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Restored {
    /// Number of tokens of the sequence, which need not be computed.
    pub tokens: usize,
    /// Number of complete turns, the last of them maybe saved within its [answer](Self::answer).
    pub turns: u64,
    /// Messages of the conversation, for [`Conversation::resume`](crate::Conversation::resume).
    pub messages: SavedMessages,
    /// Bytes of the app's own; empty if it saved nothing.
    pub app: Vec<u8>,
    /// The answer within which the last turn was saved, for
    /// [`Conversation::resume_answer`](crate::Conversation::resume_answer); `None` if the turn ends with a whole answer.
    pub answer: Option<PartialAnswer>,
    /// Number of bytes after the last complete turn, which are lost: an unfinished turn, or damage.
    pub lost_bytes: u64,
}

/// A session that was read without a context. It shows what the session holds, and checks whether a context can
/// continue it.
pub struct Saved {
    log: Log,
    restored: Restored,
}

impl Saved {
    /// Reads and checks a session's file.
    ///
    /// # Errors
    /// If it cannot be read, is not a session, has another version of the format, or is sealed and the key is missing
    /// or wrong.
    pub fn read(path: impl Into<SessionPath>) -> Result<Self, EngineError> {
        Self::read_from(&mut SessionFile::read_only(path.into())?)
    }

    /// Reads like [`read`](Self::read), from storage of your own.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_from(storage: &mut impl Storage) -> Result<Self, EngineError> {
        let log = scan(storage)?;
        let messages = SavedMessages::read(storage, &log.messages)?;
        let app = log.app.map(|Bytes { offset, len }| read_bytes(storage, offset, len)).transpose()?;
        let answer = match log.answer {
            Some((numbers, Bytes { offset, len })) => {
                PartialAnswer::decode(numbers, &read_bytes(storage, offset, len)?)?
            }
            None => None,
        };
        let restored = Restored {
            tokens: log.tokens.len(),
            turns: log.turns,
            messages,
            app: app.unwrap_or_default(),
            answer,
            lost_bytes: log.lost,
        };
        Ok(Self { log, restored })
    }

    /// Returns the tokens of the sequence.
    pub fn tokens(&self) -> &[TokenId] {
        &self.log.tokens
    }

    /// Returns what the session holds besides the sequence.
    pub fn restored(&self) -> &Restored {
        &self.restored
    }

    /// Checks that a sequence of the context can continue the session.
    ///
    /// # Errors
    /// [`SessionError::Other`] with the first difference, [`SessionError::TooLong`], or [`SessionError::NotASession`]
    /// if it has tokens that the model does not have.
    pub fn check(&self, context: &Context, sequence: u32) -> Result<(), EngineError> {
        self.log.header.check(&Header::of(context, sequence)?)?;
        self.check_tokens(context)
    }

    /// Checks that the tokens are in the model's vocabulary, and not too many.
    fn check_tokens(&self, context: &Context) -> Result<(), EngineError> {
        let (tokens, capacity) = (self.tokens(), context.capacity());
        let n_vocab = context.engine().model().n_vocab();
        let answer = self.restored.answer.iter().flat_map(PartialAnswer::tokens);
        if tokens.iter().chain(answer).any(|id| *id as usize >= n_vocab) {
            return Err(
                SessionError::NotASession { problem: "it has tokens that the model does not have" }.into()
            );
        }
        if tokens.len() > capacity {
            return Err(SessionError::TooLong { tokens: tokens.len(), context: capacity }.into());
        }
        Ok(())
    }

    /// Puts the sequence into the context.
    fn place(
        &self,
        storage: &mut impl Storage,
        context: &mut Context,
        sequence: u32,
    ) -> Result<(), EngineError> {
        self.check(context, sequence)?;
        let (log, len) = (&self.log, self.tokens().len());
        for (group, spans) in log.rows.iter().enumerate() {
            if spans.of(context.kv().needed_rows(group, len)).is_none() {
                let problem = "it lacks rows that the next token needs";
                return Err(SessionError::NotASession { problem }.into());
            }
        }
        let mut ranges = Vec::new();
        reserve(&mut ranges, log.rows.len(), "groups of the session")?;
        ranges.extend((0..log.rows.len()).map(|group| context.kv().needed_rows(group, len)));
        let mut piece = Vec::new();
        context.restore(sequence, &log.tokens, log.invoked, |restore| {
            for (group, (spans, needed)) in log.rows.iter().zip(ranges).enumerate() {
                let row_bytes = log.header.row_bytes.get(group).copied().unwrap_or(0).max(1);
                for span in spans.of(needed.clone()).into_iter().flatten() {
                    let first = span.first.max(needed.start);
                    let n = (span.first + span.n).min(needed.end) - first;
                    let bytes = Bytes {
                        offset: span.offset + (first - span.first) as u64 * row_bytes,
                        len: n as u64 * row_bytes,
                    };
                    let whole = (PIECE as u64 / row_bytes).max(1) * row_bytes;
                    in_pieces(storage, bytes, whole, &mut piece, |rows| Ok(restore.rows(group, rows)?))?;
                }
            }
            for part in &log.state {
                in_pieces(storage, *part, PIECE as u64, &mut piece, |state| Ok(restore.state(state)?))?;
            }
            Ok(())
        })
    }
}

/// Reads bytes in pieces of `whole` bytes; the last may be shorter.
fn in_pieces(
    storage: &mut impl Storage,
    bytes: Bytes,
    whole: u64,
    piece: &mut Vec<u8>,
    mut each: impl FnMut(&[u8]) -> Result<(), EngineError>,
) -> Result<(), EngineError> {
    let (mut offset, mut left) = (bytes.offset, bytes.len);
    while left > 0 {
        let n = usize::try_from(left.min(whole)).unwrap_or(PIECE);
        piece.clear();
        reserve(piece, n, "a part of the session")?;
        piece.resize(n, 0);
        storage.read_at(offset, piece).map_err(SessionError::storage("read"))?;
        each(piece)?;
        (offset, left) = (offset + n as u64, left - n as u64);
    }
    Ok(())
}

impl Session<SessionFile> {
    /// Opens a session's file, puts its sequence into the context and continues it. The context then computes the same
    /// bits as the one that saved it.
    ///
    /// # Errors
    /// If the file cannot be read, another process has it open, it is not a session, or it was computed with something
    /// else, which [`SessionError::Other`] names. The sequence is then as it was.
    pub fn open(
        path: impl Into<SessionPath>,
        context: &mut Context,
        sequence: u32,
    ) -> Result<(Self, Restored), EngineError> {
        Self::open_in(SessionFile::open(path.into())?, context, sequence)
    }

    /// Computes the tokens of a session again, with the model and the adapters of the sequence, and replaces the file
    /// with the result: for a session that [`open`](Self::open) refuses because the model or the app has changed.
    /// Messages and the app's bytes stay.
    ///
    /// # Errors
    /// If the file cannot be read, its token ids mean something else here, they do not fit in the context, or `cancel`
    /// is raised. The file is then as it was; the sequence is empty if the computation had begun.
    pub fn replay(
        path: impl Into<SessionPath>,
        context: &mut Context,
        sequence: u32,
        cancel: &Cancel,
    ) -> Result<(Self, Restored), EngineError> {
        let place = path.into();
        let saved = Saved::read(place.clone())?;
        let here = Header::of(context, sequence)?;
        if saved.log.header.vocabulary != here.vocabulary {
            saved.log.header.check(&here)?;
        }
        saved.check_tokens(context)?;
        context.truncate(sequence, 0)?;
        if !saved.tokens().is_empty() {
            context.prefill_until(sequence, saved.tokens(), cancel)?;
        }
        let Saved { restored, .. } = saved;
        let before = (&restored.messages, restored.app.as_slice());
        let turn = Turn { answer: restored.answer.as_ref(), ..Turn::default() };
        let (session, _) = Self::rewrite(place, context, sequence, turn, before)?;
        Ok((session, restored))
    }
}

impl<S: Storage> Session<S> {
    /// Opens a session like [`open`](Session::open), from storage of your own.
    ///
    /// # Errors
    /// As [`open`](Session::open).
    pub fn open_in(
        mut storage: S,
        context: &mut Context,
        sequence: u32,
    ) -> Result<(Self, Restored), EngineError> {
        let saved = Saved::read_from(&mut storage)?;
        saved.place(&mut storage, context, sequence)?;
        let Saved { log, restored } = saved;
        let mut covered = Vec::new();
        reserve(&mut covered, log.rows.len(), "groups of the session")?;
        covered.extend(log.rows.iter().map(|rows| rows.tail()));
        let content = Content {
            header: log.header,
            tokens: log.tokens,
            invoked: log.invoked,
            covered,
            messages: restored.messages.clone(),
            app: restored.app.clone(),
            turns: log.turns,
            unfinished: log.answer.is_some(),
        };
        let live = content.live(context);
        Ok((Self { storage, sequence, saved: content, end: log.end, live, sync: true }, restored))
    }

    /// Puts the saved sequence back into a context that lost it by [`Context::trim`]. What the context holds in its
    /// place is dropped.
    ///
    /// # Errors
    /// As [`open`](Session::open). The session stays usable in either case.
    pub fn reload(&mut self, context: &mut Context) -> Result<Restored, EngineError> {
        let saved = Saved::read_from(&mut self.storage)?;
        saved.place(&mut self.storage, context, self.sequence)?;
        Ok(saved.restored)
    }
}
