//! How the shared library is linked: with its name in it, so that what links to it does not record a path; on Android for
//! pages of 16 KiB, which newer devices have.

use std::path::Path;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=RUSTC_LINKER");
    let os = std::env::var("CARGO_CFG_TARGET_OS").unwrap_or_default();
    if os == "linux" || os == "android" {
        link("-soname=libhappy.so");
    }
    if os == "android" {
        link("-zmax-page-size=16384");
    }
}

/// Tells the linker, which is a C compiler unless its name says otherwise, as rustc decides it.
fn link(argument: &str) {
    let linker = std::env::var("RUSTC_LINKER").unwrap_or_default();
    let name = Path::new(&linker).file_stem().map(|name| name.to_string_lossy().into_owned());
    let compiler = !name.is_some_and(|name| name.ends_with("lld") || name == "ld");
    println!("cargo::rustc-cdylib-link-arg={}{argument}", if compiler { "-Wl," } else { "" });
}
