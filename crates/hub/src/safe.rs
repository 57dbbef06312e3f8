//! Checks everything that becomes part of a path or an address: repository names, revisions, file paths and hashes. They come from
//! users, servers and other programs' files, and must not lead out of the cache.

/// Maximum length of a path within a repository, and of each of its names (most file systems allow 255 bytes).
const MAX_PATH: usize = 1024;
const MAX_NAME: usize = 240;
/// Maximum number of parts of a path.
const MAX_DEPTH: usize = 16;

/// Names of devices on Windows, in any folder and with any ending.
const DEVICES: &[&str] = &["con", "prn", "aux", "nul"];

/// Checks that a path within a repository is relative and consists of plain names on every system. Otherwise, returns what is wrong.
pub(crate) fn file_path(path: &str) -> Result<(), &'static str> {
    if path.is_empty() || path.len() > MAX_PATH {
        return Err("a path of 1 to 1,024 bytes is needed");
    }
    if path.split('/').count() > MAX_DEPTH {
        return Err("a path has at most 16 parts");
    }
    path.split('/').try_for_each(file_name)
}

fn file_name(name: &str) -> Result<(), &'static str> {
    if name.is_empty() || name.len() > MAX_NAME {
        return Err("each part of a path has 1 to 240 bytes");
    }
    if name == "." || name == ".." {
        return Err("`.` and `..` are not allowed in a path");
    }
    if name.chars().any(|c| c.is_control() || matches!(c, '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|')) {
        return Err("a path has no control characters and none of \\ : * ? \" < > |");
    }
    // Windows drops them, so that two names would be the same file.
    if name.ends_with(['.', ' ']) || name.starts_with(' ') {
        return Err("a name does not begin or end with a space, nor end with a dot");
    }
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_ascii_lowercase();
    let numbered =
        |prefix: &str| stem.strip_prefix(prefix).is_some_and(|rest| matches!(rest.as_bytes(), [b'0'..=b'9']));
    if DEVICES.contains(&stem.as_str()) || numbered("com") || numbered("lpt") {
        return Err("the name is that of a device on Windows");
    }
    Ok(())
}

/// Checks that a repository name is allowed on the Hugging Face Hub. Otherwise, returns what is wrong.
pub(crate) fn repo(name: &str) -> Result<(), &'static str> {
    let Some((owner, repo)) = name.split_once('/') else { return Err("a repository is `owner/repo`") };
    for part in [owner, repo] {
        if part.is_empty() || part.len() > 96 {
            return Err("owner and repository have 1 to 96 characters");
        }
        if !part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.')) {
            return Err("owner and repository have only letters, digits, `-`, `_` and `.`");
        }
        // `--` means the slash in the cache's folder names.
        if part.contains("--")
            || part.contains("..")
            || part.starts_with(['-', '.'])
            || part.ends_with(['-', '.'])
        {
            return Err(
                "owner and repository neither begin nor end with `-` or `.`, and have neither `--` nor `..`",
            );
        }
    }
    Ok(())
}

/// Checks a branch, tag or commit. Otherwise, returns what is wrong.
pub(crate) fn revision(name: &str) -> Result<(), &'static str> {
    if name.bytes().any(|b| !(b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'/'))) {
        return Err("a revision has only letters, digits, `-`, `_`, `.` and `/`");
    }
    file_path(name)
}

/// Returns whether a text is a commit of the hub.
pub(crate) fn is_commit(text: &str) -> bool {
    text.len() == 40 && is_hex(text)
}

/// Returns whether a text is a SHA-256 in lower-case hexadecimal.
pub(crate) fn is_sha256(text: &str) -> bool {
    text.len() == 64 && is_hex(text)
}

/// Returns whether a text is the name of a file in `blobs`: a SHA-256, or git's SHA-1.
pub(crate) fn is_blob(text: &str) -> bool {
    is_commit(text) || is_sha256(text)
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Paths with which other programs were attacked, and paths that break on some system.
    const HOSTILE_PATHS: &[&str] = &[
        "",
        "/",
        "/etc/passwd",
        "..",
        "../a.gguf",
        "a/../../b.gguf",
        "a/..",
        "./a",
        "a/./b",
        "a//b",
        "a/",
        "//a",
        "..\\a",
        "a\\b",
        "C:\\a",
        "C:/a",
        "c:a",
        "\\\\server\\share",
        "a\0b",
        "a\nb",
        "a\r\nb",
        "\u{7f}",
        "a\u{85}b",
        "con",
        "CON.gguf",
        "aux.tar.gz",
        "dir/NUL",
        "com1",
        "LPT9.gguf",
        "a.",
        "a ",
        " a",
        "a./b",
        "a?b",
        "a*b",
        "a|b",
        "a<b",
        "a\"b",
        "a:stream",
        "...",
        "a/.../b ",
    ];

    #[test]
    fn paths_stay_inside() {
        for path in HOSTILE_PATHS {
            assert!(file_path(path).is_err(), "{path:?}");
        }
        assert!(file_path(&"a/".repeat(16)).is_err());
        assert!(file_path(&"a".repeat(241)).is_err());
        for path in
            ["a.gguf", "Q4_K_M/a-00001-of-00002.gguf", "com.gguf", "con2.gguf", ".hidden", "ä b.gguf", "a..b"]
        {
            assert_eq!(file_path(path), Ok(()), "{path:?}");
        }
    }

    #[test]
    fn repositories_and_revisions_are_plain() {
        for name in [
            "a", "a/b/c", "/b", "a/", "a/..", "../b", "a/b--c", "a/b..c", "-a/b", "a/b.", "a/b c", "a/b%2f",
            "a/ä",
        ] {
            assert!(repo(name).is_err(), "{name:?}");
        }
        assert_eq!(repo("bartowski/Llama-3.2-1B-Instruct-GGUF"), Ok(()));
        for name in ["", "..", "a/../b", "/a", "a b", "a\nb", "a?b", "refs//x"] {
            assert!(revision(name).is_err(), "{name:?}");
        }
        assert_eq!(revision("refs/pr/1"), Ok(()));
    }

    #[test]
    fn hashes_have_their_length_and_case() {
        let sha = "0123456789abcdef".repeat(4);
        assert!(is_sha256(&sha) && is_blob(&sha) && is_blob(&sha[..40]) && is_commit(&sha[..40]));
        assert!(
            !is_sha256(&sha.to_uppercase()) && !is_sha256(&sha[1..]) && !is_blob(&sha[..41]) && !is_blob("")
        );
    }
}
