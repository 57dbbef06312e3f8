//! Models: planning, opening, tokens, templates, what a model is.

use super::{CancelToken, json, log};
use crate::failure::{Failure, Outcome};
use crate::log_level::LogLevel;
use crate::status::Status;
use happy_engine::chat::{ReplyFormat, TemplateInput};
use happy_engine::verify::{Difference, Reference};
use happy_engine::{Engine, EngineError, LoadOptions, Plan, Source, template_input};
use happy_gguf::{Array, FilePart, Value, keys};
use happy_tokenizer::{DecodeOptions, EncodeOptions};
use serde_json::{Map, Value as Json, json};
use std::fs::File;
use std::ops::ControlFlow;
use std::path::PathBuf;

/// Elements of an array that [`Model::info`] shows.
const SHOWN_ELEMENTS: usize = 16;

/// Where a model is.
#[derive(Debug)]
pub enum Place {
    /// A file.
    Path(PathBuf),
    /// A part of an open file, or of several: those of a split model, in any order.
    Parts(Vec<OpenPart>),
}

/// A part of an open file.
#[derive(Debug)]
pub struct OpenPart {
    /// The file.
    pub file: File,
    /// What errors call it.
    pub name: String,
    /// Bytes before the part.
    pub offset: u64,
    /// Bytes of the part; `None` means up to the end of the file.
    pub len: Option<u64>,
}

/// Receives how much is loaded, from 0 to 1; `false` ends the loading.
pub type Progress<'a> = dyn FnMut(f32) -> bool + 'a;

impl Place {
    /// Makes a place from a path.
    ///
    /// # Errors
    /// If it is empty.
    pub fn path(path: &str) -> Outcome<Self> {
        if path.is_empty() {
            return Err(Failure::argument("the path is empty"));
        }
        Ok(Place::Path(path.into()))
    }

    /// Runs `call` with what the engine reads.
    fn with<T>(&self, call: impl FnOnce(&Source<'_>) -> Result<T, EngineError>) -> Result<T, EngineError> {
        match self {
            Place::Path(path) => call(&Source::Path(path)),
            Place::Parts(parts) => {
                let mut all = Vec::new();
                for part in parts {
                    all.push(FilePart::new(&part.file, &part.name, part.offset, part.len)?);
                }
                call(&Source::Parts(&all))
            }
        }
    }

    /// Returns the memory that running the model takes, and whether that fits.
    ///
    /// # Errors
    /// If the file is not a model that can be run.
    pub fn plan(&self, options: &LoadOptions) -> Outcome<Planned> {
        match self.with(|source| Engine::plan_of(source, options)) {
            Ok(plan) => Ok(Planned { plan, fits: true, fitting: Some(plan.context) }),
            Err(EngineError::OverBudget(over)) => {
                Ok(Planned { plan: over.plan, fits: false, fitting: over.fitting })
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// The memory that running a model takes, and whether it fits.
#[derive(Clone, Copy, Debug)]
pub struct Planned {
    /// Its parts.
    pub plan: Plan,
    /// Whether it fits its budget.
    pub fits: bool,
    /// The largest context that would fit.
    pub fitting: Option<usize>,
}

impl Planned {
    /// Returns the budget: the bytes of anonymous memory that it may take.
    pub fn budget(&self) -> u64 {
        self.plan.budget.map_or(u64::MAX, |budget| budget.bytes)
    }
}

/// A loaded model.
pub struct Model {
    engine: Engine,
}

impl Model {
    /// Loads a model. `cancel` and `progress` may end the loading.
    ///
    /// # Errors
    /// If it cannot be loaded, its plan is over the budget, or loading was ended.
    pub fn open(
        place: &Place,
        options: &LoadOptions,
        cancel: Option<&CancelToken>,
        mut progress: Option<&mut Progress<'_>>,
    ) -> Outcome<Self> {
        let mut go_on = |share: f32| {
            let cancelled = cancel.is_some_and(CancelToken::is_cancelled);
            if cancelled || !progress.as_mut().is_none_or(|progress| progress(share)) {
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        };
        let engine = place.with(|source| Engine::open_from(source, options, &mut go_on)).map_err(
            |error| match error {
                EngineError::Cancelled => Failure::new(Status::Cancelled, "loading was cancelled"),
                error => error.into(),
            },
        )?;
        log::say(LogLevel::Info, || {
            let (plan, spec) = (engine.plan(), engine.model().spec());
            format!(
                "loaded a model: {}, a context of {} positions, {} threads, {} bytes of weights, {} bytes of memory",
                spec.architecture,
                plan.context,
                plan.threads,
                plan.weight_bytes,
                plan.anon_bytes()
            )
        });
        if let Some(notice) = engine.plan().shrunk_notice() {
            log::say(LogLevel::Info, || notice);
        }
        Ok(Self { engine })
    }

    /// Returns the engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Returns the memory that a session takes.
    pub fn plan(&self) -> Planned {
        let plan = *self.engine.plan();
        Planned { plan, fits: true, fitting: Some(plan.context) }
    }

    /// Computes what other devices are verified against, as JSON.
    ///
    /// # Errors
    /// If memory is refused, or `cancel` is raised.
    pub fn reference(&self, cancel: Option<&CancelToken>) -> Outcome<String> {
        let reference = self.engine.reference(&mut |_| goes_on(cancel)).map_err(verified)?;
        Ok(reference.to_json()?)
    }

    /// Compares what this device computes with a reference, and returns the first difference as JSON.
    ///
    /// # Errors
    /// If the reference is not one, or cannot be compared with this model; if memory is refused, or `cancel` is raised.
    pub fn verify(&self, reference: &str, cancel: Option<&CancelToken>) -> Outcome<String> {
        let reference = Reference::from_json(reference.as_bytes()).map_err(EngineError::from)?;
        let difference = self.engine.verify(&reference, &mut |_| goes_on(cancel)).map_err(verified)?;
        let report = match difference {
            None => json!({ "same": true }),
            Some(Difference { part, name, kernel, .. }) => {
                json!({ "same": false, "part": part.to_string(), "name": name, "kernel": kernel })
            }
        };
        Ok(report.to_string())
    }

    /// Returns the tokens of a text. With `special`, the strings of control tokens become those tokens, and BOS and EOS are added.
    ///
    /// # Errors
    /// If the file has no tokenizer.
    pub fn tokenize(&self, text: &str, special: bool) -> Outcome<Vec<u32>> {
        let options = EncodeOptions { add_special: special, parse_special: special };
        Ok(self.engine.require_tokenizer()?.encode(text, options)?)
    }

    /// Returns the text of tokens.
    ///
    /// # Errors
    /// If a token does not exist, or the file has no tokenizer.
    pub fn detokenize(&self, tokens: &[u32], special: bool) -> Outcome<String> {
        let options = DecodeOptions { special, ..DecodeOptions::default() };
        let bytes = self.engine.require_tokenizer()?.decode_bytes(tokens, options)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Returns the bytes of a token.
    ///
    /// # Errors
    /// If it does not exist, or the file has no tokenizer.
    pub fn piece(&self, token: u32) -> Outcome<Vec<u8>> {
        Ok(self.engine.require_tokenizer()?.piece(token)?)
    }

    /// Returns the prompt that the template makes of messages and tools, which are JSON arrays.
    ///
    /// # Errors
    /// If they are not valid, there is no template, or it refuses them.
    pub fn apply_template(&self, messages: &str, tools: &str, answer: bool) -> Outcome<String> {
        let messages = match messages {
            "" => Vec::new(),
            messages => json::items(json::messages(messages, "the messages")?, "the messages")?,
        };
        let tools = json::array(tools, "the tools")?;
        let file = self.engine.file();
        let template = match tools {
            Some(_) => file.tool_template()?,
            None => self.engine.chat_template()?,
        };
        let template =
            template.ok_or_else(|| Failure::new(Status::Template, "the model has no chat template"))?;
        let input = template_input(self.engine.require_tokenizer()?);
        Ok(template.render(&TemplateInput { messages, tools, add_generation_prompt: answer, ..input })?)
    }

    /// Describes the model as a JSON object.
    pub fn info(&self, metadata: bool) -> String {
        let (model, view) = (self.engine.model(), self.engine.file().view());
        let pairs = view.metadata();
        let (template, damaged) = match self.engine.chat_template() {
            Ok(template) => (template, None),
            Err(error) => (None, Some(error.to_string())),
        };
        let all = self.engine.files().view();
        let parameters = all.tensors().map(|(_, tensor)| tensor.elements()).fold(0, u64::saturating_add);
        let mut info = json!({
            "architecture": model.spec().architecture,
            "name": pairs.optional::<&str>(keys::NAME.pattern()).ok().flatten(),
            "parameters": parameters,
            "trained_context": model.n_ctx_train(),
            "vocabulary": model.n_vocab(),
            "layers": model.n_layers(),
            "file_type": pairs.optional::<u32>(keys::FILE_TYPE.pattern()).ok().flatten(),
            "chat_template": template.is_some(),
            "chat_template_error": damaged,
            "reply_format": template.map(|template| ReplyFormat::of_template(template.source()).name()),
        });
        if let (true, Some(info)) = (metadata, info.as_object_mut()) {
            let all: Map<_, _> = pairs.iter().map(|(key, value)| (key.to_owned(), json_of(value))).collect();
            info.insert("metadata".to_owned(), all.into());
        }
        info.to_string()
    }
}

/// Ends a long computation if the token is raised.
fn goes_on(cancel: Option<&CancelToken>) -> ControlFlow<()> {
    if cancel.is_some_and(CancelToken::is_cancelled) {
        ControlFlow::Break(())
    } else {
        ControlFlow::Continue(())
    }
}

fn verified(error: EngineError) -> Failure {
    match error {
        EngineError::Cancelled => Failure::new(Status::Cancelled, "verifying was cancelled"),
        error => error.into(),
    }
}

/// Converts a value of the metadata; of a long array, its length and its first elements.
fn json_of(value: Value<'_>) -> Json {
    match value {
        Value::String(s) => s.to_string_lossy().into(),
        Value::Bool(v) => v.into(),
        Value::F32(v) => v.into(),
        Value::F64(v) => v.into(),
        Value::U64(v) => v.into(),
        Value::Array(array) => json_of_array(array),
        integer => integer.as_integer().and_then(|v| i64::try_from(v).ok()).into(),
    }
}

fn json_of_array(array: Array<'_>) -> Json {
    let first: Vec<Json> = array.iter().take(SHOWN_ELEMENTS).map(json_of).collect();
    if array.len() <= SHOWN_ELEMENTS {
        first.into()
    } else {
        json!({ "length": array.len(), "first": first })
    }
}
