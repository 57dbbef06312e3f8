//! `cargo xtask test`: the tests, one named and timed step after the other.
//!
//! ```text
//! cargo xtask test           the steps that every change needs, in about ten minutes
//! cargo xtask test --all     the long steps: the tools' own tests, emulated machines, Android, packaging
//! cargo xtask test NAME..    the named steps, long or not
//! ```
//! Each step belongs to one of the two kinds ([`When`]), so that CI, which runs the first and then the second, runs
//! each step once. If a machine has two cores or more, a run without names has two lanes: the steps that only compile
//! and check run at the same time as the others ([`Beside`]).

mod beside;
mod clock;
mod steps;
mod tally;

use beside::Beside;
use clock::Clock;
use happy_tool_kit::Result;
use std::num::NonZero;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread::available_parallelism;
use steps::{STEPS, Step, When};
use tally::Tally;

/// Arguments of `test`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only these steps, in the usual order (see --list)
    steps: Vec<String>,
    /// Run the long steps, which are left out unless asked for: emulated machines, Android, packaging
    #[arg(long, conflicts_with = "steps")]
    all: bool,
    /// Print the steps' names and what each runs
    #[arg(long)]
    list: bool,
    /// Write what the steps came to into FILE instead of printing a summary: for the steps that run beside others
    #[arg(long, value_name = "FILE", hide = true, requires = "steps")]
    report: Option<PathBuf>,
}

/// Runs the steps in order, also after one has failed, and prints a summary at the end. The last line is for programs:
/// `N passed, N failed`, counting steps.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    if args.list {
        for step in STEPS {
            println!(
                "{:<8}{:<14}{}",
                if step.when == When::Long { "--all" } else { "" },
                step.name,
                step.what
            );
        }
        return Ok(ExitCode::SUCCESS);
    }
    let steps = chosen(args)?;
    let clock = Clock::start();
    let mut tally = Tally::default();
    if let Some(file) = &args.report {
        steps.into_iter().for_each(|step| tally.run(step));
        tally.write(file)?;
        return Ok(ExitCode::SUCCESS);
    }
    let names: Vec<&str> = steps.iter().map(|step| step.name).collect();
    eprintln!("{} steps: {}", names.len(), names.join(", "));
    let (here, beside) =
        lanes(steps, args.steps.is_empty() && available_parallelism().is_ok_and(|n| n > ONE));
    let beside = Beside::start(&beside)?;
    here.into_iter().for_each(|step| tally.run(step));
    if let Some(beside) = beside {
        tally.add(beside.finish()?);
    }
    tally.print(&clock);
    Ok(if tally.has_failed() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

const ONE: NonZero<usize> = NonZero::<usize>::MIN;

/// Returns the requested steps, in the usual order.
fn chosen(args: &Args) -> Result<Vec<&'static Step>> {
    if let Some(unknown) = args.steps.iter().find(|name| STEPS.iter().all(|step| step.name != **name)) {
        let known: Vec<&str> = STEPS.iter().map(|step| step.name).collect();
        return Err(format!("unknown step '{unknown}': expected some of {}", known.join(", ")));
    }
    let when = if args.all { When::Long } else { When::Always };
    let named = |step: &Step| args.steps.iter().any(|name| name == step.name);
    Ok(STEPS
        .iter()
        .filter(|step| if args.steps.is_empty() { step.when == when } else { named(step) })
        .collect())
}

/// Returns the steps that this process runs, and those that run beside it.
fn lanes(steps: Vec<&'static Step>, two: bool) -> (Vec<&'static Step>, Vec<&'static Step>) {
    steps.into_iter().partition(|step| !(two && step.beside))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(steps: &[&Step]) -> Vec<&'static str> {
        steps.iter().map(|step| step.name).collect()
    }

    #[test]
    fn a_step_runs_in_the_plain_run_or_in_the_long_one() {
        let args = |all, steps: &[&str]| Args {
            steps: steps.iter().map(|name| (*name).to_owned()).collect(),
            all,
            list: false,
            report: None,
        };
        let chosen_names = |args: &Args| names(&chosen(args).expect("known steps"));
        let (plain, long) = (chosen_names(&args(false, &[])), chosen_names(&args(true, &[])));
        assert_eq!([&plain[..], &long[..]].concat(), names(&STEPS.iter().collect::<Vec<_>>()));
        assert!(plain.contains(&"tests") && long.contains(&"test-arm"));
        assert_eq!(chosen_names(&args(false, &["test-arm", "fmt"])), ["fmt", "test-arm"]);
        assert!(chosen(&args(false, &["tset"])).is_err_and(|e| e.contains("unknown step 'tset'")));
    }

    #[test]
    fn a_step_runs_in_one_lane() {
        let all: Vec<&Step> = STEPS.iter().collect();
        let (here, beside) = lanes(all.clone(), true);
        assert_eq!(here.len() + beside.len(), all.len());
        assert!(names(&here).contains(&"tests") && names(&beside).contains(&"clippy"));
        assert_eq!(names(&lanes(all.clone(), false).0), names(&all));
    }

    #[test]
    fn names_are_unique() {
        for (i, step) in STEPS.iter().enumerate() {
            assert!(STEPS[..i].iter().all(|other| other.name != step.name), "{}", step.name);
        }
    }
}
