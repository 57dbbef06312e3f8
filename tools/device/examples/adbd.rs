//! A phone of software for `cargo xtask device-test`, by hand: the daemon that its tests use.
//!
//! ```text
//! cargo run -p happy-tool-device --example adbd -- FOLDER [FAULT]     prints its serial number, keeps its files in FOLDER, runs until killed
//! adb connect SERIAL; cargo xtask device-test --serial SERIAL --filter sampler
//! ```

#![forbid(unsafe_code)]

#[path = "../tests/device/adbd/mod.rs"]
mod adbd;

use adbd::{Daemon, Fault};
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (folder, fault) = (arguments.next(), arguments.next().unwrap_or_else(|| "none".into()));
    let fault = Fault::NAMES.iter().find(|(name, _)| *name == fault).map(|(_, fault)| *fault);
    let (Some(folder), Some(fault)) = (folder, fault) else {
        let names: Vec<&str> = Fault::NAMES.iter().map(|(name, _)| *name).collect();
        eprintln!("usage: adbd FOLDER [{}]", names.join("|"));
        return ExitCode::from(2);
    };
    match Daemon::start(Path::new(&folder), 0, fault) {
        Ok(daemon) => {
            println!("{}, files in {}", daemon.serial(), daemon.files().display());
            loop {
                std::thread::park();
            }
        }
        Err(e) => {
            eprintln!("error: cannot start in {folder}: {e}");
            ExitCode::FAILURE
        }
    }
}
