//! The programs that make an APK, from Debian's packages, and the throw-away key.

use happy_tool_kit::{Result, paths, process};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Debian's packages. `apksigner` depends on Java, which includes `keytool`.
const PACKAGES: [&str; 4] = ["aapt", "zipalign", "apksigner", "android-framework-res"];

/// The system's resources, which a manifest refers to.
const FRAMEWORK: &str = "/usr/share/android-framework-res/framework-res.apk";

/// The password of the key that signs demonstrations. Nothing depends on its secrecy.
const PASSWORD: &str = "throw-away";

/// Proof that all programs are installed.
pub(super) struct Tools(());

impl Tools {
    /// Checks that all programs and the system's resources are installed.
    ///
    /// # Errors
    /// If something is missing; the message names the packages.
    pub(super) fn find() -> Result<Self> {
        let missing = |what: &str| {
            format!(
                "{what}, which making an APK needs: `cargo xtask apk --setup` installs {} (Debian, root)",
                PACKAGES.join(", ")
            )
        };
        for (program, argument) in [("aapt", "version"), ("apksigner", "--version"), ("keytool", "-help")] {
            if !process::succeeds(Command::new(program).arg(argument)) {
                return Err(missing(&format!("`{program}` does not run")));
            }
        }
        // zipalign has no option that exits with 0, so it counts as installed if it starts.
        if Command::new("zipalign").output().is_err() {
            return Err(missing("`zipalign` does not run"));
        }
        if !Path::new(FRAMEWORK).is_file() {
            return Err(missing(&format!("{FRAMEWORK} is not there")));
        }
        Ok(Self(()))
    }

    /// Packs manifest and resources of the app in `app` into an archive.
    pub(super) fn package(&self, app: &Path, to: &Path, platform: u32, target: u32) -> Result<()> {
        let mut aapt = Command::new("aapt");
        aapt.args(["package", "-f", "-I", FRAMEWORK])
            .args(["--min-sdk-version", &platform.to_string(), "--target-sdk-version", &target.to_string()])
            .args(["--version-code", "1", "--version-name", env!("CARGO_PKG_VERSION")])
            .arg("-M")
            .arg(app.join("AndroidManifest.xml"))
            .arg("-S")
            .arg(app.join("res"))
            .arg("-F")
            .arg(to);
        process::run(&mut aapt)
    }

    /// Signs `from` into `to`, with a key that is made if it does not exist.
    pub(super) fn sign(&self, from: &Path, to: &Path, platform: u32) -> Result<()> {
        let mut apksigner = Command::new("apksigner");
        apksigner
            .args(["sign", "--v4-signing-enabled", "false", "--min-sdk-version", &platform.to_string()])
            .args(["--ks-pass", &format!("pass:{PASSWORD}"), "--ks"])
            .arg(key()?)
            .arg("--out")
            .args([to, from]);
        process::run(&mut apksigner)
    }

    /// Returns what aapt reports about an APK.
    pub(super) fn badging(&self, apk: &Path) -> Result<String> {
        process::output(Command::new("aapt").args(["dump", "badging"]).arg(apk))
    }

    /// Checks the APK with zipalign and apksigner.
    pub(super) fn verify(&self, apk: &Path, platform: u32) -> Result<()> {
        process::run(Command::new("zipalign").args(["-c", "-p", "4"]).arg(apk))?;
        let mut apksigner = Command::new("apksigner");
        process::run(apksigner.args(["verify", "--min-sdk-version", &platform.to_string()]).arg(apk))
    }
}

/// Returns an error if the packages cannot be installed here.
pub(super) fn can_install() -> Result<()> {
    if !process::succeeds(Command::new("apt-get").arg("--version")) {
        return Err("no tools for APKs here, and no apt-get to install them with".into());
    }
    if process::output(Command::new("id").arg("-u"))?.trim() != "0" {
        return Err("no tools for APKs here, and installing them with apt-get needs root".into());
    }
    Ok(())
}

/// Installs the packages.
pub(super) fn install() -> Result<()> {
    can_install()?;
    process::run(Command::new("apt-get").args(["update", "-qq"]))?;
    let mut apt = Command::new("apt-get");
    apt.env("DEBIAN_FRONTEND", "noninteractive");
    process::run(apt.args(["install", "-y", "-qq", "--no-install-recommends"]).args(PACKAGES))?;
    Tools::find().map(drop)
}

/// Returns the key's file, which is made once: an app that was signed with another key must be removed from a device
/// before it can be installed again.
fn key() -> Result<PathBuf> {
    let path = paths::target().join("android/demo.keystore");
    if path.is_file() {
        return Ok(path);
    }
    let mut keytool = Command::new("keytool");
    keytool
        .args(["-genkeypair", "-alias", "demo", "-keyalg", "RSA", "-keysize", "2048", "-validity", "10000"])
        .args(["-dname", "CN=happy demo", "-storepass", PASSWORD, "-keypass", PASSWORD, "-keystore"])
        .arg(&path);
    // It reports progress on the standard error even when asked not to.
    let done = process::run_within(&mut keytool, std::time::Duration::from_secs(120))?;
    if done.success { Ok(path) } else { Err(format!("keytool failed ({}): {}", done.ending, done.stderr)) }
}
