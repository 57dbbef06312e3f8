//! The AAR: an archive that Gradle accepts as a dependency.
//!
//! ```text
//! AndroidManifest.xml   package and oldest API level
//! classes.jar           the Java classes of bindings/android; empty if it has no classes
//! jni/ABI/libhappy.so
//! R.txt                 the list of resources: none
//! proguard.txt          what a shrinker must keep
//! ```
//! Its format is described in Android's guide "Create an Android library", section "Anatomy of an AAR file". Kotlin is
//! not compiled here: an app includes that layer as source, or builds `bindings/android` with Gradle.

use super::files;
use crate::archive::{Archive, Packing};
use happy_tool_kit::{Result, paths, process};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const PACKAGE: &str = "dev.happyllm";

/// The version of Java bytecode that every Gradle plugin of recent years can convert to Android's own code.
const JAVA_RELEASE: &str = "11";

/// Folders of `bindings/android` whose sources belong to apps, not to the library.
const APPS: [&str; 2] = ["demo-apk", "sample"];

/// Returns the archive's bytes, with the libraries in `jni_libs`/ABI and the sources under `root`/bindings/android.
pub(super) fn make(root: &Path, jni_libs: &Path, platform: u32) -> Result<Vec<u8>> {
    let bindings = library_files(&root.join("bindings/android"))?;
    let mut archive = Archive::default();
    archive.add("AndroidManifest.xml", manifest(platform), Packing::Small);
    archive.add("R.txt", "", Packing::Small);
    let rules =
        bindings.iter().find(|path| path.file_name().is_some_and(|name| name == "consumer-rules.pro"));
    archive.add(
        "proguard.txt",
        rules.map(|path| read(path)).transpose()?.unwrap_or_default(),
        Packing::Small,
    );
    let sources: Vec<&PathBuf> = bindings.iter().filter(|path| is_source(path)).collect();
    archive.add("classes.jar", classes(&sources)?, Packing::Small);
    for path in files(jni_libs)? {
        let name = path.strip_prefix(jni_libs).unwrap_or(&path).to_string_lossy().replace('\\', "/");
        archive.add(format!("jni/{name}"), read(&path)?, Packing::Small);
    }
    archive.write()
}

fn manifest(platform: u32) -> String {
    format!(
        r#"<?xml version="1.0" encoding="utf-8"?>
<manifest xmlns:android="http://schemas.android.com/apk/res/android" package="{PACKAGE}">
    <uses-sdk android:minSdkVersion="{platform}" />
</manifest>
"#
    )
}

/// Returns all files of the bindings except those of the apps beside them.
fn library_files(bindings: &Path) -> Result<Vec<PathBuf>> {
    let is_app = |path: &PathBuf| APPS.iter().any(|app| path.starts_with(bindings.join(app)));
    Ok(files(bindings)?.into_iter().filter(|path| !is_app(path)).collect())
}

fn is_source(path: &Path) -> bool {
    let text = path.to_string_lossy().replace('\\', "/");
    text.contains("/src/main/java/") && text.ends_with(".java")
}

/// Compiles the sources and returns them as a jar.
fn classes(sources: &[&PathBuf]) -> Result<Vec<u8>> {
    let mut jar = Archive::default();
    jar.add("META-INF/MANIFEST.MF", "Manifest-Version: 1.0\r\n\r\n", Packing::Small);
    if sources.is_empty() {
        return jar.write();
    }
    let folder = paths::target().join("android/classes");
    super::remove(&folder)?;
    let mut javac = Command::new("javac");
    javac.args(["--release", JAVA_RELEASE, "-encoding", "UTF-8", "-d"]).arg(&folder);
    process::run(javac.args(sources)).map_err(|e| {
        format!("{e}; the AAR's classes need a JDK's javac (Debian's package default-jdk-headless)")
    })?;
    for path in files(&folder)? {
        let name = path.strip_prefix(&folder).unwrap_or(&path).to_string_lossy().replace('\\', "/");
        jar.add(name, read(&path)?, Packing::Small);
    }
    jar.write()
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|e| format!("cannot read {}: {e}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::super::put;
    use super::*;
    use happy_tool_kit::scratch::Scratch;
    use std::io::Read;

    fn entries(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
        let mut zip = zip::ZipArchive::new(std::io::Cursor::new(bytes)).expect("an archive");
        let mut found = Vec::new();
        for i in 0..zip.len() {
            let mut entry = zip.by_index(i).expect("an entry");
            let mut data = Vec::new();
            entry.read_to_end(&mut data).expect("read");
            found.push((entry.name().expect("UTF-8").into_owned(), data));
        }
        found
    }

    #[test]
    fn the_layout_is_gradles_and_the_bytes_are_stable() {
        let scratch = Scratch::new("dist-aar");
        let root = scratch.path();
        let libs = root.join("jniLibs");
        put(&libs.join("x86_64/libhappy.so"), b"x").expect("written");
        put(&libs.join("arm64-v8a/libhappy.so"), b"arm").expect("written");
        put(&root.join("bindings/android/happy/consumer-rules.pro"), b"-keep x\n").expect("written");
        put(&root.join("bindings/android/demo-apk/consumer-rules.pro"), b"no").expect("written");
        let first = make(root, &libs, 26).expect("made");
        let found = entries(&first);
        let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            names,
            [
                "AndroidManifest.xml",
                "R.txt",
                "classes.jar",
                "jni/arm64-v8a/libhappy.so",
                "jni/x86_64/libhappy.so",
                "proguard.txt"
            ]
        );
        assert!(String::from_utf8_lossy(&found[0].1).contains("minSdkVersion=\"26\""));
        assert_eq!(entries(&found[2].1)[0].0, "META-INF/MANIFEST.MF");
        assert_eq!((found[3].1.as_slice(), found[5].1.as_slice()), (&b"arm"[..], &b"-keep x\n"[..]));
        std::thread::sleep(std::time::Duration::from_millis(2100));
        assert!(first == make(root, &libs, 26).expect("made"), "built twice, different bytes");
    }

    #[test]
    fn sources_are_the_librarys_java() {
        for (path, expected) in [
            ("bindings/android/happy/src/main/java/dev/happyllm/Happy.java", true),
            ("bindings/android/happy/src/main/kotlin/dev/happyllm/Flows.kt", false),
            ("bindings/android/happy/src/test/java/dev/happyllm/Test.java", false),
        ] {
            assert_eq!(is_source(Path::new(path)), expected, "{path}");
        }
    }
}
