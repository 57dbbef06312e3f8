//! `cargo xtask device-run`: runs one program on a device, as a runner for cargo.
//!
//! ```text
//! CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_RUNNER="cargo xtask device-run" cargo test --target aarch64-unknown-linux-musl ...
//! ```
//!
//! Cargo starts it in the package's folder, from which it finds the data to push. Output is printed as it comes, and
//! the exit code is that of the program. If there are several devices, `ANDROID_SERIAL` selects one, as for adb itself.

use crate::adb::{Adb, Ending};
use crate::environment::environment;
use crate::folder::{Folder, Program};
use crate::packages::{self, Workspace};
use crate::{interrupt, select, suite};
use happy_tool_kit::{Result, paths};
use std::env;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Arguments of `device-run`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Kill the program after this many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    timeout: u64,
    /// Program for aarch64
    program: PathBuf,
    /// Its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// `cargo xtask device-run`.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    interrupt::watch()?;
    let adb = Adb::find()?;
    let serial = env::var("ANDROID_SERIAL").ok().filter(|serial| !serial.is_empty());
    let mut devices = select::select(&adb, serial.as_deref())?;
    let device = devices.pop().ok_or("no device is connected")??;
    if !devices.is_empty() {
        return Err(
            "several devices are connected: set ANDROID_SERIAL to one of those that `adb devices` lists"
                .into(),
        );
    }
    select::examine(&device, None)?;
    let here = env::current_dir().map_err(|e| format!("the current directory cannot be read: {e}"))?;
    let program = here.join(&args.program);
    let name = program.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| format!("{} is not a program", program.display()))?;

    let folder = Folder::create(&device)?;
    folder.push_programs(std::slice::from_ref(&program))?;
    let workspace = Workspace::read(None)?;
    let package = workspace.packages.iter().find(|package| package.folder == here);
    let place = match package {
        Some(package) => {
            suite::push_data(&folder, &package.folder, &workspace.root)?;
            suite::push_corpora(&folder, package.corpora())?;
            packages::place(&here, &paths::root())
        }
        None => String::new(),
    };
    let run = Program {
        name,
        arguments: &args.arguments,
        environment: &environment(&folder, &place),
        directory: &place,
    };
    let limit = Duration::from_secs(args.timeout);
    let ending = folder.run(&run, limit, &mut io::stdout(), &mut io::stderr())?;
    match ending {
        Ending::Exited(code) => Ok(ExitCode::from(u8::try_from(code).unwrap_or(1))),
        other => Err(format!("{name}: {other}")),
    }
}
