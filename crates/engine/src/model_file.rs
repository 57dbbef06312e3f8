//! [`ModelFile`]: what a model's file says besides its weights.
//!
//! ```text
//! tokenizer.ggml.model             the kind of its tokenizer
//! tokenizer.chat_template          the chat template
//! tokenizer.chat_template.NAME     another one: `tool_use` where tools are given, `rag` ...
//! tokenizer.chat_templates         the names, which need not be complete
//! ```
//! Some files name all of their templates; `default` then stands for the one without a name.

use crate::EngineError;
use crate::chat::{ChatTemplate, TemplateError};
use crate::reserve::reserve;
use happy_gguf::{FileError, GgufFile, GgufHeader, GgufSetFile, Limits};
use happy_tokenizer::{Tokenizer, TokenizerError};
use std::ops::Deref;
use std::path::Path;

const TOKENIZER: &str = "tokenizer.ggml.model";
const TEMPLATE: &str = "tokenizer.chat_template";
/// The template for conversations with tools.
const TOOL_USE: &str = "tool_use";
/// The template for ranking, which is not a chat template.
const RERANK: &str = "rerank";
/// The template for everything that has none of its own.
const DEFAULT: &str = "default";

/// A model's file, or the first part of a split model, with what its metadata are for: tokenizer and chat templates.
///
/// ```no_run
/// use happy_engine::ModelFile;
/// let file = ModelFile::header("model.gguf")?;
/// println!("{:?}", file.template_names()?);
/// let tokenizer = file.tokenizer()?.ok_or("the model has no tokenizer")?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct ModelFile(GgufFile);

impl From<GgufFile> for ModelFile {
    fn from(file: GgufFile) -> Self {
        Self(file)
    }
}

impl Deref for ModelFile {
    type Target = GgufFile;

    fn deref(&self) -> &GgufFile {
        &self.0
    }
}

impl ModelFile {
    /// Reads the header of a file, without its weights; of a split model that of the first part, by the path of any part. A
    /// part whose others are missing is read alone.
    ///
    /// # Errors
    /// If it cannot be read or is not a GGUF file.
    pub fn header(path: impl AsRef<Path>) -> Result<Self, FileError> {
        let (path, limits) = (path.as_ref(), Limits::default());
        let first = match GgufSetFile::headers(path, &limits) {
            Ok(set) => Some(set.first().clone()),
            Err(FileError::Set { .. }) => None,
            Err(error) => return Err(error),
        };
        first.map_or_else(|| GgufHeader::open(path, &limits).map(GgufFile::from), Ok).map(Self)
    }

    /// The tokenizer; `None` if the file has none.
    ///
    /// # Errors
    /// If it is damaged or not supported.
    pub fn tokenizer(&self) -> Result<Option<Tokenizer>, TokenizerError> {
        self.tokenizer_until(&|| false)
    }

    /// As [`tokenizer`](Self::tokenizer), until `cancelled` returns true.
    pub(crate) fn tokenizer_until(
        &self,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Option<Tokenizer>, TokenizerError> {
        let there = self.view().metadata().contains(TOKENIZER);
        there.then(|| Tokenizer::from_gguf_with(self, cancelled)).transpose()
    }

    /// The text of a template; `None` if none has this name.
    fn source(&self, name: Option<&str>) -> Result<Option<&str>, TemplateError> {
        let key = name.map_or(TEMPLATE.to_owned(), |name| format!("{TEMPLATE}.{name}"));
        self.view().metadata().optional::<&str>(&key).map_err(|e| TemplateError::Metadata(e.to_string()))
    }

    /// The chat template; `None` if the file has none.
    ///
    /// # Errors
    /// If the template is not valid, or not a text.
    pub fn chat_template(&self) -> Result<Option<ChatTemplate>, TemplateError> {
        let source = match self.source(None)? {
            None => self.source(Some(DEFAULT))?,
            found => found,
        };
        source.map(ChatTemplate::new).transpose()
    }

    /// The chat template for conversations with tools: `tool_use` if the file has it, else as
    /// [`chat_template`](Self::chat_template).
    ///
    /// # Errors
    /// If the template is not valid, or not a text.
    pub fn tool_template(&self) -> Result<Option<ChatTemplate>, TemplateError> {
        match self.source(Some(TOOL_USE))? {
            Some(source) => ChatTemplate::new(source).map(Some),
            None => self.chat_template(),
        }
    }

    /// The template that puts a query and a document together for ranking, with the places `{query}` and `{document}`; `None` if
    /// the file has none.
    ///
    /// # Errors
    /// If it is not a text.
    pub fn rerank_template(&self) -> Result<Option<&str>, TemplateError> {
        self.source(Some(RERANK))
    }

    /// The chat template with a name; `None` if none has it.
    ///
    /// # Errors
    /// If the template is not valid, or not a text.
    pub fn named_template(&self, name: &str) -> Result<Option<ChatTemplate>, TemplateError> {
        self.source(Some(name))?.map(ChatTemplate::new).transpose()
    }

    /// The names of the chat templates, in the file's order.
    ///
    /// # Errors
    /// If memory for the list is refused: a file may name as many as it has metadata.
    pub fn template_names(&self) -> Result<Vec<&str>, EngineError> {
        let view = self.view();
        let keys = view.metadata().iter().map(|(key, _)| key);
        let mut names = Vec::new();
        for name in keys.filter_map(|key| key.strip_prefix(TEMPLATE)?.strip_prefix('.')) {
            reserve(&mut names, 1, "names of chat templates")?;
            names.push(name);
        }
        Ok(names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use happy_gguf::{GgufWriter, Limits};
    use std::sync::Arc;

    #[test]
    fn names_choose_templates() {
        let file = |pairs: &[(&str, &str)]| {
            let writer = pairs
                .iter()
                .fold(GgufWriter::new(), |w, (key, value)| w.kv(format!("{TEMPLATE}{key}"), *value));
            ModelFile(GgufFile::from_shared(Arc::new(writer.to_vec().unwrap()), &Limits::default()).unwrap())
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
                (text(file.chat_template()), text(file.tool_template())),
                (without.into(), with.into())
            );
        }
        assert_eq!(both.template_names().unwrap(), ["tool_use", "rag"]);
        assert_eq!(text(both.named_template("tool_use")), "tools");
        assert_eq!(text(both.named_template("other")), "");
        assert!(matches!(both.named_template("rag"), Err(TemplateError::Syntax { line: 1, .. })));
    }

    /// A template that is not text is not a missing one.
    #[test]
    fn templates_of_another_type_are_errors() {
        let file = |key: &str| {
            let writer = GgufWriter::new().kv(format!("{TEMPLATE}{key}"), 7u32).kv("general.name", "x");
            ModelFile(GgufFile::from_shared(Arc::new(writer.to_vec().unwrap()), &Limits::default()).unwrap())
        };
        let (plain, default, tools) = (file(""), file(".default"), file(".tool_use"));
        let cases = [
            (plain.chat_template(), "tokenizer.chat_template"),
            (plain.tool_template(), "tokenizer.chat_template"),
            (default.chat_template(), "tokenizer.chat_template.default"),
            (default.tool_template(), "tokenizer.chat_template.default"),
            (tools.tool_template(), "tokenizer.chat_template.tool_use"),
            (tools.named_template("tool_use"), "tokenizer.chat_template.tool_use"),
        ];
        for (found, key) in cases {
            let message = found.unwrap_err().to_string();
            let told =
                [&*format!("`{key}`"), "expected", "found", "7"].iter().all(|part| message.contains(part));
            assert!(told, "{key}: {message}");
        }
        assert!(tools.chat_template().unwrap().is_none());
    }
}
