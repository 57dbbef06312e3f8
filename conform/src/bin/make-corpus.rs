//! `make-corpus FULL_DIR [OUT_DIR]`: writes the selection of the conformance data into `fixtures/corpus`.

#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(full), out, None) = (arguments.next(), arguments.next(), arguments.next()) else {
        eprintln!("usage: make-corpus FULL_DIR [OUT_DIR]");
        return ExitCode::from(2);
    };
    let out = out.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/corpus"));
    match happy_conform::make::make(&full, &out) {
        Ok(manifest) => {
            for (name, entry) in &manifest {
                println!("{name:<18}{}", entry.rule);
                for (kind, n) in &entry.counts {
                    println!("{:<18}{n:>8} {kind}", "");
                }
            }
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}
