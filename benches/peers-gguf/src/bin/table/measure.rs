//! What is asked of each peer, and what of it stands in the table.

use std::fs;
use std::path::Path;

use happy_gguf::Gguf;
use peers_gguf::Result;

use crate::build::Probe;
use crate::inputs::{Expected, Inputs};
use crate::process::{Answer, ask};

/// Turns that the peers take, and how often each opens the file in one.
const TURNS: usize = 9;
const RUNS: &str = "5";

/// A column of the table.
#[derive(Default)]
pub struct Measured {
    pub versions: String,
    pub orders: String,
    pub types: usize,
    pub bytes: &'static str,
    pub valid: usize,
    pub hostile: Tally,
    pub crashes: usize,
    pub writes: String,
    pub millis: f64,
    pub dependencies: usize,
    pub added: u64,
}

/// How often a probe ended how.
#[derive(Default)]
pub struct Tally {
    pub refused: usize,
    pub accepted: usize,
    pub panicked: usize,
    pub aborted: usize,
    pub hung: usize,
}

impl Measured {
    /// Everything but the time.
    pub fn of(probe: &Probe, inputs: &Inputs, empty: &Path) -> Result<Self> {
        let right = |file: &Expected| is_right(probe, file);
        let mut this = Self { dependencies: probe.dependencies, ..Self::default() };
        this.added = fs::metadata(&probe.small)?.len().saturating_sub(fs::metadata(empty)?.len());
        let mut versions = Vec::new();
        for (version, file) in &inputs.versions {
            versions.extend(right(file)?.then(|| version.to_string()));
        }
        this.versions = versions.join(", ");
        let mut orders = Vec::new();
        for (order, file) in &inputs.orders {
            orders.extend(right(file)?.then(|| order.to_string()));
        }
        this.orders = orders.join(", ");
        for file in &inputs.types {
            this.types += usize::from(right(file)?);
        }
        for file in &inputs.valid {
            this.valid += usize::from(right(file)?);
        }
        this.bytes = if hands_out_bytes(probe, inputs)? { "yes" } else { "no" };
        for file in &inputs.all {
            let answer = ask(&probe.program, "read", file, &[])?;
            let died = matches!(answer, Answer::Panicked | Answer::Aborted | Answer::Hung);
            this.crashes += usize::from(died);
            if inputs.hostile.contains(file) {
                this.hostile.count(&answer);
            }
        }
        this.writes = writes(probe, &inputs.scratch)?;
        Ok(this)
    }
}

impl Tally {
    fn count(&mut self, answer: &Answer) {
        *match answer {
            Answer::Taken(_) => &mut self.accepted,
            Answer::Refused | Answer::Unable => &mut self.refused,
            Answer::Panicked => &mut self.panicked,
            Answer::Aborted => &mut self.aborted,
            Answer::Hung => &mut self.hung,
        } += 1;
    }
}

/// Whether the probe finds the pairs and the tensors, and the right bytes where it hands any out.
fn is_right(probe: &Probe, file: &Expected) -> Result<bool> {
    let Answer::Taken(text) = ask(&probe.program, "read", &file.path, &[])? else { return Ok(false) };
    let mut lines: Vec<&str> = text.lines().collect();
    let found = lines.len();
    lines.sort_unstable();
    let fits = |t: &crate::inputs::ExpectedTensor| {
        let with = format!("{} Some({})", t.line, t.fnv);
        let without = format!("{} None", t.line);
        lines.iter().any(|line| *line == with || *line == without)
    };
    let pairs = format!("pairs {}", file.pairs);
    Ok(found == file.tensors.len() + 1 && lines.contains(&&*pairs) && file.tensors.iter().all(fits))
}

/// Whether a probe prints hashes of the tensors' bytes; asked with the newest version.
fn hands_out_bytes(probe: &Probe, inputs: &Inputs) -> Result<bool> {
    let (_, file) = inputs.versions.last().ok_or("no versions")?;
    match ask(&probe.program, "read", &file.path, &[])? {
        Answer::Taken(text) => Ok(text.contains("Some(")),
        _ => Ok(false),
    }
}

/// The version of the file that the peer writes, or what is wrong with it.
fn writes(probe: &Probe, scratch: &Path) -> Result<String> {
    match ask(&probe.program, "write", scratch, &[])? {
        Answer::Taken(_) => {}
        Answer::Unable => return Ok("no writer".into()),
        _ => return Ok("failed".into()),
    }
    let bytes = fs::read(scratch)?;
    let gguf = match Gguf::parse(&bytes) {
        Ok(gguf) => gguf,
        Err(error) => return Ok(format!("no: {error}")),
    };
    if let Some(warning) = gguf.warnings().iter().find(|w| w.is_refused_elsewhere()) {
        return Ok(format!("no: {:?}, version {}", warning.kind, gguf.version()));
    }
    let data = [1.0f32, 2.0, 3.0].map(f32::to_le_bytes).concat();
    let name = gguf.metadata().get_str("general.name").ok();
    let same = gguf.tensor("t").is_some_and(|t| gguf.data(&t) == Some(&data[..]));
    Ok(if same && name == Some("made") { format!("yes, version {}", gguf.version()) } else { "no".into() })
}

/// Measures how long each peer takes to open the file with many tokens. The peers take turns, and the median counts.
pub fn times(probes: &[Probe], inputs: &Inputs, columns: &mut [Measured]) -> Result<()> {
    let mut nanos = vec![Vec::new(); probes.len()];
    for _ in 0..TURNS {
        for (probe, nanos) in probes.iter().zip(&mut nanos) {
            let Answer::Taken(text) = ask(&probe.program, "time", &inputs.tokens, &[RUNS])? else {
                return Err(format!("{} cannot read the tokens", probe.title).into());
            };
            let (time, bytes) = text.trim().split_once(' ').ok_or("no time")?;
            if bytes.parse() != Ok(inputs.token_bytes) {
                return Err(format!("{}: tokens of {bytes} bytes", probe.title).into());
            }
            nanos.push(time.parse::<u64>()?);
        }
    }
    for (column, mut nanos) in columns.iter_mut().zip(nanos) {
        nanos.sort_unstable();
        column.millis = nanos[nanos.len() / 2] as f64 / 1e6;
    }
    Ok(())
}
