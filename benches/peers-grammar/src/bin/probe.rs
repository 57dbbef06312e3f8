//! The probe of one peer, which a feature chooses; without one, the program that all probes share.

use std::process::ExitCode;

use peers_grammar::Peer;

#[cfg(feature = "happy-grammar")]
#[path = "../peers/happy.rs"]
mod peer;
#[cfg(feature = "llguidance")]
#[path = "../peers/llguidance.rs"]
mod peer;
#[cfg(not(any(feature = "happy-grammar", feature = "llguidance")))]
#[path = "../peers/nobody.rs"]
mod peer;

fn main() -> ExitCode {
    let peer: Peer = peer::PEER;
    if cfg!(feature = "small") {
        let file = |i| std::env::args().nth(i).unwrap_or_default();
        return peers_grammar::follow(&peer, &file(1), &file(2), &file(3)).unwrap_or(ExitCode::FAILURE);
    }
    peers_grammar::main(&peer)
}
