//! What is asked of each peer, and what of it stands in the table.

use std::fs;
use std::path::Path;
use std::time::Duration;

use peers_grammar::Result;

use crate::build::Probe;
use crate::corpus::Case;
use crate::hostile;
use crate::model::Model;
use crate::process::{Answer, End, LONG, SHORT, ask};

/// Turns that the peers take where they are timed, and runs in each of them.
const TURNS: usize = 5;
const RUNS: &str = "5";

/// How often a probe ended how.
#[derive(Clone, Copy, Default)]
pub struct Tally {
    pub done: usize,
    pub refused: usize,
    pub stopped: usize,
    pub panicked: usize,
    pub aborted: usize,
    pub hung: usize,
}

impl Tally {
    fn count(&mut self, end: End) {
        *match end {
            End::Done => &mut self.done,
            End::Refused => &mut self.refused,
            End::Stopped => &mut self.stopped,
            End::Panicked => &mut self.panicked,
            End::Aborted => &mut self.aborted,
            End::Hung => &mut self.hung,
        } += 1;
    }
}

/// What a peer makes of the corpus.
#[derive(Default)]
pub struct Corpus {
    pub schemas: Tally,
    /// The verdict on each text in order; none where there was no answer.
    pub verdicts: Vec<Option<bool>>,
    /// Texts at which there was an error instead of an answer.
    pub errors: usize,
}

/// All texts of the corpus in order: whether they are valid.
pub fn valid(cases: &[Case]) -> Vec<bool> {
    cases.iter().flat_map(|case| case.valid.iter().copied()).collect()
}

/// Asks about every schema of the corpus. With `explain`, what the peer says of what it does wrong goes to standard error.
pub fn corpus(probe: &Probe, bytes: &Path, cases: &[Case], explain: bool) -> Result<Corpus> {
    let mut this = Corpus::default();
    for case in cases {
        let answer = ask(&probe.program, &["check".as_ref(), bytes, &case.schema, &case.texts], SHORT)?;
        this.schemas.count(answer.end);
        if explain && answer.end != End::Done {
            eprintln!("{}: {:?}: {}: {}", probe.title, answer.end, case.text, answer.errors.trim());
        }
        let mut answers = answer.text.bytes();
        for (i, valid) in case.valid.iter().enumerate() {
            let verdict = match answers.next() {
                Some(b'0') => Some(false),
                Some(b'1') => Some(true),
                Some(_) => {
                    this.errors += 1;
                    None
                }
                None => None,
            };
            if explain && verdict == Some(true) && !valid {
                eprintln!("{}: text {i} is accepted though invalid: {}", probe.title, case.text);
            }
            this.verdicts.push(verdict);
        }
    }
    Ok(this)
}

/// Follows a text under a hostile schema.
pub fn hostile(probe: &Probe, bytes: &Path, case: &hostile::Case, tally: &mut Tally) -> Result<String> {
    let arguments = ["follow".as_ref(), bytes, &case.schema, &case.text];
    let Answer { end, time, .. } = ask(&probe.program, &arguments, SHORT)?;
    tally.count(end);
    let word = match end {
        End::Done => "followed",
        End::Refused => "refused",
        End::Stopped => "stopped",
        End::Panicked => "**panicked**",
        End::Aborted => "**aborted**",
        End::Hung => return Ok("**hung**".into()),
    };
    Ok(format!("{word}, {}", short(time)))
}

fn short(time: Duration) -> String {
    match time.as_secs_f64() {
        s if s < 1.0 => format!("{:.0} ms", s * 1e3),
        s => format!("{s:.1} s"),
    }
}

/// Numbers that a probe prints, or why it prints none.
type Numbers = std::result::Result<Vec<f64>, End>;

/// Asks all peers in turns; the median of each number.
fn turns(probes: &[Probe], mut question: impl FnMut(&Probe) -> Result<Answer>) -> Result<Vec<Numbers>> {
    let mut all: Vec<std::result::Result<Vec<Vec<f64>>, End>> = vec![Ok(Vec::new()); probes.len()];
    for _ in 0..TURNS {
        for (probe, turns) in probes.iter().zip(&mut all) {
            let Ok(known) = turns else { continue };
            let answer = question(probe)?;
            if answer.end == End::Done {
                known.push(
                    answer.text.split_whitespace().map(str::parse).collect::<std::result::Result<_, _>>()?,
                );
            } else {
                *turns = Err(answer.end);
            }
        }
    }
    let median = |turns: Vec<Vec<f64>>| {
        let numbers = turns.first().map_or(0, Vec::len);
        let middle = |i: usize| {
            let mut values: Vec<f64> = turns.iter().filter_map(|turn| turn.get(i).copied()).collect();
            values.sort_by(f64::total_cmp);
            values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
        };
        (0..numbers).map(middle).collect()
    };
    Ok(all.into_iter().map(|turns| turns.map(median)).collect())
}

/// Preparing the vocabulary: milliseconds and bytes a token.
pub fn vocabulary(probes: &[Probe], model: &Model) -> Result<Vec<String>> {
    let numbers = turns(probes, |probe| {
        ask(&probe.program, &["vocabulary".as_ref(), model.vocabulary.as_os_str(), RUNS.as_ref()], LONG)
    })?;
    let cell = |numbers: Numbers| match numbers.as_deref() {
        Ok([nanos, bytes]) => format!("{:.0} ms / {:.0}", nanos / 1e6, bytes / model.tokens as f64),
        Ok(_) => "no answer".into(),
        Err(end) => ended(*end),
    };
    Ok(numbers.into_iter().map(cell).collect())
}

/// Why there are no figures.
fn ended(end: End) -> String {
    match end {
        End::Refused => "refused".into(),
        End::Hung => format!("not done in {} s", LONG.time.as_secs()),
        End::Aborted => format!("aborted (limit: {} GiB)", LONG.memory >> 20),
        end => format!("{end:?}").to_lowercase(),
    }
}

/// The rows of a schema: compiling, and the masks of the first and of the second document, of each peer.
pub fn masks(probes: &[Probe], model: &Model, schema: &Path) -> Result<[Vec<String>; 3]> {
    let numbers = turns(probes, |probe| {
        let (vocabulary, document) = (model.vocabulary.as_os_str(), model.document.as_os_str());
        let arguments = ["time".as_ref(), vocabulary, schema.as_os_str(), document, RUNS.as_ref()];
        ask(&probe.program, &arguments, LONG)
    })?;
    let mut rows = [Vec::new(), Vec::new(), Vec::new()];
    for numbers in numbers {
        let cells = match numbers.as_deref() {
            Ok([compile, cold @ .., a, b, c]) => {
                let micros = |nanos: &[f64]| {
                    nanos.iter().map(|n| format!("{:.1}", n / 1e3)).collect::<Vec<_>>().join(" / ")
                };
                [format!("{:.1}", compile / 1e6), micros(cold), micros(&[*a, *b, *c])]
            }
            Ok(_) => ["no answer", "", ""].map(str::to_owned),
            Err(end) => [ended(*end), String::new(), String::new()],
        };
        rows.iter_mut().zip(cells).for_each(|(row, cell)| row.push(cell));
    }
    Ok(rows)
}

/// What a peer costs a program that uses it.
pub fn cost(probe: &Probe, empty: &Path) -> Result<String> {
    let added = fs::metadata(&probe.small)?.len().saturating_sub(fs::metadata(empty)?.len());
    Ok(format!("{} / {:.0}", probe.dependencies, added as f64 / 1000.0))
}
