//! `happy search`: finds short names by words.

use super::list;
use crate::error::CliResult;
use crate::output;
use clap::Args;
use happy_hub::{ALIASES, Alias};

/// Options of `happy search`.
#[derive(Debug, Args)]
pub(crate) struct SearchArgs {
    /// Words, all of which the name, the repository, the file or the license must contain
    #[arg(value_name = "WORD", required = true)]
    words: Vec<String>,
    /// Write one JSON object per line
    #[arg(long)]
    json: bool,
}

/// Runs the command. Finding nothing is not a failure.
pub(crate) fn run(args: &SearchArgs) -> CliResult {
    let words: Vec<String> = args.words.iter().map(|word| word.to_lowercase()).collect();
    let has = |alias: &Alias, word: &String| {
        let texts = [alias.name, alias.repo, alias.file, alias.license];
        texts.iter().any(|text| text.to_lowercase().contains(word))
    };
    let found: Vec<&'static Alias> =
        ALIASES.iter().filter(|alias| words.iter().all(|word| has(alias, word))).collect();
    if found.is_empty() {
        output::note("no short name has these words; happy list --names lists all of them");
    }
    list::print_names(args.json, &found)
}
