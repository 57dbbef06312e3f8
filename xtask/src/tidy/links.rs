//! Checks links in Markdown files: the file exists, and so does the heading.

use super::{Tree, Violation};

/// What links to a file of this repository begin with where a relative one would be dead.
const HOME: &str = "https://github.com/happy-phone-llm/happy-phone-llm/blob/main/";

/// Checks that every link in a `.md` file to this repository, relative or from [`HOME`] on, names a file or folder of the tree, and a
/// heading if it has a `#`. The READMEs that are the front pages of crates on docs.rs have no relative links.
pub(super) fn resolve(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for (path, text) in tree.texts(".md") {
        for (line, link) in links(text) {
            if let Err(fault) = follow(tree, path, &link) {
                found.push(format!("{path}:{line}: link `{link}`: {fault}"));
            }
        }
    }
    found
}

fn follow(tree: &Tree, from: &str, link: &str) -> Result<(), String> {
    let from_home = link.strip_prefix(HOME).map(|path| format!("/{path}"));
    let link = match &from_home {
        Some(path) => path,
        None if is_elsewhere(link) => return Ok(()),
        None if !link.starts_with('#') && is_front_page(tree, from) => {
            return Err(format!("it is dead on docs.rs, which has this page alone: begin it with {HOME}"));
        }
        None => link,
    };
    let (target, heading) =
        link.split_once('#').map_or((link, None), |(target, heading)| (target, Some(heading)));
    let target = if target.is_empty() {
        from.to_owned()
    } else {
        join(from, target).ok_or("it leaves the repository")?
    };
    if !tree.has(&target) {
        return Err(format!("no file {target}"));
    }
    let Some(heading) = heading.filter(|_| target.ends_with(".md")) else { return Ok(()) };
    let text = tree.text(&target).unwrap_or_default();
    if prose(text).any(|(_, line)| line.starts_with('#') && anchor(&line) == heading) {
        Ok(())
    } else {
        Err(format!("no heading #{heading} in {target}"))
    }
}

/// Returns whether a page begins the documentation of its crate.
fn is_front_page(tree: &Tree, page: &str) -> bool {
    let library = page.strip_suffix("README.md").map(|folder| format!("{folder}src/lib.rs"));
    library
        .and_then(|path| tree.text(&path))
        .is_some_and(|text| text.contains("include_str!(\"../README.md\")"))
}

/// Returns whether a link leads to another site or to a mail address, or is rustdoc's path of an item (`crate::Model`).
pub(super) fn is_elsewhere(link: &str) -> bool {
    let scheme = link.split([':', '/', '#']).next().unwrap_or_default();
    link[scheme.len()..].starts_with(':')
}

/// Resolves `link` from the file `from`; `None` if it leaves the tree.
pub(super) fn join(from: &str, link: &str) -> Option<String> {
    let mut parts: Vec<&str> = if link.starts_with('/') { Vec::new() } else { from.split('/').collect() };
    parts.pop();
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

/// Returns the anchor of a heading on code hosting sites: lower case, spaces become hyphens, punctuation is dropped.
fn anchor(heading: &str) -> String {
    heading
        .trim_start_matches('#')
        .trim()
        .chars()
        .filter_map(|c| match c {
            ' ' => Some('-'),
            '-' | '_' => Some(c),
            c if c.is_alphanumeric() => Some(c.to_lowercase().next().unwrap_or(c)),
            _ => None,
        })
        .collect()
}

/// Returns the lines outside code blocks, with their numbers from 1, and without code spans.
fn prose(text: &str) -> impl Iterator<Item = (usize, String)> {
    let mut in_code = false;
    text.lines().enumerate().filter_map(move |(i, line)| {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
            return None;
        }
        // Headings keep their code spans, which are part of the anchor.
        let line = if line.starts_with('#') { line.to_owned() } else { line.split('`').step_by(2).collect() };
        (!in_code).then_some((i + 1, line))
    })
}

/// Returns the targets of `[text](target)`, `[text](target "title")` and `[label]: target`, with their lines.
pub(super) fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in prose(text) {
        let mut rest = line.as_str();
        while let Some((_, after)) = rest.split_once("](") {
            let Some((inside, after)) = after.split_once(')') else { break };
            if let Some(target) = inside.split_whitespace().next() {
                found.push((number, target.trim_matches(['<', '>']).to_owned()));
            }
            rest = after;
        }
        if let Some((label, target)) = line.split_once("]: ")
            && label.starts_with('[')
            && let Some(target) = target.split_whitespace().next()
        {
            found.push((number, target.to_owned()));
        }
    }
    found
}

/// Replaces the targets of the links outside code by what `target` returns, if anything.
pub(super) fn rewrite(text: &str, mut target: impl FnMut(&str) -> Option<String>) -> String {
    let (mut out, mut in_code) = (String::new(), false);
    for line in text.split_inclusive('\n') {
        let fence = line.trim_start().starts_with("```");
        in_code ^= fence;
        if fence || in_code {
            out += line;
            continue;
        }
        for (i, part) in line.split('`').enumerate() {
            if i > 0 {
                out.push('`');
            }
            let is_code = i % 2 == 1;
            let mut rest = part;
            // `[label]: target` is at the beginning of a line, so there is no code before it.
            if let Some((label, link)) = part.split_once("]: ").filter(|_| i == 0 && part.starts_with('[')) {
                let end = link.find(char::is_whitespace).unwrap_or(link.len());
                out += &format!("{label}]: {}", target(&link[..end]).as_deref().unwrap_or(&link[..end]));
                rest = &link[end..];
            }
            while let Some((before, after)) = rest.split_once("](").filter(|_| !is_code) {
                let end = after.find(|c: char| c == ')' || c.is_whitespace()).unwrap_or(after.len());
                out += &format!("{before}]({}", target(&after[..end]).as_deref().unwrap_or(&after[..end]));
                rest = &after[end..];
            }
            out += rest;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::tests::tree;
    use super::*;

    #[test]
    fn broken_links_are_caught() {
        let cases = [
            ("see [a](a.md)", 0),
            ("see [a](./a.md#the-heading-of-f)", 0),
            ("see [root](../README.md) and [dir](..) and [abs](/docs/a.md)", 0),
            ("[site](https://example.com/x) [mail](mailto:a@b.c) [item](crate::Model)", 0),
            ("`[code](missing.md)`\n```\n[code](missing.md)\n```", 0),
            ("[label]: a.md", 0),
            ("# Here\n[here](#here)", 0),
            ("see [b](b.md)", 1),
            ("see [a](a.md#no-such)", 1),
            ("[a](a.md) [b](b.md) [c](c.md)", 2),
            ("[up](../../outside.md)", 1),
            ("[label]: b.md", 1),
            ("[here](#here)", 1),
            ("![image](shot.png)", 1),
        ];
        for (text, expected) in cases {
            let tree =
                tree(&[("README.md", ""), ("docs/a.md", "## The heading of `f()`\n"), ("docs/x.md", text)]);
            let found = resolve(&tree);
            assert_eq!(found.len(), expected, "{text}: {found:?}");
        }
    }

    #[test]
    fn front_pages_have_no_relative_links() {
        let library = ("crates/a/src/lib.rs", "#![doc = include_str!(\"../README.md\")]");
        let page = |text: &str| {
            resolve(&tree(&[library, ("docs/a.md", "# Here"), ("crates/a/README.md", text)])).len()
        };
        assert_eq!(page(&format!("[a]({HOME}docs/a.md#here) [here](https://example.com)")), 0);
        assert_eq!(page("# Top\n[here](#top) [item](crate::Model)"), 0);
        assert_eq!(page(&format!("[a]({HOME}docs/b.md) [a]({HOME}docs/a.md#there)")), 2);
        assert_eq!(page("[a](../../docs/a.md)"), 1);
    }

    #[test]
    fn the_place_is_told() {
        let found = resolve(&tree(&[("a.md", "\n\n[b](b.md)")]));
        assert_eq!(found, ["a.md:3: link `b.md`: no file b.md"]);
    }
}
