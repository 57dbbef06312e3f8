//! The subcommands, one file for each.

mod bench;
mod chat;
mod completions;
mod config;
mod convert;
mod cpu;
mod detokenize;
mod embed;
mod gguf;
mod grammar;
mod imatrix;
mod inspect;
mod kl;
mod list;
mod logits;
mod man;
mod perplexity;
mod pull;
mod quantize;
mod reply;
mod rerank;
mod rm;
mod run;
mod sample;
mod search;
mod serve;
mod show;
mod template;
mod tokenize;
mod verify;

use crate::error::CliResult;
use clap::Subcommand;

/// The command to run.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Answer one prompt, streaming the text
    Run(run::RunArgs),
    /// Talk with a model; earlier turns stay in the KV cache
    Chat(chat::ChatArgs),
    /// Serve a model to programs: the APIs of OpenAI, Anthropic and Ollama
    Serve(serve::ServeArgs),
    /// Download a model by name, if it would run here
    Pull(pull::PullArgs),
    /// List the models that were downloaded, or the short names
    List(list::ListArgs),
    /// Search the short names that `pull` knows
    Search(search::SearchArgs),
    /// Show what a model is and whether it would run here, before it is downloaded
    Show(show::ShowArgs),
    /// Remove models from the cache
    Rm(rm::RmArgs),
    /// Measure prefill and decode speed, load time and memory
    Bench(bench::BenchArgs),
    /// Show what is in a GGUF file and what running it would need
    Inspect(inspect::InspectArgs),
    /// List, edit, check, split, merge, compare and hash GGUF files
    Gguf(gguf::GgufArgs),
    /// Write a Hugging Face folder (safetensors) as a GGUF file
    Convert(convert::ConvertArgs),
    /// Write a model with its matrices in other types
    Quantize(quantize::QuantizeArgs),
    /// Measure which columns of a model's matrices matter, for `quantize --imatrix`
    Imatrix(imatrix::ImatrixArgs),
    /// Turn texts into vectors, or compare them
    Embed(embed::EmbedArgs),
    /// Sort documents by how well they match a query
    Rerank(rerank::RerankArgs),
    /// Turn text from standard input into token ids
    Tokenize(tokenize::TokenizeArgs),
    /// Turn token ids from standard input into text
    Detokenize(detokenize::DetokenizeArgs),
    /// Write the logits of token sequences, or their hash
    Logits(logits::LogitsArgs),
    /// Check whether this device computes the same as another one
    Verify(verify::VerifyArgs),
    /// Measure how well a model predicts a text
    Perplexity(perplexity::PerplexityArgs),
    /// Measure how far a model's predictions are from those of a reference
    Kl(kl::KlArgs),
    /// Check whether texts from standard input match a GBNF grammar or a JSON schema
    Grammar(grammar::GrammarArgs),
    /// Run sampling steps over rows of logits from standard input
    Sample(sample::SampleArgs),
    /// Render a chat template
    Template(template::TemplateArgs),
    /// Split a model's reply from standard input into content, reasoning and tool calls
    Reply(reply::ReplyArgs),
    /// Show the processor's features, the kernels that are chosen, and the switches that turn features off
    Cpu(cpu::CpuArgs),
    /// Show the configuration: where its file is, and what it sets
    Config(config::ConfigArgs),
    /// Write a script that completes commands and options in a shell
    Completions(completions::CompletionsArgs),
    /// Write manual pages
    Man(man::ManArgs),
}

impl Command {
    /// Runs the command.
    pub(crate) fn run(self) -> CliResult {
        match self {
            Command::Run(args) => run::run(&args),
            Command::Chat(args) => chat::run(&args),
            Command::Serve(args) => serve::run(&args),
            Command::Pull(args) => pull::run(&args),
            Command::List(args) => list::run(&args),
            Command::Search(args) => search::run(&args),
            Command::Show(args) => show::run(&args),
            Command::Rm(args) => rm::run(&args),
            Command::Bench(args) => bench::run(&args),
            Command::Inspect(args) => inspect::run(&args),
            Command::Gguf(args) => gguf::run(&args),
            Command::Convert(args) => convert::run(&args),
            Command::Quantize(args) => quantize::run(&args),
            Command::Imatrix(args) => imatrix::run(&args),
            Command::Embed(args) => embed::run(&args),
            Command::Rerank(args) => rerank::run(&args),
            Command::Tokenize(args) => tokenize::run(&args),
            Command::Detokenize(args) => detokenize::run(&args),
            Command::Logits(args) => logits::run(&args),
            Command::Verify(args) => verify::run(&args),
            Command::Perplexity(args) => perplexity::run(&args),
            Command::Kl(args) => kl::run(&args),
            Command::Grammar(args) => grammar::run(&args),
            Command::Sample(args) => sample::run(&args),
            Command::Template(args) => template::run(&args),
            Command::Reply(args) => reply::run(&args),
            Command::Cpu(args) => cpu::run(&args),
            Command::Config(args) => config::run(&args),
            Command::Completions(args) => completions::run(&args),
            Command::Man(args) => man::run(&args),
        }
    }
}
