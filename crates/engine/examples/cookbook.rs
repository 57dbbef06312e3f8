//! What programs do with the engine, a function each:
//!
//! ```text
//! cookbook several MODEL "Once upon a time"     four continuations, a token of each in every pass
//! cookbook stream  MODEL "Why is the sky blue?" a chat on a thread of its own, its events on this one, ended after two seconds
//! cookbook json    MODEL "Paris"                an answer that a JSON schema describes
//! cookbook search  EMBEDDING-MODEL "a question" TEXT..   the texts, by how close their meaning is to the question
//! ```

use happy_engine::chat::Message;
use happy_engine::sampler::Sampler;
use happy_engine::tokenizer::DecodeStream;
use happy_engine::{Cancel, Conversation, EmbedOptions, Engine, Event, Form, GenerateOptions, LoadOptions};
use std::io::Write;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

type Done = Result<(), Box<dyn std::error::Error>>;

fn main() -> Done {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match &words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["several", model, text] => several(model, text),
        ["stream", model, question] => stream(model, question),
        ["json", model, city] => json(model, city),
        ["search", model, question, texts @ ..] => search(model, question, texts),
        _ => Err("usage: cookbook several|stream|json|search MODEL TEXT..".into()),
    }
}

/// Several sequences in one pass. The prompt is computed once; forked sequences share what it left in the KV cache. A pass reads
/// the weights once for all rows, so that four texts cost little more than one.
fn several(model: &str, text: &str) -> Done {
    const TEXTS: u32 = 4;
    let engine = Engine::open(model, &LoadOptions { sequences: TEXTS as usize, ..LoadOptions::default() })?;
    let tokenizer = engine.require_tokenizer()?;
    let mut context = engine.context()?;
    let logits = context.prefill(0, &engine.encode_prompt(text)?)?.to_vec();
    let mut rows = Vec::new();
    for sequence in 0..TEXTS {
        if sequence > 0 {
            context.fork(0, sequence)?;
        }
        let mut sampler = Sampler::builder().top_k(40).temperature(0.8).seed(sequence.into()).build()?;
        let token = sampler.sample(&logits)?;
        rows.push((sequence, token, sampler, DecodeStream::new(), text.to_owned()));
    }
    for _ in 0..24 {
        let tokens: Vec<(u32, u32)> = rows.iter().map(|row| (row.0, row.1)).collect();
        let output = context.decode(&tokens)?;
        for (i, (_, token, sampler, decoder, text)) in rows.iter_mut().enumerate() {
            text.push_str(decoder.push(tokenizer, *token)?);
            *token = sampler.sample(output.logits(i).ok_or("no logits")?)?;
        }
    }
    for (sequence, .., text) in rows {
        println!("{sequence}: {text}");
    }
    Ok(())
}

/// A chat in a program with a window. The generation owns its context and moves to a thread, so that the thread of the window
/// only takes events from a channel, and raises the flag when the user presses stop.
fn stream(model: &str, question: &str) -> Done {
    let engine = Engine::open(model, &LoadOptions::default())?;
    let mut conversation = Conversation::new(&engine)?;
    conversation.push(Message::new("user", question));
    let cancel = Cancel::new();
    let options = GenerateOptions { cancel: cancel.clone(), ..GenerateOptions::default() };
    let mut context = engine.context()?;
    let generation = conversation.prepare(&mut context, 0, options)?.run(context);
    let (sender, events) = mpsc::sync_channel(256);
    let worker = thread::spawn(move || {
        let mut generation = generation;
        // A window that was closed takes no more events.
        while generation.next().is_some_and(|event| sender.send(event).is_ok()) {}
        generation.into_context()
    });
    let start = Instant::now();
    for event in events {
        match event? {
            Event::Prefill { done, total } => eprintln!("{done} of {total} prompt tokens"),
            Event::Text(text) => print!("{text}"),
            // The reply is pushed also if it was cut off: the next turn goes on from what was said.
            Event::Reply(reply) => conversation.push(reply.message()?),
            Event::Done(finish) => println!("\n[{}]", finish.reason),
            _ => {}
        }
        std::io::stdout().flush()?;
        if start.elapsed() > Duration::from_secs(2) {
            cancel.cancel();
        }
    }
    let context = worker.join().map_err(|_| "the generation panicked")?;
    println!("{} tokens are kept for the next turn", context.tokens(0).len());
    Ok(())
}

/// An answer that is valid JSON under a schema: tokens that would break it are never chosen. It can still be cut off by a limit of
/// tokens; the reason of the last event says so.
fn json(model: &str, city: &str) -> Done {
    let engine = Engine::open(model, &LoadOptions::default())?;
    let mut conversation = Conversation::new(&engine)?;
    conversation.push(Message::new("user", format!("Facts about {city}, as JSON.")));
    let schema = r#"{"type": "object", "properties": {"city": {"type": "string", "maxLength": 40},
        "country": {"type": "string", "maxLength": 40}, "capital": {"type": "boolean"}},
        "required": ["city", "country", "capital"]}"#;
    let options = GenerateOptions {
        form: Some(Form::json_schema(schema)),
        max_tokens: Some(200),
        ..GenerateOptions::default()
    };
    let mut context = engine.context()?;
    for event in conversation.answer(&mut context, 0, options)? {
        match event? {
            Event::Reply(reply) => println!("{}", reply.content),
            Event::Done(finish) if finish.reason.is_unfinished() => eprintln!("cut off: {}", finish.reason),
            _ => {}
        }
    }
    Ok(())
}

/// Texts by meaning. Vectors have length 1, so that a dot product is the cosine of the angle between two texts.
fn search(model: &str, question: &str, texts: &[&str]) -> Done {
    let engine = Engine::open(model, &LoadOptions::embeddings())?;
    let mut embedder = engine.embedder(&EmbedOptions::default())?;
    let question = embedder.embed(&[question], &Cancel::new())?.remove(0).values;
    let found = embedder.embed(texts, &Cancel::new())?;
    let cosine = |values: &[f32]| values.iter().zip(&question).map(|(a, b)| a * b).sum::<f32>();
    let mut ranked: Vec<(f32, &&str)> = found.iter().map(|text| cosine(&text.values)).zip(texts).collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    for (cosine, text) in ranked {
        println!("{cosine:.3} {text}");
    }
    Ok(())
}
