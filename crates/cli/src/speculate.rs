//! Options of speculation, which `run` and `chat` share.

use crate::error::CliResult;
use crate::load::LoadArgs;
use crate::models;
use clap::{Args, ValueEnum};
use happy_engine::{Context, Engine, LoadOptions, Speculation, SpeculationStats};
use std::path::{Path, PathBuf};

/// Where guesses come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Way {
    /// The text itself, and the draft model or head if one is given
    Auto,
    /// Nowhere.
    Off,
    /// The text itself.
    Lookup,
    /// The draft model or head.
    Draft,
}

/// Options of guessing tokens ahead.
#[derive(Debug, Args)]
#[command(next_help_heading = "Speculation (faster, the same text)")]
pub(crate) struct SpeculationArgs {
    /// Where to take guesses of the next tokens from; guesses that turn out right save time
    #[arg(long, value_name = "WAY", default_value_t = Way::DEFAULT, value_enum, hide_short_help = true)]
    speculate: Way,
    /// Guess with a smaller model of the same vocabulary; `mtp`: with the file's own draft head
    #[arg(long, value_name = "MODEL")]
    draft: Option<PathBuf>,
    /// Maximum number of tokens that are guessed at a time, from 0 to 7
    #[arg(long, value_name = "N", default_value_t = LoadOptions::MAX_DRAFT_TOKENS, hide_short_help = true)]
    draft_max: usize,
}

impl Way {
    /// The default.
    const DEFAULT: Way = Way::Auto;
}

impl SpeculationArgs {
    /// Returns the engine's options with room for guesses.
    pub(crate) fn of(&self, options: LoadOptions) -> LoadOptions {
        let lookup = matches!(self.speculate, Way::Auto | Way::Lookup);
        let draft_tokens = if lookup || self.drafts() { self.draft_max } else { 0 };
        LoadOptions { draft_tokens, draft_head: draft_tokens > 0 && self.has_head(), ..options }
    }

    fn drafts(&self) -> bool {
        self.draft.is_some() && matches!(self.speculate, Way::Auto | Way::Draft)
    }

    /// Whether the file's own head guesses.
    fn has_head(&self) -> bool {
        self.drafts() && self.draft.as_deref() == Some(Path::new("mtp"))
    }

    /// Turns it on.
    pub(crate) fn begin(&self, context: &mut Context, load: &LoadArgs) -> CliResult {
        // Without memory for guesses, nothing is guessed.
        if context.engine().plan().draft_tokens == 0 {
            return Ok(());
        }
        let draft = match self.draft.as_ref().filter(|_| self.drafts() && !self.has_head()) {
            Some(model) => {
                // A model with recurrent layers guesses in a second sequence.
                let options =
                    LoadOptions { context: Some(context.capacity()), sequences: 2, ..load.options() };
                Some(Engine::open(models::resolve(model)?, &options)?.context()?)
            }
            None => None,
        };
        let speculation = match (self.speculate, draft) {
            (Way::Draft, None) if self.has_head() => Speculation::head(),
            (_, None) if self.has_head() => Speculation::lookup().with_head(),
            (Way::Draft, Some(draft)) => Speculation::draft(draft),
            (_, Some(draft)) => Speculation::lookup().with_draft(draft),
            (_, None) => Speculation::lookup(),
        };
        Ok(context.set_speculation(Some(speculation))?)
    }

    /// Checks the options before a model is loaded.
    pub(crate) fn check(&self) -> CliResult {
        if self.speculate == Way::Draft && self.draft.is_none() {
            return Err(crate::error::CliError::usage(
                "--speculate draft needs a model: --draft MODEL, or --draft mtp",
            ));
        }
        Ok(())
    }
}

/// Returns the results for standard error; `None` if nothing was guessed.
pub(crate) fn summary(stats: &SpeculationStats) -> Option<String> {
    let (guessed, accepted, each) = (stats.guessed, stats.accepted, stats.tokens_per_pass());
    (guessed > 0).then(|| {
        let es = if guessed == 1 { "" } else { "es" };
        format!("speculation {guessed:5} guess{es}, {accepted} of them right; {each:.2} tokens a pass")
    })
}
