//! The chat templates of a file: one, and others by name.
//!
//! ```text
//! tokenizer.chat_template          the template
//! tokenizer.chat_template.NAME     another one: `tool_use` where tools are given, `rag` ...
//! tokenizer.chat_templates         the names, which need not be complete
//! ```
//! Some files name all of theirs; `default` then stands for the one without a name.

use crate::chat::{ChatTemplate, TemplateError};
use happy_gguf::GgufFile;

const KEY: &str = "tokenizer.chat_template";
/// The template for conversations with tools.
const TOOL_USE: &str = "tool_use";
/// The template for every use without a template of its own.
const DEFAULT: &str = "default";

/// The text of a template; `None` if no template has this name.
fn source<'a>(file: &'a GgufFile, name: Option<&str>) -> Result<Option<&'a str>, TemplateError> {
    let key = name.map_or(KEY.to_owned(), |name| format!("{KEY}.{name}"));
    file.view().metadata().optional::<&str>(&key).map_err(|e| TemplateError::Metadata(e.to_string()))
}

/// The chat template of a file; `None` if it has none.
///
/// # Errors
/// If the template is not valid, or no text.
pub fn chat_template_of(file: &GgufFile) -> Result<Option<ChatTemplate>, TemplateError> {
    let source = match source(file, None)? {
        None => source(file, Some(DEFAULT))?,
        found => found,
    };
    source.map(ChatTemplate::new).transpose()
}

/// The chat template of a file for conversations with tools: `tool_use` where there is one, else as
/// [`chat_template_of`].
///
/// # Errors
/// If the template is not valid, or no text.
pub fn tool_template_of(file: &GgufFile) -> Result<Option<ChatTemplate>, TemplateError> {
    match source(file, Some(TOOL_USE))? {
        Some(source) => ChatTemplate::new(source).map(Some),
        None => chat_template_of(file),
    }
}

/// The chat template with a name; `None` if no template has it.
///
/// # Errors
/// If the template is not valid, or no text.
pub fn named_template_of(file: &GgufFile, name: &str) -> Result<Option<ChatTemplate>, TemplateError> {
    source(file, Some(name))?.map(ChatTemplate::new).transpose()
}

/// The names of a file's chat templates, in its order.
pub fn template_names_of(file: &GgufFile) -> Vec<&str> {
    let view = file.view();
    let keys = view.metadata().iter().map(|(key, _)| key);
    keys.filter_map(|key| key.strip_prefix(KEY)?.strip_prefix('.')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use happy_gguf::{GgufWriter, Limits};
    use std::sync::Arc;

    #[test]
    fn names_choose_templates() {
        let file = |pairs: &[(&str, &str)]| {
            let writer =
                pairs.iter().fold(GgufWriter::new(), |w, (key, value)| w.kv(format!("{KEY}{key}"), *value));
            GgufFile::from_shared(Arc::new(writer.to_vec().unwrap()), &Limits::default()).unwrap()
        };
        let text = |found: Result<Option<ChatTemplate>, TemplateError>| {
            found.unwrap().map(|template| template.source().to_owned()).unwrap_or_default()
        };
        let both = file(&[("", "plain"), (".tool_use", "tools"), (".rag", "{% if %}")]);
        let one = file(&[("", "plain")]);
        let named = file(&[(".default", "named"), (".tool_use", "tools")]);
        let none = file(&[]);
        let cases = [
            (&both, "plain", "tools"),
            (&one, "plain", "plain"),
            (&named, "named", "tools"),
            (&none, "", ""),
        ];
        for (file, without, with) in cases {
            assert_eq!(
                (text(chat_template_of(file)), text(tool_template_of(file))),
                (without.into(), with.into())
            );
        }
        assert_eq!(template_names_of(&both), ["tool_use", "rag"]);
        assert_eq!(text(named_template_of(&both, "tool_use")), "tools");
        assert_eq!(text(named_template_of(&both, "other")), "");
        assert!(matches!(named_template_of(&both, "rag"), Err(TemplateError::Syntax { line: 1, .. })));
    }

    /// A template that is no text is not a missing one.
    #[test]
    fn templates_of_another_type_are_errors() {
        let file = |key: &str| {
            let writer = GgufWriter::new().kv(format!("{KEY}{key}"), 7u32).kv("general.name", "x");
            GgufFile::from_shared(Arc::new(writer.to_vec().unwrap()), &Limits::default()).unwrap()
        };
        let (plain, default, tools) = (file(""), file(".default"), file(".tool_use"));
        let cases = [
            (chat_template_of(&plain), "tokenizer.chat_template"),
            (tool_template_of(&plain), "tokenizer.chat_template"),
            (chat_template_of(&default), "tokenizer.chat_template.default"),
            (tool_template_of(&default), "tokenizer.chat_template.default"),
            (tool_template_of(&tools), "tokenizer.chat_template.tool_use"),
            (named_template_of(&tools, "tool_use"), "tokenizer.chat_template.tool_use"),
        ];
        for (found, key) in cases {
            let message = found.unwrap_err().to_string();
            let told =
                [&*format!("`{key}`"), "expected", "found", "7"].iter().all(|part| message.contains(part));
            assert!(told, "{key}: {message}");
        }
        assert!(chat_template_of(&tools).unwrap().is_none());
    }
}
