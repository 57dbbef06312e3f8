//! What a program ran, from qemu's log: each block of instructions when it is translated, then its address whenever it runs.

use happy_tool_kit::{Result, process};
use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

/// Instructions, as they lie in memory, that run one after the other.
type Block = Vec<u32>;

/// All blocks that ran, in order.
pub(super) struct Trace {
    blocks: Vec<Block>,
    /// Indices of `blocks`.
    ran: Vec<u32>,
}

/// The part of a trace that is one multiplication, from any point to the same point of the next.
pub(super) struct Period<'a> {
    trace: &'a Trace,
    ran: &'a [u32],
}

impl Trace {
    /// Runs an aarch64 program under qemu.
    pub(super) fn of<'a>(program: &Path, arguments: impl Iterator<Item = &'a String>) -> Result<Self> {
        let mut command = Command::new("qemu-aarch64");
        command.args(["-cpu", "max", "-d", "in_asm,exec,nochain"]).arg(program).args(arguments);
        let name = process::display(&command);
        let failed = |e: std::io::Error| format!("cannot run `{name}`: {e}");
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().map_err(failed)?;
        let log = child.stderr.take().ok_or_else(|| format!("`{name}` has no log"))?;
        let trace = Self::read(BufReader::with_capacity(1 << 20, log));
        let status = child.wait().map_err(failed)?;
        if !status.success() {
            return Err(format!("`{name}` failed ({status})"));
        }
        trace.map_err(|why| format!("`{name}`: {why}"))
    }

    fn read(mut log: impl BufRead) -> Result<Self> {
        let mut trace = Self { blocks: Vec::new(), ran: Vec::new() };
        let mut at: HashMap<u64, u32> = HashMap::new();
        let mut line = Vec::new();
        // The address and the instructions of the block that is being listed.
        let mut listed: Option<(u64, Block)> = None;
        loop {
            line.clear();
            if log.read_until(b'\n', &mut line).map_err(|e| format!("cannot read qemu's log: {e}"))? == 0 {
                return Ok(trace);
            }
            let Ok(text) = std::str::from_utf8(&line) else { continue };
            if let Some(run) = text.strip_prefix("Trace ") {
                if let Some((address, block)) = listed.take() {
                    at.insert(address, trace.blocks.len() as u32);
                    trace.blocks.push(block);
                }
                let address =
                    run.split('/').nth(1).and_then(hex).ok_or_else(|| format!("cannot read {text}"))?;
                let block = at.get(&address).ok_or_else(|| format!("no block at {address:#x} was listed"))?;
                trace.ran.push(*block);
            } else if text.starts_with("IN:") {
                if let Some((address, block)) = listed.take() {
                    at.insert(address, trace.blocks.len() as u32);
                    trace.blocks.push(block);
                }
            } else if let Some((address, opcode)) = instruction(text) {
                listed.get_or_insert_with(|| (address, Block::new())).1.push(opcode);
            }
        }
    }

    /// How many blocks ran.
    pub(super) fn blocks(&self) -> usize {
        self.ran.len()
    }

    /// Finds the blocks of one multiplication in the trace of three. `once` is the number of blocks in a trace of one.
    pub(super) fn period(&self, once: usize) -> Result<Period<'_>> {
        let length = self.ran.len().saturating_sub(once) / 2;
        // The last stretch of a whole length in which everything comes again a length later.
        let mut again = 0;
        for i in (0..self.ran.len().saturating_sub(length)).rev() {
            again = if self.ran[i] == self.ran[i + length] { again + 1 } else { 0 };
            if length > 0 && again == length {
                return Ok(Period { trace: self, ran: &self.ran[i..i + length] });
            }
        }
        Err(format!("nothing in {} blocks comes again after {length}", self.ran.len()))
    }
}

impl Period<'_> {
    fn each(&self) -> impl Iterator<Item = u32> {
        self.ran.iter().flat_map(|&block| self.trace.blocks[block as usize].iter().copied())
    }

    /// How many instructions it has.
    pub(super) fn instructions(&self) -> usize {
        self.each().count()
    }

    /// Returns the `length` instructions in the middle.
    pub(super) fn window(&self, length: usize) -> Vec<u32> {
        let first = self.instructions().saturating_sub(length) / 2;
        self.each().skip(first).take(length).collect()
    }

    /// `samples` of `length` instructions, evenly spread; all instructions if they are fewer.
    pub(super) fn samples(&self, samples: usize, length: usize) -> Vec<u32> {
        let step = (self.instructions() / samples).max(length);
        let sampled = self.each().enumerate().filter(|(i, _)| i % step < length);
        sampled.map(|(_, opcode)| opcode).take(samples * length).collect()
    }
}

/// The address and the instruction of a line such as `0x00400580:  d10203ff  sub      sp, sp, #0x80`.
fn instruction(line: &str) -> Option<(u64, u32)> {
    let (address, rest) = line.strip_prefix("0x")?.split_once(':')?;
    let opcode = rest.split_whitespace().next().filter(|text| text.len() == 8)?;
    Some((hex(address)?, u32::from_str_radix(opcode, 16).ok()?))
}

fn hex(text: &str) -> Option<u64> {
    u64::from_str_radix(text, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A log of blocks of 1 (A), 2 (B) and 1 (C) instructions, run in the order of `ran`.
    fn log(ran: &str) -> String {
        let mut log = String::from(
            "----------------\nIN: main\n0x00000010:  0000000a  nop\n\n----------------\nIN: \n0x00000020:  0000000b  nop\n0x00000024:  000000bb  nop\n\n\
             ----------------\nIN: \n0x00000030:  0000000c  nop\n\n",
        );
        for block in ran.chars() {
            let address = match block {
                'A' => 0x10,
                'B' => 0x20,
                _ => 0x30,
            };
            log += &format!("Trace 0: 0x7f0a [0000000000000000/{address:016x}/00000000/ff000000] main\n");
        }
        log
    }

    #[test]
    fn a_multiplication_is_what_comes_again() {
        // The start has a loop of its own, whose blocks come again at any distance.
        let once = Trace::read(log("AAAAAAAABBCA").as_bytes()).expect("once");
        let thrice = Trace::read(log("AAAAAAAABBCBBCBBCA").as_bytes()).expect("thrice");
        let period = thrice.period(once.blocks()).expect("a period");
        assert_eq!(period.instructions(), 5);
        assert_eq!(period.window(5).iter().filter(|&&opcode| opcode == 0xc).count(), 1);
        assert_eq!(period.window(2).len(), 2);
        assert_eq!(period.samples(2, 1).len(), 2);
        assert_eq!(period.samples(1, 100), period.window(5));
    }

    #[test]
    fn a_log_that_is_none_is_an_error() {
        assert!(Trace::read("Trace 0: 0x7f [00/0000000000000040/00/00] f\n".as_bytes()).is_err());
        let trace = Trace::read("hello\n".as_bytes()).expect("an empty trace");
        assert!(trace.period(0).is_err());
    }
}
