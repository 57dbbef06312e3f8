//! Checks that the Kotlin sources compile. npm fetches JetBrains' compiler with the standard library and
//! kotlinx-coroutines. javac compiles the Java sources that they use, then the Kotlin sources must compile without
//! warnings.

use happy_tool_kit::outcome::Outcome;
use happy_tool_kit::{Result, paths, process};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The compiler and its version.
const PACKAGE: &str = "kotlin-compiler@2.4.20";

/// The files of the package's `lib` that the compiler needs, and those that the sources need.
const COMPILER: &[&str] = &[
    "kotlin-compiler",
    "kotlin-stdlib",
    "kotlin-reflect",
    "kotlin-script-runtime",
    "annotations-13.0",
    "kotlinx-coroutines-core-jvm",
];
const LIBRARIES: &[&str] = &["kotlin-stdlib", "kotlinx-coroutines-core-jvm"];

const JAVA: &[&str] = &["bindings/android/src/main/java/dev/happyllm", "crates/ffi/tests/java/dev/happyllm"];
/// `ChatActivity.kt` of the sample is left out, because it uses Android's classes.
const KOTLIN: &[&str] = &["bindings/android/src/main/kotlin/dev/happyllm", "crates/ffi/tests/kotlin"];
const SAMPLES: &[&str] = &["bindings/android/sample/Chat.kt", "bindings/android/sample/Search.kt"];

/// The package has 90 MB.
const INSTALL_LIMIT: Duration = Duration::from_secs(600);
const COMPILE_LIMIT: Duration = Duration::from_secs(600);

/// Compiles the sources. Without npm, a JDK or the package, the step is skipped and says why.
pub(crate) fn step() -> Result<Outcome> {
    for program in ["npm", "java", "javac"] {
        if !process::succeeds(Command::new("sh").args(["-c", "command -v $0", program])) {
            return Ok(Outcome::Unavailable(format!("{program} is not installed")));
        }
    }
    let library = match install()? {
        Ok(library) => library,
        Err(reason) => return Ok(Outcome::Unavailable(reason)),
    };
    let out = paths::target().join("kotlin").join(format!("classes-{}", std::process::id()));
    let compiled = try_out(&library, &out).and_then(|()| compile(&library, &out));
    // It is not needed any more.
    let _ = std::fs::remove_dir_all(&out);
    println!("{} Kotlin files compiled with {PACKAGE}, warnings as errors", compiled?);
    Ok(Outcome::Passed)
}

/// Returns the folder of the jars or, if npm cannot fetch them, the reason.
fn install() -> Result<std::result::Result<PathBuf, String>> {
    let folder = paths::target().join("kotlin").join(PACKAGE.replace('@', "-"));
    let library = folder.join("node_modules/kotlin-compiler/lib");
    if library.is_dir() {
        return Ok(Ok(library));
    }
    // It has another name until it is complete, since another process may be doing the same.
    let partial = folder.with_extension(format!("partial-{}", std::process::id()));
    std::fs::create_dir_all(&partial).map_err(|e| format!("cannot create {}: {e}", partial.display()))?;
    let mut npm = Command::new("npm");
    npm.args(["install", "--no-audit", "--no-fund", "--silent", "--prefix"]).arg(&partial).arg(PACKAGE);
    let done = process::run_within(&mut npm, INSTALL_LIMIT)?;
    if !done.success {
        let _ = std::fs::remove_dir_all(&partial);
        let last = done.stderr.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("").trim();
        return Ok(Err(format!("npm cannot fetch {PACKAGE} ({}): {last}", done.ending)));
    }
    if let Err(e) = std::fs::rename(&partial, &folder) {
        let _ = std::fs::remove_dir_all(&partial);
        if !library.is_dir() {
            return Err(format!("cannot rename {} to {}: {e}", partial.display(), folder.display()));
        }
    }
    Ok(Ok(library))
}

/// Checks that a file that is not Kotlin is refused. A compiler that accepts it proves nothing about others.
fn try_out(library: &Path, out: &Path) -> Result<()> {
    std::fs::create_dir_all(out).map_err(|e| format!("cannot create {}: {e}", out.display()))?;
    let wrong = out.join("Wrong.kt");
    std::fs::write(&wrong, "fun f(): Int = \"a text\"\n")
        .map_err(|e| format!("cannot write {}: {e}", wrong.display()))?;
    match kotlinc(library, out, &[wrong]) {
        Err(found) if found.contains("Wrong.kt:1") => Ok(()),
        found => Err(format!("the compiler takes a text for a number: {found:?}")),
    }
}

/// Compiles Java, then Kotlin, and returns the number of Kotlin files.
fn compile(library: &Path, out: &Path) -> Result<usize> {
    let mut javac = Command::new("javac");
    javac.args(["-nowarn", "--release", "8", "-Xlint:-options", "-encoding", "UTF-8", "-d"]).arg(out);
    javac.args(sources(JAVA, "java")?);
    process::run(&mut javac)?;
    let mut files = sources(KOTLIN, "kt")?;
    files.extend(SAMPLES.iter().map(|path| paths::root().join(path)));
    kotlinc(library, out, &files)?;
    Ok(files.len())
}

/// Compiles files into `out`, which is on their class path.
fn kotlinc(library: &Path, out: &Path, files: &[PathBuf]) -> Result<()> {
    let jars = |names: &[&str]| -> Vec<String> {
        names.iter().map(|name| library.join(format!("{name}.jar")).display().to_string()).collect()
    };
    let path = [vec![out.display().to_string()], jars(LIBRARIES)].concat().join(":");
    let mut java = Command::new("java");
    java.args(["-cp", &jars(COMPILER).join(":"), "org.jetbrains.kotlin.cli.jvm.K2JVMCompiler"]);
    java.args(["-no-stdlib", "-no-reflect", "-Werror", "-jvm-target", "1.8", "-cp", &path, "-d"]).arg(out);
    let done = process::run_within(java.args(files), COMPILE_LIMIT)?;
    if done.success {
        return Ok(());
    }
    Err(format!("not every Kotlin file compiles ({}):\n{}{}", done.ending, done.stdout, done.stderr))
}

/// Returns the files with this extension in folders of the repository.
fn sources(folders: &[&str], ending: &str) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for folder in folders.iter().map(|folder| paths::root().join(folder)) {
        let wrong = |e| format!("cannot read {}: {e}", folder.display());
        for entry in std::fs::read_dir(&folder).map_err(wrong)? {
            let path = entry.map_err(wrong)?.path();
            if path.extension().is_some_and(|found| found == ending) {
                files.push(path);
            }
        }
    }
    files.sort();
    if files.is_empty() { Err(format!("no .{ending} files in {folders:?}")) } else { Ok(files) }
}
