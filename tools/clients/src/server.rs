//! A running `happy serve`, which ends when it is dropped.

use happy_tool_kit::Result;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// The running program.
pub(crate) struct Server {
    child: Child,
    /// `http://ADDRESS`.
    pub(crate) url: String,
}

impl Server {
    /// Starts it on any free port, and waits until it listens.
    pub(crate) fn start(happy: &Path, model: &Path) -> Result<Self> {
        Self::start_with(happy, model, &["--ctx", "2048"])
    }

    /// Starts it with more options.
    pub(crate) fn start_with(happy: &Path, model: &Path, options: &[&str]) -> Result<Self> {
        let mut command = Command::new(happy);
        command.arg("serve").arg("-m").arg(model).args(["--port", "0"]).args(options);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| format!("cannot start {}: {e}", happy.display()))?;
        let mut line = String::new();
        let out = child.stdout.take().ok_or("happy serve has no output")?;
        let read = BufReader::new(out).read_line(&mut line);
        let url = line.trim().strip_prefix("listening on ").map(str::to_owned);
        let mut server = Self { child, url: url.clone().unwrap_or_default() };
        match (read, url) {
            (Ok(_), Some(_)) => Ok(server),
            _ => {
                let ended = server.child.try_wait();
                Err(format!("happy serve did not say where it listens, but {line:?}; it ended: {ended:?}"))
            }
        }
    }
}

impl Server {
    /// Returns the id of its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; its clients have noticed that then.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
