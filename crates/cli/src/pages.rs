//! Checks that each `happy` command on the project's pages parses.

use crate::Args;
use clap::Parser;
use clap::error::ErrorKind;

#[test]
fn commands_on_pages_parse() {
    let pages = happy_testkit::pages();
    if pages.is_empty() {
        return happy_testkit::skip("the pages need the source tree");
    }
    let (mut count, mut wrong) = (0, Vec::new());
    for (path, text) in &pages {
        let commands = happy_testkit::page_commands(text);
        for command in commands.iter().filter(|command| command.words[0] == "happy") {
            count += 1;
            match Args::try_parse_from(&command.words) {
                Err(e) if !matches!(e.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
                    wrong.push(format!("{path}:{}: {}: {e}", command.line, command.words.join(" ")));
                }
                _ => {}
            }
        }
    }
    assert!(count > 50, "{count} commands");
    assert!(wrong.is_empty(), "{} of {count} commands:\n{}", wrong.len(), wrong.join("\n"));
}
