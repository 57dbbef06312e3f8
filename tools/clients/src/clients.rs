//! Installs the clients and runs their scripts.

use crate::server::Server;
use happy_tool_kit::outcome::Outcome;
use happy_tool_kit::{Result, fetch, models, paths, process};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs the clients of all languages whose tools are installed.
pub(crate) fn run() -> Result<Outcome> {
    let own = paths::root().join("tools/clients");
    let folder = paths::target().join("clients");
    std::fs::create_dir_all(&folder).map_err(|e| format!("cannot make {}: {e}", folder.display()))?;
    let (python, node) = match (python(&own, &folder), node(&own, &folder)) {
        (Ok(python), Ok(node)) => (python, node),
        (Err(why), _) | (_, Err(why)) => return Ok(Outcome::Unavailable(why)),
    };
    let model = fetch::fetch(models::find("smollm2")?)?;
    let happy = process::build_tested_happy()?;
    let server = Server::start(&happy, &model)?;
    let name = model.file_stem().unwrap_or_default();
    let mut failed = Vec::new();
    for mut command in [python, node] {
        // The scripts print a line for each test. No client may connect to another server.
        let command = command
            .arg(&server.url)
            .arg(name)
            .env("NO_PROXY", "*")
            .env("LITELLM_LOCAL_MODEL_COST_MAP", "True");
        if let Err(why) = process::run(command) {
            failed.push(why);
        }
    }
    let browser = BROWSERS.into_iter().find(|name| process::succeeds(Command::new(name).arg("--version")));
    if let Some(browser) = browser {
        let mut page = Command::new("node");
        page.arg("page.mjs")
            .arg(&server.url)
            .arg(name)
            .arg(path_of(browser)?)
            .arg(&happy)
            .arg(&model)
            .current_dir(folder.join("node"));
        if let Err(why) = process::run(&mut page) {
            failed.push(why);
        }
    }
    match (failed.is_empty(), browser) {
        (false, _) => Err(failed.join("; ")),
        (true, Some(_)) => Ok(Outcome::Passed),
        (true, None) => {
            Ok(Outcome::Skipped("the clients passed; the page needs chromium (apt install chromium)".into()))
        }
    }
}

/// Browsers in which the page is tested.
const BROWSERS: [&str; 2] = ["chromium", "google-chrome"];

/// Returns the path of a program, as the shell finds it.
fn path_of(program: &str) -> Result<String> {
    Ok(process::output(Command::new("sh").args(["-c", "command -v $0", program]))?.trim().to_owned())
}

/// Returns the command for the script of the Python clients, in an environment of its own.
fn python(own: &Path, folder: &Path) -> Result<Command> {
    let environment = folder.join("python");
    let python = environment.join("bin/python");
    if !python.is_file() {
        process::run(Command::new("python3").args(["-m", "venv"]).arg(&environment))?;
    }
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]);
    process::run(pip.arg(own.join("python/requirements.txt")))?;
    let mut command = Command::new(python);
    command.arg(own.join("python/clients.py"));
    Ok(command)
}

/// Returns the command for the script of the npm clients, which is beside their packages, where node looks for them.
fn node(own: &Path, folder: &Path) -> Result<Command> {
    let folder: PathBuf = folder.join("node");
    std::fs::create_dir_all(&folder).map_err(|e| format!("cannot make {}: {e}", folder.display()))?;
    for file in ["package.json", "clients.mjs", "page.mjs", "hub.mjs"] {
        let (from, to) = (own.join("node").join(file), folder.join(file));
        std::fs::copy(&from, &to).map_err(|e| format!("cannot copy {}: {e}", from.display()))?;
    }
    process::run(
        Command::new("npm").args(["install", "--no-audit", "--no-fund", "--silent"]).current_dir(&folder),
    )?;
    let mut command = Command::new("node");
    command.arg("clients.mjs").current_dir(&folder);
    Ok(command)
}
