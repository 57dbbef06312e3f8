//! `cargo xtask apk`: `bindings/android/demo-apk` as an installable app, without Gradle and without Android's SDK.
//!
//! ```text
//! libhappy.so, libhappy_demo.so          built as for `dist`
//! aapt        manifest and resources     against Debian's framework-res.apk
//! archive     + lib/ABI/*.so             stored, at multiples of 16 KiB, so that the loader can map them from the APK
//! apksigner   a throw-away key           made once, kept in the target directory
//! ```
//! Debian's `zipalign` supports only pages of 4 KiB, so it only checks here, and [`crate::archive`] aligns; `apksigner`
//! keeps the alignment of the entries. The result is checked as a device would: badging, alignment, signature.

mod tools;

use crate::archive::{Archive, Packing, stored};
use crate::dist::{self, How, LIBRARY, put};
use crate::elf::image::Abi;
use crate::elf::{self, Wanted};
use crate::link::{Link, Order, Product};
use happy_tool_kit::outcome::Outcome;
use happy_tool_kit::{Result, paths};
use std::fs;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};
use tools::Tools;

/// Arguments of `apk`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    how: How,
    /// The ABI of the app: arm64-v8a or x86_64
    #[arg(long, default_value = "arm64-v8a")]
    abi: String,
    /// Install Debian's packages that this needs (root), and build nothing
    #[arg(long)]
    setup: bool,
}

const GLUE: &str = "libhappy_demo.so";
const APP: &str = "dev.happyllm.demo";

/// The largest page size of a device.
const PAGE: u16 = 16 << 10;

/// Android 15, which app stores require. From 30 on, the resources must be stored uncompressed in the archive.
const TARGET_PLATFORM: u32 = 35;

/// `cargo xtask apk`.
pub(crate) fn run(args: &Args) -> Result<()> {
    if args.setup {
        return tools::install();
    }
    let tools = Tools::find()?;
    let abi = Abi::named(&args.abi)?;
    let link = args.how.linker()?.link(abi, args.how.platform())?;
    println!("{}: {}", abi.name(), link.describe());
    let library = dist::library(&link)?;
    let folder = paths::target().join("dist/apk");
    let glue = glue(&link, &library)?;
    let beside = Wanted {
        exports: vec!["ANativeActivity_onCreate".into()],
        max_size: None,
        beside: vec![library.clone()],
        ..args.how.library_limits(abi)
    };
    elf::check([(library.as_path(), &args.how.library_limits(abi)), (glue.as_path(), &beside)])?;

    dist::remove(&folder)?;
    let base = folder.join("base.apk");
    put(&base, b"")?;
    tools.package(&root(), &base, args.how.platform(), TARGET_PLATFORM)?;
    let unsigned = folder.join("unsigned.apk");
    put(&unsigned, &assemble(&read(&base)?, &[(LIBRARY, &library), (GLUE, &glue)], abi)?)?;
    let apk = folder.join("happy-demo.apk");
    tools.sign(&unsigned, &apk, args.how.platform())?;
    for left in [base, unsigned] {
        fs::remove_file(&left).map_err(|e| format!("cannot remove {}: {e}", left.display()))?;
    }
    check(&tools, &apk, abi, args.how.platform())?;
    println!("{}: {} bytes", paths::short(&apk), read(&apk)?.len());
    Ok(())
}

/// The step of `cargo xtask test`: the app for phones, linked without an NDK.
pub(crate) fn step() -> Result<Outcome> {
    if let Some(reason) = dist::unavailable()? {
        return Ok(Outcome::Unavailable(reason));
    }
    if Tools::find().is_err() {
        if let Err(reason) = tools::can_install() {
            return Ok(Outcome::Skipped(reason));
        }
        tools::install()?;
    }
    let how = How::check_only();
    run(&Args { how, abi: Abi::Arm64.name().into(), setup: false }).map(|()| Outcome::Passed)
}

fn root() -> PathBuf {
    paths::root().join("bindings/android/demo-apk")
}

/// Builds the app's own library, which is linked with `library`.
fn glue(link: &Link, library: &Path) -> Result<PathBuf> {
    dist::timed(GLUE, || {
        link.build(&Order {
            manifest: Some(&root().join("Cargo.toml")),
            package: "happy-demo-apk",
            features: "",
            product: Product::Library(GLUE),
            libraries: library.parent(),
        })
    })
}

/// Makes the APK without a signature, from the output of aapt and the libraries.
fn assemble(base: &[u8], libraries: &[(&str, &Path)], abi: Abi) -> Result<Vec<u8>> {
    let broken = |e: &dyn std::fmt::Display| format!("cannot read the archive that aapt made: {e}");
    let mut from = zip::ZipArchive::new(Cursor::new(base)).map_err(|e| broken(&e))?;
    let mut to = Archive::default();
    for i in 0..from.len() {
        let mut entry = from.by_index(i).map_err(|e| broken(&e))?;
        let name = entry.name().map_err(|e| broken(&e))?.into_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(|e| broken(&e))?;
        let packing = if name == "resources.arsc" { Packing::Mapped(4) } else { Packing::Small };
        to.add(name, bytes, packing);
    }
    for (name, path) in libraries {
        to.add(format!("lib/{}/{name}", abi.name()), read(path)?, Packing::Mapped(PAGE));
    }
    to.write()
}

/// Checks what the device would check before it installs the app.
fn check(tools: &Tools, apk: &Path, abi: Abi, platform: u32) -> Result<()> {
    let badging = tools.badging(apk)?;
    let mut faults = Vec::new();
    for line in [
        format!("package: name='{APP}'"),
        format!("sdkVersion:'{platform}'"),
        format!("targetSdkVersion:'{TARGET_PLATFORM}'"),
        "launchable-activity: name='android.app.NativeActivity'".into(),
        format!("native-code: '{}'", abi.name()),
    ] {
        if !badging.lines().any(|found| found.starts_with(&line)) {
            faults.push(format!("aapt's badging has no line `{line}`"));
        }
    }
    faults.extend(misaligned(&read(apk)?)?);
    if faults.is_empty() {
        tools.verify(apk, platform)?;
        println!("badging, alignment to {PAGE} bytes and signature are right");
        return Ok(());
    }
    Err(format!("{}:\n  {}\naapt said:\n{badging}", paths::short(apk), faults.join("\n  ")))
}

/// Returns the libraries that cannot be mapped from the archive. The tool's own idea of alignment is older than pages
/// of 16 KiB.
fn misaligned(apk: &[u8]) -> Result<Vec<String>> {
    let stored = stored(apk)?;
    let libraries: Vec<_> = stored.iter().filter(|(name, _)| name.ends_with(".so")).collect();
    let wrong = libraries.iter().filter(|(_, start)| start % u64::from(PAGE) != 0);
    let mut faults: Vec<String> = wrong
        .map(|(name, start)| format!("{name} starts at {start} in the archive, not at a multiple of {PAGE}"))
        .collect();
    for name in [LIBRARY, GLUE] {
        if !libraries.iter().any(|(path, _)| path.ends_with(&format!("/{name}"))) {
            faults.push(format!("{name} is missing, or packed: it must be stored as it is"));
        }
    }
    Ok(faults)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|e| format!("cannot read {}: {e}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use happy_tool_kit::scratch::Scratch;

    #[test]
    fn libraries_are_stored_at_pages() {
        let scratch = Scratch::new("apk");
        let library = scratch.path().join("x.so");
        put(&library, &[1; 5000]).expect("written");
        let mut base = Archive::default();
        base.add("AndroidManifest.xml", "m", Packing::Small);
        base.add("resources.arsc", "r", Packing::Small);
        let base = base.write().expect("written");
        let apk = assemble(&base, &[(LIBRARY, &library), (GLUE, &library)], Abi::Arm64).expect("assembled");
        assert_eq!(misaligned(&apk), Ok(Vec::new()));
        let stored = stored(&apk).expect("an archive");
        assert!(stored.iter().any(|(name, start)| name == "resources.arsc" && start % 4 == 0), "{stored:?}");
    }

    #[test]
    fn packed_and_misplaced_libraries_are_caught() {
        let with = |packing| {
            let mut archive = Archive::default();
            archive.add(format!("lib/arm64-v8a/{LIBRARY}"), [1; 5000], packing);
            archive.add(format!("lib/arm64-v8a/{GLUE}"), [1; 5000], Packing::Mapped(PAGE));
            misaligned(&archive.write().expect("written")).expect("an archive")
        };
        assert_eq!(with(Packing::Mapped(PAGE)), [""; 0]);
        let packed = with(Packing::Small);
        assert!(packed.len() == 1 && packed[0].contains("libhappy.so is missing, or packed"), "{packed:?}");
        let misplaced = with(Packing::Mapped(64));
        assert!(misplaced.len() == 1 && misplaced[0].contains("not at a multiple of 16384"), "{misplaced:?}");
    }
}
