//! The probe of one peer, which a feature chooses; without one, the program that all probes share.

use std::process::ExitCode;

use peers_gguf::Peer;

#[cfg(feature = "candle-core")]
#[path = "../peers/candle.rs"]
mod peer;
#[cfg(feature = "gguf")]
#[path = "../peers/gguf.rs"]
mod peer;
#[cfg(feature = "gguf-rs")]
#[path = "../peers/gguf_rs.rs"]
mod peer;
#[cfg(feature = "gguf-rs-lib")]
#[path = "../peers/gguf_rs_lib.rs"]
mod peer;
#[cfg(feature = "ggus")]
#[path = "../peers/ggus.rs"]
mod peer;
#[cfg(feature = "happy-gguf")]
#[path = "../peers/happy.rs"]
mod peer;
#[cfg(not(any(
    feature = "candle-core",
    feature = "gguf",
    feature = "gguf-rs",
    feature = "gguf-rs-lib",
    feature = "ggus",
    feature = "happy-gguf"
)))]
#[path = "../peers/nobody.rs"]
mod peer;

fn main() -> ExitCode {
    let peer: Peer = peer::PEER;
    if cfg!(feature = "small") {
        let file = std::env::args().nth(1).unwrap_or_default();
        return peers_gguf::read(peer.read, &file);
    }
    peers_gguf::main(&peer)
}
