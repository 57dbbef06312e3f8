//! The checks beside the packages' tests: all corpora of other people's results, and the logits of the real models, whose
//! hashes must be those that other machines have written down.

use crate::environment::environment;
use crate::folder::{Folder, Program, megabytes};
use crate::report::{Report, Row};
use happy_tool_kit::models::MODELS;
use happy_tool_kit::{Result, fetch, fixtures, paths, process};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The corpora that need no real model, as `happy-conform` calls them and as their archives are named.
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

/// Compares the logits of the real models with `fixtures/logits.txt`.
pub(crate) fn logits(folder: &Folder, happy: &Path, limit: Duration, report: &mut Report) -> Result<()> {
    folder.push_programs(&[happy.to_owned()])?;
    folder.push(&[paths::root().join("fixtures/prompt.txt")], "fixtures")?;
    println!("\n     Running happy logits on {}\n", folder.device.serial);
    let mut row = Row { name: "logits".into(), ..Row::default() };
    for model in MODELS {
        let (file, expected) = (fetch::fetch(model)?, fixtures::golden(model)?);
        let start = Instant::now();
        let found = hash(folder, &file, limit)?;
        let seconds = start.elapsed().as_secs_f64();
        row.seconds += seconds;
        row.programs += 1;
        let failure = match found {
            Ok(hash) if hash == expected => None,
            Ok(hash) => Some(format!("sha256 {hash}, expected {expected}")),
            Err(message) => Some(message),
        };
        println!(
            "{}: {}, {seconds:.0} s",
            model.name,
            failure.as_deref().unwrap_or("as in fixtures/logits.txt")
        );
        match failure {
            None => row.results.passed += 1,
            Some(why) => {
                row.results.failed += 1;
                row.failures.push(format!("logits of {}: {why}", model.name));
            }
        }
    }
    report.rows.push(row);
    folder.remove("bin")
}

/// The hash of a model's logits, or why the program gave none; an error when the device failed.
fn hash(folder: &Folder, file: &Path, limit: Duration) -> Result<Result<String>> {
    let name = push_model(folder, file)?;
    let arguments: Vec<String> =
        ["logits", "--full", "--sha256", "-m", &name, "--tokens", "fixtures/prompt.txt"]
            .map(str::to_owned)
            .into();
    let run = Program {
        name: "happy",
        arguments: &arguments,
        environment: &environment(folder, ""),
        directory: "",
    };
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let ending = folder.run(&run, limit, &mut stdout, &mut stderr)?;
    folder.remove(&name)?;
    if !ending.is_success() {
        return Ok(Err(format!("{ending}: {}", process::tail(&String::from_utf8_lossy(&stderr), 3))));
    }
    let stdout = String::from_utf8_lossy(&stdout);
    Ok(fixtures::find_hash(&stdout).ok_or_else(|| format!("no sha256 in: {}", stdout.trim())))
}

/// Pushes a model and hands back its name in the folder.
pub(crate) fn push_model(folder: &Folder, file: &Path) -> Result<String> {
    let name = file
        .file_name()
        .ok_or_else(|| format!("{} is no file", file.display()))?
        .to_string_lossy()
        .into_owned();
    let start = Instant::now();
    let bytes = folder.push(&[PathBuf::from(file)], "models")?;
    let seconds = start.elapsed().as_secs_f64();
    println!("     Pushed {name}: {} in {seconds:.1} s", megabytes(bytes));
    Ok(format!("models/{name}"))
}
