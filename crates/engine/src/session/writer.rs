//! Writes sessions: each turn writes only what is new in it.

use super::SessionError;
use super::header::Header;
use super::messages::SavedMessages;
use super::record::{End, Kind, Record, encode, preamble};
use super::spans::missing;
use super::storage::{SessionFile, SessionPath, Storage};
use crate::reserve::{copied, reserve};
use crate::{Context, Conversation, EngineError, Generation, PartialAnswer};
use happy_tokenizer::TokenId;
use std::borrow::BorrowMut;
use std::ops::Range;
use std::path::Path;

/// Bytes that are collected before they are written. A row of a large model is smaller than this.
const PIECE: usize = 1 << 20;
/// Tokens of an answer after which [`Session::follow`] saves it again.
const ANSWER_TOKENS: usize = 32;
/// Up to this many bytes a session is not worth compacting.
const SMALL: u64 = 4 << 20;

/// A sequence of a context and its conversation, in a file or other [`Storage`].
#[derive(Debug)]
pub struct Session<S: Storage = SessionFile> {
    pub(super) storage: S,
    pub(super) sequence: u32,
    pub(super) saved: Content,
    pub(super) end: End,
    /// Bytes that a new file would have.
    pub(super) live: u64,
    pub(super) sync: bool,
}

/// What the storage holds.
#[derive(Clone, Debug)]
pub(super) struct Content {
    pub(super) header: Header,
    pub(super) tokens: Vec<TokenId>,
    pub(super) invoked: Option<usize>,
    /// The last positions of each group that have no gap.
    pub(super) covered: Vec<Range<usize>>,
    pub(super) messages: SavedMessages,
    pub(super) app: Vec<u8>,
    pub(super) turns: u64,
    /// Whether the last turn was saved within its answer.
    pub(super) unfinished: bool,
}

/// What a turn adds besides the sequence.
#[derive(Clone, Copy, Default)]
pub struct Turn<'a> {
    /// The conversation whose messages are saved. Default: `None`, the saved messages stay as they are.
    pub conversation: Option<&'a Conversation>,
    /// Bytes of the app's own, such as its settings, which replace those of earlier turns. Default: `None`, the saved
    /// bytes stay as they are.
    pub app: Option<&'a [u8]>,
    /// How far the answer has come that is being generated. The turn is then saved within it, and
    /// [`Restored::answer`](super::Restored::answer) lets another process go on. What the file lacks of the keys and values is
    /// written; with recurrent layers only until the prompt is in the file, since each state is a whole new one: what follows is
    /// computed again when the answer is resumed. Default: `None`, the turn ends with a whole answer.
    pub answer: Option<&'a PartialAnswer>,
}

/// What a turn wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Appended {
    /// Bytes written.
    pub bytes: u64,
    /// Bytes of keys and values among them.
    pub kv_bytes: u64,
    /// Bytes of recurrent state among them.
    pub state_bytes: u64,
    /// Number of new tokens.
    pub tokens: usize,
}

impl Session<SessionFile> {
    /// Makes a new file for a sequence, which replaces one at the same path. It has no turn until the first
    /// [`append`](Self::append).
    ///
    /// # Errors
    /// If the file cannot be written, another process is making a session at the same path, or an adapter of the
    /// sequence has no identity ([`SessionError::UnknownAdapter`]).
    pub fn create(
        path: impl Into<SessionPath>,
        context: &Context,
        sequence: u32,
    ) -> Result<Self, EngineError> {
        let mut file = SessionFile::create(path.into())?;
        let start = Start::write(file.storage()?, Header::of(context, sequence)?)?;
        Ok(start.session(file.place()?, sequence))
    }

    /// Makes a file like [`create`](Self::create), with a first turn: either the file exists with that turn, or it does
    /// not exist.
    ///
    /// # Errors
    /// As [`create`](Self::create) and [`append`](Self::append). A file at the same path is then as it was.
    pub fn create_with(
        path: impl Into<SessionPath>,
        context: &Context,
        sequence: u32,
        turn: Turn<'_>,
    ) -> Result<Self, EngineError> {
        let before = (&SavedMessages::default(), &[][..]);
        Ok(Self::rewrite(path.into(), context, sequence, turn, before)?.0)
    }

    /// Writes the session to a new file without what later turns have replaced, and replaces the old file with it. The
    /// turn is saved as by [`append`](Self::append), even if the sequence has other adapters now.
    ///
    /// # Errors
    /// As [`create`](Self::create) and [`append`](Self::append). The old file is then as it was.
    pub fn compact(&mut self, context: &Context, turn: Turn<'_>) -> Result<Appended, EngineError> {
        let before = (&self.saved.messages, self.saved.app.as_slice());
        let (new, appended) =
            Self::rewrite(self.storage.place().clone(), context, self.sequence, turn, before)?;
        *self = Self { sync: self.sync, ..new };
        Ok(appended)
    }

    /// Makes a new file with one turn, which replaces one that may exist. `before` are messages and bytes of the app
    /// that stay unless the turn has others.
    pub(super) fn rewrite(
        place: SessionPath,
        context: &Context,
        sequence: u32,
        turn: Turn<'_>,
        before: (&SavedMessages, &[u8]),
    ) -> Result<(Self, Appended), EngineError> {
        let mut file = SessionFile::create(place)?;
        let storage = file.storage()?;
        let Start { content, end } = Start::write(storage, Header::of(context, sequence)?)?;
        let (content, end, appended) = content.write(storage, end, context, sequence, turn, before)?;
        storage.sync().map_err(SessionError::storage("sync"))?;
        let live = content.live(context);
        Ok((Session { storage: file.place()?, sequence, saved: content, end, live, sync: true }, appended))
    }

    /// Returns the path of the file.
    pub fn path(&self) -> &Path {
        self.storage.path()
    }

    /// Returns whether the file is sealed with a key.
    #[cfg(feature = "encryption")]
    pub fn is_sealed(&self) -> bool {
        self.storage.place().is_sealed()
    }
}

impl<S: Storage> Session<S> {
    /// Begins a session in storage of your own. What the storage holds is dropped.
    ///
    /// # Errors
    /// If the storage refuses, or an adapter of the sequence has no identity.
    pub fn create_in(mut storage: S, context: &Context, sequence: u32) -> Result<Self, EngineError> {
        storage.set_len(0).map_err(SessionError::storage("empty"))?;
        let start = Start::write(&mut storage, Header::of(context, sequence)?)?;
        Ok(start.session(storage, sequence))
    }

    /// Saves a turn: what is new in the sequence and in the conversation. If nothing is new, only the end of the turn
    /// is written.
    ///
    /// # Errors
    /// If the storage refuses (the turns before are still there, and the next call tries again), or the sequence has
    /// other adapters than the session: [`compact`](Session::compact) starts again with those.
    pub fn append(&mut self, context: &Context, turn: Turn<'_>) -> Result<Appended, EngineError> {
        self.saved.header.check(&Header::of(context, self.sequence)?)?;
        let found = self.storage.len().map_err(SessionError::storage("measure"))?;
        if found != self.end.offset {
            // Removes what an unfinished turn left.
            self.storage.set_len(self.end.offset).map_err(SessionError::storage("shorten"))?;
        }
        let (saved, storage) = (&self.saved, &mut self.storage);
        let before = (&saved.messages, saved.app.as_slice());
        let written = saved.write(storage, self.end, context, self.sequence, turn, before);
        let synced = written.and_then(|written| {
            if self.sync {
                self.storage.sync().map_err(SessionError::storage("sync"))?;
            }
            Ok(written)
        });
        match synced {
            Ok((content, end, appended)) => {
                self.live = content.live(context);
                (self.saved, self.end) = (content, end);
                Ok(appended)
            }
            Err(error) => {
                // If that fails too, the next turn does it, or the next one that opens the session.
                let _ = self.storage.set_len(self.end.offset);
                Err(error)
            }
        }
    }

    /// Saves an answer while it is generated: call it after each event. It [appends](Self::append) a turn within the answer when the
    /// prompt was computed, and after every 32 tokens, as long as nothing was [dropped](Generation::shifted). On the models of a phone these take one to ten seconds, which is what a
    /// process that is killed has to compute again; a turn takes some milliseconds.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn follow<C: BorrowMut<Context>>(
        &mut self,
        generation: &Generation<C>,
        conversation: Option<&Conversation>,
    ) -> Result<(), EngineError> {
        let is_due = generation.new_tokens().is_some_and(|n| n % ANSWER_TOKENS == 1);
        if is_due && generation.shifted() == 0 {
            let answer = generation.partial_answer()?;
            let turn = Turn { conversation, answer: Some(&answer), ..Turn::default() };
            self.append(generation.context(), turn)?;
        }
        Ok(())
    }

    /// Sets whether turns are synced to the device. Default: true, and a turn survives a loss of power once it is
    /// appended. If false, a turn survives the end of the process. The session stays readable in either case.
    pub fn set_sync(&mut self, sync: bool) {
        self.sync = sync;
    }

    /// Returns the sequence in the context.
    pub fn sequence(&self) -> u32 {
        self.sequence
    }

    /// Returns the number of turns that were saved, the last of them maybe within its answer.
    pub fn turns(&self) -> u64 {
        self.saved.turns
    }

    /// Returns the tokens that were saved.
    pub fn tokens(&self) -> &[TokenId] {
        &self.saved.tokens
    }

    /// Returns the messages that were saved.
    pub fn messages(&self) -> &SavedMessages {
        &self.saved.messages
    }

    /// Returns the number of bytes of the storage.
    pub fn bytes(&self) -> u64 {
        self.end.offset
    }

    /// Returns whether the storage has more than 4 MiB and a new file would take less than half of that: see
    /// [`Session::compact`].
    pub fn is_wasteful(&self) -> bool {
        self.end.offset > SMALL && self.live < self.end.offset / 2
    }

    /// Returns the storage.
    pub fn into_storage(self) -> S {
        self.storage
    }
}

/// A storage with a header and no turn.
struct Start {
    content: Content,
    end: End,
}

impl Start {
    fn write(storage: &mut impl Storage, header: Header) -> Result<Self, EngineError> {
        let (start, mut end) = preamble();
        let (payload, mut bytes) = (header.encode()?, Vec::new());
        reserve(&mut bytes, start.len() + Record::whole(payload.len()), "the session's header")?;
        bytes.extend_from_slice(&start);
        end = encode(Kind::Header, [0; 3], &payload, end, &mut bytes);
        storage.write_at(0, &bytes).map_err(SessionError::storage("write"))?;
        storage.sync().map_err(SessionError::storage("sync"))?;
        let mut covered = Vec::new();
        reserve(&mut covered, header.row_bytes.len(), "groups of the session")?;
        covered.resize(header.row_bytes.len(), 0..0);
        let content = Content {
            header,
            tokens: Vec::new(),
            invoked: None,
            covered,
            messages: SavedMessages::default(),
            app: Vec::new(),
            turns: 0,
            unfinished: false,
        };
        Ok(Self { content, end })
    }

    fn session<S: Storage>(self, storage: S, sequence: u32) -> Session<S> {
        let Self { content, end } = self;
        Session { storage, sequence, saved: content, end, live: end.offset, sync: true }
    }
}

impl Content {
    /// Returns the bytes of a file that holds this and nothing else. The headers of records are not counted, since they
    /// are small.
    pub(super) fn live(&self, context: &Context) -> u64 {
        let (kv, len) = (context.kv(), self.tokens.len());
        let rows = (0..kv.n_groups()).map(|group| kv.needed_rows(group, len).len() * kv.row_bytes(group));
        (rows.sum::<usize>() + kv.state_bytes() + size_of::<TokenId>() * len + self.app.len()) as u64
    }

    /// Returns how many tokens of the storage are still valid.
    fn keep(&self, tokens: &[TokenId], invoked: Option<usize>) -> usize {
        let common = self.tokens.iter().zip(tokens).take_while(|(a, b)| a == b).count();
        if self.invoked == invoked {
            return common;
        }
        // If the adapter begins elsewhere, the same tokens have different keys and values.
        let first = self.invoked.unwrap_or(usize::MAX).min(invoked.unwrap_or(usize::MAX));
        common.min(first)
    }

    /// Writes a turn, and returns what the storage holds then. `before` are messages and bytes of the app that stay
    /// unless the turn has others.
    fn write(
        &self,
        storage: &mut impl Storage,
        end: End,
        context: &Context,
        sequence: u32,
        turn: Turn<'_>,
        before: (&SavedMessages, &[u8]),
    ) -> Result<(Self, End, Appended), EngineError> {
        // Nothing else may be computed from what was shifted: the next turn begins anew with the messages.
        let tokens = if context.is_shifted(sequence) { &[][..] } else { context.tokens(sequence) };
        let invoked = context.invoked(sequence).filter(|_| !tokens.is_empty());
        let mut out = Out { storage, start: end.offset, end, buffer: Vec::new() };
        let mut covered = copied_ranges(&self.covered)?;
        let mut appended = Appended::default();
        let keep = self.keep(tokens, invoked);
        // The sequence goes on from what the file has, which is enough for now.
        let later = turn.answer.is_some_and(|answer| {
            context.kv().state_bytes() > 0
                && (keep, self.invoked) == (self.tokens.len(), invoked)
                && keep >= answer.prompt_tokens()
        });
        let tokens = if later { self.tokens.as_slice() } else { tokens };
        if (keep, keep, self.invoked) != (self.tokens.len(), tokens.len(), invoked) {
            appended.tokens = tokens.len() - keep;
            let more = tokens.get(keep..).unwrap_or(&[]);
            let mut payload = Vec::new();
            reserve(&mut payload, size_of_val(more), "tokens of the turn")?;
            payload.extend(more.iter().flat_map(|id| id.to_le_bytes()));
            let place = invoked.map_or(0, |at| at as u64 + 1);
            out.record(Kind::Tokens, [keep as u64, place, 0], &payload)?;
            for (group, covered) in covered.iter_mut().enumerate() {
                let needed = context.kv().needed_rows(group, tokens.len());
                let (rows, after) = missing(covered.clone(), keep, needed);
                appended.kv_bytes += out.rows(context, sequence, group, rows)?;
                *covered = after;
            }
            if !tokens.is_empty() {
                appended.state_bytes = out.state(context, sequence)?;
            }
        }
        let messages = match turn.conversation {
            Some(conversation) => conversation.saved()?,
            None => before.0.clone(),
        };
        if messages != self.messages {
            let kept = messages.common(&self.messages);
            out.record(Kind::Messages, [kept as u64, 0, 0], &messages.payload(kept)?)?;
        }
        let app = copied(turn.app.unwrap_or(before.1), "bytes of the app")?;
        if app != self.app {
            out.record(Kind::App, [0; 3], &app)?;
        }
        if let Some(answer) = turn.answer {
            out.record(Kind::Answer, answer.numbers(), &answer.encode()?)?;
        }
        // A turn that was saved within its answer is saved again under its number.
        let turns = self.turns + u64::from(!self.unfinished);
        out.record(Kind::Commit, [turns, tokens.len() as u64, 0], &[])?;
        out.flush()?;
        appended.bytes = out.end.offset - end.offset;
        let tokens = copied(tokens, "tokens of the session")?;
        let header = self.header.clone();
        let unfinished = turn.answer.is_some();
        Ok((Self { header, tokens, invoked, covered, messages, app, turns, unfinished }, out.end, appended))
    }
}

fn copied_ranges(ranges: &[Range<usize>]) -> Result<Vec<Range<usize>>, EngineError> {
    let mut copy = Vec::new();
    reserve(&mut copy, ranges.len(), "groups of the session")?;
    copy.extend_from_slice(ranges);
    Ok(copy)
}

/// Records on their way to the storage.
struct Out<'a, S: Storage> {
    storage: &'a mut S,
    /// The offset at which the buffer's bytes are written.
    start: u64,
    end: End,
    buffer: Vec<u8>,
}

impl<S: Storage> Out<'_, S> {
    fn record(&mut self, kind: Kind, numbers: [u64; 3], payload: &[u8]) -> Result<(), EngineError> {
        reserve(&mut self.buffer, Record::whole(payload.len()), "a part of the session")?;
        self.end = encode(kind, numbers, payload, self.end, &mut self.buffer);
        if self.buffer.len() >= PIECE { self.flush() } else { Ok(()) }
    }

    /// Writes rows in records of at most a piece, or of one row if it is larger. Returns the number of their bytes.
    fn rows(
        &mut self,
        context: &Context,
        sequence: u32,
        group: usize,
        rows: Range<usize>,
    ) -> Result<u64, EngineError> {
        let row_bytes = context.kv().row_bytes(group).max(1);
        let n = (PIECE / row_bytes).max(1);
        let mut payload = Vec::new();
        for first in rows.clone().step_by(n) {
            let end = rows.end.min(first + n);
            payload.clear();
            context.kv().export_rows(sequence, group, first..end, &mut payload)?;
            self.record(Kind::Rows, [group as u64, first as u64, (end - first) as u64], &payload)?;
        }
        Ok((rows.len() * row_bytes) as u64)
    }

    /// Writes the state in records of at most a piece. Returns the number of its bytes.
    fn state(&mut self, context: &Context, sequence: u32) -> Result<u64, EngineError> {
        let (bytes, n) = (context.kv().state_bytes(), PIECE / size_of::<f32>());
        let values = bytes / size_of::<f32>();
        let mut payload = Vec::new();
        for first in (0..values).step_by(n) {
            payload.clear();
            let values = first..values.min(first + n);
            context.kv().export_state(sequence, context.tokens(sequence).len(), values, &mut payload)?;
            self.record(Kind::State, [first as u64, 0, 0], &payload)?;
        }
        Ok(bytes as u64)
    }

    fn flush(&mut self) -> Result<(), EngineError> {
        self.storage.write_at(self.start, &self.buffer).map_err(SessionError::storage("write"))?;
        self.start += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}
