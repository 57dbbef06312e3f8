//! `cargo xtask device-test`: the tests of all crates on a phone, over `adb`.
//!
//! ```text
//! for each device:  a fresh folder under /data/local/tmp
//!     for each package:  push its test programs, its test data and corpora; run them under a time limit
//!     conform:           all corpora of other people's results
//!     logits:            the logits of the real models have the hashes that x86 gave
//!     --bench:           prefill and decode, between readings of cores and thermal zones
//!     the folder is removed, also after an error and Ctrl-C
//! ```

use crate::adb::{Adb, Device};
use crate::folder::Folder;
use crate::packages::{Package, Workspace};
use crate::report::Report;
use crate::suite::{self, Suite};
use crate::target::{self, Target};
use crate::{bench, checks, interrupt, select};
use happy_tool_emulated::toolchain::{self, Toolchain};
use happy_tool_kit::outcome::Outcome;
use happy_tool_kit::{Result, process};
use std::path::PathBuf;
use std::time::Duration;

/// The checks that `--filter` accepts besides packages.
const CHECKS: &[&str] = &["conform", "logits", "bench"];

/// Arguments of `device-test`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// What to build [default: android where an NDK is found, else musl, else gnu]
    #[arg(long, value_enum)]
    target: Option<Target>,
    /// Only this device; one that listens on TCP (HOST:PORT) is connected to [default: all devices in turn]
    #[arg(long, value_name = "S")]
    serial: Option<String>,
    /// Folder of the NDK [default: what ANDROID_NDK_HOME and the other usual variables name]
    #[arg(long, value_name = "PATH")]
    ndk: Option<PathBuf>,
    /// Android API level to build for, with an NDK
    #[arg(long, value_name = "API", default_value_t = 26)]
    platform: u32,
    /// Only packages with NAME in their names, and checks of that name: conform, logits, bench (several with commas)
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    filter: Vec<String>,
    /// Kill a program that runs longer than this many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 900)]
    timeout: u64,
    /// Measure prefill and decode at the end, with readings of cores and temperatures
    #[arg(long, requires = "model")]
    bench: bool,
    /// Model to measure
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Arguments of `happy bench`, as one word: "-p 128 -n 32"
    #[arg(long, value_name = "ARGS", default_value = "", allow_hyphen_values = true)]
    bench_args: String,
    /// The tests of another workspace, and no checks
    #[arg(long, value_name = "PATH")]
    manifest_path: Option<PathBuf>,
    /// Arguments of the test programs
    #[arg(last = true)]
    arguments: Vec<String>,
}

/// What `--filter` selects.
struct Choice<'a> {
    /// The names; if empty, everything is selected.
    names: &'a [String],
    /// Whether the workspace is ours, so that there are checks.
    ours: bool,
}

impl Choice<'_> {
    fn has_package(&self, package: &str) -> bool {
        let names = || self.names.iter().filter(|name| !CHECKS.contains(&name.as_str()));
        self.names.is_empty() || names().any(|name| package.contains(name.as_str()))
    }

    fn has_check(&self, check: &str) -> bool {
        self.ours && (self.names.is_empty() || self.names.iter().any(|name| name == check))
    }

    /// Returns a name that selects nothing.
    fn unknown(&self, packages: &[&str]) -> Option<&str> {
        let known = |name: &str| {
            self.ours && CHECKS.contains(&name) || packages.iter().any(|package| package.contains(name))
        };
        self.names.iter().map(String::as_str).find(|name| !known(name))
    }
}

/// What is run, after it is built.
struct Plan<'a> {
    suite: Suite<'a>,
    conform: Option<PathBuf>,
    logits: Option<PathBuf>,
    /// `happy` as it is shipped, and the model.
    bench: Option<(PathBuf, PathBuf)>,
    bench_args: Vec<String>,
}

/// `cargo xtask device-test`.
pub(crate) fn run(args: &Args) -> Result<()> {
    interrupt::watch()?;
    if let Some(model) = args.model.as_ref().filter(|model| !model.is_file()) {
        return Err(format!("--model {}: no such file", model.display()));
    }
    let adb = Adb::find()?;
    let (target, toolchain) = target::toolchain(args.target, args.ndk.as_deref(), args.platform)?;
    // Devices are checked before anything is built, which takes minutes.
    let mut devices = Vec::new();
    let mut failures = Vec::new();
    for device in select::select(&adb, args.serial.as_deref())? {
        let examined = device.and_then(|device| {
            let about = select::examine(&device, target.needs_platform(args.platform))?;
            println!("device: {about}");
            Ok(device)
        });
        match examined {
            Ok(device) => devices.push(device),
            Err(why) => failures.push(why),
        }
    }
    if devices.is_empty() {
        return Err(failures.join("\n"));
    }
    println!("toolchain: {}", toolchain.describe());
    let workspace = Workspace::read(args.manifest_path.as_deref())?;
    let plan = plan(args, &workspace, &toolchain)?;
    for device in &devices {
        if let Err(why) = test_on(device, &plan) {
            failures.push(why);
        }
        interrupt::check()?;
    }
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n")) }
}

/// Runs the step of `cargo xtask test`: the tests of this command, with simulated phones.
pub(crate) fn step() -> Result<Outcome> {
    if Adb::find().is_err() || Toolchain::find().is_err() {
        if let Err(reason) = toolchain::can_install() {
            return Ok(Outcome::Skipped(format!("adb or the aarch64 toolchain is missing: {reason}")));
        }
        toolchain::install()?;
    }
    let mut command =
        process::cargo(&["test", "--profile", "xtask", "--package", "happy-tool-device", "--test", "device"]);
    process::run(&mut command).map(|()| Outcome::Passed)
}

/// Chooses what is run, and builds it.
fn plan<'a>(args: &'a Args, workspace: &'a Workspace, toolchain: &Toolchain) -> Result<Plan<'a>> {
    let choice = Choice { names: &args.filter, ours: args.manifest_path.is_none() };
    let known: Vec<&str> = workspace.packages.iter().map(|package| package.name.as_str()).collect();
    if let Some(unknown) = choice.unknown(&known) {
        return Err(format!(
            "no package has '{unknown}' in its name: expected a part of {}, or one of {}",
            known.join(", "),
            CHECKS.join(", ")
        ));
    }
    if args.filter.iter().any(|name| name == "bench") && !args.bench {
        return Err("--filter bench needs --bench and --model FILE".into());
    }
    let packages: Vec<&Package> =
        workspace.packages.iter().filter(|package| choice.has_package(&package.name)).collect();
    let check = |name| choice.has_check(name);
    let programs = suite::build(toolchain, args.manifest_path.as_deref(), workspace, &packages)?;
    let conform = check("conform").then(|| toolchain.build_conform()).transpose()?;
    let model = args.model.clone().filter(|_| args.bench && check("bench"));
    let happy = match (&model, check("logits")) {
        // What is shipped is measured; the bits are the same.
        (Some(_), _) => Some(toolchain.build_fast_happy()?),
        (None, true) => Some(toolchain.build_happy()?),
        (None, false) => None,
    };
    Ok(Plan {
        suite: Suite {
            workspace,
            packages,
            programs,
            arguments: &args.arguments,
            limit: Duration::from_secs(args.timeout),
        },
        conform,
        logits: happy.clone().filter(|_| check("logits")),
        bench: happy.zip(model),
        bench_args: args.bench_args.split_whitespace().map(str::to_owned).collect(),
    })
}

/// Runs the plan on one device, prints the table, and returns what failed.
fn test_on(device: &Device, plan: &Plan) -> Result<()> {
    let folder = Folder::create(device)?;
    let mut report = Report::default();
    let done = run_all(&folder, plan, &mut report);
    // What ran before an error is worth showing.
    println!("{}", report.text(&device.serial));
    done?;
    report.verdict(&device.serial)
}

fn run_all(folder: &Folder, plan: &Plan, report: &mut Report) -> Result<()> {
    let limit = plan.suite.limit;
    plan.suite.run(folder, report)?;
    if let Some(program) = &plan.conform {
        checks::conform(folder, program, limit, report)?;
    }
    if let Some(happy) = &plan.logits {
        checks::logits(folder, happy, limit, report)?;
    }
    if let Some((happy, model)) = &plan.bench {
        bench::run(folder, happy, model, &plan.bench_args, limit, report)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names for `--filter`, and the packages and checks that they select.
    const CASES: &[(&[&str], &str)] = &[
        (&[], "happy-gguf happy-ggml happy-cli conform logits bench"),
        (&["gguf"], "happy-gguf"),
        (&["gg"], "happy-gguf happy-ggml"),
        (&["logits"], "logits"),
        (&["cli", "conform"], "happy-cli conform"),
        (&["happy-", "bench"], "happy-gguf happy-ggml happy-cli bench"),
    ];

    #[test]
    fn filters_choose_packages_and_checks() {
        let packages = ["happy-gguf", "happy-ggml", "happy-cli"];
        let mut wrong = Vec::new();
        for (names, expected) in CASES {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            let choice = Choice { names: &names, ours: true };
            let chosen = packages.iter().filter(|name| choice.has_package(name));
            let found: Vec<&str> =
                chosen.chain(CHECKS.iter().filter(|name| choice.has_check(name))).copied().collect();
            if found.join(" ") != *expected {
                wrong.push(format!("{names:?}: {found:?}, expected {expected}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn names_that_choose_nothing_are_found() {
        let cases = [
            ("gguf", true, None),
            ("logits", true, None),
            ("logits", false, Some("logits")),
            ("x", true, Some("x")),
        ];
        for (name, ours, expected) in cases {
            let names = ["gguf".to_owned(), name.to_owned()];
            assert_eq!(Choice { names: &names, ours }.unknown(&["happy-gguf"]), expected, "{name}");
        }
    }
}
