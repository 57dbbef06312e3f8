//! Zip archives whose bytes depend on nothing but their contents: no times, no owners, names in order.

use happy_tool_kit::Result;
use std::collections::BTreeMap;
use std::io::{Cursor, Write};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

/// How an entry is stored.
#[derive(Clone, Copy)]
pub(crate) enum Packing {
    /// Deflated.
    Small,
    /// Deflated, and executable for everybody after unpacking.
    Program,
    /// Uncompressed, with its first byte at a multiple of this many bytes in the archive, so that Android can map it
    /// without unpacking.
    Mapped(u16),
}

/// An archive under construction.
#[derive(Default)]
pub(crate) struct Archive(BTreeMap<String, (Vec<u8>, Packing)>);

impl Archive {
    /// Adds a file, which replaces one with the same name.
    pub(crate) fn add(&mut self, name: impl Into<String>, bytes: impl Into<Vec<u8>>, packing: Packing) {
        self.0.insert(name.into(), (bytes.into(), packing));
    }

    /// Returns the archive's bytes.
    ///
    /// # Errors
    /// If an entry is larger than the old archive format allows (4 GiB).
    pub(crate) fn write(&self) -> Result<Vec<u8>> {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, (bytes, packing)) in &self.0 {
            let mode = if matches!(packing, Packing::Program) { 0o755 } else { 0o644 };
            // The earliest time that the format can express: 1980-01-01 00:00:00.
            let options =
                SimpleFileOptions::default().last_modified_time(DateTime::default()).unix_permissions(mode);
            let options = match packing {
                Packing::Small | Packing::Program => options.compression_method(CompressionMethod::Deflated),
                Packing::Mapped(align) => {
                    options.compression_method(CompressionMethod::Stored).with_android_alignment(*align)
                }
            };
            let broken = |e: &dyn std::fmt::Display| format!("cannot put {name} into an archive: {e}");
            zip.start_file(name.as_str(), options).map_err(|e| broken(&e))?;
            zip.write_all(bytes).map_err(|e| broken(&e))?;
        }
        let done = zip.finish().map_err(|e| format!("cannot finish an archive: {e}"))?;
        Ok(done.into_inner())
    }
}

/// Returns where the data of each uncompressed entry starts in the archive, with its name.
///
/// # Errors
/// If `bytes` are not a zip archive.
pub(crate) fn stored(bytes: &[u8]) -> Result<Vec<(String, u64)>> {
    let broken = |e: zip::result::ZipError| format!("not a whole zip archive: {e}");
    let mut zip = zip::ZipArchive::new(Cursor::new(bytes)).map_err(broken)?;
    let mut found = Vec::new();
    for i in 0..zip.len() {
        let entry = zip.by_index(i).map_err(broken)?;
        if entry.compression() == CompressionMethod::Stored {
            let name = entry.name().map_err(broken)?.into_owned();
            let start = entry.data_start().ok_or_else(|| format!("{name} has no place in the archive"))?;
            found.push((name, start));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn sample(reversed: bool) -> Archive {
        let mut entries = vec![
            ("classes.jar", b"jar".to_vec(), Packing::Small),
            ("jni/arm64-v8a/libhappy.so", vec![7; 10_000], Packing::Mapped(0x4000)),
            ("jni/x86_64/libhappy.so", vec![8; 10_000], Packing::Mapped(0x4000)),
        ];
        if reversed {
            entries.reverse();
        }
        let mut archive = Archive::default();
        for (name, bytes, packing) in entries {
            archive.add(name, bytes, packing);
        }
        archive
    }

    #[test]
    fn the_same_input_gives_the_same_bytes() {
        let first = sample(false).write().expect("written");
        // The format stores times in steps of two seconds.
        std::thread::sleep(std::time::Duration::from_millis(2100));
        assert!(first == sample(true).write().expect("written"));
    }

    #[test]
    fn mapped_entries_lie_at_page_boundaries() {
        let bytes = sample(false).write().expect("written");
        let stored = stored(&bytes).expect("an archive");
        assert_eq!(stored.len(), 2, "{stored:?}");
        assert!(stored.iter().all(|(_, start)| start % 0x4000 == 0), "{stored:?}");
        let mut zip = zip::ZipArchive::new(Cursor::new(bytes)).expect("an archive");
        let names: Vec<String> = zip.file_names().map(|name| name.expect("UTF-8").into_owned()).collect();
        assert_eq!(names, ["classes.jar", "jni/arm64-v8a/libhappy.so", "jni/x86_64/libhappy.so"]);
        let mut data = Vec::new();
        zip.by_name(&names[2]).expect("an entry").read_to_end(&mut data).expect("read");
        assert_eq!(data, [8; 10_000]);
    }

    #[test]
    fn programs_are_executable() {
        let mut archive = Archive::default();
        archive.add("bin/happy", *b"program", Packing::Program);
        archive.add("README.md", *b"text", Packing::Small);
        let bytes = archive.write().expect("written");
        let mut zip = zip::ZipArchive::new(Cursor::new(bytes)).expect("an archive");
        let mut mode = |name: &str| zip.by_name(name).expect("an entry").unix_mode().map(|mode| mode & 0o777);
        assert_eq!((mode("bin/happy"), mode("README.md")), (Some(0o755), Some(0o644)));
    }

    #[test]
    fn what_is_no_archive_is_an_error() {
        assert!(stored(b"PK\x03\x04").is_err());
    }
}
