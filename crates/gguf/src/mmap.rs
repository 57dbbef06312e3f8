//! Mapping a file: the one place in the crate that needs `unsafe`.
#![allow(unsafe_code)]

#[cfg(any(target_os = "linux", target_os = "android"))]
use core::{ffi::c_int, num::NonZeroUsize};
use std::path::Path;
use std::sync::Arc;

use crate::error::ParseError;
use crate::file::{FileError, GgufFile, open};
use crate::limits::Limits;
use crate::part::FilePart;
use crate::set_file::GgufSetFile;

impl GgufFile {
    /// Maps a file into memory, read-only and shared, and parses it. Nothing is copied: the pages stay file-backed, and
    /// the system may drop and re-read them.
    ///
    /// # Safety
    /// Until the last owner of the bytes is gone (this file, its clones, and every [`SharedBytes`](crate::SharedBytes)
    /// taken from it), no process may write to the file or truncate it. A write breaks Rust's rule that borrowed bytes
    /// do not change, which is undefined behavior. Reading past a new, nearer end raises SIGBUS. If others may write to
    /// the file, use [`GgufFile::read`].
    ///
    /// # Errors
    /// If the file cannot be opened or mapped (only regular files can), or does not parse.
    ///
    /// ```no_run
    /// // SAFETY: nobody writes to the models of this program while it runs.
    /// let file = unsafe { happy_gguf::GgufFile::map("model.gguf") }?;
    /// println!("{} tensors", file.view().tensors().len());
    /// # Ok::<(), happy_gguf::FileError>(())
    /// ```
    pub unsafe fn map(path: impl AsRef<Path>) -> Result<Self, FileError> {
        // SAFETY: the caller upholds the contract, which is the same.
        unsafe { Self::map_with(path, &Limits::default()) }
    }

    /// Like [`GgufFile::map`], with the caller's limits.
    ///
    /// # Safety
    /// The same as [`GgufFile::map`].
    ///
    /// # Errors
    /// The same as [`GgufFile::map`].
    pub unsafe fn map_with(path: impl AsRef<Path>, limits: &Limits) -> Result<Self, FileError> {
        let path = path.as_ref();
        let (file, is_regular) = open(path)?;
        if !is_regular {
            let error = std::io::Error::new(std::io::ErrorKind::InvalidInput, "not a regular file");
            return Err(FileError::Map { path: path.to_path_buf(), error });
        }
        // SAFETY: the caller promises that nobody changes or truncates the file while the map lives.
        let map = unsafe { memmap2::Mmap::map(&file) }.map_err(|e| not_mapped(path, e))?;
        Self::parse_map(map, limits).map_err(|e| FileError::parse(path, e))
    }

    /// Maps a file, or reads it if the system cannot map it ([`FileError::Map`]): some network and user-space file
    /// systems refuse, and pipes cannot be mapped. Reading takes as much memory as the file has bytes. The second value
    /// is true if the file was read, false if it was mapped.
    ///
    /// # Safety
    /// The same as [`GgufFile::map`].
    ///
    /// # Errors
    /// The same as [`GgufFile::map`] and [`GgufFile::read`].
    pub unsafe fn map_or_read(path: impl AsRef<Path>, limits: &Limits) -> Result<(Self, bool), FileError> {
        let path = path.as_ref();
        // SAFETY: the caller upholds the contract, which is the same.
        match unsafe { Self::map_with(path, limits) } {
            Err(FileError::Map { .. }) => Self::read_with(path, limits).map(|file| (file, true)),
            mapped => mapped.map(|file| (file, false)),
        }
    }

    /// Maps a part of a file, which may begin at any offset, and parses it.
    ///
    /// # Safety
    /// The same as [`GgufFile::map`].
    ///
    /// # Errors
    /// If the part cannot be mapped or does not parse.
    pub unsafe fn map_part(part: &FilePart<'_>, limits: &Limits) -> Result<Self, FileError> {
        part.refuse_torn()?;
        let path = part.path();
        let too_long =
            || std::io::Error::new(std::io::ErrorKind::OutOfMemory, "longer than the address space");
        let len = usize::try_from(part.len()).map_err(|_| FileError::io(path, too_long()))?;
        // A part need not begin at a page: the options map from the start of its page.
        let mut options = memmap2::MmapOptions::new();
        options.offset(part.offset()).len(len);
        // SAFETY: the caller promises that nobody changes or truncates the file while the map lives.
        let map = unsafe { options.map(part.file()) }.map_err(|e| not_mapped(path, e))?;
        Self::parse_map(map, limits).map_err(|e| FileError::parse(path, e))
    }
}

impl GgufFile {
    fn parse_map(map: memmap2::Mmap, limits: &Limits) -> Result<Self, ParseError> {
        let mut file = Self::parse_shared(Arc::new(map), limits)?;
        file.mapped = true;
        Ok(file)
    }
}

impl GgufSetFile {
    /// Maps a model: the file and, if it is a part of a split model, all other parts.
    ///
    /// # Safety
    /// The same as [`GgufFile::map`], for every part.
    ///
    /// # Errors
    /// The same as [`GgufFile::map`], and if the parts do not form one model.
    pub unsafe fn map(path: impl AsRef<Path>) -> Result<Self, FileError> {
        // SAFETY: the caller upholds the contract for every part.
        Self::open(path.as_ref(), |path| unsafe { GgufFile::map(path) })
    }
}

/// A file that the system cannot map can still be read, unless it is too large for the address space.
fn not_mapped(path: &Path, error: std::io::Error) -> FileError {
    match error.kind() {
        std::io::ErrorKind::OutOfMemory => FileError::io(path, error),
        _ => FileError::Map { path: path.to_path_buf(), error },
    }
}

/// Asks for large pages where a map has these bytes, and returns whether the system agreed; kernels without them refuse. `page` is the size
/// of an ordinary page.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn advise_large_pages(mapped: &[u8], page: NonZeroUsize) -> bool {
    const HUGE_PAGE: c_int = 14;
    advise(mapped, page, HUGE_PAGE)
}

/// Reads these bytes of a map into memory and returns whether all could be; kernels before 5.14 refuse. `page` is the size of an
/// ordinary page.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn populate(mapped: &[u8], page: NonZeroUsize) -> bool {
    const POPULATE_READ: c_int = 22;
    advise(mapped, page, POPULATE_READ)
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn advise(mapped: &[u8], page: NonZeroUsize, advice: c_int) -> bool {
    // In the C library that the standard library is linked with. memmap2 has these kinds of advice on Linux only.
    unsafe extern "C" {
        fn madvise(start: *mut core::ffi::c_void, len: usize, advice: c_int) -> c_int;
    }
    // The range must begin at a page, as the map does.
    let before = mapped.as_ptr().addr() % page;
    let start = mapped.as_ptr().wrapping_sub(before);
    // SAFETY: neither kind of advice changes bytes or unmaps anything, whatever the range.
    unsafe { madvise(start.cast_mut().cast(), mapped.len().saturating_add(before), advice) == 0 }
}

/// Compares read, mapped and shared files. The tests are here because mapping is unsafe to call.
#[cfg(all(test, feature = "write"))]
mod tests {
    use std::ops::Range;
    use std::path::PathBuf;
    use std::sync::Arc;
    use std::{fs, thread};

    use crate::{FileError, GgmlType, GgufFile, GgufWriter, Limits, ParseErrorKind};

    /// A folder that is removed when the test ends.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("happy-gguf-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
            let path = self.0.join(name);
            fs::write(&path, bytes).unwrap();
            path
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// Maps a file with a tensor of 5 MiB. Returns its path, the mapped file, and the tensor's range.
    fn mapped_tensor(folder: &Folder) -> (PathBuf, GgufFile, Range<u64>) {
        let file = GgufWriter::new().tensor("t", GgmlType::F32, &[5 << 18], vec![7u8; 5 << 20]);
        let path = folder.file("model.gguf", &file.to_vec().unwrap());
        // SAFETY: only the test knows the file; one cuts it off, and does not read the bytes that are gone.
        let mapped = unsafe { GgufFile::map(&path) }.unwrap();
        let range = mapped.view().tensor("t").unwrap().range;
        (path, mapped, range)
    }

    fn bytes() -> Vec<u8> {
        let data: Vec<u8> = (0..64).collect();
        GgufWriter::new().kv("general.name", "x").tensor("t", GgmlType::F32, &[16], data).to_vec().unwrap()
    }

    /// # Panics
    /// If the file is not the one that [`bytes`] makes.
    fn check(file: &GgufFile) {
        let gguf = file.view();
        assert_eq!(gguf.metadata().get_str("general.name").unwrap(), "x");
        let tensor = gguf.tensor("t").unwrap();
        assert_eq!(gguf.data(&tensor).unwrap()[..3], [0, 1, 2]);
        assert_eq!(file.bytes(), bytes());
    }

    #[test]
    fn read_mapped_and_shared_files_are_the_same() {
        let folder = Folder::new("same");
        let path = folder.file("model.gguf", &bytes());
        // SAFETY: only this test knows the file, and it does not write to it again.
        let mapped = unsafe { GgufFile::map(&path) }.unwrap();
        let read = GgufFile::read(&path).unwrap();
        let shared = GgufFile::from_shared(Arc::new(bytes()), &Limits::default()).unwrap();
        for file in [mapped, read, shared] {
            check(&file);
            // The bytes outlive the file, and can move to other threads.
            let (clone, range, owner) = (file.clone(), file.view().tensor("t").unwrap().range, file.shared());
            drop(file);
            thread::spawn(move || check(&clone)).join().unwrap();
            assert_eq!((*owner).as_ref()[range.start as usize + 5], 5);
        }
    }

    #[test]
    fn errors_name_the_file() {
        let folder = Folder::new("errors");
        let missing = folder.0.join("missing.gguf");
        let other = folder.file("other.gguf", b"not a model");
        let empty = folder.file("empty.gguf", b"");
        let cut = folder.file("cut.gguf", &bytes()[..100]);
        for path in [&missing, &other, &empty, &cut, &folder.0] {
            // SAFETY: only this test knows the files, and it does not write to them again.
            let mapped = unsafe { GgufFile::map(path) }.unwrap_err();
            let read = GgufFile::read(path).unwrap_err();
            assert_eq!(mapped.to_string(), read.to_string());
            assert!(read.to_string().contains(&*path.to_string_lossy()), "{read}");
            assert_eq!(read.path(), *path);
            let parse = [&other, &empty, &cut].contains(&path);
            assert_eq!(matches!(read, FileError::Parse { .. }), parse, "{read}");
        }
        let error = GgufFile::read(&folder.0).unwrap_err().to_string();
        assert!(error.ends_with("it is a directory"), "{error}");
    }

    #[test]
    fn limits_hold_for_files_too() {
        let folder = Folder::new("limits");
        let path = folder.file("model.gguf", &bytes());
        let limits = Limits { max_tensors: 0, ..Limits::default() };
        // SAFETY: only this test knows the file, and it does not write to it again.
        let mapped = unsafe { GgufFile::map_with(&path, &limits) };
        for result in [mapped, GgufFile::read_with(&path, &limits)] {
            match result.unwrap_err() {
                FileError::Parse { error, .. } => assert_eq!(error.kind(), ParseErrorKind::LimitExceeded),
                other => panic!("{other}"),
            }
        }
    }

    /// Ranges of a mapped file may be advised; the bytes stay, and a file that is not mapped is left alone.
    #[test]
    #[allow(clippy::single_range_in_vec_init, reason = "lists of ranges are meant")]
    fn large_pages_are_for_maps() {
        let folder = Folder::new("large-pages");
        let (path, mapped, range) = mapped_tensor(&folder);
        let agreed = mapped.prefer_large_pages(&mut [range.clone()]);
        assert!(agreed == 0 || agreed == 5 << 20, "{agreed}");
        #[cfg(target_os = "linux")]
        {
            let maps = fs::read_to_string("/proc/self/smaps").unwrap();
            let flags =
                maps.split("VmFlags:").skip(1).filter(|flags| flags.lines().next().unwrap().contains(" hg"));
            assert_eq!(flags.count() > 0, agreed > 0);
        }
        assert_eq!(mapped.view().data(&mapped.view().tensor("t").unwrap()), Some(&*vec![7; 5 << 20]));
        assert_eq!(mapped.prefer_large_pages(&mut [0..1 << 20]), 0);
        assert_eq!(mapped.prefer_large_pages(&mut [range.start..u64::MAX]), 0);
        assert_eq!(GgufFile::read(&path).unwrap().prefer_large_pages(&mut [range]), 0);
    }

    #[test]
    fn reading_ahead_ends_when_it_is_told_to() {
        let folder = Folder::new("read-ahead");
        let (path, mapped, range) = mapped_tensor(&folder);
        // Old kernels refuse.
        let all = mapped.read_ahead(range.clone(), &mut || true);
        assert!(all == 0 || all == 5 << 20, "{all}");
        let mut left = 2;
        let some = mapped.read_ahead(range.clone(), &mut || {
            left -= 1;
            left >= 0
        });
        assert_eq!(some, all.min(4 << 20));
        assert_eq!(mapped.read_ahead(range.start..u64::MAX, &mut || true), 0);
        assert_eq!(GgufFile::read(&path).unwrap().read_ahead(range, &mut || true), 0);
    }

    /// A file that became shorter is no signal here.
    #[cfg(target_os = "linux")]
    #[test]
    fn reading_ahead_past_the_end_is_no_signal() {
        let folder = Folder::new("shorter");
        let (path, mapped, range) = mapped_tensor(&folder);
        fs::File::options().write(true).open(&path).unwrap().set_len(4096).unwrap();
        // Emulators agree to all advice, and read nothing.
        let read = mapped.read_ahead(range, &mut || true);
        assert!([0, 5 << 20].contains(&read), "{read}");
    }

    /// Parts that begin inside pages and at page boundaries, with and without an explicit length.
    #[test]
    fn parts_are_mapped_from_any_offset() {
        let folder = Folder::new("parts");
        for offset in [0, 1, 31, 4095, 4096, 4097, 70_001] {
            let path = folder.file("package", &[vec![b'#'; offset], bytes()].concat());
            let file = fs::File::open(path).unwrap();
            for len in [None, Some(bytes().len() as u64)] {
                let part = crate::FilePart::new(&file, "package", offset as u64, len).unwrap();
                // SAFETY: only this test knows the file, and the map ends before it is written to again.
                check(&unsafe { GgufFile::map_part(&part, &Limits::default()) }.unwrap());
            }
        }
    }

    /// Files without a length or an end are never mapped, and only the magic is read.
    #[cfg(target_os = "linux")]
    #[test]
    fn devices() {
        for path in ["/dev/null", "/dev/zero"] {
            // SAFETY: a device, which is not mapped.
            let mapped = unsafe { GgufFile::map(path) }.unwrap_err();
            assert_eq!(
                mapped.to_string(),
                format!("cannot map `{path}`: not a regular file; read it into memory instead (--no-mmap)")
            );
            assert!(matches!(GgufFile::read(path).unwrap_err(), FileError::Parse { .. }));
        }
    }
}
