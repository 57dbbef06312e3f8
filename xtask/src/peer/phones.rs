//! Models in the shapes of those that phones run, as files with random weights: their names, their folder, and the
//! programs of `happy-benches` that make and read them.

use super::measure::number_of;
use happy_tool_kit::{Result, paths, process};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The programs that make and read the models.
pub(super) struct Phones {
    models: PathBuf,
    read_loop: PathBuf,
    /// Names of the models that can be made.
    pub(super) names: Vec<String>,
    /// Names of those that are all in one format.
    pub(super) formats: Vec<String>,
}

impl Phones {
    /// Builds the programs.
    pub(super) fn build() -> Result<Self> {
        let mut cargo = process::cargo(&["build", "--release", "--package", "happy-benches", "--bins"]);
        let built = process::build(&mut cargo)?;
        let find = |name: &str| {
            let found = built.iter().find(|program| program.target == name);
            let found = found.map(|program| program.executable.clone());
            found
                .ok_or_else(|| format!("cargo built happy-benches but reported no executable named `{name}`"))
        };
        let (models, read_loop) = (find("phone_models")?, find("read_loop")?);
        let names = names_of(&mut Command::new(&models))?;
        let formats = names_of(Command::new(&models).arg("formats"))?;
        Ok(Self { names, formats, models, read_loop })
    }

    /// The model's file, made first if it is missing.
    pub(super) fn file(&self, name: &str) -> Result<PathBuf> {
        let folder = paths::models()?.join("phone");
        let file = folder.join(format!("{name}.gguf"));
        if !file.is_file() {
            fs::create_dir_all(&folder).map_err(|e| format!("cannot create {}: {e}", folder.display()))?;
            process::run(Command::new(&self.models).arg(name).arg(&file))?;
        }
        Ok(file)
    }

    /// Removes a model's file.
    pub(super) fn remove(&self, file: &Path) -> Result<()> {
        fs::remove_file(file).map_err(|e| format!("cannot remove {}: {e}", file.display()))
    }

    /// Returns how many GB of the mapped file a plain loop reads in a second.
    pub(super) fn read_loop(&self, file: &Path, threads: u32) -> Result<f64> {
        let mut command = Command::new(&self.read_loop);
        let text = process::output(command.arg(file).arg(threads.to_string()))?;
        let found = number_of(&text, "gb_s");
        found.ok_or_else(|| format!("`{}` printed no gb_s, but: {}", process::display(&command), text.trim()))
    }
}

/// Returns the first word of each line that a program prints.
fn names_of(program: &mut Command) -> Result<Vec<String>> {
    let list = process::output(program)?;
    Ok(list.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect())
}
