//! The target to build for a device: Android if there is an NDK, else a static program, which every phone can run.

use happy_tool_android::ndk;
use happy_tool_emulated::toolchain::Toolchain;
use happy_tool_kit::Result;
use std::path::Path;

/// The values of `--target`.
#[derive(Clone, Copy, Debug, PartialEq, clap::ValueEnum)]
pub(crate) enum Target {
    /// aarch64-linux-android: bionic, as in an app; needs an NDK
    Android,
    /// aarch64-unknown-linux-musl: static; needs rustup's target and nothing else
    Musl,
    /// aarch64-unknown-linux-gnu: static; what `setup-arm` sets up
    Gnu,
}

impl Target {
    /// Returns the oldest Android API on which its programs run, for targets that have one.
    pub(crate) fn needs_platform(self, platform: u32) -> Option<u32> {
        (self == Self::Android).then_some(platform)
    }
}

/// Returns the toolchain for the requested target, or the best one for which this machine can build. Prints why it is
/// not the one for Android.
pub(crate) fn toolchain(
    wanted: Option<Target>,
    ndk: Option<&Path>,
    platform: u32,
) -> Result<(Target, Toolchain)> {
    if let Some(target) = wanted {
        return open(target, ndk, platform).map(|toolchain| (target, toolchain));
    }
    let mut reasons = Vec::new();
    for target in [Target::Android, Target::Musl, Target::Gnu] {
        match open(target, ndk, platform) {
            Ok(toolchain) => {
                for reason in &reasons {
                    println!("{reason}");
                }
                if !reasons.is_empty() {
                    println!("so the programs are static, which every phone runs");
                }
                return Ok((target, toolchain));
            }
            // A folder that was named must be used.
            Err(why) if ndk.is_some() => return Err(why),
            Err(why) => reasons.push(why),
        }
    }
    Err(format!("nothing here builds for a phone:\n  {}", reasons.join("\n  ")))
}

fn open(target: Target, ndk: Option<&Path>, platform: u32) -> Result<Toolchain> {
    match target {
        Target::Android => {
            let ndk = ndk::find(ndk)?.ok_or(
                "no NDK found: install one and set ANDROID_NDK_HOME, or give --ndk DIR; `--target musl` needs none",
            )?;
            println!("{}, API {platform}", ndk.describe());
            let (clang, flags) = ndk.linker("aarch64-linux-android", platform)?;
            Toolchain::android(clang, &flags)
        }
        Target::Musl => Toolchain::musl(),
        Target::Gnu => Toolchain::gnu(),
    }
}
