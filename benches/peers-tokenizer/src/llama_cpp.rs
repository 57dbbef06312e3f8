//! llama.cpp in a process of its own: a Python program that answers line by line.

use crate::Error;
use crate::peers::Peer;
use crate::texts::Text;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// The running program.
pub(crate) struct LlamaCpp {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    version: String,
    gguf: PathBuf,
    ids: PathBuf,
}

impl LlamaCpp {
    /// Starts it; `None` if `environment` has no Python.
    pub(crate) fn start(gguf: &Path, environment: &Path, folder: &Path) -> Result<Option<Self>, Error> {
        let python = environment.join("bin/python");
        if !python.is_file() {
            return Ok(None);
        }
        let mut command = Command::new(python);
        command.args(["-c", include_str!("llama_cpp.py")]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("llama.cpp's process has no pipes".into());
        };
        let (gguf, ids) = (gguf.to_owned(), folder.join("ids.bin"));
        let output = BufReader::new(output);
        let mut started = LlamaCpp { child, input, output, version: String::new(), gguf, ids };
        started.version = started.answer()?;
        Ok(Some(started))
    }

    fn answer(&mut self) -> Result<String, Error> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        if line.is_empty() {
            return Err("llama.cpp's process ended; what it said is above".into());
        }
        Ok(line.trim().to_owned())
    }

    fn ask(&mut self, command: &str, paths: [&Path; 2]) -> Result<f64, Error> {
        writeln!(self.input, "{command}\t{}\t{}", paths[0].display(), paths[1].display())?;
        self.input.flush()?;
        Ok(self.answer()?.parse()?)
    }
}

impl Drop for LlamaCpp {
    fn drop(&mut self) {
        // Whether it still ran does not matter any more.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Peer for LlamaCpp {
    fn name(&self) -> String {
        format!("llama.cpp (llama-cpp-python {})", self.version)
    }

    fn load(&mut self) -> Result<f64, Error> {
        let gguf = self.gguf.clone();
        self.ask("load", [&gguf, &gguf])
    }

    fn encode(&mut self, text: &Text) -> Result<(f64, Vec<u32>), Error> {
        let ids = self.ids.clone();
        let seconds = self.ask("encode", [&text.file, &ids])?;
        let bytes = std::fs::read(ids)?;
        let (numbers, _) = bytes.as_chunks::<4>();
        Ok((seconds, numbers.iter().map(|b| u32::from_le_bytes(*b)).collect()))
    }
}
