//! `cargo xtask test-avx512`: the kernel tests on an emulated CPU that has AVX-512 VNNI, for machines without it.
//!
//! qemu's emulation has no AVX-512; Bochs has. It emulates a whole computer, so:
//!
//! ```text
//! static test binaries + busybox + init script -> initial RAM disk (cpio)
//! Linux + RAM disk + boot loader               -> CD image
//! Bochs, CPU model with AVX-512 VNNI, boots it -> serial port into a file, read here
//! ```
//! About a hundred times slower than native: the whole of it takes from a quarter of an hour on.

mod image;

use crate::isa::Coverage;
use crate::process::Built;
use crate::{Result, paths, process};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const SETUP: &str = include_str!("setup-avx512.sh");
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Bochs' model of an Ice Lake: AVX-512 F, BW, DQ, VL, VNNI.
const CPU: &str = "corei7_icelake_u";

/// What the init script writes to the serial port after each binary, followed by its name and exit code.
const MARK: &str = "happy-test-ended";
/// The last line of the init script.
const END: &str = "happy-tests-ended";

/// Arguments of `test-avx512`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run only tests whose name contains this
    #[arg(long)]
    filter: Option<String>,
    /// Only these test binaries (linear_suite, ops_suite, attention_suite, happy_kernels); all of them unless named
    binaries: Vec<String>,
    /// Minutes after which the emulator is killed
    #[arg(long, default_value_t = 120)]
    limit: u64,
}

/// Sets up what is missing, builds, boots and judges.
pub(crate) fn run(args: &Args) -> Result<()> {
    if !cfg!(all(target_arch = "x86_64", target_os = "linux")) {
        return Err("test-avx512 needs an x86-64 Linux to build its binaries on".into());
    }
    let folder = paths::target().join("avx512");
    let folder = std::env::var_os("HAPPY_AVX512").filter(|v| !v.is_empty()).map_or(folder, PathBuf::from);
    set_up(&folder)?;
    let binaries = build(&args.binaries)?;
    let image = image::write(&folder, &binaries, args.filter.as_deref())?;
    let output = boot(&folder, &image, Duration::from_secs(60 * args.limit))?;
    judge(&binaries, &output)
}

/// Installs and unpacks the emulator's parts where they are missing.
fn set_up(folder: &Path) -> Result<()> {
    let has_tools =
        ["bochs", "genisoimage"].iter().all(|tool| process::succeeds(Command::new("which").arg(tool)));
    if has_tools && folder.join("vmlinuz").is_file() && folder.join("busybox").is_file() {
        return Ok(());
    }
    eprintln!("setting up Bochs and a Linux to boot in {} (about 70 MB from Debian, root)", folder.display());
    fs::create_dir_all(folder).map_err(|e| format!("cannot create {}: {e}", folder.display()))?;
    let script = folder.join("setup-avx512.sh");
    fs::write(&script, SETUP).map_err(|e| format!("cannot write {}: {e}", script.display()))?;
    process::run(Command::new("bash").arg(&script).arg(folder))
        .map_err(|e| format!("{e}; test-avx512 needs Debian 12 or later, root and a network for its set-up"))
}

/// The tests of happy-kernels as static binaries.
fn build(wanted: &[String]) -> Result<Vec<Built>> {
    let mut command =
        process::cargo(&["test", "--release", "--no-run", "--lib", "--tests", "--package", "happy-kernels"]);
    command
        .args(["--target", TARGET])
        .env("CARGO_TARGET_DIR", paths::target().join("static"))
        .env("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS", "-Ctarget-feature=+crt-static")
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_PROFILE_RELEASE_STRIP", "true");
    let built = process::build(&mut command)?;
    let names: Vec<String> = built.iter().map(|b| b.target.clone()).collect();
    if let Some(unknown) = wanted.iter().find(|name| !names.contains(name)) {
        return Err(format!("unknown test binary '{unknown}': expected some of {}", names.join(", ")));
    }
    Ok(built.into_iter().filter(|b| wanted.is_empty() || wanted.contains(&b.target)).collect())
}

/// Boots the image and hands back what came out of the serial port.
fn boot(folder: &Path, image: &Path, limit: Duration) -> Result<String> {
    let serial = folder.join("serial.txt");
    let _ = fs::remove_file(&serial);
    let file = |name: &str, text: String| {
        let path = folder.join(name);
        fs::write(&path, text)
            .map(|()| path.clone())
            .map_err(|e| format!("cannot write {}: {e}", path.display()))
    };
    let configuration = file("bochsrc", configuration(folder, image, &serial))?;
    // Debian's Bochs starts in its debugger: "c" continues.
    let commands = file("bochs.commands", "c\n".into())?;
    let log =
        fs::File::create(folder.join("bochs.out")).map_err(|e| format!("cannot create bochs.out: {e}"))?;
    let mut bochs = Command::new("bochs");
    bochs.arg("-q").arg("-f").arg(&configuration).arg("-rc").arg(&commands);
    bochs.stdin(Stdio::null()).stderr(log.try_clone().map_err(|e| e.to_string())?).stdout(log);
    let mut child = bochs.spawn().map_err(|e| format!("cannot start `{}`: {e}", process::display(&bochs)))?;
    eprintln!("booting a Linux in Bochs ({CPU}); its serial port: {}", serial.display());
    let deadline = Instant::now() + limit;
    let mut shown = 0;
    let ending = loop {
        thread::sleep(Duration::from_secs(1));
        let text = read(&serial);
        for line in text.lines().skip(shown).filter(|line| is_news(line)) {
            eprintln!("  {line}");
        }
        shown = text.lines().count().saturating_sub(usize::from(!text.ends_with('\n')));
        if text.contains(END) {
            break Ok(text);
        }
        if child.try_wait().map_err(|e| format!("cannot wait for bochs: {e}"))?.is_some() {
            break Err(format!("bochs ended early; see {}", folder.join("bochs.out").display()));
        }
        if Instant::now() > deadline {
            break Err(format!(
                "no end after {} minutes (--limit); so far:\n{}",
                limit.as_secs() / 60,
                last_lines(&text)
            ));
        }
    };
    // The emulated machine halts but Bochs goes on: it only emulates, nothing is lost by killing it.
    let _ = child.kill();
    let _ = child.wait();
    ending
}

fn configuration(folder: &Path, image: &Path, serial: &Path) -> String {
    format!(
        "megs: 1024\n\
         romimage: file=/usr/share/bochs/BIOS-bochs-latest\n\
         vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest\n\
         cpu: model={CPU}, count=1, ips=100000000, reset_on_triple_fault=0\n\
         ata0-master: type=cdrom, path={}, status=inserted\n\
         boot: cdrom\n\
         display_library: rfb, options=\"timeout=0\"\n\
         com1: enabled=1, mode=file, dev={}\n\
         clock: sync=none\n\
         log: {}\n\
         panic: action=fatal\n\
         error: action=report\n\
         info: action=ignore\n",
        image.display(),
        serial.display(),
        folder.join("bochs.log").display()
    )
}

fn read(serial: &Path) -> String {
    String::from_utf8_lossy(&fs::read(serial).unwrap_or_default()).replace('\r', "")
}

/// Whether a line of the serial port is worth showing: the tests' results, not the kernel's boot.
fn is_news(line: &str) -> bool {
    [MARK, "isa: ", "test result:", "panicked", "model name"].iter().any(|part| line.contains(part))
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}

/// Every binary must have ended with 0, and AVX-512 must have run.
fn judge(binaries: &[Built], output: &str) -> Result<()> {
    let mut failures = Vec::new();
    for binary in binaries {
        let mark = format!("{MARK} {} ", binary.target);
        let code = output.lines().find_map(|line| line.trim().strip_prefix(&mark));
        match code.map(str::trim) {
            Some("0") => {}
            Some(code) => failures.push(format!("{}: exit code {code}", binary.target)),
            None => failures.push(format!("{}: did not end", binary.target)),
        }
    }
    let mut coverage = Coverage::default();
    coverage.read(output);
    println!("emulated {CPU}: {} binaries; isa: {coverage}", binaries.len());
    if !coverage.ran("avx512") {
        failures.push("no test ran a kernel for avx512 (expected a line `isa: avx512 ran`)".into());
    }
    if failures.is_empty() { Ok(()) } else { Err(format!("on the emulated CPU: {}", failures.join("; "))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binary(name: &str) -> Built {
        Built { target: name.into(), package_dir: PathBuf::new(), executable: PathBuf::new() }
    }

    #[test]
    fn results_are_read_from_the_serial_port() {
        let good = format!("isa: avx512 ran\n{MARK} ops_suite 0\n{MARK} pool 0\n{END}\n");
        assert_eq!(judge(&[binary("ops_suite"), binary("pool")], &good), Ok(()));
        let cases = [
            (good.replace("pool 0", "pool 101"), "pool: exit code 101"),
            (good.replace("happy-test-ended pool 0", ""), "pool: did not end"),
            (good.replace("avx512 ran", "avx512 skipped"), "no test ran"),
        ];
        for (output, expected) in cases {
            let message = judge(&[binary("ops_suite"), binary("pool")], &output).expect_err(expected);
            assert!(message.contains(expected), "{message}");
        }
    }
}
