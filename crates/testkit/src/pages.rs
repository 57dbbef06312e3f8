//! The commands on the project's pages, so that tests can check that they parse.
//!
//! ```text
//! page      blocks marked `sh` (every line) and `console` (what follows `$ `)
//! line      simple commands between | ; & ( ), without redirections, leading assignments and comments
//! command   words, without their quotes
//! ```
//! Substitutions and variables are left as they are written.

use std::fs;
use std::path::{Path, PathBuf};

/// A command of a page.
#[derive(Debug, PartialEq, Eq)]
pub struct PageCommand {
    /// The number of its line, from 1.
    pub line: usize,
    /// The program and its arguments.
    pub words: Vec<String>,
}

/// Returns the Markdown files of the repository outside `fixtures`, by their paths, with their texts. Empty on a
/// machine without the source tree, such as a phone.
pub fn pages() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = ["", "docs", "fuzz"].map(|folder| root.join(folder)).into();
    for parent in ["crates", "bindings"] {
        let entries = fs::read_dir(root.join(parent)).into_iter().flatten().flatten();
        folders.extend(entries.map(|entry| entry.path()));
    }
    for entry in folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|end| end == "md")
            && let Ok(text) = fs::read_to_string(&path)
        {
            let short = path.strip_prefix(&root).unwrap_or(&path);
            found.push((short.display().to_string(), text));
        }
    }
    found.sort();
    found
}

/// Returns the commands in a page's blocks.
pub fn page_commands(page: &str) -> Vec<PageCommand> {
    let mut found = Vec::new();
    let mut block = None;
    // A command that continues on the next line, and where it begins.
    let mut open: Option<(usize, String)> = None;
    for (number, line) in page.lines().enumerate() {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            block = if block.is_none() { Some(language.trim()) } else { None };
            open = None;
            continue;
        }
        let line = match block {
            Some("sh") => line,
            Some("console") if open.is_some() => line,
            Some("console") => match line.strip_prefix("$ ") {
                Some(command) => command,
                None => continue,
            },
            _ => continue,
        };
        let (first, text) = match open.take() {
            Some((first, begun)) => (first, begun + line),
            None => (number + 1, line.to_owned()),
        };
        match text.strip_suffix('\\') {
            Some(begun) => open = Some((first, begun.to_owned())),
            None => found.extend(commands(&text).into_iter().map(|words| PageCommand { line: first, words })),
        }
    }
    found
}

/// Returns the simple commands of a line, as words.
fn commands(line: &str) -> Vec<Vec<String>> {
    let mut all = vec![Vec::new()];
    let (mut word, mut in_word, mut is_target) = (String::new(), false, false);
    let end_word =
        |all: &mut Vec<Vec<String>>, word: &mut String, in_word: &mut bool, is_target: &mut bool| {
            if std::mem::take(in_word) {
                let word = std::mem::take(word);
                let is_first = all.last().is_some_and(Vec::is_empty);
                let dropped = std::mem::take(is_target) || is_first && is_assignment(&word);
                if !dropped && let Some(words) = all.last_mut() {
                    words.push(word);
                }
            }
        };
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\'' => {
                in_word = true;
                word.extend(chars.by_ref().take_while(|c| *c != '\''));
            }
            '"' => {
                in_word = true;
                while let Some(c) = chars.next().filter(|c| *c != '"') {
                    let escaped = chars.next_if(|next| c == '\\' && matches!(next, '"' | '\\' | '$' | '`'));
                    word.push(escaped.unwrap_or(c));
                }
            }
            '\\' => {
                in_word = true;
                word.extend(chars.next());
            }
            '#' if !in_word => break,
            '<' | '>' => {
                // The number of a file descriptor belongs to the redirection.
                if word.chars().all(|c| c.is_ascii_digit()) {
                    (word, in_word) = (String::new(), false);
                }
                end_word(&mut all, &mut word, &mut in_word, &mut is_target);
                while chars.next_if(|next| matches!(next, '<' | '>' | '&')).is_some() {}
                is_target = true;
            }
            '|' | ';' | '&' | '(' | ')' => {
                end_word(&mut all, &mut word, &mut in_word, &mut is_target);
                all.push(Vec::new());
            }
            c if c.is_whitespace() => end_word(&mut all, &mut word, &mut in_word, &mut is_target),
            c => {
                in_word = true;
                word.push(c);
            }
        }
    }
    end_word(&mut all, &mut word, &mut in_word, &mut is_target);
    all.retain(|words| !words.is_empty());
    all
}

/// Returns whether a word sets a variable for the command after it.
fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty() && name.chars().all(|c| c == '_' || c.is_ascii_alphanumeric())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_taken_apart_as_a_shell_does() {
        let cases: &[(&str, &[&[&str]])] = &[
            ("happy run \"Why?\"  # comment", &[&["happy", "run", "Why?"]]),
            ("cat a | happy run 'one two' && ls", &[&["cat", "a"], &["happy", "run", "one two"], &["ls"]]),
            ("A=1 B_2=x happy cpu a=b", &[&["happy", "cpu", "a=b"]]),
            ("happy reply < in.txt > out 2>&1; echo $?", &[&["happy", "reply"], &["echo", "$?"]]),
            ("printf 'a\\n' 2>/dev/null", &[&["printf", "a\\n"]]),
            ("echo a\\ b \"c\\\"d\" ''", &[&["echo", "a b", "c\"d", ""]]),
            ("x#y # z", &[&["x#y"]]),
            ("", &[]),
        ];
        for (line, expected) in cases {
            assert_eq!(commands(line), *expected, "{line}");
        }
    }

    #[test]
    fn blocks_are_read_and_prose_is_not() {
        let page = "happy no\n```sh\nhappy a \\\n  b\n```\n```text\nhappy no\n```\n  ```console\n$ happy c\nhappy no\n  ```\n";
        let found = page_commands(page);
        let words: Vec<String> = found.iter().map(|c| format!("{} {}", c.line, c.words.join(" "))).collect();
        assert_eq!(words, ["3 happy a b", "10 happy c"]);
    }

    #[test]
    fn the_readme_is_among_the_pages() {
        let pages = pages();
        assert!(pages.iter().any(|(path, text)| path == "README.md" && !page_commands(text).is_empty()));
        assert!(pages.iter().any(|(path, _)| path.ends_with("docs/text.md")), "{}", pages.len());
    }
}
