//! `happy template`: a rendered chat template on standard output, and nothing else.

use crate::error::{CliError, CliResult};
use crate::{input, load, prompt};
use clap::{ArgGroup, Args};
use happy_engine::chat::{ChatTemplate, TemplateError, TemplateInput};
use serde_json::Value;
use std::fmt::Display;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Options of `happy template`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("source").required(true))]
#[command(group = ArgGroup::new("data").required(true))]
pub(crate) struct TemplateArgs {
    /// Take the template of a model: a path, or a known name
    #[arg(short, long, group = "source")]
    model: Option<String>,
    /// Take the template from a file
    #[arg(long, value_name = "F.jinja", group = "source")]
    file: Option<PathBuf>,
    /// The conversation: a JSON array of messages; `-` is standard input
    #[arg(long, value_name = "FILE.json", group = "data")]
    messages: Option<PathBuf>,
    /// Everything that the template sees: one JSON object
    #[arg(long, value_name = "FILE.json", group = "data")]
    context: Option<PathBuf>,
    /// Tools: a JSON array
    #[arg(long, value_name = "FILE.json", conflicts_with = "context")]
    tools: Option<PathBuf>,
    /// Set a variable; the value is JSON, or a string where it is no JSON
    #[arg(long, value_name = "NAME=VALUE", conflicts_with = "context")]
    var: Vec<String>,
    /// Leave out what begins the model's answer
    #[arg(long, conflicts_with = "context")]
    no_generation_prompt: bool,
    /// The time that the template takes for now, like 2026-03-14T09:26:53 [default: the clock's, in UTC]
    #[arg(long, value_name = "TIME")]
    now: Option<String>,
}

/// Runs the command.
pub(crate) fn run(args: &TemplateArgs) -> CliResult {
    let now = args.now.as_deref().map(time).transpose()?;
    let mut tokens = TemplateInput::default();
    let (name, template) = match (&args.model, &args.file) {
        (Some(model), _) => {
            let file = load::file(model)?;
            let template = happy_engine::chat_template_of(&file).map_err(|e| in_template(model, &e))?;
            if let Some(tokenizer) = happy_engine::tokenizer_of(&file)? {
                tokens = prompt::template_input(&tokenizer);
            }
            let template = template.ok_or_else(|| {
                CliError::new(format!(
                    "`{model}` has no chat template: key `tokenizer.chat_template` is missing"
                ))
            })?;
            (model.clone(), template)
        }
        (None, Some(path)) => {
            let name = path.display().to_string();
            let template = ChatTemplate::new(&input::read_text(path)?).map_err(|e| in_template(&name, &e))?;
            (name, template)
        }
        (None, None) => return Err(CliError::usage("no template: give -m MODEL or --file F.jinja")),
    };
    let context = match &args.context {
        Some(path) => read_object(path)?,
        None => context(args, tokens)?,
    };
    let rendered = template.render_context(&context, now).map_err(|e| in_template(&name, &e))?;
    let mut out = std::io::stdout().lock();
    out.write_all(rendered.as_bytes())?;
    out.flush()?;
    Ok(())
}

/// What the template sees: messages, tools and variables; a variable replaces what has its name.
fn context(args: &TemplateArgs, tokens: TemplateInput) -> CliResult<Value> {
    let messages = args.messages.as_deref().map(read_array).transpose()?.unwrap_or_default();
    if let (Some(i), Some(path)) = (messages.iter().position(|m| !m.is_object()), &args.messages) {
        let (path, found) = (path.display(), kind(&messages[i]));
        return Err(CliError::new(format!("message {} of `{path}` is {found}, expected an object", i + 1)));
    }
    let tools = args.tools.as_deref().map(read_array).transpose()?;
    let add_generation_prompt = !args.no_generation_prompt;
    let mut input = TemplateInput { messages, tools, add_generation_prompt, ..tokens };
    for variable in &args.var {
        let (name, value) = variable
            .split_once('=')
            .filter(|(name, _)| !name.is_empty())
            .ok_or_else(|| CliError::usage(format!("--var has {variable:?}, expected NAME=VALUE")))?;
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
        input.vars.insert(name.to_owned(), value);
    }
    Ok(input.context())
}

/// The time that `--now` gives.
fn time<T: FromStr<Err: Display>>(text: &str) -> CliResult<T> {
    text.parse().map_err(|e| CliError::usage(format!("--now: {e}")))
}

fn read_array(path: &Path) -> CliResult<Vec<Value>> {
    match input::read_json(path)? {
        Value::Array(items) => Ok(items),
        other => {
            let found = kind(&other);
            Err(CliError::new(format!("`{}` holds {found}, expected an array", path.display())))
        }
    }
}

fn read_object(path: &Path) -> CliResult<Value> {
    match input::read_json(path)? {
        object @ Value::Object(_) => Ok(object),
        other => {
            let found = kind(&other);
            Err(CliError::new(format!("`{}` holds {found}, expected an object", path.display())))
        }
    }
}

/// What a JSON value is, for messages.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a bool",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

fn in_template(name: &str, error: &TemplateError) -> CliError {
    CliError::new(format!("`{name}`: {error}"))
}
