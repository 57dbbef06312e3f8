//! What the owner of a server decides.

use crate::error::ServerError;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// How to serve.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerOptions {
    /// Where to listen. Default: 127.0.0.1:11435. Port 0: any free one. An address that other machines can reach needs
    /// [`api_key`](Self::api_key).
    pub address: SocketAddr,
    /// The key that clients must send, as `Authorization: Bearer KEY` or `x-api-key: KEY`. Default: `None`, no key.
    pub api_key: Option<String>,
    /// The name of the model in answers and lists.
    pub model_name: String,
    /// More names that requests may use for it; `*`: any name. Default: none.
    pub aliases: Vec<String>,
    /// Generations that may wait for a slot; further ones are refused (status 429). 1 to 65,536. Default: 256.
    pub queue: usize,
    /// Most bytes of a request's body. At least 1,024. Default: 16 MiB.
    pub max_body: usize,
    /// Open connections; further ones wait to be accepted. At least 1. Default: 4,096.
    pub max_connections: usize,
    /// How long a client may take to send the headers of a request, or to send the next one. Default: 75 s.
    pub header_timeout: Duration,
    /// How long a client may take to send a body. Default: 60 s.
    pub body_timeout: Duration,
    /// Answer web pages of other origins, and tell browsers so. Default: false: their requests are refused.
    pub cors: bool,
    /// Most bytes of anonymous memory that all models together may plan for. Default: `None`; each model is planned for what the
    /// machine leaves when it is loaded.
    pub memory_budget: Option<u64>,
    /// How long a model stays loaded after its last answer, unless a request says otherwise. Default: `None`; it stays until
    /// another model needs its memory.
    pub keep_alive: Option<Duration>,
    /// How long after the last answer a model that stays loaded gives back the memory of its contexts: keys, values and activations.
    /// The next request then computes its whole prompt, unless [`sessions`](Self::sessions) kept the contexts. Default: 300 s;
    /// `None`: never.
    pub idle_trim: Option<Duration>,
    /// A folder that keeps the contexts of the models, so that chats go on without computing them again. They are written when a model
    /// is let go or gives memory back ([`idle_trim`](Self::idle_trim)) and when the server ends, and read for the model's next request.
    /// Default: `None`.
    pub sessions: Option<PathBuf>,
    /// Names by which requests may address this server besides `localhost` and IP addresses. Default: none. Not checked
    /// where an API key is set.
    pub hosts: Vec<String>,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, Self::PORT)),
            api_key: None,
            model_name: "model".to_owned(),
            aliases: Vec::new(),
            queue: 256,
            max_body: 16 << 20,
            max_connections: 4096,
            header_timeout: Duration::from_secs(75),
            body_timeout: Duration::from_secs(60),
            cors: false,
            memory_budget: None,
            keep_alive: None,
            idle_trim: Some(Duration::from_secs(Self::IDLE_TRIM_SECONDS)),
            sessions: None,
            hosts: Vec::new(),
        }
    }
}

impl ServerOptions {
    /// The port that is listened on by default: the one after Ollama's.
    pub const PORT: u16 = 11435;

    /// The default of [`idle_trim`](Self::idle_trim) in seconds: longer than the pauses of most chats.
    pub const IDLE_TRIM_SECONDS: u64 = 300;

    /// Checks what can be checked without listening.
    ///
    /// # Errors
    /// If a size is out of range, or an address that other machines can reach comes without a key.
    pub fn check(&self) -> Result<(), ServerError> {
        let key = self.api_key.as_deref().unwrap_or_default();
        if key.is_empty() && !self.address.ip().is_loopback() {
            return Err(ServerError::NoKey { address: self.address });
        }
        let sizes = [
            ("the length of the queue", self.queue, 1, 65_536, "1 to 65536"),
            ("the size of a body", self.max_body, 1024, usize::MAX, "at least 1024 bytes"),
            ("the number of connections", self.max_connections, 1, 1 << 20, "1 to 1048576"),
        ];
        match sizes.into_iter().find(|(_, n, least, most, _)| n < least || n > most) {
            Some((what, found, _, _, expected)) => Err(ServerError::Option { what, found, expected }),
            None => Ok(()),
        }
    }
}
