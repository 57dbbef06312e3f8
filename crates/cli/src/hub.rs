//! Models by name: those in the cache, and downloads that are checked before they begin.

use crate::error::{CliError, CliResult};
use crate::output::{self, human_bytes};
use happy_engine::gguf::GgufSetFile;
use happy_engine::{Engine, EngineError, LoadOptions, Plan};
use happy_hub::{ALIASES, Event, Hub, Name, Offer, PullOptions, Pulled, Role, Verdict};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Makes the hub from the environment.
pub(crate) fn open() -> CliResult<Hub> {
    Ok(Hub::from_env()?)
}

/// A name as it was typed.
pub(crate) fn name(text: &str) -> CliResult<Name> {
    text.parse().map_err(|error: happy_hub::Error| CliError::usage(error.to_string()))
}

/// Returns whether a model's name is one that only the hub knows, and not a path.
pub(crate) fn is_hub_name(model: &str) -> bool {
    let addresses = ["hf:", "https://", "http://"];
    // A short name may have a quantization.
    let short = model.split_once(':').map_or(model, |(name, _)| name);
    !model.contains(char::is_whitespace)
        && (addresses.iter().any(|start| model.starts_with(start))
            || ALIASES.iter().any(|alias| alias.name.eq_ignore_ascii_case(short)))
}

/// Returns the file of a model in the cache; `None` if it is not there.
pub(crate) fn find(model: &str) -> CliResult<Option<PathBuf>> {
    Ok(open()?.find(&name(model)?)?.map(|pulled| pulled.path().to_owned()))
}

/// Returns the file of a model by its name on the hub. If it is not in the cache, it is downloaded if the user agrees.
pub(crate) fn find_or_pull(model: &str) -> CliResult<PathBuf> {
    if let Some(path) = find(model)? {
        return Ok(path);
    }
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Err(CliError::new(format!("model `{model}` is not on this device: happy pull {model}")));
    }
    let ask = |offer: &Offer| -> CliResult<bool> {
        output::note(&format!("`{model}` is not on this device: {}", summary(offer)));
        eprint!("Download it? [y/N] ");
        let mut line = String::new();
        std::io::stdin()
            .read_line(&mut line)
            .map_err(|error| CliError::new(format!("cannot read the answer: {error}")))?;
        Ok(matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
    };
    // Planned like `happy run` without options; the command's own plan follows.
    let pulled = pull(model, PullOptions::default(), &LoadOptions::default(), &ask)?;
    Ok(pulled.path().to_owned())
}

/// Returns the memory that running an offered model would take.
pub(crate) fn plan(offer: &Offer, options: &LoadOptions) -> Result<Plan, EngineError> {
    let files: Vec<_> = offer.files.iter().filter(|file| file.role == Role::Model).collect();
    let headers = GgufSetFile::from_parts(files.iter().map(|f| (f.path.clone(), f.header.clone().into())))?;
    let bytes = files.iter().map(|file| file.bytes).fold(0, u64::saturating_add);
    Engine::plan_of_headers(headers, bytes, &offer.name, options)
}

/// Returns an offer in one line.
pub(crate) fn summary(offer: &Offer) -> String {
    let license = offer.license.as_ref().map_or_else(String::new, |license| format!(", license {license}"));
    let missing = match offer.missing() {
        0 => "all of it is here".to_owned(),
        missing => format!("{} to download", human_bytes(missing)),
    };
    format!("{}, {missing}{license}", human_bytes(offer.total()))
}

/// Returns a plan in one line.
pub(crate) fn needs(plan: &Plan) -> String {
    let budget = plan
        .budget
        .map_or_else(String::new, |budget| format!(" of {} ({})", human_bytes(budget.bytes), budget.bound));
    let shrunk = plan.shrunk_notice().map_or_else(String::new, |notice| format!("; {notice}"));
    let (memory, context) = (human_bytes(plan.anon_bytes()), plan.context);
    format!("needs {memory} of memory beside its file at {context} tokens{budget}{shrunk}")
}

/// Downloads a model, unless it would not run here or `ask` says no.
pub(crate) fn pull(
    model: &str,
    mut options: PullOptions,
    load: &LoadOptions,
    ask: &dyn Fn(&Offer) -> CliResult<bool>,
) -> CliResult<Pulled> {
    let cancel = Arc::new(AtomicBool::new(false));
    options.cancel = Some(cancel.clone());
    // If another handler is installed, it ends the process. What has arrived is kept either way.
    let _ = ctrlc::set_handler(move || {
        if cancel.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    });
    let mut asked = Ok(true);
    let judge = |offer: &Offer| {
        match plan(offer, load) {
            Ok(plan) => output::note(&needs(&plan)),
            Err(error) => return Verdict::Refuse(format!("it would not run here: {error}")),
        }
        let (missing, free) = (offer.missing(), offer.free_disk);
        if let Some(free) = free.filter(|free| *free < missing) {
            let (missing, free) = (human_bytes(missing), human_bytes(free));
            return Verdict::Refuse(format!("{missing} are missing, and the disk has {free} free"));
        }
        asked = ask(offer);
        match asked {
            Ok(true) => Verdict::Accept,
            _ => Verdict::Refuse("it was not wanted".to_owned()),
        }
    };
    let bar = Bar::new();
    let pulled = open()?.pull(&name(model)?, &options, judge, |event| bar.tell(&event));
    bar.0.finish_and_clear();
    asked?;
    let pulled = pulled?;
    if let Some(why) = &pulled.stale {
        output::note(&format!("from the cache, because the server cannot be asked: {why}"));
    }
    Ok(pulled)
}

/// Shows the progress of a download on standard error.
struct Bar(ProgressBar);

impl Bar {
    fn new() -> Self {
        if !std::io::stderr().is_terminal() {
            return Self(ProgressBar::hidden());
        }
        let bar = ProgressBar::new(0);
        let style = ProgressStyle::with_template("{wide_bar} {bytes}/{total_bytes} {msg}");
        Self(match style {
            Ok(style) => bar.with_style(style),
            Err(_) => bar,
        })
    }

    fn tell(&self, event: &Event<'_>) {
        match event {
            Event::Progress(progress) => {
                self.0.set_length(progress.total);
                self.0.set_position(progress.done);
                let rate =
                    progress.rate.map_or_else(String::new, |rate| format!("{}/s", human_bytes(rate as u64)));
                let left = progress.eta.map_or_else(String::new, |eta| format!(", {} left", time(eta)));
                self.0.set_message(rate + &left);
            }
            Event::Waiting => self.note("another process downloads this file; waiting for it"),
            Event::Retry { file, pause, why, .. } => {
                self.note(&format!("{file}: {why}; again in {:.1} s", pause.as_secs_f64()));
            }
            Event::Restarted { file, why } => self.note(&format!("{file}: from the beginning: {why}")),
            _ => {}
        }
    }

    fn note(&self, text: &str) {
        self.0.suspend(|| output::note(text));
    }
}

/// Formats a time for people.
fn time(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds @ 60..3600 => format!("{} min", seconds.div_ceil(60)),
        seconds => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}
