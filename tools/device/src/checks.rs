//! The checks besides the packages' tests: all corpora of other people's results, and the real models, whose hashes of
//! logits and `happy verify` must agree with what other machines have recorded.

use crate::adb::Ending;
use crate::environment::environment;
use crate::folder::{Folder, Program, megabytes};
use crate::report::{Report, Row};
use happy_tool_kit::models::MODELS;
use happy_tool_kit::{Result, fetch, fixtures, paths, process};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The corpora that need no real model, by their names in `happy-conform`, which are also the names of their archives.
const CORPORA: &[&str] =
    &["gguf", "quants", "sampling", "grammar", "chat-templates", "tokenizer", "architectures"];
/// An archive that belongs to `tokenizer`.
const LONG_TEXTS: &str = "text";

/// Runs `happy-conform` on the device.
pub(crate) fn conform(folder: &Folder, program: &Path, limit: Duration, report: &mut Report) -> Result<()> {
    folder.push_programs(&[program.to_owned()])?;
    let pushed = crate::suite::push_corpora(folder, &[CORPORA, &[LONG_TEXTS]].concat())?;
    println!(
        "\n     Running happy-conform on {} ({} of corpora pushed)\n",
        folder.device.serial,
        megabytes(pushed)
    );
    let arguments: Vec<String> = CORPORA.iter().map(|name| (*name).to_owned()).collect();
    let mut row = Row { name: "conform".into(), ..Row::default() };
    let run = Program {
        name: "happy-conform",
        arguments: &arguments,
        environment: &environment(folder, ""),
        directory: "",
    };
    let start = Instant::now();
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let ending = folder.run(&run, limit, &mut stdout, &mut stderr)?;
    row.seconds = start.elapsed().as_secs_f64();
    row.programs = 1;
    println!("{}", String::from_utf8_lossy(&stdout));
    if ending.is_success() {
        row.results.passed = CORPORA.len();
    } else {
        eprintln!("{}", process::tail(&String::from_utf8_lossy(&stderr), 20));
        row.results.failed = 1;
        row.failures.push(format!("happy-conform: {ending}"));
    }
    report.rows.push(row);
    folder.remove("bin")
}

/// Compares the logits of the real models with `fixtures/logits.txt`, and each step with `fixtures/verify-NAME.json`.
pub(crate) fn logits(folder: &Folder, happy: &Path, limit: Duration, report: &mut Report) -> Result<()> {
    folder.push_programs(&[happy.to_owned()])?;
    folder.push(&[paths::root().join("fixtures/prompt.txt")], "fixtures")?;
    println!("\n     Running happy logits and happy verify on {}\n", folder.device.serial);
    let mut row = Row { name: "logits".into(), ..Row::default() };
    for model in MODELS {
        let (file, expected) = (fetch::fetch(model)?, fixtures::golden(model)?);
        let reference = fixtures::reference(model);
        folder.push(std::slice::from_ref(&reference), "fixtures")?;
        let name = push_model(folder, &file)?;
        let start = Instant::now();
        let found = hash(folder, &name, limit)?;
        let seconds = start.elapsed().as_secs_f64();
        let failure = match found {
            Ok(hash) if hash == expected => None,
            Ok(hash) => Some(format!("sha256 {hash}, expected {expected}")),
            Err(message) => Some(message),
        };
        note(&mut row, ("logits", model.name), "as in fixtures/logits.txt", failure, seconds);
        let start = Instant::now();
        let failure = verify(folder, &name, &reference, limit)?;
        note(
            &mut row,
            ("verify", model.name),
            "every step is the same",
            failure,
            start.elapsed().as_secs_f64(),
        );
        folder.remove(&name)?;
    }
    report.rows.push(row);
    folder.remove("bin")
}

/// Prints how a check of a model went, and adds it to the table.
fn note(row: &mut Row, (check, model): (&str, &str), good: &str, failure: Option<String>, seconds: f64) {
    println!("{check} of {model}: {}, {seconds:.0} s", failure.as_deref().unwrap_or(good));
    row.seconds += seconds;
    row.programs += 1;
    match failure {
        None => row.results.passed += 1,
        Some(why) => {
            row.results.failed += 1;
            row.failures.push(format!("{check} of {model}: {why}"));
        }
    }
}

/// Returns the first difference that `happy verify` finds, or why it could not compare; an error if the device failed.
fn verify(folder: &Folder, model: &str, reference: &Path, limit: Duration) -> Result<Option<String>> {
    let file = reference.file_name().unwrap_or_default().to_string_lossy();
    let arguments = ["verify", model, "--against", &format!("fixtures/{file}"), "--json"].map(str::to_owned);
    let (ending, stdout, stderr) = happy(folder, &arguments, limit)?;
    if ending.is_success() {
        return Ok(None);
    }
    Ok(Some(format!("{ending}: {} {}", stdout.trim(), process::tail(&stderr, 3))))
}

/// Runs `happy` on the device.
fn happy(folder: &Folder, arguments: &[String], limit: Duration) -> Result<(Ending, String, String)> {
    let environment = environment(folder, "");
    let run = Program { name: "happy", arguments, environment: &environment, directory: "" };
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let ending = folder.run(&run, limit, &mut stdout, &mut stderr)?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok((ending, text(&stdout), text(&stderr)))
}

/// Returns the hash of a model's logits, or why the program gave none; an error if the device failed.
fn hash(folder: &Folder, model: &str, limit: Duration) -> Result<Result<String>> {
    let arguments =
        ["logits", "--full", "--sha256", "-m", model, "--tokens", "fixtures/prompt.txt"].map(str::to_owned);
    let (ending, stdout, stderr) = happy(folder, &arguments, limit)?;
    if !ending.is_success() {
        return Ok(Err(format!("{ending}: {}", process::tail(&stderr, 3))));
    }
    Ok(fixtures::find_hash(&stdout).ok_or_else(|| format!("no sha256 in: {}", stdout.trim())))
}

/// Pushes a model and returns its name in the folder.
pub(crate) fn push_model(folder: &Folder, file: &Path) -> Result<String> {
    let name = file
        .file_name()
        .ok_or_else(|| format!("{} is not a file", file.display()))?
        .to_string_lossy()
        .into_owned();
    let start = Instant::now();
    let bytes = folder.push(&[PathBuf::from(file)], "models")?;
    let seconds = start.elapsed().as_secs_f64();
    println!("     Pushed {name}: {} in {seconds:.1} s", megabytes(bytes));
    Ok(format!("models/{name}"))
}
