//! Options of threads and pace, which `run` and `chat` share.

use crate::error::{CliError, CliResult};
use clap::Args;
use happy_engine::governor::{Decision, Goal};
use happy_engine::{Context, GovernorOptions};
use std::path::PathBuf;

/// How threads and pace are chosen.
#[derive(Debug, Args)]
#[command(next_help_heading = "Memory and threads")]
pub(crate) struct PaceArgs {
    /// Adapt the number of threads, up to that of -t, and the pace to measured speed and heat
    #[arg(long)]
    governor: bool,
    /// Generate at most N tokens per second, from 0.01 to 1000000, with as little energy as possible; turns the governor on
    /// [default: no limit]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    tokens_per_second: Option<f64>,
}

impl PaceArgs {
    /// Checks that the options are in range. This needs no model.
    pub(crate) fn check(&self) -> CliResult {
        match self.tokens_per_second {
            Some(rate) if !(0.01..=1e6).contains(&rate) => {
                Err(CliError::usage(format!("--tokens-per-second is {rate}, expected 0.01 to 1,000,000")))
            }
            _ => Ok(()),
        }
    }

    /// Switches the governor on, if it is requested.
    pub(crate) fn govern(&self, context: &mut Context) -> CliResult {
        if !self.governor && self.tokens_per_second.is_none() {
            return Ok(());
        }
        let goal = self.tokens_per_second.map_or(Goal::Fastest, Goal::Rate);
        context.govern(GovernorOptions { goal, cache: cache(), ..GovernorOptions::default() })?;
        Ok(())
    }
}

/// Returns what the governor decided last, for standard error.
pub(crate) fn line(context: &Context) -> Option<String> {
    let Decision { threads, tokens_per_second_cap, reason } = context.decision()?;
    let cap = tokens_per_second_cap.map_or(String::new(), |cap| format!(", at most {cap:.1} tok/s"));
    let s = if threads == 1 { "" } else { "s" };
    Some(format!("governor    {threads} thread{s}{cap}: {reason}"))
}

/// Returns the file of measured speeds, in the platform's cache folder, if there is one.
fn cache() -> Option<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let folder = if cfg!(windows) {
        variable("LOCALAPPDATA")?
    } else if cfg!(target_os = "macos") {
        variable("HOME")?.join("Library/Caches")
    } else {
        variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")))?
    };
    Some(folder.join("happy-phone-llm/governor.txt"))
}
