//! Writes models with random weights in the shapes of models that phones run: for their speed and memory, not for their text.
//!
//! ```text
//! cargo run --release -p happy-benches --bin phone_models                         # lists the models
//! cargo run --release -p happy-benches --bin phone_models formats                 # lists those that are all in one format
//! cargo run --release -p happy-benches --bin phone_models lfm2-1.2b FILE.gguf     # writes one
//! happy bench -m FILE.gguf -p 512 -n 64
//! ```
//!
//! A matrix repeats 61 random rows, each scaled by 1 / sqrt(columns), so that values neither grow nor vanish from layer to
//! layer, and a file of 5 GB is written as fast as the disk takes it. llama.cpp loads the files too.

#![forbid(unsafe_code)]

mod models;
mod shape;

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args == ["formats"] {
        models::format_names().for_each(|name| println!("{name}"));
        return ExitCode::SUCCESS;
    }
    let [name, path] = args.as_slice() else {
        for model in models::ALL {
            println!("{:<16} {}", model.name, model.about);
        }
        return if args.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(2) };
    };
    let Some(model) = models::named(name) else {
        let all = models::ALL.iter().map(|model| model.name.to_owned()).chain(models::format_names());
        eprintln!("unknown model {name}; known: {}", all.collect::<Vec<_>>().join(", "));
        return ExitCode::from(2);
    };
    match model.and_then(|file| file.write_file(path).map_err(|e| e.to_string())) {
        Ok(bytes) => {
            println!("{path}: {:.2} GB", bytes as f64 / 1e9);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{path}: {error}");
            ExitCode::FAILURE
        }
    }
}
