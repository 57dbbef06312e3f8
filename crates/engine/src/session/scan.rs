//! Reads a session: every byte is checked before any of it is used.
//!
//! ```text
//! preamble, header record
//! turn:  tokens, rows, state, messages, app, each if it changed; answer, if one is unfinished; commit
//! ```
//! A turn counts once its commit record is complete. What follows the last complete turn, because the process was
//! killed or the disk was full, is lost, and the next turn overwrites it.

use super::SessionError;
use super::header::Header;
use super::record::{ALIGN, End, Kind, Preamble, Record, VERSION, read_preamble};
use super::spans::{Span, Spans};
use super::storage::Storage;
use crate::reserve::reserve;
use crate::{EngineError, PartialAnswer};
use happy_model::KvType;
use happy_tokenizer::TokenId;
use std::io;

/// Bytes in the storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bytes {
    pub(crate) offset: u64,
    pub(crate) len: u64,
}

/// Messages of a turn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SavedTurn {
    /// Messages of earlier turns that stay.
    pub(crate) kept: usize,
    /// The messages after them.
    pub(crate) bytes: Bytes,
}

/// An unfinished answer: the numbers of its record, and its bytes.
pub(crate) type SavedAnswer = ([u64; 3], Bytes);

/// What a storage holds, up to its last complete turn.
pub(crate) struct Log {
    pub(crate) header: Header,
    pub(crate) tokens: Vec<TokenId>,
    /// The position of the first invocation token of an activated adapter.
    pub(crate) invoked: Option<usize>,
    /// The rows of each group.
    pub(crate) rows: Vec<Spans>,
    /// The state after the last token, in parts.
    pub(crate) state: Vec<Bytes>,
    pub(crate) messages: Vec<SavedTurn>,
    pub(crate) app: Option<Bytes>,
    /// The answer within which the last turn ends: its numbers and bytes.
    pub(crate) answer: Option<SavedAnswer>,
    pub(crate) turns: u64,
    /// Where the last complete turn ends.
    pub(crate) end: End,
    /// Bytes after it.
    pub(crate) lost: u64,
}

/// Maximum number of bytes of a header, which has a few numbers for each group and adapter.
const MAX_HEADER: u64 = 1 << 20;

/// What was read of a turn so far.
#[derive(Default)]
struct Turn {
    /// The number of tokens that stay, the tokens after them, and the position of the invocation.
    tokens: Option<(usize, Vec<TokenId>, Option<usize>)>,
    rows: Vec<(usize, Span)>,
    state: Vec<Bytes>,
    state_bytes: u64,
    messages: Option<SavedTurn>,
    app: Option<Bytes>,
    answer: Option<SavedAnswer>,
}

/// Reads a whole storage.
pub(crate) fn scan(storage: &mut impl Storage) -> Result<Log, EngineError> {
    let read = || SessionError::storage("read");
    let no_session = |problem| EngineError::from(SessionError::NotASession { problem });
    let file_len = storage.len().map_err(read())?;
    if file_len < ALIGN as u64 {
        return Err(no_session("it is too short"));
    }
    let mut preamble = [0; ALIGN];
    match storage.read_at(0, &mut preamble) {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            return Err(no_session("its beginning is damaged"));
        }
        done => done.map_err(read())?,
    }
    let start = match read_preamble(&preamble) {
        Preamble::Known(end) => end,
        Preamble::Sealed(_) => return Err(SessionError::Sealed.into()),
        Preamble::Version(found) => return Err(SessionError::Version { found, expected: VERSION }.into()),
        Preamble::Other => return Err(no_session("it does not begin like one")),
    };
    let (mut piece, mut payload) = (Vec::new(), Vec::new());
    let each = &mut |record: &Record, bytes: &[u8]| {
        if record.len <= MAX_HEADER && payload.try_reserve(bytes.len()).is_ok() {
            payload.extend_from_slice(bytes);
        }
    };
    let header = Record::read(storage, start, file_len, &mut piece, each).map_err(read())?;
    let Some((record, end)) = header.filter(|(record, _)| record.kind == Some(Kind::Header)) else {
        return Err(no_session("its header is damaged or cut off"));
    };
    let header = Header::decode(&payload).filter(|_| payload.len() as u64 == record.len);
    let header = header.ok_or_else(|| no_session("its header is not valid"))?;
    let mut rows = Vec::new();
    reserve(&mut rows, header.row_bytes.len(), "groups of the session")?;
    rows.resize_with(header.row_bytes.len(), Spans::default);
    let mut log = Log {
        header,
        tokens: Vec::new(),
        invoked: None,
        rows,
        state: Vec::new(),
        messages: Vec::new(),
        app: None,
        answer: None,
        turns: 0,
        end,
        lost: 0,
    };
    log.read_turns(storage, file_len, &mut piece)?;
    log.lost = file_len - log.end.offset;
    Ok(log)
}

impl Log {
    fn read_turns(
        &mut self,
        storage: &mut impl Storage,
        file_len: u64,
        piece: &mut Vec<u8>,
    ) -> Result<(), EngineError> {
        let kind = self.header.shape.kind;
        let (mut turn, mut at) = (Turn::default(), self.end);
        loop {
            let (mut ids, mut finite, mut room, mut at_byte) = (Vec::new(), true, true, 0);
            let each = &mut |record: &Record, bytes: &[u8]| match record.kind {
                Some(Kind::Tokens) => {
                    let words = bytes.as_chunks::<4>().0;
                    room &= ids.try_reserve(words.len()).is_ok();
                    if room {
                        ids.extend(words.iter().map(|id| TokenId::from_le_bytes(*id)));
                    }
                }
                Some(Kind::Rows) => {
                    finite &= kind.are_finite(at_byte, bytes);
                    at_byte += bytes.len() as u64;
                }
                Some(Kind::State) => finite &= KvType::F32.are_finite(0, bytes),
                _ => {}
            };
            let read =
                Record::read(storage, at, file_len, piece, each).map_err(SessionError::storage("read"))?;
            let Some((record, next)) = read else { return Ok(()) };
            if !room {
                return Err(crate::reserve::refused(ids.len() * 4, "tokens of the session"));
            }
            let problem = if finite { None } else { Some("it has a value that is not finite") };
            let added = match problem {
                Some(problem) => Err(problem),
                None => self.add(&mut turn, &record, at.offset, ids)?,
            };
            added.map_err(|problem| SessionError::Record { offset: at.offset, problem })?;
            at = next;
            if record.kind == Some(Kind::Commit) {
                self.commit(std::mem::take(&mut turn))?;
                self.end = at;
            }
        }
    }

    /// Returns the number of tokens after the turn.
    fn len_after(&self, turn: &Turn) -> usize {
        turn.tokens.as_ref().map_or(self.tokens.len(), |(kept, more, _)| kept + more.len())
    }

    /// Checks a record against what came before it. The outer error is memory that cannot be reserved, the inner one
    /// says what is wrong.
    fn add(
        &self,
        turn: &mut Turn,
        record: &Record,
        offset: u64,
        ids: Vec<TokenId>,
    ) -> Result<Result<(), &'static str>, EngineError> {
        let payload = Bytes { offset: Record::payload(offset), len: record.len };
        let size = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        match record.kind {
            None => return Ok(Err("its kind is unknown")),
            Some(Kind::Header) => return Ok(Err("it is a second header")),
            Some(Kind::Tokens) => {
                let (kept, invoked) = (size(record.a), size(record.b).checked_sub(1));
                let fits = kept <= self.tokens.len()
                    && record.len.is_multiple_of(4)
                    && invoked.is_none_or(|at| at < kept + ids.len());
                if !fits || turn.tokens.is_some() || !turn.rows.is_empty() || !turn.state.is_empty() {
                    return Ok(Err("its tokens do not follow the earlier ones"));
                }
                turn.tokens = Some((kept, ids, invoked));
            }
            Some(Kind::Rows) => {
                let (group, first, n) = (size(record.a), size(record.b), size(record.c));
                let row_bytes = self.header.row_bytes.get(group).copied().unwrap_or(0);
                let len = self.len_after(turn);
                let fits = first.checked_add(n).is_some_and(|end| end <= len)
                    && row_bytes.checked_mul(record.c) == Some(record.len);
                if n == 0 || !fits || turn.tokens.is_none() {
                    return Ok(Err("its rows do not fit the sequence"));
                }
                reserve(&mut turn.rows, 1, "places of the session's rows")?;
                turn.rows.push((group, Span { first, n, offset: payload.offset }));
            }
            Some(Kind::State) => {
                let fits = record.a.checked_mul(4) == Some(turn.state_bytes)
                    && turn
                        .state_bytes
                        .checked_add(record.len)
                        .is_some_and(|end| end <= self.header.state_bytes);
                if !fits || record.len == 0 || turn.tokens.is_none() {
                    return Ok(Err("its state does not fit the model"));
                }
                reserve(&mut turn.state, 1, "places of the session's state")?;
                turn.state.push(payload);
                turn.state_bytes += record.len;
            }
            Some(Kind::Messages) => {
                if turn.messages.is_some() {
                    return Ok(Err("the turn has messages already"));
                }
                turn.messages = Some(SavedTurn { kept: size(record.a), bytes: payload });
            }
            Some(Kind::App) => turn.app = Some(payload),
            Some(Kind::Answer) => {
                let numbers = [record.a, record.b, record.c];
                if !PartialAnswer::fits(numbers, record.len) || turn.answer.is_some() {
                    return Ok(Err("its answer does not have the size that it states"));
                }
                turn.answer = Some((numbers, payload));
            }
            Some(Kind::Commit) => {
                let len = self.len_after(turn);
                let state = if len == 0 || turn.tokens.is_none() { 0 } else { self.header.state_bytes };
                let number = self.turns + u64::from(self.answer.is_none());
                if record.a != number || size(record.b) != len || turn.state_bytes != state {
                    return Ok(Err("it ends a turn that is not whole"));
                }
            }
        }
        Ok(Ok(()))
    }

    /// Takes over a complete turn.
    fn commit(&mut self, turn: Turn) -> Result<(), EngineError> {
        if let Some((kept, more, invoked)) = turn.tokens {
            self.tokens.truncate(kept);
            reserve(&mut self.tokens, more.len(), "tokens of the session")?;
            self.tokens.extend_from_slice(&more);
            self.invoked = invoked;
            self.rows.iter_mut().for_each(|rows| rows.truncate(kept));
            self.state = turn.state;
        }
        for (group, span) in turn.rows {
            if let Some(rows) = self.rows.get_mut(group) {
                rows.push(span)?;
            }
        }
        if let Some(messages) = turn.messages {
            reserve(&mut self.messages, 1, "turns of the session")?;
            self.messages.push(messages);
        }
        self.app = turn.app.or(self.app);
        self.turns += u64::from(self.answer.is_none());
        self.answer = turn.answer;
        Ok(())
    }
}
