//! Makes the selection in the repository (`fixtures/corpus`) from the full data.
//!
//! ```text
//! for each corpus:  select files and parts of files       select.rs; which vocabularies and templates: licenses.rs
//!                   NAME.zip: entries sorted, no times, packed by the same code everywhere
//! manifest.json:    per corpus the rule, licenses, numbers of cases, SHA-256 of the archive and of each full file
//! ```
//!
//! The same full data give the same bytes.

mod licenses;
mod pack;
mod select;

use crate::data;
use happy_testkit::Corpus;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Maximum size in bytes of the whole selection in the repository.
pub const MAX_BYTES: u64 = 16 << 20;

/// The manifest's entry for one corpus.
#[derive(Serialize, Deserialize)]
pub struct Entry {
    /// What is selected from the full data, in words.
    pub rule: String,
    /// Where the data come from and under which licenses.
    pub licenses: String,
    /// How many items of each kind were selected.
    pub counts: BTreeMap<String, usize>,
    /// SHA-256 of the archive.
    pub archive_sha256: String,
    /// SHA-256 of each file of the full data that was read.
    pub full_sha256: BTreeMap<String, String>,
}

/// The manifest: an entry per corpus.
pub type Manifest = BTreeMap<String, Entry>;

/// A corpus that is being selected.
#[derive(Default)]
struct Selection {
    counts: BTreeMap<String, usize>,
    full_sha256: BTreeMap<String, String>,
    /// What goes into the archive.
    files: BTreeMap<String, Vec<u8>>,
}

/// Writes the archives and `manifest.json` into `out`, and returns the manifest.
///
/// # Errors
/// If a file of the full data is missing or has an unexpected form, the selection is too large, or a file cannot be
/// written.
pub fn make(full: &Path, out: &Path) -> Result<Manifest, String> {
    let corpus = Corpus::at(full.to_owned());
    let mut manifest = Manifest::new();
    let mut total = 0;
    let broken = |e: std::io::Error| format!("cannot write into {}: {e}", out.display());
    fs::create_dir_all(out).map_err(broken)?;
    for (name, rule, licenses, select) in select::CORPORA {
        let mut selection = Selection::default();
        select(&corpus.open(name)?, &mut selection)?;
        let archive = pack::archive(&selection.files)?;
        total += archive.len() as u64;
        // Written before the limit is checked, so that a selection that is too large can be examined.
        fs::write(out.join(format!("{name}.zip")), &archive).map_err(broken)?;
        let Selection { counts, full_sha256, .. } = selection;
        let entry = Entry {
            rule: (*rule).into(),
            licenses: (*licenses).into(),
            counts,
            archive_sha256: data::sha256(&archive),
            full_sha256,
        };
        manifest.insert((*name).into(), entry);
    }
    let mut text = serde_json::to_string_pretty(&manifest).map_err(|e| e.to_string())?;
    text.push('\n');
    total += text.len() as u64;
    fs::write(out.join("manifest.json"), text).map_err(broken)?;
    if total > MAX_BYTES {
        return Err(format!("the selection has {total} bytes, at most {MAX_BYTES}"));
    }
    Ok(manifest)
}
