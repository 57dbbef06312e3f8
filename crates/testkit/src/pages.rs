//! The commands on the project's pages, so that tests can run them, or check that they parse.
//!
//! ```text
//! page      blocks marked `sh` (every line) and `console` (what follows `$ `); with `,no_run` no test runs them
//! line      simple commands between | ; & ( ), without redirections, leading assignments and comments
//! command   words, without their quotes
//! ```
//! Substitutions and variables are left as they are written.

use std::fs;
use std::path::{Path, PathBuf};

/// Folders without pages of the project: what is built or downloaded there.
const NO_PAGES: &[&str] = &["target", "node_modules"];

/// A line with commands, as a page shows it.
#[derive(Debug, PartialEq, Eq)]
pub struct PageLine {
    /// The number of the line, from 1.
    pub line: usize,
    /// The line, without the prompt `$ `. Lines that end with `\` are joined.
    pub text: String,
    /// The language of its block: `sh` or `console`.
    pub language: &'static str,
    /// Whether a test runs the line: its block is not marked `no_run`.
    pub is_run: bool,
}

/// A command of a page.
#[derive(Debug, PartialEq, Eq)]
pub struct PageCommand {
    /// The number of its line, from 1.
    pub line: usize,
    /// The program and its arguments.
    pub words: Vec<String>,
}

/// Returns all Markdown files of the repository by their paths, with their texts. Empty on a machine without the source
/// tree, such as a phone.
pub fn pages() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            let name = name.to_string_lossy();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                let is_hidden = name.starts_with('.') && name != ".github";
                if !is_hidden && !NO_PAGES.contains(&&*name) {
                    folders.push(path);
                }
            } else if name.ends_with(".md")
                && let Ok(text) = fs::read_to_string(&path)
            {
                let short = path.strip_prefix(&root).unwrap_or(&path);
                found.push((short.display().to_string().replace('\\', "/"), text));
            }
        }
    }
    found.sort();
    found
}

/// Returns the lines with commands in a page's blocks, without empty lines and comments.
pub fn page_lines(page: &str) -> Vec<PageLine> {
    let mut found = Vec::new();
    let mut block: Option<&str> = None;
    // A command that continues on the next line, and where it begins.
    let mut open: Option<(usize, String)> = None;
    for (number, line) in page.lines().enumerate() {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            block = if block.is_none() { Some(language.trim()) } else { None };
            open = None;
            continue;
        }
        let (language, mark) =
            block.unwrap_or_default().split_once(',').unwrap_or((block.unwrap_or_default(), ""));
        let (language, line) = match language {
            "sh" => ("sh", line),
            "console" if open.is_some() => ("console", line),
            "console" => match line.strip_prefix("$ ") {
                Some(command) => ("console", command),
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
            None if commands(&text).is_empty() => {}
            None => found.push(PageLine { line: first, text, language, is_run: mark != "no_run" }),
        }
    }
    found
}

/// Returns the commands in a page's blocks.
pub fn page_commands(page: &str) -> Vec<PageCommand> {
    let of = |line: PageLine| {
        let commands = commands(&line.text);
        commands.into_iter().map(move |words| PageCommand { line: line.line, words })
    };
    page_lines(page).into_iter().flat_map(of).collect()
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
    fn marks_say_which_lines_are_run() {
        let page = "```sh\n# a comment\na \\\nb\n\n```\n```sh,no_run\nc\n```\n```console,no_run\n$ d\ne\n```\n```console\n$ f\n```\n";
        let found = page_lines(page);
        let told: Vec<_> = found.iter().map(|l| (l.line, l.text.as_str(), l.language, l.is_run)).collect();
        let expected = [
            (3, "a b", "sh", true),
            (8, "c", "sh", false),
            (11, "d", "console", false),
            (15, "f", "console", true),
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn the_readme_is_among_the_pages() {
        let pages = pages();
        assert!(pages.iter().any(|(path, text)| path == "README.md" && !page_commands(text).is_empty()));
        for page in [
            "docs/text.md",
            "benches/peers-gguf/README.md",
            "bindings/android/demo-apk/README.md",
            "fuzz/README.md",
        ] {
            assert!(pages.iter().any(|(path, _)| path == page), "{page} of {}", pages.len());
        }
        assert!(pages.iter().all(|(path, _)| !path.contains("target/")));
    }
}
