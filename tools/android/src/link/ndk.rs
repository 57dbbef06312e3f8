//! Android's NDK: where it is, and the variables with which cargo links with it.
//!
//! It is found in the same way as by cargo-ndk, so that a machine that builds other Rust code for Android needs no
//! further setup:
//!
//! ```text
//! --ndk DIR, else the first that is set of ANDROID_NDK_HOME, ANDROID_NDK_ROOT, ANDROID_NDK_PATH, NDK_HOME,
//! else the highest version in $ANDROID_HOME/ndk or $ANDROID_SDK_ROOT/ndk
//! ```
//!
//! If a named folder holds no NDK, that is an error. It is not skipped, because the next one in the list may be years
//! older.

use happy_tool_kit::Result;
use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Variables that name an NDK. The first that is set is used.
const NDK_VARIABLES: &[&str] = &["ANDROID_NDK_HOME", "ANDROID_NDK_ROOT", "ANDROID_NDK_PATH", "NDK_HOME"];

/// Variables that name an SDK, whose folder `ndk` holds a folder for each installed version.
const SDK_VARIABLES: &[&str] = &["ANDROID_HOME", "ANDROID_SDK_ROOT"];

/// The oldest version that works: the first with LLVM's unwinder as `libunwind.a`, which Rust's standard library links.
const OLDEST: u32 = 23;

/// An NDK of this machine.
#[derive(Clone, Debug)]
pub struct Ndk {
    root: PathBuf,
    version: Version,
    /// The folder of clang.
    bin: PathBuf,
}

/// `Pkg.Revision` of an NDK, such as 27.2.12479018. Missing parts count as 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Version([u32; 3]);

/// Returns the NDK of this machine: the one in `flag`, else the one that the environment names, else `None`.
///
/// # Errors
/// If a named folder holds no NDK, or one that has no tools for this kind of machine or is older than r23.
pub fn find(flag: Option<&Path>) -> Result<Option<Ndk>> {
    find_with(flag, |name| env::var_os(name))
}

fn find_with(flag: Option<&Path>, var: impl Fn(&str) -> Option<OsString>) -> Result<Option<Ndk>> {
    let var = |name: &&'static str| -> Option<(&'static str, PathBuf)> {
        Some((*name, PathBuf::from(var(name).filter(|value| !value.is_empty())?)))
    };
    if let Some(root) = flag {
        return Ndk::open(root).map(Some).map_err(|e| format!("--ndk: {e}"));
    }
    if let Some((name, root)) = NDK_VARIABLES.iter().find_map(var) {
        return Ndk::open(&root).map(Some).map_err(|e| format!("{name}: {e}"));
    }
    for (name, sdk) in SDK_VARIABLES.iter().filter_map(var) {
        if let Some(root) = highest(&sdk.join("ndk")) {
            return Ndk::open(&root).map(Some).map_err(|e| format!("{name}: {e}"));
        }
    }
    Ok(None)
}

/// Returns the folder with the highest version in its name.
fn highest(folder: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).ok()?;
    let versions = entries.flatten().filter_map(|entry| {
        let version = Version::parse(entry.file_name().to_str()?)?;
        entry.path().is_dir().then(|| (version, entry.path()))
    });
    versions.max().map(|(_, path)| path)
}

impl Ndk {
    fn open(root: &Path) -> Result<Self> {
        // Absolute, because cargo runs the linker in other folders.
        let root = &std::path::absolute(root).map_err(|e| format!("{}: {e}", root.display()))?;
        let properties = root.join("source.properties");
        let text = std::fs::read_to_string(&properties).map_err(|e| {
            format!("{} is no NDK: cannot read {}: {e}", root.display(), properties.display())
        })?;
        let version = text
            .lines()
            .filter_map(|line| line.split_once('='))
            .find(|(key, _)| key.trim() == "Pkg.Revision")
            .and_then(|(_, value)| Version::parse(value.trim()))
            .ok_or_else(|| {
                format!("{}: no line `Pkg.Revision = NUMBER.NUMBER.NUMBER`", properties.display())
            })?;
        if version.0[0] < OLDEST {
            return Err(format!(
                "the NDK in {} is r{version}: r{OLDEST} or later is needed (27 or later is advised)",
                root.display()
            ));
        }
        let host = host()?;
        let bin = root.join("toolchains/llvm/prebuilt").join(host).join("bin");
        let ndk = Self { root: root.to_path_buf(), version, bin };
        let clang = ndk.clang();
        if !clang.is_file() {
            return Err(format!(
                "the NDK in {} has no tools for {host}: {} is missing",
                root.display(),
                clang.display()
            ));
        }
        Ok(ndk)
    }

    /// Describes its version and folder for a person.
    pub fn describe(&self) -> String {
        format!("NDK {} in {}", self.version, self.root.display())
    }

    /// Returns the linker for Rust's `target` at Android's API level `api`: the program, and the arguments that select
    /// both.
    ///
    /// # Errors
    /// If `target` is not a 64-bit target of Android.
    pub fn linker(&self, target: &str, api: u32) -> Result<(PathBuf, Vec<String>)> {
        if !matches!(target, "aarch64-linux-android" | "x86_64-linux-android") {
            return Err(format!(
                "no Android target '{target}': expected aarch64-linux-android or x86_64-linux-android"
            ));
        }
        let arguments = vec![
            format!("--target={target}{api}"),
            // Devices with pages of 16 KiB refuse libraries without this. It is the default of NDK 28 and later.
            "-Wl,-z,max-page-size=16384".into(),
        ];
        Ok((self.clang(), arguments))
    }

    /// Returns the variables that make `cargo build --target TARGET` link with this NDK.
    ///
    /// The flags are in `CARGO_ENCODED_RUSTFLAGS`, which overrides `RUSTFLAGS`. Otherwise a `RUSTFLAGS` that is set
    /// already would replace the flags of the target, and clang would link for this machine.
    ///
    /// # Errors
    /// As [`Ndk::linker`].
    pub fn environment(&self, target: &str, api: u32) -> Result<Vec<(String, String)>> {
        let (program, arguments) = self.linker(target, api)?;
        let program = program.to_str().ok_or_else(|| {
            format!("the NDK's path {} is not UTF-8, which cargo cannot be told", self.root.display())
        })?;
        let variable = target.to_uppercase().replace('-', "_");
        let flags: Vec<String> = arguments.iter().map(|argument| format!("-Clink-arg={argument}")).collect();
        Ok(vec![
            (format!("CARGO_TARGET_{variable}_LINKER"), program.to_owned()),
            ("CARGO_ENCODED_RUSTFLAGS".into(), flags.join("\x1f")),
        ])
    }

    fn clang(&self) -> PathBuf {
        self.bin.join(format!("clang{}", env::consts::EXE_SUFFIX))
    }
}

/// Returns the NDK's name for this machine. On a Mac the tools are for both processors.
fn host() -> Result<&'static str> {
    match env::consts::OS {
        "linux" if cfg!(target_arch = "x86_64") => Ok("linux-x86_64"),
        "macos" => Ok("darwin-x86_64"),
        "windows" => Ok("windows-x86_64"),
        other => Err(format!("there is no NDK for {other} on {}", env::consts::ARCH)),
    }
}

impl Version {
    fn parse(text: &str) -> Option<Self> {
        // Previews end in `-beta1`.
        let text = text.split('-').next()?;
        let mut parts = [0; 3];
        for (i, part) in text.split('.').enumerate() {
            *parts.get_mut(i)? = part.parse().ok()?;
        }
        Some(Self(parts))
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [major, minor, build] = self.0;
        write!(f, "{major}.{minor}.{build}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use happy_tool_kit::scratch::Scratch;
    use std::fs;

    /// Makes as much of an NDK as [`find`] looks at.
    fn make(root: &Path, revision: &str, with_clang: bool) {
        fs::create_dir_all(root).expect("a folder");
        fs::write(root.join("source.properties"), format!("Pkg.Desc = NDK\nPkg.Revision = {revision}\n"))
            .expect("written");
        if with_clang {
            let bin = root.join("toolchains/llvm/prebuilt").join(host().expect("a known host")).join("bin");
            fs::create_dir_all(&bin).expect("a folder");
            fs::write(bin.join(format!("clang{}", env::consts::EXE_SUFFIX)), "").expect("written");
        }
    }

    #[test]
    fn the_order_is_that_of_cargo_ndk() {
        let scratch = Scratch::new("ndk-order");
        let at = |name: &str| scratch.path().join(name);
        for (name, revision) in [
            ("home", "25.1.1"),
            ("root", "25.2.2"),
            ("path", "25.3.3"),
            ("ndk_home", "25.4.4"),
            ("sdk/ndk/26.1.5", "26.1.5"),
            ("sdk/ndk/26.10.1", "26.10.1"),
            ("flag", "27.0.1-beta1"),
        ] {
            make(&at(name), revision, true);
        }
        fs::create_dir_all(at("sdk/ndk/notes")).expect("a folder");
        let all = [
            ("ANDROID_NDK_HOME", "home", "25.1.1"),
            ("ANDROID_NDK_ROOT", "root", "25.2.2"),
            ("ANDROID_NDK_PATH", "path", "25.3.3"),
            ("NDK_HOME", "ndk_home", "25.4.4"),
            ("ANDROID_HOME", "sdk", "26.10.1"),
            ("ANDROID_SDK_ROOT", "sdk", "26.10.1"),
        ];
        let mut failures = Vec::new();
        let mut expect = |case: &str, found: Result<Option<Ndk>>, version: Option<&str>| {
            let found = found.map(|ndk| ndk.map(|ndk| ndk.version.to_string()));
            if found.as_ref().map(|v| v.as_deref()) != Ok(version) {
                failures.push(format!("{case}: expected {version:?}, found {found:?}"));
            }
        };
        // With the first n variables unset, the next one decides.
        for n in 0..=all.len() {
            let var = |name: &str| {
                let (_, folder, _) = all[n..].iter().find(|(variable, ..)| *variable == name)?;
                Some(at(folder).into_os_string())
            };
            let expected = all.get(n).map(|(_, _, version)| *version);
            expect(&format!("without {n}"), find_with(None, var), expected);
            expect(&format!("flag, without {n}"), find_with(Some(&at("flag")), var), Some("27.0.1"));
        }
        expect("empty values", find_with(None, |_| Some("".into())), None);
        assert!(failures.is_empty(), "{}", failures.join("\n"));
    }

    #[test]
    fn what_is_no_ndk_is_named() {
        let scratch = Scratch::new("ndk-broken");
        let at = |name: &str| scratch.path().join(name);
        make(&at("old"), "22.1.7171670", true);
        make(&at("foreign"), "27.0.1", false);
        make(&at("garbled"), "soon", true);
        let mut failures = Vec::new();
        for (folder, expected) in [
            ("absent", "is no NDK: cannot read"),
            ("old", "is r22.1.7171670: r23 or later is needed"),
            ("foreign", "has no tools for"),
            ("garbled", "no line `Pkg.Revision"),
        ] {
            for by_flag in [true, false] {
                let path = at(folder);
                let found = if by_flag {
                    find_with(Some(&path), |_| None)
                } else {
                    find_with(None, |name| (name == "NDK_HOME").then(|| path.clone().into_os_string()))
                };
                let source = if by_flag { "--ndk: " } else { "NDK_HOME: " };
                match found {
                    Err(e) if e.starts_with(source) && e.contains(expected) && e.contains(folder) => {}
                    other => failures.push(format!("{folder}: {other:?}")),
                }
            }
        }
        assert!(failures.is_empty(), "{}", failures.join("\n"));
    }

    #[test]
    fn cargo_is_told_target_level_and_page_size() {
        let scratch = Scratch::new("ndk-environment");
        make(scratch.path(), "27.2.12479018", true);
        let ndk = find_with(Some(scratch.path()), |_| None).expect("it opens").expect("it is there");
        assert!(ndk.describe().starts_with("NDK 27.2.12479018 in "));
        let environment = ndk.environment("aarch64-linux-android", 26).expect("a known target");
        assert_eq!(environment[0].0, "CARGO_TARGET_AARCH64_LINUX_ANDROID_LINKER");
        assert!(Path::new(&environment[0].1).is_file());
        assert_eq!(
            environment[1],
            (
                "CARGO_ENCODED_RUSTFLAGS".into(),
                "-Clink-arg=--target=aarch64-linux-android26\x1f-Clink-arg=-Wl,-z,max-page-size=16384".into()
            )
        );
        let refused = ndk.environment("armv7-linux-androideabi", 26);
        assert!(refused.is_err_and(|e| e.contains("armv7-linux-androideabi")));
    }
}
