//! Parses the hub's description of a repository.

use serde::Deserialize;

use crate::error::{Error, shown};
use crate::remote::MAX_FILE;
use crate::safe;

/// Maximum size of the answer in bytes, and maximum number of files.
pub(crate) const MAX_LISTING: u64 = 32 << 20;
const MAX_FILES: usize = 20_000;

/// A repository at one commit.
#[derive(Clone, Debug, Default)]
pub(crate) struct Listing {
    pub(crate) commit: String,
    /// The license that a tag of the repository names.
    pub(crate) license: Option<String>,
    /// The `.gguf` files.
    pub(crate) files: Vec<Listed>,
}

/// A file of a repository, or of a snapshot in the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) path: String,
    pub(crate) size: u64,
    pub(crate) sha256: Option<String>,
}

#[derive(Deserialize)]
struct Answer {
    sha: String,
    #[serde(default)]
    siblings: Vec<Sibling>,
    #[serde(default)]
    tags: Vec<String>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
    size: Option<u64>,
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    #[serde(alias = "oid")]
    sha256: Option<String>,
    size: Option<u64>,
}

/// Parses the answer of `/api/models/{repo}/revision/{revision}?blobs=true`. Files are left out if they are not `.gguf`, or if their
/// paths would be unsafe or ambiguous on some system.
pub(crate) fn parse(url: &str, json: &[u8]) -> Result<Listing, Error> {
    let wrong = |expected: &str, found: String| Error::Protocol {
        url: url.to_owned(),
        expected: expected.to_owned(),
        found,
    };
    // serde_json bounds the depth.
    let answer: Answer = serde_json::from_slice(json)
        .map_err(|error| wrong("the hub's description of a repository", shown(&error.to_string())))?;
    if !safe::is_commit(&answer.sha) {
        return Err(wrong("a commit of 40 hexadecimal digits", format!("`{}`", shown(&answer.sha))));
    }
    let listed = |sibling: Sibling| {
        let (sha256, lfs_size) = sibling.lfs.map_or((None, None), |lfs| (lfs.sha256, lfs.size));
        let size = lfs_size.or(sibling.size).filter(|size| (1..=MAX_FILE).contains(size))?;
        let is_gguf = sibling.rfilename.to_ascii_lowercase().ends_with(".gguf");
        let usable = is_gguf && safe::file_path(&sibling.rfilename).is_ok();
        let sha256 = sha256.filter(|sha256| safe::is_sha256(sha256));
        usable.then_some(Listed { path: sibling.rfilename, size, sha256 })
    };
    let mut files: Vec<Listed> = answer.siblings.into_iter().filter_map(listed).take(MAX_FILES).collect();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files.dedup_by(|a, b| a.path == b.path);
    let license = answer.tags.iter().find_map(|tag| tag.strip_prefix("license:")).map(shown);
    Ok(Listing { commit: answer.sha, license, files })
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    #[test]
    fn a_listing_is_read() {
        let sha = "ab".repeat(32);
        let json = format!(
            r#"{{"sha":"{COMMIT}","tags":["gguf","license:mit"],"other":[[{{}}]],"siblings":[
            {{"rfilename":"README.md","size":3}}, {{"rfilename":"b.gguf","size":5,"lfs":{{"sha256":"{sha}","size":7,"pointerSize":1}}}},
            {{"rfilename":"a.GGUF","size":5,"lfs":null}}, {{"rfilename":"c.gguf"}}, {{"rfilename":"../d.gguf","size":1}},
            {{"rfilename":"C:\\e.gguf","size":1}}, {{"rfilename":"f.gguf","size":0}}, {{"rfilename":"b.gguf","size":9}}]}}"#
        );
        let listing = parse("x", json.as_bytes()).unwrap();
        assert_eq!((listing.commit.as_str(), listing.license.as_deref()), (COMMIT, Some("mit")));
        let expected = [("a.GGUF", 5, None), ("b.gguf", 7, Some(sha))];
        let found: Vec<_> =
            listing.files.iter().map(|f| (f.path.as_str(), f.size, f.sha256.clone())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn hostile_listings_are_errors() {
        let deep = format!(r#"{{"sha":"{COMMIT}","x":{}"#, "[".repeat(100_000));
        for json in
            ["", "{}", "[]", "null", r#"{"sha":7}"#, r#"{"sha":"../../x"}"#, r#"{"sha":"ABC"}"#, &deep]
        {
            assert!(matches!(parse("x", json.as_bytes()), Err(Error::Protocol { .. })), "{}", shown(json));
        }
        for size in ["-1", "1e3", "18446744073709551616", "\"7\""] {
            let json = format!(r#"{{"sha":"{COMMIT}","siblings":[{{"rfilename":"a.gguf","size":{size}}}]}}"#);
            assert!(parse("x", json.as_bytes()).is_err(), "{size}");
        }
        let json = format!(
            r#"{{"sha":"{COMMIT}","siblings":[{{"rfilename":"a.gguf","size":18446744073709551615}}]}}"#
        );
        assert_eq!(parse("x", json.as_bytes()).unwrap().files, []);
    }
}
