//! The options of a server.

use crate::downloads::Downloads;
use crate::error::ServerError;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// Options of a server.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerOptions {
    /// The address to listen on. Port 0 stands for any free port. Default: 127.0.0.1:11435. An address that other machines can reach needs
    /// [`api_key`](Self::api_key).
    pub address: SocketAddr,
    /// The key that clients must send as `Authorization: Bearer KEY` or `x-api-key: KEY`. Default: `None`, no key is needed.
    pub api_key: Option<String>,
    /// The name of the first model in requests, answers and lists, if the caller loaded it. Default: `model`.
    pub model_name: String,
    /// Further names for the first model. `*` stands for any name. Default: none.
    pub aliases: Vec<String>,
    /// Maximum number of generations that wait for a slot of a model, 1 to 65,536. Further ones are refused with status 429. Default: 256.
    pub queue: usize,
    /// Maximum size of a request's body in bytes, at least 1,024. Default: 16 MiB.
    pub max_body: usize,
    /// Maximum number of open connections, 1 to 1,048,576. Further ones wait to be accepted. Default: 4,096.
    pub max_connections: usize,
    /// How long a connection may wait for the complete headers of its next request. Default: 75 s.
    pub header_timeout: Duration,
    /// How long a client may take to send a body. Slower requests are refused with status 408. Default: 60 s.
    pub body_timeout: Duration,
    /// Whether web pages of other origins may use the server. Default: false, their requests are refused with status 403.
    pub cors: bool,
    /// Maximum anonymous memory in bytes that all models together plan for. Default: `None`, each model is planned for the memory that is
    /// free when it is loaded.
    pub memory_budget: Option<u64>,
    /// How long a model stays loaded after its last answer, unless a request says otherwise. Default: `None`, it stays until
    /// another model needs its memory.
    pub keep_alive: Option<Duration>,
    /// How long after the last answer a model that stays loaded gives back the memory of its contexts: keys, values and activations.
    /// The next request then computes its whole prompt, unless [`sessions`](Self::sessions) kept the contexts. Default: 300 s;
    /// `None`: never.
    pub idle_trim: Option<Duration>,
    /// A folder that keeps the contexts of the models, so that chats go on without computing them again. They are written when a model
    /// is unloaded or gives memory back ([`idle_trim`](Self::idle_trim)) and when the server ends, and read for the model's next request.
    /// Default: `None`.
    pub sessions: Option<PathBuf>,
    /// Lets clients download models, and serves the models in the hub's cache. Default: `None`, nothing is downloaded.
    pub downloads: Option<Downloads>,
    /// Host names by which requests may address this server, besides `localhost` and IP addresses. Default: none. They are not checked
    /// if an API key is set.
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
            downloads: None,
            hosts: Vec::new(),
        }
    }
}

impl ServerOptions {
    /// The default port, which is the one after Ollama's.
    pub const PORT: u16 = 11435;

    /// The default of [`idle_trim`](Self::idle_trim) in seconds: longer than the pauses of most chats.
    pub const IDLE_TRIM_SECONDS: u64 = 300;

    /// Checks the options, before a model is loaded.
    ///
    /// # Errors
    /// If a number is out of range, or the address can be reached from other machines and no key is set.
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
