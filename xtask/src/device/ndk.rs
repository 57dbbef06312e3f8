//! Android's NDK: found where cargo-ndk finds it, used for its clang.
//!
//! ```text
//! ANDROID_NDK_HOME, ANDROID_NDK_ROOT, ANDROID_NDK_PATH, NDK_HOME     the NDK itself
//! ANDROID_HOME, ANDROID_SDK_ROOT, ANDROID_SDK_HOME                   an SDK; its ndk/ holds NDKs by version, the highest counts
//! ```

use super::packages;
use crate::Result;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

const NDK_VARIABLES: &[&str] = &["ANDROID_NDK_HOME", "ANDROID_NDK_ROOT", "ANDROID_NDK_PATH", "NDK_HOME"];
const SDK_VARIABLES: &[&str] = &["ANDROID_HOME", "ANDROID_SDK_ROOT", "ANDROID_SDK_HOME"];

/// From this version on the NDK's linker aligns to 16 KiB by itself.
const ALIGNS_ITSELF: u32 = 28;

/// A compiler that links for Android.
#[derive(Debug, PartialEq)]
pub(super) struct Ndk {
    pub(super) clang: PathBuf,
    /// Its major version, as in `r27`.
    version: u32,
}

impl Ndk {
    /// The NDK in `given`, or the one that the environment names. The error lists what was looked at.
    pub(super) fn find(given: Option<&Path>) -> Result<Self> {
        if let Some(folder) = given {
            return Self::open(folder);
        }
        find_by(&|name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from))
    }

    fn open(folder: &Path) -> Result<Self> {
        let folder = &packages::absolute(folder)?;
        let properties = folder.join("source.properties");
        let text = fs::read_to_string(&properties).map_err(|e| {
            format!("{} is no NDK: cannot read {}: {e}", folder.display(), properties.display())
        })?;
        let version = parse_revision(&text)
            .ok_or_else(|| format!("{} has no line `Pkg.Revision = NUMBER`", properties.display()))?;
        let prebuilt = folder.join("toolchains/llvm/prebuilt");
        let missing = || format!("the NDK in {} has no clang for this machine", folder.display());
        // One folder, named after the machine; `darwin-x86_64` serves both kinds of Macs.
        let mut machines: Vec<PathBuf> = list(&prebuilt);
        machines.sort();
        let clang = machines
            .into_iter()
            .map(|machine| machine.join("bin").join(format!("clang{}", env::consts::EXE_SUFFIX)))
            .find(|clang| clang.is_file())
            .ok_or_else(missing)?;
        Ok(Self { clang, version })
    }

    /// What clang must be told to link for Android API `platform`.
    pub(super) fn flags(&self, platform: u32) -> Vec<String> {
        let mut flags = vec![format!("--target=aarch64-linux-android{platform}")];
        if self.version < ALIGNS_ITSELF {
            flags.push("-Wl,-z,max-page-size=16384".into());
        }
        flags
    }

    /// For a person.
    pub(super) fn describe(&self) -> String {
        format!("NDK r{} ({})", self.version, self.clang.display())
    }
}

/// A variable that is set but names no NDK is an error, not a reason to go on.
fn find_by(variable: &dyn Fn(&str) -> Option<PathBuf>) -> Result<Ndk> {
    for name in NDK_VARIABLES {
        if let Some(folder) = variable(name) {
            return Ndk::open(&folder).map_err(|e| format!("{name}: {e}"));
        }
    }
    for name in SDK_VARIABLES {
        let Some(sdk) = variable(name) else { continue };
        let newest = list(&sdk.join("ndk"))
            .into_iter()
            .filter_map(|folder| Some((parse_version(folder.file_name()?.to_str()?)?, folder)))
            .max();
        if let Some((_, folder)) = newest {
            return Ndk::open(&folder).map_err(|e| format!("{name}: {e}"));
        }
    }
    Err(format!(
        "no NDK: none of {} is set, and no SDK that {} name has one",
        NDK_VARIABLES.join(", "),
        SDK_VARIABLES.join(", ")
    ))
}

/// What a folder holds; nothing where it cannot be read.
fn list(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.filter_map(|entry| Some(entry.ok()?.path())).collect()
}

/// `27.0.12077973`, compared number by number.
fn parse_version(name: &str) -> Option<Vec<u64>> {
    name.split('.').map(|part| part.parse().ok()).collect()
}

/// The first number of `Pkg.Revision = 27.0.12077973`.
fn parse_revision(properties: &str) -> Option<u32> {
    let line = properties.lines().find_map(|line| line.trim().strip_prefix("Pkg.Revision"))?;
    line.trim_start().strip_prefix('=')?.trim().split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder tree like an SDK's, with these NDKs; dropping it removes it.
    struct Tree(PathBuf);

    impl Tree {
        fn new(name: &str, ndks: &[&str]) -> Self {
            let sdk = env::temp_dir().join(format!("happy-ndk-{}-{name}", std::process::id()));
            for version in ndks {
                let ndk = sdk.join("ndk").join(version);
                let bin = ndk.join("toolchains/llvm/prebuilt/linux-x86_64/bin");
                fs::create_dir_all(&bin).expect("a folder");
                fs::write(bin.join(format!("clang{}", env::consts::EXE_SUFFIX)), "").expect("a file");
                let properties = format!("Pkg.Desc = Android NDK\nPkg.Revision = {version}\n");
                fs::write(ndk.join("source.properties"), properties).expect("a file");
            }
            fs::create_dir_all(sdk.join("ndk/not-a-version")).expect("a folder");
            Self(sdk)
        }

        fn ndk(&self, version: &str) -> PathBuf {
            self.0.join("ndk").join(version)
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn ndks_are_found_in_the_order_of_cargo_ndk() {
        let tree = Tree::new("order", &["9.1.5", "26.3.11579264", "27.0.12077973"]);
        let [sdk, old, new] = [tree.0.clone(), tree.ndk("26.3.11579264"), tree.ndk("27.0.12077973")];
        let cases: &[(&str, &[(&str, &PathBuf)], Option<u32>)] = &[
            ("the highest of an SDK", &[("ANDROID_HOME", &sdk)], Some(27)),
            ("an SDK by its older name", &[("ANDROID_SDK_ROOT", &sdk)], Some(27)),
            ("an NDK before an SDK", &[("ANDROID_HOME", &sdk), ("ANDROID_NDK_ROOT", &old)], Some(26)),
            ("HOME before ROOT", &[("ANDROID_NDK_ROOT", &old), ("ANDROID_NDK_HOME", &new)], Some(27)),
            ("the last name", &[("NDK_HOME", &old)], Some(26)),
            ("nothing is set", &[], None),
            ("no NDK there", &[("ANDROID_NDK_HOME", &sdk), ("NDK_HOME", &old)], None),
            ("an SDK without NDK", &[("ANDROID_HOME", &old)], None),
        ];
        let mut wrong = Vec::new();
        for (what, variables, expected) in cases {
            let found = find_by(&|name| {
                variables.iter().find(|(variable, _)| *variable == name).map(|(_, path)| (*path).clone())
            });
            if found.as_ref().ok().map(|ndk| ndk.version) != *expected {
                wrong.push(format!("{what}: {found:?}, expected {expected:?}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn what_is_wrong_with_a_folder_is_said() {
        let tree = Tree::new("wrong", &["27.1.0"]);
        let ndk = tree.ndk("27.1.0");
        assert!(Ndk::open(&tree.0).is_err_and(|e| e.contains("is no NDK")));
        fs::remove_dir_all(ndk.join("toolchains")).expect("a folder");
        assert!(Ndk::open(&ndk).is_err_and(|e| e.contains("no clang")));
        fs::write(ndk.join("source.properties"), "Pkg.Revision = x").expect("a file");
        assert!(Ndk::open(&ndk).is_err_and(|e| e.contains("Pkg.Revision")));
    }

    #[test]
    fn older_ndks_are_told_to_align() {
        let cases = [(27, true), (28, false), (29, false)];
        for (version, told) in cases {
            let flags = Ndk { clang: PathBuf::new(), version }.flags(26);
            assert_eq!(flags[0], "--target=aarch64-linux-android26");
            assert_eq!(flags.iter().any(|flag| flag.contains("16384")), told, "r{version}");
        }
    }
}
