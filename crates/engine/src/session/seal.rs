//! Storage whose bytes are sealed with a key of the caller's: XChaCha20-Poly1305, with a new random nonce for each box.
//!
//! ```text
//! preamble   of a session, which says that it is sealed and holds a nonce; then a tag, 16 bytes, and zeros up to byte 128
//! box        magic u32, zeros u32, bytes u64, nonce (24), tag (16), zeros up to byte 64; that many sealed bytes
//! ```
//! The contents of all boxes, one after the other, are a session as it would be without a key. A box is bound to its
//! place: its associated data are the tag of the preamble or of the box before, the offset of its bytes in the session,
//! and their number. So a box that was moved, exchanged or repeated, or that comes from another file, counts as
//! damaged. What is written at once is split into boxes of up to [`BOX`] bytes, and a session can only be shortened at
//! the border of a box.

use super::record::{ALIGN, Preamble, VERSION, read_preamble, sealed_preamble};
use super::{SessionError, Storage};
use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{KeyInit, Tag, XChaCha20Poly1305, XNonce};
use std::fmt;
use std::io;

/// Maximum number of bytes of a box. Reading one byte of a box decrypts all of it.
const BOX: usize = 1 << 20;
const MAGIC: u32 = u32::from_le_bytes(*b"hBox");
const NONCE: usize = 24;
const TAG: usize = 16;
/// Where the boxes begin.
const FIRST: u64 = 2 * ALIGN as u64;

/// A key of 32 bytes that seals a session. It must be random; don't use a password as the key.
#[derive(Clone)]
pub struct SessionKey(chacha20poly1305::Key);

impl SessionKey {
    /// Number of bytes of a key.
    pub const BYTES: usize = 32;

    /// Makes a key of these bytes.
    pub fn new(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes.into())
    }

    /// Reads a key that is written as 64 hexadecimal digits. Returns `None` if the text is something else.
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut key = [0; Self::BYTES];
        if text.len() != 2 * key.len() || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        for (byte, digits) in key.iter_mut().zip(text.as_bytes().as_chunks::<2>().0) {
            *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        }
        Some(Self::new(key))
    }
}

/// The bytes of a key are not shown, so that they do not get into logs.
impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionKey(..)")
    }
}

/// A place in a storage: the bytes of a box.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// Offset of its bytes in the session.
    plain: u64,
    /// Offset of the box in the storage.
    outer: u64,
    len: usize,
    /// Its tag, to which the next box is bound.
    tag: [u8; TAG],
}

impl Place {
    fn plain_end(&self) -> u64 {
        self.plain + self.len as u64
    }

    fn outer_end(&self) -> u64 {
        self.outer + (ALIGN + self.len) as u64
    }
}

/// Storage that seals what is written to `S`, and opens what is read from it.
pub struct Sealed<S> {
    inner: S,
    cipher: XChaCha20Poly1305,
    /// The tag of the preamble; `None` if the storage is new.
    first: Option<[u8; TAG]>,
    boxes: Vec<Place>,
    /// The index of the box that was opened last, whose bytes are in `buffer`. Reading mostly continues in the same
    /// box.
    opened: Option<usize>,
    buffer: Vec<u8>,
}

impl<S> fmt::Debug for Sealed<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealed").field("boxes", &self.boxes.len()).finish_non_exhaustive()
    }
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a sealed part of the session is damaged, or in another place")
}

fn refused(_: impl std::error::Error) -> io::Error {
    io::ErrorKind::OutOfMemory.into()
}

/// Returns the associated data of a box.
fn bound(before: &[u8; TAG], plain: u64, len: usize) -> [u8; TAG + 16] {
    let mut data = [0; TAG + 16];
    data[..TAG].copy_from_slice(before);
    data[TAG..TAG + 8].copy_from_slice(&plain.to_le_bytes());
    data[TAG + 8..].copy_from_slice(&(len as u64).to_le_bytes());
    data
}

fn random_nonce() -> io::Result<[u8; NONCE]> {
    let mut nonce = [0; NONCE];
    getrandom::fill(&mut nonce).map_err(io::Error::other)?;
    Ok(nonce)
}

fn sealing(_: chacha20poly1305::Error) -> io::Error {
    io::Error::other("the cipher takes no more bytes")
}

impl<S: Storage> Sealed<S> {
    /// Makes storage for a new session, sealed with a key. What the storage holds is dropped when the first bytes are
    /// written, see [`Session::create_in`](super::Session::create_in).
    pub fn create(inner: S, key: &SessionKey) -> Self {
        let cipher = XChaCha20Poly1305::new(&key.0);
        Self { inner, cipher, first: None, boxes: Vec::new(), opened: None, buffer: Vec::new() }
    }

    /// Opens an existing session. Only the key is checked here, and nothing is written.
    ///
    /// # Errors
    /// [`SessionError::WrongKey`], [`SessionError::NotSealed`], [`SessionError::Version`],
    /// [`SessionError::NotASession`], or that the storage cannot be read.
    pub fn open(mut inner: S, key: &SessionKey) -> Result<Self, SessionError> {
        let not_one = |problem| SessionError::NotASession { problem };
        let len = inner.len().map_err(SessionError::storage("read"))?;
        let mut start = [0; FIRST as usize];
        let known = usize::try_from(len).unwrap_or(usize::MAX).min(start.len());
        let (read, _) = start.split_at_mut(known);
        inner.read_at(0, read).map_err(SessionError::storage("read"))?;
        let (preamble, rest) = start.split_at(ALIGN);
        let Some(preamble) = preamble.first_chunk::<ALIGN>() else { return Err(not_one("it is too short")) };
        let nonce = match read_preamble(preamble) {
            Preamble::Sealed(nonce) if known == FIRST as usize => nonce,
            Preamble::Sealed(_) => return Err(not_one("it is too short")),
            Preamble::Known(_) => return Err(SessionError::NotSealed),
            Preamble::Version(found) => return Err(SessionError::Version { found, expected: VERSION }),
            Preamble::Other => return Err(not_one("it does not begin like one")),
        };
        let Some((tag, zeros)) = rest.split_first_chunk::<TAG>() else {
            return Err(not_one("it is too short"));
        };
        let mut sealed = Self::create(inner, key);
        let opened = sealed.cipher.decrypt_inout_detached(
            &XNonce::from(nonce),
            preamble,
            (&mut [][..]).into(),
            &Tag::from(*tag),
        );
        if opened.is_err() || zeros.iter().any(|byte| *byte != 0) {
            return Err(SessionError::WrongKey);
        }
        sealed.first = Some(*tag);
        sealed.find_boxes(len).map_err(SessionError::storage("read"))?;
        Ok(sealed)
    }

    /// Finds where the boxes are. Whether they are intact shows when they are opened.
    fn find_boxes(&mut self, len: u64) -> io::Result<()> {
        let mut header = [0; ALIGN];
        while self.outer_end() + ALIGN as u64 <= len {
            let outer = self.outer_end();
            self.inner.read_at(outer, &mut header)?;
            let Some((bytes, _, tag)) = fields(&header) else { break };
            let place = Place { plain: self.plain_end(), outer, len: bytes, tag };
            if place.outer_end() > len {
                break;
            }
            self.boxes.try_reserve(1).map_err(refused)?;
            self.boxes.push(place);
        }
        Ok(())
    }

    fn plain_end(&self) -> u64 {
        self.boxes.last().map_or(0, Place::plain_end)
    }

    fn outer_end(&self) -> u64 {
        self.boxes.last().map_or(FIRST, Place::outer_end)
    }

    /// Returns the tag of the box before, or of the preamble.
    fn tag_before(&self, number: usize) -> Option<[u8; TAG]> {
        match number.checked_sub(1) {
            Some(before) => self.boxes.get(before).map(|place| place.tag),
            None => self.first,
        }
    }

    /// Writes the preamble of a new session.
    fn begin(&mut self) -> io::Result<[u8; TAG]> {
        let nonce = random_nonce()?;
        let preamble = sealed_preamble(&nonce);
        let tag = self
            .cipher
            .encrypt_inout_detached(&XNonce::from(nonce), &preamble, (&mut [][..]).into())
            .map_err(sealing)?;
        let mut start = [0; FIRST as usize];
        start[..ALIGN].copy_from_slice(&preamble);
        start[ALIGN..ALIGN + TAG].copy_from_slice(&tag);
        self.inner.set_len(0)?;
        self.inner.write_at(0, &start)?;
        self.first = Some(tag.into());
        Ok(tag.into())
    }

    /// Writes the next box.
    fn write_box(&mut self, bytes: &[u8]) -> io::Result<()> {
        let before = match self.tag_before(self.boxes.len()) {
            Some(tag) => tag,
            None => self.begin()?,
        };
        let (plain, outer) = (self.plain_end(), self.outer_end());
        self.boxes.try_reserve(1).map_err(refused)?;
        self.opened = None;
        self.buffer.clear();
        self.buffer.try_reserve(ALIGN + bytes.len()).map_err(refused)?;
        self.buffer.resize(ALIGN, 0);
        self.buffer.extend_from_slice(bytes);
        let nonce = random_nonce()?;
        let (header, sealed) = self.buffer.split_at_mut(ALIGN);
        let data = bound(&before, plain, bytes.len());
        let tag = self
            .cipher
            .encrypt_inout_detached(&XNonce::from(nonce), &data, sealed.into())
            .map_err(sealing)?;
        header[..4].copy_from_slice(&MAGIC.to_le_bytes());
        header[8..16].copy_from_slice(&(bytes.len() as u64).to_le_bytes());
        header[16..16 + NONCE].copy_from_slice(&nonce);
        header[16 + NONCE..16 + NONCE + TAG].copy_from_slice(&tag);
        if self.inner.len()? != outer {
            // A write that failed may have left bytes, which must not follow the new box.
            self.inner.set_len(outer)?;
        }
        self.inner.write_at(outer, &self.buffer)?;
        self.boxes.push(Place { plain, outer, len: bytes.len(), tag: tag.into() });
        Ok(())
    }

    /// Returns the bytes of a box.
    fn open_box(&mut self, number: usize) -> io::Result<&[u8]> {
        if self.opened == Some(number) {
            return Ok(&self.buffer);
        }
        let (place, before) =
            self.boxes.get(number).copied().zip(self.tag_before(number)).ok_or_else(damaged)?;
        self.opened = None;
        let mut header = [0; ALIGN];
        self.inner.read_at(place.outer, &mut header)?;
        let (_, nonce, tag) = fields(&header).filter(|found| found.0 == place.len).ok_or_else(damaged)?;
        self.buffer.clear();
        self.buffer.try_reserve(place.len).map_err(refused)?;
        self.buffer.resize(place.len, 0);
        self.inner.read_at(place.outer + ALIGN as u64, &mut self.buffer)?;
        let data = bound(&before, place.plain, place.len);
        self.cipher
            .decrypt_inout_detached(
                &XNonce::from(nonce),
                &data,
                self.buffer.as_mut_slice().into(),
                &Tag::from(tag),
            )
            .map_err(|_| damaged())?;
        self.opened = Some(number);
        Ok(&self.buffer)
    }

    /// Returns the storage.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

/// Returns length, nonce and tag of a box, or `None` if these 64 bytes are not the header of one.
fn fields(header: &[u8; ALIGN]) -> Option<(usize, [u8; NONCE], [u8; TAG])> {
    let (magic, rest) = header.split_first_chunk::<4>()?;
    let (zeros, rest) = rest.split_first_chunk::<4>()?;
    let (len, rest) = rest.split_first_chunk::<8>()?;
    let (nonce, rest) = rest.split_first_chunk::<NONCE>()?;
    let (tag, end) = rest.split_first_chunk::<TAG>()?;
    let len = usize::try_from(u64::from_le_bytes(*len)).ok()?;
    let fits = *magic == MAGIC.to_le_bytes()
        && zeros.iter().chain(end).all(|byte| *byte == 0)
        && (1..=BOX).contains(&len)
        && len.is_multiple_of(ALIGN);
    fits.then_some((len, *nonce, *tag))
}

/// Offsets and lengths are those of the session, without the boxes.
impl<S: Storage> Storage for Sealed<S> {
    /// Bytes after the last box that can be found are counted, since they are a damaged part of the session.
    fn len(&mut self) -> io::Result<u64> {
        let after = match self.first {
            Some(_) => self.inner.len()?.saturating_sub(self.outer_end()),
            None => 0,
        };
        Ok(self.plain_end() + after)
    }

    fn read_at(&mut self, mut offset: u64, mut to: &mut [u8]) -> io::Result<()> {
        while !to.is_empty() {
            let number = self.boxes.partition_point(|place| place.plain_end() <= offset);
            let plain = self.boxes.get(number).ok_or_else(damaged)?.plain;
            let bytes = self.open_box(number)?;
            let from = usize::try_from(offset - plain).ok().and_then(|at| bytes.get(at..)).unwrap_or(&[]);
            let n = from.len().min(to.len());
            let (now, rest) = to.split_at_mut(n);
            now.copy_from_slice(from.get(..n).unwrap_or(&[]));
            (offset, to) = (offset + n as u64, rest);
        }
        Ok(())
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if offset != self.plain_end() || !bytes.len().is_multiple_of(ALIGN) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        bytes.chunks(BOX).try_for_each(|bytes| self.write_box(bytes))
    }

    /// Shortens the session; possible only at the border of a box.
    fn set_len(&mut self, len: u64) -> io::Result<()> {
        if len == 0 {
            // A new session has a new preamble.
            (self.first, self.opened) = (None, None);
            self.boxes.clear();
            return self.inner.set_len(0);
        }
        let keep = self.boxes.partition_point(|place| place.plain_end() <= len);
        if keep.checked_sub(1).and_then(|last| self.boxes.get(last)).map(Place::plain_end) != Some(len) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        self.boxes.truncate(keep);
        self.opened = None;
        self.inner.set_len(self.outer_end())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.inner.sync()
    }
}
