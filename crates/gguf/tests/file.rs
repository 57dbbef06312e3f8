//! Files that own their bytes: read, mapped, shared.
#![cfg(all(feature = "mmap", feature = "write"))]
#![allow(unsafe_code)] // mapping is unsafe to call

mod support;

use std::path::PathBuf;
use std::sync::Arc;
use std::{fs, thread};

use happy_gguf::{FileError, GgmlType, GgufFile, GgufWriter, Limits, ParseErrorKind};

/// A folder that goes away with the test.
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

fn bytes() -> Vec<u8> {
    let data: Vec<u8> = (0..64).collect();
    GgufWriter::new().kv("general.name", "x").tensor("t", GgmlType::F32, &[16], data).to_vec().unwrap()
}

/// # Panics
/// When the file is not the one of [`bytes`].
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
        // The bytes outlive the file, and go to other threads.
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
            FileError::Parse { source, .. } => assert_eq!(source.kind(), ParseErrorKind::LimitExceeded),
            other => panic!("{other}"),
        }
    }
}

/// Something without a length or an end: never mapped, and read no further than the magic.
#[cfg(target_os = "linux")]
#[test]
fn devices() {
    for path in ["/dev/null", "/dev/zero"] {
        // SAFETY: a device, which is not mapped.
        let mapped = unsafe { GgufFile::map(path) }.unwrap_err();
        assert_eq!(mapped.to_string(), format!("cannot read `{path}`: not a regular file, cannot be mapped"));
        assert!(matches!(GgufFile::read(path).unwrap_err(), FileError::Parse { .. }));
    }
}
