//! `happy template`: renders a chat template to standard output, and prints nothing else.

use crate::error::{CliError, CliResult};
use crate::paths::AccessArgs;
use crate::{input, load, terminal};
use clap::{ArgGroup, Args};
use happy_engine::ModelFile;
use happy_engine::chat::{ChatTemplate, TemplateError, TemplateInput};
use serde_json::Value;
use std::fmt::Display;
use std::io::Write;
use std::path::PathBuf;
use std::str::FromStr;

/// Options of `happy template`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("source").required(true))]
#[command(group = ArgGroup::new("data").required(true))]
pub(crate) struct TemplateArgs {
    /// Take the template of a model: a path or a name, as `happy run -m` takes it
    #[arg(short, long, group = "source")]
    model: Option<PathBuf>,
    /// Take the template from a file
    #[arg(long, value_name = "F.jinja", group = "source")]
    file: Option<PathBuf>,
    /// Take the model's template with this name, such as `tool_use` [default: `tool_use` with --tools, if the model has it]
    #[arg(long, value_name = "NAME", requires = "model")]
    name: Option<String>,
    /// The conversation: a JSON array of messages; `-` is standard input
    #[arg(long, value_name = "FILE.json", group = "data")]
    messages: Option<PathBuf>,
    /// Everything that the template sees: one JSON object
    #[arg(long, value_name = "FILE.json", group = "data")]
    context: Option<PathBuf>,
    /// Tools: a JSON array
    #[arg(long, value_name = "FILE.json", conflicts_with = "context")]
    tools: Option<PathBuf>,
    /// Set a variable; the value is JSON, or else a string
    #[arg(long, value_name = "NAME=VALUE", conflicts_with = "context")]
    var: Vec<String>,
    /// Leave out the generation prompt, which begins the model's answer
    #[arg(long, conflicts_with = "context")]
    no_generation_prompt: bool,
    /// Date and time that the template sees as the current ones, such as 2026-03-14T09:26:53 [default: the clock, in UTC]
    #[arg(long, value_name = "TIME")]
    now: Option<String>,
    #[command(flatten)]
    access: AccessArgs,
}

/// Runs the command.
pub(crate) fn run(args: &TemplateArgs) -> CliResult {
    let now = args.now.as_deref().map(time).transpose()?;
    let mut tokens = TemplateInput::default();
    let (name, template) = match (&args.model, &args.file) {
        (Some(model), _) => {
            let file = load::header(model)?;
            let model = model.display().to_string();
            let template = of_model(args, &model, &file)?;
            if let Some(tokenizer) = file.tokenizer()? {
                tokens = happy_engine::template_input(&tokenizer);
            }
            (model, template)
        }
        (None, Some(path)) => {
            let name = path.display().to_string();
            let template = ChatTemplate::new(&input::read_text(path)?).map_err(|e| in_template(&name, &e))?;
            (name, template)
        }
        (None, None) => return Err(CliError::usage("no template: give -m MODEL or --file F.jinja")),
    };
    let context = match &args.context {
        Some(path) => input::read_object(path)?,
        None => context(args, tokens)?,
    };
    let rendered = template.render_context(&context, now).map_err(|e| in_template(&name, &e))?;
    let mut out = terminal::stdout();
    out.write_all(rendered.as_bytes())?;
    out.end_on_terminal(rendered.as_bytes())?;
    out.flush()?;
    Ok(())
}

/// Returns the template of a model: the one with the name, the one for tools if there are any, or the one without a
/// name.
fn of_model(args: &TemplateArgs, model: &str, file: &ModelFile) -> CliResult<ChatTemplate> {
    let found = match &args.name {
        Some(name) => file.named_template(name),
        None if args.tools.is_some() => file.tool_template(),
        None => file.chat_template(),
    };
    let key = args.name.as_ref().map_or(String::new(), |name| format!(".{name}"));
    if let Some(found) = found.map_err(|e| in_template(model, &e))? {
        return Ok(found);
    }
    let names = file.template_names()?.join(", ");
    let others = if names.is_empty() { names } else { format!("; its named templates: {names}") };
    Err(CliError::new(format!(
        "`{model}` has no chat template: key `tokenizer.chat_template{key}` is missing{others}"
    )))
}

/// Returns what the template sees: messages, tools and variables. A variable replaces anything with the same name.
fn context(args: &TemplateArgs, tokens: TemplateInput) -> CliResult<Value> {
    let messages = args.messages.as_deref().map(input::read_messages).transpose()?.unwrap_or_default();
    if let (Some(i), Some(path)) = (messages.iter().position(|m| !m.is_object()), &args.messages) {
        let (path, found) = (path.display(), input::kind(&messages[i]));
        return Err(CliError::new(format!("message {} of `{path}` is {found}, expected an object", i + 1)));
    }
    let tools = args.tools.as_deref().map(input::read_array).transpose()?;
    let add_generation_prompt = !args.no_generation_prompt;
    let mut all = TemplateInput { messages, tools, add_generation_prompt, ..tokens };
    all.vars = input::variables(&args.var)?;
    Ok(all.context())
}

/// Parses the time of `--now`.
fn time<T: FromStr<Err: Display>>(text: &str) -> CliResult<T> {
    text.parse().map_err(|e| CliError::usage(format!("--now: {e}")))
}

fn in_template(name: &str, error: &TemplateError) -> CliError {
    CliError::new(format!("`{name}`: {error}"))
}
