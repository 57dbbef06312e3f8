//! Records, of which a session's file consists. [docs/session-format.md] describes them for other programs.
//!
//! ```text
//! preamble   magic (16), version u32, zeros up to byte 56, CRC-32C of all before it, zeros up to byte 64
//! record     magic u32, kind u32, payload length u64, a u64, b u64, c u64, zeros up to byte 56, CRC-32C, zeros up to byte 64;
//!            payload; zeros up to a multiple of 64
//! ```
//! All numbers are little-endian. A record's checksum continues that of the record before it (or of the preamble), so
//! bytes that an older file left on the disk are never taken for a record of this one.
//!
//! [docs/session-format.md]: https://github.com/happy-phone-llm/happy-phone-llm/blob/main/docs/session-format.md

use super::crc::Crc;
use super::storage::Storage;
use byteorder::{ByteOrder, LittleEndian as LE};
use std::io;

/// Records begin at multiples of this, and so do their payloads.
pub(crate) const ALIGN: usize = 64;
/// Version of the format.
pub(crate) const VERSION: u32 = 1;

/// It has a carriage return, a line feed and a control character, so that a file that was copied as text is not
/// accepted.
const FILE_MAGIC: &[u8; 16] = b"happy-session\r\n\x1a";
const RECORD_MAGIC: u32 = u32::from_le_bytes(*b"hRec");
/// Offset in the preamble of the kind of seal; 0 if the session is not sealed.
const SEAL: usize = 20;
/// XChaCha20-Poly1305.
const XCHACHA: u32 = 1;
/// Offset of the nonce in a sealed session's preamble.
const NONCE: usize = 24;
/// Offset of the checksum in a preamble or a record's header.
const SUM: usize = 56;
/// Bytes that are read at once.
const PIECE: usize = 64 << 10;

/// The kind of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// What the session was computed with; the first record.
    Header,
    /// Tokens that follow the first `a`, which stay; `b` is 1 plus the position at which an activated adapter begins,
    /// or 0 without one.
    Tokens,
    /// `c` rows of group `a`, from position `b` on.
    Rows,
    /// A part of the state after the last token, from value `a` on.
    State,
    /// Messages that follow the first `a`, which stay: for each the number of its bytes as u64, and its JSON text.
    Messages,
    /// Bytes of the app's own, which replace those of earlier turns.
    App,
    /// Turn `a` is complete, and the sequence has `b` tokens.
    Commit,
    /// The turn ends within an answer: to a prompt of `a` tokens, `b` tokens so far, and `c` numbers of its state. See
    /// [`PartialAnswer`](crate::PartialAnswer).
    Answer,
}

impl Kind {
    const ALL: [Kind; 8] = [
        Kind::Header,
        Kind::Tokens,
        Kind::Rows,
        Kind::State,
        Kind::Messages,
        Kind::App,
        Kind::Commit,
        Kind::Answer,
    ];

    fn number(self) -> u32 {
        self as u32 + 1
    }
}

/// A record without its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    /// `None` for a kind that this version does not know.
    pub(crate) kind: Option<Kind>,
    /// Bytes of the payload.
    pub(crate) len: u64,
    pub(crate) a: u64,
    pub(crate) b: u64,
    pub(crate) c: u64,
}

/// The end of what was written or read, and the checksum that the next record continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) offset: u64,
    pub(crate) sum: u32,
}

/// Returns the number of bytes from the beginning of a payload to the next record.
fn padded(len: u64) -> Option<u64> {
    len.checked_next_multiple_of(ALIGN as u64)
}

/// Returns the preamble, and the end after it.
pub(crate) fn preamble() -> ([u8; ALIGN], End) {
    let mut bytes = [0; ALIGN];
    bytes[..16].copy_from_slice(FILE_MAGIC);
    LE::write_u32(&mut bytes[16..], VERSION);
    let sum = Crc::new().add(&bytes[..SUM]).sum();
    LE::write_u32(&mut bytes[SUM..], sum);
    (bytes, End { offset: ALIGN as u64, sum })
}

/// Returns the preamble of a sealed session.
#[cfg(feature = "encryption")]
pub(crate) fn sealed_preamble(nonce: &[u8; 24]) -> [u8; ALIGN] {
    let (mut bytes, _) = preamble();
    LE::write_u32(&mut bytes[SEAL..], XCHACHA);
    bytes[NONCE..NONCE + nonce.len()].copy_from_slice(nonce);
    let sum = Crc::new().add(&bytes[..SUM]).sum();
    LE::write_u32(&mut bytes[SUM..], sum);
    bytes
}

/// What the first bytes of a file are.
pub(crate) enum Preamble {
    /// This version's.
    Known(End),
    /// This version's, sealed: its nonce.
    Sealed(#[cfg_attr(not(feature = "encryption"), allow(dead_code))] [u8; 24]),
    /// A session of another version.
    Version(u32),
    /// No session.
    Other,
}

/// Reads the preamble.
pub(crate) fn read_preamble(bytes: &[u8; ALIGN]) -> Preamble {
    let (known, end) = preamble();
    let version = LE::read_u32(&bytes[16..]);
    let whole = LE::read_u32(&bytes[SUM..]) == Crc::new().add(&bytes[..SUM]).sum();
    match () {
        () if *bytes == known => Preamble::Known(end),
        () if bytes.starts_with(FILE_MAGIC) && whole && version != VERSION => Preamble::Version(version),
        () if bytes.starts_with(FILE_MAGIC) && whole && LE::read_u32(&bytes[SEAL..]) == XCHACHA => {
            Preamble::Sealed(bytes[NONCE..].first_chunk().copied().unwrap_or_default())
        }
        () => Preamble::Other,
    }
}

/// Appends a record with its payload and padding to `out`, in which the caller has reserved [`Record::whole`] bytes.
/// Returns the end after it.
pub(crate) fn encode(kind: Kind, [a, b, c]: [u64; 3], payload: &[u8], before: End, out: &mut Vec<u8>) -> End {
    let start = out.len();
    out.resize(start + ALIGN, 0);
    out.extend_from_slice(payload);
    out.resize((out.len() - start).next_multiple_of(ALIGN) + start, 0);
    let record = out.get_mut(start..).unwrap_or(&mut []);
    let Some((header, rest)) = record.split_first_chunk_mut::<ALIGN>() else { return before };
    LE::write_u32(&mut header[..], RECORD_MAGIC);
    LE::write_u32(&mut header[4..], kind.number());
    for (at, number) in [(8, payload.len() as u64), (16, a), (24, b), (32, c)] {
        LE::write_u64(&mut header[at..], number);
    }
    let sum = chained(before, header).add(rest).sum();
    LE::write_u32(&mut header[SUM..], sum);
    End { offset: before.offset + record.len() as u64, sum }
}

/// Returns the checksum of a header, which continues that of the record before.
fn chained(before: End, header: &[u8; ALIGN]) -> Crc {
    Crc::new().add(&before.sum.to_le_bytes()).add(&header[..SUM])
}

/// Returns whether bytes were read. A storage that finds damage itself reports `InvalidData`, and that ends the log.
fn whole_bytes(read: io::Result<()>) -> io::Result<bool> {
    match read {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(false),
        read => read.map(|()| true),
    }
}

impl Record {
    /// Returns the bytes to reserve for a record whose payload has `len`.
    pub(crate) fn whole(len: usize) -> usize {
        len.saturating_add(2 * ALIGN)
    }

    /// Returns the offset of the payload of a record.
    pub(crate) fn payload(offset: u64) -> u64 {
        offset + ALIGN as u64
    }

    /// Reads the record at `end` and passes its payload on in pieces. All pieces but the last are multiples of 4 bytes.
    /// Returns `None` if there is no complete record, so that the log ends here. Nothing past `file_len` is read.
    pub(crate) fn read(
        storage: &mut impl Storage,
        end: End,
        file_len: u64,
        piece: &mut Vec<u8>,
        each: &mut dyn FnMut(&Record, &[u8]),
    ) -> io::Result<Option<(Record, End)>> {
        let payload_at = Record::payload(end.offset);
        if payload_at > file_len {
            return Ok(None);
        }
        let mut header = [0; ALIGN];
        if !whole_bytes(storage.read_at(end.offset, &mut header))? {
            return Ok(None);
        }
        let number = |at: usize| LE::read_u64(&header[at..]);
        let kind = LE::read_u32(&header[4..]);
        let record = Record {
            kind: Kind::ALL.into_iter().find(|known| known.number() == kind),
            len: number(8),
            a: number(16),
            b: number(24),
            c: number(32),
        };
        let zeros = header[40..SUM].iter().chain(&header[SUM + 4..]).all(|byte| *byte == 0);
        let next =
            padded(record.len).and_then(|len| payload_at.checked_add(len)).filter(|next| *next <= file_len);
        let (true, true, Some(next)) = (LE::read_u32(&header) == RECORD_MAGIC, zeros, next) else {
            return Ok(None);
        };
        let mut crc = chained(end, &header);
        let (mut at, mut left) = (payload_at, record.len);
        while at < next {
            let n = usize::try_from(next - at).unwrap_or(PIECE).min(PIECE);
            piece.clear();
            piece.try_reserve(n).map_err(|_| io::ErrorKind::OutOfMemory)?;
            piece.resize(n, 0);
            if !whole_bytes(storage.read_at(at, piece))? {
                return Ok(None);
            }
            crc = crc.add(piece);
            let own = usize::try_from(left).unwrap_or(n).min(n);
            each(&record, piece.get(..own).unwrap_or(&[]));
            left -= own as u64;
            at += n as u64;
        }
        let sum = crc.sum();
        let whole = LE::read_u32(&header[SUM..]) == sum;
        Ok(whole.then_some((record, End { offset: next, sum })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::MemoryStorage;

    fn read(bytes: &[u8], end: End) -> Option<(Record, End, Vec<u8>)> {
        let (mut storage, mut payload) = (MemoryStorage(bytes.to_vec()), Vec::new());
        let each = &mut |_: &Record, bytes: &[u8]| payload.extend_from_slice(bytes);
        let len = bytes.len() as u64;
        let (record, end) = Record::read(&mut storage, end, len, &mut Vec::new(), each).unwrap()?;
        Some((record, end, payload))
    }

    #[test]
    fn records_are_read_as_they_were_written_and_not_otherwise() {
        let (start, mut end) = preamble();
        let mut bytes = start.to_vec();
        let mut ends = vec![end];
        for len in [0, 1, 63, 64, 65, PIECE, PIECE + 1] {
            let payload: Vec<u8> = (0..len).map(|i| (i * 7) as u8).collect();
            end = encode(Kind::Rows, [1, 2, len as u64], &payload, end, &mut bytes);
            assert_eq!((end.offset, bytes.len() % ALIGN), (bytes.len() as u64, 0));
            let (record, next, found) = read(&bytes, *ends.last().unwrap()).unwrap();
            assert_eq!(record, Record { kind: Some(Kind::Rows), len: len as u64, a: 1, b: 2, c: len as u64 });
            assert!(next == end && found == payload);
            ends.push(end);
        }
        // In the place of another record, and after another one.
        let moved = bytes.split_off(ends[1].offset as usize);
        let other = [&start[..], &moved].concat();
        assert!(read(&other, ends[0]).is_none());
        let mut first = bytes.clone();
        for at in ends[0].offset as usize..first.len() {
            for bit in 0..8 {
                first[at] ^= 1 << bit;
                assert!(read(&first, ends[0]).is_none(), "byte {at}, bit {bit}");
                first[at] ^= 1 << bit;
            }
            assert!(read(&bytes[..at], ends[0]).is_none(), "cut at {at}");
        }
        assert!(read(&first, ends[0]).is_some());
    }

    #[test]
    fn preambles_of_other_files_and_versions_are_told_apart() {
        let (mut bytes, end) = preamble();
        assert!(matches!(read_preamble(&bytes), Preamble::Known(found) if found == end));
        bytes[16] += 1;
        assert!(matches!(read_preamble(&bytes), Preamble::Other));
        let sum = Crc::new().add(&bytes[..SUM]).sum();
        LE::write_u32(&mut bytes[SUM..], sum);
        assert!(matches!(read_preamble(&bytes), Preamble::Version(2)));
        bytes[13] = b'\n';
        assert!(matches!(read_preamble(&bytes), Preamble::Other));
    }
}
