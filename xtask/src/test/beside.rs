//! The second lane: runs `cargo xtask test NAME.. --report FILE` in a process of its own, whose output is printed after
//! it has ended.

use super::steps::Step;
use super::tally::Tally;
use happy_tool_kit::{Result, paths};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// Steps that run at the same time as those of this process.
pub(super) struct Beside {
    child: Child,
    names: String,
    log: PathBuf,
    report: PathBuf,
}

impl Beside {
    /// Starts the steps, if there are any.
    pub(super) fn start(steps: &[&Step]) -> Result<Option<Self>> {
        if steps.is_empty() {
            return Ok(None);
        }
        let names: Vec<&str> = steps.iter().map(|step| step.name).collect();
        let file = |end| paths::target().join(format!("test-beside-{}.{end}", std::process::id()));
        let (log, report) = (file("log"), file("json"));
        let at =
            |what: &'static str| move |e: io::Error| format!("cannot start the steps beside: {what}: {e}");
        fs::create_dir_all(paths::target()).map_err(at("the target folder"))?;
        let output = File::create(&log).map_err(at("their log"))?;
        let program = std::env::current_exe().map_err(at("this program's path"))?;
        let start = |command: &mut Command| -> io::Result<Child> {
            command.arg("test").args(&names).arg("--report").arg(&report).stdin(Stdio::null());
            command.stdout(output.try_clone()?).stderr(output.try_clone()?).spawn()
        };
        // These use the cores that the other steps leave idle, since many tests use only one core.
        let child = match start(Command::new("nice").args(["-n", "10"]).arg(&program)) {
            // Not every system has this program.
            Err(e) if e.kind() == io::ErrorKind::NotFound => start(&mut Command::new(&program)),
            started => started,
        };
        let child = child.map_err(at("the program"))?;
        let names = names.join(", ");
        eprintln!("beside the others, with output at the end: {names}");
        Ok(Some(Self { child, names, log, report }))
    }

    /// Waits for the steps, prints their output, and returns their results.
    pub(super) fn finish(mut self) -> Result<Tally> {
        let status =
            self.child.wait().map_err(|e| format!("cannot wait for the steps {}: {e}", self.names))?;
        if let Ok(mut log) = File::open(&self.log) {
            // A terminal that was closed is not a failure of a test.
            let _ = io::copy(&mut log, &mut io::stderr());
            let _ = io::stderr().flush();
        }
        let tally = Tally::read(&self.report);
        let _ = (fs::remove_file(&self.log), fs::remove_file(&self.report));
        tally.map_err(|e| format!("the steps {} ended ({status}) without a report: {e}", self.names))
    }
}
