//! `happy embed`: turns texts, or sequences of token ids, into vectors.
//!
//! ```text
//! texts:    a line of numbers for each, or with --json {"index":0,"tokens":7,"embedding":[..]}
//! --tokens: a file of u32 count, u32 dimension, count x dimension x f32, little-endian; all vectors of all cases in order
//! ```

use super::logits::{self, Case};
use crate::error::{CliError, CliResult};
use crate::load::{LoadArgs, ModelArgs};
use crate::{input, load, output};
use clap::{Args, ValueEnum};
use happy_engine::{Cancel, EmbedOptions, Embedder, Embedding, LoadOptions, TooLong};
use happy_model::Pooling;
use serde::Serialize;
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::PathBuf;

/// How hidden states become a vector.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Kind {
    None,
    Mean,
    Cls,
    Last,
    Rank,
}

impl From<Kind> for Pooling {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::None => Pooling::None,
            Kind::Mean => Pooling::Mean,
            Kind::Cls => Pooling::Cls,
            Kind::Last => Pooling::Last,
            Kind::Rank => Pooling::Rank,
        }
    }
}

/// Options of `happy embed`.
#[derive(Debug, Args)]
pub(crate) struct EmbedArgs {
    #[command(flatten)]
    model: EmbeddingModelArgs,
    /// Texts [default: each line of standard input is one]
    #[arg(value_name = "TEXT", conflicts_with = "tokens")]
    texts: Vec<String>,
    /// Write one JSON object per line: index, tokens and embedding
    #[arg(long, conflicts_with_all = ["tokens", "similarity"])]
    json: bool,
    /// Write the cosine of each text with each other instead of the vectors
    #[arg(long, conflicts_with = "tokens")]
    similarity: bool,
    /// File of token sequences: one case per line, ids separated by white space; no special tokens are added
    #[arg(long, value_name = "CASES", requires = "out")]
    tokens: Option<PathBuf>,
    /// File to write the vectors of --tokens to
    #[arg(long, value_name = "FILE", requires = "tokens")]
    out: Option<PathBuf>,
    /// How hidden states become a vector [default: as the model's file says]
    #[arg(long, value_name = "KIND")]
    pooling: Option<Kind>,
    /// Divide vectors by their length [default for texts]
    #[arg(long, overrides_with = "no_normalize")]
    normalize: bool,
    /// Leave vectors as the model gives them [default for --tokens]
    #[arg(long, overrides_with = "normalize")]
    no_normalize: bool,
    /// Keep the first N values of each vector: for models that were trained for it
    #[arg(long, value_name = "N")]
    dimensions: Option<usize>,
    #[command(flatten)]
    room: RoomArgs,
    #[command(flatten)]
    load: LoadArgs,
}

/// Which model. There is no default, since the models that `happy run` knows generate text.
#[derive(Debug, Args)]
pub(crate) struct EmbeddingModelArgs {
    /// Model that was made for this: a path, or the name of a file in the models folder
    #[arg(short, long, value_name = "MODEL")]
    model: PathBuf,
}

impl EmbeddingModelArgs {
    /// Returns the model in the form of other commands.
    pub(crate) fn args(&self) -> ModelArgs {
        ModelArgs { model: self.model.clone() }
    }
}

/// How long texts may be.
#[derive(Debug, Args)]
#[command(next_help_heading = "Memory and threads")]
pub(crate) struct RoomArgs {
    /// Maximum number of tokens of a text [default: the model's, at most 4096 and what fits the memory]
    #[arg(short, long, value_name = "N")]
    ctx: Option<usize>,
    /// Cut longer texts instead of refusing them
    #[arg(long)]
    truncate: bool,
}

impl RoomArgs {
    /// Returns the engine's options, combined with the options of loading.
    pub(crate) fn options(&self, load: &LoadArgs) -> LoadOptions {
        let LoadOptions { embeddings, sequences, .. } = LoadOptions::embeddings();
        LoadOptions { context: self.ctx, embeddings, sequences, ..load.options() }
    }

    /// What to do with a text that is too long.
    pub(crate) fn too_long(&self) -> TooLong {
        if self.truncate { TooLong::Truncate } else { TooLong::Refuse }
    }
}

/// A line of output.
#[derive(Serialize)]
struct Line<'a> {
    index: usize,
    tokens: usize,
    embedding: Vector<'a>,
}

/// The vector of a text, or those of its tokens.
#[derive(Serialize)]
#[serde(untagged)]
enum Vector<'a> {
    One(&'a [f32]),
    Each(Vec<&'a [f32]>),
}

/// Runs the command.
pub(crate) fn run(args: &EmbedArgs) -> CliResult {
    let cases = match &args.tokens {
        Some(path) => Some(logits::parse_cases(&input::read_text(path)?, &path.display().to_string())?),
        None => None,
    };
    let mut options = args.room.options(&args.load);
    if let Some(cases) = &cases {
        let longest = cases.iter().map(|case| case.ids.len()).max().unwrap_or(1);
        options.context = Some(args.room.ctx.unwrap_or(longest));
    }
    let normalize = if cases.is_some() { args.normalize } else { !args.no_normalize };
    let engine = load::engine(&args.model.args(), &options, &output::note)?;
    let mut embedder = engine.embedder(&EmbedOptions {
        pooling: args.pooling.map(Pooling::from),
        normalize,
        dimensions: args.dimensions,
        too_long: args.room.too_long(),
    })?;
    if let (Some(cases), Some(out)) = (cases, &args.out) {
        return write_cases(&mut embedder, &cases, &out.display().to_string());
    }
    let texts = texts(&args.texts)?;
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let found = embedder.embed(&texts, &Cancel::new())?;
    for (index, text) in found.iter().enumerate().filter(|(_, text)| text.left_out > 0) {
        output::note(&format!("text {index}: the last {} tokens were left out", text.left_out));
    }
    let mut out = output::buffered(std::io::stdout().lock());
    if args.similarity {
        similarity(&found, embedder.pooling(), &mut out)?;
    } else {
        write_vectors(&found, &embedder, args.json, &mut out)?;
    }
    out.flush()?;
    Ok(())
}

/// Returns the texts of the command line, or else the lines of standard input.
pub(crate) fn texts(given: &[String]) -> CliResult<Vec<String>> {
    if !given.is_empty() {
        return Ok(given.to_vec());
    }
    let lines: Vec<String> = input::read_stdin()?.lines().map(str::to_owned).collect();
    if lines.is_empty() {
        return Err(CliError::usage(
            "there are no texts: give them as arguments, or one a line on standard input",
        ));
    }
    Ok(lines)
}

fn write_vectors(found: &[Embedding], embedder: &Embedder, json: bool, out: &mut impl Write) -> CliResult {
    for (index, text) in found.iter().enumerate() {
        let rows = text.values.chunks_exact(embedder.width());
        if json {
            let embedding = match embedder.pooling() {
                Pooling::None => Vector::Each(rows.collect()),
                _ => Vector::One(&text.values),
            };
            serde_json::to_writer(&mut *out, &Line { index, tokens: text.tokens, embedding })?;
            writeln!(out)?;
            continue;
        }
        for row in rows {
            for (i, value) in row.iter().enumerate() {
                write!(out, "{}{value}", if i > 0 { " " } else { "" })?;
            }
            writeln!(out)?;
        }
    }
    Ok(())
}

/// Prints a line for each text with its cosines with all of them.
fn similarity(found: &[Embedding], pooling: Pooling, out: &mut impl Write) -> CliResult {
    if matches!(pooling, Pooling::None | Pooling::Rank) {
        let name = pooling.name();
        return Err(CliError::usage(format!(
            "--similarity compares a vector of each text, pooling `{name}` gives none: choose --pooling mean, cls or last"
        )));
    }
    let dot =
        |a: &[f32], b: &[f32]| -> f64 { a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum() };
    for a in found {
        for (i, b) in found.iter().enumerate() {
            let lengths = dot(&a.values, &a.values).sqrt() * dot(&b.values, &b.values).sqrt();
            let cosine = if lengths > 0.0 { dot(&a.values, &b.values) / lengths } else { 0.0 };
            write!(out, "{}{cosine:.4}", if i > 0 { " " } else { "" })?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// Writes the vectors of all cases as they are computed. Their number is written last, into the first 4 bytes.
fn write_cases(embedder: &mut Embedder, cases: &[Case], path: &str) -> CliResult {
    let failed = |e: std::io::Error| CliError::io("write", path, &e);
    let mut file = output::buffered(File::create(path).map_err(|e| CliError::io("create", path, &e))?);
    let texts: Vec<&[u32]> = cases.iter().map(|case| case.ids.as_slice()).collect();
    let (mut count, mut broken) = (0u32, None);
    let width = embedder.width() as u32;
    file.write_all(&[0u32.to_le_bytes(), width.to_le_bytes()].concat()).map_err(failed)?;
    embedder.embed_tokens(&texts, &Cancel::new(), &mut |_, vector| {
        if broken.is_none() {
            let written = vector.iter().try_for_each(|x| file.write_all(&x.to_le_bytes()));
            broken = written.err();
            count += 1;
        }
        Ok(())
    })?;
    if let Some(e) = broken {
        return Err(failed(e));
    }
    file.seek(SeekFrom::Start(0)).map_err(failed)?;
    file.write_all(&count.to_le_bytes()).map_err(failed)?;
    file.flush().map_err(failed)
}
