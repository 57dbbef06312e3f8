//! How soon long work ends once it is cancelled.
//!
//! ```text
//! HAPPY_MODELS=.. cargo bench -p happy-benches --bench cancel     # prints a table
//! ```
//! Each operation runs once to its end, then is cancelled at ten points from another thread; a cell is the longest time from the
//! flag to the return. The kernels are the scalar ones, about as slow as an old phone's. That the flag is asked often enough is
//! tested by counted work, in each crate.

use happy_engine::chat::{ChatTemplate, Message, TemplateInput};
use happy_engine::{Cancel, Context, Engine, LoadOptions};
use happy_gguf::{ContentHash, GgufFile, GgufSetFile, GgufWriter, Limits, WriteOptions};
use happy_grammar::{Grammar, Limits as GrammarLimits, Reading};
use happy_kernels::Isa;
use happy_tokenizer::{EncodeOptions, Tokenizer};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

type Error = Box<dyn std::error::Error>;
/// An operation; false if it was cancelled.
type Operation<'a> = (&'a str, Box<dyn FnMut(&Cancel) -> bool + 'a>);

fn main() -> Result<(), Error> {
    let (Some(small), Some(large)) =
        (happy_benches::model("SmolLM2-135M"), happy_benches::model("gemma-3-270m"))
    else {
        return Ok(());
    };
    let open = |path: &std::path::Path| {
        let options = LoadOptions {
            threads: Some(1),
            context: Some(1024),
            isa: Some(Isa::Scalar),
            ..LoadOptions::default()
        };
        Engine::open(path, &options)
    };
    let (engine, gemma) = (open(&small)?, open(&large)?);
    let tokenizer = engine.require_tokenizer()?;
    let words = "The quick brown fox jumps over the lazy dog. ".repeat(40_000);
    let letters = "a".repeat(4_000_000);
    let ids = happy_benches::tokens(600);
    let mut context = engine.context()?;
    let mut decoding = gemma.context()?;
    decoding.prefill(0, &ids[..200])?;
    let files = GgufSetFile::read(&large)?;
    let (set, file) = (files.view(), GgufFile::read(&small)?);
    let template = ChatTemplate::new(
        "{% for m in messages %}{% for n in messages %}{{ m.content[:3] ~ n.content[:3] }}{% endfor %}{% endfor %}",
    )?;
    let input = TemplateInput::new((0..300).map(|i| Message::new("user", format!("message {i}"))));
    let schema = format!(
        "{{\"enum\": [{}]}}",
        (0..20_000).map(|i| format!("[[[{i}, \"{i}\"]]]")).collect::<Vec<_>>().join(", ")
    );
    let gbnf = format!("root ::= {}", "(\"ab\" | [c-z]{1,40} | \"x\"+ \"y\")? ".repeat(2_000));

    let encode = |text: &str, cancel: &Cancel| {
        tokenizer.encode_with(text, EncodeOptions::default(), &|| cancel.is_cancelled()).is_ok()
    };
    let operations: Vec<Operation<'_>> = vec![
        ("tokenize 1.8 MB of words", Box::new(|c| encode(&words, c))),
        ("tokenize one word of 4 MB", Box::new(|c| encode(&letters, c))),
        (
            "load a tokenizer of 262,144 tokens",
            Box::new(|c| Tokenizer::from_gguf_with(gemma.file(), &|| c.is_cancelled()).is_ok()),
        ),
        (
            "render a quadratic template",
            Box::new(|c| template.render_marked(&input, &|| c.is_cancelled()).is_ok()),
        ),
        (
            "compile a JSON schema of 20,000 values",
            Box::new(|c| {
                let limits = GrammarLimits::default();
                let cancelled = || c.is_cancelled();
                Grammar::from_json_schema_cancellable(&schema, Reading::default(), &limits, &cancelled)
                    .is_ok()
            }),
        ),
        (
            "compile a GBNF grammar of 2,000 groups",
            Box::new(|c| {
                Grammar::from_gbnf_cancellable(&gbnf, "root", &GrammarLimits::default(), &|| c.is_cancelled())
                    .is_ok()
            }),
        ),
        (
            "build the vocabulary for grammars",
            Box::new(|c| {
                // Kept once it was built: a fresh engine each time.
                open(&large).is_ok_and(|engine| engine.vocabulary_until(&|| c.is_cancelled()).is_ok())
            }),
        ),
        ("prefill 256 tokens", Box::new(|c| prefill(&mut context, &ids[..256], c))),
        (
            "decode after 200 tokens",
            Box::new(|c| {
                let done = decoding.decode_until(&[(0, 300)], c).is_ok();
                let _ = decoding.truncate(0, 200);
                done
            }),
        ),
        (
            "read a file of 253 MB",
            Box::new(|c| {
                let mut progress =
                    |_| if c.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
                GgufSetFile::read_with(&large, &Limits::default(), &mut progress).is_ok()
            }),
        ),
        (
            "hash a file of 253 MB",
            Box::new(|c| ContentHash::of_with(&set, |_, _| (), &|| c.is_cancelled()).is_ok()),
        ),
        (
            "write a file of 98 MB",
            Box::new(|c| {
                let cancelled = || c.is_cancelled();
                let options = WriteOptions { cancelled: &cancelled, ..WriteOptions::default() };
                let path = std::env::temp_dir().join(format!("happy-bench-{}.gguf", std::process::id()));
                let written = GgufWriter::from_gguf(&file.view()).write_file_with(&path, &options).is_ok();
                let _ = std::fs::remove_file(&path);
                written
            }),
        ),
    ];
    println!("| operation | whole, ms | ends at most after, ms |\n|---|--:|--:|");
    for (name, mut run) in operations {
        let (whole, longest) = measure(&mut run);
        println!("| {name} | {:.0} | {:.1} |", whole.as_secs_f64() * 1e3, longest.as_secs_f64() * 1e3);
    }
    Ok(())
}

fn prefill(context: &mut Context, ids: &[u32], cancel: &Cancel) -> bool {
    let done = context.prefill_until(0, ids, cancel).is_ok();
    let _ = context.truncate(0, 0);
    done
}

/// The time of the whole operation, and the longest from the flag to the return over ten points.
fn measure(run: &mut dyn FnMut(&Cancel) -> bool) -> (Duration, Duration) {
    let started = Instant::now();
    run(&Cancel::new());
    let whole = started.elapsed();
    let mut longest = Duration::ZERO;
    for tenth in 0..10 {
        let cancel = Cancel::new();
        let flag = cancel.clone();
        let raiser = std::thread::spawn(move || {
            std::thread::sleep(whole * tenth / 10);
            let raised = Instant::now();
            flag.cancel();
            raised
        });
        run(&cancel);
        let ended = Instant::now();
        if let Ok(raised) = raiser.join() {
            longest = longest.max(ended.saturating_duration_since(raised));
        }
    }
    (whole, longest)
}
