//! Editing metadata: a new header in front of the same tensor data.
//!
//! Everything unchanged is copied byte by byte: pairs, tensor entries, and everything from the data offset. Tensor
//! offsets stay as they are, since they count from the data offset; only a changed alignment moves the tensors
//! (`realign.rs`).

use std::borrow::Cow;
use std::io::Write;
use std::string::String;
use std::vec::Vec;

use crate::encode::Out;
use crate::encode_header::{Start, alignment_of, pad, write_pair};
use crate::gguf::Gguf;
use crate::owned_value::OwnedValue;
use crate::realign::Realigned;
use crate::sink::Growing;
use crate::write_error::WriteError;
use crate::{ALIGNMENT_KEY, DEFAULT_ALIGNMENT};

/// The metadata of a parsed file, to be edited. For files on disk, see [`edit_file`](crate::edit_file).
///
/// ```
/// use happy_gguf::{GgmlType, Gguf, GgufEdit, GgufWriter};
/// let file = GgufWriter::new()
///     .kv("general.name", "x")
///     .kv("general.url", "y")
///     .tensor("w", GgmlType::F32, &[2], vec![7; 8])
///     .to_vec()?;
/// let mut edit = GgufEdit::new(&Gguf::parse(&file).unwrap());
/// edit.set("general.name", "a new name");
/// edit.set("general.author", "somebody");
/// assert!(edit.remove("general.url") && !edit.remove("general.url"));
///
/// let edited = edit.to_vec()?;
/// let gguf = Gguf::parse(&edited).unwrap();
/// let keys: Vec<_> = gguf.metadata().iter().map(|(key, _)| key).collect();
/// assert_eq!(keys, ["general.name", "general.author"]);
/// assert_eq!(gguf.data(&gguf.tensor("w").unwrap()).unwrap(), [7; 8]);
/// # Ok::<(), happy_gguf::WriteError>(())
/// ```
#[derive(Clone, Debug)]
pub struct GgufEdit<'a> {
    gguf: Gguf<'a>,
    pairs: Vec<(Cow<'a, str>, Pair<'a>)>,
    /// Memory for a pair was refused; reported when the file is written.
    out_of_memory: bool,
}

#[derive(Clone, Debug)]
enum Pair<'a> {
    /// Key, type and value as stored in the file.
    Kept(&'a [u8]),
    New(OwnedValue),
}

impl<'a> GgufEdit<'a> {
    /// Starts an edit from the file's metadata.
    pub fn new(gguf: &Gguf<'a>) -> Self {
        let (bytes, index) = (gguf.bytes(), gguf.index());
        let len_size = index.dialect.len_size() as usize;
        let mut this = Self { pairs: Vec::new(), gguf: gguf.clone(), out_of_memory: false };
        this.out_of_memory = this.pairs.try_reserve(index.pairs.len()).is_err();
        for pair in index.pairs.iter().filter(|_| !this.out_of_memory) {
            let raw = bytes.get(pair.key.start.saturating_sub(len_size)..pair.value.end);
            this.pairs.push((Cow::Borrowed(pair.key.str_of(bytes)), Pair::Kept(raw.unwrap_or_default())));
        }
        this
    }

    /// Returns the file before the edit.
    pub fn original(&self) -> &Gguf<'a> {
        &self.gguf
    }

    /// Sets a pair: replaces the value in place, or adds a new pair after all others.
    pub fn set(&mut self, key: impl Into<String>, value: impl Into<OwnedValue>) {
        let (key, value) = (key.into(), Pair::New(value.into()));
        if let Some((_, old)) = self.pairs.iter_mut().find(|(k, _)| *k == key) {
            *old = value;
        } else if self.pairs.try_reserve(1).is_ok() {
            self.pairs.push((key.into(), value));
        } else {
            self.out_of_memory = true;
        }
    }

    /// Removes a pair. Returns whether it existed.
    pub fn remove(&mut self, key: &str) -> bool {
        let before = self.pairs.len();
        self.pairs.retain(|(k, _)| k != key);
        self.pairs.len() < before
    }

    /// Returns the new header: everything before the padding in front of the tensor data.
    ///
    /// # Errors
    /// If a reader would refuse a new key or value, or if memory is refused.
    pub fn header(&self) -> Result<Vec<u8>, WriteError> {
        self.header_for(self.realigned()?.as_ref())
    }

    fn header_for(&self, realigned: Option<&Realigned>) -> Result<Vec<u8>, WriteError> {
        let index = self.gguf.index();
        let start =
            Start { version: index.version, n_tensors: index.tensors.len(), n_pairs: self.pairs.len() };
        let no_memory = || WriteError::out_of_memory("the file");
        if self.out_of_memory {
            return Err(no_memory());
        }
        let mut out = start.bytes(index.dialect)?;
        for (key, pair) in &self.pairs {
            match pair {
                Pair::Kept(raw) => out.put(raw).map_err(|_| no_memory())?,
                Pair::New(value) => {
                    let encode = |out: &mut Vec<u8>| value.encode(index.dialect, out);
                    write_pair(key, value.value_type(), index.dialect, &mut out, encode)?;
                }
            }
        }
        let entries_end = usize::try_from(index.header_end).unwrap_or(usize::MAX);
        let kept = || self.gguf.bytes().get(index.entries_start()..entries_end).unwrap_or_default();
        out.put(realigned.map_or_else(kept, Realigned::entries)).map_err(|_| no_memory())?;
        Ok(out)
    }

    /// The beginning of the new file: the header, and the padding up to the alignment; and the new layout if the
    /// tensors move. If the header keeps its length, the file's own padding (`old`) is kept. A file that ends with its
    /// header (it has no tensors) gets no padding.
    pub(crate) fn start(
        &self,
        file_len: u64,
        old: &[u8],
    ) -> Result<(Vec<u8>, Option<Realigned>), WriteError> {
        let realigned = self.realigned()?;
        let mut out = self.header_for(realigned.as_ref())?;
        let index = self.gguf.index();
        let len = out.len() as u64;
        match &realigned {
            None if len == index.header_end => {
                out.put(old).map_err(|_| WriteError::out_of_memory("the file"))?;
            }
            None if file_len < index.data_offset => {}
            Some(_) if index.tensors.is_empty() => {}
            None => pad(&mut out, index.alignment)?,
            Some(realigned) => pad(&mut out, realigned.alignment())?,
        }
        Ok((out, realigned))
    }

    /// Returns the edited file as bytes. The edit must be of a whole file, not of a header alone.
    ///
    /// # Errors
    /// The same as [`GgufEdit::header`].
    pub fn to_vec(&self) -> Result<Vec<u8>, WriteError> {
        let mut out = Growing(Vec::new());
        self.write_to(&mut out)?;
        Ok(out.0)
    }

    /// Writes the edited file and returns the number of bytes. The edit must be of a whole file, not of a header alone.
    ///
    /// If `general.alignment` changes, the tensors move; their bytes stay the same, and bytes that belong to no tensor
    /// are dropped.
    ///
    /// ```
    /// use happy_gguf::{ALIGNMENT_KEY, GgmlType, Gguf, GgufEdit, GgufWriter};
    /// let file = GgufWriter::new().tensor("w", GgmlType::F32, &[2], vec![7; 8]).to_vec()?;
    /// let gguf = Gguf::parse(&file).unwrap();
    /// let mut edit = GgufEdit::new(&gguf);
    /// edit.set(ALIGNMENT_KEY, 4096u32);
    /// let edited = edit.to_vec()?;
    /// let edited = Gguf::parse(&edited).unwrap();
    /// let w = edited.tensor("w").unwrap();
    /// assert_eq!((w.range.start, edited.data(&w)), (4096, Some(&[7; 8][..])));
    /// # Ok::<(), happy_gguf::WriteError>(())
    /// ```
    ///
    /// # Errors
    /// The same as [`GgufEdit::header`], and if a write fails.
    pub fn write_to(&self, mut out: impl Write) -> Result<u64, WriteError> {
        let (bytes, index) = (self.gguf.bytes(), self.gguf.index());
        let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        let (header_end, data_start) = (at(index.header_end), at(index.data_offset));
        let padding = bytes.get(header_end..data_start).unwrap_or_default();
        let (start, realigned) = self.start(bytes.len() as u64, padding)?;
        out.write_all(&start)?;
        let data_len = match realigned {
            Some(realigned) => realigned.write(&mut out, |range, out| {
                out.write_all(bytes.get(at(range.start)..at(range.end)).unwrap_or_default())
            })?,
            None => {
                let data = bytes.get(data_start..).unwrap_or_default();
                out.write_all(data)?;
                data.len() as u64
            }
        };
        out.flush()?;
        Ok(start.len() as u64 + data_len)
    }

    /// The tensors in their new places, if the alignment changes.
    fn realigned(&self) -> Result<Option<Realigned>, WriteError> {
        let alignment = match self.pairs.iter().find(|(key, _)| key == ALIGNMENT_KEY) {
            None => DEFAULT_ALIGNMENT,
            Some((_, Pair::Kept(_))) => return Ok(None),
            Some((_, Pair::New(value))) => alignment_of(value)?,
        };
        (alignment != self.gguf.alignment()).then(|| Realigned::new(&self.gguf, alignment)).transpose()
    }
}

/// The first place where two byte strings of the same length differ, and the place after the last.
pub(crate) fn difference(a: &[u8], b: &[u8]) -> Option<(usize, usize)> {
    let differs = |(x, y): (&u8, &u8)| x != y;
    let first = a.iter().zip(b).position(differs)?;
    let last = a.iter().zip(b).rposition(differs)?;
    Some((first, last + 1))
}
