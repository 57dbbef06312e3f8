//! Names of models, as users type them.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::alias_table::{ALIASES, Alias};
use crate::error::{Error, shown};
use crate::safe;
use crate::url::Url;

/// The branch of a name without a revision.
pub(crate) const MAIN: &str = "main";

/// The name of a model.
///
/// | name | meaning |
/// |---|---|
/// | `hf:owner/repo` | the repository's usual quantization: Q4_K_M if it has one |
/// | `hf:owner/repo:Q8_0` | a quantization, in upper or lower case |
/// | `hf:owner/repo/folder/file.gguf` | a file |
/// | `hf:owner/repo@revision:Q8_0` | a branch, tag or commit |
/// | `https://host/path/file.gguf` | a file anywhere. Pages and files on huggingface.co become `hf:` names |
/// | `qwen3-0.6b`, `qwen3-0.6b:Q4_0` | an entry of [`ALIASES`], in upper or lower case |
/// | `folder/file.gguf`, `./file`, `~/file` | a file on this device |
///
/// ```
/// use happy_hub::Name;
/// let name: Name = "hf:owner/repo:q8_0".parse()?;
/// assert!(matches!(&name, Name::Repo { quant: Some(quant), .. } if quant == "q8_0"));
/// let name: Name = "https://huggingface.co/owner/repo/blob/main/a.gguf".parse()?;
/// assert_eq!(name.to_string(), "hf:owner/repo/a.gguf");
/// assert!(matches!("models/a.gguf".parse()?, Name::Path(_)));
/// assert!("hf:owner/../repo".parse::<Name>().is_err());
/// # Ok::<(), happy_hub::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Name {
    /// A repository of the Hugging Face Hub, from which one quantization is chosen.
    Repo {
        /// `owner/repo`.
        repo: String,
        /// A branch, tag or commit.
        revision: String,
        /// The quantization, which is part of the file's name; `None` for the usual one.
        quant: Option<String>,
    },
    /// A file of such a repository. For a split model, any part names the whole.
    File {
        /// `owner/repo`.
        repo: String,
        /// A branch, tag or commit.
        revision: String,
        /// The path within the repository.
        file: String,
    },
    /// The address of a file.
    Url(String),
    /// A file on this device.
    Path(PathBuf),
}

impl FromStr for Name {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        let wrong = |problem: &str| Error::Name { name: shown(text), problem: problem.to_owned() };
        if let Some(rest) = text.strip_prefix("hf:") {
            return on_the_hub(rest).map_err(wrong);
        }
        if text.contains("://") {
            let url = Url::parse(text).map_err(wrong)?;
            return match page(&url) {
                Some(name) => on_the_hub(&name).map_err(wrong),
                None => Ok(Self::Url(text.to_owned())),
            };
        }
        let (alias, quant) = text.split_once(':').map_or((text, None), |(a, q)| (a, Some(q)));
        if let Some(entry) = Alias::find(alias) {
            let (repo, revision) = (entry.repo.to_owned(), MAIN.to_owned());
            quant.map_or(Ok(()), check_quant).map_err(wrong)?;
            return Ok(match quant {
                Some(quant) => Self::Repo { repo, revision, quant: Some(quant.to_owned()) },
                None => Self::File { repo, revision, file: entry.file.to_owned() },
            });
        }
        let is_path = text.contains(['/', '\\']) || text.to_ascii_lowercase().ends_with(".gguf");
        if is_path && !text.contains('\0') {
            return Ok(Self::Path(home(text)));
        }
        Err(wrong(&unknown(alias)))
    }
}

/// Prints a name that can be parsed again. Only the query of an address is left out.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = |revision: &str| match revision {
            MAIN => String::new(),
            revision => format!("@{revision}"),
        };
        match self {
            Self::Repo { repo, revision, quant } => {
                write!(f, "hf:{repo}{}", at(revision))?;
                quant.as_ref().map_or(Ok(()), |quant| write!(f, ":{quant}"))
            }
            Self::File { repo, revision, file } => write!(f, "hf:{repo}{}/{file}", at(revision)),
            // The query of a signed address contains a secret.
            Self::Url(url) => f.write_str(url.split('?').next().unwrap_or_default()),
            Self::Path(path) => write!(f, "{}", path.display()),
        }
    }
}

/// `owner/repo[@revision][:quant]` or `owner/repo[@revision]/file`.
fn on_the_hub(text: &str) -> Result<Name, &'static str> {
    let mut parts = text.splitn(3, '/');
    let (Some(owner), Some(second)) = (parts.next(), parts.next()) else {
        return Err("a repository is `hf:owner/repo`");
    };
    let file = parts.next();
    let (second, quant) = match second.split_once(':') {
        Some((second, quant)) if file.is_none() => (second, Some(quant)),
        _ => (second, None),
    };
    let (name, revision) = second.split_once('@').unwrap_or((second, MAIN));
    let repo = format!("{owner}/{name}");
    safe::repo(&repo)?;
    safe::revision(revision)?;
    let revision = revision.to_owned();
    match file {
        Some(file) => {
            safe::file_path(file)?;
            Ok(Name::File { repo, revision, file: file.to_owned() })
        }
        None => {
            quant.map_or(Ok(()), check_quant)?;
            Ok(Name::Repo { repo, revision, quant: quant.map(str::to_owned) })
        }
    }
}

fn check_quant(quant: &str) -> Result<(), &'static str> {
    let plain = quant.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    if quant.is_empty() || quant.len() > 64 || !plain {
        return Err("a quantization is a part of a file name, such as Q4_K_M");
    }
    Ok(())
}

/// Returns the `hf:` name of a page or file on huggingface.co, as users copy it from their browser.
fn page(url: &Url) -> Option<String> {
    if !url.is_https() || !matches!(url.host(), "huggingface.co" | "hf.co") {
        return None;
    }
    let parts: Vec<&str> = url.path().trim_matches('/').splitn(5, '/').collect();
    match parts[..] {
        [owner, repo] | [owner, repo, "tree", MAIN] => Some(format!("{owner}/{repo}")),
        [owner, repo, "blob" | "resolve", revision, file] => {
            Some(format!("{owner}/{repo}@{revision}/{file}"))
        }
        _ => None,
    }
}

fn unknown(text: &str) -> String {
    let start: String = text.chars().take_while(|c| c.is_ascii_alphabetic()).collect();
    let near = |alias: &&Alias| !start.is_empty() && alias.name.starts_with(&start.to_ascii_lowercase());
    let near: Vec<&str> = ALIASES.iter().filter(near).map(|alias| alias.name).collect();
    let hint = if near.is_empty() { String::new() } else { format!("; similar: {}", near.join(", ")) };
    format!(
        "it is neither a known short name, nor hf:owner/repo, https://..., or a path to a .gguf file{hint}"
    )
}

/// Replaces `~/` in a path by the user's folder, for names that no shell has expanded.
fn home(text: &str) -> PathBuf {
    let home = ["HOME", "USERPROFILE"].into_iter().find_map(std::env::var_os);
    match (text.strip_prefix("~/"), home) {
        (Some(rest), Some(home)) => PathBuf::from(home).join(rest),
        _ => PathBuf::from(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_distinguished_and_print_as_typed() {
        for (text, shown) in [
            ("hf:a/b", "hf:a/b"),
            (" hf:a/b:Q4_0 ", "hf:a/b:Q4_0"),
            ("hf:a/b@v1.0:Q4_0", "hf:a/b@v1.0:Q4_0"),
            ("hf:a/b/c/d.gguf", "hf:a/b/c/d.gguf"),
            ("hf:a/b@main/c.gguf", "hf:a/b/c.gguf"),
            ("https://huggingface.co/a/b", "hf:a/b"),
            ("https://huggingface.co/a/b/tree/main", "hf:a/b"),
            ("https://huggingface.co/a/b/resolve/abc/c.gguf?download=true", "hf:a/b@abc/c.gguf"),
            ("https://host/c.gguf?signature=secret", "https://host/c.gguf"),
            ("models/c.gguf", "models/c.gguf"),
            ("c.GGUF", "c.GGUF"),
            ("./c", "./c"),
        ] {
            let name: Name = text.parse().unwrap();
            assert_eq!(name.to_string(), shown, "{text}");
        }
        for alias in ALIASES {
            let name: Name = alias.name.to_ascii_uppercase().parse().unwrap();
            assert_eq!(name.to_string(), format!("hf:{}/{}", alias.repo, alias.file));
            let name: Name = format!("{}:Q8_0", alias.name).parse().unwrap();
            assert_eq!(name.to_string(), format!("hf:{}:Q8_0", alias.repo));
        }
    }

    #[test]
    fn hostile_names_are_refused() {
        for text in [
            "",
            "hf:",
            "hf:a",
            "hf:../b",
            "hf:a/..",
            "hf:a/b/../c.gguf",
            "hf:a/b//c.gguf",
            "hf:a/b:",
            "hf:a/b:Q4/0",
            "hf:a/b@:Q4_0",
            "hf:a/b@../x",
            "hf:a/b/c\\d.gguf",
            "hf:a/b/c:d",
            "hf:a/b?x",
            "ftp://a/b.gguf",
            "https://user:password@host/a.gguf",
            "no-such-model",
            "a\0/b.gguf",
            "https://huggingface.co/a/b/resolve/main/../../x.gguf",
        ] {
            assert!(text.parse::<Name>().is_err(), "{text:?}");
        }
        let error = "qwen9".parse::<Name>().unwrap_err().to_string();
        assert!(error.contains("similar: qwen"), "{error}");
    }
}
