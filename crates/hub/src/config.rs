//! The cache folder, the hub's address and the token, from the variables that the Hugging Face tools use.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use crate::error::Error;
use crate::url::Url;

/// The hub's address, unless `HF_ENDPOINT` names a mirror.
const ENDPOINT: &str = "https://huggingface.co";

/// Settings of a [`Hub`](crate::Hub).
///
/// [`Config::from_env`] reads the variables that the Hugging Face tools read, so that downloads are shared with them:
///
/// | variable | effect |
/// |---|---|
/// | `HF_HUB_CACHE`, otherwise `HUGGINGFACE_HUB_CACHE` | the cache folder |
/// | `HF_HOME` | the cache is its folder `hub`, and the token is in its file `token` |
/// | `XDG_CACHE_HOME` | the default of `HF_HOME` is its folder `huggingface`. Without it, the default is `~/.cache/huggingface` |
/// | `HF_ENDPOINT` | the address of a mirror |
/// | `HF_TOKEN`, otherwise the file `HF_TOKEN_PATH` | the access token |
/// | `HF_HUB_DISABLE_IMPLICIT_TOKEN` | the token's file is not read |
/// | `HF_HUB_OFFLINE` | the network is not used |
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The cache folder. It is created when it is needed.
    pub cache: PathBuf,
    /// The address of the hub, without a slash at its end.
    pub endpoint: String,
    /// The access token, for gated and private repositories. Only the endpoint's own host gets it.
    pub token: Option<Token>,
    /// Whether to use only the cache, and never the network. The default is false.
    pub offline: bool,
}

/// An access token. Its debug output does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// Makes a token. Returns `None` if it is empty or has characters that a header cannot contain.
    pub fn new(token: impl Into<String>) -> Option<Self> {
        let token: String = token.into();
        let token = token.trim();
        let plain = !token.is_empty() && token.len() <= 4096 && token.bytes().all(|b| b.is_ascii_graphic());
        plain.then(|| Self(token.to_owned()))
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

impl Config {
    /// Makes settings with this cache folder, the default endpoint and no token. This is for apps, which have folders of their own.
    pub fn new(cache: impl Into<PathBuf>) -> Self {
        Self { cache: cache.into(), endpoint: ENDPOINT.to_owned(), token: None, offline: false }
    }

    /// Reads the environment.
    ///
    /// # Errors
    /// If no variable determines the cache folder, or `HF_ENDPOINT` is not an address.
    pub fn from_env() -> Result<Self, Error> {
        Self::from_vars(|name| std::env::var_os(name))
    }

    /// Does the same as [`Config::from_env`], with variables from a function.
    ///
    /// # Errors
    /// As for [`Config::from_env`].
    pub fn from_vars(var: impl Fn(&str) -> Option<OsString>) -> Result<Self, Error> {
        let var = |name: &str| var(name).filter(|value| !value.is_empty());
        let user = || ["HOME", "USERPROFILE"].into_iter().find_map(var).map(PathBuf::from);
        let path = |name: &str| {
            let path = PathBuf::from(var(name)?);
            Some(match (path.strip_prefix("~"), user()) {
                (Ok(rest), Some(user)) => user.join(rest),
                _ => path,
            })
        };
        let home = path("HF_HOME")
            .or_else(|| Some(path("XDG_CACHE_HOME")?.join("huggingface")))
            .or_else(|| Some(user()?.join(".cache").join("huggingface")));
        let cache = path("HF_HUB_CACHE")
            .or_else(|| path("HUGGINGFACE_HUB_CACHE"))
            .or_else(|| Some(home.as_ref()?.join("hub")))
            .ok_or_else(|| Error::NotFound {
                what: "the cache folder".into(),
                problem: "neither HF_HUB_CACHE, HF_HOME, XDG_CACHE_HOME nor HOME is set".into(),
            })?;
        let text = |name: &str| var(name).and_then(|value| value.into_string().ok());
        let flag = |name: &str| {
            let value = text(name).unwrap_or_default().to_ascii_lowercase();
            matches!(value.as_str(), "1" | "on" | "yes" | "true")
        };
        let endpoint = text("HF_ENDPOINT").unwrap_or_else(|| ENDPOINT.to_owned());
        let endpoint = endpoint.trim_end_matches('/').to_owned();
        Url::parse(&endpoint).map_err(|problem| Error::Name {
            name: crate::error::shown(&endpoint),
            problem: format!("HF_ENDPOINT: {problem}"),
        })?;
        let file = || {
            if flag("HF_HUB_DISABLE_IMPLICIT_TOKEN") {
                return None;
            }
            let path = path("HF_TOKEN_PATH").or_else(|| Some(home.as_ref()?.join("token")))?;
            std::fs::read_to_string(path).ok()
        };
        let token = text("HF_TOKEN").or_else(file).and_then(Token::new);
        Ok(Self { cache, endpoint, token, offline: flag("HF_HUB_OFFLINE") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(vars: &[(&str, &str)]) -> Result<Config, Error> {
        Config::from_vars(|name| vars.iter().find(|(n, _)| *n == name).map(|(_, value)| value.into()))
    }

    #[test]
    fn the_first_variable_that_is_set_wins() {
        let all = [
            ("HF_HUB_CACHE", "/a", "/a"),
            ("HUGGINGFACE_HUB_CACHE", "/b", "/b"),
            ("HF_HOME", "~/c", "/home/me/c/hub"),
            ("XDG_CACHE_HOME", "/d", "/d/huggingface/hub"),
            ("HOME", "/home/me", "/home/me/.cache/huggingface/hub"),
        ];
        for first in 0..all.len() {
            let vars: Vec<_> = all[first..].iter().map(|(name, value, _)| (*name, *value)).collect();
            assert_eq!(config(&vars).unwrap().cache, PathBuf::from(all[first].2), "{}", all[first].0);
        }
        assert!(config(&[("HF_HUB_CACHE", "")]).is_err());
    }

    #[test]
    fn endpoint_token_and_offline() {
        let dir = std::env::temp_dir().join(format!("happy-hub-config-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("token"), "hf_file\n").unwrap();
        let home = ("HF_HOME", dir.to_str().unwrap());
        let of_file = config(&[home, ("HF_HUB_OFFLINE", "ON")]).unwrap();
        assert_eq!((of_file.token, of_file.offline), (Token::new("hf_file"), true));
        let of_var = config(&[home, ("HF_TOKEN", "hf_var"), ("HF_ENDPOINT", "http://mirror:8080/")]).unwrap();
        assert_eq!((of_var.token.clone(), of_var.offline), (Token::new("hf_var"), false));
        assert_eq!(of_var.endpoint, "http://mirror:8080");
        assert!(!format!("{of_var:?}").contains("hf_var"));
        assert_eq!(config(&[home, ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")]).unwrap().token, None);
        assert!(config(&[home, ("HF_ENDPOINT", "mirror")]).is_err());
        assert_eq!(Token::new("a\r\nX: y"), None);
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
