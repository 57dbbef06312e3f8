//! The corpora. The selection in the repository and the full data are read in the same way.
//!
//! The full data are a folder with one folder per corpus. The selection is one archive per corpus, `NAME.zip`, with the
//! same paths; `cargo xtask make-corpus` writes it.

use crate::variable;
use std::collections::BTreeSet;
use std::fs;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zip::ZipArchive;

/// A collection of corpora.
pub struct Corpus {
    folder: PathBuf,
    full: bool,
}

impl Corpus {
    /// Returns the selection in the repository and, if `HAPPY_CONFORMANCE` is set, the full data.
    pub fn all() -> Vec<Self> {
        std::iter::once(Self::repository()).chain(Self::full()).collect()
    }

    /// Returns the selection in the repository.
    pub fn repository() -> Self {
        let folder = variable("HAPPY_CORPUS")
            .unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/corpus"));
        Self { folder, full: false }
    }

    /// Returns the full data, if `HAPPY_CONFORMANCE` is set.
    pub fn full() -> Option<Self> {
        variable("HAPPY_CONFORMANCE").map(Self::at)
    }

    /// Returns the full data in a folder.
    pub fn at(folder: PathBuf) -> Self {
        Self { folder, full: true }
    }

    /// Returns whether this is the full data.
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// Returns what to call it in messages: `selection` or `full`.
    pub fn name(&self) -> &'static str {
        if self.full { "full" } else { "selection" }
    }

    /// Returns the names of the corpora that exist, in ascending order.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn names(&self) -> Result<Vec<String>, String> {
        let broken = |e: std::io::Error| format!("cannot read {}: {e}", self.folder.display());
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(broken)? {
            let entry = entry.map_err(broken)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if self.full && entry.path().is_dir() {
                names.push(name);
            } else if let Some(name) = name.strip_suffix(".zip").filter(|_| !self.full) {
                names.push(name.to_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    /// Opens one corpus by its name, for example `gguf`.
    ///
    /// # Errors
    /// If it does not exist or cannot be read. The message says what to do.
    pub fn open(&self, name: &str) -> Result<Files, String> {
        let entries = if self.full {
            let folder = self.folder.join(name);
            if !folder.is_dir() {
                return Err(format!(
                    "no corpus {name} in {}: HAPPY_CONFORMANCE must name the folder that has architectures/ and the others",
                    self.folder.display()
                ));
            }
            Entries::Folder(folder)
        } else {
            let path = self.folder.join(format!("{name}.zip"));
            let bytes = fs::read(&path).map_err(|e| {
                format!("cannot read {}: {e}; `cargo xtask make-corpus` writes it", path.display())
            })?;
            let archive =
                ZipArchive::new(Cursor::new(bytes.into())).map_err(|e| format!("{}: {e}", path.display()))?;
            Entries::Archive(archive)
        };
        Ok(Files { corpus: name.to_owned(), entries })
    }
}

/// The files of one corpus. Paths are relative and use `/`.
pub struct Files {
    corpus: String,
    entries: Entries,
}

enum Entries {
    Folder(PathBuf),
    Archive(ZipArchive<Cursor<Arc<[u8]>>>),
}

impl Files {
    /// Returns a file's bytes.
    ///
    /// # Errors
    /// If there is no such file, or it cannot be read.
    pub fn bytes(&self, path: &str) -> Result<Vec<u8>, String> {
        let broken = |e: &dyn std::fmt::Display| format!("cannot read {}/{path}: {e}", self.corpus);
        match &self.entries {
            Entries::Folder(folder) => fs::read(folder.join(path)).map_err(|e| broken(&e)),
            Entries::Archive(archive) => {
                // Reading moves the position, so it reads from a clone, which shares the bytes.
                let mut archive = archive.clone();
                let mut entry = archive.by_name(path).map_err(|e| broken(&e))?;
                let mut bytes = Vec::new();
                entry.read_to_end(&mut bytes).map_err(|e| broken(&e))?;
                Ok(bytes)
            }
        }
    }

    /// Returns the content of a file that is packed with gzip (`.gz`) or zstd (`.zst`).
    ///
    /// # Errors
    /// As for [`Files::bytes`]; also if it cannot be unpacked or has another extension.
    pub fn unpacked(&self, path: &str) -> Result<Vec<u8>, String> {
        let packed = self.bytes(path)?;
        let broken = |e: &dyn std::fmt::Display| format!("cannot unpack {}/{path}: {e}", self.corpus);
        let mut bytes = Vec::new();
        if path.ends_with(".gz") {
            flate2::read::MultiGzDecoder::new(packed.as_slice())
                .read_to_end(&mut bytes)
                .map_err(|e| broken(&e))?;
        } else if path.ends_with(".zst") {
            ruzstd::decoding::StreamingDecoder::new(packed.as_slice())
                .map_err(|e| broken(&e))?
                .read_to_end(&mut bytes)
                .map_err(|e| broken(&e))?;
        } else {
            return Err(broken(&"expected the extension .gz or .zst"));
        }
        Ok(bytes)
    }

    /// Returns a file's text; `.gz` is unpacked.
    ///
    /// # Errors
    /// As for [`Files::bytes`] and [`Files::unpacked`]; also if it is not UTF-8.
    pub fn text(&self, path: &str) -> Result<String, String> {
        let bytes = if path.ends_with(".gz") { self.unpacked(path)? } else { self.bytes(path)? };
        String::from_utf8(bytes).map_err(|_| format!("{}/{path} is not UTF-8", self.corpus))
    }

    /// Returns whether there is a file.
    pub fn has(&self, path: &str) -> bool {
        match &self.entries {
            Entries::Folder(folder) => folder.join(path).is_file(),
            Entries::Archive(archive) => archive.index_for_name(path).is_some(),
        }
    }

    /// Returns the paths of the files directly in a folder (`""`: the corpus' own), ascending.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn list(&self, folder: &str) -> Result<Vec<String>, String> {
        let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let mut found = BTreeSet::new();
        match &self.entries {
            Entries::Folder(root) => {
                let broken = |e: std::io::Error| format!("cannot read {}/{folder}: {e}", self.corpus);
                for entry in fs::read_dir(root.join(folder)).map_err(broken)? {
                    let entry = entry.map_err(broken)?;
                    if entry.file_type().map_err(broken)?.is_file() {
                        found.insert(format!("{prefix}{}", entry.file_name().to_string_lossy()));
                    }
                }
            }
            Entries::Archive(archive) => {
                for name in archive.file_names() {
                    let name = name.map_err(|e| format!("{}: {e}", self.corpus))?;
                    if name.strip_prefix(&prefix).is_some_and(|rest| !rest.contains('/')) {
                        found.insert(name.into_owned());
                    }
                }
            }
        }
        Ok(found.into_iter().collect())
    }
}
