//! The programs that make an APK, as Debian packages them, and the throw-away key.

use happy_tool_kit::{Result, paths, process};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Debian's packages; `apksigner` brings Java, and with it `keytool`.
const PACKAGES: [&str; 4] = ["aapt", "zipalign", "apksigner", "android-framework-res"];

/// The system's resources, which a manifest refers to.
const FRAMEWORK: &str = "/usr/share/android-framework-res/framework-res.apk";

/// Of the key that signs demonstrations; nothing depends on its secrecy.
const PASSWORD: &str = "throw-away";

/// Proof that everything is here.
pub(super) struct Tools(());

impl Tools {
    /// # Errors
    /// Something is missing; the message names the packages.
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
        // zipalign has no option that ends well: it is here if it starts.
        if Command::new("zipalign").output().is_err() {
            return Err(missing("`zipalign` does not run"));
        }
        if !Path::new(FRAMEWORK).is_file() {
            return Err(missing(&format!("{FRAMEWORK} is not there")));
        }
        Ok(Self(()))
    }

    /// Manifest and resources of the app in `app`, as an archive.
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

    /// What aapt reads in an APK.
    pub(super) fn badging(&self, apk: &Path) -> Result<String> {
        process::output(Command::new("aapt").args(["dump", "badging"]).arg(apk))
    }

    /// The judgement of zipalign and apksigner.
    pub(super) fn verify(&self, apk: &Path, platform: u32) -> Result<()> {
        process::run(Command::new("zipalign").args(["-c", "-p", "4"]).arg(apk))?;
        let mut apksigner = Command::new("apksigner");
        process::run(apksigner.args(["verify", "--min-sdk-version", &platform.to_string()]).arg(apk))
    }
}

/// Why the packages cannot be installed here, if so.
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

/// The key's file, made once: an app that is signed by another key must be removed from a device before it is installed anew.
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
